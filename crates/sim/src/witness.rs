//! Writes down what really happens (`truth`), and compares it with what begins on hosts.

use crate::host::process::Process;
use crate::host::{Id, PayloadCommand};
use crate::world::World;
use careen_contract::label;
use careen_contract::report::{NodeOutcome, Said};
use careen_host::transaction::TransactionStage;
use careen_planner::rollout::{Ask, Control};
use careen_planner::state::{AfterRestoring, NodeRecord, Reason};
use careen_planner::{JobKey, JobRole, NodeId, NodeState};
use std::collections::BTreeSet;

/// A host whose agent said so within so many seconds counts as busy.
const BUSY: u64 = 60;

fn agent_of(node: &NodeId, record: &NodeRecord) -> JobKey {
    JobKey {
        rollout: record.rollout.clone(),
        node: node.clone(),
        generation: record.generation,
        agent: record.agent,
        role: JobRole::Agent,
    }
}

impl World {
    /// Somebody pauses the rollout, goes on with it, or ends it.
    pub(crate) fn sets_control(&mut self, control: Control) {
        // In one second it may be resumed and paused again.
        self.truth.paused = self.truth.paused.filter(|_| matches!(control, Control::Paused { .. }));
        self.rollout.control = control;
    }

    pub(crate) fn note_second(&mut self) {
        let now = self.now;
        let since = |is: bool, since: Option<u64>| is.then(|| since.unwrap_or(now));
        let control = &self.rollout.control;
        self.truth.paused = since(matches!(control, Control::Paused { .. }), self.truth.paused);
        self.truth.aborting = since(matches!(control, Control::Aborting), self.truth.aborting);
        for node in &self.nodes {
            let skip = node.labels.get(label::ASK);
            match skip.is_some_and(|label| *label == Ask::Skip.label(&self.spec.id)) {
                true => self.truth.skipped.entry(node.id.clone()).or_insert(now),
                false => {
                    self.truth.skipped.remove(&node.id);
                    continue;
                }
            };
        }
    }

    pub(crate) fn note_said(&mut self, key: &JobKey, said: &Said) {
        let one = (key.node.clone(), (key.rollout.clone(), key.generation));
        match said {
            Said::Prepared { draw, .. } | Said::WantsRestart { draw, .. } => {
                self.truth.drawn.insert((key.clone(), draw.number), draw.gates);
            }
            Said::Revoked | Said::NotBegun => {
                let void = self.truth.void.entry(one).or_default();
                *void = key.agent.max(*void);
            }
            Said::Busy { .. } => {
                self.truth.busy.insert(key.node.clone(), self.now);
            }
            Said::Finished { outcome: NodeOutcome::InSync, .. } => {
                self.truth.in_sync.insert(one);
            }
            Said::Copied { .. }
            | Said::Preparing
            | Said::Running { .. }
            | Said::Restarting { .. }
            | Said::Verifying
            | Said::Cancelled { .. }
            | Said::Forgotten
            | Said::Finished { .. } => {}
        }
    }

    /// A label was written.
    pub(crate) fn note_label(&mut self, node: &NodeId, record: &NodeRecord, is_new: bool) {
        let agent = agent_of(node, record);
        match &record.state {
            NodeState::Running { drained } => {
                if *drained {
                    self.truth.drained.insert(agent.clone());
                }
                self.truth.announced.entry(agent).or_default().insert(record.epoch);
            }
            NodeState::RestartingEngine | NodeState::Rebooting => {
                self.truth.restarts.entry(agent).or_default().insert(record.epoch);
            }
            NodeState::Done => {
                self.truth.done.insert((node.clone(), record.rollout.clone()));
            }
            NodeState::Failed { reason, .. } if is_new => {
                self.check_forgotten(node, record, *reason);
                self.truth.failed.push((node.clone(), record.rollout.clone(), *reason));
                let busy = self.truth.busy.get(node).is_some_and(|at| self.now < at + BUSY);
                if busy && *reason == Reason::TimeLimit {
                    self.truth.starved.push((node.clone(), record.rollout.clone()));
                }
            }
            NodeState::Pending
            | NodeState::Entering
            | NodeState::Preparing
            | NodeState::Draining { .. }
            | NodeState::Verifying
            | NodeState::Restoring { .. }
            | NodeState::Settling
            | NodeState::Failed { .. }
            | NodeState::Skipped { .. }
            | NodeState::Gone { .. } => {}
        }
        self.check_taken_back(node, record);
    }

