//! Who takes part. That is decided once, when the rollout starts, and kept in its baseline: whoever joins, leaves or gets
//! another label afterwards changes nothing.
//!
//! A participant that is no longer in the swarm's list of nodes is *gone*, and its label with it. What is left of it are
//! careen's services for it, its results, and the marks on the rollout's config.

use crate::constraint::InvalidConstraint;
use crate::ids::{JobKey, JobRole, NodeId, RolloutId};
use crate::indexed::Indexed;
use crate::observed::{Job, Node, NodeOutcome, Observed, TaskState};
pub use crate::participant::{Participant, Turn};
use crate::rollout::{GoneMark, GoneNode};
use crate::selection::select;
use crate::spec::Spec;
use crate::state::{Left, NodeRecord, NodeState};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Who takes part: as the baseline says, else who is selected now. One that an older version began has no list: then also
/// those that have begun.
pub fn participants<'a>(
    observed: &'a Observed,
    spec: &Spec,
) -> Result<Cow<'a, [Participant]>, InvalidConstraint> {
    if let Some(nodes) = observed.baseline.as_ref().and_then(|baseline| baseline.nodes.as_deref()) {
        return Ok(Cow::Borrowed(nodes));
    }
    let mut all = selected(observed, spec)?;
    let is_selected: BTreeSet<&NodeId> = all.iter().map(|one| &one.id).collect();
    let begun = |node: &&Node| {
        let record = NodeRecord::of(node).ok().flatten();
        record.is_some_and(|record| record.rollout == spec.id) && !is_selected.contains(&node.id)
    };
    let begun: Vec<Participant> =
        observed.nodes.iter().filter(begun).map(|node| Participant::of(node, spec, None)).collect();
    all.extend(begun);
    Ok(Cow::Owned(all))
}

/// Who would take part if the rollout began now.
pub fn selected(observed: &Observed, spec: &Spec) -> Result<Vec<Participant>, InvalidConstraint> {
    let selected = select(observed, spec)?;
    let nodes = selected.nodes.iter().map(|node| Participant::of(node, spec, None));
    let skipped = selected.skipped.iter().map(|(node, why)| Participant::of(node, spec, Some(*why)));
    Ok(nodes.chain(skipped).collect())
}

/// Nodes that would be selected now and take no part: they joined later, or their labels fit only since.
pub fn latecomers(observed: &Observed, spec: &Spec) -> Result<Vec<Participant>, InvalidConstraint> {
    let taking_part = participants(observed, spec)?;
    let known: BTreeSet<&NodeId> = taking_part.iter().map(|one| &one.id).collect();
    let late = |one: &Participant| !known.contains(&one.id);
    Ok(selected(observed, spec)?.into_iter().filter(late).collect())
}

/// Whether the rollout had begun although nothing is there any more that says who takes part: somebody removed it.
pub fn is_forgotten(observed: &Observed, rollout: &RolloutId) -> bool {
    // One that was skipped before its turn had no agent.
    let begun = |node: &Node| {
        let record = NodeRecord::of(node).ok().flatten();
        record.is_some_and(|record| record.rollout == *rollout && (record.agent > 0 || record.generation > 1))
    };
    let left_in_its_turn = observed.rollout.as_ref().is_some_and(|record| !record.gone.is_empty());
    observed.baseline.is_none()
        && (left_in_its_turn
            || observed.nodes.iter().any(begun)
            || !observed.results.is_empty()
            || observed.jobs.iter().any(|job| job.key.rollout == *rollout))
}

/// What is known of a participant that is no longer in the swarm.
pub fn left(seen: &Indexed<'_>, rollout: &RolloutId, node: &NodeId) -> Left {
    let mark = seen.rollout.as_ref().and_then(|record| record.gone.get(node));
    let tried = last_try(seen, rollout, node);
    let result = tried.and_then(|(generation, _)| seen.result(node, generation));
    match (result.map(|result| &result.outcome), mark, tried) {
        (Some(NodeOutcome::Succeeded | NodeOutcome::InSync), _, _) => Left::Done,
        (Some(NodeOutcome::Failed { .. }), _, _) => Left::Failed,
        (None, Some(GoneMark::GivenUp), _) => Left::GivenUp,
        (None, Some(GoneMark::Noted), _) | (None, None, Some(_)) => Left::AtWork,
        (None, None, None) => Left::BeforeItsTurn,
    }
}

