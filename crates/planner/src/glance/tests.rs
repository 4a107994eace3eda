use super::*;
use crate::ids::{JobRole, Version};
use crate::observed::{Availability, NodeOutcome, NodeStatus, Role, Tally};
use crate::rollout::{Baseline, Control, NodeResult};
use crate::state::{AfterRestoring, Goal, Skip};
use crate::testing::{manager, rollout, service, task, worker};

/// A service as Swarm counts it.
fn told(name: &str, running: u64, tally: u64) -> Service {
    let desired = running.max(tally);
    let tally = Tally { version: Version(1), running: tally, desired };
    Service { running, tally: Some(tally), ..service(name, desired) }
}

/// Three nodes, the first of which is at work; `web` runs on the first and the second, `db` on the third.
fn memory() -> Observed {
    let mut nodes = vec![worker("w1"), worker("w2"), worker("w3")];
    let record = NodeRecord { state: NodeState::Entering, ..NodeRecord::new(&rollout(), 1) };
    nodes[0].labels.insert(label::NODE.into(), record.encode());
    let tasks = vec![task("web", "w1"), task("web", "w2"), task("db", "w3")];
    Observed { nodes, services: vec![told("web", 2, 2), told("db", 1, 1)], tasks, ..Observed::default() }
}

/// What a glance finds of a swarm that is so by now, as whoever implements it does, with the same functions.
fn glance(memory: &Memory, now: &Observed) -> Glance {
    let nodes = at_work(&now.nodes, now.jobs.iter().map(|job| &job.key));
    let mut of = TasksOf { nodes, services: BTreeSet::new() };
    let read = |of: &TasksOf| now.tasks.iter().filter(|task| of.have(task)).cloned().collect();
    let mut seen = Observed { tasks: read(&of), ..now.clone() };
    seen.services.iter_mut().for_each(|service| service.running = 0);
    of.services = memory.services_in_question(&now.nodes.iter().collect::<Vec<_>>(), &seen, &of.nodes);
    seen.tasks = read(&of);
    Glance { seen, all_nodes: true, of }
}

fn names(services: &BTreeSet<ServiceId>) -> Vec<&str> {
    services.iter().map(|service| service.0.as_str()).collect()
}

/// What is asked of these, and what is known then: behind a look, and the same behind a glance that found nothing new.
fn known(now: &Observed) -> (Vec<String>, Observed) {
    let mut told = [0, 1].map(|glances| {
        let mut memory = Memory::of(memory());
        for _ in 0..glances {
            memory.renew(glance(&memory, &self::memory()));
        }
        let glance = glance(&memory, now);
        let asked = names(&glance.of.services).into_iter().map(str::to_owned).collect();
        memory.renew(glance);
        let mut known = memory.observed().clone();
        known.tasks.sort_by(|a, b| a.id.cmp(&b.id));
        (asked, known)
    });
    assert_eq!(told[0], told[1]);
    std::mem::take(&mut told[0])
}

fn running(observed: &Observed) -> Vec<u64> {
    observed.services.iter().map(|service| service.running).collect()
}

#[test]
fn where_nothing_changed_only_the_nodes_at_work_are_asked_and_everything_is_known() {
    let now = memory();
    assert_eq!(at_work(&now.nodes, std::iter::empty()), BTreeSet::from([NodeId("w1".into())]));
    let (asked, known) = known(&now);
    assert_eq!(asked, [""; 0]);
    let mut expected = memory();
    expected.tasks.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(known, expected);
}

#[test]
fn a_task_that_moved_between_other_nodes_without_a_trace_is_where_it_was() {
    let mut now = memory();
    now.tasks[1] = task("web", "w3");
    let (asked, known) = known(&now);
    assert_eq!((asked, running(&known)), (vec![], vec![2, 1]));
    assert!(known.tasks.contains(&task("web", "w2")), "as old as the look");
}

