//! The rollout of which this host's newest closed transaction was.

use super::unknown::Unknown;
use crate::layout::{TransactionDir, file};
use crate::{journal, manifest, transactions};
use careen_contract::facts::LastRun;
use careen_host::manifest::Manifest;
use careen_host::transaction::TransactionStage;
use jiff::Timestamp;
use std::path::Path;

/// What the names of transactions end with that accompany a rollout's command: `prepare`, `verify`, `rollback`.
const COMPANIONS: [&str; 3] = ["-p", "-v", "-r"];

/// `None` where there is none. One that cannot be read is no reason to tell nothing of the others.
pub fn newest(root: &Path, notes: &mut Vec<String>) -> Result<Option<LastRun>, Unknown> {
    let ids = transactions::ids(root).map_err(|error| Unknown(format!("{error:#}")))?;
    let mut runs: Vec<(Timestamp, TransactionDir, Manifest)> = Vec::new();
    for id in ids {
        let directory = TransactionDir::new(root, &id);
        match manifest::read(&directory) {
            Ok(manifest) if is_a_rollouts(&manifest) => runs.push((manifest.created, directory, manifest)),
            Ok(_) => {}
            Err(error) => notes.push(format!("the transaction {id}: {error:#}")),
        }
    }
    runs.sort_by_key(|(created, ..)| std::cmp::Reverse(*created));
    for (_, directory, manifest) in runs {
        match closed(&directory, &manifest) {
            Ok(Some(run)) => return Ok(Some(run)),
            Ok(None) => {}
            Err(error) => notes.push(format!("the transaction {}: {error:#}", manifest.id)),
        }
    }
    Ok(None)
}

/// Only a rollout's transactions have a try.
fn is_a_rollouts(manifest: &Manifest) -> bool {
    manifest.generation > 0 && !COMPANIONS.iter().any(|suffix| manifest.id.as_str().ends_with(suffix))
}

fn closed(directory: &TransactionDir, manifest: &Manifest) -> anyhow::Result<Option<LastRun>> {
    let (journal, state) = journal::read(&directory.file(file::JOURNAL))?;
    let TransactionStage::Closed(result) = state.stage else { return Ok(None) };
    let ended = journal.lines.last().and_then(|line| u64::try_from(line.at.as_second()).ok());
    Ok(Some(LastRun {
        rollout: manifest.run.clone(),
        transaction: manifest.id.to_string(),
        command: manifest.command.clone(),
        ended,
        outcome: result.outcome.to_string(),
        exit: result.exit_code,
    }))
}
