//! How a command of the payload ended, in the words of the agent's machine.

use careen_host::journal::TransactionResult;
use careen_host::outcome::{CommandEnd, Outcome, Rollback};
use careen_host::transaction::State;
use careen_protocol::agent::Ran;

/// What a transaction's journal and its result say.
pub fn ended(state: &State, result: &TransactionResult) -> Ran {
    let command_is_done = state.history.end.as_ref().is_some_and(|end| end.end == CommandEnd::Exited(0));
    Ran {
        exit: result.exit_code,
        is_success: result.outcome.is_success(command_is_done),
        rolled_back: rolled_back(&result.outcome),
    }
}

fn rolled_back(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::EngineDown { rollback: Rollback::BroughtBack, .. } => Some(true),
        Outcome::EngineDown { rollback: Rollback::Failed, .. } => Some(false),
        Outcome::EngineDown { rollback: Rollback::None, .. }
        | Outcome::Exited { .. }
        | Outcome::Signaled { .. }
        | Outcome::RestartWanted { .. }
        | Outcome::TimedOut
        | Outcome::Stopped { .. }
        | Outcome::NotStarted { .. }
        | Outcome::Interrupted => None,
    }
}
