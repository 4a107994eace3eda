//! What follows for one node in each of its states.

use super::through::leaves;
use super::{Move, Wanted, Work};
use crate::action::Action;
use crate::drain;
use crate::hold::{Hold, PauseReason};
use crate::ids::{JobKey, JobRole, NodeId};
use crate::indexed::Indexed;
use crate::observed::{Availability, Job, Node, NodeOutcome, Restart, Said};
use crate::quorum;
use crate::rollout::{Ask, Control, NodeResult};
use crate::settle;
use crate::state::{AfterRestoring, Goal, NodeEvent, NodeRecord, NodeState, Reason, Skip, StateName};
use crate::watch::Key;
use std::time::Duration;

/// So many agents of one try may be lost before the node counts as failed.
pub const MAX_AGENTS: u32 = 12;

/// So many agents of one try are placed because the go for the one before was cancelled on its host.
pub const MAX_CANCELLED: u32 = 3;

/// So long a swarm may call a node down whose manager takes part; its host starts the engine again then.
const CALLED_DOWN: Duration = Duration::from_secs(60);

/// One node in one pass.
pub(super) struct Here<'a> {
    pub(super) node: &'a Node,
    pub(super) record: &'a NodeRecord,
    /// How long it has been in this state, as far as this controller knows.
    pub(super) age: Duration,
    pub(super) agent: JobKey,
}

