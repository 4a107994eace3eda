//! careen's state in a real swarm: what a controller writes is there, what somebody else wrote meanwhile is not lost,
//! and what was careen's is gone afterwards. Needs what the lab needs; no image of careen's.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

#[path = "rollout_state/scene.rs"]
mod scene;

use careen_controller::{Controller, run_pass};
use careen_lab::{Poll, wait_until};
use careen_planner::cluster::{ActError, Cluster};
use careen_planner::observed::{
    Availability, HostPhase, Node, NodeOutcome, Observed, Reachability, Task, TaskState,
};
use careen_planner::rollout::{Ask, Baseline, Control, NodeResult, RolloutOutcome};
use careen_planner::spec::DrainPolicy;
use careen_planner::{Action, ControllerId, JobRole, NodeId, PassEnd, PauseReason, Version};
use careen_swarm::{Order, RequestError, SwarmCluster};
use scene::{Scene, agent, key, prepared, spec};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn label(name: &str, value: Option<&str>) -> BTreeMap<String, Option<String>> {
    BTreeMap::from([(name.to_owned(), value.map(str::to_owned))])
}

#[test]
fn one_controller_has_the_lock_until_another_one_takes_it() {
    let scene = Scene::new();
    let (mut first, mut second) = (scene.controller("c1"), scene.controller("c2"));
    assert_eq!(first.observe().expect("seen").lock, None);
    scene.do_as(&mut first, 1, Action::TakeLock { epoch: 1, version: None }).expect("taken");
    let late = scene.do_as(&mut second, 1, Action::TakeLock { epoch: 1, version: None });
    assert_eq!(late, Err(ActError::Exists));

    let taken = first.observe().expect("seen").lock.expect("a lock");
    scene.do_as(&mut first, 1, Action::Beat { version: taken.version }).expect("alive");
    let old = scene.do_as(&mut second, 2, Action::TakeLock { epoch: 2, version: Some(taken.version) });
    assert_eq!(old, Err(ActError::Conflict), "its holder has moved it");
    let stranger = first.observe().expect("seen").lock.expect("a lock").version;
    assert_eq!(
        scene.do_as(&mut second, 1, Action::Beat { version: stranger }),
        Err(ActError::Conflict),
        "it is not its"
    );

    scene.do_as(&mut second, 2, Action::TakeLock { epoch: 2, version: Some(stranger) }).expect("taken over");
    let baseline = Action::WriteBaseline { baseline: Baseline::default() };
    assert_eq!(scene.do_as(&mut first, 1, baseline.clone()), Err(ActError::Conflict), "its time is over");
    scene.do_as(&mut second, 2, baseline.clone()).expect("written");
    assert_eq!(scene.do_as(&mut second, 2, baseline), Err(ActError::Exists));

    let version = second.observe().expect("seen").lock.expect("a lock").version;
    scene.do_as(&mut second, 2, Action::ReleaseLock { version }).expect("given back");
    let seen = second.observe().expect("seen");
    let lock = seen.lock.expect("the object stays");
    assert_eq!((lock.holder, lock.epoch), (None, 2));
    assert_eq!(seen.baseline, Some(Baseline::default()));
}

