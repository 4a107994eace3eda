//! What a controller sees of the swarm at one moment. Everything that is decided is decided from this.

use crate::ids::{ControllerId, JobKey, NodeId, RolloutId, ServiceId, Version};
pub use crate::needs::{HostPort, Needs, Offers, Platform, Plugin, Resources};
use crate::rollout::{Baseline, NodeResult, RolloutRecord};
pub use careen_model::report::{Draw, Expectation, HostPhase, NodeOutcome, Printed, Report, Restart, Said};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The swarm as seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All services but jobs.
    pub services: Vec<Service>,
    /// The tasks that Swarm wants to run, or that still run; careen's own are in `jobs`.
    pub tasks: Vec<Task>,
    /// careen's own services: agents and gates.
    pub jobs: Vec<Job>,
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
    /// Where the rollout's controller runs: the one that looks, or for an onlooker the lock's holder. `None` when that is
    /// not on a node of the swarm, or not known.
    pub controller: Option<ControllerPlace>,
    /// Whether managers ask for a key after their engine was restarted.
    pub autolock: bool,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its host's name.
    pub hostname: String,
    /// Its version in the store.
    pub version: Version,
    /// What it is.
    pub role: Role,
    /// What Swarm may place on it.
    pub availability: Availability,
    /// Whether its agent reports to the managers.
    pub status: NodeStatus,
    /// As a manager; `None` on workers.
    pub manager: Option<Manager>,
    /// Its engine's version.
    pub engine: String,
    /// The highest API version that its engine speaks, as `(1, 41)`.
    pub api: (u32, u32),
    /// `linux`, `windows`.
    pub os: String,
    /// `x86_64`.
    pub arch: String,
    /// Its labels, careen's among them.
    pub labels: BTreeMap<String, String>,
    /// Its engine's labels.
    pub engine_labels: BTreeMap<String, String>,
    /// What it offers to tasks.
    #[serde(default)]
    pub offers: Offers,
    /// Containers that no swarm service owns, as far as somebody looked.
    pub plain_containers: Vec<String>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It runs tasks.
    Worker,
    /// It keeps the swarm's store, too.
    Manager,
}

/// What Swarm may do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// Tasks are placed on it.
    Active,
    /// What runs stays, nothing new is placed.
    Pause,
    /// Tasks of services are stopped, nothing new is placed. Running job tasks stay.
    Drain,
}

impl Availability {
    /// Docker's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }
}

/// Whether a node reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeStatus {
    /// It does.
    Ready,
    /// It missed its heartbeats.
    Down,
    /// Nobody knows yet.
    Unknown,
    /// It left, or must not report.
    Disconnected,
}

/// A node as a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manager {
    /// Whether it leads.
    pub leader: bool,
    /// Whether the leader reaches it.
    pub reachability: Reachability,
}

/// What the leader says of a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reachability {
    /// It takes part.
    Reachable,
    /// It does not.
    Unreachable,
    /// Nobody knows. Counts as down.
    Unknown,
}

/// A service that is no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: String,
    /// Replicated or global.
    pub mode: Mode,
    /// How many tasks it should have now.
    pub desired: u64,
    /// How many run.
    pub running: u64,
    /// Its placement constraints, as they were written.
    pub constraints: Vec<String>,
    /// What else each of its tasks asks of a node.
    #[serde(default)]
    pub needs: Needs,
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
    /// What its tasks mount from their node.
    pub mounts: Vec<Mount>,
}

/// How a service's tasks are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A number of tasks, anywhere.
    Replicated,
    /// One on each node that fits.
    Global,
}

/// A mount that a task has from its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Which kind.
    pub kind: MountKind,
    /// The volume's name or the host's path.
    pub source: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// Where a mount's data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// A volume of the driver `local` without options: on one node only.
    LocalVolume,
    /// A path of the host.
    Bind,
    /// A volume that other nodes reach too, or nothing that lasts.
    Elsewhere,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Its service; a job's task names the job's service.
    pub service: ServiceId,
    /// What people know it by: its service's name, or where that was removed, what it runs. Empty when nobody looked.
    #[serde(default)]
    pub called: String,
    /// Whether it belongs to a job (of others: careen's own are in [`Observed::jobs`]).
    pub job: bool,
    /// Its node, when it is placed.
    pub node: Option<NodeId>,
    /// How far it is.
    pub state: TaskState,
    /// Whether Swarm wants it to run.
    pub wanted: bool,
    /// What is reserved for it.
    #[serde(default)]
    pub reserved: Resources,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Not placed.
    Pending,
    /// Placed, not running yet.
    Starting,
    /// Running.
    Running,
    /// Ended with status 0.
    Complete,
    /// Ended otherwise, or its container is gone.
    Failed,
    /// Refused by its node.
    Rejected,
    /// Stopped because Swarm wanted it so.
    Shutdown,
}

