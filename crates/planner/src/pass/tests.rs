//! Single passes: what is decided on one look. Whole histories are in careen-sim.

mod held;
mod in_sync;
mod moves;

use super::*;
use crate::ids::{GATES, JobKey, JobRole, Version};
use crate::observed::{
    AgentReport, ControllerPlace, Draw, Expectation, HostPhase, Job, Lock, Manager, NodeOutcome, NodeStatus,
    Reachability, Refusal, Restart, Said, TaskState,
};
use crate::parallelism::Parallelism;
use crate::participants::Turn;
use crate::rollout::{Ask, Baseline, GoneMark, NodeResult, RolloutOutcome, RolloutRecord};
use crate::state::{Goal, Skip, StateName, Taken};
use crate::testing::{manager, rollout, service, spec, task, worker};
use Availability::{Active, Drain};
use careen_contract::label;

mod surge;

const EPOCH: u64 = 5;

fn me() -> ControllerId {
    ControllerId("me".into())
}

/// Three managers and two workers; this controller has the lock, and the rollout has begun.
fn cluster() -> Observed {
    Observed {
        nodes: vec![manager("m1"), manager("m2"), manager("m3"), worker("w1"), worker("w2")],
        lock: Some(Lock {
            version: Version(9),
            holder: Some(me()),
            epoch: EPOCH,
            rollout: Some(rollout()),
            place: None,
        }),
        rollout: Some(RolloutRecord::new(Version(3), Control::Running)),
        baseline: Some(Baseline::default()),
        ..Observed::default()
    }
}

fn node<'a>(observed: &'a mut Observed, name: &str) -> &'a mut Node {
    observed.nodes.iter_mut().find(|node| node.hostname == name).unwrap()
}

fn record(state: NodeState) -> NodeRecord {
    let taken = matches!(state, NodeState::Draining { .. } | NodeState::Running { drained: true });
    let taken = taken.then_some(Taken { was: Active, set: Drain });
    NodeRecord { agent: 1, state, taken, ..NodeRecord::new(&rollout(), EPOCH) }
}

/// Puts a node into a state, with its availability.
fn put(observed: &mut Observed, name: &str, record: &NodeRecord) {
    let node = node(observed, name);
    node.availability = record.taken.map_or(node.availability, |taken| taken.set);
    node.labels.insert(label::NODE.into(), record.encode());
}

fn key(name: &str, role: JobRole) -> JobKey {
    JobKey { rollout: rollout(), node: NodeId(name.into()), generation: 1, agent: 1, role }
}

/// Gives a node its agent and gates, in this state, and the agent a report.
fn jobs(observed: &mut Observed, name: &str, state: TaskState, said: Option<Said>) {
    let agent = key(name, JobRole::Agent);
    let gates: Vec<JobKey> = agent.gates(crate::ids::GATES).collect();
    for key in std::iter::once(agent).chain(gates) {
        observed.jobs.push(Job {
            key,
            version: Version(2),
            stopped: false,
            on: None,
            tasks: vec![state],
            swept: false,
            refused: None,
        });
    }
    says(observed, name, said);
}

/// The current report of a node's first agent.
fn says(observed: &mut Observed, name: &str, said: Option<Said>) {
    let report = |said| AgentReport {
        node: NodeId(name.into()),
        transaction: String::new(),
        generation: 1,
        agent: 1,
        said,
        waits: None,
        printed: None,
    };
    observed.reports.retain(|report| report.node.0 != name);
    observed.reports.extend(said.map(report));
}

const DRAW: Draw = Draw { number: 0, gates: [2, 5] };

const SECOND_DRAW: Draw = Draw { number: 1, gates: [1, 4] };

fn prepared(restart: Expectation) -> Said {
    Said::Prepared { restart, draw: DRAW }
}

/// The first two gates are gone with the go for the command.
fn wants(kind: Restart) -> Said {
    Said::WantsRestart { kind, draw: SECOND_DRAW }
}

/// The go for the command was given long ago.
fn open(observed: &mut Observed, gates: &[u8]) {
    for gate in &mut observed.jobs {
        if gates.iter().any(|number| gate.key.role == JobRole::Gate(*number)) {
            (gate.stopped, gate.tasks) = (true, vec![TaskState::Shutdown]);
        }
    }
}

/// The gates that a pass opens, by number.
fn opened(pass: &Pass) -> Vec<u8> {
    let opened = |act: &Act| {
        let Action::OpenGate { key: JobKey { role: JobRole::Gate(number), .. }, .. } = &act.action else {
            return None;
        };
        Some(*number)
    };
    pass.actions.iter().filter_map(opened).collect()
}

fn now(observed: &Observed, spec: &Spec) -> Pass {
    pass(observed, spec, &me(), &Watch::default(), Duration::ZERO).unwrap()
}

/// The pass after so many seconds in which nothing changed.
fn after(observed: &Observed, spec: &Spec, seconds: u64) -> Pass {
    let first = now(observed, spec);
    pass(observed, spec, &me(), &first.watch, Duration::from_secs(seconds)).unwrap()
}

/// The actions in words: a node's new label without its head, the name of everything else.
fn words(pass: &Pass) -> Vec<String> {
    let label = |labels: &BTreeMap<String, Option<String>>| {
        let record = labels.get(label::NODE).cloned().flatten();
        record.map_or("-".to_owned(), |text| text.splitn(5, ' ').nth(4).unwrap().to_owned())
    };
    let word = |act: &Act| {
        let Action::UpdateNode { node, labels, availability, .. } = &act.action else {
            return act.action.name().to_owned();
        };
        let to = availability.map_or(String::new(), |to| format!(" := {}", to.word()));
        format!("{node} {}{to}", label(labels))
    };
    pass.actions.iter().map(word).collect()
}

fn hold(pass: &Pass, name: &str) -> &'static str {
    pass.holds.get(&NodeId(name.into())).map_or("-", Hold::name)
}

#[test]
fn the_lock_is_taken_when_it_is_free_or_stood_still_for_too_long() {
    let spec = spec();
    let mut observed = Observed { lock: None, ..cluster() };
    put(&mut observed, "w1", &record(NodeState::Entering));
    let pass = now(&observed, &spec);
    let take = Action::TakeLock { epoch: EPOCH + 1, version: None };
    assert_eq!(pass.actions[0].action, take, "above every epoch that was ever written");
    assert_eq!(hold(&pass, "w2"), "taking-over");
    observed.lock = cluster().lock;
    observed.lock.as_mut().unwrap().holder = Some(ControllerId("other".into()));
    assert_eq!(hold(&now(&observed, &spec), "w2"), "lock-held");
    assert!(after(&observed, &spec, 44).actions.is_empty());
    let take = Action::TakeLock { epoch: EPOCH + 1, version: Some(Version(9)) };
    assert_eq!(after(&observed, &spec, 45).actions[0].action, take);
}

#[test]
fn who_has_lost_the_lock_stops() {
    let spec = spec();
    let first = now(&cluster(), &spec);
    let look = |lock| {
        let observed = Observed { lock, ..cluster() };
        pass(&observed, &spec, &me(), &first.watch, Duration::ZERO).unwrap()
    };
    assert_eq!(look(cluster().lock).end, PassEnd::GoOn);
    let other =
        Lock { epoch: EPOCH + 1, holder: Some(ControllerId("other".into())), ..cluster().lock.unwrap() };
    for lock in [Some(other), None] {
        let pass = look(lock);
        assert_eq!(pass.end, PassEnd::Superseded);
        assert!(pass.actions.is_empty());
    }
}

#[test]
fn a_new_controller_first_writes_its_epoch() {
    let mut observed = cluster();
    let old = NodeRecord { epoch: EPOCH - 1, ..record(NodeState::Running { drained: true }) };
    put(&mut observed, "w1", &old);
    jobs(&mut observed, "w1", TaskState::Running, None);
    let pass = now(&observed, &spec());
    assert_eq!(hold(&pass, "w1"), "taking-over", "its log may come yet");
    assert!(pass.actions.is_empty());
    says(&mut observed, "w1", Some(Said::Running { attempt: 1 }));
    let pass = now(&observed, &spec());
    assert_eq!(words(&pass), ["w1 e5 running:drained active>drain"], "and nothing else with that node");
}

#[test]
fn a_new_controller_takes_away_an_agent_that_has_not_said_that_it_began() {
    let old = |state| NodeRecord { epoch: EPOCH - 1, ..record(state) };
    let mut observed = cluster();
    put(&mut observed, "w1", &old(NodeState::Running { drained: true }));
    jobs(&mut observed, "w1", TaskState::Running, None);
    let late = after(&observed, &spec(), 10);
    assert!(words(&late).contains(&"w1 e5 verifying active>drain".to_owned()), "{:?}", words(&late));
    for said in [prepared(Expectation::No), Said::Busy { transaction: "t".into() }] {
        says(&mut observed, "w1", Some(said));
        let pass = now(&observed, &spec());
        assert_eq!(words(&pass), ["w1 e5 verifying active>drain"], "in the write that has its epoch");
        let Action::UpdateNode { labels, .. } = &pass.actions[0].action else { panic!("{pass:?}") };
        assert!(labels[label::NODE].as_ref().unwrap().contains(" g1 a2 "), "with another agent");
    }
    says(&mut observed, "w1", Some(wants(Restart::Engine)));
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 running:drained active>drain"]);
    says(&mut observed, "w1", None);
    observed.jobs[0].tasks = vec![TaskState::Failed];
    assert_eq!(
        words(&now(&observed, &spec())),
        ["w1 e5 verifying active>drain"],
        "there is no log to wait for"
    );
    put(&mut observed, "w1", &old(NodeState::Rebooting));
    assert_eq!(
        words(&now(&observed, &spec())),
        ["w1 e5 rebooting"],
        "behind the command nothing is in doubt"
    );
}

#[test]
fn the_first_node_enters_and_the_others_wait_for_it() {
    let mut observed = cluster();
    let pass = now(&observed, &spec());
    assert_eq!(words(&pass), ["w1 e5 entering"]);
    assert_eq!(hold(&pass, "w2"), "earlier-wave");
    assert_eq!(pass.states[&NodeId("w2".into())], NodeState::Pending);
    node(&mut observed, "w1").availability = Drain;
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 entering drain>active := active"]);
    observed.baseline = None;
    let pass = now(&observed, &spec());
    assert_eq!(words(&pass), ["write-baseline"]);
    assert_eq!(hold(&pass, "w1"), "starting");
}

#[test]
fn parallelism_and_managers_one_at_a_time() {
    let mut spec = spec();
    spec.policy.parallelism = Parallelism::Nodes(2);
    spec.policy.canaries = 0;
    let pass = now(&cluster(), &spec);
    assert_eq!(words(&pass), ["w1 e5 entering", "w2 e5 entering"]);
    let mut observed = cluster();
    for worker in ["w1", "w2"] {
        put(&mut observed, worker, &record(NodeState::Done));
    }
    let pass = now(&observed, &spec);
    assert_eq!(words(&pass), ["m2 e5 entering"]);
    assert_eq!((hold(&pass, "m3"), hold(&pass, "m1")), ("earlier-wave", "earlier-wave"));
    node(&mut observed, "m3").manager.as_mut().unwrap().reachability = Reachability::Unknown;
    assert_eq!(hold(&now(&observed, &spec), "m2"), "quorum-at-risk");
}

/// Two of five; of the four that are left it would be one.
#[test]
fn a_part_is_of_those_that_the_rollout_began_with() {
    let mut spec = spec();
    (spec.policy.canaries, spec.policy.parallelism) = (0, "40%".parse().unwrap());
    let mut observed = cluster();
    let nodes = Some(participants::selected(&observed, &spec).unwrap());
    observed.baseline = Some(Baseline { nodes, ..Baseline::default() });
    observed.nodes.retain(|node| node.hostname != "m3");
    assert_eq!(words(&now(&observed, &spec)), ["w1 e5 entering", "w2 e5 entering"]);
    observed.baseline = Some(Baseline::default());
    assert_eq!(hold(&now(&observed, &spec), "w2"), "earlier-wave");
}

#[test]
fn a_manager_that_restarts_is_no_risk_to_the_quorum_by_itself_and_has_its_limit() {
    let mut observed = cluster();
    let taken = Some(Taken { was: Active, set: Drain });
    put(&mut observed, "m2", &NodeRecord { taken, ..record(NodeState::Rebooting) });
    jobs(&mut observed, "m2", TaskState::Running, Some(wants(Restart::Reboot)));
    open(&mut observed, &DRAW.gates);
    let unreachable = |observed: &mut Observed, name: &str| {
        node(observed, name).manager.as_mut().unwrap().reachability = Reachability::Unreachable;
    };
    let mut other = observed.clone();
    unreachable(&mut other, "m3");
    assert_eq!(hold(&after(&other, &spec(), 1200), "m2"), "quorum-at-risk", "it waits with its reboot");
    unreachable(&mut observed, "m2");
    observed.jobs.retain(|job| job.key.role == JobRole::Agent);
    assert_eq!(hold(&after(&observed, &spec(), 1199), "m2"), "restarting");
    observed.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
    let late = words(&after(&observed, &spec(), 1200));
    assert!(late.contains(&"m2 e5 failed:rebooting:time-limit active>drain".to_owned()), "{late:?}");
}

#[test]
fn agent_and_gates_are_placed_then_the_node_prepares() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Entering));
    let created = words(&now(&observed, &spec()));
    assert_eq!(created, [vec!["create-gate"; usize::from(GATES)], vec!["create-job"]].concat());
    jobs(&mut observed, "w1", TaskState::Starting, None);
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "placing");
    for job in &mut observed.jobs {
        job.tasks = vec![TaskState::Running];
    }
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 preparing"]);
    observed.jobs[0].tasks = vec![TaskState::Rejected];
    observed.jobs[0].refused = Some(Refusal { why: "no".into(), no_image: false });
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "agent-rejected");
    node(&mut observed, "w1").availability = Drain;
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 pending"], "drained by its operator since");
}

