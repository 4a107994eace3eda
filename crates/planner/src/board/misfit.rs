//! Where a task goes, and why a node does not take it, in Swarm's words.

use crate::ids::NodeId;
use std::collections::BTreeMap;

/// Where a task goes whose node is away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Place {
    /// To this node, the least loaded of so many that take it.
    On {
        node: NodeId,
        /// How many take it.
        of: usize,
    },
    Nowhere {
        /// Why, as Swarm says it: `host-mode port already in use on 1 node`.
        why: String,
    },
    /// Nobody knows: the nodes that may take it have to fit this constraint, which cannot be read.
    Unknown {
        /// The constraint as it was written.
        constraint: String,
    },
}

/// Why a node takes no task of a service, in the order in which Swarm looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Misfit {
    Away,
    Resources,
    Plugin,
    Constraint,
    Platform,
    HostPort,
    MaxReplicas,
}

/// As Swarm says it: `scheduling constraints not satisfied on 2 nodes; insufficient resources on 1 node`.
pub(super) fn in_words(misfits: &BTreeMap<Misfit, usize>) -> String {
    let said: Vec<String> = misfits.iter().map(|(misfit, nodes)| misfit.on(*nodes)).collect();
    if said.is_empty() { "there is no other node".to_owned() } else { said.join("; ") }
}

impl Misfit {
    fn on(self, nodes: usize) -> String {
        let nodes = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
        match self {
            Self::Away => format!("{nodes} not available for new tasks"),
            Self::Resources => format!("insufficient resources on {nodes}"),
            Self::Plugin => format!("missing plugin on {nodes}"),
            Self::Constraint => format!("scheduling constraints not satisfied on {nodes}"),
            Self::Platform => format!("unsupported platform on {nodes}"),
            Self::HostPort => format!("host-mode port already in use on {nodes}"),
            Self::MaxReplicas => format!("max replicas per node limit exceeded on {nodes}"),
        }
    }
}
