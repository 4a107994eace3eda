//! What `careen plan` says, against what its rollout does: a stack with one of each kind of service, on one manager and four
//! workers that are drained one after the other. Where Swarm chooses among equal nodes, the set of them is what counts.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod rollout;

use careen_lab::{Poll, wait_until};
use rollout::{LONG, Scene};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const WORKERS: [&str; 4] = ["n2", "n3", "n4", "n5"];

/// The stack: a name, what `docker service create` is told, and how many of its tasks run.
const STACK: [(&str, &str, usize); 6] = [
    ("six", "--replicas 6", 6),
    ("single", "--replicas 1", 1),
    // A drain stops its task first all the same.
    ("start-first", "--replicas 1 --update-order start-first", 1),
    ("pinned", "--replicas 1 --constraint node.hostname==n3", 1),
    ("every", "--mode global --constraint node.role==worker", 4),
    // One of its two tasks never finds a place.
    ("short", "--replicas 2 --replicas-max-per-node 1 --constraint node.hostname==n4", 1),
];

/// How many tasks of a service run on each node, by the hosts' names.
type Placed = BTreeMap<String, usize>;

fn scene() -> Scene {
    let scene = Scene::new("plan", 1, 4);
    let names = STACK.map(|(name, ..)| name).join(" ");
    // Anew: after an earlier test everything may be on one node.
    scene.sh("n1", &format!("docker service rm {names} >/dev/null 2>&1 || :"));
    for (name, options, _) in STACK {
        let create = "docker service create -d -q --no-resolve-image --restart-delay 1s";
        let gate = format!("--entrypoint '/careen-agent gate' {}", scene.image);
        scene.sh("n1", &format!("{create} --name {name} {options} {gate}"));
    }
    await_whole(&scene);
    scene
}

fn placed(scene: &Scene, service: &str) -> Placed {
    let running = format!(
        "docker service ps {service} -f desired-state=running --format '{{{{.Node}}}} {{{{.CurrentState}}}}'"
    );
    let mut found = Placed::new();
    for line in scene.sh("n1", &running).lines() {
        if let Some((node, state)) = line.split_once(' ')
            && state.starts_with("Running")
        {
            *found.entry(node.to_owned()).or_default() += 1;
        }
    }
    found
}

fn all_placed(scene: &Scene) -> BTreeMap<String, Placed> {
    let names = STACK.iter().map(|(name, ..)| *name).chain(["web"]);
    names.map(|name| (name.to_owned(), placed(scene, name))).collect()
}

/// As many tasks of each service run as can.
fn await_whole(scene: &Scene) {
    let whole = wait_until("the stack is whole", LONG, || {
        let short = STACK.iter().find_map(|(name, _, running)| {
            let now: usize = placed(scene, name).values().sum();
            (now != *running).then(|| format!("{name} has {now} of {running}"))
        });
        Ok(short.map_or(Poll::Ready(()), Poll::Pending))
    });
    whole.unwrap_or_else(|error| panic!("{error}"));
    scene.await_web();
}

