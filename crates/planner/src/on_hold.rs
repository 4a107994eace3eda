//! What follows when a node waits before anything was taken down on it: whose limit counts, and what then. The table is in
//! docs/rollout-states.md; a test compares.
//!
//! How long a hold has lasted is kept in a label of the node, in seconds that a controller has counted on its own clock: another
//! controller goes on from there, and no clocks of two machines are compared.

use crate::hold::Hold;
use crate::ids::RolloutId;
use crate::objects::Node;
use careen_contract::label;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// For how long a node may be held, and what follows then. A spec of an older version says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldPolicy {
    /// What follows.
    pub action: OnHold,
    /// After how long.
    pub limit: Duration,
}

/// What follows when a node was held for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnHold {
    /// Nothing: it waits. What its state waits for has the state's limit.
    Wait,
    /// The rollout pauses.
    Pause,
    /// The node is left out, and the others go on.
    Skip,
}

/// How long a node has been held, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Held {
    /// How long, as far as controllers have counted.
    pub lasted: Duration,
    /// For how long it may be.
    pub limit: Duration,
    /// What follows then.
    pub then: OnHold,
}

/// What a hold does to the time that counts against the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldClock {
    /// Something outside of the rollout keeps the node from its turn: the time runs.
    Runs,
    /// The time goes on where it runs already: this comes between two such holds.
    GoesOn,
    /// The rollout's own pace, or work: the time is over.
    Ends,
}

impl Default for HoldPolicy {
    fn default() -> Self {
        Self { action: OnHold::Pause, limit: Duration::from_secs(15 * 60) }
    }
}

impl HoldPolicy {
    /// Whether it is what holds when nobody says anything. Then it is not written: older controllers understand the spec.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether its limit counts, and those of the states do not.
    pub const fn has_limit(&self) -> bool {
        match self.action {
            OnHold::Wait => false,
            OnHold::Pause | OnHold::Skip => true,
        }
    }

    /// After how long it is written down how long a node is held. So much may be lost with a controller.
    pub fn step(&self) -> Duration {
        (self.limit / 30).clamp(Duration::from_secs(5), Duration::from_secs(60))
    }
}

impl OnHold {
    /// What follows, as somebody says it of one node.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Wait => "it goes on waiting",
            Self::Pause => "the rollout pauses",
            Self::Skip => "the node is left out",
        }
    }
}

impl Held {
    /// How long it may still be.
    pub const fn left(&self) -> Duration {
        self.limit.saturating_sub(self.lasted)
    }
}

impl HoldClock {
    /// What this hold does.
    pub const fn of(hold: &Hold) -> Self {
        match hold {
            Hold::QuorumAtRisk { .. }
            | Hold::NoLeader
            | Hold::NodeDown
            | Hold::CalledDown
            | Hold::ImageMissing { .. }
            | Hold::AgentRejected { .. }
            | Hold::Placing { why: Some(_), .. }
            | Hold::HostBusy { .. }
            | Hold::Copied { .. }
            | Hold::VolumeWouldMove { .. }
            | Hold::NoPlace { .. }
            | Hold::NoRoomToSurge { .. }
            | Hold::ServiceUpdating { .. }
            | Hold::SettingUp { .. }
            | Hold::AtZero { .. } => Self::Runs,
            Hold::Placing { why: None, .. } | Hold::NoReport { .. } => Self::GoesOn,
            Hold::LockHeld { .. }
            | Hold::TakingOver
            | Hold::Starting
            | Hold::Paused { .. }
            | Hold::EarlierWave { .. }
            | Hold::Parallelism { .. }
            | Hold::Delay { .. }
            | Hold::OtherManager { .. }
            | Hold::ControllerHere
            | Hold::NotReporting
            | Hold::HostAtWork { .. }
            | Hold::HostWaits { .. }
            | Hold::NotEmpty { .. }
            | Hold::NotReplaced { .. }
            | Hold::Surging { .. }
            | Hold::SurgeBack { .. }
            | Hold::SurgeElsewhere { .. }
            | Hold::CorruptSurge { .. }
            | Hold::AvailabilityChanged { .. }
            | Hold::GivingTheGo
            | Hold::RefusingTheRestart
            | Hold::Restarting { .. }
            | Hold::UnlockNeeded { .. }
            | Hold::CleaningUp
            | Hold::ServicesWorse { .. }
            | Hold::ManagerUnreachable
            | Hold::Monitoring { .. }
            | Hold::CorruptRecord { .. }
            | Hold::OtherRollout { .. }
            | Hold::NodeGone { .. }
            | Hold::Rejoined { .. }
            | Hold::SeveralRejoined { .. }
            | Hold::RecordRemoved
            | Hold::BaselineRemoved
            | Hold::Recording => Self::Ends,
        }
    }
}

/// The value of the node's label: whose try, and for how many seconds it has been held.
pub fn written(rollout: &RolloutId, generation: u32, lasted: Duration) -> String {
    format!("{}{}", prefix(rollout, generation), lasted.as_secs())
}

/// For how long a node was held when that was written last; nothing of another try. What cannot be read is nothing, too: then the
/// node waits a little longer.
pub fn read(node: &Node, rollout: &RolloutId, generation: u32) -> Duration {
    let label = node.labels.get(label::HELD);
    let seconds = label.and_then(|text| text.strip_prefix(&prefix(rollout, generation))?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// Whether it is written on a node that this rollout held it.
pub fn is_of(node: &Node, rollout: &RolloutId) -> bool {
    let of = |text: &String| text.split(' ').next() == Some(rollout.as_str());
    node.labels.get(label::HELD).is_some_and(of)
}

fn prefix(rollout: &RolloutId, generation: u32) -> String {
    format!("{rollout} g{generation} ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;
    use crate::testing::{rollout, spec, worker};

    #[test]
    fn how_long_a_node_is_held_is_read_as_it_was_written_and_of_its_own_try_alone() {
        let mut node = worker("w1");
        let lasted = Duration::from_secs(330);
        assert_eq!(read(&node, &rollout(), 2), Duration::ZERO);
        node.labels.insert(label::HELD.into(), written(&rollout(), 2, lasted));
        assert_eq!(node.labels[label::HELD], "k3x9 g2 330");
        assert_eq!(read(&node, &rollout(), 2), lasted);
        assert_eq!(read(&node, &rollout(), 3), Duration::ZERO);
        assert_eq!(read(&node, &RolloutId::parse("other").unwrap(), 2), Duration::ZERO);
        for wrong in ["", "k3x9 g2 ", "k3x9 g2 -1", "k3x9 g2 99999999999999999999999", "\u{1b}[2J"] {
            node.labels.insert(label::HELD.into(), wrong.into());
            assert_eq!(read(&node, &rollout(), 2), Duration::ZERO, "{wrong}");
        }
    }

    #[test]
    fn a_spec_of_an_older_version_pauses_and_one_that_pauses_is_understood_by_older_versions() {
        let json = serde_json::to_value(spec()).unwrap();
        assert!(json["policy"].get("holds").is_none(), "older controllers do not know the field");
        assert_eq!(serde_json::from_value::<Spec>(json).unwrap().policy.holds.action, OnHold::Pause);
        let mut other = spec();
        other.policy.holds = HoldPolicy { action: OnHold::Skip, limit: Duration::from_secs(60) };
        let json = serde_json::to_value(&other).unwrap();
        assert_eq!(json["policy"]["holds"]["action"], "skip");
        assert_eq!(serde_json::from_value::<Spec>(json).unwrap(), other);
    }
}
