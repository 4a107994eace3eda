//! Bad input and bad hosts: each a clear error with its exit code, and nothing started.

use crate::support::{File, Host, Image, assert_contains, host};
use careen_lab::Fault;

fn transactions(host: &Host) -> String {
    host.must("ls -A /var/lib/careen/transactions 2>/dev/null | sort")
}

/// Runs an image that must be refused: the code, the words, and no trace of a transaction.
#[track_caller]
fn refused(host: &Host, run: crate::support::Run<'_>, code: i32, words: &str) {
    let before = transactions(host);
    let ran = run.go().expect(code);
    assert_contains(&ran.stderr, words);
    assert_eq!(ran.text(), "");
    assert_eq!(transactions(host), before, "a refusal leaves nothing on the host");
}

#[test]
fn what_is_mounted_at_slash_host_must_be_a_running_hosts_root() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    refused(&host, host.run(&image).mount(Some("/etc:/host")), 248, "/host is not the root of a host");
    host.must("mkdir -p /srv/copy/etc /srv/copy/usr /srv/copy/var");
    refused(&host, host.run(&image).mount(Some("/srv/copy:/host")), 248, "/host has no processes at /proc");
    host.must("rm -rf /srv/copy");
    let read_only = host.run(&image).mount(Some("/:/host:ro"));
    refused(&host, read_only, 248, "mounted read-only; mount it with '-v /:/host', without ':ro'");
}

#[test]
fn a_command_file_that_cannot_run_says_why() {
    let host = host();
    let cases: [(&str, u32, &[u8], i32, &str); 6] = [
        ("mode", 0o644, b"#!/bin/sh\necho ran\n", 126, "is not executable: 'chmod +x' it"),
        (
            "interpreter",
            0o755,
            b"#!/usr/bin/fish\n",
            127,
            "needs the interpreter /usr/bin/fish, which is not on this host",
        ),
        ("env", 0o755, b"#!/usr/bin/env node\n", 127, "needs the interpreter node"),
        ("crlf", 0o755, b"#!/bin/sh\r\necho ran\r\n", 126, "has CRLF line ends"),
        ("empty", 0o755, b"", 126, "is empty"),
        (
            "machine",
            0o755,
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0",
            126,
            "is built for the machine aarch64",
        ),
    ];
    let files: Vec<File<'_>> =
        cases.iter().map(|(name, mode, content, ..)| File::new(name, *mode, content)).collect();
    let image = host.image(&files);
    for (name, _, _, code, words) in cases {
        refused(&host, host.run(&image).command(&[name]), code, words);
    }
}

#[test]
fn a_script_without_a_first_line_runs_in_the_hosts_shell() {
    let host = host();
    let image = host.script("echo \"shell, $1\"\n");
    let ran = host.run(&image).command(&["install", "a b"]).go().expect(0);
    assert_eq!(ran.text(), "shell, a b\n");
}

#[test]
fn settings_that_are_not_understood_are_refused() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    // As a controller of a newer careen would set it.
    let newer = host.run(&image).env("CAREEN_FUTURE", "1");
    refused(&host, newer, 248, "this agent knows no variable CAREEN_FUTURE");
    refused(
        &host,
        host.run(&image).env("CAREEN_HOST_ENTRY", "ssh"),
        248,
        "use auto, systemd, container or chroot",
    );
    refused(
        &host,
        host.run(&image).env("CAREEN_REBOOT", "sometimes"),
        248,
        "use never, asked, wanted or always",
    );
    refused(&host, host.run(&image).env("CAREEN_TRANSACTION", "../x"), 248, "is no transaction id");
}