fn plan(scene: &Scene, flags: &[&str]) -> Value {
    let fixed = ["plan", "--image", &scene.image, "--drain", "always", "--canaries", "0", "--format", "json"];
    let output = scene.careen(&[&fixed[..], flags, &["--", "plain"]].concat());
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn run(scene: &Scene, flags: &[&str]) {
    let ran = scene.run(&[&["--drain", "always", "--canaries", "0"], flags, &["--", "plain"]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    await_whole(scene);
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What the nodes of a plan are called, by their ids.
fn hosts(plan: &Value) -> BTreeMap<String, String> {
    list(&plan["loads"]).iter().map(|load| (text(&load["node"]), text(&load["hostname"]))).collect()
}

/// Services that a plan names for this risk.
fn at_risk(plan: &Value, kind: &str) -> BTreeSet<String> {
    let of_kind = list(&plan["risks"]).iter().filter(|risk| risk["risk"] == kind);
    of_kind.map(|risk| text(&risk["service"])).collect()
}

/// A time as Swarm writes it, so that it can be compared as text.
fn comparable(time: &str) -> String {
    let (seconds, fraction) = time.trim_end_matches('Z').split_once('.').unwrap_or((time, ""));
    format!("{seconds}.{fraction:0<9}")
}

/// Whether the last of a service's tasks that was stopped had been stopped before the one ran that runs now. The nodes of a lab have one
/// clock.
fn had_a_gap(scene: &Scene, service: &str) -> bool {
    let tasks = scene.sh("n1", &format!("docker inspect $(docker service ps -q --no-trunc {service})"));
    let tasks: Value = serde_json::from_str(&tasks).expect("tasks as JSON");
    let times = |states: &[&str]| -> Vec<String> {
        let is =
            |task: &&Value| task["Status"]["State"].as_str().is_some_and(|state| states.contains(&state));
        let of_state = list(&tasks).iter().filter(is);
        of_state.map(|task| comparable(&text(&task["Status"]["Timestamp"]))).collect()
    };
    let (stopped, runs) = (times(&["shutdown", "complete", "failed"]), times(&["running"]));
    match (stopped.iter().max(), runs.iter().max()) {
        (Some(stopped), Some(runs)) => stopped <= runs,
        _ => panic!("{service} was not moved: {tasks}"),
    }
}

/// Where new tasks of a service run that did not run there before, once for each.
fn came_to(before: &Placed, after: &Placed) -> Vec<String> {
    let more = |(node, now): (&String, &usize)| {
        let came = now.saturating_sub(before.get(node).copied().unwrap_or(0));
        std::iter::repeat_n(node.clone(), came)
    };
    after.iter().flat_map(more).collect()
}

/// Compares the plan of one node with what its rollout left.
fn compare(plan: &Value, name: &str, before: &BTreeMap<String, Placed>, after: &BTreeMap<String, Placed>) {
    let hosts = hosts(plan);
    let node = &plan["waves"][0]["nodes"][0];
    assert_eq!(node["hostname"], name, "{plan}");
    let mut expected: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    for task in list(&node["tasks"]) {
        let (service, goes) = (text(&task["service"]), &task["goes"]);
        let here = |placed: &BTreeMap<String, Placed>| placed[&service].get(name).copied().unwrap_or(0);
        match goes["to"].as_str().unwrap_or_default() {
            "elsewhere" => {
                let (count, among) = expected.entry(service).or_default();
                *count += 1;
                among.extend(list(&goes["among"]).iter().map(|id| hosts[&text(id)].clone()));
            }
            "nowhere" => {
                assert_eq!(here(after), here(before), "{service} is back on {name}");
                let gets = list(&node["gets"]);
                assert!(
                    gets.iter().any(|got| *got == service.as_str()),
                    "{service} is what {name} gets: {node}"
                );
            }
            "with-the-node" => assert_eq!(here(after), here(before), "{service} came back with {name}"),
            other => panic!("{service} goes {other}: {plan}"),
        }
    }
    for (service, (count, among)) in expected {
        assert!(!among.is_empty(), "{service}: a lab has few nodes: {plan}");
        assert!(!after[&service].contains_key(name), "nothing of {service} comes back to {name} by itself");
        let came = came_to(&before[&service], &after[&service]);
        assert_eq!(came.len(), count, "{service}: {before:?} {after:?}");
        assert!(came.iter().all(|node| among.contains(node)), "{service}: {came:?}, planned {among:?}");
    }
}

#[test]
fn what_a_plan_says_of_a_node_is_what_its_rollout_does() {
    let scene = scene();
    for name in WORKERS {
        let before = all_placed(&scene);
        let plan = plan(&scene, &["--node", name, "--allow-gaps"]);
        assert_eq!(at_risk(&plan, "short-already"), ["short".to_owned()].into(), "{plan}");
        run(&scene, &["--node", name]);
        let after = all_placed(&scene);
        compare(&plan, name, &before, &after);
        for service in ["single", "start-first"].iter().filter(|service| before[**service].contains_key(name))
        {
            assert!(at_risk(&plan, "interrupted").contains(*service), "{service}: {plan}");
            assert!(had_a_gap(&scene, service), "{service} was never away: the plan says that it is");
        }
        let sum = |key: &str| list(&plan["loads"]).iter().filter_map(|load| load[key].as_u64()).sum::<u64>();
        assert_eq!(sum("now"), sum("after"), "no task is lost: {plan}");
    }
    scene.assert_all_active();
    scene.assert_nothing_is_left();
}

#[test]
fn what_a_plan_says_of_all_nodes_is_where_the_rollout_ends() {
    let scene = scene();
    let nodes: Vec<&str> = WORKERS.iter().flat_map(|name| ["--node", *name]).collect();
    let plan = plan(&scene, &[&nodes[..], &["--allow-gaps"]].concat());
    assert_eq!(list(&plan["waves"]).len(), WORKERS.len(), "{plan}");
    assert_eq!(at_risk(&plan, "no-place"), ["pinned".to_owned(), "short".to_owned()].into(), "{plan}");
    run(&scene, &nodes);
    // Swarm moves nothing back: whatever it chose before, the last node has what comes back with it, and no more.
    let last = list(&plan["waves"][3]["nodes"])[0]["hostname"].as_str().expect("a name").to_owned();
    let load = list(&plan["loads"]).iter().find(|load| load["hostname"] == last.as_str()).expect("its load");
    let after = all_placed(&scene);
    let on_last: usize = after.values().filter_map(|placed| placed.get(&last)).sum();
    assert_eq!(load["after"], on_last, "{last}: {after:?} {plan}");
    for service in at_risk(&plan, "interrupted") {
        assert!(had_a_gap(&scene, &service), "{service}: {plan}");
    }
    scene.assert_all_active();
    scene.assert_nothing_is_left();
}

#[test]
fn what_a_plan_says_would_wait_does() {
    let scene = scene();
    let nodes: Vec<&str> = WORKERS.iter().flat_map(|name| ["--node", *name]).collect();
    let plan = plan(&scene, &nodes);
    let holds: BTreeMap<String, String> = list(&plan["waves"])
        .iter()
        .flat_map(|wave| list(&wave["nodes"]))
        .filter_map(|node| Some((text(&node["hostname"]), text(&list(&node["holds"]).first()?["hold"]))))
        // An earlier test may have left all tasks of the other service on one node.
        .filter(|(_, hold)| hold != "at-zero")
        .collect();
    let expected = ["n3", "n4"].map(|name| (name.to_owned(), "no-place".to_owned()));
    assert_eq!(holds, expected.into(), "{plan}");
    for (name, hold) in holds {
        // `Scene::start` allows gaps.
        let begun =
            ["run", "--image", &scene.image, "--yes", "--detach", "--monitor", "1s", "--canaries", "0"];
        let begun =
            scene.careen(&[&begun[..], &["--node", &name, "--drain", "always", "--", "plain"]].concat());
        assert_eq!(begun.status, 0, "{begun:?}");
        scene.await_hold(&name, &hold);
        assert_eq!(scene.careen(&["abort"]).status, 0);
        assert_eq!(scene.await_end()["control"]["outcome"], "aborted");
    }
    scene.assert_all_active();
    scene.assert_nothing_is_left();
}
