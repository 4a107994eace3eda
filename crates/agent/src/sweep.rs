//! Removes old transactions, and binaries that no kept one used. Only what is closed is ever removed.

use crate::journal;
use crate::layout::{self, TransactionDir, file};
use crate::supervisor::read_manifest;
use crate::{durable, say::say};
use careen_model::TransactionId;
use careen_model::transaction::Stage;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How many closed transactions are kept, the newest.
pub const KEEP: usize = 50;
/// How long they are kept at most.
pub const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 3600);

/// A closed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Closed {
    id: TransactionId,
    created: Timestamp,
}

/// The closed transactions that go: all but the newest `keep`, and of those the ones that are too old.
fn surplus(mut closed: Vec<Closed>, now: Timestamp, keep: usize) -> Vec<TransactionId> {
    closed.sort_by_key(|transaction| std::cmp::Reverse(transaction.created));
    let is_old = |created: Timestamp| now.duration_since(created).unsigned_abs() > MAX_AGE && created < now;
    let goes = |(place, transaction): &(usize, Closed)| *place >= keep || is_old(transaction.created);
    closed.into_iter().enumerate().filter(goes).map(|(_, transaction)| transaction.id).collect()
}

/// Sweeps this host, keeping so many. The caller holds `create.lock`, so that nothing appears meanwhile. Returns how
/// many transactions went.
pub fn run(root: &Path, keep: usize) -> usize {
    let entries = fs::read_dir(layout::transactions(root)).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| TransactionId::parse(&entry.file_name().to_string_lossy()).ok());
    let going = surplus(ids.filter_map(|id| closed(root, id)).collect(), Timestamp::now(), keep);
    for id in &going {
        if let Err(error) = durable::remove_tree(TransactionDir::new(root, id).path()) {
            say(format_args!("the old transaction {id} could not be removed: {error}"));
        }
    }
    sweep_binaries(root);
    going.len()
}

/// One that cannot be read is nobody's to remove: somebody may want to know why.
fn closed(root: &Path, id: TransactionId) -> Option<Closed> {
    let directory = TransactionDir::new(root, &id);
    let (_, state) = journal::read(&directory.file(file::JOURNAL)).ok()?;
    let created = read_manifest(&directory).ok()?.created;
    matches!(state.stage, Stage::Closed(_)).then_some(Closed { id, created })
}

fn sweep_binaries(root: &Path) {
    let ids = fs::read_dir(layout::transactions(root)).into_iter().flatten().flatten();
    let manifests = ids.filter_map(|entry| read_manifest(&TransactionDir::at(entry.path())).ok());
    let used: BTreeSet<String> = manifests.map(|manifest| manifest.binary_sha256).collect();
    let linked = fs::read_link(layout::LINK).unwrap_or_default();
    for base in layout::EXEC_CANDIDATES {
        for entry in fs::read_dir(Path::new(base).join("bin")).into_iter().flatten().flatten() {
            let is_used = used.contains(entry.file_name().to_string_lossy().as_ref())
                || linked.starts_with(entry.path());
            if !is_used {
                let _ = durable::remove_tree(&entry.path()); // the next sweep tries again
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(day: i64) -> Closed {
        let id = TransactionId::parse(&format!("d{day}")).unwrap();
        Closed { id, created: Timestamp::from_second(day * 24 * 3600).unwrap() }
    }

    fn gone(days: &[i64], today: i64, keep: usize) -> Vec<String> {
        let now = Timestamp::from_second(today * 24 * 3600).unwrap();
        surplus(days.iter().map(|day| closed(*day)).collect(), now, keep)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_newest_are_kept_until_they_are_too_old() {
        assert_eq!(gone(&[3, 1, 2], 3, 2), ["d1"]);
        assert_eq!(gone(&[100, 8], 100, 5), ["d8"]);
        assert!(gone(&[100, 10], 100, 5).is_empty());
    }

    #[test]
    fn a_clock_that_was_set_back_removes_nothing_for_its_age() {
        assert!(gone(&[500], 1, 5).is_empty());
    }
}
