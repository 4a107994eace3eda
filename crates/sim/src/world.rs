//! The swarm: its store, its orchestrator, its nodes and their engines, as far as a rollout can tell. What it does
//! follows docs/swarm-facts.md. Here is what it consists of; `second` says what happens in one of its seconds.

use crate::bend::Bend;
pub use crate::container::Container;
use crate::container::Log;
use crate::host::Host;
use crate::rng::Rng;
use crate::truth::Truth;
use careen_contract::label;
use careen_planner::action::AgentSpec;
use careen_planner::moves::Moving;
use careen_planner::observed::{
    Availability, Job, Lock, Mode, Node, Refusal, Restart, Role, Service, Task, TaskState,
};
use careen_planner::rollout::{Baseline, Control, GoneMark, NodeResult, RolloutRecord};
use careen_planner::state::NodeRecord;
use careen_planner::{ControllerId, JobKey, NodeId, NodeState, RolloutId, Spec, Version};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A swarm with its hosts.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct World {
    /// Seconds since it began.
    pub now: u64,
    /// All chance comes from here.
    pub rng: Rng,
    /// Nodes, also those that are down.
    pub nodes: Vec<SimNode>,
    /// Services of the users.
    pub services: Vec<SimService>,
    /// Tasks of those services.
    pub tasks: Vec<SimTask>,
    /// careen's own services: agents and gates.
    pub jobs: Vec<SimJob>,
    /// Tickets of agents that need no go.
    pub tickets: BTreeSet<JobKey>,
    pub lock: Option<Lock>,
    pub rollout: RolloutRecord,
    /// How services stood before the rollout.
    pub baseline: Option<Baseline>,
    pub results: Vec<NodeResult>,
    /// Whether the history is written.
    pub history_written: bool,
    /// Whether the payload's files are in the swarm.
    pub delivered: bool,
    /// Whether the unlock key that the rollout brought was removed.
    pub key_is_gone: bool,
    /// Which manager leads, by its place in `nodes`.
    pub leader: Option<usize>,
    /// When the next one is elected.
    pub election_at: u64,
    /// The store's last version.
    pub version: u64,
    /// What the rollout is.
    pub spec: Spec,
    /// What happened, for whoever reads a failure.
    pub history: Vec<String>,
    /// What must never be, and was.
    pub violations: Vec<String>,
    /// Every attempt that ever began: node, rollout, try, attempt.
    pub attempts: Vec<(NodeId, RolloutId, u32, u32)>,
    /// Every edge that a node went along.
    pub edges: BTreeSet<(&'static str, &'static str)>,
    /// How often an operator asked for a retry, by node.
    pub retries: BTreeMap<NodeId, u32>,
    pub bend: Bend,
    /// What goes wrong on hosts and with looks now.
    pub hazard: Hazard,
    /// Whether the swarm has an unlock key.
    pub autolock: bool,
    /// What agents said, by their service.
    pub logs: BTreeMap<JobKey, Log>,
    /// How many containers were created.
    pub created: i64,
    /// What really happened, for the invariants.
    pub truth: Truth,
    /// The swarm's lists of the last seconds, the newest first.
    pub snapshots: VecDeque<Lists>,
    /// When each controller acted last.
    pub acted: BTreeMap<ControllerId, u64>,
    /// What a supervisor has just taken down.
    pub pending_down: Option<(Power, Restart)>,
    /// When the controller looked that gave a node its last go.
    pub go_looked_at: BTreeMap<NodeId, u64>,
    /// When the rollout was over.
    pub over_at: u64,
    /// Participants that left while the rollout went on, and when.
    pub left: BTreeMap<NodeId, u64>,
    /// Those of them that were through, or waited for another try: nobody was kept waiting for them before either.
    pub left_out_of_turn: BTreeSet<NodeId>,
    /// Hosts of nodes that left: what was begun on them goes on.
    pub outside: Vec<SimNode>,
    /// Nodes whose label somebody removed after the rollout had begun on them.
    pub unlabelled: BTreeSet<NodeId>,
    /// The same, and those of which nobody could tell how far they were; a retry changes nothing of that.
    pub unlabelled_once: BTreeSet<NodeId>,
    /// Nodes whose services somebody deleted.
    pub services_deleted: BTreeSet<NodeId>,
    /// Whether somebody removed the rollout's config.
    pub removed: bool,
    /// What lies in the swarm for the enforcement that the rollout moves.
    pub moving: Option<Moving>,
}

/// What is listed at one moment.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    pub(crate) nodes: Vec<Node>,
    pub(crate) services: Vec<Service>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) jobs: Vec<Job>,
}

