//! An agent's part in a rollout: `prepare`, the go, the command, restarts with a go of their own, `verify`, and a word
//! to the controller at each step.
//!
//! What follows is decided in [`careen_protocol::agent`]; this carries it out. Each command of the payload is a transaction
//! of its own on the host, named after the rollout's. So an agent that takes over walks the same way, and finds done what
//! is done.

mod gates;
mod leaked;
mod mark;
mod preflight;
mod probe;
mod record;
mod reporter;
mod telling;
mod twin;

use super::create::{Joined, refuse_if_busy};
use super::follow::{LEAST_APART, wait_to_be_stopped_or_rung, wait_to_be_stopped_until};
use super::identity::{Own, Place};
use super::last_lines;
use super::{Followed, Request, carry_out, host, report_result};
use crate::layout::{self, TransactionDir, file};
use crate::payload::Source;
use crate::say::{keep_reports_apart, say};
use crate::signals::Signals;
use crate::stop::{OrRefuse, Stop};
use crate::{expectation, journal};
use careen_contract::chain;
use careen_contract::command::{Executable, judge};
use careen_contract::payload::{
    CHECK_COMMAND, CHECK_LIMIT, PREPARE_COMMAND, ROLLBACK_COMMAND, VERIFY_COMMAND, has_a_check,
};
use careen_contract::record::IN_SHORT;
use careen_contract::report::{Expectation, HostPhase, NodeOutcome, Said};
use careen_contract::settings::RolloutPart;
use careen_contract::{AgentExit, TransactionId};
use careen_engine::{ApiPath, Bell, Engine, EngineError, Ringer};
use careen_host::deeds::deeds;
use careen_host::journal::{Journal, TransactionResult};
use careen_host::transaction::State;
use careen_protocol::agent::{Agent, CheckSaid, Do, Event, Known, Part, Ran, Step};
use gates::Gates;
use probe::Probe;
use record::{Decided, Offered};
use reporter::Reporter;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telling::{MOST_WORDS, OfAnother, OfTheCommand, Telling, shortened};

/// How often gates are looked at when the engine tells of nothing.
const INTERVAL: Duration = Duration::from_secs(1);

/// When a busy host is asked again.
const HOST_AGAIN: Duration = Duration::from_secs(5);

/// For how long a container that does not start is tried again, and how often.
const PROBE_LIMIT: Duration = Duration::from_secs(30);
const PROBE_AGAIN: Duration = Duration::from_secs(3);

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
        && record::known(id, request, part)? == Known::Begun
    {
        return Err(stop);
    }
    say(&stop);
    let mut reporter = Reporter::default();
    let exit = stop.exit.code();
    let outcome = NodeOutcome::Failed { phase: HostPhase::Preflight, exit: exit.into(), rolled_back: None };
    reporter.say(Said::Finished { outcome, record: Some(shortened(&stop.message)) });
    stay(signals, &mut reporter)?;
    Ok(exit)
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
    if twin::is_one(&place)? {
        stay(signals, &mut Reporter::default())?;
        return Ok(AgentExit::Detached.code());
    }
    if let Some(engine) = place.engine.as_ref().filter(|_| !request.settings.run.is_empty()) {
        leaked::remove(engine, &request.settings.run);
    }
    let has =
        |command: &str| source.command(command).or_refuse("read the payload").map(|found| found.is_some());
    let machine = Agent::new(Part {
        agent: part.agent,
        gates: part.gates,
        collects: part.collects,
        rolls_back: part.rolls_back,
        checks: !part.force && has_a_check(&request.command) && has(CHECK_COMMAND)?,
        has_prepare: has(PREPARE_COMMAND)?,
        has_verify: has(VERIFY_COMMAND)?,
        has_rollback: has(ROLLBACK_COMMAND)?,
    });
    let own_container = place.container.as_ref().map(|container| container.id.clone());
    let telling = Telling {
        machine,
        reporter: Reporter::default(),
        gates: Gates::new(part, own_container),
        agent: part.agent,
        rings: rings()?,
        goes_behind_its_go: None,
        trouble: None,
        deeds: Vec::new(),
        changes: None,
        ends_with: None,
        last_lines: None,
    };
    let id = place.id.clone();
    let before = record::found_here(&id)?;
    let looks_at_once = true;
    Playing { request, part, source, place, id, before, signals, telling, looks_at_once }.play()
}

