//! What a payload is: a directory of commands, and a digest that says whether two copies of it are the same.

use crate::id::hex;
use crate::payload_manifest::MANIFEST_FILE;
use sha2::{Digest, Sha256};

/// The command that runs when none is named.
pub const DEFAULT_COMMAND: &str = "install";

/// The command that explains a payload. It never changes a host, and takes neither a transaction nor the host's lock.
pub const HELP_COMMAND: &str = "help";

/// The command that is run when the engine stays down after another one, and the result of that is kept.
pub const ROLLBACK_COMMAND: &str = "rollback";

/// What a rollout runs while the node still works: to download, and to look whether the command can work.
pub const PREPARE_COMMAND: &str = "prepare";

/// What a rollout runs after the last restart: whether the host does what it should.
pub const VERIFY_COMMAND: &str = "verify";

/// The command that only looks: whether there is anything to do.
pub const CHECK_COMMAND: &str = "check";

/// What it ends with when there is.
pub const DRIFT: u8 = 2;

/// How long `check` may take before a rollout works on the host; a shorter limit of the rollout's own counts.
pub const CHECK_LIMIT: std::time::Duration = std::time::Duration::from_secs(600);

/// Whether `check` tells of a command's work, so that a rollout may leave out hosts that are in sync: of `install`, and no other.
pub fn has_a_check(command: &str) -> bool {
    command == DEFAULT_COMMAND
}

/// Whether a command needs the host for itself. `check` only looks; `help` only talks.
pub fn takes_host_lock(command: &str) -> bool {
    !matches!(command, CHECK_COMMAND | HELP_COMMAND)
}

/// Why a text cannot name a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is no command name: a command is one file directly below /install, and not {MANIFEST_FILE}", .0.escape_default())]
pub struct InvalidCommand(pub String);

/// Checks that a command's name stays inside the payload's own directory, and is not that of what the payload says of itself.
pub fn check_name(name: &str) -> Result<(), InvalidCommand> {
    let stays_inside = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
    if stays_inside && name != MANIFEST_FILE { Ok(()) } else { Err(InvalidCommand(name.to_owned())) }
}

/// What kind of thing lies at a path of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EntryKind<'a> {
    Directory,
    /// A regular file, with the SHA-256 of its contents.
    File(&'a [u8]),
    /// A symbolic link, with its target.
    Symlink(&'a [u8]),
}

/// Computes a payload's digest: SHA-256 over its entries in the order of their paths, each as kind, permission bits,
/// path and contents. Owners and times do not count: they change on the way.
#[derive(Debug, Default)]
pub struct PayloadDigest {
    entries: Vec<(Vec<u8>, [u8; 32])>,
}

impl PayloadDigest {
    /// Adds the entry at `path`, relative to the payload's root. The order of calls does not matter.
    pub fn add(&mut self, path: &[u8], mode: u32, kind: EntryKind<'_>) {
        let mut hash = Sha256::new();
        let (tag, contents): (u8, &[u8]) = match kind {
            EntryKind::Directory => (b'd', &[]),
            EntryKind::File(sha256) => (b'f', sha256),
            EntryKind::Symlink(target) => (b'l', target),
        };
        let mode = if tag == b'l' { 0 } else { mode & 0o7777 };
        hash.update([tag]);
        hash.update(mode.to_le_bytes());
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update((contents.len() as u64).to_le_bytes());
        hash.update(contents);
        self.entries.push((path.to_vec(), hash.finalize().into()));
    }

    /// The digest, in hexadecimal.
    pub fn finish(mut self) -> String {
        self.entries.sort();
        let mut hash = Sha256::new();
        self.entries.iter().for_each(|(_, entry)| hash.update(entry));
        hex(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(entries: &[(&str, u32, EntryKind<'_>)]) -> String {
        let mut digest = PayloadDigest::default();
        entries.iter().for_each(|(path, mode, kind)| digest.add(path.as_bytes(), *mode, *kind));
        digest.finish()
    }

    #[test]
    fn the_order_of_reading_does_not_matter_and_any_change_does() {
        let a = ("install", 0o755, EntryKind::File(b"x"));
        let b = ("data", 0o755, EntryKind::Directory);
        assert_eq!(digest(&[a, b]), digest(&[b, a]));
        for changed in [
            ("install", 0o644, EntryKind::File(b"x")),
            ("install", 0o755, EntryKind::File(b"y")),
            ("install", 0o755, EntryKind::Symlink(b"x")),
            ("instal", 0o755, EntryKind::File(b"lx")),
        ] {
            assert_ne!(digest(&[a, b]), digest(&[changed, b]));
        }
    }

    #[test]
    fn a_name_cannot_leave_the_payload() {
        for bad in ["", ".", "..", "../etc/passwd", "a/b", "/bin/sh", "careen.yaml"] {
            assert!(check_name(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["install", "check", "dry run", "..hidden"] {
            assert!(check_name(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn only_looking_and_talking_leave_the_host_free() {
        assert!(!takes_host_lock("check") && !takes_host_lock("help"));
        assert!(takes_host_lock("install") && takes_host_lock("verify") && takes_host_lock("anything"));
    }
}
