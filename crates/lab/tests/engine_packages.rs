//! Engines from packages that restart them in the middle of an apt run, as Docker's own do, on a swarm of three managers
//! (`make test-slow`). The agent's container dies with its engine while the command runs.
//!
//! `CAREEN_TEST_LAB` is the beginning of the labs' names.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod rollout;

use careen_lab::{Output, Poll, Seen, Spec, wait_until, while_watching};
use rollout::{LONG, REPLICAS, Scene};

const MANAGERS: [&str; 3] = ["n1", "n2", "n3"];

const ARCHIVE: &str =
    concat!(include_str!("upgrade/archive.sh"), include_str!("engine_packages/docker-ce.sh"));

fn scene(suffix: &str, managers: u8, workers: u8) -> Scene {
    let base = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| "engines".to_owned());
    let mut spec = Spec::new(format!("{base}{suffix}").parse().expect("a name"));
    (spec.managers, spec.workers) = (Some(managers), Some(workers));
    Scene::of(&spec)
}

/// Every manager takes part, and every node is ready.
fn await_whole_swarm(scene: &Scene) {
    let format = "docker node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'";
    let whole = wait_until("every node is ready", LONG, || {
        let output = scene.node("n1").sh(format)?;
        let well = |line: &str| line.contains(" Ready") && !line.contains("Unreachable");
        let all = output.status == 0 && output.stdout.lines().all(well);
        Ok(if all { Poll::Ready(()) } else { Poll::Pending(output.stdout + &output.stderr) })
    });
    whole.unwrap_or_else(|error| panic!("{error}"));
    scene.await_web();
}

/// Swarm moves no task back to a node that was away: after that one node may have all of them, and its drain would take the
/// whole service away for a moment.
fn spread(scene: &Scene) {
    scene.sh("n1", "docker service scale -d web=0");
    let gone = wait_until("no task of the service runs", LONG, || {
        let web = scene.web();
        Ok(if web.is_empty() { Poll::Ready(()) } else { Poll::Pending(format!("{web:?}")) })
    });
    gone.unwrap_or_else(|error| panic!("{error}"));
    scene.sh("n1", &format!("docker service scale -d web={REPLICAS}"));
    scene.await_web();
}

/// Docker's packages instead of Debian's, one host after the other.
fn become_docker_ce(scene: &Scene, versions: [&str; 3]) {
    for (node, version) in MANAGERS.into_iter().zip(versions) {
        scene.sh(node, &format!("{ARCHIVE}\nbecome {version}"));
        await_whole_swarm(scene);
    }
}

/// What dpkg has done to a package since the scene was set: `upgrade docker-ce:amd64 1.0 2.0`.
fn upgrades(scene: &Scene, node: &str, package: &str) -> Vec<String> {
    let log = scene.sh(node, &format!("grep -o ' upgrade {package}:.*' /var/log/dpkg.log || :"));
    log.lines().map(|line| line.trim().to_owned()).collect()
}

fn engine(scene: &Scene, node: &str) -> String {
    scene.word(node, "cat /run/docker.pid")
}

fn assert_never_below_the_quorum(seen: &Seen) {
    assert!(seen.most_managers_down <= 1 && seen.most_drained <= 1 && seen.most_down <= 1, "{seen}");
    assert!(seen.least_running >= REPLICAS / 2, "{seen}");
}

fn assert_nothing_is_left(scene: &Scene) {
    scene.assert_all_active();
    scene.assert_nothing_is_left();
    for node in MANAGERS {
        let left = scene.sh(node, "ls -A /var/cache/careen /etc/apt/preferences.d 2>/dev/null; docker config ls --format '{{.Name}}' | grep engine-restart; docker ps -aq -f label=careen.role; careen-agent list | grep -v 'exited with status 0' || :");
        assert_eq!(left.trim(), "/etc/apt/preferences.d:", "{node}");
    }
}

#[test]
#[ignore = "slow: three engines upgraded, and restarted by their packages; tools/slow-test"]
fn packages_that_restart_the_engine_in_the_middle_are_upgraded_one_host_at_a_time() {
    let scene = scene("", 3, 0);
    // 1.0 stops the engine before anything is unpacked, 1.1 restarts it when all is configured.
    become_docker_ce(&scene, ["1.1", "1.0", "1.1"]);
    spread(&scene);
    let before = MANAGERS.map(|node| engine(&scene, node));
    let (ran, seen) = while_watching(&scene.lab, "web", REPLICAS, || {
        let flags =
            ["upgrade", "--engine", "--image", &scene.image, "--yes", "--monitor", "3s", "--canaries", "0"];
        let ran = scene.careen(&flags);
        scene.await_done();
        ran
    });
    println!("{}{}\n{seen}", ran.stdout, ran.stderr);
    println!("{}", scene.careen(&["status"]).stdout);
    for (node, before) in MANAGERS.into_iter().zip(before) {
        println!("{node}: {}", scene.sh(node, "careen-agent list | tail -n 3"));
        let docker = upgrades(&scene, node, "docker-ce");
        assert_eq!(docker.len(), 1, "{node}: once: {docker:?}");
        assert_eq!(upgrades(&scene, node, "containerd.io").len(), 1, "{node}: once");
        assert_ne!(engine(&scene, node), before, "{node} has another engine process");
    }
    for node in scene.json(&["status"])["last"]["nodes"].as_array().into_iter().flatten() {
        let record = node["record"].as_str().unwrap_or_default();
        let changed = |line: &str| line.trim().starts_with("docker-ce 1.") && line.ends_with(" → 2.0");
        assert!(record.lines().any(changed) && record.contains("containerd.io 1.0 → 2.0"), "{node}");
    }
    assert_never_below_the_quorum(&seen);
    assert_nothing_is_left(&scene);
    await_whole_swarm(&scene);
}

