//! What a history begins with: a swarm, what runs on it, what the payload does on each host, and a rollout.

use crate::bend::Bend;
use crate::host::{AttemptEnd, CheckEnd, Host, HostPlan};
use crate::rng::Rng;
use crate::truth::Truth;
use crate::world::{Hazard, Power, SimNode, SimService, World};
use careen_planner::observed::{Availability, Expectation, Mode, Restart, Role};
use careen_planner::on_hold::{HoldPolicy, OnHold};
use careen_planner::rollout::{Control, RolloutRecord};
use careen_planner::spec::{DrainPolicy, Limits, NodeOrder, OnFailure, RebootPolicy, UnlockKey};
use careen_planner::{NodeId, Parallelism, RolloutId, Spec, Version};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The limits of simulated rollouts: short, so that histories are.
pub fn limits() -> Limits {
    let seconds = Duration::from_secs;
    Limits {
        entering: seconds(180),
        preparing: seconds(120),
        draining: seconds(120),
        running: None,
        restarting_engine: seconds(90),
        rebooting: seconds(180),
        verifying: seconds(240),
        restoring: seconds(120),
        settling: seconds(240),
        node_down: seconds(150),
        lock_dead: seconds(30),
        heartbeat: seconds(8),
    }
}

/// A rollout with the defaults.
pub fn spec() -> Spec {
    let id = RolloutId::parse("sim").unwrap_or_else(|_| unreachable!("a fixed text"));
    let mut spec = Spec::run(id, "payload@sha256:00");
    spec.limits = limits();
    spec.policy.monitor = Duration::from_secs(5);
    spec.policy.holds.action = OnHold::Wait;
    spec
}

/// A swarm of so many managers (`m1` first) and workers, on which nothing runs yet.
pub fn world(seed: u64, spec: Spec, managers: usize, workers: usize) -> World {
    let managers = (1..=managers).map(|n| node(Role::Manager, &format!("m{n}")));
    let workers = (1..=workers).map(|n| node(Role::Worker, &format!("w{n}")));
    World {
        now: 0,
        rng: Rng::new(seed),
        nodes: managers.chain(workers).collect(),
        services: Vec::new(),
        tasks: Vec::new(),
        jobs: Vec::new(),
        tickets: BTreeSet::new(),
        lock: None,
        rollout: RolloutRecord::new(Version(1), Control::Running),
        baseline: None,
        results: Vec::new(),
        history_written: false,
        delivered: true,
        key_is_gone: false,
        leader: Some(0),
        election_at: 0,
        version: 1,
        spec,
        history: Vec::new(),
        violations: Vec::new(),
        attempts: Vec::new(),
        edges: BTreeSet::new(),
        retries: BTreeMap::new(),
        bend: Bend::default(),
        hazard: Hazard::default(),
        autolock: false,
        logs: BTreeMap::new(),
        created: 0,
        truth: Truth::default(),
        pending_down: None,
        acted: BTreeMap::new(),
        snapshots: VecDeque::new(),
        go_looked_at: BTreeMap::new(),
        over_at: 0,
        left: BTreeMap::new(),
        left_out_of_turn: BTreeSet::new(),
        outside: Vec::new(),
        unlabelled: BTreeSet::new(),
        unlabelled_once: BTreeSet::new(),
        services_deleted: BTreeSet::new(),
        removed: false,
        moving: None,
    }
}

/// A node that is well, with its name as its id.
pub fn node(role: Role, name: &str) -> SimNode {
    SimNode {
        id: NodeId(name.to_owned()),
        hostname: name.to_owned(),
        role,
        availability: Availability::Active,
        wish: Availability::Active,
        wish_at: 0,
        given_back_at: 0,
        labels: BTreeMap::new(),
        version: Version(1),
        power: Power::Up,
        session: 1,
        ready: true,
        differs_since: None,
        unseen_at: 0,
        cut_off_until: 0,
        down_through_us: false,
        containers: Vec::new(),
        killed: BTreeSet::new(),
        swept: BTreeSet::new(),
        host: Host::default(),
        leaks: false,
        called_down_until: 0,
        orphaned: false,
        locked: false,
        locked_at: 0,
        left_at: 0,
    }
}

