//! What an enforcing agent leaves of its transactions on the host: the newest of those that changed something, and nothing of those
//! that only looked. There may be thousands in a year, and a host keeps a limited number of records, which are what keeps
//! a rollout's command from being run again.

use crate::layout::{TransactionDir, file};
use crate::{journal, manifest, transactions};
use careen_contract::TransactionId;
use careen_contract::enforce_part::EnforcePart;
use careen_contract::payload::CHECK_COMMAND;
use careen_host::transaction::TransactionStage;
use std::path::Path;

/// So many of an enforcement's transactions stay.
pub const KEPT: usize = 20;

/// Those that are to be removed: all closed ones that only looked, and all but the newest that did not. One that cannot be read is
/// nobody's to remove.
pub fn surplus(root: &Path, part: &EnforcePart) -> anyhow::Result<Vec<TransactionId>> {
    let mut ours: Vec<TransactionId> =
        transactions::ids(root)?.into_iter().filter(|id| part.owns_transaction(id)).collect();
    // Their names are their times.
    ours.sort_by(|one, other| other.cmp(one));
    let mut kept = 0;
    let mut goes = |id: &TransactionId| match command_of_closed(root, id) {
        None => false,
        Some(command) if command == CHECK_COMMAND => true,
        Some(_) => {
            kept += 1;
            kept > KEPT
        }
    };
    Ok(ours.into_iter().filter(|id| goes(id)).collect())
}

/// What a closed transaction ran.
fn command_of_closed(root: &Path, id: &TransactionId) -> Option<String> {
    let directory = TransactionDir::new(root, id);
    let (_, state) = journal::read(&directory.file(file::JOURNAL)).ok()?;
    let command = manifest::read(&directory).ok()?.command;
    matches!(state.stage, TransactionStage::Closed(_)).then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_contract::entry::Way;
    use careen_host::journal::{Record, TransactionResult};
    use careen_host::outcome::{CommandEnd, Outcome, TransactionPhase};
    use std::time::Duration;

    fn part() -> EnforcePart {
        EnforcePart {
            name: "app".into(),
            version: "1".into(),
            interval: Duration::from_secs(60),
            owns: Vec::new(),
        }
    }

    /// A transaction of this command; closed, or as it runs.
    fn transaction(root: &Path, id: &str, command: &str, is_closed: bool) {
        let directory = TransactionDir::new(root, &TransactionId::parse(id).unwrap());
        std::fs::create_dir_all(directory.path()).unwrap();
        let recorded = include_str!("../../../../../fuzz/seeds/manifest/terminal.json");
        let mut manifest: serde_json::Value = serde_json::from_str(recorded).unwrap();
        manifest["id"] = id.into();
        manifest["command"] = command.into();
        std::fs::write(directory.file(file::MANIFEST), manifest.to_string()).unwrap();
        std::fs::write(directory.file(file::ENVIRONMENT), "{}").unwrap();
        let mut journal = journal::Writer::open(&directory.file(file::JOURNAL)).unwrap();
        let outcome = Outcome::Exited { status: 0 };
        let result = TransactionResult {
            exit_code: 0,
            outcome,
            output_bytes: 0,
            duration_ms: None,
            notes: Vec::new(),
            changes: None,
            answer: None,
        };
        let records = [
            Record::Supervised { entry: Way::Systemd, pid: 1, boot_id: "b".into() },
            Record::Starting { phase: TransactionPhase::Command, attempt: 1, engine_up: true },
            Record::Running { pid: 2 },
            Record::Ended { end: CommandEnd::Exited(0), left_behind: Vec::new(), notes: Vec::new() },
            Record::Closed { result },
        ];
        let until = if is_closed { records.len() } else { 3 };
        records[..until].iter().for_each(|record| journal.append(record).unwrap());
    }

    #[test]
    fn what_only_looked_goes_and_the_newest_of_the_rest_stay() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path();
        assert!(surplus(root, &part()).unwrap().is_empty(), "a host without transactions");
        for number in 0..KEPT + 2 {
            transaction(root, &format!("e-app-000000{number:02}"), "install", true);
        }
        transaction(root, "e-app-00000050", "check", true);
        transaction(root, "e-app-00000051", "check", false);
        transaction(root, "e-app-00000052", "install", false);
        transaction(root, "e-app-more-00000001", "check", true);
        transaction(root, "k3x9-w1-g1", "check", true);
        let gone: Vec<String> = surplus(root, &part()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(gone, ["e-app-00000050", "e-app-00000001", "e-app-00000000"]);
        std::fs::write(
            TransactionDir::new(root, &TransactionId::parse("e-app-00000000").unwrap()).file(file::JOURNAL),
            "?\n",
        )
        .unwrap();
        let gone = surplus(root, &part()).unwrap();
        assert_eq!(gone.len(), 2, "one that cannot be read stays: {gone:?}");
    }
}
