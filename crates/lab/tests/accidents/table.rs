//! The accidents, and what has to follow each of them.

use crate::rollout::LONG;
use crate::stage;
use crate::stage::Stage;
use crate::words::{Told, of_the_controller, standing};
use careen_lab::{Fault, Poll, wait_until};
use std::time::Instant;

/// What has to follow an accident. The command never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Its agent's try is revoked, by the agent that says that its go is cancelled, or by one that is told to leave because the
    /// controller was quicker to see it; another agent waits.
    Cancelled,
    /// The agent is gone with it; another one waits.
    NextAgent,
    /// Nothing: the same agent waits on.
    Nothing,
}

/// One accident.
pub struct Accident {
    pub name: &'static str,
    pub happens: fn(&Stage),
    pub follows: Follows,
}

/// How a rollout is ended after its accidents.
#[derive(Debug, Clone, Copy)]
enum End {
    GoOn,
    Abort,
}

const fn accident(name: &'static str, follows: Follows, happens: fn(&Stage)) -> Accident {
    Accident { name, happens, follows }
}

/// Quick, and the likeliest: what people and kernels do to containers.
const CONTAINERS: [Accident; 6] = [
    accident("docker kill of a gate", Follows::Cancelled, |stage| {
        on_another_gate(stage, "docker kill $gate")
    }),
    accident("docker rm -f of a gate", Follows::Cancelled, |stage| {
        on_another_gate(stage, "docker rm -f $gate")
    }),
    accident("all containers removed, one after the other", Follows::NextAgent, |stage| {
        // Swarm removes some of them at the same time.
        stage.sh("for c in $(docker ps -q); do docker rm -f $c || :; done");
    }),
    accident("docker stop of all containers", Follows::NextAgent, |stage| {
        stage.sh("docker stop $(docker ps -q)");
    }),
    accident("OOM kill of a gate", Follows::Cancelled, |stage| {
        on_another_gate(stage, "kill -9 $(docker inspect -f '{{.State.Pid}}' $gate)");
    }),
    accident("docker container prune", Follows::Nothing, |stage| {
        stage.sh("docker container prune -f");
    }),
];

/// What takes the engine along.
const ENGINE: [Accident; 2] = [
    accident("restart of the engine", Follows::NextAgent, |stage| {
        stage.sh("systemctl restart docker");
    }),
    accident("kill -9 of dockerd", Follows::NextAgent, |stage| {
        stage.scene.fault(stage.node, Fault::KillEngine)
    }),
];

/// What is rarer.
const RARE: [Accident; 6] = [
    accident("docker kill of a gate, and prune", Follows::Cancelled, |stage| {
        on_another_gate(stage, "docker kill $gate; docker container prune -f");
    }),
    accident("kill -9 of a gate's shim", Follows::Cancelled, |stage| {
        on_another_gate(stage, "kill -9 $(pgrep -f \"containerd-shim.* -id $gate\")");
    }),
    accident("docker rm -f of two gates, one of them the go's", Follows::Cancelled, |stage| {
        on_two_gates(stage, "docker rm -f $gates")
    }),
    accident("docker rm -f of the agent", Follows::NextAgent, |stage| {
        stage.sh(&format!("docker rm -f {}", stage.agent()));
    }),
    accident("a drain by the operator", Follows::Nothing, |stage| {
        stage.scene.sh("n1", &format!("docker node update --availability drain {}", stage.node));
    }),
    accident("kill -9 of containerd", Follows::Nothing, |stage| {
        stage.sh("kill -9 $(pidof containerd)");
    }),
];

/// What takes just those that the go would take, or one of them. Who kills them is found out; half a go is waited for, up to three minutes.
const HALF_A_GO: [Accident; 3] = [
    accident("docker kill of a gate that the go would take", Follows::Cancelled, |stage| {
        on_a_drawn_gate(stage, "docker kill $gate");
    }),
    accident("docker rm -f of just the two gates that are the go", Follows::Cancelled, |stage| {
        stage.sh(&format!("docker rm -f {}", stage.drawn_gates().drawn.join(" ")));
    }),
    accident("docker stop and rm of a gate that the go would take", Follows::Cancelled, |stage| {
        on_a_drawn_gate(stage, "docker stop $gate; docker rm $gate");
    }),
];

