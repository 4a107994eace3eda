//! The supervisor: owns one transaction on the host, outside of any container.
//!
//! It takes the transaction's lock, replays its journal, and does what the state machine says is left to do: run the
//! command, or close what another supervisor left behind. It is the only writer of journal and output. Agents read
//! these files; nothing here waits for an agent, and no agent is needed for the command to end well.
//!
//! One thread and one poll loop; `CAREEN_ON_REMOVE=stop` adds a second thread that asks the engine.

mod child;
mod control;
mod output;
mod removal;
mod tree;

use crate::layout::{self, TransactionDir, file};
use crate::lock::Lock;
use crate::readiness;
use crate::signals::Signals;
use crate::{durable, journal, payload};
use anyhow::{Context, bail};
use careen_model::control::Message;
use careen_model::entry::Way;
use careen_model::journal::{CommandEnd, Record, TransactionResult};
use careen_model::manifest::Manifest;
use careen_model::output::Stream;
use careen_model::settings::OnRemove;
use careen_model::transaction::{Outcome, Resume, StopReason};
use child::{Child, Piece, Source};
use control::Control;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use output::OutputLog;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a process exits with that found nothing to supervise.
const NOTHING_TO_DO: u8 = 0;
/// What a process exits with that lost the host to another transaction before anything was begun.
const WITHDRAWN: u8 = careen_model::AgentExit::HostBusy.code();

/// Supervises the transaction in this directory to its end, and returns the process's exit code (which only systemd
/// looks at: the result is in the journal).
pub fn run(entry: Way, root: &Path, directory: &TransactionDir) -> anyhow::Result<u8> {
    std::env::set_current_dir("/")?;
    let signals = Signals::watch(&[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT])?;
    nix::sys::prctl::set_child_subreaper(true)?;
    let Some(_transaction_lock) = Lock::try_take(&directory.file(file::SUPERVISOR_LOCK))? else {
        return Ok(NOTHING_TO_DO);
    };
    let manifest = read_manifest(directory)?;
    let mut journal = journal::Writer::open(&directory.file(file::JOURNAL))?;
    let resume = journal.state().resume();
    if resume == Resume::Nothing {
        return Ok(NOTHING_TO_DO);
    }
    let Some(_host_lock) = take_host(root, &manifest)? else {
        return if resume == Resume::Start {
            withdraw(directory, &manifest)
        } else {
            bail!("the host is busy")
        };
    };
    let supervised = Record::Supervised { entry, pid: std::process::id(), boot_id: boot_id()? };
    journal.append(&supervised)?;
    let mut supervisor = Supervisor { manifest, directory, journal, signals };
    match resume {
        Resume::Start => supervisor.run_command()?,
        Resume::Close(outcome) => supervisor.close(outcome, Closing::default())?,
        Resume::CloseInterrupted => supervisor.close(Outcome::Interrupted, Closing::default())?,
        Resume::Nothing => {}
    }
    Ok(NOTHING_TO_DO)
}

fn read_manifest(directory: &TransactionDir) -> anyhow::Result<Manifest> {
    let path = directory.file(file::MANIFEST);
    let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    Manifest::parse(&bytes).with_context(|| path.display().to_string())
}

/// Takes the host for this transaction, if it needs it. `None` when another transaction has it.
fn take_host(root: &Path, manifest: &Manifest) -> anyhow::Result<Option<Option<Lock>>> {
    if !manifest.takes_host_lock {
        return Ok(Some(None));
    }
    let Some(mut lock) = Lock::try_take(&layout::host_lock(root))? else { return Ok(None) };
    lock.write(manifest.id.as_str())?;
    Ok(Some(Some(lock)))
}

/// Takes back a transaction of which nothing was begun, so that it can be asked for again.
fn withdraw(directory: &TransactionDir, manifest: &Manifest) -> anyhow::Result<u8> {
    remove_traces(directory, manifest);
    durable::remove_tree(directory.path())?;
    Ok(WITHDRAWN)
}