#[test]
fn what_prepare_expects_decides_whether_the_node_is_drained() {
    let table = [
        (Expectation::Yes, "w1 e5 draining:run active>drain := drain"),
        (Expectation::No, "w1 e5 running"),
        (Expectation::Unknown, "w1 e5 running"),
    ];
    for (restart, expected) in table {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(NodeState::Preparing));
        jobs(&mut observed, "w1", TaskState::Running, Some(prepared(restart)));
        assert_eq!(words(&now(&observed, &spec())), [expected]);
        observed.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
        assert_eq!(hold(&now(&observed, &spec()), "w1"), "paused", "a pause gives no go");
    }
}

#[test]
fn the_go_waits_for_an_empty_node_and_is_announced_first() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Draining { goal: Goal::Run }));
    jobs(&mut observed, "w1", TaskState::Running, Some(prepared(Expectation::Yes)));
    observed.services = vec![service("web", 1)];
    observed.tasks = vec![task("web", "w1")];
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "not-empty");
    observed.tasks.clear();
    observed.services[0].running = 0;
    observed.baseline =
        Some(crate::settle::baseline(&Observed { services: vec![service("web", 1)], ..Observed::default() }));
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "not-replaced");
    observed.services[0].running = 1;
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 running:drained active>drain"]);
    put(&mut observed, "w1", &record(NodeState::Running { drained: true }));
    assert_eq!(opened(&now(&observed, &spec())), [2], "each gate in a pass of its own");
    open(&mut observed, &[2]);
    assert_eq!(opened(&now(&observed, &spec())), [5]);
    open(&mut observed, &[5]);
    let pass = now(&observed, &spec());
    assert_eq!((words(&pass), hold(&pass, "w1")), (vec![], "giving-the-go"));
}

/// A node in `running`, drained, of which one gate is open already; what is looked at before the other one is opened.
#[test]
fn half_a_go_is_completed_only_while_everything_is_as_it_was() {
    type Change = fn(&mut Observed);
    let table: [(&str, Change); 7] = [
        ("paused", |seen| {
            seen.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
        }),
        ("not-empty", |seen| seen.tasks = vec![task("web", "w1")]),
        ("not-replaced", |seen| {
            let before = Observed { services: vec![service("web", 1)], ..Observed::default() };
            seen.baseline = Some(crate::settle::baseline(&before));
            seen.services = vec![service("web", 1)];
            seen.services[0].running = 0;
        }),
        ("availability-changed", |seen| {
            node(seen, "w1").availability = Active;
            let released = NodeRecord { taken: None, ..record(NodeState::Running { drained: true }) };
            node(seen, "w1").labels.insert(label::NODE.into(), released.encode());
        }),
        ("no-report", |seen| says(seen, "w1", None)),
        ("no-report", |seen| {
            let draw = Draw { number: 1, ..DRAW };
            says(seen, "w1", Some(Said::Prepared { restart: Expectation::No, draw }));
        }),
        ("host-at-work", |seen| says(seen, "w1", Some(Said::Running { attempt: 1 }))),
    ];
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Running { drained: true }));
    jobs(&mut observed, "w1", TaskState::Running, Some(prepared(Expectation::Yes)));
    open(&mut observed, &[5]);
    assert_eq!(opened(&now(&observed, &spec())), [2]);
    for (expected, change) in table {
        let mut changed = observed.clone();
        change(&mut changed);
        let pass = now(&changed, &spec());
        assert_eq!((words(&pass), hold(&pass, "w1")), (vec![], expected));
    }
}

#[test]
fn a_manager_gets_no_go_while_the_quorum_is_at_risk() {
    let mut observed = cluster();
    put(&mut observed, "m2", &record(NodeState::Running { drained: false }));
    jobs(&mut observed, "m2", TaskState::Running, Some(prepared(Expectation::No)));
    assert_eq!(opened(&now(&observed, &spec())), [2]);
    node(&mut observed, "m3").manager.as_mut().unwrap().reachability = Reachability::Unreachable;
    let pass = now(&observed, &spec());
    assert_eq!((words(&pass), hold(&pass, "m2")), (vec![], "quorum-at-risk"));
}

#[test]
fn a_draw_is_its_own_agents_and_of_no_other() {
    let mut observed = cluster();
    put(&mut observed, "w1", &NodeRecord { agent: 2, ..record(NodeState::Running { drained: false }) });
    jobs(&mut observed, "w1", TaskState::Running, Some(prepared(Expectation::No)));
    observed.jobs.iter_mut().for_each(|job| job.key.agent = 2);
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "no-report", "the first agent's draw");
    observed.reports[0].agent = 2;
    assert_eq!(opened(&now(&observed, &spec())), [2]);
    observed.reports[0].generation = 2;
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "no-report", "that of another try");
}

#[test]
fn a_go_that_no_gate_can_give_any_more_is_cancelled_a_few_times() {
    let said = || Some(Said::Cancelled { why: "gate 3 ended".into() });
    // state, cancelled before, what follows
    let drained = NodeState::Draining { goal: Goal::Run };
    let restart = NodeState::Draining { goal: Goal::Restart(Restart::Engine) };
    let table = [
        (NodeState::Entering, 0, "c1 e5 entering"),
        (NodeState::Preparing, 2, "c3 e5 entering"),
        (drained, 0, "c1 e5 entering := active"),
        (NodeState::Preparing, 3, "c3 e5 restoring:failed:preparing:go-lost"),
        (NodeState::Running { drained: false }, 0, "c1 e5 verifying"),
        (NodeState::Running { drained: false }, 3, "c4 e5 verifying"),
        (restart, 1, "c2 e5 verifying active>drain"),
        (NodeState::RestartingEngine, 0, "c1 e5 verifying"),
        (NodeState::Rebooting, 3, "c3 e5 failed:rebooting:go-lost"),
        (NodeState::Verifying, 0, "c1 e5 verifying"),
        (NodeState::Verifying, 3, "c3 e5 failed:verifying:go-lost"),
    ];
    for (state, cancelled, expected) in table {
        let mut observed = cluster();
        put(&mut observed, "w1", &NodeRecord { cancelled, ..record(state.clone()) });
        jobs(&mut observed, "w1", TaskState::Running, said());
        let mut spec = spec();
        spec.policy.failure_action = crate::spec::OnFailure::Continue;
        assert_eq!(words(&now(&observed, &spec))[0], format!("w1 {expected}"));
    }
}

#[test]
fn why_a_host_waits_that_has_its_go_is_told() {
    let why = "n2 is restarting its engine: one manager at a time";
    let given = |state: NodeState, said: Said, gates: &[u8], waits: Option<&str>| {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state));
        jobs(&mut observed, "w1", TaskState::Running, Some(said));
        observed.reports.iter_mut().for_each(|report| report.waits = waits.map(str::to_owned));
        open(&mut observed, gates);
        now(&observed, &spec()).holds[&NodeId("w1".into())].clone()
    };
    let waits = Hold::HostWaits { why: why.into() };
    let running = || NodeState::Running { drained: false };
    for (state, said, gates, without) in [
        (running(), prepared(Expectation::No), vec![2, 5], Hold::GivingTheGo),
        (
            running(),
            Said::Running { attempt: 1 },
            vec![2, 5],
            Hold::HostAtWork { during: StateName::Running },
        ),
        (NodeState::RestartingEngine, wants(Restart::Engine), vec![2, 5, 1, 4], Hold::GivingTheGo),
        (NodeState::Preparing, Said::Preparing, vec![], Hold::HostAtWork { during: StateName::Preparing }),
    ] {
        assert_eq!(given(state.clone(), said.clone(), &gates, None), without);
        assert_eq!(given(state, said, &gates, Some(why)), waits);
    }
}

/// Its agent's log goes with its engine: what was heard before is what there is to tell.
#[test]
fn what_a_host_said_last_stays_when_the_node_goes_down_for_good() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Running { drained: false }));
    jobs(&mut observed, "w1", TaskState::Running, Some(Said::Running { attempt: 1 }));
    open(&mut observed, &[2, 5]);
    let line = "Setting up docker-ce\u{1b}".to_owned();
    observed.reports[0].printed = Some(crate::observed::Printed { line, seconds: 3 });
    let mut spec = spec();
    spec.policy.failure_action = crate::spec::OnFailure::Continue;
    let heard = pass(&observed, &spec, &me(), &Watch::default(), Duration::ZERO).unwrap();
    assert!(heard.actions.iter().all(|act| !matches!(act.action, Action::UpdateNode { .. })));
    observed.reports.clear();
    node(&mut observed, "w1").status = NodeStatus::Down;
    let down = pass(&observed, &spec, &me(), &heard.watch, Duration::from_secs(1)).unwrap();
    let late = pass(&observed, &spec, &me(), &down.watch, Duration::from_secs(60 * 60)).unwrap();
    let labels = late.actions.iter().find_map(|act| {
        let Action::UpdateNode { node, labels, .. } = &act.action else { return None };
        (node.0 == "w1").then_some(labels)
    });
    let words = labels.unwrap()[label::LAST_WORDS].clone().unwrap();
    assert_eq!(words, "k3x9 g1 before that the command had printed: Setting up docker-ce ");
    let node = node(&mut observed, "w1");
    node.labels.insert(label::LAST_WORDS.into(), words);
    assert!(last_words(node, &spec.id, 1).is_some_and(|words| words.starts_with("before that")));
    assert_eq!(last_words(node, &spec.id, 2), None, "the next try has words of its own");
}

/// What the agent passed on may still count: its supervisor would begin, or restart, on a node that is active again.
#[test]
fn behind_the_go_a_drained_node_is_active_again_only_when_no_go_counts_any_more() {
    let counts = careen_contract::settings::GO_COUNTS.as_secs();
    let cancelled = || Some(Said::Cancelled { why: "gate 3 ended".into() });
    let taken = Some(Taken { was: Active, set: Drain });
    for (state, said) in [
        (NodeState::Running { drained: true }, None),
        (NodeState::Rebooting, None),
        (NodeState::RestartingEngine, cancelled()),
        (NodeState::Verifying, None),
    ] {
        let mut observed = cluster();
        put(&mut observed, "w1", &NodeRecord { taken, ..record(state.clone()) });
        jobs(&mut observed, "w1", TaskState::Failed, said);
        let written = words(&now(&observed, &spec()));
        assert!(written[0].ends_with("verifying active>drain"), "{state:?}: {written:?}");
    }
    let mut observed = cluster();
    put(&mut observed, "w1", &NodeRecord { agent: 2, taken, ..record(NodeState::Verifying) });
    let earlier = {
        jobs(&mut observed, "w1", TaskState::Running, None);
        std::mem::take(&mut observed.jobs)
    };
    jobs(&mut observed, "w1", TaskState::Pending, None);
    observed.jobs.iter_mut().for_each(|job| job.key.agent = 2);
    let active = |observed: &Observed, seconds| {
        words(&after(observed, &spec(), seconds)).iter().any(|word| word.ends_with(":= active"))
    };
    assert!(!active(&observed, counts - 1));
    assert!(active(&observed, counts));
    observed.jobs.extend(earlier);
    assert!(!active(&observed, 10 * counts), "the agent before it may live, and pass it on");
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "placing");
}

/// Its engine told the agent to stop: the go was taken back.
#[test]
fn behind_an_engine_that_stopped_in_good_order_no_go_counts() {
    let taken = Some(Taken { was: Active, set: Drain });
    let is_active = |swept: &dyn Fn(&JobRole) -> bool| {
        let mut observed = cluster();
        put(&mut observed, "w1", &NodeRecord { taken, ..record(NodeState::RestartingEngine) });
        jobs(&mut observed, "w1", TaskState::Failed, None);
        open(&mut observed, &[1, 2, 4, 5]);
        observed.jobs.iter_mut().for_each(|job| job.swept = swept(&job.key.role));
        let lost = now(&observed, &spec());
        assert!(words(&lost)[0].ends_with("verifying active>drain"), "{:?}", words(&lost));
        put(&mut observed, "w1", &NodeRecord { agent: 2, taken, ..record(NodeState::Verifying) });
        // Its services may be gone by then.
        observed.jobs.clear();
        jobs(&mut observed, "w1", TaskState::Pending, None);
        observed.jobs.iter_mut().for_each(|job| job.key.agent = 2);
        let next = pass(&observed, &spec(), &me(), &lost.watch, Duration::from_secs(1)).unwrap();
        words(&next).iter().any(|word| word.ends_with(":= active"))
    };
    assert!(is_active(&|_| true));
    assert!(!is_active(&|_| false), "they were killed");
    assert!(!is_active(&|role| *role == JobRole::Agent), "its engine has lost one container");
    assert!(!is_active(&|role| *role != JobRole::Agent), "the agent was killed before");
}

#[test]
fn who_lost_four_goes_is_taken_back_when_its_host_says_that_nothing_was_begun() {
    let mut observed = cluster();
    put(&mut observed, "w1", &NodeRecord { cancelled: 4, ..record(NodeState::Verifying) });
    jobs(&mut observed, "w1", TaskState::Running, Some(Said::NotBegun));
    assert_eq!(words(&now(&observed, &spec())), ["w1 c4 e5 entering"]);
    observed.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
    put(&mut observed, "w1", &NodeRecord { agent: 2, cancelled: 4, ..record(NodeState::Entering) });
    let failed = "w1 c4 e5 restoring:failed:entering:go-lost";
    assert!(words(&now(&observed, &spec())).contains(&failed.to_owned()));
    put(&mut observed, "w1", &NodeRecord { cancelled: 4, ..record(NodeState::Verifying) });
    says(&mut observed, "w1", Some(wants(Restart::Engine)));
    assert_eq!(words(&now(&observed, &spec())), ["w1 c4 e5 failed:verifying:go-lost"], "or is left as it is");
}

