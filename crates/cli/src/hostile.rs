//! Names and labels that somebody else chose: escapes, quotes, ten thousand characters, names that begin other names. No page that shows
//! them does anything to a terminal, grows without an end, or quotes a command that does something else when it is typed.

use crate::backend::{EndedNode, Summary};
use crate::fleet::Told;
use crate::left::left_behind;
use crate::render::answers::Answers;
use crate::render::facts::{FactsPart, FleetFacts};
use crate::render::history::HistoryList;
use crate::render::listed::Listed;
use crate::render::plan_page::{self, Planned};
use crate::render::record::Recorded;
use crate::render::text::Page;
use crate::render::uninstall::{InSwarm, Uninstalled};
use crate::render::{Screen, left, live, status, why};
use crate::testing::{at, cluster, service, spec, task, worker};
use crate::view::look;
use careen_contract::answer::Answer;
use careen_contract::label;
use careen_planner::exclude::excluded;
use careen_planner::inquiry::{Heard, Roll};
use careen_planner::observed::{Availability, Mount, MountKind, NodeStatus, Service};
use careen_planner::plan::plan;
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_planner::state::{Reason, StateName, Taken};
use careen_planner::{NodeId, NodeState, Observed, Spec, Watch};
use careen_swarm::Draft;
use std::collections::BTreeMap;
use std::time::Duration;

/// No line is longer, in characters: some name several nodes.
const LONGEST_LINE: usize = 8001;

/// Nor is a line that names one thing, or a few.
const LONGEST_NAMES: usize = 1000;

/// The hosts' names of a manager and three workers.
fn hosts() -> [String; 4] {
    [
        "m1'; reboot; '".into(),
        "w\u{1b}[2J\u{202e}\r\n$ careen abort".into(),
        "x".repeat(10_000),
        "x".repeat(9_999),
    ]
}

fn observed() -> Observed {
    let mut observed = cluster();
    for (node, name) in observed.nodes.iter_mut().zip(hosts()) {
        node.hostname = name;
        node.labels.insert("note".into(), "\u{1b}[31m".repeat(10_000));
    }
    let taken = Some(Taken { was: Availability::Active, set: Availability::Drain });
    observed.nodes[2].availability = Availability::Drain;
    at(
        &mut observed.nodes[2],
        NodeState::Failed { during: StateName::Running, reason: Reason::Exit(7) },
        taken,
    );
    observed.nodes[3].labels.insert(label::EXCLUDE.into(), "\u{1b}]0;title\u{7}'\"".repeat(1000));
    observed.services = vec![service("web\u{1b}[2J", 2)];
    observed.tasks = vec![task("web\u{1b}[2J", "w1"), task("web\u{1b}[2J", "w2")];
    observed
}

/// The same with more of everything that others name: services, volumes, containers, networks, nodes that are down and alike.
fn full() -> Observed {
    let mut observed = observed();
    let harm = "\u{1b}]0;title\u{7}\r\n$ careen abort";
    let mount = Mount { kind: MountKind::LocalVolume, source: harm.repeat(500), read_only: false };
    let long = "s".repeat(10_000);
    let labels = [(label::SURGE_SERVICE.to_owned(), "true".to_owned())].into();
    let data = Service { mounts: vec![mount], ..service(&long, 1) };
    observed.services.extend([data, Service { labels, ..service(harm, 2) }, service("short", 3)]);
    observed.tasks.extend([task(&long, "w1"), task(harm, "w1"), task(harm, "w3")]);
    observed.services.last_mut().unwrap().running = 1;
    observed.nodes[1].plain_containers = vec![harm.repeat(500), "c".repeat(10_000)];
    observed.nodes[1].plain_on_overlays = vec!["c".repeat(10_000)];
    (observed.nodes[0].engine, observed.nodes[1].engine) = ("29.0.0".into(), "27.5.1".into());
    observed.encrypted_networks = vec![harm.repeat(500), "n".repeat(10_000)];
    for number in 4..14 {
        let mut node = worker(&format!("w{number}"));
        node.hostname = format!("{number}{}", harm.repeat(500));
        node.status = if number < 10 { NodeStatus::Down } else { NodeStatus::Ready };
        observed.nodes.push(node);
    }
    observed
}

