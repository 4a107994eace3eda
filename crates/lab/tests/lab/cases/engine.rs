//! A manager's engine: what is kept from going down beside it, what is copied before it may, and that it comes back.

use crate::support::{File, Swarm, assert_contains, eventually, eventually_within, image_base, swarm};
use std::time::Duration;

const LOCK: &str = "docker config inspect --format '{{json .Spec.Labels}}' careen.engine-restart";
const UNITS: [&str; 2] = ["docker.socket", "docker.service"];
const COPIES: &str = "ls /var/lib/careen/backup 2>/dev/null; true";

/// What Debian's docker.io does to a running engine: its binary is replaced, and nothing is restarted.
const REPLACE_ENGINE: &str = "#!/bin/sh\ncp -a /usr/sbin/dockerd /usr/sbin/dockerd.new && mv /usr/sbin/dockerd.new /usr/sbin/dockerd\necho replaced\n";

/// Runs until the test takes the file away.
const WAITS: &str = "#!/bin/sh\necho begun\nwhile test -e /run/careen-test-wait; do sleep 0.1; done\n";

/// The manager of the lab, on which a payload runs.
struct Manager {
    swarm: Swarm,
}

impl Manager {
    fn new() -> Self {
        let manager = Self { swarm: swarm() };
        manager.must("rm -rf /var/lib/careen/backup /run/careen-test-wait");
        manager
    }

