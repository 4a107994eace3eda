//! A manager that cannot be reached: no other one goes down meanwhile, careen says why, and goes on when it is back.

use crate::rollout::Scene;
use crate::scene;
use crate::support::{Broken, MANAGERS, Web, await_reachability, controller};
use careen_lab::Fault;

/// A manager that neither leads nor is asked nor has the controller, if there is one; and one that is to be worked on.
fn lost_and_next(scene: &Scene, rollout: &str) -> (&'static str, &'static str) {
    let leads = |node: &str| {
        scene.word("n1", &format!("docker node inspect {node} -f '{{{{.ManagerStatus.Leader}}}}'")) == "true"
    };
    let process = controller(scene, rollout);
    let mut others: Vec<_> = MANAGERS.into_iter().filter(|node| *node != "n1" && !leads(node)).collect();
    others.sort_by_key(|node| *node == process.node);
    let lost = others[0];
    (lost, if lost == "n3" { "n2" } else { "n3" })
}

/// The rollout waits with its worker at work, then loses a manager, and must not touch another.
fn holds_until_it_is_back(scene: &Scene, fault: Fault, mend: Fault, members: usize) {
    let mut web = Web::watch(scene);
    let before = scene.availability();
    scene.hold("n1", "prepare");
    let rollout = scene.start(&["--node", "n1"]);
    scene.await_hold("n1", "host-works");
    let (lost, _) = lost_and_next(scene, &rollout);
    let broken = Broken::by(scene, lost, fault, mend);
    await_reachability(scene, lost, "unreachable");
    scene.let_go("n1", "prepare");
    let held = scene.await_hold("n1", "quorum-at-risk");
    assert_eq!(
        (&held["hold"]["members"], held["state"].as_str()),
        (&members.into(), Some("preparing")),
        "{held}"
    );
    let why = scene.careen(&["why", "n1"]).stdout;
    assert!(why.contains("managers") && why.contains("careen skip n1"), "{why}");
    eprintln!("{why}");
    assert_eq!(scene.ran("n1"), "prepare ", "nothing that cannot be taken back");
    broken.mend();
    scene.await_done();
    assert_eq!(scene.ran("n1"), "prepare install verify ");
    assert_eq!(scene.availability(), before);
    scene.assert_nothing_is_left();
    web.assert_ran(scene);
}

#[test]
fn one_of_three_managers_that_is_cut_off_holds_the_others() {
    holds_until_it_is_back(&scene(), Fault::Partition, Fault::Heal, 3);
}

#[test]
#[ignore = "a frozen host is noticed late; tools/slow-test"]
fn one_of_four_managers_that_is_frozen_holds_the_others() {
    let scene = scene();
    scene.sh("n1", "docker node promote n4");
    await_reachability(&scene, "n4", "reachable");
    holds_until_it_is_back(&scene, Fault::Freeze, Fault::Thaw, 4);
    scene.sh("n1", "docker node demote n4");
}
