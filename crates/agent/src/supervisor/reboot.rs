//! What takes the host or its engine down. The intent is in the journal before either is called.

use super::Supervisor;
use crate::readiness;
use crate::say::say;
use crate::signals::with_signals_unblocked;
use anyhow::{Context, bail};
use careen_model::journal::{EngineOutcome, Record};
use careen_model::settings::COMMAND_PATH;
use careen_model::transaction::{EngineRestart, Outcome};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A shutdown may wait for the stop time limits of the host's units.
const REBOOT_DEADLINE: Duration = Duration::from_secs(10 * 60);

impl Supervisor<'_> {
    /// Reboots the host. Returns when this process is told to end, for it is resumed after the boot.
    pub(super) fn reboot(&mut self) -> anyhow::Result<()> {
        ask_for_reboot()?;
        let deadline = Instant::now() + REBOOT_DEADLINE;
        while Instant::now() < deadline {
            readiness::wait(&[self.signals.as_fd()], Some(deadline))?;
            if self.signals.take()?.iter().any(|signal| *signal != Signal::SIGCHLD) {
                return Ok(());
            }
        }
        let reason =
            format!("a reboot was asked for, and did not happen within {} s", REBOOT_DEADLINE.as_secs());
        self.close(Outcome::RestartWanted { reasons: vec![reason] })
    }

    /// Starts or restarts the engine, and records what came of it.
    pub(super) fn restart_engine(&mut self, why: EngineRestart) -> anyhow::Result<()> {
        self.journal.append(&Record::RestartingEngine { why })?;
        say(match why {
            EngineRestart::Down => "the engine is down after the command: starting it",
            EngineRestart::Replaced => "the installed engine is not the one that runs: restarting it",
        });
        let outcome = crate::engine_restart::carry_out(why, &self.manifest);
        if let EngineOutcome::Refused { reason } | EngineOutcome::Down { words: reason } = &outcome {
            say(format_args!("the engine: {reason}"));
        }
        self.journal.append(&Record::EngineSettled { outcome })
    }
}

fn ask_for_reboot() -> anyhow::Result<()> {
    let ways: [&[&str]; 3] = [&["systemctl", "reboot"], &["shutdown", "-r", "now"], &["reboot"]];
    let mut refusals = Vec::new();
    for way in ways {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).env_clear().env("PATH", COMMAND_PATH).stdin(Stdio::null());
        match with_signals_unblocked(&mut command).output().with_context(|| format!("start {}", way[0])) {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => refusals.push(format!(
                "{}: {}",
                way.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Err(error) => refusals.push(format!("{error:#}")),
        }
    }
    bail!("the host cannot be rebooted: {}", refusals.join("; "))
}
