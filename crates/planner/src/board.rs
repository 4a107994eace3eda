//! Where tasks are, and which nodes take one more: Swarm's own filters (swarmkit, `manager/scheduler`: `filter.go`, `nodeinfo.go`),
//! asked many times for many nodes.
//!
//! Whether a node may take tasks of a service at all is worked out once for all services with the same constraints, plugins and
//! platforms (a [`Class`]); whether it takes one now, once for all that ask for the same beside that (a [`Demand`]), and again for
//! the two nodes alone that a task moves between.

pub(crate) mod ahead;
mod doubled;
mod misfit;

use crate::constraint::{Constraints, Fit};
use crate::ids::{NodeId, ServiceId};
use crate::needs::{HostPort, Needs, Platform, Plugin, Resources};
use crate::objects::{Availability, Mode, Node, Service, Task, TaskState};
use crate::observed::Observed;
use misfit::{Misfit, in_words};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use misfit::Place;

/// Among more nodes than these Swarm may choose as it likes: nobody wants to read which they are.
pub(crate) const MANY: usize = 8;

/// Whether a node takes tasks of a class, when it is neither away nor full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suits {
    Yes,
    /// A constraint cannot be read.
    Unknown,
    No(Misfit),
}

impl Suits {
    /// Also where nobody knows.
    const fn perhaps(self) -> bool {
        match self {
            Self::Yes | Self::Unknown => true,
            Self::No(_) => false,
        }
    }
}

/// What services of one class have in common: constraints, plugins and platforms.
type ClassKey<'a> = (&'a [String], &'a BTreeSet<Plugin>, &'a [Platform]);

/// Services that may be on the same nodes.
#[derive(Debug)]
struct Class<'a> {
    /// Of each node.
    suits: Vec<Suits>,
    /// How many suit, or nobody knows.
    perhaps: usize,
    /// A constraint that cannot be read.
    unknown: Option<&'a str>,
    /// Those that suit and are not away, the least loaded first.
    order: BTreeSet<(usize, usize)>,
}

/// What a task asks of a node beside what its class does. Only of services with a limit for each node it matters which one it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Wanted<'a> {
    class: usize,
    reserved: &'a Resources,
    ports: &'a BTreeSet<HostPort>,
    /// The service, and how many of its tasks a node takes.
    most: Option<(usize, u64)>,
}

/// Which nodes take one more such task now.
#[derive(Debug)]
struct Demand<'a> {
    wanted: Wanted<'a>,
    able: Vec<bool>,
    count: usize,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    On(usize),
    /// It has no node.
    None,
    /// On a node that is not in the list.
    Elsewhere,
}

/// What is on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Load<'a> {
    /// How many tasks Swarm wants there.
    tasks: usize,
    /// The same of each service that has some there.
    of_service: Vec<(usize, u64)>,
    free: Resources,
    ports: Vec<&'a HostPort>,
}

/// A change that is taken back: a task, where it was, and how far.
type Before = (usize, Spot, TaskState);

/// Nodes with their tasks. Nodes are numbered in the order of their ids, tasks and services in that of their lists.
#[derive(Debug)]
pub(crate) struct Board<'a> {
    nodes: Vec<&'a Node>,
    /// Those that are not ready.
    unready: Vec<usize>,
    numbers: HashMap<&'a NodeId, usize>,
    services: &'a [Service],
    numbers_of_services: HashMap<&'a ServiceId, usize>,
    tasks: &'a [Task],
    /// Of each task.
    spots: Vec<Spot>,
    states: Vec<TaskState>,
    service_of: Vec<Option<usize>>,
    /// The tasks on each node, and of each service, in the order of the list.
    on: Vec<Vec<usize>>,
    of_service: Vec<Vec<usize>>,
    /// How many tasks of each service run and are wanted.
    serving: Vec<usize>,
    /// The tasks that wait for a place.
    waiting: BTreeSet<usize>,
    loads: Vec<Load<'a>>,
    /// The nodes that are thought to be away now.
    away: BTreeSet<usize>,
    /// Those that take no tasks and keep what they have: their own turn comes next.
    closed: BTreeSet<usize>,
    classes: Vec<Class<'a>>,
    class_of: Vec<Option<usize>>,
    known_classes: HashMap<ClassKey<'a>, usize>,
    demands: Vec<Demand<'a>>,
    known_demands: HashMap<Wanted<'a>, usize>,
    /// What [`Board::places`] said last, as long as nothing has changed.
    said: Option<(usize, Vec<(usize, Place)>)>,
}

