//! Whole commands against a simulated swarm: what is printed, what is done, and how a call ends.

mod enforcing;
mod simulated;

use careen_cli::error::Failure;
use careen_cli::exit::Exit;
use careen_contract::answer::Answer;
use careen_controller::Controller;
use careen_planner::inquiry::{Heard, Line, PrintedTo};
use careen_planner::observed::Availability;
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_planner::{ControllerId, NodeId};
use careen_sim::host::AttemptEnd;
use careen_sim::scenario;
use careen_sim::world::SimNode;
use careen_swarm::{ControllerTask, Home, Seat};
use simulated::{Shared, Sim};
use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

/// A swarm of one manager and so many workers, on which nothing runs.
fn swarm(workers: usize) -> Sim {
    Sim::new(scenario::world(1, scenario::spec(), 1, workers))
}

fn attempts_end(sim: &Sim, name: &str, end: AttemptEnd) {
    let mut shared = sim.0.borrow_mut();
    for node in shared.world.nodes.iter_mut().filter(|node| node.id.0 == name) {
        node.host.plan.attempts = vec![end];
    }
}

fn violations(sim: &Sim) -> Vec<String> {
    sim.0.borrow().world.violations.clone()
}

fn exit(result: Result<Exit, Failure>) -> u8 {
    result.unwrap_or_else(|failure| failure.exit()).code()
}

#[test]
fn run_local_to_the_end() {
    let sim = swarm(2);
    let result = sim.call("run --image update --local --yes --monitor 5s");
    assert_eq!(exit(result), 0, "{}{}", sim.out(), sim.err());
    let (out, err) = (sim.out(), sim.err());
    let beginning = "payload  update install\nimage    update@sha256:00\nnodes    3, in 3 waves\n";
    assert!(out.starts_with(beginning), "{out}");
    assert!(out.ends_with("is done: 3 of 3 nodes done\n"), "{out}");
    let mut lines =
        err.lines().map(|line| line.split_once("Z  ").unwrap_or_else(|| panic!("no time: {line}")));
    let first = lines.next().unwrap();
    assert!(first.1.starts_with("rollout ") && first.1.ends_with(" starts"), "before anything else: {err}");
    let done: Vec<&str> = lines.map(|(_, text)| text).filter(|text| text.ends_with(": done")).collect();
    assert_eq!(done, ["w1: done", "w2: done", "m1: done"], "{err}");
    assert!(err.contains("Z  w1: running\n") && !err.contains('\x1b'), "{err}");
    assert_eq!(violations(&sim), Vec::<String>::new());
    let shared = sim.0.borrow();
    assert!(shared.world.lock.as_ref().unwrap().holder.is_none(), "the lock is given back");
    assert!(
        shared
            .world
            .nodes
            .iter()
            .all(|node| node.labels.is_empty() && node.availability == Availability::Active)
    );
}

#[test]
fn what_hosts_get_is_found_before_anything_is_asked_for() {
    let sim = swarm(1);
    let unknown = sim.call("run --image update --secret nope --yes").unwrap_err();
    assert_eq!(unknown.to_string(), "the swarm has no secret 'nope'; nothing was changed");
    assert_eq!(unknown.exit().code(), 2);
    assert_eq!(exit(sim.call("plan --image update --with-registry-auth")), 2, "nobody is logged in there");
    assert_eq!(exit(sim.call("plan --image r.example/update --with-registry-auth")), 0);
    assert_eq!(exit(sim.call("plan --image r.example/update")), 0);
    assert!(sim.err().contains("--with-registry-auth"), "{}", sim.err());
    assert!(sim.0.borrow().spec.is_none());
}

fn answers(node: &str, exit: u8, result: serde_json::Value) -> Heard {
    let answer = Answer::Answered { exit, why: None, result: Some(result), notes: Vec::new(), lines: 0 };
    Heard::Said { task: format!("t-{node}"), node: NodeId(node.into()), answer }
}

#[test]
fn hosts_are_asked_and_who_does_not_answer_is_named_with_the_reason() {
    let sim = swarm(2);
    let of_w1 = serde_json::json!({ "kernel": "6.1" });
    sim.0.borrow_mut().heard =
        vec![(1, answers("m1", 0, 1.into())), (2, answers("w1", 2, of_w1)), (3, answers("w2", 2, 3.into()))];
    assert_eq!(exit(sim.call("ask --image update")), 5, "{}{}", sim.out(), sim.err());
    let expected = "m1  exit 0  1\nw1  exit 2  {\"kernel\":\"6.1\"}\nw2  exit 2  3\n3 of 3 hosts answered\n";
    assert_eq!(sim.out(), expected);
    sim.0.borrow_mut().heard.truncate(1);
    assert_eq!(exit(sim.call("ask --image update --timeout 20s --format json")), 3);
    let json: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    assert_eq!((&json["answered"], &json["hosts"][0]["result"]), (&1.into(), &1.into()));
    assert_eq!(json["hosts"][1]["why"], "no answer within 20 s: it has no task yet");
    assert_eq!(exit(sim.call("ask --image update --timeout 20s")), 3);
    assert!(sim.err().contains("waiting for w1: it has no task yet\n"), "{}", sim.err());
    assert_eq!(exit(sim.call("ask --image update --node m1")), 0);
    let inquiry = sim.0.borrow_mut().inquiry.take().unwrap();
    assert_eq!((inquiry.spec.command.as_str(), inquiry.by.as_str()), ("check", "tester"));
    assert_eq!(inquiry.placement.constraints, ["node.id==m1"]);
    assert!(sim.0.borrow().spec.is_none(), "there is no rollout");
    assert_eq!(sim.0.borrow().ended_inquiries, 4);
}

