//! The short way: where nothing is drained or restarted, an agent needs no go. It begins as soon as it is placed, so placing it is
//! the act without way back, and the label `running` comes before it.
//!
//! What keeps a controller that was frozen from placing an agent late is its *ticket*: a config of its own, which the agent's service
//! refers to. The swarm creates no service whose config is gone, and removes no config that a service refers to. So whoever takes a
//! ticket away knows that the agent was never placed; who cannot finds its service there, and the host decides as ever. Whatever
//! else happens, an agent that is lost or refused, goes the long way from there.

use super::node::{Here, is_past_the_go, lost};
use super::{Move, Wanted, Work};
use crate::action::Action;
use crate::hold::Hold;
use crate::observed::{Availability, Node, Said, TaskState};
use crate::rollout::{Ask, Control};
use crate::short;
use crate::state::{NodeEvent, NodeRecord, NodeState};

impl Work<'_> {
    /// Whether a node goes the short way when its turn comes. One that its operator keeps drained takes no task.
    pub(super) fn goes_the_short_way(&self, node: &Node, record: &NodeRecord) -> bool {
        let kept = crate::availability::operators(node, record.taken);
        short::is_short(self.spec)
            && (kept, node.availability) == (Availability::Active, Availability::Active)
            && record.agent < super::node::MAX_AGENTS
    }

    /// Where a node stands whose agent has no service: nothing can have begun. `None` when it has one, or its host has spoken.
    pub(super) fn not_placed(&self, here: &Here<'_>) -> Option<Move> {
        let is_running = matches!(here.record.state, NodeState::Running { .. });
        let known = self.observed.job(&here.agent).is_some()
            || self.observed.report(&here.agent).is_some()
            || self.result(here).is_some();
        if !here.record.short || !is_running || known {
            return None;
        }
        let wanted = here.node.is_ready()
            && here.node.availability == Availability::Active
            && self.control == Control::Running
            && Ask::of(here.node, &self.spec.id).is_none();
        let placing = Hold::Placing { placed: 0, of: 1, why: None };
        let key = here.agent.clone();
        Some(match (wanted, self.observed.tickets.contains(&key)) {
            (true, false) => Move::Act(vec![Action::CreateTicket { key }], placing),
            (true, true) => {
                Move::Act(vec![Action::CreateJob { agent: Box::new(self.agent_spec(here)) }], placing)
            }
            (false, true) => Move::Act(vec![Action::RemoveTicket { key }], Hold::CleaningUp),
            (false, false) => Move::Step(NodeEvent::NeverPlaced, Wanted::Keep),
        })
    }

    /// While the agent is on its way to the command; `None` where its container was there and says nothing.
    pub(super) fn on_its_way(&self, here: &Here<'_>, said: Option<&Said>) -> Option<Move> {
        let job = self.observed.job(&here.agent).filter(|_| here.record.short)?;
        if here.age >= self.spec.limits.preparing && !said.is_some_and(is_past_the_go) {
            return Some(lost(here));
        }
        if said.is_some() {
            return None;
        }
        if job.refused.is_some() && !job.may_run() {
            return Some(Move::Step(NodeEvent::Refused, Wanted::Keep));
        }
        let was_there = |task: &TaskState| !matches!(task, TaskState::Pending | TaskState::Starting);
        if job.stopped || job.tasks.iter().any(was_there) {
            return None;
        }
        Some(match here.age >= self.spec.limits.entering {
            true => lost(here),
            false => Move::Wait(self.placing(here, 0, 1)),
        })
    }

    /// A new controller takes over a node that goes the short way. An agent that is there needs nobody's go; one that is not must never
    /// come.
    pub(super) fn takes_over_short(&self, node: &Node, record: &NodeRecord) -> Option<Move> {
        let here = Here {
            node,
            record,
            age: std::time::Duration::ZERO,
            agent: super::node::agent_of(&node.id, record),
        };
        self.not_placed(&here)?;
        let key = here.agent;
        Some(match self.observed.tickets.contains(&key) {
            true => Move::Act(vec![Action::RemoveTicket { key }], Hold::TakingOver),
            false => Move::Step(NodeEvent::NeverPlaced, Wanted::Keep),
        })
    }

    /// Tickets that nobody needs any more. One whose service is there stays as long as that.
    pub(super) fn reap_tickets(&mut self) {
        for key in &self.observed.tickets {
            let node = self.observed.node(&key.node);
            let record = node.and_then(|node| NodeRecord::of(node).ok().flatten());
            let needed = record.is_some_and(|record| {
                record.short
                    && matches!(record.state, NodeState::Running { .. })
                    && super::node::agent_of(&key.node, &record) == *key
            });
            let action = Action::RemoveTicket { key: key.clone() };
            if !needed && self.observed.job(key).is_none() && !self.actions.contains(&action) {
                self.actions.push(action);
            }
        }
    }
}
