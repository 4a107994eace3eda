//! The end of a rollout: history, then the control record, then nothing of it is left but what stays on purpose.

use super::moves::late_labels;
use super::reap::is_needed;
use super::through::leaves;
use super::{NodeLabel, PassEnd, Work};
use crate::action::Action;
use crate::hold::PauseReason;
use crate::indexed::Indexed;
use crate::observed::Job;
use crate::on_hold;
use crate::remains::without_labels;
use crate::rollout::{Control, RolloutOutcome};
use crate::spec::Spec;
use crate::state::{NodeRecord, NodeState};
use std::collections::BTreeMap;

impl Work<'_> {
    /// When every node is through: the history, then the end.
    pub(super) fn finish(&mut self) -> PassEnd {
        let only_beats = self.actions.iter().all(|action| matches!(action, Action::Beat { .. }));
        let through = self.labels.values().all(|label| self.is_over(label));
        // Nobody waits for who leaves before the end is told; the lock is given back behind them.
        let leftovers = has_tickets(self.observed)
            || leftovers(self.observed, self.spec).any(|job| !leaves(self.observed, job));
        if !only_beats
            || !through
            || self.surges.are_waited_for()
            || self.waits_for_its_operator()
            || leftovers
        {
            return PassEnd::GoOn;
        }
        if self.ends_the_move() {
            return PassEnd::GoOn;
        }
        let outcome = self.outcome();
        if !self.observed.history_written {
            self.fence();
            let gone = self.gone();
            self.actions.push(Action::WriteHistory { outcome, gone });
        } else if let Some(rollout) = &self.observed.rollout {
            let control = Control::Finished { outcome };
            self.actions.push(Action::SetControl { control, version: rollout.version });
        }
        PassEnd::GoOn
    }

    /// Writes every node once that an abort leaves alone. A controller that was frozen in the middle of a pass before that may still
    /// have such a node to enter; when it thaws, the node has another version, and nobody would be there any more to give back
    /// what it did. It goes before the history, so that whoever takes over here does it, too.
    fn fence(&mut self) {
        for node in &self.observed.nodes {
            if let Some(NodeLabel::Ours { stored: false, .. }) = self.labels.get(&node.id) {
                let (node, version) = (node.id.clone(), node.version);
                // As it is: an earlier rollout's label tells what is to be given back.
                let labels = BTreeMap::new();
                self.actions.push(Action::UpdateNode { node, version, labels, availability: None });
            }
        }
    }

    /// A failure that paused the rollout is an operator's to judge, also when no other node is left: until then the node can
    /// be tried again.
    fn waits_for_its_operator(&self) -> bool {
        // Who left is forgotten with it.
        let nobody_knows_who_took_part = self.observed.baseline.is_none() && self.is_forgotten();
        match &self.control {
            Control::Paused {
                why: PauseReason::BaselineRemoved | PauseReason::EnforcementChanged { .. },
            } => true,
            Control::Paused { .. } => {
                nobody_knows_who_took_part || self.labels.values().any(NodeLabel::has_failed)
            }
            Control::Running | Control::Aborting | Control::Finished { .. } => false,
        }
    }

    fn is_over(&self, label: &NodeLabel) -> bool {
        // An abort leaves alone what was not begun, and what nobody can read.
        let untouched = match label {
            NodeLabel::Ours { stored, .. } => !stored,
            NodeLabel::Foreign(_) | NodeLabel::Corrupt(_) | NodeLabel::Removed { .. } => true,
            NodeLabel::Gone { .. } => false,
        };
        label.state().is_some_and(NodeState::is_terminal) || (self.control == Control::Aborting && untouched)
    }

    pub(super) fn outcome(&self) -> RolloutOutcome {
        if self.control == Control::Aborting {
            RolloutOutcome::Aborted
        } else if self.labels.values().any(|one| one.has_failed() || one.is_missing()) {
            RolloutOutcome::WithFailures
        } else {
            RolloutOutcome::Done
        }
    }

    /// After the end: what is left of services, labels and single results goes, then the lock is given back.
    pub(super) fn tidy(&mut self) -> PassEnd {
        for node in &self.observed.nodes {
            if wants_tidying(node, self.spec) {
                self.actions.push(without_labels(node, None).into());
            }
        }
        self.actions.extend(late_labels(self.observed, self.spec));
        if !self.observed.results.is_empty() {
            self.actions.push(Action::RemoveResults);
        }
        if has_delivered(self.observed, self.spec) {
            self.actions.push(Action::RemoveDelivered);
        }
        // What is removed now may be what kept the payload's files, also on a node that does not report.
        let is_removing = self.actions.iter().any(|action| !matches!(action, Action::Beat { .. }));
        if !is_removing && !is_untidy(self.observed, self.spec) {
            let lock = self.observed.lock.as_ref();
            self.actions.extend(lock.map(|lock| Action::ReleaseLock { version: lock.version }));
        }
        PassEnd::GoOn
    }
}

/// Whether something of a finished rollout is left that should not be.
pub(super) fn is_untidy(observed: &Indexed<'_>, spec: &Spec) -> bool {
    has_leftovers(observed, spec)
        || !observed.results.is_empty()
        || has_delivered(observed, spec)
        || !late_labels(observed, spec).is_empty()
        || observed.nodes.iter().any(|node| wants_tidying(node, spec))
}

/// Whether the payload's files, or the unlock key, can be removed. Swarm keeps what a service refers to, and a service on a node that is
/// down stays: the next rollout's submission looks after what it had. The key waits for those alone that have it.
fn has_delivered(observed: &Indexed<'_>, spec: &Spec) -> bool {
    let files = observed.delivered && !observed.jobs.iter().any(|job| job.key.rollout == spec.id);
    files || observed.key_is_left
}

/// Whether anything is left that can be taken away.
fn has_leftovers(observed: &Indexed<'_>, spec: &Spec) -> bool {
    has_tickets(observed) || leftovers(observed, spec).next().is_some()
}

fn has_tickets(observed: &Indexed<'_>) -> bool {
    observed.tickets.iter().any(|key| observed.job(key).is_none())
}

/// Services that can be taken away. What is on a node that is down waits for a later rollout.
fn leftovers<'a>(observed: &'a Indexed<'_>, spec: &'a Spec) -> impl Iterator<Item = &'a Job> {
    let reachable = |job: &&Job| observed.node(job.place()).is_none_or(|node| node.is_ready());
    observed.jobs.iter().filter(reachable).filter(|job| !is_needed(observed, &spec.id, &job.key))
}

/// The label of a node that careen left drained stays: it says what the node was before. One that says `entering` is of a
/// controller that was frozen while the rollout was aborted, and woke up after its end: nothing was begun.
fn wants_tidying(node: &crate::observed::Node, spec: &Spec) -> bool {
    match NodeRecord::of(node) {
        Ok(Some(record)) => {
            let begun = !record.state.is_terminal() && !record.is_an_intent();
            record.rollout == spec.id && !begun && record.taken.is_none()
        }
        Ok(None) => on_hold::is_of(node, &spec.id),
        Err(_) => false,
    }
}
