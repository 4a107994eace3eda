//! Work that outlives the container, the engine and the reboot.

use crate::support::{
    DEADLINE, File, Host, Swarm, assert_contains, eventually, eventually_within, host, swarm,
};
use careen_lab::Fault;
use std::time::Duration;

/// Nothing of careen's stays that would start something at the next boot.
fn assert_no_resume_unit(host: &Host) {
    assert_eq!(host.must("ls /etc/systemd/system | grep careen-resume; true"), "");
}

#[test]
fn status_194_reboots_the_host_and_runs_the_next_attempt_by_itself() {
    let host = host();
    let image =
        host.script("#!/bin/sh\necho attempt $CAREEN_ATTEMPT; test $CAREEN_ATTEMPT = 2 || exit 194\n");
    let before = host.boot_id().expect("a boot id");
    let named = host.run(&image).env("CAREEN_TRANSACTION", "reboots");
    let container = named.env("CAREEN_REBOOT", "wanted").start();
    host.await_outcome("reboots", "exited with status 0");
    assert_ne!(host.boot_id().expect("a boot id"), before);
    host.await_engine();
    container.docker(&["start"]).expect(0);
    let ran = container.wait().expect(0);
    assert_contains(&ran.text(), "attempt 1\nattempt 2\n");
    assert_contains(&ran.stderr, "note: the host was rebooted: the command asks for a reboot (status 194)");
    assert_no_resume_unit(&host);
    host.must("rm -r /var/lib/careen/transactions/reboots");
}

#[test]
fn a_reboot_that_is_not_allowed_is_a_result() {
    let host = host();
    let image = host.script("#!/bin/sh\nexit 194\n");
    let before = host.boot_id().expect("a boot id");
    let ran = host.run(&image).go().expect(246);
    assert_contains(
        &ran.stderr,
        "did its work, but the command asks for a reboot (status 194), and CAREEN_REBOOT is never",
    );
    assert_eq!(host.boot_id().expect("a boot id"), before);
    assert_no_resume_unit(&host);
}

#[test]
fn a_power_cut_in_the_middle_is_an_interruption_and_the_log_is_there() {
    let host = host();
    host.must("rm -f /var/tmp/careen-test-runs");
    let image =
        host.script("#!/bin/sh\necho run >> /var/tmp/careen-test-runs; echo working; exec sleep 600\n");
    let container = host.run(&image).start();
    container.await_log("working");
    let id = host.last_transaction();
    host.fault(Fault::PowerCut).expect("the power is cut and comes back");
    host.await_outcome(&id, "was interrupted");
    assert_eq!(host.must(&format!("careen-agent logs {id}")), "working\n");
    assert_eq!(host.must("cat /var/tmp/careen-test-runs"), "run\n");
    host.await_engine();
    container.docker(&["start"]).expect(0);
    container.wait().expect(245);
    assert_no_resume_unit(&host);
}

#[test]
fn what_says_that_it_is_idempotent_is_run_again_after_a_power_cut() {
    let host = host();
    let image =
        host.script("#!/bin/sh\necho attempt $CAREEN_ATTEMPT; test $CAREEN_ATTEMPT = 2 || exec sleep 600\n");
    let container = host.run(&image).env("CAREEN_IDEMPOTENT", "1").start();
    container.await_log("attempt 1");
    let id = host.last_transaction();
    host.fault(Fault::PowerCut).expect("the power is cut and comes back");
    host.await_outcome(&id, "exited with status 0");
    assert_eq!(host.must(&format!("careen-agent logs {id}")), "attempt 1\nattempt 2\n");
    host.await_engine();
    container.docker(&["rm", "-f"]).expect(0);
}

