//! A rollout that brings a new version of an enforcement: whoever dies, never are two versions on one host, and one is left.

use careen_contract::label;
use careen_planner::moves::{MoveStep, Moving, VersionSeen};
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_planner::spec::OnFailure;
use careen_planner::{Act, Action, ControllerId, EnforcementState, NodeId, NodeState, Observed, Pass};
use careen_sim::host::AttemptEnd;
use careen_sim::run::Ending;
use careen_sim::world::World;
use careen_sim::{Faults, Run, scenario};
use support::caught;

mod support;

const LABEL: &str = "careen.enforce.sysctl";

/// Five hosts, one canary, then two at a time.
fn world() -> World {
    let mut spec = scenario::spec();
    scenario::needs_no_go(&mut spec);
    spec.touches_engine = false;
    spec.policy.parallelism = careen_planner::Parallelism::Nodes(2);
    let mut world = scenario::world(7, spec, 3, 2);
    world.moves_an_enforcement();
    for _ in 0..15 {
        world.tick();
    }
    world
}

fn ended(run: Run, what: &str, outcome: RolloutOutcome) -> Ending {
    let ending = run.to_the_end().unwrap_or_else(|failure| panic!("{failure}\n{what}"));
    assert_eq!(ending.outcome, outcome, "{what}");
    ending
}

/// The new version is the stable one; what of it is left beside is for the invariants.
fn is_promoted(ending: &Ending) -> bool {
    ending.world.moving.as_ref().is_some_and(Moving::is_promoted)
}

fn labelled(world: &World) -> Vec<String> {
    let on = world.nodes.iter().filter(|node| node.labels.contains_key(LABEL));
    on.map(|node| node.id.0.clone()).collect()
}

/// Steps until something is so.
fn until(run: &mut Run, what: &str, is_so: impl Fn(&World) -> bool) {
    let end = run.world.now + 2000;
    while !is_so(&run.world) {
        run.second();
        assert!(run.world.violations.is_empty(), "{what}: {}", run.world.history.join("\n"));
        assert!(run.world.now < end, "{what}: {}", run.world.history.join("\n"));
    }
}

#[test]
fn the_controller_killed_after_every_single_action() {
    let actions = ended(Run::new(world()), "nothing happens", RolloutOutcome::Done).actions;
    assert!(actions > 30, "{actions}");
    for at in 0..actions {
        let mut run = Run::new(world());
        run.crash_at = Some(at);
        let ending = ended(run, &format!("killed after action {at} of {actions}"), RolloutOutcome::Done);
        assert!(is_promoted(&ending), "{at}");
    }
}

/// A version that fails on the canary.
fn bad() -> World {
    let mut world = world();
    world.nodes.iter_mut().for_each(|node| node.host.plan.attempts = vec![AttemptEnd::Failed; 3]);
    world
}

/// The canary has failed, and the rollout is paused.
fn stopped_at_the_canary() -> Run {
    let mut run = Run::new(bad());
    until(&mut run, "the canary fails", |world| {
        let failed = |node| matches!(world.state(node), Some(NodeState::Failed { .. }));
        world.nodes.iter().any(failed)
    });
    run
}

fn abort(run: &mut Run) {
    run.world.rollout.version = run.world.next_version();
    run.world.rollout.control = Control::Aborting;
}

#[test]
fn a_bad_version_stops_at_the_canary_and_an_abort_takes_it_back_wherever_its_controller_dies() {
    let run = stopped_at_the_canary();
    assert_eq!(labelled(&run.world), ["w1"], "the others have the stable version");
    assert!(matches!(run.world.rollout.control, Control::Paused { .. }));
    let before = run.actions;
    let mut run = run;
    abort(&mut run);
    let actions = ended(run, "nothing happens", RolloutOutcome::Aborted).actions;
    for at in before..actions {
        let mut run = stopped_at_the_canary();
        abort(&mut run);
        run.crash_at = Some(at);
        let ending = ended(run, &format!("killed after action {at} of {actions}"), RolloutOutcome::Aborted);
        assert!(!is_promoted(&ending), "{at}");
        assert_eq!(ending.world.attempts.len(), 1, "no other host began");
    }
}

#[test]
fn failures_that_the_policy_goes_on_with_leave_both_versions() {
    let mut world = world();
    world.spec.policy.failure_action = OnFailure::Continue;
    world.nodes[4].host.plan.attempts = vec![AttemptEnd::Failed];
    let ending = ended(Run::new(world), "one fails", RolloutOutcome::WithFailures);
    let moving = ending.world.moving.clone().unwrap();
    assert!(matches!(moving.from.config.unwrap().state, EnforcementState::Updating { .. }));
    assert!(moving.from.service.is_some() && moving.to.service.is_some());
    assert_eq!(labelled(&ending.world).len(), 5, "each had its turn");
}

#[test]
fn a_host_that_joins_meanwhile_has_the_stable_version_until_the_end() {
    let mut run = Run::new(world());
    until(&mut run, "the canary begins", |world| !labelled(world).is_empty());
    run.world.join("w9", "w9");
    until(&mut run, "others begin", |world| labelled(world).len() > 2);
    assert!(!labelled(&run.world).contains(&"w9".to_owned()));
    assert!(is_promoted(&ended(run, "one joins", RolloutOutcome::Done)));
}