#[test]
fn what_somebody_else_changed_on_a_node_is_not_lost() {
    let scene = Scene::new();
    let mut controller = scene.leader("c1");
    let worker = |controller: &mut careen_swarm::SwarmCluster| {
        let seen = controller.observe().expect("seen");
        seen.nodes.into_iter().find(|node| !node.is_manager()).expect("a worker")
    };
    let update = |version: Version, availability| Action::UpdateNode {
        node: scene.worker(),
        version,
        labels: label("careen.node", Some("1 k3x9 g1 a1 e1 draining:run active>drain")),
        availability,
    };
    let old = worker(&mut controller);
    scene.docker(&["node", "update", "--label-add", "zone=north", &old.id.0]);
    let refused = scene.do_as(&mut controller, 1, update(old.version, Some(Availability::Drain)));
    assert_eq!(refused, Err(ActError::Conflict));
    let seen = worker(&mut controller);
    assert_eq!((seen.availability, seen.labels.contains_key("careen.node")), (Availability::Active, false));

    scene.do_as(&mut controller, 1, update(seen.version, Some(Availability::Drain))).expect("written");
    let seen = worker(&mut controller);
    assert_eq!(seen.availability, Availability::Drain, "label and availability in one write");
    assert_eq!(seen.labels.get("zone").map(String::as_str), Some("north"));
    assert!(seen.labels["careen.node"].ends_with("active>drain"));
    assert!(seen.is_ready() && seen.api == (1, 41) || seen.api > (1, 41), "{:?}", seen.api);

    // What an operator asks for by label, and its answer.
    let id = spec("k3x9").id;
    let asked = scene.swarm().ask(&id, &seen.hostname, Ask::Retry).expect("asked");
    assert_eq!(asked, seen.id);
    let seen = worker(&mut controller);
    assert_eq!(Ask::of(&seen, &id), Some(Ask::Retry));
    let (version, labels) = (seen.version, label("careen.ask", None));
    let answer =
        Action::UpdateNode { node: seen.id, version, labels, availability: Some(Availability::Active) };
    scene.do_as(&mut controller, 1, answer).expect("answered");
    let seen = worker(&mut controller);
    assert!(!seen.labels.contains_key("careen.ask") && seen.labels.contains_key("zone"));
    let gone = Action::UpdateNode {
        node: NodeId("nonexistent".into()),
        version,
        labels: BTreeMap::new(),
        availability: None,
    };
    assert_eq!(scene.do_as(&mut controller, 1, gone), Err(ActError::Gone));
}

#[test]
fn a_gate_opens_on_a_drained_node_and_nothing_is_left_of_the_services() {
    let scene = Scene::new();
    let mut controller = scene.leader("c1");
    let node = scene.worker();
    let agent = agent(&node);
    let (drawn, other) = (key(&node, JobRole::Gate(2)), key(&node, JobRole::Gate(3)));
    for action in [
        Action::CreateGate { key: drawn.clone() },
        Action::CreateGate { key: other.clone() },
        Action::CreateJob { agent: Box::new(agent.clone()) },
    ] {
        scene.do_as(&mut controller, 1, action).expect("created");
    }
    let again = scene.do_as(&mut controller, 1, Action::CreateJob { agent: Box::new(agent.clone()) });
    assert_eq!(again, Err(ActError::Exists));
    let prepared = prepared();
    let seen = scene.await_seen(&mut controller, "three services that run and a report", |seen| {
        seen.jobs.len() == 3
            && seen.jobs.iter().all(|job| job.runs() && !job.stopped)
            && seen.report(&agent.key) == Some(&prepared)
    });
    assert_eq!(seen.reports[0].transaction, format!("k3x9-{node}-g1"));
    assert!(seen.tasks.iter().all(|task| seen.services.iter().any(|one| one.id == task.service)));

    scene.docker(&["node", "update", "--availability", "drain", &node.0]);
    let seen = scene.await_seen(&mut controller, "the drained node", |seen| {
        seen.node(&node).is_some_and(|node| node.availability == Availability::Drain)
    });
    let version = seen.job(&drawn).expect("the gate").version;
    scene.do_as(&mut controller, 1, Action::OpenGate { key: drawn.clone(), version }).expect("opened");
    let again = scene.do_as(&mut controller, 1, Action::OpenGate { key: drawn.clone(), version });
    assert_eq!(again, Err(ActError::Conflict), "a go is given once");
    scene.await_containers(&node, &[&agent.key.name(), &other.name()]);
    let seen = scene.await_seen(&mut controller, "the open gate", |seen| {
        seen.job(&drawn).is_some_and(|job| job.stopped && !job.may_run())
    });
    assert!(seen.job(&agent.key).is_some_and(|job| job.runs()), "it survives the drain");
    assert!(seen.job(&drawn).is_some_and(|job| !job.tasks.contains(&TaskState::Running)));

    for key in [&agent.key, &other] {
        let version = controller.observe().expect("seen").job(key).expect("it is there").version;
        let stop = Action::StopJob { key: key.clone(), version };
        scene.do_as(&mut controller, 1, stop).expect("stopped");
    }
    scene.await_seen(&mut controller, "nothing that runs", |seen| {
        seen.jobs.iter().all(|job| job.stopped && !job.may_run())
    });
    for key in [&agent.key, &drawn, &other] {
        scene.do_as(&mut controller, 1, Action::RemoveJob { key: key.clone() }).expect("removed");
        let again = scene.do_as(&mut controller, 1, Action::RemoveJob { key: key.clone() });
        assert_eq!(again, Err(ActError::Gone));
    }
    scene.await_containers(&node, &[]);
    scene.await_no_tasks();
}

