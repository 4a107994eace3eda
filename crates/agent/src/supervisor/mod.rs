//! The supervisor: owns one transaction on the host, outside of any container.
//!
//! It takes the transaction's lock and replays its journal; from then on [`careen_protocol::supervisor`] says what is next,
//! and this carries it out: run a program of the payload, restart the engine, reboot, close. Every act has its journal
//! record before it, and a supervisor that takes over goes on from there. It is the only writer of journal and output while it
//! lives. Agents read these files; nothing here waits for an agent but a restart in a rollout, which waits for its go.
//!
//! One poll loop, and beside it a thread that syncs the output; `CAREEN_ON_REMOVE=stop` adds one that asks the engine.
//! Whoever wants it to stop speaks to its socket, which is there as long as it lives.

mod answer;
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
mod waiting;

use crate::engine_restart;
use crate::host_view::View;
use crate::layout::{self, TransactionDir, file};
use crate::lock::Lock;
use crate::signals::Signals;
use crate::withdraw::withdraw;
use crate::{boot, durable, host_view, journal, manifest, payload, resume};
use anyhow::{Context, bail};
use careen_contract::chain;
use careen_contract::entry::Way;
use careen_host::deeds::deeds;
use careen_host::facts::Facts;
use careen_host::journal::{Record, TransactionResult};
use careen_host::manifest::Manifest;
use careen_host::outcome::{CommandEnd, EngineRestart, Outcome, StopReason, TransactionPhase};
use careen_host::transaction::TransactionStage;
use careen_protocol::supervisor::{self, Effect, Event, Leave, Start};
use child::Child;
use control::Control;
use nix::sys::signal::Signal;
use output::OutputLog;
use program::Watch;
use record::Recorded;
use std::path::Path;
use std::time::Duration;

/// What a process exits with that has done what there was to do.
const DONE: u8 = 0;
/// What a process exits with that found the host taken by another transaction.
const HOST_BUSY: u8 = careen_contract::AgentExit::HostBusy.code();
/// What a process exits with that was cancelled before anything was begun, and could not record that.
const CANCELLED: u8 = careen_contract::AgentExit::RestartWanted.code();

/// Supervises the transaction in this directory to its end, and returns the process's exit code (which only systemd
/// looks at: the result is in the journal). `go` is the agent of a rollout whose go this supervisor carries.
pub fn run(entry: Way, root: &Path, directory: &TransactionDir, go: Option<u32>) -> anyhow::Result<u8> {
    std::env::set_current_dir("/")?;
    let signals = Signals::watch(&[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT])?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let Some(_transaction_lock) = Lock::try_take(&directory.file(file::SUPERVISOR_LOCK))? else {
        return Ok(DONE);
    };
    let manifest = manifest::read(directory)?;
    tracing::info!(transaction = %manifest.id, "supervising");
    let journal = journal::Writer::open(&directory.file(file::JOURNAL))?;
    let control = Control::listen(&directory.file(file::CONTROL)).unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "nobody can stop this transaction over its socket");
        Control::deaf(error)
    });
    let mut supervisor = Supervisor {
        manifest,
        root,
        directory,
        journal,
        signals,
        control,
        entry,
        host_lock: None,
        program: None,
        before: None,
        duration: None,
        notes: Vec::new(),
        host_notes: Vec::new(),
        engine_lock: None,
        cancelled: None,
    };
    let code = supervisor.drive(go);
    resume::disable_when_idle(root);
    code
}

/// Takes the host for this transaction. `None` when another transaction has it.
fn take_host(root: &Path, manifest: &Manifest) -> anyhow::Result<Option<Lock>> {
    let Some(mut lock) = Lock::try_take(&layout::host_lock(root))? else { return Ok(None) };
    // A full disk does not take it: then nobody is told who has the host.
    if let Err(error) = lock.write(manifest.id.as_str()) {
        let file = layout::host_lock(root);
        tracing::warn!(file = %file.display(), error = chain(&error), "the host's lock does not name its transaction");
    }
    Ok(Some(lock))
}

