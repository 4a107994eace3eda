//! Who stops what: SIGTERM makes the agent leave, SIGINT stops the command.

use crate::support::{assert_contains, eventually, host};

/// Says that it runs, and ends when the file is there.
const WAITS: &str =
    "#!/bin/sh\necho waiting; until test -e /run/careen-test-go; do sleep 0.05; done; echo went on\n";

#[test]
fn docker_stop_makes_the_agent_leave_and_the_command_goes_on() {
    let host = host();
    host.must("rm -f /run/careen-test-go");
    let image = host.script(WAITS);
    let container = host.run(&image).start();
    container.await_log("waiting");
    container.docker(&["stop"]).expect(0);
    let id = host.last_transaction();
    let ran = container.wait().expect(143);
    assert_contains(&ran.stderr, "told to leave; 'install' goes on on this host");
    host.must("touch /run/careen-test-go");
    host.await_outcome(&id, "exited with status 0");
    assert_eq!(host.must(&format!("careen-agent logs {id}")), "waiting\nwent on\n");
    host.must("rm -f /run/careen-test-go");
}

#[test]
fn a_killed_agent_leaves_the_command_alone_and_a_restarted_one_joins_it() {
    let host = host();
    host.must("rm -f /run/careen-test-go");
    let image = host.script(WAITS);
    let container = host.run(&image).start();
    container.await_log("waiting");
    container.docker(&["kill"]).expect(0);
    container.docker(&["start"]).expect(0);
    container.await_log("running on this host already: following it");
    host.must("touch /run/careen-test-go");
    let ran = container.wait().expect(0);
    assert_eq!(
        ran.text(),
        "waiting\nwaiting\nwent on\n",
        "each agent prints the log from its beginning; it ran once"
    );
    host.must("rm -f /run/careen-test-go");
}

#[test]
fn ctrl_c_stops_the_command() {
    let host = host();
    let image = host
        .script("#!/bin/sh\ntrap 'echo tidied; exit 9' TERM\necho waiting; while :; do sleep 0.05; done\n");
    let container = host.run(&image).start();
    container.await_log("waiting");
    container.docker(&["kill", "-s", "INT"]).expect(0);
    let ran = container.wait().expect(245);
    assert_eq!(ran.text(), "waiting\ntidied\n");
    assert_contains(&ran.stderr, "'install' was stopped: cancelled by Ctrl-C");
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_after_its_grace_with_all_its_children() {
    let host = host();
    let image = host.script(
        "#!/bin/sh\ntrap '' TERM\n(setsid sh -c 'trap \"\" TERM; exec -a careen-test-stray sleep 600' &)\nsetsid bash -c 'trap \"\" TERM; exec -a careen-test-stray sleep 600' &\necho waiting; while :; do sleep 0.05; done\n",
    );
    let container = host.run(&image).env("CAREEN_STOP_GRACE_PERIOD", "300ms").start();
    container.await_log("waiting");
    let id = host.last_transaction();
    assert_contains(&host.must(&format!("careen-agent cancel {id}")), "stopping the command");
    let ran = container.wait().expect(245);
    assert_contains(&ran.stderr, "was stopped: cancelled by careen-agent cancel");
    assert_eq!(host.must("pgrep -fc '[c]areen-test-stray'; true"), "0\n");
    let refused = host.sh(&format!("careen-agent cancel {id}")).expect("exec");
    assert_eq!(refused.status, 1);
    assert_contains(&refused.stderr, "is closed already");
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_the_grace() {
    let host = host();
    let image =
        host.script("#!/bin/sh\ntrap 'echo not yet' TERM\necho waiting; while :; do sleep 0.05; done\n");
    let container = host.run(&image).env("CAREEN_STOP_GRACE_PERIOD", "1h").start();
    container.await_log("waiting");
    container.docker(&["kill", "-s", "INT"]).expect(0);
    container.await_log("not yet");
    container.docker(&["kill", "-s", "INT"]).expect(0);
    container.wait().expect(245);
}

#[test]
fn the_time_limit_stops_the_command() {
    let host = host();
    // A program that knows nothing of signals must get SIGTERM: with this grace, nothing else would end it.
    let image = host.script("#!/bin/sh\necho waiting; exec sleep 600\n");
    let limited = host.run(&image).env("CAREEN_TIMEOUT", "500ms").env("CAREEN_STOP_GRACE_PERIOD", "1h");
    let ran = limited.go().expect(124);
    assert_eq!(ran.text(), "waiting\n");
    assert_contains(&ran.stderr, "was stopped at its time limit");
}

#[test]
fn chroot_entry_gives_the_command_what_time_there_is() {
    let host = host();
    let image = host
        .script("#!/bin/sh\ntrap 'echo tidied; exit 0' TERM\necho waiting; while :; do sleep 0.05; done\n");
    let container = host.run(&image).env("CAREEN_HOST_ENTRY", "chroot").start();
    container.await_log("waiting");
    container.docker(&["stop"]).expect(0);
    let ran = container.wait().expect(245);
    assert_contains(&ran.text(), "tidied");
}

#[test]
fn children_left_behind_are_named_and_hold_nothing_up() {
    let host = host();
    let image = host.script("#!/bin/sh\nsetsid sleep 4242 &\necho started\n");
    let ran = host.run(&image).go().expect(0);
    assert_eq!(ran.text(), "started\n");
    assert_contains(&ran.stderr, "note: the command left processes behind:");
    // They belong to the host: the command's end does not kill them. It may end before its child has become `sleep`.
    eventually("the process that was left behind", || {
        let found = host.must("pgrep -fc '[s]leep 4242'; true");
        if found == "1\n" { Ok(()) } else { Err(found) }
    });
    host.must("pkill -f '[s]leep 4242'");
}

#[test]
fn a_lingering_command_ends_when_its_container_is_removed_if_it_asked_for_that() {
    let host = host();
    let image = host.script("#!/bin/sh\necho waiting; exec tail -f /dev/null\n");
    let container = host.run(&image).env("CAREEN_ON_REMOVE", "stop").start();
    container.await_log("waiting");
    let id = host.last_transaction();
    container.docker(&["rm", "-f"]).expect(0);
    host.await_outcome(&id, "was stopped: its container was removed");
}

#[test]
fn an_engine_restart_is_no_removal() {
    let host = host();
    host.must("rm -f /run/careen-test-go");
    let image = host.script(WAITS);
    let container = host.run(&image).env("CAREEN_ON_REMOVE", "stop").option("--rm").start();
    container.await_log("waiting");
    let id = host.last_transaction();
    host.must("systemctl restart docker");
    host.await_engine();
    host.must("touch /run/careen-test-go");
    host.await_outcome(&id, "exited with status 0");
    assert_eq!(host.must(&format!("careen-agent logs {id}")), "waiting\nwent on\n");
    host.must("rm -f /run/careen-test-go");
}

#[test]
fn lingering_keeps_the_result_on_show_until_the_container_is_stopped() {
    let host = host();
    let image = host.script("#!/bin/sh\necho worked; exit 4\n");
    let container = host.run(&image).env("CAREEN_LINGER", "1").start();
    container.await_log("staying for review");
    assert_eq!(container.docker(&["inspect", "-f", "{{.State.Running}}"]).text(), "true\n");
    container.docker(&["stop"]).expect(0);
    container.wait().expect(4);
}