    /// **A host that was found in sync stays known as that**, to whoever asks it later in the same try, unless it lost its state.
    fn check_forgotten(&mut self, node: &NodeId, record: &NodeRecord, reason: Reason) {
        let one = (node.clone(), (record.rollout.clone(), record.generation));
        let found = self.truth.in_sync.contains(&one) && !self.truth.blank.contains(node);
        if found && reason == Reason::Forgotten {
            self.violation(format!("{node} was found in sync, and is called forgotten"));
        }
    }

    /// **Nothing is taken back that has begun.**
    fn check_taken_back(&mut self, node: &NodeId, record: &NodeRecord) {
        let takes_back = record.state.is_before_the_go()
            || matches!(
                record.state,
                NodeState::Restoring {
                    then: AfterRestoring::Done | AfterRestoring::Fail { .. } | AfterRestoring::Skip { .. }
                }
            );
        let of_try = |one: &&(NodeId, careen_planner::RolloutId, u32, u32)| {
            (&one.0, &one.1, one.2) == (node, &record.rollout, record.generation)
        };
        // Of a node without its label nobody knows.
        let known = !self.unlabelled_once.contains(node);
        if takes_back && known && self.attempts.iter().any(|one| of_try(&one)) {
            self.violation(format!(
                "{node} is taken back although its command has begun: {:?}",
                record.state
            ));
        }
    }

    /// A controller opens a gate. **A paused or aborted rollout gives no go, and no node gets one that is to be left out**, as
    /// far as the controller could see when it looked.
    pub(crate) fn note_opened(&mut self, gate: &JobKey, epoch: u64, looked_at: u64) {
        let agent = gate.with_role(JobRole::Agent);
        let has = |epochs: Option<&BTreeSet<u64>>| epochs.is_some_and(|epochs| epochs.contains(&epoch));
        let behind = (has(self.truth.announced.get(&agent)), has(self.truth.restarts.get(&agent)));
        self.truth.opened.insert(gate.clone(), behind);
        let JobRole::Gate(number) = gate.role else { return };
        let drawn = self.truth.drawn.get(&(agent.clone(), 0));
        let begun = self.attempts.iter().any(|(node, rollout, generation, _)| {
            (node, rollout, *generation) == (&gate.node, &gate.rollout, gate.generation)
        });
        if begun || !drawn.is_some_and(|gates| gates.contains(&number)) {
            return;
        }
        let before = |since: Option<u64>| since.is_some_and(|since| since < looked_at);
        let lag = self.hazard.lag + 1;
        let skipped = self.truth.skipped.get(&gate.node).map(|since| since + lag);
        let control = &self.rollout.control;
        let words = [
            ("paused", self.truth.paused.filter(|_| matches!(control, Control::Paused { .. }))),
            ("aborted", self.truth.aborting),
            ("to leave the node out", skipped),
        ];
        if let Some((word, _)) = words.into_iter().find(|(_, since)| before(*since)) {
            self.violation(format!("{} gets the go although the rollout is {word}", gate.node));
        }
    }

