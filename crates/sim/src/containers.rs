//! careen's containers on the nodes: how they come, end and go, by the swarm's doing and by accident.

use crate::container::agent::{AgentProcess, Payload};
use crate::container::{Container, ContainerEnd, Log};
use crate::world::{Power, World};
use careen_contract::report::Said;
use careen_planner::action::AgentSpec;
use careen_planner::observed::{AgentReport, TaskState};
use careen_planner::{JobKey, NodeId};
use careen_protocol::gates::Gate;

/// So long a log is remembered that nobody can read any more.
const FORGOTTEN: u64 = 20;

impl World {
    /// Starts a container of a service in place of one that was there before.
    pub(crate) fn start_container(&mut self, index: usize, key: &JobKey, agent: Option<&AgentSpec>) {
        self.created += 1;
        let plan = &self.nodes[index].host.plan;
        let checks = plan.check.is_some() && !self.spec.force;
        let payload = Payload { has_rollback: plan.has_rollback, checks };
        let process = agent.map(|spec| AgentProcess::new(key, spec, payload, self.now));
        if process.is_some() {
            self.logs.insert(key.clone(), Log::default());
        }
        let created = self.created;
        self.nodes[index].swept.remove(key);
        let containers = &mut self.nodes[index].containers;
        containers.retain(|one| one.key != *key);
        containers.push(Container {
            key: key.clone(),
            process,
            listed: Gate::Running,
            created,
            exit: 0,
            stops_at: None,
            kill_at: None,
            removed_at: 0,
        });
    }

    /// An agent says something.
    pub(crate) fn said(&mut self, index: usize, key: &JobKey, said: Said) {
        let line = format!("{} a{}: {said:?}", self.nodes[index].id, key.agent);
        self.say(line);
        self.note_said(key, &said);
        let now = self.now;
        self.logs.entry(key.clone()).or_default().said.push((now, said));
    }

    /// What an agent said last.
    pub fn last_said(&self, agent: &JobKey) -> Option<&Said> {
        self.logs.get(agent)?.said.last().map(|(_, said)| said)
    }

    /// The swarm's agent on a node stops what is to be stopped, and removes what has ended. One after the other, in any order.
    pub(crate) fn stop_container(&mut self, index: usize, job: usize, hears: bool) {
        let (stop, removal) = (self.now + self.rng.between(0, 4), self.rng.between(0, 2));
        let now = self.now;
        let key = self.jobs[job].key.clone();
        let Some(container) = self.nodes[index].container_mut(&key) else {
            self.jobs[job].end_tasks(TaskState::Shutdown);
            return;
        };
        if !hears {
            return;
        }
        let stops_at = *container.stops_at.get_or_insert(stop);
        if now >= stops_at && container.listed == Gate::Running {
            container.removed_at = now + removal;
            container.told_to_stop(now);
        }
        if container.listed == Gate::Ended {
            let removed = now >= container.removed_at.max(stops_at);
            self.jobs[job].end_tasks(TaskState::Shutdown);
            if removed {
                self.remove_container(index, &key);
            }
        }
    }

    /// What was told to stop and does not is killed.
    pub(crate) fn grace_ends(&mut self, index: usize) {
        let now = self.now;
        for container in &mut self.nodes[index].containers {
            if container.kill_at.is_some_and(|at| now >= at) {
                container.ends(now);
            }
        }
    }

    pub(crate) fn remove_container(&mut self, index: usize, key: &JobKey) {
        let now = self.now;
        self.nodes[index].containers.retain(|one| one.key != *key);
        if let Some(log) = self.logs.get_mut(key) {
            log.gone.get_or_insert(now);
        }
    }

    /// Somebody ends one container, or it ends by itself.
    pub(crate) fn end_container(&mut self, index: usize, key: &JobKey, how: ContainerEnd) {
        let line = format!("{}: {how:?} {}", self.nodes[index].id, key.name());
        self.say(line);
        let now = self.now;
        if how != ContainerEnd::Stop {
            self.nodes[index].killed.insert(key.clone());
        }
        match how {
            ContainerEnd::Remove => self.remove_container(index, key),
            ContainerEnd::Kill => {
                if let Some(container) = self.nodes[index].container_mut(key) {
                    container.ends(now);
                }
            }
            ContainerEnd::Stop => {
                if let Some(container) = self.nodes[index].container_mut(key) {
                    container.told_to_stop(now);
                }
            }
        }
    }

