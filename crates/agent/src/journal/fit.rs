//! Records that always fit into the room that is reserved for them: what could be of any length is cut, with a note.

use careen_host::facts::FactsDiff;
use careen_host::journal::{EngineOutcome, Record, TransactionResult};
use careen_host::outcome::{CommandEnd, Outcome, StopReason};

/// The longest list of changes, in bytes of JSON: some 7,000 packages. The rest of a `closed` record is below 300 KiB.
const LONGEST_CHANGES: usize = 512 * 1024;
/// The longest text that somebody else wrote, in characters. One of them may be six bytes of JSON.
const LONGEST_WORDS: usize = 1500;
/// The most entries of a list.
const MOST: usize = 25;

/// The record as it is written. What is cut off is counted.
pub fn fitted(record: &Record) -> Record {
    match record {
        Record::Closed { result } => Record::Closed { result: fitted_result(result) },
        Record::Ended { end, left_behind, notes } => {
            Record::Ended { end: fitted_end(end), left_behind: few(left_behind), notes: few(notes) }
        }
        Record::Stopping { reason } => Record::Stopping { reason: fitted_reason(reason) },
        Record::EngineSettled { outcome } => Record::EngineSettled { outcome: fitted_engine(outcome) },
        Record::Rebooting { reason, from_boot } => {
            Record::Rebooting { reason: words(reason), from_boot: from_boot.clone() }
        }
        Record::Revoked { by } => Record::Revoked { by: words(by) },
        Record::Supervised { .. }
        | Record::Offered { .. }
        | Record::Starting { .. }
        | Record::Running { .. }
        | Record::Interrupted
        | Record::RestartingEngine { .. }
        | Record::Rebooted { .. } => record.clone(),
    }
}

fn fitted_result(result: &TransactionResult) -> TransactionResult {
    let mut result = TransactionResult {
        outcome: fitted_outcome(&result.outcome),
        notes: few(&result.notes),
        ..result.clone()
    };
    let bytes = |changes: &FactsDiff| serde_json::to_vec(changes).map_or(usize::MAX, |json| json.len());
    let Some(changes) = result.changes.as_mut().filter(|changes| bytes(changes) > LONGEST_CHANGES) else {
        return result;
    };
    let packages = changes.changed.len() + changes.added.len() + changes.removed.len();
    for list in [&mut changes.added, &mut changes.removed] {
        list.clear();
    }
    changes.changed.clear();
    result.notes.push(format!("{packages} packages changed: too many to be listed in this record"));
    if bytes(changes) > LONGEST_CHANGES {
        result.changes = None;
        result.notes.push("what else changed is too much for this record".into());
    }
    result
}

fn fitted_outcome(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::RestartWanted { reasons } => Outcome::RestartWanted { reasons: few(reasons) },
        Outcome::EngineDown { words: said, rollback } => {
            Outcome::EngineDown { words: words(said), rollback: *rollback }
        }
        Outcome::Stopped { reason } => Outcome::Stopped { reason: fitted_reason(reason) },
        Outcome::NotStarted { error, begun } => Outcome::NotStarted { error: words(error), begun: *begun },
        Outcome::Exited { .. } | Outcome::Signaled { .. } | Outcome::TimedOut | Outcome::Interrupted => {
            outcome.clone()
        }
    }
}

fn fitted_reason(reason: &StopReason) -> StopReason {
    match reason {
        StopReason::Cancelled(by) => StopReason::Cancelled(words(by)),
        StopReason::TimeLimit | StopReason::ContainerRemoved | StopReason::SupervisorStopped => {
            reason.clone()
        }
    }
}

fn fitted_end(end: &CommandEnd) -> CommandEnd {
    match end {
        CommandEnd::NotStarted(why) => CommandEnd::NotStarted(words(why)),
        CommandEnd::Exited(_) | CommandEnd::Signaled(_) => end.clone(),
    }
}

fn fitted_engine(outcome: &EngineOutcome) -> EngineOutcome {
    match outcome {
        EngineOutcome::Refused { reason } => EngineOutcome::Refused { reason: words(reason) },
        EngineOutcome::Down { words: said } => EngineOutcome::Down { words: words(said) },
        EngineOutcome::Up => EngineOutcome::Up,
    }
}

fn words(text: &str) -> String {
    match text.char_indices().nth(LONGEST_WORDS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} (and {} bytes more)", &text[..end], text.len() - end),
    }
}

fn few(list: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = list.iter().take(MOST).map(|text| words(text)).collect();
    if list.len() > MOST {
        kept.push(format!("and {} more", list.len() - MOST));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_host::facts::Change;

    fn closed(packages: usize, notes: Vec<String>) -> Record {
        let change = Change { from: "1:2.40.4-6ubuntu1.1".into(), to: "1:2.40.4-6ubuntu1.2+esm1".into() };
        let changed =
            (0..packages).map(|number| (format!("lib-some-package-{number}"), change.clone())).collect();
        let changes = Some(Box::new(FactsDiff { changed, ..FactsDiff::default() }));
        let outcome = Outcome::RestartWanted { reasons: notes.clone() };
        let (exit_code, output_bytes, duration_ms) = (0, 0, None);
        Record::Closed {
            result: TransactionResult {
                outcome,
                exit_code,
                output_bytes,
                duration_ms,
                notes,
                changes,
                answer: None,
            },
        }
    }

    #[test]
    fn what_usually_happens_is_recorded_whole() {
        let usual = closed(1200, vec!["the engine was restarted".into()]);
        assert_eq!(fitted(&usual), usual);
    }

    #[test]
    fn whatever_happens_fits_into_what_is_reserved_and_what_is_cut_is_told() {
        let terrible = vec!["\u{1}".repeat(2000); 10_000];
        let ended = Record::Ended {
            end: CommandEnd::NotStarted("\u{1}".repeat(100_000)),
            left_behind: terrible.clone(),
            notes: terrible.clone(),
        };
        for record in [closed(100_000, terrible), ended] {
            let line = careen_host::journal::encode(9, jiff::Timestamp::now(), &fitted(&record)).unwrap();
            assert!(line.len() < super::super::RESERVED_BYTES as usize * 3 / 4, "{}", line.len());
            assert!(String::from_utf8(line).unwrap().contains("and 9975 more"));
        }
        let Record::Closed { result } = fitted(&closed(100_000, Vec::new())) else { panic!("closed") };
        assert!(result.notes[0].contains("100000 packages changed"), "{:?}", result.notes);
    }
}
