//! The enforcing agent on real hosts, started with the plain docker CLI: one manager and one worker, a global service, a payload that
//! owns one file and one directory.
//!
//! Needs what the lab needs, and the image careen/installer (`make image`).

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

use careen_lab::{Docker, Fault, Lab, Node, Output, Poll, Progress, Spec, wait_until};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

const NODES: [&str; 2] = ["n1", "n2"];
const SERVICE: &str = "careen-test-enforce";
const OWNED: &str = "/var/tmp/careen-test/app.conf";

/// Long enough for a busy machine; a wait that is over returns at once.
const LONG: Duration = Duration::from_secs(120);

const CHECK: &str = "#!/bin/sh
[ ! -e /run/careen-test-enforce/check-fails ] || { echo 'E: cannot tell'; exit 1; }
cmp -s app.conf /var/tmp/careen-test/app.conf || exit 2
";

const INSTALL: &str = "#!/bin/sh
[ ! -e /run/careen-test-enforce/install-fails ] || { echo 'E: no room'; exit 7; }
while [ -e /run/careen-test-enforce/hold ]; do sleep 0.2; done
mkdir -p /var/tmp/careen-test/app.d
cp app.conf /var/tmp/careen-test/app.conf.new && mv /var/tmp/careen-test/app.conf.new /var/tmp/careen-test/app.conf
echo \"$CAREEN_ENFORCE $*\" >> /var/tmp/careen-test-ran
";

struct Scene {
    lab: Lab,
    image: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// The lab, for one test at a time, with nothing enforced.
    fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        static IMAGE: OnceLock<String> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let name = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| "enforce".to_owned());
        let mut spec = Spec::new(name.parse().expect("a name"));
        (spec.managers, spec.workers) = (Some(1), Some(1));
        let lab = Lab::up(&spec, Progress::quiet()).expect("the lab");
        let image = IMAGE.get_or_init(|| build(&name)).clone();
        lab.load(&image, Progress::quiet()).expect("loaded");
        let scene = Self { lab, image, _turn: turn };
        scene.clean();
        scene
    }

    fn clean(&self) {
        for name in NODES {
            let _ = self.node(name).fault(Fault::FreeDisk);
        }
        let remove = format!(
            "docker service rm {SERVICE} >/dev/null 2>&1; docker node update --availability active n2; :"
        );
        self.sh("n1", &remove);
        for name in NODES {
            let gone = wait_until("no agent enforces anything", LONG, || {
                let left = self.node(name).sh(&format!("docker ps -aq --filter name={SERVICE}"))?.stdout;
                Ok(if left.trim().is_empty() { Poll::Ready(()) } else { Poll::Pending(left) })
            });
            gone.unwrap_or_else(|error| panic!("{error}"));
            self.sh(
                name,
                "rm -rf /run/careen-test-enforce /var/tmp/careen-test /var/tmp/careen-test-ran /var/lib/careen/enforce \
                 /var/lib/careen/transactions/e-app-*; mkdir -p /run/careen-test-enforce",
            );
        }
    }

    fn node(&self, name: &str) -> &Node {
        self.lab.node(name).expect("a node of the lab")
    }

    fn sh(&self, name: &str, script: &str) -> String {
        self.node(name).sh(script).and_then(Output::ok).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The service that an operator would create.
    fn enforce(&self, interval: &str) {
        let owns = format!("[\"{OWNED}\",\"/var/tmp/careen-test/app.d/\"]");
        self.sh(
            "n1",
            &format!(
                "docker service create -d -q --no-resolve-image --name {SERVICE} --mode global --restart-condition any \
                 --restart-delay 2s --mount type=bind,source=/,target=/host --entrypoint '/careen-agent enforce' \
                 -e CAREEN_ENFORCE=app -e CAREEN_ENFORCE_VERSION=1 -e CAREEN_ENFORCE_INTERVAL={interval} \
                 -e CAREEN_ENFORCE_OWNS='{owns}' -e CAREEN_REBOOT=never -e CAREEN_ENGINE_RESTART=never {} --some argument",
                self.image
            ),
        );
    }

    /// Everything that the newest agent on a host has said of it.
    fn said(&self, name: &str) -> Vec<Value> {
        let script = format!(
            "id=$(docker ps -aq --filter name={SERVICE} | head -n1); [ -z \"$id\" ] || docker logs $id 2>&1"
        );
        let log = self.node(name).sh(&script).map(|output| output.stdout).unwrap_or_default();
        let lines = log.lines().filter_map(|line| line.strip_prefix("careen-report "));
        lines.filter_map(|json| serde_json::from_str(json).ok()).collect()
    }

    /// Waits until the last word about a host is as wanted; that.
    #[track_caller]
    fn await_said(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = wait_until(&format!("{name}: {what}"), LONG, || {
            let last = self.said(name).pop().unwrap_or(Value::Null);
            Ok(if wanted(&last) { Poll::Ready(last) } else { Poll::Pending(last.to_string()) })
        });
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn await_state(&self, name: &str, state: &str) -> Value {
        self.await_said(name, state, |said| said["state"] == state)
    }

    /// Until the owned file is as it should be again.
    #[track_caller]
    fn await_mended(&self, name: &str) {
        let mended = wait_until("the file is as it should be", LONG, || {
            let found = self.node(name).sh(&format!("cat {OWNED}"))?.stdout;
            Ok(if found == "as it should be\n" { Poll::Ready(()) } else { Poll::Pending(found) })
        });
        mended.unwrap_or_else(|error| panic!("{error}"));
    }

    fn drift(&self, name: &str) {
        self.sh(name, &format!("echo otherwise > {OWNED}"));
    }

    fn transactions(&self, name: &str) -> Vec<String> {
        let list = "ls /var/lib/careen/transactions 2>/dev/null | grep ^e-app- || :";
        self.sh(name, list).lines().map(str::to_owned).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in NODES {
                eprintln!("{name}: {:#?}", self.said(name));
            }
        }
        self.clean();
    }
}

