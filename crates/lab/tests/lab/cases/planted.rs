//! What lies on the host that careen did not put there: links in its way, and a binary that is not the agent's.

use crate::support::{Host, assert_contains, eventually, host};
use careen_lab::Fault;

/// Where planted links lead to, owned by somebody who is not root.
const ELSEWHERE: &str = "/srv/careen-test-elsewhere";

/// Puts something in the place of one of careen's paths, and gives that back in the end.
struct Planted<'a> {
    host: &'a Host,
    path: String,
}

impl<'a> Planted<'a> {
    fn new(host: &'a Host, path: &str, plant: &str) -> Self {
        let aside = format!("test ! -e {path} || mv -T {path} {path}.aside");
        host.must(&format!("{aside}; rm -rf {ELSEWHERE}; install -d -o nobody {ELSEWHERE}; {plant}"));
        Self { host, path: path.to_owned() }
    }

    /// A link that another user owns, to that user's directory.
    fn link(host: &'a Host, path: &str) -> Self {
        Self::new(host, path, &format!("ln -s {ELSEWHERE} {path}; chown -h nobody {path}"))
    }
}

impl Drop for Planted<'_> {
    fn drop(&mut self) {
        let path = &self.path;
        let _ = self
            .host
            .sh(&format!("rm -rf {path} {ELSEWHERE}; test ! -e {path}.aside || mv -T {path}.aside {path}"));
    }
}

#[test]
fn links_in_place_of_careens_directories_are_refused_and_not_followed() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    host.run(&image).go().expect(0);
    for path in [
        "/var/lib/careen",
        "/var/lib/careen/transactions",
        "/var/lib/careen/state",
        "/var/lib/careen/bin",
        "/var/lib/careen/transactions/planted",
        "/run/careen",
        "/run/careen/secrets",
    ] {
        let planted = Planted::link(&host, path);
        // A manifest makes a planted transaction's directory look like one.
        host.must(&format!(
            "test {path} != /var/lib/careen/transactions/planted || echo '{{}}' > {ELSEWHERE}/manifest.json"
        ));
        let before = host.must(&format!("ls -lA --full-time {ELSEWHERE}"));
        let ran = host.run(&image).env("CAREEN_TRANSACTION", "planted").go();
        assert_eq!(ran.status, 248, "{path}: {ran:?}");
        assert_contains(&ran.stderr, &format!("{path} is not a directory: refusing to use it"));
        assert_eq!(ran.text(), "");
        let after = host.must(&format!("ls -lA --full-time {ELSEWHERE}"));
        assert_eq!(after, before, "{path}: what it leads to is untouched");
        drop(planted);
        assert_eq!(host.must("careen-agent list | grep planted; true"), "", "{path}: nothing is left");
    }
}

#[test]
fn a_directory_of_somebody_elses_is_refused() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    let _planted = Planted::new(&host, "/var/lib/careen", "install -d -o nobody -m 0777 /var/lib/careen");
    let ran = host.run(&image).go().expect(248);
    assert_contains(&ran.stderr, "/var/lib/careen belongs to uid 65534: refusing to use it");
    assert_eq!(host.must("ls -A /var/lib/careen"), "");
}

#[test]
fn links_in_place_of_careens_files_lead_nowhere() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    host.run(&image).go().expect(0);
    for path in ["/var/lib/careen/create.lock", "/var/lib/careen/lock"] {
        let _planted = Planted::new(&host, path, &format!("ln -s {ELSEWHERE}/made {path}"));
        let ran = host.run(&image).go().expect(248);
        assert_contains(&ran.stderr, "Too many levels of symbolic links");
        assert_eq!(host.must(&format!("ls -A {ELSEWHERE}")), "");
    }
    // What looks like the remains of a killed agent goes, and what it leads to stays.
    let _planted = Planted::link(&host, "/var/lib/careen/transactions/.new-planted");
    host.must(&format!("echo precious > {ELSEWHERE}/file"));
    let tmp = host.must("ls -lA /tmp /var/tmp");
    assert_eq!(host.run(&image).env("CAREEN_TRANSACTION", "planted").go().expect(0).text(), "ran\n");
    assert_eq!(host.must(&format!("cat {ELSEWHERE}/file")), "precious\n");
    assert_eq!(host.must("ls -lA /tmp /var/tmp"), tmp, "no file of careen's lies where others can write");
    host.must("rm -r /var/lib/careen/transactions/planted");
}

/// Puts a program that leaves a trace in the place of the supervisor's binary.
const TAMPER: &str = "
rm -f /var/tmp/careen-test-tampered
binary=$(readlink /usr/local/sbin/careen-agent)
printf '#!/bin/sh\\ntouch /var/tmp/careen-test-tampered\\n' > $binary.evil
chmod 700 $binary.evil
mv $binary.evil $binary
";

/// The digest of the installed binary, and whether it is the one that its directory is named after.
const VERIFY: &str = "
binary=$(readlink /usr/local/sbin/careen-agent)
echo \"$(basename $(dirname $binary))  $binary\" | sha256sum --check --status && echo right
test -e /var/tmp/careen-test-tampered && echo executed
rm -f /var/tmp/careen-test-tampered
";

#[test]
fn a_binary_that_was_tampered_with_is_replaced_and_never_executed() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    host.run(&image).go().expect(0);
    host.must(TAMPER);
    assert_eq!(host.run(&image).go().expect(0).text(), "ran\n");
    assert_eq!(host.sh(VERIFY).expect("exec").stdout, "right\n");
}

#[test]
fn a_binary_that_was_tampered_with_is_not_what_a_boot_resumes_with() {
    let host = host();
    let image = host.script("#!/bin/sh\necho working; exec sleep 600\n");
    let container = host.run(&image).start();
    container.await_log("working");
    host.must(TAMPER);
    host.fault(Fault::PowerCut).expect("the power is cut and comes back");
    eventually("the unit that resumes to fail", || {
        // A host on its way up answers nothing: not yet.
        let state = host.sh("systemctl show -p ActiveState --value careen-resume.service 2>&1");
        let state = state.map_err(|error| error.to_string())?.stdout;
        if state == "failed\n" { Ok(()) } else { Err(state) }
    });
    assert_contains(&host.must("journalctl -b -u careen-resume.service"), "careen-agent: FAILED");
    host.await_engine();
    container.docker(&["start"]).expect(0);
    container.wait().expect(245);
    assert_eq!(host.sh(VERIFY).expect("exec").stdout, "right\n");
    host.must("systemctl reset-failed careen-resume.service; true");
}
