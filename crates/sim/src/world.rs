//! The swarm: its store, its orchestrator, its nodes and their engines, as far as a rollout can tell. What it does
//! follows docs/swarm-facts.md; one call of [`World::tick`] is one second.

use crate::host::{At, Host, Transaction, failed};
use crate::rng::Rng;
use careen_planner::action::AgentSpec;
use careen_planner::observed::{
    Availability, HostPhase, Lock, Mode, NodeOutcome, Restart, Role, Said, TaskState,
};
use careen_planner::rollout::{Baseline, NodeResult, RolloutRecord};
use careen_planner::state::{NodeRecord, RECORD_LABEL};
use careen_planner::{Go, JobKey, JobRole, NodeId, Spec, Stage, Version};
use std::collections::{BTreeMap, BTreeSet};

/// A swarm with its hosts.
#[derive(Debug, Clone)]
pub struct World {
    /// Seconds since it began.
    pub now: u64,
    /// All chance comes from here.
    pub rng: Rng,
    /// Nodes, also those that are down.
    pub nodes: Vec<SimNode>,
    /// Services of the users.
    pub services: Vec<SimService>,
    /// Their tasks.
    pub tasks: Vec<SimTask>,
    /// careen's services.
    pub jobs: Vec<SimJob>,
    /// The lock.
    pub lock: Option<Lock>,
    /// The rollout.
    pub rollout: RolloutRecord,
    /// How services stood.
    pub baseline: Option<Baseline>,
    /// Results.
    pub results: Vec<NodeResult>,
    /// Whether the history is written.
    pub history_written: bool,
    /// Which manager leads.
    pub leader: Option<usize>,
    /// When the next one is elected.
    pub election_at: u64,
    /// The store's last version.
    pub version: u64,
    /// What the rollout is.
    pub spec: Spec,
    /// What happened, for whoever reads a failure.
    pub history: Vec<String>,
    /// What must never be, and was.
    pub violations: Vec<String>,
    /// Every attempt that ever began: node, generation, attempt.
    pub attempts: Vec<(NodeId, u32, u32)>,
    /// How often an operator asked for a retry, by node.
    pub retries: BTreeMap<NodeId, u32>,
    /// Whether agents look at the quorum themselves.
    pub agents_check_quorum: bool,
    /// When the rollout was over.
    pub over_at: u64,
    /// Nodes that left.
    pub left: BTreeSet<NodeId>,
}

/// A node.
#[derive(Debug, Clone)]
pub struct SimNode {
    /// Its id, also its host's name.
    pub id: NodeId,
    /// What it is.
    pub role: Role,
    /// What the store says.
    pub availability: Availability,
    /// What its operator said last.
    pub wish: Availability,
    /// When its operator last said so.
    pub wish_at: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its version in the store.
    pub version: Version,
    /// Whether host and engine are up.
    pub power: Power,
    /// Counts engine starts.
    pub session: u64,
    /// Whether the managers see it.
    pub ready: bool,
    /// Since when `ready` is not what it should be.
    pub differs_since: Option<u64>,
    /// When the managers last did not see it.
    pub unseen_at: u64,
    /// Until when no manager reaches it.
    pub cut_off_until: u64,
    /// Whether the current power state is careen's doing.
    pub down_through_us: bool,
    /// careen's containers on it.
    pub containers: Vec<Container>,
    /// What outlives them.
    pub host: Host,
    /// Whether its engine leaks the containers of removed jobs.
    pub leaks: bool,
}

/// Whether a host is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Host and engine are.
    Up,
    /// The engine is down until then.
    EngineDown(u64),
    /// The host is down until then.
    HostDown(u64),
    /// For good.
    Dead,
}

/// A container of careen's.
#[derive(Debug, Clone)]
pub struct Container {
    /// Of which service.
    pub key: JobKey,
    /// What an agent is to do.
    pub agent: Option<AgentSpec>,
    /// Whether the agent has seen its gate for the command.
    pub saw_run: bool,
    /// Whether it has seen its gate for restarts.
    pub saw_restart: bool,
    /// Whether it ended by itself.
    pub ended: bool,
    /// What it said last.
    pub said: Option<Said>,
    /// When it is taken away.
    pub stops_at: Option<u64>,
}

