//! The lab of these tests, and what they do to it again and again.

#[path = "../typed/mod.rs"]
mod typed;

use careen_lab::{Docker, Lab, Node, Output, Poll, Progress, Spec, wait_until};
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

pub const LONG: Duration = Duration::from_secs(300);

/// Where the payload says whether the unlock key can be seen anywhere on its host.
pub const SEEN: &str = "/run/careen-test/seen";

/// Each command says that it ran. `install` replaces the engine's binary unless it has an argument. `verify`, on a
/// manager, looks for the unlock key everywhere where everybody may look.
const COMMAND: &str = r#"#!/bin/sh
mkdir -p /run/careen-test
command=${0##*/}
echo $command >> /run/careen-test/ran
case $command in
install)
	[ -n "$1" ] || { cp -a /usr/sbin/dockerd /usr/sbin/dockerd.new && mv /usr/sbin/dockerd.new /usr/sbin/dockerd; } ;;
verify)
	[ "$CAREEN_NODE_ROLE" = manager ] || exit 0
	{
		docker service inspect $(docker service ls -q)
		docker config inspect --pretty $(docker config ls -q)
		docker node inspect $(docker node ls -q)
		for container in $(docker ps -aq); do docker inspect $container; docker logs $container; done
		cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ
		find /var/lib/careen -path /var/lib/careen/backup -prune -o -type f -size -1000k -exec cat {} +
		journalctl --no-pager
	} 2>&1 | grep -ac '[S]WMKEY-1' > /run/careen-test/seen ;; # not to find itself
esac
exit 0
"#;

/// Three managers and a worker (n4), for one test at a time, without a rollout.
pub struct Scene {
    pub lab: Lab,
    pub image: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    pub fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        static IMAGE: OnceLock<String> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let name = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| "preflight".to_owned());
        let mut spec = Spec::new(name.parse().expect("a name"));
        (spec.managers, spec.workers) = (Some(3), Some(1));
        let lab = Lab::up(&spec, Progress::quiet()).expect("the lab");
        let image = IMAGE.get_or_init(|| set_up(&lab)).clone();
        let scene = Self { lab, image, _turn: turn };
        scene.clean();
        scene
    }

    pub fn node(&self, name: &str) -> &Node {
        self.lab.node(name).expect("a node of the lab")
    }

    pub fn sh(&self, name: &str, script: &str) -> String {
        self.node(name).sh(script).and_then(Output::ok).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `careen` on the first manager.
    pub fn careen(&self, args: &[&str]) -> Output {
        self.node("n1").exec(["careen"].iter().chain(args).copied()).expect("exec")
    }

    /// Its answer, as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.careen(&[args, &["--format", "json"]].concat());
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    pub fn run(&self, flags: &[&str]) -> Output {
        self.careen(&[&["run", "--image", &self.image, "--yes", "--monitor", "1s"], flags].concat())
    }

    pub fn ran(&self, name: &str) -> String {
        self.sh(name, "cat /run/careen-test/ran 2>/dev/null || :").replace('\n', " ")
    }

    pub fn availability(&self) -> String {
        self.sh("n1", "docker node ls --format '{{.Hostname}} {{.Availability}}' | sort | tr '\\n' ' '")
    }

    /// Waits until a node is held for this reason; what `why` says of it then.
    pub fn await_hold(&self, name: &str, hold: &str) -> String {
        let held = wait_until(&format!("{name} is held: {hold}"), LONG, || {
            let status = self.json(&["status"]);
            let nodes = status["rollout"]["nodes"].as_array().cloned().unwrap_or_default();
            let node = nodes.iter().find(|node| node["hostname"] == name).cloned().unwrap_or_default();
            let is_it = node["hold"]["hold"] == hold;
            Ok(if is_it { Poll::Ready(()) } else { Poll::Pending(node.to_string()) })
        });
        held.unwrap_or_else(|error| panic!("{error}"));
        // On these scenes a node is held until the test mends it.
        typed::look(&self.json(&["why", name]), name, hold, |node| self.node(node), || true);
        self.careen(&["why", name]).stdout
    }

    /// Waits until no rollout is going on; how the last one ended.
    pub fn await_end(&self) -> String {
        let ended = wait_until("the rollout is over", LONG, || {
            let output = self.careen(&["status", "--format", "json"]);
            let status: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
            Ok(match (&status["rollout"], output.status) {
                (Value::Null, 0) => Poll::Ready(status["last"]["control"]["outcome"].clone()),
                _ => Poll::Pending(output.stdout + &output.stderr),
            })
        });
        ended.unwrap_or_else(|error| panic!("{error}")).as_str().unwrap_or_default().to_owned()
    }

    /// Takes away what a test has put on n4 to be seen as somebody else's, or as an earlier boot's.
    pub fn forget_others(&self) {
        self.sh(
            "n4",
            "rm -f /etc/docker/daemon.json /run/systemd/shutdown/scheduled /run/systemd/inhibit/careen-test \
             /var/lib/docker/careen-boot",
        );
    }

    fn clean(&self) {
        self.forget_others();
        for node in self.lab.nodes() {
            node.sh("rm -rf /run/careen-test /etc/docker/daemon.json").expect("exec");
            self.sh("n1", &format!("docker node update --availability active {}", node.name()));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [&["status"][..], &["why"], &["logs"], &["abort"]] {
                eprintln!("{:?}", self.careen(args));
            }
            eprintln!("{:?}", self.node("n1").sh("docker node ls; docker service ls; docker ps -a"));
        }
    }
}

/// An image of this payload with something in it that no other has; its commands are said to be of this run.
pub fn build(tag: &str) -> String {
    let base = std::env::var("CAREEN_TEST_IMAGE").unwrap_or_else(|_| "careen/installer:latest".to_owned());
    let context = tempfile::tempdir().expect("a directory");
    let payload = context.path().join("install");
    std::fs::create_dir(&payload).expect("a directory");
    for command in ["prepare", "install", "verify"] {
        let path = payload.join(command);
        std::fs::write(&path, format!("{COMMAND}# {tag}\n")).expect("written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, executable).expect("executable");
    }
    std::fs::write(context.path().join("Dockerfile"), format!("FROM {base}\nCOPY install /install\n"))
        .expect("written");
    let image = format!("careen-test:{tag}");
    let context = context.path().display().to_string();
    let mut build = Docker::local().command(["build", "-q", "-t", &image, &context]);
    let built = build.env("DOCKER_BUILDKIT", "0").output().expect("docker");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    image
}

/// Brings the command line to the manager and the payload to all nodes.
fn set_up(lab: &Lab) -> String {
    let image = build("preflight");
    lab.load(&image, Progress::quiet()).expect("loaded");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cli =
        std::env::var_os("CAREEN_TEST_CLI").map_or_else(|| root.join("target/release/careen"), Into::into);
    let n1 = lab.node("n1").expect("n1");
    n1.cp_in(&cli, "/usr/local/bin/careen").expect("'make build' has made careen");
    image
}
