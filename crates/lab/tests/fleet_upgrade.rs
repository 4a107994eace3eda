//! The engines of five hosts go from this release's to the next one's with one `careen run`, submitted on a manager that is
//! itself upgraded: drained, managers one at a time, the leader last, while a service keeps running. Takes the packages
//! from the machine's mirror (`make test-slow`).

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod own_lab;

use careen_lab::{Docker, Output, Progress, while_watching};
use own_lab::OwnLab;
use std::path::Path;

const LAB: &str = "fleet";
const IMAGE: &str = "careen-test:fleet";
const REPLICAS: usize = 6;

const PREPARE: &str = r#"#!/bin/sh
set -e
. /etc/os-release
sed -n "/security/!s/$VERSION_CODENAME/trixie/p" /etc/apt/sources.list > /etc/apt/sources.list.d/next.list
apt-get -q update
apt-get -qq -y --download-only install -t trixie docker.io docker-cli
"#;

const INSTALL: &str = r#"#!/bin/sh
set -e
echo run >> /var/tmp/careen-test-runs
apt-get -qq -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install -t trixie docker.io docker-cli
dockerd --version
"#;

const VERIFY: &str = "#!/bin/sh\ndocker version --format '{{.Server.Version}}' | grep -q '^26'\n";

fn build() {
    let context = tempfile::tempdir().expect("a directory");
    let payload = context.path().join("install");
    std::fs::create_dir(&payload).expect("a directory");
    for (name, script) in [("prepare", PREPARE), ("install", INSTALL), ("verify", VERIFY)] {
        std::fs::write(payload.join(name), script).expect("written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(payload.join(name), executable).expect("executable");
    }
    let base = std::env::var("CAREEN_TEST_IMAGE").unwrap_or_else(|_| "careen/installer:latest".to_owned());
    let dockerfile = format!("FROM {base}\nCOPY install /install\n");
    std::fs::write(context.path().join("Dockerfile"), dockerfile).expect("written");
    let context = context.path().display().to_string();
    let mut build = Docker::local().command(["build", "-q", "-t", IMAGE, &context]);
    let built = build.env("DOCKER_BUILDKIT", "0").output().expect("docker");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

#[test]
#[ignore = "slow, and needs the machine's Debian mirror: make test-slow"]
fn one_careen_run_upgrades_every_engine_while_a_service_keeps_running() {
    let own = OwnLab::up(LAB, 3, 2, Progress::shown());
    let lab = &own.lab;
    build();
    lab.load(IMAGE, Progress::shown()).expect("loaded");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cli =
        std::env::var_os("CAREEN_TEST_CLI").map_or_else(|| root.join("target/release/careen"), Into::into);
    let n1 = lab.node("n1").expect("n1");
    n1.cp_in(&cli, "/usr/local/bin/careen").expect("'make build' has made careen");
    let web = format!(
        "docker service create -q --no-resolve-image --name web --replicas {REPLICAS} --entrypoint '/careen-agent gate' {IMAGE}"
    );
    n1.sh(&web).and_then(Output::ok).expect("a service");
    let plan = n1.exec(["careen", "plan", "--image", IMAGE]).and_then(Output::ok).expect("a plan");
    println!("{plan}");
    assert!(plan.contains("wave 5"), "one node at a time");

    let (ran, seen) = while_watching(lab, "web", REPLICAS, || {
        n1.exec(["careen", "run", "--image", IMAGE, "--yes", "--monitor", "5s"]).expect("exec")
    });
    println!("{}{}\n{seen}", ran.stdout, ran.stderr);
    assert_eq!(ran.status, 0);
    let format = "{{.Hostname}} {{.Availability}} {{.EngineVersion}}";
    let nodes = n1.exec(["docker", "node", "ls", "--format", format]).and_then(Output::ok).expect("nodes");
    println!("{nodes}");
    assert!(nodes.lines().all(|node| node.contains("Active 26.")), "{nodes}");
    for node in lab.nodes() {
        let runs = node.sh("cat /var/tmp/careen-test-runs").and_then(Output::ok).expect("exec");
        assert_eq!(runs, "run\n", "once on {}", node.name());
    }
    assert!(seen.most_managers_down <= 1 && seen.most_drained <= 1, "{seen}");
    // What one node had: at most a third of six on five nodes.
    assert!(seen.least_running >= REPLICAS - REPLICAS / 3, "{seen}");
}
