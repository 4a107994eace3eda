//! How long a rollout takes, or takes still, and how anybody knows. Pure.

use crate::render::text::{first_of, span};
use careen_planner::RolloutId;
use careen_planner::estimate::{Estimate, Work};
use careen_planner::spec::Policy;

/// So many rollouts are named.
const SHOWN: usize = 6;

/// Of a rollout that has not begun; `None` where there is no wave.
pub fn of_all(estimate: &Estimate, policy: &Policy) -> Option<String> {
    told(estimate, policy, "")
}

/// Of one that goes on.
pub fn left(estimate: &Estimate, policy: &Policy) -> Option<String> {
    told(estimate, policy, " left")
}

fn told(estimate: &Estimate, policy: &Policy, left: &str) -> Option<String> {
    let waves = waves(estimate, policy)?;
    Some(match (&estimate.work, estimate.about_seconds) {
        (Some(Work { nodes: 0, .. }), Some(about)) => format!("about {}{left}: {waves}", span(about)),
        (Some(work), Some(about)) => format!("about {}{left}: {}; {waves}", span(about), by_the_past(work)),
        (Some(_), None) | (None, _) => {
            let least = match estimate.at_least_seconds {
                0 => String::new(),
                seconds => format!("at least {}{left}: ", span(seconds)),
            };
            format!("{least}{waves}; how long the work takes is not known yet")
        }
    })
}

/// The waves with the waits that are certain; `None` where there is no wave.
fn waves(estimate: &Estimate, policy: &Policy) -> Option<String> {
    let watched = match (estimate.monitor_seconds, estimate.waves) {
        (_, 0) => return None,
        (0, 1) => return Some("1 wave".to_owned()),
        (0, waves) => format!("{waves} waves, one after the other"),
        (seconds, 1) => return Some(format!("1 wave, watched for {}", span(seconds))),
        (_, waves) => format!("{waves} waves, each watched for {}", span(policy.monitor.as_secs())),
    };
    Some(match estimate.delay_seconds {
        0 => watched,
        _ => format!("{watched}, {} between them", span(policy.delay.as_secs())),
    })
}

fn by_the_past(work: &Work) -> String {
    let rollouts: Vec<&str> = work.rollouts.iter().map(RolloutId::as_str).collect();
    let known = match work.known {
        known if known == work.nodes => String::new(),
        known => format!(" ({known} of these {} nodes)", work.nodes),
    };
    let word = if rollouts.len() == 1 { "rollout" } else { "rollouts" };
    format!("{} of work, as timed in {word} {}{known}", span(work.seconds), first_of(&rollouts, SHOWN))
}