fn on_another_gate(stage: &Stage, script: &str) {
    let gates = stage.gates().others;
    stage.sh(&format!("gate={}; {script}", gates[0]));
}

fn on_a_drawn_gate(stage: &Stage, script: &str) {
    stage.sh(&format!("gate={}; {script}", stage.drawn_gates().drawn[0]));
}

/// One that the go would take, and one that it would not.
fn on_two_gates(stage: &Stage, script: &str) {
    let gates = stage.drawn_gates();
    stage.sh(&format!("gates='{} {}'; {script}", gates.drawn[0], gates.others[0]));
}

/// It happens to a node that waits for a go, and that is what it does afterwards, too.
fn happens(stage: &Stage, accident: &Accident, rollout: &str) {
    let Stage { scene, node, .. } = stage;
    let (agent, begun) = (stage.agent(), Instant::now());
    let heard = stage.ears.heard(scene, &agent).len();
    let recorded = stage.journal(rollout).len();
    let since = scene.word("n1", "date +%s");
    (accident.happens)(stage);
    let mut told = Told { status: calm(stage, accident, &agent), ..Told::default() };
    told.controller = of_the_controller(scene, rollout, &since);
    let words = stage.ears.heard(scene, &agent);
    told.agent = words.get(heard..).unwrap_or_default().lines().map(str::to_owned).collect();
    told.journal = stage.journal(rollout).split_off(recorded);
    told.print(accident.name, node, begun.elapsed().as_secs());
    if accident.follows == Follows::Cancelled {
        let revoked = told.journal.iter().any(|record| record.contains("\"revoked\""));
        assert!(revoked, "{}: the journal says that nothing was begun: {told:#?}", accident.name);
    }
}

