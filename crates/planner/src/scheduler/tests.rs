use super::plain::{self, Scheduler, could_take, has_place};
use super::*;
use crate::board::MANY;
use crate::ids::ServiceId;
use crate::observed::{
    Availability, HostPort, Mode, Needs, NodeStatus, Observed, Platform, Plugin, Resources, Service, Task,
    TaskState,
};
use crate::testing::{service, task, worker};
use std::collections::BTreeMap;

fn id(name: &str) -> NodeId {
    NodeId(name.into())
}

fn away(names: &[&str]) -> BTreeSet<NodeId> {
    names.iter().map(|name| id(name)).collect()
}

/// `web` on w1 and w2 of three workers.
fn cluster() -> Observed {
    Observed {
        nodes: vec![worker("w1"), worker("w2"), worker("w3")],
        services: vec![service("web", 2)],
        tasks: vec![task("web", "w1"), task("web", "w2")],
        ..Observed::default()
    }
}

fn goes(observed: &Observed, node: &str) -> String {
    let seen = Indexed::of(observed);
    let mut board = seen.board();
    let node = board.node(&id(node)).unwrap();
    match &board.places(&BTreeSet::new(), node)[..] {
        [(_, Place::On { node, of })] => format!("{node} of {of}"),
        [(_, Place::Nowhere { why })] => why.clone(),
        [(_, Place::Unknown { constraint })] => format!("? {constraint}"),
        places => format!("{places:?}"),
    }
}

fn gap(observed: &Observed, others: &BTreeSet<NodeId>, node: &NodeId) -> Option<Gap> {
    let seen = Indexed::of(observed);
    super::gap(&seen, others, seen.node(node).unwrap(), |_| true)
}

