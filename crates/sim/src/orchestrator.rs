//! What the managers and the nodes' swarm agents do: tasks of users' services, careen's jobs, and containers.

use crate::gates::Gates;
use crate::world::{Container, Power, SimNode, SimService, SimTask, World};
use careen_planner::NodeId;
use careen_planner::observed::{Availability, Mode, TaskState};

impl World {
    /// A leader change is a reconcile: failed job tasks may be started again, whatever their restart condition.
    pub(crate) fn reconcile_jobs(&mut self) {
        for index in 0..self.jobs.len() {
            let lost = self.jobs[index].tasks.contains(&TaskState::Failed);
            let live = self.jobs[index].tasks.iter().any(|task| !task.is_over());
            if lost && !live && !self.jobs[index].stopped && self.rng.permille(500) {
                self.jobs[index].tasks.push(TaskState::Pending);
                self.say(format!("the new leader starts {} again", self.jobs[index].key.name()));
            }
        }
    }

    fn takes(&self, node: &SimNode, service: &SimService) -> bool {
        node.ready
            && node.availability == Availability::Active
            && service.pinned.as_ref().is_none_or(|pinned| *pinned == node.id)
    }

    pub(crate) fn orchestrate(&mut self) {
        for index in 0..self.tasks.len() {
            let task = &self.tasks[index];
            let node = self.node(&task.node);
            let drained = node.is_none_or(|node| node.availability == Availability::Drain || !node.ready);
            if task.wanted && drained {
                // Some take their whole grace period.
                let slow = self.rng.permille(150);
                let delay = if slow { self.rng.between(10, 40) } else { self.rng.between(1, 5) };
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

    pub(crate) fn place_jobs(&mut self) {
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
    pub(crate) fn node_agents(&mut self) {
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
            let refused = self.nodes[index].host.plan.refuses_the_agent && self.jobs[at].agent.is_some();
            if has_new && refused {
                if let Some(last) = self.jobs[at].tasks.last_mut() {
                    *last = TaskState::Rejected;
                }
            } else if has_new && !self.jobs[at].stopped {
                let agent = self.jobs[at].agent.clone();
                let gates = agent.as_ref().map_or(0, |agent| agent.key.gates(agent.collects).count());
                self.nodes[index].containers.retain(|one| one.key != key);
                self.nodes[index].containers.push(Container {
                    key,
                    agent,
                    gates: Gates::new(gates),
                    leaves: false,
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
        self.told_to_leave(index, &key);
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
}
