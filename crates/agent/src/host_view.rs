//! What the state machine needs to know of the host, gathered fresh before each decision.

use crate::signals::with_signals_unblocked;
use anyhow::Context;
use careen_model::manifest::Manifest;
use careen_model::settings::COMMAND_PATH;
use careen_model::transaction::{HostView, Stage};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// The kernel's boot id: another one means another boot, whatever any clock says.
pub fn boot_id() -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?.trim().to_owned())
}

/// Looks at the host. What it wants restarted is looked for only where that decides: some distributions take seconds
/// to say.
pub fn view(manifest: &Manifest, stage: &Stage) -> anyhow::Result<HostView> {
    let decides = matches!(stage, Stage::Ended { .. } | Stage::EngineSettled);
    Ok(HostView {
        boot_id: boot_id()?,
        engine_up: crate::engine_restart::is_up(),
        engine_restart_wanted: replaced_engine().filter(|_| decides),
        reboot_wanted: if decides { reboot_wanted(manifest) } else { None },
    })
}

/// Why the distribution wants a reboot.
fn reboot_wanted(manifest: &Manifest) -> Option<String> {
    marker(manifest).or_else(|| {
        let says =
            |words: &[&str], status: i32| (exit_status(words) == Some(status)).then(|| words.join(" "));
        let tool =
            says(&["needs-restarting", "-r"], 1).or_else(|| says(&["zypper", "needs-rebooting"], 102))?;
        Some(format!("a reboot is wanted ('{tool}' says so)"))
    })
}

/// Debian's and Ubuntu's packages leave a file, and the names of those who want it. One that is older than the
/// transaction is somebody else's wish.
fn marker(manifest: &Manifest) -> Option<String> {
    let path = ["/run/reboot-required", "/var/run/reboot-required"]
        .into_iter()
        .find(|path| Path::new(path).exists())?;
    let modified = fs::metadata(path).and_then(|marker| marker.modified()).ok()?;
    if modified < SystemTime::from(manifest.created) {
        return None;
    }
    let packages = fs::read_to_string(format!("{path}.pkgs")).unwrap_or_default();
    let mut packages: Vec<&str> = packages.lines().collect();
    packages.dedup();
    let of = if packages.is_empty() { String::new() } else { format!(" of {}", packages.join(", ")) };
    Some(format!("a reboot is wanted ({path}{of})"))
}

/// The exit status of a tool, if the host has it.
fn exit_status(words: &[&str]) -> Option<i32> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().env("PATH", COMMAND_PATH).env("LC_ALL", "C");
    with_signals_unblocked(&mut command).stdin(Stdio::null()).output().ok()?.status.code()
}

/// Why the running engine is not the installed one.
fn replaced_engine() -> Option<String> {
    let replaced = ["dockerd", "containerd"].into_iter().find(|name| is_replaced(name))?;
    Some(format!("{replaced} was replaced while it runs"))
}

/// Whether the binary of the running process of this name was replaced on disk. Package managers rename a new file over
/// the old one, and the kernel then shows the running one's as deleted.
pub fn is_replaced(name: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_it = |entry: &fs::DirEntry| {
        fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let deleted = |entry: fs::DirEntry| {
        fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe.to_string_lossy().ends_with(" (deleted)"))
    };
    processes.filter(is_it).any(deleted)
}
