//! The kinds of host beside the containers with systemd: one swarm with a host without systemd and a virtual
//! machine, and every verb on them.
//!
//! Needs what the lab needs: root, Debian, a mirror. Takes minutes where virtual machines have to be emulated.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use careen_lab::{Docker, Fault, Lab, Node, Poll, wait_until};
use serde_json::Value;

const LAB: &str = "kinds";
const SYSVINIT: &str = "n2";
const VM: &str = "n3";

/// Takes the lab down at the start, where an earlier run left one, and at the end.
struct TornDown;

impl TornDown {
    fn new() -> TornDown {
        ok(careen_lab(&["down"]));
        TornDown
    }
}

impl Drop for TornDown {
    fn drop(&mut self) {
        let output = careen_lab(&["down"]);
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn careen_lab(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_careen-lab"));
    command.args(["--name", LAB]).args(words).stdin(Stdio::null()).output().unwrap()
}

fn ok(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}: {}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn fault(words: &[&str]) {
    ok(careen_lab(&[&["fault"], words].concat()));
}

fn node(name: &str) -> Node {
    Lab::open(&LAB.parse().unwrap()).unwrap().node(name).unwrap().clone()
}

fn sh(name: &str, script: &str) -> String {
    node(name).sh(script).unwrap().ok().unwrap().trim().to_owned()
}

fn status() -> Vec<Value> {
    let status: Value = serde_json::from_str(&ok(careen_lab(&["status", "--format", "json"]))).unwrap();
    status["nodes"].as_array().unwrap().clone()
}

/// As the manager sees it.
fn becomes(name: &str, wanted: &str) {
    wait_until(&format!("{name} is {wanted} in the swarm"), Duration::from_secs(240), || {
        let seen = status().iter().find(|node| node["name"] == name).unwrap()["status"].clone();
        Ok(if seen == wanted { Poll::Ready(()) } else { Poll::Pending(seen.to_string()) })
    })
    .unwrap();
}

#[test]
#[ignore = "slow: run by make test-slow"]
fn kinds() {
    let _torn_down = TornDown::new();
    let steps: [(&str, fn()); 9] = [
        ("up, and up again", up_and_up_again),
        ("what each host is", what_each_host_is),
        ("exec and cp", exec_and_cp),
        ("faults that need the host's own init", faults_of_the_init),
        ("freeze and partition", freeze_and_partition),
        ("the engine of a host without systemd", the_engine_of_a_host_without_systemd),
        ("a reboot of each", a_reboot_of_each),
        ("a power cut keeps what was synced", a_power_cut_keeps_what_was_synced),
        ("down leaves nothing", down_leaves_nothing),
    ];
    for (name, step) in steps {
        let start = std::time::Instant::now();
        step();
        eprintln!("--- {name}: {:.1} s", start.elapsed().as_secs_f32());
    }
}

fn up_and_up_again() {
    ok(careen_lab(&["up", "--managers", "1", "--workers", "0", "--sysvinit", "1", "--vms", "1"]));
    ok(careen_lab(&["up"]));
    let nodes = status();
    let of = |field: &str| nodes.iter().map(|node| node[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["n1", SYSVINIT, VM]);
    assert_eq!(of("kind"), ["container", "sysvinit", "vm"]);
    assert_eq!(of("role"), ["manager", "worker", "worker"]);
    assert_eq!(of("status"), ["ready", "ready", "ready"]);
}

fn what_each_host_is() {
    assert_eq!(sh(SYSVINIT, "cat /proc/1/comm; ls -d /run/systemd/system 2>/dev/null || :"), "init");
    assert_eq!(sh(VM, "cat /proc/1/comm; ls -d /run/systemd/system"), "systemd\n/run/systemd/system");
    // A kernel of its own, that of the release, with AppArmor and cgroup v2.
    assert_ne!(sh(VM, "uname -r"), sh("n1", "uname -r"));
    assert_eq!(sh(VM, "cat /sys/module/apparmor/parameters/enabled"), "Y");
    assert_eq!(sh(VM, "stat -f -c %T /sys/fs/cgroup"), "cgroup2fs");
    for name in [SYSVINIT, VM] {
        assert_eq!(sh(name, "hostname; careen-test-hello"), format!("{name}\n1.0"));
        // Its mirror, by name, through its own network.
        sh(name, "apt-get -q -o Acquire::Retries=2 -o APT::Update::Error-Mode=any update");
    }
}

fn exec_and_cp() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    std::fs::create_dir(path("a dir")).unwrap();
    std::fs::write(path("a dir/it's"), b"in\xff\0put").unwrap();
    let script = r#"printf '<%s>' "$@"; pwd; echo err >&2; exit 37"#;
    for name in [SYSVINIT, VM] {
        let words = ["exec", name, "--", "sh", "-c", script, "sh", "a b", "it's", "\"q\"", "", "--name"];
        let output = careen_lab(&words);
        assert_eq!(output.status.code(), Some(37));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "<a b><it's><\"q\"><><--name>/\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
        let killed = node(name).exec(["sh", "-c", "kill -KILL $$"]).unwrap();
        assert_eq!(killed.status, 137);

        ok(careen_lab(&["cp", &path("a dir"), &format!("{name}:/root/copied")]));
        ok(careen_lab(&["cp", &format!("{name}:/root/copied/it's"), &path("back")]));
        assert_eq!(std::fs::read(path("back")).unwrap(), b"in\xff\0put");
    }
}

fn faults_of_the_init() {
    for name in [SYSVINIT, VM] {
        fault(&["hold-dpkg-lock", name]);
        fault(&["hold-dpkg-lock", name]);
        assert_ne!(node(name).sh("apt-get -q -y install careen-test-hello").unwrap().status, 0);
        fault(&["release-dpkg-lock", name]);
        sh(name, "apt-get -q -y install careen-test-hello");
        fault(&["fill-disk", name]);
        assert_ne!(node(name).sh("cp /etc/hostname /var/lib/careen/x").unwrap().status, 0);
        fault(&["free-disk", name]);
        fault(&["stop-engine", name]);
        assert!(node(name).engine_info().is_err());
        fault(&["start-engine", name]);
    }
}

fn freeze_and_partition() {
    for (index, name) in [(1, SYSVINIT), (2, VM)] {
        fault(&["freeze", name]);
        assert_eq!(status()[index]["power"], "frozen");
        fault(&["thaw", name]);
        fault(&["partition", name]);
        assert!(node(name).engine_info().is_err());
        // A partitioned host can still be looked into.
        assert_eq!(sh(name, "hostname"), name);
        fault(&["heal", name]);
        becomes(name, "ready");
    }
}

fn the_engine_of_a_host_without_systemd() {
    fault(&["kill-engine", SYSVINIT]);
    assert!(node(SYSVINIT).engine_info().is_err(), "nobody starts it again");
    fault(&["start-engine", SYSVINIT]);
    becomes(SYSVINIT, "ready");
}

fn a_reboot_of_each() {
    for name in [SYSVINIT, VM] {
        let before = node(name).boot_id().unwrap();
        fault(&["reboot", name]);
        let after = node(name).boot_id().unwrap();
        assert_ne!(after, before);
        assert_eq!(Some(sh(name, "cat /proc/sys/kernel/random/boot_id")), after);
        becomes(name, "ready");
    }
}

/// In a virtual machine this is about the disk, not about the machine's own page cache.
fn a_power_cut_keeps_what_was_synced() {
    sh(VM, "echo kept >/root/synced; sync /root/synced /root");
    let before = node(VM).boot_id().unwrap();
    fault(&["power-cut", "--stay-off", VM]);
    assert_eq!(status()[2]["power"], "off");
    becomes(VM, "down");
    node(VM).fault(Fault::PowerOn).unwrap();
    assert_ne!(node(VM).boot_id().unwrap(), before);
    assert_eq!(sh(VM, "cat /root/synced"), "kept");
    becomes(VM, "ready");
    fault(&["power-cut", SYSVINIT]);
    // The engine of this one comes back with its init.
    becomes(SYSVINIT, "ready");
}

fn down_leaves_nothing() {
    ok(careen_lab(&["down"]));
    // The last lab takes the engine with it.
    ok(careen_lab(&["engine"]));
    let filter = format!("label=careen.lab={LAB}");
    for list in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        let words = list.iter().copied().chain(["--quiet", "--filter", &filter]);
        assert_eq!(Docker::local().lines(words).unwrap(), Vec::<String>::new());
    }
}
