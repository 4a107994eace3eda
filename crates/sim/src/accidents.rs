//! What happens to hosts and their containers by accident, or by somebody who does not know of careen.

use crate::container::ContainerEnd;
use crate::faults::{Faults, Sweep};
use crate::run::Run;
use crate::world::{Power, World};
use careen_planner::{JobKey, JobRole};
use careen_protocol::gates::Gate;

impl Run {
    pub(crate) fn accidents(&mut self, index: usize) {
        let Faults { accidents, .. } = self.faults;
        let world = &mut self.world;
        let up = world.nodes[index].power == Power::Up;
        let host_is_up = world.nodes[index].power.host_is_up();
        if world.rng.permille(accidents.container) {
            let how = *world.rng.pick(&[ContainerEnd::Kill, ContainerEnd::Remove, ContainerEnd::Stop]);
            world.a_container_ends(index, how);
        }
        if world.rng.permille(accidents.oom) {
            world.out_of_memory(index);
        }
        if world.rng.permille(accidents.pair) && up {
            world.two_gates_are_removed(index);
        }
        if world.rng.permille(accidents.sweep) && up {
            let sweep = world.sweep(index);
            self.sweeps.push(sweep);
        }
        let world = &mut self.world;
        if world.rng.permille(accidents.freeze) {
            world.an_agent_freezes(index);
        }
        if world.rng.permille(accidents.supervisor) {
            world.a_supervisor_dies(index);
        }
        if world.rng.permille(accidents.supervisor_freeze) {
            world.a_supervisor_freezes(index);
        }
        if world.rng.permille(accidents.cancel) {
            world.somebody_cancels(index);
        }
        // Where the swarm's label is gone as well, nobody is left who could know.
        let known = !world.unlabelled_once.contains(&world.nodes[index].id);
        if world.rng.permille(accidents.forget) && host_is_up && known {
            let line = format!("{}: somebody removes /var/lib/careen", world.nodes[index].id);
            world.say(line);
            world.forget(index);
        }
        if world.rng.permille(accidents.reimage) && up && known {
            let line = format!("{} is installed anew", world.nodes[index].id);
            world.say(line);
            world.forget(index);
            let until = world.now + world.rng.between(10, 60);
            world.goes_down(index, Power::HostDown(until));
        }
        if world.rng.permille(accidents.engine_kill) && up {
            let until = world.now + world.rng.between(2, 20);
            let line = format!("{}: its engine is killed", world.nodes[index].id);
            world.say(line);
            world.engine_is_killed(index, until);
        }
        if world.rng.permille(accidents.reboot) && up {
            let line = format!("{}: somebody reboots it", world.nodes[index].id);
            world.say(line);
            world.shut_down(index);
            if world.nodes[index].power == Power::Up {
                let until = world.now + world.rng.between(6, 60);
                world.goes_down(index, Power::HostDown(until));
            }
        }
    }

    /// Sweeps that are under way go on.
    pub(crate) fn sweep_on(&mut self) {
        let world = &mut self.world;
        for sweep in &mut self.sweeps {
            let Some(index) = world.nodes.iter().position(|node| node.id == sweep.node) else {
                sweep.left.clear();
                continue;
            };
            while world.now >= sweep.next && !sweep.left.is_empty() {
                sweep.next += sweep.every;
                let key = sweep.left.remove(0);
                if world.nodes[index].power == Power::Up && world.nodes[index].container_mut(&key).is_some() {
                    world.end_container(index, &key, sweep.how);
                }
                if sweep.every > 0 {
                    break;
                }
            }
        }
        self.sweeps.retain(|sweep| !sweep.left.is_empty());
    }

    /// A locked manager is unlocked by somebody, after a while, and an engine is started that nobody starts.
    pub(crate) fn somebody_helps(&mut self) {
        let world = &mut self.world;
        for index in 0..world.nodes.len() {
            let host = &world.nodes[index].host;
            let stopped = world.nodes[index].power == Power::EngineDown(u64::MAX);
            if stopped && host.processes.is_empty() && world.rng.permille(10) {
                world.nodes[index].power = Power::EngineDown(world.now + 3);
                let line = format!("operator: {}: starts the engine", world.nodes[index].id);
                world.say(line);
            }
            let node = &world.nodes[index];
            let due = node.locked && node.power == Power::Up && world.now >= node.locked_at + 20;
            if due && world.rng.permille(60) {
                world.nodes[index].locked = false;
                let line = format!("operator: {} is unlocked", world.nodes[index].id);
                world.say(line);
            }
        }
    }
}

