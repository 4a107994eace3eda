//! An enforcing agent (`careen-agent enforce`): a container that stays and keeps its host as the payload wants it. A global service
//! places one on each node.
//!
//! What follows is decided in [`careen_protocol::enforce`]; this carries it out, one thing at a time. Between two passes it waits in
//! one poll(2) for a signal, a change of the owned paths, or its time. Whatever keeps it from its work is said, and
//! the container stays: one that ends would be started by Swarm again every five seconds.

mod memory;
mod pass;
mod plan;
mod tidy;
mod watch;

use super::identity::{Own, Place};
use super::{HOST, Request, follow, host};
use crate::boot::{boot_id, since_boot};
use crate::engine_process::engine_instance;
use crate::layout::{self, TransactionDir};
use crate::lock::Lock;
use crate::payload::Source;
use crate::say::{how_it_is, hushed, say};
use crate::signals::Signals;
use crate::stop::{OrRefuse, Stop};
use crate::{files, readiness};
use careen_contract::enforce_part::EnforcePart;
use careen_contract::payload::{CHECK_COMMAND, DEFAULT_COMMAND};
use careen_contract::standing::{EnforceState, PathWatch, Standing};
use careen_contract::{AgentExit, TransactionId, variable};
use careen_protocol::enforce::{Beside, EnforceAct, Enforcer, Event, Now, Of};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use pass::{Passes, no_command};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use watch::{Changes, OwnedPaths};

/// When it is looked again whether another agent still enforces the same here.
const LOCK_AGAIN: Duration = Duration::from_secs(5);

/// What the container ends with that was told to stop.
const STOPPED: u8 = 0;

/// Runs an enforcing agent and returns its exit code.
pub fn enforce(args: Vec<OsString>) -> u8 {
    let watched = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH];
    let enforced = Signals::watch(&watched).or_refuse("watch signals").and_then(|signals| {
        let part = part()?;
        try_enforce(args, part.clone(), &signals).or_else(|stop| stay(&part, &stop, &signals))
    });
    enforced.unwrap_or_else(|stop| {
        say(&stop);
        stop.exit.code()
    })
}

fn part() -> Result<EnforcePart, Stop> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let environment = std::env::vars_os().filter_map(text).collect();
    EnforcePart::from_env(&environment).map_err(Stop::refused)?.ok_or_else(|| {
        Stop::refused(format_args!(
            "nothing says what is enforced: set {}=<name> on the container",
            variable::ENFORCE
        ))
    })
}

/// What cannot be begun is said, once, as where the host is.
fn stay(part: &EnforcePart, stop: &Stop, signals: &Signals) -> Result<u8, Stop> {
    say(stop);
    how_it_is(&unknown(part, &stop.message));
    follow::wait_to_be_stopped(signals).or_refuse("wait")?;
    Ok(STOPPED)
}

/// While nothing is enforced at all.
fn unknown(part: &EnforcePart, why: &str) -> Standing {
    Standing {
        name: part.name.clone(),
        version: part.version.clone(),
        state: EnforceState::Unknown,
        why: Some(format!("nothing is enforced here: {why}")),
        watch: PathWatch::Nothing,
        mended: 0,
        last: None,
        at: unix_ms() / 1000,
        notes: Vec::new(),
    }
}

fn try_enforce(args: Vec<OsString>, part: EnforcePart, signals: &Signals) -> Result<u8, Stop> {
    let request = Request::read([OsString::from(DEFAULT_COMMAND)].into_iter().chain(args).collect())?;
    let payload = &request.settings.payload;
    let source = Source::open(Path::new(payload)).or_refuse(format_args!("read the payload at {payload}"))?;
    let source = source.ok_or_else(|| no_command(CHECK_COMMAND))?;
    for command in [CHECK_COMMAND, DEFAULT_COMMAND] {
        source.command(command).or_refuse("read the payload")?.ok_or_else(|| no_command(command))?;
    }
    if !host::is_mounted(Path::new(HOST)) {
        return Err(Stop::new(AgentExit::NoHost, format_args!("the host's root is not mounted at {HOST}")));
    }
    host::check(Path::new(HOST))?;
    let own = Own::read()?;
    host::enter(Path::new(HOST))?;
    let Some(_lock) = take_lock(&part, signals)? else { return Ok(STOPPED) };
    let first = next_id(&part)?;
    let passes = Passes { request, source, place: Place::named(first, own), signals };
    // What goes wrong in the middle of it another container may be spared.
    Agent::new(part, passes).or_refuse_chain("begin")?.run().or_else(|stop| {
        say(&stop);
        Ok(stop.exit.code())
    })
}

