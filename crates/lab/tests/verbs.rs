//! The real binary with real labs: every verb, every fault, and being killed half way.
//!
//! Needs what the lab needs: root, Debian, a mirror. The labs are this file's own and are taken down also when a
//! test fails.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use careen_lab::{Docker, Fault, Lab, Node, Poll, wait_until};
use serde_json::Value;

const LAB: &str = "verbs";
const KILLED_LAB: &str = "verbs-killed";

/// Takes the lab down at the start, where an earlier run left one, and at the end.
struct TornDown(&'static str);

impl TornDown {
    fn new(name: &'static str) -> TornDown {
        ok(careen_lab(name, &["down"]));
        TornDown(name)
    }
}

impl Drop for TornDown {
    fn drop(&mut self) {
        let output = careen_lab(self.0, &["down"]);
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn command(lab: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_careen-lab"));
    command.args(["--name", lab]).args(words).stdin(Stdio::null());
    command
}

fn careen_lab(lab: &str, words: &[&str]) -> Output {
    command(lab, words).output().unwrap()
}

fn ok(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}: {}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn node(name: &str) -> Node {
    Lab::open(&LAB.parse().unwrap()).unwrap().node(name).unwrap().clone()
}

fn fault(words: &[&str]) {
    ok(careen_lab(LAB, &[&["fault"], words].concat()));
}

fn status() -> Value {
    serde_json::from_str(&ok(careen_lab(LAB, &["status", "--format", "json"]))).unwrap()
}

/// Ids of what carries the lab's label: containers, networks, volumes.
fn made(lab: &str) -> [Vec<String>; 3] {
    let filter = format!("label=careen.lab={lab}");
    [&["ps", "--all", "--no-trunc"][..], &["network", "ls", "--no-trunc"], &["volume", "ls"]].map(|list| {
        Docker::local().lines(list.iter().copied().chain(["--quiet", "--filter", &filter])).unwrap()
    })
}

fn eventually(what: &str, mut probe: impl FnMut() -> Result<(), String>) {
    wait_until(what, Duration::from_secs(60), || {
        Ok(match probe() {
            Ok(()) => Poll::Ready(()),
            Err(seen) => Poll::Pending(seen),
        })
    })
    .unwrap();
}

/// One lab for all of them, one after the other: a lab of its own for each would cost more than it shows.
#[test]
fn verbs() {
    let _torn_down = TornDown::new(LAB);
    let steps: [(&str, fn()); 15] = [
        ("up twice changes nothing", up_twice_changes_nothing),
        ("status as json", status_as_json),
        ("up grows and does not shrink", up_does_not_shrink),
        ("exec passes everything through", exec_passes_everything_through),
        ("cp goes both ways", cp_goes_both_ways),
        ("env and the api", env_and_the_api),
        ("unknown names are errors that help", unknown_names_are_errors_that_help),
        ("the test repository works without a mirror", the_test_repository_works_without_a_mirror),
        ("dpkg lock", dpkg_lock),
        ("full disk", full_disk),
        ("freeze and thaw", freeze_and_thaw),
        ("partition and heal", partition_and_heal),
        ("engine faults", engine_faults),
        ("a reboot shows a fresh boot id", a_reboot_shows_a_fresh_boot_id),
        ("a power cut, and up mends everything", a_power_cut_and_up_mends_everything),
    ];
    for (name, step) in steps {
        eprintln!("--- {name}");
        step();
    }
}

fn up_twice_changes_nothing() {
    let up = ["up", "--managers", "1", "--workers", "1"];
    ok(careen_lab(LAB, &up));
    let before = made(LAB);
    assert_eq!([before[0].len(), before[1].len()], [2, 1], "{before:?}");
    ok(careen_lab(LAB, &up));
    ok(careen_lab(LAB, &["up"]));
    assert_eq!(made(LAB), before);
}

fn status_as_json() {
    let status = status();
    assert_eq!(status["name"], LAB);
    let nodes = status["nodes"].as_array().unwrap();
    let of = |field: &str| nodes.iter().map(|node| node[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["n1", "n2"]);
    assert_eq!(of("kind"), ["container", "container"]);
    assert_eq!(of("role"), ["manager", "worker"]);
    assert_eq!(of("power"), ["on", "on"]);
    assert_eq!(of("status"), ["ready", "ready"]);
    assert_eq!(of("availability"), ["active", "active"]);
    assert_eq!(of("reachability"), [Value::from("reachable"), Value::Null]);
    assert_eq!(of("leader"), [true, false]);
    assert_ne!(nodes[0]["boot_id"], nodes[1]["boot_id"]);
    assert!(nodes[0]["engine_version"].is_string());
}

fn up_does_not_shrink() {
    let output = careen_lab(LAB, &["up", "--workers", "0"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cargo lab down --name verbs"), "{said}");
    assert_eq!(made(LAB)[0].len(), 2);
}

fn exec_passes_everything_through() {
    let script = r#"printf '<%s>' "$@"; echo err >&2; exit 37"#;
    let output = careen_lab(
        LAB,
        &["exec", "n1", "--", "sh", "-c", script, "sh", "a b", "it's", "\"q\"", "", "--name"],
    );
    assert_eq!(output.status.code(), Some(37));
    assert_eq!(String::from_utf8_lossy(&output.stdout), r#"<a b><it's><"q"><><--name>"#);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");

    let mut cat = command(LAB, &["exec", "n2", "--", "sh", "-c", "hostname; cat"]);
    let input = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(input.path(), b"in\xff\0put").unwrap();
    let output = cat.stdin(std::fs::File::open(input.path()).unwrap()).output().unwrap();
    assert_eq!(output.stdout, b"n2\nin\xff\0put");
}

fn cp_goes_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    std::fs::create_dir(path("a dir")).unwrap();
    std::fs::write(path("a dir/it's"), "text").unwrap();
    // /tmp is a tmpfs in a node, where docker cp would write below the mount.
    for target in ["/tmp/copied", "/root/copied"] {
        ok(careen_lab(LAB, &["cp", &path("a dir"), &format!("n1:{target}")]));
        assert_eq!(node("n1").sh(&format!("cat {target}/it\\'s")).unwrap().ok().unwrap(), "text");
        ok(careen_lab(LAB, &["cp", &format!("n1:{target}/it's"), &path("back")]));
        assert_eq!(std::fs::read_to_string(path("back")).unwrap(), "text");
    }
    let neither = careen_lab(LAB, &["cp", &path("back"), &path("other")]);
    assert!(String::from_utf8_lossy(&neither.stderr).contains("must be NODE:PATH"));
}

fn env_and_the_api() {
    let script = r#"eval "$("$0" --name verbs env)" && docker node ls --format '{{.Hostname}}' | sort"#;
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", script, env!("CARGO_BIN_EXE_careen-lab")]).output().unwrap();
    assert_eq!(ok(output), "n1\nn2\n");
    // An image made of the node's own shell. The sending side of a connection closes long before the answer ends.
    let make = "cd \"$(mktemp -d)\" && for file in /bin/sh /bin/sleep $(ldd /bin/sh /bin/sleep | grep -o '/[^ :]*'); \
                do cp -L --parents $file .; done && tar -c . | docker import - tiny";
    node("n1").sh(make).unwrap().ok().unwrap();
    let api = node("n1").api();
    let long = "run --rm --interactive --network=host tiny sh -c";
    let script = r#"while read -r line; do last=$line; done; sleep 1; echo "got $last""#;
    let numbers: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let input = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(input.path(), numbers).unwrap();
    let mut run = api.without_limit().command(long.split(' ').chain([script]));
    assert_eq!(ok(run.stdin(std::fs::File::open(input.path()).unwrap()).output().unwrap()), "got 19999\n");
}

fn unknown_names_are_errors_that_help() {
    for (lab, words, helps) in [
        (LAB, &["exec", "n9", "--", "true"][..], "its nodes are n1, n2"),
        (LAB, &["fault", "freeze", "x"], "has no node x"),
        ("verbs-no-such", &["status"], "cargo lab up --name verbs-no-such"),
        ("Bad Name", &["status"], "lower-case letters"),
        (LAB, &["load", "no-such-image:1"], "has no image no-such-image:1"),
    ] {
        let output = careen_lab(lab, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(helps), "{words:?}: {said}");
    }
}

fn the_test_repository_works_without_a_mirror() {
    let node = node("n2");
    assert_eq!(node.exec(["careen-test-hello"]).unwrap().ok().unwrap(), "1.0\n");
    let local = "-o Dir::Etc::sourcelist=/etc/apt/sources.list.d/careen-lab.list -o Dir::Etc::sourceparts=-";
    let update = node.sh(&format!("apt-get update {local}")).unwrap();
    assert_eq!((update.status, update.stderr.as_str()), (0, ""), "{}", update.stdout);
    let install = |packages: &str| node.sh(&format!("apt-get install -q -y {packages}")).unwrap();
    let upgraded = install("careen-test-hello careen-test-reboot");
    assert_eq!((upgraded.status, upgraded.stderr.contains("W:")), (0, false), "{}", upgraded.stderr);
    assert_eq!(node.exec(["careen-test-hello"]).unwrap().ok().unwrap(), "2.0\n");
    assert_eq!(
        node.exec(["cat", "/run/reboot-required.pkgs"]).unwrap().ok().unwrap(),
        "careen-test-reboot\n"
    );
    let engine = "systemctl show --property=MainPID docker.service";
    let before = node.sh(engine).unwrap().ok().unwrap();
    install("careen-test-restart-docker").ok().unwrap();
    assert_ne!(node.sh(engine).unwrap().ok().unwrap(), before);
    assert_ne!(install("careen-test-broken").status, 0);
    node.sh("dpkg --purge careen-test-broken").unwrap().ok().unwrap();
}

fn dpkg_lock() {
    fault(&["hold-dpkg-lock", "n2"]);
    fault(&["hold-dpkg-lock", "n2"]);
    let refused = node("n2").sh("apt-get -q -y install careen-test-hello").unwrap();
    assert!(refused.status != 0 && refused.stderr.contains("lock-frontend"), "{refused:?}");
    fault(&["release-dpkg-lock", "n2"]);
    node("n2").sh("apt-get -q -y install careen-test-hello").unwrap().ok().unwrap();
}

fn full_disk() {
    let node = node("n1");
    node.sh("mkdir -p /var/lib/careen && echo kept >/var/lib/careen/file").unwrap().ok().unwrap();
    fault(&["fill-disk", "n1"]);
    let full = node.exec(["cp", "/etc/hostname", "/var/lib/careen/x"]).unwrap();
    assert!(full.stderr.contains("No space left"), "{full:?}");
    fault(&["free-disk", "n1"]);
    assert_eq!(node.sh("cat /var/lib/careen/file").unwrap().ok().unwrap(), "kept\n");
}

fn freeze_and_thaw() {
    fault(&["freeze", "n2"]);
    assert_eq!(status()["nodes"][1]["power"], "frozen");
    fault(&["thaw", "n2"]);
    assert_eq!(status()["nodes"][1]["power"], "on");
    node("n2").exec(["true"]).unwrap().ok().unwrap();
}

fn partition_and_heal() {
    let ip = node("n2").ip().to_string();
    let ssh = format!("timeout 2 bash -c '</dev/tcp/{ip}/22'");
    assert_eq!(node("n1").sh(&ssh).unwrap().status, 0);
    fault(&["partition", "n2"]);
    assert_ne!(node("n1").sh(&ssh).unwrap().status, 0);
    assert_eq!(status()["nodes"][1]["plugged"], false);
    fault(&["heal", "n2"]);
    assert_eq!(node("n1").sh(&ssh).unwrap().status, 0);
    n2_becomes_in_the_swarm("ready");
}

fn engine_faults() {
    fault(&["kill-engine", "n2"]);
    eventually("systemd starts the engine again", || {
        node("n2").engine_info().map(drop).map_err(|e| e.to_string())
    });
    fault(&["stop-engine", "n2"]);
    assert!(node("n2").engine_info().is_err());
    // Asking must not have started it.
    assert_eq!(node("n2").exec(["systemctl", "is-active", "docker.service"]).unwrap().stdout, "inactive\n");
    fault(&["start-engine", "n2"]);
    node("n2").engine_info().unwrap();
    n2_becomes_in_the_swarm("ready");
}

fn a_reboot_shows_a_fresh_boot_id() {
    let before = node("n2").boot_id().unwrap().unwrap();
    ok(careen_lab(LAB, &["up", "--reboot-delay", "3s"]));
    let start = std::time::Instant::now();
    fault(&["reboot", "n2"]);
    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    let after = node("n2").boot_id().unwrap().unwrap();
    assert_ne!(after, before);
    let seen = node("n2").exec(["cat", "/proc/sys/kernel/random/boot_id"]).unwrap().ok().unwrap();
    assert_eq!(seen.trim(), after);
    n2_becomes_in_the_swarm("ready");
    ok(careen_lab(LAB, &["up", "--reboot-delay", "0s"]));
}

fn a_power_cut_and_up_mends_everything() {
    let before = made(LAB);
    let boot = node("n2").boot_id().unwrap();
    fault(&["power-cut", "n2"]);
    assert_ne!(node("n2").boot_id().unwrap(), boot);
    fault(&["power-cut", "--stay-off", "n2"]);
    assert_eq!(status()["nodes"][1]["power"], "off");
    n2_becomes_in_the_swarm("down");
    fault(&["power-on", "n2"]);
    node("n2").fault(Fault::Partition).unwrap();
    node("n2").fault(Fault::PowerOff).unwrap();
    node("n1").fault(Fault::StopEngine).unwrap();
    ok(careen_lab(LAB, &["up"]));
    assert_eq!(made(LAB), before);
    n2_becomes_in_the_swarm("ready");
}

/// As the manager sees it.
fn n2_becomes_in_the_swarm(wanted: &str) {
    eventually(&format!("n2 is {wanted} in the swarm"), || {
        let seen = status()["nodes"][1]["status"].clone();
        if seen == wanted { Ok(()) } else { Err(seen.to_string()) }
    });
}

/// `up` is killed without warning as soon as it has made a network, then as soon as it has made a container.
#[test]
fn killed_half_way() {
    let _torn_down = TornDown::new(KILLED_LAB);
    for sign in [1, 0] {
        kill_up_once_it_made(sign);
        ok(careen_lab(KILLED_LAB, &["down"]));
        assert!(made(KILLED_LAB).iter().all(Vec::is_empty), "down after a crash leaves nothing");
        kill_up_once_it_made(sign);
        ok(careen_lab(KILLED_LAB, &["up", "--managers", "1", "--workers", "1"]));
        assert_eq!(made(KILLED_LAB)[0].len(), 2, "up after a crash completes the lab");
        ok(careen_lab(KILLED_LAB, &["down"]));
    }
    assert!(!Path::new("/var/cache/careen-lab/build").exists());
}

fn kill_up_once_it_made(index: usize) {
    let mut up = command(KILLED_LAB, &["up", "--managers", "1", "--workers", "1"]);
    let mut child = up.stderr(Stdio::null()).spawn().unwrap();
    wait_until("the sign to kill it", Duration::from_secs(300), || {
        if Docker::local().run(["version"]).is_err() {
            // The other test took down the last lab, and the engine with it: `up` starts it again.
            return Ok(Poll::Pending("no engine answers".to_owned()));
        }
        let made = made(KILLED_LAB);
        Ok(if made[index].is_empty() { Poll::Pending(format!("{made:?}")) } else { Poll::Ready(()) })
    })
    .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}
