//! Whole rollouts with the `careen` command line on a real swarm: one manager and two workers, a service that runs.
//!
//! Needs what the lab needs, the image careen/installer (`make image`), and `careen` itself (`make build`).

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

use careen_lab::{Docker, Lab, Node, Output, Poll, Progress, Spec, wait_until};
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

const LAB: &str = "rollouts";
const LONG: Duration = Duration::from_secs(300);

/// Each command of the payload says that it ran; `install` fails where it is told to, and replaces the engine's binary.
const COMMAND: &str = r#"#!/bin/sh
mkdir -p /run/careen-test
command=${0##*/}
echo $command >> /run/careen-test/ran
[ $command = install ] || exit 0
[ ! -e /run/careen-test/fail ] || { echo "it does not work here"; exit 7; }
[ -n "$1" ] || { cp -a /usr/sbin/dockerd /usr/sbin/dockerd.new && mv /usr/sbin/dockerd.new /usr/sbin/dockerd; }
"#;

/// The lab, for one test at a time, without a rollout.
struct Scene {
    lab: Lab,
    image: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        static IMAGE: OnceLock<String> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut spec = Spec::new(LAB.parse().expect("a name"));
        (spec.managers, spec.workers) = (Some(1), Some(2));
        let lab = Lab::up(&spec, Progress::quiet()).expect("the lab");
        let image = IMAGE.get_or_init(|| set_up(&lab)).clone();
        let scene = Self { lab, image, _turn: turn };
        scene.clean();
        scene
    }

    fn node(&self, name: &str) -> &Node {
        self.lab.node(name).expect("a node of the lab")
    }

    fn sh(&self, name: &str, script: &str) -> String {
        self.node(name).sh(script).and_then(Output::ok).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `careen` on the manager.
    fn careen(&self, args: &[&str]) -> Output {
        let words = ["careen"].iter().chain(args);
        self.node("n1").exec(words.copied()).expect("exec")
    }

    /// Its answer, as JSON.
    fn json(&self, args: &[&str]) -> Value {
        let output = self.careen(&[args, &["--format", "json"]].concat());
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    fn run(&self, flags: &[&str]) -> Output {
        let fixed = ["run", "--image", &self.image, "--yes", "--monitor", "1s"];
        self.careen(&[&fixed[..], flags].concat())
    }

    fn availability(&self) -> String {
        self.sh("n1", "docker node ls --format '{{.Hostname}} {{.Availability}}' | sort")
    }

    fn ran(&self, name: &str) -> String {
        self.sh(name, "cat /run/careen-test/ran 2>/dev/null || :").replace('\n', " ")
    }

    /// Waits until no rollout is going on; how the last one ended.
    fn await_end(&self) -> Value {
        let ended = wait_until("the rollout is over", LONG, || {
            let status = self.json(&["status"]);
            Ok(match &status["rollout"] {
                Value::Null => Poll::Ready(status["last"].clone()),
                rollout => Poll::Pending(rollout.to_string()),
            })
        });
        ended.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Nothing of a rollout is left in the swarm or on a host but its history.
    fn assert_nothing_is_left(&self) {
        let gone = wait_until("the controller is gone", Duration::from_secs(60), || {
            let services =
                self.sh("n1", "docker service ls --format '{{.Name}}'; docker ps -a --format '{{.Names}}'");
            let left: Vec<_> = services.lines().filter(|name| name.starts_with("careen-")).collect();
            Ok(if left.is_empty() { Poll::Ready(()) } else { Poll::Pending(left.join(" ")) })
        });
        gone.unwrap_or_else(|error| panic!("{error}"));
    }

    fn clean(&self) {
        for node in self.lab.nodes() {
            node.sh("rm -rf /run/careen-test").expect("exec");
            let name = node.name().to_string();
            self.sh("n1", &format!("docker node update --availability active {name}"));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [&["status"][..], &["abort"]] {
                eprintln!("{:?}", self.careen(args));
            }
            let logs = "docker logs $(docker ps -aqf name=careen-controller) 2>&1 | tail -n 40; docker service ls; docker ps -a";
            eprintln!("{:?}", self.node("n1").sh(logs));
        }
    }
}

/// Brings the command line to the manager and the payload to all nodes, and starts a service.
fn set_up(lab: &Lab) -> String {
    let base = std::env::var("CAREEN_TEST_IMAGE").unwrap_or_else(|_| "careen/installer:latest".to_owned());
    let context = tempfile::tempdir().expect("a directory");
    let payload = context.path().join("install");
    std::fs::create_dir(&payload).expect("a directory");
    for command in ["prepare", "install", "verify", "rollback"] {
        let path = payload.join(command);
        std::fs::write(&path, COMMAND).expect("written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, executable).expect("executable");
    }
    let dockerfile = format!("FROM {base}\nCOPY install /install\n");
    std::fs::write(context.path().join("Dockerfile"), dockerfile).expect("written");
    let image = "careen-test:rollouts".to_owned();
    let mut build =
        Docker::local().command(["build", "-q", "-t", &image, &context.path().display().to_string()]);
    let built = build.env("DOCKER_BUILDKIT", "0").output().expect("docker");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    lab.load(&image, Progress::quiet()).expect("loaded");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cli =
        std::env::var_os("CAREEN_TEST_CLI").map_or_else(|| root.join("target/release/careen"), Into::into);
    let n1 = lab.node("n1").expect("n1");
    n1.cp_in(&cli, "/usr/local/bin/careen").expect("'make build' has made careen");
    let web = format!(
        "docker service inspect web >/dev/null 2>&1 || docker service create -d -q --no-resolve-image --name web \
         --replicas 4 --entrypoint '/careen-agent gate' {image}"
    );
    n1.sh(&web).and_then(Output::ok).expect("a service");
    image
}

#[test]
fn a_rollout_restarts_every_engine_and_leaves_the_swarm_as_it_was() {
    let scene = Scene::new();
    let engines = || ["n1", "n2", "n3"].map(|name| scene.sh(name, "cat /run/docker.pid"));
    let before = engines();
    let plan = scene.careen(&["plan", "--image", &scene.image]);
    assert_eq!(plan.status, 0, "{plan:?}");
    assert!(plan.stdout.contains("wave 3") && plan.stdout.contains("n1 (manager"), "{}", plan.stdout);

    let ran = scene.run(&[]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let last = scene.await_end();
    assert_eq!(last["control"]["outcome"], "done", "{last}");
    for (name, (before, after)) in ["n1", "n2", "n3"].iter().zip(before.iter().zip(engines())) {
        assert_ne!(*before, after, "{name} has another engine process");
        assert_eq!(scene.ran(name), "prepare install verify ", "{name}: each command once");
    }
    assert_eq!(scene.availability(), "n1 Active\nn2 Active\nn3 Active\n");
    scene.assert_nothing_is_left();
}

#[test]
fn a_failure_pauses_it_and_retry_goes_on() {
    let scene = Scene::new();
    scene.sh("n3", "mkdir -p /run/careen-test; touch /run/careen-test/fail");
    let paused = scene.run(&["--node", "n2", "--node", "n3", "--canaries", "0", "--", "plain"]);
    assert_eq!(paused.status, 4, "{paused:?}");
    let why = scene.careen(&["why", "n3"]).stdout;
    assert!(why.contains("exit code 7 in the command") && why.contains("careen retry n3"), "{why}");
    assert!(scene.careen(&["logs", "n3"]).stdout.contains("it does not work here"));

    let second = scene.run(&["--node", "n2"]);
    let first = scene.json(&["status"])["rollout"]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(second.status, 6, "{second:?}");
    assert!(second.stderr.contains(&first) && !first.is_empty(), "{first}: {}", second.stderr);

    scene.sh("n3", "rm /run/careen-test/fail");
    let retry = scene.careen(&["retry", "n3"]);
    assert_eq!(retry.status, 0, "{retry:?}");
    let last = scene.await_end();
    assert_eq!(last["control"]["outcome"], "done", "{last}");
    assert_eq!(scene.ran("n2"), "prepare install verify ", "a node that is done is left alone");
    assert_eq!(scene.ran("n3"), "prepare install prepare install verify ");
    assert_eq!(scene.ran("n1"), "");
    scene.assert_nothing_is_left();
}

#[test]
fn an_abort_gives_back_what_it_may_and_names_the_failed_node() {
    let scene = Scene::new();
    scene.sh("n2", "mkdir -p /run/careen-test; touch /run/careen-test/fail");
    let flags = ["--node", "n2", "--node", "n3", "--drain", "always", "--canaries", "0", "--", "plain"];
    assert_eq!(scene.run(&flags).status, 4);
    assert_eq!(scene.availability(), "n1 Active\nn2 Drain\nn3 Active\n", "what failed stays drained");
    let abort = scene.careen(&["abort"]);
    assert_eq!(abort.status, 0, "{abort:?}");
    let last = scene.await_end();
    assert_eq!(last["control"]["outcome"], "aborted", "{last}");
    assert_eq!(scene.availability(), "n1 Active\nn2 Drain\nn3 Active\n");
    assert_eq!(scene.ran("n3"), "", "nothing further began");
    scene.assert_nothing_is_left();
}

#[test]
fn a_wrong_call_changes_nothing() {
    let scene = Scene::new();
    let call = |args: &[&str]| scene.careen(args).status;
    assert_eq!(call(&["run", "--image", &scene.image, "--yes", "--parallelism", "0"]), 2);
    assert_eq!(call(&["run", "--image", &scene.image]), 2, "nobody to ask");
    assert_eq!(call(&["retry", "n9"]), 1, "no rollout to retry in");
    assert_eq!(call(&["--host", "tcp://n1:2375", "status"]), 2);
    assert_eq!(call(&["--host", "unix:///nowhere.sock", "status"]), 7);
    assert_eq!(scene.json(&["status"])["rollout"], Value::Null);
}
