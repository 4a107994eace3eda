//! The same answers without anything that is remembered: each node is looked at for each task. What the board says is compared
//! with it.

use super::{Gap, Place};
use crate::constraint::{Constraints, Fit};
use crate::ids::{NodeId, ServiceId};
use crate::observed::{
    Availability, HostPort, Mode, Node, Observed, Platform, Resources, Service, Task, TaskState,
};
use std::collections::{BTreeMap, BTreeSet};

/// Why a node takes no task of a service, in the order in which Swarm looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Misfit {
    Away,
    Resources,
    Plugin,
    Constraint,
    Platform,
    HostPort,
    MaxReplicas,
}

/// Whether a node takes a task.
enum Takes<'a> {
    Yes,
    No(Misfit),
    Unknown(&'a str),
}

/// The swarm's nodes with what is placed on them.
#[derive(Debug)]
pub struct Scheduler<'a> {
    observed: &'a Observed,
    loads: BTreeMap<&'a NodeId, Load<'a>>,
}

#[derive(Debug)]
struct Load<'a> {
    node: &'a Node,
    is_away: bool,
    tasks: usize,
    of_service: BTreeMap<&'a ServiceId, u64>,
    free: Resources,
    ports: BTreeSet<&'a HostPort>,
}

impl<'a> Scheduler<'a> {
    /// The swarm while these nodes take no tasks and lose those that they have. Tasks that wait for a place have taken
    /// theirs, where there is one: they come before all others.
    pub fn without(observed: &'a Observed, away: &BTreeSet<NodeId>) -> Self {
        let mut scheduler = Self::of(observed, away);
        observed.tasks.iter().filter(|task| waits(task)).for_each(|task| drop(scheduler.place(task)));
        scheduler
    }

    /// With what is placed now.
    fn of(observed: &'a Observed, away: &BTreeSet<NodeId>) -> Self {
        let load = |node: &'a Node| Load {
            node,
            is_away: away.contains(&node.id) || node.availability != Availability::Active || !node.is_ready(),
            tasks: 0,
            of_service: BTreeMap::new(),
            free: node.offers.resources.clone(),
            ports: BTreeSet::new(),
        };
        let loads = observed.nodes.iter().map(|node| (&node.id, load(node))).collect();
        let mut scheduler = Self { observed, loads };
        for task in observed.tasks.iter().filter(|task| !task.state.is_over()) {
            if let Some(node) = &task.node {
                scheduler.add(task, node);
            }
        }
        scheduler
    }

    /// Where Swarm would place this task, which has its place then.
    pub fn place(&mut self, task: &'a Task) -> Place {
        let Some(service) = self.observed.service(&task.service) else {
            return Place::Nowhere { why: "its service is not known".to_owned() };
        };
        let place = self.find(service, &task.reserved);
        if let Place::On { node, .. } = &place
            && let Some(node) = self.observed.node(node)
        {
            self.add(task, &node.id);
        }
        place
    }

    /// Where Swarm would place one more task of this service.
    pub fn find(&self, service: &Service, reserved: &Resources) -> Place {
        let mut able: Vec<&Load<'_>> = Vec::new();
        let mut unknown = None;
        let mut misfits: BTreeMap<Misfit, usize> = BTreeMap::new();
        for load in self.loads.values() {
            match load.takes(service, reserved) {
                Takes::Yes => able.push(load),
                Takes::Unknown(constraint) => unknown = Some(constraint.to_owned()),
                Takes::No(why) => *misfits.entry(why).or_default() += 1,
            }
        }
        let of = able.len();
        let order = |load: &&Load<'_>| (load.of(&service.id), load.tasks);
        match (able.into_iter().min_by_key(order), unknown) {
            (Some(load), _) => Place::On { node: load.node.id.clone(), of },
            (None, Some(constraint)) => Place::Unknown { constraint },
            (None, None) => Place::Nowhere { why: in_words(&misfits) },
        }
    }

    fn add(&mut self, task: &'a Task, node: &NodeId) {
        let service = self.observed.service(&task.service);
        let Some(load) = self.loads.get_mut(node) else { return };
        load.free.take(&task.reserved);
        load.ports.extend(service.into_iter().flat_map(|service| &service.needs.ports));
        if task.wanted {
            load.tasks += 1;
            *load.of_service.entry(&task.service).or_default() += 1;
        }
    }
}

impl Load<'_> {
    fn of(&self, service: &ServiceId) -> u64 {
        self.of_service.get(service).copied().unwrap_or(0)
    }

    fn takes<'s>(&self, service: &'s Service, reserved: &Resources) -> Takes<'s> {
        let needs = &service.needs;
        let full = needs.max_per_node > 0 && self.of(&service.id) >= needs.max_per_node;
        let (is_fit, unknown) = match never_fits(service, self.node) {
            Takes::No(misfit) => (Some(misfit), None),
            Takes::Unknown(text) => (None, Some(text)),
            Takes::Yes => (None, None),
        };
        let found = [
            self.is_away.then_some(Misfit::Away),
            (!reserved.is_none() && !self.free.hold(reserved)).then_some(Misfit::Resources),
            is_fit,
            needs.ports.iter().any(|port| self.ports.contains(port)).then_some(Misfit::HostPort),
            full.then_some(Misfit::MaxReplicas),
        ];
        match (found.into_iter().flatten().next(), unknown) {
            (Some(misfit), _) => Takes::No(misfit),
            (None, Some(text)) => Takes::Unknown(text),
            (None, None) => Takes::Yes,
        }
    }
}