/// An agent that Swarm has replaced may need a moment to leave; a disk that takes nothing is somebody's to mend.
fn take_lock(part: &EnforcePart, signals: &Signals) -> Result<Option<Lock>, Stop> {
    let mut said = None;
    loop {
        let why = match memory::lock(Path::new(layout::ROOT), &part.name) {
            Ok(Some(lock)) => return Ok(Some(lock)),
            Ok(None) => "another agent enforces the same on this host: waiting for it to leave".to_owned(),
            Err(error) => format!("nothing can be written to {}: {error}", layout::ROOT),
        };
        if said.as_ref() != Some(&why) {
            how_it_is(&unknown(part, &why));
            said = Some(why);
        }
        if follow::wait_to_be_stopped_until(signals, Instant::now() + LOCK_AGAIN).or_refuse("wait")? {
            return Ok(None);
        }
    }
}

fn next_id(part: &EnforcePart) -> Result<TransactionId, Stop> {
    let id = part.transaction(unix_ms());
    id.ok_or_else(|| Stop::refused(format_args!("'{}' is too long for a name", part.name)))
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn now() -> Result<Now, Stop> {
    Ok(Now { since_boot: since_boot().or_refuse_chain("read the clock")?, unix_ms: unix_ms() })
}

/// As [`OrRefuse`], of an error that is a chain.
trait OrRefuseChain<T> {
    /// `what` completes the sentence 'cannot …'.
    fn or_refuse_chain(self, what: &str) -> Result<T, Stop>;
}

impl<T> OrRefuseChain<T> for anyhow::Result<T> {
    fn or_refuse_chain(self, what: &str) -> Result<T, Stop> {
        self.map_err(|error| Stop::refused(format_args!("cannot {what}: {error:#}")))
    }
}

/// Drives the machine.
struct Agent<'a> {
    part: EnforcePart,
    machine: Enforcer,
    passes: Passes<'a>,
    owned: OwnedPaths,
    changes: Changes,
    not_written: Option<String>,
    boot: String,
    /// The engine's process, when it was seen last.
    engine: String,
    /// Whether it has told how it comes to the host.
    has_told: bool,
}

impl<'a> Agent<'a> {
    fn new(part: EnforcePart, passes: Passes<'a>) -> anyhow::Result<Self> {
        let boot = boot_id()?;
        let node = match passes.place.info.swarm.node_id.as_str() {
            "" => passes.place.node_name(),
            id => id.to_owned(),
        };
        let run = passes.request.settings.run.clone();
        let service = passes.place.origin().service_id.unwrap_or_default();
        let machine = Enforcer::new(Of { part: part.clone(), run, service, boot: boot.clone(), node });
        let owned = OwnedPaths::watch(part.owns.clone());
        Ok(Self {
            part,
            machine,
            passes,
            owned,
            changes: Changes::default(),
            not_written: None,
            boot,
            engine: String::new(),
            has_told: false,
        })
    }

