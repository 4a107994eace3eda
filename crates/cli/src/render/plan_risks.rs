//! The part of a plan that is read first: what may hurt, what would wait, and where tasks are at the end. Pure.

use crate::render::down;
use crate::render::text::{Look, Page, Span, service_name};
use careen_planner::NodeId;
use careen_planner::names::Names;
use careen_planner::plan::{Plan, PlannedNode, Risk};
use std::collections::BTreeSet;

/// A line for each kind of what may hurt, and for what would wait; nothing where all is well. Nodes that are folded as down have a line of
/// their own elsewhere.
pub fn lines(plan: &Plan, names: &Names, folded: &BTreeSet<&NodeId>, page: &mut Page) {
    let mut label = "at risk  ";
    for (head, of_kind) in kinds(&plan.risks, names) {
        let text = format!("{head}: {}", of_kind.join(", "));
        page.spans(&[Span::new(Look::Warn, label), text.into()]);
        label = "         ";
    }
    let nodes = plan.waves.iter().flat_map(|wave| &wave.nodes);
    let is_held = |node: &&PlannedNode| {
        !(node.holds.is_empty() || folded.contains(&node.node) && down::is_all(&node.holds))
    };
    let held: Vec<String> = nodes.filter(is_held).map(|node| names.shown(&node.node)).collect();
    if !held.is_empty() {
        let nodes = if held.len() == 1 { "1 node".to_owned() } else { format!("{} nodes", held.len()) };
        let would = format!("{nodes} would wait");
        page.spans(&[Span::new(Look::Warn, "blocked  "), format!("{would}: {}", held.join(", ")).into()]);
    }
    if let Some(text) = at_the_end(plan, names) {
        page.line(format!("after    {text}"));
    }
}

/// What is at risk by its kind, in the order in which the plan has it.
fn kinds(risks: &[Risk], names: &Names) -> Vec<(&'static str, Vec<String>)> {
    let mut kinds: Vec<(&'static str, Vec<String>)> = Vec::new();
    for risk in risks {
        let (head, one) = one(risk, names);
        match kinds.iter_mut().find(|(kind, _)| *kind == head) {
            Some((_, all)) => all.push(one),
            None => kinds.push((head, vec![one])),
        }
    }
    kinds
}

/// The kind, and what it is about.
fn one(risk: &Risk, names: &Names) -> (&'static str, String) {
    let at = |nodes: &[NodeId]| nodes.iter().map(|node| names.shown(node)).collect::<Vec<_>>().join(", ");
    match risk {
        Risk::Interrupted { service, at: nodes } => {
            ("not running while they move", format!("{} ({})", service_name(service), at(nodes)))
        }
        Risk::NoPlace { service, at: nodes } => {
            ("without a place until a node is back", format!("{} ({})", service_name(service), at(nodes)))
        }
        Risk::WithoutData { service, at: nodes, source } => (
            "started elsewhere without their data",
            format!("{} ({} of {})", service_name(service), service_name(source), at(nodes)),
        ),
        Risk::StopsWithTheHost { service, at: nodes } => (
            "stopped with their host, which is not drained",
            format!("{} ({})", service_name(service), at(nodes)),
        ),
        Risk::ContainersStop { node, containers } => (
            "containers of no service, which stop with the engine",
            format!("{} ({})", joined(containers), names.shown(node)),
        ),
        Risk::ContainersStayDown { node, containers } => (
            "containers on overlay networks, which Docker does not start again",
            format!("{} ({})", joined(containers), names.shown(node)),
        ),
        Risk::EncryptedApart { networks, nodes } => (
            "encrypted networks on which engines 29.0.0 to 29.2.0 and others do not hear each other",
            format!("{} ({})", joined(networks), at(nodes)),
        ),
        Risk::ShortAlready { service, running, desired } => {
            ("short of tasks already", format!("{} ({running} of {desired} run)", service_name(service)))
        }
        Risk::PilesUp { node, now, after, median } => (
            "full at the end",
            format!(
                "{} ({after} tasks, now {now}; half of the nodes have {median} at most)",
                names.shown(node)
            ),
        ),
    }
}

/// What others called it.
fn joined(names: &[String]) -> String {
    names.iter().map(|name| service_name(name)).collect::<Vec<_>>().join(", ")
}

/// Of the nodes whose number of tasks changes those with the most and the fewest at the end, where these are far from each other.
fn at_the_end(plan: &Plan, names: &Names) -> Option<String> {
    let changed = || plan.loads.iter().filter(|load| load.after != load.now);
    let most = changed().rev().max_by_key(|load| load.after)?;
    let fewest = changed().min_by_key(|load| load.after)?;
    let (full, empty) = (names.shown(&most.node), names.shown(&fewest.node));
    (most.after > fewest.after + 1).then(|| {
        format!(
            "{full} has {} tasks (now {}), {empty} {} (now {}): Swarm moves none back",
            most.after, most.now, fewest.after, fewest.now
        )
    })
}