    /// All containers of a node go. Agents are told before, and may do something, unless the host dies.
    pub(crate) fn take_containers_away(&mut self, index: usize, dies: bool) {
        let now = self.now;
        let keys: Vec<JobKey> = self.nodes[index].containers.iter().map(|one| one.key.clone()).collect();
        for key in keys.iter().filter(|_| !dies) {
            let steps = usize::try_from(self.rng.between(0, 6)).unwrap_or(0);
            if let Some(container) = self.nodes[index].container_mut(key) {
                container.told_to_stop(now);
                self.agent(index, key, steps);
                self.is_killed_late(index, key);
            }
        }
        for key in &keys {
            self.remove_container(index, key);
        }
        self.nodes[index].swept.extend(keys.into_iter().filter(|_| !dies));
    }

    /// What has not ended when its engine stops is killed after its grace period, which here is over at once. What it passed on
    /// before counts no more then.
    fn is_killed_late(&mut self, index: usize, key: &JobKey) {
        let late = |one: &&mut Container| one.process.as_ref().is_some_and(|process| process.exit.is_none());
        let Some(container) = self.nodes[index].container_mut(key).filter(late) else { return };
        let id = container.process.as_ref().map(|process| process.id.clone());
        let files = id.and_then(|id| self.nodes[index].host.files.get_mut(&id));
        if let Some(files) = files.filter(|_| !self.bend.keeps_an_old_go) {
            files.go = None;
        }
    }

    /// An engine, or its host, goes down. A stop in good order removes the containers of all tasks with their logs; agents are
    /// told before, and may do something.
    pub(crate) fn goes_down(&mut self, index: usize, power: Power) {
        let now = self.now;
        self.take_containers_away(index, power == Power::Dead);
        let (host_is_down, autolock) = (!power.host_is_up(), self.autolock);
        let node = &mut self.nodes[index];
        node.session += 1;
        node.locked |= autolock && node.role == careen_planner::observed::Role::Manager;
        node.host.engine_replaced = false;
        if host_is_down {
            node.host.reboot_wanted = false;
            node.host.boot += 1;
            node.host.processes.clear();
        }
        node.power = power;
        node.locked_at = now;
    }

    /// dockerd is killed: containers live until the next one starts.
    pub(crate) fn engine_is_killed(&mut self, index: usize, until: u64) {
        self.nodes[index].power = Power::EngineDown(until);
        self.nodes[index].orphaned = true;
    }

    /// The engine starts behind one that was killed: what ran below it has ended.
    pub(crate) fn engine_starts(&mut self, index: usize) {
        let now = self.now;
        let autolock = self.autolock;
        let node = &mut self.nodes[index];
        if std::mem::take(&mut node.orphaned) {
            node.session += 1;
            node.host.engine_replaced = false;
            node.containers.iter_mut().for_each(|one| one.ends(now));
            node.locked |= autolock && node.role == careen_planner::observed::Role::Manager;
            node.locked_at = now;
        }
    }

    /// What can be read of what agents said: a container that is gone has no log, a node that is cut off gives none,
    /// now and then a read fails, and what is read may be some seconds old.
    pub(crate) fn reports(&mut self) -> Vec<AgentReport> {
        let now = self.now;
        self.logs.retain(|_, log| log.gone.is_none_or(|gone| now - gone < FORGOTTEN));
        // Of an earlier rollout's agents, which may be left, nobody asks for the log.
        let keys: Vec<JobKey> = self.logs.keys().filter(|key| key.rollout == self.spec.id).cloned().collect();
        keys.into_iter().filter_map(|key| self.report(&key)).collect()
    }

    fn report(&mut self, key: &JobKey) -> Option<AgentReport> {
        let lost = self.rng.permille(100);
        let lag = if self.hazard.lag > 0 { self.rng.between(0, self.hazard.lag) } else { 0 };
        let at = self.now.saturating_sub(lag);
        let log = self.logs.get(key)?;
        if lost || !self.is_readable(&self.place_of(key)) || log.gone.is_some_and(|gone| gone <= at) {
            return None;
        }
        let said = log.said.iter().rfind(|(when, _)| *when <= at).map(|(_, said)| said.clone())?;
        Some(AgentReport {
            node: key.node.clone(),
            transaction: String::new(),
            generation: key.generation,
            agent: key.agent,
            said,
            waits: None,
            printed: None,
        })
    }

    /// The node that a service runs on.
    fn place_of(&self, key: &JobKey) -> NodeId {
        let job = self.jobs.iter().find(|job| job.key == *key);
        job.map_or_else(|| key.node.clone(), |job| job.place().clone())
    }

    fn is_readable(&self, node: &NodeId) -> bool {
        let readable = |node: &crate::world::SimNode| node.ready && node.takes_part(self.now);
        self.node(node).is_some_and(readable)
    }
}