impl Work<'_> {
    /// `None` for a node that is through.
    pub(super) fn decide(&mut self, node: &Node, record: &NodeRecord, stored: bool) -> Option<Move> {
        let ask = Ask::of(node, &self.spec.id);
        let begun = match &record.state {
            NodeState::Done | NodeState::Skipped { .. } | NodeState::Gone { .. } => return None,
            NodeState::Failed { .. } => {
                let answer = answer_failed(ask, &self.control);
                if answer.is_none() {
                    self.listens_on(node, record);
                }
                return answer;
            }
            NodeState::Pending => false,
            NodeState::Entering
            | NodeState::Preparing
            | NodeState::Draining { .. }
            | NodeState::Running { .. }
            | NodeState::RestartingEngine
            | NodeState::Rebooting
            | NodeState::Verifying
            | NodeState::Restoring { .. }
            | NodeState::Settling => true,
        };
        let early = !begun || record.state.is_before_the_go();
        if early && self.control == Control::Aborting {
            return stored.then_some(Move::Step(NodeEvent::Skip(Skip::Aborted), Wanted::Keep));
        }
        if early && ask == Some(Ask::Skip) {
            return Some(Move::Step(NodeEvent::Skip(Skip::Asked), Wanted::Keep));
        }
        if !begun {
            let decided = self.pending(node, record);
            return Some(self.limited(node, record, decided));
        }
        match (self.begun(node, record), self.paused_for(node, record)) {
            (Move::Wait(_), Some(reason)) => Some(Move::Fail(reason)),
            (decided, _) => Some(self.limited(node, record, decided)),
        }
    }

    /// Why the rollout is paused for this node, which is where it failed: what the pause says is carried out, also by a
    /// controller that has not seen how long it took, unless the node's next step is due.
    fn paused_for(&self, node: &Node, record: &NodeRecord) -> Option<Reason> {
        match &self.control {
            Control::Paused { why: PauseReason::NodeFailed { node: failed, during, why } } => {
                (*failed == node.id && Some(*during) == record.state.can_fail_in()).then_some(*why)
            }
            Control::Paused {
                why:
                    PauseReason::Asked
                    | PauseReason::NodeGone { .. }
                    | PauseReason::BaselineRemoved
                    | PauseReason::EnforcementChanged { .. }
                    | PauseReason::NodeHeld { .. },
            }
            | Control::Running
            | Control::Aborting
            | Control::Finished { .. } => None,
        }
    }

    /// Whether a write answers what the operator asked.
    pub(super) fn answers(&self, node: &Node, record: &NodeRecord) -> bool {
        match Ask::of(node, &self.spec.id) {
            Some(Ask::Retry) => record.state == NodeState::Pending,
            Some(Ask::Skip) => {
                matches!(
                    record.state,
                    NodeState::Skipped { .. } | NodeState::Restoring { then: AfterRestoring::Skip { .. } }
                ) || has_begun(self.observed, &node.id, record)
            }
            None => false,
        }
    }

    fn begun(&mut self, node: &Node, record: &NodeRecord) -> Move {
        let key = Key::State(node.id.clone(), record.generation, record.state.name());
        let age = self.watching.age(key);
        let here = Here { node, record, age, agent: agent_of(&node.id, record) };
        self.listen(&node.id, &here.agent);
        self.note_sweep(&here.agent);
        if let Some(not_placed) = self.not_placed(&here) {
            return not_placed;
        }
        if let Some(withdrawn) = self.withdrawn(&here) {
            return withdrawn;
        }
        if let Some(down) = self.down(&here) {
            return down;
        }
        if let Some(in_sync) = self.in_sync(&here) {
            return in_sync;
        }
        match &record.state {
            NodeState::Entering => self.entering(&here),
            NodeState::Preparing => self.preparing(&here),
            NodeState::Draining { goal: Goal::Run } => self.draining_for_the_command(&here),
            NodeState::Draining { goal: Goal::Restart(kind) } => self.draining_for_a_restart(&here, *kind),
            NodeState::Running { drained } => self.running(&here, *drained),
            NodeState::RestartingEngine => self.restarting(&here, Restart::Engine),
            NodeState::Rebooting => self.restarting(&here, Restart::Reboot),
            NodeState::Verifying => self.verifying(&here),
            NodeState::Restoring { then } => self.restoring(&here, *then),
            NodeState::Settling => self.settling(&here),
            NodeState::Pending
            | NodeState::Done
            | NodeState::Failed { .. }
            | NodeState::Skipped { .. }
            | NodeState::Gone { .. } => Move::Wait(Hold::Recording),
        }
    }

    /// A node that does not report. While a restart is under way that is what is waited for.
    fn down(&mut self, here: &Here<'_>) -> Option<Move> {
        if here.node.is_ready() {
            return None;
        }
        let age = self.watching.age(Key::Down(here.node.id.clone()));
        let limits = &self.spec.limits;
        let (limit, age, hold) = match &here.record.state {
            NodeState::Restoring {
                then: AfterRestoring::Done | AfterRestoring::Fail { .. } | AfterRestoring::Skip { .. },
            } => return Some(Move::Step(NodeEvent::Restored, Wanted::Restore)),
            NodeState::RestartingEngine if self.asks_for_the_key(here.node) => {
                (limits.rebooting, here.age, unlock_needed())
            }
            NodeState::RestartingEngine => {
                (limits.restarting_engine, here.age, Hold::Restarting { kind: Restart::Engine })
            }
            NodeState::Rebooting => (limits.rebooting, here.age, self.rebooting_hold(here.node)),
            // The command may restart the engine itself, or the host; more is not known.
            NodeState::Running { .. } => {
                let hold =
                    if self.asks_for_the_key(here.node) { unlock_needed() } else { Hold::NotReporting };
                (limits.rebooting.max(limits.node_down), age, hold)
            }
            NodeState::Pending
            | NodeState::Entering
            | NodeState::Preparing
            | NodeState::Draining { .. }
            | NodeState::Verifying
            | NodeState::Restoring { .. }
            | NodeState::Settling
            | NodeState::Done
            | NodeState::Failed { .. }
            | NodeState::Skipped { .. }
            | NodeState::Gone { .. } => (limits.node_down, age, Hold::NodeDown),
        };
        if age >= limit && !self.has_hold_limit(here.record) {
            return Some(Move::Fail(Reason::NodeDown));
        }
        let asks = matches!(hold, Hold::UnlockNeeded { .. });
        Some(Move::Wait(if !asks && self.is_called_down(here.node) { Hold::CalledDown } else { hold }))
    }

    /// Whether the swarm goes on calling a node down whose manager takes part. Behind each start that is so for a moment.
    fn is_called_down(&mut self, node: &Node) -> bool {
        quorum::is_called_down(self.observed, node)
            && self.watching.age(Key::CalledDown(node.id.clone())) >= CALLED_DOWN
    }

    fn rebooting_hold(&self, node: &Node) -> Hold {
        if self.observed.autolock && node.is_manager() {
            unlock_needed()
        } else {
            Hold::Restarting { kind: Restart::Reboot }
        }
    }

    /// Whether somebody has to type the key when this node's engine was started.
    pub(super) fn asks_for_the_key(&self, node: &Node) -> bool {
        self.observed.autolock && node.is_manager() && self.spec.unlock_key.is_none()
    }

    /// Its host is in sync, and nothing was run there: the result is written, and what careen has on the node is taken back. Of a try
    /// that has asked for a restart no host can say so that remembers it.
    fn in_sync(&self, here: &Here<'_>) -> Option<Move> {
        if !here.record.state.may_be_in_sync() {
            return None;
        }
        let said = match (self.result(here), self.observed.report(&here.agent)) {
            (Some(NodeOutcome::InSync), _) => None,
            (None, Some(Said::Finished { outcome: outcome @ NodeOutcome::InSync, record })) => {
                Some((outcome, record.clone()))
            }
            (Some(_), _) | (None, _) => return None,
        };
        Some(match said {
            Some(_) if here.record.begun => Move::Fail(Reason::Forgotten),
            Some((outcome, record)) => self.write_result(here, outcome, record),
            None => Move::Step(NodeEvent::InSync, Wanted::Keep),
        })
    }

    fn restoring(&mut self, here: &Here<'_>, then: AfterRestoring) -> Move {
        // Of an agent that is told to leave behind the command's end nothing comes any more, nor of the short way's: it and its gates
        // go beside the work of the others.
        let short = here.record.short && self.observed.job(&here.agent).is_some_and(|agent| agent.stopped);
        let leaves = |job: &Job| {
            let ours = job.key.with_role(JobRole::Agent) == here.agent;
            ours && ((short && job.stopped) || leaves(self.observed, job))
        };
        let left = self.observed.jobs_for(&here.node.id).iter().any(|job| !leaves(job));
        if !left {
            return Move::Step(NodeEvent::Restored, Wanted::Restore);
        }
        if here.age < self.spec.limits.restoring {
            return Move::Wait(Hold::CleaningUp);
        }
        match then {
            AfterRestoring::Settle => Move::Fail(Reason::TimeLimit),
            AfterRestoring::Done | AfterRestoring::Fail { .. } | AfterRestoring::Skip { .. } => {
                Move::Step(NodeEvent::Restored, Wanted::Restore)
            }
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
        Move::Step(NodeEvent::Settled, Wanted::Keep)
    }

    /// Somebody else changed what this state needs. It is not changed back; after the drain's limit the node fails.
    pub(super) fn taken_away(&mut self, here: &Here<'_>, needed: Availability) -> Move {
        let age = self.watching.age(Key::AvailabilityChanged(here.node.id.clone()));
        if age >= self.spec.limits.draining {
            return Move::Fail(Reason::AvailabilityChanged);
        }
        Move::Wait(Hold::AvailabilityChanged { now: here.node.availability, needed })
    }

    /// Something waits to be placed on a node that is not active.
    pub(super) fn make_active(&mut self, here: &Here<'_>, hold: Hold) -> Move {
        match (here.node.availability, here.record.taken) {
            (Availability::Active, _) => Move::Wait(hold),
            (Availability::Pause | Availability::Drain, Some(taken)) if taken.set == Availability::Active => {
                self.taken_away(here, Availability::Active)
            }
            (Availability::Pause | Availability::Drain, _) => Move::Set(Wanted::Be(Availability::Active)),
        }
    }

    /// What the agent says of a host that is at work.
    pub(super) fn works(&self, here: &Here<'_>, during: StateName) -> Hold {
        let waits = self.host_waits(here);
        let works = || self.observed.report(&here.agent).map(|_| Hold::HostAtWork { during });
        waits.or_else(works).unwrap_or(Hold::NoReport { during })
    }

    pub(super) fn host_waits(&self, here: &Here<'_>) -> Option<Hold> {
        self.observed.host_waits(&here.agent).map(|why| Hold::HostWaits { why: why.to_owned() })
    }

    pub(super) fn may_go_on(&self) -> Result<(), Hold> {
        match &self.control {
            Control::Paused { why } => Err(Hold::Paused { why: why.clone() }),
            Control::Running | Control::Aborting | Control::Finished { .. } => Ok(()),
        }
    }

    pub(super) fn quorum(&self, here: &Here<'_>) -> Result<(), Hold> {
        quorum::may_go_down(self.observed, here.node, self.spec.allow_quorum_loss)
    }

    /// Waits until the drained node is empty, as long as a drain may take.
    pub(super) fn emptied(&self, here: &Here<'_>) -> Result<(), Move> {
        self.is_empty(here).map_err(|hold| match here.age >= self.spec.limits.draining {
            true => Move::Fail(Reason::TimeLimit),
            false => Move::Wait(hold),
        })
    }

    pub(super) fn is_empty(&self, here: &Here<'_>) -> Result<(), Hold> {
        let services = drain::still_running(self.observed, here.node);
        if !services.is_empty() {
            return Err(Hold::NotEmpty { services });
        }
        let baseline = self.observed.baseline.clone().unwrap_or_default();
        let services = drain::not_replaced(self.observed, self.spec, &baseline, here.node);
        let why = self.observed.troubles_of(&services);
        if services.is_empty() { Ok(()) } else { Err(Hold::NotReplaced { services, why }) }
    }

    pub(super) fn result(&self, here: &Here<'_>) -> Option<&NodeOutcome> {
        self.observed.result(&here.node.id, here.record.generation).map(|result| &result.outcome)
    }

    pub(super) fn write_result(
        &self,
        here: &Here<'_>,
        outcome: &NodeOutcome,
        record: Option<String>,
    ) -> Move {
        let (node, generation) = (here.node.id.clone(), here.record.generation);
        let lasted = self.watching.lasted(&node, generation).filter(|_| *outcome == NodeOutcome::Succeeded);
        let seconds = lasted.map(|lasted| lasted.as_secs());
        let result = NodeResult { node, generation, outcome: outcome.clone(), record, seconds };
        Move::Act(vec![Action::WriteResult { result }], Hold::Recording)
    }
}

