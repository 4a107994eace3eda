//! The journal while it cannot be written: what has happened is recorded as soon as it can be, and what needs its record first
//! waits for it. Meanwhile the supervisor goes on, with its locks, and says why.

use super::Supervisor;
use crate::engine_restart::{self, NoTurn};
use crate::hold;
use crate::layout::{self, file};
use crate::{durable, files, readiness};
use anyhow::Context;
use careen_contract::chain;
use careen_host::control::{Message, Stop};
use careen_host::journal::Record;
use careen_host::outcome::TransactionPhase;
use careen_host::transaction::IllegalTransition;
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long a record is tried that nothing can go on without. The host's lock is held meanwhile.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// So many times in that.
const TRIES: u32 = 600;

/// No shorter pause between them.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is written, or owed.
    Done,
    /// It could not be written, and somebody cancelled what it announces.
    Cancelled(String),
    /// It could not be written, and the go for what it announces has ended meanwhile.
    GoIsVoid,
}

/// What was heard in a pause.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    ToldToEnd,
    Cancelled(String),
}

/// Why a command may not begin any more.
#[derive(Debug, thiserror::Error)]
enum MustNotBegin {
    #[error("the go for the command counts no more, its agent may be gone")]
    GoIsVoid,
    #[error(transparent)]
    NoTurn(#[from] NoTurn),
}

impl Supervisor<'_> {
    /// Records what the machine says. A command that lives is watched whatever becomes of its record; what comes next waits for
    /// every other one.
    pub(super) fn record(&mut self, record: &Record) -> anyhow::Result<Recorded> {
        match record {
            Record::Running { .. } | Record::Stopping { .. } => {
                self.note(record)?;
                Ok(Recorded::Done)
            }
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
    fn note_end(&mut self, record: &Record) -> anyhow::Result<Recorded> {
        self.note(record)?;
        if self.journal.owes().is_none() {
            return Ok(Recorded::Done);
        }
        tracing::warn!(
            state = record.name(),
            "the command is over, and that cannot be recorded ({})",
            describe(record)
        );
        let settled = self.until_written(record, |supervisor| supervisor.journal.settle());
        settled.map_err(|error| {
            self.leave_a_trace(record);
            error.context(
                "the end of the command could not be recorded: the next agent closes the transaction",
            )
        })
    }

    /// Records what is about to be done, or what came of it, and waits for that as long as is reasonable.
    pub(super) fn insist(&mut self, record: &Record) -> anyhow::Result<Recorded> {
        self.until_written(record, |supervisor| supervisor.journal.append(record))
    }

    fn until_written(
        &mut self,
        record: &Record,
        mut write: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<Recorded> {
        let patience = files::patience(PATIENCE);
        let deadline = Instant::now() + patience;
        let mut held = false;
        loop {
            let Err(error) = write(self) else {
                if held {
                    self.hold(None);
                }
                return Ok(Recorded::Done);
            };
            if error.is::<IllegalTransition>() {
                return Err(error);
            }
            if let Some(by) = self.cancelled.clone().filter(|_| matches!(record, Record::Revoked { .. })) {
                return Ok(Recorded::Cancelled(by));
            }
            held = true;
            let reason = reason(&format!("{error:#}"));
            self.hold(Some(&reason));
            let heard = self.listen(patience / TRIES, &answer(record, &reason));
            if Instant::now() >= deadline || heard == Heard::ToldToEnd {
                return Err(error).with_context(|| format!("given up after {} s", patience.as_secs()));
            }
            if let Heard::Cancelled(by) = heard
                && may_be_cancelled(record)
            {
                self.hold(None);
                self.cancelled = Some(by.clone());
                return Ok(Recorded::Cancelled(by));
            }
            if self.begins_on_a_go(record)
                && let Err(why) = self.may_still_begin()
            {
                tracing::warn!(error = chain(&why), "the command does not begin");
                self.hold(None);
                return Ok(Recorded::GoIsVoid);
            }
        }
    }

    /// Whether the record announces what nothing but a go allows.
    fn begins_on_a_go(&self, record: &Record) -> bool {
        let starts = matches!(record, Record::Starting { phase: TransactionPhase::Command, .. });
        starts && self.manifest.awaits_go && !self.journal.state().is_begun()
    }

    /// Whether what a start rests on is still so, behind a wait for its record.
    fn may_still_begin(&self) -> Result<(), MustNotBegin> {
        if !self.has_go_to_run() {
            return Err(MustNotBegin::GoIsVoid);
        }
        Ok(engine_restart::may_still_run(&self.manifest)?)
    }

    /// Waits a little, with its ears open. Whoever cancels gets this answer.
    fn listen(&mut self, pause: Duration, answer: &str) -> Heard {
        let deadline = Instant::now() + pause.max(SHORTEST_PAUSE);
        while Instant::now() < deadline {
            let fds = [vec![self.signals.as_fd()], self.control.fds()].concat();
            if readiness::wait(&fds, Some(deadline)).is_err() {
                std::thread::sleep(SHORTEST_PAUSE); // a wait that fails must not spin
            }
            let signals = self.signals.take().unwrap_or_default();
            if signals.iter().any(|signal| *signal != Signal::SIGCHLD) {
                return Heard::ToldToEnd;
            }
            for message in self.control.take_and_answer(answer) {
                match message {
                    Message::Stop(Stop { by, .. }) | Message::EndWait(by) => return Heard::Cancelled(by),
                    Message::Input(_) | Message::Resize { .. } => {}
                }
            }
        }
        Heard::Nothing
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
                tracing::info!(hold = reason, "waiting");
                hold::tell(&path, reason)
            }
            None => hold::clear(&path),
        };
        if let Err(error) = told {
            tracing::warn!(file = %path.display(), error = chain(&error), "agents are not told why it waits");
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
            tracing::warn!(file = %secrets.display(), error = chain(&error), "the secrets could not be removed");
        }
    }
}

/// What announces something that nobody has begun; what has happened already is recorded whoever cancels.
fn may_be_cancelled(record: &Record) -> bool {
    match record {
        Record::Starting { .. }
        | Record::Revoked { .. }
        | Record::RestartingEngine { .. }
        | Record::Rebooting { .. } => true,
        Record::Supervised { .. }
        | Record::Offered { .. }
        | Record::Running { .. }
        | Record::Stopping { .. }
        | Record::Ended { .. }
        | Record::Interrupted
        | Record::EngineSettled { .. }
        | Record::Rebooted { .. }
        | Record::Closed { .. } => false,
    }
}

/// What somebody hears who cancels meanwhile.
fn answer(record: &Record, reason: &str) -> String {
    let what = record.name();
    match may_be_cancelled(record) {
        true => format!("'{what}' could not be recorded, and is not done: {reason}"),
        false => format!("the record '{what}' is waited for, there is nothing to stop: {reason}"),
    }
}

fn reason(error: &str) -> String {
    format!("{error}; the supervisor tries again: look at the file system of {}", layout::ROOT)
}

fn describe(record: &Record) -> String {
    if let Record::Ended { end, .. } = record {
        serde_json::to_string(end).unwrap_or_default()
    } else {
        record.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_host::outcome::CommandEnd;

    #[test]
    fn what_is_only_announced_may_be_cancelled_and_what_has_happened_is_waited_for() {
        let starting = Record::Starting { phase: TransactionPhase::Command, attempt: 1, engine_up: true };
        let end = CommandEnd::Exited(0);
        let ended = Record::Ended { end, left_behind: Vec::new(), notes: Vec::new() };
        assert!(may_be_cancelled(&starting) && !may_be_cancelled(&ended));
        let reason = reason("No space left on device");
        for (record, word) in [(starting, "is not done"), (ended, "is waited for")] {
            let answer = answer(&record, &reason);
            for part in [word, record.name(), "No space left on device", layout::ROOT] {
                assert!(answer.contains(part), "{part}: {answer}");
            }
        }
    }
}
