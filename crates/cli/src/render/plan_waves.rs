//! The waves of a plan: what becomes of each node and of its tasks. Of many nodes those are folded with which nothing is to be
//! minded; what is at risk, or would wait, is always shown by name. Pure.

use crate::render::text::{Look, Page, Span, first_of, service_name};
use crate::render::words;
use crate::render::{down, probe};
use careen_planner::drain::{Goes, TaskMove};
use careen_planner::names::Names;
use careen_planner::observed::{Node, Role};
use careen_planner::plan::{Meanwhile, Plan, PlannedDrain, PlannedNode, PlannedWave, Warning};
use careen_planner::probe::{Probe, Probed};
use careen_planner::{Indexed, NodeId};
use std::collections::BTreeSet;

/// Up to so many nodes each is shown by itself.
const FEW: usize = 8;

/// So many nodes of one kind are named, and where there are no more than twice as many, all.
const NAMED: usize = 2;

/// What is shown of the waves of a plan.
pub struct Waves<'a> {
    pub plan: &'a Plan,
    pub seen: &'a Indexed<'a>,
    pub names: &'a Names,
    /// What hosts said, where they were asked.
    pub probe: Option<&'a Probe>,
    /// Nodes that are down, where there are many.
    pub down: &'a BTreeSet<&'a NodeId>,
    /// Whether each node is shown by itself, however many there are.
    pub verbose: bool,
}

/// What nodes have in common that are folded.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Kind {
    drain: PlannedDrain,
    /// Whether its host has something to do, where it was asked.
    waits: Option<bool>,
    down: bool,
}

/// Nodes that are folded.
struct Folded<'a> {
    kind: Kind,
    nodes: Vec<&'a PlannedNode>,
}