struct Playing<'a> {
    request: &'a Request,
    part: &'a RolloutPart,
    source: &'a Source,
    place: Place,
    id: TransactionId,
    /// What was on the host before this agent came.
    before: BTreeSet<TransactionId>,
    signals: &'a Signals,
    telling: Telling,
    /// Whether something was done since the last look at the gates.
    looks_at_once: bool,
}

impl Playing<'_> {
    fn play(&mut self) -> Result<u8, Stop> {
        let directory = self.directory();
        let mut event = Event::Begin;
        loop {
            let next = self.telling.tell(event, &directory)?;
            event = match next {
                Some(Do::Leave(code)) => {
                    self.telling.outlive_the_go();
                    return Ok(code);
                }
                Some(what) => self.carry_out(what)?,
                None => return Err(Stop::new(AgentExit::Interrupted, "nothing follows: a defect of careen")),
            };
        }
    }

    fn directory(&self) -> TransactionDir {
        TransactionDir::new(Path::new(layout::ROOT), &self.id)
    }

    fn carry_out(&mut self, what: Do) -> Result<Event, Stop> {
        let at_once = std::mem::replace(&mut self.looks_at_once, what != Do::LookAtGates);
        match what {
            Do::Read => match record::copied()? {
                Some(from) => Ok(Event::Known(Known::Copied { from })),
                None => self.known().map(Event::Known),
            },
            Do::Preflight => self.preflight(),
            Do::Run(Step::Check) => self.check(),
            Do::Run(Step::Prepare) => self.run_step(PREPARE_COMMAND, "-p"),
            Do::Run(Step::Verify) => self.run_step(VERIFY_COMMAND, "-v"),
            Do::Run(Step::Rollback) => self.run_step(ROLLBACK_COMMAND, "-r"),
            Do::Probe => self.probe(),
            Do::Offer => self.offer(),
            Do::LookAtGates => self.look_at_gates(at_once),
            Do::Revoke { by } => self.revoke(by),
            Do::Follow => self.follow(),
            Do::Free { holder, then } => {
                record::free(&holder, self.request)?;
                self.carry_out(*then)
            }
            Do::WaitForHost { then } => match self.pause(HOST_AGAIN)? {
                true => Ok(Event::ToldToLeave),
                false => self.carry_out(*then),
            },
            Do::Stay(_) => {
                stay(self.signals, &mut self.telling.reporter)?;
                Ok(Event::ToldToLeave)
            }
            Do::Leave(_) => Ok(Event::ToldToLeave),
        }
    }

    /// Waits for whoever else works on the host, as far as that is asked for, and says so; then looks whether the host is fit.
    fn preflight(&mut self) -> Result<Event, Stop> {
        let begun = Instant::now();
        while let Some(why) = preflight::waits_for(self.request, self.part, begun.elapsed()) {
            self.telling.reporter.say(Said::Preparing);
            self.telling.reporter.waits(Some(&why));
            if self.pause(HOST_AGAIN)? {
                return Ok(Event::ToldToLeave);
            }
        }
        self.telling.reporter.waits(None);
        preflight::pass(self.request, self.part, &self.place)?;
        Ok(Event::Fit)
    }

    /// Sees whether a new container starts. The engine may be on its way up again, so it is tried for a while.
    fn probe(&mut self) -> Result<Event, Stop> {
        let Some(own) = self.place.container.clone() else { return Ok(Event::Probed { starts: true }) };
        let program = std::env::current_exe().or_refuse("find this program")?;
        let probe = Probe { own: &own, program: &program, name: format!("careen-probe-{}", self.id) };
        let until = Instant::now() + PROBE_LIMIT;
        loop {
            let Err(why) = probe.start() else { return Ok(Event::Probed { starts: true }) };
            if Instant::now() >= until {
                let words = format!("no new container starts on this host: {why}");
                say(&words);
                self.telling.last_lines = Some(shortened(&words));
                return Ok(Event::Probed { starts: false });
            }
            if self.pause(PROBE_AGAIN)? {
                return Ok(Event::ToldToLeave);
            }
        }
    }

    fn revoke(&self, by: &str) -> Result<Event, Stop> {
        // Of what was offered only `check` is remembered: the rest is lost, and nobody knows what was begun.
        if matches!(record::known(&self.id, self.request, self.part)?, Known::Nothing | Known::InSync) {
            return Ok(Event::Known(Known::Nothing));
        }
        Ok(match record::revoke(&self.directory(), by)? {
            Decided::Revoked => Event::Revoked,
            Decided::TooLate => Event::TooLate,
        })
    }

    /// Waits; `true` when this agent is told to leave.
    fn pause(&mut self, time: Duration) -> Result<bool, Stop> {
        self.telling.reporter.again();
        wait_to_be_stopped_until(self.signals, Instant::now() + time).or_refuse("wait")
    }

    fn look_at_gates(&mut self, at_once: bool) -> Result<Event, Stop> {
        if !at_once && (self.pause(LEAST_APART)? || self.pause_until_it_rings()?) {
            return Ok(Event::ToldToLeave);
        }
        self.telling.looked().map_err(|error| Stop::refused(format_args!("{error:#}")))
    }

    fn pause_until_it_rings(&mut self) -> Result<bool, Stop> {
        let until = Instant::now() + INTERVAL;
        wait_to_be_stopped_or_rung(self.signals, Some(&self.telling.rings.0), until).or_refuse("wait")
    }

    /// What the host knows of the try. One without gates asks its engine, too.
    fn known(&self) -> Result<Known, Stop> {
        let known = record::known(&self.id, self.request, self.part)?;
        if known != Known::Nothing || self.part.gates > 0 {
            return Ok(known);
        }
        match mark::is_there(self.engine()?, &self.id).map_err(|error| unmarked(&error))? {
            true => Ok(Known::Lost),
            false => Ok(Known::Nothing),
        }
    }

    fn engine(&self) -> Result<&Engine, Stop> {
        let none = || Stop::refused("an agent without gates needs the engine's socket, and there is none");
        self.place.engine.as_ref().ok_or_else(none)
    }

    fn offer(&mut self) -> Result<Event, Stop> {
        if self.part.gates == 0 {
            let left = mark::leave(self.engine()?, &self.id, &self.request.settings.run);
            left.map_err(|error| unmarked(&error))?;
        }
        let command = self.request.command.clone();
        let how = self.judged(&command)?;
        self.place.id = self.id.clone();
        let offered = record::offer(self.request, self.part, self.source, how, &self.place, &self.before);
        self.or_busy(offered.map(|offered| match offered {
            Offered::Done => Event::Offered { expects: self.expectation() },
            Offered::TooLate => Event::TooLate,
            Offered::ByALaterAgent => Event::Known(Known::Newer),
        }))
    }

    /// A host that is busy is waited for, or freed.
    fn or_busy(&self, done: Result<Event, Stop>) -> Result<Event, Stop> {
        match done {
            Err(stop) if stop.exit == AgentExit::HostBusy => {
                say(&stop);
                let (holder, only_waits) = record::holder(&self.before);
                Ok(Event::Busy { holder, only_waits })
            }
            done => done,
        }
    }

    /// What `prepare` has said about a restart, now or to an agent before this one.
    fn expectation(&self) -> Expectation {
        expectation::of_command(Path::new(layout::ROOT), &self.id)
    }

    fn judged(&self, command: &str) -> Result<Executable, Stop> {
        let found = self.source.command(command).or_refuse("read the payload")?;
        let Some(found) = found else {
            return Err(Stop::new(
                AgentExit::UnknownCommand,
                format_args!("the payload has no command '{command}'"),
            ));
        };
        judge(found.as_file(), &host::machine(), host::has_executable)
            .map_err(|why| Stop::new(why.exit(), format_args!("the payload's command '{command}' {why}")))
    }

    /// Runs another command of the payload as a transaction of its own, or takes its recorded result.
    fn run_step(&mut self, command: &str, suffix: &str) -> Result<Event, Stop> {
        let how = self.judged(command)?;
        self.place.id = record::aside(&self.id, suffix)?;
        let request = self.request.for_command(command);
        let mut witness = OfAnother(&mut self.telling);
        let followed = carry_out(&request, self.source, how, &self.place, self.signals, &mut witness, None);
        self.telling.reporter.printed(None);
        let event = followed.and_then(|followed| self.followed(&request, followed, false));
        self.or_busy(event)
    }

    /// Asks the payload's `check`, or takes its recorded answer, when nobody has the host. One that hangs is ended on the host.
    fn check(&mut self) -> Result<Event, Stop> {
        let checked = refuse_if_busy(Path::new(layout::ROOT), self.request).and_then(|()| self.checked());
        self.or_busy(checked)
    }

    fn checked(&mut self) -> Result<Event, Stop> {
        let how = self.judged(CHECK_COMMAND)?;
        self.place.id = record::aside(&self.id, record::CHECK)?;
        let mut request = self.request.for_command(CHECK_COMMAND);
        let limit = request.settings.timeout.map_or(CHECK_LIMIT, |limit| limit.min(CHECK_LIMIT));
        request.settings.timeout = Some(limit);
        let mut witness = OfAnother(&mut self.telling);
        let followed = carry_out(&request, self.source, how, &self.place, self.signals, &mut witness, None);
        self.telling.reporter.printed(None);
        let Followed::Closed(joined, result) = followed? else { return Ok(Event::ToldToLeave) };
        report_result(&request, &self.place.id, &joined, &result);
        let checked = CheckSaid::of(&result);
        match checked {
            CheckSaid::InSync => say("this host is in sync: nothing is run; with --force it would be"),
            CheckSaid::Drift => {}
            CheckSaid::Failed { .. } => self.keep_last_lines(&joined),
        }
        Ok(Event::Checked(checked))
    }

    /// What a failed command printed last goes along with the result.
    fn keep_last_lines(&mut self, joined: &Joined) {
        let lines = last_lines::of(&joined.directory, joined.output_limit);
        let lines = shortened(&lines.join("\n"));
        self.telling.last_lines = Some(lines).filter(|lines| !lines.is_empty());
    }

    /// Makes sure that the command is supervised, with this agent's go, and follows it.
    fn follow(&mut self) -> Result<Event, Stop> {
        let command = self.request.command.clone();
        let how = self.judged(&command)?;
        self.place.id = self.id.clone();
        let go = Some(self.part.agent);
        let mut witness = OfTheCommand(&mut self.telling);
        let followed = carry_out(self.request, self.source, how, &self.place, self.signals, &mut witness, go);
        self.telling.reporter.printed(None);
        let event = followed.and_then(|followed| self.followed(self.request, followed, true));
        match self.or_busy(event) {
            // Its wait for its turn was ended on the host, or the host knows nothing of it any more.
            Err(stop) => match record::known(&self.id, self.request, self.part)? {
                Known::Nothing | Known::Lost | Known::InSync => Ok(Event::Known(Known::Nothing)),
                Known::NotBegun { .. } | Known::Newer => {
                    say(&stop);
                    Ok(Event::Revoked)
                }
                Known::Begun | Known::Copied { .. } => Err(stop),
            },
            event => event,
        }
    }

    fn followed(
        &mut self,
        request: &Request,
        followed: Followed,
        of_the_command: bool,
    ) -> Result<Event, Stop> {
        let Followed::Closed(joined, result) = followed else { return Ok(Event::ToldToLeave) };
        report_result(request, &self.place.id, &joined, &result);
        if of_the_command {
            self.telling.changes = changes(&result);
            self.telling.ends_with = result.changes.as_ref().map(|changes| changes.ends_with.clone());
        }
        let (journal, state) = read(&joined)?;
        if of_the_command {
            self.telling.deeds = deeds(journal.lines.iter().map(|line| &line.record));
        }
        let ran = Ran::of(&state, &result);
        if !ran.is_success && self.telling.last_lines.is_none() {
            self.keep_last_lines(&joined);
        }
        Ok(Event::Ran(ran))
    }
}

