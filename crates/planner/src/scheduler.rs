//! Where Swarm places tasks, decided as its own scheduler does, for all nodes that are away at once.
//!
//! Plugins of networks and volumes of the cluster (CSI) are not looked at: what needs one is taken for placeable where
//! all else fits.

use crate::ids::{NodeId, ServiceId};
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

/// What draining this node would leave missing while the others are away, too, of these services; the first that is found.
pub fn gap(
    seen: &Indexed<'_>,
    others: &BTreeSet<NodeId>,
    node: &Node,
    of: impl Fn(&ServiceId) -> bool,
) -> Option<Gap> {
    if let Some((service, why)) = no_place(seen, others, node, &of) {
        return Some(Gap::NoPlace { service, why });
    }
    let board = seen.board();
    let number = board.node(&node.id)?;
    board.at_zero(others, number, of).map(|service| Gap::AtZero { service: service.name.clone() })
}

/// The first task of these services that a drain of this node would leave without a place, by its name, and why.
pub fn no_place(
    seen: &Indexed<'_>,
    others: &BTreeSet<NodeId>,
    node: &Node,
    of: impl Fn(&ServiceId) -> bool,
) -> Option<(String, String)> {
    let mut board = seen.board();
    let number = board.node(&node.id)?;
    board.places(others, number).into_iter().find_map(|(task, place)| match place {
        Place::Nowhere { why } if of(&board.task(task).service) => {
            Some((seen.task_name(board.task(task)), why))
        }
        Place::On { .. } | Place::Nowhere { .. } | Place::Unknown { .. } => None,
    })
}

#[cfg(test)]
mod plain;
#[cfg(test)]
mod tests;