#[test]
fn swarm_creates_no_agent_whose_ticket_is_gone_and_keeps_a_ticket_that_an_agent_refers_to() {
    let scene = Scene::new();
    let mut controller = scene.leader("c1");
    let node = scene.worker();
    let agent = careen_planner::AgentSpec { short: true, gates: 0, ..agent(&node) };
    let key = agent.key.clone();
    let create = || Action::CreateJob { agent: Box::new(agent.clone()) };
    assert_eq!(scene.do_as(&mut controller, 1, create()), Err(ActError::Gone), "without a ticket");
    scene.do_as(&mut controller, 1, Action::CreateTicket { key: key.clone() }).expect("a ticket");
    assert_eq!(controller.observe().expect("seen").tickets.as_slice(), std::slice::from_ref(&key));
    // As a controller would that has read the ticket, and was frozen before it created the service.
    let listed =
        scene.docker(&["config", "ls", "--filter", "name=careen.ticket.", "--format", "{{.ID}} {{.Name}}"]);
    let (id, ticket) = listed.trim().split_once(' ').expect("one ticket");
    scene.do_as(&mut controller, 1, Action::RemoveTicket { key: key.clone() }).expect("removed");
    let file = r#"{ "Name": "/ticket", "UID": "0", "GID": "0", "Mode": 256 }"#;
    let config = format!(r#"{{ "File": {file}, "ConfigID": "{id}", "ConfigName": "{ticket}" }}"#);
    let container = format!(r#"{{ "Image": "none", "Configs": [{config}] }}"#);
    let late = format!(r#"{{ "Name": "late", "TaskTemplate": {{ "ContainerSpec": {container} }} }}"#);
    let answer = scene.post("/v1.41/services/create", &late);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("not found"), "{answer}");

    scene.do_as(&mut controller, 1, Action::CreateTicket { key: key.clone() }).expect("another one");
    scene.do_as(&mut controller, 1, create()).expect("created");
    let kept = scene.do_as(&mut controller, 1, Action::RemoveTicket { key: key.clone() });
    assert!(matches!(kept, Err(ActError::Refused { .. })), "{kept:?}");
    let version = controller.observe().expect("seen").job(&key).expect("it is there").version;
    scene.do_as(&mut controller, 1, Action::StopJob { key: key.clone(), version }).expect("stopped");
    scene.await_seen(&mut controller, "nothing that runs", |seen| seen.jobs.iter().all(|job| !job.may_run()));
    scene.do_as(&mut controller, 1, Action::RemoveJob { key: key.clone() }).expect("removed");
    scene.do_as(&mut controller, 1, Action::RemoveTicket { key }).expect("and its ticket");
    scene.await_no_tasks();
}

#[test]
fn a_frozen_node_holds_no_look_up() {
    let scene = Scene::new();
    let mut controller = scene.leader("c1");
    let node = scene.worker();
    let agent = agent(&node);
    scene.do_as(&mut controller, 1, Action::CreateJob { agent: Box::new(agent.clone()) }).expect("created");
    let prepared = prepared();
    scene.await_seen(&mut controller, "a report", |seen| seen.report(&agent.key) == Some(&prepared));
    let thaw = scene.freeze_worker();
    // The log of this agent cannot be read now: the call for it would not come back.
    let mut newcomer = scene.controller("c2");
    let seen = newcomer.observe().expect("a look");
    assert_eq!((seen.jobs.len(), seen.reports.len()), (1, 0));
    drop(thaw);
    // The newcomer asks again in some seconds; who asks now gets it.
    let mut third = scene.controller("c3");
    scene.await_seen(&mut third, "the report", |seen| seen.report(&agent.key) == Some(&prepared));
}

#[test]
fn services_and_their_tasks_are_seen_as_they_are() {
    let scene = Scene::new();
    let mut controller = scene.leader("c1");
    let create =
        ["service", "create", "--detach", "--quiet", "--no-resolve-image", "--label", "careen.test=1"];
    let web = ["--name", "web", "--replicas", "2", scene::IMAGE, "/careen-agent", "gate"];
    let job = ["--name", "job", "--mode", "replicated-job", scene::IMAGE, "/careen-agent", "gate"];
    scene.docker(&[&create[..], &web].concat());
    scene.docker(&[&create[..], &job].concat());
    let seen = scene.await_seen(&mut controller, "two tasks of a service and one of a job", |seen| {
        let web = seen.services.iter().find(|one| one.name == "web");
        let jobs = seen.tasks.iter().filter(|task| task.job && task.state == TaskState::Running);
        web.is_some_and(|web| web.running == 2 && web.desired == 2) && jobs.count() == 1
    });
    assert!(seen.services.iter().all(|service| service.name != "job"), "jobs are no services to settle");
    let manager = seen.nodes.iter().find(|node| node.is_manager()).expect("a manager");
    let reachability = manager.manager.map(|manager| (manager.leader, manager.reachability));
    assert_eq!(reachability, Some((true, Reachability::Reachable)));
    assert!(!seen.autolock);

    scene.docker(&["node", "update", "--availability", "drain", &scene.worker().0]);
    scene.await_seen(&mut controller, "both tasks on the manager", |seen| {
        let web = seen.services.iter().find(|one| one.name == "web").expect("web");
        let on_manager = |task: &&Task| task.service == web.id && task.node.as_ref() == Some(&manager.id);
        web.running == 2 && seen.tasks.iter().filter(on_manager).count() == 2
    });
}

#[test]
fn results_and_history_are_read_as_they_were_written() {
    let scene = Scene::new();
    let swarm = scene.swarm();
    swarm.submit(&spec("k3x9"), Some("alice")).expect("submitted");
    let mut controller = scene.leader("c1");
    let failed = NodeOutcome::Failed { phase: HostPhase::Command, exit: 3, rolled_back: None };
    let result = |generation, outcome| NodeResult {
        node: scene.worker(),
        generation,
        outcome,
        record: None,
        seconds: None,
    };
    let results = [result(1, failed), result(2, NodeOutcome::Succeeded)];
    for result in &results {
        let write = Action::WriteResult { result: result.clone() };
        scene.do_as(&mut controller, 1, write.clone()).expect("written");
        assert_eq!(scene.do_as(&mut controller, 1, write), Err(ActError::Exists));
    }
    let seen = controller.observe().expect("seen");
    assert_eq!((seen.results.as_slice(), seen.history_written), (&results[..], false));
    let rollout = seen.rollout.expect("its record");
    assert_eq!(rollout.control, Control::Running);

    let outcome = RolloutOutcome::Done;
    scene.do_as(&mut controller, 1, Action::WriteHistory { outcome, gone: Vec::new() }).expect("written");
    assert_eq!(
        scene.do_as(&mut controller, 1, Action::WriteHistory { outcome, gone: Vec::new() }),
        Err(ActError::Exists)
    );
    let control = Control::Finished { outcome };
    let finish = Action::SetControl { control: control.clone(), version: rollout.version };
    scene.do_as(&mut controller, 1, finish.clone()).expect("finished");
    assert_eq!(scene.do_as(&mut controller, 1, finish), Err(ActError::Conflict));
    scene.do_as(&mut controller, 1, Action::RemoveResults).expect("removed");
    let seen = controller.observe().expect("seen");
    assert!(seen.results.is_empty() && seen.history_written);
    assert_eq!(seen.rollout.map(|rollout| rollout.control), Some(control));

    let history = swarm.history().expect("read").histories;
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].results.as_slice(), history[0].outcome), (&results[..], outcome));
    assert_eq!((history[0].by.as_deref(), &history[0].spec), (Some("alice"), &spec("k3x9")));
    let taken = swarm.submit(&spec("k3x9"), None).expect_err("its id is taken");
    assert!(matches!(taken, RequestError::Taken { .. }), "{taken}");
}

