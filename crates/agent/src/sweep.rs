//! Removes the output of old transactions, the records of very many, and binaries that no kept one used.
//!
//! Only what is closed is ever touched. A record outlives its output by far, for it is what keeps the command from being
//! run again when Swarm starts a task of an old service.

use crate::files;
use crate::layout::{self, TransactionDir, file};
use crate::lock::Lock;
use crate::say::say;
use crate::{durable, journal, manifest, resume};
use careen_contract::TransactionId;
use careen_host::transaction::TransactionStage;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What is kept of closed transactions.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// The output of so many, the newest.
    pub outputs: usize,
    /// The records of so many, the newest.
    pub records: usize,
}

impl Keep {
    /// What agents keep. A record takes a few kilobytes.
    pub const BY_DEFAULT: Self = Self { outputs: 50, records: 2000 };
    /// What a person keeps who wants none of it.
    pub const NOTHING: Self = Self { outputs: 0, records: 0 };
}

/// How long an output is kept at most.
const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 3600);

/// A closed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Closed {
    id: TransactionId,
    created: Timestamp,
}

/// What of a closed transaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    Output,
    Everything,
}

/// Decides what goes, by count and, for outputs, by age.
fn surplus(mut closed: Vec<Closed>, now: Timestamp, keep: Keep) -> Vec<(TransactionId, Going)> {
    closed.sort_by_key(|transaction| std::cmp::Reverse(transaction.created));
    let is_old = |created: Timestamp| created < now && now.duration_since(created).unsigned_abs() > MAX_AGE;
    let decide = |(place, transaction): (usize, Closed)| {
        if place >= keep.records {
            Some((transaction.id, Going::Everything))
        } else if place >= keep.outputs || is_old(transaction.created) {
            Some((transaction.id, Going::Output))
        } else {
            None
        }
    };
    closed.into_iter().enumerate().filter_map(decide).collect()
}

/// Sweeps this host. The caller holds `create.lock`, so that nothing appears meanwhile. Returns how many transactions
/// lost something.
pub fn run(root: &Path, keep: Keep) -> usize {
    let entries = files::read_dir(layout::transactions(root)).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| TransactionId::parse(&entry.file_name().to_string_lossy()).ok());
    let going = surplus(ids.filter_map(|id| closed(root, id)).collect(), Timestamp::now(), keep);
    for (id, what) in &going {
        let directory = TransactionDir::new(root, id);
        let removed = match what {
            Going::Everything => durable::remove_tree(directory.path()),
            Going::Output => [file::OUTPUT, file::TAIL, file::INDEX]
                .iter()
                .try_for_each(|name| durable::remove_file(&directory.file(name))),
        };
        if let Err(error) = removed {
            say(format_args!("the old transaction {id} could not be swept: {error}"));
        }
    }
    if let Err(error) = sweep_binaries(root) {
        say(format_args!("old binaries stay, nobody knows which are used: {error:#}"));
    }
    sweep_enforcements(root, keep, SystemTime::now());
    going.len()
}

/// Removes what is remembered of enforcements that no agent carries on: old ones, or all where nothing is kept.
fn sweep_enforcements(root: &Path, keep: Keep, now: SystemTime) {
    let entries = files::read_dir(layout::enforcements(root)).into_iter().flatten().flatten();
    for path in
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json"))
    {
        // The next agent takes the lock before it reads, and the lock's file stays.
        let Ok(Some(_nobodys)) = Lock::try_take(&path.with_extension("lock")) else { continue };
        let written = files::symlink_metadata(&path).and_then(|found| found.modified());
        let is_old = written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > MAX_AGE));
        if (is_old || keep.records == 0)
            && let Err(error) = durable::remove_file(&path)
        {
            say(format_args!("{} could not be swept: {error}", path.display()));
        }
    }
}

/// One that cannot be read is nobody's to remove: somebody may want to know why. What was revoked and not offered again is over.
fn closed(root: &Path, id: TransactionId) -> Option<Closed> {
    let directory = TransactionDir::new(root, &id);
    let (_, state) = journal::read(&directory.file(file::JOURNAL)).ok()?;
    let created = manifest::read(&directory).ok()?.created;
    matches!(state.stage, TransactionStage::Closed(_) | TransactionStage::Revoked)
        .then_some(Closed { id, created })
}

