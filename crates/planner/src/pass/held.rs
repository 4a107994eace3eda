//! A node that waits before anything was taken down on it: for how long it may, and what follows.
//!
//! As long as something outside of the rollout keeps it waiting, the limit of holds counts, and the limits of its states do not.
//! Nothing of that is for a node that is drained, or whose command may have begun: it keeps its state's limit.

use super::{Move, Work};
use crate::action::Action;
use crate::hold::{Hold, PauseReason};
use crate::observed::{Availability, Node};
use crate::on_hold::{self, Held, HoldClock, OnHold};
use crate::rollout::Control;
use crate::state::{NodeEvent, NodeRecord, NodeState, Skip};
use crate::watch::Key;
use careen_contract::label;
use std::collections::BTreeMap;
use std::time::Duration;

impl Work<'_> {
    /// Whether the limit of holds is for this node, as far as it is blocked.
    pub(super) fn has_hold_limit(&self, record: &NodeRecord) -> bool {
        nothing_was_taken_down(record) && self.spec.policy.holds.has_limit()
    }

    /// What follows when what was decided is to wait, and that has lasted too long.
    pub(super) fn limited(&mut self, node: &Node, record: &NodeRecord, decided: Move) -> Move {
        let counted = on_hold::read(node, &self.spec.id, record.generation);
        let key = Key::Held(node.id.clone(), record.generation, counted.as_secs());
        let runs = counted > Duration::ZERO || self.watching.was(&key);
        let clock = if self.has_hold_limit(record) { clock_of(&decided) } else { HoldClock::Ends };
        match (clock, runs) {
            (HoldClock::Runs, _) | (HoldClock::GoesOn, true) => {}
            (HoldClock::GoesOn, false) => return decided,
            (HoldClock::Ends, _) => {
                self.ends_its_hold(node, &decided);
                return decided;
            }
        }
        self.stops_its_states_time(record, node);
        // While the rollout is paused somebody is asked already, and nobody counts.
        if self.control != Control::Running {
            self.ends_its_hold(node, &decided);
            return decided;
        }
        let lasted = counted + self.watching.age(key);
        match decided {
            Move::Wait(hold) => self.held_for(node, record, lasted, counted, hold, Vec::new()),
            Move::Act(actions, hold) => self.held_for(node, record, lasted, counted, hold, actions),
            Move::Step(..) | Move::Set(_) | Move::Fail(_) => decided,
        }
    }

    fn held_for(
        &mut self,
        node: &Node,
        record: &NodeRecord,
        lasted: Duration,
        counted: Duration,
        hold: Hold,
        actions: Vec<Action>,
    ) -> Move {
        let policy = self.spec.policy.holds;
        let held = Held { lasted, limit: policy.limit, then: policy.action };
        self.held.insert(node.id.clone(), held);
        if lasted >= policy.limit {
            return self.held_too_long(node, record, hold);
        }
        if lasted >= counted + policy.step() {
            let value = on_hold::written(&self.spec.id, record.generation, lasted);
            self.write_held(node, Some(value));
            // What was counted since is not counted again when the label is seen.
            let seconds = lasted.as_secs();
            let key = Key::Held(node.id.clone(), record.generation, seconds);
            self.watching.set_age(key, lasted.saturating_sub(Duration::from_secs(seconds)));
        }
        if actions.is_empty() { Move::Wait(hold) } else { Move::Act(actions, hold) }
    }

    fn held_too_long(&mut self, node: &Node, record: &NodeRecord, hold: Hold) -> Move {
        match self.spec.policy.holds.action {
            OnHold::Wait => Move::Wait(hold),
            OnHold::Skip => {
                self.note_hold(&node.id, record.generation, &hold);
                self.unheld.insert(node.id.clone());
                Move::Step(NodeEvent::Skip(Skip::Held), super::Wanted::Keep)
            }
            OnHold::Pause => {
                let seconds = self.spec.policy.holds.limit.as_secs();
                let why = PauseReason::NodeHeld { node: node.id.clone(), hold: Box::new(hold), seconds };
                self.pause(why.clone());
                Move::Wait(Hold::Paused { why })
            }
        }
    }

    /// The limit of the state begins anew when the hold is over: what keeps the node waiting is nothing that its host does.
    fn stops_its_states_time(&mut self, record: &NodeRecord, node: &Node) {
        if record.state != NodeState::Pending {
            let key = Key::State(node.id.clone(), record.generation, record.state.name());
            self.watching.set_age(key, Duration::ZERO);
        }
    }

    /// What was counted is of no use any more. A write of the node takes it away.
    fn ends_its_hold(&mut self, node: &Node, decided: &Move) {
        if !node.labels.contains_key(label::HELD) {
            return;
        }
        match decided {
            Move::Wait(_) | Move::Act(..) => self.write_held(node, None),
            Move::Step(..) | Move::Set(_) | Move::Fail(_) => drop(self.unheld.insert(node.id.clone())),
        }
    }

    fn write_held(&mut self, node: &Node, value: Option<String>) {
        let labels = BTreeMap::from([(label::HELD.to_owned(), value)]);
        let (node, version) = (node.id.clone(), node.version);
        self.actions.push(Action::UpdateNode { node, version, labels, availability: None });
    }
}

/// Whether careen has taken nothing down on the node, and can take back what it has there.
pub(super) fn nothing_was_taken_down(record: &NodeRecord) -> bool {
    let drained = record.taken.is_some_and(|taken| taken.set == Availability::Drain);
    let early = match &record.state {
        NodeState::Pending | NodeState::Entering | NodeState::Preparing => true,
        NodeState::Draining { .. }
        | NodeState::Running { .. }
        | NodeState::RestartingEngine
        | NodeState::Rebooting
        | NodeState::Verifying
        | NodeState::Restoring { .. }
        | NodeState::Settling
        | NodeState::Done
        | NodeState::Failed { .. }
        | NodeState::Skipped { .. }
        | NodeState::Gone { .. } => false,
    };
    // Behind a failed try nobody knows what its host has begun, and an operator is at it.
    early && !drained && !record.begun && record.generation == 1
}

fn clock_of(decided: &Move) -> HoldClock {
    match decided {
        Move::Wait(hold) | Move::Act(_, hold) => HoldClock::of(hold),
        // Another agent asks the node anew: what keeps it waiting may be as it was.
        Move::Step(NodeEvent::AgentLost | NodeEvent::Cancelled | NodeEvent::Withdraw, _) => HoldClock::GoesOn,
        Move::Step(..) | Move::Set(_) | Move::Fail(_) => HoldClock::Ends,
    }
}
