//! `ask`: a question to hosts, and their answers. There is no rollout: nothing is locked, labelled or drained.

use super::run::{called, unfit, wanted_of};
use super::{Session, whole_ids};
use crate::args::AskArgs;
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::answers::{Answers, OnTheWay, exit_of};
use crate::render::notes::Question;
use crate::render::print;
use crate::spec;
use careen_contract::errand::Errand;
use careen_contract::payload::{HELP_COMMAND, PREPARE_COMMAND, ROLLBACK_COMMAND, VERIFY_COMMAND};
use careen_planner::inquiry::{Asked, Placement, Reply, Roll};
use careen_planner::{Observed, RolloutId, Spec};
use careen_swarm::{Draft, Inquiry, NotGivenBack, PayloadFile};
use std::ops::ControlFlow;
use std::time::Duration;

/// Commands that are none to ask with: they change a host, or only talk.
const NO_QUESTIONS: [&str; 6] =
    ["install", "uninstall", PREPARE_COMMAND, VERIFY_COMMAND, ROLLBACK_COMMAND, HELP_COMMAND];

/// After so long it is said who is waited for, and again after as long.
const SAY_WHO_IS_AWAITED: Duration = Duration::from_secs(5);

/// So many of them.
const MOST_NAMED: usize = 5;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn inquire(&mut self, args: &AskArgs) -> Result<Exit, Failure> {
        if NO_QUESTIONS.contains(&args.command.as_str()) {
            return Err(Failure::NoQuestion { command: args.command.clone() });
        }
        let AskArgs { image, given, command, .. } = args;
        let of_question = |id, image: &str| spec::of_question(args, id, image);
        let draft = self.drafted(image.as_deref(), given, command, of_question)?;
        let show =
            |session: &mut Self, inquiry: &RolloutId, roll: &Roll| session.show(&Answers { inquiry, roll });
        let roll = self.question(draft, args, show)?;
        Ok(if self.console.interrupted() { Exit::Other } else { exit_of(&roll) })
    }

    /// Asks, and shows the answers before what was brought is removed, which takes as long as the agents take to end.
    pub(super) fn question(
        &mut self,
        draft: Draft,
        args: &AskArgs,
        show: impl FnOnce(&mut Self, &RolloutId, &Roll) -> Result<(), Failure>,
    ) -> Result<Roll, Failure> {
        let Draft { mut spec, files, .. } = draft;
        self.look_for_the_command(&spec, &files)?;
        let observed = Observed { nodes: self.backend.nodes()?, ..Observed::default() };
        spec.selection.nodes = whole_ids(&observed.nodes, &spec.selection.nodes)?;
        let called = Roll::call(&observed, &spec, args.activate, args.timeout);
        let (mut roll, placement) = called.map_err(|why| Failure::CannotAsk { why: Box::new(why) })?;
        self.may_activate(&placement, &roll, args.yes)?;
        let was_asked = roll.is_worth_asking();
        let inquiry = Inquiry {
            spec,
            files,
            limit: args.timeout,
            placement,
            by: self.by.clone(),
            errand: Errand::Command,
        };
        let heard = self.ask_and_hear(&inquiry, &mut roll);
        let shown = heard.and_then(|()| show(self, &inquiry.spec.id, &roll));
        if was_asked {
            self.end_inquiry(&inquiry)?;
        }
        shown.map(|()| roll)
    }

    /// An image that has no such command, or an agent that knows no questions, would say so on every host.
    pub(super) fn look_for_the_command(&mut self, spec: &Spec, files: &[PayloadFile]) -> Result<(), Failure> {
        let Some(look) = self.backend.look_into(&spec.image, &wanted_of(spec, files))? else { return Ok(()) };
        match unfit(called(spec), look) {
            Some(why) => Err(Failure::CannotAsk { why: Box::new(why) }),
            None => Ok(()),
        }
    }

    /// An image with an agent that is asked for something else than a payload's command: careen's own, or the one that is named.
    pub(super) fn careens_image(&mut self, image: Option<&str>) -> Result<String, Failure> {
        let (name, image) = self.pinned(image)?;
        let agent = ["/careen-agent".to_owned()];
        let look = self.backend.look_into(&image, &agent)?;
        match look.and_then(|look| unfit(name, look)) {
            Some(why) => Err(Failure::CannotAsk { why: Box::new(why) }),
            None => Ok(image),
        }
    }

    /// What is kept drained is its operator's: Swarm places tasks on a node that is active.
    pub(super) fn may_activate(
        &mut self,
        placement: &Placement,
        roll: &Roll,
        yes: bool,
    ) -> Result<(), Failure> {
        if placement.activate.is_empty() {
            return Ok(());
        }
        if let Some(spec) = self.backend.active()? {
            return Err(BackendError::OtherRollout { rollout: spec.id }.into());
        }
        let woken = roll.asked().iter().filter(|asked| placement.activate.contains_key(&asked.node));
        let hosts = woken.map(|asked| asked.hostname.as_str()).collect::<Vec<_>>().join(", ");
        match yes || self.ask(Question::Activate { hosts: &hosts })?.ok_or(Failure::NobodyToAskAboutNodes)? {
            true => Ok(()),
            false => Err(Failure::Declined),
        }
    }

    pub(super) fn ask_and_hear(&mut self, inquiry: &Inquiry, roll: &mut Roll) -> Result<(), Failure> {
        let hosts = roll.asked().iter().filter(|asked| asked.is_awaited()).count();
        if hosts == 0 {
            return Ok(());
        }
        self.show(&OnTheWay::Asking { hosts, inquiry: &inquiry.spec.id })?;
        self.console.catch_interrupts()?;
        let left = self.backend.inquire(inquiry)?;
        let mut said = self.console.now();
        self.answered(true, |session| session.hear(inquiry, roll, &mut said))?;
        self.tell_who_stays_active(&left)
    }

    /// Hears answers from the manager that is asked now.
    fn hear(&mut self, inquiry: &Inquiry, roll: &mut Roll, said: &mut Duration) -> Result<(), Failure> {
        let Self { backend, console, format, .. } = self;
        let mut failed = None;
        let mut tick = |roll: &Roll| {
            if console.now() >= *said + SAY_WHO_IS_AWAITED {
                *said = console.now();
                let awaited = roll.asked().iter().filter_map(awaited).take(MOST_NAMED);
                let told =
                    awaited.map(|(host, why)| print(&OnTheWay::WaitsFor { host, why }, *format, *console));
                failed = told.filter_map(Result::err).next();
            }
            match console.interrupted() || failed.is_some() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let heard = backend.hear(inquiry, roll, &mut tick);
        if let Some(failure) = failed {
            return Err(failure);
        }
        Ok(heard?)
    }

    /// Removes what was brought, over whichever manager answers.
    pub(super) fn end_inquiry(&mut self, inquiry: &Inquiry) -> Result<(), Failure> {
        let id = &inquiry.spec.id;
        let left = match self.backend.end_inquiry(id) {
            Ok(left) => left,
            // Also behind Ctrl-C: nothing is to stay.
            Err(error) => {
                self.ask_elsewhere(error.into())?;
                self.backend.end_inquiry(id)?
            }
        };
        self.tell_who_stays_active(&left)
    }

    fn tell_who_stays_active(&mut self, left: &[NotGivenBack]) -> Result<(), Failure> {
        for one in left {
            self.show(&OnTheWay::NodeStaysActive(one))?;
        }
        Ok(())
    }
}

fn awaited(asked: &Asked) -> Option<(&str, &str)> {
    match &asked.reply {
        Reply::Awaited { why } => Some((&asked.hostname, why)),
        Reply::Answered { .. } | Reply::Unreachable(_) => None,
    }
}
