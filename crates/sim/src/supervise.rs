//! Carries out what supervisors decide: the shipped [`Supervisor`](careen_protocol::supervisor::Supervisor)
//! is told what came of it, in virtual time.

use crate::host::process::{Doing, Process, Program};
use crate::host::{AttemptEnd, CheckEnd, Files, Host, Id, PayloadCommand};
use crate::world::{Power, World};
use careen_contract::entry::Way;
use careen_contract::payload::DRIFT;
use careen_host::journal::{EngineOutcome, Record, TransactionResult};
use careen_host::outcome::{CommandEnd, EngineRestart, Outcome, StopReason, TransactionPhase};
use careen_host::transaction::{HostView, TransactionStage};
use careen_planner::observed::{Restart, Role};
use careen_protocol::go::COMMAND;
use careen_protocol::supervisor::{Effect, Event, GO_LIMIT, GO_TO_RUN_LIMIT, Leave, Start};
use std::time::Duration;

/// So many steps are taken in a second at most.
const STEPS: usize = 40;
/// How long an engine that the command has started may take.
const ENGINE_COMES_UP: u64 = 60;
/// How long a supervisor waits until the engine may be restarted, and until it is back.
const ENGINE_RESTARTS: u64 = 300;
/// How long it waits for the swarm after a reboot.
const SWARM_IS_BACK: u64 = 300;

/// How long it waits when all that is missing is that its node is called down.
const GOES_ON_CALLED_DOWN: u64 = 60;

/// What carrying an effect out came to, so far.
enum Came {
    Event(Event),
    NotYet,
    /// The process is gone.
    Gone,
}

impl Came {
    /// What comes behind something that came to its end.
    fn then(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Event(_) => next(),
            Self::NotYet => Self::NotYet,
            Self::Gone => Self::Gone,
        }
    }
}

impl World {
    /// What goes on on hosts without any container.
    pub(crate) fn supervisors(&mut self) {
        for index in 0..self.nodes.len() {
            self.supervisors_of(index);
        }
    }

    pub(crate) fn supervisors_of(&mut self, index: usize) {
        if !self.nodes[index].power.host_is_up() {
            return;
        }
        let ids: Vec<Id> = self.nodes[index].host.processes.iter().map(|one| one.id.clone()).collect();
        for id in ids {
            self.supervise(index, &id);
        }
    }

    /// Starts a supervisor, unless there is one.
    pub(crate) fn start_supervisor(&mut self, index: usize, id: &Id, go: Option<u32>) {
        let now = self.now;
        let late = self.rng.permille(self.hazard.supervisor_late).then(|| self.rng.between(2, 60));
        let host = &mut self.nodes[index].host;
        if host.process(id).is_some() {
            return;
        }
        let Some(files) = host.files.get_mut(id) else { return };
        files.left = None;
        let mut process = Process::new(id.clone(), files, go, now);
        process.frozen_until = now + late.unwrap_or(0);
        host.processes.push(process);
    }

    /// What the unit does that is enabled while something is open: a supervisor for each, without any go.
    pub(crate) fn resume(&mut self, index: usize) {
        let bent = self.bend.boot_is_a_go;
        let open = |(id, files): (&Id, &Files)| {
            let go = bent.then_some(files.state.history.offered);
            (!matches!(files.state.stage, TransactionStage::Closed(_))).then(|| (id.clone(), go))
        };
        let open: Vec<(Id, Option<u32>)> = self.nodes[index].host.files.iter().filter_map(open).collect();
        for (id, go) in open {
            self.start_supervisor(index, &id, go);
        }
    }

    /// The host shuts down in good order: supervisors are told, and have a moment.
    pub(crate) fn shut_down(&mut self, index: usize) {
        for process in &mut self.nodes[index].host.processes {
            process.told_to_end();
        }
        let ids: Vec<Id> = self.nodes[index].host.processes.iter().map(|one| one.id.clone()).collect();
        for id in ids {
            self.supervise(index, &id);
        }
    }

