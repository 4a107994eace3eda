//! What a rollout is to do: stored once in a Swarm config, never changed. The words are Compose's where it has some.

use crate::given::Given;
use crate::ids::{NodeId, RolloutId};
use crate::moves::Moves;
use crate::on_hold::HoldPolicy;
use crate::parallelism::Parallelism;
use crate::ratio::Ratio;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A rollout, as its config keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Spec {
    pub id: RolloutId,
    /// The payload's image, by digest or image id.
    pub image: String,
    /// What whoever started it called the image, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_name: Option<String>,
    /// careen's own image, by digest or image id, where the controller does not run from the payload's. One by id is on the
    /// manager that was asked, and perhaps nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_image: Option<String>,
    /// The directory of the image that holds the payload, where it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The name of the payload's command, as `install`.
    pub command: String,
    pub args: Vec<String>,
    /// What the agents are given besides the image.
    #[serde(default, skip_serializing_if = "Given::is_empty")]
    pub given: Given,
    pub selection: Selection,
    /// In which order, how many at a time, and what a failure leads to.
    pub policy: Policy,
    /// Whether nodes are drained.
    pub drain: DrainPolicy,
    /// Whether hosts are rebooted.
    pub reboot: RebootPolicy,
    /// Whether engines are restarted when they were replaced.
    pub engine_restart: bool,
    /// Whether the command is known to restart the engine or the host, before `prepare` looks.
    pub restarts: bool,
    /// Whether the command may end an engine, as every script may. Where it is declared not to, managers go together.
    #[serde(default = "yes")]
    pub touches_engine: bool,
    /// Take a manager down even if the others are no quorum.
    pub allow_quorum_loss: bool,
    /// Drain although tasks start elsewhere without the data of their local volumes.
    pub allow_volume_moves: bool,
    /// Drain even if a task would find no place elsewhere, or a service of several tasks would have none.
    #[serde(default)]
    pub allow_gaps: bool,
    /// Scale services up before a node with their tasks is drained, so that none of them is missing meanwhile.
    #[serde(default, skip_serializing_if = "is_not")]
    pub surge: bool,
    /// Reboot managers that ask for a key afterwards: somebody will type it.
    pub unlock_by_hand: bool,
    /// Where the key lies with which managers are unlocked after an engine restart.
    #[serde(default)]
    pub unlock_key: Option<UnlockKey>,
    /// Work on hosts that preflight finds unfit.
    #[serde(default)]
    pub allow_unfit_hosts: bool,
    /// Wait for programs that ask for no shutdown of their host, and for people at its console, before it goes down.
    #[serde(default)]
    pub respect_inhibitors: bool,
    /// Work on hosts although the payload's `check` says that they are in sync: it is not asked.
    #[serde(default, skip_serializing_if = "is_not")]
    pub force: bool,
    /// The enforcement of which it brings a new version, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<Moves>,
    /// How long a node may be in each state.
    pub limits: Limits,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_not(flag: &bool) -> bool {
    !*flag
}

/// The Swarm secret that holds the unlock key. The key itself is never in a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct UnlockKey {
    pub id: String,
    pub name: String,
}

/// Which nodes a rollout is about. An empty list does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// By id or host name.
    pub nodes: Vec<String>,
    /// By placement constraints; all must hold.
    pub constraints: Vec<String>,
    /// A constraint's key (`node.labels.zone`): nodes with different values are never in maintenance together.
    pub spread: Option<String>,
    /// Nodes that are left out, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exclude: BTreeMap<NodeId, String>,
}

/// Order, pace and failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Workers or managers first.
    pub order: NodeOrder,
    /// How many nodes go alone before the others.
    pub canaries: usize,
    /// How many nodes may be in maintenance together.
    pub parallelism: Parallelism,
    /// Quiet time between two waves.
    pub delay: Duration,
    /// How long a node must look well before it counts as done.
    pub monitor: Duration,
    /// What a failed node leads to.
    pub failure_action: OnFailure,
    /// Which part of the nodes may fail before that.
    pub max_failure_ratio: Ratio,
    /// What follows when a node waits too long before anything was taken down on it.
    #[serde(default, skip_serializing_if = "HoldPolicy::is_default")]
    pub holds: HoldPolicy,
}