fn boot_id() -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?.trim().to_owned())
}

/// Removes what a closed transaction must not leave on the host. Returns what could not be removed, in words.
fn remove_traces(directory: &TransactionDir, manifest: &Manifest) -> Vec<String> {
    let payload = Path::new(&manifest.payload.directory);
    let secrets = layout::secrets(&manifest.id);
    let removals = [
        ("the payload", durable::remove_tree(payload)),
        ("the secrets", durable::remove_tree(&secrets)),
        ("the environment", durable::remove_file(&directory.file(file::ENVIRONMENT))),
        ("the control socket", durable::remove_file(&directory.file(file::CONTROL))),
    ];
    let failed = removals.into_iter().filter_map(|(what, removed)| Some((what, removed.err()?)));
    failed.map(|(what, error)| format!("{what} could not be removed: {error}")).collect()
}

struct Supervisor<'a> {
    manifest: Manifest,
    directory: &'a TransactionDir,
    journal: journal::Writer,
    signals: Signals,
}

/// What is known about the command when its transaction closes.
#[derive(Debug, Default)]
struct Closing {
    output_bytes: Option<u64>,
    duration: Option<Duration>,
    notes: Vec<String>,
}

impl Supervisor<'_> {
    fn run_command(&mut self) -> anyhow::Result<()> {
        const ATTEMPT: u32 = 1;
        let mut output = OutputLog::create(self.directory).context("failed to create the output log")?;
        let mut control = Control::listen(&self.directory.file(file::CONTROL)).context("failed to listen")?;
        self.journal.append(&Record::Starting { attempt: ATTEMPT })?;
        let started =
            self.check_payload().and_then(|()| Child::start(&self.manifest, self.directory, ATTEMPT));
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                let end = CommandEnd::NotStarted(format!("{error:#}"));
                self.journal.append(&Record::Ended { end: end.clone(), left_behind: Vec::new() })?;
                return self.close(Outcome::of(&end, None), Closing::default());
            }
        };
        self.journal
            .append(&Record::Running { attempt: ATTEMPT, pid: child.pid.as_raw().cast_unsigned() })?;
        let mut watch = Watch::new(self, &child)?;
        let end = watch.until_ended(self, &mut child, &mut output, &mut control)?;
        let duration = child.started.elapsed();
        drop(control);
        output.sync();
        let left_behind: Vec<String> = watch.left_behind().iter().map(ToString::to_string).collect();
        self.journal.append(&Record::Ended { end: end.clone(), left_behind: left_behind.clone() })?;
        let mut notes = output.notes();
        if !left_behind.is_empty() {
            notes.push(format!("the command left processes behind: {}", left_behind.join(", ")));
        }
        let closing = Closing { output_bytes: Some(output.bytes()), duration: Some(duration), notes };
        self.close(Outcome::of(&end, watch.stop.as_ref().map(|stop| &stop.reason)), closing)
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

    fn close(&mut self, outcome: Outcome, closing: Closing) -> anyhow::Result<()> {
        let mut notes = closing.notes;
        notes.extend(remove_traces(self.directory, &self.manifest));
        let output_bytes = closing.output_bytes.unwrap_or_else(|| kept_output(self.directory));
        let result = TransactionResult {
            exit_code: outcome.exit_code(),
            outcome,
            output_bytes,
            duration_ms: closing
                .duration
                .map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
            notes,
        };
        self.journal.append(&Record::Closed { result })
    }
}

/// What an interrupted supervisor left of the output: all that its index tells of.
fn kept_output(directory: &TransactionDir) -> u64 {
    let mut index = careen_model::output::IndexReader::default();
    let bytes = fs::read(directory.file(file::INDEX)).unwrap_or_default();
    // A damaged index has told of less; its damage is reported to whoever reads the log.
    let _ = index.push(&bytes);
    index.next_offset()
}