#[test]
fn an_engine_that_the_command_stopped_is_started_again() {
    let host = host();
    let image = host
        .script("#!/bin/sh\nsystemctl stop docker.socket docker.service containerd.service; echo stopped\n");
    let container = host.run(&image).start();
    await_engine_down_and_up(&host);
    let id = host.last_transaction();
    host.await_outcome(&id, "exited with status 0");
    host.await_engine();
    // An engine that has just begun to answer may still break a connection off.
    eventually("the container starts", || {
        let started = container.docker(&["start"]);
        if started.status == 0 { Ok(()) } else { Err(started.stderr) }
    });
    let ran = container.wait().expect(0);
    assert_contains(&ran.stderr, "note: the engine was down after the command, and was started again");
}

/// The engine's process is another one than before.
fn await_engine_down_and_up(host: &Host) {
    eventually("a result", || {
        let list = host.must("careen-agent list | tail -n 1");
        if list.contains("exited") { Ok(()) } else { Err(list) }
    });
}

#[test]
fn an_engine_that_stays_down_is_rolled_back() {
    let host = host();
    let broken = "#!/bin/sh\ncp -a /etc/docker/daemon.json /run/careen-test-saved 2>/dev/null; mkdir -p /etc/docker; echo nonsense > /etc/docker/daemon.json; systemctl stop docker.socket docker.service; echo broken\n";
    let rollback = "#!/bin/sh\nrm /etc/docker/daemon.json; mv /run/careen-test-saved /etc/docker/daemon.json 2>/dev/null; echo \"rolled back, $CAREEN_COMMAND\"\n";
    let image = host.image(&[File::script("install", broken), File::script("rollback", rollback)]);
    let container = host.run(&image).start();
    eventually("the rollback", || {
        let list = host.must("careen-agent list | tail -n 1");
        if list.contains("the payload's rollback brought it back") { Ok(()) } else { Err(list) }
    });
    host.await_engine();
    container.docker(&["start"]).expect(0);
    let ran = container.wait().expect(249);
    assert_contains(&ran.text(), "broken\nrolled back, rollback\n");
}

#[test]
fn a_killed_engine_does_not_touch_the_command() {
    let host = host();
    host.must("rm -f /run/careen-test-go");
    let image = host.script(
        "#!/bin/sh\necho waiting; until test -e /run/careen-test-go; do sleep 0.05; done; echo went on\n",
    );
    let container = host.run(&image).start();
    container.await_log("waiting");
    let id = host.last_transaction();
    host.fault(Fault::KillEngine).expect("the engine is killed");
    host.await_engine();
    host.must("touch /run/careen-test-go");
    host.await_outcome(&id, "exited with status 0");
    assert_eq!(host.must(&format!("careen-agent logs {id}")), "waiting\nwent on\n");
    container.docker(&["start"]);
    container.wait().expect(0);
    host.must("rm -f /run/careen-test-go");
}

#[test]
fn of_too_much_output_both_ends_are_kept() {
    let host = host();
    let image = host.script("#!/bin/sh\necho first; head -c 300000 /dev/zero; echo last\n");
    let container = host.run(&image).env("CAREEN_OUTPUT_LIMIT", "64KiB").start();
    container.docker(&["wait"]);
    container.docker(&["rm", "-f"]).expect(0);
    let id = host.last_transaction();
    let ran = host.sh(&format!("careen-agent logs {id} | tr -d '\\0'")).expect("exec");
    assert_eq!(ran.stdout, "first\nlast\n");
    assert_contains(&ran.stderr, "bytes of output were not kept (CAREEN_OUTPUT_LIMIT)");
    assert_eq!(host.must(&format!("cat /var/lib/careen/transactions/{id}/output.log /var/lib/careen/transactions/{id}/output.tail | wc -c")), "65536\n");
}

/// What Debian's docker.io does to a running engine: its binary is replaced, and nothing is restarted.
const REPLACE_ENGINE: &str = "#!/bin/sh\necho run >> /run/careen-test-runs\ncp -a /usr/sbin/dockerd /usr/sbin/dockerd.new && mv /usr/sbin/dockerd.new /usr/sbin/dockerd\necho replaced\n";

