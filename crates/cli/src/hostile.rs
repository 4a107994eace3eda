//! Names and labels that somebody else chose: escapes, quotes, ten thousand characters, names that begin other names. No page that shows
//! them does anything to a terminal, grows without an end, or quotes a command that does something else when it is typed.

use crate::fleet::Told;
use crate::left::left_behind;
use crate::render::facts::{FactsPart, FleetFacts};
use crate::render::plan_page::{self, Planned};
use crate::render::text::Page;
use crate::render::uninstall::{InSwarm, Uninstalled};
use crate::render::{Screen, left, status, why};
use crate::testing::{at, cluster, service, spec, task};
use crate::view::look;
use careen_contract::answer::Answer;
use careen_contract::label;
use careen_planner::exclude::excluded;
use careen_planner::inquiry::{Heard, Roll};
use careen_planner::observed::Availability;
use careen_planner::plan::plan;
use careen_planner::state::{Reason, StateName, Taken};
use careen_planner::{NodeId, NodeState, Observed, Watch};
use careen_swarm::Draft;
use std::time::Duration;

/// No line is longer, in characters: some name several nodes.
const LONGEST_LINE: usize = 1000;

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
fn hostile_facts(observed: &Observed, spec: &careen_planner::Spec) -> String {
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
    for (name, text) in pages() {
        assert!(!text.trim().is_empty(), "{name}");
        let harm = text.chars().find(|c| *c != '\n' && careen_contract::terminal::is_harmful(*c));
        assert_eq!(harm, None, "{name}: {text}");
        let long = text.lines().find(|line| line.chars().count() > LONGEST_LINE);
        assert_eq!(long, None, "{name}");
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