/// Another agent may be answered.
fn unmarked(error: &EngineError) -> Stop {
    Stop::new(AgentExit::Interrupted, format_args!("this try's mark with the engine: {}", chain(error)))
}

/// A bell for what the host's engine tells of its containers; another one may be asked after a restart, or an upgrade.
fn rings() -> Result<(Bell, Ringer), Stop> {
    let bell = Bell::new().or_refuse("be told of the engine's events")?;
    let filters = json!({ "type": ["container"], "event": ["start", "die", "destroy"] });
    let ringer = bell.follow(ApiPath::events(&filters), || Engine::connect().ok().map(Arc::new), |_| true);
    Ok((bell, ringer))
}

/// Waits until the controller has heard the last word and takes this container away.
fn stay(signals: &Signals, reporter: &mut Reporter) -> Result<(), Stop> {
    while !wait_to_be_stopped_until(signals, Instant::now() + INTERVAL).or_refuse("wait")? {
        reporter.again();
    }
    Ok(())
}

/// What changed, in words, as far as one line of a log holds it.
fn changes(result: &TransactionResult) -> Option<String> {
    let changes = result.changes.as_ref().filter(|changes| !changes.is_empty())?;
    let in_short = changes.in_short().map_or_else(String::new, |words| format!("{IN_SHORT}{words}\n"));
    Some(in_short + &changes.within(MOST_WORDS))
}

fn read(joined: &Joined) -> Result<(Journal, State), Stop> {
    journal::read(&joined.directory.file(file::JOURNAL)).map_err(|error| {
        Stop::new(AgentExit::Interrupted, format_args!("the transaction's record is gone: {error:#}"))
    })
}
