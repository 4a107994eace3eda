//! A glance: a look that leaves out what costs most in a large swarm. It reads everything anew but nodes on which nothing is under
//! way, where nobody was told of a change, and tasks of services that Swarm counts as before. These stay in memory as they were
//! read last.
//!
//! A memory may keep something from being done, and never allows it. What takes a node out of service, gives it back or gives a
//! permission is decided on a look alone ([`needs_a_look`]).

use crate::action::Action;
use crate::ids::{JobKey, NodeId, ServiceId};
use crate::objects::{Node, Service, Task, TaskState};
use crate::observed::Observed;
use crate::state::{NodeRecord, NodeState, Skip};
use careen_contract::label;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What a glance reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Glance {
    /// As a look sees it, but of nodes and tasks only those that were read. No service is counted yet.
    pub seen: Observed,
    /// Whether all nodes were read.
    pub all_nodes: bool,
    /// Whose tasks were read.
    pub of: TasksOf,
}

/// What was seen last, by a look and by glances since.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    observed: Observed,
    /// Whose tasks were read last. They are at the end of the list: so many.
    of: TasksOf,
    read: usize,
    /// The nodes that did not report.
    silent: BTreeSet<NodeId>,
}

/// Nodes and services of which all tasks were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct TasksOf {
    pub nodes: BTreeSet<NodeId>,
    pub services: BTreeSet<ServiceId>,
}

/// How many tasks of a service Swarm wants, and how many of those run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Count {
    pub wanted: u64,
    pub running: u64,
}

impl TasksOf {
    /// Whether this task was read, if it is still there.
    pub fn have(&self, task: &Task) -> bool {
        self.services.contains(&task.service)
            || task.node.as_ref().is_some_and(|node| self.nodes.contains(node))
    }
}

/// Counts the tasks of each service. What runs on a node that does not report counts for nothing, though Swarm may not have given
/// it up yet.
pub fn counts<'a, 'n>(
    nodes: impl IntoIterator<Item = &'n Node>,
    tasks: impl Iterator<Item = &'a Task>,
) -> HashMap<&'a ServiceId, Count> {
    let silent: HashSet<&NodeId> =
        nodes.into_iter().filter(|node| !node.is_ready()).map(|node| &node.id).collect();
    let is_up = |task: &&Task| !task.node.as_ref().is_some_and(|node| silent.contains(node));
    let mut counts: HashMap<&ServiceId, Count> = HashMap::new();
    for task in tasks.filter(|task| task.wanted).filter(is_up) {
        let count = counts.entry(&task.service).or_default();
        count.wanted += 1;
        count.running += u64::from(task.state == TaskState::Running);
    }
    counts
}

/// The nodes on which something of a rollout is under way, or of which nobody knows: those that are not through, and those that
/// careen's own services are for.
pub fn at_work<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    jobs: impl IntoIterator<Item = &'a JobKey>,
) -> BTreeSet<NodeId> {
    let with_jobs: HashSet<&NodeId> = jobs.into_iter().map(|key| &key.node).collect();
    let is_not_through = |node: &Node| match NodeRecord::of(node) {
        Ok(record) => record.is_some_and(|record| !record.state.is_terminal()),
        Err(_corrupt) => true,
    };
    let is_at_work = |node: &&Node| with_jobs.contains(&node.id) || is_not_through(node);
    nodes.into_iter().filter(is_at_work).map(|node| node.id.clone()).collect()
}

impl Memory {
    /// What a look saw.
    pub fn of(observed: Observed) -> Self {
        let silent = silent(&observed.nodes);
        Self { observed, of: TasksOf::default(), read: 0, silent }
    }

    /// What is known now.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The nodes that are read each time beside the managers.
    pub fn nodes_in_question(&self) -> BTreeSet<NodeId> {
        at_work(&self.observed.nodes, self.observed.jobs.iter().map(|job| &job.key))
    }