impl TaskState {
    /// Whether its container does not run any more.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Starting | Self::Running => false,
            Self::Complete | Self::Failed | Self::Rejected | Self::Shutdown => true,
        }
    }
}

/// One of careen's own services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Which.
    pub key: JobKey,
    /// Its version in the store.
    pub version: Version,
    /// Whether it was stopped: its current iteration fits nowhere, so that the containers of the one before go away.
    pub stopped: bool,
    /// On which node, when that is another than the one that the try is for.
    #[serde(default)]
    pub on: Option<NodeId>,
    /// Its tasks of all iterations.
    pub tasks: Vec<TaskState>,
    /// Why its node refuses it, in the words of the node's engine.
    #[serde(default)]
    pub refused: Option<String>,
}

impl Job {
    /// Whether one of its tasks runs.
    pub fn runs(&self) -> bool {
        self.tasks.contains(&TaskState::Running)
    }

    /// Whether a container of it may be there, as far as the swarm knows.
    pub fn may_run(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task, TaskState::Starting | TaskState::Running))
    }

    /// Whether its container was there and is not any more. A task that Swarm has started in its place (a leader change
    /// does that to failed tasks of jobs) is no help: on a drained node it waits for ever, and an agent that was started
    /// again has drawn other gates, or none.
    pub fn is_lost(&self) -> bool {
        self.tasks.iter().any(|task| task.is_over())
    }
}

/// The last report of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReport {
    /// On which node.
    pub node: NodeId,
    /// Of which transaction.
    pub transaction: String,
    /// Of which try.
    pub generation: u32,
    /// Which agent of this try says so.
    pub agent: u32,
    /// What.
    pub said: Said,
    /// Why the host waits meanwhile, in words.
    pub waits: Option<String>,
    /// What its command printed last.
    #[serde(default)]
    pub printed: Option<Printed>,
}

/// The lock over all rollouts of a swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its version in the store. Every heartbeat moves it.
    pub version: Version,
    /// Who holds it; `None` when it was given back.
    pub holder: Option<ControllerId>,
    /// How often it was taken.
    pub epoch: u64,
    /// For which rollout it was taken.
    pub rollout: Option<RolloutId>,
    /// Where the holder runs; `None` outside of the swarm.
    #[serde(default)]
    pub place: Option<ControllerPlace>,
}

/// Where a controller runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerPlace {
    /// On which node.
    pub node: NodeId,
    /// Whether it is a service that Swarm can place elsewhere. A plain container stays, and comes back with its engine.
    pub movable: bool,
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

    /// What people know a task by.
    pub fn task_name(&self, task: &Task) -> String {
        match (task.called.is_empty(), self.service(&task.service)) {
            (false, _) => task.called.clone(),
            (true, Some(service)) => service.name.clone(),
            (true, None) => task.service.0.clone(),
        }
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
        self.last_report(agent).map(|report| &report.said)
    }

    /// Why the host of this agent waits, as it said last.
    pub fn host_waits(&self, agent: &JobKey) -> Option<&str> {
        self.last_report(agent)?.waits.as_deref()
    }

    /// What the command on this agent's host printed last, as it said last.
    pub fn printed(&self, agent: &JobKey) -> Option<&Printed> {
        self.last_report(agent)?.printed.as_ref()
    }

    fn last_report(&self, agent: &JobKey) -> Option<&AgentReport> {
        let of = |report: &&AgentReport| {
            report.node == agent.node && report.generation == agent.generation && report.agent == agent.agent
        };
        self.reports.iter().find(of)
    }

    /// The result of one try on one node.
    pub fn result(&self, node: &NodeId, generation: u32) -> Option<&NodeResult> {
        self.results.iter().find(|result| result.node == *node && result.generation == generation)
    }
}

impl Node {
    /// Whether it reports to the managers.
    pub fn is_ready(&self) -> bool {
        self.status == NodeStatus::Ready
    }

    /// Whether it is a manager.
    pub fn is_manager(&self) -> bool {
        self.role == Role::Manager
    }

    /// Whether it leads.
    pub fn is_leader(&self) -> bool {
        self.manager.is_some_and(|manager| manager.leader)
    }
}
