//! Copies of a manager's swarm directory: when one is settled, whether there is room for one, and which are kept.
//! Decided apart from any file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How many complete copies are kept.
const KEPT: usize = 2;

/// How the names of copies begin.
const PREFIX: &str = "swarm-";
/// How the name ends of a copy of a directory that went on changing.
const UNSETTLED: &str = "-unsettled";
/// How the names of copies begin that are being made, or whose maker died.
const PARTIAL: &str = ".partial-";

/// Room that a copy leaves to everybody else on its file system.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;
/// File systems give room in blocks of this size, to directories too.
const BLOCK_BYTES: u64 = 4096;

/// What lies in a directory at one moment, by path relative to it.
pub type Snapshot = BTreeMap<PathBuf, Entry>;

/// One entry of a directory, as far as it tells whether it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was changed last: seconds and nanoseconds of the host's clock.
    pub modified: (i64, i64),
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File,
    /// A link, a socket, a device: an engine keeps none of them there, and none is copied.
    Other,
}

/// What has to be done to a copy that is as `copied` tells, to make it as `now` tells.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Entries to be removed from the copy, children before their parents.
    pub remove: Vec<&'a Path>,
    /// Directories to be made, parents before their children.
    pub make: Vec<&'a Path>,
    /// Files to be copied whole.
    pub copy: Vec<&'a Path>,
}

/// Compares. A file that changed is removed and copied again, a directory stays and its entries are looked at.
pub fn difference<'a>(copied: &'a Snapshot, now: &'a Snapshot) -> Difference<'a> {
    let is_same = |path: &Path, entry: &Entry| match (now.get(path), entry.kind) {
        (Some(found), Kind::Directory) => found.kind == Kind::Directory,
        (found, Kind::File | Kind::Other) => found == Some(entry),
        (None, Kind::Directory) => false,
    };
    let remove: Vec<&Path> = copied
        .iter()
        .rev()
        .filter(|(path, entry)| entry.kind != Kind::Other && !is_same(path, entry))
        .map(|(path, _)| path.as_path())
        .collect();
    let is_missing = |path: &Path| copied.get(path).is_none_or(|entry| !is_same(path, entry));
    let of_kind = |kind: Kind| {
        let missing = now.iter().filter(move |(path, entry)| entry.kind == kind && is_missing(path));
        missing.map(|(path, _)| path.as_path()).collect()
    };
    Difference { remove, make: of_kind(Kind::Directory), copy: of_kind(Kind::File) }
}

/// How much room a copy takes, at most.
pub fn bytes_needed(directory: &Snapshot) -> u64 {
    let rounded = |entry: &Entry| match entry.kind {
        Kind::Directory => BLOCK_BYTES,
        Kind::File => entry.bytes.next_multiple_of(BLOCK_BYTES),
        Kind::Other => 0,
    };
    directory.values().map(rounded).fold(BLOCK_BYTES, u64::saturating_add)
}

/// A file system that is too full for a copy. Both are in bytes; `needed` has the reserve in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} MiB are free on its file system, and {} MiB are needed", free / MIB, needed.div_ceil(MIB))]
pub struct NoRoom {
    free: u64,
    needed: u64,
}

const MIB: u64 = 1024 * 1024;

/// Whether a copy fits on a file system with so many bytes free.
pub fn check_room(needed: u64, free: u64) -> Result<(), NoRoom> {
    let needed = needed.saturating_add(RESERVE_BYTES);
    if free >= needed { Ok(()) } else { Err(NoRoom { free, needed }) }
}

/// The name under which a copy is made. `time` sorts as it passes.
pub fn partial_name(time: &str) -> String {
    format!("{PARTIAL}{PREFIX}{time}")
}

/// The name of a complete copy.
pub fn name(time: &str, is_settled: bool) -> String {
    format!("{PREFIX}{time}{}", if is_settled { "" } else { UNSETTLED })
}

/// The names of copies that never became complete.
pub fn unfinished(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).filter(|name| name.starts_with(PARTIAL)).collect()
}

