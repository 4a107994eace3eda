//! What must never be, whoever crashes, freezes or interferes. Checked where it would happen, and after every step.

use crate::host::{CheckEnd, Files, Id, PayloadCommand};
use crate::world::{Power, SimNode, SimTask, World};
use careen_host::outcome::Outcome;
use careen_host::transaction::TransactionStage;
use careen_planner::glance::needs_a_look;
use careen_planner::observed::{Availability, Mode, NodeOutcome, Role, TaskState};
use careen_planner::order;
use careen_planner::rollout::{Control, GoneMark, NodeResult, RolloutOutcome};
use careen_planner::spec::DrainPolicy;
use careen_planner::state::Taken;
use careen_planner::{Act, Action, ControllerId, Hold, NodeId, NodeState, Pass};
use std::collections::BTreeSet;

impl World {
    /// **Nothing of an operator's is undone**: careen's change of an availability either remembers what the operator
    /// wanted, or is what the operator wants.
    pub(crate) fn check_ownership(
        &mut self,
        node: &NodeId,
        wish: Availability,
        now: Availability,
        taken: Option<Taken>,
    ) {
        let right = match taken {
            Some(Taken { was, set }) => was == wish && set == now,
            None => now == wish,
        };
        if !right {
            self.violation(format!("{node} was made {now:?}, its operator wants {wish:?} ({taken:?})"));
        }
    }

    /// **A node is empty when its engine or host is restarted**, and the swarm can do without it.
    pub(crate) fn check_restart(&mut self, index: usize, id: &Id) {
        self.check_quorum(index);
        self.check_empty(index, id, "is restarted");
    }

    /// **A node is empty when that happens for which it was drained**, unless nobody wanted it drained, or its operator has
    /// changed it since the look that the go rests on: a go is not tied to the node's version. (The real swarm's side
    /// looks at the lock before each action, so that this is a short moment. The quorum is looked at by the agent.)
    pub(crate) fn check_empty(&mut self, index: usize, id: &Id, what: &str) {
        let node = &self.nodes[index];
        // What has left has no tasks, and nobody drains it.
        if id.rollout != self.spec.id || self.left.contains_key(&node.id) {
            return;
        }
        let looked_at = self.go_looked_at.get(&node.id).copied().unwrap_or(0);
        let seen = looked_at.saturating_sub(self.hazard.lag + 1);
        let theirs = node.wish_at > 0 && node.wish_at >= seen;
        // A node that is given up is as its operator wants it; its host may still be at work.
        let given_up = self.state(node).is_some_and(|state| state.is_terminal());
        if given_up || self.spec.drain == DrainPolicy::Never || theirs {
            return;
        }
        let runs = |task: &&crate::world::SimTask| task.node == node.id && task.state == TaskState::Running;
        let tasks = self.tasks.iter().filter(runs).count();
        if node.availability != Availability::Drain || tasks > 0 {
            self.violation(format!("{} {what} with {tasks} tasks, {:?}", node.id, node.availability));
        }
    }

    /// **Never below quorum through us**: when a manager goes down, the others are a majority of all members.
    pub(crate) fn check_quorum(&mut self, index: usize) {
        let node = &self.nodes[index];
        if node.role == Role::Worker || self.spec.allow_quorum_loss || !self.spec.touches_engine {
            return;
        }
        let (members, _) = self.managers();
        let now = self.now;
        let others = self
            .nodes
            .iter()
            .filter(|other| other.role == Role::Manager && other.id != node.id && other.takes_part(now));
        let others = others.count();
        if members > 1 && others < members / 2 + 1 {
            self.violation(format!("{} goes down and leaves {others} of {members} managers", node.id));
        }
    }