    #[track_caller]
    fn must(&self, script: &str) -> String {
        let ran = self.swarm.manager().sh(script).and_then(careen_lab::Output::ok);
        ran.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts the payload on the manager.
    fn start(&self, transaction: &str, options: &[&str], files: &[File<'_>]) {
        let image = self.swarm.image(files);
        let transaction = format!("CAREEN_TRANSACTION={transaction}");
        let fixed = ["run", "--detach", "--label", "careen.test=1", "-v", "/:/host", "--env", &transaction];
        self.swarm.docker(&[&fixed[..], options, &[image.name(), "install"]].concat());
    }

    /// Starts the payload as an agent of a rollout does, with gates that are plain containers, and gives the go.
    fn start_in_a_rollout(&self, transaction: &str, files: &[File<'_>]) {
        let gate = |number| format!("{transaction}-gate{number}");
        for number in 1..=6 {
            let (name, service) = (gate(number), format!("com.docker.swarm.service.name={}", gate(number)));
            let fixed = ["run", "--detach", "--label", "careen.test=1", "--label", &service, "--name", &name];
            let waits = ["--entrypoint", "/careen-agent", image_base(), "gate"];
            self.swarm.docker(&[&fixed[..], &waits].concat());
        }
        let prefix = format!("CAREEN_GATE={transaction}-gate");
        let part = ["--env", &prefix, "--env", "CAREEN_GATES=6", "--name", transaction];
        self.start(transaction, &part, files);
        let mut drawn = String::new();
        eventually("the agent draws", || {
            let logs = self.must(&format!("docker logs {transaction} 2>&1"));
            let draw = logs.split_once(r#""gates":["#).and_then(|(_, rest)| rest.split_once(']'));
            drawn = draw.map(|(gates, _)| gates.to_owned()).unwrap_or_default();
            if drawn.is_empty() { Err(logs) } else { Ok(()) }
        });
        let gates: Vec<String> =
            drawn.split(',').map(|number| gate(number.parse().expect("a number"))).collect();
        let names: Vec<&str> = gates.iter().map(String::as_str).collect();
        // As Swarm takes them: told to end first. Gates that are killed are no part of a go.
        self.swarm.docker(&[&["stop"], &names[..]].concat());
        self.swarm.docker(&[&["rm"], &names[..]].concat());
    }

    /// Waits until the line of the transaction in the list says this.
    fn await_list(&self, transaction: &str, words: &str, within: Duration) {
        eventually_within(within, &format!("{transaction}: {words}"), || {
            let list =
                self.swarm.manager().sh("careen-agent list").map_err(|error| error.to_string())?.stdout;
            let line = list.lines().find(|line| line.starts_with(transaction)).unwrap_or_default().to_owned();
            if line.contains(words) { Ok(()) } else { Err(list) }
        });
    }

    fn await_end(&self, transaction: &str) {
        self.await_list(transaction, "exited with status 0", Duration::from_secs(180));
    }

    fn engine(&self) -> String {
        self.must("cat /run/docker.pid")
    }

    /// Another process than before, which answers, is led, and listens where it did.
    fn expect_restarted(&self, before: &str) {
        assert_ne!(self.engine(), before, "another engine process");
        assert_contains(&self.must("docker node ls"), "Leader");
        assert_eq!(self.must("systemctl is-active docker.socket docker.service"), "active\nactive\n");
    }

    /// Changes the engine's units.
    fn drop_in(&self, lines: &str) -> DropIn<'_> {
        let drop_in = DropIn { manager: self };
        for unit in UNITS {
            let directory = format!("/etc/systemd/system/{unit}.d");
            self.must(&format!("mkdir -p {directory} && printf '{lines}\\n' > {directory}/careen-test.conf"));
        }
        self.must("systemctl daemon-reload");
        drop_in
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let clean = "rm -f /run/careen-test-wait; docker ps -aq --filter label=careen.test | xargs -r docker rm -f; \
                     docker config rm careen.engine-restart 2>/dev/null";
        let _ = self.swarm.manager().sh(clean);
    }
}

/// What is changed of the engine's units, until it is dropped.
struct DropIn<'a> {
    manager: &'a Manager,
}

impl Drop for DropIn<'_> {
    fn drop(&mut self) {
        let undo = "rm -f /etc/systemd/system/docker.*.d/careen-test.conf; systemctl daemon-reload";
        let _ = self.manager.swarm.manager().sh(undo);
    }
}

#[test]
fn while_a_command_may_restart_a_managers_engine_its_lock_is_held_and_its_swarm_directory_is_copied() {
    let manager = Manager::new();
    manager.must("touch /run/careen-test-wait");
    manager.start_in_a_rollout("touches", &[File::script("install", WAITS)]);
    manager.await_list("touches ", "running", Duration::from_secs(60));
    let labels = manager.must(LOCK);
    assert_contains(&labels, r#""careen.transaction":"touches""#);
    assert_contains(&labels, r#""careen.work":"command""#);
    let copy = manager.must(COPIES);
    assert_eq!(copy.lines().count(), 1, "one copy, nothing half done: {copy}");
    let modes =
        "cd /var/lib/careen/backup && stat -c %a . && find . -mindepth 1 -printf '%y %m\\n' | sort -u";
    assert_eq!(manager.must(modes), "700\nd 700\nf 600\n");
    let raft = "find /var/lib/careen/backup/swarm-* -name '*.wal' -o -name swarm-node.key | wc -l";
    assert_eq!(manager.must(raft), "2\n", "the raft store and the key to it");
    assert!(!manager.must("cat /var/lib/careen/transactions/touches/manifest.json").is_empty());

    manager.must("rm /run/careen-test-wait");
    manager.await_end("touches");
    assert_eq!(manager.swarm.docker(&["config", "ls", "-q"]), "", "the lock is given back");
}

#[test]
fn a_command_that_restarts_its_managers_engine_itself_gives_the_lock_back_when_that_is_up_again() {
    let manager = Manager::new();
    let before = manager.engine();
    let restarts = "#!/bin/sh\nsystemctl restart docker.service\n";
    manager.start_in_a_rollout("itself", &[File::script("install", restarts)]);
    manager.await_end("itself");
    manager.expect_restarted(&before);
    assert_eq!(manager.swarm.docker(&["config", "ls", "-q"]), "");
}

#[test]
fn after_a_plain_no_of_prepare_nothing_is_locked_and_nothing_copied() {
    let manager = Manager::new();
    manager.must("touch /run/careen-test-wait");
    let prepare = File::script("prepare", "#!/bin/sh\necho no > \"$CAREEN_EXPECTS_RESTART\"\n");
    manager.start_in_a_rollout("harmless", &[prepare, File::script("install", WAITS)]);
    manager.await_list("harmless ", "running", Duration::from_secs(60));
    assert_eq!(manager.swarm.docker(&["config", "ls", "-q"]), "");
    assert_eq!(manager.must(COPIES), "");
    manager.must("rm /run/careen-test-wait");
    manager.await_end("harmless ");
}

#[test]
fn a_manager_whose_loss_would_cost_the_quorum_does_not_begin_until_it_would_not() {
    let manager = Manager::new();
    let other = manager.swarm.nodes()[1].name().to_string();
    manager.swarm.docker(&["node", "promote", &other]);
    eventually("two managers that are reachable", || {
        let managers = manager.must("docker node ls --format '{{.ManagerStatus}}'");
        if managers.contains("Reachable") { Ok(()) } else { Err(managers) }
    });
    manager.start_in_a_rollout("quorum", &[File::script("install", "#!/bin/sh\necho ran\n")]);
    manager.await_list("quorum", "waiting: quorum at risk: 2 of 2 managers", Duration::from_secs(60));
    assert!(!manager.must("careen-agent show quorum").contains(r#""event":"starting""#), "nothing is begun");
    manager.swarm.docker(&["node", "demote", &other]);
    manager.await_end("quorum");
    assert_eq!(manager.must("careen-agent logs quorum"), "ran\n");
    assert_eq!(manager.swarm.docker(&["config", "ls", "-q"]), "");
}

#[test]
fn an_engine_whose_stop_hangs_until_systemd_ends_it_is_up_again_afterwards() {
    let manager = Manager::new();
    let before = manager.engine();
    let _hangs = manager.drop_in("[Service]\\nExecStop=/bin/sleep infinity\\nTimeoutStopSec=10s");
    manager.start("slow-stop", &[], &[File::script("install", REPLACE_ENGINE)]);
    manager.await_end("slow-stop");
    manager.expect_restarted(&before);
    assert_contains(&manager.must("careen-agent show slow-stop"), r#""outcome":{"engine":"up"}"#);
    assert_eq!(manager.must(COPIES).lines().count(), 1);
}

#[test]
fn an_engine_that_refuses_its_stop_is_left_running_and_the_journal_says_so() {
    let manager = Manager::new();
    let before = manager.engine();
    let refuses = manager.drop_in("[Unit]\\nRefuseManualStop=yes");
    manager.start("refused-stop", &[], &[File::script("install", REPLACE_ENGINE)]);
    manager.await_list("refused-stop", "the engine runs on as it was", Duration::from_secs(120));
    drop(refuses);
    assert_eq!(manager.engine(), before);
    assert_contains(&manager.must("careen-agent show refused-stop"), r#""engine":"refused""#);
    assert_contains(&manager.must("docker node ls"), "Leader");
    assert_eq!(manager.swarm.docker(&["config", "ls", "-q"]), "");
    manager.must("systemctl restart docker.service"); // the binary was replaced
}

#[test]
#[ignore = "slow: what hangs is killed after five minutes; run by make test-slow"]
fn an_engine_whose_stop_hangs_for_ever_is_up_again_afterwards() {
    let manager = Manager::new();
    let before = manager.engine();
    let _hangs = manager.drop_in("[Service]\\nExecStop=/bin/sleep infinity\\nTimeoutStopSec=infinity");
    manager.start("hung-stop", &[], &[File::script("install", REPLACE_ENGINE)]);
    manager.await_list(
        "hung-stop",
        "waiting: the engine is being stopped, for 1 min",
        Duration::from_secs(120),
    );
    manager.await_list("hung-stop", "exited with status 0", Duration::from_secs(8 * 60));
    manager.expect_restarted(&before);
    assert_contains(&manager.must("careen-agent show hung-stop"), r#""outcome":{"engine":"up"}"#);
    assert_contains(
        &manager.must("journalctl -u 'careen-hung-stop-*' -o cat"),
        "killing its control process",
    );
}

#[test]
fn a_supervisor_that_is_told_to_end_while_the_engine_stops_leaves_it_starting() {
    let manager = Manager::new();
    let before = manager.engine();
    let _hangs = manager.drop_in("[Service]\\nExecStop=/bin/sleep 20\\nTimeoutStopSec=infinity");
    manager.start("told-to-end", &[], &[File::script("install", REPLACE_ENGINE)]);
    manager.await_list("told-to-end", "waiting: the engine is being stopped", Duration::from_secs(120));
    manager.must("systemctl stop 'careen-told-to-end-*'");
    eventually("another engine process", || {
        let now = manager.must("cat /run/docker.pid 2>/dev/null; true");
        if now == before || now.is_empty() { Err(now) } else { Ok(()) }
    });
    eventually("the engine answers", || {
        let ran = manager.swarm.manager().sh("docker node ls").map_err(|error| error.to_string())?;
        if ran.status == 0 { Ok(()) } else { Err(ran.stderr) }
    });
    // The next agent brings it to its end.
    manager.must("docker ps -aq --filter label=careen.test | xargs docker start");
    manager.await_end("told-to-end");
}
