//! `--on-hold` and `--hold-limit`: how long a node may wait before anything is taken down on it, and what follows. Pure.

use crate::duration::{self, InvalidDuration};
use careen_planner::on_hold::{HoldPolicy, OnHold};
use clap::{Args, ValueEnum};
use std::time::Duration;

/// The flags about holds.
#[derive(Debug, Clone, Args)]
pub struct HoldArgs {
    /// What happens when a node is held for too long before anything was taken down on it: the rollout waits for it, pauses, or leaves
    /// it out
    #[arg(long, value_enum, default_value_t = HoldAction::Pause, value_name = "ACTION", help_heading = "Failures")]
    pub on_hold: HoldAction,
    /// How long that is; nothing with --on-hold wait
    #[arg(long, default_value = "15m", value_parser = limit, value_name = "DURATION", help_heading = "Failures")]
    pub hold_limit: Duration,
}

/// `--on-hold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HoldAction {
    /// The rollout waits for it.
    Wait,
    /// The rollout pauses.
    Pause,
    /// The node is left out.
    Skip,
}

/// A text that is no limit of holds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHoldLimit {
    /// It cannot be read.
    #[error(transparent)]
    Duration(#[from] InvalidDuration),
    /// No node could keep it.
    #[error("no time at all would end every hold at once; leave it out for its default")]
    NoTime,
}

fn limit(text: &str) -> Result<Duration, InvalidHoldLimit> {
    match duration::parse(text)? {
        Duration::ZERO => Err(InvalidHoldLimit::NoTime),
        limit => Ok(limit),
    }
}

/// What the flags mean for a rollout.
pub const fn policy(args: &HoldArgs) -> HoldPolicy {
    let action = match args.on_hold {
        HoldAction::Wait => OnHold::Wait,
        HoldAction::Pause => OnHold::Pause,
        HoldAction::Skip => OnHold::Skip,
    };
    HoldPolicy { action, limit: args.hold_limit }
}

/// The flag's word.
pub const fn word(action: OnHold) -> &'static str {
    match action {
        OnHold::Wait => "wait",
        OnHold::Pause => "pause",
        OnHold::Skip => "skip",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_duration_and_some_time() {
        assert_eq!(limit("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(limit("0s"), Err(InvalidHoldLimit::NoTime));
        for wrong in ["", "soon", "-5m", "15"] {
            assert_eq!(limit(wrong), Err(InvalidHoldLimit::Duration(InvalidDuration)), "{wrong}");
        }
    }
}