fn facts(more: serde_json::Value) -> serde_json::Value {
    let mut facts = serde_json::json!({
        "schema": 1,
        "at": 1_795_399_200,
        "os": { "id": "debian", "version_id": "12", "name": "Debian GNU/Linux 12 (bookworm)" },
        "kernel": { "running": "6.1.0-40-amd64", "installed": "6.1.0-40-amd64" },
        "reboot": { "needed": false, "since": null, "why": [] },
        "drift": [],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        facts[name] = value.clone();
    }
    facts
}

#[test]
fn every_host_says_its_facts_and_who_does_not_is_named_with_the_reason() {
    let sim = swarm(2);
    let behind = serde_json::json!({
        "pending": { "manager": "apt", "packages": 2, "security": 1, "lists_at": 1_795_300_000,
            "names": [{ "name": "openssl", "to": "2", "security": true }, { "name": "vim", "to": "3" }] },
        "reboot": { "needed": true, "since": 1_795_140_000, "why": ["kernel 6.1.0-41-amd64 is installed"] },
        "certificate": { "begins": 0, "ends": 1_795_399_200 + 86_400 * 30 },
    });
    sim.0.borrow_mut().heard = vec![
        (1, answers("m1", 0, facts(serde_json::json!({})))),
        (1, answers("w1", 0, facts(behind))),
        (1, answers("w2", 0, facts(serde_json::json!({ "kernel": { "running": "6.1.0-37-amd64" } })))),
    ];
    assert_eq!(exit(sim.call("facts")), 0, "{}{}", sim.out(), sim.err());
    let out = sim.out();
    assert!(out.starts_with("NODE  SYSTEM     KERNEL"), "{out}");
    assert!(out.contains("reboot   w1: kernel 6.1.0-41-amd64 is installed\n"), "{out}");
    assert!(
        out.ends_with("3 of 3 hosts answered; 1 wants a reboot; 2 packages wait, 1 for security\n"),
        "{out}"
    );
    let shared = sim.0.borrow();
    assert_eq!(shared.inquiry.as_ref().unwrap().errand, careen_contract::errand::Errand::Facts);
    assert_eq!((shared.ended_inquiries, shared.spec.is_none()), (1, true), "there is no rollout");
    drop(shared);

    assert_eq!(exit(sim.call("facts -q --filter reboot=yes")), 0);
    assert_eq!(sim.out(), "w1\n");
    assert_eq!(exit(sim.call("facts --skew --format json")), 0);
    let skew = &json(&sim)["skew"][1];
    assert_eq!((&skew["of"], &skew["versions"][0]["version"]), (&"kernel".into(), &"6.1.0-40-amd64".into()));
    assert_eq!(skew["versions"][1]["nodes"][0]["hostname"], "w2");
    assert_eq!(exit(sim.call("facts --behind")), 0);
    assert!(sim.out().contains("    for security: openssl\n    vim\n"), "{}", sim.out());

    sim.0.borrow_mut().world.nodes[2].availability = Availability::Drain;
    sim.0.borrow_mut().heard.pop();
    assert_eq!(exit(sim.call("facts")), 3, "a host that says nothing counts, whatever is shown");
    assert!(sim.out().contains("\nw2  unreachable: drained\n"), "{}", sim.out());
    assert_eq!(exit(sim.call("facts -q --filter name=m1")), 3);
    assert_eq!(exit(sim.call("facts w1 --format json")), 0);
    let inquiry = sim.0.borrow_mut().inquiry.take().unwrap();
    assert_eq!(inquiry.placement.constraints, ["node.id==w1"]);
    let hosts = &json(&sim)["hosts"];
    assert_eq!((hosts.as_array().map(Vec::len), &hosts[0]["certificate_days_left"]), (Some(1), &30.into()));
    let unknown = sim.call("facts nobody").unwrap_err();
    assert_eq!(unknown.exit().code(), 2, "{unknown}");
}

#[test]
fn every_field_of_the_facts_is_documented() {
    use careen_contract::facts::{
        Distribution, DriftFact, FileSystemRoom, HostFacts, LastRun, PendingPackage, PendingPackages,
        VersionPair,
    };
    let package =
        PendingPackage { from: Some("1".into()), to: Some("2".into()), ..PendingPackage::default() };
    let whole = HostFacts {
        os: Some(Distribution::default()),
        kernel: Some(VersionPair::default()),
        pending: Some(PendingPackages { names: vec![package], ..PendingPackages::default() }),
        reboot: Some(Default::default()),
        room: Some(vec![FileSystemRoom::default()]),
        clock: Some(Default::default()),
        certificate: Some(Default::default()),
        last_run: Some(LastRun::default()),
        drift: Some(vec![DriftFact::default()]),
        ..HostFacts::default()
    };
    let sim = swarm(1);
    let said = serde_json::to_value(HostFacts { schema: 1, ..whole }).unwrap();
    sim.0.borrow_mut().heard = vec![(1, answers("m1", 0, said.clone())), (1, answers("w1", 0, said))];
    assert_eq!(exit(sim.call("facts --skew --format json")), 0, "{}{}", sim.out(), sim.err());
    let document = include_str!("../../../docs/cli.md");
    let section = document.split("\n### facts").nth(1).unwrap().split("\n### ").next().unwrap();
    let mut values = vec![json(&sim)];
    while let Some(value) = values.pop() {
        match value {
            serde_json::Value::Array(all) => values.extend(all),
            serde_json::Value::Object(fields) => {
                for (key, value) in fields {
                    assert!(section.contains(&format!("`{key}`")), "{key} is not documented");
                    values.push(value);
                }
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
}

fn prints(node: &str, text: &str) -> Heard {
    let line = Line { to: PrintedTo::Stdout, text: text.into() };
    Heard::Line { task: format!("t-{node}"), node: NodeId(node.into()), line }
}

fn ends(node: &str, exit: u8) -> Heard {
    let answer = Answer::Answered { exit, why: None, result: None, notes: Vec::new(), lines: 0 };
    Heard::Said { task: format!("t-{node}"), node: NodeId(node.into()), answer }
}

#[test]
fn a_check_says_of_every_host_whether_it_drifts_and_drift_wins() {
    let sim = swarm(3);
    sim.0.borrow_mut().world.nodes[3].availability = Availability::Drain;
    let drift = [prints("m1", "-a"), prints("m1", "+b"), ends("m1", 2)];
    let broken = [prints("w1", "E: no lock"), ends("w1", 1)];
    let all = drift.into_iter().chain(broken).chain([ends("w2", 0)]);
    sim.0.borrow_mut().heard = all.map(|heard| (1, heard)).collect();
    assert_eq!(exit(sim.call("check --image update")), 5, "{}{}", sim.out(), sim.err());
    let expected = "m1  drift\nw1  error: its check ended with 1: E: no lock\nw2  in sync\nw3  unreachable: drained\n\
                    4 hosts: 1 in sync, 1 drift, 1 error, 1 unreachable\n  --diff shows what they say\n";
    assert_eq!(sim.out(), expected);
    assert_eq!(exit(sim.call("check --image update --diff --node m1")), 5);
    let expected = "m1  drift\n1 host: 1 drift\n\nm1 says (drift):\n    | -a\n    | +b\n";
    assert_eq!(sim.out(), expected);
    assert_eq!(exit(sim.call("check --image update --node w1 --node w2")), 3, "a check that does not tell");
    assert_eq!(exit(sim.call("check --image update --node w3")), 3, "a host that nobody can ask");
    assert_eq!(exit(sim.call("check --image update --node w2")), 0);
    assert_eq!(exit(sim.call("check --image update --node m1 --format json")), 5);
    let json: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    let host = &json["hosts"][0];
    assert_eq!(
        (&json["totals"]["drift"], &host["state"], &host["exit"]),
        (&1.into(), &"drift".into(), &2.into())
    );
    assert_eq!(host["stdout"], serde_json::json!(["-a", "+b"]));
    let inquiry = sim.0.borrow_mut().inquiry.take().unwrap();
    assert_eq!((inquiry.spec.command.as_str(), inquiry.spec.payload), ("check", None));
    let drained: Vec<Availability> =
        sim.0.borrow().world.nodes.iter().map(|node| node.availability).collect();
    assert!(drained[..3].iter().all(|one| *one == Availability::Active), "nobody was drained: {drained:?}");
    assert!(sim.0.borrow().spec.is_none(), "there is no rollout");
    sim.0.borrow_mut().heard = vec![(1, ends("m1", 0))];
    assert_eq!(exit(sim.call("check --upgrade --node m1 -- --security-only")), 0, "{}", sim.err());
    let inquiry = sim.0.borrow_mut().inquiry.take().unwrap();
    assert_eq!(
        (inquiry.spec.payload.as_deref(), inquiry.spec.image.as_str()),
        (Some("/upgrade"), "sha256:11")
    );
    assert_eq!(inquiry.spec.args, ["--security-only"]);
}

#[test]
fn a_payload_without_a_check_is_told_before_anybody_is_asked() {
    let sim = swarm(1);
    let has = vec!["/careen-agent", "/install/install"];
    sim.0.borrow_mut().images.insert("update@sha256:00".to_owned(), has);
    let error = sim.call("check --image update").unwrap_err();
    assert_eq!(
        (error.exit().code(), error.to_string().starts_with("update has no command 'check'")),
        (2, true)
    );
    let payload = tempfile::tempdir().unwrap();
    let install = payload.path().join("install");
    std::fs::write(&install, "true\n").unwrap();
    std::fs::set_permissions(&install, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = sim.call(&format!("check --dir {}", payload.path().display())).unwrap_err();
    assert!(error.to_string().contains("has no command 'check', so nobody can tell"), "{error}");
    assert!(sim.0.borrow().inquiry.is_none(), "nobody was asked");
}

#[test]
fn what_a_payload_says_of_itself_counts_for_a_rollout() {
    let sim = swarm(1);
    let idempotent = |sim: &Sim, words: &str| {
        assert_eq!(exit(sim.call(words)), 0, "{}{}", sim.out(), sim.err());
        let environment = sim.0.borrow().spec.clone().unwrap().given.environment;
        environment.into_iter().find(|one| one.starts_with("CAREEN_IDEMPOTENT"))
    };
    let manifest = "name: sysctl\nidempotent: true\n";
    sim.0.borrow_mut().manifests.insert("update@sha256:00".to_owned(), manifest);
    let yes = Some("CAREEN_IDEMPOTENT=1".to_owned());
    assert_eq!(idempotent(&sim, "run --image update --local --yes --monitor 1s"), yes);
    assert_eq!(idempotent(&sim, "run --image other --local --yes --monitor 1s"), None);
    let payload = tempfile::tempdir().unwrap();
    for (name, text) in [("install", "true\n"), ("careen.yaml", manifest)] {
        std::fs::write(payload.path().join(name), text).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(payload.path().join(name), mode).unwrap();
    }
    let directory = payload.path().display();
    assert_eq!(idempotent(&sim, &format!("run --dir {directory} --local --yes --monitor 1s")), yes);
    assert_eq!(
        idempotent(&sim, &format!("run --script {directory}/install --local --yes --monitor 1s")),
        yes
    );
    sim.0.borrow_mut().manifests.insert("update@sha256:00".to_owned(), "nmae: x\n");
    let error = sim.call("plan --image update").unwrap_err();
    let told = "update@sha256:00:/install/careen.yaml:1:1: unknown key 'nmae': did you mean 'name'?; nothing was changed";
    assert_eq!((error.to_string().as_str(), error.exit().code()), (told, 2));
}

#[test]
fn a_plan_that_asks_hosts_says_what_each_has_to_do_and_who_could_not_be_asked() {
    let sim = swarm(2);
    sim.0.borrow_mut().world.nodes[2].availability = Availability::Drain;
    let waits = serde_json::json!({ "packages": 2, "restarts": ["engine"], "names": ["vim 1 -> 2"] });
    sim.0.borrow_mut().heard = vec![(1, answers("m1", 0, 1.into())), (2, answers("w1", 2, waits))];
    assert_eq!(exit(sim.call("plan --image update --probe")), 0, "{}{}", sim.out(), sim.err());
    let out = sim.out();
    let told = "asked    1 with something to do: 2 packages; 1 of them with a restart of engine or host; 1 with nothing to do; 1 of \
                which nothing is known\n";
    assert!(out.contains(told), "{out}");
    assert!(
        out.contains("w1 (worker), drained before the command\n      2 packages, restarts the engine\n"),
        "{out}"
    );
    assert!(out.contains("      not asked: drained\n") && out.contains("      nothing to do\n"), "{out}");
    let inquiry = sim.0.borrow_mut().inquiry.take().unwrap();
    assert_eq!((inquiry.spec.command.as_str(), sim.0.borrow().ended_inquiries), ("check", 1));
    assert!(sim.0.borrow().spec.is_none(), "nothing is started");

    sim.0.borrow_mut().images.insert("update@sha256:00".into(), vec!["/careen-agent", "/install/install"]);
    let none = sim.call("plan --image update --probe").unwrap_err();
    assert!(none.to_string().contains("has no /install/check"), "{none}");
    sim.0.borrow_mut().images.clear();
    let soon = sim.0.borrow().world.now + 1;
    sim.0.borrow_mut().interrupt_at = Some(soon);
    sim.0.borrow_mut().heard.clear();
    assert_eq!(
        exit(sim.call("run --image update --probe --yes")),
        1,
        "who leaves in the middle starts nothing"
    );
    assert!(sim.0.borrow().spec.is_none());
}

#[test]
fn nodes_are_left_out_for_good_by_their_labels_and_for_once_by_name() {
    let sim = swarm(3);
    let label = |node: usize, name: &str, value: &str| {
        sim.0.borrow_mut().world.nodes[node].labels.insert(name.to_owned(), value.to_owned());
    };
    label(1, "careen.exclude", "its disk is going");
    label(2, "careen.exclude", "the fair");
    label(2, "careen.exclude.until", "2026-01-01");
    assert_eq!(exit(sim.call("plan --image update --exclude w3")), 0, "{}", sim.err());
    let out = sim.out();
    assert!(out.contains("nodes    2, in 2 waves\n"), "the fair is over: {out}");
    assert!(out.contains("left out: w1, it is excluded: its disk is going\n"), "{out}");
    assert!(out.contains("left out: w3, it is excluded: left out of this rollout\n"), "{out}");
    assert_eq!(exit(sim.call("run --image update --yes --monitor 1s --exclude w3")), 0, "{}", sim.err());
    assert!(sim.out().contains("is done: 2 of 4 nodes done"), "{}", sim.out());
    assert_eq!(violations(&sim), Vec::<String>::new());
    label(2, "careen.exclude.until", "Christmas");
    assert_eq!(exit(sim.call("plan --image update")), 6);
    assert!(sim.out().contains("says 'Christmas', which is no day"), "{}", sim.out());
    assert_eq!(exit(sim.call("plan --image update --exclude nobody")), 2);
}

#[test]
fn a_drained_host_is_asked_after_a_yes_alone_and_no_question_changes_hosts() {
    let sim = swarm(1);
    sim.0.borrow_mut().world.nodes[1].availability = Availability::Drain;
    sim.0.borrow_mut().heard = vec![(1, answers("m1", 0, 1.into())), (1, answers("w1", 0, 1.into()))];
    assert_eq!(exit(sim.call("ask --image update")), 3);
    assert!(sim.out().contains("w1  unreachable: drained\n"), "{}", sim.out());
    sim.0.borrow_mut().inquiry = None;
    assert_eq!(exit(sim.call("ask --image update --activate")), 2, "nobody is there to answer");
    sim.0.borrow_mut().answer = Some(false);
    assert_eq!(exit(sim.call("ask --image update --activate")), 1);
    for command in ["install", "rollback", "help"] {
        assert_eq!(exit(sim.call(&format!("ask --image update --command {command}"))), 2, "{command}");
    }
    assert_eq!(exit(sim.call("ask --image update --node nobody")), 2);
    assert!(sim.0.borrow().inquiry.is_none(), "nobody was asked");
    sim.0.borrow_mut().answer = Some(true);
    assert_eq!(exit(sim.call("ask --image update --activate")), 0);
    let inquiry = sim.0.borrow_mut().inquiry.take().unwrap();
    assert_eq!(inquiry.placement.activate[&NodeId("w1".into())], Availability::Drain);
    assert_eq!(exit(sim.call("run --image update --detach --yes --node m1")), 0);
    assert_eq!(exit(sim.call("ask --image update --activate --yes")), 6, "a rollout is going on");
}

#[test]
fn a_script_is_the_payload_of_a_rollout() {
    let sim = swarm(1);
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("fix.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let flags = format!("run --script {} --local --yes --monitor 1s", script.display());
    assert_eq!(exit(sim.call(&flags)), 2, "it is not executable");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    let flags = format!("{flags} --secret source=known,target=db --env A=1");
    assert_eq!(exit(sim.call(&flags)), 0, "{}{}", sim.out(), sim.err());
    let expected = concat!(
        "payload  careen/installer:",
        env!("CARGO_PKG_VERSION"),
        " install\nimage    sha256:11\nfiles    install\nsecrets  known\nenv      A\n"
    );
    assert!(sim.out().starts_with(expected), "{}", sim.out());
    let shared = sim.0.borrow();
    let given = &shared.spec.as_ref().unwrap().given;
    assert_eq!((given.files[0].target.as_str(), given.files[0].mode), ("/install/install", 0o755));
    assert!(!given.files[0].id.is_empty(), "it was in the swarm before the rollout was");
    assert_eq!((given.secrets[0].id.as_str(), given.secrets[0].target.as_str()), ("id-known", "db"));
    assert!(!shared.world.delivered, "and goes with its end");
}

#[test]
fn a_failed_node_pauses_and_a_retry_goes_on() {
    let sim = swarm(3);
    attempts_end(&sim, "w2", AttemptEnd::Failed);
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s")), 4);
    let err = sim.err();
    let (_, tail) = err.split_once("\nrollout ").unwrap_or_else(|| panic!("{err}"));
    assert!(tail.contains(" is paused: w2 failed: exit code "), "{tail}");
    assert!(
        tail.contains("\n    Unpacking \\u{1b}[31mlibc6\\u{1b}[0m on w2\n"),
        "the last lines of its log: {tail}"
    );
    assert!(tail.contains("\n1 of 4 nodes done, 2 waiting, 1 failed\n"), "{tail}");
    assert!(tail.contains("\n  careen logs w2\n  careen retry w2 --local\n"), "{tail}");
    let lock = sim.0.borrow().world.lock.clone().unwrap();
    assert_eq!(lock.holder, None, "the next controller need not wait until the lock is dead");

    assert_eq!(exit(sim.call("status")), 0);
    assert!(
        sim.out().contains("no controller works on it") && sim.out().contains("careen retry w2"),
        "{}",
        sim.out()
    );
    assert_eq!(exit(sim.call("why w2 --format json")), 0);
    let why: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    assert_eq!(why["nodes"][0]["state"], "failed");
    assert_eq!(exit(sim.call("retry w3")), 2, "it has not failed");
    assert_eq!(exit(sim.call("skip w1")), 2, "it is done");
    assert_eq!(exit(sim.call("retry w9")), 2, "there is no such node");
    assert_eq!(exit(sim.call("run --image other --yes")), 6, "one at a time");

    attempts_end(&sim, "w2", AttemptEnd::Well);
    assert_eq!(exit(sim.call("retry w2 --local")), 0, "{}", sim.err());
    assert!(sim.out().contains("w2 is tried again\n"), "{}", sim.out());
    assert!(sim.out().ends_with("is done: 4 of 4 nodes done\n"), "{}", sim.out());
    assert_eq!(violations(&sim), Vec::<String>::new());
}

#[test]
fn a_failed_node_that_is_left_out_and_a_rollout_that_is_aborted() {
    let sim = swarm(2);
    attempts_end(&sim, "w1", AttemptEnd::Failed);
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s")), 4);
    assert_eq!(exit(sim.call("skip w1 --local")), 0);
    assert!(sim.out().ends_with("is done: 2 of 3 nodes done, 1 left out\n"), "{}", sim.out());

    let sim = swarm(2);
    attempts_end(&sim, "w1", AttemptEnd::Failed);
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s")), 4);
    assert_eq!(exit(sim.call("abort --local")), 3);
    assert!(sim.out().contains(" is aborted: "), "{}", sim.out());
    let aborted = Control::Finished { outcome: RolloutOutcome::Aborted };
    assert_eq!(sim.0.borrow().world.rollout.control, aborted);
    assert_eq!(exit(sim.call("status")), 0);
    assert!(sim.out().starts_with("no rollout is going on\nthe last one, "), "{}", sim.out());
    assert_eq!(exit(sim.call("pause")), 1);
}

#[test]
fn a_rollout_that_continues_ends_with_failed_nodes() {
    let sim = swarm(2);
    attempts_end(&sim, "w1", AttemptEnd::Failed);
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s --failure-action continue")), 3);
    assert!(
        sim.out().contains("is finished, with nodes that failed or left: 2 of 3 nodes done, 1 failed\nw1: "),
        "{}",
        sim.out()
    );
    assert_eq!(exit(sim.call("status")), 0);
    assert_eq!(exit(sim.call("status --follow")), 3, "who comes too late to watch is told how it ended");
}

/// A worker leaves while its command runs; a node of the same name joins.
fn w1_leaves_in_its_turn(sim: &Sim) {
    sim.0.borrow_mut().at(|shared| {
        let w1 = NodeId("w1".into());
        let world = &mut shared.world;
        let runs = world.attempts.iter().any(|(node, ..)| *node == w1);
        if runs {
            world.leave(&w1);
        }
        runs
    });
}

#[test]
fn a_node_that_leaves_in_its_turn_is_told_and_given_up_and_the_end_is_no_success() {
    let sim = swarm(2);
    w1_leaves_in_its_turn(&sim);
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s")), 4, "{}", sim.err());
    let err = sim.err();
    assert!(
        err.contains("w1: gone: it left the swarm during its turn, and its host may still be at work"),
        "{err}"
    );
    assert!(err.contains(" is paused: w1 left the swarm during its turn"), "{err}");
    assert!(err.contains("\n  careen skip w1 --local\n"), "{err}");
    sim.0.borrow_mut().world.join("w1-again", "w1");
    assert_eq!(exit(sim.call("status")), 0);
    let out = sim.out();
    assert!(out.contains("a node of the same name joined as w1 (w1-again)"), "{out}");
    assert!(out.contains("\n0 of 3 nodes done, 2 waiting, 1 gone\nnot taken in: w1 (w1-again), "), "{out}");
    assert_eq!(exit(sim.call("status --format json")), 0);
    let status: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    let rollout = &status["rollout"];
    assert_eq!(rollout["nodes"][0]["stage"], serde_json::json!({ "stage": "gone", "left": "at-work" }));
    assert_eq!(rollout["nodes"][0]["same_name"], "w1-again");
    assert_eq!(
        (&rollout["totals"]["gone"], &rollout["not_taken_in"][0]["node"]),
        (&1.into(), &"w1-again".into())
    );
    assert_eq!(exit(sim.call("why w1")), 0);
    assert!(sim.out().contains("careen skip w1"), "{}", sim.out());
    let refused = sim.call("retry w1").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "w1 (w1) left the swarm, so it cannot be tried again; nothing was changed"
    );
    assert_eq!(exit(sim.call("skip w1 --local")), 3, "{}{}", sim.out(), sim.err());
    let out = sim.out();
    assert!(out.starts_with("w1 (w1) is given up: nobody waits for its host any more\n"), "{out}");
    assert!(
        out.contains(
            "is finished, with nodes that failed or left: 2 of 3 nodes done, 1 gone\nw1 (w1): it left the swarm"
        ),
        "{out}"
    );
    assert_eq!(violations(&sim), Vec::<String>::new());
    assert!(sim.0.borrow().world.jobs.is_empty(), "its services are removed");
}

#[test]
fn a_rollout_whose_config_is_removed_is_told_at_once() {
    let sim = swarm(2);
    let removed = |shared: &mut Shared| {
        let removed = shared.world.now >= 15;
        shared.world.removed = removed;
        removed
    };
    sim.0.borrow_mut().at(removed);
    let failure = sim.call("run --image update --yes --monitor 5s").unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("somebody removed the config careen.rollout."), "{text}");
    assert_eq!(failure.exit().code(), 1);
    assert!(failure.next().is_some_and(|next| next.contains("careen abort")), "{:?}", failure.next());
    let sim = swarm(2);
    sim.0.borrow_mut().at(removed);
    let failure = sim.call("run --image update --local --yes --monitor 5s").unwrap_err();
    assert!(failure.to_string().starts_with("somebody removed the config careen.rollout."), "{failure}");
    what_is_left_of_it_is_given_back(&sim);
}

fn what_is_left_of_it_is_given_back(sim: &Sim) {
    assert_eq!(exit(sim.call("status")), 0);
    let out = sim.out();
    assert!(out.starts_with("no rollout is going on\n"), "{out}");
    assert!(out.contains(", whose config somebody removed:\n  w1 (w1) was "), "{out}");
    assert!(
        out.contains("\n  services: careen-") && out.ends_with("what next:\n    careen abort\n"),
        "{out}"
    );
    assert_eq!(exit(sim.call("abort")), 2, "nobody is there to ask");
    sim.0.borrow_mut().answer = Some(false);
    assert_eq!(exit(sim.call("abort")), 1);
    assert!(!sim.0.borrow().world.jobs.is_empty());
    assert_eq!(exit(sim.call("restore w9 --yes")), 2, "there is no such node");
    assert_eq!(exit(sim.call("restore w2 --yes")), 0);
    assert!(sim.err().contains("nothing of careen's is left on w2"), "{}", sim.err());
    sim.0.borrow_mut().answer = Some(true);
    assert_eq!(exit(sim.call("abort --format json")), 0, "{}", sim.err());
    let event: serde_json::Value =
        serde_json::from_str(&sim.out()).unwrap_or_else(|error| panic!("{error}: {}", sim.out()));
    assert_eq!((&event["event"], &event["nodes"][0]["hostname"]), (&"restored".into(), &"w1".into()));
    assert_eq!(event["configs"].as_array().map(Vec::len), Some(1), "{event}");
    {
        let shared = sim.0.borrow();
        assert!(shared.world.jobs.is_empty());
        let active = |node: &SimNode| node.availability == Availability::Active;
        assert!(shared.world.nodes.iter().all(active));
    }
    // A host that may be at work keeps its label; whoever knows better gives it back.
    if event["nodes"][0]["keeps_its_label"] == true {
        assert_eq!(exit(sim.call("restore w1 --yes")), 0, "{}", sim.err());
        assert!(sim.out().starts_with("w1"), "{}", sim.out());
    }
    assert!(sim.0.borrow().world.nodes.iter().all(|node| node.labels.is_empty()));
    assert_eq!(exit(sim.call("abort")), 1, "nothing is left");
}

#[test]
fn a_node_that_stayed_drained_is_given_back_and_one_of_a_rollout_that_goes_on_is_not() {
    let sim = swarm(2);
    attempts_end(&sim, "w1", AttemptEnd::Failed);
    let run = "run --image update --local --yes --monitor 5s --drain always --failure-action";
    assert_eq!(exit(sim.call(&format!("{run} pause"))), 4);
    let refused = sim.call("restore w1 --yes").unwrap_err();
    assert!(refused.to_string().contains("goes on, and the node is in the middle of it"), "{refused}");
    assert_eq!(refused.exit().code(), 6);
    assert_eq!(exit(sim.call("abort --local")), 3);
    assert_eq!(exit(sim.call("status")), 0);
    let out = sim.out();
    assert!(
        out.contains(", which is over:\n  w1 (w1) was failed: ") && out.contains("it stays drained"),
        "{out}"
    );
    assert!(out.ends_with("what next:\n    careen restore w1\n"), "{out}");
    assert_eq!(exit(sim.call("restore w1")), 2, "nobody is there to ask");
    assert_eq!(exit(sim.call("restore w1 --yes")), 0);
    assert_eq!(sim.out(), "w1 is active again (was drain)\n");
    assert!(sim.0.borrow().world.nodes.iter().all(|node| node.labels.is_empty()));
    assert_eq!(violations(&sim), Vec::<String>::new());
}

#[test]
fn a_controller_in_the_swarm_is_followed_and_ctrl_c_leaves_it_alone() {
    let sim = swarm(2);
    sim.0.borrow_mut().interrupt_at = Some(15);
    assert_eq!(exit(sim.call("run --image update --yes --monitor 5s")), 1);
    assert!(
        sim.err().contains("you left; the rollout") && sim.err().contains("goes on in the swarm"),
        "{}",
        sim.err()
    );
    sim.0.borrow_mut().interrupt_at = None;
    assert_eq!(exit(sim.call("pause")), 0);
    assert_eq!(exit(sim.call("status -f")), 4, "a rollout that is paused is not watched for ever");
    assert_eq!(exit(sim.call("status --format json")), 0);
    let status: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    assert_eq!(status["rollout"]["control"]["why"]["reason"], "asked");
    assert_eq!(status["rollout"]["controller"], "service");
    assert_eq!(exit(sim.call("logs")), 0);
    assert!(sim.out().contains("w1 | Unpacking \\u{1b}[31mlibc6"), "{}", sim.out());
    assert!(!sim.err().contains("careen-report"), "{}", sim.err());
    assert_eq!(exit(sim.call("logs --controller")), 0);
    assert!(sim.err().contains("careen-controller: works on it rollout="), "{}", sim.err());
    sim.0.borrow_mut().no_logs = true;
    assert_eq!(exit(sim.call("logs w1")), 1, "a host that is frozen");
    let told = sim.err();
    assert!(
        told.contains("what w1 printed cannot be read now")
            && told.contains("lies on its host: careen-agent logs "),
        "{told}"
    );
    assert_eq!(
        exit(sim.call("resume --local")),
        0,
        "the local controller waits for the other, and sees the end"
    );
    assert!(sim.out().ends_with("is done: 3 of 3 nodes done\n"), "{}", sim.out());
    assert_eq!(exit(sim.call("logs --controller")), 1);
    assert!(sim.err().contains("its controller went with its log; 'careen status' says"), "{}", sim.err());
    assert_eq!(violations(&sim), Vec::<String>::new());
}

#[test]
fn whoever_follows_goes_on_with_another_manager_when_the_one_that_is_asked_goes_away() {
    let sim = swarm(2);
    sim.0.borrow_mut().another = Some("m2".to_owned());
    sim.0.borrow_mut().at(|shared| {
        let has_begun = shared.err.contains("w1: running");
        shared.away = has_begun;
        has_begun
    });
    assert_eq!(exit(sim.call("run --image update --yes --monitor 5s")), 0, "{}{}", sim.out(), sim.err());
    let err = sim.err();
    let told = "no docker engine listens at tcp://m1:2376; trying again\nasking the manager m2 from now on\n";
    assert_eq!(err.matches(told).count(), 1, "{err}");
    assert!(sim.out().ends_with("is done: 3 of 3 nodes done\n"), "{}", sim.out());
}

#[test]
fn whoever_follows_logs_goes_on_with_another_manager_or_is_told_that_there_is_none() {
    let sim = swarm(2);
    sim.0.borrow_mut().interrupt_at = Some(15);
    assert_eq!(exit(sim.call("run --image update --yes --monitor 5s")), 1);
    sim.0.borrow_mut().away = true;
    assert_eq!(exit(sim.call("logs -f")), 7, "nobody else was named");
    sim.0.borrow_mut().another = Some("m2".to_owned());
    assert_eq!(exit(sim.call("logs")), 7, "who does not follow is told, and may ask again");
    assert_eq!(exit(sim.call("logs -f")), 0, "{}", sim.err());
    let told = "no docker engine listens at tcp://m1:2376; trying the next host\nasking the manager m2 from now on\n";
    assert!(sim.err().contains(told), "{}", sim.err());
}

const GONE: &str =
    "no docker engine listens at tcp://m1:2376; trying the next host\nasking the manager m2 from now on\n";

#[test]
fn whoever_follows_the_controllers_log_goes_on_with_another_manager() {
    let sim = swarm(2);
    sim.0.borrow_mut().interrupt_at = Some(15);
    assert_eq!(exit(sim.call("run --image update --yes --monitor 5s")), 1);
    sim.0.borrow_mut().interrupt_at = None;
    sim.0.borrow_mut().away = true;
    assert_eq!(exit(sim.call("logs --controller -f")), 7, "nobody else was named");
    sim.0.borrow_mut().another = Some("m2".to_owned());
    assert_eq!(exit(sim.call("logs --controller")), 7, "who does not follow is told, and may ask again");
    assert_eq!(exit(sim.call("logs --controller -f")), 0, "{}", sim.err());
    let log = sim.err();
    let behind = log.strip_prefix(GONE).unwrap_or_else(|| panic!("{log}"));
    assert!(behind.contains("careen-controller: works on it"), "{log}");
}

#[test]
fn a_local_controller_goes_on_over_another_manager() {
    let sim = swarm(2);
    sim.0.borrow_mut().another = Some("m2".to_owned());
    sim.0.borrow_mut().at(|shared| {
        let has_begun = shared.err.contains("w1: running");
        shared.away = has_begun;
        has_begun
    });
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s")), 0, "{}", sim.err());
    let told = "the swarm does not answer: m1 is gone; trying again\nasking the manager m2 from now on\n";
    assert_eq!(sim.err().matches(told).count(), 1, "{}", sim.err());
    assert!(sim.out().ends_with("is done: 3 of 3 nodes done\n"), "{}", sim.out());
    assert_eq!(violations(&sim), Vec::<String>::new());
}

#[test]
fn answers_are_heard_from_another_manager_when_the_one_that_was_asked_goes_away() {
    let ask = |another: Option<&str>| {
        let sim = swarm(1);
        sim.0.borrow_mut().heard = vec![(1, answers("m1", 0, 1.into())), (8, answers("w1", 0, 2.into()))];
        sim.0.borrow_mut().another = another.map(str::to_owned);
        sim.0.borrow_mut().at(|shared| {
            shared.away = shared.world.now >= shared.asked_at + 3;
            shared.away
        });
        (exit(sim.call("ask --image update")), sim)
    };
    let (code, sim) = ask(Some("m2"));
    assert_eq!(code, 0, "{}", sim.err());
    assert_eq!(sim.out(), "m1  exit 0  1\nw1  exit 0  2\n2 of 2 hosts answered\n");
    assert!(sim.err().contains(GONE), "{}", sim.err());
    assert_eq!(sim.0.borrow().ended_inquiries, 1);
    let (code, sim) = ask(None);
    assert_eq!(code, 7, "{}", sim.err());
}

#[test]
fn as_much_of_an_id_is_enough_as_no_other_one_begins_with() {
    let sim = swarm(2);
    sim.0.borrow_mut().heard = vec![(1, answers("m1", 0, 1.into()))];
    assert_eq!(exit(sim.call("ask --image update --node m")), 0, "{}", sim.err());
    assert_eq!(sim.0.borrow().inquiry.as_ref().unwrap().placement.constraints, ["node.id==m1"]);
    assert_eq!(exit(sim.call("plan --image update --node m")), 0);
    assert!(sim.out().contains("m1 (manager") && !sim.out().contains("w1 (worker"), "{}", sim.out());
    assert_eq!(exit(sim.call("plan --image update --exclude m")), 0);
    assert!(sim.out().contains("left out: m1"), "{}", sim.out());
    sim.0.borrow_mut().interrupt_at = Some(15);
    assert_eq!(exit(sim.call("run --image update --yes --monitor 5s")), 1);
    for command in [
        "why w",
        "logs w",
        "skip w",
        "retry w",
        "restore w",
        "ask --image update --node w",
        "plan --image update --node w",
        "plan --image update --exclude w",
    ] {
        let error = sim.call(command).unwrap_err();
        assert_eq!(error.to_string(), "'w' means several nodes: w1, w2; nothing was changed", "{command}");
        assert_eq!(error.exit().code(), 2, "{command}");
    }
    assert_eq!(exit(sim.call("why m")), 0, "{}", sim.err());
    assert_eq!(exit(sim.call("skip m")), 0, "{}", sim.err());
    assert_eq!(exit(sim.call("why ''")), 2);
}

#[test]
fn ctrl_c_of_a_local_controller_stops_it_and_another_goes_on() {
    let sim = swarm(2);
    sim.0.borrow_mut().interrupt_at = Some(20);
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s")), 1);
    assert!(sim.err().contains("the controller stopped; the rollout"), "{}", sim.err());
    sim.0.borrow_mut().interrupt_at = None;
    let began = sim.0.borrow().world.now;
    assert_eq!(exit(sim.call("resume --local --format json")), 0);
    let out = sim.out();
    let events: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let timed = |event: &serde_json::Value| {
        event["time"].as_str().is_some_and(|time| time.starts_with("2026-11-23T02:"))
    };
    assert!(events.iter().all(timed), "{out}");
    assert_eq!(events[0]["order"], "resume");
    assert_eq!(events.last().unwrap()["outcome"], "done");
    assert_eq!(events.last().unwrap()["totals"]["done"], 3);
    let state = |event: &&serde_json::Value| event["event"] == "state" && event["hostname"] == "w2";
    assert!(events.iter().any(|event| state(&event) && event["state"] == "settling"), "{out}");
    assert!(sim.0.borrow().world.history.iter().all(|line| !line.contains("VIOLATION")), "began at {began}");
}

#[test]
fn nothing_starts_without_a_yes() {
    let sim = swarm(1);
    assert_eq!(exit(sim.call("run --image update")), 2, "nobody is there to ask");
    sim.0.borrow_mut().answer = Some(false);
    assert_eq!(exit(sim.call("run --image update")), 1);
    assert!(sim.0.borrow().spec.is_none());
    sim.0.borrow_mut().answer = Some(true);
    assert_eq!(exit(sim.call("run --image update --detach")), 0);
    assert!(sim.out().contains("goes on in the swarm; 'careen status' shows it"), "{}", sim.out());
    assert!(sim.0.borrow().in_swarm.is_some());
}

#[test]
fn a_controller_runs_from_careens_own_image_where_the_payloads_has_none() {
    let sim = swarm(1);
    let agent_only = vec!["/careen-agent", "/install/install"];
    sim.0.borrow_mut().images.insert("u@sha256:00".into(), agent_only);
    assert_eq!(exit(sim.call("run --image u --yes --detach")), 6);
    assert!(
        sim.out().contains("the image u has no /careen-controller")
            && sim.out().contains("--controller-image"),
        "{}",
        sim.out()
    );
    let own = format!("careen/installer:{}", env!("CARGO_PKG_VERSION"));
    sim.0.borrow_mut().images.insert(own, vec!["/careen-controller"]);
    assert_eq!(exit(sim.call("run --image u --yes --detach")), 0, "{}", sim.out());
    assert!(sim.out().contains("it runs from careen's own on this manager alone"), "{}", sim.out());
    let submitted = |sim: &Sim| sim.0.borrow().spec.clone().unwrap();
    let spec = submitted(&sim);
    assert_eq!(spec.controller_image.as_deref(), Some("sha256:of-careen/installer"));
    assert!(!spec.controller_may_move());
    let sim = swarm(1);
    sim.0.borrow_mut().images.insert("u@sha256:00".into(), vec!["/careen-agent", "/install/install"]);
    assert_eq!(exit(sim.call("run --image u --controller-image r.example/careen --yes --detach")), 0);
    let spec = submitted(&sim);
    assert_eq!(spec.controller_image.as_deref(), Some("r.example/careen@sha256:00"));
    assert!(spec.controller_may_move() && !sim.out().contains("this manager alone"), "{}", sim.out());
    let sim = swarm(1);
    let whole = vec!["/careen-agent", "/careen-controller", "/install/install"];
    sim.0.borrow_mut().images.insert("u@sha256:00".into(), whole);
    assert_eq!(exit(sim.call("run --image u --yes --detach")), 0);
    assert_eq!(submitted(&sim).controller_image, None, "each host gets the payload's image");
}

#[test]
fn what_would_be_refused_is_said_and_exits_with_6() {
    let sim = Sim::new(scenario::world(1, scenario::spec(), 2, 1));
    assert_eq!(exit(sim.call("plan --image update")), 6);
    assert!(sim.out().contains("refused: without m1 only 1 of 2 managers would take part"), "{}", sim.out());
    assert_eq!(exit(sim.call("plan --image update --format json")), 6);
    let plan: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    assert_eq!(plan["refused"], true);
    assert_eq!(exit(sim.call("run --image update --yes")), 6);
    assert!(sim.0.borrow().spec.is_none(), "nothing was submitted");
    assert_eq!(exit(sim.call("plan --image update --node w1")), 0);
    assert_eq!(exit(sim.call("status")), 0);
    assert_eq!(sim.out(), "no rollout is going on\n");
}

#[test]
fn exit_codes_are_those_of_the_documents() {
    let sim = swarm(1);
    // 'status', 'why' and 'logs' are 0 when they could be answered.
    assert_eq!(exit(sim.call("why")), 0);
    assert_eq!(sim.out(), "no rollout is going on\n");
    for command in ["plan --image update", "run --image update --yes"] {
        let unknown = sim.call(&format!("{command} --node w9"));
        assert!(
            matches!(&unknown, Err(why) if why.to_string().contains("there is no node 'w9'")),
            "{unknown:?}"
        );
        assert_eq!(exit(unknown), 2, "{command}");
    }
    assert!(sim.0.borrow().spec.is_none(), "nothing was submitted");
}

#[test]
fn a_record_that_cannot_be_read_is_named_and_changes_nothing_else() {
    let sim = swarm(1);
    sim.0.borrow_mut().unreadable = vec!["the config careen.history.k3x9 is damaged".into()];
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s")), 0, "a good run");
    assert!(sim.err().contains("is left out: the config careen.history.k3x9 is damaged"), "{}", sim.err());
    assert_eq!(exit(sim.call("status")), 0);
    assert!(sim.out().contains("the last one, "), "{}", sim.out());
}

#[test]
fn on_a_terminal_the_picture_is_redrawn_and_gone_at_the_end() {
    let sim = swarm(1);
    sim.0.borrow_mut().live = true;
    assert_eq!(exit(sim.call("run --image update --local --yes --monitor 5s")), 0);
    let err = sim.err();
    assert!(err.contains("  w1  running") && err.contains("  1 of 2 nodes done"), "{err:?}");
    let clocks: Vec<&str> = err.split("] ").skip(1).filter_map(|rest| rest.split("  ").next()).collect();
    assert!(clocks.windows(2).filter(|two| two[0] != two[1]).count() > 5, "it ticks: {clocks:?}");
    assert!(err.trim_end().ends_with("\x1b[J"), "{:?}", &err[err.len().saturating_sub(80)..]);
    assert!(!err.contains("\x1b[31mlibc6"), "what a host prints does nothing to the terminal");
}

#[test]
fn an_upgrade_is_planned_and_carried_out_with_careens_own_image() {
    let sim = swarm(2);
    assert_eq!(exit(sim.call("upgrade --plan --engine")), 0);
    let name = concat!(
        "payload  careen/installer:",
        env!("CARGO_PKG_VERSION"),
        " upgrade --engine\nimage    sha256:11\n"
    );
    assert!(sim.out().starts_with(name), "{}", sim.out());
    assert!(sim.0.borrow().spec.is_none(), "a plan changes nothing");
    assert_eq!(exit(sim.call("upgrade --package runc --yes")), 2);
    assert_eq!(exit(sim.call("upgrade --local --yes --monitor 5s --package vim")), 0, "{}", sim.err());
    let spec = sim.0.borrow().spec.clone().unwrap();
    assert_eq!((spec.payload.as_deref(), spec.command.as_str()), (Some("/upgrade"), "install"));
    assert_eq!(spec.args, ["--package", "vim"]);
    assert_eq!(violations(&sim), Vec::<String>::new());
}

/// A controller whose task ends again and again.
fn failing() -> ControllerTask {
    ControllerTask::Fails(Seat {
        home: Home::Service,
        name: "careen-controller-x".into(),
        node: Some("m1".into()),
        task: "ready".into(),
        why: Some("task: non-zero exit (1)".into()),
        tries: 5,
        lines: vec!["careen-controller: \u{1b}[31mno swarm to work on".into()],
    })
}

/// One that Swarm is bringing up.
fn coming_up() -> ControllerTask {
    let ControllerTask::Fails(seat) = failing() else { panic!("it fails") };
    ControllerTask::ComingUp(Seat { task: "preparing".into(), why: None, tries: 0, lines: vec![], ..seat })
}

/// It comes up so many seconds from now.
fn comes_up_in(sim: &Sim, seconds: u64) {
    let soon = sim.0.borrow().world.now + seconds;
    sim.0.borrow_mut().at(move |shared| {
        let comes = shared.world.now >= soon;
        if comes {
            shared.task = None;
            let controller = |spec| Controller::new(ControllerId("service".into()), spec);
            shared.in_swarm = shared.spec.clone().map(controller);
        }
        comes
    });
}

#[test]
fn whoever_follows_is_told_of_a_controller_that_does_not_come_up_and_an_abort_works_without_one() {
    let sim = swarm(2);
    sim.0.borrow_mut().task = Some(failing());
    let minute = sim.0.borrow().world.now + 60;
    sim.0.borrow_mut().interrupt_at = Some(minute);
    assert_eq!(exit(sim.call("run --image update --yes")), 1, "{}", sim.err());
    let err = sim.err();
    let told = "its controller does not come up: task: non-zero exit (1) (task ready on m1); 5 tries ended so, one after the \
                other\n    | careen-controller: \\u{1b}[31mno swarm to work on\n    docker service ps --no-trunc \
                careen-controller-x\n    careen resume --local\n    careen abort\n";
    assert!(err.contains(told) && err.matches("does not come up").count() == 1, "told once: {err}");
    sim.0.borrow_mut().interrupt_at = None;

    assert_eq!(exit(sim.call("status")), 0);
    let out = sim.out();
    assert!(out.contains("\nits controller does not come up: task: non-zero exit (1)"), "{out}");
    assert!(
        !out.contains("no controller works on it") && out.contains("\n  careen resume --local\n"),
        "{out}"
    );
    assert_eq!(exit(sim.call("why")), 0);
    assert!(
        sim.out().contains("fix that, and it goes on") && sim.out().contains("\n    careen abort\n"),
        "{}",
        sim.out()
    );
    assert_eq!(exit(sim.call("status --format json")), 0);
    let status: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    let task = &status["rollout"]["controller_task"];
    assert_eq!((&task["state"], &task["tries"]), (&"fails".into(), &5.into()));
    let unheard = sim.call("resume").unwrap_err();
    assert!(unheard.to_string().contains("is stored in the swarm, but the controller"), "{unheard}");

    assert_eq!(exit(sim.call("abort")), 3, "{}", sim.err());
    assert!(sim.err().contains("This process ends the rollout in its place\n"), "{}", sim.err());
    assert!(sim.out().ends_with(" is aborted: 0 of 3 nodes done, 3 waiting\n"), "{}", sim.out());
    let shared = sim.0.borrow();
    assert_eq!(shared.task, None, "the service that never came up goes with the rollout");
    assert_eq!(shared.world.lock.as_ref().unwrap().holder, None);
    assert_eq!(shared.world.violations, Vec::<String>::new());
}

#[test]
fn an_abort_takes_over_what_a_controller_that_died_had_begun() {
    let sim = swarm(2);
    attempts_end(&sim, "w1", AttemptEnd::Failed);
    assert_eq!(exit(sim.call("run --image update --yes --monitor 5s")), 4, "{}", sim.err());
    {
        // It dies with the lock, and does not come up again.
        let mut shared = sim.0.borrow_mut();
        assert!(shared.world.lock.as_ref().unwrap().holder.is_some());
        (shared.in_swarm, shared.task) = (None, Some(failing()));
    }
    let epoch = sim.0.borrow().world.lock.as_ref().unwrap().epoch;
    assert_eq!(exit(sim.call("abort")), 3, "{}", sim.err());
    let shared = sim.0.borrow();
    let lock = shared.world.lock.as_ref().unwrap();
    assert_eq!((lock.holder.as_ref(), lock.epoch), (None, epoch + 1), "one controller more had the lock");
    assert_eq!(shared.world.violations, Vec::<String>::new());
}

#[test]
fn a_controller_that_is_on_its_way_is_waited_for_and_nobody_is_told_to_resume() {
    let sim = swarm(1);
    sim.0.borrow_mut().task = Some(coming_up());
    assert_eq!(exit(sim.call("run --image update --yes --detach")), 0);
    assert_eq!(exit(sim.call("status")), 0);
    let out = sim.out();
    assert!(out.contains("\nits controller is on its way: task preparing on m1\n"), "{out}");
    assert!(!out.contains("careen resume"), "{out}");
    sim.0.borrow_mut().task = Some(ControllerTask::Absent { submitted_seconds: Some(1) });
    assert_eq!(exit(sim.call("why")), 0);
    assert!(sim.out().contains("submitted 1 s ago") && !sim.out().contains("careen resume"), "{}", sim.out());

    // One that comes up while an abort waits is left to do it.
    sim.0.borrow_mut().task = Some(coming_up());
    comes_up_in(&sim, 5);
    assert_eq!(exit(sim.call("abort")), 0, "{}", sim.err());
    assert!(!sim.err().contains("in its place"), "{}", sim.err());
    // One that takes its time is not.
    sim.0.borrow_mut().in_swarm = None;
    sim.0.borrow_mut().task = Some(coming_up());
    assert_eq!(exit(sim.call("abort")), 0);
    assert!(
        sim.err().contains("still on its way") && sim.err().contains("'careen abort --local'"),
        "{}",
        sim.err()
    );
    assert_eq!(violations(&sim), Vec::<String>::new());
}

#[test]
fn what_leaves_engines_alone_begins_before_its_controller_is_up() {
    for (promise, begins) in [("--touches-engine no", true), ("--drain never", false)] {
        let sim = swarm(2);
        sim.0.borrow_mut().task = Some(coming_up());
        comes_up_in(&sim, 40);
        let free = Rc::new(Cell::new(None));
        let (seen, comes_up) = (Rc::clone(&free), sim.0.borrow_mut().event.take());
        let mut comes_up = comes_up.unwrap();
        sim.0.borrow_mut().at(move |shared| {
            seen.set(shared.world.lock.as_ref().map(|lock| lock.holder.is_none()));
            comes_up(shared)
        });
        let flags = "run --image update --yes --monitor 0s --canaries 0 --parallelism 3";
        assert_eq!(exit(sim.call(&format!("{flags} {promise}"))), 0, "{}", sim.err());
        let err = sim.err();
        let (running, works) = (err.find("w1: running\n"), err.find("its controller works\n"));
        assert!(running.is_some() && works.is_some(), "{err}");
        assert_eq!(running < works, begins, "{promise}: {err}");
        assert_eq!(free.get(), begins.then_some(true), "whoever comes need not wait for the lock");
        assert!(sim.out().ends_with("is done: 3 of 3 nodes done\n"), "{}", sim.out());
        assert_eq!(violations(&sim), Vec::<String>::new());
    }
}

#[test]
fn an_image_may_say_that_its_payload_leaves_engines_alone_and_its_operator_has_the_last_word() {
    let sim = swarm(1);
    let has = vec!["/careen-agent", "/careen-controller", "/install/install"];
    for image in ["facts@sha256:00", "update@sha256:00"] {
        sim.0.borrow_mut().images.insert(image.into(), has.clone());
    }
    for (flags, alone, told) in [
        ("--image facts", true, true),
        ("--image facts --touches-engine maybe", false, false),
        ("--image facts --touches-engine no", true, false),
        ("--image facts --reboot always", false, false),
        ("--image update", false, false),
    ] {
        assert_eq!(exit(sim.call(&format!("plan {flags}"))), 0, "{flags}: {}{}", sim.out(), sim.err());
        assert_eq!(sim.out().contains("way      short"), alone, "{flags}: {}", sim.out());
        assert_eq!(sim.err().contains("leaves engines alone"), told, "{flags}: {}", sim.err());
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("install"), "#!/bin/sh\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path().join("install"), executable).unwrap();
    let own = format!("plan --image facts --dir {}", directory.path().display());
    assert_eq!(exit(sim.call(&own)), 0, "{}", sim.err());
    assert!(
        !sim.out().contains("way      short"),
        "of another payload the image knows nothing: {}",
        sim.out()
    );
}

#[test]
fn a_controller_that_is_slow_to_come_up_is_told_once_and_so_is_that_it_works() {
    let sim = swarm(1);
    sim.0.borrow_mut().task = Some(coming_up());
    comes_up_in(&sim, 40);
    assert_eq!(exit(sim.call("run --image update --yes --monitor 1s")), 0, "{}", sim.err());
    let err = sim.err();
    let text = |line: &str| line.split_once("Z  ").map(|(_, text)| text.to_owned()).unwrap_or_default();
    let told: Vec<String> = err.lines().skip(1).take(2).map(text).collect();
    assert_eq!(told, ["its controller is on its way: task preparing on m1", "its controller works"], "{err}");
    assert_eq!(err.matches("on its way").count(), 1, "{err}");
}

/// Three rollouts, one after the other; a node of the last one fails.
fn three_rollouts() -> (Sim, [String; 3]) {
    let sim = swarm(2);
    sim.0.borrow_mut().remembers = true;
    let ids =
        [(0, "--parallelism 2"), (0, "--node w2"), (3, "--failure-action continue")].map(|(code, flags)| {
            if code != 0 {
                attempts_end(&sim, "w1", AttemptEnd::Failed);
            }
            let call = format!("run --image update --local --yes --monitor 1s {flags}");
            assert_eq!(exit(sim.call(&call)), code, "{}{}", sim.out(), sim.err());
            let shared = sim.0.borrow();
            shared.spec.as_ref().map(|spec| spec.id.to_string()).unwrap_or_default()
        });
    (sim, ids)
}

#[test]
fn what_the_swarm_no_longer_has_of_a_log_is_asked_of_its_host() {
    let (sim, [_, _, third]) = three_rollouts();
    let line = |text: &str| Heard::Line {
        task: "t-w1".into(),
        node: NodeId("w1".into()),
        line: Line { to: PrintedTo::Stdout, text: text.into() },
    };
    sim.0.borrow_mut().heard = vec![(1, line("Unpacking \x1b[2Jlibc6")), (2, answers("w1", 0, 1.into()))];
    assert_eq!(exit(sim.call("logs w1")), 0, "{}", sim.err());
    assert!(sim.out().contains("Z  Unpacking \\u{1b}[2Jlibc6"), "{}", sim.out());
    let inquiry = sim.0.borrow().inquiry.clone().unwrap();
    assert_eq!(inquiry.spec.args, [format!("{third}-w1-g1")], "the transaction of its last try");
    assert_eq!(inquiry.spec.selection.nodes, ["w1"]);
    assert_eq!(sim.0.borrow().ended_inquiries, 1, "nothing of the question stays");
    assert_eq!(exit(sim.call("logs w1 --format json")), 0);
    let told: serde_json::Value = serde_json::from_str(sim.out().lines().last().unwrap()).unwrap();
    assert_eq!((&told["hostname"], &told["stream"]), (&"w1".into(), &"stdout".into()));

    // The host has swept it.
    sim.0.borrow_mut().heard = vec![(1, answers("w1", 1, 1.into()))];
    assert_eq!(exit(sim.call("logs w1")), 1);
    let on_host = format!("on w1: careen-agent logs {third}-w1-g1");
    assert!(
        sim.err().contains("its host does not tell it: exit 1") && sim.err().contains(&on_host),
        "{}",
        sim.err()
    );
    // A node that its operator keeps drained is made active only when he says so.
    sim.0.borrow_mut().world.nodes[1].availability = Availability::Drain;
    assert_eq!(exit(sim.call("logs w1")), 1);
    assert!(sim.err().contains("unreachable: drained") && sim.err().contains("--activate"), "{}", sim.err());
    sim.0.borrow_mut().heard = vec![(1, answers("w1", 0, 1.into()))];
    assert_eq!(exit(sim.call("logs w1 --activate --yes")), 0, "{}", sim.err());
    let woken = sim.0.borrow().inquiry.clone().unwrap().placement.activate;
    assert_eq!(woken.into_iter().collect::<Vec<_>>(), [(NodeId("w1".into()), Availability::Drain)]);
    assert_eq!(exit(sim.call("logs")), 1, "of all hosts it is said where their logs lie");
}

fn json(sim: &Sim) -> serde_json::Value {
    serde_json::from_str(&sim.out()).unwrap_or_else(|error| panic!("{error}: {}", sim.out()))
}

/// Somebody replaces a record by one in which something else stands.
fn by_hand(sim: &Sim, id: &str, from: &str, to: &str) {
    let mut shared = sim.0.borrow_mut();
    let name = format!("careen.history.{id}");
    let mut changed = 0;
    for record in shared.records.iter_mut().filter(|record| record.name == name) {
        let text = String::from_utf8_lossy(&record.data).replace(from, to).into_bytes();
        changed += usize::from(std::mem::replace(&mut record.data, text.clone()) != text);
    }
    assert_eq!(changed, 1, "{name} has no {from}");
}

#[test]
fn what_was_asked_and_what_came_of_it_can_be_read_when_it_is_over() {
    let (sim, [first, second, third]) = three_rollouts();
    assert_eq!(exit(sim.call("history")), 0);
    let out = sim.out();
    let ids: Vec<&str> = out.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids, [&third, &second, &first], "{out}");
    assert!(out.contains("failed nodes  2 of 3 nodes done, 1 failed  tester"), "{out}");
    assert_eq!(exit(sim.call("history --format json")), 0);
    let list = json(&sim);
    assert_eq!(
        (&list["rollouts"][0]["totals"]["failed"], &list["rollouts"][2]["before"]),
        (&1.into(), &"nothing".into())
    );
    assert_eq!(list["rollouts"][0]["before"]["record"]["sha256"], list["rollouts"][1]["sha256"]);

    assert_eq!(exit(sim.call(&format!("show {}", &first[..5]))), 0, "the beginning of an id is enough");
    let out = sim.out();
    assert!(out.starts_with(&format!("rollout {first}: update install\ndone: 3 of 3 nodes done\n")), "{out}");
    assert!(out.contains("\nflags      --parallelism 2 --monitor 1s --phase-timeout "), "{out}");
    assert!(out.contains("by         tester (as they said)\n") && out.contains(", after "), "{out}");
    assert_eq!(exit(sim.call(&format!("show {third}"))), 0);
    assert!(sim.out().contains("\nw1: exit code "), "{}", sim.out());
    assert_eq!(exit(sim.call(&format!("show {third} w1"))), 0);
    let out = sim.out();
    assert!(out.starts_with(&format!("w1 (w1) in the rollout {third}: failed: exit code ")), "{out}");
    assert!(out.contains("\ntry 1: exit code ") && out.contains("careen-agent logs "), "{out}");
    assert_eq!(exit(sim.call(&format!("show {third} w1 --format json"))), 0);
    let shown = json(&sim);
    let rollout = &shown["rollout"];
    assert_eq!((&rollout["id"], &rollout["spec"]["command"]), (&third.as_str().into(), &"install".into()));
    assert_eq!(rollout["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(rollout["nodes"][0]["tries"][0]["outcome"]["kind"], "failed");
    assert_eq!(exit(sim.call("status")), 0);
    assert!(sim.out().contains(&format!("the last one, {third} ")), "{}", sim.out());
    assert_eq!(exit(sim.call("history --verify --format json")), 0);
    let document = include_str!("../../../docs/cli.md");
    let section = document.split("\n### history").nth(1).unwrap().split("\n### ask").next().unwrap();
    let node = &rollout["nodes"][0];
    for value in [&list["rollouts"][0], rollout, node, &node["tries"][0], &json(&sim)] {
        for key in value.as_object().unwrap().keys() {
            assert!(section.contains(&format!("`{key}`")), "{key} is not documented");
        }
    }
}

#[test]
fn rollouts_are_listed_and_inspected_in_dockers_way() {
    let (sim, [first, second, third]) = three_rollouts();
    let ids = |words: &str| {
        assert_eq!(exit(sim.call(words)), 0, "{words}: {}", sim.err());
        sim.out().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ids("ls -q"), [&*third, &*second, &*first]);
    assert_eq!(ids("ls -q --filter status=failed"), [&*third]);
    assert_eq!(ids("ls -q -f node=w1 -f status=done"), [&*first], "the second was about w2 alone");
    assert_eq!(ids(&format!("ls -q --filter id={second} --filter id={first}")), [&*second, &*first]);
    assert!(ids("ls -q --filter by=nobody").is_empty());
    assert_eq!(ids("ls --filter by=nobody").len(), 1, "the header");
    let listed = ids("ls --format json --filter status=done");
    let one: serde_json::Value = serde_json::from_str(&listed[1]).unwrap();
    assert_eq!((listed.len(), &one["id"]), (2, &first.as_str().into()));
    assert_eq!(exit(sim.call(&format!("inspect {first} {third}"))), 0);
    let inspected = json(&sim);
    assert_eq!((&inspected[0]["id"], &inspected[1]["id"]), (&first.as_str().into(), &third.as_str().into()));
    assert_eq!(exit(sim.call(&format!("inspect {first} nobody"))), 2);
    assert!(sim.out().is_empty(), "{}", sim.out());
    // One that goes on is in no record yet.
    attempts_end(&sim, "w1", AttemptEnd::Well);
    assert_eq!(exit(sim.call("run --image update --node w1 --yes --detach")), 0);
    let id = sim.0.borrow().spec.as_ref().unwrap().id.to_string();
    assert_eq!(ids("ls -q -f status=running"), [&*id]);
    assert_eq!(ids("ls -q -f node=w1 -f status=running"), [&*id]);
    assert!(ids("ls -q -f node=w2 -f status=running").is_empty());
    assert_eq!(exit(sim.call(&format!("inspect {id}"))), 0);
    assert_eq!(json(&sim)[0]["control"]["state"], "running", "{}", sim.out());
}

#[test]
fn a_run_or_a_node_that_is_not_meant_alone_is_no_answer() {
    let (sim, [first, ..]) = three_rollouts();
    for (words, code, told) in [
        ("show nobody".to_owned(), 2, "the swarm remembers no rollout 'nobody'"),
        (format!("show {first} w"), 2, "'w' is the name of several, or its beginning: w1, w2"),
        (format!("show {first} w9"), 2, "has no node 'w9'"),
        (format!("show {}", "x".repeat(10_000)), 2, "xxxxx…'"),
        (format!("show {first} \u{1b}[2J"), 2, "has no node '\\u{1b}[2J'"),
    ] {
        let failure = sim.call(&words).unwrap_err();
        assert!(failure.to_string().contains(told) && failure.to_string().len() < 300, "{failure}");
        assert_eq!(failure.exit().code(), code);
    }
    assert_eq!(exit(sim.call(&format!("show {first} m"))), 0, "only one begins so");
    // A name that is the beginning of another one is that of its node.
    by_hand(&sim, &first, "\"hostname\":\"w2\"", "\"hostname\":\"w10\"");
    assert_eq!(exit(sim.call(&format!("show {first} w1"))), 0);
    assert!(sim.out().starts_with("w1 (w1) "), "{}", sim.out());
    // What goes on is told by 'status'.
    attempts_end(&sim, "w1", AttemptEnd::Well);
    assert_eq!(exit(sim.call("run --image update --yes --detach")), 0);
    let id = sim.0.borrow().spec.as_ref().unwrap().id.to_string();
    let failure = sim.call(&format!("show {id}")).unwrap_err();
    assert_eq!((failure.exit().code(), failure.next()), (1, Some("'careen status' shows where it stands")));
    assert_eq!(exit(sim.call("history")), 0);
    assert!(sim.out().lines().nth(1).is_some_and(|line| line.starts_with(&id) && line.contains(" running ")));
}

#[test]
fn names_from_hosts_are_shown_without_harm_and_shortened() {
    let (sim, [first, ..]) = three_rollouts();
    let long = format!("\"hostname\":\"\\u001b]0;w1{}\"", "x".repeat(10_000));
    by_hand(&sim, &first, "\"hostname\":\"w1\"", &long);
    by_hand(&sim, &first, "\"by\":\"tester\"", &format!("\"by\":\"\\u001b[2J{}\"", "y".repeat(10_000)));
    for words in ["history".to_owned(), format!("show {first}"), format!("show {first} \u{1b}]0;w1")] {
        assert_eq!(exit(sim.call(&words)), 0, "{words}: {}", sim.err());
        let out = sim.out();
        assert!(!out.contains('\u{1b}') && out.contains("\\u{1b}"), "{out}");
        let mut names = out.lines().filter(|line| !line.starts_with("flags "));
        assert!(names.all(|line| line.chars().count() < 220), "{out}");
    }
}

#[test]
fn a_history_that_was_changed_by_hand_is_told() {
    let (sim, [first, second, third]) = three_rollouts();
    assert_eq!(exit(sim.call("history --verify")), 0, "{}", sim.out());
    let out = sim.out();
    assert!(
        out.starts_with(&format!(
            "3 records; linked by hashes: {first} to {third}\nas far as they tell, nothing was altered "
        )),
        "{out}"
    );
    let head =
        out.lines().find_map(|line| line.strip_prefix(&format!("head  {third}  "))).unwrap().to_owned();
    assert!(head.starts_with("sha256:") && head.len() == 71, "{head}");
    assert_eq!(exit(sim.call(&format!("history --verify --head {head}"))), 0);

    by_hand(&sim, &second, "\"by\":\"tester\"", "\"by\":\"nobody\"");
    assert_eq!(exit(sim.call("history --verify")), 1);
    assert!(sim.out().contains(&format!("  the record of {second} was altered: ")), "{}", sim.out());
    by_hand(&sim, &second, "{", "");
    assert_eq!(exit(sim.call("history --verify")), 1);
    let unreadable = format!("the config careen.history.{second} cannot be understood");
    assert!(sim.out().contains(&unreadable), "{}", sim.out());
    assert_eq!(exit(sim.call("history")), 0, "the others are listed");
    assert!(sim.err().contains(&unreadable) && sim.out().lines().count() == 3, "{}{}", sim.err(), sim.out());

    sim.0.borrow_mut().records.retain(|record| record.name != format!("careen.history.{second}"));
    assert_eq!(exit(sim.call("history --verify --format json")), 1);
    let seen = json(&sim);
    assert_eq!((&seen["intact"], &seen["records"]), (&false.into(), &2.into()));
    let finding = &seen["findings"][0];
    assert_eq!((&finding["finding"], &finding["rollout"]), (&"missing".into(), &second.as_str().into()));
    // The newest has nobody that tells of it, but for the hash that somebody kept.
    by_hand(&sim, &third, "\"with-failures\"", "\"done\"");
    sim.0.borrow_mut().records.retain(|record| record.name != format!("careen.history.{first}"));
    assert_eq!(exit(sim.call(&format!("history --verify --head {head}"))), 1);
    assert!(sim.out().contains("no record has the sha256 "), "{}", sim.out());
}

#[test]
fn records_of_an_older_careen_are_counted_and_the_chain_begins_behind_them() {
    let sim = swarm(1);
    sim.0.borrow_mut().remembers = true;
    assert_eq!(exit(sim.call("history --verify")), 0);
    assert_eq!(
        sim.out(),
        "0 records\nnothing can be checked yet: the next record is the first with a hash\n"
    );
    let run = || {
        assert_eq!(exit(sim.call("run --image update --local --yes --monitor 1s")), 0, "{}", sim.err());
        let shared = sim.0.borrow();
        shared.spec.as_ref().map(|spec| spec.id.to_string()).unwrap_or_default()
    };
    let old = run();
    by_hand(&sim, &old, "\"before\":\"nothing\",", "");
    assert_eq!(exit(sim.call("history --verify")), 0);
    assert!(sim.out().contains("\nnothing can be checked yet"), "{}", sim.out());
    let new = run();
    assert_eq!(exit(sim.call("history --verify")), 0);
    let told = format!(
        "2 records; linked by hashes: {new}\n1 record without the hash of the one before: of an older careen\n"
    );
    assert!(sim.out().starts_with(&told), "{}", sim.out());
    by_hand(&sim, &old, "\"by\":\"tester\"", "\"by\":\"nobody\"");
    assert_eq!(exit(sim.call("history --verify")), 1, "the first with a hash vouches for the one before");
}

#[test]
fn a_record_whose_first_part_is_gone_is_named() {
    let (sim, [first, second, _]) = three_rollouts();
    {
        let mut shared = sim.0.borrow_mut();
        let name = format!("careen.history.{second}");
        let part = shared.records.iter_mut().find(|record| record.name == name).unwrap();
        part.name = format!("{name}.2");
    }
    assert_eq!(exit(sim.call(&format!("show {second}"))), 2);
    let told = format!("the first part of the record of {second} is gone");
    assert!(sim.err().contains(&told), "{}", sim.err());
    assert_eq!(exit(sim.call(&format!("show {first}"))), 0);
    assert_eq!(exit(sim.call("history --verify")), 1);
    assert!(
        sim.out().contains(&format!("the first part of the record of {second} is missing")),
        "{}",
        sim.out()
    );
}

fn belongings(paths: &[&str]) -> serde_json::Value {
    serde_json::json!({ "paths": paths, "transactions": 2, "bytes": 2_500_000 })
}

#[test]
fn uninstall_shows_what_there_is_and_removes_it_from_hosts_and_swarm() {
    let sim = swarm(2);
    sim.0.borrow_mut().heard = vec![
        (1, answers("m1", 0, belongings(&["/run/careen", "/var/lib/careen"]))),
        (1, answers("w1", 0, belongings(&[]))),
        (1, answers("w2", 0, belongings(&["/var/lib/careen"]))),
    ];
    sim.0.borrow_mut().possessions = vec!["careen.lock", "careen.history.k3x9"];
    let label = "1 k3x9 g1 a1 e1 done".to_owned();
    sim.0.borrow_mut().world.nodes[1].labels.insert("careen.node".to_owned(), label);
    assert_eq!(exit(sim.call("uninstall --dry-run")), 0, "{}{}", sim.out(), sim.err());
    let shown = "m1  /run/careen, /var/lib/careen (2 transactions, 2.5 MB)\nw1  nothing of careen's\nw2  /var/lib/careen (2 \
                 transactions, 2.5 MB)\nin the swarm:\n  configs careen.lock\n  labels on w1\n1 configs with the history of \
                 rollouts stay; --history removes them\n";
    assert_eq!(sim.out(), shown);
    assert_eq!(exit(sim.call("uninstall")), 2, "there is nobody to ask");
    assert_eq!(sim.0.borrow().possessions.len(), 2, "nothing is removed before somebody said so");
    sim.0.borrow_mut().answer = Some(true);
    assert_eq!(exit(sim.call("uninstall --format json")), 0, "{}{}", sim.out(), sim.err());
    let json: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    assert_eq!((&json["dry_run"], &json["hosts"][0]["state"]), (&false.into(), &"has".into()));
    assert_eq!(json["swarm"]["configs"], serde_json::json!(["careen.lock"]));
    assert_eq!((&json["swarm"]["nodes"][0], &json["swarm"]["kept"]), (&"w1".into(), &1.into()));
    let shared = sim.0.borrow();
    assert_eq!(shared.possessions, ["careen.history.k3x9"]);
    assert!(shared.world.nodes.iter().all(|node| node.labels.is_empty()));
    let errand = shared.inquiry.as_ref().unwrap().errand;
    assert_eq!(errand, careen_contract::errand::Errand::Uninstall { dry_run: false });
    assert_eq!(shared.ended_inquiries, 4, "a dry run, one that nobody answered for, and twice");
}

#[test]
fn uninstall_stops_where_something_is_not_finished_and_names_whom_it_could_not_ask() {
    let sim = swarm(2);
    let busy = Answer::Refused { exit: 244, why: "the transaction t1 is not finished".into() };
    let busy = Heard::Said { task: "t".into(), node: NodeId("w1".into()), answer: busy };
    sim.0.borrow_mut().heard = vec![(1, answers("m1", 0, belongings(&["/var/lib/careen"]))), (1, busy)];
    sim.0.borrow_mut().world.nodes[2].availability = Availability::Drain;
    sim.0.borrow_mut().possessions = vec!["careen.lock"];
    let refused = sim.call("uninstall --yes").unwrap_err();
    assert_eq!(refused.exit().code(), 6);
    assert!(refused.to_string().contains("not finished on w1"), "{refused}");
    assert!(sim.out().contains("w1  refuses: the transaction t1 is not finished\n"), "{}", sim.out());
    assert_eq!(sim.0.borrow().possessions.len(), 1);
    sim.0.borrow_mut().heard.pop();
    sim.0.borrow_mut().heard.push((1, answers("w1", 0, belongings(&[]))));
    assert_eq!(exit(sim.call("uninstall --yes --history")), 3, "{}{}", sim.out(), sim.err());
    assert!(sim.out().contains("w2  unreachable: drained\n"), "{}", sim.out());
    assert!(sim.out().contains("on w2 by hand, as root: careen-agent uninstall\n"), "{}", sim.out());
    assert!(sim.0.borrow().possessions.is_empty());
}

#[test]
fn uninstall_refuses_while_a_rollout_goes_on_or_a_node_is_held() {
    let sim = swarm(2);
    sim.0.borrow_mut().world.nodes[1].availability = Availability::Drain;
    let label = "1 k3x9 g1 a1 e1 failed:running:exit-7 active>drain".to_owned();
    sim.0.borrow_mut().world.nodes[1].labels.insert("careen.node".to_owned(), label);
    let held = sim.call("uninstall --yes").unwrap_err();
    assert_eq!(held.exit().code(), 6);
    assert!(held.to_string().contains("a rollout left w1 with"), "{held}");
    assert!(sim.0.borrow().inquiry.is_none(), "no host is asked");
    let sim = swarm(2);
    assert_eq!(exit(sim.call("run --image update --yes --detach")), 0);
    assert_eq!(exit(sim.call("uninstall --yes")), 6);
    assert_eq!(exit(sim.call("uninstall --dry-run")), 6);
}
