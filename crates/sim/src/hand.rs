//! What people delete by hand, although careen's documents say that they should not.

use crate::cluster::View;
use crate::world::World;
use careen_contract::label;
use careen_planner::cluster::ActError;
use careen_planner::participants;
use careen_planner::remains::{self, Giving, Next, Scope};
use careen_planner::rollout::Control;
use careen_planner::{Action, ControllerId, Indexed, NodeId};

impl World {
    /// Something of the rollout's, while it goes on.
    pub(crate) fn somebody_deletes(&mut self, index: usize) {
        let id = self.nodes[index.min(self.nodes.len() - 1)].id.clone();
        if !self.has_quorum() || matches!(self.rollout.control, Control::Finished { .. }) {
            return;
        }
        match self.rng.between(0, 9) {
            // Where the host has lost its state as well, nobody is left who could know.
            0..=4 if self.truth.blank.contains(&id) => {}
            0..=4 => self.delete_label(&id),
            5..=7 => self.delete_services(&id),
            8 => {
                self.say("somebody deletes the results");
                self.results.clear();
                self.forget_untraced();
            }
            _ if self.rng.permille(300) => {
                self.say("somebody deletes the baseline");
                self.baseline = None;
                // As long as nothing had begun, the rollout begins anew with those that are there.
                let observed = self.observe(&id);
                if !participants::is_forgotten(&observed, &self.spec.id) {
                    self.left.clear();
                }
            }
            _ if self.rng.permille(500) => {
                self.say("somebody deletes the rollout's config");
                self.removed = true;
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
        let begun = participants::trace(&Indexed::of(&observed), &self.spec.id, id).is_some();
        let (version, now) = (self.next_version(), self.now);
        let Some(node) = self.node_mut(id) else { return };
        if node.labels.remove(label::NODE).is_none() {
            return;
        }
        (node.version, node.wish, node.wish_at) = (version, node.availability, now);
        self.say(format!("somebody deletes the label of {id}"));
        self.unlabelled_once.insert(id.clone());
        if begun {
            self.unlabelled.insert(id.clone());
        }
    }

    /// One step of an operator's command that gives back what is left.
    pub fn give_back(&mut self, giving: &Giving) -> Result<(), ActError> {
        let who = ControllerId("operator".to_owned());
        let place = self.nodes.first().map(|node| node.id.clone()).ok_or(ActError::Gone)?;
        let looked_at = self.now;
        View { world: self, who, place, looked_at, moved: false, looked: false, distort: |_, _| {} }
            .carry_out(&giving.clone().into(), 0)
    }

    /// What `careen abort` does when the rollout's config is gone.
    pub(crate) fn give_everything_back(&mut self) -> Next {
        let place = self.nodes.first().map(|node| node.id.clone()).unwrap_or_else(|| NodeId(String::new()));
        let observed = self.observe(&place);
        let next = remains::next(&observed, &Scope::Rollout(self.spec.id.clone()));
        if let Next::Act(steps) = &next {
            for giving in steps {
                let result = self.give_back(giving);
                self.say(format!("operator: {}: {result:?}", Action::from(giving.clone()).name()));
            }
        }
        next
    }

    /// `docker service rm` of all that careen has on a node.
    pub fn delete_services(&mut self, id: &NodeId) {
        if self.jobs.iter().any(|job| job.key.node == *id) {
            self.say(format!("somebody deletes the services of {id}"));
            self.jobs.retain(|job| job.key.node != *id);
            self.services_deleted.insert(id.clone());
            self.forget_untraced();
        }
    }

    /// Of a node without label, services and results nobody can tell that it had begun. Its host can.
    pub(crate) fn forget_untraced(&mut self) {
        let (jobs, results, spec) = (&self.jobs, &self.results, &self.spec);
        self.unlabelled.retain(|node| {
            jobs.iter().any(|job| job.key.node == *node && job.key.rollout == spec.id)
                || results.iter().any(|result| result.node == *node)
        });
    }
}
