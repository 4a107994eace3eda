//! What if there were more of some services? Asked before they are scaled up.

use super::{Board, Spot};
use crate::ids::ServiceId;
use crate::objects::{Node, Task};
use crate::observed::Observed;
use std::collections::BTreeMap;

impl Board<'_> {
    /// As it is thought to be now, with each task of these services twice that is on this node.
    pub(crate) fn doubled(&self, node: &Node, services: &BTreeMap<ServiceId, u64>) -> Observed {
        let place = |spot: Spot, task: &Task| match spot {
            Spot::On(node) => Some(self.nodes[node].id.clone()),
            Spot::None => None,
            Spot::Elsewhere => task.node.clone(),
        };
        let now = |(number, task): (usize, &Task)| Task {
            node: place(self.spots[number], task),
            state: self.states[number],
            ..task.clone()
        };
        let mut tasks: Vec<Task> = self.tasks.iter().enumerate().map(now).collect();
        let here = |task: &&Task| {
            task.node.as_ref() == Some(&node.id)
                && task.wanted
                && !task.job
                && !task.state.is_over()
                && services.contains_key(&task.service)
        };
        let more = |task: &Task| Task { id: format!("{}+", task.id), ..task.clone() };
        let more: Vec<Task> = tasks.iter().filter(here).map(more).collect();
        tasks.extend(more);
        let nodes = self.nodes.iter().map(|node| (*node).clone()).collect();
        Observed { nodes, services: self.services.to_vec(), tasks, ..Observed::default() }
    }
}