/// The complete copies that are removed: all but the newest two. An unsettled one never takes the place of the last
/// settled one. What is not a copy is none of ours.
pub fn surplus(names: &[String]) -> Vec<&str> {
    let mut copies: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.starts_with(PREFIX)).collect();
    copies.sort_unstable_by(|one, other| other.cmp(one));
    let is_settled = |name: &&str| !name.ends_with(UNSETTLED);
    let mut kept: Vec<&str> = copies.iter().take(KEPT).copied().collect();
    if !kept.iter().any(is_settled)
        && let Some(settled) = copies.iter().copied().find(|name| is_settled(name))
    {
        kept.pop();
        kept.push(settled);
    }
    copies.retain(|name| !kept.contains(name));
    copies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(entries: &[(&str, Kind, u64, i64)]) -> Snapshot {
        let entry = |&(path, kind, bytes, seconds): &(&str, Kind, u64, i64)| {
            (PathBuf::from(path), Entry { kind, bytes, modified: (seconds, 0) })
        };
        entries.iter().map(entry).collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn paths<'a>(paths: &'a [&'a str]) -> Vec<&'a Path> {
        paths.iter().map(Path::new).collect()
    }

    #[test]
    fn all_is_copied_first_and_then_what_changed() {
        let before = snapshot(&[
            ("raft", Kind::Directory, 4096, 1),
            ("raft/wal", Kind::File, 64, 1),
            ("raft/tmp", Kind::File, 64, 1),
            ("socket", Kind::Other, 0, 1),
            ("state.json", Kind::File, 10, 1),
        ]);
        let nothing = Snapshot::new();
        let first = difference(&nothing, &before);
        assert_eq!(first.remove, paths(&[]));
        assert_eq!(first.make, paths(&["raft"]));
        assert_eq!(first.copy, paths(&["raft/tmp", "raft/wal", "state.json"]));

        let after = snapshot(&[
            ("raft", Kind::Directory, 4096, 2),
            ("raft/wal", Kind::File, 64, 2),
            ("raft/snap", Kind::File, 9, 2),
            ("socket", Kind::Other, 0, 2),
            ("state.json", Kind::File, 10, 1),
        ]);
        let then = difference(&before, &after);
        assert_eq!(then.remove, paths(&["raft/wal", "raft/tmp"]));
        assert_eq!(then.make, paths(&[]));
        assert_eq!(then.copy, paths(&["raft/snap", "raft/wal"]));
        assert_eq!(difference(&after, &after), Difference { remove: vec![], make: vec![], copy: vec![] });
    }

    #[test]
    fn what_became_something_else_is_removed_before_it_is_made_anew() {
        let file = snapshot(&[("a", Kind::File, 1, 1)]);
        let directory = snapshot(&[("a", Kind::Directory, 1, 1), ("a/b", Kind::File, 1, 1)]);
        let to_directory = difference(&file, &directory);
        assert_eq!((to_directory.remove, to_directory.make), (paths(&["a"]), paths(&["a"])));
        assert_eq!(to_directory.copy, paths(&["a/b"]));
        let to_file = difference(&directory, &file);
        assert_eq!((to_file.remove, to_file.copy), (paths(&["a/b", "a"]), paths(&["a"])));
    }

    #[test]
    fn room_is_counted_in_blocks_and_some_stays_free() {
        let directory = snapshot(&[("a", Kind::Directory, 0, 1), ("a/b", Kind::File, 1, 1)]);
        let needed = bytes_needed(&directory);
        assert_eq!(needed, 3 * BLOCK_BYTES, "the directory itself, one in it, and a file");
        assert_eq!(check_room(needed, needed + RESERVE_BYTES), Ok(()));
        let words = check_room(needed, needed + RESERVE_BYTES - 1).unwrap_err();
        assert_eq!(words.to_string(), "32 MiB are free on its file system, and 33 MiB are needed");
        assert!(check_room(u64::MAX, u64::MAX - 1).is_err());
    }

    #[test]
    fn two_copies_are_kept_and_the_last_settled_one_is_among_them() {
        let table: [(&[&str], &[&str]); 7] = [
            (&[], &[]),
            (&["swarm-1", "swarm-2"], &[]),
            (&["swarm-2", "swarm-3", "swarm-1"], &["swarm-1"]),
            (&["swarm-1", "swarm-2", "swarm-3-unsettled"], &["swarm-1"]),
            (&["swarm-1", "swarm-2-unsettled", "swarm-3-unsettled"], &["swarm-2-unsettled"]),
            (&["swarm-1-unsettled", "swarm-2-unsettled", "swarm-3-unsettled"], &["swarm-1-unsettled"]),
            (&["swarm-1", "swarm-2", "swarm-3", "somebody's", ".partial-swarm-4"], &["swarm-1"]),
        ];
        for (found, removed) in table {
            assert_eq!(surplus(&names(found)), removed, "{found:?}");
        }
    }

    #[test]
    fn what_a_dead_supervisor_left_is_told_from_what_is_complete() {
        let time = "20261125T201818.000000000Z";
        let found = names(&[&partial_name(time), &name(time, true), &name(time, false), "else"]);
        assert_eq!(unfinished(&found), [".partial-swarm-20261125T201818.000000000Z"]);
        assert!(name(time, false).ends_with("-unsettled"));
    }
}