    pub(crate) fn supervise(&mut self, index: usize, id: &Id) {
        let host = &mut self.nodes[index].host;
        let Some(at) = host.processes.iter().position(|process| process.id == *id) else { return };
        if self.now < host.processes[at].frozen_until {
            return;
        }
        let process = host.processes.remove(at);
        if let Some(process) = self.supervisor_steps(index, process) {
            self.nodes[index].host.processes.push(process);
        }
        if let Some((power, what)) = self.pending_down.take() {
            let line = format!("{} goes down: {what:?}", self.nodes[index].id);
            self.say(line);
            self.nodes[index].down_through_us = true;
            self.goes_down(index, power);
        }
    }

    fn supervisor_steps(&mut self, index: usize, mut process: Process) -> Option<Process> {
        for _ in 0..STEPS {
            let event = match process.doing.clone() {
                Doing::Told(event) => event,
                Doing::Does(effect) => match self.carry_out(index, &mut process, &effect) {
                    Came::Event(event) => event,
                    Came::NotYet => return Some(process),
                    Came::Gone => return None,
                },
            };
            if self.rng.permille(self.hazard.supervisor_between) {
                let node = self.nodes[index].id.clone();
                self.say(format!("{node}: the supervisor of {} is killed behind {event:?}", process.id));
                return None;
            }
            let mut state = process.files(&mut self.nodes[index].host)?.state.clone();
            (self.bend.state)(&mut state);
            match process.machine.step(&state, event) {
                Ok(effect) => {
                    process.doing = Doing::Does(effect);
                    (process.since, process.acted) = (self.now, false);
                }
                Err(error) => {
                    self.violation(format!("{error} ({:?})", state.stage));
                    return None;
                }
            }
        }
        Some(process)
    }

    #[expect(clippy::too_many_lines, reason = "a case for each effect")]
    fn carry_out(&mut self, index: usize, process: &mut Process, effect: &Effect) -> Came {
        let waited = self.now - process.since;
        Came::Event(match effect {
            Effect::TakeHostLock => {
                process.has_lock = self.nodes[index].host.holder(&process.id).is_none();
                Event::HostLock(process.has_lock)
            }
            Effect::WriteSupervised => {
                let boot_id = self.nodes[index].host.boot_id();
                return self.write(
                    index,
                    process,
                    Record::Supervised { entry: Way::Systemd, pid: 7, boot_id },
                );
            }
            Effect::Write(record) => return self.write_for(index, process, record),
            Effect::LetEngineComeUp if self.nodes[index].power == Power::Up => Event::Waited,
            Effect::LetEngineComeUp if waited >= ENGINE_COMES_UP => {
                Event::GaveUp("the engine is down".into())
            }
            Effect::LetEngineComeUp => return Came::NotYet,
            Effect::Look => self.seen(index, process),
            Effect::AwaitTurnToRun if self.can_do_without(index) => self.may_run(index),
            Effect::AwaitTurnToRestart if self.can_do_without(index) => Event::Waited,
            Effect::AwaitTurnToRun | Effect::AwaitTurnToRestart => return Came::NotYet,
            Effect::AwaitGoToRun
                if self.bend.begins_on_an_old_go || self.go_counts(index, process, COMMAND) =>
            {
                match self.can_do_without(index) {
                    true => self.may_run(index),
                    false => Event::TurnIsLost,
                }
            }
            Effect::AwaitGoToRun if waited >= GO_TO_RUN_LIMIT.as_secs() => {
                Event::GaveUp("nobody passed the go on".into())
            }
            Effect::AwaitGoToRun => return Came::NotYet,
            Effect::AwaitGo(wish) => {
                let keeps = self.bend.keeps_an_old_go;
                let first = !std::mem::replace(&mut process.acted, true);
                let Some(files) = process.files(&mut self.nodes[index].host) else { return Came::Gone };
                if first {
                    files.wish = Some(wish.clone());
                    files.go = files.go.take().filter(|_| keeps);
                }
                let old = keeps && files.go.as_ref().is_some_and(|go| go.number == wish.number);
                match old || self.go_counts(index, process, wish.number) {
                    true => Event::Waited,
                    false if waited >= GO_LIMIT.as_secs() => Event::GaveUp("nobody gave a go".into()),
                    false => return Came::NotYet,
                }
            }
            Effect::LookAtGo(number) => match self.still_counts(index, process, Some(*number)) {
                true => Event::Waited,
                false => Event::GoIsVoid,
            },
            // With the state directory the payload is gone.
            Effect::StartProgram(_) if process.orphan.is_some() => {
                return ended(CommandEnd::NotStarted("no such file".into()));
            }
            Effect::StartProgram(start) => {
                self.start_program(index, process, *start);
                Event::Started { pid: 9 }
            }
            Effect::WatchProgram => return self.watch_program(index, process),
            Effect::RestartEngine { why, go } => {
                return self.restart_engine(index, process, (*why, *go), waited);
            }
            Effect::Reboot { go } if !self.still_counts(index, process, *go) => Event::GoIsVoid,
            Effect::Reboot { .. } if !self.can_do_without(index) => Event::TurnIsLost,
            Effect::Reboot { .. } => {
                self.check_restart(index, &process.id);
                self.check_unlock(index, &process.id);
                self.take_down(index, Restart::Reboot);
                return Came::NotYet;
            }
            Effect::AwaitSwarm => {
                let node = &self.nodes[index];
                match node.takes_part(self.now) && node.ready {
                    true => Event::Waited,
                    false if waited >= SWARM_IS_BACK => Event::GaveUp("not back".into()),
                    false if waited >= GOES_ON_CALLED_DOWN && self.is_called_down(index) => {
                        Event::GaveUp("called down".into())
                    }
                    false => return Came::NotYet,
                }
            }
            Effect::Close(outcome) => {
                self.check_engine(index, &process.id, outcome);
                let result = result(outcome.clone());
                return self
                    .write(index, process, Record::Closed { result })
                    .then(|| Came::Event(Event::Closed));
            }
            Effect::Withdraw => {
                self.nodes[index].host.files.remove(&process.id);
                return Came::Gone;
            }
            Effect::Leave(why) => {
                self.leaves(index, process, *why);
                return Came::Gone;
            }
        })
    }

