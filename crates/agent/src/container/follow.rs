//! Following a transaction: print what the command writes, and see how it ends.
//!
//! Only files are read; the supervisor does not know who follows. An agent that is slow, frozen or killed holds up
//! nothing, and any number of agents can follow the same transaction, from any offset.

use super::create::Joined;
use super::printer::Printer;
use super::terminal::Terminal;
use crate::layout::{TransactionDir, file};
use crate::lock::Lock;
use crate::say::say;
use crate::signals::Signals;
use crate::stop::{OrRefuse, Stop};
use crate::watch::Watch;
use crate::{hold, journal};
use careen_contract::entry::Way;
use careen_contract::report::Printed;
use careen_engine::Bell;
use careen_host::control::{self, Message};
use careen_host::journal::{EngineOutcome, Journal, Record, TransactionResult};
use careen_host::outcome::EngineRestart;
use careen_host::transaction::TransactionStage;
use nix::sys::signal::Signal;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the supervisor is looked after. Everything else is told by the kernel at once.
const LIVENESS_INTERVAL: Duration = Duration::from_secs(1);

/// Behind a look at what a witness asks of others: an engine on a busy host has much to tell.
pub const LEAST_APART: Duration = Duration::from_millis(100);

/// How long a command gets that dies with its container anyway. Less than the 10 s after which engines kill.
const CHROOT_GRACE_MS: u64 = 7000;

#[derive(Debug)]
pub enum End {
    /// The transaction closed with this result.
    Closed(TransactionResult),
    /// The agent was told to leave.
    Detached,
    /// Nobody supervises the transaction any more, and it has no result.
    SupervisorDied,
}

/// Somebody who wants to know what a transaction does beside its output.
pub trait Witness {
    /// The records of its journal that are new, once each, those from before this agent came included.
    fn records(&mut self, directory: &TransactionDir, records: &[&Record]);
    /// About once a second, and when its bell rang or the supervisor wrote something; with what the command printed last.
    fn tick(&mut self, directory: &TransactionDir, printed: Option<Printed>);
    /// What rings when it is worth a tick.
    fn bell(&self) -> Option<&Bell> {
        None
    }
}

#[derive(Debug)]
pub struct Nobody;

impl Witness for Nobody {
    fn records(&mut self, _: &TransactionDir, _: &[&Record]) {}
    fn tick(&mut self, _: &TransactionDir, _: Option<Printed>) {}
}

/// How far an agent has told of a transaction: whoever follows it for the same agent goes on from there.
#[derive(Debug, Default)]
pub struct Told {
    /// Of the output, in bytes from its beginning.
    offset: u64,
    /// Of the journal.
    lines: usize,
    /// Why the supervisor waited.
    hold: Option<String>,
    /// Whether something was followed already.
    goes_on: bool,
}

impl Told {
    /// Nothing yet of the journal; of the output what lies before this offset is not asked for.
    pub fn from_offset(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }
}

/// One agent's view of a transaction.
#[derive(Debug)]
pub struct Follower {
    directory: TransactionDir,
    watch: Watch,
    printer: Printer,
    way: Option<Way>,
    terminal: Option<Terminal>,
    awaits_terminal: bool,
    stops_sent: u32,
    lines_told: usize,
    hold_told: Option<String>,
}

impl Follower {
    /// Begins to follow, and tells what was not told. An agent that comes to a command that runs already prints its output from
    /// the beginning, because the log of an agent before it goes with that one's container, and says how much of it is old.
    pub fn open(joined: &Joined, told: Told) -> Result<Self, Stop> {
        let directory = joined.directory.clone();
        let watch = Watch::on(directory.path()).or_refuse("watch the transaction")?;
        let awaits_terminal = joined.terminal && !joined.was_closed;
        let mut printer = Printer::new(directory.clone(), joined.output_limit, told.offset);
        let old = joined.printed_before.saturating_sub(told.offset);
        if old > 0 && !told.goes_on && !joined.was_closed {
            say(format_args!("the command had printed {old} bytes before this agent came: they come first"));
            printer.tell_when_new(joined.printed_before);
        }
        Ok(Self {
            directory,
            watch,
            printer,
            way: joined.way,
            terminal: None,
            awaits_terminal,
            stops_sent: 0,
            lines_told: told.lines,
            hold_told: told.hold,
        })
    }

    /// How far it has told.
    pub fn told(self) -> Told {
        Told { offset: self.printer.offset(), lines: self.lines_told, hold: self.hold_told, goes_on: true }
    }

