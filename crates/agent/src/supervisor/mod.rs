//! The supervisor: owns one transaction on the host, outside of any container.
//!
//! It takes the transaction's lock, replays its journal, and does what the state machine says is left to do: run a
//! program of the payload, restart the engine, reboot, close. Every act has its journal record before it, and a
//! supervisor that takes over goes on from there. It is the only writer of journal and output. Agents read these
//! files; nothing here waits for an agent, and no agent is needed for the command to end well.
//!
//! One poll loop, and beside it a thread that syncs the output; `CAREEN_ON_REMOVE=stop` adds one that asks the engine.

mod changes;
mod child;
mod control;
pub(crate) mod output;
mod program;
mod reboot;
mod record;
mod removal;
mod sync;
mod tree;

use crate::engine_restart::Ended;
use crate::host_view::View;
use crate::layout::{self, TransactionDir, file};
use crate::lock::Lock;
use crate::say::say;
use crate::signals::Signals;
use crate::withdraw::withdraw;
use crate::{durable, host_view, journal, manifest, payload, resume};
use anyhow::{Context, bail};
use careen_model::entry::Way;
use careen_model::facts::Facts;
use careen_model::journal::{CommandEnd, Record, TransactionResult};
use careen_model::manifest::Manifest;
use careen_model::report::Restart;
use careen_model::settings::Reboot;
use careen_model::transaction::{Action, EngineRestart, Outcome, Phase, Stage, StopReason, next};
use child::Child;
use control::Control;
use nix::sys::signal::Signal;
use output::OutputLog;
use program::Watch;
use std::path::Path;
use std::time::Duration;

/// What a process exits with that has done what there was to do.
const DONE: u8 = 0;
/// What a process exits with that lost the host to another transaction before anything was begun.
const WITHDRAWN: u8 = careen_model::AgentExit::HostBusy.code();

/// Supervises the transaction in this directory to its end, and returns the process's exit code (which only systemd
/// looks at: the result is in the journal).
pub fn run(entry: Way, root: &Path, directory: &TransactionDir) -> anyhow::Result<u8> {
    std::env::set_current_dir("/")?;
    let signals = Signals::watch(&[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT])?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let Some(_transaction_lock) = Lock::try_take(&directory.file(file::SUPERVISOR_LOCK))? else {
        return Ok(DONE);
    };
    let manifest = manifest::read(directory)?;
    let mut journal = journal::Writer::open(&directory.file(file::JOURNAL))?;
    if matches!(journal.state().stage, Stage::Closed(_)) {
        return Ok(DONE);
    }
    let Some(_host_lock) = take_host(root, &manifest)? else {
        if journal.state().stage == Stage::Prepared {
            withdraw(directory, &manifest)?;
            return Ok(WITHDRAWN);
        }
        bail!("the host is busy with another transaction; this one waits for its next agent");
    };
    journal.append(&Record::Supervised { entry, pid: std::process::id(), boot_id: host_view::boot_id()? })?;
    if entry != Way::Chroot {
        resume::enable();
    }
    let nothing_begun = journal.state().stage == Stage::Prepared;
    let looked_at =
        manifest.takes_host_lock.then(|| changes::before(root, directory, nothing_begun)).flatten();
    let mut supervisor = Supervisor {
        manifest,
        root,
        directory,
        journal,
        signals,
        entry,
        before: looked_at,
        duration: None,
        notes: Vec::new(),
        host_notes: Vec::new(),
    };
    supervisor.drive()?;
    resume::disable_when_idle(root);
    Ok(DONE)
}

/// Takes the host for this transaction, if it needs it. `None` when another transaction has it.
fn take_host(root: &Path, manifest: &Manifest) -> anyhow::Result<Option<Option<Lock>>> {
    if !manifest.takes_host_lock {
        return Ok(Some(None));
    }
    let Some(mut lock) = Lock::try_take(&layout::host_lock(root))? else { return Ok(None) };
    // A full disk does not take it: then nobody is told who has the host.
    if let Err(error) = lock.write(manifest.id.as_str()) {
        say(format_args!("{}: {error}", layout::host_lock(root).display()));
    }
    Ok(Some(Some(lock)))
}

