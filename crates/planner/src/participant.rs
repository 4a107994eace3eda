//! A node of a rollout, as it was when the rollout began.

use crate::constraint;
use crate::ids::NodeId;
use crate::objects::{Node, Role};
use crate::spec::Spec;
use crate::state::Skip;
use serde::{Deserialize, Serialize};

/// A node as it was when the rollout began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Participant {
    pub id: NodeId,
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
