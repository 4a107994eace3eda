//! After a boot: unfinished transactions get a supervisor again, without an agent.
//!
//! While a transaction is open, a small systemd unit is enabled on the host; it is removed when none is open any more.
//! Hosts without systemd have no such unit: there the next agent resumes. So does it where the command has secrets,
//! which did not survive the reboot.

use crate::files;
use crate::layout::{self, TransactionDir, file};
use crate::machine::{self, Ownership};
use crate::unit::{Launch, find_systemd_run};
use crate::{durable, journal, transactions};
use anyhow::{Context, bail};
use careen_contract::TransactionId;
use careen_contract::chain;
use careen_contract::entry::Way;
use careen_host::transaction::TransactionStage;
use std::io;
use std::path::{Path, PathBuf};

const UNIT: &str = "/etc/systemd/system/careen-resume.service";
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/careen-resume.service";

/// All that lies on a host for the sake of the next boot: the link first, which is what starts it.
pub const UNIT_FILES: [&str; 2] = [WANTED, UNIT];

/// Whether a transaction can still go on by itself. What a rollout offers, or has revoked, waits for an agent.
fn is_open(stage: &TransactionStage) -> bool {
    match stage {
        TransactionStage::Closed(_) | TransactionStage::Offered { .. } | TransactionStage::Revoked => false,
        TransactionStage::Prepared
        | TransactionStage::Starting { .. }
        | TransactionStage::Running { .. }
        | TransactionStage::Stopping { .. }
        | TransactionStage::Ended { .. }
        | TransactionStage::Interrupted { .. }
        | TransactionStage::RestartingEngine { .. }
        | TransactionStage::EngineSettled
        | TransactionStage::Rebooting { .. }
        | TransactionStage::Rebooted => true,
    }
}

/// What of this host's transactions is not closed.
#[derive(Debug, Default)]
pub struct Open {
    pub transactions: Vec<TransactionId>,
    /// Those of which nobody can tell, and why. They are nobody's to resume, and not over either.
    pub unreadable: Vec<String>,
}

/// The open transactions of this host; an error when they cannot be listed.
pub fn open_transactions(root: &Path) -> anyhow::Result<Open> {
    let mut open = Open::default();
    for id in transactions::ids(root)? {
        match journal::read(&TransactionDir::new(root, &id).file(file::JOURNAL)) {
            Ok((_, state)) if is_open(&state.stage) => open.transactions.push(id),
            Ok(_) => {}
            Err(error) => open.unreadable.push(format!("{id}: {error:#}")),
        }
    }
    Ok(open)
}

/// Makes sure that unfinished transactions are resumed after a boot. Where that cannot be had, the next agent does it.
pub fn enable() {
    if find_systemd_run().is_err() {
        return;
    }
    if let Err(error) = try_enable() {
        tracing::warn!(
            error = chain(error.as_ref()),
            "after a reboot only an agent will resume this transaction"
        );
    }
}

fn try_enable() -> anyhow::Result<()> {
    let binary = files::read_link("/proc/self/exe").context("find the supervisor's own binary")?;
    let unit = unit_file(&binary);
    // One that another supervisor wrote may name another binary.
    if files::symlink_metadata(WANTED).is_ok() && files::read_to_string(UNIT).is_ok_and(|found| found == unit)
    {
        return Ok(());
    }
    durable::remove_file(Path::new(UNIT))?;
    durable::create(Path::new(UNIT), 0o644, unit.as_bytes())?;
    let wants = Path::new(WANTED).parent().context("the link has a directory")?;
    durable::directories(wants)?;
    durable::remove_file(Path::new(WANTED))?;
    files::symlink(UNIT, WANTED)?;
    durable::sync_directory(wants)?;
    Ok(())
}

/// The unit starts the binary only if it is still the one that the agent put there: at a boot there is no agent that could
/// look. A program cannot vouch for itself, so the host's own tools do.
fn unit_file(binary: &Path) -> String {
    let path = binary.display();
    let check = layout::sha256_of_binary(binary).map_or(String::new(), |sha256| {
        format!(
            "ExecStartPre=/bin/sh -c 'command -v sha256sum >/dev/null || exit 0; echo \"{sha256}  {path}\" | sha256sum -c'\n"
        )
    });
    format!(
        "# Written by careen while a transaction is open on this host; removed when none is.\n\
         [Unit]\n\
         Description=Resume careen transactions after a boot\n\
         After=docker.service containerd.service dbus.service\n\n\
         [Service]\n\
         Type=oneshot\n\
         {check}\
         ExecStart={path} resume\n"
    )
}