    /// A host loses its state directory.
    pub(crate) fn forget(&mut self, index: usize) {
        let node = &self.nodes[index];
        let record = NodeRecord::decode(node.labels.get(label::NODE).map_or("", |text| text));
        if let Ok(record) = record
            && record.state.is_after_the_go()
        {
            let id = Id::command(&record.rollout, &node.id, record.generation);
            let could_begin = node.host.files.get(&id).is_some_and(|files| {
                !matches!(files.state.stage, TransactionStage::Revoked | TransactionStage::Prepared)
            });
            if could_begin {
                let one = (node.id.clone(), (record.rollout.clone(), record.generation));
                self.truth.forgotten.insert(one);
            }
        }
        let id = self.nodes[index].id.clone();
        self.truth.blank.insert(id);
        self.nodes[index].host.forget();
    }

    /// A supervisor starts the command.
    pub(crate) fn begins(&mut self, index: usize, process: &Process, attempt: u32) {
        let node = self.nodes[index].id.clone();
        if attempt == 1 {
            self.check_go(index, process);
            self.check_not_in_sync(index, &process.id);
            if process.id.rollout == self.spec.id {
                self.check_takes_part(&node);
            }
        }
        let (rollout, generation) = (process.id.rollout.clone(), process.id.generation);
        self.say(format!("{node} begins attempt {attempt} of try {generation} of {rollout}"));
        let asked = self.retries.get(&node).copied().unwrap_or(0);
        if rollout == self.spec.id && generation > asked + 1 {
            self.violation(format!("try {generation} on {node} after {asked} retries"));
        }
        let key = (node, rollout, generation, attempt);
        if self.attempts.contains(&key) {
            self.violation(format!("attempt {attempt} of try {generation} began twice on {}", key.0));
        }
        self.attempts.push(key);
    }

    /// **No command begins on a host that its try has found in sync.**
    fn check_not_in_sync(&mut self, index: usize, id: &Id) {
        let node = &self.nodes[index];
        let said = self.truth.in_sync.contains(&(node.id.clone(), (id.rollout.clone(), id.generation)));
        let recounted = self.unlabelled_once.contains(&node.id);
        if node.host.found_in_sync(id) || (said && !recounted) {
            let line = format!("the command begins on {}, which was found in sync", node.id);
            self.violation(line);
        }
    }

    /// **No command begins without a go that a controller meant**: the label `running` was written for just this agent, under
    /// the epoch of whoever opened just the two gates that the agent had drawn. **No agent begins that somebody called
    /// revoked**, and **no host that has forgotten is started anew**.
    fn check_go(&mut self, index: usize, process: &Process) {
        let node = self.nodes[index].id.clone();
        let one = (node.clone(), (process.id.rollout.clone(), process.id.generation));
        if let Err(why) = self.go_was_meant(process) {
            self.violation(format!("the command begins on {node} {why}"));
        }
        // Behind a label and services that somebody deleted agents are counted anew.
        if let Some(go) = process.go
            && !self.unlabelled_once.contains(&node)
            && self.truth.void.get(&one).is_some_and(|void| *void >= go)
        {
            self.violation(format!("the command begins on {node} though agent {go} was said to be revoked"));
        }
        if self.truth.forgotten.contains(&one) {
            self.violation(format!("{node} has forgotten try {} and starts it anew", process.id.generation));
        }
        let record = self.record(index).filter(|record| record.rollout == process.id.rollout);
        let state = record.map(|record| record.state);
        let announced = matches!(
            state,
            Some(NodeState::Running { .. } | NodeState::Verifying | NodeState::Failed { .. })
        );
        if !announced && !self.unlabelled_once.contains(&node) {
            self.violation(format!("the command begins on {node} while its label says {state:?}"));
        }
        let drained = process.go.map(|go| self.agent_key(&process.id, go));
        if drained.is_some_and(|agent| self.truth.drained.contains(&agent)) {
            self.check_empty(index, &process.id, "begins the command");
        }
        self.check_quorum(index);
    }

