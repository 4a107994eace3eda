//! From the container to the host: starts a supervisor by the best way that is open, and says which one and why.

use super::identity::Place;
use crate::durable;
use crate::files;
use crate::journal;
use crate::layout::{TransactionDir, file};
use crate::lock::Lock;
use crate::readiness;
use crate::say::say;
use crate::stop::{OrRefuse, Stop};
use crate::supervisor::left_word;
use crate::unit::{Launch, NoSystemd, find_systemd_run};
use crate::watch::Watch;
use careen_contract::AgentExit;
use careen_contract::chain;
use careen_contract::entry::{HostEntry, Refusal, Way};
use careen_contract::label;
use careen_engine::{Engine, EngineError};
use careen_host::capability::CapabilitySet;
use careen_protocol::supervisor::Leave;
use serde_json::json;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long a supervisor may take from being asked for to its first journal line.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// Starts a supervisor and returns how, once it has the transaction.
pub fn start(
    entry: HostEntry,
    place: &Place,
    directory: &TransactionDir,
    binary: &Path,
    supervision: usize,
    go: Option<u32>,
) -> Result<Way, Stop> {
    let launch = Launch { id: place.id.clone(), supervision, binary: binary.to_owned(), go };
    durable::remove_file(&directory.file(file::LEFT)).or_refuse("start a supervisor")?;
    let attempt = Attempt { place, directory, launch: &launch };
    let mut refusals: Vec<Refusal> = Vec::new();
    for way in entry.order() {
        match attempt.by(*way) {
            Ok(how) => {
                announce(*way, &how, entry, &refusals);
                return Ok(*way);
            }
            Err(Failure::Way(closed)) => refusals.push(Refusal { way: *way, reason: chain(&closed) }),
            Err(Failure::Left(stop)) => return Err(stop),
        }
    }
    let tried: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    Err(Stop::new(AgentExit::NoWayIn, format_args!("no way into the host: {}", tried.join("; "))))
}

fn announce(way: Way, how: &str, entry: HostEntry, refusals: &[Refusal]) {
    let why = match (entry, refusals) {
        (HostEntry::Only(_), _) => " (as CAREEN_HOST_ENTRY says)".to_owned(),
        (HostEntry::Auto, []) => String::new(),
        (HostEntry::Auto, refusals) => {
            let tried: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            format!(" (refused before it: {})", tried.join("; "))
        }
    };
    say(format_args!("host entry: {way}, {how}{why}"));
    if let Some(weakness) = way.weakness() {
        say(format_args!("warning: {weakness}"));
    }
}

struct Attempt<'a> {
    place: &'a Place,
    directory: &'a TransactionDir,
    launch: &'a Launch,
}

