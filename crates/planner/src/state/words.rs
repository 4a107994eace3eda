//! When a node failed and why, and why one is left out.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr, VariantArray};

/// A state in which a node can fail, without its data.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum StateName {
    /// Before anything was begun.
    Pending,
    /// While agent and gates were placed.
    Entering,
    Preparing,
    Draining,
    Running,
    RestartingEngine,
    Rebooting,
    /// `verify`, or the collecting of the result.
    Verifying,
    Restoring,
    /// While everything has to look well for a while.
    Settling,
}

/// Why a node failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumIter, EnumString, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Reason {
    /// A command of the payload failed with this status.
    #[strum(disabled)]
    Exit(i32),
    /// The host is not fit, or refuses the agent: nothing of the payload was begun. The result's record says why.
    Preflight,
    /// The payload's `check` could not tell whether the host is in sync: nothing else of it was begun.
    Check,
    /// The state took too long.
    TimeLimit,
    /// The node is down, and did not come back in time.
    NodeDown,
    /// Agents were lost again and again.
    AgentLost,
    /// Gates of its agents went away without a go, again and again.
    GoLost,
    /// The host knows nothing of a try that may have got its go: it lost its state, or is another host.
    Forgotten,
    /// Somebody else changed the node's availability, and it stayed so.
    AvailabilityChanged,
    /// Somebody removed the node's label while it was at work, and nobody said what is to become of it.
    RecordRemoved,
    /// The rollout was aborted while the host was at work, or nobody knew.
    Aborted,
}

impl Reason {
    /// Whether it failed because nothing was heard of its host: where the host told how it ended, its result says more.
    pub const fn is_silent(self) -> bool {
        match self {
            Self::NodeDown | Self::TimeLimit | Self::AgentLost => true,
            Self::Exit(_)
            | Self::Preflight
            | Self::Check
            | Self::GoLost
            | Self::Forgotten
            | Self::AvailabilityChanged
            | Self::RecordRemoved
            | Self::Aborted => false,
        }
    }
}

/// Why a node is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the variant's name says it")]
pub enum Skip {
    /// An operator said so.
    Asked,
    /// The rollout was aborted before the node's turn.
    Aborted,
    /// Its operator excludes it, with a label or for this rollout.
    Excluded,
    Windows,
    /// Its engine is too old to be driven.
    OldEngine,
    /// It waited too long before anything was taken down on it. What for stands in its last words.
    Held,
}