fn build(lab: &str) -> String {
    let base = std::env::var("CAREEN_TEST_IMAGE").unwrap_or_else(|_| "careen/installer:latest".to_owned());
    let context = tempfile::tempdir().expect("a directory");
    let payload = context.path().join("install");
    std::fs::create_dir(&payload).expect("a directory");
    for (name, text) in [("check", CHECK), ("install", INSTALL), ("app.conf", "as it should be\n")] {
        write(&payload.join(name), text);
    }
    std::fs::write(context.path().join("Dockerfile"), format!("FROM {base}\nCOPY install /install\n"))
        .expect("the Dockerfile is written");
    let image = format!("careen-test:{lab}");
    let mut build =
        Docker::local().command(["build", "-q", "-t", &image, &context.path().display().to_string()]);
    let built = build.env("DOCKER_BUILDKIT", "0").output().expect("docker");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    image
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file of the payload");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
}

#[test]
fn a_version_comes_to_each_host_and_drift_by_hand_is_mended_in_seconds() {
    let scene = Scene::new();
    scene.enforce("30m");
    for name in NODES {
        let said = scene.await_state(name, "in-sync");
        assert_eq!((&said["last"]["corrective"], &said["mended"]), (&false.into(), &0.into()), "{said}");
        assert_eq!(said["watch"]["kind"], "watched", "{said}");
        assert_eq!(scene.sh(name, "cat /var/tmp/careen-test-ran"), "app --some argument\n");
    }
    for (number, act) in ["echo otherwise > app.conf", "rm app.conf"].iter().enumerate() {
        let began = Instant::now();
        scene.sh("n2", &format!("cd /var/tmp/careen-test && {act}"));
        scene.await_mended("n2");
        assert!(began.elapsed() < Duration::from_secs(20), "{act}: {:?}", began.elapsed());
        let said =
            scene.await_said("n2", act, |said| said["state"] == "in-sync" && said["mended"] == number + 1);
        assert_eq!((&said["last"]["corrective"], &said["last"]["exit"]), (&true.into(), &0.into()), "{said}");
    }
    // Another drift than these two is mended, whoever was here before.
    scene.sh("n1", &format!("docker service update -d -q --env-add CAREEN_RUN=again {SERVICE}"));
    scene.await_said("n2", "the next agent looks", |said| said["state"] == "in-sync" && said["mended"] == 2);
    scene.sh("n2", "rm -r /var/tmp/careen-test");
    scene.await_mended("n2");
    scene.await_state("n1", "in-sync");
    assert_eq!(
        scene.said("n1").len(),
        2,
        "nothing is said of a host that is as it was: {:?}",
        scene.said("n1")
    );
}