#[test]
fn a_derived_image_may_set_its_entry_point_around_the_agent_but_not_another_user() {
    let host = host();
    let files = [
        File::script("install", "#!/bin/sh\necho install \"$@\"\n"),
        File::script("other", "#!/bin/sh\necho other \"$@\"\n"),
    ];
    let build = |line: &str| {
        Image::build(&host, &format!("FROM careen/installer\nCOPY install /install\n{line}\n"), &files)
    };
    let preset = build("ENTRYPOINT [\"/careen-agent\", \"run\", \"other\", \"always\"]");
    assert_eq!(host.run(&preset).command(&["x"]).go().expect(0).text(), "other always x\n");
    let bare = build("ENTRYPOINT [\"/careen-agent\"]");
    assert_eq!(host.run(&bare).command(&["other"]).go().expect(0).text(), "other\n");
    assert_eq!(host.run(&bare).go().expect(0).text(), "install\n");
    let user = build("USER 1000");
    refused(&host, host.run(&user), 248, "remove USER from the Dockerfile");
    assert_eq!(host.run(&user).option("--user").option("0").go().expect(0).text(), "install\n");
    // An entry point of its own never reaches careen: the engine says so, and nothing runs.
    let foreign = build("ENTRYPOINT [\"/install/install\"]");
    let ran = host.run(&foreign).go();
    assert!(ran.status != 0 && ran.text().is_empty(), "{ran:?}");
}

#[test]
fn without_the_engines_socket_the_transaction_must_be_named() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    let hidden = || host.run(&image).option("-v").option("/dev/null:/host/run/docker.sock");
    refused(
        &host,
        hidden(),
        248,
        "cannot tell which transaction this is: the docker engine at /run/docker.sock cannot be asked",
    );
    let named = || hidden().env("CAREEN_TRANSACTION", "named");
    assert_eq!(named().go().expect(0).text(), "ran\n");
    let again = named().go().expect(0);
    assert_contains(&again.stderr, "this is the recorded result, nothing was run again");
    let other = named().command(&["install", "other"]);
    refused(&host, other.env("CAREEN_LINGER", "0"), 248, "is 'install', not 'install other'");
    host.must("rm -rf /var/lib/careen/transactions/named");
}

#[test]
fn a_socket_that_refuses_is_named() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    // A socket on which nobody listens.
    host.must("perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0); unlink \"/run/dead.sock\"; bind(S,pack_sockaddr_un(\"/run/dead.sock\")) or die $!'");
    let run = host.run(&image).option("-v").option("/run/dead.sock:/host/run/docker.sock");
    refused(&host, run, 248, "onnection refused");
    host.must("rm /run/dead.sock");
}

#[test]
fn a_full_disk_refuses_before_the_start() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    host.fault(Fault::FillDisk).expect("the disk is filled");
    let ran = host.run(&image).go();
    host.fault(Fault::FreeDisk).expect("the disk is freed");
    let ran = ran.expect(248);
    assert_eq!(ran.text(), "");
    assert_contains(&ran.stderr, "full");
}

#[test]
fn a_disk_that_fills_up_under_the_command_costs_output_not_the_command() {
    let host = host();
    let image =
        host.script("#!/bin/sh\nhead -c 60000000 /dev/zero; echo finished > /run/careen-test-finished\n");
    host.must("mkdir -p /var/lib/careen && mount -t tmpfs -o size=48m,mode=0700 small /var/lib/careen");
    let ran = host.run(&image).go();
    host.must("umount -l /var/lib/careen");
    let ran = ran.expect(0);
    assert_contains(&ran.stderr, "bytes of output could not be kept: No space left on device");
    assert!(ran.stdout.len() > 10_000_000 && ran.stdout.len() < 60_000_000, "{} bytes", ran.stdout.len());
    assert_eq!(host.must("cat /run/careen-test-finished && rm /run/careen-test-finished"), "finished\n");
}

#[test]
fn where_var_is_noexec_another_place_is_found() {
    let host = host();
    let image = host.script("#!/bin/sh\npwd\n");
    host.must("mkdir -p /var/lib/careen && mount -t tmpfs -o noexec,mode=0700 noexec /var/lib/careen");
    let ran = host.run(&image).go();
    host.must("umount -l /var/lib/careen");
    let ran = ran.expect(0);
    assert_contains(&ran.text(), "/usr/local/lib/careen/payload/");
    assert_contains(
        &ran.stderr,
        "/var/lib/careen is mounted noexec: the payload goes to /usr/local/lib/careen",
    );
}