/// Removes what a closed transaction must not leave on the host. Returns what could not be removed, in words.
fn remove_traces(directory: &TransactionDir, manifest: &Manifest) -> Vec<String> {
    let payload = Path::new(&manifest.payload.directory);
    let secrets = layout::secrets(&manifest.id);
    let removals = [
        ("the payload", durable::remove_tree(payload)),
        ("the secrets", durable::remove_tree(&secrets)),
        ("the wish for the engine", durable::remove_file(&directory.file(file::RESTART_ENGINE))),
        ("the environment", durable::remove_file(&directory.file(file::ENVIRONMENT))),
        ("the hold", crate::hold::clear(&directory.file(file::HOLD))),
        ("the control socket", durable::remove_file(&directory.file(file::CONTROL))),
    ];
    let synced = [("what was removed", durable::sync_removals(directory.path(), payload))];
    let failed =
        removals.into_iter().chain(synced).filter_map(|(what, removed)| Some((what, removed.err()?)));
    failed.map(|(what, error)| format!("{what} could not be removed: {error}")).collect()
}

/// A transaction in its supervisor's hands.
struct Supervisor<'a> {
    manifest: Manifest,
    root: &'a Path,
    directory: &'a TransactionDir,
    journal: journal::Writer,
    signals: Signals,
    entry: Way,
    before: Option<Facts>,
    duration: Option<Duration>,
    notes: Vec<String>,
    /// Of the last look at the host.
    host_notes: Vec<String>,
}

