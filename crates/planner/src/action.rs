//! What a pass wants done. Every action is idempotent, or guarded by the version of the object that it changes, so
//! that one which was decided on an old look does nothing.

use crate::ids::{JobKey, NodeId, RolloutId, ServiceId, Version};
use crate::moves::MoveStep;
use crate::observed::Availability;
use crate::rollout::{Baseline, Control, GoneMark, GoneNode, NodeResult, RolloutOutcome};
use crate::spec::{RebootPolicy, UnlockKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use strum::IntoStaticStr;

/// An action, with the epoch under which it was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Act {
    /// The epoch. Whoever carries it out may refuse it when the lock has a higher one by now.
    pub epoch: u64,
    pub action: Action,
}

/// Something to be done in the swarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case", tag = "action")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Action {
    /// Take the lock, or create it when there is none (no version).
    TakeLock {
        epoch: u64,
        /// The version that is taken over.
        version: Option<Version>,
    },
    /// Say that the lock's holder lives.
    Beat {
        /// The version of the lock that was looked at.
        version: Version,
    },
    /// Give the lock back. The object stays, so that epochs go on.
    ReleaseLock {
        /// The version of the lock that was looked at.
        version: Version,
    },
    /// Record how the services stand.
    WriteBaseline { baseline: Baseline },
    /// Change labels and availability of a node in one write.
    UpdateNode {
        node: NodeId,
        /// The version of the node that was looked at.
        version: Version,
        /// Labels to set, or to take away (no value).
        labels: BTreeMap<String, Option<String>>,
        /// `None` leaves it as it is.
        availability: Option<Availability>,
    },
    /// Change how many tasks a service of somebody else's has, and nothing else of it.
    ScaleService {
        service: ServiceId,
        /// The version of the service that was looked at.
        version: Version,
        /// How many it has.
        from: u64,
        /// The same number is a write all the same: one that was decided before is refused then.
        to: u64,
    },
    /// Create an agent's service.
    CreateJob {
        /// What it is to do.
        agent: Box<AgentSpec>,
    },
    /// Create the ticket of an agent that needs no go. Its service refers to it.
    CreateTicket { key: JobKey },
    /// Remove a ticket. The swarm refuses that while the service is there; behind it nobody can create that service any more.
    RemoveTicket { key: JobKey },
    /// Create a gate's service: a process that only waits.
    CreateGate { key: JobKey },
    /// Open one gate: a new iteration that fits nowhere takes its container away. The two that an agent has drawn are the
    /// go, all others the refusal.
    OpenGate {
        key: JobKey,
        /// The version of the service that was looked at.
        version: Version,
    },
    /// Take the containers of one of careen's services away, in the same manner.
    StopJob {
        key: JobKey,
        /// The version of the service that was looked at.
        version: Version,
    },
    /// Take the name of an agent's service, with one that fits nowhere: it is stopped from the beginning. Nobody can create
    /// that agent any more while its gates are taken away.
    CreateStandIn { key: JobKey },
    /// Remove one of careen's services whose containers are gone.
    RemoveJob { key: JobKey },
    /// Write a node's result.
    WriteResult { result: NodeResult },
    /// Write what became of the rollout into the history.
    WriteHistory {
        outcome: RolloutOutcome,
        /// Participants that left: no label tells of them.
        gone: Vec<GoneNode>,
    },
    /// Remove the results of single nodes: the history has them.
    RemoveResults,
    /// Remove what the rollout brought into the swarm: the payload's files, credentials for its registry, its unlock key.
    RemoveDelivered,
    /// Pause or finish the rollout.
    SetControl {
        /// What it is told.
        control: Control,
        /// The version of the rollout's config.
        version: Version,
    },
    /// Note that a participant left in its turn, and pause for it in the same write where the failure policy says so.
    MarkGone {
        node: NodeId,
        /// How far it is dealt with.
        mark: GoneMark,
        /// What the rollout is told with it.
        control: Option<Control>,
        /// The version of the rollout's config.
        version: Version,
    },
    /// A step for the enforcement of which the rollout brings a new version.
    Move {
        /// What it is called.
        enforcement: String,
        step: MoveStep,
    },
    /// Place the controller elsewhere.
    MoveController {
        /// Where it must not be.
        away_from: NodeId,
    },
}

/// What an agent is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct AgentSpec {
    pub key: JobKey,
    /// On which node, when that is another than the one that the try is for: it asks whether that host is it.
    pub on: Option<NodeId>,
    pub rollout: RolloutId,
    /// The payload's image, by digest or image id.
    pub image: String,
    /// The directory of the image that holds the payload, where it is not the usual one.
    pub payload: Option<String>,
    /// The name of the payload's command, as `install`.
    pub command: String,
    pub args: Vec<String>,
    /// Whether it needs no go, and so has no gates and a ticket.
    pub short: bool,
    /// How many gates it has.
    pub gates: u8,
    /// Whether it only asks what became of the transaction: it begins nothing, and says so when nothing was begun.
    pub collects: bool,
    /// Whether the host may be rebooted, autolock considered.
    pub reboot: RebootPolicy,
    /// Whether the engine may be restarted.
    pub engine_restart: bool,
    /// Whether the payload's `rollback` is run when the command or `verify` fails.
    pub rollback: bool,
    /// The command's time limit; the host keeps it.
    pub time_limit: Option<Duration>,
    /// The secret with the unlock key; only managers get it.
    pub unlock_key: Option<UnlockKey>,
    /// Whether somebody types that key.
    pub unlock_by_hand: bool,
    /// Whether the host is worked on although preflight finds it unfit.
    pub allow_unfit: bool,
}

impl Action {
    /// Whether it is about the lock itself, so that it needs no look at who holds it.
    pub fn is_about_the_lock(&self) -> bool {
        matches!(self, Self::TakeLock { .. } | Self::Beat { .. } | Self::ReleaseLock { .. })
    }

    /// Its word, the same as in JSON.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}
