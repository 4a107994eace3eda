//! careen on the kinds of host that are no containers with systemd: what only a virtual machine can show (a kernel
//! upgrade, a disk that loses power, a clock of its own), and a host without systemd.
//!
//! One lab for all of them, up to one test at a time on each host. It stays up for the next run; `make test-slow` takes
//! it down before and after.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

#[path = "lab/support/image.rs"]
mod image;
#[path = "lab/support/leaks.rs"]
mod leaks;
#[path = "hosts/world.rs"]
mod world;

use careen_lab::Fault;
use std::time::{SystemTime, UNIX_EPOCH};
use world::{Host, Secret, Service, eventually, sysvinit, vm};

#[track_caller]
fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in:\n{text}");
}

/// Debian's kernels leave no /run/reboot-required: that a newer one is installed is the only sign.
const UPGRADE_KERNEL: &str = r#"#!/bin/sh
set -e
echo run >> /var/tmp/careen-test-runs
echo "runs $(uname -r)"
apt-get -q update
apt-get -q -y install linux-image-cloud-amd64
echo "installed $(ls /boot/vmlinuz-* | sed 's/.*vmlinuz-//' | sort -V | tail -n 1)"
"#;

#[test]
#[ignore = "slow, and needs the machine's Debian mirror: run by make test-slow"]
fn a_kernel_upgrade_reboots_into_the_new_kernel_and_the_result_comes_back() {
    let vm = vm();
    let image = vm.script(UPGRADE_KERNEL);
    let (boot, kernel) = (vm.boot_id().expect("a boot id"), vm.must("uname -r"));
    let options = ["--env=CAREEN_REBOOT=wanted", "--restart-condition=on-failure"];
    let service = Service::create("kernel", &vm, &options, &image);
    let task = service.await_task("complete", "0");

    assert_ne!(vm.boot_id().expect("a boot id"), boot, "the host has rebooted");
    let now = vm.must("uname -r");
    assert_ne!(now, kernel, "into another kernel");
    assert_eq!(vm.runs(), 1, "the command ran once");
    let (printed, said) = Service::logs(&task);
    assert!(printed.starts_with(&format!("runs {kernel}")), "{printed}");
    assert!(printed.ends_with(&format!("installed {now}")), "{printed}");
    assert_eq!(printed, vm.log(&vm.last_transaction()), "the agent that came afterwards printed all of it");
    let note = said.lines().find(|line| line.contains("note: the host was rebooted: ")).unwrap_or(&said);
    assert_contains(note, "kernel");
}

/// Numbers its lines, and says with each when it was written, by a clock that does not jump.
const COUNT: &str = r#"#!/bin/sh
echo run >> /var/tmp/careen-test-runs
sync /var/tmp/careen-test-runs
test -s "$CAREEN_SECRETS/hosts-secret" || exit 3
n=0
while :; do
	n=$((n + 1))
	read -r up idle </proc/uptime
	echo "$n $up"
	sleep 0.1
done
"#;

/// When each of the numbered lines was written, in seconds. They must be there from the first on, without gaps.
fn written(log: &str) -> Vec<f64> {
    let line = |(index, line): (usize, &str)| {
        let (number, up) = line.split_once(' ').unwrap_or_else(|| panic!("line {index} is {line:?}"));
        assert_eq!(number, (index + 1).to_string(), "the lines are without gaps");
        up.parse().unwrap_or_else(|_| panic!("line {index} is {line:?}"))
    };
    log.lines().enumerate().map(line).collect()
}

