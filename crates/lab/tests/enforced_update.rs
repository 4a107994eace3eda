//! `careen enforce update` on a manager and three workers: a bad version stops at the canary, and an abort brings the old one back
//! there; a good one goes through; a host that joins meanwhile has the stable version.
//!
//! Needs what the lab needs, the image careen/installer (`make image`), and `careen` itself (`make build`).

mod rollout;

use careen_lab::{Output, Poll, wait_until};
use rollout::{LONG, Scene};
use serde_json::Value;

/// What the payload keeps on each host.
const FILE: &str = "/var/tmp/careen-enforced";

const LABEL: &str = "careen.enforce.kept";

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// n1 is the manager.
fn scene() -> Scene {
    let scene = Scene::new("enforced-update", 1, 3);
    scene.careen(&["enforce", "stop", "kept", "--yes"]);
    for node in NODES {
        scene.sh(node, &format!("rm -rf {FILE} /root/kept"));
    }
    scene
}

/// A payload that keeps a file as it says; with another end than 0 it says so behind that.
fn payload(scene: &Scene, content: &str, exit: u8) -> String {
    let dir = format!("/root/kept/{content}");
    let check = format!("#!/bin/sh\n[ \"$(cat {FILE} 2>/dev/null)\" = {content} ] || exit 2\n");
    let install = format!("#!/bin/sh\necho {content} > {FILE}\necho '{content} is written'\nexit {exit}\n");
    let write =
        |name: &str, text: &str| format!("cat > {dir}/{name} <<'END'\n{text}END\nchmod 755 {dir}/{name}\n");
    let script = format!("mkdir -p {dir}\n{}{}", write("check", &check), write("install", &install));
    scene.sh("n1", &script);
    dir
}

fn enforce(scene: &Scene, dir: &str) {
    let image = scene.image.as_str();
    let words = [
        "enforce",
        "--dir",
        dir,
        "--image",
        image,
        "--name",
        "kept",
        "--owns",
        FILE,
        "--interval",
        "1m",
        "--yes",
    ];
    let started = scene.careen(&words);
    assert_eq!(started.status, 0, "{started:?}");
}

/// `careen enforce update`, which follows unless it is told otherwise.
fn update(scene: &Scene, dir: &str, flags: &[&str]) -> Output {
    let fixed = ["enforce", "update", "kept", "--dir", dir, "--image", &scene.image, "--yes"];
    let soon: &[&str] = if flags.contains(&"--monitor") { &[] } else { &["--monitor", "1s"] };
    scene.careen(&[&fixed[..], soon, flags].concat())
}

fn content(scene: &Scene, node: &str) -> String {
    scene.word(node, &format!("cat {FILE} 2>/dev/null || :"))
}