/// Why a way into the host is closed.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error(transparent)]
    NoSystemd(#[from] NoSystemd),
    #[error("the host has no system bus")]
    NoBus,
    #[error("the host's docker socket cannot be used")]
    NoEngine,
    #[error("the agent's own container, and so its image, is unknown")]
    NoImage,
    #[error("the host's PID 1 shows no capabilities")]
    NoCapabilities,
    #[error("systemd-run cannot be started")]
    CannotRunSystemdRun(#[source] io::Error),
    #[error("the supervisor cannot be started below /host")]
    CannotRunBelowHost(#[source] io::Error),
    #[error("/proc/1/status")]
    Status(#[source] io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the helper container failed with exit code {code}: {said}")]
    HelperFailed { code: i64, said: String },
    #[error("systemd-run failed ({status}): {said}")]
    SystemdRunFailed { status: ExitStatus, said: String },
    #[error("the supervisor did not start within {seconds} s: {seen}")]
    TooLate { seconds: u64, seen: &'static str },
    /// The transaction's directory cannot be watched.
    #[error(transparent)]
    Watch(#[from] io::Error),
    #[error(transparent)]
    Journal(anyhow::Error),
}

/// Why no supervisor came.
enum Failure {
    /// Another way may be open.
    Way(Closed),
    /// One came, and left again without a word in the journal: another way leads to no other end.
    Left(Stop),
}

impl<T: Into<Closed>> From<T> for Failure {
    fn from(closed: T) -> Self {
        Self::Way(closed.into())
    }
}

impl Attempt<'_> {
    /// Tries one way; says how it went, or why it did not.
    fn by(&self, way: Way) -> Result<String, Failure> {
        match way {
            Way::Systemd => self.by_systemd(),
            Way::Container => self.by_container(),
            Way::Chroot => self.by_chroot(),
        }
    }

    fn by_systemd(&self) -> Result<String, Failure> {
        let systemd_run = find_systemd_run()?;
        if !files::exists("/run/dbus/system_bus_socket").unwrap_or(false) {
            return Err(Closed::NoBus.into());
        }
        let mut command = self.launch.systemd_run(&systemd_run, Way::Systemd, true);
        let mut asking = command.spawn().map_err(Closed::CannotRunSystemdRun)?;
        let started = self.wait_for_supervisor(Some(&mut asking));
        // It only waits for the unit's end, which this agent learns from the journal.
        let _ = asking.kill();
        let _ = asking.wait();
        started.map(|()| format!("transient unit {}", self.launch.unit()))
    }

    fn by_container(&self) -> Result<String, Failure> {
        let engine = self.place.engine.as_ref().ok_or(Closed::NoEngine)?;
        let image = self.place.container.as_ref().ok_or(Closed::NoImage)?;
        let status = files::read_to_string("/proc/1/status").map_err(Closed::Status)?;
        let bounding = CapabilitySet::from_status(&status, "CapBnd").ok_or(Closed::NoCapabilities)?;
        let body = self.helper(&image.image, bounding);
        let helper = engine.create_container(&body)?;
        let ran = self.run_helper(engine, &helper);
        if let Err(error) = engine.remove_container(&helper) {
            say(format_args!("the helper container {helper} could not be removed: {}", chain(&error)));
        }
        ran.map(|words| format!("a helper container on the host's engine, {words}"))
    }

    fn run_helper(&self, engine: &Engine, helper: &str) -> Result<String, Failure> {
        engine.start_container(helper)?;
        let code = engine.wait_container(helper)?;
        let said = engine.last_words(helper).unwrap_or_default();
        if code != 0 {
            return Err(Closed::HelperFailed { code, said }.into());
        }
        self.wait_for_supervisor(None).map(|()| said)
    }

    /// The helper: this image, by its id; the host's namespaces but for the file system, which it enters itself; exactly
    /// the capabilities of the host's PID 1, for an engine refuses what is not in its bounding set; no confinement,
    /// for what the command would be denied cannot be known.
    fn helper(&self, image: &str, bounding: CapabilitySet) -> serde_json::Value {
        let launch = self.launch;
        let mut words =
            vec![json!("helper"), json!(launch.id.as_str()), json!(launch.supervision.to_string())];
        words.push(json!(launch.binary));
        words.extend(launch.go.map(|agent| json!(agent.to_string())));
        json!({
            "Image": image,
            "Entrypoint": [self.place.own.binary],
            "Cmd": words,
            "User": "0:0",
            "WorkingDir": "/",
            "Tty": false,
            "Labels": { label::HELPER: launch.id.as_str() },
            "HostConfig": {
                "PidMode": "host",
                "NetworkMode": "host",
                "IpcMode": "host",
                "UTSMode": "host",
                "CapAdd": bounding.names(),
                "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
                "LogConfig": { "Type": "json-file", "Config": {} },
                "RestartPolicy": { "Name": "no" },
            },
        })
    }

    fn by_chroot(&self) -> Result<String, Failure> {
        let command = self.launch.plain(Way::Chroot, self.directory);
        let started = command.and_then(|mut command| command.spawn());
        let _child = started.map_err(Closed::CannotRunBelowHost)?;
        self.wait_for_supervisor(None).map(|()| "a process of this container below /host".to_owned())
    }

    /// Until the supervisor has written its first line, or whoever asked for it has failed.
    fn wait_for_supervisor(&self, mut asking: Option<&mut Child>) -> Result<(), Failure> {
        let deadline = Instant::now() + START_DEADLINE;
        let watch = Watch::on(self.directory.path())?;
        loop {
            if self.supervised()? {
                return Ok(());
            }
            if let Some(stop) = self.left() {
                return Err(Failure::Left(stop));
            }
            if let Some(status) = asking.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                return Err(Closed::SystemdRunFailed { status, said: complaint(asking) }.into());
            }
            if deadline <= Instant::now() {
                let held = Lock::is_held(&self.directory.file(file::SUPERVISOR_LOCK)).unwrap_or(false);
                let seen =
                    if held { "it has locked the transaction, and hangs" } else { "it did not appear" };
                return Err(Closed::TooLate { seconds: START_DEADLINE.as_secs(), seen }.into());
            }
            let pipe = asking.as_ref().and_then(|child| child.stderr.as_ref());
            let fds: Vec<_> = [watch.fd(), pipe.map(AsFd::as_fd)].into_iter().flatten().collect();
            let tick = Instant::now() + Duration::from_secs(1);
            readiness::wait(&fds, Some(watch.look_at(deadline.min(tick))))?;
            watch.take(|_| true);
        }
    }

    /// Why a supervisor left that recorded nothing.
    fn left(&self) -> Option<Stop> {
        let word = files::read_to_string(self.directory.file(file::LEFT)).ok()?;
        let id = &self.place.id;
        Some(if word == left_word(Leave::HostBusy) {
            let message = format!("this host is busy with another transaction; nothing of {id} was begun");
            Stop::new(AgentExit::HostBusy, message)
        } else {
            let message = format!("the go for transaction {id} does not count any more; nothing was begun");
            Stop::new(AgentExit::Interrupted, message)
        })
    }

    fn supervised(&self) -> Result<bool, Closed> {
        let (journal, _) = journal::read(&self.directory.file(file::JOURNAL)).map_err(Closed::Journal)?;
        Ok(journal.lines.len() >= self.launch.supervision)
    }
}

/// What a process that ended said on its standard error, on one line.
fn complaint(child: Option<&mut Child>) -> String {
    let mut said = Vec::new();
    if let Some(stderr) = child.and_then(|child| child.stderr.take()) {
        let _ = stderr.take(4096).read_to_end(&mut said); // what was read is better than nothing
    }
    let said = String::from_utf8_lossy(&said);
    said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
