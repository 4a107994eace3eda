//! How long a rollout takes, as far as anybody can know: the waits that are certain, and the work as earlier rollouts of the same work
//! had it.

use crate::ids::{NodeId, RolloutId};
use crate::order::Wave;
use crate::spec::Policy;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long a node took in an earlier rollout, from the placing of its agent to its result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Took {
    pub node: NodeId,
    pub rollout: RolloutId,
    pub seconds: u64,
}

/// How long a rollout takes that meets no trouble.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// How many waves there are, one after the other.
    pub waves: usize,
    /// How long nodes are watched at the end of their waves, all waves together.
    pub monitor_seconds: u64,
    /// The quiet times between the waves, all together.
    pub delay_seconds: u64,
    /// The waits above: what is certain.
    pub at_least_seconds: u64,
    /// How long the work takes, where something is known of it.
    pub work: Option<Work>,
    /// Work and waits.
    pub about_seconds: Option<u64>,
}

/// How long the work takes, by earlier rollouts: from the placing of agents to their results. What follows a result, the node's way back
/// to its tasks, is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// All waves together; each takes as long as its slowest node.
    pub seconds: u64,
    /// How many nodes there are.
    pub nodes: usize,
    /// Of how many of them it is known how long they took.
    pub known: usize,
    /// By which rollouts.
    pub rollouts: BTreeSet<RolloutId>,
}

/// Estimates a rollout with these waves. `past` has the newest rollout first.
pub fn estimate(policy: &Policy, waves: &[Wave], past: &[Took]) -> Estimate {
    let times = |n: usize, seconds: u64| seconds.saturating_mul(n as u64);
    let monitor_seconds = times(waves.len(), policy.monitor.as_secs());
    let delay_seconds = times(waves.len().saturating_sub(1), policy.delay.as_secs());
    let at_least_seconds = monitor_seconds.saturating_add(delay_seconds);
    let work = work(waves, past);
    let about_seconds = work.as_ref().map(|work| work.seconds.saturating_add(at_least_seconds));
    Estimate { waves: waves.len(), monitor_seconds, delay_seconds, at_least_seconds, work, about_seconds }
}

/// Estimates what is left of a rollout with these waves. Nodes that are `through` need nothing any more; those that have `worked` are
/// only watched. One at work counts as one that has not begun.
pub fn left(
    policy: &Policy,
    waves: &[Wave],
    through: &BTreeSet<NodeId>,
    worked: &BTreeSet<NodeId>,
    past: &[Took],
) -> Estimate {
    let without = |waves: &[Wave], gone: &BTreeSet<NodeId>| -> Vec<Wave> {
        let rest = |wave: &Wave| wave.iter().filter(|id| !gone.contains(*id)).cloned().collect::<Wave>();
        waves.iter().map(rest).filter(|wave| !wave.is_empty()).collect()
    };
    let waves = without(waves, through);
    let waits = estimate(policy, &waves, &[]);
    let work = work(&without(&waves, worked), past);
    let about_seconds = work.as_ref().map(|work| work.seconds.saturating_add(waits.at_least_seconds));
    Estimate { work, about_seconds, ..waits }
}

fn work(waves: &[Wave], past: &[Took]) -> Option<Work> {
    let mut newest: BTreeMap<&NodeId, &Took> = BTreeMap::new();
    for took in past {
        newest.entry(&took.node).or_insert(took);
    }
    let mut all: Vec<u64> = newest.values().map(|took| took.seconds).collect();
    all.sort_unstable();
    let of_wave = |wave: &Wave| {
        let known = wave.iter().filter_map(|id| newest.get(id)).map(|took| took.seconds);
        let unknown = wave.iter().filter(|id| !newest.contains_key(*id)).count();
        known.chain(slowest_of(unknown, &all)).max()
    };
    let seconds = if all.is_empty() { None } else { Some(waves.iter().filter_map(of_wave).sum()) };
    let nodes = || waves.iter().flatten();
    seconds.map(|seconds| Work {
        seconds,
        nodes: nodes().count(),
        known: nodes().filter(|id| newest.contains_key(*id)).count(),
        rollouts: newest.values().map(|took| took.rollout.clone()).collect(),
    })
}

