//! Nodes that leave, join, and get another role.

use crate::rng::Rng;
use crate::scenario;
use crate::world::{Power, SimNode, World};
use careen_planner::observed::{Role, TaskState};
use careen_planner::rollout::Control;
use careen_planner::{NodeId, NodeState};

/// So many seconds after it left a host joins again at the earliest.
const LEAVES: u64 = 10;

impl World {
    /// One of the things that operators do with the members of a swarm.
    pub(crate) fn membership_changes(&mut self, index: usize) {
        match self.rng.between(0, 9) {
            0..=3 => {
                // More often one that has its turn.
                let id = self.in_its_turn().unwrap_or_else(|| self.nodes[index].id.clone());
                self.leave(&id);
            }
            4 | 5 => {
                let id = self.nodes[index].id.clone();
                self.leave(&id);
            }
            6 if !self.may_join_again().is_empty() => {
                let again = self.rng.pick(&self.may_join_again()).clone();
                let id = format!("{again}.{}", self.now);
                self.join(&id, &again);
            }
            6 | 7 => {
                let id = format!("late{}", self.now);
                self.join(&id, &id);
            }
            _ => self.another_role(index),
        }
    }

    /// Hosts that left, are up, and have carried out by now whatever they had been told.
    fn may_join_again(&self) -> Vec<String> {
        let now = self.now;
        let is_awake = |node: &&SimNode| {
            let frozen = node.host.processes.iter().any(|process| process.frozen_until > now);
            node.power == Power::Up && now >= node.left_at + LEAVES && !frozen
        };
        self.outside.iter().filter(is_awake).map(|node| node.hostname.clone()).collect()
    }

    fn in_its_turn(&mut self) -> Option<NodeId> {
        let turn = |state: Option<NodeState>| {
            state.is_some_and(|state| !state.is_terminal() && !matches!(state, NodeState::Pending))
        };
        let nodes: Vec<NodeId> =
            self.nodes.iter().filter(|node| turn(self.state(node))).map(|node| node.id.clone()).collect();
        (!nodes.is_empty() && self.rng.permille(700)).then(|| self.rng.pick(&nodes).clone())
    }

    /// `docker swarm leave` there, and `docker node rm` here; a manager is demoted first. Its containers are taken away, and
    /// what its host does without them goes on.
    pub fn leave(&mut self, id: &NodeId) {
        let Some(index) = self.nodes.iter().position(|node| node.id == *id) else { return };
        if !self.has_quorum() || !self.may_lose(index) {
            return;
        }
        let from = self.state(&self.nodes[index]).map_or("pending", |state| state.name());
        // What is at work on the host of one that has just entered is of a try that had failed.
        let waits = |state: &NodeState| {
            state.is_terminal() || matches!(state, NodeState::Pending | NodeState::Entering)
        };
        if self.state(&self.nodes[index]).as_ref().is_none_or(waits) {
            self.left_out_of_turn.insert(id.clone());
        }
        self.take_containers_away(index, false);
        self.forgets_surge_of(index);
        let mut node = self.nodes.remove(index);
        self.say(format!("{id} leaves the swarm ({from})"));
        self.leader = match self.leader {
            Some(leader) if leader == index => {
                self.election_at = self.now + 3;
                None
            }
            Some(leader) if leader > index => Some(leader - 1),
            leader => leader,
        };
        for job in self.jobs.iter_mut().filter(|job| *job.place() == *id) {
            let orphan = |task: &&mut TaskState| matches!(task, TaskState::Starting | TaskState::Running);
            job.tasks.iter_mut().filter(orphan).for_each(|task| *task = TaskState::Failed);
        }
        let listed = self.baseline.as_ref().and_then(|baseline| baseline.nodes.as_ref());
        let takes_part = listed.is_some_and(|nodes| nodes.iter().any(|one| one.id == *id));
        if takes_part && !matches!(self.rollout.control, Control::Finished { .. }) {
            self.left.insert(id.clone(), self.now);
            self.edges.insert((from, "gone"));
        }
        (node.role, node.ready, node.locked) = (Role::Worker, false, false);
        node.session += 1;
        node.left_at = self.now;
        self.outside.push(node);
    }

    /// Whether the swarm goes on without it.
    fn may_lose(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let (members, reachable) = self.managers();
        let others = reachable - usize::from(node.takes_part(self.now) && node.role == Role::Manager);
        // One that is left alone may go down as it likes; a history wants managers that are a majority of several.
        node.role == Role::Worker || (members > 3 && others > (members - 1) / 2 + 1)
    }

    /// A node joins as a worker; with a host's name that left, it is that host, with all that lies on its disk.
    pub fn join(&mut self, id: &str, hostname: &str) {
        let mut node = SimNode { hostname: hostname.to_owned(), ..scenario::node(Role::Worker, id) };
        node.version = self.next_version();
        let again = self.outside.iter().position(|one| one.hostname == hostname);
        match again {
            Some(at) => {
                let before = self.outside.remove(at);
                (node.host, node.leaks, node.session) = (before.host, before.leaks, before.session + 1);
            }
            None => node.host.plan = scenario::random_plan(&mut Rng::new(self.version)),
        }
        // Its first reboot was before.
        node.host.plan.dies_at_reboot = false;
        self.say(format!("{id} joins, on the host {hostname}"));
        self.nodes.push(node);
    }

    /// Workers are promoted and managers demoted, as far as the quorum is safe. One that is being worked on is left alone:
    /// whoever promotes that takes a second manager down himself.
    fn another_role(&mut self, index: usize) {
        let state = self.state(&self.nodes[index]);
        // Whether somebody unlocks it is asked before a manager is begun, and not again.
        let locks = self.autolock && state.as_ref().is_some_and(NodeState::is_before_the_go);
        let begun = locks || state.is_some_and(|state| state.is_in_maintenance());
        let able = self.nodes[index].power == Power::Up && self.nodes[index].ready;
        if !self.has_quorum() || begun || !able || self.leader == Some(index) {
            return;
        }
        let role = match self.nodes[index].role {
            Role::Worker if self.managers().0 < 5 => Role::Manager,
            Role::Manager if self.may_lose(index) => Role::Worker,
            Role::Worker | Role::Manager => return,
        };
        let version = self.next_version();
        let node = &mut self.nodes[index];
        (node.role, node.version) = (role, version);
        let line = format!("operator: {} is a {role:?} now", node.id);
        self.say(line);
    }

    /// On hosts that left what was begun goes on.
    pub(crate) fn outsiders(&mut self) {
        for at in 0..self.outside.len() {
            // A host's supervisors work on one of the nodes; this one stands at their end for a moment.
            let node = self.outside.remove(at);
            self.nodes.push(node);
            let index = self.nodes.len() - 1;
            self.power_of(index);
            self.supervisors_of(index);
            if let Some(node) = self.nodes.pop() {
                self.outside.insert(at, node);
            }
        }
    }
}