    fn leaves(&mut self, index: usize, process: &mut Process, why: Leave) {
        if let Some(files) = process.files(&mut self.nodes[index].host) {
            files.left = Some(why);
        }
        if why != Leave::Done {
            let line = format!("{}: the supervisor of {} leaves: {why:?}", self.nodes[index].id, process.id);
            self.say(line);
        }
    }

    fn write_for(&mut self, index: usize, process: &mut Process, record: &Record) -> Came {
        if self.bend.acts_before_it_writes && matches!(record, Record::Starting { .. }) {
            process.unwritten = Some(record.clone());
            return Came::Event(Event::Written);
        }
        if let Some(before) = process.unwritten.take() {
            self.write(index, process, before);
        }
        let files = process.files(&mut self.nodes[index].host);
        let begun =
            files.is_some_and(|files| matches!(files.state.stage, TransactionStage::RestartingEngine { .. }));
        let replaced = matches!(record, Record::RestartingEngine { why: EngineRestart::Replaced });
        let restarts = replaced && !begun || matches!(record, Record::Rebooting { .. });
        if restarts && process.id.part == PayloadCommand::Command {
            self.check_restarts_go(index, process);
        }
        self.write(index, process, record.clone())
    }

    fn write(&mut self, index: usize, process: &mut Process, record: Record) -> Came {
        let Some(files) = process.files(&mut self.nodes[index].host) else { return Came::Gone };
        // What is wanted goes on being said until it is done.
        let goes_on = matches!(
            record,
            Record::Supervised { .. } | Record::RestartingEngine { .. } | Record::Rebooting { .. }
        );
        if !goes_on {
            files.wish = None;
        }
        let written = append(files, record);
        if let Err(error) = written {
            self.violation(error);
            return Came::Gone;
        }
        Came::Event(Event::Written)
    }