#[test]
fn each_of_swarms_filters_keeps_a_task_from_a_node() {
    let port = HostPort { protocol: "tcp".into(), port: 80 };
    let half = Resources { memory: 600, ..Resources::default() };
    let offer = |observed: &mut Observed| {
        observed.nodes.iter_mut().for_each(|node| node.offers.resources.memory = 1000);
        observed.tasks.iter_mut().for_each(|task| task.reserved = half.clone());
    };
    type Change<'a> = &'a dyn Fn(&mut Observed);
    let needs = |observed: &mut Observed, needs: Needs| observed.services[0].needs = needs;
    let table: [(Change<'_>, &str); 10] = [
        (&|_| {}, "w3 of 2"),
        (&|observed| needs(observed, Needs { max_per_node: 1, ..Needs::default() }), "w3 of 1"),
        (
            &|observed| {
                needs(observed, Needs { max_per_node: 1, ..Needs::default() });
                observed.nodes[2].availability = Availability::Drain;
            },
            "2 nodes not available for new tasks; max replicas per node limit exceeded on 1 node",
        ),
        (
            &|observed| {
                needs(observed, Needs { ports: [port.clone()].into(), ..Needs::default() });
                observed.nodes[2].status = NodeStatus::Down;
            },
            "2 nodes not available for new tasks; host-mode port already in use on 1 node",
        ),
        (&|observed| offer(observed), "w3 of 1"),
        (
            &|observed| {
                offer(observed);
                observed.nodes[2].offers.resources.memory = 500;
            },
            "1 node not available for new tasks; insufficient resources on 2 nodes",
        ),
        (
            &|observed| {
                let arm = Platform { os: "linux".into(), arch: "arm64".into() };
                needs(observed, Needs { platforms: vec![arm], ..Needs::default() });
                observed.nodes[1].arch = "aarch64".into();
            },
            "w2 of 1",
        ),
        (
            &|observed| {
                let plugin = Plugin { kind: "Volume".into(), name: "rexray".into() };
                needs(observed, Needs { plugins: [plugin].into(), ..Needs::default() });
            },
            "1 node not available for new tasks; missing plugin on 2 nodes",
        ),
        (
            &|observed| observed.services[0].constraints = vec!["node.hostname==w1".into()],
            "1 node not available for new tasks; scheduling constraints not satisfied on 2 nodes",
        ),
        (&|observed| observed.services[0].constraints = vec!["node.gpu==1".into()], "? node.gpu==1"),
    ];
    for (number, (change, expected)) in table.into_iter().enumerate() {
        let mut observed = cluster();
        change(&mut observed);
        assert_eq!(goes(&observed, "w1"), expected, "row {number}");
    }
}

#[test]
fn tasks_that_move_together_do_not_get_the_same_place_twice() {
    let mut observed = cluster();
    observed.services[0].needs.max_per_node = 1;
    assert_eq!(gap(&observed, &away(&[]), &id("w1")), None);
    let why = "2 nodes not available for new tasks; max replicas per node limit exceeded on 1 node";
    let no_place = Gap::NoPlace { service: "web".into(), why: why.into() };
    assert_eq!(gap(&observed, &away(&["w2"]), &id("w1")), Some(no_place.clone()), "w2's task has the place");
    // The same while w2's task is on its way.
    observed.tasks[1].node = None;
    observed.tasks[1].state = TaskState::Pending;
    observed.nodes[1].availability = Availability::Drain;
    assert_eq!(gap(&observed, &away(&[]), &id("w1")), Some(no_place));
}

#[test]
fn one_of_several_tasks_keeps_running() {
    let at_zero = Some(Gap::AtZero { service: "web".into() });
    let mut observed = cluster();
    assert_eq!(gap(&observed, &away(&["w2"]), &id("w1")), at_zero, "both at once");
    assert_eq!(gap(&observed, &away(&["w2"]), &id("w3")), None, "nothing of it is there");
    observed.tasks[1].state = TaskState::Starting;
    assert_eq!(gap(&observed, &away(&[]), &id("w1")), at_zero, "the other one does not run yet");
    observed.tasks[1] = Task { id: "web.2".into(), ..task("web", "w1") };
    assert_eq!(gap(&observed, &away(&[]), &id("w1")), at_zero, "both on one node");
    observed.services[0].desired = 1;
    assert_eq!(gap(&observed, &away(&[]), &id("w1")), None, "who runs one task knows that it stops");
}

#[test]
fn what_could_fit_is_not_what_fits_now() {
    let mut observed = cluster();
    observed.nodes[1].status = NodeStatus::Down;
    observed.nodes[2].availability = Availability::Pause;
    let has_place = |observed: &Observed| Indexed::of(observed).board().with_a_place(&[0]) == [true];
    let could_take = |node| Indexed::of(&observed).board().could_take(node, 0);
    assert!((0..3).all(could_take));
    assert!(goes(&observed, "w1").starts_with("3 nodes not available"));
    assert!(has_place(&observed));
    observed.nodes[0].availability = Availability::Drain;
    assert!(!has_place(&observed));
}

/// Numbers that look random, and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn is(&mut self, one_of: usize) -> bool {
        self.below(one_of) == 0
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn nfs() -> Plugin {
    Plugin { kind: "Volume".into(), name: "nfs".into() }
}

fn any_resources(dice: &mut Dice) -> Resources {
    let generic = if dice.is(4) { [("gpu".to_owned(), 1)].into() } else { BTreeMap::new() };
    Resources { memory: dice.below(4) as i64 * 100, nano_cpus: dice.below(2) as i64, generic }
}

fn any_node(dice: &mut Dice, number: usize) -> Node {
    let mut node = worker(&format!("n{number}"));
    node.availability = if dice.is(4) { Availability::Drain } else { Availability::Active };
    node.status = if dice.is(6) { NodeStatus::Down } else { NodeStatus::Ready };
    node.arch = if dice.is(3) { "aarch64" } else { "x86_64" }.into();
    node.labels.insert("zone".into(), if dice.is(2) { "a" } else { "b" }.into());
    let memory = 300 + dice.below(3) as i64 * 200;
    node.offers.resources = Resources { memory, nano_cpus: 4, ..any_resources(dice) };
    node.offers.plugins.extend(dice.is(2).then(nfs));
    node
}

fn any_service(dice: &mut Dice, number: usize) -> Service {
    const CONSTRAINTS: [&str; 6] = [
        "node.labels.zone==a",
        "node.labels.zone!=a",
        "node.hostname==n1",
        "node.role==worker",
        "node.gpu==1",
        "node.labels.disk==ssd",
    ];
    let platform = |arch: &str| Platform { os: "linux".into(), arch: arch.into() };
    let arch = if dice.is(2) { "arm64" } else { "amd64" };
    let port = HostPort { protocol: "tcp".into(), port: 80 + dice.below(2) as u32 };
    Service {
        mode: if dice.is(5) { Mode::Global } else { Mode::Replicated },
        constraints: (0..dice.below(3)).map(|_| (*dice.one(&CONSTRAINTS)).to_owned()).collect(),
        needs: Needs {
            max_per_node: dice.below(4).saturating_sub(1) as u64,
            platforms: dice.is(3).then(|| platform(arch)).into_iter().collect(),
            reserved: any_resources(dice),
            ports: dice.is(4).then_some(port).into_iter().collect(),
            plugins: dice.is(4).then(nfs).into_iter().collect(),
        },
        ..service(&format!("s{number}"), dice.below(4) as u64)
    }
}

/// One of a service that is there or not, on a node that is there or not, or on none.
fn any_task(dice: &mut Dice, number: usize, observed: &Observed) -> Task {
    let states =
        [TaskState::Running, TaskState::Running, TaskState::Starting, TaskState::Pending, TaskState::Failed];
    let service = observed.services.get(dice.below(observed.services.len() + 1));
    let node = observed.nodes.get(dice.below(observed.nodes.len() + 2)).map(|node| node.id.clone());
    Task {
        id: format!("t{number}"),
        service: service.map_or_else(|| ServiceId("gone".into()), |service| service.id.clone()),
        called: String::new(),
        job: dice.is(8),
        node: node.or_else(|| dice.is(3).then(|| id("left"))),
        state: *dice.one(&states),
        wanted: !dice.is(6),
        reserved: service.map_or_else(Resources::default, |service| service.needs.reserved.clone()),
    }
}

/// A swarm in which everything that keeps tasks from nodes is there, and many tasks are nearly alike.
fn any_swarm(dice: &mut Dice) -> Observed {
    let mut observed = Observed::default();
    for number in 0..2 + dice.below(7) {
        let node = any_node(dice, number);
        observed.nodes.insert(dice.below(number + 1), node);
    }
    let services = 1 + dice.below(5);
    observed.services.extend((0..services).map(|number| any_service(dice, number)));
    for number in 0..dice.below(20) {
        let task = any_task(dice, number, &observed);
        observed.tasks.push(task);
    }
    observed
}

/// Where a plan goes on is among what Swarm may choose.
fn assert_among_the_choices(seen: &Indexed<'_>, others: &BTreeSet<NodeId>, number: usize, seed: u64) {
    let choices = seen.board().choices(others, number);
    let places = seen.board().places(others, number);
    for (task, place) in places {
        let Place::On { node, .. } = place else { continue };
        let service = seen.board().service_of(task).unwrap().0;
        let node = seen.board().node(&node).unwrap();
        assert!(choices[&service].contains(&node) || choices[&service].len() > MANY, "seed {seed}");
    }
}

/// What is remembered, on the way through many questions and changes, is what is found when everything is looked at anew.
#[test]
fn what_is_remembered_is_what_is_found_anew() {
    for seed in 0..3000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut observed = any_swarm(&mut dice);
        let at_first = observed.clone();
        let seen = Indexed::of(&at_first);
        let mut gone = BTreeSet::new();
        for step in 0..8 {
            let node = dice.one(&observed.nodes).id.clone();
            let number = seen.board().node(&node).unwrap();
            let others: BTreeSet<NodeId> = if dice.is(2) {
                observed.nodes.iter().filter(|_| dice.is(3)).map(|node| node.id.clone()).collect()
            } else {
                gone.clone()
            };
            let expected: Vec<(String, Place)> = plain::places(&observed, &others, &node)
                .into_iter()
                .map(|(task, place)| (task.id.clone(), place))
                .collect();
            let places = seen.board().places(&others, number);
            let places: Vec<(String, Place)> =
                places.into_iter().map(|(task, place)| (at_first.tasks[task].id.clone(), place)).collect();
            assert_eq!(places, expected, "seed {seed}, step {step}: {observed:#?}");
            assert_among_the_choices(&seen, &others, number, seed);
            let now = Indexed::of(&observed);
            let before = super::gap(&seen, &others, seen.node(&node).unwrap(), |_| true);
            assert_eq!(before, plain::gap(&observed, &others, &node), "seed {seed}, step {step}");
            assert_eq!(
                before,
                super::gap(&now, &others, now.node(&node).unwrap(), |_| true),
                "seed {seed}, step {step}"
            );
            let all: Vec<usize> = (0..observed.services.len()).collect();
            let scheduler = Scheduler::without(&observed, &BTreeSet::new());
            let expected: Vec<bool> =
                observed.services.iter().map(|one| has_place(&scheduler, one)).collect();
            assert_eq!(seen.board().with_a_place(&all), expected, "seed {seed}, step {step}");
            for (service, one) in observed.services.iter().enumerate() {
                let node = observed.nodes.iter().find(|one| one.id == node).unwrap();
                assert_eq!(seen.board().could_take(number, service), could_take(node, one), "seed {seed}");
            }
            match dice.below(3) {
                0 => {
                    // As plans did it that looked at everything anew.
                    plain::take_places(&mut observed, &gone, Some(&node));
                    seen.board().drain(&gone, number);
                    gone.insert(node);
                }
                1 => {
                    gone.clear();
                    plain::take_places(&mut observed, &gone, None);
                    seen.board().all_are_back();
                }
                _ => {}
            }
        }
    }
}