pub(super) fn unlock_needed() -> Hold {
    Hold::UnlockNeeded { command: "docker swarm unlock".to_owned() }
}

/// A lost agent is replaced, some times.
pub(super) fn lost(here: &Here<'_>) -> Move {
    replaced(here.record, NodeEvent::AgentLost)
}

pub(super) fn replaced(record: &NodeRecord, event: NodeEvent) -> Move {
    if record.agent >= MAX_AGENTS {
        return Move::Fail(Reason::AgentLost);
    }
    // Behind the label `running` the go may still count on the host: the node stays as it is until it does not any more.
    let wanted = match record.state.is_after_the_go() {
        true => Wanted::Keep,
        false => Wanted::Be(Availability::Active),
    };
    Move::Step(event, wanted)
}

/// An agent that no go can reach is replaced, too, fewer times: something on that host takes containers away. Behind the
/// label `running` another agent asks first whether the command has begun: if it has not, the node is taken back.
pub(super) fn cancelled(here: &Here<'_>) -> Move {
    let reads_back = matches!(here.record.state, NodeState::Running { .. });
    if here.record.cancelled >= MAX_CANCELLED && !reads_back {
        return Move::Fail(Reason::GoLost);
    }
    replaced(here.record, NodeEvent::Cancelled)
}