    /// What is checked after every step.
    pub fn check(&mut self) {
        let missed = self.nodes.iter().filter(|node| self.is_missed(node));
        let outside = self.outside.iter().filter(|node| self.keeps_its_place(node));
        let out: Vec<NodeId> = missed.chain(outside).map(|node| node.id.clone()).collect();
        let limit = self.places();
        if out.len() > limit {
            self.violation(format!("{} nodes in maintenance, {limit} may be: {out:?}", out.len()));
        }
        let is_manager = |id: &&NodeId| self.node(id).is_some_and(|node| node.role == Role::Manager);
        let managers = out.iter().filter(is_manager).count();
        if managers > 1 && self.spec.touches_engine {
            self.violation(format!("{managers} managers in maintenance: {out:?}"));
        }
        self.check_versions();
    }

    /// How many nodes may be in maintenance. Where nobody knows any more who took part, a part is one of all that were ever there.
    fn places(&self) -> usize {
        let listed = self.baseline.as_ref().and_then(|baseline| baseline.nodes.as_deref());
        match listed {
            Some(nodes) => order::places(&self.spec, nodes),
            None => self.spec.policy.parallelism.of(self.nodes.len() + self.outside.len()),
        }
    }

    /// Whether a node has less to give than before, through careen, and is not given up.
    fn is_missed(&self, node: &SimNode) -> bool {
        let state = self.state(node);
        let not_begun = matches!(state, None | Some(NodeState::Pending | NodeState::Entering));
        if not_begun || state.as_ref().is_some_and(NodeState::is_terminal) {
            return false;
        }
        let drained = node.availability == Availability::Drain && node.wish != Availability::Drain;
        drained || self.host_works(node)
    }

    /// Whether a host has begun this rollout's command, and is not through.
    fn host_works(&self, node: &SimNode) -> bool {
        let works = |(id, files): (&Id, &Files)| {
            let open = files.state.is_begun() && !matches!(files.state.stage, TransactionStage::Closed(_));
            id.rollout == self.spec.id && id.part == PayloadCommand::Command && open
        };
        node.host.files.iter().any(works)
    }

    /// **A participant that left keeps its place while its host works**, until its time is over or an operator gives it up, or it was through
    /// with it before. Where
    /// somebody deleted its services and it took its label along, nothing tells that it works.
    fn keeps_its_place(&self, node: &SimNode) -> bool {
        let told = self.rollout.gone.contains_key(&node.id)
            || !self.services_deleted.contains(&node.id)
            || self.jobs.iter().any(|job| job.key.node == node.id);
        let limit = self.spec.limits.node_down.as_secs();
        let waits = self.left.get(&node.id).is_some_and(|at| self.now < at + limit);
        let over = matches!(self.rollout.control, Control::Aborting | Control::Finished { .. });
        waits
            && told
            && !self.left_out_of_turn.contains(&node.id)
            && !over
            && !self.removed
            && self.rollout.gone.get(&node.id) != Some(&GoneMark::GivenUp)
            && self.host_works(node)
    }

    /// **A participant that left is never forgotten**: a rollout that ends as done had all of them done.
    pub(crate) fn check_nobody_is_forgotten(&mut self, control: &Control, looked_at: u64) {
        if *control != (Control::Finished { outcome: RolloutOutcome::Done }) {
            return;
        }
        let is_done = |node: &NodeId| {
            let is_well = |outcome: &NodeOutcome| match outcome {
                NodeOutcome::Succeeded | NodeOutcome::InSync => true,
                NodeOutcome::Failed { .. } => false,
            };
            self.results.iter().any(|one| one.node == *node && is_well(&one.outcome))
        };
        let forgotten = self.left.iter().find(|(node, at)| **at < looked_at && !is_done(node));
        if let Some((node, _)) = forgotten {
            let line = format!("{node} left, and the rollout is called done");
            self.violation(line);
        }
    }

    /// **A node whose label somebody removed does not begin anew**: nobody knows how far it was.
    pub(crate) fn check_label(&mut self, node: &NodeId, state: &str) {
        if !self.unlabelled.contains(node) {
            return;
        }
        if matches!(state, "skipped" | "failed") {
            // From there an operator may want it tried again.
            self.unlabelled.remove(node);
        } else if state == "entering" {
            self.violation(format!(
                "{node} begins anew, and all that had happened was that its label was removed"
            ));
        }
    }

