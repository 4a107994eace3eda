//! Says to the controller where the host stands, and says it again: a log may be cut, and a reader may come late.

use super::gate::{Gate, Standing};
use crate::container::follow::Witness;
use crate::layout::{TransactionDir, file};
use crate::restart_go;
use crate::say::{chain, report, say};
use careen_model::journal::Record;
use careen_model::report::{Restart, Said};
use careen_model::transaction::{EngineRestart, Phase};
use std::time::{Duration, Instant};

/// How often the last word is repeated.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What was said last, and the gate that a restart has to wait for.
#[derive(Debug)]
pub struct Reporter {
    last: Option<(Said, Instant)>,
    restart: Gate,
    /// Whether the transaction that is followed is the command's own: what `prepare` or `verify` do is told by other words.
    pub is_the_command: bool,
}

impl Reporter {
    /// Has said nothing yet.
    pub fn new(restart: Gate) -> Self {
        Self { last: None, restart, is_the_command: false }
    }

    /// Says something, once; the same again only when some time has passed.
    pub fn say(&mut self, said: Said) {
        let is_new = self.last.as_ref().is_none_or(|(last, _)| *last != said);
        if is_new {
            report(&said);
            self.last = Some((said, Instant::now()));
        }
    }

    /// Repeats the last word when it is time to.
    pub fn again(&mut self) {
        if let Some((said, at)) = &mut self.last
            && at.elapsed() >= AGAIN_AFTER
        {
            report(said);
            *at = Instant::now();
        }
    }

    /// Looks at the gate of restarts, so that its running container has been seen before it can be missed.
    pub fn look_at_the_restart_gate(&mut self) -> Standing {
        self.restart.look()
    }

    /// Passes a go on to the supervisor that waits for one.
    fn pass_the_go(&mut self, directory: &TransactionDir) {
        let Some(wish) = restart_go::wish(&directory.file(file::RESTART_WISH)) else { return };
        let standing = self.restart.look();
        self.say(Said::WantsRestart { kind: wish.kind });
        if standing == Standing::Open
            && let Err(error) = restart_go::give(&directory.file(file::RESTART_GO), &wish)
        {
            say(format_args!("the go cannot be passed on: {}", chain(&error)));
        }
    }
}

impl Witness for Reporter {
    fn records(&mut self, records: &[&Record]) {
        if !self.is_the_command {
            return;
        }
        if let Some(said) = records.iter().fold(None, |said, record| after(said, record)) {
            self.say(said);
        }
    }

    fn tick(&mut self, directory: &TransactionDir) {
        if self.is_the_command {
            self.pass_the_go(directory);
        }
        self.again();
    }
}

/// What goes on after this record, when that went on before it. What is over when an agent comes is not told as if it went
/// on: the rollout would seem to go back.
fn after(said: Option<Said>, record: &Record) -> Option<Said> {
    match record {
        Record::Starting { phase: Phase::Command, attempt, .. } => Some(Said::Running { attempt: *attempt }),
        Record::RestartingEngine { why: EngineRestart::Replaced } => {
            Some(Said::Restarting { kind: Restart::Engine })
        }
        Record::Rebooting { .. } => Some(Said::Restarting { kind: Restart::Reboot }),
        Record::Ended { .. }
        | Record::Interrupted
        | Record::EngineSettled { .. }
        | Record::Rebooted { .. }
        | Record::Closed { .. } => None,
        Record::Starting { phase: Phase::Rollback, .. }
        | Record::RestartingEngine { why: EngineRestart::Down }
        | Record::Supervised { .. }
        | Record::Running { .. }
        | Record::Stopping { .. } => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_model::journal::EngineOutcome;

    #[test]
    fn what_is_over_is_not_told_as_if_it_went_on() {
        let running = Record::Starting { phase: Phase::Command, attempt: 1, engine_up: true };
        let restarting = Record::RestartingEngine { why: EngineRestart::Replaced };
        let told = |records: &[&Record]| records.iter().fold(None, |said, record| after(said, record));
        assert_eq!(told(&[&running]), Some(Said::Running { attempt: 1 }));
        assert_eq!(told(&[&running, &restarting]), Some(Said::Restarting { kind: Restart::Engine }));
        let settled = Record::EngineSettled { outcome: EngineOutcome::Up };
        assert_eq!(told(&[&running, &restarting, &settled]), None);
    }
}