impl<'a> Board<'a> {
    /// As it is seen.
    pub(crate) fn of(observed: &'a Observed) -> Self {
        let by_id: BTreeMap<&NodeId, &Node> = observed.nodes.iter().map(|node| (&node.id, node)).collect();
        let nodes: Vec<&Node> = by_id.into_values().collect();
        let numbers: HashMap<&NodeId, usize> =
            nodes.iter().enumerate().map(|(number, node)| (&node.id, number)).collect();
        let mut numbers_of_services = HashMap::with_capacity(observed.services.len());
        for (number, service) in observed.services.iter().enumerate() {
            numbers_of_services.entry(&service.id).or_insert(number);
        }
        let spot = |task: &Task| match &task.node {
            None => Spot::None,
            Some(node) => numbers.get(node).map_or(Spot::Elsewhere, |number| Spot::On(*number)),
        };
        let mut board = Self {
            spots: observed.tasks.iter().map(spot).collect(),
            states: observed.tasks.iter().map(|task| task.state).collect(),
            service_of: observed
                .tasks
                .iter()
                .map(|task| numbers_of_services.get(&task.service).copied())
                .collect(),
            on: vec![Vec::new(); nodes.len()],
            of_service: vec![Vec::new(); observed.services.len()],
            serving: vec![0; observed.services.len()],
            waiting: BTreeSet::new(),
            loads: vec![Load::default(); nodes.len()],
            away: BTreeSet::new(),
            closed: BTreeSet::new(),
            classes: Vec::new(),
            class_of: vec![None; observed.services.len()],
            known_classes: HashMap::new(),
            demands: Vec::new(),
            known_demands: HashMap::new(),
            said: None,
            unready: (0..nodes.len()).filter(|node| !nodes[*node].is_ready()).collect(),
            services: &observed.services,
            tasks: &observed.tasks,
            nodes,
            numbers,
            numbers_of_services,
        };
        for number in 0..board.tasks.len() {
            if let Spot::On(node) = board.spots[number] {
                board.on[node].push(number);
            }
            if let Some(service) = board.service_of[number] {
                board.of_service[service].push(number);
                board.serving[service] += usize::from(board.serves(number));
            }
            if board.waits(number) {
                board.waiting.insert(number);
            }
        }
        for node in 0..board.nodes.len() {
            board.loads[node] = board.load(node);
        }
        board
    }

    /// A node by its id.
    pub(crate) fn node(&self, id: &NodeId) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// A service by its id.
    pub(crate) fn service(&self, id: &ServiceId) -> Option<usize> {
        self.numbers_of_services.get(id).copied()
    }

    /// The tasks whose containers run on a node, or are about to.
    pub(crate) fn running_on(&self, node: usize) -> impl Iterator<Item = usize> {
        let runs = |number: &usize| matches!(self.states[*number], TaskState::Starting | TaskState::Running);
        self.on[node].iter().copied().filter(runs)
    }