#[test]
fn a_gate_that_nobody_opened_and_that_is_gone_cancels_before_the_go_and_not_behind_it() {
    // state, report, which gates are open, what follows when gate 3 is gone
    let run = NodeState::Running { drained: false };
    let restart = wants(Restart::Engine);
    let table = [
        (NodeState::Preparing, prepared(Expectation::No), vec![], vec!["w1 c1 e5 entering"]),
        (run.clone(), prepared(Expectation::No), vec![], vec!["w1 c1 e5 verifying"]),
        (run.clone(), prepared(Expectation::No), vec![2], vec!["w1 c1 e5 verifying"]),
        (run.clone(), Said::Running { attempt: 1 }, vec![2, 5], vec![]),
        (run, restart.clone(), vec![2, 5], vec!["w1 c1 e5 verifying"]),
        (NodeState::RestartingEngine, restart, vec![2, 5], vec!["w1 c1 e5 verifying"]),
        (NodeState::RestartingEngine, Said::Restarting { kind: Restart::Engine }, vec![1, 2, 4, 5], vec![]),
        (NodeState::Verifying, Said::Verifying, vec![2, 5], vec![]),
    ];
    for (state, said, gates, expected) in table {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state.clone()));
        jobs(&mut observed, "w1", TaskState::Running, Some(said.clone()));
        open(&mut observed, &gates);
        let gone = observed.jobs.iter_mut().find(|job| job.key.role == JobRole::Gate(3)).unwrap();
        gone.tasks = vec![TaskState::Failed];
        assert_eq!(words(&now(&observed, &spec())), expected, "{state:?} {said:?}");
    }
}

#[test]
fn a_go_is_void_when_gates_were_stopped_that_are_not_its_own() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Running { drained: false }));
    jobs(&mut observed, "w1", TaskState::Running, Some(prepared(Expectation::No)));
    open(&mut observed, &[3]);
    assert_eq!(words(&now(&observed, &spec())), ["w1 c1 e5 verifying"]);
    open(&mut observed, &[2, 5]);
    observed.jobs.retain(|job| job.key.role != JobRole::Gate(6));
    assert_eq!(words(&now(&observed, &spec())), ["w1 c1 e5 verifying"], "or removed by hand");
}

#[test]
fn what_the_host_says_of_a_go_that_was_never_seen() {
    let run = || NodeState::Running { drained: false };
    let table = [
        (run(), Said::Revoked, "w1 e5 verifying"),
        (run(), Said::NotBegun, "w1 e5 verifying"),
        (NodeState::Preparing, Said::Revoked, "w1 e5 entering"),
        (NodeState::Draining { goal: Goal::Run }, Said::Revoked, "w1 e5 entering := active"),
        (NodeState::Verifying, Said::Revoked, "w1 e5 verifying"),
        (NodeState::Verifying, Said::NotBegun, "w1 e5 entering"),
        (NodeState::Verifying, Said::Forgotten, "w1 e5 failed:verifying:forgotten"),
        (run(), Said::Forgotten, "w1 e5 failed:running:forgotten"),
    ];
    let mut spec = spec();
    spec.policy.failure_action = crate::spec::OnFailure::Continue;
    for (state, said, expected) in table {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state));
        jobs(&mut observed, "w1", TaskState::Running, Some(said));
        assert_eq!(words(&now(&observed, &spec))[0], expected);
    }
    let mut observed = cluster();
    put(&mut observed, "w1", &record(run()));
    jobs(&mut observed, "w1", TaskState::Running, Some(prepared(Expectation::No)));
    observed.jobs[0].tasks = vec![TaskState::Failed];
    says(&mut observed, "w1", None);
    assert_eq!(words(&now(&observed, &spec)), ["w1 e5 verifying"], "its agent is gone");
}

/// Whatever a host was asked for last: behind a go, one that knows nothing of the try fails it, and is never begun on anew.
#[test]
fn a_host_that_forgot_a_try_behind_its_go_is_not_begun_on_again() {
    let restart = |kind| NodeState::Draining { goal: Goal::Restart(kind) };
    let after_the_go = [
        NodeState::Running { drained: true },
        NodeState::Running { drained: false },
        restart(Restart::Engine),
        restart(Restart::Reboot),
        NodeState::RestartingEngine,
        NodeState::Rebooting,
        NodeState::Verifying,
    ];
    let mut spec = spec();
    spec.policy.failure_action = crate::spec::OnFailure::Continue;
    for state in after_the_go {
        assert!(state.is_after_the_go());
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state.clone()));
        jobs(&mut observed, "w1", TaskState::Running, Some(Said::Forgotten));
        let written = words(&now(&observed, &spec));
        let is_failed = written[0].starts_with("w1 e5 failed:") && written[0].contains(":forgotten");
        assert!(is_failed, "{state:?}: {written:?}");
    }
}

/// Its record may also be one of before the command, on a disk that was put back to what it was: then it says that nothing was begun.
#[test]
fn a_host_that_denies_a_try_which_wanted_a_restart_is_not_begun_on_again() {
    let mut spec = spec();
    spec.policy.failure_action = crate::spec::OnFailure::Continue;
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Verifying));
    jobs(&mut observed, "w1", TaskState::Running, Some(Said::Restarting { kind: Restart::Reboot }));
    assert_eq!(words(&now(&observed, &spec))[0], "w1 b e5 rebooting");
    for begun in [false, true] {
        let mut observed = cluster();
        put(&mut observed, "w1", &NodeRecord { begun, ..record(NodeState::Verifying) });
        jobs(&mut observed, "w1", TaskState::Running, Some(Said::NotBegun));
        let expected = if begun { "w1 b e5 failed:verifying:forgotten" } else { "w1 e5 entering" };
        assert_eq!(words(&now(&observed, &spec))[0], expected);
    }
    let failed = NodeState::Failed { during: StateName::Verifying, reason: Reason::Forgotten };
    let mut observed = cluster();
    put(&mut observed, "w1", &NodeRecord { begun: true, ..record(failed) });
    node(&mut observed, "w1").labels.insert(label::ASK.into(), Ask::Retry.label(&rollout()));
    assert_eq!(words(&now(&observed, &spec))[0], "w1 e5 pending", "a retry is another try");
}

#[test]
fn a_restart_gets_a_go_of_its_own_that_its_report_names() {
    let mut observed = cluster();
    let taken = Some(Taken { was: Active, set: Drain });
    put(&mut observed, "w1", &NodeRecord { taken, ..record(NodeState::RestartingEngine) });
    jobs(&mut observed, "w1", TaskState::Running, Some(wants(Restart::Engine)));
    open(&mut observed, &[2, 5]);
    assert_eq!(opened(&now(&observed, &spec())), [1]);
    open(&mut observed, &[1]);
    assert_eq!(opened(&now(&observed, &spec())), [4]);
    says(&mut observed, "w1", None);
    let pass = now(&observed, &spec());
    assert_eq!((words(&pass), hold(&pass, "w1")), (vec![], "no-report"), "nobody knows which gate it is");
    open(&mut observed, &[4]);
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "restarting");
    // The four gates of an agent that only collects: another draw, another number.
    observed.jobs.retain(|job| !matches!(job.key.role, JobRole::Gate(5 | 6)));
    for gate in &mut observed.jobs {
        (gate.stopped, gate.tasks) = (false, vec![TaskState::Running]);
    }
    let draw = Draw { number: 2, gates: [2, 3] };
    says(&mut observed, "w1", Some(Said::WantsRestart { kind: Restart::Engine, draw }));
    assert_eq!(opened(&now(&observed, &spec())), [2]);
    let draw = Draw { number: 0, gates: [2, 3] };
    says(&mut observed, "w1", Some(Said::WantsRestart { kind: Restart::Engine, draw }));
    assert_eq!(
        hold(&now(&observed, &spec()), "w1"),
        "no-report",
        "a draw for the command is none for a restart"
    );
}

#[test]
fn what_somebody_else_changed_is_theirs() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Draining { goal: Goal::Run }));
    jobs(&mut observed, "w1", TaskState::Running, None);
    node(&mut observed, "w1").availability = Active;
    assert_eq!(
        words(&now(&observed, &spec())),
        ["w1 e5 draining:run"],
        "careen holds nothing of it any more"
    );
    let released = NodeRecord { taken: None, ..record(NodeState::Draining { goal: Goal::Run }) };
    put(&mut observed, "w1", &released);
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "availability-changed");
    let pass = after(&observed, &spec(), 15 * 60);
    assert_eq!(words(&pass)[1..], ["set-control"], "{:?}", words(&pass));
}

#[test]
fn the_rollout_is_paused_before_the_node_is_called_failed() {
    a_command_fails(NodeState::Verifying, StateName::Verifying, "failed:verifying:exit-100");
    // Seen before anything of `verify`: then it is known where it failed.
    a_command_fails(NodeState::Running { drained: false }, StateName::Running, "failed:running:exit-100");
}

fn a_command_fails(state: NodeState, during: StateName, becomes: &str) {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(state));
    jobs(&mut observed, "w1", TaskState::Running, None);
    let outcome = NodeOutcome::Failed { phase: HostPhase::Command, exit: 100, rolled_back: None };
    let result = NodeResult {
        node: NodeId("w1".into()),
        generation: 1,
        outcome: outcome.clone(),
        record: None,
        seconds: None,
    };
    let report = AgentReport {
        node: NodeId("w1".into()),
        transaction: String::new(),
        generation: 1,
        agent: 1,
        said: Said::Finished { outcome, record: Some("{}".into()) },
        waits: None,
        printed: None,
    };
    observed.reports = vec![report];
    assert_eq!(words(&now(&observed, &spec())), ["write-result"], "what is known is written first");
    observed.results = vec![result];
    assert_eq!(words(&now(&observed, &spec())), ["set-control"]);
    let why = PauseReason::NodeFailed { node: NodeId("w1".into()), during, why: Reason::Exit(100) };
    observed.rollout.as_mut().unwrap().control = Control::Paused { why };
    assert_eq!(words(&now(&observed, &spec())), [format!("w1 e5 {becomes}")]);
    let mut spec = spec();
    spec.policy.failure_action = crate::spec::OnFailure::Continue;
    observed.rollout.as_mut().unwrap().control = Control::Running;
    let on = [format!("w1 e5 {becomes}"), "w2 e5 entering".to_owned()];
    assert_eq!(words(&now(&observed, &spec)), on, "the others go on");
}

#[test]
fn a_manager_that_takes_part_and_is_called_down_is_not_told_as_rebooting() {
    let mut observed = cluster();
    put(
        &mut observed,
        "m2",
        &NodeRecord { taken: Some(Taken { was: Active, set: Drain }), ..record(NodeState::Rebooting) },
    );
    node(&mut observed, "m2").status = NodeStatus::Down;
    assert_eq!(
        hold(&after(&observed, &spec(), 59), "m2"),
        "restarting",
        "behind each start it is so for a moment"
    );
    assert_eq!(hold(&after(&observed, &spec(), 60), "m2"), "called-down");
    node(&mut observed, "m2").manager =
        Some(Manager { leader: false, reachability: Reachability::Unreachable });
    assert_eq!(hold(&after(&observed, &spec(), 60), "m2"), "restarting", "it is away");
    let limit = spec().limits.rebooting.as_secs();
    assert_eq!(words(&after(&observed, &spec(), limit))[1..], ["set-control"], "whatever it is called");
}

#[test]
fn what_a_pause_says_of_a_node_is_carried_out() {
    let mut observed = cluster();
    observed.services = vec![service("web", 1)];
    observed.tasks = vec![task("web", "w1")];
    put(&mut observed, "w1", &record(NodeState::Running { drained: true }));
    jobs(&mut observed, "w1", TaskState::Running, Some(prepared(Expectation::No)));
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "not-empty");
    let late = |observed: &Observed| words(&after(observed, &spec(), 15 * 60))[1..].to_vec();
    assert_eq!(late(&observed), ["set-control"], "it is not empty in time");
    let watch = now(&observed, &spec()).watch;
    observed.rollout.as_mut().unwrap().control = Control::Paused {
        why: PauseReason::NodeFailed {
            node: NodeId("w1".into()),
            during: StateName::Running,
            why: Reason::TimeLimit,
        },
    };
    let failed = pass(&observed, &spec(), &me(), &watch, Duration::from_secs(1)).unwrap();
    let told = failed.actions.iter().find_map(|act| {
        let Action::UpdateNode { labels, .. } = &act.action else { return None };
        labels.get(label::LAST_WORDS).cloned().flatten()
    });
    assert!(
        told.as_ref().is_some_and(|told| told.ends_with("it waited: the drained node still runs web")),
        "{told:?}"
    );
    let fails = ["w1 e5 failed:running:time-limit active>drain"];
    let paused = |during: StateName| {
        let why = PauseReason::NodeFailed { node: NodeId("w1".into()), during, why: Reason::TimeLimit };
        Control::Paused { why }
    };
    observed.rollout.as_mut().unwrap().control = paused(StateName::Running);
    assert_eq!(late(&observed), fails);
    assert_eq!(words(&now(&observed, &spec())), fails, "and so does a controller that is new");
    says(&mut observed, "w1", None);
    assert_eq!(words(&now(&observed, &spec())), fails, "that has read nothing yet");
    says(&mut observed, "w1", Some(Said::Verifying));
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 verifying active>drain"], "its next step is due");
    observed.rollout.as_mut().unwrap().control = paused(StateName::Draining);
    says(&mut observed, "w1", Some(Said::Running { attempt: 1 }));
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "host-at-work", "it is elsewhere by now");
}