/// A service of a user.
#[derive(Debug, Clone)]
pub struct SimService {
    /// Its name and id.
    pub name: String,
    /// Replicated or global.
    pub mode: Mode,
    /// How many tasks, when replicated.
    pub replicas: u64,
    /// On which node only.
    pub pinned: Option<NodeId>,
}

/// A task of a user's service.
#[derive(Debug, Clone)]
pub struct SimTask {
    /// Its service.
    pub service: usize,
    /// Its node.
    pub node: NodeId,
    /// How far it is.
    pub state: TaskState,
    /// When it is running, or gone.
    pub due: u64,
    /// Whether Swarm wants it.
    pub wanted: bool,
    /// The engine's session in which it was started.
    pub session: u64,
}

/// One of careen's services.
#[derive(Debug, Clone)]
pub struct SimJob {
    /// Which.
    pub key: JobKey,
    /// What an agent is to do.
    pub agent: Option<AgentSpec>,
    /// Its version.
    pub version: Version,
    /// Whether its current iteration fits nowhere.
    pub stopped: bool,
    /// Its tasks.
    pub tasks: Vec<TaskState>,
    /// Whether a controller created it that had lost the lock. Such a one may be left when the rollout is over: its
    /// agent begins nothing, and the next rollout takes it away.
    pub stale: bool,
}

impl World {
    /// A node.
    pub fn node(&self, id: &NodeId) -> Option<&SimNode> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// A node, to change it.
    pub fn node_mut(&mut self, id: &NodeId) -> Option<&mut SimNode> {
        self.nodes.iter_mut().find(|node| node.id == *id)
    }

    /// Writes a line of the history.
    pub fn say(&mut self, line: impl AsRef<str>) {
        let now = self.now;
        self.history.push(format!("{now:>6} {}", line.as_ref()));
    }

    /// Notes what must never be.
    pub fn violation(&mut self, line: impl AsRef<str>) {
        self.say(format!("VIOLATION {}", line.as_ref()));
        self.violations.push(line.as_ref().to_owned());
    }

    /// A new version of the store.
    pub fn next_version(&mut self) -> Version {
        self.version += 1;
        Version(self.version)
    }

    /// Managers, and those of them that take part.
    pub fn managers(&self) -> (usize, usize) {
        let managers = self.nodes.iter().filter(|node| node.role == Role::Manager);
        (managers.clone().count(), managers.filter(|node| node.takes_part(self.now)).count())
    }

    /// Whether the store takes writes.
    pub fn has_quorum(&self) -> bool {
        let (members, reachable) = self.managers();
        reachable > members / 2 && self.leader.is_some()
    }

    /// One second.
    pub fn tick(&mut self) {
        self.now += 1;
        self.power();
        self.election();
        self.node_status();
        if self.has_quorum() {
            self.orchestrate();
            self.place_jobs();
        }
        self.node_agents();
        self.supervisors();
        self.agents();
    }

    fn power(&mut self) {
        let now = self.now;
        let mut lines = Vec::new();
        for node in &mut self.nodes {
            let back = match node.power {
                Power::EngineDown(until) | Power::HostDown(until) => now >= until,
                Power::Up | Power::Dead => false,
            };
            if back {
                node.power = Power::Up;
                node.down_through_us = false;
                lines.push(format!("{} is up again", node.id));
            }
        }
        lines.into_iter().for_each(|line| self.say(line));
    }

