//! The docker CLI's config file.

use serde_json::Value;
use std::io;
use std::path::Path;

/// What it says; `None` when there is none, and in words why it cannot be read.
pub fn read(path: &Path) -> Result<Option<Value>, String> {
    match std::fs::read_to_string(path) {
        // The parser's words could quote what is in the file.
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|_| "it is no JSON".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
