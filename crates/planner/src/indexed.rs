//! What is seen, with an index: made once for a pass, a view or a plan, so that none of them looks through whole lists for each
//! node. It answers as the lists do: where several fit, the first.

use crate::board::Board;
use crate::ids::{JobKey, NodeId, ServiceId};
use crate::objects::{AgentReport, Job, Node, Service, Task};
use crate::observed::{Observed, Printed, Said};
use crate::rollout::NodeResult;
use std::cell::{OnceCell, RefCell, RefMut};
use std::collections::HashMap;
use std::ops::Deref;

/// [`Observed`], with where things are in its lists.
#[derive(Debug)]
pub struct Indexed<'a> {
    observed: &'a Observed,
    nodes: HashMap<&'a NodeId, &'a Node>,
    services: HashMap<&'a ServiceId, &'a Service>,
    jobs: HashMap<&'a JobKey, &'a Job>,
    /// By the node that they are for.
    jobs_for: HashMap<&'a NodeId, Vec<&'a Job>>,
    /// By node, try and agent.
    reports: HashMap<(&'a NodeId, u32, u32), &'a AgentReport>,
    /// By node.
    results: HashMap<&'a NodeId, Vec<&'a NodeResult>>,
    managers: Vec<&'a Node>,
    has_leader: bool,
    /// Made when it is asked for the first time: not every pass wants it.
    board: OnceCell<RefCell<Board<'a>>>,
}

impl<'a> Indexed<'a> {
    /// An index over what is seen.
    pub fn of(observed: &'a Observed) -> Self {
        let mut nodes = HashMap::with_capacity(observed.nodes.len());
        for node in &observed.nodes {
            nodes.entry(&node.id).or_insert(node);
        }
        let mut services = HashMap::with_capacity(observed.services.len());
        for service in &observed.services {
            services.entry(&service.id).or_insert(service);
        }
        let (mut jobs, mut jobs_for) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        for job in &observed.jobs {
            jobs.entry(&job.key).or_insert(job);
            jobs_for.entry(&job.key.node).or_default().push(job);
        }
        let mut reports = HashMap::new();
        for report in &observed.reports {
            reports.entry((&report.node, report.generation, report.agent)).or_insert(report);
        }
        let mut results = HashMap::<_, Vec<_>>::new();
        for result in &observed.results {
            results.entry(&result.node).or_default().push(result);
        }
        let managers = observed.nodes.iter().filter(|node| node.is_manager()).collect();
        let has_leader = observed.nodes.iter().any(Node::is_leader);
        let board = OnceCell::new();
        Self { observed, nodes, services, jobs, jobs_for, reports, results, managers, has_leader, board }
    }

    /// A node by its id.
    pub fn node(&self, id: &NodeId) -> Option<&'a Node> {
        self.nodes.get(id).copied()
    }

    /// A service by its id.
    pub fn service(&self, id: &ServiceId) -> Option<&'a Service> {
        self.services.get(id).copied()
    }

    /// What people know a task by.
    pub fn task_name(&self, task: &Task) -> String {
        task.name_of(self.service(&task.service))
    }

    /// One of careen's own services.
    pub fn job(&self, key: &JobKey) -> Option<&'a Job> {
        self.jobs.get(key).copied()
    }

    /// careen's own services that are for this node, wherever they run; in the order of the list.
    pub fn jobs_for(&self, node: &NodeId) -> &[&'a Job] {
        self.jobs_for.get(node).map_or(&[], Vec::as_slice)
    }

    /// The last report of one agent.
    pub fn report(&self, agent: &JobKey) -> Option<&'a Said> {
        self.last_report(agent).map(|report| &report.said)
    }

    /// Why the host of this agent waits, as it said last.
    pub fn host_waits(&self, agent: &JobKey) -> Option<&'a str> {
        self.last_report(agent)?.waits.as_deref()
    }

    /// What the command on this agent's host printed last, as it said last.
    pub fn printed(&self, agent: &JobKey) -> Option<&'a Printed> {
        self.last_report(agent)?.printed.as_ref()
    }

    fn last_report(&self, agent: &JobKey) -> Option<&'a AgentReport> {
        self.reports.get(&(&agent.node, agent.generation, agent.agent)).copied()
    }

    /// The results of a node's tries, in the order of the list.
    pub fn results_of(&self, node: &NodeId) -> &[&'a NodeResult] {
        self.results.get(node).map_or(&[], Vec::as_slice)
    }

    /// The result of one try on one node.
    pub fn result(&self, node: &NodeId, generation: u32) -> Option<&'a NodeResult> {
        self.results_of(node).iter().copied().find(|result| result.generation == generation)
    }

    /// The managers, in the order of the list.
    pub fn managers(&self) -> &[&'a Node] {
        &self.managers
    }

    /// Whether some node says that it leads the managers: also one that is being made a worker.
    pub fn has_leader(&self) -> bool {
        self.has_leader
    }

    /// Where tasks are, and could be. Nobody keeps it while somebody else asks.
    pub(crate) fn board(&self) -> RefMut<'_, Board<'a>> {
        self.board.get_or_init(|| RefCell::new(Board::of(self.observed))).borrow_mut()
    }
}

impl Deref for Indexed<'_> {
    type Target = Observed;

    fn deref(&self) -> &Observed {
        self.observed
    }
}