    fn election(&mut self) {
        let leads = self.leader.is_some_and(|index| {
            self.nodes.get(index).is_some_and(|node| node.role == Role::Manager && node.takes_part(self.now))
        });
        if leads {
            return;
        }
        if self.leader.take().is_some() {
            self.election_at = self.now + 3;
        }
        let (members, reachable) = self.managers();
        if self.now < self.election_at || reachable <= members / 2 {
            return;
        }
        let now = self.now;
        let able: Vec<usize> = (0..self.nodes.len())
            .filter(|index| self.nodes[*index].role == Role::Manager && self.nodes[*index].takes_part(now))
            .collect();
        if !able.is_empty() {
            let leader = *self.rng.pick(&able);
            self.leader = Some(leader);
            self.say(format!("{} leads", self.nodes[leader].id));
            self.reconcile_jobs();
        }
    }

    /// A leader change is a reconcile: failed job tasks may be started again, whatever their restart condition.
    fn reconcile_jobs(&mut self) {
        for index in 0..self.jobs.len() {
            let lost = self.jobs[index].tasks.iter().any(|task| *task == TaskState::Failed);
            let live = self.jobs[index].tasks.iter().any(|task| !task.is_over());
            if lost && !live && !self.jobs[index].stopped && self.rng.permille(500) {
                self.jobs[index].tasks.push(TaskState::Pending);
                self.say(format!("the new leader starts {} again", self.jobs[index].key.name()));
            }
        }
    }

    fn node_status(&mut self) {
        let now = self.now;
        for node in &mut self.nodes {
            let reports = node.power == Power::Up && now >= node.cut_off_until;
            if !node.ready {
                node.unseen_at = now;
            }
            if reports == node.ready {
                node.differs_since = None;
                continue;
            }
            let since = *node.differs_since.get_or_insert(now);
            // Three missed heartbeats make it down; it is back as soon as it registers.
            let patience = if reports { 2 } else { 15 };
            if now - since >= patience {
                node.ready = reports;
                node.differs_since = None;
            }
        }
    }

    fn takes(&self, node: &SimNode, service: &SimService) -> bool {
        node.ready
            && node.availability == Availability::Active
            && service.pinned.as_ref().is_none_or(|pinned| *pinned == node.id)
    }

    fn orchestrate(&mut self) {
        for index in 0..self.tasks.len() {
            let task = &self.tasks[index];
            let node = self.node(&task.node);
            let drained = node.is_none_or(|node| node.availability == Availability::Drain || !node.ready);
            if task.wanted && drained {
                let delay = self.rng.between(1, 5);
                let now = self.now;
                let task = &mut self.tasks[index];
                task.wanted = false;
                task.due = now + delay;
            }
        }
        for index in 0..self.services.len() {
            let service = self.services[index].clone();
            let able: Vec<NodeId> = self
                .nodes
                .iter()
                .filter(|node| self.takes(node, &service))
                .map(|node| node.id.clone())
                .collect();
            let live: Vec<NodeId> = self
                .tasks
                .iter()
                .filter(|task| task.service == index && task.wanted)
                .map(|task| task.node.clone())
                .collect();
            match service.mode {
                Mode::Global => {
                    for node in able.into_iter().filter(|node| !live.contains(node)) {
                        self.start_task(index, node);
                    }
                }
                Mode::Replicated => {
                    for _ in live.len() as u64..service.replicas {
                        let load =
                            |node: &&NodeId| self.tasks.iter().filter(|task| task.node == **node).count();
                        let Some(node) = able.iter().min_by_key(load).cloned() else { break };
                        self.start_task(index, node);
                    }
                    for _ in service.replicas..live.len() as u64 {
                        let surplus = self.tasks.iter_mut().find(|task| task.service == index && task.wanted);
                        if let Some(task) = surplus {
                            task.wanted = false;
                            task.due = self.now + 1;
                        }
                    }
                }
            }
        }
    }

    fn start_task(&mut self, service: usize, node: NodeId) {
        let due = self.now + self.rng.between(1, 5);
        let session = self.node(&node).map_or(0, |node| node.session);
        self.tasks.push(SimTask { service, node, state: TaskState::Starting, due, wanted: true, session });
    }