#[test]
fn operators_retry_and_skip() {
    let failed = NodeState::Failed { during: StateName::Running, reason: Reason::TimeLimit };
    let taken = Some(Taken { was: Active, set: Drain });
    let mut observed = cluster();
    put(&mut observed, "w1", &NodeRecord { taken, ..record(failed) });
    let ask = |observed: &mut Observed, ask: Ask, rollout: &RolloutId| {
        node(observed, "w1").labels.insert(label::ASK.into(), ask.label(rollout));
    };
    ask(&mut observed, Ask::Retry, &RolloutId::parse("older").unwrap());
    assert!(!words(&now(&observed, &spec()))[0].starts_with("w1"), "asked of another rollout");
    ask(&mut observed, Ask::Retry, &rollout());
    let pass = now(&observed, &spec());
    assert_eq!(words(&pass)[0], "w1 e5 pending active>drain", "what careen drained is still careen's");
    let Action::UpdateNode { labels, .. } = &pass.actions[0].action else { panic!("{pass:?}") };
    assert!(labels[label::NODE].as_ref().unwrap().contains(" g2 a0 "), "another try, another transaction");
    assert_eq!(labels[label::ASK], None, "answered in the same write");
    ask(&mut observed, Ask::Skip, &rollout());
    assert_eq!(words(&now(&observed, &spec()))[0], "w1 e5 skipped:asked active>drain");
    put(&mut observed, "w1", &record(NodeState::Entering));
    node(&mut observed, "w1").availability = Active;
    assert_eq!(words(&now(&observed, &spec()))[0], "w1 e5 restoring:skipped:asked");
}

#[test]
fn the_last_that_tells_of_a_host_at_work_stays_until_the_next_agent_has_a_service() {
    let mut observed = cluster();
    put(&mut observed, "w1", &NodeRecord { agent: 2, ..record(NodeState::Verifying) });
    jobs(&mut observed, "w1", TaskState::Shutdown, None);
    observed.jobs.truncate(1);
    observed.jobs[0].stopped = true;
    node(&mut observed, "w1").status = NodeStatus::Down;
    let removes = |observed: &Observed| {
        let removes = |act: &Act| matches!(act.action, Action::RemoveJob { .. });
        now(observed, &spec()).actions.iter().any(removes)
    };
    assert!(
        !removes(&observed),
        "nothing can be placed on a node that is down: it would be forgotten with its node"
    );
    let second = Job { key: JobKey { agent: 2, ..key("w1", JobRole::Agent) }, ..observed.jobs[0].clone() };
    observed.jobs.push(Job { stopped: false, tasks: vec![TaskState::Pending], ..second });
    node(&mut observed, "w1").status = NodeStatus::Ready;
    assert!(removes(&observed));
}

#[test]
fn a_drain_that_takes_too_long_is_a_failure_and_taken_back_before_the_command() {
    let mut spec = spec();
    spec.policy.failure_action = crate::spec::OnFailure::Continue;
    let limit = spec.limits.draining;
    for (goal, expected) in [
        (Goal::Run, "w1 e5 restoring:failed:draining:time-limit active>drain"),
        (Goal::Restart(Restart::Reboot), "w1 e5 failed:draining:time-limit active>drain"),
    ] {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(NodeState::Draining { goal }));
        jobs(
            &mut observed,
            "w1",
            TaskState::Running,
            Some(match goal {
                Goal::Run => prepared(Expectation::Yes),
                Goal::Restart(kind) => wants(kind),
            }),
        );
        observed.tasks.push(task("web", "w1"));
        let early = now(&observed, &spec);
        assert_eq!(early.holds[&NodeId("w1".into())].name(), "not-empty", "{early:?}");
        let late = pass(&observed, &spec, &me(), &early.watch, limit).unwrap();
        assert!(words(&late).contains(&expected.to_owned()), "{:?}", words(&late));
    }
}

#[test]
fn an_agent_is_taken_away_before_its_gates() {
    let mut observed = cluster();
    let then = AfterRestoring::Skip { why: Skip::Asked };
    put(&mut observed, "w1", &record(NodeState::Restoring { then }));
    jobs(&mut observed, "w1", TaskState::Running, None);
    let touched = |observed: &Observed| -> Vec<(String, JobRole)> {
        let touched = |act: &Act| {
            let (Action::StopJob { key, .. } | Action::RemoveJob { key } | Action::CreateStandIn { key }) =
                &act.action
            else {
                return None;
            };
            Some((act.action.name().to_owned(), key.role))
        };
        now(observed, &spec()).actions.iter().filter_map(touched).collect()
    };
    assert_eq!(touched(&observed), [("stop-job".to_owned(), JobRole::Agent)]);
    observed.jobs[0].stopped = true;
    assert_eq!(touched(&observed), [], "its container may still be there");
    observed.jobs[0].tasks = vec![TaskState::Shutdown];
    let gates =
        |name: &str| (1..=GATES).map(|number| (name.to_owned(), JobRole::Gate(number))).collect::<Vec<_>>();
    assert_eq!(touched(&observed), gates("stop-job"), "the agent's name stays taken");
    for gate in &mut observed.jobs[1..] {
        (gate.stopped, gate.tasks) = (true, vec![TaskState::Shutdown]);
    }
    assert_eq!(touched(&observed), gates("remove-job"));
    let all_gates = gates;
    let (agent, gates) = (observed.jobs.remove(0), std::mem::take(&mut observed.jobs));
    observed.jobs = vec![agent];
    assert_eq!(touched(&observed), [("remove-job".to_owned(), JobRole::Agent)]);
    observed.jobs = gates;
    let stand_in = ("create-stand-in".to_owned(), JobRole::Agent);
    assert_eq!(touched(&observed), [stand_in], "nobody can create that agent any more");
    observed.nodes.retain(|node| node.hostname != "w1");
    assert_eq!(touched(&observed), all_gates("remove-job"), "its node has left: nothing of it can run");
}

#[test]
fn labels_that_cannot_be_read_and_other_rollouts_hold_the_node() {
    let mut observed = cluster();
    node(&mut observed, "w1").labels.insert(label::NODE.into(), "2 newer".into());
    jobs(&mut observed, "w1", TaskState::Running, None);
    let pass = now(&observed, &spec());
    assert_eq!((hold(&pass, "w1"), hold(&pass, "w2")), ("corrupt-record", "earlier-wave"));
    assert!(pass.actions.is_empty(), "and nothing on it is touched");
    let mut other = record(NodeState::Rebooting);
    other.rollout = RolloutId::parse("older").unwrap();
    put(&mut observed, "w1", &other);
    observed.jobs.clear();
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "other-rollout");
    // Of a controller that woke up after its rollout's end; with a service it may be at something.
    put(&mut observed, "w1", &NodeRecord { state: NodeState::Entering, ..other.clone() });
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 entering"]);
    jobs(&mut observed, "w1", TaskState::Running, None);
    observed.jobs.iter_mut().for_each(|job| job.key.rollout = other.rollout.clone());
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "other-rollout");
    observed.jobs.clear();
    other.state = NodeState::Failed { during: StateName::Rebooting, reason: Reason::NodeDown };
    other.taken = Some(Taken { was: Active, set: Drain });
    put(&mut observed, "w1", &other);
    let entered = words(&now(&observed, &spec()));
    assert_eq!(entered, ["w1 e5 entering := active"], "what careen drained is given back");
    node(&mut observed, "w1").availability = Availability::Pause;
    assert_eq!(
        words(&now(&observed, &spec())),
        ["w1 e5 entering pause>active := active"],
        "somebody changed it"
    );
}

#[test]
fn the_controller_leaves_its_node_before_that_nodes_turn() {
    let mut observed = cluster();
    for name in ["w1", "w2", "m3"] {
        put(&mut observed, name, &record(NodeState::Done));
    }
    let place = |movable| Some(ControllerPlace { node: NodeId("m2".into()), movable });
    observed.controller = place(true);
    let pass = now(&observed, &spec());
    assert_eq!((words(&pass), hold(&pass, "m2")), (vec!["move-controller".to_owned()], "controller-here"));
    observed.controller = place(false);
    assert_eq!(words(&now(&observed, &spec())), ["m2 e5 entering"], "a plain container comes back by itself");
}

#[test]
fn an_agent_that_swarm_has_started_again_is_lost_all_the_same() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Running { drained: false }));
    jobs(&mut observed, "w1", TaskState::Running, Some(prepared(Expectation::No)));
    open(&mut observed, &DRAW.gates);
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "giving-the-go");
    observed.jobs[0].tasks = vec![TaskState::Failed, TaskState::Running];
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 verifying"], "it has drawn other gates, or none");
    observed.jobs[0].tasks = vec![TaskState::Failed, TaskState::Pending];
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 verifying"], "it waits for ever on a drained node");
    let lost = NodeRecord { agent: 12, ..record(NodeState::Preparing) };
    put(&mut observed, "w1", &lost);
    observed.jobs.iter_mut().for_each(|job| job.key.agent = 12);
    observed.reports.clear();
    observed.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 restoring:failed:preparing:agent-lost"]);
}

#[test]
fn a_host_that_is_not_fit_fails_before_anything_was_begun() {
    let outcome = NodeOutcome::Failed { phase: HostPhase::Preflight, exit: 248, rolled_back: None };
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Preparing));
    let said = Said::Finished { outcome: outcome.clone(), record: Some("live-restore is on".into()) };
    jobs(&mut observed, "w1", TaskState::Running, Some(said));
    assert_eq!(words(&now(&observed, &spec())), ["write-result"]);
    let node = NodeId("w1".into());
    observed.results = vec![NodeResult { node, generation: 1, outcome, record: None, seconds: None }];
    observed.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 restoring:failed:preparing:preflight"]);
}

#[test]
fn a_node_without_the_image_says_so_and_is_asked_again() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Entering));
    jobs(&mut observed, "w1", TaskState::Rejected, None);
    let refuse = |observed: &mut Observed, why: &str, no_image: bool| {
        let refusal = Refusal { why: why.to_owned(), no_image };
        observed.jobs.iter_mut().for_each(|job| job.refused = Some(refusal.clone()));
    };
    refuse(&mut observed, "No such image: sha256:00", true);
    assert_eq!(hold(&after(&observed, &spec(), 59), "w1"), "image-missing");
    assert_eq!(words(&after(&observed, &spec(), 60)), ["beat", "w1 e5 entering"], "with another agent");
    refuse(&mut observed, "invalid mount config for type \"bind\"", false);
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "agent-rejected");
}

#[test]
fn a_manager_that_waits_for_the_key_after_its_engine_restart_says_so() {
    let mut observed = cluster();
    observed.autolock = true;
    put(&mut observed, "m2", &record(NodeState::RestartingEngine));
    node(&mut observed, "m2").status = NodeStatus::Down;
    let by_hand = Spec { unlock_by_hand: true, ..spec() };
    assert_eq!(hold(&after(&observed, &by_hand, 600), "m2"), "unlock-needed", "people take their time");
    let key = Some(crate::spec::UnlockKey { id: "s".into(), name: "k".into() });
    assert_eq!(hold(&now(&observed, &Spec { unlock_key: key, ..spec() }), "m2"), "restarting");
}

#[test]
fn an_abort_ends_although_a_label_cannot_be_read() {
    let mut observed = cluster();
    node(&mut observed, "w1").labels.insert(label::NODE.into(), "2 newer".into());
    jobs(&mut observed, "w1", TaskState::Running, None);
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    assert_eq!(words(&now(&observed, &spec())), ["m1 -", "m2 -", "m3 -", "w2 -", "write-history"]);
}

/// Whoever was frozen before the abort and wakes up behind it finds no node as it saw it.
#[test]
fn an_abort_writes_the_nodes_that_it_leaves_alone_before_it_ends() {
    let mut observed = cluster();
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    put(&mut observed, "w1", &record(NodeState::Done));
    let pass = now(&observed, &spec());
    assert_eq!(words(&pass), ["m1 -", "m2 -", "m3 -", "w2 -", "write-history"]);
    for act in &pass.actions {
        let Action::UpdateNode { node, version, availability, labels } = &act.action else { continue };
        let seen = observed.nodes.iter().find(|one| one.id == *node).unwrap();
        assert_eq!((*version, *availability), (seen.version, None), "as it was, in another version");
        assert!(labels.is_empty(), "what an earlier rollout wrote there stays");
    }
    observed.history_written = true;
    assert_eq!(words(&now(&observed, &spec())), ["set-control"], "once");
}

#[test]
fn an_abort_takes_back_what_was_not_begun_and_leaves_the_rest() {
    let table = [
        (NodeState::Entering, "w1 e5 restoring:skipped:aborted"),
        (NodeState::Draining { goal: Goal::Run }, "w1 e5 restoring:skipped:aborted active>drain"),
        (NodeState::Rebooting, "w1 e5 failed:rebooting:aborted"),
    ];
    for (state, expected) in table {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state));
        jobs(&mut observed, "w1", TaskState::Running, None);
        open(&mut observed, &[1, 2, 4, 5]);
        observed.rollout.as_mut().unwrap().control = Control::Aborting;
        assert_eq!(words(&now(&observed, &spec()))[0], expected);
    }
}

