//! A node that waits for a go, and what there is on it: the agent, its gates, and who of them the go would take away.

use crate::rollout::{LONG, Scene};
use crate::words::Ears;
use careen_lab::{Docker, Output, Poll, Progress, Result, Spec, wait_until};
use serde_json::Value;
use std::sync::OnceLock;

/// The manager that takes what is drained, once it is let.
const OTHER: &str = "n1";

/// Says whether it expects a restart, 'yes' unless the host is told another word.
const PREPARE: &str = r#"#!/bin/sh
mkdir -p /run/careen-test
echo prepare >> /run/careen-test/ran
cat /run/careen-test/expects > "$CAREEN_EXPECTS_RESTART" 2>/dev/null || echo yes > "$CAREEN_EXPECTS_RESTART"
while [ -e /run/careen-test/hold-prepare ]; do sleep 0.2; done
"#;

/// A swarm with one node that is to wait.
pub struct Stage {
    pub scene: Scene,
    /// Where accidents happen.
    pub node: &'static str,
    pub ears: Ears,
}

/// The gates of the agent that waits, by their containers.
#[derive(Debug, Default)]
pub struct Gates {
    /// Those that the go would take away; empty where nobody says which.
    pub drawn: Vec<String>,
    /// All others.
    pub others: Vec<String>,
}

