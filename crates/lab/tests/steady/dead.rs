//! Nodes that die for good in their turn: the rollout stops there and says so, and an operator decides.

use crate::rollout::{LONG, Scene};
use crate::scene;
use crate::support::{Broken, Web, await_status, label};
use careen_lab::{Fault, Poll, wait_until};

/// Minutes become seconds; the swarm needs some fifteen of its own to call a node down.
const SOON: [&str; 4] = ["--phase-timeout", "node-down=5s", "--phase-timeout", "rebooting=10s"];

/// A command runs on n4; n2 would be next.
fn works(scene: &Scene) {
    scene.hold("n4", "install");
    scene.start(&[&["--node", "n4", "--node", "n2"], &SOON[..], &["--", "plain"]].concat());
    scene.await_state("n4", "running");
    scene.await_begun("n4", "install");
}

/// The power goes while a command runs there.
fn dies(scene: &Scene) -> Broken<'_> {
    let broken = Broken::by(scene, "n4", Fault::PowerOff, Fault::PowerOn);
    scene.await_hold("n4", "not-reporting");
    scene.await_node("n4", "failed", |node| {
        let next = scene.standing("n2");
        assert_eq!(next["state"], "held", "the place is not free: {next}");
        node["state"] == "failed"
    });
    broken
}

#[test]
fn a_node_that_dies_in_its_turn_pauses_the_rollout_and_a_skip_goes_on() {
    let scene = scene();
    let mut web = Web::watch(&scene);
    works(&scene);
    let broken = dies(&scene);
    let status = scene.json(&["status"]);
    assert_eq!(status["rollout"]["control"]["state"], "paused", "{status}");
    let why = scene.careen(&["why"]).stdout;
    assert!(why.contains("did not come back in time") && why.contains("careen skip n4"), "{why}");
    eprintln!("{why}");
    assert_eq!(scene.standing("n2")["hold"]["hold"], "paused");
    assert_eq!(scene.ran("n2"), "");

    // Its agent is gone with its engine: as soon as the node takes tasks its host is asked.
    broken.mend();
    await_status(&scene, "n4", "ready");
    let told = |node: &serde_json::Value| {
        let why = node["why"].as_str().unwrap_or_default();
        why.contains("since then its host has told how it ended: exit code 245 (interrupted)")
    };
    scene.await_node("n4", "its host has told", told);
    eprintln!("{}", scene.careen(&["why", "n4"]).stdout);

    let skip = scene.careen(&["skip", "n4"]);
    assert_eq!(skip.status, 0, "{skip:?}");
    scene.await_done();
    assert_eq!(scene.ran("n2"), "prepare install verify ");
    leaves_nothing_after_another_rollout(&scene);
    web.assert_ran(&scene);
}

/// Its log cannot be read, and the swarm has not noticed yet: that takes it some fifteen seconds.
fn is_frozen_for_a_moment(scene: &Scene) {
    for _ in 0..5 {
        let frozen = Broken::by(scene, "n4", Fault::Freeze, Fault::Thaw);
        let seen = wait_until("careen or the swarm says something", LONG, || {
            let held = scene.standing("n4")["hold"]["hold"].clone();
            Ok(match held.as_str() {
                Some("no-report") => Poll::Ready(true),
                Some("not-reporting") => Poll::Ready(false),
                _ => Poll::Pending(held.to_string()),
            })
        });
        if seen.unwrap_or_else(|error| panic!("{error}")) {
            scene.await_hold("n4", "no-report");
            return frozen.mend();
        }
        frozen.mend();
        scene.await_hold("n4", "host-at-work");
    }
    panic!("the swarm noticed each time before careen could be asked");
}

#[test]
#[ignore = "another death of a node; tools/slow-test"]
fn a_node_that_dies_in_its_turn_leaves_an_abort_to_its_operator() {
    let scene = scene();
    let mut web = Web::watch(&scene);
    works(&scene);
    is_frozen_for_a_moment(&scene);
    scene.await_hold("n4", "host-at-work");
    let broken = dies(&scene);
    assert_eq!(scene.careen(&["abort"]).status, 0);
    let last = scene.await_end();
    assert_eq!(last["control"]["outcome"], "aborted", "{last}");
    assert_eq!(scene.ran("n2"), "", "nothing further began");
    broken.mend();
    await_status(&scene, "n4", "ready");
    leaves_nothing_after_another_rollout(&scene);
    web.assert_ran(&scene);
}

/// What lay on the node that was down is taken away by the next rollout.
fn leaves_nothing_after_another_rollout(scene: &Scene) {
    scene.start(&["--node", "n3", "--", "plain"]);
    scene.await_done();
    scene.assert_nothing_is_left();
    assert_eq!(label(scene, "n4", "careen.node"), "");
}

#[test]
#[ignore = "another death of a node; tools/slow-test"]
fn a_node_that_dies_before_the_go_can_be_skipped() {
    let scene = scene();
    let mut web = Web::watch(&scene);
    scene.hold("n4", "prepare");
    // Nothing starts there meanwhile, and the swarm has not noticed yet.
    let frozen = Broken::by(&scene, "n4", Fault::Freeze, Fault::Thaw);
    scene.start(&["--node", "n4", "--node", "n2", "--", "plain"]);
    scene.await_hold("n4", "placing");
    frozen.mend();
    scene.await_hold("n4", "host-at-work");
    let broken = Broken::by(&scene, "n4", Fault::PowerOff, Fault::PowerOn);
    scene.await_hold("n4", "node-down");
    let skip = scene.careen(&["skip", "n4"]);
    assert_eq!(skip.status, 0, "{skip:?}");
    scene.await_done();
    assert_eq!(scene.ran("n2"), "prepare install verify ");
    broken.mend();
    await_status(&scene, "n4", "ready");
    leaves_nothing_after_another_rollout(&scene);
    scene.assert_all_active();
    web.assert_ran(&scene);
}
