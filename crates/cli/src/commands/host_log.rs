//! `logs NODE` of what the swarm no longer has: the host keeps it, and is asked for it by a question (`careen ask`), which changes nothing
//! there.

use super::Session;
use crate::args::LogsArgs;
use crate::backend::{Backend, LogLine, LogPlace, LogRead, Speaker, Stream};
use crate::console::Console;
use crate::delivery;
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::answers;
use crate::render::events::Logged;
use crate::render::notes::Note;
use crate::render::print;
use careen_contract::answer::Answer;
use careen_contract::errand::Errand;
use careen_planner::inquiry::{Asked, Placement, Reply, Roll, Unreachable};
use careen_planner::spec::Selection;
use careen_planner::{NodeId, Observed, RolloutId, Spec};
use careen_swarm::Inquiry;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the host runs: its own agent, which prints what the transaction's command printed, each stream to its own.
const COMMAND: &str = "printed";
const SCRIPT: &[u8] = b"#!/bin/sh\nexec /usr/local/sbin/careen-agent logs \"$1\"\n";

/// How long the host is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// The agent's own words begin with it. They are about the way to the answer.
const OWN_WORDS: &str = "careen: ";

/// What is wanted of whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostLog<'a> {
    pub(super) node: &'a NodeId,
    pub(super) hostname: &'a str,
    /// The transaction's id on the host.
    pub(super) transaction: &'a str,
    /// The rollout's: what carried its agent there carries the question.
    pub(super) spec: &'a Spec,
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    /// Prints what the host has. Where it cannot be asked it is said why, and where the log lies.
    pub(super) fn ask_the_host(&mut self, wanted: HostLog<'_>, args: &LogsArgs) -> Result<Exit, Failure> {
        let inquiry = self.question_for(wanted)?;
        let observed = Observed { nodes: self.backend.nodes()?, ..Observed::default() };
        let called = Roll::call(&observed, &inquiry.spec, args.activate, LIMIT);
        let (mut roll, placement) = called.map_err(|why| Failure::CannotAsk { why: Box::new(why) })?;
        self.may_activate(&placement, &roll, args.yes)?;
        let inquiry = Inquiry { placement, ..inquiry };
        if roll.is_worth_asking() {
            let heard = self.ask_and_hear(&inquiry, &mut roll);
            // What the service has printed goes with it.
            let printed = heard.and_then(|()| self.print_answered(&inquiry.spec.id, wanted));
            self.end_inquiry(&inquiry)?;
            printed?;
        }
        let asked = roll.asked().first();
        if asked.is_some_and(has_told) {
            return Ok(Exit::Done);
        }
        let why = asked.map(answers::in_words).unwrap_or_default();
        let sleeps = !args.activate && asked.is_some_and(sleeps);
        self.show(&Note::HostNotAsked { host: wanted.hostname, why: &why, sleeps })?;
        self.show(&Note::LogOnHost { host: wanted.hostname, transaction: wanted.transaction })?;
        Ok(Exit::Other)
    }

    fn question_for(&mut self, wanted: HostLog<'_>) -> Result<Inquiry, Failure> {
        let selection = Selection { nodes: vec![wanted.node.0.clone()], ..Selection::default() };
        let spec = Spec {
            command: COMMAND.to_owned(),
            args: vec![wanted.transaction.to_owned()],
            selection,
            ..Spec::run(self.new_id()?, &wanted.spec.image)
        };
        let placement = Placement { constraints: Vec::new(), activate: BTreeMap::new() };
        let files = vec![delivery::made(COMMAND, SCRIPT)];
        Ok(Inquiry { errand: Errand::Command, spec, files, limit: LIMIT, placement, by: self.by.clone() })
    }

    fn print_answered(&mut self, id: &RolloutId, wanted: HostLog<'_>) -> Result<(), Failure> {
        let mut place = LogPlace::default();
        loop {
            let (console, format) = (&mut *self.console, self.format);
            let mut printed = Ok(());
            let read = self.backend.logs(Speaker::Inquiry(id), &mut place, &mut |line| {
                if printed.is_ok() && is_of_the_command(&line) {
                    let HostLog { node, hostname, .. } = wanted;
                    printed = print(&Logged { node, hostname, line: &line, width: None }, format, console);
                }
            });
            printed?;
            if read? == LogRead::Whole {
                return Ok(());
            }
        }
    }
}

fn is_of_the_command(line: &LogLine) -> bool {
    let own = Answer::of_line(&line.text).is_some() || line.text.starts_with(OWN_WORDS) || line.is_report();
    line.stream == Stream::Stdout || !own
}

fn has_told(asked: &Asked) -> bool {
    matches!(&asked.reply, Reply::Answered { answer: Answer::Answered { exit: 0, why: None, .. }, .. })
}

/// Whether it takes no task because its operator, or a rollout, keeps it so.
fn sleeps(asked: &Asked) -> bool {
    matches!(asked.reply, Reply::Unreachable(Unreachable::Drained | Unreachable::Paused))
}