/// Upgrades packages that restart the engine, without a `prepare` that would say so.
const UNANNOUNCED: &str = r#"#!/bin/sh
set -e
echo install >>/run/careen-test/ran
docker config ls --format '{{.Name}}' >/run/careen-test/configs
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install careen-test-docker-ce=2.0 careen-test-containerd-io=2.0
"#;

#[test]
#[ignore = "slow: three engines restarted by packages; tools/slow-test"]
fn a_command_that_restarts_the_engine_unannounced_does_so_on_one_manager_at_a_time() {
    let scene = scene("", 3, 0);
    for node in MANAGERS {
        let old = "mkdir -p /run/careen-test
                   echo 'deb [trusted=yes] file:/srv/careen-lab/apt ./' >/etc/apt/sources.list.d/careen-lab.list
                   apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --allow-downgrades install \
                   careen-test-docker-ce=1.0 careen-test-containerd-io=1.0 >/dev/null; : >/var/log/dpkg.log";
        scene.sh(node, old);
        await_whole_swarm(&scene);
    }
    scene.sh("n1", &format!("cat >/root/unannounced <<'end'\n{UNANNOUNCED}end\nchmod 755 /root/unannounced"));
    spread(&scene);
    let before = MANAGERS.map(|node| engine(&scene, node));
    let (ran, seen) = while_watching(&scene.lab, "web", REPLICAS, || {
        let flags =
            ["run", "--script", "/root/unannounced", "--image", &scene.image, "--yes", "--monitor", "3s"];
        let ran = scene.careen(&flags);
        scene.await_done();
        ran
    });
    println!("{}{}\n{seen}", ran.stdout, ran.stderr);
    assert_eq!(ran.status, 0, "followed to its end");
    for (node, before) in MANAGERS.into_iter().zip(before) {
        assert_eq!(scene.ran(node), "prepare install verify ", "{node}: each command once");
        assert_eq!(upgrades(&scene, node, "careen-test-docker-ce").len(), 1, "{node}: once");
        assert_ne!(engine(&scene, node), before, "{node} has another engine process");
        let configs = scene.sh(node, "cat /run/careen-test/configs");
        assert!(
            configs.contains("careen.engine-restart"),
            "{node}: no other manager may do so meanwhile: {configs}"
        );
    }
    assert_never_below_the_quorum(&seen);
    scene.assert_all_active();
    scene.assert_nothing_is_left();
}

/// Debian unstable's engine, laid over the next release's, from the machine's mirror.
const NEWEST: &str = r#"set -e
. /etc/os-release
export DEBIAN_FRONTEND=noninteractive
for suite in trixie sid; do
	sed -n "/security/!s/$VERSION_CODENAME/$suite/p" /etc/apt/sources.list >/etc/apt/sources.list.d/$suite.list
	apt-get -q update
	apt-get -qq -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install -t $suite docker.io docker-cli
done
systemctl restart docker
"#;

/// The engine of this node is the newest one, those of the others are the release's.
fn with_the_newest(scene: &Scene, node: &str) {
    let version = "docker version -f '{{.Server.Version}}'";
    if !scene.word(node, version).starts_with("28.") {
        println!("{}", scene.node(node).sh(NEWEST).and_then(Output::ok).expect("the newest engine"));
    }
    let seen = scene.word(node, version);
    assert!(seen.starts_with("28."), "{node} has {seen}");
    await_whole_swarm(scene);
    println!("{}", scene.sh("n1", "docker node ls"));
}

fn every_engine_is_restarted_once(scene: &Scene) {
    let nodes: Vec<String> = scene.lab.nodes().iter().map(|node| node.name().to_string()).collect();
    spread(scene);
    let before: Vec<String> = nodes.iter().map(|node| engine(scene, node)).collect();
    let (ran, seen) = while_watching(&scene.lab, "web", REPLICAS, || {
        let ran = scene.run(&[]);
        scene.await_done();
        ran
    });
    println!("{}{}\n{seen}", ran.stdout, ran.stderr);
    for (node, before) in nodes.iter().zip(before) {
        assert_ne!(engine(scene, node), before, "{node} has another engine process");
        assert_eq!(scene.ran(node), "prepare install verify ", "{node}: each command once");
    }
    assert_never_below_the_quorum(&seen);
    scene.assert_all_active();
    scene.assert_nothing_is_left();
}

#[test]
#[ignore = "slow, and needs the machine's Debian mirror; tools/slow-test"]
fn one_of_three_managers_has_the_newest_engine() {
    let scene = scene("-newest", 3, 0);
    with_the_newest(&scene, "n2");
    every_engine_is_restarted_once(&scene);
}

#[test]
#[ignore = "slow, and needs the machine's Debian mirror; tools/slow-test"]
fn a_worker_has_the_newest_engine_and_the_manager_an_old_one() {
    // With two hosts, one of them drained, the other would have the whole service.
    let scene = scene("-old", 1, 2);
    with_the_newest(&scene, "n2");
    every_engine_is_restarted_once(&scene);
}
