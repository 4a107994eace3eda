//! For a person logged in on the host: what runs here, what it printed, and how to stop it.

use crate::container::{Printer, ask_to_stop};
use crate::layout::{self, TransactionDir, file};
use crate::lock::Lock;
use crate::sweep::Keep;
use crate::watch::Watch;
use crate::{files, hold, journal, manifest, transactions};
use anyhow::{Context, bail};
use careen_contract::TransactionId;
use careen_host::facts::restart;
use careen_host::transaction::TransactionStage;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a supervisor has to say why it cannot stop. One that stops says nothing.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

fn open(id: &str) -> anyhow::Result<TransactionDir> {
    let id = TransactionId::parse(id)?;
    let directory = TransactionDir::new(Path::new(layout::ROOT), &id);
    if !files::is_directory(directory.path()) {
        bail!("this host has no transaction {id}: 'careen-agent list' shows those it has");
    }
    Ok(directory)
}

/// Where a transaction stands, in words.
fn standing(directory: &TransactionDir) -> anyhow::Result<String> {
    let (_, state) = journal::read(&directory.file(file::JOURNAL))?;
    let alive = Lock::is_held(&directory.file(file::SUPERVISOR_LOCK))?;
    if let TransactionStage::Closed(result) = state.stage {
        return Ok(result.outcome.to_string());
    }
    let hold = hold::read(&directory.file(file::HOLD));
    let why = hold.map_or(String::new(), |hold| format!(", waiting: {hold}"));
    let alone = if alive { "" } else { " without a supervisor: awaiting the next agent" };
    Ok(format!("{}{alone}{why}", state.stage.name()))
}

/// `careen-agent list`: every transaction of this host, the oldest first. One that cannot be read is listed as that,
/// and makes the list fail.
pub fn list() -> anyhow::Result<()> {
    let (mut rows, mut unreadable) = (Vec::new(), 0);
    for id in transactions::ids(Path::new(layout::ROOT))? {
        let directory = TransactionDir::new(Path::new(layout::ROOT), &id);
        let row = manifest::read(&directory)
            .and_then(|manifest| Ok((manifest.created.to_string(), manifest.command, standing(&directory)?)));
        let (created, command, standing) = row.unwrap_or_else(|error| {
            unreadable += 1;
            (String::new(), "?".into(), format!("{error:#}"))
        });
        rows.push((created, id, command, standing));
    }
    rows.sort();
    for (created, id, command, standing) in rows {
        println!("{id}  {created:<30}  {:<12}  {standing}", command.escape_default());
    }
    if unreadable > 0 {
        bail!("{unreadable} of these cannot be read: nobody knows whether their commands ran");
    }
    Ok(())
}

/// `careen-agent show ID`: the manifest and the journal, as JSON, one document a line.
pub fn show(id: &str) -> anyhow::Result<()> {
    let directory = open(id)?;
    println!("{}", serde_json::to_string(&manifest::read(&directory)?)?);
    for line in journal::read(&directory.file(file::JOURNAL))?.0.lines {
        println!("{}", serde_json::to_string(&line)?);
    }
    Ok(())
}

/// `careen-agent logs [-f] ID`: what the command wrote, each stream to its own.
pub fn logs(id: &str, follow: bool) -> anyhow::Result<()> {
    let directory = open(id)?;
    let watch = Watch::on(directory.path())?;
    let mut printer = Printer::new(directory.clone(), manifest::read(&directory)?.output_limit, 0);
    loop {
        let ended = !follow || !Lock::is_held(&directory.file(file::SUPERVISOR_LOCK))?;
        printer.print()?;
        if ended {
            return Ok(());
        }
        // The end of a supervisor touches no file: look after it once a second.
        let fds: Vec<_> = watch.fd().into_iter().collect();
        crate::readiness::wait(&fds, Some(watch.look_at(Instant::now() + Duration::from_secs(1))))?;
        watch.take(|_| true);
    }
}

/// `careen-agent cancel [--now] ID`: stops the command, with its grace period or without.
pub fn cancel(id: &str, now: bool) -> anyhow::Result<()> {
    let directory = open(id)?;
    if let TransactionStage::Closed(result) = journal::read(&directory.file(file::JOURNAL))?.1.stage {
        bail!("transaction {id} is closed already: its command {}", result.outcome);
    }
    let answer = ask_to_stop(&directory, "careen-agent cancel", now.then_some(0), ANSWER_LIMIT)
        .with_context(|| format!("the supervisor of transaction {id} does not answer"))?;
    match answer.as_str() {
        "" => {
            println!("stopping the command of transaction {id}; 'careen-agent list' shows when it has ended")
        }
        answer => println!("transaction {id}: {answer}"),
    }
    Ok(())
}

/// `careen-agent sweep [--all]`: removes old output, or everything of all closed transactions.
pub fn sweep(keep: Keep) -> anyhow::Result<()> {
    let root = Path::new(layout::ROOT);
    let _creating =
        Lock::take(&layout::create_lock(root), || println!("waiting for an agent that starts its work"))
            .context("failed to lock the host's transactions")?;
    println!("{} transactions swept", crate::sweep::run(root, keep));
    Ok(())
}

/// `careen-agent facts`: what this host is made of, whether it wants a reboot or its engine a restart, and what it says to `careen
/// facts`, as JSON.
pub fn facts() -> anyhow::Result<()> {
    let engine = careen_engine::Engine::connect();
    let facts = crate::facts::collect(engine.as_ref().ok(), &BTreeSet::new(), None);
    let needs = crate::facts::observe_restart_needs();
    let answer = serde_json::json!({
        "facts": facts,
        "reboot": restart::reboot_wanted(&needs.reboot, Timestamp::UNIX_EPOCH, &[]),
        "engine_restart": restart::engine_restart_wanted(&needs.engine),
        "engine_removed": restart::removed_programs(&needs.engine),
        "notes": needs.notes,
        "host": crate::facts::tell(),
    });
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}
