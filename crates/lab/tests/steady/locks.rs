//! One controller at a time: a live one keeps the lock, a frozen one loses it and does nothing more when it thaws. What
//! follows a dead one is in killed.rs.

use crate::rollout::{LONG, Scene};
use crate::scene;
use crate::support::{
    Broken, Process, Web, await_holder, await_other_holder, await_status, controller, followers, lock,
};
use careen_lab::{Fault, Poll, wait_until};
use std::process::{Child, Stdio};

#[test]
#[ignore = "takes two minutes: a lock must be seen to die; tools/slow-test"]
fn a_controller_that_is_cut_off_with_its_manager_is_replaced_and_does_nothing_when_it_is_back() {
    let scene = scene();
    let mut web = Web::watch(&scene);
    let lost = *followers(&scene).first().expect("n2 or n3");
    let next = if lost == "n3" { "n2" } else { "n3" };
    scene.hold("n4", "install");
    scene.hold(next, "install");
    let rollout = scene.start(&["--node", "n4", "--node", next, "--", "plain"]);
    let service = format!("careen-controller-{rollout}");
    scene.await_begun("n4", "install");
    scene.sh("n1", &format!("docker service update -d --constraint-add node.hostname=={lost} {service}"));
    let process = moved(&scene, &rollout, lost);
    let holder = process.id(&scene);
    wait_until("it has the lock", LONG, || {
        let (now, _) = lock(&scene);
        Ok(if now == holder { Poll::Ready(()) } else { Poll::Pending(now) })
    })
    .unwrap_or_else(|error| panic!("{error}"));

    let broken = Broken::by(&scene, lost, Fault::Partition, Fault::Heal);
    scene.sh("n1", &format!("docker service update -d --constraint-rm node.hostname=={lost} {service}"));
    await_other_holder(&scene, &holder);
    scene.let_go("n4", "install");
    // The next manager has to wait until this one is back.
    scene.await_hold(next, "quorum-at-risk");
    broken.mend();
    await_status(&scene, lost, "ready");
    scene.await_begun(next, "install");
    let gone = wait_until("the one that was cut off is gone", LONG, || {
        let now = scene.sh(lost, "docker ps -q --no-trunc");
        let runs = now.contains(&process.container);
        Ok(if runs { Poll::Pending(process.said(&scene)) } else { Poll::Ready(()) })
    });
    gone.unwrap_or_else(|error| panic!("{error}"));
    // The other one may have had to move away from the manager whose turn it is: then a third has the lock.
    assert_ne!(lock(&scene).0, holder, "it did not take the lock back");
    scene.let_go(next, "install");
    scene.await_done();
    for node in ["n4", next] {
        assert_eq!(scene.ran(node), "prepare install verify ", "{node}");
    }
    scene.assert_all_active();
    scene.assert_nothing_is_left();
    web.assert_ran(&scene);
}

#[test]
fn a_controller_whose_rollout_is_gone_goes_too() {
    let scene = scene();
    let service = format!(
        "docker service create -d -q --no-resolve-image --name careen-controller-gone00 --constraint \
         node.role==manager --mount type=bind,src=/var/run/docker.sock,dst=/run/docker.sock --entrypoint \
         '/careen-controller gone00' {}",
        scene.image
    );
    scene.sh("n1", &service);
    scene.assert_nothing_is_left();
}

