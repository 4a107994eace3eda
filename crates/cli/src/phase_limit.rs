//! `--phase-timeout PHASE=DURATION`: how long careen waits in a phase before it calls the node failed. Pure.

use crate::duration::{self, InvalidDuration};
use careen_planner::spec::Limits;
use std::time::Duration;
use strum::{EnumString, VariantNames};

/// A phase's limit, as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseLimit {
    phase: Phase,
    limit: Duration,
}

/// What has a limit. The command's own is `--timeout`: that one is kept by the host and ends the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
enum Phase {
    Entering,
    Preparing,
    Draining,
    RestartingEngine,
    Rebooting,
    Verifying,
    Restoring,
    Settling,
    NodeDown,
}

/// A text that is no `PHASE=DURATION`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPhaseLimit {
    /// There is no `=` in it.
    #[error("it is written as PHASE=DURATION: rebooting=30m")]
    Syntax,
    /// The command has a flag of its own.
    #[error("the command's own limit is --timeout")]
    Running,
    /// What stands before the `=` has no limit.
    #[error("'{name}' is no phase; there are {}", Phase::VARIANTS.join(", "))]
    #[expect(missing_docs, reason = "the field's name says it")]
    NoPhase { name: String },
    /// What stands behind the `=` cannot be read.
    #[error(transparent)]
    Duration(#[from] InvalidDuration),
    /// No node could keep it.
    #[error("no time at all would fail every node; leave {name} out for its default")]
    #[expect(missing_docs, reason = "the field's name says it")]
    NoTime { name: String },
}

/// Reads `PHASE=DURATION`.
pub fn parse(text: &str) -> Result<PhaseLimit, InvalidPhaseLimit> {
    let (name, limit) = text.split_once('=').ok_or(InvalidPhaseLimit::Syntax)?;
    if name == "running" {
        return Err(InvalidPhaseLimit::Running);
    }
    let phase = name.parse().map_err(|_| InvalidPhaseLimit::NoPhase { name: name.to_owned() })?;
    match duration::parse(limit)? {
        Duration::ZERO => Err(InvalidPhaseLimit::NoTime { name: name.to_owned() }),
        limit => Ok(PhaseLimit { phase, limit }),
    }
}

/// The default limits but for those that were given; of two for one phase the later holds.
pub fn apply(given: &[PhaseLimit]) -> Limits {
    let mut limits = Limits::default();
    for PhaseLimit { phase, limit } in given {
        *limit_of(&mut limits, *phase) = *limit;
    }
    limits
}

/// The phases whose limit is another than by default, and what it is.
pub fn other_than_by_default(limits: &Limits) -> Vec<(&'static str, Duration)> {
    let (mut limits, mut usual) = (limits.clone(), Limits::default());
    let other = |name: &&'static str| {
        let phase: Phase = name.parse().ok()?;
        let limit = *limit_of(&mut limits, phase);
        (limit != *limit_of(&mut usual, phase)).then_some((*name, limit))
    };
    Phase::VARIANTS.iter().filter_map(other).collect()
}

const fn limit_of(limits: &mut Limits, phase: Phase) -> &mut Duration {
    match phase {
        Phase::Entering => &mut limits.entering,
        Phase::Preparing => &mut limits.preparing,
        Phase::Draining => &mut limits.draining,
        Phase::RestartingEngine => &mut limits.restarting_engine,
        Phase::Rebooting => &mut limits.rebooting,
        Phase::Verifying => &mut limits.verifying,
        Phase::Restoring => &mut limits.restoring,
        Phase::Settling => &mut limits.settling,
        Phase::NodeDown => &mut limits.node_down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_gets_its_own_limit_and_the_others_keep_theirs() {
        for (index, phase) in Phase::VARIANTS.iter().enumerate() {
            let limit = parse(&format!("{phase}={}s", 1000 + index)).unwrap();
            let limits = serde_json::to_value(apply(&[limit])).unwrap();
            let defaults = serde_json::to_value(Limits::default()).unwrap();
            let field = phase.replace('-', "_");
            assert_eq!(limits[&field]["secs"], 1000 + index, "{field}");
            for (name, default) in defaults.as_object().unwrap() {
                assert!(*name == field || limits[name] == *default, "{name} when {field} is given");
            }
        }
    }
}
