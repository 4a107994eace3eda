//! Why a helper did not do what a payload wanted of it.

use super::place::PlaceError;
use crate::tool::ToolError;
use careen_edit::LARGEST;
use careen_edit::json::JsonError;
use careen_edit::owner::OwnerError;
use careen_edit::words::WordsError;
use std::io;
use std::path::PathBuf;

/// Nothing was changed, but where it says so.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("an argument is no UTF-8 text")]
    NotText,
    #[error(transparent)]
    Words(#[from] WordsError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error("the directory that this was called in cannot be told")]
    Here(#[source] io::Error),
    #[error("{what} cannot be read")]
    Read { what: String, source: io::Error },
    #[error("{what} is larger than {} MiB", LARGEST / 1024 / 1024)]
    TooLarge { what: String },
    #[error("{path} is {kind}, not a regular file")]
    Kind { path: PathBuf, kind: &'static str },
    #[error("{path} does not exist, and without --src or --content nothing says what it is to contain")]
    Missing { path: PathBuf },
    #[error("{path} has another name (a hard link), and others may write its directory: it may be any file")]
    OtherName { path: PathBuf },
    #[error(
        "{path} belongs to somebody else, in a directory that everybody can write: say with --owner whose it is to be"
    )]
    Foreign { path: PathBuf },
    #[error("{path} is immutable: 'chattr -i -a {path}' lets it be changed")]
    Immutable { path: PathBuf },
    #[error("{what}")]
    Json { what: String, source: JsonError },
    #[error("{step} failed; {path} is as it was")]
    Step { step: String, path: PathBuf, source: io::Error },
    #[error("{path} was changed by somebody else meanwhile; it was left as it is now")]
    Meanwhile { path: PathBuf },
    #[error(
        "{path} has its new content, but its directory could not be synced: after a power cut it may be the old one"
    )]
    Unsynced { path: PathBuf, source: io::Error },
    #[error("{path} was replaced by somebody else right behind this change")]
    Exchanged { path: PathBuf },
    #[error("what changes cannot be printed")]
    Print(#[source] io::Error),
    /// Has an exit code of its own.
    #[error("'{command}' does not accept the new content (status {status}); {path} is as it was\n{said}")]
    Invalid { command: String, status: i32, said: String, path: PathBuf },
    /// As that one: it did not accept it.
    #[error("'{command}' could not look at the new content; {path} is as it was")]
    Unvalidated { command: String, path: PathBuf, source: ToolError },
}

/// Anything else.
const FAILED: u8 = 1;
/// What a validation did not accept.
const INVALID: u8 = 3;

impl EditError {
    /// What the helper exits with.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Invalid { .. } | Self::Unvalidated { .. }) { INVALID } else { FAILED }
    }
}