#[test]
fn one_rollout_at_a_time_and_it_takes_orders() {
    let scene = Scene::new();
    let swarm = scene.swarm();
    assert!(swarm.find_active().expect("seen").is_none());
    swarm.submit(&spec("first"), Some("alice")).expect("submitted");
    let busy = swarm.submit(&spec("second"), None).expect_err("the first is not finished");
    assert!(matches!(&busy, RequestError::Busy { rollout } if rollout.as_str() == "first"), "{busy}");
    let active = swarm.find_active().expect("seen").expect("one");
    assert_eq!((&active.spec, active.by.as_deref()), (&spec("first"), Some("alice")));
    let id = active.spec.id;
    let paused = Control::Paused { why: PauseReason::Asked };
    assert_eq!(swarm.control(&id, Order::Pause).expect("paused"), paused);
    assert_eq!(swarm.rollout(&id).expect("seen").expect("it is there").control, paused);
    assert_eq!(swarm.control(&id, Order::Resume).expect("resumed"), Control::Running);
    assert_eq!(swarm.control(&id, Order::Abort).expect("aborted"), Control::Aborting);
    let over = swarm.control(&id, Order::Resume).expect_err("it is being aborted");
    assert!(matches!(over, RequestError::Over { .. }), "{over}");
    let unknown = swarm.control(&spec("other").id, Order::Pause).expect_err("there is none");
    assert!(matches!(unknown, RequestError::Unknown { .. }), "{unknown}");
    let nobody = swarm.ask(&id, "nobody", Ask::Skip).expect_err("no such node");
    assert!(matches!(nobody, RequestError::NoSuchNode { count: 0, .. }), "{nobody}");
}

