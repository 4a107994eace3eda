//! Operators who change a node in the middle of its turn: what they do is theirs.

use crate::rollout::Scene;
use crate::scene;
use crate::support::{Web, label};

fn set(scene: &Scene, node: &str, availability: &str) {
    scene.sh("n1", &format!("docker node update --availability {availability} {node}"));
}

fn availability(scene: &Scene, node: &str) -> String {
    scene.word("n1", &format!("docker node inspect {node} -f '{{{{.Spec.Availability}}}}'"))
}

#[test]
fn a_drain_of_an_operators_during_maintenance_stays_and_so_does_a_label() {
    let scene = scene();
    let mut web = Web::watch(&scene);
    scene.hold("n4", "install");
    scene.start(&["--node", "n4", "--", "plain"]);
    scene.await_state("n4", "running");
    set(&scene, "n4", "drain");
    scene.sh("n1", "docker node update --label-add zone=b n4");
    let seen = scene.await_node("n4", "drained by somebody", |node| node["availability"] == "drain");
    assert_eq!(seen["drained_by_careen"], false, "{seen}");
    let status = scene.careen(&["status"]).stdout;
    assert!(status.contains("its operator keeps it drained"), "{status}");
    scene.let_go("n4", "install");
    scene.await_done();
    assert_eq!(scene.ran("n4"), "prepare install verify ");
    assert_eq!(availability(&scene, "n4"), "drain");
    scene.assert_nothing_is_left();
    assert_eq!(
        (label(&scene, "n4", "zone").as_str(), label(&scene, "n4", "careen.node").as_str()),
        ("b", "")
    );
    scene.sh("n1", "docker node update --label-rm zone n4");
    web.assert_ran(&scene);
}

/// A task that stays where it is: a drain leaves jobs alone, so the node does not get empty.
fn keep_busy(scene: &Scene, node: &str) {
    let job = format!(
        "docker service create -d -q --no-resolve-image --name busy --mode replicated-job --constraint \
         node.hostname=={node} --restart-condition none --entrypoint '/careen-agent gate' {}",
        scene.image
    );
    scene.sh("n1", &job);
}

#[test]
fn a_drained_node_that_an_operator_activates_waits_and_is_theirs_from_then_on() {
    let scene = scene();
    let mut web = Web::watch(&scene);
    keep_busy(&scene, "n4");
    scene.start(&["--node", "n4", "--drain", "always", "--", "plain"]);
    scene.await_hold("n4", "not-empty");
    set(&scene, "n4", "active");
    scene.await_hold("n4", "taken-away");
    let why = scene.careen(&["why", "n4"]).stdout;
    assert!(why.contains("somebody made the node 'active'") && why.contains("careen skip n4"), "{why}");
    eprintln!("{why}");
    assert_eq!((scene.ran("n4").as_str(), availability(&scene, "n4").as_str()), ("prepare ", "active"));

    set(&scene, "n4", "drain");
    scene.await_hold("n4", "not-empty");
    scene.sh("n1", "docker service rm busy; docker ps");
    scene.sh("n4", "docker ps -q -f name=busy | xargs -r docker rm -f");
    scene.await_done();
    assert_eq!(scene.ran("n4"), "prepare install verify ");
    assert_eq!(availability(&scene, "n4"), "drain", "it was the operator who drained it last");
    scene.assert_nothing_is_left();
    set(&scene, "n4", "active");
    web.assert_ran(&scene);
}

#[test]
fn a_node_that_stays_taken_away_fails_and_a_skip_leaves_it_as_it_is() {
    let scene = scene();
    keep_busy(&scene, "n4");
    scene.start(&["--node", "n4", "--drain", "always", "--phase-timeout", "draining=3s", "--", "plain"]);
    scene.await_hold("n4", "not-empty");
    set(&scene, "n4", "active");
    scene.await_state("n4", "failed");
    let why = scene.careen(&["why", "n4"]).stdout;
    assert!(why.contains("somebody changed its availability"), "{why}");
    scene.sh("n1", "docker service rm busy");
    scene.sh("n4", "docker ps -q -f name=busy | xargs -r docker rm -f");
    assert_eq!(scene.careen(&["skip", "n4"]).status, 0);
    scene.await_done();
    assert_eq!((scene.ran("n4").as_str(), availability(&scene, "n4").as_str()), ("prepare ", "active"));
    scene.assert_nothing_is_left();
}
