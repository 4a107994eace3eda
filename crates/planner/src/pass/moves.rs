//! A rollout that brings a new version of an enforcement ([`crate::moves`]): both versions are beside each other before the first node
//! begins, a node gets the new one with the label that says that its turn has begun, and at the end one of the two is left.

use super::turns::is_through;
use super::{NodeLabel, Work};
use crate::action::Action;
use crate::hold::{Hold, PauseReason};
use crate::moves::{self, MoveStep, Moves};
use crate::observed::{Node, Observed};
use crate::rollout::{Control, RolloutOutcome};
use crate::spec::Spec;
use crate::state::{Left, NodeRecord, NodeState};
use std::collections::BTreeMap;

impl Work<'_> {
    /// Sets both versions up beside each other. When a node has had its turn, that is not done again: somebody has changed it since, and
    /// the rollout pauses.
    pub(super) fn lay_out(&mut self) {
        let Some(moves) = self.spec.moves.as_ref().filter(|_| self.control == Control::Running) else {
            return;
        };
        let Some(seen) = self.observed.moving.as_ref().filter(|seen| !seen.is_promoted()) else { return };
        // Behind the last node one of the two goes.
        if self.labels.values().all(is_through) {
            return;
        }
        let laid = moves::lay(seen, moves, &self.spec.id, &self.observed.nodes);
        let begun = self.labels.values().any(|label| matches!(label, NodeLabel::Ours { stored: true, .. }));
        let amiss = match laid {
            Ok(steps) if steps.is_empty() => return,
            Ok(steps) if !begun => return self.take(steps),
            Ok(steps) => amiss(&steps),
            Err(amiss) => amiss,
        };
        self.pause(PauseReason::EnforcementChanged { enforcement: moves.enforcement.clone(), amiss });
    }

    /// Why no node begins yet.
    pub(super) fn is_laid(&self) -> Result<(), Hold> {
        let Some(moves) = &self.spec.moves else { return Ok(()) };
        let laid = |seen| moves::lay(seen, moves, &self.spec.id, &self.observed.nodes);
        match self.observed.moving.as_ref().map(laid) {
            Some(Ok(steps)) if steps.is_empty() => Ok(()),
            Some(Ok(_) | Err(_)) | None => Err(Hold::SettingUp { enforcement: moves.enforcement.clone() }),
        }
    }

    fn take(&mut self, steps: Vec<MoveStep>) {
        let Some(moves) = &self.spec.moves else { return };
        self.actions.extend(steps.into_iter().map(|step| action(moves, step)));
    }

    /// What a write of a node says of the version that is for it: the new one when its turn begins, none of it where nothing was begun
    /// or the node is left out. What somebody removed meanwhile is not set again.
    pub(super) fn version_label(&self, node: &Node, record: &NodeRecord) -> Option<(String, Option<String>)> {
        let moves = self.spec.moves.as_ref()?;
        let before = NodeRecord::of(node).ok().flatten().filter(|before| before.rollout == self.spec.id);
        let waited = before.is_none_or(|before| before.state == NodeState::Pending);
        let value = match &record.state {
            // Between two tries it stays.
            NodeState::Pending if record.generation > 1 => return None,
            NodeState::Pending | NodeState::Skipped { .. } => None,
            NodeState::Entering | NodeState::Running { .. } if waited => Some(moves.to.clone()),
            NodeState::Entering
            | NodeState::Preparing
            | NodeState::Draining { .. }
            | NodeState::Running { .. }
            | NodeState::RestartingEngine
            | NodeState::Rebooting
            | NodeState::Verifying
            | NodeState::Restoring { .. }
            | NodeState::Settling
            | NodeState::Done
            | NodeState::Failed { .. }
            | NodeState::Gone { .. } => return None,
        };
        // Of another value nobody knows whose it is.
        (value.is_some() || moves.is_on(node)).then(|| (moves.label(), value))
    }

    /// What is left to do for the enforcement when all nodes are through. The new version becomes the stable one when the rollout is a
    /// success and a host has it; an abort takes it back, and so does a rollout that brought it to nobody. One with failures leaves
    /// both: an operator says what follows.
    pub(super) fn ends_the_move(&mut self) -> bool {
        let (Some(moves), Some(seen)) = (&self.spec.moves, &self.observed.moving) else { return false };
        let nodes = &self.observed.nodes;
        let some_have_it = self.labels.values().any(|label| {
            matches!(label.state(), Some(NodeState::Done | NodeState::Gone { left: Left::Done }))
        });
        let steps = match (seen.is_promoted(), self.outcome(), some_have_it) {
            (true, _, _) | (false, RolloutOutcome::Done, true) => moves::promote(seen, moves, nodes),
            (false, RolloutOutcome::Aborted, _) | (false, RolloutOutcome::Done, false) => {
                moves::retract(seen, moves, nodes)
            }
            (false, RolloutOutcome::WithFailures, _) => Vec::new(),
        };
        let any = !steps.is_empty();
        self.take(steps);
        any
    }
}

/// Labels of the new version that a controller wrote late, which was frozen while the rollout came to its end. Behind failures they
/// stay: both versions do.
pub(super) fn late_labels(observed: &Observed, spec: &Spec) -> Vec<Action> {
    let control = observed.rollout.as_ref().map(|rollout| &rollout.control);
    let over = matches!(
        control,
        Some(Control::Finished { outcome: RolloutOutcome::Done | RolloutOutcome::Aborted })
    );
    let Some(moves) = spec.moves.as_ref().filter(|_| over) else { return Vec::new() };
    moves.labelled(&observed.nodes).into_iter().map(|step| action(moves, step)).collect()
}

/// What was undone that this would do again.
fn amiss(steps: &[MoveStep]) -> moves::Amiss {
    match steps.first() {
        Some(MoveStep::Constrain { .. }) => moves::Amiss::StableService,
        Some(MoveStep::CreateService { .. } | MoveStep::Unlabel { .. }) => moves::Amiss::NewService,
        Some(MoveStep::Say { .. } | MoveStep::RemoveService { .. } | MoveStep::RemoveConfig { .. })
        | None => moves::Amiss::Label,
    }
}

fn action(moves: &Moves, step: MoveStep) -> Action {
    match step {
        MoveStep::Unlabel { node, at } => {
            let labels = BTreeMap::from([(moves.label(), None)]);
            Action::UpdateNode { node, version: at, labels, availability: None }
        }
        step @ (MoveStep::Say { .. }
        | MoveStep::Constrain { .. }
        | MoveStep::CreateService { .. }
        | MoveStep::RemoveService { .. }
        | MoveStep::RemoveConfig { .. }) => Action::Move { enforcement: moves.enforcement.clone(), step },
    }
}