#[test]
fn an_abort_asks_the_host_first_where_nobody_knows_whether_the_command_began() {
    let run = || NodeState::Running { drained: false };
    let restart = || NodeState::Draining { goal: Goal::Restart(Restart::Reboot) };
    let works = Said::Running { attempt: 1 };
    let busy = Said::Busy { transaction: "t".into() };
    // state, what the agent says, what follows at once
    let table = [
        (run(), None, vec!["w1 e5 verifying"]),
        (run(), Some(prepared(Expectation::No)), vec!["w1 e5 verifying"]),
        (run(), Some(works.clone()), vec!["w1 e5 failed:running:aborted"]),
        (NodeState::Verifying, None, vec![]),
        (NodeState::Verifying, Some(busy), vec![]),
        (NodeState::Verifying, Some(Said::NotBegun), vec!["w1 e5 entering"]),
        (NodeState::Verifying, Some(Said::Forgotten), vec!["w1 e5 failed:verifying:forgotten"]),
        (NodeState::Verifying, Some(works), vec!["w1 e5 failed:verifying:aborted"]),
        (restart(), None, vec![]),
        (NodeState::Rebooting, None, vec![]),
        (
            restart(),
            Some(Said::Cancelled { why: "half a go".into() }),
            vec!["w1 c1 e5 verifying active>drain"],
        ),
    ];
    for (state, said, expected) in table {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state.clone()));
        jobs(&mut observed, "w1", TaskState::Running, said.clone());
        observed.rollout.as_mut().unwrap().control = Control::Aborting;
        assert_eq!(words(&now(&observed, &spec())), expected, "{state:?} {said:?}");
    }
}

#[test]
fn an_abort_does_not_wait_for_ever_for_a_host_that_says_nothing() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Verifying));
    jobs(&mut observed, "w1", TaskState::Running, None);
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    let failed = "w1 e5 failed:verifying:aborted".to_owned();
    assert!(!words(&after(&observed, &spec(), 599)).contains(&failed));
    assert!(words(&after(&observed, &spec(), 600)).contains(&failed), "entering's limit");
    node(&mut observed, "w1").status = NodeStatus::Down;
    assert_eq!(words(&now(&observed, &spec())), [failed]);
    put(&mut observed, "w1", &record(NodeState::Running { drained: false }));
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 failed:running:aborted"]);
}

#[test]
fn an_aborted_restart_is_refused_and_the_result_is_waited_for() {
    for state in [NodeState::Running { drained: false }, NodeState::Rebooting, NodeState::Verifying] {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state.clone()));
        jobs(&mut observed, "w1", TaskState::Running, Some(wants(Restart::Reboot)));
        open(&mut observed, &DRAW.gates);
        observed.rollout.as_mut().unwrap().control = Control::Aborting;
        assert_eq!(opened(&now(&observed, &spec())), [3, 6], "those that were not drawn");
        open(&mut observed, &[3, 6]);
        let pass = now(&observed, &spec());
        assert_eq!((words(&pass), hold(&pass, "w1")), (vec![], "refusing-the-restart"));
        let outcome = NodeOutcome::Failed { phase: HostPhase::Command, exit: 246, rolled_back: None };
        says(&mut observed, "w1", Some(Said::Finished { outcome, record: None }));
        let next = words(&now(&observed, &spec()));
        assert!(["write-result", "w1 e5 verifying"].contains(&next[0].as_str()), "{next:?}");
    }
    // With the go on its way it is too late; half a go is none, and no refusal either.
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Rebooting));
    jobs(&mut observed, "w1", TaskState::Running, Some(wants(Restart::Reboot)));
    open(&mut observed, &[1, 2, 5]);
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    let pass = now(&observed, &spec());
    assert_eq!((words(&pass), hold(&pass, "w1")), (vec![], "refusing-the-restart"));
    open(&mut observed, &[4]);
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 failed:rebooting:aborted"]);
}

#[test]
fn a_skip_takes_a_go_back_unless_the_command_has_begun() {
    let ask = |state: NodeState, said| {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state));
        jobs(&mut observed, "w1", TaskState::Running, said);
        node(&mut observed, "w1").labels.insert(label::ASK.into(), Ask::Skip.label(&rollout()));
        observed
    };
    let run = || NodeState::Running { drained: false };
    let asked = |pass: &Pass| {
        let Action::UpdateNode { labels, .. } = &pass.actions[0].action else { panic!("{pass:?}") };
        labels.get(label::ASK).cloned()
    };
    let pass = now(&ask(run(), Some(prepared(Expectation::No))), &spec());
    assert_eq!(
        (words(&pass), asked(&pass)),
        (vec!["w1 e5 verifying".to_owned()], None),
        "it is not answered yet"
    );
    let pass = now(&ask(NodeState::Verifying, Some(Said::NotBegun)), &spec());
    assert_eq!((words(&pass), asked(&pass)), (vec!["w1 e5 entering".to_owned()], None));
    let pass = now(&ask(NodeState::Entering, None), &spec());
    assert_eq!((words(&pass)[0].as_str(), asked(&pass)), ("w1 e5 restoring:skipped:asked", Some(None)));
    for state in [run(), NodeState::Verifying, NodeState::Rebooting] {
        let name = state.name();
        let pass = now(&ask(state, Some(Said::Running { attempt: 1 })), &spec());
        assert_eq!(
            (words(&pass), asked(&pass)),
            (vec![format!("w1 e5 {name}")], Some(None)),
            "it is too late"
        );
    }
}

#[test]
fn no_phase_waits_for_ever() {
    // state, what the agent says, seconds, what follows
    let restart = |kind| NodeState::Draining { goal: Goal::Restart(kind) };
    let table = [
        (NodeState::Entering, 600, "w1 e5 restoring:failed:entering:time-limit"),
        (NodeState::Preparing, 1800, "w1 e5 restoring:failed:preparing:time-limit"),
        (NodeState::RestartingEngine, 300, "w1 e5 failed:restarting-engine:time-limit"),
        (NodeState::Rebooting, 1200, "w1 e5 failed:rebooting:time-limit"),
        (NodeState::Verifying, 1800, "w1 e5 failed:verifying:time-limit"),
        (NodeState::Restoring { then: AfterRestoring::Settle }, 600, "w1 e5 failed:restoring:time-limit"),
    ];
    let paused = Control::Paused { why: PauseReason::Asked };
    for (state, seconds, expected) in table {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state));
        jobs(&mut observed, "w1", TaskState::Starting, None);
        observed.rollout.as_mut().unwrap().control = paused.clone();
        let early = after(&observed, &spec(), seconds - 1);
        assert!(!words(&early).contains(&expected.to_owned()), "{expected}: {:?}", words(&early));
        let late = after(&observed, &spec(), seconds);
        assert!(words(&late).contains(&expected.to_owned()), "{expected}: {:?}", words(&late));
    }
    // With another word than this one a node on which nothing was taken down has the limit of holds.
    let mut waiting = spec();
    waiting.policy.holds.action = crate::on_hold::OnHold::Wait;
    for state in [NodeState::Preparing, NodeState::Settling, restart(Restart::Reboot)] {
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state));
        node(&mut observed, "w1").status = NodeStatus::Down;
        observed.rollout.as_mut().unwrap().control = paused.clone();
        assert_eq!(hold(&after(&observed, &waiting, 1199), "w1"), "node-down");
        assert!(words(&after(&observed, &waiting, 1200))[1].contains("node-down"));
    }
}

#[test]
fn a_manager_that_goes_down_for_its_own_restart_is_no_risk_for_the_quorum() {
    let spec = spec();
    let said = Some(wants(Restart::Engine));
    for (unreachable, said, expected) in [
        ("m2", said.clone(), "restarting"),
        ("m2", None, "restarting"),
        ("m3", said, "quorum-at-risk"),
        ("m3", None, "quorum-at-risk"),
    ] {
        let mut observed = cluster();
        let taken = Some(Taken { was: Active, set: Drain });
        put(&mut observed, "m2", &NodeRecord { taken, ..record(NodeState::RestartingEngine) });
        jobs(&mut observed, "m2", TaskState::Running, said);
        open(&mut observed, &[DRAW.gates, SECOND_DRAW.gates].concat());
        let lost = Manager { leader: false, reachability: Reachability::Unreachable };
        node(&mut observed, unreachable).manager = Some(lost);
        assert_eq!(hold(&now(&observed, &spec), "m2"), expected, "{unreachable}");
    }
}

#[test]
fn a_node_settles_when_everything_was_well_for_a_while() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Settling));
    assert_eq!(hold(&after(&observed, &spec(), 14), "w1"), "monitoring");
    assert!(words(&after(&observed, &spec(), 15)).contains(&"w1 e5 done".to_owned()));
}

#[test]
fn a_rollout_that_paused_for_its_last_node_waits_for_its_operator() {
    let mut observed = cluster();
    observed.nodes.truncate(1);
    put(
        &mut observed,
        "m1",
        &record(NodeState::Failed { during: StateName::Running, reason: Reason::Exit(1) }),
    );
    let why = PauseReason::NodeFailed {
        node: NodeId("m1".into()),
        during: StateName::Running,
        why: Reason::Exit(1),
    };
    for why in [why, PauseReason::Asked] {
        observed.rollout.as_mut().unwrap().control = Control::Paused { why };
        assert!(words(&now(&observed, &spec())).is_empty(), "it can be tried again");
    }
    for control in [Control::Running, Control::Aborting] {
        observed.rollout.as_mut().unwrap().control = control;
        assert_eq!(words(&now(&observed, &spec())), ["write-history"]);
    }
    put(&mut observed, "m1", &record(NodeState::Done));
    observed.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
    assert_eq!(words(&now(&observed, &spec())), ["write-history"], "nothing is left to be asked");
}

#[test]
fn history_then_the_end_then_nothing_is_left() {
    let mut observed = cluster();
    observed.nodes.truncate(1);
    put(&mut observed, "m1", &record(NodeState::Done));
    assert_eq!(words(&now(&observed, &spec())), ["write-history"]);
    observed.history_written = true;
    assert_eq!(words(&now(&observed, &spec())), ["set-control"]);
    let outcome = RolloutOutcome::Done;
    observed.rollout.as_mut().unwrap().control = Control::Finished { outcome };
    observed.results = vec![NodeResult {
        node: NodeId("m1".into()),
        generation: 1,
        outcome: NodeOutcome::Succeeded,
        record: None,
        seconds: None,
    }];
    assert_eq!(words(&now(&observed, &spec())), ["m1 -", "remove-results"]);
    observed.nodes[0].labels.clear();
    observed.results.clear();
    observed.delivered = true;
    assert_eq!(words(&now(&observed, &spec())), ["remove-delivered"]);
    observed.lock.as_mut().unwrap().holder = None;
    assert_ne!(now(&observed, &spec()).end, PassEnd::Finished, "whoever comes removes them");
    observed.lock.as_mut().unwrap().holder = Some(me());
    observed.delivered = false;
    assert_eq!(words(&now(&observed, &spec())), ["release-lock"]);
    observed.lock.as_mut().unwrap().holder = None;
    assert_eq!(now(&observed, &spec()).end, PassEnd::Finished);
}

/// Swarm calls a node down whose manager takes part, and the agent's service on it can go: it may be the last that refers to them.
#[test]
fn the_lock_is_kept_until_the_payloads_files_can_go() {
    let mut observed = cluster();
    let control = Control::Finished { outcome: RolloutOutcome::Aborted };
    observed.rollout.as_mut().unwrap().control = control;
    observed.delivered = true;
    node(&mut observed, "w1").status = NodeStatus::Down;
    jobs(&mut observed, "w1", TaskState::Shutdown, None);
    observed.jobs.retain(|job| job.key.role == JobRole::Agent);
    observed.jobs[0].stopped = true;
    assert_eq!(words(&now(&observed, &spec())), ["remove-job"]);
    observed.jobs.clear();
    assert_eq!(words(&now(&observed, &spec())), ["remove-delivered"]);
}

#[test]
fn the_unlock_key_goes_before_the_lock_is_given_back_and_nobody_waits_for_it_with_the_end() {
    let mut observed = cluster();
    let key = Some(crate::spec::UnlockKey { id: "s".into(), name: "k".into() });
    let spec = Spec { unlock_key: key, ..spec() };
    for node in &mut observed.nodes {
        node.labels.insert(label::NODE.into(), record(NodeState::Done).encode());
    }
    let said = Said::Finished { outcome: NodeOutcome::Succeeded, record: None };
    jobs(&mut observed, "m1", TaskState::Running, Some(said));
    observed.jobs.iter_mut().for_each(|job| job.stopped = true);
    assert_eq!(words(&now(&observed, &spec)), ["write-history"], "its last agent is leaving");
    let outcome = RolloutOutcome::Done;
    observed.rollout.as_mut().unwrap().control = Control::Finished { outcome };
    observed.nodes.iter_mut().for_each(|node| node.labels.clear());
    observed.history_written = true;
    assert_eq!(words(&now(&observed, &spec)), Vec::<String>::new(), "the lock is kept");
    observed.jobs.clear();
    observed.key_is_left = true;
    assert_eq!(words(&now(&observed, &spec)), ["remove-delivered"]);
    observed.lock.as_mut().unwrap().holder = None;
    assert_ne!(now(&observed, &spec).end, PassEnd::Finished, "whoever comes removes it");
    observed.lock.as_mut().unwrap().holder = Some(me());
    // A payload's files wait for every service of the rollout, the key for those that have it.
    node(&mut observed, "w1").status = NodeStatus::Down;
    jobs(&mut observed, "w1", TaskState::Running, None);
    observed.jobs.iter_mut().for_each(|job| job.stopped = true);
    assert_eq!(words(&now(&observed, &spec)), ["remove-delivered"]);
    observed.key_is_left = false;
    assert_eq!(words(&now(&observed, &spec)), ["release-lock"]);
}

#[test]
fn what_a_controller_writes_that_wakes_up_after_the_end_is_tidied_up() {
    let mut observed = cluster();
    let control = Control::Finished { outcome: RolloutOutcome::Aborted };
    observed.rollout.as_mut().unwrap().control = control;
    put(&mut observed, "m1", &record(NodeState::Entering));
    put(&mut observed, "m2", &record(NodeState::Rebooting));
    assert_eq!(words(&now(&observed, &spec())), ["m1 -"], "what may have begun stays");
}

