//! What careen itself did on a host, beside the command: read from the journal, told with every result.

use crate::journal::{EngineOutcome, Record};
use crate::outcome::{EngineRestart, TransactionPhase};

/// The deeds that a journal tells of, in their order, one line each.
pub fn deeds<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<String> {
    let mut deeds = Vec::new();
    let (mut restart, mut reboot) = (EngineRestart::Replaced, "");
    for record in records {
        match record {
            Record::RestartingEngine { why } => restart = *why,
            Record::EngineSettled { outcome } => deeds.push(of_engine(restart, outcome)),
            Record::Rebooting { reason, .. } => reboot = reason,
            Record::Rebooted { .. } => deeds.push(format!("the host was rebooted: {reboot}")),
            Record::Starting { phase: TransactionPhase::Rollback, .. } => {
                deeds.push("the payload's rollback was run".to_owned());
            }
            Record::Supervised { .. }
            | Record::Offered { .. }
            | Record::Revoked { .. }
            | Record::Starting { phase: TransactionPhase::Command, .. }
            | Record::Running { .. }
            | Record::Stopping { .. }
            | Record::Ended { .. }
            | Record::Interrupted
            | Record::Closed { .. } => {}
        }
    }
    deeds.into_iter().map(|deed| in_one_line(&deed)).collect()
}

fn of_engine(why: EngineRestart, outcome: &EngineOutcome) -> String {
    match (why, outcome) {
        (EngineRestart::Down, EngineOutcome::Up) => {
            "the engine was down after the command, and was started again".to_owned()
        }
        (EngineRestart::Replaced, EngineOutcome::Up) => "the engine was restarted".to_owned(),
        (EngineRestart::CalledDown, EngineOutcome::Up) => {
            "the swarm went on calling this node down although its manager took part, and the engine was restarted".to_owned()
        }
        (EngineRestart::CalledDown, EngineOutcome::Down { words }) => {
            format!("the swarm went on calling this node down although its manager took part, and the engine was restarted in vain: {words}")
        }
        (EngineRestart::Down, EngineOutcome::Down { words }) => {
            format!("the engine was down after the command, and does not start: {words}")
        }
        (EngineRestart::Replaced, EngineOutcome::Down { words }) => {
            format!("the engine was restarted, and does not come up: {words}")
        }
        (_, EngineOutcome::Refused { reason }) => format!("the engine was not restarted: {reason}"),
    }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(why: EngineRestart, outcome: EngineOutcome) -> Vec<String> {
        deeds(&[Record::RestartingEngine { why }, Record::EngineSettled { outcome }])
    }

    #[test]
    fn an_engine_that_careen_started_is_told_from_one_that_it_restarted() {
        use EngineRestart::{Down, Replaced};
        let up = EngineOutcome::Up;
        assert_eq!(
            settled(Down, up.clone()),
            ["the engine was down after the command, and was started again"]
        );
        assert_eq!(settled(Replaced, up), ["the engine was restarted"]);
        let down = EngineOutcome::Down { words: "systemd gave up:\nunknown flag: --graph".into() };
        let words = "the engine was down after the command, and does not start: systemd gave up: unknown flag: --graph";
        assert_eq!(settled(Down, down.clone()), [words]);
        assert!(
            settled(Replaced, down)[0].ends_with("does not come up: systemd gave up: unknown flag: --graph")
        );
        let refused = EngineOutcome::Refused { reason: "quorum".into() };
        assert_eq!(settled(Replaced, refused), ["the engine was not restarted: quorum"]);
    }

    #[test]
    fn a_reboot_is_a_deed_when_it_is_done() {
        let rebooting = Record::Rebooting { reason: "a new kernel".into(), from_boot: "b1".into() };
        assert!(deeds([&rebooting]).is_empty());
        let rebooted = Record::Rebooted { boot: "b2".into() };
        assert_eq!(deeds([&rebooting, &rebooted]), ["the host was rebooted: a new kernel"]);
        let starting = |phase| Record::Starting { phase, attempt: 1, engine_up: true };
        assert_eq!(
            deeds(&[starting(TransactionPhase::Command), starting(TransactionPhase::Rollback)]),
            ["the payload's rollback was run"]
        );
    }
}