    fn place_jobs(&mut self) {
        for index in 0..self.jobs.len() {
            let job = &self.jobs[index];
            if job.stopped {
                let pending = |task: &mut TaskState| {
                    if *task == TaskState::Pending {
                        *task = TaskState::Shutdown;
                    }
                };
                self.jobs[index].tasks.iter_mut().for_each(pending);
                continue;
            }
            if job.tasks.is_empty() {
                self.jobs[index].tasks.push(TaskState::Pending);
                continue;
            }
            let node = self.node(&job.key.node);
            let able = node.is_some_and(|node| node.ready && node.availability == Availability::Active);
            let slow = self.rng.permille(400);
            if able && !slow {
                let pending = |task: &mut TaskState| {
                    if *task == TaskState::Pending {
                        *task = TaskState::Starting;
                    }
                };
                self.jobs[index].tasks.iter_mut().for_each(pending);
            }
        }
    }

    /// What each node's swarm agent does with what the managers want, when it hears from them.
    fn node_agents(&mut self) {
        let quorum = self.has_quorum();
        let now = self.now;
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if node.power != Power::Up {
                continue;
            }
            let (id, session, hears) =
                (node.id.clone(), node.session, quorum && node.ready && now >= node.cut_off_until);
            // Containers of users' services.
            for task in self.tasks.iter_mut().filter(|task| task.node == id) {
                match task.state {
                    TaskState::Starting if now >= task.due && task.wanted => task.state = TaskState::Running,
                    TaskState::Starting | TaskState::Running if task.session != session => {
                        task.state = TaskState::Failed;
                    }
                    _ => {}
                }
            }
            self.tasks.retain(|task| {
                let stopped = !task.wanted && now >= task.due && hears;
                task.node != id || !(stopped || task.state == TaskState::Failed)
            });
            if hears {
                self.sync_containers(index);
            }
        }
        let known: Vec<NodeId> = self.nodes.iter().map(|node| node.id.clone()).collect();
        self.tasks.retain(|task| known.contains(&task.node));
    }

    /// Starts and takes away careen's containers on one node, one after the other in any order.
    fn sync_containers(&mut self, index: usize) {
        let id = self.nodes[index].id.clone();
        for at in 0..self.jobs.len() {
            if self.jobs[at].key.node != id {
                continue;
            }
            let key = self.jobs[at].key.clone();
            let container = self.nodes[index].containers.iter().position(|one| one.key == key);
            let state = match container {
                Some(container) if self.nodes[index].containers[container].ended => Some(TaskState::Complete),
                Some(_) => Some(TaskState::Running),
                None => None,
            };
            let has_new = self.jobs[at].tasks.last() == Some(&TaskState::Starting);
            for task in self.jobs[at].tasks.iter_mut().filter(|task| **task == TaskState::Running) {
                *task = state.unwrap_or(TaskState::Failed);
            }
            if has_new && !self.jobs[at].stopped {
                let agent = self.jobs[at].agent.clone();
                self.nodes[index].containers.retain(|one| one.key != key);
                self.nodes[index].containers.push(Container {
                    key,
                    agent,
                    saw_run: false,
                    saw_restart: false,
                    ended: false,
                    said: None,
                    stops_at: None,
                });
                if let Some(last) = self.jobs[at].tasks.last_mut() {
                    *last = TaskState::Running;
                }
            } else if self.jobs[at].stopped {
                self.stop_container(index, at);
            }
        }
        let (jobs, node) = (&self.jobs, &mut self.nodes[index]);
        let leaks = node.leaks;
        node.containers.retain(|one| leaks || jobs.iter().any(|job| job.key == one.key));
    }

    fn stop_container(&mut self, index: usize, job: usize) {
        let stop = self.now + self.rng.between(0, 4);
        let now = self.now;
        let key = self.jobs[job].key.clone();
        let Some(container) = self.nodes[index].containers.iter_mut().find(|one| one.key == key) else {
            for task in self.jobs[job].tasks.iter_mut().filter(|task| !task.is_over()) {
                *task = TaskState::Shutdown;
            }
            return;
        };
        if now >= *container.stops_at.get_or_insert(stop) {
            self.nodes[index].containers.retain(|one| one.key != key);
            for task in self.jobs[job].tasks.iter_mut().filter(|task| !task.is_over()) {
                *task = TaskState::Shutdown;
            }
        }
    }

    /// What goes on on hosts without any container.
    fn supervisors(&mut self) {
        for index in 0..self.nodes.len() {
            let generations: Vec<u32> = self.nodes[index].host.transactions.keys().copied().collect();
            for generation in generations {
                self.supervise(index, generation);
            }
        }
    }

    fn supervise(&mut self, index: usize, generation: u32) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if matches!(node.power, Power::HostDown(_) | Power::Dead) {
            return;
        }
        let engine_up = node.power == Power::Up;
        let plan = node.host.plan.clone();
        let Some(transaction) = node.host.transactions.get_mut(&generation) else { return };
        match transaction.at.clone() {
            At::Preparing(until) if now >= until && engine_up => {
                transaction.at = match plan.prepare_works {
                    true => At::Prepared,
                    false => At::Closed(failed(HostPhase::Prepare, 1)),
                };
            }
            At::Running(until) => {
                let midway = plan.engine_restarts_midway && now + plan.takes / 2 >= until;
                if midway && !transaction.midway_done && engine_up {
                    transaction.midway_done = true;
                    self.take_down(index, Restart::Engine);
                } else if now >= until && engine_up {
                    transaction.attempt_ended(&plan, now);
                }
            }
            At::Restarting(kind, at) if now >= at && engine_up => {
                transaction.at = At::Restarted(kind);
                transaction.wish_done = true;
                self.take_down(index, kind);
            }
            At::Restarted(kind) if engine_up => self.restarted(index, generation, kind),
            At::Verifying(until) if now >= until && engine_up => {
                transaction.at = match plan.verify_works {
                    true => At::Closed(NodeOutcome::Succeeded),
                    false => At::Closed(failed(HostPhase::Verify, 1)),
                };
            }
            At::Preparing(_)
            | At::Prepared
            | At::WantsRestart(_)
            | At::Restarting(..)
            | At::Restarted(_)
            | At::Verifying(_)
            | At::Closed(_) => {}
        }
    }

    /// The power is back: the supervisor goes on by itself.
    fn restarted(&mut self, index: usize, generation: u32, kind: Restart) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let Some(transaction) = node.host.transactions.get_mut(&generation) else { return };
        if kind == Restart::Reboot && transaction.wants_another_attempt(&node.host.plan) {
            transaction.attempts += 1;
            transaction.at = At::Running(now + node.host.plan.takes);
            let (id, attempt) = (node.id.clone(), transaction.attempts);
            self.attempt(id, generation, attempt);
        } else {
            transaction.at = At::Verifying(now + 3);
        }
    }

    /// The restart is announced, and begins a second later.
    fn restart(&mut self, index: usize, generation: u32, kind: Restart) {
        let at = self.now + 1;
        self.check_restart(index);
        if let Some(transaction) = self.nodes[index].host.transactions.get_mut(&generation) {
            transaction.at = At::Restarting(kind, at);
        }
    }

    /// Takes an engine or a host down, through careen.
    fn take_down(&mut self, index: usize, kind: Restart) {
        let engine = self.rng.between(3, 8);
        let node = &mut self.nodes[index];
        let plan = &node.host.plan;
        node.power = match kind {
            Restart::Engine => Power::EngineDown(self.now + engine),
            Restart::Reboot if plan.dies_at_reboot => Power::Dead,
            Restart::Reboot => Power::HostDown(self.now + plan.boots_in),
        };
        node.down_through_us = true;
        node.stop_engine();
        let line = format!("{} goes down: {kind:?}", node.id);
        self.say(line);
    }

    /// An agent's own look at the quorum, over its host's socket.
    fn agents_quorum(&self, index: usize) -> bool {
        if self.nodes[index].role == Role::Worker || !self.agents_check_quorum {
            return true;
        }
        let (members, reachable) = self.managers();
        self.leader.is_some() && (members == 1 || reachable > members / 2 + 1)
    }

    fn agents(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].power != Power::Up {
                continue;
            }
            let keys: Vec<JobKey> = self.nodes[index]
                .containers
                .iter()
                .filter(|one| one.agent.is_some() && !one.ended)
                .map(|one| one.key.clone())
                .collect();
            for key in keys {
                self.agent(index, &key);
            }
        }
    }

    fn agent(&mut self, index: usize, key: &JobKey) {
        let now = self.now;
        let allowed = self.agents_quorum(index);
        let prepare = self.rng.between(1, 4);
        let node = &mut self.nodes[index];
        let has_gate = |go| node.containers.iter().any(|one| one.key == key.with_role(JobRole::Gate(go)));
        let (run, restart) = (has_gate(Go::Run), has_gate(Go::Restart));
        let Some(container) = node.containers.iter_mut().find(|one| one.key == *key) else { return };
        let Some(spec) = container.agent.clone() else { return };
        container.saw_run |= run;
        container.saw_restart |= restart;
        let (saw_run, saw_restart) = (container.saw_run, container.saw_restart);
        let newer = node.host.transactions.keys().any(|generation| *generation > key.generation);
        let busy =
            node.host.transactions.values().find(|one| one.generation != key.generation && one.works());
        if newer {
            container.ended = true;
            return;
        }
        if let Some(busy) = busy {
            let transaction = format!("g{}", busy.generation);
            container.said = Some(Said::Busy { transaction });
            return;
        }
        if spec.collects && !node.host.transactions.contains_key(&key.generation) {
            container.said = Some(Said::NotBegun);
            return;
        }
        let new = || Transaction::new(spec.rollout.clone(), key.generation, now + prepare);
        let transaction = node.host.transactions.entry(key.generation).or_insert_with(new);
        use careen_planner::spec::RebootPolicy;
        transaction.may_reboot = spec.reboot != RebootPolicy::Never;
        transaction.may_reboot_unasked = matches!(spec.reboot, RebootPolicy::Auto | RebootPolicy::Always);
        container.said = Some(transaction.said(&node.host.plan, spec.collects));
        match transaction.at.clone() {
            At::Closed(_) => container.ended = true,
            At::Prepared if saw_run && !run && !spec.collects && allowed => {
                transaction.attempts = 1;
                transaction.at = At::Running(now + node.host.plan.takes);
                let id = node.id.clone();
                self.check_go(index);
                self.attempt(id, key.generation, 1);
            }
            At::WantsRestart(kind) if saw_restart && !restart && allowed => {
                self.restart(index, key.generation, kind);
            }
            At::Preparing(_)
            | At::Prepared
            | At::Running(_)
            | At::WantsRestart(_)
            | At::Restarting(..)
            | At::Restarted(_)
            | At::Verifying(_) => {}
        }
    }

    fn attempt(&mut self, node: NodeId, generation: u32, attempt: u32) {
        self.say(format!("{node} begins attempt {attempt} of try {generation}"));
        let key = (node, generation, attempt);
        if self.attempts.contains(&key) {
            self.violation(format!("attempt {attempt} of try {generation} began twice on {}", key.0));
        }
        let asked = self.retries.get(&key.0).copied().unwrap_or(0);
        if generation > asked + 1 {
            self.violation(format!("try {generation} on {} after {asked} retries", key.0));
        }
        self.attempts.push(key);
    }

    /// The stage that a node's label tells of.
    pub fn stage(&self, node: &SimNode) -> Option<Stage> {
        let record = node.labels.get(RECORD_LABEL).map(|text| NodeRecord::decode(text));
        record.and_then(Result::ok).map(|record| record.stage)
    }
}

impl SimNode {
    /// Whether it takes part as a manager.
    pub fn takes_part(&self, now: u64) -> bool {
        self.power == Power::Up && now >= self.cut_off_until
    }

    /// A graceful stop of an engine removes all task containers with their logs.
    pub fn stop_engine(&mut self) {
        self.session += 1;
        self.containers.clear();
    }
}