/// Why and since when the command is being stopped.
#[derive(Debug)]
struct Stopping {
    reason: StopReason,
    kill_at: Instant,
    killed: bool,
}

/// What is waited for while a command runs.
struct Watch {
    time_limit: Option<Instant>,
    grace: Duration,
    stop: Option<Stopping>,
    removal: Option<(std::os::unix::net::UnixStream, std::sync::mpsc::Sender<()>)>,
    ended: Option<CommandEnd>,
    childless: bool,
}

impl Watch {
    fn new(supervisor: &Supervisor<'_>, child: &Child) -> anyhow::Result<Self> {
        let removal = match supervisor.manifest.on_remove {
            OnRemove::Stop => removal::watch(supervisor.directory)?,
            OnRemove::Continue => None,
        };
        Ok(Self {
            time_limit: supervisor.manifest.timeout().map(|limit| child.started + limit),
            grace: supervisor.manifest.stop_grace_period(),
            stop: None,
            removal,
            ended: None,
            childless: false,
        })
    }

    /// Until the command has ended, and, when it was stopped, everything that it started too.
    fn until_ended(
        &mut self,
        supervisor: &mut Supervisor<'_>,
        child: &mut Child,
        output: &mut OutputLog,
        control: &mut Control,
    ) -> anyhow::Result<CommandEnd> {
        let mut buffer = child::read_buffer();
        loop {
            self.wait(supervisor, child, output, control)?;
            // Signals are taken before children are reaped: a child that ends between the two has its signal still
            // pending, and the next wait returns at once. The other way round it would be slept over.
            let signals = supervisor.signals.take()?;
            self.reap(child.pid)?;
            for stream in [Stream::Stdout, Stream::Stderr] {
                let source = match stream {
                    Stream::Stdout => &mut child.stdout,
                    Stream::Stderr => &mut child.stderr,
                };
                read_piece(source, stream, output, &mut buffer);
            }
            output.sync_if_due();
            self.react(supervisor, &signals, child, control)?;
            if let Some(end) = self.is_over() {
                // What the command wrote before it ended is in the pipes by now. What processes that it left behind
                // write later is theirs: they may keep a pipe open for years.
                drain(child, output, &mut buffer);
                return Ok(end);
            }
        }
    }

    fn wait(
        &self,
        supervisor: &Supervisor<'_>,
        child: &Child,
        output: &OutputLog,
        control: &Control,
    ) -> std::io::Result<()> {
        let mut fds = vec![supervisor.signals.as_fd()];
        fds.extend(control.fds());
        fds.extend(child.stdout.as_ref().map(AsFd::as_fd));
        fds.extend(child.stderr.as_ref().map(AsFd::as_fd));
        fds.extend(self.removal.as_ref().map(|(stream, _)| stream.as_fd()).filter(|_| self.stop.is_none()));
        let kill_at = self.stop.as_ref().filter(|stop| !stop.killed).map(|stop| stop.kill_at);
        let deadlines = [output.sync_due(), self.time_limit.filter(|_| self.stop.is_none()), kill_at];
        readiness::wait(&fds, deadlines.into_iter().flatten().min()).map(drop)
    }

