//! What the state machine needs to know of the host, gathered fresh before each decision.

use crate::engine_process::engine_processes;
use crate::signals::with_signals_unblocked;
use anyhow::Context;
use careen_model::facts::restart::EngineProcess;
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
        engine_restart_wanted: if decides { replaced_engine() } else { None },
        reboot_wanted: if decides { reboot_wanted(manifest) } else { None },
    })
}

/// Why the distribution wants a reboot.
fn reboot_wanted(manifest: &Manifest) -> Option<String> {
    marker(manifest).or_else(|| {
        // needs-restarting exits with 1 for any error of its own, too: only its words tell.
        let restarting =
            said(&["needs-restarting", "-r"], 1).filter(|words| words.contains("Reboot is required"));
        let tool = restarting
            .map(|_| "needs-restarting -r")
            .or_else(|| said(&["zypper", "needs-rebooting"], 102).map(|_| "zypper needs-rebooting"))?;
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

/// What a tool says that exits with this status, if the host has it.
fn said(words: &[&str], status: i32) -> Option<String> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().env("PATH", COMMAND_PATH).env("LC_ALL", "C");
    let output = with_signals_unblocked(&mut command).stdin(Stdio::null()).output().ok()?;
    (output.status.code() == Some(status)).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Why the running engine is not the installed one.
fn replaced_engine() -> Option<String> {
    let replaced = ["dockerd", "containerd"].into_iter().find(|name| is_replaced(name))?;
    Some(format!("{replaced} was replaced while it runs"))
}

/// Whether the host's own process of this name runs another file than the one that is installed. Engines inside
/// containers do not count, and neither does one that was removed: restarting it would be its end.
pub fn is_replaced(name: &str) -> bool {
    let is_it =
        |process: &EngineProcess| process.program == name && process.installed && process.is_replaced();
    engine_processes().iter().any(is_it)
}
