//! The journal while it cannot be written: what has happened is recorded as soon as it can be, and what needs its record first
//! waits for it. Meanwhile the supervisor goes on, with its locks, and says why.

use super::Supervisor;
use crate::hold;
use crate::layout::{self, file};
use crate::say::say;
use crate::{durable, files, readiness};
use anyhow::Context;
use careen_model::journal::Record;
use careen_model::transaction::IllegalTransition;
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long a record is tried that nothing can go on without. The host's lock is held meanwhile.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// So many times in that.
const TRIES: u32 = 600;

/// No shorter pause between them.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

impl Supervisor<'_> {
    /// Records what the machine says. A command that lives is watched whatever becomes of its record; what comes next waits for
    /// every other one.
    pub(super) fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::Running { .. } | Record::Stopping { .. } => Ok(self.note(record)?),
            Record::Ended { .. } => self.note_end(record),
            // Of a program that this supervisor has seen to its end.
            Record::Interrupted if self.duration.is_some() => self.note_end(record),
            Record::Supervised { .. }
            | Record::Offered { .. }
            | Record::Revoked { .. }
            | Record::Starting { .. }
            | Record::Interrupted
            | Record::RestartingEngine { .. }
            | Record::EngineSettled { .. }
            | Record::Rebooting { .. }
            | Record::Rebooted { .. }
            | Record::Closed { .. } => self.insist(record),
        }
    }

    /// Records what has happened, now or as soon as the journal can be written. The command is not touched by that.
    pub(super) fn note(&mut self, record: &Record) -> Result<(), IllegalTransition> {
        self.journal.note(record)?;
        self.tell_what_is_owed();
        Ok(())
    }

    /// Tries again to write what is owed, when it is time.
    pub(super) fn settle_if_due(&mut self) {
        if self.journal.retry_at().is_some_and(|at| at <= Instant::now()) {
            let _ = self.journal.settle(); // why not is told
            self.tell_what_is_owed();
        }
    }

    /// Records that the program has ended, and waits for that record: what comes next needs it.
    fn note_end(&mut self, record: &Record) -> anyhow::Result<()> {
        self.note(record)?;
        if self.journal.owes().is_none() {
            return Ok(());
        }
        say(format_args!("the command is over, and that cannot be recorded ({})", describe(record)));
        let settled = self.until_written(|supervisor| supervisor.journal.settle());
        settled.map_err(|error| {
            self.leave_a_trace(record);
            error.context(
                "the end of the command could not be recorded: the next agent closes the transaction",
            )
        })
    }

    /// Records what is about to be done, or what came of it, and waits for that as long as is reasonable.
    pub(super) fn insist(&mut self, record: &Record) -> anyhow::Result<()> {
        self.until_written(|supervisor| supervisor.journal.append(record))
    }

    fn until_written(
        &mut self,
        mut write: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let patience = files::patience(PATIENCE);
        let deadline = Instant::now() + patience;
        let mut held = false;
        loop {
            let Err(error) = write(self) else {
                if held {
                    self.hold(None);
                }
                return Ok(());
            };
            if error.is::<IllegalTransition>() {
                return Err(error);
            }
            if Instant::now() >= deadline || self.told_to_end(patience / TRIES) {
                return Err(error).with_context(|| format!("given up after {} s", patience.as_secs()));
            }
            held = true;
            self.hold(Some(&reason(&format!("{error:#}"))));
        }
    }

    /// Waits a little; whether this process was told to end meanwhile.
    fn told_to_end(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause.max(SHORTEST_PAUSE);
        while Instant::now() < deadline {
            if readiness::wait(&[self.signals.as_fd()], Some(deadline)).is_err() {
                std::thread::sleep(SHORTEST_PAUSE); // a wait that fails must not spin
            }
            let signals = self.signals.take().unwrap_or_default();
            if signals.iter().any(|signal| *signal != Signal::SIGCHLD) {
                return true;
            }
        }
        false
    }

    fn tell_what_is_owed(&mut self) {
        let reason = self.journal.owes().map(reason);
        self.hold(reason.as_deref());
    }

    /// Says why it waits, or that it does not any more; what is said already is not said again.
    fn hold(&mut self, reason: Option<&str>) {
        let path = self.directory.file(file::HOLD);
        if hold::read(&path).as_deref() == reason {
            return;
        }
        let told = match reason {
            Some(reason) => {
                say(format_args!("waiting: {reason}"));
                hold::tell(&path, reason)
            }
            None => hold::clear(&path),
        };
        if let Err(error) = told {
            say(format_args!("{}: {error}", path.display()));
        }
    }

    /// For whoever comes next: the journal tells that the program was begun, so it is not run again; how it ended is said here.
    fn leave_a_trace(&mut self, record: &Record) {
        self.hold(Some(&format!("the command is over ({}), which could not be recorded", describe(record))));
        let secrets = layout::secrets(&self.manifest.id);
        // One that may be run again needs them then.
        if !self.manifest.idempotent
            && let Err(error) = durable::remove_tree(&secrets)
        {
            say(format_args!("the secrets could not be removed: {}: {error}", secrets.display()));
        }
    }
}

fn reason(error: &str) -> String {
    format!("{error}; the supervisor tries again: look at the file system of {}", layout::ROOT)
}

fn describe(record: &Record) -> String {
    match record {
        Record::Ended { end, .. } => serde_json::to_string(end).unwrap_or_default(),
        other => other.name().to_owned(),
    }
}
