//! An agent's part in a rollout, with the controller played by hand: gates, the go, restarts, reports.

use crate::support::{File, Swarm, eventually, image_base, swarm};

const NODE: usize = 1;

/// An agent's service, and how many gates it has.
struct Agent {
    name: String,
    gates: u8,
}

impl Agent {
    fn gates(&self) -> impl Iterator<Item = String> {
        (1..=self.gates).map(|number| format!("{}-gate{number}", self.name))
    }
}

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

    /// The agent with this number and its gates: six, or four for one that collects.
    fn agent(&self, number: u32, environment: &[&str]) -> Agent {
        let name = format!("{}-a{number}", self.id);
        let collects = environment.contains(&"CAREEN_COLLECT=1");
        let agent = Agent { gates: if collects { 4 } else { 6 }, name };
        let options = ["--entrypoint", "/careen-agent gate", "--stop-grace-period", "2s"];
        agent.gates().for_each(|gate| self.create(&gate, &options, image_base(), &[]));
        let own = [
            format!("CAREEN_TRANSACTION={}", self.id),
            format!("CAREEN_GATE={}-gate", agent.name),
            format!("CAREEN_GATES={}", agent.gates),
            "CAREEN_GENERATION=1".to_owned(),
            format!("CAREEN_AGENT={number}"),
        ];
        let variables = own.iter().map(String::as_str).chain(environment.iter().copied());
        let mut options = vec!["--mount", "type=bind,source=/,target=/host"];
        options.extend(variables.flat_map(|variable| ["--env", variable]));
        self.create(&agent.name, &options, &self.image, &["install"]);
        agent
    }

    /// Waits until the agent has drawn, and takes just the two gates away that its report names.
    fn go(&self, agent: &Agent, report: &str) {
        let last = self.await_report(agent, report);
        self.open_drawn(agent, &last);
    }

    fn open_drawn(&self, agent: &Agent, report: &str) {
        let drawn = report.split_once(r#""gates":["#).and_then(|(_, rest)| rest.split_once(']'));
        let (drawn, _) = drawn.unwrap_or_else(|| panic!("no draw in {report}"));
        drawn.split(',').for_each(|number| self.open(&format!("{}-gate{number}", agent.name)));
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

    fn logs(&self, agent: &Agent) -> Result<String, String> {
        let logs = self.swarm.manager().docker(["service", "logs", "--raw", &agent.name]);
        logs.map(|logs| logs.stdout + &logs.stderr).map_err(|error| error.to_string())
    }

    /// Waits for a report of this agent's, and returns it.
    fn await_report(&self, agent: &Agent, report: &str) -> String {
        let mut found = String::new();
        eventually(&format!("{} reports {report}", agent.name), || {
            let logs = self.logs(agent)?;
            let last = logs.lines().rfind(|line| line.starts_with("careen-report ")).unwrap_or_default();
            found = last.to_owned();
            if last.contains(report) { Ok(()) } else { Err(logs) }
        });
        found
    }

    fn on_host(&self, script: &str) -> String {
        self.swarm.nodes()[NODE].sh(script).expect("exec").stdout
    }

    /// Takes everything away again, the agents first.
    fn done(&self, agents: &[&Agent]) {
        let gates = agents.iter().flat_map(|agent| agent.gates());
        let services: Vec<String> = agents.iter().map(|agent| agent.name.clone()).chain(gates).collect();
        services.iter().for_each(|service| self.open(service));
        eventually("no container of the rollout is left", || {
            let left = self.on_host("docker ps --format '{{.Names}}' --filter label=com.docker.swarm.task");
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        self.swarm.docker(&[&["service", "rm"], &services[..]].concat());
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
    let agent = part.agent(1, &[]);
    part.await_report(&agent, r#""phase":"prepared""#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "prepare\n");
    let logs = part.logs(&agent).expect("docker");
    assert!(!logs.contains(r#""phase":"running""#), "prepare is not the command");
    part.drain("drain");
    part.go(&agent, r#""phase":"prepared""#);
    part.await_report(&agent, r#""phase":"finished","outcome":{"kind":"succeeded"}"#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "prepare\ninstall\nverify\n");
    part.drain("active");
    part.done(&[&agent]);
}

#[test]
fn a_payload_cannot_report_in_its_agents_place() {
    let swarm = swarm();
    let forged = r#"echo 'careen-report {"phase":"finished","outcome":{"kind":"succeeded"}}' >&2; printf 'not ended' >&2; exit 3"#;
    let part = Part { image: payload(&swarm, forged), swarm: &swarm, id: "forged" };
    let agent = part.agent(1, &[]);
    part.go(&agent, r#""phase":"prepared""#);
    part.await_report(&agent, r#""phase":"finished","outcome":{"kind":"failed""#);
    let logs = part.logs(&agent).expect("docker");
    assert!(logs.contains("\ncareen-report:{\"phase\":\"finished\""), "what it said can be read: {logs}");
    assert!(logs.contains("\nnot ended\ncareen"), "and the agent begins a line of its own: {logs}");
    part.done(&[&agent]);
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
    let agent = part.agent(1, &["CAREEN_RUN=next"]);
    part.go(&agent, r#""phase":"prepared""#);
    part.await_report(&agent, r#""phase":"finished","outcome":{"kind":"succeeded"}"#);
    assert_eq!(left(), "");
    assert!(part.logs(&agent).expect("docker").contains("left on this host, 1 container(s)"));
    part.done(&[&agent]);
}

#[test]
fn a_restart_waits_for_a_go_of_its_own_and_the_next_agent_collects_the_result() {
    let swarm = swarm();
    let replace =
        "cp -a /usr/sbin/dockerd /usr/sbin/dockerd.new && mv /usr/sbin/dockerd.new /usr/sbin/dockerd";
    let part = Part { image: payload(&swarm, replace), swarm: &swarm, id: "restarted" };
    let agent = part.agent(1, &[]);
    part.go(&agent, r#""phase":"prepared""#);
    part.await_report(&agent, r#""phase":"wants-restart","kind":"engine""#);
    let engine = part.on_host("cat /run/docker.pid");
    assert!(
        part.on_host("careen-agent list")
            .contains("waiting: the rollout's go, because the installed dockerd")
    );
    part.drain("drain");
    part.go(&agent, r#""phase":"wants-restart""#);
    eventually("the engine is another one", || {
        let now = part.on_host("cat /run/docker.pid");
        if now == engine || now.is_empty() { Err(now) } else { Ok(()) }
    });
    part.drain("active");
    let next = part.agent(2, &["CAREEN_COLLECT=1"]);
    part.await_report(&next, r#""phase":"finished","outcome":{"kind":"succeeded"}"#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "prepare\ninstall\nverify\n", "once each");
    part.done(&[&agent, &next]);
}

#[test]
fn an_agent_that_collects_begins_nothing() {
    let swarm = swarm();
    let part = Part { image: payload(&swarm, ""), swarm: &swarm, id: "nothing" };
    let agent = part.agent(2, &["CAREEN_COLLECT=1"]);
    part.await_report(&agent, r#""phase":"forgotten""#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "");
    part.done(&[&agent]);

    let part = Part { id: "offered", ..part };
    let first = part.agent(1, &[]);
    let draw = part.await_report(&first, r#""phase":"prepared""#);
    let collects = part.agent(2, &["CAREEN_COLLECT=1"]);
    part.await_report(&collects, r#""phase":"not-begun""#);
    // What a controller does with the first one's gates that was frozen and wakes up.
    part.open_drawn(&first, &draw);
    let third = part.agent(3, &[]);
    part.go(&third, r#""phase":"prepared""#);
    part.await_report(&third, r#""phase":"finished""#);
    let ran = part.on_host("cat /run/careen-test/ran");
    assert_eq!(ran.matches("install").count(), 1, "{ran}");
    assert!(!part.logs(&first).expect("docker").contains(r#""phase":"running""#), "its go was void");
    part.done(&[&first, &collects, &third]);
}

#[test]
fn a_failed_command_is_taken_back_where_the_rollout_says_so() {
    let swarm = swarm();
    let part = Part { image: payload(&swarm, "exit 7"), swarm: &swarm, id: "failing" };
    let agent = part.agent(1, &["CAREEN_ROLLBACK=1"]);
    part.go(&agent, r#""phase":"prepared""#);
    part.await_report(&agent, r#""outcome":{"kind":"failed","phase":"command","exit":7,"rolled_back":true}"#);
    assert_eq!(part.on_host("cat /run/careen-test/ran"), "prepare\ninstall\nrollback\n");
    part.done(&[&agent]);
}
