//! What follows for one node in each of its stages.

use super::{Move, Wanted, Work};
use crate::action::{Action, AgentSpec};
use crate::drain;
use crate::hold::Hold;
use crate::ids::{Go, JobKey, JobRole};
use crate::observed::{
    Availability, Expectation, HostPhase, Job, Node, NodeOutcome, Restart, Said, TaskState,
};
use crate::quorum;
use crate::rollout::{Ask, Control, NodeResult};
use crate::settle;
use crate::spec::{FailureAction, RebootPolicy};
use crate::state::{Event, Goal, NodeRecord, Phase, Reason, Skip, Stage, Then};
use crate::watch::Key;
use std::time::Duration;

/// So many agents of one try may be lost before the node counts as failed.
pub const MAX_AGENTS: u32 = 12;

/// One node in one pass.
struct Here<'a> {
    node: &'a Node,
    record: &'a NodeRecord,
    /// How long it has been in this stage, as far as this controller knows.
    age: Duration,
    /// The current agent.
    agent: JobKey,
}

impl Work<'_> {
    /// `None` for a node that is through.
    pub(super) fn decide(&mut self, node: &Node, record: &NodeRecord, stored: bool) -> Option<Move> {
        let ask = Ask::of(node, &self.spec.id);
        let begun = match &record.stage {
            Stage::Done | Stage::Skipped { .. } => return None,
            Stage::Failed { .. } => return answer_failed(ask, &self.control),
            Stage::Pending | Stage::Held { .. } => false,
            Stage::Entering
            | Stage::Preparing
            | Stage::Draining { .. }
            | Stage::Running { .. }
            | Stage::RestartingEngine
            | Stage::Rebooting
            | Stage::Verifying
            | Stage::Restoring { .. }
            | Stage::Settling => true,
        };
        let early = !begun || record.stage.is_before_the_go();
        if early && self.control == Control::Aborting {
            return stored.then_some(Move::Step(Event::Skip(Skip::Aborted), Wanted::Keep));
        }
        if early && ask == Some(Ask::Skip) {
            return Some(Move::Step(Event::Skip(Skip::Asked), Wanted::Keep));
        }
        Some(if begun { self.begun(node, record) } else { self.pending(node, record) })
    }

    /// Whether a write answers what the operator asked.
    pub(super) fn answers(&self, node: &Node, record: &NodeRecord) -> bool {
        match Ask::of(node, &self.spec.id) {
            Some(Ask::Retry) => record.stage == Stage::Pending,
            Some(Ask::Skip) => {
                matches!(record.stage, Stage::Skipped { .. } | Stage::Restoring { then: Then::Skip { .. } })
            }
            None => false,
        }
    }

    fn begun(&mut self, node: &Node, record: &NodeRecord) -> Move {
        let key = Key::Stage(node.id.clone(), record.generation, record.stage.name());
        let age = self.watching.age(key);
        let agent = JobKey {
            rollout: record.rollout.clone(),
            node: node.id.clone(),
            generation: record.generation,
            agent: record.agent,
            role: JobRole::Agent,
        };
        let here = Here { node, record, age, agent };
        if let Some(down) = self.down(&here) {
            return down;
        }
        if self.control == Control::Aborting && record.stage.is_after_the_go() && self.result(&here).is_none()
        {
            return Move::Fail(Reason::Aborted);
        }
        match &record.stage {
            Stage::Entering => self.entering(&here),
            Stage::Preparing => self.preparing(&here),
            Stage::Draining { goal: Goal::Run } => self.draining_for_the_command(&here),
            Stage::Draining { goal: Goal::Restart(kind) } => self.draining_for_a_restart(&here, *kind),
            Stage::Running { drained } => self.running(&here, *drained),
            Stage::RestartingEngine => self.restarting(&here, Restart::Engine),
            Stage::Rebooting => self.restarting(&here, Restart::Reboot),
            Stage::Verifying => self.verifying(&here),
            Stage::Restoring { then } => self.restoring(&here, *then),
            Stage::Settling => self.settling(&here),
            Stage::Pending
            | Stage::Held { .. }
            | Stage::Done
            | Stage::Failed { .. }
            | Stage::Skipped { .. } => Move::Wait(Hold::Moving),
        }
    }

    /// A node that does not report. While a restart is under way that is what is waited for.
    fn down(&mut self, here: &Here<'_>) -> Option<Move> {
        if here.node.is_ready() {
            return None;
        }
        let age = self.watching.age(Key::Down(here.node.id.clone()));
        let limits = &self.spec.limits;
        let (limit, age, hold) = match &here.record.stage {
            Stage::Restoring { then: Then::Fail { .. } | Then::Skip { .. } } => {
                return Some(Move::Step(Event::Restored, Wanted::Restore));
            }
            Stage::RestartingEngine => {
                (limits.restarting_engine, here.age, Hold::Restarting { kind: Restart::Engine })
            }
            Stage::Rebooting => (limits.rebooting, here.age, self.rebooting_hold(here.node)),
            // The command may restart the engine itself.
            Stage::Running { .. } => {
                (limits.rebooting.max(limits.node_down), age, self.rebooting_hold(here.node))
            }
            Stage::Pending
            | Stage::Held { .. }
            | Stage::Entering
            | Stage::Preparing
            | Stage::Draining { .. }
            | Stage::Verifying
            | Stage::Restoring { .. }
            | Stage::Settling
            | Stage::Done
            | Stage::Failed { .. }
            | Stage::Skipped { .. } => (limits.node_down, age, Hold::NodeDown),
        };
        Some(if age >= limit { Move::Fail(Reason::NodeDown) } else { Move::Wait(hold) })
    }

    fn rebooting_hold(&self, node: &Node) -> Hold {
        if self.observed.autolock && node.is_manager() {
            Hold::UnlockNeeded { command: "docker swarm unlock".to_owned() }
        } else {
            Hold::Restarting { kind: Restart::Reboot }
        }
    }

    fn entering(&mut self, here: &Here<'_>) -> Move {
        if here.node.availability != Availability::Active {
            return match here.record.taken {
                // Drained by its operator since its turn came: from the beginning, as a node that is kept so.
                None => Move::Step(Event::Withdraw, Wanted::Keep),
                Some(_) => self.taken_away(here, Availability::Active),
            };
        }
        let gates = [JobRole::Gate(Go::Run), JobRole::Gate(Go::Restart)];
        let missing = self.missing(here, &gates);
        let jobs = self.jobs_of(here);
        let placed = jobs.iter().filter(|job| job.runs()).count();
        let of = gates.len() + 1;
        if !missing.is_empty() {
            return Move::Act(missing, Hold::Placing { placed, of });
        }
        let rejected = jobs.iter().any(|job| job.tasks.contains(&TaskState::Rejected));
        if placed == of || self.observed.report(&here.agent).is_some_and(is_past_the_go) {
            return Move::Step(Event::Placed, Wanted::Keep);
        }
        if here.age >= self.spec.limits.entering {
            return Move::Fail(Reason::TimeLimit);
        }
        if rejected {
            return Move::Wait(Hold::AgentRejected { command: "careen image push REGISTRY".to_owned() });
        }
        if self.lost_its_jobs(here) {
            return lost(here);
        }
        Move::Wait(Hold::Placing { placed, of })
    }

    fn preparing(&mut self, here: &Here<'_>) -> Move {
        let phase = Phase::Preparing;
        match self.observed.report(&here.agent) {
            Some(Said::Finished {
                outcome: outcome @ NodeOutcome::Failed { phase: HostPhase::Prepare, exit, .. },
            }) => match self.result(here) {
                None => self.write_result(here, outcome),
                Some(_) => Move::Fail(Reason::Exit(*exit)),
            },
            Some(said) if is_past_the_go(said) => Move::Step(Event::Go { drained: false }, Wanted::Keep),
            _ if self.is_lost(here) => lost(here),
            Some(Said::Prepared { restart }) => self.take_out(here, *restart),
            _ if here.age >= self.spec.limits.preparing => Move::Fail(Reason::TimeLimit),
            Some(Said::Busy { transaction }) => {
                Move::Wait(Hold::HostBusy { transaction: transaction.clone() })
            }
            Some(_) => Move::Wait(Hold::HostWorks { phase }),
            None => Move::Wait(Hold::NoReport { phase }),
        }
    }

    /// `prepare` is done: the node is taken out of service, or gets the go as it is.
    fn take_out(&self, here: &Here<'_>, expectation: Expectation) -> Move {
        if let Err(hold) = self.may_go_on().and_then(|()| self.maintenance(here.node)) {
            return Move::Wait(hold);
        }
        let kept = crate::availability::operators(here.node, here.record.taken);
        let wanted = drain::before_the_command(self.spec, expectation);
        match (wanted, kept) {
            (_, Availability::Drain) => Move::Step(Event::Drain(Goal::Run), Wanted::Be(Availability::Drain)),
            (false, Availability::Active | Availability::Pause) => {
                Move::Step(Event::Go { drained: false }, Wanted::Restore)
            }
            (true, Availability::Active | Availability::Pause) => {
                match drain::volume_hold(self.observed, self.spec, here.node) {
                    Some(hold) => Move::Wait(hold),
                    None => Move::Step(Event::Drain(Goal::Run), Wanted::Be(Availability::Drain)),
                }
            }
        }
    }

    fn draining_for_the_command(&mut self, here: &Here<'_>) -> Move {
        if self.observed.report(&here.agent).is_some_and(is_past_the_go) {
            return Move::Step(Event::Go { drained: true }, Wanted::Keep);
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if here.node.availability != Availability::Drain {
            return self.taken_away(here, Availability::Drain);
        }
        let ready = self.is_empty(here).and_then(|()| self.may_go_on()).and_then(|()| self.quorum(here));
        match ready {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Step(Event::Go { drained: true }, Wanted::Keep),
        }
    }

    fn draining_for_a_restart(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        match self.observed.report(&here.agent) {
            Some(Said::WantsRestart { kind: wanted }) if *wanted == kind => {}
            Some(_) => return Move::Step(Event::Ended, Wanted::Keep),
            None => {}
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if here.node.availability != Availability::Drain {
            return self.taken_away(here, Availability::Drain);
        }
        match self.is_empty(here).and_then(|()| self.quorum(here)) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Step(Event::Restart(kind), Wanted::Keep),
        }
    }

    fn running(&mut self, here: &Here<'_>, drained: bool) -> Move {
        let phase = Phase::Running;
        let said = self.observed.report(&here.agent);
        match said {
            _ if self.result(here).is_some() => return Move::Step(Event::Ended, Wanted::Keep),
            Some(Said::Finished { .. } | Said::Verifying) => {
                return Move::Step(Event::Ended, Wanted::Keep);
            }
            Some(Said::WantsRestart { kind }) => return self.wants_restart(here, *kind),
            Some(Said::Restarting { kind }) => return Move::Step(Event::Restart(*kind), Wanted::Keep),
            Some(
                Said::Busy { .. }
                | Said::Preparing
                | Said::Prepared { .. }
                | Said::Running { .. }
                | Said::NotBegun,
            )
            | None => {}
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if let Some(gate) = self.closed_gate(here, Go::Run) {
            let open = Action::OpenGate { key: gate.key.clone(), version: gate.version };
            return self.give_the_go(here, drained, open);
        }
        if matches!(said, Some(Said::Prepared { .. })) {
            // The agent has not seen the go yet, or its own look at the quorum keeps it back.
            return Move::Wait(self.quorum(here).err().unwrap_or(Hold::GivingTheGo));
        }
        // The host keeps the command's time limit itself; this one is for a host that says nothing.
        let limit = self.spec.limits.running.map(|limit| limit + self.spec.limits.verifying);
        if limit.is_some_and(|limit| here.age >= limit) {
            return Move::Fail(Reason::TimeLimit);
        }
        Move::Wait(if said.is_some() { Hold::HostWorks { phase } } else { Hold::NoReport { phase } })
    }

    /// The go is announced and seen to be; what it rests on is looked at once more.
    fn give_the_go(&mut self, here: &Here<'_>, drained: bool, open: Action) -> Move {
        if drained {
            if here.node.availability != Availability::Drain {
                return self.taken_away(here, Availability::Drain);
            }
            if let Err(hold) = self.is_empty(here) {
                return Move::Wait(hold);
            }
        }
        match self.quorum(here) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Act(vec![open], Hold::GivingTheGo),
        }
    }

    /// The command is done and the agent asks for a restart.
    fn wants_restart(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        if self.is_lost(here) {
            return lost(here);
        }
        let missing = self.missing(here, &[JobRole::Gate(Go::Restart)]);
        if !missing.is_empty() {
            return Move::Act(missing, Hold::Placing { placed: 1, of: 2 });
        }
        let gate = self.observed.job(&here.agent.with_role(JobRole::Gate(Go::Restart)));
        if !gate.is_some_and(|gate| gate.runs() || gate.stopped) {
            return self.make_active(here, Hold::Placing { placed: 1, of: 2 });
        }
        let drains = drain::before_a_restart(self.spec);
        let drained = here.node.availability == Availability::Drain;
        if drains && !drained {
            return match drain::volume_hold(self.observed, self.spec, here.node) {
                Some(hold) => Move::Wait(hold),
                None => Move::Step(Event::Drain(Goal::Restart(kind)), Wanted::Be(Availability::Drain)),
            };
        }
        let empty = if drains { self.is_empty(here) } else { Ok(()) };
        match empty.and_then(|()| self.quorum(here)) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Step(Event::Restart(kind), Wanted::Keep),
        }
    }

    fn restarting(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        let limit = match kind {
            Restart::Engine => self.spec.limits.restarting_engine,
            Restart::Reboot => self.spec.limits.rebooting,
        };
        match self.observed.report(&here.agent) {
            Some(Said::WantsRestart { kind: wanted }) if *wanted == kind && !self.is_lost(here) => {
                return self.allow_restart(here);
            }
            Some(
                Said::Finished { .. } | Said::Verifying | Said::Running { .. } | Said::WantsRestart { .. },
            ) => {
                return Move::Step(Event::Ended, Wanted::Keep);
            }
            Some(
                Said::Restarting { .. }
                | Said::Busy { .. }
                | Said::Preparing
                | Said::Prepared { .. }
                | Said::NotBegun,
            )
            | None => {}
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if here.age >= limit {
            return Move::Fail(Reason::TimeLimit);
        }
        // The announced restart's gate, when the report that asked for it cannot be read now.
        if self.closed_gate(here, Go::Restart).is_some() {
            return self.allow_restart(here);
        }
        Move::Wait(Hold::Restarting { kind })
    }

    fn allow_restart(&mut self, here: &Here<'_>) -> Move {
        let Some(gate) = self.closed_gate(here, Go::Restart) else {
            return Move::Wait(self.quorum(here).err().unwrap_or(Hold::GivingTheGo));
        };
        let open = Action::OpenGate { key: gate.key.clone(), version: gate.version };
        if drain::before_a_restart(self.spec) {
            if here.node.availability != Availability::Drain {
                return self.taken_away(here, Availability::Drain);
            }
            if let Err(hold) = self.is_empty(here) {
                return Move::Wait(hold);
            }
        }
        match self.quorum(here) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Act(vec![open], Hold::GivingTheGo),
        }
    }

    fn verifying(&mut self, here: &Here<'_>) -> Move {
        let phase = Phase::Verifying;
        let said = self.observed.report(&here.agent);
        match (self.result(here), said) {
            (Some(NodeOutcome::Succeeded), _) => return Move::Step(Event::Verified, Wanted::Keep),
            (Some(NodeOutcome::Failed { exit, .. }), _) => return Move::Fail(Reason::Exit(*exit)),
            (None, Some(Said::Finished { outcome })) => return self.write_result(here, outcome),
            (None, Some(Said::NotBegun)) => {
                return Move::Step(Event::NotBegun, Wanted::Be(Availability::Active));
            }
            (None, Some(Said::WantsRestart { kind })) => return self.wants_restart(here, *kind),
            (None, Some(Said::Restarting { kind })) => {
                return Move::Step(Event::Restart(*kind), Wanted::Keep);
            }
            (
                None,
                Some(
                    Said::Busy { .. }
                    | Said::Preparing
                    | Said::Prepared { .. }
                    | Said::Running { .. }
                    | Said::Verifying,
                )
                | None,
            ) => {}
        }
        // A service that does not exist yet is created below.
        if self.lost_its_jobs(here) {
            return lost(here);
        }
        let works = matches!(said, Some(Said::Running { .. }));
        if here.age >= self.spec.limits.verifying && !works {
            return Move::Fail(Reason::TimeLimit);
        }
        let missing = self.missing(here, &[JobRole::Gate(Go::Restart)]);
        if !missing.is_empty() {
            return Move::Act(missing, Hold::Placing { placed: 0, of: 2 });
        }
        let jobs = self.jobs_of(here);
        let placed = jobs.iter().filter(|job| job.runs() || job.stopped).count();
        if placed < jobs.len() {
            return self.make_active(here, Hold::Placing { placed, of: jobs.len() });
        }
        // The moment in which a drained node is active ends when its agent is there.
        if here.record.taken.is_some_and(|taken| taken.set == Availability::Active) {
            return Move::Set(Wanted::Restore);
        }
        Move::Wait(if said.is_some() { Hold::HostWorks { phase } } else { Hold::NoReport { phase } })
    }

    fn restoring(&mut self, here: &Here<'_>, then: Then) -> Move {
        let left = self.observed.jobs.iter().any(|job| job.key.node == here.node.id);
        if !left {
            return Move::Step(Event::Restored, Wanted::Restore);
        }
        if here.age < self.spec.limits.restoring {
            return Move::Wait(Hold::CleaningUp);
        }
        match then {
            Then::Settle => Move::Fail(Reason::TimeLimit),
            Then::Fail { .. } | Then::Skip { .. } => Move::Step(Event::Restored, Wanted::Restore),
        }
    }

    fn settling(&mut self, here: &Here<'_>) -> Move {
        let baseline = self.observed.baseline.clone().unwrap_or_default();
        if let Some(hold) = settle::unwell(self.observed, &baseline, here.node) {
            let late = here.age >= self.spec.limits.settling;
            return if late { Move::Fail(Reason::TimeLimit) } else { Move::Wait(hold) };
        }
        let well = self.watching.age(Key::Well(here.node.id.clone()));
        let left = self.spec.policy.monitor.saturating_sub(well);
        if left > Duration::ZERO {
            return Move::Wait(Hold::Monitoring { seconds_left: left.as_secs_f64().ceil() as u64 });
        }
        Move::Step(Event::Settled, Wanted::Keep)
    }

    /// Somebody else changed what this phase needs. It is not changed back; after the drain's limit the node fails.
    fn taken_away(&mut self, here: &Here<'_>, needed: Availability) -> Move {
        let age = self.watching.age(Key::TakenAway(here.node.id.clone()));
        if age >= self.spec.limits.draining {
            return Move::Fail(Reason::TakenAway);
        }
        Move::Wait(Hold::TakenAway { now: here.node.availability, needed })
    }

    /// Something waits to be placed on a node that is not active.
    fn make_active(&mut self, here: &Here<'_>, hold: Hold) -> Move {
        match (here.node.availability, here.record.taken) {
            (Availability::Active, _) => Move::Wait(hold),
            (Availability::Pause | Availability::Drain, Some(taken)) if taken.set == Availability::Active => {
                self.taken_away(here, Availability::Active)
            }
            (Availability::Pause | Availability::Drain, _) => Move::Set(Wanted::Be(Availability::Active)),
        }
    }

    fn may_go_on(&self) -> Result<(), Hold> {
        match &self.control {
            Control::Paused { why } => Err(Hold::Paused { why: why.clone() }),
            Control::Running | Control::Aborting | Control::Finished { .. } => Ok(()),
        }
    }

    fn quorum(&self, here: &Here<'_>) -> Result<(), Hold> {
        quorum::may_go_down(self.observed, here.node, self.spec.allow_quorum_loss)
    }

    fn is_empty(&self, here: &Here<'_>) -> Result<(), Hold> {
        let stuck = here.age >= self.spec.limits.draining;
        let services = drain::still_running(self.observed, here.node);
        if !services.is_empty() {
            return Err(Hold::NotEmpty { services, stuck });
        }
        let baseline = self.observed.baseline.clone().unwrap_or_default();
        let services = drain::not_replaced(self.observed, &baseline, here.node);
        if services.is_empty() { Ok(()) } else { Err(Hold::NotReplaced { services, stuck }) }
    }

    /// Whether the current agent is gone; its service may have been removed by hand.
    fn is_lost(&self, here: &Here<'_>) -> bool {
        self.observed.job(&here.agent).is_none() || self.lost_its_jobs(here)
    }

    /// Whether the agent's container is gone, or that of a gate that was not opened: without it no go can be given. (A
    /// leader change may start the one again and not the other.)
    fn lost_its_jobs(&self, here: &Here<'_>) -> bool {
        self.jobs_of(here).iter().any(|job| job.is_lost() && (job.key.role == JobRole::Agent || !job.stopped))
    }

    /// A gate of the current agent that was not opened yet.
    fn closed_gate(&self, here: &Here<'_>, go: Go) -> Option<&Job> {
        self.observed.job(&here.agent.with_role(JobRole::Gate(go))).filter(|gate| !gate.stopped)
    }

    fn jobs_of(&self, here: &Here<'_>) -> Vec<&Job> {
        let same = |job: &&Job| job.key.with_role(JobRole::Agent) == here.agent;
        self.observed.jobs.iter().filter(same).collect()
    }

    /// What creates the agent and those gates that do not exist.
    fn missing(&self, here: &Here<'_>, gates: &[JobRole]) -> Vec<Action> {
        let exists = |role: JobRole| self.observed.job(&here.agent.with_role(role)).is_some();
        let gates = gates.iter().filter(|role| !exists(**role));
        let mut actions: Vec<Action> =
            gates.map(|role| Action::CreateGate { key: here.agent.with_role(*role) }).collect();
        if !exists(JobRole::Agent) {
            actions.push(Action::CreateJob { agent: self.agent_spec(here) });
        }
        actions
    }

    fn agent_spec(&self, here: &Here<'_>) -> AgentSpec {
        let spec = self.spec;
        let locked_out = self.observed.autolock && here.node.is_manager() && !spec.unlock_by_hand;
        AgentSpec {
            key: here.agent.clone(),
            rollout: spec.id.clone(),
            image: spec.image.clone(),
            command: spec.command.clone(),
            args: spec.args.clone(),
            collects: here.record.stage.is_after_the_go(),
            reboot: if locked_out { RebootPolicy::Never } else { spec.reboot },
            engine_restart: spec.engine_restart,
            rollback: spec.policy.failure_action == FailureAction::Rollback,
            time_limit: spec.limits.running,
        }
    }

    fn result(&self, here: &Here<'_>) -> Option<&NodeOutcome> {
        self.observed.result(&here.node.id, here.record.generation).map(|result| &result.outcome)
    }

    fn write_result(&self, here: &Here<'_>, outcome: &NodeOutcome) -> Move {
        let result = NodeResult {
            node: here.node.id.clone(),
            generation: here.record.generation,
            outcome: outcome.clone(),
        };
        Move::Act(vec![Action::WriteResult { result }], Hold::Moving)
    }
}

/// A lost agent is replaced, some times.
fn lost(here: &Here<'_>) -> Move {
    if here.record.agent >= MAX_AGENTS {
        return Move::Fail(Reason::AgentLost);
    }
    Move::Step(Event::AgentLost, Wanted::Be(Availability::Active))
}

fn answer_failed(ask: Option<Ask>, control: &Control) -> Option<Move> {
    match (ask, control) {
        (_, Control::Aborting | Control::Finished { .. }) | (None, _) => None,
        (Some(Ask::Retry), Control::Running | Control::Paused { .. }) => {
            Some(Move::Step(Event::Retry, Wanted::Keep))
        }
        (Some(Ask::Skip), Control::Running | Control::Paused { .. }) => {
            Some(Move::Step(Event::Skip(Skip::Asked), Wanted::Keep))
        }
    }
}

/// Whether the host says that the command was begun.
fn is_past_the_go(said: &Said) -> bool {
    match said {
        Said::Busy { .. } | Said::Preparing | Said::Prepared { .. } | Said::NotBegun => false,
        Said::Running { .. }
        | Said::WantsRestart { .. }
        | Said::Restarting { .. }
        | Said::Verifying
        | Said::Finished { .. } => true,
    }
}