#[test]
fn a_label_that_somebody_removes_is_not_set_again_and_the_end_ends_that() {
    let mut run = Run::new(world());
    let w1 = NodeId("w1".into());
    until(&mut run, "w1 is done", |world| {
        world.node(&w1).is_some_and(|node| world.state(node) == Some(NodeState::Done))
    });
    let version = run.world.next_version();
    let node = run.world.node_mut(&w1).unwrap();
    node.version = version;
    assert!(node.labels.remove(LABEL).is_some());
    until(&mut run, "others begin", |world| labelled(world).len() > 1);
    assert!(!labelled(&run.world).contains(&"w1".to_owned()));
    assert!(is_promoted(&ended(run, "a label is removed", RolloutOutcome::Done)));
}

#[test]
fn a_service_that_somebody_removes_pauses_the_rollout_and_everything_is_taken_back() {
    for stable in [true, false] {
        let mut run = Run::new(world());
        until(&mut run, "the canary begins", |world| !labelled(world).is_empty());
        let moving = run.world.moving.as_mut().unwrap();
        let seen: &mut VersionSeen = if stable { &mut moving.from } else { &mut moving.to };
        seen.service = None;
        until(&mut run, "it pauses", |world| matches!(world.rollout.control, Control::Paused { .. }));
        abort(&mut run);
        until(&mut run, "it is over", |world| matches!(world.rollout.control, Control::Finished { .. }));
        let moving = run.world.moving.clone().unwrap();
        assert_eq!(moving.to, VersionSeen::default());
        assert_eq!(moving.from.config.unwrap().state, EnforcementState::Running {});
        assert_eq!(moving.from.service.is_none(), stable, "what somebody removed is theirs");
    }
}

#[test]
fn random_rollouts_that_move_an_enforcement() {
    for seed in 0..40 {
        let mut world = scenario::random(seed);
        world.moves_an_enforcement();
        let played = Run::new(world).with(Faults::all()).to_the_end();
        played.unwrap_or_else(|failure| panic!("{failure}\nseed {seed}"));
    }
}

fn bent(mutate: fn(&mut Pass, &World)) -> impl Fn(&mut Run) {
    move |run| {
        run.world.moves_an_enforcement();
        run.mutate = mutate;
    }
}

/// Puts another action into the place of some.
fn replace(pass: &mut Pass, with: impl Fn(&Action) -> Option<Action>) {
    for act in &mut pass.actions {
        if let Some(action) = with(&act.action) {
            *act = Act { epoch: act.epoch, action };
        }
    }
}

#[test]
fn a_planner_that_takes_the_constraint_away_before_the_old_service_is_gone() {
    fn too_early(pass: &mut Pass, world: &World) {
        let moves = world.spec.moves.clone().unwrap();
        let at = world.moving.as_ref().and_then(|moving| Some(moving.to.service.as_ref()?.at));
        replace(pass, |action| {
            let Action::Move { enforcement, step: MoveStep::RemoveService { of, .. } } = action else {
                return None;
            };
            let (to, constraint) = (moves.to.clone(), moves.only_new());
            let step = MoveStep::Constrain { of: to, at: at?, constraint, present: false };
            (*of == moves.from).then(|| Action::Move { enforcement: enforcement.clone(), step })
        });
    }
    caught(bent(too_early), "of two versions");
}

#[test]
fn a_planner_that_forgets_the_label_of_a_node_that_begins() {
    fn forgets(pass: &mut Pass, _: &World) {
        for act in &mut pass.actions {
            if let Action::UpdateNode { labels, .. } = &mut act.action {
                labels.remove(LABEL);
            }
        }
    }
    caught(bent(forgets), "and gets the new version: false");
}

#[test]
fn a_planner_that_brings_the_new_version_to_all_nodes_at_once() {
    fn to_all(pass: &mut Pass, world: &World) {
        let moves = world.spec.moves.clone().unwrap();
        for act in &mut pass.actions {
            if let Action::UpdateNode { labels, .. } = &mut act.action
                && labels.contains_key(label::NODE)
            {
                labels.insert(LABEL.into(), Some(moves.to.clone()));
            }
        }
    }
    caught(bent(to_all), "and gets the new version: true");
}

#[test]
fn a_planner_that_promotes_what_failed() {
    fn promotes(pass: &mut Pass, world: &World) {
        let (Some(moves), Some(moving)) = (world.spec.moves.clone(), world.moving.as_ref()) else { return };
        let Some(config) = moving.to.config.as_ref().filter(|_| !moving.is_promoted()) else { return };
        let state = EnforcementState::Running {};
        let step = MoveStep::Say { of: moves.to.clone(), at: config.at, state };
        replace(pass, |action| {
            let Action::WriteHistory { .. } = action else { return None };
            Some(Action::Move { enforcement: moves.enforcement.clone(), step: step.clone() })
        });
    }
    caught(bent(promotes), "promoted that is not a success");
}

#[test]
fn a_planner_that_leaves_labels_behind() {
    fn sees_none(observed: &mut Observed, _: &ControllerId) {
        observed.nodes.iter_mut().for_each(|node| drop(node.labels.remove(LABEL)));
    }
    let change = |run: &mut Run| {
        run.world.moves_an_enforcement();
        run.distort = sees_none;
    };
    caught(change, "the enforcement is left as");
}
