//! The supervisor's side of a command that may take a manager's engine down: what it begins with, and what it gives back.

use super::Supervisor;
use crate::engine_restart::{self, Ended};
use careen_model::transaction::{Outcome, Phase};

impl Supervisor<'_> {
    /// Right before a program begins: until it may. An inner error is what the transaction comes to without it.
    pub(super) fn await_turn(&mut self, phase: Phase, attempt: u32) -> Result<Result<(), Outcome>, Ended> {
        if phase == Phase::Rollback {
            return Ok(Ok(())); // the engine is down, and this is to bring it back
        }
        // A lock that was held again for an interrupted attempt is taken anew: the quorum is asked with it.
        self.engine_lock = None;
        let begin = engine_restart::before_command(&self.manifest, attempt, &mut self.patience())?;
        Ok(begin
            .map(|begin| {
                self.notes.extend(begin.notes);
                self.engine_lock = begin.held;
            })
            .map_err(|reason| self.journal.state().without_the_attempt(&reason)))
    }

    /// Before the transaction closes: gives the lock back. It stays held where the engine stayed down.
    pub(super) fn give_back_engine_lock(&mut self, outcome: &Outcome) {
        let Some(held) = self.engine_lock.take() else { return };
        if !matches!(outcome, Outcome::EngineDown { .. }) {
            engine_restart::after_command(held, &self.manifest, &mut self.patience());
        }
    }
}
