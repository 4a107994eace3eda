//! What really happened: who announced and gave which go, what agents drew and said. Kept by nobody but the simulator, and
//! written and compared in `witness`.

use crate::host::Try;
use careen_planner::state::Reason;
use careen_planner::{JobKey, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// What really happened in a history.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// For which agents the label `running` was written, under which epochs.
    pub(crate) announced: BTreeMap<JobKey, BTreeSet<u64>>,
    /// Agents that need no go.
    pub(crate) short: BTreeSet<JobKey>,
    /// For which of them the node had been drained.
    pub(crate) drained: BTreeSet<JobKey>,
    /// The same for the labels of restarts.
    pub(crate) restarts: BTreeMap<JobKey, BTreeSet<u64>>,
    /// Gates that controllers opened: whether behind the label `running`, and behind that of a restart.
    pub(crate) opened: BTreeMap<JobKey, (bool, bool)>,
    /// What agents drew, by number.
    pub(crate) drawn: BTreeMap<(JobKey, u32), [u8; 2]>,
    /// Up to which agent of a try somebody has said that nothing can begin any more.
    pub(crate) void: BTreeMap<(NodeId, Try), u32>,
    /// Tries whose host lost its state when a go was announced.
    pub(crate) forgotten: BTreeSet<(NodeId, Try)>,
    /// Tries of which an agent has said that their host is in sync.
    pub(crate) in_sync: BTreeSet<(NodeId, Try)>,
    /// Since when the rollout is paused, and aborted.
    pub(crate) paused: Option<u64>,
    pub(crate) aborting: Option<u64>,
    /// Since when an operator wants a node left out.
    pub(crate) skipped: BTreeMap<NodeId, u64>,
    /// Nodes that a rollout is through with.
    pub done: BTreeSet<(NodeId, careen_planner::RolloutId)>,
    /// When an agent last said of a node that another transaction has its host.
    pub(crate) busy: BTreeMap<NodeId, u64>,
    /// Nodes that failed because their host was busy for too long.
    pub starved: Vec<(NodeId, careen_planner::RolloutId)>,
    /// Nodes that failed in a rollout, and why.
    pub failed: Vec<(NodeId, careen_planner::RolloutId, Reason)>,
    /// Nodes whose hosts lost their state directory.
    pub blank: BTreeSet<NodeId>,
}
