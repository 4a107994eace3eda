//! What takes the host or its engine down. The intent is in the journal before either is called.

use super::Supervisor;
use crate::engine_restart::{self, Ended, INTERVAL, Patience};
use crate::layout::file;
use crate::restart_go::{self, Wish};
use crate::say::say;
use crate::signals::{Signals, with_signals_unblocked};
use crate::{durable, hold, readiness};
use anyhow::{Context, bail};
use careen_model::journal::{EngineOutcome, Record};
use careen_model::report::Restart;
use careen_model::settings::COMMAND_PATH;
use careen_model::transaction::{EngineRestart, Outcome, Stage};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::path::PathBuf;
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

    /// Until this host may reboot; the inner error says why it may not.
    pub(super) fn await_reboot(&self) -> Result<Result<(), String>, Ended> {
        engine_restart::await_reboot(&self.manifest, &mut self.patience())
    }

    /// In a rollout: until an agent passes the go for this restart on. The node must be empty first.
    pub(super) fn await_go(&self, kind: Restart, reason: &str) -> Result<(), Ended> {
        if !self.manifest.awaits_go {
            return Ok(());
        }
        let history = &self.journal.state().history;
        let wish = Wish { number: history.reboots + history.engine_tries, kind, reason: reason.to_owned() };
        let (asked, given) = (self.directory.file(file::RESTART_WISH), self.directory.file(file::RESTART_GO));
        let mut patience = self.patience();
        while !restart_go::is_given(&given, &wish) {
            if restart_go::wish(&asked).as_ref() != Some(&wish)
                && let Err(error) = restart_go::ask(&asked, &wish)
            {
                say(format_args!("{}: {error}", asked.display()));
            }
            patience.hold(Some(&format!("the rollout's go, because {reason}")));
            patience.pause(INTERVAL)?;
        }
        patience.hold(None);
        for done in [asked, given] {
            if let Err(error) = durable::remove_file(&done) {
                say(format_args!("{}: {error}", done.display())); // its number makes it worthless
            }
        }
        Ok(())
    }

    /// Until an engine that was up before the command, and that the command has started again, answers.
    pub(super) fn let_engine_come_up(&self) -> Result<(), Ended> {
        let state = self.journal.state();
        if !matches!(state.stage, Stage::Ended { .. }) || !state.history.engine_was_up {
            return Ok(());
        }
        engine_restart::let_come_up(&mut self.patience())
    }

    /// Until the rebooted host takes part in its swarm again, or that has taken too long.
    pub(super) fn after_reboot(&self) -> Result<(), Ended> {
        engine_restart::after_reboot(&self.manifest, &mut self.patience())
    }

    fn patience(&self) -> Waiting<'_> {
        Waiting { signals: &self.signals, hold: self.directory.file(file::HOLD), said: None }
    }

    /// Starts or restarts the engine, and records what came of it. `false` when this process was told to end before.
    pub(super) fn restart_engine(&mut self, why: EngineRestart) -> anyhow::Result<bool> {
        self.insist(&Record::RestartingEngine { why })?;
        say(match why {
            EngineRestart::Down => "the engine is down after the command: starting it",
            EngineRestart::Replaced => "the installed engine is not the one that runs: restarting it",
        });
        let Ok(outcome) = engine_restart::carry_out(why, &self.manifest, &mut self.patience()) else {
            return Ok(false);
        };
        if let EngineOutcome::Refused { reason } | EngineOutcome::Down { words: reason } = &outcome {
            say(format_args!("the engine: {reason}"));
        }
        self.insist(&Record::EngineSettled { outcome })?;
        Ok(true)
    }
}

/// Waits in a way that a shutdown can end, and leaves the reason where agents and people find it.
struct Waiting<'a> {
    signals: &'a Signals,
    hold: PathBuf,
    said: Option<String>,
}

impl Patience for Waiting<'_> {
    fn pause(&mut self, time: Duration) -> Result<(), Ended> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            // A wait that fails is no wait: better to end than to spin.
            readiness::wait(&[self.signals.as_fd()], Some(deadline)).map_err(|_| Ended)?;
            let signals = self.signals.take().map_err(|_| Ended)?;
            if signals.iter().any(|signal| *signal != Signal::SIGCHLD) {
                return Err(Ended);
            }
        }
        Ok(())
    }

    fn hold(&mut self, reason: Option<&str>) {
        if self.said.as_deref() == reason {
            return;
        }
        self.said = reason.map(str::to_owned);
        let written = match reason {
            Some(reason) => {
                say(format_args!("waiting: {reason}"));
                hold::tell(&self.hold, reason)
            }
            None => hold::clear(&self.hold),
        };
        if let Err(error) = written {
            say(format_args!("{}: {error}", self.hold.display()));
        }
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