/// A node, with its engine and its host.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct SimNode {
    /// Gates that were killed there, as its engine knows.
    pub killed: BTreeSet<JobKey>,
    /// Services whose containers went with its engine, which stopped in good order.
    pub swept: BTreeSet<JobKey>,
    pub id: NodeId,
    pub hostname: String,
    pub role: Role,
    /// What the store says.
    pub availability: Availability,
    /// What its operator said last.
    pub wish: Availability,
    /// When its operator last said so.
    pub wish_at: u64,
    /// When a controller last made it other than drained.
    pub given_back_at: u64,
    pub labels: BTreeMap<String, String>,
    /// Its version in the store.
    pub version: Version,
    /// Whether host and engine are up.
    pub power: Power,
    /// How often its engine was started.
    pub session: u64,
    /// Whether the managers see it.
    pub ready: bool,
    /// Until when the leader goes on calling it down although it takes part, unless its engine starts again.
    pub called_down_until: u64,
    /// Since when `ready` is not what it should be.
    pub differs_since: Option<u64>,
    /// When the managers last did not see it.
    pub unseen_at: u64,
    /// Until when no manager reaches it.
    pub cut_off_until: u64,
    /// Whether the current power state is careen's doing.
    pub down_through_us: bool,
    /// careen's containers on it.
    pub containers: Vec<Container>,
    /// What outlives its containers.
    pub host: Host,
    /// Whether its engine leaks the containers of removed jobs.
    pub leaks: bool,
    /// Whether its engine was killed, and its containers go on.
    pub orphaned: bool,
    /// Whether the manager asks for the unlock key.
    pub locked: bool,
    /// Since when it asks for it.
    pub locked_at: u64,
    /// When it left the swarm, if it did.
    pub left_at: u64,
}

/// Whether a host is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Host and engine are.
    Up,
    /// The engine is down until then.
    EngineDown(u64),
    /// The host is down until then.
    HostDown(u64),
    /// The host is down for good.
    Dead,
}

/// What goes wrong at any moment, in thousandths and seconds: what the world needs to know of a history's faults.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hazard {
    /// A supervisor is killed behind one of its steps.
    pub supervisor_between: u64,
    /// A supervisor that is started takes its time.
    pub supervisor_late: u64,
    /// So old what an agent said may be when it is read, and so far apart the lists of one look.
    pub lag: u64,
}

/// A service of a user.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct SimService {
    /// Its name and id.
    pub name: String,
    pub mode: Mode,
    /// How many tasks, when replicated.
    pub replicas: u64,
    /// On which node only.
    pub pinned: Option<NodeId>,
    /// Whether its tasks write to a local volume.
    pub has_volume: bool,
    /// When its tasks served on several nodes last.
    pub spread_at: u64,
    /// Its version in the store.
    pub version: Version,
    /// How many tasks its operator wants.
    pub wish: u64,
    /// What its operator says of scaling it up.
    pub surge: Option<bool>,
    /// Until when an update of it is under way.
    pub updates_until: u64,
    /// When it last lost a task, or was changed, and no drain of careen's was why.
    pub upset_at: u64,
    /// Whether nobody knows any more that it is scaled up: the node left whose label said so, or the rollout was removed.
    pub forgotten: bool,
}

/// A task of a user's service.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct SimTask {
    /// Its service, by its place in [`World::services`].
    pub service: usize,
    pub node: NodeId,
    /// How far it is.
    pub state: TaskState,
    /// When it is running, or gone.
    pub due: u64,
    /// Whether Swarm wants it.
    pub wanted: bool,
    /// The engine's session in which it was started.
    pub session: u64,
}

/// One of careen's services.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct SimJob {
    pub key: JobKey,
    /// What an agent is to do.
    pub agent: Option<AgentSpec>,
    pub version: Version,
    /// Whether its current iteration fits nowhere.
    pub stopped: bool,
    pub tasks: Vec<TaskState>,
    /// Whether all of its tasks that are over went with their engine, which stopped in good order.
    pub swept: bool,
    /// Why its node refuses it.
    pub refused: Option<Refusal>,
    /// Since when it refuses it.
    pub refused_at: u64,
    /// Whether a controller created it that had lost the lock. Such a one may be left when the rollout is over: its
    /// agent begins nothing, and the next rollout takes it away.
    pub stale: bool,
}

impl World {
    /// Whether the rollout's unlock key is there, and no service refers to it.
    pub(crate) fn has_unused_key(&self) -> bool {
        let uses = |job: &SimJob| {
            let has_key = job.agent.as_ref().is_some_and(|agent| agent.unlock_key.is_some());
            has_key && job.key.rollout == self.spec.id
        };
        self.spec.unlock_key.is_some() && !self.key_is_gone && !self.jobs.iter().any(uses)
    }
}