/// What a plan says of a swarm like that: what is at risk, what surges, what is folded.
fn plans() -> Vec<(&'static str, String)> {
    let observed = full();
    let allowing = Spec { allow_gaps: true, allow_volume_moves: true, ..spec() };
    let surging = Spec { surge: true, ..spec() };
    let mut pages = Vec::new();
    for (name, spec, verbose) in [
        ("plan at risk", &allowing, true),
        ("plan folded", &allowing, false),
        ("plan with surges", &surging, true),
        ("plan held", &surging, false),
    ] {
        let (plan, draft) = (plan(&observed, spec), Draft::of(spec.clone()));
        let planned =
            Planned { plan: &plan, draft: &draft, observed: &observed, probe: None, going_on: None, verbose };
        let mut page = Page::new(false);
        plan_page::page(&planned, &mut page);
        pages.push((name, page.into_text()));
    }
    pages
}

/// What hosts answer, and what is remembered of them.
fn told_by_hosts() -> Vec<(&'static str, String)> {
    let (observed, spec) = (full(), spec());
    let harm = "\u{1b}[2J\u{202e}\r\n$ careen abort";
    let (mut roll, _) = Roll::call(&observed, &spec, false, Duration::ZERO).unwrap();
    let answered = Answer::Answered {
        exit: 2,
        why: None,
        result: Some(serde_json::json!({ harm: harm })),
        notes: vec![harm.to_owned()],
        lines: 0,
    };
    let refused = Answer::Refused { exit: 248, why: harm.to_owned() };
    for (node, answer) in [("m1", answered), ("w1", refused)] {
        let node = NodeId(node.to_owned());
        roll.hear(Heard::Said { task: node.0.clone(), node, answer }, Duration::ZERO);
    }
    roll.tick(Duration::from_secs(60));
    let ended = |hostname: String| EndedNode {
        node: NodeId(format!("id{}", hostname.len())),
        hostname,
        stage: NodeState::Failed { during: StateName::Running, reason: Reason::Exit(7) },
        transaction: None,
        record: Some(format!("{harm}\n{}", harm.repeat(500))),
        seconds: None,
        generation: 1,
        tries: Vec::new(),
    };
    let mut of = spec.clone();
    (of.image, of.args) = (harm.repeat(500), vec![harm.repeat(500)]);
    let summary = Summary {
        spec: of,
        control: Control::Finished { outcome: RolloutOutcome::WithFailures },
        by: Some(harm.repeat(500)),
        submitted: Some(harm.to_owned()),
        nodes: hosts().into_iter().map(ended).collect(),
        record: None,
    };
    let known = [summary];
    let text = |screen: &dyn Screen| {
        let mut page = Page::new(false);
        screen.text(&mut page);
        page.into_text()
    };
    let mut idle = Page::new(false);
    status::idle(known.first(), &mut idle);
    let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
    let lines = BTreeMap::from([(NodeId("w1".into()), harm.repeat(500))]);
    vec![
        ("answers", text(&Answers { inquiry: &spec.id, roll: &roll })),
        ("history", text(&HistoryList { known: &known })),
        ("show", text(&Recorded { summary: &known[0], node: None })),
        ("show NODE", text(&Recorded { summary: &known[0], node: known[0].nodes.get(1) })),
        ("ls", text(&Listed { rollouts: known.iter().collect(), quiet: false })),
        ("status of the last one", idle.into_text()),
        ("live", live::picture(&standing, &lines, Duration::ZERO, false)),
    ]
}

/// Every page, by its name.
fn pages() -> Vec<(&'static str, String)> {
    let observed = observed();
    let mut spec = spec();
    spec.selection.exclude = excluded(&observed, &[], |_| None).0;
    let shown = |fill: &dyn Fn(&mut Page)| {
        let mut page = Page::new(false);
        fill(&mut page);
        page.into_text()
    };
    let plan = plan(&observed, &spec);
    let draft = Draft::of(spec.clone());
    let planned = Planned {
        plan: &plan,
        draft: &draft,
        observed: &observed,
        probe: None,
        going_on: None,
        verbose: true,
    };
    let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
    let blocked = why::blocked(&standing);
    let left = left_behind(&observed, Vec::new(), &[], None);
    let (roll, _) = Roll::call(&observed, &spec, false, Duration::ZERO).unwrap();
    let swarm = InSwarm { nodes: hosts().to_vec(), ..InSwarm::default() };
    let uninstalled = Uninstalled { dry_run: true, roll: &roll, swarm: &swarm, last: true };
    let told = hostile_facts(&observed, &spec);
    vec![
        ("plan", shown(&|page| plan_page::page(&planned, page))),
        ("status", shown(&|page| status::page(&standing, &spec, page))),
        ("why", shown(&|page| why::page(&standing, &blocked, page))),
        ("left", shown(&|page| left::page(&left, page))),
        ("uninstall", shown(&|page| uninstalled.text(page))),
        ("facts", told),
    ]
}

