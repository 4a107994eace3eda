//! Rollouts in the simulator: random ones with everything that goes wrong, and one that is killed after every action.

use careen_planner::rollout::RolloutOutcome;
use careen_planner::{NodeId, RolloutId};
use careen_sim::host::AttemptEnd;
use careen_sim::world::{Power, SimJob, World};
use careen_sim::{Faults, Run, scenario};
use std::collections::BTreeSet;

/// `CAREEN_SIM_SEED=17` runs one history alone and prints it; `CAREEN_SIM_ROLLOUTS=100000` runs more of them.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("CAREEN_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CAREEN_SIM_ROLLOUTS").unwrap_or(count),
    }
}

/// Runs histories; gives back every edge that a node went along in one of them.
fn random_rollouts(count: u64, faults: Faults) -> BTreeSet<(&'static str, &'static str)> {
    let mut edges = BTreeSet::new();
    let mut outcomes = [0; 3];
    let (mut controllers, mut actions) = (0, 0);
    for seed in seeds(count) {
        match Run::new(scenario::random(seed)).with(faults).to_the_end() {
            Ok(ending) => {
                outcomes[ending.outcome as usize] += 1;
                edges.extend(ending.world.edges);
                controllers += ending.controllers;
                actions += ending.actions;
                if seeds(count).end - seeds(count).start == 1 {
                    println!("{}", ending.world.history.join("\n"));
                }
            }
            Err(failure) => panic!("{failure}\nseed {seed}"),
        }
    }
    let [done, failures, aborted] = outcomes;
    println!(
        "{done} done, {failures} with failures, {aborted} aborted; {controllers} controllers, {actions} actions"
    );
    edges
}

/// The edges of the picture in docs/rollout-states.md that lead to another state. `held` is never stored.
fn edges_of_the_picture() -> BTreeSet<(&'static str, &'static str)> {
    let text = include_str!("../../../docs/rollout-states.md");
    let edge = |line: &'static str| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let (to, _) = rest.split_once(": ")?;
        Some((from, to))
    };
    let stored = |(from, to): &(&str, &str)| from != to && *from != "held" && *to != "held";
    text.lines().filter_map(edge).filter(stored).collect()
}

#[test]
fn random_rollouts_without_faults() {
    random_rollouts(200, Faults::default());
}

#[test]
fn random_rollouts_with_crashing_and_freezing_controllers() {
    random_rollouts(400, Faults::controllers());
}

#[test]
fn random_rollouts_with_everything_that_goes_wrong() {
    let walked = random_rollouts(1000, Faults::all());
    let walked = |name: &(&str, &str)| {
        let name = (name.0.replace('_', "-"), name.1.replace('_', "-"));
        walked.iter().any(|(from, to)| *from == name.0 && *to == name.1)
    };
    let missing: Vec<_> = edges_of_the_picture().into_iter().filter(|edge| !walked(edge)).collect();
    assert!(seeds(1000).count() == 1 || missing.is_empty(), "no history went along {missing:?}");
}

/// Whatever becomes of the controllers: when the hosts are well, all of them are done, once, and nothing is left.
#[test]
fn healthy_hosts_are_all_done_once_whatever_happens_to_controllers() {
    for seed in seeds(200) {
        let mut world = scenario::random(seed);
        for node in &mut world.nodes {
            let plan = &mut node.host.plan;
            (plan.prepare_works, plan.verify_works) = (true, true);
            (plan.refuses_the_agent, plan.dies_at_reboot) = (false, false);
            plan.attempts = vec![AttemptEnd::Well];
        }
        let ending = Run::new(world).with(Faults::controllers()).to_the_end();
        let ending = ending.unwrap_or_else(|failure| panic!("{failure}\nseed {seed}"));
        assert_eq!(ending.outcome, RolloutOutcome::Done, "seed {seed}");
        assert_eq!(ending.world.attempts.len(), ending.world.nodes.len(), "seed {seed}");
        assert!(ending.world.nodes.iter().all(|node| node.labels.is_empty()), "seed {seed}");
    }
}

/// What one rollout leaves behind, on purpose or because a frozen controller woke up late, the next one takes away.
#[test]
fn a_second_rollout_over_what_a_first_one_left() {
    for seed in seeds(150) {
        let first = Run::new(scenario::random(seed)).with(Faults::all()).to_the_end();
        let mut world = first.unwrap_or_else(|failure| panic!("{failure}\nseed {seed}")).world;
        let mut spec = scenario::spec();
        spec.id = RolloutId::parse("next").unwrap();
        spec.policy.parallelism = 2;
        world.next_rollout(spec);
        let second = Run::new(world).to_the_end().unwrap_or_else(|failure| panic!("{failure}\nseed {seed}"));
        let dead =
            |job: &SimJob| second.world.node(&job.key.node).is_some_and(|node| node.power == Power::Dead);
        assert!(second.world.jobs.iter().all(dead), "seed {seed}: {:?}", second.world.jobs);
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
        assert_eq!(ending.outcome, RolloutOutcome::WithFailures);
        let names: Vec<&str> = ending.world.attempts.iter().map(|(node, ..)| node.0.as_str()).collect();
        assert_eq!(names.len(), 5, "each host once: {names:?}");
        assert!(!names.contains(&"w1-again"));
        assert!(ending.world.jobs.is_empty(), "{:?}", ending.world.jobs);
    }
}

#[test]
fn a_rollout_whose_config_is_removed_is_given_back_from_what_is_left() {
    for stage in ["entering", "preparing", "running", "verifying", "settling"] {
        let mut run = Run::new(scenario::world(1, scenario::spec(), 3, 2));
        until(&mut run, stage, |world| {
            world.nodes.iter().any(|node| world.stage(node).is_some_and(|now| now.name() == stage))
        });
        run.world.removed = true;
        let ending = run.to_the_end().unwrap_or_else(|failure| panic!("{failure}\n{stage}"));
        assert_eq!(ending.outcome, RolloutOutcome::Aborted);
        assert!(ending.world.jobs.is_empty(), "{stage}: {:?}", ending.world.jobs);
        let works = matches!(stage, "running" | "verifying");
        let labels = ending.world.nodes.iter().filter(|node| !node.labels.is_empty()).count();
        assert_eq!(labels, usize::from(works), "{stage}: a host that may be at work is left to its operator");
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