#[test]
fn state_that_cannot_be_read_is_an_error_and_not_absent() {
    let scene = Scene::new();
    let mut controller = scene.controller("c1");
    scene.sh("echo x | docker config create --label careen.format=9 careen.lock -");
    let error = controller.observe().expect_err("nobody knows who holds it").to_string();
    assert!(error.contains("the config careen.lock") && error.contains("format is '9'"), "{error}");
    scene.sh("docker config rm careen.lock; echo '{}' | docker config create --label careen.format=1 careen.rollout.k3x9 -");
    let error = controller.observe().expect_err("nobody knows what it is").to_string();
    assert!(error.contains("the config careen.rollout.k3x9"), "{error}");
    let error = scene.swarm().submit(&spec("next"), None).expect_err("it may be active").to_string();
    assert!(error.contains("the config careen.rollout.k3x9"), "{error}");
}

#[test]
fn a_controllers_service_leaves_the_node_that_it_must_leave() {
    let scene = Scene::new();
    let mut controller = scene.leader("c1");
    let away_from = scene.worker();
    let refused = scene.do_as(&mut controller, 1, Action::MoveController { away_from: away_from.clone() });
    assert!(matches!(refused, Err(ActError::Refused { .. })), "it is no service: {refused:?}");

    let not_there = format!("node.id!={}", scene.manager_id());
    let labels = ["--label", "careen.role=controller", "--label", "careen.rollout=k3x9"];
    let create =
        ["service", "create", "--detach", "--quiet", "--no-resolve-image", "--constraint", &not_there];
    let what = ["--name", "careen-controller", scene::IMAGE, "/careen-agent", "gate"];
    scene.docker(&[&create[..], &labels, &what].concat());
    let runs_on = |seen: &Observed, node: &NodeId| {
        let running = |task: &&Task| task.wanted && task.state == TaskState::Running;
        seen.tasks.iter().filter(running).any(|task| task.node.as_ref() == Some(node))
    };
    scene.await_seen(&mut controller, "the controller on the worker", |seen| runs_on(seen, &away_from));
    scene.do_as(&mut controller, 1, Action::MoveController { away_from }).expect("moved");
    let manager = scene.manager_id();
    scene.await_seen(&mut controller, "the controller on the manager", |seen| runs_on(seen, &manager));
}