#[test]
fn who_only_looks_sees_the_same_holds_whoever_has_the_lock() {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Settling));
    let seen = now(&observed, &spec());
    for holder in [Some(me()), Some(ControllerId("other".into())), None] {
        observed.lock.as_mut().unwrap().holder = holder;
        let view = view(&observed, &spec(), &Watch::default(), Duration::ZERO).unwrap();
        assert_eq!((view.states, view.holds), (seen.states.clone(), seen.holds.clone()));
    }
    observed.lock = None;
    let view = view(&observed, &spec(), &Watch::default(), Duration::ZERO).unwrap();
    assert_eq!(view.holds, seen.holds);
}

#[test]
fn a_node_that_has_begun_stays_in_the_rollout_when_it_is_not_selected_any_more() {
    let mut spec = spec();
    spec.selection.constraints = vec!["node.labels.zone==a".into()];
    let mut observed = cluster();
    assert!(now(&observed, &spec).states.is_empty());
    put(&mut observed, "w2", &record(NodeState::Restoring { then: AfterRestoring::Settle }));
    assert_eq!(words(&now(&observed, &spec)), ["w2 e5 settling"]);
}

#[test]
fn the_locks_holder_says_that_it_lives() {
    assert!(!words(&after(&cluster(), &spec(), 9)).contains(&"beat".to_owned()));
    assert!(words(&after(&cluster(), &spec(), 10)).contains(&"beat".to_owned()));
}

#[test]
fn a_controller_whose_rollout_is_over_does_not_wait_for_the_next_one_to_end() {
    let mut observed = cluster();
    let other = crate::ids::RolloutId::parse("other").unwrap();
    let control = Control::Finished { outcome: RolloutOutcome::Done };
    observed.lock = Some(Lock {
        version: Version(9),
        holder: Some(ControllerId("c2".into())),
        epoch: 6,
        rollout: Some(other),
        place: None,
    });
    observed.rollout = Some(RolloutRecord::new(Version(3), control));
    let fresh =
        |observed: &Observed| pass(observed, &spec(), &me(), &Watch::default(), Duration::ZERO).unwrap();
    assert_eq!(fresh(&observed).end, PassEnd::Finished);
    observed.rollout = None;
    assert_eq!(fresh(&observed).end, PassEnd::Finished, "the next rollout swept it away");
    observed.lock.as_mut().unwrap().rollout = Some(rollout());
    observed.rollout = Some(RolloutRecord::new(Version(3), Control::Running));
    assert_eq!(fresh(&observed).end, PassEnd::GoOn, "another controller of the same rollout");
}

/// The rollout's baseline says who takes part: these.
fn taking_part(observed: &mut Observed, names: &[&str]) {
    let of = |name: &&str| {
        let role = if name.starts_with('m') {
            crate::observed::Role::Manager
        } else {
            crate::observed::Role::Worker
        };
        let (id, hostname) = (NodeId((*name).into()), (*name).to_owned());
        Participant { id, hostname, role, turn: Turn::Usual, zone: String::new(), skip: None }
    };
    let nodes = Some(names.iter().map(of).collect());
    observed.baseline = Some(Baseline { nodes, ..Baseline::default() });
}

fn leaves(observed: &mut Observed, name: &str) {
    observed.nodes.retain(|node| node.hostname != name);
}

#[test]
fn who_takes_part_is_written_down_once_and_kept() {
    let mut spec = spec();
    spec.selection.constraints = vec!["node.labels.zone!=b".into()];
    let mut observed = cluster();
    observed.baseline = None;
    let pass = now(&observed, &spec);
    let Action::WriteBaseline { baseline } = &pass.actions[0].action else { panic!("{pass:?}") };
    let names: Vec<&str> = baseline.nodes.iter().flatten().map(|one| one.hostname.as_str()).collect();
    assert_eq!(names, ["m1", "m2", "m3", "w1", "w2"]);
    observed.baseline = Some(baseline.clone());
    let before = now(&observed, &spec);
    // Labels, host names and roles change, and a node joins: nobody has its turn earlier or later for it.
    node(&mut observed, "w1").labels.insert("zone".into(), "b".into());
    node(&mut observed, "w2").hostname = "a0".into();
    observed.nodes.push(worker("w0"));
    let after = now(&observed, &spec);
    assert_eq!((words(&after), &after.states, &after.holds), (words(&before), &before.states, &before.holds));
    let late = participants::latecomers(&observed, &spec).unwrap();
    assert_eq!(late.iter().map(|one| one.hostname.as_str()).collect::<Vec<_>>(), ["w0"]);
    // A baseline of an older version has no list: then it is who is selected now.
    observed.baseline = Some(Baseline::default());
    let selected: Vec<NodeId> = now(&observed, &spec).states.into_keys().collect();
    assert_eq!(selected, ["m1", "m2", "m3", "w0", "w2"].map(|name| NodeId(name.into())));
    assert!(participants::latecomers(&observed, &spec).unwrap().is_empty());
}

#[test]
fn a_worker_that_was_promoted_counts_as_a_manager_and_keeps_its_wave() {
    let mut observed = cluster();
    taking_part(&mut observed, &["m1", "m2", "m3", "w1", "w2"]);
    *node(&mut observed, "w1") = manager("w1");
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 entering"]);
    node(&mut observed, "m2").manager.as_mut().unwrap().reachability = Reachability::Unreachable;
    node(&mut observed, "m3").manager.as_mut().unwrap().reachability = Reachability::Unreachable;
    assert_eq!(hold(&now(&observed, &spec()), "w1"), "quorum-at-risk");
}

fn result(name: &str, outcome: NodeOutcome) -> NodeResult {
    NodeResult { node: NodeId(name.into()), generation: 1, outcome, record: None, seconds: None }
}

#[test]
fn what_is_known_of_a_node_that_left() {
    let failed = NodeOutcome::Failed { phase: HostPhase::Command, exit: 1, rolled_back: None };
    let begun = [TaskState::Running, TaskState::Complete, TaskState::Failed, TaskState::Starting];
    // its agent's task, its result, the mark; what it is
    let mut table = vec![
        (None, None, None, Left::BeforeItsTurn),
        (Some(TaskState::Pending), None, None, Left::BeforeItsTurn),
        (None, Some(failed.clone()), None, Left::Failed),
        (None, Some(NodeOutcome::Succeeded), None, Left::Done),
        (None, Some(NodeOutcome::Succeeded), Some(GoneMark::GivenUp), Left::Done),
        (None, None, Some(GoneMark::Noted), Left::AtWork),
        (None, None, Some(GoneMark::GivenUp), Left::GivenUp),
    ];
    for task in begun {
        table.push((Some(task), None, None, Left::AtWork));
        table.push((Some(task), None, Some(GoneMark::Noted), Left::AtWork));
        table.push((Some(task), None, Some(GoneMark::GivenUp), Left::GivenUp));
        table.push((Some(task), Some(failed.clone()), Some(GoneMark::Noted), Left::Failed));
        table.push((Some(task), Some(NodeOutcome::Succeeded), None, Left::Done));
    }
    for (task, outcome, mark, expected) in table {
        let mut observed = cluster();
        taking_part(&mut observed, &["m1", "m2", "m3", "w1", "w2"]);
        leaves(&mut observed, "w1");
        if let Some(task) = task {
            jobs(&mut observed, "w1", task, None);
        }
        observed.results.extend(outcome.map(|outcome| result("w1", outcome)));
        observed.rollout.as_mut().unwrap().gone.extend(mark.map(|mark| (NodeId("w1".into()), mark)));
        assert_eq!(
            participants::left(&Indexed::of(&observed), &rollout(), &NodeId("w1".into())),
            expected,
            "{task:?} {mark:?}"
        );
        // The second try of a node has no result yet.
        let mut retried = observed.clone();
        jobs(&mut retried, "w1", TaskState::Running, None);
        retried.jobs.iter_mut().for_each(|job| (job.key.generation, job.tasks) = (2, Vec::new()));
        let expected = if mark == Some(GoneMark::GivenUp) { Left::GivenUp } else { Left::AtWork };
        assert_eq!(participants::left(&Indexed::of(&retried), &rollout(), &NodeId("w1".into())), expected);
    }
}

/// w1's command runs when it leaves.
fn left_in_its_turn() -> Observed {
    let mut observed = cluster();
    taking_part(&mut observed, &["m1", "m2", "m3", "w1", "w2"]);
    jobs(&mut observed, "w1", TaskState::Failed, None);
    leaves(&mut observed, "w1");
    observed
}

fn tell(observed: &mut Observed, control: Control, mark: Option<GoneMark>) {
    let gone = mark.map(|mark| (NodeId("w1".into()), mark)).into_iter().collect();
    observed.rollout = Some(RolloutRecord { version: Version(3), control, gone });
}

#[test]
fn a_node_that_leaves_in_its_turn_is_a_failure_and_keeps_its_place() {
    let mut observed = left_in_its_turn();
    let pass = now(&observed, &spec());
    let why = PauseReason::NodeGone { node: NodeId("w1".into()), hostname: "w1".into() };
    let mark = Action::MarkGone {
        node: NodeId("w1".into()),
        mark: GoneMark::Noted,
        control: Some(Control::Paused { why: why.clone() }),
        version: Version(3),
    };
    assert_eq!(
        pass.actions.iter().map(|act| &act.action).collect::<Vec<_>>(),
        [&mark],
        "and no service is removed"
    );
    assert_eq!(pass.states[&NodeId("w1".into())], NodeState::Gone { left: Left::AtWork });
    assert_eq!((hold(&pass, "w1"), hold(&pass, "w2")), ("node-gone", "earlier-wave"));
    // Paused, and then resumed: its place is kept, and the rollout does not pause once more.
    tell(&mut observed, Control::Paused { why }, Some(GoneMark::Noted));
    assert!(words(&now(&observed, &spec())).is_empty());
    tell(&mut observed, Control::Running, Some(GoneMark::Noted));
    assert!(words(&after(&observed, &spec(), 9)).is_empty());
    assert_eq!(hold(&after(&observed, &spec(), 1199), "w2"), "earlier-wave");
    let mut wide = spec();
    (wide.policy.canaries, wide.policy.parallelism) = (0, Parallelism::Nodes(2));
    assert_eq!(words(&now(&observed, &wide)), ["w2 e5 entering"], "the wave has another place");
    wide.policy.parallelism = Parallelism::Nodes(1);
    assert_eq!(hold(&now(&observed, &wide), "w2"), "earlier-wave");
    // Until its time is over, or an operator gives it up.
    assert_eq!(words(&after(&observed, &spec(), 1200)), ["beat", "mark-gone"]);
    tell(&mut observed, Control::Running, Some(GoneMark::GivenUp));
    let removed = ["remove-job"; 7];
    assert_eq!(words(&now(&observed, &spec())), [&["w2 e5 entering"][..], &removed].concat());
}

/// The agent that asks this node what became of w1's try, and what it says.
fn asked(observed: &mut Observed, on: &str, agent: u32, said: Option<Said>) {
    let key = JobKey { agent, ..key("w1", JobRole::Agent) };
    observed.jobs.push(Job {
        key,
        version: Version(2),
        stopped: false,
        on: Some(NodeId(on.into())),
        tasks: vec![TaskState::Running],
        swept: false,
        refused: None,
    });
    let node = NodeId("w1".into());
    let report = |said| AgentReport {
        node,
        transaction: String::new(),
        generation: 1,
        agent,
        said,
        waits: None,
        printed: None,
    };
    observed.reports.extend(said.map(report));
}

/// w1 left in its turn, which is noted, and two nodes joined since: one with its host's name.
fn joined_again() -> Observed {
    let mut observed = left_in_its_turn();
    for id in ["x1", "x2"] {
        observed.nodes.push(worker(id));
    }
    node(&mut observed, "x2").hostname = "w1".into();
    tell(&mut observed, Control::Running, Some(GoneMark::Noted));
    observed
}

fn questions(pass: &Pass) -> Vec<(&str, u32)> {
    let question = |act: &Act| {
        let Action::CreateJob { agent } = &act.action else { return None };
        assert!(agent.collects, "it may begin something: {agent:?}");
        assert_eq!(agent.key.node, NodeId("w1".into()), "it works on another try: {agent:?}");
        assert_eq!(agent.key.transaction(), key("w1", JobRole::Agent).transaction());
        Some((agent.on.clone().expect("it is placed on w1, which is gone"), agent.key.agent))
    };
    let all: Vec<(NodeId, u32)> = pass.actions.iter().filter_map(question).collect();
    all.into_iter().map(|(node, agent)| (if node.0 == "x1" { "x1" } else { "x2" }, agent)).collect()
}

#[test]
fn hosts_that_joined_are_asked_whether_they_are_the_one_that_left() {
    let mut observed = joined_again();
    assert_eq!(questions(&now(&observed, &spec())), [("x1", 2)]);
    asked(&mut observed, "x1", 2, None);
    assert_eq!(questions(&now(&observed, &spec())), [("x2", 3)], "each once");
    asked(&mut observed, "x2", 3, Some(Said::Forgotten));
    let pass = now(&observed, &spec());
    assert_eq!((questions(&pass), hold(&pass, "w1")), (vec![], "node-gone"), "they are other hosts");
    assert!(words(&pass).iter().all(|word| word != "remove-job"), "{:?}", words(&pass));
    // A question that was lost is asked again, and not for ever.
    for agent in [4, 5] {
        observed
            .jobs
            .iter_mut()
            .filter(|job| job.on == Some(NodeId("x1".into())))
            .for_each(|job| job.tasks = vec![TaskState::Failed]);
        assert_eq!(questions(&now(&observed, &spec())), [("x1", agent)]);
        asked(&mut observed, "x1", agent, None);
    }
    observed
        .jobs
        .iter_mut()
        .filter(|job| job.on.is_some())
        .for_each(|job| job.tasks = vec![TaskState::Failed]);
    assert_eq!(questions(&now(&observed, &spec())), []);
    assert!(words(&after(&observed, &spec(), 1200)).contains(&"mark-gone".to_owned()), "it has its limit");
}

