//! Small swarms for the tests of pages and sentences.

use careen_contract::label;
use careen_planner::observed::{Availability, Job, Lock, Manager, Node, NodeStatus, Reachability, TaskState};
use careen_planner::rollout::{Baseline, Control, RolloutRecord};
use careen_planner::state::{NodeRecord, Reason, StateName, Taken};
use careen_planner::{
    ControllerId, JobKey, JobRole, NodeId, NodeState, Observed, PauseReason, Spec, Version,
};
use std::collections::BTreeMap;

pub(crate) use careen_planner::testing::{manager, service, spec, task, worker};

pub(crate) fn at(node: &mut Node, stage: NodeState, taken: Option<Taken>) {
    let record = NodeRecord { agent: 1, epoch: 1, state: stage, taken, ..NodeRecord::new(&spec().id, 1) };
    node.labels.insert(label::NODE.into(), record.encode());
}

/// The agent of a node, at work.
pub(crate) fn agent(node: &str) -> Job {
    let (rollout, node) = (spec().id, NodeId(node.into()));
    let key = JobKey { rollout, node, generation: 1, agent: 1, role: JobRole::Agent };
    Job {
        key,
        version: Version(1),
        stopped: false,
        on: None,
        tasks: vec![TaskState::Running],
        swept: false,
        refused: None,
    }
}

/// A manager and three workers; a rollout of which nothing was begun.
pub(crate) fn cluster() -> Observed {
    let holder = Some(ControllerId("c1".into()));
    Observed {
        nodes: vec![manager("m1"), worker("w1"), worker("w2"), worker("w3")],
        lock: Some(Lock { version: Version(7), holder, epoch: 1, rollout: Some(spec().id), place: None }),
        rollout: Some(RolloutRecord::new(Version(3), Control::Running)),
        baseline: Some(Baseline::default()),
        ..Observed::default()
    }
}

/// One node is done, the next one failed, drained.
pub(crate) fn failed_and_paused() -> (Observed, Spec) {
    let mut observed = cluster();
    let (phase, why) = (StateName::Running, Reason::Exit(100));
    at(&mut observed.nodes[1], NodeState::Done, None);
    observed.nodes[2].availability = Availability::Drain;
    let taken = Taken { was: Availability::Active, set: Availability::Drain };
    at(&mut observed.nodes[2], NodeState::Failed { during: phase, reason: why }, Some(taken));
    let why = PauseReason::NodeFailed { node: NodeId("w2".into()), during: phase, why };
    observed.rollout = Some(RolloutRecord::new(Version(4), Control::Paused { why }));
    (observed, spec())
}

/// Three managers, one of them unreachable; the workers are done.
pub(crate) fn quorum_at_risk() -> (Observed, Spec) {
    let mut observed = cluster();
    observed.nodes = vec![manager("m1"), manager("m2"), manager("m3"), worker("w1")];
    at(&mut observed.nodes[3], NodeState::Done, None);
    observed.nodes[2].status = NodeStatus::Down;
    observed.nodes[2].manager = Some(Manager { leader: false, reachability: Reachability::Unreachable });
    (observed, spec())
}

/// The labels of the service of an enforcement.
pub(crate) fn enforces(name: &str) -> BTreeMap<String, String> {
    let labels = [(label::ENFORCED, name), (label::ENFORCED_VERSION, "0a1b2c3d"), (label::SETTLE, "ignore")];
    labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}
