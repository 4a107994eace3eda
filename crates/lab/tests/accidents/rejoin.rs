//! A node that leaves in its turn and joins again: its command runs once, the rollout is no success, and the next one has it.

use crate::rollout::LONG;
use crate::stage;
use crate::stage::Stage;
use careen_lab::{Output, Poll, wait_until};

/// The node's memberships, the one that its operator removed and the new one. It is active at the end of the test, whatever
/// happens.
struct Rejoined<'a> {
    stage: &'a Stage,
    old: String,
    new: String,
}

impl<'a> Rejoined<'a> {
    fn now(stage: &'a Stage) -> Self {
        let Stage { scene, node, .. } = stage;
        let id = || stage.sh("docker info -f '{{.Swarm.NodeID}}'").trim().to_owned();
        let old = id();
        let role = scene.word("n1", &format!("docker node inspect {old} -f '{{{{.Spec.Role}}}}'"));
        let token = scene.word("n1", &format!("docker swarm join-token -q {role}"));
        let (own, manager) = (scene.node(node).ip(), scene.node("n1").ip());
        if role == "manager" {
            scene.sh("n1", &format!("docker node demote {old}"));
            let demoted = wait_until("the manager is a worker", LONG, || {
                let seen = scene.node(node).sh("docker info -f '{{.Swarm.ControlAvailable}}'")?;
                Ok(if seen.stdout.trim() == "false" { Poll::Ready(()) } else { Poll::Pending(seen.stdout) })
            });
            demoted.unwrap_or_else(|error| panic!("{error}"));
        }
        stage.sh("docker swarm leave");
        scene.sh("n1", &format!("docker node rm --force {old}"));
        stage.sh(&format!("docker swarm join --token {token} --advertise-addr {own} {manager}:2377"));
        let new = id();
        let ready = wait_until("the node is ready under its new id", LONG, || {
            let seen =
                scene.node("n1").sh(&format!("docker node inspect {new} -f '{{{{.Status.State}}}}'"))?;
            Ok(if seen.stdout.trim() == "ready" { Poll::Ready(()) } else { Poll::Pending(seen.stdout) })
        });
        ready.unwrap_or_else(|error| panic!("{error}"));
        Self { stage, old, new }
    }
}

impl Drop for Rejoined<'_> {
    fn drop(&mut self) {
        let active = format!("docker node update --availability active {}", self.new);
        if let Err(error) = self.stage.scene.node("n1").sh(&active).and_then(Output::ok) {
            eprintln!("{error}");
        }
    }
}

/// The operator ends it, having seen what `careen status` says; it was no success.
fn is_ended_by_its_operator(stage: &Stage, rejoined: &Rejoined<'_>) {
    let Stage { scene, .. } = stage;
    let told = wait_until("careen tells that the node is gone", LONG, || {
        let status = scene.careen(&["status"]).stdout;
        Ok(if status.contains("gone") { Poll::Ready(status) } else { Poll::Pending(status) })
    });
    let told = told.unwrap_or_else(|error| panic!("{error}"));
    println!("{told}\n{}", scene.careen(&["why"]).stdout);
    let json = scene.json(&["status"]).to_string();
    assert!(json.contains(&rejoined.old), "who is gone: {json}");
    assert!(json.contains(&rejoined.new), "as whom it came back: {json}");
    assert_eq!(scene.careen(&["abort"]).status, 0);
    let last = scene.await_end();
    assert_ne!(last["control"]["outcome"], "done", "{last}");
}

#[test]
#[ignore = "slow: two rollouts, and a node that leaves; tools/slow-test"]
fn a_worker_that_leaves_while_it_waits_for_the_go_begins_nothing() {
    leaves_while_it_waits("n4");
}

#[test]
#[ignore = "slow: two rollouts, and a node that leaves; tools/slow-test"]
fn a_manager_that_leaves_while_it_waits_for_the_go_begins_nothing() {
    leaves_while_it_waits("n3");
}

fn leaves_while_it_waits(node: &'static str) {
    let stage = stage(node);
    stage.wait_for_the_go(&["--", "plain"]);
    {
        let rejoined = Rejoined::now(&stage);
        stage.let_it_move();
        is_ended_by_its_operator(&stage, &rejoined);
        assert_eq!(stage.scene.ran(node), "prepare ", "nothing was begun");
    }
    stage.next_rollout_ends_well();
}

#[test]
#[ignore = "slow: two rollouts, and a node that leaves; tools/slow-test"]
fn a_worker_that_leaves_while_its_command_runs_does_not_run_it_twice() {
    let stage = stage("n4");
    let scene = &stage.scene;
    scene.hold("n4", "install");
    stage.start(&["--", "plain"]);
    scene.await_begun("n4", "install");
    {
        let rejoined = Rejoined::now(&stage);
        scene.let_go("n4", "install");
        is_ended_by_its_operator(&stage, &rejoined);
        let ran = scene.ran("n4");
        assert_eq!(ran.matches("install").count(), 1, "once on this host: {ran}");
    }
    stage.next_rollout_ends_well();
}