    fn seen(&mut self, index: usize, process: &Process) -> Event {
        let node = &self.nodes[index];
        let of_command = process.id.part == PayloadCommand::Command;
        let view = HostView {
            go: None,
            boot_id: node.host.boot_id(),
            engine_up: node.power == Power::Up,
            called_down: self.is_called_down(index),
            engine_restart_wanted: (node.host.engine_replaced && of_command).then(|| "replaced".to_owned()),
            reboot_wanted: (node.host.reboot_wanted && of_command).then(|| "a newer kernel".to_owned()),
            reboot_wanted_before: false,
        };
        Event::Seen { view, secrets_are_missing: false }
    }

    fn start_program(&mut self, index: usize, process: &mut Process, start: Start) {
        let quick = self.rng.between(1, 4);
        let plan = &self.nodes[index].host.plan;
        let of_command =
            process.id.part == PayloadCommand::Command && start.phase == TransactionPhase::Command;
        let takes = if of_command { plan.takes } else { quick };
        let midway = of_command && (plan.engine_restarts_midway || plan.stops_the_engine);
        process.program = Some(Program {
            until: self.now + takes,
            midway: midway.then_some(self.now + takes / 2),
            stopped: false,
            start,
        });
        if of_command {
            self.begins(index, process, start.attempt);
        }
    }

    fn watch_program(&mut self, index: usize, process: &mut Process) -> Came {
        let Some(program) = &mut process.program else { return Came::Gone };
        if program.stopped {
            process.program = None;
            let reason = StopReason::SupervisorStopped;
            let written = self.write(index, process, Record::Stopping { reason });
            return written.then(|| ended(CommandEnd::Signaled(15)));
        }
        if program.midway.is_some_and(|midway| self.now >= midway) && self.nodes[index].power == Power::Up {
            program.midway = None;
            self.take_down(index, Restart::Engine);
            if self.nodes[index].host.plan.stops_the_engine {
                self.pending_down = Some((Power::EngineDown(u64::MAX), Restart::Engine));
            }
            return Came::NotYet;
        }
        if self.now < program.until {
            return Came::NotYet;
        }
        let start = program.start;
        process.program = None;
        let host = &mut self.nodes[index].host;
        ended(match (process.id.part, start.phase) {
            (PayloadCommand::Command, TransactionPhase::Command) => command_ends(host, start.attempt),
            (PayloadCommand::Check, _) => CommandEnd::Exited(match host.plan.check {
                None | Some(CheckEnd::InSync) => 0,
                Some(CheckEnd::Drift) => DRIFT.into(),
                Some(CheckEnd::Fails) => 1,
            }),
            (PayloadCommand::Prepare, _) => CommandEnd::Exited(i32::from(!host.plan.prepare_works)),
            (PayloadCommand::Verify, _) => CommandEnd::Exited(i32::from(!host.plan.verify_works)),
            (PayloadCommand::Rollback | PayloadCommand::Command, _) => CommandEnd::Exited(0),
        })
    }

    fn restart_engine(
        &mut self,
        index: usize,
        process: &mut Process,
        (why, go): (EngineRestart, Option<u32>),
        waited: u64,
    ) -> Came {
        if !process.acted {
            let power = self.nodes[index].power;
            match why {
                EngineRestart::Replaced if power == Power::Up && !self.can_do_without(index) => {
                    let reason = "quorum at risk".to_owned();
                    let refused = EngineOutcome::Refused { reason };
                    return if waited < ENGINE_RESTARTS { Came::NotYet } else { settled(refused) };
                }
                EngineRestart::Replaced if power == Power::Up && !self.still_counts(index, process, go) => {
                    return Came::Event(Event::GoIsVoid);
                }
                EngineRestart::Replaced if power == Power::Up => {
                    self.check_restart(index, &process.id);
                    self.take_down(index, Restart::Engine);
                }
                EngineRestart::CalledDown if power == Power::Up && !self.can_do_without(index) => {
                    let reason = "quorum at risk".to_owned();
                    let refused = EngineOutcome::Refused { reason };
                    return if waited < ENGINE_RESTARTS { Came::NotYet } else { settled(refused) };
                }
                EngineRestart::CalledDown if power == Power::Up => self.take_down(index, Restart::Engine),
                EngineRestart::Down if power == Power::EngineDown(u64::MAX) => {
                    self.nodes[index].power = Power::EngineDown(self.now + 3);
                }
                EngineRestart::Replaced | EngineRestart::Down | EngineRestart::CalledDown => {}
            }
            process.acted = true;
            return Came::NotYet;
        }
        match self.nodes[index].power == Power::Up {
            true => {
                // It holds the key in its memory.
                self.nodes[index].locked &= self.spec.unlock_key.is_none();
                settled(EngineOutcome::Up)
            }
            false if waited >= ENGINE_RESTARTS => settled(EngineOutcome::Down { words: "down".into() }),
            false => Came::NotYet,
        }
    }