#[test]
fn a_replaced_engine_that_may_not_be_restarted_is_a_result() {
    let host = host();
    let image = host.script(REPLACE_ENGINE);
    let ran = host.run(&image).env("CAREEN_ENGINE_RESTART", "never").go().expect(246);
    assert_contains(
        &ran.stderr,
        "the installed dockerd is not the one that runs, and CAREEN_ENGINE_RESTART is never",
    );
    host.must("rm /run/careen-test-runs; systemctl restart docker");
    host.await_engine();
}

#[test]
fn a_command_may_ask_for_a_restart_of_the_engine() {
    let host = host();
    let image = host.script("#!/bin/sh\n: > \"$CAREEN_RESTART_ENGINE\"\necho asked\n");
    let before = host.must("cat /run/docker.pid");
    let refused = host.run(&image).env("CAREEN_ENGINE_RESTART", "never").go().expect(246);
    assert_contains(
        &refused.stderr,
        "the command asks for a restart of the engine, and CAREEN_ENGINE_RESTART is never",
    );
    assert_eq!(host.must("cat /run/docker.pid"), before);
    let container = host.run(&image).env("CAREEN_TRANSACTION", "asks").start();
    host.await_outcome("asks", "exited with status 0");
    host.await_engine();
    assert_ne!(host.must("cat /run/docker.pid"), before, "another engine process");
    assert_eq!(host.must("careen-agent logs asks"), "asked\n");
    drop(container);
}

#[test]
fn a_replaced_engine_is_restarted_on_every_host_and_every_result_comes_back() {
    let swarm = swarm();
    let image = swarm.script(REPLACE_ENGINE);
    let engines = |swarm: &Swarm| -> Vec<String> {
        swarm.nodes().iter().map(|node| node.sh("cat /run/docker.pid").expect("exec").stdout).collect()
    };
    let before = engines(&swarm);
    swarm.nodes().iter().for_each(|node| drop(node.sh("rm -f /run/careen-test-runs")));
    swarm.service("replace", &["--mode=global", "--restart-condition=on-failure"], &image, &[]);
    eventually("a complete task on every node", || {
        let tasks =
            swarm.manager().docker(["service", "ps", "--format", "{{.Node}} {{.CurrentState}}", "replace"]);
        let tasks = tasks.map(|output| output.stdout).map_err(|error| error.to_string())?;
        let complete = tasks.lines().filter(|line| line.contains("Complete")).count();
        if complete == swarm.nodes().len() { Ok(()) } else { Err(tasks) }
    });
    for (node, before) in swarm.nodes().iter().zip(&before) {
        let name = node.name();
        assert_ne!(
            node.sh("cat /run/docker.pid").expect("exec").stdout,
            *before,
            "{name}: another engine process"
        );
        let runs = node.sh("cat /run/careen-test-runs; rm /run/careen-test-runs").expect("exec").stdout;
        assert_eq!(runs, "run\n", "{name}: the command ran once, the new task reports it");
    }
    let logs = swarm.manager().docker(["service", "logs", "--raw", "replace"]).expect("docker");
    assert!(logs.stdout.matches("replaced\n").count() >= swarm.nodes().len(), "{}", logs.stdout);
    let backup = swarm.manager().sh(
        "find /var/lib/careen/backup -path '*swarm-*/raft/*' | head -n 1; stat -c %a /var/lib/careen/backup",
    );
    let backup = backup.expect("exec").stdout;
    assert!(
        backup.contains("/raft/") && backup.ends_with("700\n"),
        "the manager's raft store was copied: {backup}"
    );
    assert_eq!(swarm.docker(&["config", "ls", "-q"]), "", "the lock is given back");
    swarm.docker(&["service", "rm", "replace"]);
}