/// How long the slowest of so many nodes takes of which nothing is known but how long others took (sorted): of one the median, of many
/// nearly the slowest of those.
fn slowest_of(nodes: usize, others: &[u64]) -> Option<u64> {
    let index = (others.len() * nodes).div_ceil(nodes + 1).checked_sub(1)?;
    others.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn policy(monitor: u64, delay: u64) -> Policy {
        let seconds = Duration::from_secs;
        Policy { monitor: seconds(monitor), delay: seconds(delay), ..Policy::default() }
    }

    fn of(policy: &Policy, waves: &str, past: &[(&str, &str, u64)]) -> Estimate {
        let id = |name: &str| NodeId(name.to_owned());
        let waves: Vec<Wave> =
            waves.split_whitespace().map(|wave| wave.split('+').map(id).collect()).collect();
        let took = |(rollout, node, seconds): &(&str, &str, u64)| Took {
            node: id(node),
            rollout: RolloutId::parse(rollout).unwrap(),
            seconds: *seconds,
        };
        estimate(policy, &waves, &past.iter().map(took).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_past_only_the_waits_are_known() {
        for (waves, at_least) in [("", 0), ("a", 15), ("a b+c d", 15 * 3 + 7 * 2)] {
            let told = of(&policy(15, 7), waves, &[]);
            assert_eq!((told.at_least_seconds, &told.work, told.about_seconds), (at_least, &None, None));
        }
        let told = of(&policy(15, 7), "a b+c d", &[]);
        assert_eq!((told.waves, told.monitor_seconds, told.delay_seconds), (3, 45, 14));
    }

    #[test]
    fn a_wave_takes_as_long_as_its_slowest_node_and_the_newest_figure_counts() {
        let past =
            [("new", "a", 10), ("new", "b", 20), ("old", "a", 900), ("old", "c", 70), ("old", "gone", 5)];
        let told = of(&policy(15, 0), "a b+c", &past);
        let work = told.work.unwrap();
        assert_eq!((work.seconds, work.nodes, work.known), (10 + 70, 3, 3));
        assert_eq!(told.about_seconds, Some(10 + 70 + 2 * 15));
        let rollouts: Vec<&str> = work.rollouts.iter().map(RolloutId::as_str).collect();
        assert_eq!(rollouts, ["new", "old"]);
    }

    #[test]
    fn what_is_left_is_without_what_is_through_and_what_has_worked_is_only_watched() {
        let id = |name: &str| NodeId(name.to_owned());
        let waves = [vec![id("a")], vec![id("b"), id("c")], vec![id("d")]];
        let took =
            |node: &str, seconds| Took { node: id(node), rollout: RolloutId::parse("r").unwrap(), seconds };
        let past = [took("a", 10), took("b", 20), took("c", 30), took("d", 40)];
        let (through, worked) = ([id("a"), id("c")].into(), [id("b")].into());
        let told = left(&policy(15, 7), &waves, &through, &worked, &past);
        assert_eq!((told.waves, told.at_least_seconds, told.about_seconds), (2, 37, Some(77)));
        let work = told.work.unwrap();
        assert_eq!((work.nodes, work.known), (1, 1), "b has worked");
        let all = waves.concat().into_iter().collect();
        let told = left(&policy(15, 7), &waves, &all, &worked, &past);
        assert_eq!((told.waves, told.about_seconds), (0, Some(0)));
        assert_eq!(left(&policy(15, 0), &waves, &through, &worked, &[]).about_seconds, None);
    }

    #[test]
    fn a_node_that_was_not_there_takes_as_long_as_others_did() {
        let past = [("r", "a", 10), ("r", "b", 20), ("r", "c", 90)];
        for (waves, seconds) in [("x", 20), ("x+y", 20), ("x+y+z", 90), ("x y", 40), ("c+x", 90), ("a+x", 20)]
        {
            let work = of(&policy(0, 0), waves, &past).work.unwrap();
            assert_eq!(work.seconds, seconds, "{waves}");
        }
        assert_eq!(of(&policy(0, 0), "x", &past).work.unwrap().known, 0);
    }

    #[test]
    fn of_many_unknown_nodes_the_slowest_is_nearly_the_slowest_of_those_that_are_known() {
        let others: Vec<u64> = (1..=100).collect();
        assert_eq!(
            [1, 2, 3, 9, 50, 1000].map(|n| slowest_of(n, &others).unwrap()),
            [50, 67, 75, 90, 99, 100]
        );
        assert_eq!((slowest_of(0, &others), slowest_of(3, &[])), (None, None));
        assert!((0..200).map(|n| slowest_of(n, &others)).is_sorted());
    }
}
