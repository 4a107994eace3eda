//! How a go comes from an agent to a supervisor: a file in the transaction's directory. It is for the command or for one wish, by
//! its number, and counts for a while ([`careen_protocol::go`]). Another file is the wish: how a supervisor asks for the go
//! before it restarts the engine or the host.

use crate::boot::{boot_id, since_boot};
use crate::layout::{TransactionDir, file};
use crate::{durable, files};
use anyhow::Context;
use careen_contract::chain;
use careen_contract::report::Restart;
use careen_protocol::go::Go;
use careen_protocol::supervisor::Wish;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::time::Duration;

/// What lies in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    number: u32,
    kind: Restart,
    reason: String,
    boot: String,
}

/// A go, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    number: u32,
    agent: u32,
    boot: String,
    seen: Duration,
}

/// Says what is wanted.
pub fn ask(path: &Path, wish: &Wish) -> io::Result<()> {
    let Wish { number, kind, reason, boot } = wish.clone();
    let asked = Asked { number, kind, reason, boot };
    durable::replace(path, 0o600, &serde_json::to_vec(&asked).map_err(io::Error::other)?)
}

/// Whether just that can be read there.
pub fn is_asked(path: &Path, wish: &Wish) -> bool {
    self::wish(path).is_ok_and(|found| found.as_ref() == Some(wish))
}

/// What is wanted; `None` when nothing is. What cannot be read is an error: somebody may wait for that go.
pub fn wish(path: &Path) -> anyhow::Result<Option<Wish>> {
    let asked: Option<Asked> = read(path)?;
    Ok(asked.map(|Asked { number, kind, reason, boot }| Wish { number, kind, reason, boot }))
}

/// Passes a go on. It counts for some seconds, so it need not outlive a power cut, and must not.
pub fn give(path: &Path, go: &Go) -> io::Result<()> {
    let Go { number, agent, boot, seen } = go.clone();
    let given = Given { number, agent, boot, seen };
    durable::replace_unsynced(path, 0o600, &serde_json::to_vec(&given).map_err(io::Error::other)?)
}

/// Whether the go of this number is there and counts now. One that cannot be read does not, and that is said.
pub fn counts(path: &Path, number: u32) -> bool {
    let looked = || {
        let Some(Given { number: of, agent, boot, seen }) = read(path)? else { return Ok(false) };
        Ok(Go { number: of, agent, boot, seen }.counts(number, &boot_id()?, since_boot()?))
    };
    looked().unwrap_or_else(|error: anyhow::Error| {
        tracing::warn!(error = chain(error.as_ref()), "the go cannot be read, and does not count");
        false
    })
}

/// Nothing is wanted any more, and no go counts. What stays does no harm: a go counts only for a while.
pub fn forget(directory: &TransactionDir) {
    for path in [directory.file(file::RESTART_WISH), directory.file(file::GO)] {
        if let Err(error) = durable::remove_file(&path) {
            tracing::warn!(file = %path.display(), error = chain(&error), "a wish or a go that is over is not removed");
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let read = files::read_if_there(path).with_context(|| format!("failed to read {}", path.display()))?;
    let Some(bytes) = read else { return Ok(None) };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).with_context(|| format!("{} is damaged", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish_for(number: u32) -> Wish {
        Wish { number, kind: Restart::Engine, reason: "replaced".into(), boot: "b".into() }
    }

    #[test]
    fn a_go_is_for_one_wish_and_counts_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let (asked, given) = (directory.path().join("wish"), directory.path().join("go"));
        assert_eq!(wish(&asked).unwrap(), None);
        let first = wish_for(1);
        ask(&asked, &first).unwrap();
        assert!(is_asked(&asked, &first) && !is_asked(&asked, &wish_for(2)));
        assert!(!counts(&given, 1), "nobody gave it");
        let (boot, now) = (boot_id().unwrap(), since_boot().unwrap());
        let go = Go { number: 1, agent: 3, boot, seen: now };
        give(&given, &go).unwrap();
        assert!(counts(&given, 1));
        assert!(!counts(&given, 2), "another wish needs another go");
        let seen = now.saturating_sub(careen_protocol::go::GO_COUNTS);
        give(&given, &Go { seen, ..go.clone() }).unwrap();
        assert!(!counts(&given, 1), "whoever gave it may be gone");
        give(&given, &Go { boot: "another".into(), ..go }).unwrap();
        assert!(!counts(&given, 1), "it was for a boot that is over");
    }

    #[test]
    fn a_damaged_wish_is_an_error_and_a_damaged_go_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        for damaged in ["", "{", "1", "{\"number\":1}", "\0\0\0\0"] {
            std::fs::write(&path, damaged).unwrap();
            let error = wish(&path).expect_err(damaged);
            assert!(error.to_string().contains("is damaged"), "{error:#}");
            assert!(!is_asked(&path, &wish_for(1)) && !counts(&path, 1), "{damaged}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(wish(&path).is_err(), "what cannot be read is not absent");
    }
}
