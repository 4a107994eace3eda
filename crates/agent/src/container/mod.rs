//! The agent: what runs inside the container. It finds out what it is asked to do and where it is, makes sure that a
//! supervisor on the host does it exactly once, follows the supervisor's log, and exits with the result.
//!
//! The order matters: whatever can be wrong is found before anything is written to the host, and what is read from the
//! container (the payload, the secrets, the container's own id) is read or opened before the agent goes below /host.

mod binary;
mod create;
mod enforce;
mod entry;
mod errand;
mod follow;
mod help;
mod host;
mod identity;
mod inquiry;
mod last_lines;
mod printer;
mod rollout;
mod secrets;
mod terminal;
mod unusable;

pub use enforce::enforce;
pub use errand::asked;
pub use follow::ask_to_stop;
pub use printer::Printer;

use crate::payload::Source;
use crate::say::say;
use crate::signals::Signals;
use crate::stop::{OrRefuse, Stop};
use careen_contract::command::{Executable, judge};
use careen_contract::payload::{DEFAULT_COMMAND, HELP_COMMAND, check_name, takes_host_lock};
use careen_contract::settings::{DEFAULT_PAYLOAD, EngineRestarts, Reboot, Settings};
use careen_contract::variable;
use careen_contract::{AgentExit, TransactionId};
use careen_host::journal::TransactionResult;
use create::Joined;
use follow::{End, Follower, Nobody, Told, Witness};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Where the host's root is mounted.
pub const HOST: &str = "/host";

/// A supervisor that dies without closing its transaction is replaced by one that closes it. If that one dies too,
/// something is wrong that trying again will not mend.
const MAX_SUPERVISIONS: u32 = 3;

/// What the container was asked to do.
#[derive(Debug, Clone)]
struct Request {
    command: String,
    args: Vec<String>,
    environment: BTreeMap<String, String>,
    settings: Settings,
}

/// Runs the agent and returns its exit code.
pub fn run(args: Vec<OsString>) -> u8 {
    match try_run(args) {
        Ok(code) => code,
        Err(stop) => {
            say(&stop);
            stop.exit.code()
        }
    }
}

/// A gate: a process that only waits to be taken away.
pub fn wait_as_a_gate() -> anyhow::Result<()> {
    let signals = Signals::watch(&[Signal::SIGTERM, Signal::SIGINT])?;
    Ok(follow::wait_to_be_stopped(&signals)?)
}

fn try_run(args: Vec<OsString>) -> Result<u8, Stop> {
    let watched = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH];
    let signals = Signals::watch(&watched).or_refuse("watch signals")?;
    let request = Request::read(args);
    let payload = request.as_ref().map_or(DEFAULT_PAYLOAD, |request| &request.settings.payload);
    let source = Source::open(Path::new(payload)).or_refuse(format_args!("read the payload at {payload}"))?;
    if !host::is_mounted(Path::new(HOST)) {
        say(format_args!(
            "the host's root is not mounted at {HOST}: run this image with '-v /:{HOST}' (docker run) or '--mount \
             type=bind,source=/,target={HOST}' (docker service create)"
        ));
        help::print_in_container(source.as_ref());
        return Ok(AgentExit::NoHost.code());
    }
    let request = request?;
    if source.is_none() && request.settings.payload != DEFAULT_PAYLOAD {
        let payload = &request.settings.payload;
        return Err(Stop::refused(format_args!(
            "{}={payload}: this image has no such directory",
            variable::PAYLOAD
        )));
    }
    let play = || enter_and_run(&request, source, &signals);
    match &request.settings.rollout {
        Some(part) => rollout::or_say_so(&request, part, &signals, play),
        None if request.settings.inquires => inquiry::or_say_so(play),
        None => play(),
    }
}

/// Goes below /host, and does there what is asked for.
fn enter_and_run(request: &Request, source: Option<Source>, signals: &Signals) -> Result<u8, Stop> {
    host::check(Path::new(HOST))?;
    let own = identity::Own::read()?;
    host::enter(Path::new(HOST))?;
    let Some(source) = source else { return unknown_command(request, None) };
    if request.command == HELP_COMMAND {
        return Ok(help::run_on_host(&source));
    }
    let Some(found) = source.command(&request.command).or_refuse("read the payload")? else {
        return unknown_command(request, Some(&source));
    };
    let how = judge(found.as_file(), &host::machine(), host::has_executable).map_err(|why| {
        Stop::new(why.exit(), format_args!("the payload's command '{}' {why}", request.command))
    })?;
    if let Some(part) = &request.settings.rollout {
        return rollout::run(request, part, &source, own, signals);
    }
    run_transaction(request, &source, how, own, signals)
}

fn run_transaction(
    request: &Request,
    source: &Source,
    how: Executable,
    own: identity::Own,
    signals: &Signals,
) -> Result<u8, Stop> {
    let place = identity::Place::find(request, own)?;
    match carry_out(request, source, how, &place, signals, &mut Nobody, None)? {
        Followed::Closed(joined, result) if request.settings.inquires => {
            Ok(inquiry::answer(&place.id, &joined, &result))
        }
        Followed::Closed(joined, result) => report(request, &place.id, &joined, &result, signals),
        Followed::Detached => Ok(AgentExit::Detached.code()),
    }
}

/// How following a transaction ended.
enum Followed {
    /// It is closed, with this result.
    Closed(Joined, TransactionResult),
    /// This agent was told to leave.
    Detached,
}

