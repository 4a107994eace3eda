//! Which transactions a host has.

use crate::{files, layout};
use anyhow::Context;
use careen_contract::TransactionId;
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// The ids of all transactions below `root`, in no order; none where nothing was begun yet. What cannot be listed is an error.
pub fn ids(root: &Path) -> anyhow::Result<Vec<TransactionId>> {
    let path = layout::transactions(root);
    let names: Vec<OsString> = match files::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect())
            .with_context(|| format!("failed to read {}", path.display()))?,
    };
    Ok(names.iter().filter_map(|name| TransactionId::parse(&name.to_string_lossy()).ok()).collect())
}
