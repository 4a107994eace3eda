//! An agent's part in a rollout: `prepare`, the go, the command, restarts with a go of their own, `verify`, and a word
//! to the controller at each step.
//!
//! Each command of the payload is a transaction of its own on the host, named after the rollout's. So an agent that
//! takes over walks the same way, and finds done what is done.

mod gate;
mod leaked;
mod preflight;
mod reporter;

use super::create::Joined;
use super::follow::wait_to_be_stopped_until;
use super::identity::{Own, Place};
use super::last_lines;
use super::{Followed, Request, carry_out, host, report_result};
use crate::journal;
use crate::layout::{self, TransactionDir, file};
use crate::payload::Source;
use crate::say::{keep_reports_apart, say};
use crate::signals::Signals;
use crate::stop::{OrRefuse, Stop};
use careen_model::command::judge;
use careen_model::journal::{CommandEnd, TransactionResult};
use careen_model::payload::{PREPARE_COMMAND, ROLLBACK_COMMAND, VERIFY_COMMAND};
use careen_model::report::{Expectation, HostPhase, NodeOutcome, Said};
use careen_model::settings::RolloutPart;
use careen_model::transaction::{Outcome, Stage, State};
use careen_model::{AgentExit, TransactionId};
use gate::{Gate, Standing};
use reporter::Reporter;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a gate is looked at, and a busy host asked again.
const INTERVAL: Duration = Duration::from_secs(1);

/// So many characters of what changed travel with a result: the host has it all.
const MOST_WORDS: usize = 2000;

/// What an agent can only refuse, as long as nothing was begun, is the last word about its host: another agent would find the
/// same. The controller hears it with the reason, and need not lose agent after agent to know.
pub fn or_say_so(
    request: &Request,
    part: &RolloutPart,
    signals: &Signals,
    play: impl FnOnce() -> Result<u8, Stop>,
) -> Result<u8, Stop> {
    let stop = match play() {
        Err(stop) if is_final(stop.exit) && !part.collects => stop,
        played => return played,
    };
    if let Some(id) = &request.settings.transaction
        && is_begun(id)?
    {
        return Err(stop);
    }
    say(&stop);
    let mut reporter = Reporter::new(Gate::new(&part.gate_restart));
    let exit = stop.exit.code();
    let outcome = NodeOutcome::Failed { phase: HostPhase::Preflight, exit: exit.into(), rolled_back: None };
    reporter.say(Said::Finished { outcome, record: Some(shortened(&stop.message)) });
    stay(exit, signals, &mut reporter)
}

/// Whether another agent would come to the same end.
fn is_final(exit: AgentExit) -> bool {
    match exit {
        AgentExit::Refused
        | AgentExit::NoWayIn
        | AgentExit::UnknownCommand
        | AgentExit::NotExecutable
        | AgentExit::NoInterpreter => true,
        AgentExit::TimeLimit
        | AgentExit::Detached
        | AgentExit::HostBusy
        | AgentExit::Interrupted
        | AgentExit::RestartWanted
        | AgentExit::EngineDown
        | AgentExit::NoHost => false,
    }
}

/// What a command of the payload came to.
enum Ran {
    /// It was done, or was done before.
    Ended {
        exit: u8,
        is_success: bool,
        /// What an engine that stayed down made of the rollback.
        rolled_back: Option<bool>,
    },
    /// The agent was told to leave.
    Left,
}

/// Plays an agent's part to its end, and returns the agent's exit code.
pub fn run(
    request: &Request,
    part: &RolloutPart,
    source: &Source,
    own: Own,
    signals: &Signals,
) -> Result<u8, Stop> {
    keep_reports_apart();
    let place = Place::find(request, own)?;
    if let Some(engine) = place.engine.as_ref().filter(|_| !request.settings.run.is_empty()) {
        leaked::remove(engine, &request.settings.run);
    }
    let id = place.id.clone();
    let reporter = Reporter::new(Gate::new(&part.gate_restart));
    Playing { request, part, source, place, id, signals, reporter, changes: None, last_lines: None }.play()
}

struct Playing<'a> {
    request: &'a Request,
    part: &'a RolloutPart,
    source: &'a Source,
    place: Place,
    id: TransactionId,
    signals: &'a Signals,
    reporter: Reporter,
    /// What the command changed on the host, for people.
    changes: Option<String>,
    /// The last lines of what failed, likewise.
    last_lines: Option<String>,
}

