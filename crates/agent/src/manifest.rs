//! A transaction's manifest, as its file.

use crate::files;
use crate::layout::{TransactionDir, file};
use anyhow::Context;
use careen_host::manifest::Manifest;

/// Reads the manifest of a transaction.
pub fn read(directory: &TransactionDir) -> anyhow::Result<Manifest> {
    let path = directory.file(file::MANIFEST);
    let bytes = files::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    Manifest::parse(&bytes).with_context(|| path.display().to_string())
}
