//! The ways from a container into its host.

use crate::support::{Host, assert_contains, host};

const WHERE: &str = "#!/bin/sh
echo \"unit $(sed -n 's/.*name=systemd:.*\\/\\(careen[^/]*\\.service\\)$/yes/p' /proc/self/cgroup)\"
echo \"devices $(sed -n 's/^[0-9]*:devices://p' /proc/self/cgroup)\"
echo \"host $(hostname)\"
echo \"root $(readlink /proc/self/ns/mnt)\"
echo \"pid1 $(cat /proc/1/comm)\"
grep CapBnd /proc/self/status
echo \"oom $(systemctl show -p OOMPolicy --value \"$(sed -n 's/.*\\/\\(careen[^/]*\\.service\\)$/\\1/p' /proc/self/cgroup | head -n 1)\")\"
systemctl is-system-running >/dev/null 2>&1; echo \"systemctl $?\"
";

fn facts_of_pid_1(host: &Host) -> (String, String) {
    (host.must("readlink /proc/1/ns/mnt"), host.must("grep CapBnd /proc/1/status"))
}

#[test]
fn systemd_entry_runs_the_command_as_a_unit_with_the_hosts_own_rights() {
    let host = host();
    let image = host.script(WHERE);
    let ran = host.run(&image).go().expect(0);
    assert_contains(&ran.stderr, "host entry: systemd, transient unit careen-");
    let (namespace, capabilities) = facts_of_pid_1(&host);
    for fact in [
        "unit yes\n",
        &format!("host {}\n", host.name()),
        &format!("root {namespace}"),
        &capabilities,
        "pid1 systemd\n",
        "oom continue\n",
    ] {
        assert_contains(&ran.text(), fact);
    }
}

#[test]
fn container_entry_on_a_systemd_host_ends_in_a_unit_too() {
    let host = host();
    let image = host.script(WHERE);
    let ran = host.run(&image).env("CAREEN_HOST_ENTRY", "container").go().expect(0);
    assert_contains(
        &ran.stderr,
        "host entry: container, a helper container on the host's engine, transient unit careen-",
    );
    let (namespace, capabilities) = facts_of_pid_1(&host);
    for fact in ["unit yes\n", &format!("root {namespace}"), &capabilities] {
        assert_contains(&ran.text(), fact);
    }
}

#[test]
fn without_systemd_the_helper_leaves_the_command_in_the_hosts_root_cgroup() {
    let host = host();
    let image = host.script(&format!("{WHERE}sleep ${{SLEEP:-0}}; echo slept\n"));
    // What sd_booted(3) looks at is hidden, for whoever looks from now on.
    host.must("mkdir -p /run/careen-test-empty && mount --bind /run/careen-test-empty /run/systemd");
    let _shown = Undo(&host, "umount /run/systemd");
    let ran = host.run(&image).go().expect(0);
    assert_contains(&ran.stderr, "refused before it: systemd: systemd is not this host's PID 1");
    assert_contains(&ran.stderr, "a process in the host's root cgroup");
    let (namespace, capabilities) = facts_of_pid_1(&host);
    for fact in [
        "unit \n",
        "devices /\n",
        &format!("host {}\n", host.name()),
        &format!("root {namespace}"),
        &capabilities,
    ] {
        assert_contains(&ran.text(), fact);
    }
    // And it outlives both containers.
    let container = host.run(&image).env("SLEEP", "3").start();
    container.await_log("CapBnd");
    container.docker(&["rm", "-f"]).expect(0);
    let id = host.must("careen-agent list | tail -n 1 | cut -d' ' -f1");
    assert_contains(&host.must(&format!("careen-agent logs -f {id}")), "slept");

    let forced = host.run(&image).env("CAREEN_HOST_ENTRY", "systemd").go().expect(247);
    assert_contains(&forced.stderr, "no way into the host: systemd: systemd is not this host's PID 1");
}

#[test]
fn chroot_entry_says_what_it_cannot_survive() {
    let host = host();
    let image = host.script(WHERE);
    let ran = host.run(&image).env("CAREEN_HOST_ENTRY", "chroot").go().expect(0);
    assert_contains(&ran.stderr, "host entry: chroot");
    assert_contains(&ran.stderr, "warning: the command lives inside this container");
    assert!(
        !ran.text().contains(&format!("host {}\n", host.name())),
        "it has the container's own UTS namespace"
    );
}

#[test]
fn auto_falls_through_to_chroot_and_says_what_was_refused() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    host.must("mkdir -p /run/careen-test-empty && mount --bind /run/careen-test-empty /run/systemd");
    let _shown = Undo(&host, "umount /run/systemd");
    // Without the engine's socket below /host there is no helper container either.
    let ran = host
        .run(&image)
        .option("-v")
        .option("/dev/null:/host/run/docker.sock")
        .env("CAREEN_TRANSACTION", "fall-through")
        .go()
        .expect(0);
    assert_eq!(ran.text(), "ran\n");
    assert_contains(&ran.stderr, "host entry: chroot");
    assert_contains(
        &ran.stderr,
        "systemd: systemd is not this host's PID 1; container: the host's docker socket cannot be used",
    );
    host.must("rm -rf /var/lib/careen/transactions/fall-through");
}

#[test]
fn a_bus_that_refuses_is_named_and_the_helper_takes_over() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    let ran =
        host.run(&image).option("-v").option("/dev/null:/host/run/dbus/system_bus_socket").go().expect(0);
    assert_contains(&ran.stderr, "host entry: container");
    assert_contains(&ran.stderr, "refused before it: systemd: systemd-run failed");
    let forced = host
        .run(&image)
        .option("-v")
        .option("/dev/null:/host/run/dbus/system_bus_socket")
        .env("CAREEN_HOST_ENTRY", "systemd")
        .go()
        .expect(247);
    assert_contains(&forced.stderr, "no way into the host: systemd: systemd-run failed");
}

/// Runs a script on the host when it goes out of scope.
struct Undo<'a>(&'a Host, &'static str);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let _ = self.0.sh(self.1);
    }
}