    /// Until the transaction is closed, or the agent has to leave.
    pub fn follow(&mut self, signals: &Signals, witness: &mut dyn Witness) -> Result<End, Stop> {
        let mut ticked = Instant::now();
        let mut look_at = ticked + LEAST_APART;
        let mut more_than_output = true;
        loop {
            self.attach_terminal();
            if more_than_output && let Some(result) = self.closed(witness)? {
                self.printer.print().or_lose("read the output")?;
                return Ok(End::Closed(result));
            }
            self.printer.print().or_lose("read the output")?;
            self.wait(signals, witness.bell(), look_at).or_lose("wait for the transaction")?;
            more_than_output = self.more_than_output_changed();
            if witness.bell().is_some_and(Bell::rang) || more_than_output {
                look_at = look_at.min(ticked + LEAST_APART);
            }
            if self.handle(&signals.take().or_lose("read signals")?) {
                self.printer.print().or_lose("read the output")?;
                return Ok(End::Detached);
            }
            if look_at <= Instant::now() {
                ticked = Instant::now();
                look_at = ticked + LIVENESS_INTERVAL;
                more_than_output = true;
                witness.tick(&self.directory, self.printer.printed());
                if self.supervisor_is_gone(witness)? {
                    return Ok(End::SupervisorDied);
                }
            }
        }
    }

    /// Takes the changes of files that came since the last call. A command that prints changes its output thousands of
    /// times a second; the journal and the hold are read only when something else has changed, or may have. A go is what
    /// agents write.
    fn more_than_output_changed(&self) -> bool {
        let of_no_news = [file::OUTPUT, file::TAIL, file::INDEX, file::GO];
        self.watch.take(|name| {
            !of_no_news.iter().any(|file| Path::new(name).file_stem() == Path::new(file).file_stem())
        })
    }

    fn wait(&mut self, signals: &Signals, bell: Option<&Bell>, deadline: Instant) -> io::Result<()> {
        let mut fds = vec![signals.as_fd()];
        fds.extend(bell.map(Bell::fd));
        fds.extend(self.watch.fd());
        let keyboard = self.terminal.as_ref().and_then(Terminal::keyboard);
        fds.extend(keyboard);
        let ready = crate::readiness::wait(&fds, Some(self.watch.look_at(deadline)))?;
        if keyboard.is_some()
            && ready.last() == Some(&true)
            && let Some(terminal) = &mut self.terminal
            && terminal.send_keys().is_err()
        {
            self.terminal = None; // the supervisor hung up: it is closing
        }
        Ok(())
    }