    fn go_was_meant(&self, process: &Process) -> Result<(), String> {
        let go = process.go.ok_or("without any agent's go")?;
        let agent = self.agent_key(&process.id, go);
        if self.truth.short.contains(&agent) {
            let announced = self.truth.announced.contains_key(&agent);
            return if announced { Ok(()) } else { Err("and nobody announced it".to_owned()) };
        }
        let drawn = *self.truth.drawn.get(&(agent.clone(), 0)).ok_or("and its agent has drawn nothing")?;
        for gate in agent.gates(careen_planner::ids::GATES) {
            let JobRole::Gate(number) = gate.role else { continue };
            match (drawn.contains(&number), self.truth.opened.get(&gate)) {
                (true, Some((true, _))) | (false, None) => {}
                (true, Some((false, _))) => return Err(format!("with gate {number} opened unannounced")),
                (true, None) => return Err(format!("and nobody has opened gate {number}")),
                (false, Some(_)) => return Err(format!("with gate {number} open, which was not drawn")),
            }
        }
        Ok(())
    }

    fn agent_key(&self, id: &Id, agent: u32) -> JobKey {
        JobKey {
            rollout: id.rollout.clone(),
            node: id.node.clone(),
            generation: id.generation,
            agent,
            role: JobRole::Agent,
        }
    }

    /// **No restart without a go of its own**: both gates that the agent drew for it were opened behind the label.
    pub(crate) fn check_restarts_go(&mut self, index: usize, process: &mut Process) {
        let node = self.nodes[index].id.clone();
        let given = process.given(&self.nodes[index].host);
        let Some((number, agent)) = given else {
            self.violation(format!("{node} restarts without a go"));
            return;
        };
        let agent = self.agent_key(&process.id, agent);
        let drawn = self.truth.drawn.get(&(agent.clone(), number)).copied();
        let opened = |number: &u8| {
            let gate = agent.with_role(JobRole::Gate(*number));
            self.truth.opened.get(&gate).is_some_and(|(_, restart)| *restart)
        };
        if !drawn.is_some_and(|gates| gates.iter().all(opened)) {
            self.violation(format!("{node} restarts, and nobody gave go {number} to agent {}", agent.agent));
        }
    }

    /// **An autolocked manager is not rebooted** unless somebody is there to unlock it.
    pub(crate) fn check_unlock(&mut self, index: usize, id: &Id) {
        let node = &self.nodes[index];
        let manager = node.role == careen_planner::observed::Role::Manager;
        if self.autolock && manager && !self.spec.unlock_by_hand && id.rollout == self.spec.id {
            let line = format!("{} is rebooted and nobody will unlock it", node.id);
            self.violation(line);
        }
    }

    /// **No supervisor waits on a host that its rollout, or a later one, is through with**; nor does anything else live there.
    pub(crate) fn check_supervisors(&mut self) {
        let mut lines = Vec::new();
        for node in self.nodes.iter().filter(|node| node.takes_part(self.now)) {
            let done = self.truth.done.contains(&(node.id.clone(), self.spec.id.clone()));
            let failed = matches!(self.state(node), Some(NodeState::Failed { .. }));
            let failed =
                failed || self.truth.failed.iter().any(|(one, id, _)| *one == node.id && *id == self.spec.id);
            // A host that left and joined again, and one of which somebody removed the label, is not asked any more.
            let asked = node.hostname == node.id.0 && !self.unlabelled_once.contains(&node.id);
            // A node that was done may have been tried again, after somebody had removed its label.
            let done = done && !failed;
            for process in &node.host.processes {
                let of_command =
                    process.id.rollout == self.spec.id && process.id.part == PayloadCommand::Command;
                let of_this = of_command && asked;
                if process.only_waits() && (done || (of_this && !failed)) {
                    let at = process.machine.at().name();
                    lines.push(format!("{}: the supervisor of {} still is {at}", node.id, process.id));
                }
            }
        }
        lines.into_iter().for_each(|line| self.violation(line));
    }

    /// The record that a node's label tells of.
    pub(crate) fn record(&self, index: usize) -> Option<NodeRecord> {
        let text = self.nodes[index].labels.get(label::NODE)?;
        NodeRecord::decode(text).ok()
    }
}
