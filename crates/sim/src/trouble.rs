//! Faults, operators who interfere, and operators who answer when a rollout has stopped.

use crate::run::Run;
use crate::world::{Power, World};
use careen_contract::label;
use careen_planner::observed::{Availability, Role};
use careen_planner::rollout::{Ask, Control};
use careen_planner::state::NodeRecord;
use careen_planner::{NodeId, NodeState, PauseReason};

impl Run {
    pub(crate) fn fault(&mut self) {
        let faults = self.faults;
        let world = &mut self.world;
        let index = (world.rng.number() % world.nodes.len() as u64) as usize;
        let id = world.nodes[index].id.clone();
        if world.rng.permille(faults.engine) && world.nodes[index].power == Power::Up {
            let until = world.now + world.rng.between(2, 10);
            world.goes_down(index, Power::EngineDown(until));
            world.say(format!("{id}: its engine restarts by itself"));
        }
        if world.rng.permille(faults.cut_off) {
            let until = world.now + world.rng.between(5, 120);
            world.nodes[index].cut_off_until = until;
            world.say(format!("{id} is cut off until {until}"));
        }
        if world.rng.permille(faults.death) && world.may_die(index) {
            world.goes_down(index, Power::Dead);
            world.say(format!("{id} dies for good"));
        }
        if faults.members > 0 && world.rng.permille(faults.members) {
            world.membership_changes(index);
        }
        if faults.hand > 0 && world.rng.permille(faults.hand) {
            let index = index.min(world.nodes.len() - 1);
            world.somebody_deletes(index);
        }
        if self.world.spec.surge && faults.operator > 0 && self.world.rng.permille(faults.operator) {
            self.world.somebody_changes_a_service();
        }
        // The node may be one less by now.
        if self.world.rng.permille(faults.operator) {
            let index = index.min(self.world.nodes.len() - 1);
            self.operator_interferes(index);
        }
        if index < self.world.nodes.len() {
            self.accidents(index);
        }
    }

    fn operator_interferes(&mut self, index: usize) {
        let world = &mut self.world;
        if !world.has_quorum() {
            return;
        }
        let version = world.next_version();
        match world.rng.between(0, 19) {
            0..=8 => {
                let wish = *world.rng.pick(&[Availability::Active, Availability::Drain, Availability::Pause]);
                let now = world.now;
                // Saying what is so already leaves no trace in the swarm, and of two changes between two looks of the
                // controller the first leaves none.
                let digested = world.is_digested(index);
                let node = &mut world.nodes[index];
                if node.availability != wish && digested {
                    (node.availability, node.wish, node.wish_at) = (wish, wish, now);
                    node.version = version;
                    let line = format!("operator: {} is to be {wish:?}", node.id);
                    world.say(line);
                }
            }
            9..=11 => {
                let node = &mut world.nodes[index];
                node.labels.insert("zone".into(), format!("z{}", version.0 % 3));
                node.version = version;
            }
            12 | 13 => {
                let replicas = world.rng.between(1, 4);
                if !world.services.is_empty() {
                    let at = (world.rng.number() % world.services.len() as u64) as usize;
                    world.is_scaled(at, replicas, version);
                    // One that had a single task may have several wanted now: who looked before knows nothing of it.
                    world.services[at].spread_at = world.now;
                }
            }
            14 | 15 => self.operator_says(Control::Paused { why: PauseReason::Asked }),
            16 | 17 => self.operator_asks(index, Ask::Skip),
            _ if self.world.rng.permille(200) => self.operator_says(Control::Aborting),
            _ => {}
        }
    }

    fn operator_says(&mut self, control: Control) {
        let world = &mut self.world;
        let over = matches!(world.rollout.control, Control::Finished { .. } | Control::Aborting);
        if over || !world.has_quorum() {
            return;
        }
        world.rollout.version = world.next_version();
        world.say(format!("operator: {control:?}"));
        world.sets_control(control);
    }

