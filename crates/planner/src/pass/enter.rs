//! Whose turn it is.

use super::turns::{is_through, is_waiting};
use super::{Move, Wanted, Work};
use crate::action::Action;
use crate::drain;
use crate::hold::{Hold, PauseReason};
use crate::ids::NodeId;
use crate::observed::{Availability, Expectation, Node, Role};
use crate::order;
use crate::quorum;
use crate::rollout::{Baseline, Control};
use crate::settle;
use crate::state::{NodeEvent, NodeRecord, Reason};
use crate::watch::Key;
use std::collections::BTreeSet;
use std::time::Duration;

impl Work<'_> {
    /// A node of which nothing was begun.
    pub(super) fn pending(&mut self, node: &Node, record: &NodeRecord) -> Move {
        if let Control::Paused { why } = &self.control {
            // Paused for this very node, which is still down: now it is called failed.
            let mine = matches!(why, PauseReason::NodeFailed { node: failed, .. } if *failed == node.id);
            return match mine && !node.is_ready() {
                true => Move::Fail(Reason::NodeDown),
                false => Move::Wait(Hold::Paused { why: why.clone() }),
            };
        }
        if self.observed.baseline.is_none() {
            let forgotten = self.is_forgotten();
            return Move::Wait(if forgotten { Hold::BaselineRemoved } else { Hold::Starting });
        }
        if let Err(hold) = self.is_laid().and_then(|()| self.turn(node)) {
            return Move::Wait(hold);
        }
        if !node.is_ready() {
            let age = self.watching.age(Key::Down(node.id.clone()));
            let fail = age >= self.spec.limits.node_down && !self.has_hold_limit(record);
            return if fail { Move::Fail(Reason::NodeDown) } else { Move::Wait(Hold::NodeDown) };
        }
        // Before the controller leaves: two nodes that both may not begin would send it to and fro.
        if let Err(hold) = self.place(node) {
            return Move::Wait(hold);
        }
        if !order::leaves_engines_alone(self.spec)
            && let Some(moving) = self.controller_leaves(node)
        {
            return moving;
        }
        if self.goes_the_short_way(node, record) {
            return Move::Step(NodeEvent::Start, Wanted::Keep);
        }
        let surely_drained = drain::before_the_command(self.spec, Expectation::Unknown);
        let kept = crate::availability::operators(node, record.taken) != Availability::Active;
        let against = (surely_drained && !kept)
            .then(|| drain::hold(self.observed, self.spec, &others(self.turns.begun(), node), node));
        match against.flatten() {
            Some(hold) => Move::Wait(hold),
            None => Move::Step(NodeEvent::Enter, Wanted::Be(Availability::Active)),
        }
    }

    /// Who takes part, and how the services stand, is recorded before the first node begins. When it is gone later, nobody
    /// knows who took part, and a new list would forget who left and take in who joined: the rollout pauses, and an
    /// operator ends it.
    pub(super) fn record_baseline(&mut self) {
        if self.observed.baseline.is_some() || self.control != Control::Running {
            return;
        }
        if !self.is_forgotten() {
            let nodes = Some(self.participants.to_vec());
            let baseline = Baseline { nodes, ..settle::baseline(self.observed) };
            self.actions.push(Action::WriteBaseline { baseline });
        } else if let Some(rollout) = &self.observed.rollout {
            let control = Control::Paused { why: PauseReason::BaselineRemoved };
            self.actions.push(Action::SetControl { control, version: rollout.version });
            self.control_changed = true;
        }
    }

    /// Its wave, and the quiet before it.
    fn turn(&mut self, node: &Node) -> Result<(), Hold> {
        let mine = self.turns.wave(&node.id);
        let not_through = |id: &&NodeId| self.labels.get(*id).is_some_and(|one| !is_through(one));
        // The first wave that is not through is what everybody waits for.
        if let Some(earlier) = self.turns.open_before(mine) {
            let nodes = self.waves[earlier].iter().filter(not_through).cloned().collect();
            return Err(Hold::EarlierWave { nodes });
        }
        let began = |id: &NodeId| self.labels.get(id).is_some_and(|one| !is_waiting(one));
        let wave_began = self.waves[mine].iter().any(began);
        if mine > 0 && !wave_began {
            let quiet = self.watching.age(Key::WaveOpen(mine));
            let left = self.spec.policy.delay.saturating_sub(quiet);
            if left > Duration::ZERO {
                return Err(Hold::Delay { seconds_left: left.as_secs_f64().ceil() as u64 });
            }
        }
        Ok(())
    }

    /// Whether one more node may begin.
    fn place(&self, node: &Node) -> Result<(), Hold> {
        self.limits(node, others(self.turns.begun(), node).into_iter().collect())
    }

    /// Whether one more node may go where it is missed. Asked again where the node is taken out of service: a label
    /// `entering` of a controller that was frozen and woke up may have come between.
    pub(super) fn maintenance(&self, node: &Node) -> Result<(), Hold> {
        self.limits(node, others(self.turns.in_maintenance(), node).into_iter().collect())
    }

    /// The nodes that are away, or will be, beside this one.
    pub(super) fn others_away(&self, node: &Node) -> BTreeSet<NodeId> {
        others(self.turns.in_maintenance(), node)
    }

    fn limits(&self, node: &Node, nodes: Vec<NodeId>) -> Result<(), Hold> {
        let limit = self.places;
        let full = |nodes: Vec<NodeId>| {
            if nodes.len() >= limit { Err(Hold::Parallelism { limit, nodes }) } else { Ok(()) }
        };
        if order::leaves_engines_alone(self.spec) {
            return full(nodes);
        }
        let was_manager =
            |id: &NodeId| self.participants.iter().any(|one| one.id == *id && one.role == Role::Manager);
        let is_manager =
            |id: &&NodeId| self.observed.node(id).map_or_else(|| was_manager(id), Node::is_manager);
        if let (true, Some(other)) = (node.is_manager(), nodes.iter().find(is_manager)) {
            return Err(Hold::OtherManager { node: other.clone() });
        }
        full(nodes)?;
        quorum::may_go_down(self.observed, node, self.spec.allow_quorum_loss)
    }

    /// The controller leaves its node before that node's turn, when there is another manager that takes it.
    fn controller_leaves(&self, node: &Node) -> Option<Move> {
        let place = self.observed.controller.as_ref()?;
        if place.node != node.id || !place.movable {
            return None;
        }
        let takes = |other: &&Node| {
            other.id != node.id
                && other.is_manager()
                && other.is_ready()
                && other.availability == Availability::Active
        };
        self.observed.nodes.iter().find(takes)?;
        let action = Action::MoveController { away_from: node.id.clone() };
        Some(Move::Act(vec![action], Hold::ControllerHere))
    }
}

/// All of these but this one.
fn others(all: &BTreeSet<NodeId>, node: &Node) -> BTreeSet<NodeId> {
    all.iter().filter(|id| **id != node.id).cloned().collect()
}
