//! What a controller sees of the swarm at one moment. Everything that is decided is decided from this.

use crate::ids::{JobKey, NodeId, ServiceId};
pub use crate::moves::Moving;
pub use crate::needs::{HostPort, Needs, Offers, Platform, Plugin, Resources};
pub use crate::objects::{
    AgentReport, Availability, ControllerPlace, Job, Lock, Manager, Mode, Mount, MountKind, Node, NodeStatus,
    Reachability, Refusal, Role, Scale, Service, Tally, Task, TaskState, UnfinishedUpdate,
};
use crate::rollout::{Baseline, NodeResult, RolloutRecord};
pub use careen_contract::report::{
    Draw, Expectation, HostPhase, NodeOutcome, Printed, Report, Restart, Said,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The swarm as seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// All nodes of the swarm, down or not.
    pub nodes: Vec<Node>,
    /// All services but jobs.
    pub services: Vec<Service>,
    /// The tasks that Swarm wants to run, or that still run; careen's own are in `jobs`.
    pub tasks: Vec<Task>,
    /// careen's own services: agents and gates.
    pub jobs: Vec<Job>,
    /// The tickets of this rollout: without its ticket the service of an agent that needs no go cannot be created.
    #[serde(default)]
    pub tickets: Vec<JobKey>,
    /// What keeps tasks from running that should, by their service's name, careen's own among them: in the words of Swarm, or of
    /// the engine that refused one or could not start it. What is on its way has none.
    #[serde(default)]
    pub troubles: BTreeMap<String, String>,
    /// What the agents reported, as far as it can be read now: the last report of each.
    pub reports: Vec<AgentReport>,
    /// The lock over all rollouts of this swarm; `None` while there never was one.
    pub lock: Option<Lock>,
    /// Where the rollout stands; `None` when its config is gone.
    pub rollout: Option<RolloutRecord>,
    /// How services stood before the rollout began; `None` until it is recorded.
    pub baseline: Option<Baseline>,
    /// Results of nodes that are finished, as they were written.
    pub results: Vec<NodeResult>,
    /// Whether this rollout's history record is written.
    pub history_written: bool,
    /// Whether files that this rollout brought into the swarm are there, though it is over.
    pub delivered: bool,
    /// Whether the unlock key that this rollout brought into the swarm is there, though it is over and no service refers to the key.
    #[serde(default)]
    pub key_is_left: bool,
    /// Where the rollout's controller runs: the one that looks, or for an onlooker the lock's holder. `None` when that is
    /// not on a node of the swarm, or not known.
    pub controller: Option<ControllerPlace>,
    /// Whether managers ask for a key after their engine was restarted.
    pub autolock: bool,
    /// What is seen of the enforcement that this rollout moves, where it moves one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
    /// Overlay networks that encrypt what they carry between nodes, as far as somebody looked.
    #[serde(default)]
    pub encrypted_networks: Vec<String>,
}

impl Observed {
    /// A node by its id.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// A service by its id.
    pub fn service(&self, id: &ServiceId) -> Option<&Service> {
        self.services.iter().find(|service| service.id == *id)
    }

    /// What keeps tasks of these services from running, as far as somebody says it.
    pub fn troubles_of(&self, services: &[String]) -> BTreeMap<String, String> {
        let told = |name: &String| Some((name.clone(), self.troubles.get(name)?.clone()));
        services.iter().filter_map(told).collect()
    }

    /// One of careen's own services.
    pub fn job(&self, key: &JobKey) -> Option<&Job> {
        self.jobs.iter().find(|job| job.key == *key)
    }

    /// The last report of one agent.
    pub fn report(&self, agent: &JobKey) -> Option<&Said> {
        let of = |report: &&AgentReport| {
            report.node == agent.node && report.generation == agent.generation && report.agent == agent.agent
        };
        self.reports.iter().find(of).map(|report| &report.said)
    }
}
