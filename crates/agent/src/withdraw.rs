//! Takes back a transaction of which nothing was begun, so that it can be asked for again.

use crate::durable;
use crate::files;
use crate::layout::{self, TransactionDir};
use careen_host::manifest::Manifest;
use std::io;
use std::path::Path;

/// Removes the transaction. The caller holds its lock. Its directory goes in one step: half of one would look like a
/// transaction whose journal was cut off.
pub fn withdraw(directory: &TransactionDir, manifest: &Manifest) -> io::Result<()> {
    let payload = Path::new(&manifest.payload.directory);
    if !payload.starts_with(directory.path()) {
        durable::remove_tree(payload)?;
    }
    durable::remove_tree(&layout::secrets(&manifest.id))?;
    let aside = directory.path().with_file_name(format!("{}withdrawn-{}", layout::UNFINISHED, manifest.id));
    durable::remove_tree(&aside)?;
    files::rename(directory.path(), &aside)?;
    // What came back with a power cut would be resumed at the boot.
    if let Some(transactions) = aside.parent() {
        durable::sync_directory(transactions)?;
    }
    durable::remove_tree(&aside)
}
