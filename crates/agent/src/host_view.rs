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
        engine_restart_wanted: None,
        reboot_wanted: None,
    })
}
