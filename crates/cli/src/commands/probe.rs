//! `--probe`: hosts are asked what there is to do before anything is planned. A question like `careen ask`, some hosts at a time.

use super::Session;
use crate::backend::Backend;
use crate::console::Console;
use crate::error::Failure;
use careen_contract::errand::Errand;
use careen_contract::payload::CHECK_COMMAND;
use careen_planner::inquiry::{Asked, Roll};
use careen_planner::probe::{Probe, Probed};
use careen_planner::spec::Selection;
use careen_planner::{NodeId, Observed, Spec};
use careen_swarm::{Draft, Inquiry};
use std::time::Duration;

/// So many at a time: each asks the archives that its packages come from.
const AT_ONCE: usize = 50;

/// How long they are waited for.
const LIMIT: Duration = Duration::from_secs(180);

impl<B: Backend, C: Console> Session<'_, B, C> {
    /// What each host says that a rollout is about. Who cannot be asked is among them, with the reason.
    pub(super) fn probe(&mut self, draft: &Draft, observed: &Observed) -> Result<Probe, Failure> {
        let spec = Spec { command: CHECK_COMMAND.to_owned(), ..draft.spec.clone() };
        self.look_for_the_command(&spec, &draft.files)?;
        // What is wrong with the selection the plan says.
        let Ok((all, _)) = Roll::call(observed, &spec, false, LIMIT) else { return Ok(Probe::default()) };
        let told = |asked: &Asked| (asked.node.clone(), Probed::of(asked));
        let mut probe = Probe(all.asked().iter().filter(|asked| !asked.is_awaited()).map(told).collect());
        let meant: Vec<&NodeId> =
            all.asked().iter().filter(|asked| asked.is_awaited()).map(|asked| &asked.node).collect();
        for some in meant.chunks(AT_ONCE) {
            let nodes = some.iter().map(|node| node.0.clone()).collect();
            let selection = Selection { nodes, ..Selection::default() };
            let spec = Spec { id: self.new_id()?, selection, ..spec.clone() };
            let called = Roll::call(observed, &spec, false, LIMIT);
            let (mut roll, placement) = called.map_err(|why| Failure::CannotAsk { why: Box::new(why) })?;
            let files = draft.files.clone();
            let inquiry = Inquiry {
                spec,
                files,
                limit: LIMIT,
                placement,
                by: self.by.clone(),
                errand: Errand::Command,
            };
            let heard = self.ask_and_hear(&inquiry, &mut roll);
            self.end_inquiry(&inquiry)?;
            heard?;
            if self.console.interrupted() {
                return Err(Failure::Declined);
            }
            probe.0.extend(roll.asked().iter().map(told));
        }
        Ok(probe)
    }
}
