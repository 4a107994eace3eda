//! After a boot: unfinished transactions get a supervisor again, without an agent.
//!
//! While a transaction is open, a small systemd unit is enabled on the host; it is removed when none is open any more.
//! Hosts without systemd have no such unit: there the next agent resumes. So does it where the command has secrets,
//! which did not survive the reboot.

use crate::layout::{self, TransactionDir, file};
use crate::say::say;
use crate::unit::{Launch, find_systemd_run};
use crate::{durable, journal};
use anyhow::{Context, bail};
use careen_model::TransactionId;
use careen_model::entry::Way;
use careen_model::transaction::Stage;
use std::fs;
use std::path::{Path, PathBuf};

const UNIT: &str = "/etc/systemd/system/careen-resume.service";
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/careen-resume.service";

/// Whether a transaction can still go on.
fn is_open(directory: &TransactionDir) -> bool {
    // One that cannot be read is nobody's to resume.
    journal::read(&directory.file(file::JOURNAL))
        .is_ok_and(|(_, state)| !matches!(state.stage, Stage::Closed(_)))
}

/// The open transactions of this host.
fn open_transactions(root: &Path) -> Vec<TransactionId> {
    let entries = fs::read_dir(layout::transactions(root)).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| TransactionId::parse(&entry.file_name().to_string_lossy()).ok());
    ids.filter(|id| is_open(&TransactionDir::new(root, id))).collect()
}

/// Makes sure that unfinished transactions are resumed after a boot. Where that cannot be had, the next agent does it.
pub fn enable(root: &Path) {
    if find_systemd_run().is_err() || fs::symlink_metadata(WANTED).is_ok() {
        return;
    }
    if let Err(error) = try_enable(root) {
        say(format_args!("after a reboot only an agent will resume this transaction: {error:#}"));
    }
}

fn try_enable(_root: &Path) -> anyhow::Result<()> {
    let binary = fs::read_link("/proc/self/exe").context("find the supervisor's own binary")?;
    let unit = format!(
        "# Written by careen while a transaction is open on this host; removed when none is.\n\
         [Unit]\n\
         Description=Resume careen transactions after a boot\n\
         After=docker.service containerd.service dbus.service\n\n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={} resume\n",
        binary.display()
    );
    durable::remove_file(Path::new(UNIT))?;
    durable::create(Path::new(UNIT), 0o644, unit.as_bytes())?;
    let wants = Path::new(WANTED).parent().context("the link has a directory")?;
    fs::create_dir_all(wants)?;
    durable::remove_file(Path::new(WANTED))?;
    std::os::unix::fs::symlink(UNIT, WANTED)?;
    durable::sync_directory(wants)?;
    Ok(())
}

/// Removes the unit when no transaction is open any more. Another supervisor may be closing its own at the same moment:
/// both look only after their own is closed, so the last one sees none.
pub fn disable_when_idle(root: &Path) {
    if !open_transactions(root).is_empty() {
        return;
    }
    for path in [WANTED, UNIT] {
        if let Err(error) = durable::remove_file(Path::new(path)) {
            say(format_args!("{path} could not be removed: {error}"));
        }
    }
}

/// `careen-agent resume`, called by the unit: starts a supervisor for each open transaction.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let systemd_run = find_systemd_run().map_err(anyhow::Error::msg)?;
    let binary: PathBuf = fs::read_link("/proc/self/exe")?;
    let mut failures = Vec::new();
    for id in open_transactions(root) {
        let directory = TransactionDir::new(root, &id);
        let supervision = journal::read(&directory.file(file::JOURNAL))?.0.lines.len() + 1;
        let launch = Launch { id: id.clone(), supervision, binary: binary.clone() };
        let output = launch.systemd_run(&systemd_run, Way::Systemd, false).output()?;
        if !output.status.success() {
            failures.push(format!("{id}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    disable_when_idle(root);
    if failures.is_empty() { Ok(()) } else { bail!("not resumed: {}", failures.join("; ")) }
}
