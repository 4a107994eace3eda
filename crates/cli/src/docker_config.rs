//! The docker CLI's config file.

use serde_json::Value;
use std::io;
use std::path::Path;

/// Why it cannot be read. It never says what is in the file: that may be a password.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The parser's words could quote what is in the file.
    #[error("it is no JSON")]
    NoJson,
    /// The file is there, and the system does not give it.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// What it says; `None` when there is none.
pub fn read(path: &Path) -> Result<Option<Value>, Unreadable> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|_| Unreadable::NoJson),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
