//! What goes on on hosts: agents in their containers, and supervisors that need none.

use crate::host::{At, Transaction, Try, failed};
use crate::world::{Power, World};
use careen_planner::observed::{HostPhase, NodeOutcome, Restart, Role, Said};
use careen_planner::spec::RebootPolicy;
use careen_planner::{Go, JobKey, JobRole, NodeId};

impl World {
    /// What goes on on hosts without any container.
    pub(crate) fn supervisors(&mut self) {
        for index in 0..self.nodes.len() {
            let tries: Vec<Try> = self.nodes[index].host.transactions.keys().cloned().collect();
            for one in tries {
                self.supervise(index, &one);
            }
        }
    }

    fn supervise(&mut self, index: usize, one: &Try) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if matches!(node.power, Power::HostDown(_) | Power::Dead) {
            return;
        }
        let engine_up = node.power == Power::Up;
        let plan = node.host.plan.clone();
        let Some(transaction) = node.host.transactions.get_mut(one) else { return };
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
            At::Restarted(kind) if engine_up => self.restarted(index, one, kind),
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
    fn restarted(&mut self, index: usize, one: &Try, kind: Restart) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let Some(transaction) = node.host.transactions.get_mut(one) else { return };
        if kind == Restart::Reboot && transaction.wants_another_attempt(&node.host.plan) {
            transaction.attempts += 1;
            transaction.at = At::Running(now + node.host.plan.takes);
            let (id, attempt) = (node.id.clone(), transaction.attempts);
            self.attempt(id, one, attempt);
        } else {
            transaction.at = At::Verifying(now + 3);
        }
    }

    /// The restart is announced, and begins a second later.
    fn restart(&mut self, index: usize, one: &Try, kind: Restart) {
        let at = self.now + 1;
        self.check_restart(index);
        if let Some(transaction) = self.nodes[index].host.transactions.get_mut(one) {
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

    pub(crate) fn agents(&mut self) {
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
        let this: Try = (key.rollout.clone(), key.generation);
        let newer = node.host.transactions.keys().any(|one| one.0 == this.0 && one.1 > this.1);
        let busy =
            node.host.transactions.iter().find(|(one, transaction)| **one != this && transaction.works());
        if newer {
            container.ended = true;
            return;
        }
        if let Some(((rollout, generation), _)) = busy {
            let transaction = format!("{rollout}-{}-g{generation}", node.id);
            container.said = Some(Said::Busy { transaction });
            return;
        }
        if spec.collects && !node.host.transactions.contains_key(&this) {
            container.said = Some(Said::NotBegun);
            return;
        }
        let new = || Transaction::new(now + prepare);
        let transaction = node.host.transactions.entry(this.clone()).or_insert_with(new);
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
                self.attempt(id, &this, 1);
            }
            At::WantsRestart(kind) if saw_restart && !restart && allowed => {
                self.restart(index, &this, kind);
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

    fn attempt(&mut self, node: NodeId, one: &Try, attempt: u32) {
        let (rollout, generation) = one.clone();
        self.say(format!("{node} begins attempt {attempt} of try {generation} of {rollout}"));
        let asked = self.retries.get(&node).copied().unwrap_or(0);
        if generation > asked + 1 {
            self.violation(format!("try {generation} on {node} after {asked} retries"));
        }
        // A host that comes back from a reboot goes on by itself, whatever its node is called by now.
        if attempt == 1 && rollout == self.spec.id {
            self.check_takes_part(&node);
        }
        let key = (node, rollout, generation, attempt);
        if self.attempts.contains(&key) {
            self.violation(format!("attempt {attempt} of try {generation} began twice on {}", key.0));
        }
        self.attempts.push(key);
    }
}