impl Waves<'_> {
    /// All of them, each behind a gap.
    pub fn text(&self, page: &mut Page) {
        let waves = &self.plan.waves;
        let many = waves.iter().map(|wave| wave.nodes.len()).sum::<usize>() > FEW;
        if !many || self.verbose {
            for (number, wave) in waves.iter().enumerate() {
                page.gap();
                page.line(heading(number + 1, wave));
                wave.nodes.iter().for_each(|node| self.node(node, page));
            }
            return;
        }
        let minded = self.minded();
        let mut number = 1;
        while let Some(first) = waves.get(number - 1) {
            let alike = waves[number - 1..].iter().take_while(|wave| self.is_alike(first, wave, &minded));
            let count = alike.count().max(1);
            page.gap();
            match count {
                1 => page.line(heading(number, first)),
                _ => page.line(headings(number, count, first.nodes.len())),
            }
            self.folded(&waves[number - 1..number - 1 + count], &minded, page);
            number += count;
        }
    }

    /// Nodes that a risk or a warning is about.
    fn minded(&self) -> BTreeSet<&NodeId> {
        let warned = self.plan.warnings.iter().filter_map(|warning| match warning {
            Warning::OnlyManager { node }
            | Warning::QuorumLoss { node }
            | Warning::NoRebootOfAutolocked { node }
            | Warning::UnlockByHand { node }
            | Warning::NodeDown { node }
            | Warning::LeftBehind { node, .. } => Some(node),
            // Of all nodes.
            Warning::ControllerStays { .. } | Warning::NotPullable(_) | Warning::Surges { .. } => None,
        });
        let warned = warned.filter(|node| !self.down.contains(node));
        self.plan.risks.iter().flat_map(|risk| risk.nodes()).chain(warned).collect()
    }

    /// Whether a wave is folded with the first one: as many nodes, and nothing is to be minded in either.
    fn is_alike(&self, first: &PlannedWave, wave: &PlannedWave, minded: &BTreeSet<&NodeId>) -> bool {
        let calm = |wave: &PlannedWave| wave.nodes.iter().all(|node| self.kind(node, minded).is_some());
        wave.nodes.len() == first.nodes.len() && calm(first) && calm(wave)
    }

    /// What a node has in common with others; `None` of one that is shown by itself.
    fn kind(&self, node: &PlannedNode, minded: &BTreeSet<&NodeId>) -> Option<Kind> {
        let harmless = |task: &TaskMove| match task.goes {
            Goes::Elsewhere { .. } | Goes::WithTheNode => task.leaves_behind.is_none(),
            Goes::Nowhere { .. } | Goes::Unknown { .. } | Goes::Stays | Goes::StopsWithTheHost => false,
        };
        let down = self.down.contains(&node.node);
        let waits = match self.probe.map(|probe| probe.0.get(&node.node)) {
            None => Some(None),
            Some(_) if down => Some(None),
            Some(Some(Probed::InSync)) => Some(Some(false)),
            Some(Some(Probed::Waits(_))) => Some(Some(true)),
            Some(Some(Probed::Refuses { .. } | Probed::Fails { .. } | Probed::Silent(_)) | None) => None,
        };
        let nothing = (node.holds.is_empty() || down && down::is_all(&node.holds))
            && node.attracts.is_empty()
            && node.gets.is_empty()
            && node.plain_containers.is_empty();
        let calm = node.role == Role::Worker && nothing && node.tasks.iter().all(harmless);
        let kind = |waits| Kind { drain: node.drain, waits, down };
        waits.filter(|_| calm && !minded.contains(&node.node)).map(kind)
    }

    /// Waves in one: first those of each kind, then each that is shown by itself.
    fn folded(&self, waves: &[PlannedWave], minded: &BTreeSet<&NodeId>, page: &mut Page) {
        let mut kinds: Vec<Folded<'_>> = Vec::new();
        let mut alone = Vec::new();
        for node in waves.iter().flat_map(|wave| &wave.nodes) {
            match self.kind(node, minded) {
                None => alone.push(node),
                Some(kind) => match kinds.iter_mut().find(|one| one.kind == kind) {
                    Some(one) => one.nodes.push(node),
                    None => kinds.push(Folded { kind, nodes: vec![node] }),
                },
            }
        }
        kinds.iter().for_each(|kind| page.line(self.together(kind)));
        alone.into_iter().for_each(|node| self.node(node, page));
    }

    /// Nodes of one kind in one line.
    fn together(&self, folded: &Folded<'_>) -> String {
        let Folded { kind, nodes } = folded;
        let names: Vec<String> = nodes.iter().map(|node| self.names.shown(&node.node)).collect();
        let named = if names.len() <= 2 * NAMED { names.len() } else { NAMED };
        let workers = if nodes.len() == 1 { "worker".to_owned() } else { format!("{} workers", nodes.len()) };
        let waits = match kind.waits {
            _ if kind.down => "; down",
            None => "",
            Some(true) => "; something to do",
            Some(false) => "; nothing to do",
        };
        let moves = |task: &&TaskMove| matches!(task.goes, Goes::Elsewhere { .. });
        let moved = nodes.iter().flat_map(|node| &node.tasks).filter(moves).count();
        let moved = match moved {
            0 => "nothing moves".to_owned(),
            1 => "1 task moves, and has a place".to_owned(),
            moved => format!("{moved} tasks move, and each has a place"),
        };
        format!("  {} ({workers}), {}{waits}; {moved}", first_of(&names, named), drain(kind.drain))
    }

    /// A node by itself, with what becomes of each of its tasks.
    fn node(&self, node: &PlannedNode, page: &mut Page) {
        let leads = self.seen.node(&node.node).is_some_and(Node::is_leader);
        let role = if leads { "manager, the leader" } else { words::role(node.role) };
        let name = self.names.shown(&node.node);
        page.line(format!("  {name} ({role}), {}", drain(node.drain)));
        if let Some(probed) = self.probe.and_then(|probe| probe.0.get(&node.node)) {
            probe::lines(probed, page);
        }
        for text in self.tasks(node) {
            page.line(format!("      {text}"));
        }
        if !node.plain_containers.is_empty() {
            let containers = names_of(&node.plain_containers);
            page.line(format!("      containers of no service, which stop with the engine: {containers}"));
        }
        if !node.gets.is_empty() {
            page.line(format!("      Swarm starts there when it is back: {}", counted(&node.gets)));
        }
        if !node.attracts.is_empty() {
            let attracts = names_of(&node.attracts);
            page.line(format!("      Swarm may place there while it is active: {attracts}"));
        }
        for hold in &node.holds {
            let text = self.names.in_text(&hold.to_string());
            page.spans(&["      ".into(), Span::new(Look::Warn, "would wait: "), text.into()]);
        }
    }

    /// What becomes of tasks, one line for those of a service of which the same becomes.
    fn tasks(&self, node: &PlannedNode) -> Vec<String> {
        let mut lines: Vec<(&TaskMove, usize)> = Vec::new();
        for task in &node.tasks {
            match lines.iter_mut().find(|(line, _)| *line == task) {
                Some((_, count)) => *count += 1,
                None => lines.push((task, 1)),
            }
        }
        let line = |(task, count): (&TaskMove, usize)| {
            let times = if count > 1 { format!(" ({count} tasks)") } else { String::new() };
            let data = task.leaves_behind.as_ref();
            let data = data.map(|source| format!(", without its data in {}", service_name(source)));
            let meanwhile = node.meanwhile.iter().find(|one| one.service == task.service);
            let meanwhile = meanwhile.filter(|_| moves(&task.goes)).map(self::meanwhile);
            let (data, meanwhile) = (data.unwrap_or_default(), meanwhile.unwrap_or_default());
            let service = service_name(&task.service);
            format!("{service}: {}{data}{times}{meanwhile}", self.fate(&task.goes))
        };
        lines.into_iter().map(line).collect()
    }

    fn fate(&self, goes: &Goes) -> String {
        match goes {
            Goes::Elsewhere { nodes, among } => self.among(*nodes, among),
            Goes::Nowhere { why } => format!("cannot run elsewhere: down until this node is back ({why})"),
            Goes::Unknown { constraint } => {
                format!("moves where '{constraint}' allows it, which this careen cannot read")
            }
            Goes::WithTheNode => "global; stops and starts with the node".to_owned(),
            Goes::Stays => "a job; a drain does not stop it, and it is waited for".to_owned(),
            Goes::StopsWithTheHost => {
                "stops with the host; Swarm starts it again there, or elsewhere if the host stays away"
                    .to_owned()
            }
        }
    }

    /// Where a task moves to.
    fn among(&self, nodes: usize, among: &[NodeId]) -> String {
        let names: Vec<String> = among.iter().map(|node| self.names.shown(node)).collect();
        match &names[..] {
            [only] if nodes == 1 => format!("moves to {only}, the only other node that fits"),
            [only] => format!("moves to {only}"),
            [one, other] => format!("moves to {one} or {other}"),
            [one, two, three] => format!("moves to {one}, {two} or {three}"),
            [] => format!("moves to one of {nodes} nodes"),
            several => format!("moves to one of {} nodes", several.len()),
        }
    }
}