#[test]
fn a_look_at_a_host_that_is_in_sync_leaves_nothing_and_costs_little() {
    let scene = Scene::new();
    scene.enforce("3s");
    scene.await_state("n2", "in-sync");
    let before = scene.transactions("n2");
    assert_eq!(before.len(), 1, "the version that came: {before:?}");
    let usage = "pid=$(docker inspect -f '{{.State.Pid}}' $(docker ps -q --filter name=careen-test-enforce)); \
                 echo $(ls /proc/$pid/fd | wc -l) $(awk '/^VmRSS/ { print $2 }' /proc/$pid/status)";
    let numbers = || -> Vec<u64> {
        scene.sh("n2", usage).split_whitespace().map(|word| word.parse().expect("a number")).collect()
    };
    let first = numbers();
    // Some looks later.
    scene.sh("n2", "sleep 20");
    let later = numbers();
    assert!(later[0] <= first[0] + 2, "descriptors: {first:?}, {later:?}");
    assert!(later[1] <= 16 * 1024, "it takes {} KiB", later[1]);
    let open = "for id in $(ls /var/lib/careen/transactions | grep ^e-app-); do grep -q '\"closed\"' \
                /var/lib/careen/transactions/$id/journal.jsonl && echo $id; done; :";
    let closed = scene.sh("n2", open);
    assert!(closed.lines().count() <= 2, "one that is being looked with at most: {closed}");
    assert_eq!(scene.said("n2").len(), 3, "{:?}", scene.said("n2"));
}

#[test]
fn the_third_time_the_same_drift_is_left_and_said() {
    let scene = Scene::new();
    scene.enforce("30m");
    scene.await_state("n2", "in-sync");
    for number in 1..=2 {
        scene.drift("n2");
        scene.await_said("n2", "mended", |said| said["state"] == "in-sync" && said["mended"] == number);
    }
    scene.drift("n2");
    let said = scene.await_state("n2", "gave-up");
    let why = said["why"].as_str().unwrap_or_default();
    assert!(why.contains(OWNED) && why.contains("CAREEN_RUN"), "{said}");
    assert_eq!(scene.sh("n2", &format!("cat {OWNED}")), "otherwise\n");
    // The next container on this host knows it, too.
    scene.sh("n2", "docker kill $(docker ps -q --filter name=careen-test-enforce)");
    scene.await_said("n2", "the next agent", |said| said["state"] == "gave-up");
    // Somebody mends it by hand: from then on it is enforced again.
    scene.sh("n2", &format!("echo 'as it should be' > {OWNED}"));
    scene.await_state("n2", "in-sync");
    scene.drift("n2");
    scene.await_mended("n2");
}

#[test]
fn a_command_that_fails_is_said_with_its_last_lines() {
    let scene = Scene::new();
    scene.sh("n2", "touch /run/careen-test-enforce/install-fails");
    scene.enforce("30m");
    let said = scene.await_state("n2", "failing");
    assert_eq!(
        (&said["last"]["exit"], &said["last"]["lines"][0]),
        (&7.into(), &"E: no room".into()),
        "{said}"
    );
    scene.sh("n2", "rm /run/careen-test-enforce/install-fails");
    scene.await_state("n2", "in-sync");
    scene.sh("n2", "touch /run/careen-test-enforce/check-fails");
    scene.drift("n2");
    let said = scene.await_state("n2", "unknown");
    assert!(said["why"].as_str().is_some_and(|why| why.contains("E: cannot tell")), "{said}");
    scene.sh("n2", "rm /run/careen-test-enforce/check-fails");
    scene.await_mended("n2");
}

