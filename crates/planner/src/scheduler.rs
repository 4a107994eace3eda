//! Where Swarm places tasks, decided as its own scheduler does, for all nodes that are away at once.
//!
//! Plugins of networks and volumes of the cluster (CSI) are not looked at: what needs one is taken for placeable where
//! all else fits.

use crate::ids::NodeId;
use crate::indexed::Indexed;
use crate::objects::Node;
use std::collections::BTreeSet;

pub use crate::board::Place;

/// What the loss of a node would do to the services that have tasks on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Gap {
    /// A task would have no place.
    NoPlace {
        service: String,
        /// Why, as Swarm says it.
        why: String,
    },
    /// No task of a service of several would run.
    AtZero { service: String },
}

/// What draining this node would leave missing while the others are away, too; the first that is found.
pub fn gap(seen: &Indexed<'_>, others: &BTreeSet<NodeId>, node: &Node) -> Option<Gap> {
    let mut board = seen.board();
    let number = board.node(&node.id)?;
    let no_place = board.places(others, number).into_iter().find_map(|(task, place)| match place {
        Place::Nowhere { why } => Some(Gap::NoPlace { service: seen.task_name(board.task(task)), why }),
        Place::On { .. } | Place::Unknown { .. } => None,
    });
    let at_zero =
        || board.at_zero(others, number).map(|service| Gap::AtZero { service: service.name.clone() });
    no_place.or_else(at_zero)
}

#[cfg(test)]
mod plain;
#[cfg(test)]
mod tests;