/// Whether a task is stopped and started elsewhere.
const fn moves(goes: &Goes) -> bool {
    match goes {
        Goes::Elsewhere { .. } | Goes::Unknown { .. } => true,
        Goes::Nowhere { .. } | Goes::WithTheNode | Goes::Stays | Goes::StopsWithTheHost => false,
    }
}

/// What runs of a service until the tasks that are stopped run elsewhere.
fn meanwhile(service: &Meanwhile) -> String {
    match (service.left, service.now) {
        (0, 1) => "; nothing of it runs meanwhile".to_owned(),
        (0, now) => format!("; none of its {now} tasks runs meanwhile"),
        (1, now) => format!("; 1 of {now} tasks runs meanwhile"),
        (left, now) => format!("; {left} of {now} tasks run meanwhile"),
    }
}

/// What others called it.
fn names_of(names: &[String]) -> String {
    names.iter().map(|name| service_name(name)).collect::<Vec<_>>().join(", ")
}

/// Names with how often each is there.
fn counted(names: &[String]) -> String {
    let once: BTreeSet<&String> = names.iter().collect();
    let text = |name: &String| match names.iter().filter(|one| *one == name).count() {
        1 => service_name(name),
        count => format!("{} ({count} tasks)", service_name(name)),
    };
    once.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

fn heading(number: usize, wave: &PlannedWave) -> String {
    let quorum = wave.quorum.map(|step| match step.members {
        // No number says it as well as the warning below.
        1 => ": the only manager".to_owned(),
        members => {
            let take = if step.left == 1 { "takes" } else { "take" };
            format!(": {} of {members} managers {take} part meanwhile, {} must", step.left, step.needed)
        }
    });
    format!("wave {number}{}", quorum.unwrap_or_default())
}

/// Of several waves with so many nodes each.
fn headings(first: usize, count: usize, nodes: usize) -> String {
    let each = if nodes == 1 { "one node each".to_owned() } else { format!("{nodes} nodes each") };
    format!("waves {first} to {}, {each}", first + count - 1)
}

const fn drain(drain: PlannedDrain) -> &'static str {
    match drain {
        PlannedDrain::Yes => "drained before the command",
        PlannedDrain::IfNeeded => "drained if a restart or reboot is needed",
        PlannedDrain::NotExpected => "not drained: no restart is expected",
        PlannedDrain::No => "not drained",
        PlannedDrain::Kept => "kept out of service by its operator; active for moments",
    }
}
