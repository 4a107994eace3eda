//! A worker that leaves the swarm in its turn, and a rollout whose config somebody removes: nothing is forgotten, and what
//! careen holds is given back from what is left.

use crate::rollout::{LONG, Scene};
use crate::scene;
use crate::support::{await_status, label};
use careen_lab::{Output, Poll, wait_until};
use serde_json::Value;
use std::process::{Child, Stdio};

fn id_of(scene: &Scene, node: &str) -> String {
    scene.word("n1", &format!("docker node inspect {node} -f '{{{{.ID}}}}'"))
}

/// It leaves, and the managers forget it.
fn leave(scene: &Scene, node: &str) {
    let id = id_of(scene, node);
    scene.sh(node, "docker swarm leave");
    scene.sh("n1", &format!("docker node rm --force {id}"));
}

/// It joins again, as another node.
fn join(scene: &Scene, node: &str) {
    let token = scene.word("n1", "docker swarm join-token -q worker");
    let (own, other) = (scene.node(node).ip(), scene.node("n1").ip());
    scene.sh(node, &format!("docker swarm join --advertise-addr {own} --token {token} {other}:2377"));
    await_status(scene, node, "ready");
}

/// A process of its own that follows the rollout, from n2.
fn follower(scene: &Scene) -> Child {
    let mut command = scene.node("n2").command(["careen", "status", "--follow"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("careen status")
}

#[test]
fn a_worker_that_leaves_in_its_turn_is_named_and_its_host_is_asked_when_it_joins_again() {
    let scene = scene();
    scene.hold("n4", "install");
    scene.start(&["--node", "n4", "--node", "n2", "--", "plain"]);
    scene.await_begun("n4", "install");
    let before = id_of(&scene, "n4");
    leave(&scene, "n4");
    let gone = scene.await_state("n4", "gone");
    assert_eq!(
        (&gone["stage"]["left"], &gone["node"]),
        (&"at-work".into(), &before.clone().into()),
        "{gone}"
    );
    scene.await_hold("n4", "node-gone");
    scene.await_hold("n2", "paused");
    let status = scene.json(&["status"]);
    assert_eq!(status["rollout"]["control"]["why"]["reason"], "node-gone", "{status}");
    assert_eq!(status["rollout"]["totals"]["gone"], 1, "{status}");

    join(&scene, "n4");
    let text = scene.careen(&["status"]).stdout;
    eprintln!("{text}");
    assert!(
        text.contains("a node of the same name joined as") && text.contains("not taken in: n4 ("),
        "{text}"
    );
    let retry = scene.careen(&["retry", "n4"]);
    assert!(retry.status == 2 && retry.stderr.contains("left the swarm"), "{retry:?}");
    assert_eq!(scene.ran("n2"), "", "the next one does not start beside it");

    let again = scene.await_hold("n4", "rejoined");
    assert_eq!(again["hold"]["node"], *id_of(&scene, "n4"), "{again}");
    eprintln!("{}", scene.careen(&["why", "n4"]).stdout);
    scene.let_go("n4", "install");
    let done = wait_until("its host tells how the command ended", LONG, || {
        let node = scene.standing("n4");
        let done = node["stage"]["left"] == "done";
        Ok(if done { Poll::Ready(()) } else { Poll::Pending(node.to_string()) })
    });
    done.unwrap_or_else(|error| panic!("{error}"));
    let resume = scene.careen(&["resume"]);
    assert_eq!(resume.status, 0, "{resume:?}");
    let followed = scene.careen(&["status", "--follow"]);
    eprintln!("{}{}", followed.stdout, followed.stderr);
    assert_eq!(followed.status, 0, "{followed:?}");
    let last = scene.await_end();
    assert_eq!(last["control"]["outcome"], "done", "{last}");
    let nodes = last["nodes"].as_array().expect("nodes");
    assert!(nodes.iter().any(|node| node["node"] == *before && node["state"] == "gone"), "{last}");
    assert_eq!(scene.ran("n2"), "prepare install verify ");
    assert_eq!(
        scene.ran("n4").matches("install").count(),
        1,
        "once on its host, whatever its node is called"
    );
    assert_eq!(label(&scene, "n4", "careen.node"), "");
    scene.assert_nothing_is_left();
}

#[test]
fn a_rollout_whose_config_is_removed_is_told_within_seconds_and_its_node_is_given_back() {
    let scene = scene();
    scene.hold("n4", "install");
    let rollout = scene.start(&["--node", "n4", "--drain", "always", "--", "plain"]);
    scene.await_begun("n4", "install");
    let other = follower(&scene);
    let refused = scene.careen(&["restore", "n4", "--yes"]);
    assert!(refused.status == 6 && refused.stderr.contains("goes on"), "{refused:?}");
    scene.sh("n1", &format!("docker config rm careen.rollout.{rollout}"));
    let other = other.wait_with_output().expect("careen status");
    let said = String::from_utf8_lossy(&other.stderr);
    eprintln!("{said}");
    assert_eq!(other.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("somebody removed the config careen.rollout.{rollout}")), "{said}");
    let ended = wait_until("the controller ends", LONG, || {
        let names = scene.sh("n1", "docker service ls --format '{{.Name}}'");
        let ended = !names.contains("careen-controller");
        Ok(if ended { Poll::Ready(()) } else { Poll::Pending(names) })
    });
    ended.unwrap_or_else(|error| panic!("{error}"));

    let left = scene.json(&["status"])["left"].clone();
    assert_eq!((&left[0]["rollout"], &left[0]["removed"]), (&rollout.clone().into(), &true.into()), "{left}");
    assert_eq!(
        (&left[0]["nodes"][0]["hostname"], &left[0]["nodes"][0]["availability"]),
        (&"n4".into(), &"drain".into())
    );
    eprintln!("{}", scene.careen(&["status"]).stdout);
    let restored = scene.careen(&["restore", "n4", "--yes"]);
    eprintln!("{}{}", restored.stdout, restored.stderr);
    assert_eq!(restored.status, 0, "{restored:?}");
    assert!(restored.stdout.starts_with("n4 is active again (was drain)\n"), "{restored:?}");
    assert_eq!(label(&scene, "n4", "careen.node"), "");
    scene.assert_all_active();
    let aborted = scene.careen(&["abort", "--yes"]);
    assert!(
        aborted.status == 0 && aborted.stdout.contains("removed configs: careen.baseline."),
        "{aborted:?}"
    );
    assert_eq!(scene.json(&["status"])["left"], Value::Array(Vec::new()));
    scene.let_go("n4", "install");
    scene.assert_nothing_is_left();
    let closed = wait_until("the host is free", LONG, || {
        let listed = scene.node("n4").sh("careen-agent list").and_then(Output::ok)?;
        let runs = listed.contains("running");
        Ok(if runs { Poll::Pending(listed) } else { Poll::Ready(()) })
    });
    closed.unwrap_or_else(|error| panic!("{error}"));
}