#[test]
fn a_controller_that_does_not_come_up_is_told_and_an_abort_ends_the_rollout_without_it() {
    let scene = scene();
    scene.hold("n4", "prepare");
    let id = scene.start(&["--node", "n4", "--", "plain"]);
    scene.await_begun("n4", "prepare");
    // It gives its lock back; the one after it finds no program.
    scene.sh("n1", &format!("docker service update -d -q --entrypoint /nowhere careen-controller-{id}"));
    let fails = wait_until("its controller is known not to come up", LONG, || {
        let rollout = scene.json(&["status"])["rollout"].take();
        let task = rollout["controller_task"].clone();
        let fails = task["state"] == "fails" && rollout["controller"].is_null();
        Ok(if fails { Poll::Ready(task) } else { Poll::Pending(rollout.to_string()) })
    });
    let task = fails.unwrap_or_else(|error| panic!("{error}"));
    assert!(task["why"].as_str().unwrap_or_default().contains("/nowhere"), "{task}");
    let status = scene.careen(&["status"]).stdout;
    assert!(status.contains("its controller does not come up: "), "{status}");
    assert!(!status.contains("no controller works on it"), "{status}");
    for command in [format!("docker service ps --no-trunc careen-controller-{id}"), "careen abort".to_owned()]
    {
        assert!(status.contains(&command), "{command}: {status}");
    }
    scene.sh("n1", &format!("docker service ps --no-trunc careen-controller-{id}"));
    assert_eq!(scene.careen(&["resume"]).status, 1, "nobody carries it out");

    let abort = scene.careen(&["abort"]);
    assert_eq!(abort.status, 3, "{abort:?}");
    assert!(abort.stderr.contains("This process ends the rollout in its place"), "{abort:?}");
    assert_eq!(scene.await_end()["control"]["outcome"], "aborted");
    assert!(!scene.ran("n4").contains("install"), "{}", scene.ran("n4"));
    scene.let_go("n4", "prepare");
    scene.assert_all_active();
    scene.assert_nothing_is_left();
}

/// The controller when it runs on this node.
fn moved(scene: &Scene, rollout: &str, node: &str) -> Process {
    let there = wait_until(&format!("the controller runs on {node}"), LONG, || {
        let process = controller(scene, rollout);
        Ok(if process.node == node { Poll::Ready(process) } else { Poll::Pending(format!("{process:?}")) })
    });
    there.unwrap_or_else(|error| panic!("{error}"))
}

/// So many times the holder says that it lives before its lock could be called dead, and one more.
const BEATS: usize = 6;

/// Another controller, in a process on n2.
fn contender(scene: &Scene) -> Child {
    let mut command = scene.node("n2").command(["careen", "resume", "--local"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("careen resume")
}

fn await_beats(scene: &Scene, holder: &str) {
    let (_, mut last) = lock(scene);
    let mut beats = 0;
    let beaten = wait_until("the holder lives", LONG, || {
        let (now, version) = lock(scene);
        assert_eq!(now, holder, "a live controller keeps its lock");
        beats += usize::from(version != last);
        last = version;
        Ok(if beats >= BEATS { Poll::Ready(()) } else { Poll::Pending(format!("{beats} beats")) })
    });
    beaten.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
#[ignore = "takes two minutes: a lock must be seen to live and to die; tools/slow-test"]
fn a_live_controller_keeps_the_lock_and_a_frozen_one_loses_it_for_good() {
    let scene = scene();
    let mut web = Web::watch(&scene);
    scene.hold("n4", "install");
    scene.hold("n2", "install");
    let rollout = scene.start(&["--node", "n4", "--node", "n2", "--", "plain"]);
    scene.await_state("n4", "running");
    let holder = await_holder(&scene);
    let other = contender(&scene);
    await_beats(&scene, &holder);

    let frozen = controller(&scene, &rollout);
    frozen.signal(&scene, "STOP");
    let status = scene.careen(&["status"]);
    assert_eq!(status.status, 0, "{status:?}");
    let next = await_other_holder(&scene, &holder);
    assert!(next.starts_with("cli-"), "the contender has it: {next}");
    scene.let_go("n4", "install");
    scene.await_state("n2", "running");

    frozen.signal(&scene, "CONT");
    let said = wait_until("the frozen controller stops", LONG, || {
        let said = frozen.said(&scene);
        let stopped = said.contains("another controller has the rollout now");
        Ok(if stopped { Poll::Ready(said) } else { Poll::Pending(said) })
    });
    eprintln!("{}", said.unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(lock(&scene).0, next, "it did not take the lock back");
    scene.let_go("n2", "install");
    scene.await_done();
    let other = other.wait_with_output().expect("careen resume");
    let said = String::from_utf8_lossy(&other.stderr);
    eprintln!("{said}");
    assert!(other.status.success(), "{said}");
    for node in ["n4", "n2"] {
        assert_eq!(scene.ran(node), "prepare install verify ", "{node}");
    }
    scene.assert_all_active();
    scene.assert_nothing_is_left();
    web.assert_ran(&scene);
}
