//! What can go wrong in a bench. A missed goal is none of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Every error says what happened and where.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Error {
    /// The lab could not do something.
    #[error(transparent)]
    Lab(#[from] careen_lab::Error),
    /// A program could not be started at all.
    #[error("failed to start {what}")]
    Spawn { what: String, source: std::io::Error },
    /// What is measured did not do what it should: its time says nothing.
    #[error("{what} failed ({status}): {last}")]
    Failed {
        what: String,
        /// Its exit status in words.
        status: String,
        /// The last lines that it printed.
        last: String,
    },
    /// What is measured did not end, and was killed.
    #[error("{what}: not within {} s; last seen: {last}", limit.as_secs())]
    TimedOut { what: String, limit: Duration, last: String },
    /// What was measured printed something else than it should.
    #[error("{what}: {expected} was expected, and this was seen: {seen}")]
    Unexpected { what: String, expected: String, seen: String },
    /// A file or directory could not be used.
    #[error("failed to {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    /// JSON could not be read or written.
    #[error("{what} is not the JSON that was expected")]
    Json { what: String, source: serde_json::Error },
    /// Ansible was asked for where it could not be installed.
    #[error("Ansible is not here: {why}")]
    NoAnsible { why: String },
    /// Another bench uses the same lab.
    #[error(
        "another bench uses the lab {lab} (it holds {}); nothing was changed. `--lab NAME` takes another lab",
        path.display()
    )]
    Busy { lab: String, path: PathBuf },
    /// A lab of this name exists, and no bench has made it.
    #[error(
        "there is a lab {lab} that no bench has made; nothing was changed. `cargo lab down --name {lab}` removes it, `--lab NAME` \
         takes another lab"
    )]
    NotOurs { lab: String },
}

/// A result whose error is the bench's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names the path in an I/O error.
pub fn file_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = PathBuf::from(path);
    move |source| Error::File { action, path, source }
}