/// What does not change while a node is away for a moment, or full.
fn never_fits<'s>(service: &'s Service, node: &Node) -> Takes<'s> {
    let platform = Platform { os: node.os.clone(), arch: node.arch.clone() };
    let needs = &service.needs;
    if !needs.plugins.iter().all(|plugin| node.offers.has(plugin)) {
        return Takes::No(Misfit::Plugin);
    }
    let runs = needs.platforms.is_empty() || needs.platforms.iter().any(|one| one.runs_on(&platform));
    match Constraints::of(&service.constraints).fit(node) {
        Fit::No => Takes::No(Misfit::Constraint),
        Fit::Yes | Fit::Unknown(_) if !runs => Takes::No(Misfit::Platform),
        Fit::Unknown(text) => Takes::Unknown(text),
        Fit::Yes => Takes::Yes,
    }
}

/// Whether a node takes a task of this service at some time, as it is labelled and equipped now: it may be away or full
/// at the moment. Also where nobody knows.
pub fn could_take(node: &Node, service: &Service) -> bool {
    match never_fits(service, node) {
        Takes::Yes | Takes::Unknown(_) => true,
        Takes::No(_) => false,
    }
}

/// Whether one more task of this service has a place, or nobody knows.
pub fn has_place(scheduler: &Scheduler<'_>, service: &Service) -> bool {
    match scheduler.find(service, &service.needs.reserved) {
        Place::On { .. } | Place::Unknown { .. } => true,
        Place::Nowhere { .. } => false,
    }
}

/// What draining this node would leave missing while the others are away, too; the first that is found.
pub fn gap(observed: &Observed, others: &BTreeSet<NodeId>, node: &NodeId) -> Option<Gap> {
    let no_place = places(observed, others, node).into_iter().find_map(|(task, place)| match place {
        Place::Nowhere { why } => {
            Some(Gap::NoPlace { service: task.name_of(observed.service(&task.service)), why })
        }
        Place::On { .. } | Place::Unknown { .. } => None,
    });
    no_place.or_else(|| at_zero(observed, others, node))
}

/// Where each task goes that a drain of this node moves, while the others are away, too: those of replicated services that
/// Swarm wants to run.
pub fn places<'a>(
    observed: &'a Observed,
    others: &BTreeSet<NodeId>,
    node: &NodeId,
) -> Vec<(&'a Task, Place)> {
    let mut away = others.clone();
    away.insert(node.clone());
    let mut scheduler = Scheduler::without(observed, &away);
    // What is on the others still comes first: they were drained before.
    for other in others.iter().filter(|other| *other != node) {
        let tasks: Vec<&Task> = moved(observed, other).collect();
        tasks.into_iter().for_each(|task| drop(scheduler.place(task)));
    }
    moved(observed, node).map(|task| (task, scheduler.place(task))).collect()
}

/// Where each task goes that waits for a place.
pub fn waiting(observed: &Observed) -> Vec<(&Task, Place)> {
    let mut scheduler = Scheduler::of(observed, &BTreeSet::new());
    observed.tasks.iter().filter(|task| waits(task)).map(|task| (task, scheduler.place(task))).collect()
}

fn waits(task: &Task) -> bool {
    task.wanted && !task.job && task.node.is_none() && !task.state.is_over()
}

fn moved<'a>(observed: &'a Observed, node: &NodeId) -> impl Iterator<Item = &'a Task> {
    let replicated = |task: &Task| {
        let service = observed.service(&task.service);
        service.is_none_or(|service| service.mode == Mode::Replicated)
    };
    let live = |task: &&Task| task.wanted && !task.job && !task.state.is_over();
    let here = move |task: &&Task| task.node.as_ref() == Some(node);
    observed.tasks.iter().filter(live).filter(here).filter(move |task| replicated(task))
}

/// A service that should have several tasks keeps one. Of a service of one task its operator knows that it stops whenever
/// it moves.
fn at_zero(observed: &Observed, others: &BTreeSet<NodeId>, node: &NodeId) -> Option<Gap> {
    let serves = |task: &&Task| task.wanted && task.state == TaskState::Running;
    let stays = |task: &&Task| {
        let on = task.node.as_ref().filter(|on| *on != node && !others.contains(*on));
        on.and_then(|on| observed.node(on)).is_some_and(Node::is_ready)
    };
    let several = |service: &&Service| service.mode == Mode::Replicated && service.desired > 1;
    observed.services.iter().filter(several).find_map(|service| {
        let mut tasks = observed.tasks.iter().filter(|task| task.service == service.id).filter(serves);
        let here = tasks.clone().any(|task| task.node.as_ref() == Some(node));
        (here && !tasks.any(|task| stays(&task))).then(|| Gap::AtZero { service: service.name.clone() })
    })
}

/// As Swarm says it: `scheduling constraints not satisfied on 2 nodes; insufficient resources on 1 node`.
fn in_words(misfits: &BTreeMap<Misfit, usize>) -> String {
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

/// Moves what the drain of this node moves, or places what waits.
pub fn take_places(observed: &mut Observed, others: &BTreeSet<NodeId>, drained: Option<&NodeId>) {
    let places = match drained {
        Some(node) => places(observed, others, node),
        None => waiting(observed),
    };
    let places: Vec<(String, Place)> =
        places.into_iter().map(|(task, place)| (task.id.clone(), place)).collect();
    for (id, place) in places {
        let Some(task) = observed.tasks.iter_mut().find(|task| task.id == id) else { continue };
        (task.node, task.state) = match place {
            Place::On { node, .. } => (Some(node), TaskState::Running),
            Place::Nowhere { .. } | Place::Unknown { .. } => (None, TaskState::Pending),
        };
    }
}
