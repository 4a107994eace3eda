//! A scene for tests of whole rollouts: a swarm, `careen` on its managers, a payload that does what it is told to, and a
//! service that runs on.
//!
//! Needs what the lab needs, the image careen/installer (`make image`), and `careen` itself (`make build`);
//! `CAREEN_TEST_IMAGE`, `CAREEN_TEST_CLI` and `CAREEN_TEST_LAB` name others.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]
#![allow(dead_code, reason = "each test program uses its part of it")]

#[path = "../typed/mod.rs"]
mod typed;

use careen_lab::{Docker, Fault, Lab, Node, Output, Poll, Progress, Role, Spec, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// How long a rollout, or one of its steps, may take on a busy machine before a test calls it stuck.
pub const LONG: Duration = Duration::from_secs(300);

/// How many tasks the service has.
pub const REPLICAS: usize = 4;

/// Each command of the payload says that it ran, and waits as long as it is held. `install` fails where it is told to,
/// asks for a reboot once as `reboot`, and replaces the engine's binary unless it is `plain`.
const COMMAND: &str = r#"#!/bin/sh
mkdir -p /run/careen-test
command=${0##*/}
echo $command >> /run/careen-test/ran
if [ -e /run/careen-test/hold-$command ]; then
    printf '%s: go on? ' $command
    while [ -e /run/careen-test/hold-$command ]; do sleep 0.2; done
    echo yes
fi
[ $command = install ] || exit 0
[ ! -e /run/careen-test/fail ] || { echo "it does not work here"; exit 7; }
[ "$1" != reboot ] || { echo "$CAREEN_ATTEMPT $(cat /proc/sys/kernel/random/boot_id)" >> /var/tmp/careen-test-attempts; }
[ "$1" != reboot ] || [ "$CAREEN_ATTEMPT" != 1 ] || exit 194
[ -n "$1" ] || { cp -a /usr/sbin/dockerd /usr/sbin/dockerd.new && mv /usr/sbin/dockerd.new /usr/sbin/dockerd; }
"#;

/// A swarm for one test at a time, without a rollout.
pub struct Scene {
    /// The lab: n1 and on are managers, workers come behind them.
    pub lab: Lab,
    /// The payload's image.
    pub image: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// A test program has one lab; it grows to what the test that wants most needs.
    pub fn new(lab: &str, managers: u8, workers: u8) -> Self {
        let name = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| lab.to_owned());
        let mut spec = Spec::new(name.parse().expect("a name"));
        (spec.managers, spec.workers) = (Some(managers), Some(workers));
        Self::of(&spec)
    }

    /// The same in a lab that is made as it says.
    pub fn of(spec: &Spec) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        static IMAGE: OnceLock<String> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let lab = Lab::up(spec, Progress::quiet()).expect("the lab");
        let image = IMAGE.get_or_init(|| build(&spec.name.to_string())).clone();
        set_up(&lab, &image);
        let scene = Self { lab, image, _turn: turn };
        scene.clean();
        scene
    }

    /// A node of the lab.
    pub fn node(&self, name: &str) -> &Node {
        self.lab.node(name).expect("a node of the lab")
    }

    /// What a script prints there; it must succeed.
    pub fn sh(&self, name: &str, script: &str) -> String {
        self.node(name).sh(script).and_then(Output::ok).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The same with its words trimmed.
    pub fn word(&self, name: &str, script: &str) -> String {
        self.sh(name, script).trim().to_owned()
    }

    pub fn fault(&self, name: &str, fault: Fault) {
        self.node(name).fault(fault).unwrap_or_else(|error| panic!("{error}"));
    }

    /// `careen` on the first manager.
    pub fn careen(&self, args: &[&str]) -> Output {
        self.careen_on("n1", args)
    }

    /// `careen` on this one.
    pub fn careen_on(&self, name: &str, args: &[&str]) -> Output {
        let words = ["careen"].iter().chain(args);
        self.node(name).exec(words.copied()).expect("exec")
    }

    /// The answer of the first manager, as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        self.json_on("n1", args)
    }

    /// This one's.
    pub fn json_on(&self, name: &str, args: &[&str]) -> Value {
        let output = self.careen_on(name, &[args, &["--format", "json"]].concat());
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// `careen run` of the payload. Gaps are allowed: some of these swarms have two nodes, or one.
    pub fn run(&self, flags: &[&str]) -> Output {
        let fixed = ["run", "--image", &self.image, "--yes", "--monitor", "1s", "--allow-gaps"];
        self.careen(&[&fixed[..], flags].concat())
    }

    /// The same without following it: the rollout's id.
    pub fn start(&self, flags: &[&str]) -> String {
        let fixed = ["run", "--image", &self.image, "--yes", "--detach", "--monitor", "1s", "--allow-gaps"];
        let output = self.careen(&[&fixed[..], flags].concat());
        assert_eq!(output.status, 0, "{output:?}");
        // Its controller is on its way, and nobody is told to start one.
        let status = self.careen(&["status"]).stdout;
        assert!(!status.contains("no controller works on it"), "{status}");
        self.json(&["status"])["rollout"]["id"].as_str().expect("a rollout goes on").to_owned()
    }

    /// Each node's availability, a line each.
    pub fn availability(&self) -> String {
        self.sh("n1", "docker node ls --format '{{.Hostname}} {{.Availability}}' | sort")
    }

    /// Whether every node is active.
    pub fn assert_all_active(&self) {
        let seen = self.availability();
        assert!(seen.lines().all(|line| line.ends_with(" Active")), "{seen}");
    }

    /// Which commands ran on a node since the scene was set.
    pub fn ran(&self, name: &str) -> String {
        self.sh(name, "cat /run/careen-test/ran 2>/dev/null || :").replace('\n', " ")
    }

    /// Waits until a command of the payload has begun on a node.
    pub fn await_begun(&self, name: &str, command: &str) {
        let begun = wait_until(&format!("{command} begins on {name}"), LONG, || {
            let ran = self.ran(name);
            let begun = ran.split_whitespace().any(|one| one == command);
            Ok(if begun { Poll::Ready(()) } else { Poll::Pending(ran) })
        });
        begun.unwrap_or_else(|error| panic!("{error}"));
    }

    /// A command of the payload waits on this node, from its beginning until it is let go.
    pub fn hold(&self, name: &str, command: &str) {
        self.sh(name, &format!("mkdir -p /run/careen-test; touch /run/careen-test/hold-{command}"));
    }

    pub fn let_go(&self, name: &str, command: &str) {
        self.sh(name, &format!("rm /run/careen-test/hold-{command}"));
    }

    /// Where a node of the rollout stands, as `careen status` says it.
    pub fn standing(&self, name: &str) -> Value {
        of_node(&self.json(&["status"]), name)
    }

    /// Waits until what careen says of a node is what is wanted; that.
    pub fn await_node(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.await_node_on("n1", name, what, wanted)
    }

    /// The same, where n1 is not the one to ask. A manager that has no leader for a moment is asked again.
    pub fn await_node_on(&self, on: &str, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let seen = wait_until(&format!("{name}: {what}"), LONG, || {
            let output = self.careen_on(on, &["status", "--format", "json"]);
            let status = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
            let node = of_node(&status, name);
            Ok(if wanted(&node) {
                Poll::Ready(node)
            } else {
                Poll::Pending(format!("{node} {}", output.stderr))
            })
        });
        seen.unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn await_state(&self, name: &str, state: &str) -> Value {
        self.await_node(name, state, |node| node["state"] == state)
    }

    pub fn await_hold(&self, name: &str, hold: &str) -> Value {
        let held = self.await_node(name, hold, |node| node["hold"]["hold"] == hold);
        let still = || self.standing(name)["hold"]["hold"] == hold;
        typed::look(&self.json(&["why", name]), name, hold, |node| self.node(node), still);
        held
    }

    /// Waits until it is said of a node at work that its command printed this last.
    pub fn await_printed(&self, name: &str, line: &str) {
        self.await_node(name, line, |node| node["printed"]["line"] == line);
    }

    /// Waits until no rollout is going on; how the last one ended.
    pub fn await_end(&self) -> Value {
        let ended = wait_until("the rollout is over", LONG, || {
            let output = self.careen(&["status", "--format", "json"]);
            let status: Value = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
            Ok(match (&status["rollout"], &status["last"]) {
                (Value::Null, last) if last.is_object() => Poll::Ready(last.clone()),
                (rollout, _) => Poll::Pending(format!("{rollout} {}", output.stderr)),
            })
        });
        ended.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until it is over, and well so.
    pub fn await_done(&self) {
        let last = self.await_end();
        assert_eq!(last["control"]["outcome"], "done", "{last}");
    }

    /// Nothing of a rollout is left in the swarm or on a manager but its history.
    pub fn assert_nothing_is_left(&self) {
        // A controller that dies behind the end is followed by one that waits until the lock is dead, which takes 45 s.
        let gone = wait_until("the controller is gone", Duration::from_secs(180), || {
            let mut names = self.sh("n1", "docker service ls --format '{{.Name}}'");
            names += &self.on_managers("docker ps -a --format '{{.Names}}'");
            let left: Vec<_> = names.lines().filter(|name| name.starts_with("careen-")).collect();
            Ok(if left.is_empty() { Poll::Ready(()) } else { Poll::Pending(left.join(" ")) })
        });
        gone.unwrap_or_else(|error| panic!("{error}"));
    }

    /// On which nodes tasks of the service run, and how many on each.
    pub fn web(&self) -> BTreeMap<String, usize> {
        let running = "docker service ps web -f desired-state=running --format '{{.Node}} {{.CurrentState}}'";
        let mut found = BTreeMap::new();
        for line in self.sh("n1", running).lines() {
            if let Some((node, state)) = line.split_once(' ')
                && state.starts_with("Running")
            {
                *found.entry(node.to_owned()).or_default() += 1;
            }
        }
        found
    }

    /// All of the service's tasks run.
    pub fn await_web(&self) {
        let whole = wait_until("the service is whole", LONG, || {
            let web = self.web();
            let whole = web.values().sum::<usize>() == REPLICAS;
            Ok(if whole { Poll::Ready(()) } else { Poll::Pending(format!("{web:?}")) })
        });
        whole.unwrap_or_else(|error| panic!("{error}"));
    }

    fn managers(&self) -> impl Iterator<Item = &Node> {
        self.lab.nodes().iter().filter(|node| node.role() == Role::Manager)
    }

    /// What a script prints on all managers.
    fn on_managers(&self, script: &str) -> String {
        self.managers().map(|node| self.sh(&node.name().to_string(), script)).collect()
    }

    /// An earlier test may have failed in the middle of anything.
    fn clean(&self) {
        let on_all = |script: &str| {
            for node in self.lab.nodes() {
                node.sh(script).and_then(Output::ok).expect("clean");
            }
        };
        on_all("rm -f /run/careen-test/hold-*");
        if !self.json(&["status"])["rollout"].is_null() {
            self.careen(&["abort"]);
            self.await_end();
        }
        on_all("rm -rf /run/careen-test /var/tmp/careen-test-attempts");
        for node in self.lab.nodes() {
            let name = node.name().to_string();
            self.sh("n1", &format!("docker node update --availability active {name}"));
        }
        self.await_web();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [&["status"][..], &["why"]] {
                eprintln!("{:?}", self.careen(args));
            }
            let logs = "docker logs $(docker ps -aqf name=careen-controller) 2>&1 | tail -n 40; docker ps -a";
            for node in self.managers() {
                eprintln!("{}: {:?}", node.name(), node.sh(logs));
            }
            eprintln!("{:?}", self.node("n1").sh("docker node ls; docker service ls"));
        }
    }
}

/// A node of `careen status --format json`, by its host's name.
pub fn of_node(status: &Value, name: &str) -> Value {
    let nodes = status["rollout"]["nodes"].as_array();
    let found = nodes.into_iter().flatten().find(|node| node["hostname"] == name);
    found.cloned().unwrap_or(Value::Null)
}

/// careen's own image, on the machine's engine.
pub fn base() -> String {
    std::env::var("CAREEN_TEST_IMAGE").unwrap_or_else(|_| "careen/installer:latest".to_owned())
}

/// The payload's image, on the machine's engine.
fn build(lab: &str) -> String {
    let base = base();
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
    let image = format!("careen-test:{lab}");
    let mut build =
        Docker::local().command(["build", "-q", "-t", &image, &context.path().display().to_string()]);
    let built = build.env("DOCKER_BUILDKIT", "0").output().expect("docker");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    image
}

/// The command line as it is built on this machine.
pub fn cli() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("CAREEN_TEST_CLI").map_or_else(|| root.join("target/release/careen"), Into::into)
}

/// Brings the command line to the managers and the payload to all nodes, and starts the service.
fn set_up(lab: &Lab, image: &str) {
    lab.load(image, Progress::quiet()).expect("loaded");
    let cli = cli();
    for node in lab.nodes().iter().filter(|node| node.role() == Role::Manager) {
        node.cp_in(&cli, "/usr/local/bin/careen").expect("'make build' has made careen");
    }
    let web = format!(
        "docker service inspect web >/dev/null 2>&1 || docker service create -d -q --no-resolve-image --name web \
         --replicas {REPLICAS} --entrypoint '/careen-agent gate' {image}"
    );
    lab.node("n1").and_then(|node| node.sh(&web)).and_then(Output::ok).expect("a service");
}