/// A service of a user.
pub fn service(name: &str, replicas: u64) -> SimService {
    SimService {
        name: name.to_owned(),
        mode: Mode::Replicated,
        replicas,
        pinned: None,
        has_volume: false,
        spread_at: 0,
        version: Version(1),
        wish: replicas,
        surge: None,
        updates_until: 0,
        upset_at: 0,
        forgotten: false,
    }
}

/// The random world of this seed.
pub fn random(seed: u64) -> World {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let managers = *rng.pick(&[1, 3, 3, 3, 5]);
    let workers = rng.between(0, 4) as usize;
    let spec = random_spec(&mut rng);
    let mut world = world(seed, spec, managers, workers);
    // By the seed and not by chance: other histories stay as they are.
    goes_short(&mut world.spec, seed);
    goes_by_a_part(&mut world.spec, managers + workers, seed);
    ends_holds(&mut world.spec, seed);
    if matches!(seed % 15, 1 | 5) {
        world.moves_an_enforcement();
    }
    for node in &mut world.nodes {
        node.leaks = rng.permille(300);
        node.host.plan = random_plan(&mut rng);
        // With its only manager a swarm is gone.
        node.host.plan.dies_at_reboot &= managers > 1 || node.role == Role::Worker;
        if rng.permille(100) {
            let kept = *rng.pick(&[Availability::Drain, Availability::Drain, Availability::Pause]);
            node.availability = kept;
            node.wish = kept;
        }
    }
    let ids: Vec<NodeId> = world.nodes.iter().map(|node| node.id.clone()).collect();
    for number in 0..rng.between(0, 3) {
        let mut one = service(&format!("s{number}"), rng.between(1, 4));
        match rng.between(0, 5) {
            0 => one.pinned = Some(rng.pick(&ids).clone()),
            1 => one.mode = Mode::Global,
            _ => {}
        }
        one.has_volume = rng.permille(60);
        world.services.push(one);
    }
    if !world.spec.touches_engine {
        for node in &mut world.nodes {
            (node.host.plan.engine_restarts_midway, node.host.plan.stops_the_engine) = (false, false);
        }
    }
    world.autolock = rng.permille(120);
    goes_with_surge(&mut world, seed);
    has_a_check(&mut world, seed);
    // Services are up before the rollout begins.
    for _ in 0..15 {
        world.tick();
    }
    world
}

/// One rollout of five needs no go, and half of those leave the engine alone.
fn goes_short(spec: &mut Spec, seed: u64) {
    if seed.is_multiple_of(5) {
        needs_no_go(spec);
        spec.touches_engine = !seed.is_multiple_of(2);
    }
}

/// Of four rollouts one pauses, and one leaves out, whoever is held too long before anything was taken down.
fn ends_holds(spec: &mut Spec, seed: u64) {
    let action = [OnHold::Wait, OnHold::Pause, OnHold::Wait, OnHold::Skip][(seed % 4) as usize];
    spec.policy.holds = HoldPolicy { action, limit: Duration::from_secs(80) };
}

/// Four rollouts of ten scale services up before drains, none of those that once found something else. Of the services of one task
/// one of two says so itself, and of the others one of seven that it is not to be.
fn goes_with_surge(world: &mut World, seed: u64) {
    if !matches!(seed % 18, 1 | 3 | 9 | 11 | 12 | 16 | 17) {
        return;
    }
    world.services.push(service("web", 1 + seed % 4));
    scales_up(world, seed);
}

/// Three payloads of twenty have a `check`, none of those whose histories once found something else; one of five of those rollouts
/// forces the work.
fn has_a_check(world: &mut World, seed: u64) {
    if matches!(seed % 20, 5 | 8 | 13) {
        checks_first(world, seed);
        world.spec.force = (seed / 20).is_multiple_of(5);
    }
}

/// The payload has a `check`, and two hosts of five are in sync.
pub fn checks_first(world: &mut World, seed: u64) {
    let mut rng = Rng::new(seed ^ 0xc4ec);
    for node in &mut world.nodes {
        node.host.plan.check = Some(match rng.between(0, 19) {
            0..8 => CheckEnd::InSync,
            8..19 => CheckEnd::Drift,
            _ => CheckEnd::Fails,
        });
    }
}

