//! One program of the payload while it runs: its output, its end, and everything that may stop it.

use super::child::{self, Child, PIPE_BYTES, Piece, Source};
use super::control::Control;
use super::output::OutputLog;
use super::{Supervisor, removal, tree};
use crate::readiness;
use careen_contract::chain;
use careen_contract::settings::OnRemove;
use careen_contract::variable;
use careen_host::control::Message;
use careen_host::journal::Record;
use careen_host::outcome::{CommandEnd, StopReason, TransactionPhase};
use careen_host::output::Stream;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a rollback may take. It is the last thing that is tried: a hanging one must not hide that.
const ROLLBACK_TIME_LIMIT: Duration = Duration::from_secs(15 * 60);

/// From one wait that failed to the next.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Why and since when the program is being stopped.
#[derive(Debug)]
struct Stopping {
    kill_at: Instant,
    killed: bool,
}

/// What is waited for while a program runs.
pub struct Watch {
    time_limit: Option<Instant>,
    grace: Duration,
    stop: Option<Stopping>,
    removal: Option<(UnixStream, mpsc::Sender<()>)>,
    ended: Option<CommandEnd>,
    childless: bool,
    program: Pid,
}

impl Watch {
    /// Prepares to watch this program.
    pub fn new(supervisor: &Supervisor<'_>, phase: TransactionPhase, child: &Child) -> Self {
        let removal = match (phase, supervisor.manifest.on_remove) {
            (TransactionPhase::Command, OnRemove::Stop) => removal::watch(supervisor.directory)
                .unwrap_or_else(|error| {
                    let (name, value) = (variable::ON_REMOVE, OnRemove::Stop);
                    tracing::warn!(error = chain(&error), "{name}={value}: nothing is watched");
                    None
                }),
            (TransactionPhase::Command, OnRemove::Continue) | (TransactionPhase::Rollback, _) => None,
        };
        let limit = match phase {
            TransactionPhase::Command => supervisor.manifest.timeout(),
            TransactionPhase::Rollback => Some(ROLLBACK_TIME_LIMIT),
        };
        Self {
            time_limit: limit.map(|limit| child.started + limit),
            grace: supervisor.manifest.stop_grace_period(),
            stop: None,
            removal,
            ended: None,
            childless: false,
            program: child.pid,
        }
    }

    /// Until the program has ended, and, when it was stopped, everything that it started too. Nothing that goes wrong here is a
    /// reason to leave the program alone.
    pub fn until_ended(
        &mut self,
        supervisor: &mut Supervisor<'_>,
        child: &mut Child,
        output: &mut OutputLog,
        control: &mut Control,
    ) -> CommandEnd {
        let mut buffer = child::read_buffer();
        loop {
            if let Err(error) = self.wait(supervisor, child, output, control) {
                tracing::warn!(error = chain(&error), "the command cannot be waited for");
                std::thread::sleep(RETRY_INTERVAL); // a wait that fails must not spin
            }
            // Signals are taken before children are reaped: a child that ends between the two has its signal still
            // pending, and the next wait returns at once. The other way round it would be slept over.
            let signals = supervisor.signals.take().unwrap_or_default();
            self.reap(child.pid);
            read_piece(&mut child.stdout, Stream::Stdout, output, &mut buffer);
            read_piece(&mut child.stderr, Stream::Stderr, output, &mut buffer);
            output.sync_if_due();
            self.react(supervisor, &signals, child, control);
            supervisor.settle_if_due();
            if let Some(end) = self.is_over() {
                // What the program wrote before it ended is in the pipes by now. What processes that it left behind
                // write later is theirs: they may keep a pipe open for years.
                drain(child, output, &mut buffer);
                return end;
            }
        }
    }

    /// The processes that the program left behind.
    pub fn left_behind(&self) -> Vec<String> {
        if self.childless {
            return Vec::new();
        }
        tree::descendants().unwrap_or_default().iter().map(ToString::to_string).collect()
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
        let deadlines = [
            output.sync_due(),
            self.time_limit.filter(|_| self.stop.is_none()),
            kill_at,
            supervisor.journal.retry_at(),
        ];
        readiness::wait(&fds, deadlines.into_iter().flatten().min()).map(drop)
    }