impl Playing<'_> {
    fn play(&mut self) -> Result<u8, Stop> {
        if !is_begun(&self.id)? {
            if self.part.collects {
                say("nothing of this transaction was begun on this host");
                self.reporter.say(Said::NotBegun);
                return self.stay(0);
            }
            preflight::pass(self.request, self.part, &self.place)?;
            if let Some(code) = self.prepare()? {
                return Ok(code);
            }
        }
        self.reporter.look_at_the_restart_gate();
        let command = self.request.command.clone();
        let (exit, rolled_back) = match self.command(&command, "")? {
            Ran::Left => return Ok(AgentExit::Detached.code()),
            Ran::Ended { is_success: true, .. } => return self.verify(),
            Ran::Ended { exit, rolled_back, .. } => (exit, rolled_back),
        };
        self.failed(HostPhase::Command, exit, rolled_back)
    }

    /// Runs `prepare` and waits for the go. An exit code when the command is not to begin.
    fn prepare(&mut self) -> Result<Option<u8>, Stop> {
        let mut gate = self.part.gate_run.as_deref().map(Gate::new);
        if self.has(PREPARE_COMMAND)? {
            self.reporter.say(Said::Preparing);
            match self.command(PREPARE_COMMAND, "-p")? {
                Ran::Left => return Ok(Some(AgentExit::Detached.code())),
                Ran::Ended { is_success: true, .. } => {}
                Ran::Ended { exit, .. } => {
                    let outcome = NodeOutcome::Failed {
                        phase: HostPhase::Prepare,
                        exit: exit.into(),
                        rolled_back: None,
                    };
                    self.finish(outcome);
                    return self.stay(exit).map(Some);
                }
            }
        }
        match &mut gate {
            Some(gate) => self.await_go(gate),
            None => Ok(None),
        }
    }

    /// Until the gate is open. An exit code when this agent has to leave before that.
    fn await_go(&mut self, gate: &mut Gate) -> Result<Option<u8>, Stop> {
        let mut told = false;
        let restart = self.expectation();
        loop {
            match gate.look() {
                Standing::Open => return Ok(None),
                Standing::Cancelled => {
                    return Err(Stop::new(
                        AgentExit::Interrupted,
                        "the engine was restarted while this agent waited for the go: nothing was begun",
                    ));
                }
                // Before its gates are seen an agent is not ready for a go: it would miss it.
                Standing::Closed if self.reporter.look_at_the_restart_gate() != Standing::NotSeen => {
                    if !told {
                        say("waiting for the rollout's go");
                        told = true;
                    }
                    self.reporter.say(Said::Prepared { restart });
                }
                Standing::Closed | Standing::NotSeen => {}
            }
            self.reporter.again();
            let stopped = wait_to_be_stopped_until(self.signals, Instant::now() + INTERVAL);
            if stopped.or_refuse("wait for the go")? {
                say("told to leave before the go: nothing was begun");
                return Ok(Some(AgentExit::Detached.code()));
            }
        }
    }

    /// What `prepare` has said about a restart, now or to an agent before this one.
    fn expectation(&self) -> Expectation {
        let Ok(prepare) = TransactionId::parse(&format!("{}-p", self.id)) else {
            return Expectation::Unknown;
        };
        let path = TransactionDir::new(Path::new(layout::ROOT), &prepare).file(file::EXPECTS_RESTART);
        match crate::files::read_to_string(path).unwrap_or_default().trim() {
            "yes" => Expectation::Yes,
            "no" => Expectation::No,
            _ => Expectation::Unknown,
        }
    }

    fn verify(&mut self) -> Result<u8, Stop> {
        if self.has(VERIFY_COMMAND)? {
            self.reporter.say(Said::Verifying);
            match self.command(VERIFY_COMMAND, "-v")? {
                Ran::Left => return Ok(AgentExit::Detached.code()),
                Ran::Ended { is_success: true, .. } => {}
                Ran::Ended { exit, .. } => return self.failed(HostPhase::Verify, exit, None),
            }
        }
        self.finish(NodeOutcome::Succeeded);
        self.stay(0)
    }

    /// The command or `verify` failed: takes the work back where the rollout says so, and reports.
    fn failed(&mut self, phase: HostPhase, exit: u8, rolled_back: Option<bool>) -> Result<u8, Stop> {
        let rolled_back = match rolled_back {
            None if self.part.rolls_back && self.has(ROLLBACK_COMMAND)? => {
                match self.command(ROLLBACK_COMMAND, "-r")? {
                    Ran::Left => return Ok(AgentExit::Detached.code()),
                    Ran::Ended { is_success, .. } => Some(is_success),
                }
            }
            known => known,
        };
        let outcome = NodeOutcome::Failed { phase, exit: exit.into(), rolled_back };
        self.finish(outcome);
        self.stay(exit)
    }

    fn stay(&mut self, exit: u8) -> Result<u8, Stop> {
        stay(exit, self.signals, &mut self.reporter)
    }

    fn finish(&mut self, outcome: NodeOutcome) {
        let record = match &outcome {
            NodeOutcome::Succeeded => self.changes.take(),
            NodeOutcome::Failed { .. } => self.last_lines.take(),
        };
        self.reporter.say(Said::Finished { outcome, record });
    }

    fn has(&self, command: &str) -> Result<bool, Stop> {
        Ok(self.source.command(command).or_refuse("read the payload")?.is_some())
    }

    /// Runs one command of the payload as a transaction of its own, or takes its recorded result. A host that is busy is
    /// waited for.
    fn command(&mut self, command: &str, suffix: &str) -> Result<Ran, Stop> {
        let id = TransactionId::parse(&format!("{}{suffix}", self.id)).or_refuse("name the transaction")?;
        let request = self.request.for_command(command);
        let found = self.source.command(command).or_refuse("read the payload")?;
        let Some(found) = found else {
            return Err(Stop::new(
                AgentExit::UnknownCommand,
                format_args!("the payload has no command '{command}'"),
            ));
        };
        let how = judge(found.as_file(), &host::machine(), host::has_executable)
            .map_err(|why| Stop::new(why.exit(), format_args!("the payload's command '{command}' {why}")))?;
        self.place.id = id;
        self.reporter.is_the_command = suffix.is_empty();
        loop {
            match carry_out(&request, self.source, how, &self.place, self.signals, &mut self.reporter) {
                Ok(Followed::Closed(joined, result)) => {
                    report_result(&request, &self.place.id, &joined, &result);
                    if suffix.is_empty() {
                        self.changes = changes(&result);
                    }
                    let ran = ended(&joined, &result)?;
                    if matches!(ran, Ran::Ended { is_success: false, .. }) && self.last_lines.is_none() {
                        let lines = last_lines::of(&joined.directory, joined.output_limit);
                        self.last_lines =
                            Some(shortened(&lines.join("\n"))).filter(|lines| !lines.is_empty());
                    }
                    return Ok(ran);
                }
                Ok(Followed::Detached) => return Ok(Ran::Left),
                Err(stop) if stop.exit == AgentExit::HostBusy => {
                    say(&stop);
                    self.reporter.say(Said::Busy { transaction: holder() });
                    self.reporter.again();
                    let stopped = wait_to_be_stopped_until(self.signals, Instant::now() + 5 * INTERVAL);
                    if stopped.or_refuse("wait for the host")? {
                        return Ok(Ran::Left);
                    }
                }
                Err(stop) => return Err(stop),
            }
        }
    }
}

