//! What is stored of a rollout beside its spec and its nodes' labels.

use crate::hold::PauseReason;
use crate::ids::{NodeId, RolloutId, ServiceId, Version};
use crate::objects::Node;
use crate::participant::Participant;
use crate::state::NodeState;
use careen_contract::label;
use careen_contract::report::NodeOutcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use strum::{IntoStaticStr, VariantArray};

/// Where a rollout stands: labels on the config that holds its spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// The config's version in the store.
    pub version: Version,
    /// What it is told to do.
    pub control: Control,
    /// Participants that left the swarm in their turn, and how far that was dealt with. It lies here because a node's own
    /// label goes with the node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gone: BTreeMap<NodeId, GoneMark>,
}

/// How far it was dealt with that a participant left in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoneMark {
    /// The failure policy has seen it: the rollout does not pause for it once more.
    Noted,
    /// Nobody waits for its host any more.
    GivenUp,
}

impl RolloutRecord {
    /// One of which no participant has left.
    pub fn new(version: Version, control: Control) -> Self {
        Self { version, control, gone: BTreeMap::new() }
    }
}

/// A participant that is no longer in the swarm, as the history tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct GoneNode {
    pub id: NodeId,
    /// Its host's name, as it was when the rollout began.
    pub hostname: String,
    /// Which try it was.
    pub generation: u32,
    /// [`NodeState::Gone`], with what is known of its host.
    #[serde(rename = "stage")]
    pub state: NodeState,
}

/// What a rollout is told to do, by an operator or by its own failure policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Control {
    Running,
    /// Start no further node; what has begun is finished.
    Paused {
        why: PauseReason,
    },
    /// Undo what has not begun, and end.
    Aborting,
    Finished {
        outcome: RolloutOutcome,
    },
}

impl Control {
    /// Whether the rollout goes on, paused or not: it is neither being aborted nor over.
    pub const fn goes_on(&self) -> bool {
        match self {
            Self::Running | Self::Paused { .. } => true,
            Self::Aborting | Self::Finished { .. } => false,
        }
    }
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutOutcome {
    /// Every node is done, or was skipped.
    Done,
    /// It came to its end, and some nodes failed.
    WithFailures,
    /// An operator ended it.
    Aborted,
}

/// How things stood before a rollout began, written once: which nodes take part, and what 'not worse than before' means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// How many tasks of each service ran, and how many it should have had.
    pub services: BTreeMap<ServiceId, Strength>,
    /// Who takes part; `None` in one that an older version wrote: then it is who is selected now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<Participant>>,
}

/// How a service stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strength {
    /// How many tasks ran.
    pub running: u64,
    /// How many it should have had.
    pub desired: u64,
}

/// The result of one try on one node, as a small config: written before the node's label says that it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct NodeResult {
    pub node: NodeId,
    pub generation: u32,
    pub outcome: NodeOutcome,
    /// What else the agent said: what changed, the last lines.
    pub record: Option<String>,
    /// How long a try that succeeded took, from the placing of its agent, where one controller has seen all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// What an operator asks for one node: the label [`label::ASK`], taken away with the answer, or at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Ask {
    /// Try the failed node again.
    Retry,
    /// Leave the node out.
    Skip,
}

impl Ask {
    /// The label's value. It names the rollout: a wish that came too late is none for the next one.
    pub fn label(self, rollout: &RolloutId) -> String {
        format!("{rollout} {}", self.word())
    }

    /// What is asked of this rollout for a node; what is not understood is no wish.
    pub fn of(node: &Node, rollout: &RolloutId) -> Option<Self> {
        let label = node.labels.get(label::ASK)?;
        Self::VARIANTS.iter().copied().find(|ask| ask.label(rollout) == *label)
    }

    /// Its word in the label and in JSON.
    pub fn word(self) -> &'static str {
        self.into()
    }
}
