//! What lies in a swarm, as far as a rollout looks at it: nodes, services, tasks, and careen's own services among them.

use crate::ids::{ControllerId, JobKey, NodeId, RolloutId, ServiceId, Version};
use crate::needs::{Needs, Offers, Resources};
use careen_contract::report::{Printed, Said};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use strum::{IntoStaticStr, VariantArray};

/// A node, as the managers know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Node {
    pub id: NodeId,
    pub hostname: String,
    /// Its version in the store.
    pub version: Version,
    pub role: Role,
    /// What Swarm may place on it.
    pub availability: Availability,
    /// Whether its agent reports to the managers.
    pub status: NodeStatus,
    /// As a manager; `None` on workers.
    pub manager: Option<Manager>,
    /// The version that its engine reports.
    pub engine: String,
    /// The highest API version that its engine speaks, as `(1, 41)`.
    pub api: (u32, u32),
    /// `linux`, `windows`.
    pub os: String,
    /// `x86_64`.
    pub arch: String,
    /// Its labels, careen's among them.
    pub labels: BTreeMap<String, String>,
    pub engine_labels: BTreeMap<String, String>,
    /// What it offers to tasks.
    #[serde(default)]
    pub offers: Offers,
    /// Containers that no swarm service owns, as far as somebody looked.
    pub plain_containers: Vec<String>,
    /// Those of them that are on an overlay network: Docker does not bring them back when the engine was restarted.
    #[serde(default)]
    pub plain_on_overlays: Vec<String>,
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
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Availability {
    /// Tasks are placed on it.
    Active,
    /// What runs stays, nothing new is placed.
    Pause,
    /// Tasks of services are stopped, nothing new is placed. Running job tasks stay.
    Drain,
}

impl Availability {
    /// The word that docker uses for it.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// Whether a node reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeStatus {
    /// Its heartbeats arrive.
    Ready,
    /// It missed its heartbeats.
    Down,
    /// The leader is new, and the node has not reported to it yet.
    Unknown,
    /// It left, or must not report.
    Disconnected,
}

/// A node as a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Manager {
    pub leader: bool,
    /// Whether the leader reaches it.
    pub reachability: Reachability,
}

/// What the leader says of a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reachability {
    /// It takes part in the managers' quorum.
    Reachable,
    /// It does not take part in it.
    Unreachable,
    /// Nobody knows. Counts as down.
    Unknown,
}

/// A service that is no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Service {
    pub id: ServiceId,
    pub name: String,
    pub mode: Mode,
    /// How many tasks it should have now.
    pub desired: u64,
    /// How many of its tasks run now.
    pub running: u64,
    /// What Swarm counts itself, where it was asked.
    #[serde(skip)]
    pub tally: Option<Tally>,
    /// How it is scaled; `None` where a number of tasks is not what it is given.
    #[serde(skip)]
    pub scale: Option<Scale>,
    /// Its placement constraints, as they were written.
    pub constraints: Vec<String>,
    /// What else each of its tasks asks of a node.
    #[serde(default)]
    pub needs: Needs,
    /// Labels of the service itself, not of its containers.
    pub labels: BTreeMap<String, String>,
    /// What its tasks mount from their node.
    pub mounts: Vec<Mount>,
}

/// What Swarm counts of a service. Tasks that are being stopped are among those that run, and those of a node that is down: it tells
/// that something changed, and not how the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Tally {
    /// The service's version in the store.
    pub version: Version,
    pub running: u64,
    pub desired: u64,
}

/// What a service is scaled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Scale {
    /// The service's version in the store.
    pub version: Version,
    pub replicas: u64,
    /// An update that is not through: whatever is written to the service ends it.
    pub update: Option<UnfinishedUpdate>,
}

/// How far an update is that Swarm is not through with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum UnfinishedUpdate {
    UnderWay,
    Paused,
    RollingBack,
    RollbackPaused,
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
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Mount {
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

/// A task of somebody else's: careen's own are counted in [`Job`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Task {
    pub id: String,
    /// Its service; a job's task names the job's service.
    pub service: ServiceId,
    /// What people know it by: its service's name, or where that was removed, what it runs. Empty when nobody looked.
    #[serde(default)]
    pub called: String,
    /// Whether it belongs to a job (of others: careen's own are in [`crate::Observed::jobs`]).
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
    /// Not placed on a node yet.
    Pending,
    /// Placed, not running yet.
    Starting,
    /// Its container runs, as its node reports.
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

impl Task {
    /// What people know it by, with its service where that is known.
    pub fn name_of(&self, service: Option<&Service>) -> String {
        match (self.called.is_empty(), service) {
            (false, _) => self.called.clone(),
            (true, Some(service)) => service.name.clone(),
            (true, None) => self.service.0.clone(),
        }
    }
}

impl TaskState {
    /// Whether its container does not run any more.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Starting | Self::Running => false,
            Self::Complete | Self::Failed | Self::Rejected | Self::Shutdown => true,
        }
    }

    /// Whether it ended otherwise than it should, and nobody told it to.
    pub const fn ended_by_itself(self) -> bool {
        match self {
            Self::Failed | Self::Rejected => true,
            Self::Pending | Self::Starting | Self::Running | Self::Complete | Self::Shutdown => false,
        }
    }
}

/// One of careen's own services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Job {
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
    /// Whether all of its tasks that are over went with their engine, which stopped in good order: it tells each container to stop,
    /// kills what has not ended 10 s later, and removes it.
    #[serde(default)]
    pub swept: bool,
    /// Why its node refuses it.
    #[serde(default)]
    pub refused: Option<Refusal>,
}

/// Why a node refuses a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// In the words of the node's engine.
    pub why: String,
    /// Whether it has no such image.
    pub no_image: bool,
}

impl Job {
    /// The node that it runs on.
    pub fn place(&self) -> &NodeId {
        self.on.as_ref().unwrap_or(&self.key.node)
    }

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
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct AgentReport {
    pub node: NodeId,
    pub transaction: String,
    /// Which try of the rollout on this node.
    pub generation: u32,
    /// Which agent of this try says so.
    pub agent: u32,
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
#[expect(missing_docs, reason = "the field's name says it")]
pub struct ControllerPlace {
    pub node: NodeId,
    /// Whether it is a service that Swarm can place elsewhere. A plain container stays, and comes back with its engine.
    pub movable: bool,
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

    /// Whether it leads the managers; never true of a worker.
    pub fn is_leader(&self) -> bool {
        self.manager.is_some_and(|manager| manager.leader)
    }
}
