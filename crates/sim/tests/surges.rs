//! Services that are scaled up before a drain: whoever dies, and whoever else scales them, none is missing and nothing is left.

use careen_contract::label;
use careen_planner::action::Action;
use careen_planner::observed::Expectation;
use careen_planner::rollout::RolloutOutcome;
use careen_planner::spec::DrainPolicy;
use careen_planner::surge::Surge;
use careen_planner::{Act, ControllerId, Observed, Pass, ServiceId};
use careen_sim::host::HostPlan;
use careen_sim::run::Ending;
use careen_sim::world::World;
use careen_sim::{Run, scenario};
use std::collections::BTreeMap;
use support::caught;

mod support;

/// Six tasks on six nodes, and a single one whose label asks for it. The command restarts the engine of each.
fn world() -> World {
    let mut spec = scenario::spec();
    spec.surge = true;
    spec.drain = DrainPolicy::Always;
    let mut world = scenario::world(7, spec, 3, 3);
    let mut single = scenario::service("single", 1);
    single.surge = Some(true);
    world.services = vec![scenario::service("web", 6), single];
    for node in &mut world.nodes {
        node.host.plan = HostPlan { expects: Expectation::Yes, ..HostPlan::default() };
    }
    for _ in 0..15 {
        world.tick();
    }
    world
}

fn done(run: Run, what: &str) -> Ending {
    let ending = run.to_the_end().unwrap_or_else(|failure| panic!("{failure}\n{what}"));
    assert_eq!(ending.outcome, RolloutOutcome::Done, "{what}");
    assert!(ending.world.nodes.iter().all(|node| node.labels.is_empty()), "{what}: labels are left");
    ending
}

/// How many tasks of a service run, whoever wants them.
fn least(run: &mut Run, service: usize) -> u64 {
    let runs = |world: &World| {
        let runs = |task: &&careen_sim::world::SimTask| {
            task.service == service && task.state == careen_planner::observed::TaskState::Running
        };
        world.tasks.iter().filter(runs).count() as u64
    };
    let mut least = runs(&run.world);
    while !matches!(run.world.rollout.control, careen_planner::rollout::Control::Finished { .. }) {
        run.second();
        least = least.min(runs(&run.world));
        assert!(run.world.now < 10_000, "{}", run.world.history.join("\n"));
    }
    least
}

#[test]
fn nothing_is_missing_from_the_first_second_to_the_last() {
    assert_eq!(least(&mut Run::new(world()), 0), 6);
    assert_eq!(least(&mut Run::new(world()), 1), 1);
    let mut without = world();
    without.spec.surge = false;
    without.services[1].surge = None;
    without.spec.allow_gaps = true;
    assert!(least(&mut Run::new(without), 0) < 6, "the test sees it where it is so");
}

#[test]
fn the_controller_killed_after_every_single_action() {
    let actions = done(Run::new(world()), "nothing happens").actions;
    for at in 0..actions {
        let mut run = Run::new(world());
        run.crash_at = Some(at);
        done(run, &format!("killed after action {at} of {actions}"));
    }
}

/// The label says that a service is scaled up; the world goes on until that is so.
fn until_scaled(run: &mut Run) -> u64 {
    loop {
        run.second();
        let web = &run.world.services[0];
        if web.replicas > web.wish {
            return web.replicas;
        }
        assert!(run.world.now < 2_000, "{}", run.world.history.join("\n"));
    }
}

#[test]
fn what_somebody_else_has_scaled_is_theirs() {
    for to in [2, 6, 20] {
        let mut run = Run::new(world());
        until_scaled(&mut run);
        let version = run.world.next_version();
        let web = &mut run.world.services[0];
        (web.replicas, web.wish, web.version, web.upset_at) = (to, to, version, run.world.now);
        let ending = done(run, &format!("scaled to {to}"));
        assert_eq!(ending.world.services[0].replicas, to);
    }
}

#[test]
fn an_update_that_is_under_way_is_waited_for() {
    let mut run = Run::new(world());
    run.world.services[0].updates_until = 300;
    done(run, "an update of 300 s");
}

fn bent(change: impl Fn(&mut Run)) -> impl Fn(&mut Run) {
    move |run| {
        scenario::scales_up(&mut run.world, 0);
        run.world.spec.drain = DrainPolicy::Always;
        run.world.spec.allow_gaps = false;
        run.world.services.iter_mut().for_each(|service| service.has_volume = false);
        change(run);
    }
}

#[test]
fn a_planner_that_forgets_to_give_back_is_caught() {
    fn forgets(pass: &mut Pass, world: &World) {
        let forgets = |service: &ServiceId| {
            let node = world.nodes.iter().find(|node| {
                let surge = node.labels.get(label::SURGE).and_then(|text| Surge::decode(text).ok());
                surge.is_some_and(|surge| surge.services.contains_key(service))
            })?;
            let labels = BTreeMap::from([(label::SURGE.to_owned(), None)]);
            let (id, version) = (node.id.clone(), node.version);
            Some(Action::UpdateNode { node: id, version, labels, availability: None })
        };
        let other = |act: Act| {
            let Action::ScaleService { service, from, to, .. } = &act.action else { return Some(act) };
            if to < from { Some(Act { action: forgets(service)?, ..act }) } else { Some(act) }
        };
        pass.actions = std::mem::take(&mut pass.actions).into_iter().filter_map(other).collect();
    }
    caught(bent(|run| run.mutate = forgets), "is left with");
}

#[test]
fn a_planner_that_drains_without_scaling_up_is_caught() {
    let change = bent(|run| run.disobey = |spec| (spec.surge, spec.allow_gaps) = (false, true));
    caught(change, "healthy tasks elsewhere");
}

#[test]
fn a_planner_that_gives_back_too_early_is_caught() {
    fn all_is_well(observed: &mut Observed, _: &ControllerId) {
        observed.services.iter_mut().for_each(|service| service.running = 99);
    }
    caught(bent(|run| run.distort = all_is_well), "is scaled back before");
}