/// The last try and its last agent that the swarm remembers of a node beside its label: from services that had reached
/// the node, and from results.
pub fn last_try(seen: &Indexed<'_>, rollout: &RolloutId, node: &NodeId) -> Option<(u32, u32)> {
    let of_rollout = |job: &&&Job| job.key.rollout == *rollout && has_begun(job);
    let jobs = seen.jobs_for(node).iter().filter(of_rollout).map(|job| (job.key.generation, job.key.agent));
    let results = seen.results_of(node).iter();
    jobs.chain(results.map(|result| (result.generation, 0))).max()
}

/// Whether an agent's container was, or may have been, on its node: the swarm may have dropped its tasks with the node, and
/// behind a second agent there was a first one.
fn has_begun(job: &Job) -> bool {
    let waits = !job.tasks.is_empty() && job.tasks.iter().all(|task| *task == TaskState::Pending);
    job.key.role == JobRole::Agent && job.on.is_none() && (!waits || job.key.agent > 1)
}

/// The participants that are no longer in the swarm.
pub fn gone(seen: &Indexed<'_>, spec: &Spec) -> Result<Vec<GoneNode>, InvalidConstraint> {
    let absent = |one: &Participant| seen.node(&one.id).is_none() && one.skip.is_none();
    let gone = participants(seen, spec)?.into_owned().into_iter().filter(absent);
    Ok(gone
        .map(|one| GoneNode {
            generation: last_try(seen, &spec.id, &one.id).map_or(1, |(generation, _)| generation),
            state: NodeState::Gone { left: left(seen, &spec.id, &one.id) },
            id: one.id,
            hostname: one.hostname,
        })
        .collect())
}

/// Whether the rollout that a node's label speaks of has nothing to do there any more. `pending`, and `entering` without a service,
/// are the words of a controller that was frozen while its rollout was aborted, and woke up after its end: nothing was begun.
pub fn is_over(seen: &Indexed<'_>, node: &Node, record: &NodeRecord) -> bool {
    let has_services = || seen.jobs_for(&node.id).iter().any(|job| job.key.rollout == record.rollout);
    let is_intent = || record.is_an_intent() && !has_services();
    record.state == NodeState::Pending || record.state.is_terminal() || is_intent()
}

/// The last try and its last agent that the swarm remembers of a node whose label is not there: from any service, whether
/// it reached the node or not, and from results. `None`: nothing was begun.
pub fn trace(seen: &Indexed<'_>, rollout: &RolloutId, node: &NodeId) -> Option<(u32, u32)> {
    let of_rollout = |job: &&&Job| job.key.rollout == *rollout && job.on.is_none();
    let jobs = seen.jobs_for(node).iter().filter(of_rollout).map(|job| (job.key.generation, job.key.agent));
    jobs.max().max(last_try(seen, rollout, node))
}

/// Whether a service is what tells that a node's host may be at work, so that it has to stay: the node left in its turn, or
/// its label was removed.
pub fn is_evidence(seen: &Indexed<'_>, rollout: &RolloutId, key: &JobKey) -> bool {
    let goes_on = seen.rollout.as_ref().is_some_and(|record| record.control.goes_on());
    if !goes_on || key.rollout != *rollout {
        return false;
    }
    match seen.node(&key.node) {
        Some(node) => NodeRecord::of(node) == Ok(None),
        None => {
            let listed = seen.baseline.as_ref().and_then(|baseline| baseline.nodes.as_ref());
            listed.is_some_and(|nodes| nodes.iter().any(|one| one.id == key.node))
                && left(seen, rollout, &key.node) == Left::AtWork
        }
    }
}