/// Whether workers or managers go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variant's name says it")]
pub enum NodeOrder {
    WorkersFirst,
    /// Managers, then workers: what the vendor advises for engines.
    ManagersFirst,
}

/// What a failed node leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// No further node begins until somebody says how to go on.
    Pause,
    /// The others go on.
    Continue,
    /// The failed node's payload takes its work back (`rollback`); then as `pause`.
    Rollback,
}

/// Whether nodes are drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variant's name says it")]
pub enum DrainPolicy {
    /// When the engine is restarted or the host rebooted.
    Auto,
    /// Before the command, whatever it does.
    Always,
    Never,
}

/// Whether hosts are rebooted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum RebootPolicy {
    Never,
    /// When the command asks for it (status 194).
    Asked,
    /// When the command or the distribution asks for it.
    Auto,
    Always,
}

/// How long a node may be in each state. None of these kills what runs on a host: they end careen's waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Until the agent is placed and runs.
    pub entering: Duration,
    /// Until `prepare` has ended.
    pub preparing: Duration,
    /// Until the drained node is empty; then the hold says so, and it goes on waiting.
    pub draining: Duration,
    /// The command; `None` for `upgrade`, whose package manager must not be hurried.
    pub running: Option<Duration>,
    /// Until the engine is back.
    pub restarting_engine: Duration,
    /// Until the host is back.
    pub rebooting: Duration,
    /// Until the result is there, `verify` included.
    pub verifying: Duration,
    /// Until careen's services are gone from the node.
    pub restoring: Duration,
    /// Until everything looks well.
    pub settling: Duration,
    /// How long a node may be down when nobody restarts it.
    pub node_down: Duration,
    /// How long the lock's version may stand still before its holder counts as dead.
    pub lock_dead: Duration,
    /// How often the lock's holder says that it lives.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            entering: minutes(10),
            preparing: minutes(30),
            draining: minutes(15),
            running: None,
            restarting_engine: minutes(5),
            rebooting: minutes(20),
            verifying: minutes(30),
            restoring: minutes(10),
            settling: minutes(15),
            node_down: minutes(20),
            lock_dead: Duration::from_secs(45),
            heartbeat: Duration::from_secs(10),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            order: NodeOrder::WorkersFirst,
            canaries: 1,
            parallelism: Parallelism::Nodes(1),
            delay: Duration::ZERO,
            monitor: Duration::from_secs(15),
            failure_action: OnFailure::Pause,
            max_failure_ratio: Ratio::NOTHING,
            holds: HoldPolicy::default(),
        }
    }
}

impl Spec {
    /// A rollout of an image's `install` over all nodes, with the defaults of `careen run`.
    pub fn run(id: RolloutId, image: &str) -> Self {
        Self {
            id,
            image: image.to_owned(),
            image_name: None,
            controller_image: None,
            payload: None,
            command: "install".to_owned(),
            args: Vec::new(),
            given: Given::default(),
            selection: Selection::default(),
            policy: Policy::default(),
            drain: DrainPolicy::Auto,
            reboot: RebootPolicy::Asked,
            engine_restart: true,
            restarts: false,
            touches_engine: true,
            allow_quorum_loss: false,
            allow_volume_moves: false,
            allow_gaps: false,
            surge: false,
            unlock_by_hand: false,
            unlock_key: None,
            allow_unfit_hosts: false,
            respect_inhibitors: false,
            force: false,
            moves: None,
            limits: Limits::default(),
        }
    }
}

impl Spec {
    /// The image that the controller runs from.
    pub fn image_of_controller(&self) -> &str {
        self.controller_image.as_ref().unwrap_or(&self.image)
    }

    /// Whether other managers can be expected to have, or to get, that image. Each host gets the payload's.
    pub fn controller_may_move(&self) -> bool {
        self.controller_image.as_ref().is_none_or(|image| image.contains('@'))
    }
}

impl Selection {
    /// Whether a node is named, by id or host name.
    pub(crate) fn names(&self, id: &NodeId, hostname: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|name| *name == id.0 || name == hostname)
    }
}