impl World {
    fn a_container_ends(&mut self, index: usize, how: ContainerEnd) {
        let running: Vec<JobKey> = self.running(index, |_| true);
        if !running.is_empty() && self.nodes[index].power == Power::Up {
            let key = self.rng.pick(&running).clone();
            self.end_container(index, &key, how);
        }
    }

    fn out_of_memory(&mut self, index: usize) {
        let gates = self.running(index, |key| key.role != JobRole::Agent);
        let count = self.rng.between(1, 3);
        for _ in 0..count {
            if !gates.is_empty() {
                let key = self.rng.pick(&gates).clone();
                self.end_container(index, &key, ContainerEnd::Kill);
            }
        }
    }

    fn two_gates_are_removed(&mut self, index: usize) {
        let mut gates = self.running(index, |key| key.role != JobRole::Agent);
        for _ in 0..gates.len().min(2) {
            let key = self.rng.pick(&gates).clone();
            gates.retain(|gate| *gate != key);
            self.end_container(index, &key, ContainerEnd::Remove);
        }
    }

    fn running(&self, index: usize, of: impl Fn(&JobKey) -> bool) -> Vec<JobKey> {
        let runs = |one: &&crate::world::Container| one.listed == Gate::Running && of(&one.key);
        self.nodes[index].containers.iter().filter(runs).map(|one| one.key.clone()).collect()
    }

    /// `for c in $(docker ps -q); do docker rm -f $c; done`, in one of several orders, however slow.
    fn sweep(&mut self, index: usize) -> Sweep {
        let mut containers: Vec<(i64, JobKey)> =
            self.nodes[index].containers.iter().map(|one| (one.created, one.key.clone())).collect();
        containers.sort();
        if self.rng.permille(500) {
            containers.sort_by(|(_, a), (_, b)| a.cmp(b));
        }
        if self.rng.permille(500) {
            containers.reverse();
        }
        let how = *self.rng.pick(&[ContainerEnd::Kill, ContainerEnd::Remove, ContainerEnd::Stop]);
        let every = *self.rng.pick(&[0, 1, 1, 3, 10]);
        let line = format!("{}: {how:?} of all containers, every {every} s", self.nodes[index].id);
        self.say(line);
        let left = containers.into_iter().map(|(_, key)| key).collect();
        Sweep { node: self.nodes[index].id.clone(), left, how, every, next: self.now }
    }

    fn an_agent_freezes(&mut self, index: usize) {
        let until = self.now + self.rng.between(3, 90);
        let agents = self.running(index, |key| key.role == JobRole::Agent);
        let Some(key) = agents.first() else { return };
        let line = format!("{}: agent {} freezes until {until}", self.nodes[index].id, key.agent);
        if let Some(process) =
            self.nodes[index].container_mut(key).and_then(|container| container.process.as_mut())
        {
            process.frozen_until = until;
            self.say(line);
        }
    }

    fn a_supervisor_dies(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.host.processes.is_empty() {
            return;
        }
        let at = (self.rng.number() % node.host.processes.len() as u64) as usize;
        let process = node.host.processes.remove(at);
        let line = format!("{}: the supervisor of {} is killed", node.id, process.id);
        self.say(line);
    }

    fn somebody_cancels(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let waits = |process: &&mut crate::host::process::Process| process.only_waits();
        let Some(process) = node.host.processes.iter_mut().find(waits) else { return };
        let line = format!("{}: somebody cancels {}", node.id, process.id);
        process.end_wait("somebody on the host");
        self.say(line);
    }

    fn a_supervisor_freezes(&mut self, index: usize) {
        let until = self.now + self.rng.between(3, 90);
        let node = &mut self.nodes[index];
        if let Some(process) = node.host.processes.first_mut() {
            process.frozen_until = until;
            let line = format!("{}: the supervisor of {} freezes until {until}", node.id, process.id);
            self.say(line);
        }
    }
}
