//! One rollout over five nodes, with a drain, an engine restart and reboots, and its controller killed after every
//! single action.

use careen_planner::Parallelism;
use careen_planner::observed::{Expectation, Restart};
use careen_planner::rollout::RolloutOutcome;
use careen_sim::host::{AttemptEnd, HostPlan};
use careen_sim::run::Ending;
use careen_sim::world::World;
use careen_sim::{Run, scenario};

/// Two workers and three managers: one that is drained before the command, one that asks for a reboot, one whose
/// command restarts the engine under its agent, one that wants an engine restart, one that wants nothing.
fn five_nodes() -> World {
    let mut world = scenario::world(7, scenario::spec(), 3, 2);
    world.services = vec![scenario::service("web", 3)];
    let plans = [
        HostPlan { wants: Some(Restart::Engine), ..HostPlan::default() },
        HostPlan::default(),
        HostPlan { engine_restarts_midway: true, wants: Some(Restart::Engine), ..HostPlan::default() },
        HostPlan { expects: Expectation::Yes, wants: Some(Restart::Engine), ..HostPlan::default() },
        HostPlan { attempts: vec![AttemptEnd::RebootMe, AttemptEnd::Well], ..HostPlan::default() },
    ];
    for (node, plan) in world.nodes.iter_mut().zip(plans) {
        node.host.plan = plan;
    }
    for _ in 0..15 {
        world.tick();
    }
    world
}

/// Five hosts whose command leaves the engine alone, all at once: what `careen run` begins before a controller is up.
fn five_at_once() -> World {
    let mut spec = scenario::spec();
    scenario::needs_no_go(&mut spec);
    spec.touches_engine = false;
    (spec.policy.canaries, spec.policy.parallelism) = (0, Parallelism::Nodes(5));
    let mut world = scenario::world(7, spec, 3, 2);
    for _ in 0..15 {
        world.tick();
    }
    world
}

fn done(run: Run, what: &str) -> Ending {
    let ending = done_with(run, what);
    let expected = [("m1", 1), ("m2", 1), ("m3", 1), ("w1", 1), ("w2", 1), ("w2", 2)];
    assert_eq!(attempts(&ending), expected.map(|(node, attempt)| (node.to_owned(), 1, attempt)), "{what}");
    ending
}

fn attempts(ending: &Ending) -> Vec<(String, u32, u32)> {
    let attempts = ending.world.attempts.iter();
    let mut attempts: Vec<_> =
        attempts.map(|(node, _, try_, attempt)| (node.0.clone(), *try_, *attempt)).collect();
    attempts.sort();
    attempts
}

fn done_with(run: Run, what: &str) -> Ending {
    let ending = run.to_the_end().unwrap_or_else(|failure| panic!("{failure}\n{what}"));
    assert_eq!(ending.outcome, RolloutOutcome::Done, "{what}");
    assert!(ending.world.nodes.iter().all(|node| node.labels.is_empty()), "{what}: labels are left");
    assert!(ending.world.jobs.is_empty(), "{what}: services are left");
    ending
}

#[test]
fn the_controller_killed_after_every_single_action() {
    let actions = done(Run::new(five_nodes()), "nothing happens").actions;
    assert!(actions > 80, "{actions}");
    for at in 0..actions {
        let mut run = Run::new(five_nodes());
        run.crash_at = Some(at);
        done(run, &format!("killed after action {at} of {actions}"));
    }
}

#[test]
fn controllers_that_live_for_a_few_actions_only() {
    // Who takes over takes an agent away that has not said that it began: a controller must live to announce a go and to
    // give it, behind taking the lock and writing its epoch.
    for actions in 8..20 {
        let mut run = Run::new(five_nodes());
        run.lives_for = Some(actions);
        let ending = done(run, &format!("each controller dies after {actions} actions"));
        assert!(ending.controllers > 5);
    }
}

/// The one who begins is killed behind each of its actions, and a controller takes over.
#[test]
fn who_begins_everything_at_once_and_dies_is_taken_over() {
    let ran = |run: Run, what: &str| {
        let ending = done_with(run, what);
        let once = ["m1", "m2", "m3", "w1", "w2"].map(|node| (node.to_owned(), 1, 1));
        assert_eq!(attempts(&ending), once, "{what}");
        assert!(ending.world.tickets.is_empty(), "{what}: tickets are left");
        ending.actions
    };
    let actions = ran(Run::new(five_at_once()), "nothing happens");
    assert!(actions > 20, "{actions}");
    for at in 0..actions {
        let mut run = Run::new(five_at_once());
        run.crash_at = Some(at);
        ran(run, &format!("killed after action {at} of {actions}"));
    }
}