fn answer_failed(ask: Option<Ask>, control: &Control) -> Option<Move> {
    match (ask, control) {
        (_, Control::Aborting | Control::Finished { .. }) | (None, _) => None,
        (Some(Ask::Retry), Control::Running | Control::Paused { .. }) => {
            Some(Move::Step(NodeEvent::Retry, Wanted::Keep))
        }
        (Some(Ask::Skip), Control::Running | Control::Paused { .. }) => {
            Some(Move::Step(NodeEvent::Skip(Skip::Asked), Wanted::Keep))
        }
    }
}

/// Whether a node's host is known to have begun the command: only then nothing of it can be taken back.
pub fn has_begun(observed: &Indexed<'_>, node: &NodeId, record: &NodeRecord) -> bool {
    let says_so = || observed.report(&agent_of(node, record)).is_some_and(is_past_the_go);
    match &record.state {
        NodeState::Running { .. } | NodeState::Verifying => {
            observed.result(node, record.generation).is_some() || says_so()
        }
        NodeState::Draining { goal: Goal::Restart(_) }
        | NodeState::RestartingEngine
        | NodeState::Rebooting => true,
        NodeState::Restoring { then: AfterRestoring::Settle | AfterRestoring::Done }
        | NodeState::Settling
        | NodeState::Done => true,
        NodeState::Pending
        | NodeState::Entering
        | NodeState::Preparing
        | NodeState::Draining { goal: Goal::Run }
        | NodeState::Restoring { then: AfterRestoring::Fail { .. } | AfterRestoring::Skip { .. } }
        | NodeState::Failed { .. }
        | NodeState::Skipped { .. }
        | NodeState::Gone { .. } => false,
    }
}

pub(super) fn agent_of(node: &NodeId, record: &NodeRecord) -> JobKey {
    JobKey {
        rollout: record.rollout.clone(),
        node: node.clone(),
        generation: record.generation,
        agent: record.agent,
        role: JobRole::Agent,
    }
}

/// Whether the host says that the command was begun.
pub(super) fn is_past_the_go(said: &Said) -> bool {
    match said {
        Said::Busy { .. }
        | Said::Copied { .. }
        | Said::Preparing
        | Said::Prepared { .. }
        | Said::Cancelled { .. }
        | Said::Revoked
        | Said::NotBegun
        | Said::Forgotten => false,
        Said::Running { .. }
        | Said::WantsRestart { .. }
        | Said::Restarting { .. }
        | Said::Verifying
        | Said::Finished { .. } => true,
    }
}