#[test]
fn who_is_down_takes_part_or_cannot_be_it_is_not_asked() {
    let mut observed = joined_again();
    node(&mut observed, "x1").status = NodeStatus::Down;
    assert_eq!(questions(&now(&observed, &spec())), [("x2", 2)]);
    let mut elsewhere = spec();
    elsewhere.selection.constraints = vec!["node.hostname==nowhere".into()];
    assert_eq!(
        questions(&now(&observed, &elsewhere)),
        [("x2", 2)],
        "its name is enough: labels go with a node"
    );
    node(&mut observed, "w1").hostname = "x2".into();
    assert_eq!(questions(&now(&observed, &elsewhere)), []);
    assert_eq!(questions(&now(&left_in_its_turn(), &spec())), [], "nobody joined");
    let mut observed = joined_again();
    tell(&mut observed, Control::Aborting, Some(GoneMark::Noted));
    assert_eq!(questions(&now(&observed, &spec())), [], "an abort waits for nothing");
}

/// A container of a service that is just removed goes on where the engine is older than 23.0.2, and would do its work in the middle of
/// the next rollout.
#[test]
fn whoever_asks_a_host_that_joined_again_is_stopped_before_its_service_goes() {
    let mut observed = joined_again();
    observed.jobs.clear();
    asked(&mut observed, "x2", 2, Some(Said::Verifying));
    tell(&mut observed, Control::Aborting, Some(GoneMark::GivenUp));
    let pass = now(&observed, &spec());
    assert_eq!(words(&pass), ["stop-job"]);
    observed.jobs[0].stopped = true;
    assert!(words(&now(&observed, &spec())).is_empty(), "its end is waited for");
    observed.jobs[0].tasks = vec![TaskState::Shutdown];
    assert_eq!(words(&now(&observed, &spec())), ["remove-job"]);
}

#[test]
fn what_the_host_says_that_joined_again_counts_for_the_node_that_left() {
    let mut observed = joined_again();
    asked(&mut observed, "x2", 2, Some(Said::Running { attempt: 1 }));
    let pass = after(&observed, &spec(), 5000);
    assert_eq!(hold(&pass, "w1"), "rejoined", "its place is kept while its command lives");
    assert_eq!(words(&pass), ["beat"]);
    let outcome = NodeOutcome::Succeeded;
    observed.reports.clear();
    observed.jobs.pop();
    asked(
        &mut observed,
        "x2",
        2,
        Some(Said::Finished { outcome: outcome.clone(), record: Some("kernel".into()) }),
    );
    let pass = now(&observed, &spec());
    let record = Some("its host joined again as w1 (x2)\nkernel".to_owned());
    let result = NodeResult { node: NodeId("w1".into()), generation: 1, outcome, record, seconds: None };
    assert_eq!(pass.actions[0].action, Action::WriteResult { result: result.clone() });
    observed.results = vec![result];
    let pass = now(&observed, &spec());
    assert_eq!(pass.states[&NodeId("w1".into())], NodeState::Gone { left: Left::Done });
    assert!(words(&pass).contains(&"w2 e5 entering".to_owned()), "its place is free: {:?}", words(&pass));
    // Nothing was begun there, and nothing can be any more: nobody waits for it.
    let mut observed = joined_again();
    asked(&mut observed, "x2", 2, Some(Said::NotBegun));
    assert_eq!(words(&now(&observed, &spec())), ["mark-gone"]);
}

#[test]
fn how_long_a_try_took_is_in_its_result_where_one_controller_has_seen_all_of_it() {
    let mut observed = cluster();
    let began = now(&observed, &spec());
    assert_eq!(words(&began), ["w1 e5 entering"]);
    put(&mut observed, "w1", &record(NodeState::Verifying));
    let seconds = |outcome: NodeOutcome, watch: &Watch| {
        let mut observed = observed.clone();
        jobs(&mut observed, "w1", TaskState::Running, Some(Said::Finished { outcome, record: None }));
        let pass = pass(&observed, &spec(), &me(), watch, Duration::from_secs(95)).unwrap();
        pass.actions.into_iter().find_map(|act| {
            let Action::WriteResult { result } = act.action else { return None };
            Some(result.seconds)
        })
    };
    let failed = NodeOutcome::Failed { phase: HostPhase::Command, exit: 1, rolled_back: None };
    assert_eq!(seconds(NodeOutcome::Succeeded, &began.watch), Some(Some(95)));
    assert_eq!(
        seconds(NodeOutcome::Succeeded, &Watch::default()),
        Some(None),
        "another controller had it begin"
    );
    assert_eq!(seconds(failed, &began.watch), Some(None));
}

#[test]
fn of_two_hosts_with_the_record_of_one_none_is_believed() {
    let mut observed = joined_again();
    let finished = Said::Finished { outcome: NodeOutcome::Succeeded, record: None };
    asked(&mut observed, "x1", 2, Some(finished));
    asked(&mut observed, "x2", 3, Some(Said::Running { attempt: 1 }));
    let pass = now(&observed, &spec());
    assert_eq!((hold(&pass, "w1"), words(&pass).len()), ("several-rejoined", 0), "{:?}", words(&pass));
    assert_eq!(words(&after(&observed, &spec(), 1200)), ["beat", "mark-gone"], "that does not last for ever");
    // A copy that is known as one says so, and is none.
    observed.reports.pop();
    let node = NodeId("w1".into());
    let said = Said::Copied { from: "machine 4f2a (host w1)".into() };
    observed.reports.push(AgentReport {
        node,
        transaction: String::new(),
        generation: 1,
        agent: 3,
        said,
        waits: None,
        printed: None,
    });
    assert_eq!(words(&now(&observed, &spec())), ["write-result"]);
}

#[test]
fn a_rollout_with_a_node_that_left_ends_and_is_no_success() {
    let done = |observed: &mut Observed| {
        for name in ["m1", "m2", "m3", "w2"] {
            put(observed, name, &record(NodeState::Done));
        }
    };
    let failed = NodeOutcome::Failed { phase: HostPhase::Command, exit: 1, rolled_back: None };
    // what is left of w1, and how the rollout ends
    let table = [
        (None, None, RolloutOutcome::WithFailures),
        (None, Some(GoneMark::GivenUp), RolloutOutcome::WithFailures),
        (Some(failed), Some(GoneMark::Noted), RolloutOutcome::WithFailures),
        (Some(NodeOutcome::Succeeded), None, RolloutOutcome::Done),
    ];
    for (outcome, mark, ends) in table {
        let mut observed = cluster();
        taking_part(&mut observed, &["m1", "m2", "m3", "w1", "w2"]);
        leaves(&mut observed, "w1");
        done(&mut observed);
        observed.results.extend(outcome.map(|outcome| result("w1", outcome)));
        tell(&mut observed, Control::Running, mark);
        let pass = now(&observed, &spec());
        let Action::WriteHistory { outcome, gone } = &pass.actions[0].action else { panic!("{pass:?}") };
        assert_eq!((*outcome, gone.len(), gone[0].hostname.as_str()), (ends, 1, "w1"));
        observed.history_written = true;
        let finished =
            Action::SetControl { control: Control::Finished { outcome: ends }, version: Version(3) };
        assert_eq!(now(&observed, &spec()).actions[0].action, finished);
    }
    // One that nobody has given up is waited for, and an abort waits for nothing.
    let mut observed = left_in_its_turn();
    done(&mut observed);
    tell(&mut observed, Control::Running, Some(GoneMark::Noted));
    assert!(words(&now(&observed, &spec())).is_empty());
    tell(&mut observed, Control::Aborting, Some(GoneMark::Noted));
    assert!(words(&now(&observed, &spec())).contains(&"mark-gone".to_owned()));
}

#[test]
fn a_node_that_failed_before_it_left_does_not_pause_the_rollout_again() {
    let mut observed = left_in_its_turn();
    let node = NodeId("w1".into());
    let why =
        PauseReason::NodeFailed { node: node.clone(), during: StateName::Running, why: Reason::NodeDown };
    tell(&mut observed, Control::Paused { why }, None);
    let version = Version(3);
    let noted = Action::MarkGone { node, mark: GoneMark::Noted, control: None, version };
    assert_eq!(now(&observed, &spec()).actions[0].action, noted);
    tell(&mut observed, Control::Paused { why: PauseReason::Asked }, None);
    assert!(
        words(&now(&observed, &spec())).is_empty(),
        "paused for something else, it is told when that is over"
    );
    let mut spec = spec();
    spec.policy.failure_action = crate::spec::OnFailure::Continue;
    tell(&mut observed, Control::Running, None);
    let Action::MarkGone { control, .. } = &now(&observed, &spec).actions[0].action.clone() else { panic!() };
    assert_eq!(*control, None, "the others go on");
}

#[test]
fn a_node_whose_label_was_removed_never_begins_anew() {
    let mut observed = cluster();
    jobs(&mut observed, "w1", TaskState::Running, Some(Said::Running { attempt: 1 }));
    let pass = now(&observed, &spec());
    assert!(pass.actions.is_empty(), "its services are what tells of it: {:?}", words(&pass));
    assert_eq!((hold(&pass, "w1"), hold(&pass, "w2")), ("record-removed", "earlier-wave"));
    let mut done = cluster();
    done.results = vec![result("w1", NodeOutcome::Succeeded)];
    assert_eq!(hold(&now(&done, &spec()), "w1"), "record-removed", "a result is enough");
    // It does not wait for ever.
    assert_eq!(words(&after(&observed, &spec(), 1200)), ["beat", "set-control"]);
    let why = PauseReason::NodeFailed {
        node: NodeId("w1".into()),
        during: StateName::Pending,
        why: Reason::RecordRemoved,
    };
    observed.rollout.as_mut().unwrap().control = Control::Paused { why };
    let late = words(&after(&observed, &spec(), 1200));
    assert_eq!(late, ["beat", "w1 e5 failed:pending:record-removed"]);
    // An operator leaves it out, or ends the rollout.
    node(&mut observed, "w1").labels.insert(label::ASK.into(), Ask::Skip.label(&rollout()));
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 skipped:asked"]);
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    assert_eq!(words(&now(&observed, &spec())), ["stop-job"], "its agent first");
    // What another rollout left there is none of this one's.
    observed.jobs.iter_mut().for_each(|job| job.key.rollout = RolloutId::parse("older").unwrap());
    node(&mut observed, "w1").labels.clear();
    observed.rollout.as_mut().unwrap().control = Control::Running;
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 entering", "stop-job"]);
}

#[test]
fn a_baseline_that_was_removed_pauses_and_only_an_abort_ends_it() {
    let mut observed = cluster();
    observed.baseline = None;
    put(&mut observed, "w1", &record(NodeState::Done));
    let pass = now(&observed, &spec());
    let control = Control::Paused { why: PauseReason::BaselineRemoved };
    assert_eq!(pass.actions[0].action, Action::SetControl { control: control.clone(), version: Version(3) });
    assert_eq!(hold(&pass, "w2"), "baseline-removed");
    // Somebody had paused it before: that is no end either, who left is forgotten.
    let mut paused = observed.clone();
    paused.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
    for name in ["m1", "m2", "m3", "w2"] {
        put(&mut paused, name, &record(NodeState::Done));
    }
    assert_eq!(words(&now(&paused, &spec())), Vec::<String>::new());
    let mut early = cluster();
    early.baseline = None;
    put(&mut early, "w1", &NodeRecord { agent: 0, ..record(NodeState::Skipped { why: Skip::Asked }) });
    assert_eq!(words(&now(&early, &spec())), ["write-baseline"], "skipped before anything had begun");
    tell(&mut early, Control::Running, Some(GoneMark::GivenUp));
    assert_eq!(words(&now(&early, &spec())), ["set-control"], "the only one that had begun has left");
    observed.rollout.as_mut().unwrap().control = control;
    observed.nodes.truncate(4);
    for name in ["m1", "m2", "m3"] {
        put(&mut observed, name, &record(NodeState::Done));
    }
    assert!(
        words(&now(&observed, &spec())).is_empty(),
        "and it is not over, though all that are there are done"
    );
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    assert_eq!(words(&now(&observed, &spec())), ["write-history"]);
}

#[test]
fn a_rollout_whose_config_was_removed_is_told_apart_from_one_that_is_over() {
    let look = |change: &dyn Fn(&mut Observed)| {
        let mut observed = Observed { rollout: None, lock: None, ..cluster() };
        change(&mut observed);
        now(&observed, &spec()).end
    };
    let held = |observed: &mut Observed| observed.lock = cluster().lock;
    let labelled = |observed: &mut Observed| put(observed, "w1", &record(NodeState::Verifying));
    let services = |observed: &mut Observed| jobs(observed, "w1", TaskState::Running, None);
    assert_eq!(look(&|_| {}), PassEnd::Finished);
    assert_eq!(look(&held), PassEnd::Removed);
    assert_eq!(look(&labelled), PassEnd::Removed);
    assert_eq!(look(&services), PassEnd::Removed);
    let failed = NodeState::Failed { during: StateName::Running, reason: Reason::TimeLimit };
    let over = |observed: &mut Observed| {
        put(observed, "w1", &record(failed.clone()));
        observed.history_written = true;
    };
    assert_eq!(look(&over), PassEnd::Finished, "the next rollout swept it away");
    let retried = |observed: &mut Observed| {
        labelled(observed);
        observed.history_written = true;
    };
    assert_eq!(look(&retried), PassEnd::Removed, "a retry came behind the history");
}

