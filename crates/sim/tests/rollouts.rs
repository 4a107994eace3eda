//! Rollouts in the simulator: random ones with everything that goes wrong, and one that is killed after every action.

use careen_planner::rollout::RolloutOutcome;
use careen_planner::spec::OnFailure;
use careen_planner::{JobRole, NodeId};
use careen_sim::host::AttemptEnd;
use careen_sim::whole::Whole;
use careen_sim::world::World;
use careen_sim::{Faults, Run, scenario};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// `CAREEN_SIM_ROLLOUTS=20000` plays more histories than the few of a quick check.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    0..number("CAREEN_SIM_ROLLOUTS").unwrap_or(count)
}

/// Plays histories of two rollouts each; gives back every edge that a node went along in one of them.
fn random_rollouts(count: u64, faults: Faults, name: &str) -> BTreeSet<(&'static str, &'static str)> {
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let edges = Mutex::new(BTreeSet::new());
    let play = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds(count).end {
                return None;
            }
            match (Whole { seed, faults }).play() {
                Ok((first, second)) => {
                    let mut edges = edges.lock().unwrap_or_else(PoisonError::into_inner);
                    edges.extend(first.world.edges);
                    edges.extend(second.world.edges);
                }
                Err(failure) => {
                    failed.store(true, Ordering::Relaxed);
                    return Some(format!("{failure}\nreplay: cargo sim --faults {name} --seed {seed}"));
                }
            }
        }
        None
    };
    let found = std::thread::scope(|scope| {
        let threads = [scope.spawn(play), scope.spawn(play)];
        threads
            .into_iter()
            .find_map(|thread| thread.join().unwrap_or_else(|_| Some("a thread has panicked".to_owned())))
    });
    if let Some(failure) = found {
        panic!("{failure}");
    }
    println!("{} histories of two rollouts each: {name}", seeds(count).end);
    edges.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The edges of the picture in docs/rollout-states.md that lead to another state.
fn edges_of_the_picture() -> BTreeSet<(&'static str, &'static str)> {
    let text = include_str!("../../../docs/rollout-states.md");
    let edge = |line: &'static str| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let (to, _) = rest.split_once(": ")?;
        Some((from, to))
    };
    let stored = |(from, to): &(&str, &str)| from != to;
    text.lines().filter_map(edge).filter(stored).collect()
}

#[test]
fn random_rollouts_without_faults() {
    random_rollouts(20, Faults::default(), "none");
}

#[test]
fn random_rollouts_with_crashing_and_freezing_controllers() {
    random_rollouts(30, Faults::controllers(), "controllers");
}

#[test]
fn random_rollouts_with_accidents_on_hosts() {
    random_rollouts(50, Faults::hosts(), "hosts");
}

#[test]
fn random_rollouts_with_nodes_that_come_and_go() {
    random_rollouts(50, Faults::members(), "members");
}

#[test]
fn random_rollouts_with_everything_that_goes_wrong() {
    let walked = random_rollouts(100, Faults::all(), "all");
    let walked = |name: &(&str, &str)| {
        let name = (name.0.replace('_', "-"), name.1.replace('_', "-"));
        walked.iter().any(|(from, to)| *from == name.0 && *to == name.1)
    };
    let missing: Vec<_> = edges_of_the_picture().into_iter().filter(|edge| !walked(edge)).collect();
    // Some are rare.
    assert!(seeds(100).end < 500 || missing.is_empty(), "no history went along {missing:?}");
}

/// Histories that once showed what was wrong, each with what it was.
#[test]
fn histories_that_once_found_something() {
    for line in include_str!("../seeds/found.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(seed)) = (words.next(), words.next()) else { continue };
        let faults = Faults::named(name).unwrap_or_else(|| panic!("{line}"));
        let seed = seed.parse().unwrap_or_else(|_| panic!("{line}"));
        let played = Whole { seed, faults }.play();
        played.unwrap_or_else(|failure| panic!("{failure}\nreplay: cargo sim --faults {name} --seed {seed}"));
    }
}

/// Whatever becomes of the controllers: when the hosts are well, all of them are done, once, and nothing is left.
#[test]
fn healthy_hosts_are_all_done_once_whatever_happens_to_controllers() {
    for seed in 0..30 {
        let mut world = scenario::random(seed);
        for node in &mut world.nodes {
            let plan = &mut node.host.plan;
            (plan.prepare_works, plan.verify_works) = (true, true);
            (plan.refuses_the_agent, plan.dies_at_reboot) = (false, false);
            (plan.is_fit, plan.stops_the_engine, plan.starts_containers) = (true, false, true);
            plan.attempts = vec![AttemptEnd::Well];
            plan.check = None;
        }
        world.services.iter_mut().for_each(|service| service.has_volume = false);
        world.autolock = false;
        world.spec.allow_gaps = true;
        let ending = Run::new(world).with(Faults::controllers()).to_the_end();
        let ending = ending.unwrap_or_else(|failure| panic!("{failure}\nseed {seed}"));
        assert_eq!(ending.outcome, RolloutOutcome::Done, "seed {seed}");
        assert_eq!(ending.world.attempts.len(), ending.world.nodes.len(), "seed {seed}");
        assert!(ending.world.nodes.iter().all(|node| node.labels.is_empty()), "seed {seed}");
    }
}

