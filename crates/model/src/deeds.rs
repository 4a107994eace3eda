//! What careen itself did on a host, beside the command: read from the journal, told with every result.

use crate::journal::{EngineOutcome, Record};
use crate::outcome::{EngineRestart, Phase};

/// What a line of a result's record begins with that tells a deed.
const PREFIX: &str = "careen: ";

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
            Record::Starting { phase: Phase::Rollback, .. } => {
                deeds.push("the payload's rollback was run".to_owned());
            }
            Record::Supervised { .. }
            | Record::Offered { .. }
            | Record::Revoked { .. }
            | Record::Starting { phase: Phase::Command, .. }
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

/// A result's record for people: the deeds, and what else there is to say.
pub fn with_deeds(deeds: &[String], rest: Option<String>) -> Option<String> {
    let deeds = deeds.iter().map(|deed| format!("{PREFIX}{deed}"));
    let lines: Vec<String> = deeds.chain(rest).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The deeds of a record, and the rest of it.
pub fn told(record: &str) -> (Vec<&str>, String) {
    let deeds: Vec<&str> = record.lines().map_while(|line| line.strip_prefix(PREFIX)).collect();
    let rest: Vec<&str> = record.lines().skip(deeds.len()).collect();
    (deeds, rest.join("\n"))
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
            deeds(&[starting(Phase::Command), starting(Phase::Rollback)]),
            ["the payload's rollback was run"]
        );
    }

    #[test]
    fn a_record_gives_back_what_was_put_into_it() {
        let deeds = ["the engine was restarted".to_owned()];
        let record = with_deeds(&deeds, Some("vim 1 → 2\ncareen: no deed".into())).unwrap();
        assert_eq!(told(&record), (vec!["the engine was restarted"], "vim 1 → 2\ncareen: no deed".into()));
        assert_eq!(with_deeds(&[], None), None);
        assert_eq!(told("E: broken"), (vec![], "E: broken".into()));
    }
}