impl Stage {
    /// In a lab of three managers and a worker, of the release that `CAREEN_TEST_RELEASE` names: each has another engine.
    pub fn set(lab: &str, node: &'static str) -> Self {
        static IMAGE: OnceLock<String> = OnceLock::new();
        let base = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| lab.to_owned());
        let release = std::env::var("CAREEN_TEST_RELEASE").ok();
        let suffix = release.iter().map(|release| format!("-{release}")).collect::<String>();
        let mut spec = Spec::new(format!("{base}{suffix}").parse().expect("a name"));
        (spec.managers, spec.workers, spec.release) = (Some(3), Some(1), release);
        let mut scene = Scene::of(&spec);
        scene.image = IMAGE.get_or_init(|| build(&scene.image)).clone();
        scene.lab.load(&scene.image, Progress::quiet()).expect("loaded");
        let ears = Ears::on(&scene, node);
        let stage = Self { scene, node, ears };
        stage.without_what_stays();
        stage.give_back();
        stage
    }

    /// On the node.
    pub fn sh(&self, script: &str) -> String {
        self.scene.sh(self.node, script)
    }

    /// A service that is on the node, may run on another one, and cannot: it wants a directory that the other host does not
    /// have. So no go is given on the drained node, whatever happens there, until it [`can move`](Self::let_it_move).
    pub fn keep_something_there(&self) {
        self.without_what_stays();
        self.sh("mkdir -p /run/careen-stays");
        self.label(self.node, "--label-add careen-test.stays=yes");
        let create = format!(
            "docker service create -d -q --no-resolve-image --name stays --restart-delay 2s \
            --constraint node.labels.careen-test.stays==yes --entrypoint '/careen-agent gate' \
            --mount type=bind,src=/run/careen-stays,dst=/stays,readonly {image}",
            image = self.scene.image,
        );
        self.scene.sh(OTHER, &create);
        let state = "docker service ps stays -f desired-state=running --format '{{.Node}} {{.CurrentState}}'";
        let runs = wait_until("what stays runs", LONG, || {
            let seen = self.scene.sh(OTHER, state);
            let there = seen.starts_with(&format!("{} Running", self.node));
            Ok(if there { Poll::Ready(()) } else { Poll::Pending(seen) })
        });
        runs.unwrap_or_else(|error| panic!("{error}"));
        self.label(OTHER, "--label-add careen-test.stays=yes");
    }

    /// Changes a node's labels, which careen may be doing at the same moment: Swarm refuses the later one then.
    fn label(&self, node: &str, change: &str) {
        self.try_label(node, change).unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_label(&self, node: &str, change: &str) -> Result<()> {
        self.answer("the label is changed", &format!("docker node update {change} {node} 2>&1")).map(drop)
    }

    /// What the other manager says to a script, once it succeeds: behind an accident the managers may be without a leader for a while.
    fn answer(&self, what: &str, script: &str) -> Result<String> {
        wait_until(what, LONG, || {
            let Output { status, stdout, stderr, .. } = self.scene.node(OTHER).sh(script)?;
            Ok(if status == 0 { Poll::Ready(stdout) } else { Poll::Pending(format!("{stdout}{stderr}")) })
        })
    }

    /// From now on what stays can run on the other host, so that nothing is in the way of the go.
    pub fn let_it_move(&self) {
        self.scene.sh(OTHER, "mkdir -p /run/careen-stays");
    }

    /// Removes it everywhere.
    pub fn without_what_stays(&self) {
        self.try_without_what_stays().unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_without_what_stays(&self) -> Result<()> {
        let gone = "rm -rf /run/careen-stays; services=$(docker service ls -q -f name=stays) || exit
            [ -z \"$services\" ] || docker service rm $services";
        self.answer("what stays is gone", gone)?;
        // Managers without a leader tell of no nodes.
        let labelled = "nodes=$(docker node ls -q) && docker node inspect --format \
            '{{if index .Spec.Labels \"careen-test.stays\"}}{{.ID}}{{end}}' $nodes";
        for node in self.answer("the nodes are told", labelled)?.split_whitespace() {
            self.try_label(node, "--label-rm careen-test.stays")?;
        }
        Ok(())
    }

    /// What an operator would do after an earlier test's failure, now that no rollout is going on. A supervisor that waits is
    /// stopped as well: it would have the host for ever.
    fn give_back(&self) {
        let clean = "rm -rf /run/careen-test; mkdir -p /run/careen-test
            docker ps -aq -f label=careen.role | xargs -r docker rm -f >/dev/null
            docker rm -f by-hand >/dev/null 2>&1
            for unit in $(systemctl list-units --plain --no-legend 'careen-*.service' | cut -d' ' -f1); do
                case $unit in careen-lab-*) ;; *) systemctl kill -s KILL $unit ;; esac
            done";
        for node in self.scene.lab.nodes() {
            node.sh(clean).and_then(Output::ok).expect("clean");
        }
    }

    /// Starts a rollout over the node, as if no other had been there.
    pub fn start(&self, flags: &[&str]) -> String {
        self.sh("rm -f /run/careen-test/ran");
        let node = ["--node", self.node, "--canaries", "0"];
        self.scene.start(&[&node[..], flags].concat())
    }

    /// The same, until the drained node waits for the go, which it does not get.
    pub fn wait_for_the_go(&self, flags: &[&str]) -> String {
        self.keep_something_there();
        let rollout = self.start(flags);
        self.scene.await_hold(self.node, "not-replaced");
        rollout
    }

    /// A rollout over the node that nothing keeps up, to its end.
    pub fn next_rollout_ends_well(&self) {
        self.without_what_stays();
        self.start(&["--", "plain"]);
        self.scene.await_done();
        assert_eq!(self.scene.ran(self.node), "prepare install verify ", "the next rollout");
        self.scene.assert_all_active();
        self.scene.assert_nothing_is_left();
    }

    /// What the host has recorded of this rollout's commands, without what prepares and verifies them.
    pub fn journal(&self, rollout: &str) -> Vec<String> {
        let read = format!(
            "for d in /var/lib/careen/transactions/{rollout}-*; do
                case $d in *-[pv]) ;; *) cat $d/journal.jsonl 2>/dev/null ;; esac
            done"
        );
        self.sh(&format!("{read}; :")).lines().map(str::to_owned).collect()
    }

    /// The agents' containers that run on the node.
    pub fn agents(&self) -> Vec<String> {
        let list = "docker ps -q --no-trunc -f label=careen.role=agent";
        let seen = self.scene.node(self.node).sh(list).expect("exec");
        seen.stdout.lines().map(str::to_owned).collect()
    }

    /// The agent that waits.
    pub fn agent(&self) -> String {
        match &self.agents()[..] {
            [one] => one.clone(),
            other => panic!("one agent runs on {}, not {other:?}", self.node),
        }
    }

    /// Its gates. All of them run before it is told to be ready.
    pub fn gates(&self) -> Gates {
        let drawn = self.draw(&self.agent());
        let list = "docker ps --no-trunc -f label=careen.role --format '{{.ID}} {{.Label \"careen.role\"}}'";
        let mut gates = Gates::default();
        for line in self.sh(list).lines() {
            let Some((id, role)) = line.split_once(' ') else { continue };
            let Some(number) = role.strip_prefix("gate-") else { continue };
            let is_drawn = number.parse().is_ok_and(|number: u64| drawn.contains(&number));
            (if is_drawn { &mut gates.drawn } else { &mut gates.others }).push(id.to_owned());
        }
        assert!(!gates.others.is_empty(), "an agent that waits has gates");
        gates
    }

    /// The same when the agent has said which it has drawn: it waits from then on.
    pub fn drawn_gates(&self) -> Gates {
        wait_until("the agent says which gates it has drawn", LONG, || {
            let gates = self.gates();
            let told = gates.drawn.len() == 2;
            Ok(if told { Poll::Ready(gates) } else { Poll::Pending(format!("{gates:?}")) })
        })
        .expect("two gates")
    }

    /// The numbers of the gates that this agent has drawn, as it has reported them last.
    fn draw(&self, agent: &str) -> Vec<u64> {
        let reports = self.ears.reports(&self.scene, agent);
        let last = reports.iter().rev().find_map(|said| find(said, "draw").cloned()).unwrap_or(Value::Null);
        last["gates"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the agents on {} said:\n{}", self.node, self.ears.all(&self.scene));
            let host =
                "careen-agent list; tail -n 3 /var/lib/careen/transactions/*/journal.jsonl; docker ps -a";
            eprintln!("{:?}", self.scene.node(self.node).sh(host));
        }
        self.ears.close(&self.scene);
        // A second panic would end all tests.
        if let Err(error) = self.try_without_what_stays() {
            eprintln!("{error}");
        }
    }
}

/// The value of a key, however deep.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(key).or_else(|| fields.values().find_map(|one| find(one, key))),
        Value::Array(items) => items.iter().find_map(|one| find(one, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The scene's payload with a `prepare` of our own.
fn build(base: &str) -> String {
    let context = tempfile::tempdir().expect("a directory");
    let path = context.path().join("prepare");
    std::fs::write(&path, PREPARE).expect("written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path, executable).expect("executable");
    let dockerfile = format!("FROM {base}\nCOPY prepare /install/prepare\n");
    std::fs::write(context.path().join("Dockerfile"), dockerfile).expect("written");
    let image = format!("{base}-accidents");
    let mut build =
        Docker::local().command(["build", "-q", "-t", &image, &context.path().display().to_string()]);
    let built = build.env("DOCKER_BUILDKIT", "0").output().expect("docker");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    image
}