/// What `careen facts` shows of hosts that say such things.
fn hostile_facts(observed: &Observed, spec: &Spec) -> String {
    let words = "\u{1b}[2J\r\n$ careen abort ".repeat(30);
    let result = serde_json::json!({
        "schema": 1,
        "os": { "id": words, "version_id": words, "name": words },
        "kernel": { "running": words },
        "pending": { "manager": words, "packages": 3, "security": 1, "names": [{ "name": words, "security": true }] },
        "reboot": { "needed": true, "why": [words] },
        "room": [{ "paths": [words], "bytes": 100, "bytes_free": 1 }],
        "last_run": { "rollout": words, "transaction": words, "command": words, "outcome": words, "exit": 1 },
        "drift": [{ "name": words, "state": words }],
        "unknown": { "clock": words },
        "notes": [words],
    });
    let (mut roll, _) = Roll::call(observed, spec, false, Duration::ZERO).unwrap();
    for node in &observed.nodes {
        let (result, notes) = (Some(result.clone()), Vec::new());
        let answer = Answer::Answered { exit: 0, why: None, result, notes, lines: 0 };
        roll.hear(Heard::Said { task: "t".into(), node: node.id.clone(), answer }, Duration::ZERO);
    }
    let told = Told::of(&roll);
    let hosts = told.hosts(&roll);
    let mut page = Page::new(false);
    for part in [FactsPart::All, FactsPart::Skew, FactsPart::Behind] {
        FleetFacts { inquiry: &spec.id, all: &hosts, shown: &hosts, part }.text(&mut page);
    }
    page.into_text()
}

#[test]
fn what_others_chose_does_nothing_to_a_terminal_and_has_an_end() {
    for (name, text) in pages().into_iter().chain(plans()).chain(told_by_hosts()) {
        assert!(!text.trim().is_empty(), "{name}");
        let harm = text.chars().find(|c| *c != '\n' && careen_contract::terminal::is_harmful(*c));
        assert_eq!(harm, None, "{name}: {text}");
        let longer = |most: usize| text.lines().find(|line| line.chars().count() > most);
        assert_eq!(longer(LONGEST_LINE), None, "{name}");
        let names_few = pages().iter().any(|(page, _)| *page == name);
        assert_eq!(longer(LONGEST_NAMES).filter(|_| names_few), None, "{name}");
        // A name that contains a line's end begins no line.
        assert!(!text.lines().any(|line| line.starts_with("$ careen")), "{name}: {text}");
    }
}

#[test]
fn a_node_whose_name_a_shell_would_take_for_more_is_typed_by_its_id() {
    for (name, text) in pages() {
        let commands = text.lines().filter(|line| line.trim_start().starts_with("careen "));
        for command in commands {
            assert!(!command.contains(['\'', ';', '$', '\\']), "{name}: {command}");
        }
    }
    let (_, left) = pages().remove(3);
    assert!(left.contains("careen abort") || left.contains("careen restore w2"), "{left}");
}

#[test]
fn a_name_that_is_the_beginning_of_another_is_that_node_alone() {
    let mut observed = cluster();
    for (node, name) in observed.nodes.iter_mut().zip(["db", "db-1", "db-10", "db-1.example"]) {
        node.hostname = name.to_owned();
    }
    for (given, id) in [("db", "m1"), ("db-1", "w1"), ("db-10", "w2"), ("db-1.example", "w3")] {
        let mut spec = spec();
        spec.selection.nodes = vec![given.to_owned()];
        let plan = plan(&observed, &spec);
        let nodes: Vec<&NodeId> =
            plan.waves.iter().flat_map(|wave| &wave.nodes).map(|node| &node.node).collect();
        assert_eq!(nodes, [&NodeId(id.to_owned())], "{given}");
    }
}
