//! Installer images as Swarm services, with nothing but the plain docker CLI.

use crate::support::{Swarm, assert_contains, eventually, swarm};
use std::collections::BTreeMap;

/// State and exit code of a service's tasks, by node name.
fn tasks(swarm: &Swarm, service: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let ids = swarm.docker(&["service", "ps", "-q", service]);
    let mut by_node: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let names = swarm.docker(&["service", "ps", "--format", "{{.ID}} {{.Node}}", "--no-trunc", service]);
    for id in ids.lines() {
        let format = "{{.Status.State}} {{with .Status.ContainerStatus}}{{.ExitCode}}{{end}}";
        let status = swarm.docker(&["inspect", "--type", "task", "-f", format, id]);
        let node =
            names.lines().find_map(|line| line.strip_prefix(id)?.strip_prefix(' ')).unwrap_or("?").to_owned();
        let (state, code) = status.trim().split_once(' ').unwrap_or((status.trim(), ""));
        by_node.entry(node).or_default().push((state.to_owned(), code.to_owned()));
    }
    by_node
}

fn await_tasks(
    swarm: &Swarm,
    service: &str,
    tasks_wanted: usize,
    state: &str,
) -> BTreeMap<String, Vec<(String, String)>> {
    eventually(&format!("{tasks_wanted} tasks of {service} {state}"), || {
        let found = tasks(swarm, service);
        let count = found.values().flatten().filter(|(seen, _)| seen == state).count();
        if count == tasks_wanted { Ok(found) } else { Err(format!("{found:?}")) }
    })
}

const ONCE: &str = "#!/bin/sh\necho run >> /run/careen-test-runs; echo \"installed on $(hostname) by $CAREEN_NODE_NAME $CAREEN_NODE_ROLE\"\n";

fn reset(swarm: &Swarm) {
    swarm.nodes().iter().for_each(|node| drop(node.sh("rm -f /run/careen-test-runs")));
}

fn runs(swarm: &Swarm) -> Vec<String> {
    let count = "wc -l 2>/dev/null < /run/careen-test-runs || echo none";
    swarm.nodes().iter().map(|node| node.sh(count).expect("exec").stdout.trim().to_owned()).collect()
}

#[test]
fn a_global_service_runs_once_on_every_host() {
    let swarm = swarm();
    reset(&swarm);
    let image = swarm.script(ONCE);
    swarm.service("update", &["--mode=global", "--restart-condition=none"], &image, &[]);
    await_tasks(&swarm, "update", 3, "complete");
    assert_eq!(runs(&swarm), ["1", "1", "1"]);
    let logs = swarm.docker(&["service", "logs", "--raw", "update"]);
    for node in swarm.nodes() {
        assert_contains(&logs, &format!("installed on {0} by {0} {1}\n", node.name(), node.role()));
    }
    swarm.docker(&["service", "rm", "update"]);
}

#[test]
fn a_failing_command_shows_its_code_and_its_output() {
    let swarm = swarm();
    let image = swarm.script("#!/bin/sh\necho broken on $(hostname) >&2; exit 42\n");
    swarm.service("broken", &["--mode=global", "--restart-condition=none"], &image, &[]);
    let found = await_tasks(&swarm, "broken", 3, "failed");
    assert!(found.values().flatten().all(|(_, code)| code == "42"), "{found:?}");
    assert_contains(&swarm.docker(&["service", "ps", "--no-trunc", "broken"]), "non-zero exit (42)");
    let ran = swarm.manager().docker(["service", "logs", "--raw", "broken"]).expect("docker");
    for node in swarm.nodes() {
        assert_contains(&ran.stderr, &format!("broken on {}\n", node.name()));
    }
    swarm.docker(&["service", "rm", "broken"]);
}

#[test]
fn swarm_may_restart_tasks_as_it_likes_the_command_runs_once() {
    let swarm = swarm();
    reset(&swarm);
    let image = swarm.script("#!/bin/sh\necho run >> /run/careen-test-runs; exit 1\n");
    // The documented default, any, on purpose: five tasks on each host, one run.
    let options = ["--mode=global", "--restart-delay=0s", "--restart-max-attempts=4"];
    swarm.service("restarted", &options, &image, &[]);
    await_tasks(&swarm, "restarted", 15, "failed");
    assert_eq!(runs(&swarm), ["1", "1", "1"]);
    swarm.docker(&["service", "rm", "restarted"]);
}

#[test]
fn replicas_that_share_a_host_are_one_transaction() {
    let swarm = swarm();
    reset(&swarm);
    let image = swarm.script(&format!("{ONCE}sleep 1\n"));
    let options = ["--replicas=4", "--restart-condition=none", "--constraint", "node.hostname==n2"];
    swarm.service("doubled", &options, &image, &[]);
    await_tasks(&swarm, "doubled", 4, "complete");
    assert_eq!(runs(&swarm), ["none", "1", "none"]);
    swarm.docker(&["service", "rm", "doubled"]);
}

