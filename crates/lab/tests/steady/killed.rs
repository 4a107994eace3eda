//! Controllers that are killed: the next one goes on, nothing runs twice, nothing is left drained.

use crate::rollout::Scene;
use crate::scene;
use crate::support::{Web, await_holder, await_other_holder, await_stage, controller};

/// Each command once, however often its controller was killed.
const EACH_ONCE: &str = "prepare install verify ";

/// The stages in which a controller is killed, and the command that keeps the node there.
const TRANSITIONS: [(&str, Option<&str>); 6] = [
    ("entering", None),
    ("preparing", Some("prepare")),
    ("running:drained", Some("install")),
    ("restarting-engine", None),
    ("verifying", Some("verify")),
    ("settling", None),
];

/// Kills the controller of `rollout` while the node is in this stage and, where a command keeps it there, at that; returns
/// when another one has the lock. Until then `careen status` answers on any manager.
fn kill_at(scene: &Scene, rollout: &str, node: &str, stage: &str, command: Option<&str>) {
    let process = controller(scene, rollout);
    let holder = await_holder(scene);
    await_stage(scene, node, stage);
    if let Some(command) = command {
        scene.await_begun(node, command);
    }
    process.signal(scene, "KILL");
    for manager in ["n1", "n3"] {
        let status = scene.careen_on(manager, &["status"]);
        assert_eq!(status.status, 0, "{status:?}");
        assert!(status.stdout.contains(rollout) && status.stdout.contains(node), "{status:?}");
        eprintln!("killed on {} at {stage}; careen status on {manager}:\n{}", process.node, status.stdout);
    }
    let next = await_other_holder(scene, &holder);
    eprintln!("{holder} was killed at {stage}, {next} goes on");
}

fn kill_at_every_transition(scene: &Scene) {
    let mut web = Web::watch(scene);
    let before = scene.availability();
    for command in TRANSITIONS.iter().filter_map(|(_, command)| *command) {
        scene.hold("n4", command);
    }
    let rollout = scene.start(&["--node", "n4", "--node", "n2", "--drain", "always"]);
    for (stage, held) in TRANSITIONS {
        kill_at(scene, &rollout, "n4", stage, held);
        if let Some(command) = held {
            scene.let_go("n4", command);
        }
    }
    scene.await_done();
    for node in ["n4", "n2"] {
        assert_eq!(scene.ran(node), EACH_ONCE, "{node}");
    }
    assert_eq!(scene.availability(), before);
    scene.assert_nothing_is_left();
    web.assert_ran(scene);
}

#[test]
#[ignore = "takes minutes: each death of a controller is 45 seconds of silence; tools/slow-test"]
fn a_controller_that_is_killed_at_every_transition_costs_nothing_as_a_service() {
    kill_at_every_transition(&scene());
}

#[test]
#[ignore = "takes minutes: each death of a controller is 45 seconds of silence; tools/slow-test"]
fn a_controller_that_is_killed_at_every_transition_costs_nothing_as_a_container() {
    let scene = scene();
    // No second manager takes a service, so it is a container on the manager that is asked.
    for manager in ["n2", "n3"] {
        scene.sh("n1", &format!("docker node update --availability drain {manager}"));
    }
    kill_at_every_transition(&scene);
}

#[test]
fn a_controller_that_is_killed_while_the_command_runs_is_replaced_and_nothing_runs_twice() {
    let scene = scene();
    let mut web = Web::watch(&scene);
    scene.hold("n4", "install");
    let rollout = scene.start(&["--node", "n4", "--", "plain"]);
    kill_at(&scene, &rollout, "n4", "running", Some("install"));
    scene.let_go("n4", "install");
    scene.await_done();
    assert_eq!(scene.ran("n4"), EACH_ONCE);
    scene.assert_all_active();
    scene.assert_nothing_is_left();
    web.assert_ran(&scene);
}