#[test]
fn a_service_that_swarm_counts_otherwise_is_asked_for() {
    // A task of it failed; it was updated, and there are as many again.
    let fails = |now: &mut Observed| {
        now.services[1] = told("db", 0, 0);
        now.tasks[2].state = TaskState::Failed;
    };
    let updated = |now: &mut Observed| {
        now.services[1].tally = Some(Tally { version: Version(2), running: 1, desired: 1 });
        now.tasks[2] = task("db", "w2");
    };
    let new = |now: &mut Observed| {
        now.services.push(told("new", 1, 1));
        now.tasks.push(task("new", "w2"));
    };
    type Change<'a> = &'a dyn Fn(&mut Observed);
    let changes: [Change<'_>; 3] = [&fails, &updated, &new];
    let counts = [vec![2, 0], vec![2, 1], vec![2, 1, 1]];
    for ((name, change), counts) in ["db", "db", "new"].into_iter().zip(changes).zip(counts) {
        let mut now = memory();
        change(&mut now);
        let (asked, known) = known(&now);
        assert_eq!((asked, running(&known)), (vec![name.to_owned()], counts));
        now.tasks.retain(|task| !task.state.is_over());
        now.tasks.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(known.tasks, now.tasks);
    }
}

#[test]
fn a_node_at_work_that_is_drained_is_known_with_what_takes_its_place() {
    // The task is being stopped, and counts still; it is gone, and the other one runs: Swarm's count is what it was.
    let mut now = memory();
    now.tasks[0].wanted = false;
    let (asked, known_first) = known(&now);
    assert_eq!((asked, running(&known_first)), (vec!["web".to_owned()], vec![1, 1]));
    now.tasks[0] = task("web", "w3");
    let (asked, known) = known(&now);
    assert_eq!((asked, running(&known)), (vec!["web".to_owned()], vec![2, 1]));
}

#[test]
fn what_memory_counts_too_few_of_is_asked_for_until_it_is_known() {
    // Its replacement was on its way when it was read last, and the counts are as they were.
    let mut before = memory();
    before.tasks[1].state = TaskState::Starting;
    before.services[0].running = 1;
    let now = memory();
    assert_eq!(names(&glance(&Memory::of(before), &now).of.services), ["web"]);
}

#[test]
fn a_node_that_goes_down_takes_its_tasks_out_of_the_count() {
    let mut now = memory();
    now.nodes[2].status = NodeStatus::Down;
    let (asked, known) = known(&now);
    assert_eq!((asked, running(&known)), (vec!["db".to_owned()], vec![2, 0]));
}

#[test]
fn a_task_that_came_to_a_node_at_work_counts_once() {
    let mut now = memory();
    now.tasks[1] = Task { id: "web.w2".into(), ..task("web", "w1") };
    assert_eq!(running(&known(&now).1), [2, 1]);
    let (mut memory, mut seen) = (Memory::of(memory()), now);
    seen.tasks = vec![task("db", "w1")];
    let of = TasksOf { nodes: BTreeSet::from([NodeId("w1".into())]), services: BTreeSet::new() };
    memory.renew(Glance { seen, all_nodes: true, of });
    assert_eq!(running(memory.observed()), [1, 1], "Swarm counts one of db");
}

#[test]
fn why_a_service_does_not_run_is_known_until_it_is_asked_for_again() {
    let mut before = memory();
    for name in ["web", "db", "careen-job"] {
        before.troubles.insert(name.into(), "before".into());
    }
    let mut now = memory();
    now.services[0] = told("web", 1, 1);
    now.tasks.remove(1);
    now.troubles.insert("web".into(), "now".into());
    let mut before = Memory::of(before);
    before.renew(glance(&before, &now));
    let known = [("db", "before"), ("web", "now")].map(|(name, why)| (name.to_owned(), why.to_owned()));
    assert_eq!(before.observed().troubles, BTreeMap::from(known));
}

#[test]
fn a_node_on_which_nothing_is_under_way_is_as_it_was_when_nobody_was_told() {
    let (mut before, mut now) = (memory(), memory());
    before.nodes.push(manager("m1"));
    now.nodes.push(Node { version: Version(7), ..manager("m1") });
    for node in &mut now.nodes[..2] {
        node.status = NodeStatus::Down;
    }
    let mut before = Memory::of(before);
    let asked = before.nodes_in_question();
    let is_read = |node: &&Node| node.is_manager() || asked.contains(&node.id);
    let read: Vec<Node> = now.nodes.iter().filter(is_read).cloned().collect();
    let known: Vec<(bool, u64)> = before
        .all_nodes(&asked, &read)
        .unwrap()
        .iter()
        .map(|node| (node.is_ready(), node.version.0))
        .collect();
    assert_eq!(known, [(false, 1), (true, 1), (true, 1), (true, 7)]);
    let whole = glance(&before, &now);
    let seen = Observed { nodes: read, ..whole.seen };
    before.renew(Glance { seen, all_nodes: false, ..whole });
    let told: Vec<(bool, u64)> =
        before.observed().nodes.iter().map(|node| (node.is_ready(), node.version.0)).collect();
    assert_eq!(told, known);
}

#[test]
fn where_somebody_joined_left_or_changed_its_role_all_nodes_have_to_be_read() {
    let mut before = memory();
    before.nodes.push(manager("m1"));
    let [w1, m1] = [before.nodes[0].clone(), before.nodes[3].clone()];
    let before = Memory::of(before);
    let asked = before.nodes_in_question();
    let is_enough = |read: &[Node]| before.all_nodes(&asked, read).is_some();
    assert!(is_enough(&[m1.clone(), w1.clone()]));
    let promoted = Node { role: Role::Manager, ..worker("w2") };
    let demoted = Node { role: Role::Worker, ..m1.clone() };
    for read in [
        vec![m1.clone()],
        vec![w1.clone()],
        vec![m1.clone(), w1.clone(), manager("m2")],
        vec![m1, w1.clone(), promoted],
        vec![demoted, w1],
    ] {
        assert!(!is_enough(&read), "{read:?}");
    }
}

fn update(state: NodeState, availability: Option<Availability>) -> Action {
    let record = NodeRecord { state, ..NodeRecord::new(&rollout(), 1) };
    let labels = BTreeMap::from([(label::NODE.to_owned(), Some(record.encode()))]);
    Action::UpdateNode { node: NodeId("w1".into()), version: Version(1), labels, availability }
}

#[test]
fn only_a_look_takes_a_node_out_of_service_gives_it_back_or_gives_a_permission() {
    let told = [NodeState::Preparing, NodeState::Verifying, NodeState::Skipped { why: Skip::Asked }];
    let decided = [
        NodeState::Pending,
        NodeState::Entering,
        NodeState::Draining { goal: Goal::Run },
        NodeState::Running { drained: true },
        NodeState::RestartingEngine,
        NodeState::Rebooting,
        NodeState::Restoring { then: AfterRestoring::Settle },
        NodeState::Settling,
        NodeState::Done,
    ];
    for state in told.clone() {
        assert!(!needs_a_look(&update(state, None)));
    }
    for state in decided {
        assert!(needs_a_look(&update(state.clone(), None)), "{state:?}");
    }
    for (state, availability) in
        told.into_iter().zip([Availability::Active, Availability::Drain, Availability::Pause])
    {
        assert!(needs_a_look(&update(state, Some(availability))));
    }
    for label in [None, Some("2 of another version".to_owned())] {
        let labels = BTreeMap::from([(label::NODE.to_owned(), label)]);
        let (node, version) = (NodeId("w1".into()), Version(1));
        assert!(needs_a_look(&Action::UpdateNode { node, version, labels, availability: None }));
    }
    // That it is held may be an old memory.
    assert!(needs_a_look(&update(NodeState::Skipped { why: Skip::Held }, None)));
    let (node, version) = (NodeId("w1".into()), Version(1));
    let counts = BTreeMap::from([(label::HELD.to_owned(), Some("k3x9 g1 30".to_owned()))]);
    for (labels, needs) in [(counts, false), (BTreeMap::new(), true)] {
        let action = Action::UpdateNode { node: node.clone(), version, labels, availability: None };
        assert_eq!(needs_a_look(&action), needs);
    }
}

#[test]
fn what_needs_a_look_and_what_does_not() {
    let (node, version) = (NodeId("w1".into()), Version(1));
    let key =
        || JobKey { rollout: rollout(), node: node.clone(), generation: 1, agent: 1, role: JobRole::Gate(1) };
    let (outcome, record) = (NodeOutcome::Succeeded, None);
    let result = NodeResult { node: node.clone(), generation: 1, outcome, record, seconds: None };
    let table = [
        (Action::Beat { version }, false),
        (Action::StopJob { key: key(), version }, false),
        (Action::RemoveJob { key: key() }, false),
        (Action::RemoveTicket { key: key() }, false),
        (Action::WriteResult { result }, false),
        (Action::TakeLock { epoch: 1, version: None }, true),
        (Action::ReleaseLock { version }, true),
        (Action::WriteBaseline { baseline: Baseline::default() }, true),
        (Action::CreateTicket { key: key() }, true),
        (Action::CreateGate { key: key() }, true),
        (Action::OpenGate { key: key(), version }, true),
        (Action::CreateStandIn { key: key() }, true),
        (Action::RemoveResults, true),
        (Action::RemoveDelivered, true),
        (Action::SetControl { control: Control::Running, version }, true),
        (Action::MoveController { away_from: node.clone() }, true),
    ];
    for (action, needs) in table {
        assert_eq!(needs_a_look(&action), needs, "{}", action.name());
    }
}
