//! What rollouts that do not go on have left in the swarm. Pure.

use careen_planner::remains::{Remains, remains};
use careen_planner::{Observed, RolloutId};
use careen_swarm::{GivenKind, Stored};
use std::collections::BTreeMap;

/// What one rollout has left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct LeftBehind {
    pub rollout: Option<RolloutId>,
    /// Whether nothing tells of it but this: somebody removed its config before it was over.
    pub removed: bool,
    /// Labels on nodes, and services.
    pub remains: Remains,
    /// Configs and secrets that nobody needs any more.
    pub stored: Vec<Stored>,
}

/// What is left of all rollouts but the one that goes on. `known` are those that the swarm can tell of, also those that are
/// over: what is stored of these goes with the next rollout.
pub fn left_behind(
    observed: &Observed,
    stored: Vec<Stored>,
    known: &[RolloutId],
    going_on: Option<&RolloutId>,
) -> Vec<LeftBehind> {
    let mut all: BTreeMap<RolloutId, LeftBehind> = BTreeMap::new();
    for (rollout, remains) in remains(observed, going_on) {
        all.entry(rollout).or_default().remains = remains;
    }
    for one in stored.into_iter().filter(|one| !known.contains(&one.rollout)) {
        all.entry(one.rollout.clone()).or_default().stored.push(one);
    }
    // Another command line may be about to submit what these are for.
    all.retain(|_, left| {
        let nothing_else = left.remains.nodes.is_empty() && left.remains.services.is_empty();
        !(nothing_else && left.stored.iter().all(Stored::may_be_submitted))
    });
    let named = |(id, left): (RolloutId, LeftBehind)| LeftBehind {
        removed: !known.contains(&id),
        rollout: Some(id),
        ..left
    };
    all.into_iter().map(named).collect()
}

impl LeftBehind {
    /// The names of what is stored.
    pub fn names(&self, kind: GivenKind) -> Vec<&str> {
        self.stored.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect()
    }

    /// Whether there is nothing but what its submitter had brought.
    pub fn never_was(&self) -> bool {
        let Remains { nodes, services } = &self.remains;
        nodes.is_empty() && services.is_empty() && self.stored.iter().all(Stored::is_brought)
    }

    /// The rollout's id; empty where none is known.
    pub fn id(&self) -> &str {
        self.rollout.as_ref().map_or("", RolloutId::as_str)
    }
}
