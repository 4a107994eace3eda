//! An agent's part in an inquiry (`careen ask`): whatever comes of the command, or of the way to it, is said in one line, and the
//! container ends well. A task that fails would be started by Swarm once more.

use super::create::{Joined, begin_to_create, read_manifest};
use super::printer::lines_written;
use crate::layout::{self, TransactionDir};
use crate::say::{self, keep_reports_apart, say};
use crate::stop::Stop;
use crate::withdraw::withdraw;
use careen_contract::answer::Answer;
use careen_contract::{AgentExit, TransactionId};
use careen_host::journal::TransactionResult;
use careen_host::outcome::Outcome;
use std::path::Path;

/// What the container ends with that has said its answer.
const SAID: u8 = 0;

/// Says why there is no other answer.
pub fn or_say_so(play: impl FnOnce() -> Result<u8, Stop>) -> Result<u8, Stop> {
    keep_reports_apart();
    match play() {
        Err(stop) if stop.exit != AgentExit::Detached => {
            say(&stop);
            say::answer(&Answer::Refused { exit: stop.exit.code(), why: stop.message });
            Ok(SAID)
        }
        played => played,
    }
}

/// Says what the command came to, and takes its transaction away: nobody asks for a question's record.
pub fn answer(id: &TransactionId, joined: &Joined, result: &TransactionResult) -> u8 {
    say::answer(&answered(result, lines_written()));
    if let Err(error) = forget(&joined.directory) {
        say(format_args!("the transaction {id} stays on this host: {error:#}"));
    }
    SAID
}

fn answered(result: &TransactionResult, lines: u64) -> Answer {
    let outcome = &result.outcome;
    if let Outcome::NotStarted { error, begun: 0 } = outcome {
        let why = format!("the command could not be started: {error}");
        return Answer::Refused { exit: result.exit_code, why };
    }
    Answer::Answered {
        exit: result.exit_code,
        why: (!matches!(outcome, Outcome::Exited { .. })).then(|| outcome.to_string()),
        result: result.answer.as_deref().cloned(),
        notes: result.notes.clone(),
        lines,
    }
}

/// Removes a closed transaction of which nobody asks for the record.
pub(super) fn forget(directory: &TransactionDir) -> anyhow::Result<()> {
    let in_words = |stop: Stop| anyhow::anyhow!(stop.message);
    let _creating = begin_to_create(Path::new(layout::ROOT)).map_err(in_words)?;
    let manifest = read_manifest(directory).map_err(in_words)?;
    Ok(withdraw(directory, &manifest)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_host::outcome::StopReason;
    use serde_json::json;

    fn result(outcome: Outcome) -> TransactionResult {
        TransactionResult {
            exit_code: outcome.exit_code(),
            outcome,
            output_bytes: 5,
            duration_ms: Some(3),
            notes: vec!["a note".into()],
            changes: None,
            answer: Some(Box::new(json!({ "a": 1 }))),
        }
    }

    #[test]
    fn a_status_speaks_for_itself_and_every_other_end_is_told() {
        let Answer::Answered { exit, why, result: left, notes, lines } =
            answered(&result(Outcome::Exited { status: 2 }), 7)
        else {
            panic!("it ran")
        };
        assert_eq!((exit, why, lines, notes.len()), (2, None, 7, 1));
        assert_eq!(left, Some(json!({ "a": 1 })));
        for outcome in [
            Outcome::TimedOut,
            Outcome::Stopped { reason: StopReason::SupervisorStopped },
            Outcome::Interrupted,
        ] {
            assert!(matches!(answered(&result(outcome), 0), Answer::Answered { why: Some(_), .. }));
        }
        let not_started = Outcome::NotStarted { error: "no room".into(), begun: 0 };
        assert!(matches!(answered(&result(not_started), 0), Answer::Refused { exit: 126, .. }));
    }
}