    /// Connects the terminal as soon as the supervisor listens, which is a moment after it took the transaction.
    fn attach_terminal(&mut self) {
        if !self.awaits_terminal {
            return;
        }
        match Terminal::attach(&self.directory.file(file::CONTROL)) {
            Ok(terminal) => self.terminal = Some(terminal),
            // Its appearance, or the command's end, is what is waited for next.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return;
            }
            Err(error) => say(format_args!(
                "the terminal cannot be attached ({error}): its keys will not reach the command"
            )),
        }
        self.awaits_terminal = false;
    }

    /// Acts on signals; `true` when the agent has to leave.
    fn handle(&mut self, signals: &[Signal]) -> bool {
        let mut leave = false;
        for signal in signals {
            if *signal == Signal::SIGWINCH {
                if let Some(terminal) = &mut self.terminal {
                    let _ = terminal.send_size(); // a window of the wrong size is no reason to fail
                }
            } else if matches!(signal, Signal::SIGINT | Signal::SIGQUIT) {
                self.stop_command(None);
            } else if self.way == Some(Way::Chroot) {
                // The command is below us: it cannot outlive this container, so it is given the time there is.
                self.stop_command(Some(CHROOT_GRACE_MS));
            } else {
                leave = true;
            }
        }
        leave
    }

    /// Asks the supervisor to stop the command; asked a second time, without any more grace.
    fn stop_command(&mut self, grace_ms: Option<u64>) {
        self.stops_sent += 1;
        let grace_ms = if self.stops_sent > 1 { Some(0) } else { grace_ms };
        let by = if self.way == Some(Way::Chroot) {
            "the container it runs in, which is being stopped"
        } else {
            "Ctrl-C"
        };
        match send_stop(&self.directory, by, grace_ms) {
            Ok(()) if self.stops_sent > 1 => say("killing the command"),
            Ok(()) => say("stopping the command (once more kills it)"),
            Err(error) => say(format_args!("the supervisor cannot be reached: {error}")),
        }
    }

    fn closed(&mut self, witness: &mut dyn Witness) -> Result<Option<TransactionResult>, Stop> {
        match journal::read(&self.directory.file(file::JOURNAL)) {
            Ok((journal, state)) => {
                self.tell(&journal, witness);
                if let TransactionStage::Closed(result) = state.stage { Ok(Some(result)) } else { Ok(None) }
            }
            Err(error) => Err(Stop::new(careen_contract::AgentExit::Interrupted, format_args!("{error:#}"))),
        }
    }

    /// Says what the supervisor does beside the command: each wait has its reason.
    fn tell(&mut self, journal: &Journal, witness: &mut dyn Witness) {
        let new: Vec<&Record> = journal.lines.iter().skip(self.lines_told).map(|line| &line.record).collect();
        witness.records(&self.directory, &new);
        for record in new {
            match record {
                Record::Starting { attempt, phase, .. } if *attempt > 1 => {
                    say(format_args!("attempt {attempt} of the {phase}"))
                }
                Record::Stopping { reason } => say(format_args!("stopping the command: {reason}")),
                Record::RestartingEngine { why: why @ EngineRestart::Down } => {
                    say(format_args!("{}: starting it", why.words()));
                }
                Record::RestartingEngine {
                    why: why @ (EngineRestart::Replaced | EngineRestart::CalledDown),
                } => {
                    say(format_args!("{}: restarting the engine, which ends this container", why.words()));
                }
                Record::EngineSettled { outcome: EngineOutcome::Up } => say("the engine is up"),
                Record::EngineSettled { outcome: EngineOutcome::Refused { reason } } => {
                    say(format_args!("the engine was not restarted: {reason}"))
                }
                Record::EngineSettled { outcome: EngineOutcome::Down { words } } => {
                    say(format_args!("the engine stays down: {words}"))
                }
                Record::Rebooting { reason, .. } => say(format_args!("rebooting the host: {reason}")),
                Record::Rebooted { .. } => say("the host has rebooted"),
                Record::Interrupted => say("the command was interrupted"),
                Record::Revoked { by } => say(format_args!("nothing was begun: revoked by {by}")),
                Record::Supervised { .. }
                | Record::Offered { .. }
                | Record::Starting { .. }
                | Record::Running { .. }
                | Record::Ended { .. }
                | Record::Closed { .. } => {}
            }
        }
        self.lines_told = journal.lines.len();
        let hold = hold::read(&self.directory.file(file::HOLD));
        if hold != self.hold_told {
            if let Some(reason) = &hold {
                say(format_args!("waiting: {reason}"));
            }
            self.hold_told = hold;
        }
    }

    fn supervisor_is_gone(&mut self, witness: &mut dyn Witness) -> Result<bool, Stop> {
        let held = Lock::is_held(&self.directory.file(file::SUPERVISOR_LOCK))
            .or_lose("look after the supervisor")?;
        // Closing and unlocking are two steps: whoever sees the second must look for the first again.
        Ok(!held && self.closed(witness)?.is_none())
    }
}

/// Turns an error into the end of following. It is no refusal: the command was begun.
trait OrLose<T> {
    /// `what` completes the sentence 'cannot …'.
    fn or_lose(self, what: &str) -> Result<T, Stop>;
}

impl<T> OrLose<T> for io::Result<T> {
    fn or_lose(self, what: &str) -> Result<T, Stop> {
        self.map_err(|error| {
            let message = format!(
                "cannot {what}: {error}; the command may go on on this host: start the same again to follow it there"
            );
            Stop::new(careen_contract::AgentExit::Interrupted, message)
        })
    }
}

/// Asks a transaction's supervisor to stop its command.
pub fn send_stop(directory: &TransactionDir, by: &str, grace_ms: Option<u64>) -> io::Result<()> {
    tell_to_stop(directory, by, grace_ms).map(drop)
}

fn tell_to_stop(directory: &TransactionDir, by: &str, grace_ms: Option<u64>) -> io::Result<UnixStream> {
    let stop = control::Stop { by: by.to_owned(), grace_ms };
    let mut supervisor = UnixStream::connect(directory.file(file::CONTROL))?;
    supervisor.write_all(&Message::Stop(stop).encode())?;
    Ok(supervisor)
}

