//! What people delete by hand, although careen's documents say that they should not.

use crate::world::World;
use careen_planner::NodeId;
use careen_planner::participants;
use careen_planner::rollout::Control;
use careen_planner::state::RECORD_LABEL;

impl World {
    /// Something of the rollout's, while it goes on.
    pub(crate) fn somebody_deletes(&mut self, index: usize) {
        let id = self.nodes[index.min(self.nodes.len() - 1)].id.clone();
        if !self.has_quorum() || matches!(self.rollout.control, Control::Finished { .. }) {
            return;
        }
        match self.rng.between(0, 9) {
            0..=4 => self.delete_label(&id),
            5..=7 => self.delete_services(&id),
            8 => {
                self.say("somebody deletes the results");
                self.results.clear();
            }
            _ if self.rng.permille(300) => {
                self.say("somebody deletes the baseline");
                self.baseline = None;
            }
            _ => {
                self.say("somebody deletes the lock");
                self.lock = None;
            }
        }
    }

    /// `docker node update --label-rm careen.node`. What the node's availability was, nobody knows any more: it is the
    /// operator's from now on.
    pub fn delete_label(&mut self, id: &NodeId) {
        let place = self.nodes.first().map(|node| node.id.clone()).unwrap_or_else(|| id.clone());
        let observed = self.observe(&place);
        let begun = participants::trace(&observed, &self.spec.id, id).is_some();
        let (version, now) = (self.next_version(), self.now);
        let Some(node) = self.node_mut(id) else { return };
        if node.labels.remove(RECORD_LABEL).is_none() {
            return;
        }
        (node.version, node.wish, node.wish_at) = (version, node.availability, now);
        self.say(format!("somebody deletes the label of {id}"));
        if begun {
            self.unlabelled.insert(id.clone());
        }
    }

    /// `docker service rm` of all that careen has on a node.
    pub fn delete_services(&mut self, id: &NodeId) {
        if self.jobs.iter().any(|job| job.key.node == *id) {
            self.say(format!("somebody deletes the services of {id}"));
            self.jobs.retain(|job| job.key.node != *id);
        }
    }
}
