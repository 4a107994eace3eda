//! What a plan asks and does beside: tasks that move for good, which nodes Swarm chooses among, what runs meanwhile, and who has how
//! many tasks.

use super::{Board, MANY, Place, Spot};
use crate::ids::NodeId;
use crate::needs::Resources;
use crate::objects::{Mode, Node, Service, TaskState};
use std::collections::{BTreeMap, BTreeSet};

/// How many tasks of a service run, and how many of these do without some nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Without<'a> {
    pub(crate) service: &'a Service,
    pub(crate) now: usize,
    pub(crate) then: usize,
    /// On how many of these nodes it runs.
    pub(crate) on: usize,
}

impl<'a> Board<'a> {
    /// Drains a node for good: its tasks are where they would go.
    pub(crate) fn drain(&mut self, others: &BTreeSet<NodeId>, node: usize) {
        for (task, place) in self.places(others, node) {
            let found = match place {
                Place::On { node, .. } => self.node(&node),
                Place::Nowhere { .. } | Place::Unknown { .. } => None,
            };
            self.settle(task, found);
        }
    }

    /// No node is away any more: what waits for a place has one, where there is one. Which tasks got one, and on which nodes.
    pub(crate) fn all_are_back(&mut self) -> Vec<(usize, usize)> {
        self.think_away(&BTreeSet::new());
        let waiting: Vec<usize> = self.waiting.iter().copied().collect();
        let mut placed = Vec::new();
        for task in waiting {
            let found = self.service_of[task]
                .and_then(|service| self.finds(service, &self.tasks[task].reserved).map(|(node, _)| node));
            self.settle(task, found);
            placed.extend(found.map(|node| (task, node)));
        }
        placed
    }

    fn settle(&mut self, task: usize, node: Option<usize>) {
        let (spot, state) = match node {
            Some(node) => (Spot::On(node), TaskState::Running),
            None => (Spot::None, TaskState::Pending),
        };
        self.put(task, spot, state);
    }

    /// Of each service with tasks that a drain of this node moves while the others are away, too: the nodes among which Swarm chooses.
    /// Those have the fewest tasks of the service, and are the least loaded of these. Swarm looks at equal nodes in no order, and takes
    /// services in no order: so a node counts as the least loaded, too, that may be it by the choice for another task.
    pub(crate) fn choices(
        &mut self,
        others: &BTreeSet<NodeId>,
        node: usize,
    ) -> BTreeMap<usize, BTreeSet<usize>> {
        self.think_these_away(others, node);
        let mut before = self.place_those_before(node);
        let moved = self.moved(node);
        let slack = moved.len().saturating_sub(1);
        let mut choices: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut places = Vec::new();
        for task in moved {
            if let Some(service) = self.service_of[task] {
                let best = self.best(service, &self.tasks[task].reserved, slack);
                choices.entry(service).or_default().extend(best);
            }
            places.push((task, self.place(task, &mut before)));
        }
        self.take_back(before);
        // The same question comes next.
        self.said = Some((node, places));
        choices
    }

    /// The nodes that take one more task of this service with the fewest of its tasks, and of these the least loaded: up to so many
    /// tasks more than the least. Of very many some.
    fn best(&mut self, service: usize, reserved: &'a Resources, slack: usize) -> Vec<usize> {
        let demand = self.demand(service, reserved);
        let demand = &self.demands[demand];
        let (mut fewest, mut least) = (u64::MAX, 0);
        let mut best = Vec::new();
        let order = self.classes[demand.wanted.class].order.iter();
        for (tasks, node) in order.filter(|(_, node)| demand.able[*node]) {
            let has = self.loads[*node].of(service);
            if has < fewest {
                (fewest, least) = (has, *tasks);
                best.clear();
            }
            let near = *tasks <= least + slack;
            if fewest == 0 && (!near || best.len() > MANY) {
                break;
            }
            if has == fewest && near && best.len() <= MANY {
                best.push(*node);
            }
        }
        best
    }

    /// These nodes take no tasks and keep those that they have, and no others do so.
    pub(crate) fn close(&mut self, nodes: &BTreeSet<NodeId>) {
        let closed: BTreeSet<usize> = nodes.iter().filter_map(|node| self.node(node)).collect();
        let changed: Vec<usize> = self.closed.symmetric_difference(&closed).copied().collect();
        for node in changed {
            self.said = None;
            self.change(node, |board| {
                if !board.closed.remove(&node) {
                    board.closed.insert(node);
                }
            });
        }
    }

    /// A node by its number.
    pub(crate) fn seen(&self, node: usize) -> &'a Node {
        self.nodes[node]
    }

    /// Each replicated service that has running tasks on these nodes: how many run now, and without these nodes.
    pub(crate) fn without(&self, nodes: &BTreeSet<NodeId>) -> BTreeMap<usize, Without<'a>> {
        let gone: BTreeSet<usize> = nodes.iter().filter_map(|node| self.node(node)).collect();
        let unready = self.unready.iter().copied();
        let serving_on = |node: usize| self.on[node].iter().filter(|task| self.serves(**task));
        let mut lost: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for node in &gone {
            let services: Vec<usize> = serving_on(*node).filter_map(|task| self.service_of[*task]).collect();
            let replicated = |one: &usize| self.services[*one].mode == Mode::Replicated;
            for service in services.iter().copied().filter(replicated) {
                lost.entry(service).or_default().0 += 1;
            }
            for service in services.into_iter().filter(replicated).collect::<BTreeSet<_>>() {
                lost.entry(service).or_default().1 += 1;
            }
        }
        for task in unready.filter(|node| !gone.contains(node)).flat_map(serving_on) {
            let lost = self.service_of[*task].and_then(|one| lost.get_mut(&one));
            lost.into_iter().for_each(|(tasks, _)| *tasks += 1);
        }
        let without = |(number, (lost, on)): (usize, (usize, usize))| {
            let (service, now) = (&self.services[number], self.serving[number]);
            (number, Without { service, now, then: now.saturating_sub(lost), on })
        };
        lost.into_iter().map(without).collect()
    }

    /// How many tasks Swarm wants on each node.
    pub(crate) fn tasks_on(&self) -> BTreeMap<NodeId, usize> {
        self.nodes.iter().zip(&self.loads).map(|(node, load)| (node.id.clone(), load.tasks)).collect()
    }
}