/// Whether the unit starts a binary below this directory.
pub fn starts_from(directory: &Path) -> io::Result<bool> {
    let unit = files::read_if_there(UNIT)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&unit).contains(&format!("{}/", directory.display())))
}

/// Removes the unit when no transaction is open any more. Another supervisor may be closing its own at the same moment:
/// both look only after their own is closed, so the last one sees none.
pub fn disable_when_idle(root: &Path) {
    match open_transactions(root) {
        Ok(open) if !open.transactions.is_empty() => return,
        // They may have been open, and a disk that is mended by the next boot tells.
        Ok(open) if !open.unreadable.is_empty() => {
            let which = open.unreadable.join("; ");
            tracing::warn!(file = %UNIT, error = which, "the unit for the next boot stays, and looks again then");
            return;
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(file = %UNIT, error = chain(error.as_ref()), "the unit for the next boot stays: nobody knows what is open");
            return;
        }
    }
    for path in UNIT_FILES {
        if let Err(error) = durable::remove_file(Path::new(path)) {
            tracing::warn!(file = %path, error = chain(&error), "the unit for the next boot is not removed");
        }
    }
}

/// `careen-agent resume`, called by the unit: starts a supervisor for each open transaction.
pub fn run(root: &Path) -> anyhow::Result<()> {
    if let Ownership::Copied { from, differences } = machine::look(root)? {
        bail!("{}", machine::in_words(root, &from, &differences));
    }
    let systemd_run = find_systemd_run()?;
    let binary: PathBuf = files::read_link("/proc/self/exe")?;
    let Open { transactions, unreadable: mut failures } = open_transactions(root)?;
    for id in transactions {
        let directory = TransactionDir::new(root, &id);
        let supervision = journal::read(&directory.file(file::JOURNAL))?.0.lines.len() + 1;
        let launch = Launch { id: id.clone(), supervision, binary: binary.clone(), go: None };
        let output = launch.systemd_run(&systemd_run, Way::Systemd, false).output()?;
        if !output.status.success() {
            failures.push(format!("{id}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    disable_when_idle(root);
    if failures.is_empty() { Ok(()) } else { bail!("not resumed: {}", failures.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_over() {
        let root = tempfile::tempdir().unwrap();
        assert!(open_transactions(root.path()).unwrap().transactions.is_empty(), "a host without any");
        let transactions = layout::transactions(root.path());
        std::fs::create_dir(&transactions).unwrap();
        for (id, journal) in [("new", ""), ("damaged", "?\n")] {
            std::fs::create_dir(transactions.join(id)).unwrap();
            std::fs::write(transactions.join(id).join(file::JOURNAL), journal).unwrap();
        }
        let open = open_transactions(root.path()).unwrap();
        assert_eq!(open.transactions.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["new"]);
        let [unreadable] = open.unreadable.as_slice() else { panic!("{open:?}") };
        assert!(unreadable.starts_with("damaged: "), "{unreadable}");
        std::fs::remove_dir_all(&transactions).unwrap();
        std::fs::write(&transactions, "").unwrap();
        let error = open_transactions(root.path()).expect_err("it cannot be listed");
        assert!(error.to_string().contains("failed to read"), "{error:#}");
    }

    #[test]
    fn the_unit_checks_the_binary_before_it_starts_it() {
        let sha256 = "0123456789abcdef".repeat(4);
        let binary = layout::binary(Path::new(layout::ROOT), &sha256);
        let unit = unit_file(&binary);
        let (check, start) =
            (unit.find("ExecStartPre=").expect("a check"), unit.find("ExecStart=").expect("a start"));
        assert!(check < start, "{unit}");
        assert!(unit.contains(&format!("echo \"{sha256}  {}\" | sha256sum -c", binary.display())), "{unit}");
        let elsewhere = unit_file(Path::new("/root/careen-agent"));
        assert!(!elsewhere.contains("ExecStartPre="), "nothing tells its digest: {elsewhere}");
    }
}