    fn may_run(&self, index: usize) -> Event {
        Event::MayRun { engine_up: self.nodes[index].power == Power::Up }
    }

    fn go_counts(&mut self, index: usize, process: &mut Process, number: u32) -> bool {
        let (boot, now) = (self.nodes[index].host.boot_id(), Duration::from_secs(self.now));
        let files = process.files(&mut self.nodes[index].host);
        files.and_then(|files| files.go.as_ref()).is_some_and(|go| go.counts(number, &boot, now))
    }

    /// The look behind the wait for its turn, and right before the act.
    fn still_counts(&mut self, index: usize, process: &mut Process, go: Option<u32>) -> bool {
        let looks = !self.bend.looks_at_its_go_once && !self.bend.keeps_an_old_go;
        go.is_none_or(|number| !looks || self.go_counts(index, process, number))
    }

    /// Takes an engine or a host down, through careen: as soon as this supervisor has done its step.
    fn take_down(&mut self, index: usize, kind: Restart) {
        let at_random = self.rng.between(3, 8);
        let plan = &self.nodes[index].host.plan;
        let engine = plan.engine_takes.unwrap_or(at_random);
        let power = match kind {
            Restart::Engine => Power::EngineDown(self.now + engine),
            Restart::Reboot if plan.dies_at_reboot => Power::Dead,
            Restart::Reboot => Power::HostDown(self.now + plan.boots_in),
        };
        self.pending_down = Some((power, kind));
    }

    /// What a manager reads of itself over its host's socket.
    fn is_called_down(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        node.takes_part(self.now) && !node.ready && self.now < node.called_down_until && self.leader.is_some()
    }

    /// A supervisor's own look at the quorum, over its host's socket.
    fn can_do_without(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        if node.role == Role::Worker || self.bend.ignores_quorum || self.spec.allow_quorum_loss {
            return true;
        }
        let (members, reachable) = self.managers();
        node.takes_part(self.now) && self.leader.is_some() && (members == 1 || reachable > members / 2 + 1)
    }
}

/// Appends a record, if it may follow.
pub fn append(files: &mut Files, record: Record) -> Result<(), String> {
    match files.state.clone().step(&record) {
        Ok(state) => {
            files.state = state;
            files.journal.push(record);
            Ok(())
        }
        Err(illegal) => Err(illegal.to_string()),
    }
}

fn ended(end: CommandEnd) -> Came {
    Came::Event(Event::Ended { end, left_behind: Vec::new(), notes: Vec::new(), cut_off: false })
}

fn settled(outcome: EngineOutcome) -> Came {
    Came::Event(Event::Settled(outcome))
}

fn command_ends(host: &mut Host, attempt: u32) -> CommandEnd {
    let end = host.plan.attempt(attempt);
    if end == AttemptEnd::Well {
        host.plan.check = host.plan.check.map(|_| CheckEnd::InSync);
        match host.plan.wants {
            Some(Restart::Engine) => host.engine_replaced = true,
            Some(Restart::Reboot) => host.reboot_wanted = true,
            None => {}
        }
    }
    CommandEnd::Exited(match end {
        AttemptEnd::Well => 0,
        AttemptEnd::Failed => 1,
        AttemptEnd::RebootMe => 194,
    })
}

fn result(outcome: Outcome) -> TransactionResult {
    let exit_code = outcome.exit_code();
    TransactionResult {
        outcome,
        exit_code,
        output_bytes: 0,
        duration_ms: None,
        notes: Vec::new(),
        changes: None,
        answer: None,
    }
}