    /// All nodes, where those that are read each time were: each as it was read, or is in memory. `None` where that is not enough:
    /// somebody joined, left, or is no manager any more.
    pub fn all_nodes<'a>(&'a self, asked: &BTreeSet<NodeId>, read: &'a [Node]) -> Option<Vec<&'a Node>> {
        let mut fresh: HashMap<&NodeId, &Node> = read.iter().map(|node| (&node.id, node)).collect();
        let known = self.observed.nodes.iter().map(|node| match fresh.remove(&node.id) {
            None if node.is_manager() || asked.contains(&node.id) => None,
            None => Some(node),
            Some(now) => (now.role == node.role).then_some(now),
        });
        let known = known.collect::<Option<Vec<&Node>>>()?;
        fresh.is_empty().then_some(known)
    }

    /// The services whose tasks have to be read: those that Swarm counts otherwise than when they were read last, or that are new;
    /// and those of which memory, with what was read of the nodes at work, does not count what it did, or less than Swarm does.
    pub fn services_in_question(
        &self,
        nodes: &[&Node],
        seen: &Observed,
        at_work: &BTreeSet<NodeId>,
    ) -> BTreeSet<ServiceId> {
        let of = TasksOf { nodes: at_work.clone(), services: BTreeSet::new() };
        let counts = (!self.is_as_before(nodes.iter().copied(), &seen.tasks, &of)).then(|| {
            let read = ids(&seen.tasks);
            let kept = self.observed.tasks.iter().filter(|task| stays(task, &of, &read));
            counts(nodes.iter().copied(), kept.chain(&seen.tasks))
        });
        let before = by_id(&self.observed.services);
        let is_known = |service: &Service| {
            let (before, tally) = (before.get(&service.id)?, service.tally?);
            let running = counts.as_ref().map_or(before.running, |counts| running(counts, service));
            let as_before = before.tally == Some(tally) && before.running == running;
            Some(as_before && running >= tally.running.min(service.desired))
        };
        let asked = seen.services.iter().filter(|service| is_known(service) != Some(true));
        asked.map(|service| service.id.clone()).collect()
    }

    /// Brings it up to date: what was not read again is as old as the look or glance that read it.
    pub fn renew(&mut self, glance: Glance) {
        let Glance { mut seen, all_nodes, of } = glance;
        if !all_nodes {
            let read = std::mem::take(&mut seen.nodes);
            seen.nodes = with_these(std::mem::take(&mut self.observed.nodes), read);
        }
        if self.is_as_before(&seen.nodes, &seen.tasks, &of) {
            let before = by_id(&self.observed.services);
            for service in &mut seen.services {
                service.running = before.get(&service.id).map_or(0, |before| before.running);
            }
            seen.tasks = std::mem::take(&mut self.observed.tasks);
        } else {
            self.count_anew(&mut seen, &of);
        }
        if !of.nodes.is_empty() {
            for (name, why) in self.troubles_that_stay(&seen, &of) {
                seen.troubles.entry(name).or_insert(why);
            }
        }
        self.silent = silent(&seen.nodes);
        self.of = of;
        self.observed = seen;
    }

    /// Whether what was read of the tasks is what was read last, so that all are, and count, as they did: most often it is so.
    fn is_as_before<'n>(
        &self,
        nodes: impl IntoIterator<Item = &'n Node>,
        read: &[Task],
        of: &TasksOf,
    ) -> bool {
        let last = &self.observed.tasks[self.observed.tasks.len() - self.read..];
        let (is_same, none) = (self.of.nodes == of.nodes, TasksOf::default().services);
        is_same
            && (&self.of.services, &of.services) == (&none, &none)
            && last.iter().eq(read.iter().filter(|task| !task.state.is_over()))
            && self.silent == silent(nodes)
    }

    /// Puts together which tasks there are, and counts those of each service.
    fn count_anew(&mut self, seen: &mut Observed, of: &TasksOf) {
        let mut tasks = std::mem::take(&mut self.observed.tasks);
        let read = ids(&seen.tasks);
        tasks.retain(|task| stays(task, of, &read));
        drop(read);
        let kept = tasks.len();
        tasks.append(&mut seen.tasks);
        let counts = counts(&seen.nodes, tasks.iter());
        for service in &mut seen.services {
            let running = running(&counts, service);
            // A task that came to a node at work has left another in memory. Swarm never counts too few.
            service.running = service.tally.map_or(running, |tally| running.min(tally.running));
        }
        self.read = tasks[kept..].iter().filter(|task| !task.state.is_over()).count();
        tasks.retain(|task| !task.state.is_over());
        seen.tasks = tasks;
    }

    /// What kept tasks of services from running that were not asked for again.
    fn troubles_that_stay(&mut self, seen: &Observed, of: &TasksOf) -> BTreeMap<String, String> {
        let unread = seen.services.iter().filter(|service| !of.services.contains(&service.id));
        let unread: HashSet<&str> = unread.map(|service| service.name.as_str()).collect();
        let troubles = std::mem::take(&mut self.observed.troubles).into_iter();
        troubles.filter(|(name, _)| unread.contains(name.as_str())).collect()
    }
}