#[test]
fn an_engine_that_is_restarted_under_it_costs_nothing() {
    let scene = Scene::new();
    scene.enforce("30m");
    scene.await_state("n2", "in-sync");
    // In the middle of an install, which goes on without the agent and is not begun again.
    scene.sh("n2", "touch /run/careen-test-enforce/hold");
    scene.drift("n2");
    scene.await_state("n2", "mending");
    let ran = "wc -l < /var/tmp/careen-test-ran";
    let before = scene.sh("n2", ran);
    scene.sh("n2", "systemctl restart docker");
    scene.await_said("n2", "the next agent follows it", |said| said["state"] == "mending");
    scene.sh("n2", "rm /run/careen-test-enforce/hold");
    let said = scene.await_said("n2", "mended", |said| said["state"] == "in-sync" && said["mended"] == 1);
    assert_eq!(said["last"]["corrective"], true, "{said}");
    let after: u32 = scene.sh("n2", ran).trim().parse().expect("a number");
    assert_eq!(after, before.trim().parse::<u32>().expect("a number") + 1, "once");
}

#[test]
fn a_host_that_another_transaction_has_is_waited_for() {
    let scene = Scene::new();
    scene.enforce("30m");
    scene.await_state("n2", "in-sync");
    scene.sh("n2", "touch /run/careen-test-enforce/hold");
    let other = format!(
        "docker run -d --name careen-test-other -v /:/host -e CAREEN_TRANSACTION=other {} install",
        scene.image
    );
    scene.sh("n2", &other);
    let held = wait_until("the other one has the host", LONG, || {
        let list = scene.node("n2").sh("careen-agent list | grep ^other")?.stdout;
        Ok(if list.contains("running") { Poll::Ready(()) } else { Poll::Pending(list) })
    });
    held.unwrap_or_else(|error| panic!("{error}"));
    scene.drift("n2");
    let said = scene.await_state("n2", "host-busy");
    assert!(said["why"].as_str().is_some_and(|why| why.contains("other")), "{said}");
    scene.sh("n2", "rm /run/careen-test-enforce/hold");
    scene.await_state("n2", "in-sync");
    scene.sh("n2", "docker rm -f careen-test-other; rm -rf /var/lib/careen/transactions/other");
}

#[test]
fn a_full_disk_is_said_and_does_no_harm() {
    let scene = Scene::new();
    scene.enforce("30m");
    scene.await_state("n2", "in-sync");
    scene.node("n2").fault(Fault::FillDisk).unwrap_or_else(|error| panic!("{error}"));
    scene.drift("n2");
    let said = scene.await_state("n2", "unknown");
    assert!(said["why"].as_str().is_some_and(|why| why.contains("full") || why.contains("space")), "{said}");
    scene.node("n2").fault(Fault::FreeDisk).unwrap_or_else(|error| panic!("{error}"));
    scene.await_mended("n2");
    scene.await_state("n2", "in-sync");
}

#[test]
fn a_paused_node_keeps_its_agent() {
    let scene = Scene::new();
    scene.enforce("30m");
    scene.await_state("n2", "in-sync");
    scene.sh("n1", "docker node update --availability pause n2");
    scene.drift("n2");
    scene.await_mended("n2");
}

#[test]
fn what_a_host_remembers_and_cannot_be_read_keeps_it_from_being_mended() {
    let scene = Scene::new();
    scene.enforce("30m");
    scene.await_state("n2", "in-sync");
    scene.sh("n2", "echo '{' > /var/lib/careen/enforce/app.json; docker kill $(docker ps -q --filter name=careen-test-enforce)");
    let said = scene.await_state("n2", "unknown");
    let why = said["why"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("rm /var/lib/careen/enforce/app.json"), "{said}");
    scene.drift("n2");
    scene.sh("n2", "rm /var/lib/careen/enforce/app.json");
    scene.await_mended("n2");
}