    /// A task by its number.
    pub(crate) fn task(&self, number: usize) -> &'a Task {
        &self.tasks[number]
    }

    /// The service of a task, where it is known.
    pub(crate) fn service_of(&self, task: usize) -> Option<(usize, &'a Service)> {
        self.service_of[task].map(|number| (number, &self.services[number]))
    }

    /// Whether a node takes a task of this service at some time, as it is labelled and equipped now: it may be away or full at the
    /// moment. Also where nobody knows.
    pub(crate) fn could_take(&mut self, node: usize, service: usize) -> bool {
        let class = self.class(service);
        self.classes[class].suits[node].perhaps()
    }

    /// Whether a task of this service could start on another node, now or when that is back or has room again.
    pub(crate) fn could_move(&mut self, service: usize, node: usize) -> bool {
        let class = self.class(service);
        let here = self.classes[class].suits[node].perhaps();
        self.services[service].mode == Mode::Replicated && self.classes[class].perhaps > usize::from(here)
    }

    /// Which of these services have a place for one task more, or nobody knows. Tasks that wait for a place have taken theirs, where
    /// there is one: they come before all others.
    pub(crate) fn with_a_place(&mut self, services: &[usize]) -> Vec<bool> {
        self.think_away(&BTreeSet::new());
        let before = self.place_those_that_wait();
        let has = |board: &mut Self, service: usize| {
            let reserved = &board.services[service].needs.reserved;
            board.finds(service, reserved).is_some() || board.may_know_later(service, reserved)
        };
        let found = services.iter().map(|service| has(self, *service)).collect();
        self.take_back(before);
        found
    }

    /// Where each task goes that a drain of this node moves, while the others are away, too: those of replicated services that
    /// Swarm wants to run.
    pub(crate) fn places(&mut self, others: &BTreeSet<NodeId>, node: usize) -> Vec<(usize, Place)> {
        self.think_these_away(others, node);
        if let Some((of, places)) = &self.said
            && *of == node
        {
            return places.clone();
        }
        let mut before = self.place_those_before(node);
        let moved = self.moved(node);
        let place = |task| (task, self.place(task, &mut before));
        let places: Vec<(usize, Place)> = moved.into_iter().map(place).collect();
        self.take_back(before);
        self.said = Some((node, places.clone()));
        places
    }

    fn think_these_away(&mut self, others: &BTreeSet<NodeId>, node: usize) {
        let mut away: BTreeSet<usize> = others.iter().filter_map(|other| self.node(other)).collect();
        away.insert(node);
        self.think_away(&away);
    }

    /// What waits for a place, and what is on the others that are away still: they were drained before.
    fn place_those_before(&mut self, node: usize) -> Vec<Before> {
        let mut before = self.place_those_that_wait();
        let others: Vec<usize> = self.away.iter().copied().filter(|other| *other != node).collect();
        for other in others {
            for task in self.moved(other) {
                self.try_to_place(task, &mut before);
            }
        }
        before
    }

    /// The first service of several tasks of which no task would run that serves now. Of a service of one task its operator knows that
    /// it stops whenever it moves.
    pub(crate) fn at_zero(
        &self,
        others: &BTreeSet<NodeId>,
        node: usize,
        of: impl Fn(&ServiceId) -> bool,
    ) -> Option<&'a Service> {
        let serves = |task: &usize| self.tasks[*task].wanted && self.states[*task] == TaskState::Running;
        let others: BTreeSet<usize> = others.iter().filter_map(|other| self.node(other)).collect();
        let stays = |task: &usize| match self.spots[*task] {
            Spot::On(on) => on != node && !others.contains(&on) && self.nodes[on].is_ready(),
            Spot::None | Spot::Elsewhere => false,
        };
        let here: BTreeSet<usize> = self.on[node]
            .iter()
            .filter(|task| serves(task))
            .filter_map(|task| self.service_of[*task])
            .collect();
        let found = here.into_iter().find(|number| {
            let service = &self.services[*number];
            let several = service.mode == Mode::Replicated && service.desired > 1;
            several
                && of(&service.id)
                && !self.of_service[*number].iter().filter(|task| serves(task)).any(&stays)
        });
        found.map(|number| &self.services[number])
    }

    fn serves(&self, number: usize) -> bool {
        self.tasks[number].wanted && self.states[number] == TaskState::Running
    }

    fn waits(&self, number: usize) -> bool {
        let task = &self.tasks[number];
        task.wanted && !task.job && self.spots[number] == Spot::None && !self.states[number].is_over()
    }

    /// The tasks that a drain of this node moves.
    fn moved(&self, node: usize) -> Vec<usize> {
        let moves = |number: &usize| {
            let task = &self.tasks[*number];
            let service = self.service_of(*number);
            let replicated = service.is_none_or(|(_, service)| service.mode == Mode::Replicated);
            task.wanted && !task.job && !self.states[*number].is_over() && replicated
        };
        self.on[node].iter().copied().filter(moves).collect()
    }

    fn place_those_that_wait(&mut self) -> Vec<Before> {
        let waiting: Vec<usize> = self.waiting.iter().copied().collect();
        let mut before = Vec::new();
        for task in waiting {
            self.try_to_place(task, &mut before);
        }
        before
    }

    /// Where Swarm would place this task; it has its place then.
    fn place(&mut self, task: usize, before: &mut Vec<Before>) -> Place {
        if let Some(place) = self.try_to_place(task, before) {
            return place;
        }
        match self.service_of[task] {
            Some(service) => self.nowhere(service, &self.tasks[task].reserved),
            None => Place::Nowhere { why: "its service is not known".to_owned() },
        }
    }

    fn try_to_place(&mut self, task: usize, before: &mut Vec<Before>) -> Option<Place> {
        let service = self.service_of[task]?;
        let (node, of) = self.finds(service, &self.tasks[task].reserved)?;
        before.push((task, self.spots[task], self.states[task]));
        self.put(task, Spot::On(node), self.states[task]);
        Some(Place::On { node: self.nodes[node].id.clone(), of })
    }

    fn take_back(&mut self, before: Vec<Before>) {
        for (task, spot, state) in before.into_iter().rev() {
            self.put(task, spot, state);
        }
    }

    /// The node that Swarm would choose for one more task of this service, of how many that take it.
    fn finds(&mut self, service: usize, reserved: &'a Resources) -> Option<(usize, usize)> {
        let demand = self.demand(service, reserved);
        let demand = &self.demands[demand];
        let mut best: Option<(u64, usize)> = None;
        if demand.count > 0 {
            let order = self.classes[demand.wanted.class].order.iter().map(|(_, node)| *node);
            for node in order.filter(|node| demand.able[*node]) {
                let has = self.loads[node].of(service);
                if best.is_none_or(|(least, _)| has < least) {
                    best = Some((has, node));
                }
                if has == 0 {
                    break;
                }
            }
        }
        best.map(|(_, node)| (node, demand.count))
    }

    /// Why no node takes one more task of this service.
    fn nowhere(&mut self, service: usize, reserved: &'a Resources) -> Place {
        if self.may_know_later(service, reserved) {
            let class = self.class(service);
            let constraint = self.classes[class].unknown.unwrap_or_default().to_owned();
            return Place::Unknown { constraint };
        }
        let demand = self.demand(service, reserved);
        let mut misfits: BTreeMap<Misfit, usize> = BTreeMap::new();
        for node in 0..self.nodes.len() {
            if let Some(misfit) = self.misfit(&self.demands[demand].wanted, node) {
                *misfits.entry(misfit).or_default() += 1;
            }
        }
        Place::Nowhere { why: in_words(&misfits) }
    }

    /// Whether nothing but a constraint that cannot be read keeps a node from taking one more task of this service.
    fn may_know_later(&mut self, service: usize, reserved: &'a Resources) -> bool {
        let demand = self.demand(service, reserved);
        let wanted = &self.demands[demand].wanted;
        let class = &self.classes[wanted.class];
        let unknown = |node: &usize| class.suits[*node] == Suits::Unknown;
        class.unknown.is_some()
            && (0..self.nodes.len()).filter(unknown).any(|node| self.misfit(wanted, node).is_none())
    }

    /// Why a node does not take one more such task, first of all; `None` when it does, or nobody knows.
    fn misfit(&self, wanted: &Wanted<'_>, node: usize) -> Option<Misfit> {
        let load = &self.loads[node];
        let unfit = match self.classes[wanted.class].suits[node] {
            Suits::No(misfit) => Some(misfit),
            Suits::Yes | Suits::Unknown => None,
        };
        let full = wanted.most.is_some_and(|(service, most)| load.of(service) >= most);
        let found = [
            self.is_away(node).then_some(Misfit::Away),
            (!wanted.reserved.is_none() && !load.free.hold(wanted.reserved)).then_some(Misfit::Resources),
            unfit,
            wanted.ports.iter().any(|port| load.ports.contains(&port)).then_some(Misfit::HostPort),
            full.then_some(Misfit::MaxReplicas),
        ];
        found.into_iter().flatten().next()
    }

    fn is_able(&self, wanted: &Wanted<'_>, node: usize) -> bool {
        self.classes[wanted.class].suits[node] == Suits::Yes && self.misfit(wanted, node).is_none()
    }

    fn is_away(&self, node: usize) -> bool {
        let seen = self.nodes[node];
        let thought = self.away.contains(&node) || self.closed.contains(&node);
        seen.availability != Availability::Active || !seen.is_ready() || thought
    }

    fn class(&mut self, service: usize) -> usize {
        if let Some(class) = self.class_of[service] {
            return class;
        }
        let Service { constraints, needs, .. } = &self.services[service];
        let key = (constraints.as_slice(), &needs.plugins, needs.platforms.as_slice());
        let class = match self.known_classes.get(&key) {
            Some(class) => *class,
            None => {
                let class = self.new_class(constraints, needs);
                self.classes.push(class);
                self.known_classes.insert(key, self.classes.len() - 1);
                self.classes.len() - 1
            }
        };
        self.class_of[service] = Some(class);
        class
    }

    fn new_class(&self, constraints: &'a [String], needs: &'a Needs) -> Class<'a> {
        let constraints = Constraints::of(constraints);
        let suits: Vec<Suits> = self.nodes.iter().map(|node| suits(&constraints, needs, node)).collect();
        let open = |node: &usize| suits[*node] == Suits::Yes && !self.is_away(*node);
        let order = (0..self.nodes.len()).filter(open).map(|node| (self.loads[node].tasks, node)).collect();
        let perhaps = suits.iter().filter(|suits| suits.perhaps()).count();
        Class { order, perhaps, unknown: constraints.unknown(), suits }
    }

    fn demand(&mut self, service: usize, reserved: &'a Resources) -> usize {
        let class = self.class(service);
        let needs = &self.services[service].needs;
        let most = (needs.max_per_node > 0).then_some((service, needs.max_per_node));
        let wanted = Wanted { class, reserved, ports: &needs.ports, most };
        if let Some(demand) = self.known_demands.get(&wanted) {
            return *demand;
        }
        let able: Vec<bool> = (0..self.nodes.len()).map(|node| self.is_able(&wanted, node)).collect();
        let count = able.iter().filter(|able| **able).count();
        self.demands.push(Demand { wanted: wanted.clone(), able, count });
        self.known_demands.insert(wanted, self.demands.len() - 1);
        self.demands.len() - 1
    }

    /// These nodes are away, and no others.
    fn think_away(&mut self, away: &BTreeSet<usize>) {
        let changed: Vec<usize> = self.away.symmetric_difference(away).copied().collect();
        for node in changed {
            self.said = None;
            self.change(node, |board| {
                if !board.away.remove(&node) {
                    board.away.insert(node);
                }
            });
        }
    }

    /// A task is somewhere else, or farther.
    fn put(&mut self, task: usize, spot: Spot, state: TaskState) {
        let served = self.serves(task);
        let before = std::mem::replace(&mut self.spots[task], spot);
        let state_before = std::mem::replace(&mut self.states[task], state);
        if (before, state_before) == (spot, state) {
            return;
        }
        self.said = None;
        if let Some(service) = self.service_of[task] {
            self.serving[service] =
                self.serving[service] + usize::from(self.serves(task)) - usize::from(served);
        }
        if self.waits(task) {
            self.waiting.insert(task);
        } else {
            self.waiting.remove(&task);
        }
        if let Spot::On(node) = before {
            self.on[node].retain(|one| *one != task);
            self.change(node, |board| board.loads[node] = board.load(node));
        }
        if let Spot::On(node) = spot {
            let at = self.on[node].partition_point(|one| *one < task);
            self.on[node].insert(at, task);
            self.change(node, |board| board.loads[node] = board.load(node));
        }
    }

    /// Changes one node, and what is known of it.
    fn change(&mut self, node: usize, change: impl FnOnce(&mut Self)) {
        let before = self.loads[node].tasks;
        change(self);
        let (now, away) = (self.loads[node].tasks, self.is_away(node));
        for class in self.classes.iter_mut().filter(|class| class.suits[node] == Suits::Yes) {
            class.order.remove(&(before, node));
            if !away {
                class.order.insert((now, node));
            }
        }
        for number in 0..self.demands.len() {
            let able = self.is_able(&self.demands[number].wanted, node);
            let demand = &mut self.demands[number];
            let was = std::mem::replace(&mut demand.able[node], able);
            demand.count = demand.count + usize::from(able) - usize::from(was);
        }
    }

    fn load(&self, node: usize) -> Load<'a> {
        let free = self.nodes[node].offers.resources.clone();
        let mut load = Load { tasks: 0, of_service: Vec::new(), free, ports: Vec::new() };
        for number in self.on[node].iter().filter(|number| !self.states[**number].is_over()) {
            let task = &self.tasks[*number];
            load.free.take(&task.reserved);
            if let Some((_, service)) = self.service_of(*number) {
                load.ports.extend(&service.needs.ports);
            }
            if task.wanted {
                load.tasks += 1;
                if let Some(service) = self.service_of[*number] {
                    load.add(service);
                }
            }
        }
        load
    }
}

impl Load<'_> {
    fn of(&self, service: usize) -> u64 {
        self.of_service.iter().find(|(number, _)| *number == service).map_or(0, |(_, tasks)| *tasks)
    }

    fn add(&mut self, service: usize) {
        match self.of_service.iter_mut().find(|(number, _)| *number == service) {
            Some((_, tasks)) => *tasks += 1,
            None => self.of_service.push((service, 1)),
        }
    }
}

/// What does not change while a node is away for a moment, or full.
fn suits(constraints: &Constraints<'_>, needs: &Needs, node: &Node) -> Suits {
    let platform = Platform { os: node.os.clone(), arch: node.arch.clone() };
    if !needs.plugins.iter().all(|plugin| node.offers.has(plugin)) {
        return Suits::No(Misfit::Plugin);
    }
    let runs = needs.platforms.is_empty() || needs.platforms.iter().any(|one| one.runs_on(&platform));
    match constraints.fit(node) {
        Fit::No => Suits::No(Misfit::Constraint),
        Fit::Yes | Fit::Unknown(_) if !runs => Suits::No(Misfit::Platform),
        Fit::Unknown(_) => Suits::Unknown,
        Fit::Yes => Suits::Yes,
    }
}
