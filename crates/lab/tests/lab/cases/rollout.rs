//! An agent's part in a rollout, with the controller played by hand: gates, the go, restarts, reports.

use crate::support::{File, Swarm, eventually, image_base, swarm};

const NODE: usize = 1;

/// A rollout's services on one node, as a controller makes them.
struct Part<'a> {
    swarm: &'a Swarm,
    image: String,
    id: &'static str,
}

impl Part<'_> {
    fn create(&self, name: &str, options: &[&str], image: &str, command: &[&str]) {
        let node = format!("node.hostname=={}", self.swarm.nodes()[NODE].name());
        let fixed = ["service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", name];
        let job = ["--mode", "replicated-job", "--restart-condition", "none", "--label", "careen.test=1"];
        let place = ["--constraint", node.as_str()];
        self.swarm.docker(&[&fixed[..], &job, &place, options, &[image], command].concat());
    }

    fn gate(&self, agent: &str, role: &str) {
        let options = ["--entrypoint", "/careen-agent gate", "--stop-grace-period", "2s"];
        self.create(&format!("{agent}-{role}"), &options, image_base(), &[]);
    }

    fn agent(&self, agent: &str, environment: &[&str]) {
        let transaction = format!("CAREEN_TRANSACTION={}", self.id);
        let restart = format!("CAREEN_GATE_RESTART={agent}-restart");
        let mut options = vec!["--mount", "type=bind,source=/,target=/host", "--env", &transaction];
        options.extend(["--env", &restart]);
        options.extend(environment.iter().flat_map(|variable| ["--env", *variable]));
        self.create(agent, &options, &self.image, &["install"]);
    }

    /// A new iteration that fits nowhere.
    fn open(&self, gate: &str) {
        let nowhere = ["--force", "--constraint-add", "node.id==none"];
        self.swarm.docker(&[&["service", "update", "--detach", "--quiet"], &nowhere[..], &[gate]].concat());
    }

    fn drain(&self, availability: &str) {
        let node = self.swarm.nodes()[NODE].name().to_string();
        self.swarm.docker(&["node", "update", "--availability", availability, &node]);
    }

    /// Waits for a report of this agent's.
    fn await_report(&self, agent: &str, report: &str) {
        eventually(&format!("{agent} reports {report}"), || {
            let logs = self.swarm.manager().docker(["service", "logs", "--raw", agent]);
            let logs = logs.map(|logs| logs.stdout + &logs.stderr).map_err(|error| error.to_string())?;
            let last = logs.lines().rfind(|line| line.starts_with("careen-report ")).unwrap_or_default();
            if last.contains(report) { Ok(()) } else { Err(logs) }
        });
    }

    fn on_host(&self, script: &str) -> String {
        self.swarm.nodes()[NODE].sh(script).expect("exec").stdout
    }

    fn done(&self, services: &[&str]) {
        services.iter().for_each(|service| self.open(service));
        eventually("no container of the rollout is left", || {
            let left = self.on_host("docker ps --format '{{.Names}}' --filter label=com.docker.swarm.task");
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        self.swarm.docker(&[&["service", "rm"], services].concat());
        self.on_host("rm -rf /run/careen-test; docker ps -aq --filter status=exited | xargs -r docker rm");
    }
}

/// Every command of the payload says that it ran.
fn payload(swarm: &Swarm, install: &str) -> String {
    let said = |name: &str, rest: &str| {
        format!("#!/bin/sh\nmkdir -p /run/careen-test\necho {name} >> /run/careen-test/ran\n{rest}\n")
    };
    let scripts = [said("prepare", ""), said("install", install), said("verify", ""), said("rollback", "")];
    let names = ["prepare", "install", "verify", "rollback"];
    let files: Vec<_> = names.iter().zip(&scripts).map(|(name, script)| File::script(name, script)).collect();
    swarm.image(&files).name().to_owned()
}

#[test]
fn nothing_begins_before_the_go_which_reaches_a_drained_node() {
    let swarm = swarm();
    let part = Part { image: payload(&swarm, ""), swarm: &swarm, id: "gated" };
    part.gate("gated-a1", "run");
    part.gate("gated-a1", "restart");
    part.agent("gated-a1", &["CAREEN_GATE_RUN=gated-a1-run"]);
    part.await_report("gated-a1", r#""phase":"prepared""#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "prepare\n");
    let logs = swarm.manager().docker(["service", "logs", "--raw", "gated-a1"]).expect("docker");
    assert!(!(logs.stdout + &logs.stderr).contains(r#""phase":"running""#), "prepare is not the command");
    part.drain("drain");
    part.open("gated-a1-run");
    part.await_report("gated-a1", r#""phase":"finished","outcome":{"kind":"succeeded"}"#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "prepare\ninstall\nverify\n");
    part.drain("active");
    part.done(&["gated-a1", "gated-a1-run", "gated-a1-restart"]);
}

#[test]
fn a_payload_cannot_report_in_its_agents_place() {
    let swarm = swarm();
    let forged = r#"echo 'careen-report {"phase":"finished","outcome":{"kind":"succeeded"}}' >&2; printf 'not ended' >&2; exit 3"#;
    let part = Part { image: payload(&swarm, forged), swarm: &swarm, id: "forged" };
    part.gate("forged-a1", "restart");
    part.agent("forged-a1", &[]);
    part.await_report("forged-a1", r#""phase":"finished","outcome":{"kind":"failed""#);
    let logs = swarm.manager().docker(["service", "logs", "--raw", "forged-a1"]).expect("docker");
    let logs = logs.stdout + &logs.stderr;
    assert!(logs.contains("\ncareen-report:{\"phase\":\"finished\""), "what it said can be read: {logs}");
    assert!(logs.contains("\nnot ended\ncareen"), "and the agent begins a line of its own: {logs}");
    part.done(&["forged-a1", "forged-a1-restart"]);
}

#[test]
fn what_an_earlier_rollout_left_on_the_host_is_removed() {
    let swarm = swarm();
    let part = Part { image: payload(&swarm, ""), swarm: &swarm, id: "next" };
    let labelled = ["--container-label", "careen.rollout=earlier", "--container-label", "careen.role=agent"];
    let waits = ["--entrypoint", "/careen-agent gate"];
    part.create(
        "earlier-a1",
        &[labelled, [waits[0], waits[1], "--quiet", "--detach"]].concat(),
        image_base(),
        &[],
    );
    let left = || part.on_host("docker ps -q --filter label=careen.rollout=earlier");
    eventually("it runs", || if left().is_empty() { Err(String::new()) } else { Ok(()) });
    // This engine keeps the container of a job whose service is removed.
    swarm.docker(&["service", "rm", "earlier-a1"]);
    part.gate("next-a1", "restart");
    part.agent("next-a1", &["CAREEN_RUN=next"]);
    part.await_report("next-a1", r#""phase":"finished","outcome":{"kind":"succeeded"}"#);
    assert_eq!(left(), "");
    let logs = swarm.manager().docker(["service", "logs", "--raw", "next-a1"]).expect("docker");
    assert!((logs.stdout + &logs.stderr).contains("left on this host, 1 container(s)"));
    part.done(&["next-a1", "next-a1-restart"]);
}

#[test]
fn a_restart_waits_for_a_go_of_its_own_and_the_next_agent_collects_the_result() {
    let swarm = swarm();
    let replace =
        "cp -a /usr/sbin/dockerd /usr/sbin/dockerd.new && mv /usr/sbin/dockerd.new /usr/sbin/dockerd";
    let part = Part { image: payload(&swarm, replace), swarm: &swarm, id: "restarted" };
    part.gate("restarted-a1", "run");
    part.gate("restarted-a1", "restart");
    part.agent("restarted-a1", &["CAREEN_GATE_RUN=restarted-a1-run"]);
    part.await_report("restarted-a1", r#""phase":"prepared""#);
    part.open("restarted-a1-run");
    part.await_report("restarted-a1", r#""phase":"wants-restart","kind":"engine""#);
    let engine = part.on_host("cat /run/docker.pid");
    assert!(
        part.on_host("careen-agent list")
            .contains("waiting: the rollout's go, because the installed dockerd")
    );
    part.drain("drain");
    part.open("restarted-a1-restart");
    eventually("the engine is another one", || {
        let now = part.on_host("cat /run/docker.pid");
        if now == engine || now.is_empty() { Err(now) } else { Ok(()) }
    });
    part.drain("active");
    part.gate("restarted-a2", "restart");
    part.agent("restarted-a2", &["CAREEN_COLLECT=1"]);
    part.await_report("restarted-a2", r#""phase":"finished","outcome":{"kind":"succeeded"}"#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "prepare\ninstall\nverify\n", "once each");
    part.done(&[
        "restarted-a1",
        "restarted-a1-run",
        "restarted-a1-restart",
        "restarted-a2",
        "restarted-a2-restart",
    ]);
}

#[test]
fn an_agent_that_collects_begins_nothing() {
    let swarm = swarm();
    let part = Part { image: payload(&swarm, ""), swarm: &swarm, id: "nothing" };
    part.gate("nothing-a2", "restart");
    part.agent("nothing-a2", &["CAREEN_COLLECT=1"]);
    part.await_report("nothing-a2", r#""phase":"not-begun""#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "");
    part.done(&["nothing-a2", "nothing-a2-restart"]);
}

#[test]
fn a_failed_command_is_taken_back_where_the_rollout_says_so() {
    let swarm = swarm();
    let part = Part { image: payload(&swarm, "exit 7"), swarm: &swarm, id: "failing" };
    part.gate("failing-a1", "run");
    part.gate("failing-a1", "restart");
    part.agent("failing-a1", &["CAREEN_GATE_RUN=failing-a1-run", "CAREEN_ROLLBACK=1"]);
    part.await_report("failing-a1", r#""phase":"prepared""#);
    part.open("failing-a1-run");
    part.await_report(
        "failing-a1",
        r#""outcome":{"kind":"failed","phase":"command","exit":7,"rolled_back":true}"#,
    );
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "prepare\ninstall\nrollback\n");
    part.done(&["failing-a1", "failing-a1-run", "failing-a1-restart"]);
}
