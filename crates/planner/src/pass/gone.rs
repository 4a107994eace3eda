//! Participants that are no longer in the swarm, nodes whose label somebody removed, and a rollout that is not there.
//!
//! Nothing of these is forgotten, and nothing waits for ever: each has a limit, and an operator can end the wait.

use super::{NodeLabel, PassError, Wanted, Work};
use crate::action::Action;
use crate::hold::{Hold, PauseReason};
use crate::ids::NodeId;
use crate::observed::{Node, Observed};
use crate::rollout::{Ask, Control, GoneMark, GoneNode};
use crate::spec::Spec;
use crate::state::{Left, NodeEvent, NodeRecord, NodeState, Reason, Skip};
use crate::watch::Key;
use std::time::Duration;

impl Work<'_> {
    /// A participant that left. In its turn that is a failure: the rollout pauses for it once. Its host may still be at work,
    /// so it keeps its place until its time is over or an operator gives it up; that is written down before its services,
    /// which are all that tells of it, are removed.
    pub(super) fn absent(&mut self, id: &NodeId) {
        let Some(NodeLabel::Gone { state: NodeState::Gone { left } }) = self.labels.get(id) else { return };
        let left = *left;
        if left == Left::AtWork {
            if self.control != Control::Aborting && self.is_asked(id) {
                if !self.is_noted(id) {
                    self.note(id);
                }
                return;
            }
            let limit = self.spec.limits.node_down;
            let rest = limit.saturating_sub(self.watching.age(Key::Gone(id.clone())));
            let seconds_left = rest.as_secs_f64().ceil() as u64;
            self.holds.entry(id.clone()).or_insert(Hold::NodeGone { seconds_left });
            if rest == Duration::ZERO || self.control == Control::Aborting {
                return self.mark(id, GoneMark::GivenUp, None);
            }
        }
        if matches!(left, Left::AtWork | Left::Failed) && !self.is_noted(id) {
            self.note(id);
        }
    }

    fn is_noted(&self, id: &NodeId) -> bool {
        self.observed.rollout.as_ref().is_some_and(|rollout| rollout.gone.contains_key(id))
    }

    /// What the failure policy makes of a node that left in its turn.
    fn note(&mut self, id: &NodeId) {
        match &self.control {
            Control::Running => {
                let hostname = self.hostname(id);
                let why = PauseReason::NodeGone { node: id.clone(), hostname };
                let control = self.pauses_for(id).then_some(Control::Paused { why });
                self.mark(id, GoneMark::Noted, control);
            }
            // Paused for the same node, which failed before it left.
            Control::Paused { why: PauseReason::NodeFailed { node, .. } } if node == id => {
                self.mark(id, GoneMark::Noted, None);
            }
            Control::Paused { .. } | Control::Aborting | Control::Finished { .. } => {}
        }
    }

    /// One write of the rollout's config in a pass: a second one would be refused.
    pub(super) fn mark(&mut self, node: &NodeId, mark: GoneMark, control: Option<Control>) {
        let Some(rollout) = &self.observed.rollout else { return };
        if !std::mem::replace(&mut self.control_changed, true) {
            let (node, version) = (node.clone(), rollout.version);
            self.actions.push(Action::MarkGone { node, mark, control, version });
        }
    }

    fn hostname(&self, id: &NodeId) -> String {
        let participant = self.participants.iter().find(|one| one.id == *id);
        participant.map_or_else(|| id.0.clone(), |one| one.hostname.clone())
    }

    /// The participants that left, for the history.
    pub(super) fn gone(&self) -> Vec<GoneNode> {
        crate::participants::gone(self.observed, self.spec).unwrap_or_default()
    }

    /// A node that had begun and has no label. It may be skipped; left so, it fails. A `retry` is another try, so nothing
    /// begins anew that may be under way. In an abort there is nothing of it that could be given back.
    pub(super) fn without_record(&mut self, node: &Node, record: NodeRecord) -> Result<(), PassError> {
        if self.control == Control::Aborting {
            return Ok(());
        }
        if Ask::of(node, &self.spec.id) == Some(Ask::Skip) {
            return self.step(node, record, &NodeEvent::Skip(Skip::Asked), Wanted::Keep);
        }
        let age = self.watching.age(Key::Removed(node.id.clone()));
        if age >= self.spec.limits.node_down {
            return self.fail(node, record, Reason::RecordRemoved);
        }
        self.holds.insert(node.id.clone(), Hold::RecordRemoved);
        Ok(())
    }
}

/// Whether a rollout whose config is not there was not over: something of it is left that its end takes away, and no
/// history tells of it; or a node is in the middle of something, for a `retry` may follow the history.
pub(super) fn was_removed(observed: &Observed, spec: &Spec) -> bool {
    let has_record = |node: &Node| {
        let record = NodeRecord::of(node).ok().flatten();
        record.is_some_and(|record| record.rollout == spec.id)
    };
    let is_begun = |node: &Node| {
        let record = NodeRecord::of(node).ok().flatten();
        record.is_some_and(|record| record.rollout == spec.id && !record.state.is_terminal())
    };
    let lock = observed.lock.as_ref();
    let works = lock.is_some_and(|lock| lock.holder.is_some() && lock.rollout.as_ref() == Some(&spec.id));
    let left = works
        || observed.nodes.iter().any(has_record)
        || observed.jobs.iter().any(|job| job.key.rollout == spec.id);
    observed.nodes.iter().any(is_begun) || (left && !observed.history_written)
}
