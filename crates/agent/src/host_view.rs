//! What the state machine needs to know of the host, gathered fresh before each decision.

use crate::facts::observe_restart_needs;
use crate::files;
use crate::layout::{TransactionDir, file};
use crate::unit::find_systemd_run;
use crate::{boot, tool};
use anyhow::Context;
use careen_host::facts::Facts;
use careen_host::facts::restart::{RebootReason, RebootWish, engine_restart_wanted, reboot_wanted};
use careen_host::manifest::Manifest;
use careen_host::transaction::{HostView, State, TransactionStage};

/// What the host shows, and what of it a person should know although it decides nothing.
pub struct View {
    /// What decides.
    pub host: HostView,
    /// What does not.
    pub notes: Vec<String>,
}

/// Looks at the host. What it wants restarted is looked for only where that decides or is to be told: some
/// distributions take seconds to say. `before` are the facts from before the command.
pub fn view(
    manifest: &Manifest,
    directory: &TransactionDir,
    state: &State,
    before: Option<&Facts>,
) -> anyhow::Result<View> {
    let mut host = HostView {
        go: None,
        boot_id: boot::boot_id()?,
        engine_up: crate::engine_restart::is_up(),
        // Whoever looks then has waited for the swarm, and given up.
        called_down: matches!(state.stage, TransactionStage::EngineSettled | TransactionStage::Rebooted)
            && crate::engine_restart::is_called_down(),
        engine_restart_wanted: None,
        reboot_wanted: None,
        reboot_wanted_before: false,
    };
    let mut notes = Vec::new();
    if !matches!(
        state.stage,
        TransactionStage::Ended { .. } | TransactionStage::EngineSettled | TransactionStage::Rebooted
    ) {
        return Ok(View { host, notes });
    }
    let needs = observe_restart_needs();
    notes.extend(needs.notes);
    let path = directory.file(file::RESTART_ENGINE);
    let asked = files::is_there(&path).with_context(|| format!("failed to look for {}", path.display()))?;
    host.engine_restart_wanted = engine_restart_wanted(&needs.engine)
        .or_else(|| asked.then(|| "the command asks for a restart of the engine".to_owned()));
    // A host on its way down stops its engine: that is not the command's doing, and nothing can be started any more.
    if (!host.engine_up || host.engine_restart_wanted.is_some()) && is_shutting_down() {
        (host.engine_up, host.engine_restart_wanted) = (true, None);
    }
    match reboot_wanted(&needs.reboot, manifest.created, &state.history.granted) {
        RebootWish::None => {}
        RebootWish::Survived { reason } => {
            notes.push(format!("{reason}, although the host was rebooted for that"))
        }
        RebootWish::Wanted { reason } => {
            host.reboot_wanted_before = was_so(before, &reason);
            if host.reboot_wanted_before {
                notes.push(format!("{reason}, since before the command"));
            }
            host.reboot_wanted = Some(reason.to_string());
        }
    }
    Ok(View { host, notes })
}

/// Whether the host is on its way down. One that cannot be asked is not.
pub fn is_shutting_down() -> bool {
    let asked = if find_systemd_run().is_ok() {
        tool::ask("systemctl", &["is-system-running"])
    } else {
        tool::ask("runlevel", &[])
    };
    asked.ok().flatten().is_some_and(|answer| tells_of_shutdown(&answer.output))
}

/// `stopping` for systemd; for other inits the runlevel before and the one now, of which 0 and 6 are the ends.
fn tells_of_shutdown(answer: &str) -> bool {
    matches!(answer.split_whitespace().last(), Some("stopping" | "0" | "6"))
}

/// Whether the same was true before the command. A marker that counts is never older, and the tools of Red Hat and SUSE
/// are too slow to be asked twice.
fn was_so(before: Option<&Facts>, reason: &RebootReason) -> bool {
    match (before, reason) {
        (Some(before), RebootReason::Kernel { running, installed }) => {
            let kernel = &before.kernel;
            kernel.running.as_ref() == Some(running) && kernel.newest_installed.as_ref() == Some(installed)
        }
        (_, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_is_told_apart_from_a_stopped_unit() {
        for (answer, down) in [
            ("stopping\n", true),
            ("running\n", false),
            ("degraded\n", false),
            ("2 6\n", true),
            ("2 0\n", true),
            ("N 2\n", false),
            ("", false),
        ] {
            assert_eq!(tells_of_shutdown(answer), down, "{answer:?}");
        }
    }
}