    /// Until it is told to leave.
    fn run(mut self) -> Result<u8, Stop> {
        self.tidy();
        let mut event = self.recall();
        loop {
            let beside = self.beside();
            let step = self.machine.step(event, beside, now()?).map_err(|defect| {
                Stop::new(AgentExit::Interrupted, format_args!("{defect}: this is a defect of careen's"))
            })?;
            if let Some(memory) = &step.write {
                let written = memory::write(Path::new(layout::ROOT), memory);
                self.not_written = written.err().map(|error| error.to_string());
            }
            if let Some(standing) = &step.say {
                how_it_is(standing);
            }
            event = match step.act {
                EnforceAct::Wait { until } => self.wait(until)?,
                EnforceAct::Check => self.check()?,
                EnforceAct::Install(id) => self.install(id, true),
                EnforceAct::Rejoin(id) => self.install(id, false),
                EnforceAct::AskHost => Event::Host { holder: holder() },
                EnforceAct::Recall => self.recall(),
                EnforceAct::Leave => return Ok(STOPPED),
            };
        }
    }

    fn beside(&mut self) -> Beside {
        self.changes.add(self.owned.take());
        let Changes { paths, lost } = std::mem::take(&mut self.changes);
        Beside { changed: paths, lost, watch: self.owned.how(), not_written: self.not_written.clone() }
    }

    fn recall(&self) -> Event {
        Event::Remembered(memory::read(Path::new(layout::ROOT), &self.part.name))
    }

    fn wait(&mut self, until: Duration) -> Result<Event, Stop> {
        loop {
            let left = until.saturating_sub(since_boot().or_refuse_chain("read the clock")?);
            if left.is_zero() {
                return Ok(Event::Woken);
            }
            let mut deadline = Instant::now() + left;
            let mut fds = vec![std::os::fd::AsFd::as_fd(self.passes.signals)];
            match self.owned.fd() {
                Ok(fd) => fds.extend(fd),
                Err(rests_until) => deadline = deadline.min(rests_until),
            }
            readiness::wait(&fds, Some(deadline)).or_refuse("wait")?;
            let signals = self.passes.signals.take().or_refuse("read signals")?;
            if signals.iter().any(|signal| *signal != Signal::SIGWINCH) {
                return Ok(Event::ToldToLeave);
            }
            if self.owned.fd().is_ok() {
                self.changes.add(self.owned.take());
            }
            if !self.changes.is_empty() {
                return Ok(Event::Woken);
            }
        }
    }

    fn check(&mut self) -> Result<Event, Stop> {
        self.changes.add(self.owned.refresh());
        let id = next_id(&self.part)?;
        let looked = hushed(self.has_told, || self.passes.check(id));
        self.has_told = true;
        reap();
        let life = self.life();
        Ok(looked.map_or(Event::ToldToLeave, |looked| Event::Looked { looked, life }))
    }

    fn install(&mut self, id: TransactionId, is_new: bool) -> Event {
        let installed = hushed(self.has_told, || self.passes.install(id.clone(), is_new));
        reap();
        let Some(installed) = installed else {
            say(format_args!(
                "told to leave; 'install' goes on on this host as transaction {id}, and the next agent follows it"
            ));
            return Event::ToldToLeave;
        };
        self.tidy();
        Event::Installed(installed)
    }

    /// Which boot this is, and which process the engine's is. While the engine is down it is the last one.
    fn life(&mut self) -> String {
        if let Some(engine) = engine_instance() {
            self.engine = format!("{}-{}", engine.pid, engine.start_ticks);
        }
        format!("{} {}", self.boot, self.engine)
    }

    fn tidy(&self) {
        let root = Path::new(layout::ROOT);
        match tidy::surplus(root, &self.part) {
            Ok(surplus) => surplus.iter().for_each(|id| pass::remove(&TransactionDir::new(root, id))),
            Err(error) => say(format_args!("old transactions stay on this host: {error:#}")),
        }
    }
}

/// The transaction that has the host. While that cannot be told somebody may have it.
fn holder() -> Option<String> {
    let path = layout::host_lock(Path::new(layout::ROOT));
    match Lock::is_held(&path) {
        Ok(false) => None,
        Ok(true) => {
            Some(files::read_to_string(&path).unwrap_or_else(|error| format!("without a name ({error})")))
        }
        Err(error) => Some(format!("that cannot be asked for ({error})")),
    }
}

/// Takes leave of processes that have ended: in its container this is the first process, and with the way 'chroot' supervisors are its
/// children.
fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}
