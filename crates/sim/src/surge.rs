//! Services that are scaled up before a drain: what is written to them, what operators do with them meanwhile, and what must
//! never be.

use crate::world::{SimNode, SimTask, World};
use careen_contract::label;
use careen_planner::cluster::ActError;
use careen_planner::observed::{Availability, Mode, TaskState};
use careen_planner::state::NodeRecord;
use careen_planner::surge::{Stand, Surge};
use careen_planner::{NodeId, NodeState, ServiceId, Version};

impl World {
    /// A number of tasks is written to a service.
    pub(crate) fn scale(
        &mut self,
        id: &ServiceId,
        (version, from): (Version, u64),
        to: u64,
        looked_at: u64,
    ) -> Result<(), ActError> {
        let next = self.next_version();
        let index = self.services.iter().position(|one| one.name == id.0).ok_or(ActError::Gone)?;
        let service = &mut self.services[index];
        if (service.version, service.replicas) != (version, from) {
            return Err(ActError::Conflict);
        }
        (service.version, service.replicas) = (next, to);
        if self.now < service.updates_until {
            let line = format!("{} is scaled, which ends its update", service.name);
            self.violation(line);
        }
        if to < from {
            self.check_scaled_back(index, looked_at);
        }
        Ok(())
    }

    /// How many of its tasks run on nodes that serve, but for this one.
    fn healthy(&self, service: usize, but: Option<&NodeId>) -> u64 {
        let serves = |node: &SimNode| node.ready && node.availability != Availability::Drain;
        let runs = |task: &&SimTask| {
            task.service == service
                && task.wanted
                && task.state == TaskState::Running
                && Some(&task.node) != but
                && self.node(&task.node).is_some_and(serves)
        };
        self.tasks.iter().filter(runs).count() as u64
    }

    /// How many of its tasks run that its operator wants, as long as nothing but careen interferes.
    fn expected(&self, service: usize) -> u64 {
        let service = &self.services[service];
        let before =
            self.baseline.as_ref().and_then(|one| one.services.get(&ServiceId(service.name.clone())));
        service.wish.min(before.map_or(0, |before| before.running))
    }

    fn is_calm(&self, service: usize, looked_at: u64) -> bool {
        let seen = looked_at.saturating_sub(self.hazard.lag + 8);
        let changes = |node: &SimNode| !node.ready || node.unseen_at >= seen || node.wish_at >= seen;
        self.services[service].upset_at < seen && !self.nodes.iter().any(changes)
    }

    /// **What is scaled up is never missing through a drain of ours**: a node is drained when as many run elsewhere as are wanted.
    pub(crate) fn check_surge(&mut self, id: &NodeId, looked_at: u64) {
        if self.spec.allow_gaps {
            return;
        }
        let seen = looked_at.saturating_sub(self.hazard.lag + 8);
        let missing = |index: &usize| {
            let service = &self.services[*index];
            let surges = service.surge.unwrap_or(self.spec.surge && service.wish > 1);
            let ran = |task: &SimTask| task.service == *index && task.node == *id && task.due < seen;
            surges
                && service.mode == Mode::Replicated
                && service.pinned.is_none()
                && service.wish > 0
                && self.tasks.iter().any(|task| ran(task) && task.wanted)
                && self.is_calm(*index, looked_at)
                && self.healthy(*index, Some(id)) < self.expected(*index)
        };
        if let Some(index) = (0..self.services.len()).find(missing) {
            let (name, healthy) = (self.services[index].name.clone(), self.healthy(index, Some(id)));
            self.violation(format!("{id} is drained, and {name} has {healthy} healthy tasks elsewhere"));
        }
    }

