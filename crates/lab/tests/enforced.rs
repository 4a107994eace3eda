//! `careen enforce` on real hosts: drift that somebody makes by hand is mended and told, hosts that join converge, hosts that are not
//! covered are named. Three managers and a worker; a lab of its own, `enforced`.
//!
//! Needs what the lab needs, the image careen/installer (`make image`), and `careen` itself (`make build`).

mod rollout;

use careen_lab::{Output, Poll, Progress, wait_until};
use rollout::{LONG, Scene};
use serde_json::Value;
use std::time::Duration;

/// What the payload keeps on each host.
const FILE: &str = "/etc/careen-test-enforced";

/// Drift on a path that is watched is mended within this, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A directory with a payload that keeps one file as it should be.
const PAYLOAD: &str = r#"rm -rf /root/kept && mkdir /root/kept && cd /root/kept
cat > check <<'END'
#!/bin/sh
[ "$(cat /etc/careen-test-enforced 2>/dev/null)" = "${1:-as it should be}" ] || exit 2
END
cat > install <<'END'
#!/bin/sh
echo "${1:-as it should be}" > /etc/careen-test-enforced
END
chmod +x check install"#;

/// The lab without an enforcement, with the payload on its first manager.
fn scene() -> Scene {
    let scene = Scene::new("enforced", 3, 1);
    for name in names(&scene) {
        let stop = scene.careen(&["enforce", "stop", &name, "--yes"]);
        assert_eq!(stop.status, 0, "{stop:?}");
    }
    for node in ["n1", "n2", "n3", "n4"] {
        // One that is leaving still mends what it sees.
        let left = wait_until("the agents have left", LONG, || {
            let there = scene.sh(node, "docker ps -q --filter name=careen-enforce-");
            Ok(if there.is_empty() { Poll::Ready(()) } else { Poll::Pending(there) })
        });
        left.unwrap_or_else(|error| panic!("{error}"));
        scene.sh(node, &format!("rm -f {FILE}"));
    }
    scene.sh("n1", PAYLOAD);
    scene
}

fn names(scene: &Scene) -> Vec<String> {
    let listed = scene.json(&["enforce", "ls"]);
    let name = |one: &Value| one["name"].as_str().map(str::to_owned);
    listed.as_array().into_iter().flatten().filter_map(name).collect()
}

fn enforce(scene: &Scene, flags: &[&str]) -> Output {
    let base = ["enforce", "/root/kept", "--image", &scene.image, "--yes"];
    scene.careen(&[&base[..], flags].concat())
}

fn started(scene: &Scene) {
    let begun = enforce(scene, &["--name", "kept", "--owns", FILE, "--interval", "5m"]);
    assert_eq!(begun.status, 0, "{begun:?}");
}

/// What `status` says of a host.
fn host(scene: &Scene, name: &str) -> Value {
    let status = scene.json(&["enforce", "status", "kept"]);
    let hosts = status[0]["hosts"].as_array();
    hosts.into_iter().flatten().find(|host| host["hostname"] == name).cloned().unwrap_or(Value::Null)
}

fn await_host(
    scene: &Scene,
    name: &str,
    what: &str,
    limit: Duration,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let seen = wait_until(&format!("{name}: {what}"), limit, || {
        let host = host(scene, name);
        Ok(if wanted(&host) { Poll::Ready(host) } else { Poll::Pending(host.to_string()) })
    });
    seen.unwrap_or_else(|error| panic!("{error}"))
}

fn await_in_sync(scene: &Scene) {
    let waited = scene.careen(&["enforce", "status", "kept", "--wait", "--timeout", "5m"]);
    assert_eq!(waited.status, 0, "{waited:?}");
}

fn kept(scene: &Scene, node: &str) -> String {
    scene.word(node, &format!("cat {FILE} 2>/dev/null || :"))
}

