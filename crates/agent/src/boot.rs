//! Which boot of the host this is, and how long it has lasted.

use crate::files;
use anyhow::Context;
use std::time::Duration;

/// The kernel's boot id: another one means another boot, whatever any clock says.
pub fn boot_id() -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(files::read_to_string(path).with_context(|| format!("failed to read {path}"))?.trim().to_owned())
}

/// The time since the boot, a suspension of the host included: the same for every process of the host, in a container or outside.
pub fn since_boot() -> anyhow::Result<Duration> {
    let clock = nix::time::ClockId::CLOCK_BOOTTIME;
    Ok(nix::time::clock_gettime(clock).context("failed to read the clock")?.into())
}