#[test]
fn a_rollout_goes_through_a_real_swarm() {
    let scene = Scene::new();
    scene.on_each("rm -f /run/careen-test-runs");
    let create =
        ["service", "create", "--detach", "--quiet", "--no-resolve-image", "--label", "careen.test=1"];
    scene.docker(&[&create[..], &["--name", "web", scene::IMAGE, "/careen-agent", "gate"]].concat());
    let mut spec = spec("k3x9");
    spec.command = "wait-for-the-go".into();
    spec.drain = DrainPolicy::Always;
    spec.policy.monitor = Duration::from_secs(1);
    scene.swarm().submit(&spec, Some("alice")).expect("submitted");

    let id = ControllerId("c1".into());
    let mut cluster = SwarmCluster::new(scene.swarm(), spec.clone(), id.clone(), None);
    let mut controller = Controller::new(id, spec);
    let mut drained = BTreeSet::new();
    let pass = || {
        let (pass, done) = run_pass(&mut controller, &mut cluster).expect("a pass");
        for one in &done {
            // What Swarm itself changed between look and act is refused, and seen in the next pass.
            assert!(matches!(one.result, Ok(()) | Err(ActError::Conflict)), "{one:?}");
            if let Action::UpdateNode { node, availability: Some(Availability::Drain), .. } = &one.act.action
            {
                drained.insert(node.clone());
            }
        }
        Ok(if pass.end == PassEnd::GoOn {
            Poll::Pending(format!("{pass:#?}"))
        } else {
            Poll::Ready(pass.end)
        })
    };
    let end = wait_until("the rollout's end", Duration::from_secs(180), pass);
    let end = end.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(end, PassEnd::Finished);
    assert_eq!(scene.on_each("cat /run/careen-test-runs"), ["run", "run"]);
    assert_eq!(drained.len(), 2, "the worker and the manager");

    let seen = cluster.observe().expect("seen");
    let untouched = |node: &Node| {
        node.availability == Availability::Active
            && !node.labels.keys().any(|name| name.starts_with("careen."))
    };
    assert!(seen.nodes.iter().all(untouched), "{:#?}", seen.nodes);
    assert!(seen.jobs.is_empty() && seen.results.is_empty());
    assert_eq!(seen.lock.expect("it stays").holder, None);
    assert_eq!(scene.on_each("docker ps -q --filter label=careen.role"), ["", ""]);
    let history = scene.swarm().history().expect("read").histories;
    assert_eq!((history.len(), history[0].results.len(), history[0].nodes.len()), (1, 2, 2));
    assert!(scene.swarm().find_active().expect("seen").is_none());
}
