//! Operators who change a node, its label or a service in the middle of a rollout: what they do is theirs, and what `careen why`
//! tells to type mends it.

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
    scene.await_hold("n4", "availability-changed");
    let why = scene.careen(&["why", "n4"]).stdout;
    assert!(why.contains("somebody set the node to 'active'") && why.contains("careen skip n4"), "{why}");
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

#[test]
fn labels_that_somebody_writes_or_removes_hold_their_nodes_until_what_is_told_is_typed() {
    let scene = scene();
    scene.hold("n4", "install");
    let rollout = scene.start(&["--node", "n4", "--node", "n2", "--", "plain"]);
    scene.await_begun("n4", "install");
    let write = |node: &str, value: &str| {
        scene.sh("n1", &format!("docker node update --label-add 'careen.node={value}' {node}"));
    };
    let typed = |node: &str, told: &str| {
        let why = scene.careen(&["why", node]).stdout;
        assert!(why.contains(&format!("    {told}\n")), "{why}");
        scene.sh("n1", told);
    };
    write("n2", "written by hand");
    scene.await_hold("n2", "corrupt-record");
    typed("n2", "docker node update --label-rm careen.node n2");
    write("n2", &label(&scene, "n4", "careen.node").replace(&rollout, "another"));
    scene.await_hold("n2", "other-rollout");
    typed("n2", "docker node update --label-rm careen.node n2");

    scene.sh("n1", "docker node update --label-rm careen.node n4");
    scene.await_hold("n4", "record-removed");
    assert_eq!(scene.ran("n2"), "", "nobody begins beside a host of which nothing is known");
    scene.let_go("n4", "install");
    typed("n4", "careen skip n4");
    scene.await_done();
    assert_eq!(scene.ran("n2"), "prepare install verify ");
    assert_eq!(scene.ran("n4").matches("install").count(), 1);
    scene.assert_nothing_is_left();
    scene.assert_all_active();
}

#[test]
fn a_service_that_is_worse_than_before_holds_its_node_until_it_is_mended() {
    let scene = scene();
    scene.hold("n4", "install");
    scene.start(&["--node", "n4", "--", "plain"]);
    scene.await_begun("n4", "install");
    scene.sh("n1", "docker service update -d --no-resolve-image --image careen-test:nowhere web");
    scene.let_go("n4", "install");
    scene.await_hold("n4", "services-worse");
    let quoted =
        |node: &serde_json::Value| node["why"].as_str().is_some_and(|why| why.contains("No such image"));
    scene.await_node("n4", "its task's own error", quoted);
    scene.sh("n1", "docker service update -d --rollback web");
    scene.await_done();
    scene.assert_nothing_is_left();
}