/// Steps of a history until something is so.
fn until(run: &mut Run, what: &str, is_so: impl Fn(&World) -> bool) {
    let end = run.world.now + 600;
    while !is_so(&run.world) {
        run.second();
        assert!(run.world.now < end, "{what}: {}", run.world.history.join("\n"));
    }
}

#[test]
fn a_host_that_leaves_in_its_turn_and_joins_again_is_gone_and_runs_nothing_twice() {
    let w1 = NodeId("w1".into());
    for joins_again in [false, true] {
        let mut run = Run::new(scenario::world(1, scenario::spec(), 3, 2));
        until(&mut run, "the command runs", |world| world.attempts.iter().any(|(node, ..)| *node == w1));
        run.world.leave(&w1);
        if joins_again {
            run.world.join("w1-again", "w1");
        }
        let ending = run.to_the_end().unwrap_or_else(|failure| panic!("{failure}"));
        // A host that is there again is asked, and says that its command is done.
        let expected = if joins_again { RolloutOutcome::Done } else { RolloutOutcome::WithFailures };
        assert_eq!(ending.outcome, expected);
        let names: Vec<&str> = ending.world.attempts.iter().map(|(node, ..)| node.0.as_str()).collect();
        assert_eq!(names.len(), 5, "each host once: {names:?}");
        assert!(!names.contains(&"w1-again"));
        assert!(ending.world.jobs.is_empty(), "{:?}", ending.world.jobs);
    }
}

#[test]
fn the_agent_of_a_failed_node_is_there_without_its_gates_until_the_rollout_is_over() {
    let w1 = NodeId("w1".into());
    let mut spec = scenario::spec();
    spec.policy.failure_action = OnFailure::Continue;
    let mut world = scenario::world(1, spec, 3, 2);
    let fails = world.nodes.iter_mut().find(|node| node.id == w1).unwrap();
    fails.host.plan.attempts = vec![AttemptEnd::Failed];
    let mut run = Run::new(world);
    until(&mut run, "another node settles", |world| {
        world.nodes.iter().any(|node| world.state(node).is_some_and(|now| now.name() == "settling"))
    });
    let of_w1 = run.world.jobs.iter().filter(|job| job.key.node == w1);
    let roles: Vec<JobRole> = of_w1.map(|job| job.key.role).collect();
    assert_eq!(roles, [JobRole::Agent], "{}", run.world.history.join("\n"));
    let ending = run.to_the_end().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(ending.outcome, RolloutOutcome::WithFailures);
    assert!(ending.world.jobs.is_empty(), "{:?}", ending.world.jobs);
}

#[test]
fn a_rollout_whose_config_is_removed_is_given_back_from_what_is_left() {
    for state in ["entering", "preparing", "running", "verifying", "settling"] {
        let mut run = Run::new(scenario::world(1, scenario::spec(), 3, 2));
        until(&mut run, state, |world| {
            world.nodes.iter().any(|node| world.state(node).is_some_and(|now| now.name() == state))
        });
        run.world.removed = true;
        let ending = run.to_the_end().unwrap_or_else(|failure| panic!("{failure}\n{state}"));
        assert_eq!(ending.outcome, RolloutOutcome::Aborted);
        assert!(ending.world.jobs.is_empty(), "{state}: {:?}", ending.world.jobs);
        let works = matches!(state, "running" | "verifying");
        let labels = ending.world.nodes.iter().filter(|node| !node.labels.is_empty()).count();
        assert_eq!(labels, usize::from(works), "{state}: a host that may be at work is left to its operator");
    }
}

#[test]
fn one_seed_is_one_history() {
    let history = |seed| {
        let run = Run::new(scenario::random(seed)).with(Faults::all());
        run.to_the_end().unwrap_or_else(|failure| panic!("{failure}")).world.history
    };
    for seed in 0..5 {
        assert_eq!(history(seed), history(seed));
    }
    assert_ne!(history(0), history(1));
}

#[test]
fn a_rollout_without_faults_is_done() {
    let world = scenario::world(1, scenario::spec(), 3, 2);
    let ending = Run::new(world).to_the_end().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(ending.outcome, RolloutOutcome::Done);
}