/// Services are scaled up before drains.
pub fn scales_up(world: &mut World, seed: u64) {
    world.spec.surge = true;
    for (number, service) in (seed..).zip(&mut world.services) {
        service.surge = match service.replicas {
            1 => number.is_multiple_of(2).then_some(true),
            _ => number.is_multiple_of(7).then_some(false),
        };
    }
}

/// Nothing is drained or restarted.
pub fn needs_no_go(spec: &mut Spec) {
    (spec.drain, spec.reboot) = (DrainPolicy::Never, RebootPolicy::Never);
    (spec.engine_restart, spec.restarts) = (false, false);
}

/// One rollout of seven says as a part how many nodes go together; it is as many.
fn goes_by_a_part(spec: &mut Spec, nodes: usize, seed: u64) {
    let parallelism = &mut spec.policy.parallelism;
    if seed.is_multiple_of(7) {
        let percent = (parallelism.of(nodes) * 100).div_ceil(nodes).min(100);
        *parallelism = format!("{percent}%").parse().unwrap_or(*parallelism);
    }
}

fn random_spec(rng: &mut Rng) -> Spec {
    let mut spec = spec();
    spec.policy.parallelism = Parallelism::Nodes(rng.between(1, 3) as usize);
    spec.policy.canaries = rng.between(0, 1) as usize;
    spec.policy.delay = Duration::from_secs(rng.between(0, 1) * 10);
    spec.policy.order =
        *rng.pick(&[NodeOrder::WorkersFirst, NodeOrder::WorkersFirst, NodeOrder::ManagersFirst]);
    spec.policy.failure_action =
        *rng.pick(&[OnFailure::Pause, OnFailure::Pause, OnFailure::Continue, OnFailure::Rollback]);
    spec.drain = *rng.pick(&[DrainPolicy::Auto, DrainPolicy::Auto, DrainPolicy::Always, DrainPolicy::Never]);
    spec.reboot = *rng.pick(&[RebootPolicy::Auto, RebootPolicy::Asked, RebootPolicy::Never]);
    spec.restarts = rng.permille(200);
    spec.allow_volume_moves = rng.permille(300);
    spec.allow_gaps = rng.permille(600);
    spec.unlock_by_hand = rng.permille(500);
    let key = || UnlockKey { id: "key".into(), name: "key".into() };
    spec.unlock_key = rng.permille(500).then(key);
    if rng.permille(200) {
        // Operators change this label while the rollout goes on.
        spec.selection.constraints = vec!["node.labels.zone!=z1".into()];
    }
    spec
}

/// What a payload does on a random host.
pub(crate) fn random_plan(rng: &mut Rng) -> HostPlan {
    let attempts = match rng.between(0, 9) {
        0 => vec![AttemptEnd::Failed, AttemptEnd::Failed],
        1 => vec![AttemptEnd::RebootMe, AttemptEnd::Well],
        2 => vec![AttemptEnd::RebootMe, AttemptEnd::RebootMe, AttemptEnd::Well],
        _ => vec![AttemptEnd::Well],
    };
    HostPlan {
        refuses_the_agent: rng.permille(40),
        prepare_works: !rng.permille(30),
        expects: *rng.pick(&[Expectation::Yes, Expectation::No, Expectation::Unknown]),
        attempts,
        engine_restarts_midway: rng.permille(150),
        wants: *rng.pick(&[None, None, Some(Restart::Engine), Some(Restart::Reboot)]),
        verify_works: !rng.permille(30),
        dies_at_reboot: rng.permille(20),
        takes: rng.between(2, 20),
        boots_in: rng.between(6, 40),
        engine_takes: None,
        is_fit: !rng.permille(15),
        check: None,
        has_rollback: rng.permille(500),
        starts_containers: !rng.permille(15),
        stops_the_engine: rng.permille(40),
        refuses_until: *rng.pick(&[u64::MAX, 150, 400]),
    }
}