/// As [`send_stop`], and what the supervisor answers; nothing, when it does what it is asked.
pub fn ask_to_stop(
    directory: &TransactionDir,
    by: &str,
    grace_ms: Option<u64>,
    limit: Duration,
) -> io::Result<String> {
    let mut supervisor = tell_to_stop(directory, by, grace_ms)?;
    supervisor.shutdown(Shutdown::Write)?;
    supervisor.set_read_timeout(Some(limit))?;
    let mut answer = String::new();
    match supervisor.read_to_string(&mut answer) {
        // It was asked, and is at something else.
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionReset) => {}
        read => drop(read?),
    }
    Ok(answer)
}

/// Asks a transaction's supervisor to end what it waits for; a program that runs is left alone.
pub fn end_wait(directory: &TransactionDir, by: &str) -> io::Result<()> {
    UnixStream::connect(directory.file(file::CONTROL))?.write_all(&Message::EndWait(by.to_owned()).encode())
}

/// Waits for the first signal that ends a container.
pub fn wait_to_be_stopped(signals: &Signals) -> io::Result<()> {
    while !wait_to_be_stopped_until(signals, Instant::now() + Duration::from_secs(60 * 60))? {}
    Ok(())
}

/// As [`wait_to_be_stopped`], until this moment at the latest; `true` when such a signal came.
pub fn wait_to_be_stopped_until(signals: &Signals, deadline: Instant) -> io::Result<bool> {
    wait_to_be_stopped_or_rung(signals, None, deadline)
}

/// As [`wait_to_be_stopped_until`], and no longer than until it rings.
pub fn wait_to_be_stopped_or_rung(
    signals: &Signals,
    bell: Option<&Bell>,
    deadline: Instant,
) -> io::Result<bool> {
    while Instant::now() < deadline {
        let fds: Vec<_> = [signals.as_fd()].into_iter().chain(bell.map(Bell::fd)).collect();
        crate::readiness::wait(&fds, Some(deadline))?;
        if signals.take()?.iter().any(|signal| *signal != Signal::SIGWINCH) {
            return Ok(true);
        }
        if bell.is_some_and(Bell::rang) {
            break;
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::output::OutputLog;
    use careen_host::output::Stream;

    #[derive(Default)]
    struct Heard {
        records: usize,
        printed: Option<Printed>,
    }

    impl Witness for Heard {
        fn records(&mut self, _: &TransactionDir, records: &[&Record]) {
            self.records += records.len();
        }

        fn tick(&mut self, _: &TransactionDir, printed: Option<Printed>) {
            self.printed = printed;
        }
    }

    fn supervised(pid: u32) -> Record {
        Record::Supervised { entry: Way::Systemd, pid, boot_id: "b1".into() }
    }

    /// Until the lock, which nobody has, is looked at.
    fn follow(joined: &Joined, told: Told) -> (Told, Heard) {
        let signals = Signals::watch(&[Signal::SIGUSR1]).unwrap();
        let mut heard = Heard::default();
        let mut follower = Follower::open(joined, told).unwrap();
        let end = follower.follow(&signals, &mut heard).unwrap();
        assert!(matches!(end, End::SupervisorDied), "{end:?}");
        (follower.told(), heard)
    }

    #[test]
    fn behind_a_supervisor_that_died_an_agent_goes_on_where_it_was() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        let mut journal = journal::Writer::open(&directory.file(file::JOURNAL)).unwrap();
        let phase = careen_host::outcome::TransactionPhase::Command;
        for record in [
            supervised(1),
            Record::Starting { phase, attempt: 1, engine_up: true },
            Record::Running { pid: 2 },
        ] {
            journal.append(&record).unwrap();
        }
        let mut output = OutputLog::open(&directory, 8192).unwrap();
        output.append(Stream::Stdout, b"one\n");
        let joined = Joined {
            directory,
            way: None,
            was_closed: false,
            terminal: false,
            output_limit: 8192,
            printed_before: 0,
        };
        let (told, heard) = follow(&joined, Told::from_offset(0));
        assert_eq!((told.offset, told.lines, heard.records), (4, 3, 3));
        assert_eq!(heard.printed.unwrap().line, "one");
        journal.append(&supervised(2)).unwrap();
        output.append(Stream::Stdout, b"two");
        let (told, heard) = follow(&joined, told);
        assert_eq!((told.offset, told.lines, heard.records), (7, 4, 1), "what is new, and that alone");
        assert_eq!(heard.printed.unwrap().line, "two");
    }
}