/// Makes the lock that another manager's restart would hold, and a replaced engine on the manager that waits for it.
fn replace_the_engine_behind_a_lock(swarm: &Swarm) -> String {
    swarm.manager().sh("rm -f /run/careen-test-runs").expect("exec");
    let lock = "echo lock | docker config create -l careen.node-id=other -l careen.node-name=elsewhere \
                -l careen.transaction=its careen.engine-restart -";
    assert_eq!(swarm.manager().sh(lock).expect("exec").status, 0);
    let image = swarm.script(REPLACE_ENGINE);
    let options = ["--constraint=node.role==manager", "--restart-condition=on-failure"];
    let before = swarm.manager().sh("cat /run/docker.pid").expect("exec").stdout;
    swarm.service("behind", &options, &image, &[]);
    eventually("the manager says what it waits for", || {
        let list = swarm.manager().sh("careen-agent list").map_err(|error| error.to_string())?.stdout;
        let hold = "waiting: elsewhere is restarting its engine: one manager at a time";
        if list.contains(hold) { Ok(()) } else { Err(list) }
    });
    assert_eq!(swarm.manager().sh("cat /run/docker.pid").expect("exec").stdout, before, "it waits");
    before
}

fn await_the_turn(swarm: &Swarm, before: &str, within: Duration) {
    eventually_within(within, "a complete task on the manager", || {
        let tasks = swarm.manager().docker(["service", "ps", "--format", "{{.CurrentState}}", "behind"]);
        let tasks = tasks.map(|output| output.stdout + &output.stderr).map_err(|error| error.to_string())?;
        if tasks.contains("Complete") { Ok(()) } else { Err(tasks) }
    });
    assert_ne!(swarm.manager().sh("cat /run/docker.pid").expect("exec").stdout, before);
    let runs = swarm.manager().sh("cat /run/careen-test-runs; rm /run/careen-test-runs").expect("exec");
    assert_eq!(runs.stdout, "run\n");
    assert_eq!(swarm.docker(&["config", "ls", "-q"]), "", "the lock is given back");
    swarm.docker(&["service", "rm", "behind"]);
}

#[test]
fn a_manager_waits_while_another_one_restarts() {
    let swarm = swarm();
    let before = replace_the_engine_behind_a_lock(&swarm);
    swarm.docker(&["config", "rm", "careen.engine-restart"]);
    await_the_turn(&swarm, &before, DEADLINE);
}

#[test]
#[ignore = "slow: a lock is dead after five minutes; run by make test-slow"]
fn the_lock_of_a_dead_manager_is_taken_over() {
    let swarm = swarm();
    let before = replace_the_engine_behind_a_lock(&swarm);
    await_the_turn(&swarm, &before, Duration::from_secs(10 * 60));
}

#[test]
fn a_manager_of_an_autolocked_swarm_needs_the_key_before_anything_starts() {
    let swarm = swarm();
    let image = swarm.script("#!/bin/sh\necho ran\n");
    swarm.docker(&["swarm", "update", "--autolock=true"]);
    let run = |option: &str| {
        let args = ["run", "--rm", "-v", "/:/host", "-e", option, image.name()];
        swarm.manager().docker(args).expect("docker")
    };
    let refused = run("X=1");
    let allowed = run("CAREEN_ENGINE_RESTART=never");
    swarm.docker(&["swarm", "update", "--autolock=false"]);
    assert_eq!(refused.status, 248, "{}", refused.stderr);
    assert_contains(&refused.stderr, "this manager's swarm is autolocked");
    assert_eq!((allowed.status, allowed.stdout.as_str()), (0, "ran\n"), "{}", allowed.stderr);
}

