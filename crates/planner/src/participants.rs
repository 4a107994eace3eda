//! Who takes part. That is decided once, when the rollout starts, and kept in its baseline: whoever joins, leaves or gets
//! another label afterwards changes nothing.
//!
//! A participant that is no longer in the swarm's list of nodes is *gone*, and its label with it. What is left of it are
//! careen's services for it, its results, and the marks on the rollout's config.

use crate::constraint::{self, InvalidConstraint};
use crate::ids::{JobKey, JobRole, NodeId, RolloutId};
use crate::observed::{Job, Node, NodeOutcome, Observed, Role, TaskState};
use crate::order;
use crate::rollout::{Control, GoneMark, GoneNode};
use crate::spec::Spec;
use crate::state::{Left, NodeRecord, Skip, Stage};
use serde::{Deserialize, Serialize};

/// A node as it was when the rollout began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Its id.
    pub id: NodeId,
    /// Its host's name.
    pub hostname: String,
    /// What it was. What it is now decides what may go down; what it was, when it has its turn.
    pub role: Role,
    /// When it has its turn.
    #[serde(default, skip_serializing_if = "Turn::is_usual")]
    pub turn: Turn,
    /// The value of the rollout's `spread` key; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// Why it was meant and cannot be worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<Skip>,
}

/// When a node has its turn. Decided when the rollout starts, so that the order does not change on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// As its role and its name say.
    #[default]
    Usual,
    /// Behind the other managers: it leads.
    Leader,
    /// Behind all others: it is down, and nobody is to wait for it.
    Down,
}

impl Turn {
    fn of(node: &Node) -> Self {
        match (node.is_ready(), node.is_leader()) {
            (false, _) => Self::Down,
            (true, true) => Self::Leader,
            (true, false) => Self::Usual,
        }
    }

    fn is_usual(&self) -> bool {
        *self == Self::Usual
    }
}

impl Participant {
    /// A node as it is now.
    pub fn of(node: &Node, spec: &Spec, skip: Option<Skip>) -> Self {
        let key = spec.selection.spread.as_deref();
        let zone = key.and_then(|key| constraint::value_of(key, node)).unwrap_or("");
        let (id, hostname) = (node.id.clone(), node.hostname.clone());
        Self { id, hostname, role: node.role, turn: Turn::of(node), zone: zone.to_owned(), skip }
    }
}

/// Who takes part: as the baseline says, else who is selected now. One that an older version began has no list: then also
/// those that have begun.
pub fn participants(observed: &Observed, spec: &Spec) -> Result<Vec<Participant>, InvalidConstraint> {
    if let Some(nodes) = observed.baseline.as_ref().and_then(|baseline| baseline.nodes.clone()) {
        return Ok(nodes);
    }
    let mut all = selected(observed, spec)?;
    let begun = |node: &&Node| {
        let record = NodeRecord::of(node).ok().flatten();
        record.is_some_and(|record| record.rollout == spec.id) && !all.iter().any(|one| one.id == node.id)
    };
    let begun: Vec<Participant> =
        observed.nodes.iter().filter(begun).map(|node| Participant::of(node, spec, None)).collect();
    all.extend(begun);
    Ok(all)
}

/// Who would take part if the rollout began now.
pub fn selected(observed: &Observed, spec: &Spec) -> Result<Vec<Participant>, InvalidConstraint> {
    let selected = order::select(observed, spec)?;
    let nodes = selected.nodes.iter().map(|node| Participant::of(node, spec, None));
    let skipped = selected.skipped.iter().map(|(node, why)| Participant::of(node, spec, Some(*why)));
    Ok(nodes.chain(skipped).collect())
}