    /// **Nothing that was taken down is left out, or paused for, because it is held**: nodes are left out, and rollouts pause for
    /// them, only while nothing was drained or begun there.
    pub(crate) fn check_held(&mut self, id: &NodeId, what: &str) {
        let Some(node) = self.nodes.iter().find(|node| node.id == *id) else { return };
        let drained = node.availability == Availability::Drain && node.wish != Availability::Drain;
        // An operator may have changed it since the look.
        let theirs = node.wish_at + self.hazard.lag + 8 > self.now;
        // What careen left drained behind a failure is no hold.
        if (drained && !theirs) || self.host_works(node) {
            let line = format!("{id} {what} because it is held, and it is {:?}", node.availability);
            self.violation(line);
        }
    }

    /// **Who joined later never runs the command.**
    pub(crate) fn check_takes_part(&mut self, node: &NodeId) {
        let listed = self.baseline.as_ref().and_then(|baseline| baseline.nodes.as_ref());
        if listed.is_some_and(|nodes| !nodes.iter().any(|one| one.id == *node)) {
            self.violation(format!("{node} joined later, and the command begins on it"));
        }
    }

    /// **Only who has the lock decides**; others take it, or wait. (What it decided may still be carried out later.)
    pub fn check_lock(&mut self, pass: &Pass, who: &ControllerId) {
        let holder = self.lock.as_ref().and_then(|lock| lock.holder.as_ref());
        let takes = |act: &Act| matches!(act.action, Action::TakeLock { .. });
        if holder != Some(who) && !pass.actions.iter().all(takes) {
            let holder = holder.map_or("nobody".to_owned(), ToString::to_string);
            self.violation(format!("{who} decides, and {holder} has the lock"));
        }
    }

    /// **What only a look may decide, a look has decided**, and no glance.
    pub(crate) fn check_look(&mut self, pass: &Pass, looked: bool) {
        let found = pass.actions.iter().find(|act| needs_a_look(&act.action));
        if let (false, Some(act)) = (looked, found) {
            self.violation(format!("{} is decided on a glance", act.action.name()));
        }
    }

    /// **No task loses sight of its data**: a drain moves none that writes to a local volume, unless that is allowed. As far as
    /// the controller could see when it looked.
    pub(crate) fn check_volumes(&mut self, id: &NodeId, looked_at: u64) {
        let seen = looked_at.saturating_sub(self.hazard.lag + 8);
        let settled = |node: &SimNode| {
            let since = [node.wish_at, node.given_back_at, node.unseen_at, node.cut_off_until];
            node.ready && node.availability == Availability::Active && since.iter().all(|at| *at < seen)
        };
        let elsewhere = self.nodes.iter().any(|node| node.id != *id && settled(node));
        if self.spec.allow_volume_moves || !elsewhere {
            return;
        }
        let moves = |task: &&SimTask| {
            let service = &self.services[task.service];
            let movable = service.has_volume && service.mode == Mode::Replicated && service.pinned.is_none();
            task.node == *id && task.wanted && task.state == TaskState::Running && movable && task.due < seen
        };
        if let Some(task) = self.tasks.iter().find(moves) {
            let name = self.services[task.service].name.clone();
            self.violation(format!("{id} is drained, and a task of {name} would start empty elsewhere"));
        }
    }

    /// Notes which services are served by several nodes.
    pub(crate) fn note_spread(&mut self) {
        for index in 0..self.services.len() {
            if self.serving(index).len() > 1 {
                self.services[index].spread_at = self.now;
            }
        }
    }

    /// The nodes that serve: where a task runs that is to run.
    fn serving(&self, service: usize) -> BTreeSet<NodeId> {
        let serves = |node: &NodeId| {
            self.node(node).is_some_and(|node| node.ready && node.availability != Availability::Drain)
        };
        let runs = |task: &&SimTask| {
            task.service == service && task.wanted && task.state == TaskState::Running && serves(&task.node)
        };
        self.tasks.iter().filter(runs).map(|task| task.node.clone()).collect()
    }