#[test]
fn an_autolocked_manager_is_unlocked_with_the_key_from_its_secret() {
    let swarm = swarm();
    let image = swarm.script(REPLACE_ENGINE);
    swarm.docker(&["swarm", "update", "--autolock=true"]);
    let made = swarm
        .manager()
        .sh("docker swarm unlock-key -q | docker secret create careen-unlock -")
        .expect("exec");
    assert_eq!(made.status, 0, "{}", made.stderr);
    let options = [
        "--mode=global",
        "--restart-condition=on-failure",
        "--constraint=node.role==manager",
        "--secret=source=careen-unlock,target=unlock-key",
    ];
    swarm.service("unlock", &options, &image, &[]);
    eventually("a complete task on the manager", || {
        let tasks = swarm.manager().docker(["service", "ps", "--format", "{{.CurrentState}}", "unlock"]);
        let tasks = tasks.map(|output| output.stdout + &output.stderr).map_err(|error| error.to_string())?;
        if tasks.contains("Complete") { Ok(()) } else { Err(tasks) }
    });
    swarm.docker(&["swarm", "update", "--autolock=false"]);
    swarm.docker(&["service", "rm", "unlock"]);
    swarm.docker(&["secret", "rm", "careen-unlock"]);
    let key = swarm
        .manager()
        .sh("grep -rl SWMKEY /var/lib/careen --include='*' --exclude-dir=backup; true")
        .expect("exec")
        .stdout;
    assert_eq!(key, "", "the key is on no disk");
    swarm.manager().sh("rm -f /run/careen-test-runs").expect("exec");
}

#[test]
fn a_package_that_wants_a_reboot_is_heard() {
    let host = host();
    let image = host.script(
        "#!/bin/sh\nset -e\nlist=Dir::Etc::SourceList=/etc/apt/sources.list.d/careen-lab.list\napt-get -qq -o $list -o Dir::Etc::SourceParts=- update\napt-get -qq -y -o $list -o Dir::Etc::SourceParts=- install --reinstall careen-test-reboot\n",
    );
    let ran = host.run(&image).go().expect(246);
    assert_contains(
        &ran.stderr,
        "/run/reboot-required is there, for careen-test-reboot, and CAREEN_REBOOT is never",
    );
    let other = host.script("#!/bin/sh\necho done\n");
    assert_eq!(host.run(&other).go().expect(0).text(), "done\n", "an older wish is somebody else's");
    host.must("rm /run/reboot-required*; apt-get -qq -y purge careen-test-reboot");
}

#[test]
fn a_result_says_what_changed_on_the_host() {
    let host = host();
    let image = host.script(
        "#!/bin/sh\nset -e\nlist=Dir::Etc::SourceList=/etc/apt/sources.list.d/careen-lab.list\napt-get -qq -o $list -o Dir::Etc::SourceParts=- update\napt-get -qq -y -o $list -o Dir::Etc::SourceParts=- --allow-downgrades install careen-test-hello=$1\n",
    );
    host.run(&image).command(&["install", "1.0"]).go().expect(0);
    let ran = host.run(&image).command(&["install", "2.0"]).go().expect(0);
    assert_contains(&ran.stderr, "changed: packages: 1 changed");
    assert_contains(&ran.stderr, "changed:   careen-test-hello 1.0 → 2.0");
    let closed = host.must(&format!("careen-agent show {} | tail -n 1", ran.transaction()));
    let closed: serde_json::Value = serde_json::from_str(&closed).expect("JSON");
    let hello = &closed["result"]["changes"]["changed"]["careen-test-hello"];
    assert_eq!(*hello, serde_json::json!({ "from": "1.0", "to": "2.0" }));
    let nothing = host.run(&host.script("#!/bin/sh\necho nothing\n")).go().expect(0);
    assert!(!nothing.stderr.contains("changed:"), "{}", nothing.stderr);
    host.run(&image).command(&["install", "1.0"]).go().expect(0);
}

#[test]
fn closed_transactions_are_swept_and_open_ones_are_not() {
    let host = host();
    let image =
        host.script("#!/bin/sh\necho waiting; until test -e /run/careen-test-go; do sleep 0.05; done\n");
    let quick = host.script("#!/bin/sh\necho quick\n");
    host.must("rm -f /run/careen-test-go");
    host.run(&quick).go().expect(0);
    let container = host.run(&image).start();
    container.await_log("waiting");
    assert_contains(&host.must("careen-agent sweep --all"), "transactions swept");
    assert_eq!(host.must("careen-agent list | wc -l"), "1\n");
    host.must("touch /run/careen-test-go");
    container.wait().expect(0);
    host.must("rm /run/careen-test-go");
}
