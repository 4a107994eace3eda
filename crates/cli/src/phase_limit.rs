//! `--phase-timeout PHASE=DURATION`: how long careen waits in a phase before it calls the node failed. Pure.

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

/// Reads `PHASE=DURATION`.
pub fn parse(text: &str, duration: impl Fn(&str) -> Result<Duration, String>) -> Result<PhaseLimit, String> {
    let (name, limit) = text.split_once('=').ok_or("it is written as PHASE=DURATION: rebooting=30m")?;
    if name == "running" {
        return Err("the command's own limit is --timeout".to_owned());
    }
    let phase = name.parse().map_err(|_| {
        let names = Phase::VARIANTS.join(", ");
        format!("'{name}' is no phase; there are {names}")
    })?;
    match duration(limit)? {
        Duration::ZERO => {
            Err(format!("no time at all would fail every node; leave {name} out for its default"))
        }
        limit => Ok(PhaseLimit { phase, limit }),
    }
}

/// The default limits but for those that were given; of two for one phase the later holds.
pub fn apply(given: &[PhaseLimit]) -> Limits {
    let mut limits = Limits::default();
    for PhaseLimit { phase, limit } in given {
        let place = match phase {
            Phase::Entering => &mut limits.entering,
            Phase::Preparing => &mut limits.preparing,
            Phase::Draining => &mut limits.draining,
            Phase::RestartingEngine => &mut limits.restarting_engine,
            Phase::Rebooting => &mut limits.rebooting,
            Phase::Verifying => &mut limits.verifying,
            Phase::Restoring => &mut limits.restoring,
            Phase::Settling => &mut limits.settling,
            Phase::NodeDown => &mut limits.node_down,
        };
        *place = *limit;
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_gets_its_own_limit_and_the_others_keep_theirs() {
        let seconds = |text: &str| text.parse().map(Duration::from_secs).map_err(|_| "seconds".to_owned());
        for (index, phase) in Phase::VARIANTS.iter().enumerate() {
            let limit = parse(&format!("{phase}={}", 1000 + index), seconds).unwrap();
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
