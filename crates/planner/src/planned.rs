//! What a plan says of waves and nodes.

use crate::drain::TaskMove;
use crate::hold::Hold;
use crate::ids::NodeId;
use crate::objects::Role;
use serde::{Deserialize, Serialize};

/// Nodes that are in maintenance together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct PlannedWave {
    pub nodes: Vec<PlannedNode>,
    /// The managers while this one is down; on waves of managers.
    pub quorum: Option<QuorumStep>,
}

/// What happens to one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct PlannedNode {
    pub node: NodeId,
    pub hostname: String,
    pub role: Role,
    /// Whether it is drained.
    pub drain: PlannedDrain,
    /// What becomes of its tasks when it is drained.
    pub tasks: Vec<TaskMove>,
    /// Containers of no service: they stay through a drain, and stop with the engine.
    pub plain_containers: Vec<String>,
    /// Those of them that Docker does not bring back: they are on an overlay network.
    #[serde(default)]
    pub plain_on_overlays: Vec<String>,
    /// Services that have fewer tasks while it is away, together with the others of its wave.
    #[serde(default)]
    pub meanwhile: Vec<Meanwhile>,
    /// Services of which a task that had no place is started on it when it is back.
    #[serde(default)]
    pub gets: Vec<String>,
    /// What may be placed on it in the moments in which a node that is kept drained is active.
    pub attracts: Vec<String>,
    /// What would hold it now.
    pub holds: Vec<Hold>,
}

/// A service while nodes are away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Meanwhile {
    pub service: String,
    /// How many tasks it should have.
    pub desired: u64,
    /// How many of its tasks run before.
    pub now: usize,
    /// How many run at least until those that are stopped run elsewhere.
    pub left: usize,
}

/// How many tasks a node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct NodeLoad {
    pub node: NodeId,
    pub hostname: String,
    /// Now, and when all waves are through.
    pub now: usize,
    pub after: usize,
}

/// Whether a node is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variant's name says it")]
pub enum PlannedDrain {
    /// Before the command runs.
    Yes,
    /// When `prepare` expects a restart, or the command turns out to want one.
    IfNeeded,
    /// The same, where its host says that no restart is to be expected.
    NotExpected,
    No,
    /// Its operator keeps it so already; it is active for moments.
    Kept,
}

/// The managers while one is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumStep {
    /// All that are members.
    pub members: usize,
    /// Those that take part while this one does not.
    pub left: usize,
    /// How many must take part at any time.
    pub needed: usize,
}