#[test]
fn a_host_that_was_called_failed_unheard_is_listened_to_when_it_is_back() {
    let failed = |reason| record(NodeState::Failed { during: StateName::Running, reason });
    let outcome = NodeOutcome::Failed { phase: HostPhase::Command, exit: 7, rolled_back: None };
    let finished = Said::Finished { outcome: outcome.clone(), record: Some("E: no space left".into()) };
    let scene = |reason, said: Option<Said>| {
        let mut seen = cluster();
        put(&mut seen, "w1", &failed(reason));
        jobs(&mut seen, "w1", TaskState::Running, said);
        seen
    };
    let stops = |pass: &Pass| pass.actions.iter().any(|act| matches!(act.action, Action::StopJob { .. }));
    let silent = scene(Reason::NodeDown, None);
    assert!(!stops(&now(&silent, &spec())), "its agent may still find out");
    assert!(stops(&now(&scene(Reason::Exit(7), None), &spec())), "who has no result need not be asked");
    let mut told = scene(Reason::NodeDown, Some(finished));
    let pass = now(&told, &spec());
    let result = |act: &'_ Act| {
        let Action::WriteResult { result } = &act.action else { return None };
        Some(result.clone())
    };
    let written: Vec<NodeResult> = pass.actions.iter().filter_map(result).collect();
    assert_eq!(written.len(), 1, "{pass:?}");
    assert_eq!((&written[0].outcome, written[0].record.as_deref()), (&outcome, Some("E: no space left")));
    assert!(matches!(pass.states[&NodeId("w1".into())], NodeState::Failed { .. }), "it stays failed");
    told.results.push(written[0].clone());
    assert!(stops(&now(&told, &spec())), "nothing more is to be heard: its gates go");
    let mut aborting = silent;
    aborting.rollout = Some(RolloutRecord::new(Version(3), Control::Aborting));
    assert!(stops(&now(&aborting, &spec())));
}

/// What careen does with the services of a node that failed, by their role.
fn touched(observed: &Observed) -> Vec<(&'static str, JobRole)> {
    let touched = |act: &Act| {
        assert!(!matches!(act.action, Action::OpenGate { .. }), "a failed node gets no go: {act:?}");
        let (Action::StopJob { key, .. } | Action::RemoveJob { key }) = &act.action else { return None };
        Some((act.action.name(), key.role))
    };
    now(observed, &spec()).actions.iter().filter_map(touched).collect()
}

/// A node whose command has failed, with its agent there, and its gates but for those that were its go.
fn failed_with_its_agent() -> Observed {
    let mut observed = cluster();
    let failed = NodeState::Failed { during: StateName::Running, reason: Reason::Exit(7) };
    put(&mut observed, "w1", &record(failed));
    let outcome = NodeOutcome::Failed { phase: HostPhase::Command, exit: 7, rolled_back: None };
    let said = Said::Finished { outcome: outcome.clone(), record: None };
    jobs(&mut observed, "w1", TaskState::Running, Some(said));
    observed.jobs.retain(|job| !DRAW.gates.iter().any(|gate| job.key.role == JobRole::Gate(*gate)));
    observed.results = vec![result("w1", outcome)];
    let why = PauseReason::Asked;
    observed.rollout.as_mut().unwrap().control = Control::Paused { why };
    observed
}

#[test]
fn the_agent_of_a_failed_node_stays_for_its_log_and_its_gates_go() {
    let mut observed = failed_with_its_agent();
    let all = touched(&observed);
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all.iter().all(|(what, role)| *what == "stop-job" && *role != JobRole::Agent), "{all:?}");
    observed.jobs.truncate(1);
    assert_eq!(touched(&observed), [], "as long as nobody has decided");
    let said = observed.reports.pop();
    assert_eq!(touched(&observed), [], "a controller that has just come has not read its log yet");
    observed.reports.extend(said);
    let stopped = [("stop-job", JobRole::Agent)];
    let skipped = NodeState::Skipped { why: Skip::Asked };
    let again = NodeRecord { generation: 2, agent: 0, ..record(NodeState::Pending) };
    for decided in [record(skipped), again] {
        let mut observed = observed.clone();
        put(&mut observed, "w1", &decided);
        assert_eq!(touched(&observed), stopped, "{decided:?}");
    }
    let over = Control::Finished { outcome: RolloutOutcome::WithFailures };
    for control in [Control::Aborting, over] {
        let mut observed = observed.clone();
        observed.rollout.as_mut().unwrap().control = control.clone();
        assert_eq!(touched(&observed), stopped, "{control:?}");
    }
    observed.jobs[0].tasks = vec![TaskState::Failed];
    assert_eq!(touched(&observed), stopped, "its log went with its container");
}

#[test]
fn nobody_waits_for_an_agent_that_stays_for_its_log_or_for_its_gates() {
    let mut observed = failed_with_its_agent();
    observed.nodes.iter_mut().filter(|node| node.hostname != "w1").for_each(|node| {
        node.labels.insert(label::NODE.into(), record(NodeState::Done).encode());
    });
    observed.rollout.as_mut().unwrap().control = Control::Running;
    // Told to leave in the pass before.
    observed.jobs[1..].iter_mut().for_each(|gate| gate.stopped = true);
    assert_eq!(words(&now(&observed, &spec())), ["write-history"]);
}

#[test]
fn a_host_whose_agent_died_with_its_engine_is_asked_when_it_takes_tasks_again() {
    let mut seen = cluster();
    let failed = NodeState::Failed { during: StateName::Running, reason: Reason::NodeDown };
    put(&mut seen, "w1", &record(failed));
    let asks = |seen: &Observed| {
        let pass = now(seen, &spec());
        let question = |act: &Act| {
            let Action::CreateJob { agent } = &act.action else { return None };
            let of_w1 = agent.key.node.0 == "w1";
            of_w1.then(|| (agent.on.clone(), agent.collects, agent.key.agent))
        };
        pass.actions.iter().find_map(question)
    };
    let own = |agent| Some((Some(NodeId("w1".into())), true, agent));
    assert_eq!(asks(&seen), own(2));
    let going_on = seen.rollout.replace(RolloutRecord::new(Version(3), Control::Aborting));
    assert_eq!(asks(&seen), None, "an abort waits for nothing");
    seen.rollout = going_on;
    node(&mut seen, "w1").availability = Drain;
    assert_eq!(asks(&seen), None, "its operator gives it back, then it takes tasks");
    node(&mut seen, "w1").availability = Active;
    node(&mut seen, "w1").status = NodeStatus::Down;
    assert_eq!(asks(&seen), None, "nothing can start there");
    node(&mut seen, "w1").status = NodeStatus::Ready;
    asked(&mut seen, "w1", 2, None);
    assert_eq!(asks(&seen), None, "it is being asked");
    assert!(!words(&now(&seen, &spec())).contains(&"stop-job".to_owned()));
    seen.jobs.last_mut().unwrap().tasks = vec![TaskState::Failed];
    assert_eq!(asks(&seen), own(3), "the question was lost");
    let outcome = NodeOutcome::Failed { phase: HostPhase::Command, exit: 7, rolled_back: None };
    let finished = Said::Finished { outcome: outcome.clone(), record: Some("E: no space left".into()) };
    asked(&mut seen, "w1", 3, Some(finished));
    let pass = now(&seen, &spec());
    let record = Some("E: no space left".to_owned());
    let result = NodeResult { node: NodeId("w1".into()), generation: 1, outcome, record, seconds: None };
    assert!(pass.actions.iter().any(|act| act.action == Action::WriteResult { result: result.clone() }));
    seen.results.push(result);
    let words = words(&now(&seen, &spec()));
    assert!(words.contains(&"stop-job".to_owned()), "nothing more is to be heard: {words:?}");
    assert_eq!(asks(&seen), None);
}

/// A rollout in which nothing is drained or restarted.
fn short_spec() -> Spec {
    let (drain, reboot) = (crate::spec::DrainPolicy::Never, crate::spec::RebootPolicy::Never);
    Spec { drain, reboot, engine_restart: false, ..spec() }
}

fn short_record(state: NodeState) -> NodeRecord {
    NodeRecord { short: true, taken: None, ..record(state) }
}

const SHORT_RUNNING: NodeState = NodeState::Running { drained: false };

/// What a pass of a short rollout does, by the names of its actions, for a node `w1` in this state.
fn short_pass(observed: &Observed) -> (Vec<&'static str>, Pass) {
    let pass = pass(observed, &short_spec(), &me(), &Watch::default(), Duration::ZERO).unwrap();
    (pass.actions.iter().map(|act| act.action.name()).collect(), pass)
}

#[test]
fn on_the_short_way_the_label_comes_first_then_the_ticket_then_the_agent_without_gates() {
    let mut observed = cluster();
    let (actions, pass) = short_pass(&observed);
    assert_eq!(actions, ["update-node"]);
    assert_eq!(pass.states[&NodeId("w1".into())], SHORT_RUNNING);
    put(&mut observed, "w1", &short_record(SHORT_RUNNING));
    assert_eq!(short_pass(&observed).0, ["create-ticket"]);
    observed.tickets.push(key("w1", JobRole::Agent));
    let (actions, pass) = short_pass(&observed);
    assert_eq!(actions, ["create-job"]);
    let Action::CreateJob { agent } = &pass.actions[0].action else { unreachable!() };
    assert!(agent.short && !agent.collects);
}

#[test]
fn whoever_takes_a_ticket_away_knows_that_the_agent_never_comes() {
    let mut observed = cluster();
    put(&mut observed, "w1", &short_record(SHORT_RUNNING));
    let old = |observed: &mut Observed| {
        put(observed, "w1", &NodeRecord { epoch: EPOCH - 1, ..short_record(SHORT_RUNNING) });
    };
    let paused = |observed: &mut Observed| {
        observed.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
    };
    let aborting = |observed: &mut Observed| observed.rollout.as_mut().unwrap().control = Control::Aborting;
    let skipped = |observed: &mut Observed| {
        let ask = Ask::Skip.label(&rollout());
        node(observed, "w1").labels.insert(label::ASK.into(), ask);
    };
    let drained = |observed: &mut Observed| node(observed, "w1").availability = Drain;
    let down = |observed: &mut Observed| node(observed, "w1").status = NodeStatus::Down;
    type Change<'a> = &'a dyn Fn(&mut Observed);
    let changes: [(&str, Change<'_>); 6] = [
        ("a new controller", &old),
        ("paused", &paused),
        ("aborted", &aborting),
        ("left out", &skipped),
        ("drained", &drained),
        ("down", &down),
    ];
    for (why, change) in changes {
        let mut observed = observed.clone();
        change(&mut observed);
        observed.tickets.push(key("w1", JobRole::Agent));
        assert_eq!(short_pass(&observed).0, ["remove-ticket"], "{why}");
        observed.tickets.clear();
        let (actions, pass) = short_pass(&observed);
        assert_eq!(actions, ["update-node"], "{why}");
        assert_eq!(pass.states[&NodeId("w1".into())], NodeState::Pending, "{why}");
    }
}

#[test]
fn an_agent_that_is_there_is_taken_over_as_it_is_and_one_that_was_refused_goes_the_long_way() {
    let mut observed = cluster();
    put(&mut observed, "w1", &NodeRecord { epoch: EPOCH - 1, ..short_record(SHORT_RUNNING) });
    observed.tickets.push(key("w1", JobRole::Agent));
    let agent = |state, refused| Job {
        key: key("w1", JobRole::Agent),
        version: Version(2),
        stopped: false,
        on: None,
        tasks: vec![state],
        swept: false,
        refused,
    };
    observed.jobs.push(agent(TaskState::Running, None));
    let state = |pass: &Pass| pass.states[&NodeId("w1".into())].clone();
    let (actions, pass) = short_pass(&observed);
    assert_eq!((actions, state(&pass)), (vec!["update-node"], SHORT_RUNNING));
    put(&mut observed, "w1", &short_record(SHORT_RUNNING));
    let refusal = Refusal { why: "No such image".into(), no_image: true };
    observed.jobs = vec![agent(TaskState::Rejected, Some(refusal))];
    assert_eq!(state(&short_pass(&observed).1), NodeState::Entering);
    // Its container was there: its host may have begun.
    observed.jobs = vec![agent(TaskState::Failed, None)];
    assert_eq!(state(&short_pass(&observed).1), NodeState::Verifying);
}

#[test]
fn behind_its_last_word_an_agent_without_gates_leaves_beside_the_work_of_the_others_and_its_ticket_after_it()
{
    let mut observed = cluster();
    let then = crate::state::AfterRestoring::Settle;
    put(&mut observed, "w1", &short_record(NodeState::Restoring { then }));
    observed.tickets.push(key("w1", JobRole::Agent));
    let said = Said::Finished { outcome: NodeOutcome::Succeeded, record: None };
    jobs(&mut observed, "w1", TaskState::Running, Some(said));
    observed.jobs.retain(|job| job.key.role == JobRole::Agent);
    assert_eq!(short_pass(&observed).0, ["stop-job"]);
    observed.jobs[0].stopped = true;
    let (actions, pass) = short_pass(&observed);
    assert_eq!((actions, &pass.states[&NodeId("w1".into())]), (vec!["update-node"], &NodeState::Settling));
    put(&mut observed, "w1", &short_record(NodeState::Done));
    observed.jobs[0].tasks = vec![TaskState::Shutdown];
    assert!(short_pass(&observed).0.contains(&"remove-job"));
    observed.jobs.clear();
    assert!(short_pass(&observed).0.contains(&"remove-ticket"));
}

#[test]
fn managers_go_together_only_where_the_command_is_declared_to_leave_engines_alone() {
    let mut observed = cluster();
    observed.nodes.retain(Node::is_manager);
    let started = |spec: &Spec| {
        let pass = pass(&observed, spec, &me(), &Watch::default(), Duration::ZERO).unwrap();
        pass.states.values().filter(|state| **state == SHORT_RUNNING).count()
    };
    let mut spec = short_spec();
    spec.policy.parallelism = Parallelism::Nodes(3);
    assert_eq!(started(&spec), 1);
    spec.touches_engine = false;
    assert_eq!(started(&spec), 3);
}