impl Supervisor<'_> {
    /// Asks the state machine what is next, and does it, until nothing is, or until it has to wait for somebody.
    fn drive(&mut self) -> anyhow::Result<()> {
        loop {
            if self.let_engine_come_up().is_err() {
                return Ok(()); // told to end: taken up after the boot
            }
            let View { host: view, notes } =
                host_view::view(&self.manifest, self.directory, self.journal.state(), self.before.as_ref())?;
            self.host_notes = notes;
            let action = next(self.journal.state(), &view, self.policy());
            match action {
                Action::Start { phase: Phase::Command, .. } if self.secrets_are_missing() => {
                    say(
                        "awaiting an agent: the secrets did not survive the reboot, and only an agent can bring them",
                    );
                    return Ok(());
                }
                Action::Start { phase, attempt } => {
                    if !self.run_program(phase, attempt, view.engine_up)? {
                        return Ok(()); // cut off by a shutdown: taken up after the boot
                    }
                }
                Action::RecordInterrupted => self.insist(&Record::Interrupted)?,
                Action::RestartEngine(why) => {
                    let needs_go = why == EngineRestart::Replaced && !self.is_restarting();
                    let reason = view.engine_restart_wanted.as_deref().unwrap_or("it was replaced");
                    if needs_go && self.await_go(Restart::Engine, reason).is_err() {
                        return Ok(()); // told to end: taken up after the boot
                    }
                    if !self.restart_engine(why)? {
                        return Ok(()); // told to end: taken up after the boot
                    }
                }
                Action::Reboot { reason } => {
                    match self.await_go(Restart::Reboot, &reason).and_then(|()| self.await_reboot()) {
                        Err(Ended) => return Ok(()), // told to end: taken up after the boot
                        Ok(Err(why)) => {
                            let reasons = vec![format!("{reason}, which was not done: {why}")];
                            return self.close(Outcome::RestartWanted { reasons });
                        }
                        Ok(Ok(())) => {
                            say(format_args!("rebooting: {reason}"));
                            self.insist(&Record::Rebooting { reason, from_boot: view.boot_id })?;
                        }
                    }
                }
                Action::RebootNow => return self.reboot(),
                Action::RecordRebooted => {
                    // A host whose engine was down before the reboot has nothing to wait for.
                    if self.journal.state().history.engine_was_up && self.after_reboot().is_err() {
                        return Ok(());
                    }
                    self.insist(&Record::Rebooted { boot: view.boot_id })?;
                }
                Action::Close(outcome) => return self.close(outcome),
                Action::Nothing => return Ok(()),
            }
        }
    }

    /// A supervisor inside a container cannot survive what would be restarted.
    fn policy(&self) -> careen_model::transaction::Policy {
        let allowed = self.manifest.policy();
        let outside = self.entry != Way::Chroot;
        careen_model::transaction::Policy {
            reboot: if outside { allowed.reboot } else { Reboot::Never },
            engine_restart: allowed.engine_restart && outside,
            ..allowed
        }
    }

    /// Whether a restart of the engine was begun already, by a supervisor that was lost: its go was given.
    fn is_restarting(&self) -> bool {
        matches!(self.journal.state().stage, Stage::RestartingEngine { .. })
    }

    fn secrets_are_missing(&self) -> bool {
        self.manifest.has_secrets
            && !crate::files::exists(layout::secrets(&self.manifest.id)).unwrap_or(false)
    }

    /// Runs a program to its end, and records that. `false` when there is nothing more to do before the next boot.
    fn run_program(&mut self, phase: Phase, attempt: u32, engine_up: bool) -> anyhow::Result<bool> {
        self.insist(&Record::Starting { phase, attempt, engine_up })?;
        let (mut output, mut control, mut child) = match self.start_program(phase, attempt) {
            Ok(started) => started,
            Err(error) => {
                let end = CommandEnd::NotStarted(format!("{error:#}"));
                self.note_end(&Record::Ended { end, left_behind: Vec::new(), notes: Vec::new() })?;
                return Ok(true);
            }
        };
        self.note(&Record::Running { pid: child.pid.as_raw().cast_unsigned() })?;
        let mut watch = Watch::new(self, phase, &child);
        let end = watch.until_ended(self, &mut child, &mut output, &mut control);
        self.duration = Some(child.started.elapsed());
        drop(control);
        output.finish();
        if self.is_cut_off_and_may_be_run_again() {
            self.note_end(&Record::Interrupted)?;
            return Ok(false);
        }
        self.note_end(&Record::Ended { end, left_behind: watch.left_behind(), notes: output.notes() })?;
        Ok(true)
    }

    /// A shutdown of the host cuts the command off as a power cut does, only more gently.
    fn is_cut_off_and_may_be_run_again(&self) -> bool {
        let stopped = Stage::Stopping { phase: Phase::Command, reason: StopReason::SupervisorStopped };
        self.manifest.idempotent
            && self.entry != Way::Chroot
            && self.journal.state().stage == stopped
            && host_view::is_shutting_down()
    }

    /// The output log is opened behind the record of the start: one without that record tells of a journal that was cut
    /// off, see [`journal::read`].
    fn start_program(&self, phase: Phase, attempt: u32) -> anyhow::Result<(OutputLog, Control, Child)> {
        let limit = self.manifest.output_limit;
        let output = OutputLog::open(self.directory, limit).context("failed to open the output log")?;
        let control = Control::listen(&self.directory.file(file::CONTROL)).context("failed to listen")?;
        self.check_payload()?;
        Ok((output, control, Child::start(&self.manifest, self.directory, phase, attempt)?))
    }

    /// The payload must still be what the agent copied: it lay on a disk that others can write to as root, and a host
    /// that lost power may have kept its names without their contents.
    fn check_payload(&self) -> anyhow::Result<()> {
        let found = payload::read_contents(Path::new(&self.manifest.payload.directory))?;
        if found.sha256 != self.manifest.payload.sha256 {
            bail!("the payload on the host is not the one that was copied there (its digest differs)");
        }
        Ok(())
    }

    fn close(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(
            self.notes_of_the_journal()
                .unwrap_or_else(|error| vec![format!("the journal could not be read again: {error:#}")]),
        );
        notes.append(&mut self.host_notes);
        let changes = self.before.as_ref().map(|before| changes::since(self.root, self.directory, before));
        let (changes, unknown) = changes.unzip();
        notes.extend(unknown.unwrap_or_default());
        notes.extend(remove_traces(self.directory, &self.manifest));
        let result = TransactionResult {
            exit_code: outcome.exit_code(),
            outcome,
            output_bytes: output::bytes_written(self.directory),
            duration_ms: self
                .duration
                .map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
            notes,
            changes: changes.map(Box::new),
        };
        self.insist(&Record::Closed { result })
    }

    /// What the journal tells that a person should know, whoever wrote it.
    fn notes_of_the_journal(&self) -> anyhow::Result<Vec<String>> {
        let (journal, _) = journal::read(&self.directory.file(file::JOURNAL))?;
        let note = |record: &Record| match record {
            Record::Ended { left_behind, .. } if !left_behind.is_empty() => {
                Some(format!("the command left processes behind: {}", left_behind.join(", ")))
            }
            Record::Starting { phase: Phase::Rollback, .. } => {
                Some("the payload's rollback was run".to_owned())
            }
            Record::Rebooting { reason, .. } => Some(format!("the host was rebooted: {reason}")),
            Record::EngineSettled { outcome: careen_model::journal::EngineOutcome::Up } => {
                Some("the engine was restarted".to_owned())
            }
            Record::Supervised { .. }
            | Record::Starting { .. }
            | Record::Running { .. }
            | Record::Stopping { .. }
            | Record::Ended { .. }
            | Record::Interrupted
            | Record::RestartingEngine { .. }
            | Record::EngineSettled { .. }
            | Record::Rebooted { .. }
            | Record::Closed { .. } => None,
        };
        let mut notes: Vec<String> = Vec::new();
        for line in journal.lines {
            notes.extend(note(&line.record));
            if let Record::Ended { notes: of_the_end, .. } = line.record {
                notes.extend(of_the_end);
            }
        }
        Ok(notes)
    }
}
