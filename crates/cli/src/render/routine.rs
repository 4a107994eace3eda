//! Which holds are how rollouts go. Pure.

use careen_planner::Hold;

/// Whether a drained node is waited for.
pub const fn is_drain(hold: &Hold) -> bool {
    matches!(hold, Hold::NotEmpty { .. } | Hold::NotReplaced { .. })
}

/// Whether a hold is how rollouts go, and nothing that an operator wants to be told of.
pub fn is_routine(hold: &Hold) -> bool {
    match hold {
        // Tasks take a moment to start elsewhere; what keeps them from it does not end by itself.
        Hold::NotReplaced { why, .. } | Hold::Surging { why, .. } | Hold::SurgeBack { why, .. } => {
            why.is_empty()
        }
        Hold::TakingOver
        | Hold::Starting
        | Hold::SettingUp { .. }
        | Hold::Paused { .. }
        | Hold::EarlierWave { .. }
        | Hold::Parallelism { .. }
        | Hold::Delay { .. }
        | Hold::OtherManager { .. }
        | Hold::ControllerHere
        | Hold::NotReporting
        | Hold::Placing { .. }
        | Hold::HostAtWork { .. }
        | Hold::NoReport { .. }
        | Hold::GivingTheGo
        | Hold::RefusingTheRestart
        | Hold::Restarting { .. }
        | Hold::CleaningUp
        | Hold::Monitoring { .. }
        | Hold::NotEmpty { .. }
        | Hold::SurgeElsewhere { .. }
        | Hold::Recording => true,
        Hold::LockHeld { .. }
        | Hold::QuorumAtRisk { .. }
        | Hold::NoLeader
        | Hold::NodeDown
        | Hold::CalledDown
        | Hold::ImageMissing { .. }
        | Hold::AgentRejected { .. }
        | Hold::HostBusy { .. }
        | Hold::Copied { .. }
        | Hold::HostWaits { .. }
        | Hold::VolumeWouldMove { .. }
        | Hold::NoPlace { .. }
        | Hold::AtZero { .. }
        | Hold::NoRoomToSurge { .. }
        | Hold::ServiceUpdating { .. }
        | Hold::CorruptSurge { .. }
        | Hold::AvailabilityChanged { .. }
        | Hold::UnlockNeeded { .. }
        | Hold::ServicesWorse { .. }
        | Hold::ManagerUnreachable
        | Hold::CorruptRecord { .. }
        | Hold::NodeGone { .. }
        | Hold::Rejoined { .. }
        | Hold::SeveralRejoined { .. }
        | Hold::RecordRemoved
        | Hold::BaselineRemoved
        | Hold::OtherRollout { .. } => false,
    }
}
