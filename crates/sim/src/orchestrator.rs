//! What the managers and the nodes' swarm agents do: tasks of users' services, careen's jobs, and containers.

use crate::world::{Container, Power, SimNode, SimService, SimTask, World};
use careen_planner::observed::{Availability, Mode, Refusal, TaskState};
use careen_planner::{JobKey, NodeId};
use careen_protocol::gates::Gate;

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
            let ours = node.is_some_and(|node| node.ready && node.wish != Availability::Drain);
            if task.wanted && drained && !ours {
                self.services[task.service].upset_at = self.now;
            }
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
                        let load = |node: &&NodeId| {
                            let here = self.tasks.iter().filter(|task| task.node == **node && task.wanted);
                            (here.clone().filter(|task| task.service == index).count(), here.count())
                        };
                        let Some(node) = able.iter().min_by_key(load).cloned() else { break };
                        self.start_task(index, node);
                    }
                    for _ in service.replicas..live.len() as u64 {
                        self.stop_surplus(index);
                    }
                }
            }
        }
    }

    /// Of the node that has most of them, and of several one that does not run: as Swarm does.
    fn stop_surplus(&mut self, service: usize) {
        let mut seen: std::collections::BTreeMap<NodeId, usize> = std::collections::BTreeMap::new();
        let mut order: Vec<usize> = (0..self.tasks.len())
            .filter(|task| self.tasks[*task].service == service && self.tasks[*task].wanted)
            .collect();
        order.sort_by_key(|task| self.tasks[*task].state != TaskState::Running);
        let counted = order.into_iter().map(|task| {
            let count = seen.entry(self.tasks[task].node.clone()).or_default();
            *count += 1;
            (*count, task)
        });
        // Of equals the last, which does not run if one does not.
        let surplus = counted.max_by_key(|(count, _)| *count);
        if let Some((_, task)) = surplus {
            let due = self.now + 1;
            (self.tasks[task].wanted, self.tasks[task].due) = (false, due);
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
            let node = self.node(job.place());
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
                (node.id.clone(), node.session, quorum && node.ready && node.takes_part(now));
            // Containers of users' services.
            for task in self.tasks.iter_mut().filter(|task| task.node == id) {
                let starts = task.state == TaskState::Starting;
                if starts && now >= task.due && task.wanted {
                    task.state = TaskState::Running;
                } else if (starts || task.state == TaskState::Running) && task.session != session {
                    task.state = TaskState::Failed;
                }
            }
            for task in self.tasks.iter().filter(|task| task.node == id && task.state == TaskState::Failed) {
                self.services[task.service].upset_at = now;
            }
            self.tasks.retain(|task| {
                let stopped = !task.wanted && now >= task.due && hears;
                task.node != id || !(stopped || task.state == TaskState::Failed)
            });
            self.grace_ends(index);
            self.sync_containers(index, hears);
        }
        let known: Vec<NodeId> = self.nodes.iter().map(|node| node.id.clone()).collect();
        for task in self.tasks.iter().filter(|task| !known.contains(&task.node)) {
            self.services[task.service].upset_at = now;
        }
        self.tasks.retain(|task| known.contains(&task.node));
    }

    /// Starts and takes away careen's containers on one node.
    fn sync_containers(&mut self, index: usize, hears: bool) {
        let id = self.nodes[index].id.clone();
        for at in 0..self.jobs.len() {
            if *self.jobs[at].place() == id {
                self.sync_job(index, at, hears);
            }
        }
        let (jobs, node) = (&self.jobs, &self.nodes[index]);
        if hears && !node.leaks {
            let orphan = |one: &&Container| !jobs.iter().any(|job| job.key == one.key);
            let orphans: Vec<JobKey> =
                node.containers.iter().filter(orphan).map(|one| one.key.clone()).collect();
            orphans.iter().for_each(|key| self.remove_container(index, key));
        }
    }

    fn sync_job(&mut self, index: usize, at: usize, hears: bool) {
        let key = self.jobs[at].key.clone();
        let container = self.nodes[index].containers.iter().find(|one| one.key == key);
        let state = match container {
            Some(container) if container.listed == Gate::Running => TaskState::Running,
            Some(container) if container.exit == 0 => TaskState::Complete,
            Some(_) | None => TaskState::Failed,
        };
        if hears && state != TaskState::Running && !self.jobs[at].stopped {
            let swept = container.is_none() && self.nodes[index].swept.contains(&key);
            self.jobs[at].ended(state, swept);
        }
        let has_new = self.jobs[at].tasks.last() == Some(&TaskState::Starting);
        if self.jobs[at].stopped {
            self.stop_container(index, at, hears);
        } else if has_new && hears {
            self.start_task_of_job(index, at);
        }
    }

    fn start_task_of_job(&mut self, index: usize, at: usize) {
        let plan = &self.nodes[index].host.plan;
        let refused =
            plan.refuses_the_agent && self.now < plan.refuses_until && self.jobs[at].agent.is_some();
        let state = if refused { TaskState::Rejected } else { TaskState::Running };
        if let Some(last) = self.jobs[at].tasks.last_mut() {
            *last = state;
        }
        if refused {
            self.jobs[at].refused_at = self.now;
            let why = "No such image: payload@sha256:00".to_owned();
            self.jobs[at].refused = Some(Refusal { why, no_image: true });
            return;
        }
        let (key, agent) = (self.jobs[at].key.clone(), self.jobs[at].agent.clone());
        self.start_container(index, &key, agent.as_ref());
    }
}