fn await_content(scene: &Scene, nodes: &[&str], wanted: &str) {
    for node in nodes {
        let kept = wait_until(&format!("{node} is kept at {wanted}"), LONG, || {
            let content = content(scene, node);
            Ok(if content == wanted { Poll::Ready(()) } else { Poll::Pending(content) })
        });
        kept.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The nodes that are labelled for a version.
fn labelled(scene: &Scene) -> Vec<String> {
    let nodes = scene.sh("n1", "docker node ls --format '{{.Hostname}}'");
    let label = |node: &str| {
        scene.word("n1", &format!("docker node inspect {node} -f '{{{{index .Spec.Labels \"{LABEL}\"}}}}'"))
    };
    nodes.lines().filter(|node| !label(node).is_empty()).map(str::to_owned).collect()
}

fn services(scene: &Scene) -> Vec<String> {
    let names = scene.sh("n1", "docker service ls --format '{{.Name}}'");
    names.lines().filter(|name| name.starts_with("careen-enforce-kept-")).map(str::to_owned).collect()
}

fn configs(scene: &Scene) -> usize {
    let names = scene.sh("n1", "docker config ls --format '{{.Name}}'");
    // Behind the version only files have a further part.
    names
        .lines()
        .filter(|name| name.starts_with("careen.enforce.kept.") && name.split('.').count() == 4)
        .count()
}

fn leave(scene: &Scene, node: &str) {
    let id = scene.word("n1", &format!("docker node inspect {node} -f '{{{{.ID}}}}'"));
    scene.sh(node, "docker swarm leave");
    scene.sh("n1", &format!("docker node rm --force {id}"));
}

fn join(scene: &Scene, node: &str) {
    let token = scene.word("n1", "docker swarm join-token -q worker");
    let (own, other) = (scene.node(node).ip(), scene.node("n1").ip());
    scene.sh(node, &format!("docker swarm join --advertise-addr {own} --token {token} {other}:2377"));
}

fn status(scene: &Scene) -> Value {
    scene.json(&["enforce", "status", "kept"])
}

#[test]
fn a_bad_version_stops_at_the_canary_and_an_abort_brings_the_old_one_back_there() {
    let scene = scene();
    enforce(&scene, &payload(&scene, "one", 0));
    await_content(&scene, &NODES, "one");
    let before = services(&scene);
    let stopped = update(&scene, &payload(&scene, "bad", 7), &[]);
    assert_eq!(stopped.status, 4, "it is paused: {stopped:?}");
    let canary = labelled(&scene);
    assert_eq!(canary.len(), 1, "{canary:?}");
    assert_eq!(content(&scene, &canary[0]), "bad");
    let others: Vec<&str> = NODES.into_iter().filter(|node| *node != canary[0]).collect();
    assert!(others.iter().all(|node| content(&scene, node) == "one"), "{}", status(&scene));
    assert_eq!((services(&scene).len(), configs(&scene)), (2, 2));
    // The stable version is enforced on the others throughout.
    scene.sh(others[0], &format!("echo drift > {FILE}"));
    await_content(&scene, &others, "one");

    let aborted = scene.careen(&["abort"]);
    assert_eq!(aborted.status, 0, "{aborted:?}");
    assert_eq!(scene.await_end()["control"]["outcome"], "aborted");
    assert_eq!((services(&scene), configs(&scene), labelled(&scene)), (before, 1, vec![]));
    await_content(&scene, &NODES, "one");
    scene.careen(&["enforce", "stop", "kept", "--yes"]);
    scene.assert_nothing_is_left();
}

#[test]
fn a_good_version_goes_through_and_a_host_that_joins_meanwhile_has_the_stable_one() {
    let scene = scene();
    leave(&scene, "n4");
    enforce(&scene, &payload(&scene, "one", 0));
    await_content(&scene, &NODES[..3], "one");
    // The canary is watched long enough for a host to join.
    let started = update(&scene, &payload(&scene, "two", 0), &["--monitor", "60s", "--detach"]);
    assert_eq!(started.status, 0, "{started:?}");
    let canary = wait_until("the canary has its turn", LONG, || {
        let labelled = labelled(&scene);
        Ok(if labelled.is_empty() { Poll::Pending("none".to_owned()) } else { Poll::Ready(labelled) })
    });
    let canary = canary.unwrap_or_else(|error| panic!("{error}"));
    join(&scene, "n4");
    await_content(&scene, &["n4"], "one");
    await_content(&scene, &[&canary[0]], "two");
    assert!(!labelled(&scene).contains(&"n4".to_owned()));

    scene.await_done();
    await_content(&scene, &NODES, "two");
    assert_eq!((services(&scene).len(), configs(&scene), labelled(&scene)), (1, 1, vec![]));
    let constraints = scene.sh(
        "n1",
        &format!(
            "docker service inspect {} -f '{{{{json .Spec.TaskTemplate.Placement.Constraints}}}}'",
            services(&scene)[0]
        ),
    );
    assert!(!constraints.contains(LABEL), "{constraints}");
    // What is enforced now is the new one.
    scene.sh("n2", &format!("echo drift > {FILE}"));
    await_content(&scene, &["n2"], "two");
    let again = update(&scene, "/root/kept/two", &[]);
    assert_eq!(again.status, 0, "the same version is nothing to do: {again:?}");
    scene.careen(&["enforce", "stop", "kept", "--yes"]);
    scene.assert_nothing_is_left();
}

#[test]
fn failures_that_are_gone_on_with_leave_both_versions_until_somebody_says_what_follows() {
    let scene = scene();
    enforce(&scene, &payload(&scene, "one", 0));
    await_content(&scene, &NODES, "one");
    let ended = update(&scene, &payload(&scene, "bad", 7), &["--failure-action", "continue"]);
    assert_eq!(ended.status, 3, "{ended:?}");
    assert_eq!((services(&scene).len(), configs(&scene), labelled(&scene).len()), (2, 2, 4));
    let told = scene.careen(&["enforce", "status", "kept"]);
    assert!(told.status == 5 && told.stdout.contains("--back"), "{told:?}");
    let back = scene.careen(&["enforce", "update", "kept", "--back", "--yes"]);
    assert_eq!(back.status, 0, "{back:?}");
    assert_eq!((services(&scene).len(), configs(&scene), labelled(&scene)), (1, 1, vec![]));
    await_content(&scene, &NODES, "one");
    scene.careen(&["enforce", "stop", "kept", "--yes"]);
    scene.assert_nothing_is_left();
}