    /// **It is given back when none is missing through that.** What is given back of a node that is no longer being drained may not
    /// have been healthy in time.
    fn check_scaled_back(&mut self, index: usize, looked_at: u64) {
        let id = ServiceId(self.services[index].name.clone());
        let drains = |node: &SimNode| {
            let surge = node.labels.get(label::SURGE).and_then(|text| Surge::decode(text).ok());
            let record = node.labels.get(label::NODE).and_then(|text| NodeRecord::decode(text).ok());
            surge.is_some_and(|surge| surge.services.contains_key(&id))
                && record.is_some_and(|record| matches!(record.state, NodeState::Draining { .. }))
        };
        let surplus = self.healthy(index, None).saturating_sub(self.expected(index));
        if surplus == 0 && self.nodes.iter().any(drains) && self.is_calm(index, looked_at) {
            let line = format!("{} is scaled back before all of it runs elsewhere", id.0);
            self.violation(line);
        }
    }

    /// **What was scaled up is given back**, and what somebody else has scaled is left alone.
    pub(crate) fn check_scale(&mut self) {
        let left = |service: &&crate::world::SimService| {
            service.replicas != service.wish && !service.forgotten && service.mode == Mode::Replicated
        };
        if let Some(service) = self.services.iter().find(left) {
            let line =
                format!("{} is left with {} tasks, wanted {}", service.name, service.replicas, service.wish);
            self.violation(line);
        }
    }

    /// `docker service scale`, or the beginning of an update.
    pub(crate) fn somebody_changes_a_service(&mut self) {
        if self.services.is_empty() || !self.has_quorum() {
            return;
        }
        let index = (self.rng.number() % self.services.len() as u64) as usize;
        let (version, now) = (self.next_version(), self.now);
        let updates = self.rng.permille(400);
        let has = self.services[index].replicas;
        // A change to just what careen makes of it at the moment leaves no trace. Beside these there is none of that kind: a service is
        // scaled up to twice as many at most.
        let made = self.is_surging(index);
        let up = has < 5 && self.rng.permille(300);
        let more = if up { 2 * has + 1 } else { self.rng.between(0, has) };
        let service = &mut self.services[index];
        if service.mode != Mode::Replicated {
            return;
        }
        let name = service.name.clone();
        (service.version, service.upset_at) = (version, now);
        if updates {
            // Long enough to be seen, and short enough to be through in time.
            service.updates_until = now + 30;
            return self.say(format!("operator: updates {name}"));
        }
        if made.is_none_or(|to| to != more) {
            (service.replicas, service.wish) = (more, more);
            self.say(format!("operator: scales {name} to {more}"));
        }
    }

    /// The same by an operator who knows nothing of surges, but for a number that careen may be about to make of it.
    pub(crate) fn is_scaled(&mut self, index: usize, replicas: u64, version: Version) {
        let (made, surges, now) = (self.is_surging(index), self.spec.surge, self.now);
        let service = &mut self.services[index];
        if surges && (made == Some(replicas) || replicas > service.replicas) {
            return;
        }
        (service.replicas, service.wish, service.version) = (replicas, replicas, version);
        service.upset_at = now;
    }

    /// To how many a label says that it is scaled.
    fn is_surging(&self, index: usize) -> Option<u64> {
        let id = ServiceId(self.services[index].name.clone());
        self.nodes.iter().find_map(|node| {
            let surge = node.labels.get(label::SURGE).and_then(|text| Surge::decode(text).ok())?;
            Some(surge.services.get(&id)?.to)
        })
    }

    /// A node leaves, and its label with it: what a controller does not remember of it nobody knows.
    pub(crate) fn forgets_surge_of(&mut self, index: usize) {
        let Some(surge) =
            self.nodes[index].labels.get(label::SURGE).and_then(|text| Surge::decode(text).ok())
        else {
            return;
        };
        for at in 0..self.services.len() {
            let id = ServiceId(self.services[at].name.clone());
            let seen = self.observe_service(at);
            let stand = surge.services.get(&id).map(|scaling| scaling.stand(Some(&seen)));
            if matches!(stand, Some(Stand::Intended | Stand::Made(_))) {
                self.services[at].forgotten = true;
            }
        }
    }
}
