//! What goes on on hosts: agents in their containers, and supervisors that need none.

use crate::gates::Verdict;
use crate::host::{At, Transaction, Try, failed};
use crate::world::{Power, SimNode, World};
use careen_planner::observed::{HostPhase, NodeOutcome, Restart, Role, Said};
use careen_planner::spec::RebootPolicy;
use careen_planner::{JobKey, JobRole, NodeId};
use std::collections::BTreeSet;

/// The gates of an agent that run on a node.
fn gates_on(node: &SimNode, agent: &JobKey) -> BTreeSet<u8> {
    let of_agent = node.containers.iter().filter(|one| one.key.with_role(JobRole::Agent) == *agent);
    let number = |role| match role {
        JobRole::Gate(number) => Some(number),
        JobRole::Agent => None,
    };
    of_agent.filter_map(|one| number(one.key.role)).collect()
}

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
                transaction.restarts += 1;
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
        let current = self.spec.id == key.rollout;
        let node = &mut self.nodes[index];
        let present = gates_on(node, key);
        let Some(container) = node.containers.iter_mut().find(|one| one.key == *key) else { return };
        let Some(spec) = container.agent.clone() else { return };
        container.gates.see(&present);
        let this: Try = (key.rollout.clone(), key.generation);
        let newer = node.host.transactions.keys().any(|one| one.0 == this.0 && one.1 > this.1);
        if container.leaves || newer {
            container.ended |= newer;
            return;
        }
        for (_, waits) in node.host.transactions.iter_mut().filter(|(one, _)| current && **one != this) {
            // A supervisor of an earlier rollout, or try, that only waits for a go is cancelled.
            if matches!(waits.at, At::WantsRestart(_)) {
                waits.at = At::Closed(failed(HostPhase::Command, 246));
            }
        }
        let busy =
            node.host.transactions.iter().find(|(one, transaction)| **one != this && transaction.works());
        if let Some(((rollout, generation), _)) = busy {
            let transaction = format!("{rollout}-{}-g{generation}", node.id);
            container.said = Some(Said::Busy { transaction });
            return;
        }
        if spec.collects && !node.host.transactions.contains_key(&this) {
            container.said = Some(Said::Forgotten);
            return;
        }
        let new = || Transaction::new(now + prepare);
        let transaction = node.host.transactions.entry(this.clone()).or_insert_with(new);
        transaction.may_reboot = spec.reboot != RebootPolicy::Never;
        transaction.may_reboot_unasked = matches!(spec.reboot, RebootPolicy::Auto | RebootPolicy::Always);
        if transaction.is_not_begun() {
            // Whoever comes later makes the gos of all before it void; one that only collects its own, too.
            let until = if spec.collects { key.agent } else { key.agent.saturating_sub(1) };
            let void = transaction.void_up_to;
            transaction.void_up_to = void.max(until);
            if spec.collects || void >= key.agent {
                container.said = Some(if spec.collects { Said::NotBegun } else { Said::Revoked });
                return;
            }
        }
        let awaits = transaction.awaits();
        let look = |number| container.gates.look(&present, number, now, &mut self.rng);
        let verdict = awaits.map_or(Verdict::Wait, look);
        container.said = transaction.said(&node.host.plan, &container.gates);
        match (transaction.at.clone(), verdict) {
            (At::Closed(_), _) => container.ended = true,
            (At::Prepared, Verdict::Go) if allowed => {
                transaction.attempts = 1;
                transaction.at = At::Running(now + node.host.plan.takes);
                let id = node.id.clone();
                self.check_go(index);
                self.attempt(id, &this, 1);
            }
            (At::WantsRestart(kind), Verdict::Go) if allowed => self.restart(index, &this, kind),
            (At::Prepared, Verdict::Refused) => transaction.void_up_to = key.agent,
            (At::WantsRestart(_), Verdict::Refused) => {
                transaction.at = At::Closed(failed(HostPhase::Command, 246));
            }
            (
                At::Preparing(_)
                | At::Prepared
                | At::Running(_)
                | At::WantsRestart(_)
                | At::Restarting(..)
                | At::Restarted(_)
                | At::Verifying(_),
                _,
            ) => {}
        }
    }

    /// An agent's container is being stopped. When nothing was begun, nothing can be any more.
    pub(crate) fn told_to_leave(&mut self, index: usize, key: &JobKey) {
        let node = &mut self.nodes[index];
        let Some(container) = node.containers.iter_mut().find(|one| one.key == *key) else { return };
        let Some(spec) = container.agent.as_ref().filter(|_| !container.leaves) else { return };
        let collects = spec.collects;
        container.leaves = true;
        let this: Try = (key.rollout.clone(), key.generation);
        let transaction = node.host.transactions.get_mut(&this).filter(|one| one.is_not_begun());
        if let (Some(transaction), false) = (transaction, collects) {
            transaction.void_up_to = transaction.void_up_to.max(key.agent);
            container.said = Some(Said::Revoked);
        }
    }

    fn attempt(&mut self, node: NodeId, one: &Try, attempt: u32) {
        let (rollout, generation) = one.clone();
        self.say(format!("{node} begins attempt {attempt} of try {generation} of {rollout}"));
        let asked = self.retries.get(&node).copied().unwrap_or(0);
        if generation > asked + 1 {
            self.violation(format!("try {generation} on {node} after {asked} retries"));
        }
        let key = (node, rollout, generation, attempt);
        if self.attempts.contains(&key) {
            self.violation(format!("attempt {attempt} of try {generation} began twice on {}", key.0));
        }
        self.attempts.push(key);
    }
}
