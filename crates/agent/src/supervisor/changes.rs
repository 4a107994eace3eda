//! What is different on the host after the command. Best effort: facts never stand in the way of a result.

use crate::files;
use crate::layout::{self, TransactionDir, file};
use crate::{durable, facts};
use careen_contract::chain;
use careen_engine::Engine;
use careen_host::facts::{Facts, FactsDiff};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// The facts from before the command: those that are recorded, or else those of now, which are recorded then. The
/// caller asks as long as nothing was begun; later on only what was recorded counts.
pub fn before(root: &Path, directory: &TransactionDir, nothing_begun: bool) -> Option<Facts> {
    let path = directory.file(file::FACTS_BEFORE);
    let recorded = read(&path);
    if recorded.is_some() || !nothing_begun {
        return recorded;
    }
    let known = read(&layout::last_facts(root));
    let found = collect(directory, known.as_ref());
    if let Err(error) = write(&path, &found) {
        tracing::warn!(file = %path.display(), error = chain(&error), "the facts are not kept");
    }
    Some(found)
}

/// What is different from `before`, and what could not be found out.
pub fn since(root: &Path, directory: &TransactionDir, before: &Facts) -> (FactsDiff, Vec<String>) {
    let found = collect(directory, Some(before));
    let path = layout::last_facts(root);
    if let Err(error) = write(&path, &found) {
        tracing::warn!(file = %path.display(), error = chain(&error), "the facts are not kept");
    }
    (FactsDiff::between(before, &found), found.notes)
}

fn collect(directory: &TransactionDir, known: Option<&Facts>) -> Facts {
    facts::collect(Engine::connect().ok().as_ref(), &own_containers(directory), known)
}

/// The containers that agents joined from come and go with the transaction.
fn own_containers(directory: &TransactionDir) -> BTreeSet<String> {
    let entries = files::read_dir(directory.file(file::AGENTS)).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Recorded facts that can be used. Those of another version, or damaged ones, are collected anew.
fn read(path: &Path) -> Option<Facts> {
    match Facts::parse(&files::read(path).ok()?) {
        Ok(facts) => Some(facts),
        Err(error) => {
            tracing::warn!(file = %path.display(), error = chain(&error), "the recorded facts cannot be used");
            None
        }
    }
}

fn write(path: &Path, facts: &Facts) -> io::Result<()> {
    // Not synced: what a power cut takes is collected anew, or makes a result without its changes.
    durable::replace_unsynced(path, 0o600, &serde_json::to_vec(facts).map_err(io::Error::other)?)
}