    fn operator_asks(&mut self, index: usize, ask: Ask) {
        let world = &mut self.world;
        let (version, label) = (world.next_version(), ask.label(&world.spec.id));
        let node = &mut world.nodes[index];
        node.labels.insert(label::ASK.into(), label);
        node.version = version;
        let line = format!("operator: {} {}", ask.word(), node.id);
        world.say(line);
    }

    /// An operator who looks at what has stopped, and answers after a while.
    pub(crate) fn operator_answers(&mut self) {
        if let Control::Paused { why } = self.world.rollout.control.clone() {
            let patience = self.world.rng.between(5, 60);
            let at = *self.answer_at.get_or_insert(self.world.now + patience);
            if self.world.now >= at && self.world.has_quorum() {
                self.answer_at = None;
                match why {
                    PauseReason::NodeFailed { node, .. } => self.answer_failure(&node),
                    PauseReason::NodeGone { node, .. } => self.answer_departure(&node),
                    PauseReason::BaselineRemoved | PauseReason::EnforcementChanged { .. } => {
                        return self.operator_says(Control::Aborting);
                    }
                    PauseReason::NodeHeld { node, .. } => self.answer_hold(&node),
                    PauseReason::Asked => {}
                }
                self.operator_says(Control::Running);
            }
        }
        self.unblock();
    }

    fn answer_failure(&mut self, node: &NodeId) {
        let Some(index) = self.world.nodes.iter().position(|one| one.id == *node) else { return };
        let failed = matches!(self.world.state(&self.world.nodes[index]), Some(NodeState::Failed { .. }));
        let retried = self.world.retries.get(node).copied().unwrap_or(0);
        match self.world.rng.between(0, 2) {
            0 if failed && retried < 2 => {
                *self.world.retries.entry(node.clone()).or_default() += 1;
                self.operator_asks(index, Ask::Retry);
            }
            1 if failed => self.operator_asks(index, Ask::Skip),
            _ => {}
        }
    }

    /// Sometimes a node that is held is left out; else it gets its time once more.
    fn answer_hold(&mut self, node: &NodeId) {
        let Some(index) = self.world.nodes.iter().position(|one| one.id == *node) else { return };
        if self.world.rng.permille(500) {
            self.operator_asks(index, Ask::Skip);
        }
    }

    /// Sometimes nobody wants to wait for the host of a node that left.
    fn answer_departure(&mut self, node: &NodeId) {
        if self.world.rng.permille(500) {
            self.world.give_up(node);
        }
    }

    /// When too few managers are left for good, the rest of the managers cannot be done: they are skipped.
    fn unblock(&mut self) {
        let now = self.world.now;
        let Some(pass) = &self.last else { return };
        let stuck = |node: &NodeId| self.at_risk_since.get(node).is_some_and(|since| now > since + 900);
        let Some(node) = pass.holds.keys().find(|node| stuck(node)).cloned() else { return };
        let Some(index) = self.world.nodes.iter().position(|one| one.id == node) else { return };
        let begun = pass.states.get(&node).is_some_and(NodeState::is_after_the_go);
        self.at_risk_since.remove(&node);
        if begun {
            self.operator_says(Control::Aborting);
        } else {
            self.operator_asks(index, Ask::Skip);
        }
    }
}

impl World {
    /// Whether the node's record knows of its availability as it is.
    fn is_digested(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let record = node.labels.get(label::NODE).and_then(|text| NodeRecord::decode(text).ok());
        record.and_then(|record| record.taken).is_none_or(|taken| taken.set == node.availability)
    }

    /// A manager may die while the others keep the store alive also when one more is down for a while.
    fn may_die(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let dead = self.nodes.iter().filter(|one| one.power == Power::Dead).count();
        let (members, reachable) = self.managers();
        dead == 0 && (node.role == Role::Worker || reachable > members / 2 + 1)
    }
}