    /// **No service of several tasks is taken to zero**, unless that is allowed: a node is not drained while it alone serves,
    /// as far as the controller could see when it looked.
    pub(crate) fn check_gaps(&mut self, id: &NodeId, looked_at: u64) {
        if self.spec.allow_gaps {
            return;
        }
        let seen = looked_at.saturating_sub(self.hazard.lag + 8);
        let here = |index: &usize| {
            let served = |task: &SimTask| {
                task.service == *index
                    && task.node == *id
                    && task.state == TaskState::Running
                    && task.due < seen
            };
            let service = &self.services[*index];
            let alone = self.serving(*index).iter().all(|node| node == id);
            let several = service.mode == Mode::Replicated && service.replicas > 1;
            several && alone && service.spread_at < seen && self.tasks.iter().any(served)
        };
        if let Some(index) = (0..self.services.len()).find(here) {
            let name = self.services[index].name.clone();
            self.violation(format!("{id} is drained, and nothing of {name} runs meanwhile"));
        }
    }

    /// **A node is called done only where a new container starts.**
    pub(crate) fn check_result(&mut self, result: &NodeResult) {
        let broken = |node: &SimNode| node.id == result.node && !node.host.plan.starts_containers;
        if result.outcome == NodeOutcome::Succeeded && self.nodes.iter().any(broken) {
            self.violation(format!("{} is done, and no container starts there", result.node));
        }
    }

    /// **A node is called in sync only where `check` says so, nobody forces the work, and nothing of it was begun.**
    pub(crate) fn check_in_sync(&mut self, result: &NodeResult) {
        // Of one that left and joined again another node has the host, and of a try without its label agents are counted anew.
        let Some(node) = self.node(&result.node).filter(|node| !self.unlabelled_once.contains(&node.id))
        else {
            return;
        };
        let of_try = |one: &(NodeId, careen_planner::RolloutId, u32, u32)| {
            (&one.0, &one.1, one.2) == (&result.node, &self.spec.id, result.generation)
        };
        let begun = self.attempts.iter().any(of_try);
        let said = node.host.plan.check == Some(CheckEnd::InSync) && !self.spec.force;
        let wrong = match (&result.outcome, said, begun) {
            (NodeOutcome::InSync, false, _) => "is called in sync, and its check does not say so",
            (NodeOutcome::InSync, true, true) => "is called in sync, and its command has begun",
            (NodeOutcome::Succeeded, _, false) => "is done, and its command has never begun",
            (NodeOutcome::InSync, true, false)
            | (NodeOutcome::Succeeded, _, true)
            | (NodeOutcome::Failed { .. }, _, _) => return,
        };
        self.violation(format!("{} {wrong}", result.node));
    }

    /// **A command never leaves the engine down that was up before it**, without a word.
    pub(crate) fn check_engine(&mut self, index: usize, id: &Id, outcome: &Outcome) {
        let down = self.nodes[index].power == Power::EngineDown(u64::MAX);
        let said = matches!(
            outcome,
            Outcome::EngineDown { .. } | Outcome::RestartWanted { .. } | Outcome::Interrupted
        );
        if down && !said && id.part == PayloadCommand::Command {
            let line =
                format!("{id} on {} closes ({outcome}) and leaves the engine down", self.nodes[index].id);
            self.violation(line);
        }
    }