/// Removes what must not stay on the host of a transaction that is closed, or of which nothing may begin any more. Returns
/// what could not be removed, in words.
pub(crate) fn remove_traces(directory: &TransactionDir, manifest: &Manifest) -> Vec<String> {
    let payload = Path::new(&manifest.payload.directory);
    let secrets = layout::secrets(&manifest.id);
    let removals = [
        ("the payload", durable::remove_tree(payload)),
        ("the secrets", durable::remove_tree(&secrets)),
        ("the wish for the engine", durable::remove_file(&directory.file(file::RESTART_ENGINE))),
        ("the wish for a restart", durable::remove_file(&directory.file(file::RESTART_WISH))),
        ("the go", durable::remove_file(&directory.file(file::GO))),
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
    control: Control,
    entry: Way,
    /// Held until this process ends.
    host_lock: Option<Lock>,
    program: Option<Program>,
    before: Option<Facts>,
    duration: Option<Duration>,
    notes: Vec<String>,
    /// Of the last look at the host.
    host_notes: Vec<String>,
    /// The lock for engine restarts, while a command runs that may restart this manager's engine, and until what follows takes it.
    engine_lock: Option<engine_restart::Held>,
    /// Who cancelled a record that could not be written.
    cancelled: Option<String>,
}

/// A program of the payload that was started.
struct Program {
    phase: TransactionPhase,
    child: Child,
    output: OutputLog,
}

/// What carrying an effect out came to.
enum Done {
    Event(Event),
    Exit(u8),
}

impl Supervisor<'_> {
    /// Asks what is next, and does it, until nothing is, or until it has to wait for somebody.
    fn drive(&mut self, go: Option<u32>) -> anyhow::Result<u8> {
        let (policy, takes_host_lock) = (self.manifest.policy(), self.manifest.takes_host_lock);
        let mut machine = supervisor::Supervisor::new(policy, takes_host_lock, self.entry, go);
        let mut event = Event::Begin;
        loop {
            let effect = machine.step(self.journal.state(), event)?;
            event = match self.carry_out(effect)? {
                Done::Event(event) => event,
                Done::Exit(code) => return Ok(code),
            };
        }
    }

    fn carry_out(&mut self, effect: Effect) -> anyhow::Result<Done> {
        Ok(Done::Event(match effect {
            Effect::TakeHostLock => {
                self.host_lock = take_host(self.root, &self.manifest)?;
                Event::HostLock(self.host_lock.is_some())
            }
            Effect::WriteSupervised => self.write_supervised()?,
            Effect::Write(record) => {
                tell(&record);
                match self.record(&record)? {
                    Recorded::Done => Event::Written,
                    Recorded::Cancelled(by) if matches!(record, Record::Revoked { .. }) => {
                        tracing::warn!(
                            by,
                            "cancelled: nothing was begun, and that could not be recorded. Look at the file system of {}",
                            layout::ROOT
                        );
                        return Ok(Done::Exit(CANCELLED));
                    }
                    Recorded::Cancelled(by) => Event::Cancelled(by),
                    Recorded::GoIsVoid => Event::GoIsVoid,
                }
            }
            Effect::LetEngineComeUp => self.let_engine_come_up(),
            Effect::Look => self.look()?,
            Effect::AwaitTurnToRun => self.await_turn_to_run(),
            Effect::AwaitGoToRun => self.await_go_to_run(),
            Effect::AwaitGo(wish) => self.await_go(&wish),
            Effect::AwaitTurnToRestart => self.await_turn_to_restart(),
            Effect::LookAtGo(number) => self.look_at_go(number),
            Effect::StartProgram(start) => self.start_program(start),
            Effect::WatchProgram => self.watch_program()?,
            Effect::RestartEngine { why, go } => self.restart_engine(why, go),
            Effect::Reboot { go } => self.reboot(go),
            Effect::AwaitSwarm => self.await_swarm(),
            Effect::Close(outcome) => {
                self.close(outcome)?;
                Event::Closed
            }
            Effect::Withdraw => {
                withdraw(self.directory, &self.manifest)?;
                return Ok(Done::Exit(HOST_BUSY));
            }
            Effect::Leave(why) => return self.leave(why).map(Done::Exit),
        }))
    }

    fn write_supervised(&mut self) -> anyhow::Result<Event> {
        let nothing_begun = !self.journal.state().is_begun();
        let (entry, pid, boot_id) = (self.entry, std::process::id(), boot::boot_id()?);
        self.journal.append(&Record::Supervised { entry, pid, boot_id })?;
        if entry != Way::Chroot {
            resume::enable();
        }
        let looks = self.manifest.takes_host_lock;
        self.engine_lock = engine_restart::hold_again(&self.manifest, &self.journal.state().stage);
        self.before = looks.then(|| changes::before(self.root, self.directory, nothing_begun)).flatten();
        Ok(Event::Written)
    }

    fn look(&mut self) -> anyhow::Result<Event> {
        let View { host: view, notes } =
            host_view::view(&self.manifest, self.directory, self.journal.state(), self.before.as_ref())?;
        self.host_notes = notes;
        Ok(Event::Seen { view, secrets_are_missing: self.secrets_are_missing() })
    }

    /// Ends. An agent that started this supervisor reads why where nothing of that is in the journal.
    fn leave(&mut self, why: Leave) -> anyhow::Result<u8> {
        match why {
            Leave::Done | Leave::ToldToEnd => Ok(DONE),
            Leave::AwaitsAgent => {
                let hold = "the secrets did not survive the reboot, and only an agent can bring them";
                tracing::info!(hold, "awaiting an agent");
                Ok(DONE)
            }
            Leave::HostBusy | Leave::NoGo => {
                let path = self.directory.file(file::LEFT);
                if let Err(error) = durable::replace_unsynced(&path, 0o600, left_word(why).as_bytes()) {
                    tracing::warn!(file = %path.display(), error = chain(&error), "its agent is not told why it ends");
                }
                if self.engine_lock.take().is_some() {
                    engine_restart::give_back(&self.manifest);
                }
                if self.journal.state().stage == TransactionStage::Revoked {
                    for note in remove_traces(self.directory, &self.manifest) {
                        tracing::warn!("{note}");
                    }
                }
                Ok(if why == Leave::HostBusy { HOST_BUSY } else { DONE })
            }
            Leave::Later => {
                bail!("the host is busy with another transaction; this one waits for its next agent")
            }
        }
    }

    /// Before the transaction closes: gives the lock back. It stays held where the engine stayed down.
    fn give_back_engine_lock(&mut self, outcome: &Outcome) {
        let Some(held) = self.engine_lock.take() else { return };
        if !matches!(outcome, Outcome::EngineDown { .. }) {
            self.wait_for(
                |manifest, waiting| {
                    engine_restart::after_command(held, manifest, waiting);
                    Ok(())
                },
                |()| Event::Waited,
            );
        }
    }

    fn secrets_are_missing(&self) -> bool {
        self.manifest.has_secrets
            && !crate::files::exists(layout::secrets(&self.manifest.id)).unwrap_or(false)
    }

    fn start_program(&mut self, start: Start) -> Event {
        match self.try_start(start) {
            Ok(program) => {
                let pid = program.child.pid.as_raw().cast_unsigned();
                self.program = Some(program);
                Event::Started { pid }
            }
            Err(error) => {
                let end = CommandEnd::NotStarted(format!("{error:#}"));
                Event::Ended { end, left_behind: Vec::new(), notes: Vec::new(), cut_off: false }
            }
        }
    }

    fn watch_program(&mut self) -> anyhow::Result<Event> {
        let Program { phase, mut child, mut output } =
            self.program.take().context("a program was started")?;
        let mut watch = Watch::new(self, phase, &child);
        let mut control = self.control.take_over();
        let end = watch.until_ended(self, &mut child, &mut output, &mut control);
        self.control = control;
        self.duration = Some(child.started.elapsed());
        output.finish();
        let cut_off = self.is_cut_off_and_may_be_run_again();
        Ok(Event::Ended { end, left_behind: watch.left_behind(), notes: output.notes(), cut_off })
    }

    /// A shutdown of the host cuts the command off as a power cut does, only more gently.
    fn is_cut_off_and_may_be_run_again(&self) -> bool {
        let stopped = TransactionStage::Stopping {
            phase: TransactionPhase::Command,
            reason: StopReason::SupervisorStopped,
        };
        self.manifest.idempotent
            && self.entry != Way::Chroot
            && self.journal.state().stage == stopped
            && host_view::is_shutting_down()
    }

    /// The output log is opened behind the record of the start: one without that record tells of a journal that was cut
    /// off, see [`journal::read`]. A command that nobody could stop is not started.
    fn try_start(&self, start: Start) -> anyhow::Result<Program> {
        let limit = self.manifest.output_limit;
        let output = OutputLog::open(self.directory, limit).context("failed to open the output log")?;
        self.control.must_listen().context("failed to listen")?;
        self.check_payload()?;
        let child = Child::start(&self.manifest, self.directory, start.phase, start.attempt)?;
        Ok(Program { phase: start.phase, child, output })
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
        self.give_back_engine_lock(&outcome);
        self.give_back_turn(&outcome);
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(notes_of(self.journal.records()));
        notes.append(&mut self.host_notes);
        let changes = self.before.as_ref().map(|before| changes::since(self.root, self.directory, before));
        let (changes, unknown) = changes.unzip();
        notes.extend(unknown.unwrap_or_default());
        let answer = answer::left_in(self.directory).unwrap_or_else(|error| {
            notes.push(chain(&error));
            None
        });
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
            answer: answer.map(Box::new),
        };
        self.insist(&Record::Closed { result })?;
        // The record has it by now; whoever closes a transaction anew reads it anew.
        if let Err(error) = durable::remove_file(&self.directory.file(file::RESULT)) {
            tracing::warn!(error = chain(&error), "the file with the command's result stays");
        }
        Ok(())
    }
}

