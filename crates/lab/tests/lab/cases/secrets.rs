//! Secrets and configs of a service: handed to the command on a tmpfs, brought again after a reboot, gone afterwards.

use crate::support::{Run, Swarm, assert_contains, eventually, swarm};

/// Every file that the command is handed, with its mode, owner and length: what it prints stays on the host.
const SHOW: &str = "#!/bin/sh\ncd $CAREEN_SECRETS && for file in $(find . -type f | sort); do echo \"$file $(stat -c '%a %u %s' $file)\"; done; stat -f -c %T .\n";

/// Creates an object of Swarm's (a secret or a config), anew where a failed test left one.
fn create(swarm: &Swarm, kind: &str, name: &str, content: &str) {
    let script =
        format!("docker {kind} rm {name} >/dev/null 2>&1; printf {content} | docker {kind} create {name} -");
    let made = swarm.manager().sh(&script).expect("exec");
    assert_eq!(made.status, 0, "{}", made.stderr);
}

fn remove(swarm: &Swarm, service: &str) {
    swarm.docker(&["service", "rm", service]);
    swarm.docker(&["secret", "rm", "careen-test"]);
    swarm.docker(&["config", "rm", "careen-test"]);
}

#[test]
fn configs_and_secrets_are_found_by_their_targets() {
    let swarm = swarm();
    create(&swarm, "secret", "careen-test", "sesame0");
    create(&swarm, "config", "careen-test", "setting-1");
    let image = swarm.script(SHOW);
    let options = [
        "--restart-condition=none",
        "--secret=source=careen-test,target=password",
        "--secret=source=careen-test,target=sub/deep",
        "--secret=source=careen-test,target=/opt/key",
        "--config=careen-test",
        "--config=source=careen-test,target=/etc/app/app.conf,mode=0444",
    ];
    swarm.service("configured", &options, &image, &[]);
    let logs = eventually("the service's log", || {
        let logs = swarm.docker(&["service", "logs", "--raw", "configured"]);
        if logs.contains("tmpfs") { Ok(logs) } else { Err(logs) }
    });
    assert_eq!(
        logs,
        "./careen-test 400 0 9\n./etc/app/app.conf 400 0 9\n./opt/key 400 0 7\n./password 400 0 7\n./sub/deep 400 0 7\ntmpfs\n"
    );
    swarm.docker(&["service", "rm", "configured"]);

    let clash = ["--restart-condition=none", "--secret=careen-test", "--config=careen-test"];
    swarm.service("clash", &clash, &image, &[]);
    let said = eventually("the refusal", || {
        let logs = swarm.manager().docker(["service", "logs", "--raw", "clash"]).expect("docker");
        if logs.stderr.contains("CAREEN_SECRETS") { Ok(logs.stderr) } else { Err(logs.stderr) }
    });
    assert_contains(&said, "would both be 'careen-test' in CAREEN_SECRETS: give one of them another target");
    remove(&swarm, "clash");
    for node in swarm.nodes() {
        assert_eq!(node.sh("grep -rlE 'sesame0|setting-1' /var/lib/careen; true").expect("grep").stdout, "");
    }
}

#[test]
fn after_a_reboot_a_command_with_secrets_waits_for_the_agent_that_brings_them() {
    let swarm = swarm();
    create(&swarm, "secret", "careen-test", "sesame1");
    create(&swarm, "config", "careen-test", "setting");
    let image = swarm.script("#!/bin/sh\necho attempt $CAREEN_ATTEMPT, $(cat $CAREEN_SECRETS/careen-test $CAREEN_SECRETS/app.conf)\ntest $CAREEN_ATTEMPT = 2 || exit 194\n");
    let node = &swarm.nodes()[1];
    let options = [
        "--restart-condition=none",
        "--env=CAREEN_REBOOT=wanted",
        "--secret=careen-test",
        "--config=source=careen-test,target=/app.conf",
        &format!("--constraint=node.hostname=={}", node.name()),
    ];
    swarm.service("secretive", &options, &image, &[]);
    let standing = |words: &str| {
        eventually(&format!("the transaction: {words}"), || {
            let list = node.sh("careen-agent list | tail -n 1").map_err(|error| error.to_string())?.stdout;
            if list.contains(words) { Ok(list) } else { Err(list) }
        })
    };
    let list = standing("rebooted without a supervisor: awaiting the next agent");
    let id = list.split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(node.sh("ls -A /run/careen/secrets 2>/dev/null").expect("exec").stdout, "");

    let without = eventually("the engine", || {
        let ran = Run::new(node, &image).env("CAREEN_TRANSACTION", &id).go();
        if ran.status == 125 { Err(ran.stderr) } else { Ok(ran) }
    });
    assert_contains(
        &without.expect(248).stderr,
        "goes on with the secrets that its host lost in a reboot, and this container has none",
    );
    swarm.docker(&["service", "update", "--detach", "--quiet", "--force", "secretive"]);
    standing("exited with status 0");
    let logs = node.sh(&format!("careen-agent logs {id}")).expect("exec").stdout;
    assert_eq!(logs, "attempt 1, sesame1setting\nattempt 2, sesame1setting\n");
    remove(&swarm, "secretive");
}
