//! The seed's headline: every engine of a five-host swarm goes to the next Debian release's with one plain
//! `docker service create`, and every host reboots, for the new release's dbus wants that; managers one at a time. Takes the packages from the machine's mirror; run by hand
//! (`make test-slow`).

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod own_lab;

use careen_lab::{Docker, Node, Poll, Progress, wait_until};
use own_lab::OwnLab;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LAB: &str = "upgrade";
const IMAGE: &str = "careen-test:engine-upgrade";

/// The next release's engine, and with it its systemd, on a host of this release.
const INSTALL: &str = r#"#!/bin/sh
set -e
echo run >> /var/tmp/careen-test-runs
. /etc/os-release
sed -n "/security/!s/$VERSION_CODENAME/trixie/p" /etc/apt/sources.list > /etc/apt/sources.list.d/next.list
apt-get -q update
apt-get -qq -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install -t trixie docker.io docker-cli
dockerd --version
"#;

fn build(context: &Path) {
    let base = std::env::var("CAREEN_TEST_IMAGE").unwrap_or_else(|_| "careen/installer:latest".to_owned());
    std::fs::write(context.join("Dockerfile"), format!("FROM {base}\nADD install /install/install\n"))
        .expect("written");
    std::fs::write(context.join("install"), INSTALL).expect("written");
    let mode = Command::new("chmod").arg("755").arg(context.join("install")).status().expect("chmod");
    assert!(mode.success());
    let context = context.display().to_string();
    let mut build = Docker::local().command(["build", "-q", "-t", IMAGE, &context]);
    let output = build.env("DOCKER_BUILDKIT", "0").output().expect("docker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Managers as any manager that answers sees them: `n1 Leader`, `n2 Unreachable`, …
fn managers(nodes: &[Node]) -> Vec<String> {
    let format = "{{.Hostname}} {{.ManagerStatus}}";
    let seen = nodes.iter().take(3).find_map(|node| {
        let output =
            node.api().output(["node", "ls", "--filter", "role=manager", "--format", format]).ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    seen.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Waits until every node is ready and runs another engine than before. A new leader has the others as unknown until
/// they have called, and a node shows its old version for some seconds.
fn await_ready(manager: &Node, count: usize) -> String {
    let format = "{{.Hostname}} {{.Status}} {{.Availability}} {{.EngineVersion}}";
    wait_until("every node ready with the new engine", Duration::from_secs(180), || {
        let nodes = manager.docker(["node", "ls", "--format", format])?;
        let ready = |line: &&str| line.contains(" Ready Active ") && !line.contains("20.10");
        let seen = nodes.stdout.lines().filter(ready).count();
        Ok(if seen == count {
            Poll::Ready(nodes.stdout)
        } else {
            Poll::Pending(nodes.stdout + &nodes.stderr)
        })
    })
    .expect("a swarm of upgraded nodes")
}

#[test]
#[ignore = "slow, and needs the machine's Debian mirror: make test-slow"]
fn one_service_create_upgrades_every_engine() {
    let own = OwnLab::up(LAB, 3, 2, Progress::shown());
    let lab = &own.lab;
    let context = tempfile::tempdir().expect("a directory");
    build(context.path());
    lab.load(IMAGE, Progress::shown()).expect("loaded");
    let n1 = lab.node("n1").expect("n1");
    let create = [
        "service",
        "create",
        "--env",
        "CAREEN_REBOOT=wanted",
        "--detach",
        "--quiet",
        "--name",
        "up",
        "--mode",
        "global",
        "--restart-condition",
        "on-failure",
        "--no-resolve-image",
        "--mount",
        "type=bind,source=/,target=/host",
        IMAGE,
    ];
    n1.docker(create).expect("docker").ok().expect("created");
    let boots: Vec<_> = lab.nodes().iter().map(|node| node.boot_id().expect("exec")).collect();
    let mut most_down = 0;
    wait_until("five complete tasks", Duration::from_secs(600), || {
        let seen = managers(lab.nodes());
        most_down = most_down.max(seen.iter().filter(|manager| manager.ends_with("Unreachable")).count());
        let tasks = n1.api().output(["service", "ps", "--format", "{{.Node}} {{.CurrentState}}", "up"])?;
        let tasks = String::from_utf8_lossy(&tasks.stdout).into_owned();
        let complete = tasks.lines().filter(|line| line.contains("Complete")).count();
        Ok(if complete == 5 { Poll::Ready(()) } else { Poll::Pending(format!("{seen:?}\n{tasks}")) })
    })
    .expect("upgraded");
    assert!(most_down <= 1, "managers went down one at a time");
    println!("{}", await_ready(n1, lab.nodes().len()));
    for (node, boot) in lab.nodes().iter().zip(boots) {
        assert_ne!(node.boot_id().expect("exec"), boot, "{} has rebooted", node.name());
        assert_eq!(
            node.sh("cat /var/tmp/careen-test-runs").expect("exec").stdout,
            "run\n",
            "ran once on {}",
            node.name()
        );
    }
    let logs = n1.docker(["service", "logs", "--raw", "up"]).expect("docker");
    assert!(logs.stdout.matches("Docker version").count() >= 5, "every host's log is whole");
}