/// What the journal tells that a person should know, whoever wrote it.
fn notes_of(records: &[Record]) -> Vec<String> {
    let mut notes = deeds(records);
    for record in records {
        if let Record::Ended { left_behind, notes: of_the_end, .. } = record {
            let left = left_behind.join(", ");
            notes.extend((!left.is_empty()).then(|| format!("the command left processes behind: {left}")));
            notes.extend_from_slice(of_the_end);
        }
    }
    notes
}

/// What a supervisor leaves as its word that recorded nothing.
pub(crate) const fn left_word(why: Leave) -> &'static str {
    match why {
        Leave::HostBusy => "host-busy",
        Leave::NoGo => "no-go",
        Leave::Done | Leave::Later | Leave::AwaitsAgent | Leave::ToldToEnd => "",
    }
}

/// What a person reads in the unit's log beside the journal.
fn tell(record: &Record) {
    let state = record.name();
    match record {
        Record::RestartingEngine { why: why @ EngineRestart::Down } => {
            tracing::info!(state, "{}: starting it", why.words());
        }
        Record::RestartingEngine { why: why @ (EngineRestart::Replaced | EngineRestart::CalledDown) } => {
            tracing::info!(state, "{}: restarting the engine", why.words());
        }
        Record::Rebooting { reason, .. } => tracing::info!(state, "rebooting: {reason}"),
        Record::Revoked { by } => tracing::info!(state, by, "nothing was begun"),
        Record::Supervised { .. }
        | Record::Offered { .. }
        | Record::Starting { .. }
        | Record::Running { .. }
        | Record::Stopping { .. }
        | Record::Ended { .. }
        | Record::Interrupted
        | Record::EngineSettled { .. }
        | Record::Rebooted { .. }
        | Record::Closed { .. } => {}
    }
}
