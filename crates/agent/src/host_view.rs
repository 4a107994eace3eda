//! What the state machine needs to know of the host, gathered fresh before each decision.

use anyhow::Context;
use careen_model::manifest::Manifest;
use careen_model::transaction::HostView;
use std::fs;

/// The kernel's boot id: another one means another boot, whatever any clock says.
pub fn boot_id() -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?.trim().to_owned())
}

/// Looks at the host.
pub fn view(manifest: &Manifest) -> anyhow::Result<HostView> {
    let _ = manifest;
    Ok(HostView {
        boot_id: boot_id()?,
        engine_up: crate::engine_restart::is_up(),
        engine_restart_wanted: replaced_engine(),
        reboot_wanted: None,
    })
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