impl SimJob {
    /// The node that it runs on.
    pub fn place(&self) -> &NodeId {
        self.agent.as_ref().and_then(|agent| agent.on.as_ref()).unwrap_or(&self.key.node)
    }
}

impl World {
    /// The node with this id.
    pub fn node(&self, id: &NodeId) -> Option<&SimNode> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// A node, to change it.
    pub fn node_mut(&mut self, id: &NodeId) -> Option<&mut SimNode> {
        self.nodes.iter_mut().find(|node| node.id == *id)
    }

    /// Writes a line of the history.
    pub fn say(&mut self, line: impl AsRef<str>) {
        let now = self.now;
        self.history.push(format!("{now:>6} {}", line.as_ref()));
    }

    /// Notes what must never be.
    pub fn violation(&mut self, line: impl AsRef<str>) {
        self.say(format!("VIOLATION {}", line.as_ref()));
        self.violations.push(line.as_ref().to_owned());
    }

    /// The next rollout over the same swarm, when the one before is over.
    pub fn next_rollout(&mut self, spec: Spec) {
        let version = self.next_version();
        self.say(format!("operator: the rollout {}", spec.id));
        self.rollout = RolloutRecord::new(version, Control::Running);
        self.spec = spec;
        self.baseline = None;
        self.results.clear();
        self.history_written = false;
        (self.delivered, self.key_is_gone) = (true, false);
        self.retries.clear();
        self.left.clear();
        self.unlabelled.clear();
        self.unlabelled_once.clear();
        self.services_deleted.clear();
        self.removed = false;
        // Who was seen down when a rollout ended has come back by now, or never will.
        for node in &mut self.nodes {
            node.unseen_at = 0;
            // What the one before left drained is still careen's, while it is so.
            let record = node.labels.get(label::NODE).and_then(|text| NodeRecord::decode(text).ok());
            let over = |state: &NodeState| {
                state.is_terminal() || matches!(state, NodeState::Pending | NodeState::Entering)
            };
            let taken = record.filter(|record| over(&record.state)).and_then(|record| record.taken);
            let taken = taken.filter(|taken| taken.set == node.availability);
            node.wish = taken.map_or(node.availability, |taken| taken.was);
        }
    }

    /// An operator says that nobody waits any more for the host of a node that left.
    pub fn give_up(&mut self, node: &NodeId) {
        self.rollout.version = self.next_version();
        self.say(format!("operator: give {node} up"));
        self.rollout.gone.insert(node.clone(), GoneMark::GivenUp);
    }

    /// A new version of the store.
    pub fn next_version(&mut self) -> Version {
        self.version += 1;
        Version(self.version)
    }

    /// Managers, and those of them that take part.
    pub fn managers(&self) -> (usize, usize) {
        let managers = self.nodes.iter().filter(|node| node.role == Role::Manager);
        (managers.clone().count(), managers.filter(|node| node.takes_part(self.now)).count())
    }

    /// Whether the store takes writes.
    pub fn has_quorum(&self) -> bool {
        let (members, reachable) = self.managers();
        reachable > members / 2 && self.leader.is_some()
    }

    /// The state that a node's label tells of.
    pub fn state(&self, node: &SimNode) -> Option<NodeState> {
        let record = node.labels.get(label::NODE).map(|text| NodeRecord::decode(text));
        record.and_then(Result::ok).map(|record| record.state)
    }
}

impl SimNode {
    /// Whether it takes part as a manager.
    pub fn takes_part(&self, now: u64) -> bool {
        self.power == Power::Up && now >= self.cut_off_until && !self.locked
    }

    /// The container of a service.
    pub fn container_mut(&mut self, key: &JobKey) -> Option<&mut Container> {
        self.containers.iter_mut().find(|one| one.key == *key)
    }
}

impl Power {
    /// Whether the host runs, whatever its engine does.
    pub const fn host_is_up(self) -> bool {
        match self {
            Self::Up | Self::EngineDown(_) => true,
            Self::HostDown(_) | Self::Dead => false,
        }
    }
}

impl SimJob {
    /// Its task's container is gone, or has ended.
    pub(crate) fn ended(&mut self, state: TaskState, swept: bool) {
        let was_over = self.tasks.iter().any(|task| task.is_over());
        let runs = |task: &&mut TaskState| **task == TaskState::Running;
        for task in self.tasks.iter_mut().filter(runs) {
            *task = state;
            self.swept = swept && (self.swept || !was_over);
        }
    }

    /// All tasks that are not over end so.
    pub(crate) fn end_tasks(&mut self, state: TaskState) {
        self.tasks.iter_mut().filter(|task| !task.is_over()).for_each(|task| *task = state);
    }
}