#[test]
fn a_global_job_runs_once_on_every_host() {
    let swarm = swarm();
    reset(&swarm);
    let image = swarm.script(ONCE);
    swarm.service("job", &["--mode=global-job", "--restart-condition=none"], &image, &[]);
    await_tasks(&swarm, "job", 3, "complete");
    assert_eq!(runs(&swarm), ["1", "1", "1"]);
    swarm.docker(&["service", "rm", "job"]);
}

#[test]
fn another_run_is_asked_for_with_careen_run() {
    let swarm = swarm();
    reset(&swarm);
    // Without `continue`, Swarm pauses the update at the first task that ends, and leaves the other hosts out.
    let image = swarm.script("#!/bin/sh\necho run >> /run/careen-test-runs; test \"$CAREEN_RUN\" = 2\n");
    let options = ["--mode=global", "--restart-condition=none", "--update-failure-action=continue"];
    swarm.service("again", &options, &image, &[]);
    await_tasks(&swarm, "again", 3, "failed");
    swarm.docker(&["service", "update", "--detach", "--quiet", "--force", "again"]);
    eventually("every host reporting the recorded result", || {
        let ran = swarm.manager().docker(["service", "logs", "--raw", "again"]).expect("docker");
        let reported = ran.stderr.matches("nothing was run again").count();
        if reported == 3 { Ok(()) } else { Err(ran.stderr) }
    });
    assert_eq!(runs(&swarm), ["1", "1", "1"], "a forced update restarts tasks, not work");
    swarm.docker(&["service", "update", "--detach", "--quiet", "--env-add", "CAREEN_RUN=2", "again"]);
    eventually("a second run on every host", || {
        let found = runs(&swarm);
        if found == ["2", "2", "2"] { Ok(()) } else { Err(format!("{found:?}")) }
    });
    await_tasks_settled(&swarm, "again");
    swarm.docker(&["service", "rm", "again"]);
}

fn await_tasks_settled(swarm: &Swarm, service: &str) {
    eventually("all tasks at rest", || {
        let found = tasks(swarm, service);
        let resting =
            |(state, _): &(String, String)| ["complete", "shutdown", "failed"].contains(&state.as_str());
        if found.values().flatten().all(resting) { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn a_service_that_stays_for_review_ends_with_the_service() {
    let swarm = swarm();
    let image = swarm.script("#!/bin/sh\necho reviewed; exec tail -f /dev/null\n");
    let options = ["--mode=global", "--restart-condition=none", "--env", "CAREEN_ON_REMOVE=stop"];
    swarm.service("review", &options, &image, &[]);
    await_tasks(&swarm, "review", 3, "running");
    eventually("all three at work", || {
        let logs = swarm.docker(&["service", "logs", "--raw", "review"]);
        if logs.matches("reviewed\n").count() == 3 { Ok(()) } else { Err(logs) }
    });
    swarm.docker(&["service", "rm", "review"]);
    for node in swarm.nodes() {
        eventually("the command's end", || {
            let list = node.sh("careen-agent list | tail -n 1").expect("exec").stdout;
            if list.contains("its container was removed") { Ok(()) } else { Err(list) }
        });
    }

    let image = swarm.script("#!/bin/sh\necho worked\n");
    let options = ["--mode=global", "--restart-condition=none", "--env", "CAREEN_LINGER=1"];
    swarm.service("linger", &options, &image, &[]);
    eventually("all three lingering", || {
        let ran = swarm.manager().docker(["service", "logs", "--raw", "linger"]).expect("docker");
        if ran.stderr.matches("staying for review").count() == 3 { Ok(()) } else { Err(ran.stderr) }
    });
    await_tasks(&swarm, "linger", 3, "running");
    swarm.docker(&["service", "rm", "linger"]);
    for node in swarm.nodes() {
        eventually("no container of the service", || {
            let left = node
                .sh("docker ps -q --filter label=com.docker.swarm.service.name=linger")
                .expect("exec")
                .stdout;
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }
}

#[test]
fn a_drain_of_its_node_does_not_stop_the_command() {
    let swarm = swarm();
    let image = swarm.script(
        "#!/bin/sh\necho waiting; until test -e /run/careen-test-go; do sleep 0.05; done; echo went on\n",
    );
    swarm.nodes().iter().for_each(|node| drop(node.sh("rm -f /run/careen-test-go")));
    let options = ["--replicas=1", "--restart-condition=none", "--constraint", "node.hostname==n3"];
    swarm.service("drained", &options, &image, &[]);
    eventually("the command at work", || {
        let logs = swarm.docker(&["service", "logs", "--raw", "drained"]);
        if logs.contains("waiting") { Ok(()) } else { Err(logs) }
    });
    swarm.docker(&["node", "update", "--availability", "drain", "n3"]);
    let node = &swarm.nodes()[2];
    eventually("no container on the drained node", || {
        let left = node.sh("docker ps -q").expect("exec").stdout;
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    let id = node
        .sh("touch /run/careen-test-go; careen-agent list | tail -n 1 | cut -d' ' -f1")
        .expect("exec")
        .stdout;
    let logs = node.sh(&format!("careen-agent logs -f {id}")).expect("exec").stdout;
    swarm.docker(&["service", "rm", "drained"]);
    swarm.docker(&["node", "update", "--availability", "active", "n3"]);
    assert_eq!(logs, "waiting\nwent on\n");
}