    fn reap(&mut self, command: Pid) -> nix::Result<()> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == command => {
                    self.ended = Some(CommandEnd::Exited(status));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                    self.ended = Some(CommandEnd::Signaled(signal as i32));
                }
                Ok(WaitStatus::StillAlive) => {
                    self.childless = false;
                    return Ok(());
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => {
                    self.childless = true;
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    fn react(
        &mut self,
        supervisor: &mut Supervisor<'_>,
        signals: &[Signal],
        child: &mut Child,
        control: &mut Control,
    ) -> anyhow::Result<()> {
        let terminated = signals.iter().any(|signal| *signal != Signal::SIGCHLD);
        if terminated {
            self.begin_stop(supervisor, StopReason::SupervisorStopped, self.grace)?;
        }
        for message in control.take() {
            match message {
                Message::Stop(stop) => {
                    let grace = stop.grace_ms.map_or(self.grace, Duration::from_millis);
                    self.begin_stop(supervisor, StopReason::Cancelled(stop.by), grace)?;
                }
                Message::Input(bytes) => child.type_in(&bytes),
                Message::Resize { rows, columns } => child.resize(rows, columns),
            }
        }
        if self.time_limit.is_some_and(|limit| limit <= Instant::now()) {
            self.time_limit = None;
            self.begin_stop(supervisor, StopReason::TimeLimit, self.grace)?;
        }
        if self.was_removed() {
            self.begin_stop(supervisor, StopReason::ContainerRemoved, self.grace)?;
        }
        self.kill_if_due()
    }

    fn was_removed(&mut self) -> bool {
        use std::io::Read;
        let Some((stream, _)) = &mut self.removal else { return false };
        let mut byte = [0];
        let told = stream.set_nonblocking(true).and_then(|()| stream.read(&mut byte)).is_ok();
        if told {
            self.removal = None;
        }
        told
    }

    /// Asks everything that the command started to end. Asked again, it only brings the end closer.
    fn begin_stop(
        &mut self,
        supervisor: &mut Supervisor<'_>,
        reason: StopReason,
        grace: Duration,
    ) -> anyhow::Result<()> {
        if self.ended.is_some() {
            return Ok(());
        }
        let kill_at = Instant::now() + grace;
        if let Some(stop) = &mut self.stop {
            stop.kill_at = stop.kill_at.min(kill_at);
            return Ok(());
        }
        supervisor.journal.append(&Record::Stopping { reason: reason.clone() })?;
        self.stop = Some(Stopping { reason, kill_at, killed: false });
        tree::signal(&tree::descendants()?, Signal::SIGTERM);
        Ok(())
    }

    fn kill_if_due(&mut self) -> anyhow::Result<()> {
        let Some(stop) = &mut self.stop else { return Ok(()) };
        if stop.killed || stop.kill_at > Instant::now() {
            return Ok(());
        }
        let found = tree::descendants()?;
        tree::signal(&found, Signal::SIGKILL);
        if found.is_empty() {
            stop.killed = true;
        } else {
            // A process may have forked while the list was made: look again until nothing is left.
            stop.kill_at = Instant::now() + Duration::from_millis(20);
        }
        Ok(())
    }

    fn is_over(&self) -> Option<CommandEnd> {
        let stopped_all = self.stop.is_none() || self.childless;
        self.ended.clone().filter(|_| stopped_all)
    }

    fn left_behind(&self) -> Vec<tree::Process> {
        if self.childless {
            return Vec::new();
        }
        tree::descendants().unwrap_or_default()
    }
}

fn read_piece(
    source: &mut Option<Source>,
    stream: Stream,
    output: &mut OutputLog,
    buffer: &mut [u8],
) -> bool {
    let Some(reader) = source else { return false };
    match reader.read(buffer) {
        Piece::Bytes(bytes) => {
            output.append(stream, bytes);
            true
        }
        Piece::Nothing => false,
        Piece::End => {
            *source = None;
            false
        }
    }
}

/// Reads what is in the pipes now. A left-behind process that never stops writing cannot hold this up: at most what
/// a pipe holds was written before the command ended, and pipes hold 64 KiB unless somebody enlarged them to 1 MiB.
fn drain(child: &mut Child, output: &mut OutputLog, buffer: &mut [u8]) {
    const LARGEST_PIPE: usize = 1024 * 1024;
    for (source, stream) in [(&mut child.stdout, Stream::Stdout), (&mut child.stderr, Stream::Stderr)] {
        let limit = LARGEST_PIPE / buffer.len();
        for _ in 0..limit {
            if !read_piece(source, stream, output, buffer) {
                break;
            }
        }
    }
}