    fn reap(&mut self, program: Pid) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == program => {
                    self.ended = Some(CommandEnd::Exited(status));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                    self.ended = Some(CommandEnd::Signaled(signal as i32));
                }
                Ok(WaitStatus::StillAlive) => {
                    self.childless = false;
                    return;
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => {
                    self.childless = true;
                    return;
                }
                Err(errno) => {
                    tracing::warn!(error = chain(&errno), "the command's end cannot be asked for");
                    return;
                }
            }
        }
    }

    fn react(
        &mut self,
        supervisor: &mut Supervisor<'_>,
        signals: &[Signal],
        child: &mut Child,
        control: &mut Control,
    ) {
        let terminated = signals.iter().any(|signal| *signal != Signal::SIGCHLD);
        if terminated {
            self.begin_stop(supervisor, StopReason::SupervisorStopped, self.grace);
        }
        for message in control.take() {
            match message {
                Message::Stop(stop) => {
                    let grace = stop.grace_ms.map_or(self.grace, Duration::from_millis);
                    self.begin_stop(supervisor, StopReason::Cancelled(stop.by), grace);
                }
                // What lives is not ended by whoever wants a wait to end.
                Message::EndWait(_) => {}
                Message::Input(bytes) => child.type_in(&bytes),
                Message::Resize { rows, columns } => child.resize(rows, columns),
            }
        }
        if self.time_limit.is_some_and(|limit| limit <= Instant::now()) {
            self.time_limit = None;
            self.begin_stop(supervisor, StopReason::TimeLimit, self.grace);
        }
        if self.was_removed() {
            self.begin_stop(supervisor, StopReason::ContainerRemoved, self.grace);
        }
        self.kill_if_due();
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

    /// Asks everything that the program started to end. Asked again, it only brings the end closer. The record comes first, but
    /// a disk that does not take it holds nothing up.
    fn begin_stop(&mut self, supervisor: &mut Supervisor<'_>, reason: StopReason, grace: Duration) {
        if self.ended.is_some() {
            return;
        }
        let kill_at = Instant::now() + grace;
        if let Some(stop) = &mut self.stop {
            stop.kill_at = stop.kill_at.min(kill_at);
            return;
        }
        if let Err(error) = supervisor.note(&Record::Stopping { reason }) {
            tracing::warn!(error = chain(&error), "the stop is not recorded");
        }
        self.stop = Some(Stopping { kill_at, killed: false });
        self.signal(Signal::SIGTERM);
    }

    /// Sends a signal to everything that the program started, or, where that cannot be listed, to its process group. Returns
    /// whether nothing is left.
    fn signal(&self, signal: Signal) -> bool {
        match tree::descendants() {
            Ok(found) => {
                tree::signal(&found, signal);
                found.is_empty()
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the command's processes cannot be listed");
                let _ = killpg(self.program, signal); // gone already
                false
            }
        }
    }

    fn kill_if_due(&mut self) {
        if !self.stop.as_ref().is_some_and(|stop| !stop.killed && stop.kill_at <= Instant::now()) {
            return;
        }
        let nothing_left = self.signal(Signal::SIGKILL);
        if let Some(stop) = &mut self.stop {
            stop.killed = nothing_left;
            // A process may have forked while the list was made: look again until nothing is left.
            stop.kill_at = Instant::now() + Duration::from_millis(20);
        }
    }

    fn is_over(&self) -> Option<CommandEnd> {
        let stopped_all = self.stop.is_none() || self.childless;
        self.ended.clone().filter(|_| stopped_all)
    }
}

/// Reads at most one piece. Returns how many bytes it had.
fn read_piece(
    source: &mut Option<Source>,
    stream: Stream,
    output: &mut OutputLog,
    buffer: &mut [u8],
) -> usize {
    let Some(reader) = source else { return 0 };
    match reader.read(buffer) {
        Piece::Bytes(bytes) => {
            output.append(stream, bytes);
            bytes.len()
        }
        Piece::Nothing => 0,
        Piece::End => {
            *source = None;
            0
        }
    }
}

/// Reads what is in the pipes now. A left-behind process that never stops writing cannot hold this up: at most what
/// a pipe holds was written before the program ended.
fn drain(child: &mut Child, output: &mut OutputLog, buffer: &mut [u8]) {
    for (source, stream) in [(&mut child.stdout, Stream::Stdout), (&mut child.stderr, Stream::Stderr)] {
        let mut read = 0;
        while read < PIPE_BYTES {
            match read_piece(source, stream, output, buffer) {
                0 => break,
                piece => read += piece,
            }
        }
    }
}