/// Until the node waits again; what was told meanwhile, whenever it changed.
fn calm(stage: &Stage, accident: &Accident, before: &str) -> Vec<String> {
    let Stage { scene, node, .. } = stage;
    let mut told: Vec<String> = Vec::new();
    let mut beats = Beats::default();
    let calm = wait_until(&format!("{node} waits again after: {}", accident.name), LONG, || {
        let ran = scene.node(node).sh("cat /run/careen-test/ran")?.stdout;
        assert!(!ran.contains("install"), "{}: taken for the go; {told:#?}", accident.name);
        let (standing, seen) = standing(scene, node);
        if told.last().is_none_or(|last| !last.starts_with(&standing)) {
            let why = scene.careen(&["why", node]).stdout;
            told.push(format!("{standing}: {}", why.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        beats.look(stage);
        let agents = stage.agents();
        let same = agents.iter().any(|agent| agent == before);
        let as_wanted = match accident.follows {
            Follows::Nothing => same && beats.0.len() > BEATS,
            Follows::Cancelled | Follows::NextAgent => !same && agents.len() == 1,
        };
        let waits = seen["hold"]["hold"] == "not-replaced";
        Ok(if as_wanted && waits { Poll::Ready(()) } else { Poll::Pending(format!("{standing} {agents:?}")) })
    });
    calm.unwrap_or_else(|error| panic!("{error}\n{told:#?}"));
    told
}

/// So often the controller has to show that it lives before it counts that nothing follows.
const BEATS: usize = 1;

/// The versions of the controller's lock that were seen.
#[derive(Debug, Default)]
struct Beats(std::collections::BTreeSet<String>);

impl Beats {
    fn look(&mut self, stage: &Stage) {
        let ask = "docker config inspect careen.lock -f '{{.Version.Index}}'";
        if let Ok(seen) = stage.scene.node("n1").sh(ask)
            && seen.status == 0
        {
            self.0.insert(seen.stdout);
        }
    }
}

/// Three accidents a rollout: with a fourth cancelled go the node would fail. The rollouts end by turns: one goes on, the next one
/// is aborted; so each is the next one over a host that had accidents. At the end one more that nothing happens to.
///
/// `CAREEN_TEST_ACCIDENT=prune` takes those alone whose name has that in it.
fn one_after_the_other(node: &'static str, accidents: &[Accident]) {
    let wanted = std::env::var("CAREEN_TEST_ACCIDENT").unwrap_or_default();
    let accidents: Vec<&Accident> = accidents.iter().filter(|one| one.name.contains(&wanted)).collect();
    let stage = stage(node);
    for (accidents, end) in accidents.chunks(3).zip([End::GoOn, End::Abort].into_iter().cycle()) {
        let rollout = stage.wait_for_the_go(&["--", "plain"]);
        for accident in accidents {
            happens(&stage, accident, &rollout);
        }
        ends(&stage, end);
    }
    stage.next_rollout_ends_well();
}

fn ends(stage: &Stage, end: End) {
    let Stage { scene, node, .. } = stage;
    match end {
        End::GoOn => {
            stage.let_it_move();
            scene.await_done();
            assert_eq!(scene.ran(node), "prepare install verify ", "each command once");
        }
        End::Abort => {
            let abort = scene.careen(&["abort"]);
            assert_eq!(abort.status, 0, "{abort:?}");
            let last = scene.await_end();
            assert_eq!(last["control"]["outcome"], "aborted", "{last}");
            assert_eq!(scene.ran(node), "prepare ", "nothing was begun");
        }
    }
}

#[test]
fn containers_that_vanish_on_a_drained_worker_are_no_go() {
    one_after_the_other("n4", &CONTAINERS);
}

#[test]
fn an_engine_that_goes_down_on_a_drained_manager_is_no_go() {
    one_after_the_other("n3", &ENGINE);
}

#[test]
#[ignore = "slow: four rollouts; tools/slow-test"]
fn containers_that_vanish_on_a_manager_are_no_go() {
    one_after_the_other("n3", &CONTAINERS);
}

#[test]
#[ignore = "slow: two restarts of an engine; tools/slow-test"]
fn an_engine_that_goes_down_on_a_drained_worker_is_no_go() {
    one_after_the_other("n4", &ENGINE);
}

#[test]
#[ignore = "slow: three rollouts; tools/slow-test"]
fn what_is_rarer_is_no_go_either() {
    one_after_the_other("n4", &RARE);
}

#[test]
#[ignore = "slow: three rollouts; tools/slow-test"]
fn what_is_rarer_is_no_go_on_a_manager_either() {
    one_after_the_other("n3", &RARE);
}

#[test]
#[ignore = "slow: half a go is waited for, for minutes; tools/slow-test"]
fn half_a_go_is_no_go() {
    one_after_the_other("n4", &HALF_A_GO);
}

#[test]
#[ignore = "slow: half a go is waited for, for minutes; tools/slow-test"]
fn half_a_go_is_no_go_on_a_manager() {
    one_after_the_other("n3", &HALF_A_GO);
}

#[test]
#[ignore = "slow: four agents one after the other; tools/slow-test"]
fn a_node_gets_three_more_agents_a_try_then_it_fails_and_a_retry_goes_on() {
    let stage = stage("n4");
    let Stage { scene, node, .. } = &stage;
    let rollout = stage.wait_for_the_go(&["--", "plain"]);
    for _ in 0..3 {
        happens(&stage, &CONTAINERS[0], &rollout);
    }
    on_another_gate(&stage, "docker kill $gate");
    let failed = scene.await_state(node, "failed");
    let why = scene.careen(&["why", node]).stdout;
    println!("{failed}\n{why}");
    assert!(why.contains(&format!("careen retry {node}")), "{why}");
    assert_eq!(scene.ran(node), "prepare ", "nothing was begun");
    stage.let_it_move();
    let retry = scene.careen(&["retry", node]);
    assert_eq!(retry.status, 0, "{retry:?}");
    scene.await_done();
    // Another try is another transaction, which prepares again.
    assert_eq!(scene.ran(node), "prepare prepare install verify ");
    stage.next_rollout_ends_well();
}