fn silent<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> BTreeSet<NodeId> {
    nodes.into_iter().filter(|node| !node.is_ready()).map(|node| node.id.clone()).collect()
}

fn by_id(services: &[Service]) -> HashMap<&ServiceId, &Service> {
    services.iter().map(|service| (&service.id, service)).collect()
}

fn running(counts: &HashMap<&ServiceId, Count>, service: &Service) -> u64 {
    counts.get(&service.id).map_or(0, |count| count.running)
}

fn with_these(mut nodes: Vec<Node>, read: Vec<Node>) -> Vec<Node> {
    let mut fresh: HashMap<NodeId, Node> = read.into_iter().map(|node| (node.id.clone(), node)).collect();
    for node in &mut nodes {
        if let Some(now) = fresh.remove(&node.id) {
            *node = now;
        }
    }
    nodes
}

fn ids(tasks: &[Task]) -> HashSet<&str> {
    tasks.iter().map(|task| task.id.as_str()).collect()
}

/// Whether a task is still known by memory alone.
fn stays(task: &Task, of: &TasksOf, read: &HashSet<&str>) -> bool {
    !of.have(task) && !read.contains(task.id.as_str())
}

/// Whether an act is carried out only when a look has decided it. What is not takes nothing down but careen's own services, gives no
/// permission, and rests on nothing that a glance leaves out: on the nodes at work, careen's services and their reports, or on
/// nothing but a node that is written with the version that was read.
pub fn needs_a_look(action: &Action) -> bool {
    match action {
        Action::Beat { .. }
        | Action::StopJob { .. }
        | Action::RemoveJob { .. }
        | Action::RemoveTicket { .. }
        | Action::WriteResult { .. } => false,
        Action::UpdateNode { labels, availability, .. } => {
            let label = labels.get(label::NODE).and_then(Option::as_deref);
            let only_counts = labels.keys().eq([label::HELD]);
            availability.is_some() || !(only_counts || label.is_some_and(only_tells))
        }
        Action::TakeLock { .. }
        | Action::ReleaseLock { .. }
        | Action::WriteBaseline { .. }
        | Action::ScaleService { .. }
        | Action::CreateJob { .. }
        | Action::CreateTicket { .. }
        | Action::CreateGate { .. }
        | Action::OpenGate { .. }
        | Action::CreateStandIn { .. }
        | Action::WriteHistory { .. }
        | Action::RemoveResults
        | Action::RemoveDelivered
        | Action::SetControl { .. }
        | Action::MarkGone { .. }
        | Action::Move { .. }
        | Action::MoveController { .. } => true,
    }
}

/// Whether a node's label only tells what happened: its agent is there, its command is through, it is left out. That something keeps a
/// node waiting may be an old memory, so whether it is left out for that a look decides.
fn only_tells(label: &str) -> bool {
    NodeRecord::decode(label).is_ok_and(|record| match record.state {
        NodeState::Preparing | NodeState::Verifying => true,
        NodeState::Skipped { why } => why != Skip::Held,
        NodeState::Pending
        | NodeState::Entering
        | NodeState::Draining { .. }
        | NodeState::Running { .. }
        | NodeState::RestartingEngine
        | NodeState::Rebooting
        | NodeState::Restoring { .. }
        | NodeState::Settling
        | NodeState::Done
        | NodeState::Failed { .. }
        | NodeState::Gone { .. } => false,
    })
}

#[cfg(test)]
mod tests;