fn await_kept(scene: &Scene, node: &str) {
    let mended = wait_until(&format!("{node} is as it should be"), SOON, || {
        let text = kept(scene, node);
        Ok(if text == "as it should be" { Poll::Ready(()) } else { Poll::Pending(text) })
    });
    mended.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_host_comes_to_be_in_sync_and_drift_is_mended_and_told() {
    let scene = scene();
    started(&scene);
    await_in_sync(&scene);
    for node in ["n1", "n2", "n3", "n4"] {
        assert_eq!(kept(&scene, node), "as it should be", "{node}");
    }
    let brought = host(&scene, "n4");
    assert_eq!(
        (&brought["said"]["mended"], &brought["said"]["last"]["corrective"]),
        (&0.into(), &false.into())
    );

    scene.sh("n4", &format!("echo by hand > {FILE}"));
    await_kept(&scene, "n4");
    let mended = await_host(&scene, "n4", "mended", SOON, |host| host["said"]["mended"] == 1);
    assert_eq!(mended["said"]["last"]["corrective"], true, "{mended}");
    assert_eq!(mended["said"]["last"]["paths"][0], FILE, "{mended}");
    let page = scene.careen(&["enforce", "status"]);
    assert!(page.stdout.contains("drift was mended once"), "{page:?}");
    scene.sh("n2", &format!("rm {FILE}"));
    await_kept(&scene, "n2");

    let again = enforce(&scene, &["--name", "kept", "--owns", FILE, "--interval", "5m"]);
    assert!(again.status == 0 && again.stdout.contains("nothing to do"), "{again:?}");
}

#[test]
fn a_paused_one_mends_nothing_and_a_stopped_one_leaves_nothing_in_the_swarm() {
    let scene = scene();
    started(&scene);
    await_in_sync(&scene);
    assert_eq!(scene.careen(&["enforce", "pause", "kept"]).status, 0);
    let left = wait_until("the agents have left", LONG, || {
        let running = scene.sh(
            "n1",
            "docker service ps -q -f desired-state=running $(docker service ls -qf name=careen-enforce-)",
        );
        Ok(if running.trim().is_empty() { Poll::Ready(()) } else { Poll::Pending(running) })
    });
    left.unwrap_or_else(|error| panic!("{error}"));
    scene.sh("n3", &format!("echo by hand > {FILE}"));
    let status = scene.careen(&["enforce", "status"]);
    assert!(status.status == 5 && status.stdout.contains("the enforcement is paused"), "{status:?}");
    assert_eq!(kept(&scene, "n3"), "by hand", "nobody mends it");
    assert_eq!(scene.careen(&["enforce", "resume", "kept"]).status, 0);
    await_in_sync(&scene);
    assert_eq!(kept(&scene, "n3"), "as it should be");

    let stopped = scene.careen(&["enforce", "stop", "kept", "--yes"]);
    assert_eq!(stopped.status, 0, "{stopped:?}");
    let left =
        scene.sh("n1", "docker service ls --format '{{.Name}}'; docker config ls --format '{{.Name}}'");
    let left: Vec<&str> = left.lines().filter(|name| name.contains("enforce")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(kept(&scene, "n3"), "as it should be", "what it did stays");
}

#[test]
fn a_host_that_joins_converges_by_itself_and_a_drained_one_is_named() {
    let scene = scene();
    let id = scene.word("n1", "docker node inspect n4 -f '{{.ID}}'");
    scene.sh("n4", "docker swarm leave");
    scene.sh("n1", &format!("docker node rm --force {id}"));
    started(&scene);
    await_in_sync(&scene);
    assert_eq!(kept(&scene, "n4"), "");
    let token = scene.word("n1", "docker swarm join-token -q worker");
    let (own, other) = (scene.node("n4").ip(), scene.node("n1").ip());
    scene.sh("n4", &format!("docker swarm join --advertise-addr {own} --token {token} {other}:2377"));
    await_host(&scene, "n4", "in sync", LONG, |host| host["in_sync"] == true);
    assert_eq!(kept(&scene, "n4"), "as it should be");

    scene.sh("n1", "docker node update --availability drain n4");
    let drained = await_host(&scene, "n4", "not covered", SOON, |host| host["covered"] == false);
    assert_eq!(drained["why"], "its node is drained", "{drained}");
    assert_eq!(drained["next"], "docker node update --availability active n4", "{drained}");
    assert_eq!(scene.careen(&["enforce", "status"]).status, 5);
    scene.sh("n1", "docker node update --availability active n4");
    await_in_sync(&scene);
}

#[test]
fn two_that_own_one_path_are_refused_and_so_is_another_version_of_the_same() {
    let scene = scene();
    started(&scene);
    let twice = enforce(&scene, &["--name", "other", "--owns", "/etc/"]);
    assert!(
        twice.status == 6 && twice.stderr.contains("is owned by the enforcement kept already"),
        "{twice:?}"
    );
    let other = enforce(&scene, &["--name", "kept", "--owns", FILE, "--", "otherwise"]);
    assert!(other.status == 6 && other.stderr.contains("kept is enforced already"), "{other:?}");
    assert_eq!(names(&scene), ["kept"]);
}

#[test]
fn what_somebody_removes_by_hand_is_told_and_the_same_call_completes_it() {
    let scene = scene();
    started(&scene);
    await_in_sync(&scene);
    scene.sh("n1", "docker service rm $(docker service ls -qf name=careen-enforce-kept)");
    let status = scene.careen(&["enforce", "status"]);
    assert!(status.status == 5 && status.stdout.contains("its service is not there"), "{status:?}");
    started(&scene);
    await_in_sync(&scene);
    let changed = "docker service update -d --env-add X=1 $(docker service ls -qf name=careen-enforce-kept)";
    scene.sh("n1", changed);
    let status = scene.careen(&["enforce", "status"]);
    assert!(status.stdout.contains("somebody changed its service by hand: environment"), "{status:?}");
}

#[test]
fn a_rollout_goes_over_enforced_hosts_and_waits_for_no_enforcing_agent() {
    let scene = scene();
    started(&scene);
    await_in_sync(&scene);
    let run = scene.run(&["--drain", "always", "--reboot", "never", "--", "plain"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains("enforced kept"), "{run:?}");
    await_in_sync(&scene);
}

#[test]
fn a_rollout_waits_for_a_pass_and_goes_on_behind_it() {
    let scene = scene();
    let slow = "cd /root/kept && sed -i '2i until [ -e /run/careen-test-go ]; do sleep 0.2; done' install";
    scene.sh("n1", slow);
    for node in ["n1", "n2", "n3"] {
        scene.sh(node, "touch /run/careen-test-go");
    }
    scene.sh("n4", "rm -f /run/careen-test-go");
    started(&scene);
    await_host(&scene, "n4", "mending", LONG, |host| host["said"]["state"] == "mending");
    scene.start(&["--constraint", "node.hostname==n4", "--drain", "never", "--", "plain"]);
    let held = scene.await_hold("n4", "host-busy");
    let transaction = held["hold"]["transaction"].as_str().unwrap_or_default();
    assert!(transaction.starts_with("e-kept-"), "{held}");
    assert_eq!(scene.ran("n4"), "", "the host is not shared");

    scene.sh("n4", "touch /run/careen-test-go");
    scene.await_done();
    assert_eq!(kept(&scene, "n4"), "as it should be");
    assert!(scene.ran("n4").contains("install"), "{}", scene.ran("n4"));
    await_in_sync(&scene);
}

#[test]
fn a_host_without_the_image_is_named_and_converges_when_it_has_it() {
    let scene = scene();
    let image = rollout::base();
    scene.lab.load(&image, Progress::quiet()).expect("loaded");
    scene.sh("n4", &format!("docker rmi {image}"));
    let begun = scene.careen(&["enforce", "/root/kept", "--image", &image, "--name", "kept", "--yes"]);
    assert_eq!(begun.status, 0, "{begun:?}");
    let without = await_host(&scene, "n4", "told", LONG, |host| {
        host["why"].as_str().is_some_and(|why| why.contains("its engine has no such image"))
    });
    assert_eq!(without["covered"], false, "{without}");
    for node in ["n1", "n2", "n3"] {
        await_host(&scene, node, "in sync", LONG, |host| host["in_sync"] == true);
    }
    assert_eq!(kept(&scene, "n4"), "");

    scene.lab.load(&image, Progress::quiet()).expect("loaded");
    await_host(&scene, "n4", "in sync", LONG, |host| host["in_sync"] == true);
    assert_eq!(kept(&scene, "n4"), "as it should be");
}
