//! Many nodes that are down: most often entries of hosts that left the swarm for good, and that nobody removed with `docker node rm`. Pages
//! name the first of them and count the others; JSON has them all. Pure.

use crate::render::text::first_of;
use careen_planner::plan::{Plan, Warning};
use careen_planner::{Hold, NodeId};
use std::collections::BTreeSet;

/// Up to so many are shown each by itself.
const FEW: usize = 4;

/// So many are named of more.
const NAMED: usize = 2;

/// Whether so many are told in one line.
pub const fn are_folded(nodes: usize) -> bool {
    nodes > FEW
}

/// The line about all of them, with what becomes of them.
pub fn line(names: &[impl AsRef<str>], then: &str) -> String {
    format!(
        "{} nodes are down: {}{then}; 'docker node rm NODE' removes the entry of a host that left for good",
        names.len(),
        first_of(names, NAMED)
    )
}

/// The nodes of a plan that are down, where they are folded.
pub fn of_plan(plan: &Plan) -> BTreeSet<&NodeId> {
    let down = plan.warnings.iter().filter_map(|warning| {
        let Warning::NodeDown { node } = warning else { return None };
        Some(node)
    });
    let down: BTreeSet<&NodeId> = down.collect();
    if are_folded(down.len()) { down } else { BTreeSet::new() }
}

/// Whether that it is down is all that would keep a node waiting.
pub fn is_all(holds: &[Hold]) -> bool {
    holds.iter().all(|hold| matches!(hold, Hold::NodeDown))
}