#[test]
#[ignore = "slow: run by make test-slow"]
fn a_power_cut_loses_no_synced_output_and_runs_nothing_again() {
    const LIMIT: f64 = 2.0;
    let vm = vm();
    let image = vm.script(COUNT);
    let word = format!("hush-{:x}", since_1970());
    let _secret = Secret::create("hosts-secret", &word);
    let options = ["--restart-condition=none", "--secret=hosts-secret"];
    let service = Service::create("count", &vm, &options, &image);
    service.await_said("host entry: systemd");
    let id = vm.last_transaction();
    let lines = || written(&vm.log(&id));
    let shown = eventually("the first lines", || {
        let lines = lines();
        if lines.len() > 20 { Ok(lines) } else { Err(format!("{lines:?}")) }
    });
    // By the command's own words the power goes at least that long after what was shown here.
    let before = eventually("later lines", || {
        let lines = lines();
        let enough = lines.last() >= shown.last().map(|last| last + LIMIT).as_ref();
        if enough { Ok(lines) } else { Err(format!("{lines:?}")) }
    });
    vm.fault(Fault::PowerCut).expect("the power is cut and comes back");

    eventually("an interruption", || {
        let listed = vm.listed(&id);
        if listed.contains("was interrupted") { Ok(()) } else { Err(listed) }
    });
    let kept = lines();
    eprintln!("shown {} lines, {} before the cut, kept {}", shown.len(), before.len(), kept.len());
    assert!(kept.len() >= shown.len(), "kept {} of {} lines that were synced", kept.len(), shown.len());
    let journal = vm.must(&format!("careen-agent show {id}"));
    assert_eq!(journal.matches(r#""event":"starting""#).count(), 1, "{journal}");
    assert_contains(&journal, r#""exit_code":245"#);
    assert_eq!(vm.must("ls /run/careen/secrets 2>/dev/null; true"), "");
    assert!(vm.disk_holds("$CAREEN_SECRETS/hosts-secret"), "the payload is on the disk, in its image");
    assert!(!vm.disk_holds(&word), "the secret never was");

    service.ask_again();
    let task = service.await_task("failed", "245");
    let (printed, said) = Service::logs(&task);
    assert_eq!(written(&printed), kept, "the agent that came afterwards printed what is kept");
    assert_contains(&said, "was interrupted");
    assert_eq!(vm.runs(), 1, "the command ran once");
}

/// Sets the clock two hours to and fro, so that a time limit of half an hour that goes by it would strike.
const SET_CLOCK: &str = r#"#!/bin/sh
date -s '1 hour' >/dev/null
echo ahead
sleep 2
date -s '2 hours ago' >/dev/null
echo behind
sleep 2
exit 7
"#;

/// Sets the clock back, so that a time limit that goes by it would not strike for an hour.
const HANG_IN_THE_PAST: &str = "#!/bin/sh\ndate -s '1 hour ago' >/dev/null\necho behind\nexec sleep 1800\n";

/// Gives the host the right time back, whatever becomes of the test.
struct RightTime<'a>(&'a Host);

impl RightTime<'_> {
    fn set(&self) {
        let _ = self.0.sh(&format!("date -s @{}", since_1970()));
    }
}

impl Drop for RightTime<'_> {
    fn drop(&mut self) {
        self.set();
    }
}

fn since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs()
}

