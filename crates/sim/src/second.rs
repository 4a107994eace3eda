//! One second of the swarm: power, the election of a leader, what the managers see of nodes; then everybody acts.

use crate::world::{Power, World};
use careen_planner::observed::Role;

/// So long a leader was once seen to call a node down that took part.
const CALLED_DOWN: u64 = 14 * 60;

impl World {
    /// Lets one second pass everywhere.
    pub fn tick(&mut self) {
        self.remember();
        self.now += 1;
        self.power();
        self.election();
        self.node_status();
        if self.has_quorum() {
            self.orchestrate();
            self.place_jobs();
        }
        self.node_agents();
        self.note_spread();
        self.supervisors();
        self.outsiders();
        self.agents();
        self.supervisors();
        self.note_second();
    }

    fn power(&mut self) {
        for index in 0..self.nodes.len() {
            self.power_of(index);
        }
    }

    /// What was down comes up when its time has come.
    pub(crate) fn power_of(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let boots = !node.power.host_is_up();
        let back = match node.power {
            Power::EngineDown(until) | Power::HostDown(until) => now >= until,
            Power::Up | Power::Dead => false,
        };
        if !back {
            return;
        }
        node.power = Power::Up;
        let through_us = std::mem::take(&mut node.down_through_us);
        // By the clock and not by chance: other histories stay as they are.
        let lost = boots && through_us && node.role == Role::Manager && now.is_multiple_of(8);
        node.called_down_until = if lost { now + CALLED_DOWN } else { 0 };
        let line = format!("{} is up again", node.id);
        self.say(line);
        self.engine_starts(index);
        if boots {
            self.resume(index);
        }
    }

    fn election(&mut self) {
        let leads = self.leader.is_some_and(|index| {
            self.nodes.get(index).is_some_and(|node| node.role == Role::Manager && node.takes_part(self.now))
        });
        if leads {
            return;
        }
        if self.leader.take().is_some() {
            self.election_at = self.now + 3;
        }
        let (members, reachable) = self.managers();
        if self.now < self.election_at || reachable <= members / 2 {
            return;
        }
        let now = self.now;
        let able: Vec<usize> = (0..self.nodes.len())
            .filter(|index| self.nodes[*index].role == Role::Manager && self.nodes[*index].takes_part(now))
            .collect();
        if !able.is_empty() {
            let leader = *self.rng.pick(&able);
            self.leader = Some(leader);
            self.say(format!("{} leads", self.nodes[leader].id));
            self.reconcile_jobs();
        }
    }

    fn node_status(&mut self) {
        let now = self.now;
        let leader = self.leader;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let reports = node.takes_part(now) && (leader == Some(index) || now >= node.called_down_until);
            if !node.ready {
                node.unseen_at = now;
            }
            if reports == node.ready {
                node.differs_since = None;
                continue;
            }
            let since = *node.differs_since.get_or_insert(now);
            // Three missed heartbeats make it down; it is back as soon as it registers.
            let patience = if reports { 2 } else { 15 };
            if now - since >= patience {
                node.ready = reports;
                node.differs_since = None;
            }
        }
    }
}