/// Makes sure that the transaction is carried out, and follows it. In a rollout `go` is the agent that has it.
fn carry_out(
    request: &Request,
    source: &Source,
    how: Executable,
    place: &identity::Place,
    signals: &Signals,
    witness: &mut dyn Witness,
    go: Option<u32>,
) -> Result<Followed, Stop> {
    let mut told = Told::from_offset(request.settings.log_offset);
    for _ in 0..MAX_SUPERVISIONS {
        let joined = create::ensure_supervised(request, source, how, place, go)?;
        let mut follower = Follower::open(&joined, told)?;
        match follower.follow(signals, witness)? {
            End::Closed(result) => return Ok(Followed::Closed(joined, result)),
            End::Detached => {
                say(format_args!(
                    "told to leave; '{}' goes on on this host as transaction {} ('careen-agent logs -f {}' there \
                     shows it)",
                    request.command, place.id, place.id
                ));
                return Ok(Followed::Detached);
            }
            End::SupervisorDied => {
                say("the supervisor is gone and left no result: starting another to close");
                told = follower.told();
            }
        }
    }
    Err(Stop::new(
        AgentExit::Interrupted,
        format_args!(
            "every supervisor of transaction {} died without closing it: see the host's journal",
            place.id
        ),
    ))
}

fn report(
    request: &Request,
    id: &TransactionId,
    joined: &create::Joined,
    result: &TransactionResult,
    signals: &Signals,
) -> Result<u8, Stop> {
    report_result(request, id, joined, result);
    if request.settings.linger {
        say("staying for review (CAREEN_LINGER) until this container is stopped");
        follow::wait_to_be_stopped(signals).or_refuse("wait")?;
    }
    Ok(result.exit_code)
}

/// Says what came of it.
fn report_result(request: &Request, id: &TransactionId, joined: &Joined, result: &TransactionResult) {
    for note in &result.notes {
        say(format_args!("note: {note}"));
    }
    if let Some(changes) = result.changes.as_ref().filter(|changes| !changes.is_empty()) {
        changes.to_string().lines().for_each(|line| say(format_args!("changed: {line}")));
    }
    let took =
        result.duration_ms.map_or(String::new(), |ms| format!(" after {}.{:03} s", ms / 1000, ms % 1000));
    say(format_args!(
        "'{}' {}{took} (transaction {id}, exit code {})",
        request.command, result.outcome, result.exit_code
    ));
    if joined.was_closed {
        let how = match request.settings.rollout {
            Some(_) => "",
            None => {
                ". For another run: 'docker service update --update-failure-action continue --env-add \
                 CAREEN_RUN=<new value>', or another container with docker run"
            }
        };
        say(format_args!("this is the recorded result, nothing was run again{how}"));
    }
}

fn unknown_command(request: &Request, source: Option<&Source>) -> Result<u8, Stop> {
    let commands =
        source.map(Source::commands).transpose().or_refuse("read the payload")?.unwrap_or_default();
    let text = if commands.is_empty() {
        "this image has no commands: build one with 'FROM careen/installer' and 'ADD install /install/install'"
            .to_owned()
    } else {
        let command = request.command.escape_default();
        format!("the payload has no command '{command}'; it has: {}", commands.join(", "))
    };
    if request.settings.rollout.is_some() || request.settings.inquires {
        return Err(Stop::new(AgentExit::UnknownCommand, text));
    }
    say(text);
    if let Some(source) = source {
        help::run_on_host(source);
    }
    Ok(AgentExit::UnknownCommand.code())
}

impl Request {
    /// Whether the command needs the host for itself. What only looks goes beside whoever has it.
    fn takes_host_lock(&self) -> bool {
        takes_host_lock(&self.command) && !self.settings.inquires
    }

    /// The same for another command of the payload. Only the rollout's own command may lead to a restart.
    fn for_command(&self, command: &str) -> Self {
        let mut request = Self { command: command.to_owned(), ..self.clone() };
        if command != self.command {
            request.settings.reboot = Reboot::Never;
            request.settings.engine_restart = EngineRestarts::Never;
            request.settings.rollout = None;
        }
        request
    }

    fn read(args: Vec<OsString>) -> Result<Self, Stop> {
        let text = |given: OsString| {
            given
                .into_string()
                .map_err(|given| Stop::refused(format_args!("the argument {given:?} is not UTF-8")))
        };
        let mut args = args.into_iter().map(text);
        let command = args.next().transpose()?.unwrap_or_else(|| DEFAULT_COMMAND.to_owned());
        check_name(&command).map_err(|error| Stop::new(AgentExit::UnknownCommand, error))?;
        let args = args.collect::<Result<_, _>>()?;
        let environment = std::env::vars_os()
            .map(|(name, value)| Ok((text(name)?, text(value)?)))
            .collect::<Result<BTreeMap<_, _>, Stop>>()?;
        let set = environment.iter().filter(|(name, _)| !is_of_a_test(name));
        let set = set.map(|(name, value)| (name.clone(), value.clone())).collect();
        let settings = Settings::from_env(&set).map_err(Stop::refused)?;
        Ok(Self { command, args, environment, settings })
    }
}

/// What tells a build for tests where to die or to fail; no other build knows it.
fn is_of_a_test(name: &str) -> bool {
    cfg!(any(feature = "crash-points", feature = "fault-points"))
        && (name.starts_with("CAREEN_CRASH_") || name.starts_with("CAREEN_FAULT"))
}