/// Nodes that would be selected now and take no part: they joined later, or their labels fit only since.
pub fn latecomers(observed: &Observed, spec: &Spec) -> Result<Vec<Participant>, InvalidConstraint> {
    let taking_part = participants(observed, spec)?;
    let late = |one: &Participant| !taking_part.iter().any(|known| known.id == one.id);
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
pub fn left(observed: &Observed, rollout: &RolloutId, node: &NodeId) -> Left {
    let mark = observed.rollout.as_ref().and_then(|record| record.gone.get(node));
    let tried = last_try(observed, rollout, node);
    let result = tried.and_then(|(generation, _)| observed.result(node, generation));
    match (result.map(|result| &result.outcome), mark, tried) {
        (Some(NodeOutcome::Succeeded), _, _) => Left::Done,
        (Some(NodeOutcome::Failed { .. }), _, _) => Left::Failed,
        (None, Some(GoneMark::GivenUp), _) => Left::GivenUp,
        (None, Some(GoneMark::Noted), _) | (None, None, Some(_)) => Left::AtWork,
        (None, None, None) => Left::BeforeItsTurn,
    }
}

/// The last try and its last agent that the swarm remembers of a node beside its label: from services that had reached
/// the node, and from results.
pub fn last_try(observed: &Observed, rollout: &RolloutId, node: &NodeId) -> Option<(u32, u32)> {
    let of_node = |job: &&Job| job.key.rollout == *rollout && job.key.node == *node && has_begun(job);
    let jobs = observed.jobs.iter().filter(of_node).map(|job| (job.key.generation, job.key.agent));
    let results = observed.results.iter().filter(|result| result.node == *node);
    jobs.chain(results.map(|result| (result.generation, 0))).max()
}

/// Whether an agent's container was, or may have been, on its node: the swarm may have dropped its tasks with the node, and
/// behind a second agent there was a first one.
fn has_begun(job: &Job) -> bool {
    let waits = !job.tasks.is_empty() && job.tasks.iter().all(|task| *task == TaskState::Pending);
    job.key.role == JobRole::Agent && job.on.is_none() && (!waits || job.key.agent > 1)
}

/// The participants that are no longer in the swarm.
pub fn gone(observed: &Observed, spec: &Spec) -> Result<Vec<GoneNode>, InvalidConstraint> {
    let absent = |one: &Participant| observed.node(&one.id).is_none() && one.skip.is_none();
    let gone = participants(observed, spec)?.into_iter().filter(absent);
    Ok(gone
        .map(|one| GoneNode {
            generation: last_try(observed, &spec.id, &one.id).map_or(1, |(generation, _)| generation),
            stage: Stage::Gone { left: left(observed, &spec.id, &one.id) },
            id: one.id,
            hostname: one.hostname,
        })
        .collect())
}

/// Whether the rollout that a node's label speaks of has nothing to do there any more. `pending`, and `entering` without a service,
/// are the words of a controller that was frozen while its rollout was aborted, and woke up after its end: nothing was begun.
pub fn is_over(observed: &Observed, node: &Node, record: &NodeRecord) -> bool {
    let has_services =
        || observed.jobs.iter().any(|job| job.key.rollout == record.rollout && job.key.node == node.id);
    let is_intent = || record.stage == Stage::Entering && !has_services();
    record.stage == Stage::Pending || record.stage.is_terminal() || is_intent()
}

/// The last try and its last agent that the swarm remembers of a node whose label is not there: from any service, whether
/// it reached the node or not, and from results. `None`: nothing was begun.
pub fn trace(observed: &Observed, rollout: &RolloutId, node: &NodeId) -> Option<(u32, u32)> {
    let of_node = |job: &&Job| job.key.rollout == *rollout && job.key.node == *node && job.on.is_none();
    let jobs = observed.jobs.iter().filter(of_node).map(|job| (job.key.generation, job.key.agent));
    jobs.max().max(last_try(observed, rollout, node))
}

/// Whether a service is what tells that a node's host may be at work, so that it has to stay: the node left in its turn, or
/// its label was removed.
pub fn is_evidence(observed: &Observed, rollout: &RolloutId, key: &JobKey) -> bool {
    let goes_on = observed.rollout.as_ref().is_some_and(|record| match record.control {
        Control::Running | Control::Paused { .. } => true,
        Control::Aborting | Control::Finished { .. } => false,
    });
    if !goes_on || key.rollout != *rollout {
        return false;
    }
    match observed.node(&key.node) {
        Some(node) => NodeRecord::of(node) == Ok(None),
        None => {
            let listed = observed.baseline.as_ref().and_then(|baseline| baseline.nodes.as_ref());
            listed.is_some_and(|nodes| nodes.iter().any(|one| one.id == key.node))
                && left(observed, rollout, &key.node) == Left::AtWork
        }
    }
}