/// The binaries that this host's transactions name. One of a transaction that cannot be read may be what a boot resumes with.
fn used_binaries(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    for entry in files::read_dir(layout::transactions(root))? {
        let entry = entry?;
        if TransactionId::parse(&entry.file_name().to_string_lossy()).is_ok() {
            used.insert(manifest::read(&TransactionDir::at(entry.path()))?.binary_sha256);
        }
    }
    Ok(used)
}

fn sweep_binaries(root: &Path) -> anyhow::Result<()> {
    let used = used_binaries(root)?;
    let linked = match files::read_link(layout::LINK) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        linked => linked.unwrap_or_default(),
    };
    for base in layout::EXEC_CANDIDATES {
        for entry in files::read_dir(Path::new(base).join("bin")).into_iter().flatten().flatten() {
            let is_used = used.contains(entry.file_name().to_string_lossy().as_ref())
                || linked.starts_with(entry.path())
                || resume::starts_from(&entry.path())?;
            if !is_used {
                let _ = durable::remove_tree(&entry.path()); // the next sweep tries again
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(day: i64) -> Closed {
        let id = TransactionId::parse(&format!("d{day}")).unwrap();
        Closed { id, created: Timestamp::from_second(day * 24 * 3600).unwrap() }
    }

    fn gone(days: &[i64], today: i64, outputs: usize, records: usize) -> Vec<(String, Going)> {
        let now = Timestamp::from_second(today * 24 * 3600).unwrap();
        let going = surplus(days.iter().map(|day| closed(*day)).collect(), now, Keep { outputs, records });
        going.into_iter().map(|(id, what)| (id.to_string(), what)).collect()
    }

    #[test]
    fn the_newest_outputs_are_kept_until_they_are_too_old_and_records_for_longer() {
        assert_eq!(gone(&[3, 1, 2], 3, 2, 9), [("d1".into(), Going::Output)]);
        assert_eq!(
            gone(&[3, 1, 2], 3, 1, 2),
            [("d2".into(), Going::Output), ("d1".into(), Going::Everything)]
        );
        assert_eq!(gone(&[100, 8], 100, 5, 9), [("d8".into(), Going::Output)]);
        assert!(gone(&[100, 10], 100, 5, 9).is_empty());
    }

    #[test]
    fn while_a_manifest_cannot_be_read_nobody_knows_which_binaries_are_used() {
        let root = tempfile::tempdir().unwrap();
        assert!(used_binaries(root.path()).is_err(), "nothing can be listed");
        let one = TransactionDir::new(root.path(), &TransactionId::parse("one").unwrap());
        std::fs::create_dir_all(one.path()).unwrap();
        std::fs::create_dir(layout::transactions(root.path()).join(".new-x")).unwrap();
        std::fs::write(one.file(file::MANIFEST), "{").unwrap();
        assert!(used_binaries(root.path()).is_err());
        std::fs::remove_dir_all(one.path()).unwrap();
        assert!(used_binaries(root.path()).unwrap().is_empty(), "what is no transaction yet names none");
    }

    #[test]
    fn what_an_agent_enforces_stays_and_what_nobody_enforces_goes_when_it_is_old_or_nothing_is_kept() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(layout::enforcements(root.path())).unwrap();
        let of = |name: &str| layout::enforcement(root.path(), name);
        for name in ["held", "free"] {
            std::fs::write(of(name), "{}").unwrap();
        }
        let _agent = Lock::try_take(&layout::enforcement_lock(root.path(), "held")).unwrap().unwrap();
        let there = || (of("held").exists(), of("free").exists());
        sweep_enforcements(root.path(), Keep::BY_DEFAULT, SystemTime::now());
        assert_eq!(there(), (true, true));
        sweep_enforcements(root.path(), Keep::BY_DEFAULT, SystemTime::now() + MAX_AGE * 2);
        assert_eq!(there(), (true, false));
        std::fs::write(of("free"), "{}").unwrap();
        sweep_enforcements(root.path(), Keep::NOTHING, SystemTime::now());
        assert_eq!(there(), (true, false));
    }

    #[test]
    fn a_clock_that_was_set_back_removes_nothing_for_its_age() {
        assert!(gone(&[500], 1, 5, 9).is_empty());
    }
}