    /// **A node that refuses its image is said to.**
    fn check_refused(&mut self, pass: &Pass) {
        let patience = self.hazard.lag + 30;
        let mut silent = None;
        for (node, hold) in &pass.holds {
            let Some(index) = self.nodes.iter().position(|one| one.id == *node) else { continue };
            let Some(record) = self.record(index).filter(|record| record.state == NodeState::Entering) else {
                continue;
            };
            let refuses = self.jobs.iter().any(|job| {
                let current = (&job.key.node, job.key.generation, job.key.agent)
                    == (node, record.generation, record.agent);
                current && job.refused.is_some() && self.now > job.refused_at + patience
            });
            if refuses && matches!(hold, Hold::Placing { .. }) {
                silent = Some(node.clone());
            }
        }
        if let Some(node) = silent {
            self.violation(format!("{node} refuses the image, and nobody says so"));
        }
    }

    /// **Every waiting node has a hold.**
    pub fn check_holds(&mut self, pass: &Pass) {
        self.check_refused(pass);
        let missing = pass.states.iter().find(|(node, state)| {
            !state.is_terminal()
                && !pass.holds.contains_key(node)
                && !matches!(self.rollout.control, Control::Aborting | Control::Finished { .. })
        });
        if let Some((node, state)) = missing {
            self.violation(format!("{node} waits ({}) and nobody says why", state.name()));
        }
    }

    /// **Availability is restored**, except where the design says that it stays: on nodes that failed. **Nothing is left behind**: no
    /// service, no file of the payload, no unlock key.
    pub fn check_end(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            // Of one that had failed a controller that woke up too late may say that it is to be tried again.
            let failed = matches!(
                self.state(node),
                Some(NodeState::Failed { .. } | NodeState::Skipped { .. } | NodeState::Pending)
            );
            // Of one that failed while services were scaled up for it, as well.
            let surge = self.spec.surge || self.services.iter().any(|service| service.surge == Some(true));
            let careens = node.availability == Availability::Drain
                || (surge && node.availability == Availability::Pause);
            let stays = failed && careens && node.wish != Availability::Drain;
            if node.availability != node.wish && !stays {
                let line = format!(
                    "{} is left {:?}, its operator wants {:?}",
                    node.id, node.availability, node.wish
                );
                self.violation(line);
            }
        }
        // What is on a node that did not report when the rollout ended is for the next one.
        let dead = |id: &NodeId| {
            // Of one that left while it went on nothing is left.
            self.node(id).map_or(!self.left.contains_key(id), |node| {
                node.power == Power::Dead || node.unseen_at + 60 > self.over_at
            })
        };
        let left: Vec<String> = self
            .jobs
            .iter()
            .filter(|job| !job.stale && !dead(job.place()))
            .map(|job| job.key.name())
            .collect();
        if !left.is_empty() {
            self.violation(format!("services are left: {left:?}"));
        }
        // Swarm keeps what a service refers to.
        if self.delivered && self.jobs.iter().all(|job| job.key.rollout != self.spec.id) {
            self.violation("the payload's files are left");
        }
        if self.has_unused_key() {
            self.violation("the unlock key is left");
        }
        self.check_supervisors();
        self.check_scale();
        if let Control::Finished { outcome } = self.rollout.control {
            self.check_move_end(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario;
    use careen_planner::{Act, Action, JobKey, JobRole, Pass, PassEnd, Version, Watch};
    use std::collections::BTreeMap;

    #[test]
    fn a_gate_that_is_opened_on_a_glance_is_caught() {
        for (looked, is_gate, caught) in [(true, true, 0), (false, true, 1), (false, false, 0)] {
            let mut world = scenario::random(0);
            let (rollout, node) = (world.spec.id.clone(), world.nodes[0].id.clone());
            let key = JobKey { rollout, node, generation: 1, agent: 1, role: JobRole::Gate(1) };
            let version = Version(1);
            let action = if is_gate { Action::OpenGate { key, version } } else { Action::Beat { version } };
            let pass = Pass {
                actions: vec![Act { epoch: 1, action }],
                holds: BTreeMap::new(),
                states: BTreeMap::new(),
                end: PassEnd::GoOn,
                watch: Watch::default(),
            };
            world.check_look(&pass, looked);
            assert_eq!(world.violations.len(), caught, "{looked} {is_gate}");
        }
    }
}