#[test]
#[ignore = "slow: run by make test-slow"]
fn a_clock_that_is_set_in_the_middle_confuses_nothing() {
    let vm = vm();
    let right_time = RightTime(&vm);
    let run = |name: &str, limit: &str, image: &image::Image| {
        vm.sh(&format!("rm -rf /var/lib/careen/transactions/{name}")).expect("exec");
        let (name, limit) = (format!("CAREEN_TRANSACTION={name}"), format!("CAREEN_TIMEOUT={limit}"));
        let words = ["run", "--rm", "-v=/:/host", "-e", &name, "-e", &limit, image.name()];
        vm.docker(words).expect("docker")
    };

    let ran = run("astray", "30m", &vm.script(SET_CLOCK));
    assert_eq!((ran.status, ran.stdout.as_str()), (7, "ahead\nbehind\n"), "{}", ran.stderr);
    let behind: u64 = vm.must("date +%s").trim().parse().expect("a number");
    assert!(behind + 1800 < since_1970(), "the clock was set back");
    assert_contains(&vm.listed("astray"), "exited with status 7");
    assert_eq!(vm.log("astray"), "ahead\nbehind\n");
    let journal = vm.must("careen-agent show astray");
    assert_contains(&journal, r#""event":"closed""#);
    let (_, duration) = journal.split_once(r#""duration_ms":"#).expect("a duration");
    let duration: u64 = duration.split(',').next().and_then(|ms| ms.parse().ok()).expect("milliseconds");
    assert!(
        (4000..1_800_000).contains(&duration),
        "the duration is the command's, not the clock's: {duration} ms"
    );

    right_time.set();
    let ran = run("late", "5s", &vm.script(HANG_IN_THE_PAST));
    assert_eq!((ran.status, ran.stdout.as_str()), (124, "behind\n"), "{}", ran.stderr);
    assert_contains(&vm.listed("late"), "time limit");
}

/// Waits in the middle, so that the test can look, and then restarts the engine that it was started by. It ends before
/// that answers: an init script does not wait for it.
const RESTART_ENGINE: &str = r#"#!/bin/sh
echo run >> /var/tmp/careen-test-runs
echo waiting
until test -e /run/careen-test-go; do sleep 0.05; done
service docker restart >/dev/null
echo restarted
"#;

/// What Debian's docker.io does to a running engine: its binary is replaced, and nothing is restarted.
const REPLACE_ENGINE: &str = r#"#!/bin/sh
set -e
echo run >> /var/tmp/careen-test-runs
echo "before: $(cat /run/docker.pid)"
cd /usr/sbin
cp -a dockerd dockerd.new
mv dockerd.new dockerd
readlink /proc/$(cat /run/docker.pid)/exe
"#;

/// Asserts that the service's last task reports a success of a command that ran once, whole, on a host that was entered
/// through a helper container. Returns what it printed and said.
fn reported_whole(host: &Host, service: &Service) -> (String, String) {
    let task = service.await_task("complete", "0");
    let id = host.last_transaction();
    let (printed, said) = Service::logs(&task);
    assert_eq!(printed, host.log(&id));
    assert_contains(&host.must(&format!("careen-agent show {id}")), r#""entry":"container""#);
    assert_eq!(host.runs(), 1, "the command ran once");
    (printed, said)
}

#[test]
#[ignore = "slow: run by make test-slow"]
fn without_systemd_a_command_survives_the_engine_that_it_restarts() {
    let host = sysvinit();
    let image = host.script(RESTART_ENGINE);
    let service = Service::create("restarts", &host, &["--restart-condition=on-failure"], &image);
    service.await_said("host entry: container");
    let before = host.engine_pid();
    host.must("touch /run/careen-test-go");
    let (printed, said) = reported_whole(&host, &service);
    assert_ne!(host.engine_pid(), before, "another process");
    assert_eq!(printed, "waiting\nrestarted\n");
    let restarted =
        ["the engine was restarted", "and was started again"].iter().any(|words| said.contains(words));
    assert!(!restarted, "an engine that is coming is not down:\n{said}");
}

#[test]
#[ignore = "slow: run by make test-slow"]
fn without_systemd_a_replaced_engine_is_restarted_at_once_on_a_worker() {
    let host = sysvinit();
    let image = host.script(REPLACE_ENGINE);
    let before = host.engine_pid();
    let service = Service::create("replaces", &host, &["--restart-condition=on-failure"], &image);
    let (printed, said) = reported_whole(&host, &service);
    assert_eq!(printed, format!("before: {before}\n/usr/sbin/dockerd (deleted)\n"));
    assert_contains(&said, "note: the engine was restarted");
    let after = host.engine_pid();
    assert_ne!(before, after, "another process");
    assert_eq!(host.must(&format!("readlink /proc/{after}/exe")), "/usr/sbin/dockerd\n");
}