/// Waits until the controller has heard the last word and takes this container away. A job's container that ends by
/// itself would stay on the host for good, and its log would have to be read before somebody calls it lost.
fn stay(exit: u8, signals: &Signals, reporter: &mut Reporter) -> Result<u8, Stop> {
    while !wait_to_be_stopped_until(signals, Instant::now() + INTERVAL).or_refuse("wait")? {
        reporter.again();
    }
    Ok(exit)
}

/// Whether the command itself was begun on this host, by whichever agent.
fn is_begun(id: &TransactionId) -> Result<bool, Stop> {
    let directory = TransactionDir::new(Path::new(layout::ROOT), id);
    if !crate::files::exists(directory.file(file::MANIFEST)).or_refuse("look for the transaction")? {
        return Ok(false);
    }
    let (_, state) = journal::read(&directory.file(file::JOURNAL)).map_err(|error| {
        Stop::refused(format_args!("cannot read this transaction's record on the host: {error:#}"))
    })?;
    Ok(state.stage != Stage::Prepared)
}

/// What changed, in words, as far as one line of a log holds it.
fn changes(result: &TransactionResult) -> Option<String> {
    let changes = result.changes.as_ref().filter(|changes| !changes.is_empty())?;
    Some(shortened(&changes.to_string()))
}

fn shortened(text: &str) -> String {
    text.chars().take(MOST_WORDS).collect()
}

/// Who has the host.
fn holder() -> String {
    crate::files::read_to_string(layout::host_lock(Path::new(layout::ROOT)))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn ended(joined: &Joined, result: &TransactionResult) -> Result<Ran, Stop> {
    let read = journal::read(&joined.directory.file(file::JOURNAL));
    let (_, state) = read.map_err(|error| {
        Stop::new(AgentExit::Interrupted, format_args!("the transaction's record is gone: {error:#}"))
    })?;
    Ok(Ran::Ended {
        exit: result.exit_code,
        is_success: is_success(&result.outcome, &state),
        rolled_back: rolled_back(&result.outcome),
    })
}

/// Whether a rollout may go on. A command that did its work on a host that may not be restarted for it is a success:
/// the rollout's own policy forbade the restart. One that asked to be run again is not.
fn is_success(outcome: &Outcome, state: &State) -> bool {
    let command_is_done = state.history.end.as_ref().is_some_and(|end| end.end == CommandEnd::Exited(0));
    match outcome {
        Outcome::Exited { status } => *status == 0,
        Outcome::RestartWanted { .. } => command_is_done,
        Outcome::Signaled { .. }
        | Outcome::EngineDown { .. }
        | Outcome::TimedOut
        | Outcome::Stopped { .. }
        | Outcome::NotStarted { .. }
        | Outcome::Interrupted => false,
    }
}

fn rolled_back(outcome: &Outcome) -> Option<bool> {
    use careen_model::transaction::Rollback;
    match outcome {
        Outcome::EngineDown { rollback: Rollback::BroughtBack, .. } => Some(true),
        Outcome::EngineDown { rollback: Rollback::Failed, .. } => Some(false),
        Outcome::EngineDown { rollback: Rollback::None, .. }
        | Outcome::Exited { .. }
        | Outcome::Signaled { .. }
        | Outcome::RestartWanted { .. }
        | Outcome::TimedOut
        | Outcome::Stopped { .. }
        | Outcome::NotStarted { .. }
        | Outcome::Interrupted => None,
    }
}
