//! `careen status`: where the rollout stands, as a page. Pure.

use crate::backend::{EndedNode, Summary};
use crate::render::step::{Step, Verb};
use crate::render::text::{Look, Page, Span, first_of, host_name, span};
use crate::render::{controller, down, held, parity, time, words};
use crate::view::{NodeStanding, Standing, Totals};
use careen_contract::cause::telling;
use careen_contract::changed::without_versions;
use careen_contract::record;
use careen_planner::moves::{Moves, VersionsByNode};
use careen_planner::observed::Availability;
use careen_planner::participants::Participant;
use careen_planner::rollout::Control;
use careen_planner::state::Left;
use careen_planner::{NodeId, NodeState, PauseReason, Spec};
use std::collections::BTreeSet;

/// What `careen status` shows of a rollout, as text.
pub fn page(standing: &Standing, spec: &Spec, page: &mut Page) {
    page.cut_lines();
    page.line(format!("rollout {}: {}", standing.rollout, words::payload(spec)));
    let control = standing.with_names(&words::control(standing.control.as_ref()));
    page.spans(&[Span::new(control_look(standing.control.as_ref()), control)]);
    if let Some(told) = controller::told(standing) {
        controller::page(standing, &told, page);
    }
    page.gap();
    let header = ["NODE", "ROLE", "STATE", "FOR", "WHY"].map(|text| Span::new(Look::Dim, text));
    let folded = folded(&standing.nodes);
    let nodes = standing.nodes.iter().filter(|node| !folded.contains(&node.node));
    let rows = nodes.map(|node| row(standing, node));
    let rows: Vec<Vec<Span>> = std::iter::once(header.to_vec()).chain(rows).collect();
    page.table(&rows);
    page.gap();
    if !folded.is_empty() {
        page.line(are_down(standing.nodes.iter().filter(|node| folded.contains(&node.node))));
    }
    page.line(totals(&standing.totals()));
    if let Some(left) = standing.estimate.as_ref().and_then(|left| time::left(left, &spec.policy)) {
        page.line(left);
    }
    if let Some((moves, versions)) = &standing.versions {
        moved(moves, versions).iter().for_each(|line| page.line(standing.with_names(line)));
    }
    for late in &standing.not_taken_in {
        page.line(not_taken_in(late));
    }
    let next = next(standing);
    if !next.is_empty() {
        page.gap();
        page.line("what next:");
        next.into_iter().for_each(|command| page.line(format!("  {command}")));
    }
}

/// The nodes that are told in one line: they are down and untouched, and there are many. Not who has its turn now, and keeps the others
/// waiting.
pub fn folded<'a>(nodes: impl IntoIterator<Item = &'a NodeStanding>) -> BTreeSet<&'a NodeId> {
    let has_its_turn = |node: &NodeStanding| node.hold.as_ref().is_some_and(|hold| !words::is_routine(hold));
    let is_alike = |node: &&NodeStanding| node.is_down_and_untouched() && !has_its_turn(node);
    let alike: BTreeSet<&NodeId> = nodes.into_iter().filter(is_alike).map(|node| &node.node).collect();
    if down::are_folded(alike.len()) { alike } else { BTreeSet::new() }
}

/// The line about nodes that are folded.
pub fn are_down<'a>(nodes: impl Iterator<Item = &'a NodeStanding> + Clone) -> String {
    let names: Vec<&str> = nodes.clone().map(|node| node.shown.as_str()).collect();
    let Totals { failed, skipped, waiting, .. } = Totals::of(nodes.map(|node| &node.stage));
    let parts = [(waiting, "waiting"), (failed, "failed"), (skipped, "left out")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
    down::line(&names, &format!(" ({})", parts.join(", ")))
}

/// Which version of an enforcement is where, while a rollout brings a new one or has left both: for the status of the rollout, and of the
/// enforcement. Nodes stand there with their ids.
pub fn moved(moves: &Moves, versions: &VersionsByNode) -> Vec<String> {
    let Moves { enforcement, from, to } = moves;
    let names = |nodes: &[NodeId]| first_of(&nodes.iter().map(|node| &node.0).collect::<Vec<_>>(), NAMED);
    let has = |nodes: &[NodeId], version: &str, what: &str| {
        let count = nodes.len();
        (count > 0).then(|| format!("{enforcement} {version} ({what}): {count} ({})", names(nodes)))
    };
    let new = has(&versions.new, to, "new");
    let stable = has(&versions.stable, from, "stable");
    let lost = (!versions.unlabelled.is_empty()).then(|| {
        format!(
            "{enforcement} {from} again: {}, where somebody removed the label {}; the end of the update brings {to} there",
            names(&versions.unlabelled),
            moves.label()
        )
    });
    new.into_iter().chain(stable).chain(lost).collect()
}

/// So many nodes are named of those that have a version.
const NAMED: usize = 10;

/// A node that came too late.
pub fn not_taken_in(late: &Participant) -> String {
    format!(
        "not taken in: {} ({}), which joined or began to fit after the rollout had started",
        host_name(&late.hostname),
        late.id
    )
}

/// The page when no rollout is going on.
pub fn idle(last: Option<&Summary>, page: &mut Page) {
    page.cut_lines();
    page.line("no rollout is going on");
    let Some(last) = last else { return };
    let when = last
        .submitted
        .as_ref()
        .map_or_else(String::new, |when| format!(", submitted {}", to_the_second(when)));
    let by = last.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    page.line(format!(
        "the last one, {} ({}{when}{by}): {}",
        last.spec.id,
        words::payload(&last.spec),
        words::control(Some(&last.control))
    ));
    results(&last.nodes, page);
    parity::page(last.record.as_ref().and_then(|record| record.parity.as_ref()), page);
}

/// How the nodes of a rollout that is over ended, and what changed on them.
pub fn results(nodes: &[EndedNode], page: &mut Page) {
    if nodes.is_empty() {
        return;
    }
    page.gap();
    let mut rows = vec![["NODE", "STATE", "RESULT"].map(Span::from).to_vec()];
    let mut nodes: Vec<&EndedNode> = nodes.iter().collect();
    nodes.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    rows.extend(nodes.into_iter().map(ended));
    page.table(&rows);
}

/// A node of a rollout that is over.
fn ended(node: &EndedNode) -> Vec<Span> {
    vec![
        host_name(&node.hostname).into(),
        Span::new(stage_look(&node.stage), ended_as(node)),
        result_of(node).into(),
    ]
}

/// How a node of a rollout that is over ended, in a word or two.
pub fn ended_as(node: &EndedNode) -> String {
    if node.is_in_sync() { "in sync".to_owned() } else { words::stage(&node.stage) }
}

/// What became of a node in a rollout that is over, in one line.
pub fn result_of(node: &EndedNode) -> String {
    if node.is_in_sync() {
        return words::NOTHING_RUN.to_owned();
    }
    let (deeds, rest) = node.record.as_deref().map(record::told).unwrap_or_default();
    let rest = if node.has_failed() {
        telling(&rest).unwrap_or_default().to_owned()
    } else {
        in_short(without_versions(&rest))
    };
    let why = words::why_ended(&node.stage);
    let deeds = deeds.into_iter().map(str::to_owned);
    let text: Vec<String> =
        why.into_iter().chain(deeds).chain(Some(rest)).filter(|text| !text.is_empty()).collect();
    text.join("; ")
}

/// What the host says in short of what changed; else the first of several lines, and how many more there are.
fn in_short(lines: &str) -> String {
    if let Some(said) = lines.lines().find_map(|line| line.strip_prefix(record::IN_SHORT)) {
        return said.to_owned();
    }
    let mut lines = lines.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    match lines.count() {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}

/// A time as the swarm writes it, without what is less than a second.
pub fn to_the_second(time: &str) -> String {
    let parsed = time.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| time.to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn row(standing: &Standing, node: &NodeStanding) -> Vec<Span> {
    let detail = words::detail(node).map(|text| standing.with_names(&text));
    let asked = node.asked.map(|ask| format!("{} is asked for", ask.word()));
    let then = node.held.as_ref().map(held::then);
    let why = [detail, then, words::printed(node), asked, kept(node).map(str::to_owned)];
    let why: Vec<String> = why.into_iter().flatten().collect();
    // Of a node at rest this is when Swarm last wrote something about it, which tells nobody anything.
    let age = node.age.filter(|_| node.stage.is_in_maintenance());
    let held = node.held.map(|held| held.lasted).filter(|lasted| lasted.as_secs() > 0);
    let age = held.or(age);
    let age = age.map_or_else(|| "-".to_owned(), |age| span(age.as_secs()));
    vec![
        node.shown.clone().into(),
        words::role(node.role).into(),
        Span::new(look(node), words::state(node)),
        age.into(),
        why.join("; ").into(),
    ]
}

/// What its operator made of a node stays so, and people wonder.
fn kept(node: &NodeStanding) -> Option<&'static str> {
    match (node.availability, node.taken) {
        (Some(Availability::Drain), false) => Some("its operator keeps it drained"),
        (Some(Availability::Pause), false) => Some("its operator keeps it paused"),
        (None | Some(Availability::Active), _) | (_, true) => None,
    }
}

/// How many nodes are where, in one line.
pub fn totals(totals: &Totals) -> String {
    let Totals { nodes, done, in_sync, failed, skipped, gone, working, waiting } = *totals;
    let of_them = if in_sync > 0 { format!(" ({in_sync} in sync)") } else { String::new() };
    let parts = [
        (working, "at work"),
        (waiting, "waiting"),
        (failed, "failed"),
        (gone, "gone"),
        (skipped, "left out"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: String = parts.map(|(count, word)| format!(", {count} {word}")).collect();
    format!("{done} of {nodes} nodes done{of_them}{parts}")
}

/// How a rollout's state looks.
pub fn control_look(control: Option<&Control>) -> Look {
    match control {
        Some(Control::Paused { .. } | Control::Aborting) => Look::Warn,
        Some(Control::Finished { outcome }) => match outcome {
            careen_planner::rollout::RolloutOutcome::Done => Look::Good,
            careen_planner::rollout::RolloutOutcome::WithFailures
            | careen_planner::rollout::RolloutOutcome::Aborted => Look::Bad,
        },
        Some(Control::Running) | None => Look::Plain,
    }
}

/// How a node of a rollout that goes on looks.
pub fn look(node: &NodeStanding) -> Look {
    let out_of_turn = node.hold.as_ref().is_some_and(|hold| !words::is_routine(hold));
    if node.is_held() && out_of_turn { Look::Warn } else { stage_look(&node.stage) }
}

/// How a node's stage looks.
pub fn stage_look(stage: &NodeState) -> Look {
    match stage {
        NodeState::Done => Look::Good,
        NodeState::Gone { left: Left::Done } => Look::Good,
        NodeState::Failed { .. } | NodeState::Gone { .. } => Look::Bad,
        NodeState::Pending | NodeState::Skipped { .. } => Look::Dim,
        NodeState::Entering
        | NodeState::Preparing
        | NodeState::Draining { .. }
        | NodeState::Running { .. }
        | NodeState::RestartingEngine
        | NodeState::Rebooting
        | NodeState::Verifying
        | NodeState::Restoring { .. }
        | NodeState::Settling => Look::Plain,
    }
}

/// The commands that come next; none while everything goes its way.
pub fn next(standing: &Standing) -> Vec<Step> {
    let fails = controller::told(standing).filter(|told| told.kind == controller::Kind::Fails);
    let mut all = fails.map(|told| told.advice.commands).unwrap_or_default();
    for step in next_of_nodes(standing) {
        if !all.contains(&step) {
            all.push(step);
        }
    }
    all
}

fn next_of_nodes(standing: &Standing) -> Vec<Step> {
    if matches!(standing.control, Some(Control::Aborting)) {
        return Vec::new();
    }
    let is_held = |node: &NodeStanding| match &standing.control {
        Some(Control::Paused { why: PauseReason::NodeHeld { node: held, .. } }) => *held == node.node,
        Some(_) | None => false,
    };
    // Of those that are folded the first one shows how.
    let folded = folded(&standing.nodes);
    let first = standing.nodes.iter().find(|node| node.has_failed() && folded.contains(&node.node));
    let is_shown = |node: &NodeStanding| {
        !folded.contains(&node.node) || first.is_some_and(|first| first.node == node.node)
    };
    let is_troubled = |node: &NodeStanding| node.has_failed() || node.is_gone() || is_held(node);
    let troubled = standing.nodes.iter().filter(|node| is_troubled(node) && is_shown(node));
    let mut commands: Vec<Step> = troubled.flat_map(|node| words::advice(node).commands).collect();
    commands.retain(Step::is_careen);
    let skips = standing.nodes.iter().filter(|node| is_held(node)).map(|node| Verb::Skip.node(&node.typed));
    commands.extend(skips);
    if matches!(standing.control, Some(Control::Paused { .. })) {
        commands.push(Verb::Resume.step());
        commands.push(Verb::Abort.step());
    }
    let held = |node: &&NodeStanding| {
        !node.is_gone() && node.hold.as_ref().is_some_and(|hold| !words::is_routine(hold))
    };
    if let Some(node) = standing.nodes.iter().find(held) {
        commands.push(Verb::Why.node(&node.typed));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agent, at, cluster, failed_and_paused, quorum_at_risk, spec};
    use crate::view::look;
    use careen_contract::label;
    use careen_planner::observed::{AgentReport, Printed, Said};
    use careen_planner::rollout::{Ask, RolloutOutcome};
    use careen_planner::state::{Reason, Skip, StateName};
    use careen_planner::{Observed, Watch};
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn standing(observed: &Observed, spec: &Spec) -> Standing {
        let ages = BTreeMap::from([(NodeId("w2".into()), Duration::from_secs(300))]);
        look(observed, spec, &Watch::default(), Duration::ZERO).unwrap().0.with_ages(&ages)
    }

    fn text(observed: &Observed, spec: &Spec) -> String {
        let mut text = Page::new(false);
        page(&standing(observed, spec), spec, &mut text);
        text.into_text()
    }

    #[test]
    fn which_version_of_an_enforcement_is_where_is_told() {
        let moves = Moves { enforcement: "sysctl".into(), from: "aaaaaaaa".into(), to: "bbbbbbbb".into() };
        let mut observed = cluster();
        for node in 1..3 {
            at(&mut observed.nodes[node], NodeState::Done, None);
        }
        observed.nodes[1].labels.insert(moves.label(), moves.to.clone());
        let text = text(&observed, &Spec { moves: Some(moves), ..spec() });
        for line in [
            "sysctl bbbbbbbb (new): 1 (w1)",
            "sysctl aaaaaaaa (stable): 2 (m1, w3)",
            "sysctl aaaaaaaa again: w2, where somebody removed the label careen.enforce.sysctl;",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn paused_with_a_failed_node() {
        let (observed, spec) = failed_and_paused();
        assert_eq!(
            text(&observed, &spec),
            "\
rollout k3x9: registry.example/update@sha256:00 install
paused: w2 failed: exit code 100 in the command

NODE  ROLE     STATE   FOR  WHY
w1    worker   done    -
w2    worker   failed  -    exit code 100 in the command; it stays drained
w3    worker   held    -    the rollout is paused: w2 failed: exit code 100 in the command
m1    manager  held    -    the rollout is paused: w2 failed: exit code 100 in the command

1 of 4 nodes done, 2 waiting, 1 failed

what next:
  careen logs w2
  careen retry w2
  careen skip w2
  careen resume
  careen abort
"
        );
    }

    #[test]
    fn many_nodes_that_are_down_are_one_line_and_json_has_them_all() {
        let mut observed = cluster();
        observed.nodes.extend((0..500).map(|number| {
            let mut dead = crate::testing::worker(&format!("d{number}"));
            dead.status = careen_planner::observed::NodeStatus::Down;
            dead
        }));
        let text = text(&observed, &spec());
        assert!(text.lines().count() < 15, "{text}");
        assert!(
            text.contains("500 nodes are down: d0, d1 and 498 more (500 waiting); 'docker node rm NODE' "),
            "{text}"
        );
        let (standing, spec) = (standing(&observed, &spec()), spec());
        let json = serde_json::to_value(crate::render::status_json::status(&standing, &spec, &[])).unwrap();
        assert_eq!(json["rollout"]["nodes"].as_array().unwrap().len(), 504);
    }

    #[test]
    fn a_manager_waits_for_the_quorum() {
        let (observed, spec) = quorum_at_risk();
        let text = text(&observed, &spec);
        let line = "m2    manager  held   -    quorum at risk: 2 of 3 managers";
        assert!(text.contains(line), "{text}");
        assert!(text.ends_with("what next:\n  careen why m2\n"), "{text}");
    }

    #[test]
    fn drained_by_its_operator_at_work_and_left_out() {
        let mut observed = cluster();
        observed.lock = None;
        observed.nodes[1].availability = Availability::Drain;
        at(&mut observed.nodes[1], NodeState::Done, None);
        at(&mut observed.nodes[2], NodeState::Running { drained: false }, None);
        observed.jobs.push(agent("w2"));
        observed.nodes[3].labels.insert(label::ASK.into(), Ask::Skip.label(&spec().id));
        observed.nodes.push(crate::testing::worker("win1"));
        observed.nodes[4].os = "windows".into();
        assert_eq!(
            text(&observed, &spec()),
            "\
rollout k3x9: registry.example/update@sha256:00 install
running
no controller works on it: 'careen resume' starts one

NODE  ROLE     STATE    FOR    WHY
w1    worker   done     -      its operator keeps it drained
w2    worker   running  5 min  the agent's report cannot be read at the moment (running)
w3    worker   pending  -      skip is asked for
m1    manager  held     -      it is not this node's turn yet: w2 is first
win1  worker   skipped  -      it runs Windows

1 of 5 nodes done, 1 at work, 2 waiting, 1 left out
"
        );
    }

    #[test]
    fn what_a_host_printed_last_is_told_and_does_nothing_to_the_terminal() {
        let mut observed = cluster();
        at(&mut observed.nodes[2], NodeState::Running { drained: false }, None);
        observed.jobs.push(agent("w2"));
        let says = |line: &str, seconds| AgentReport {
            node: NodeId("w2".into()),
            transaction: String::new(),
            generation: 1,
            agent: 1,
            said: Said::Running { attempt: 1 },
            waits: None,
            printed: Some(Printed { line: line.into(), seconds }),
        };
        for (line, seconds, told) in [
            ("Continue? [Y/n] ", 725, "; printed nothing for 12 min, and last: Continue? [Y/n]\n"),
            ("5%\r9%\u{1b}[2J", 29, "; printed within the last minute: 9%\\u{1b}[2J\n"),
        ] {
            observed.reports = vec![says(line, seconds)];
            let text = text(&observed, &spec());
            assert!(text.contains(told), "{text}");
        }
        at(&mut observed.nodes[2], NodeState::Done, None);
        assert!(!text(&observed, &spec()).contains("printed"), "it is through");
    }

    #[test]
    fn what_careen_did_is_in_the_result_and_the_cause_beside_it() {
        let ended = |stage, record: &str| EndedNode {
            node: NodeId("w1".into()),
            hostname: "w1".into(),
            stage,
            transaction: None,
            record: Some(record.into()),
            seconds: None,
            generation: 1,
            tries: Vec::new(),
        };
        let shown = |node: EndedNode| {
            let mut page = Page::new(false);
            results(&[node], &mut page);
            page.into_text().lines().nth(2).unwrap().to_owned()
        };
        let started = "careen: the engine was down after the command, and was started again\n";
        assert_eq!(
            shown(ended(NodeState::Done, &format!("{started}vim 1 → 2\nless 3 → 4"))),
            "w1    done   the engine was down after the command, and was started again; vim 1 → 2, and 1 more"
        );
        let told = "in short: 12 packages, docker 26.1.5 → 28.5.2, rebooted\nengine: 26.1.5 → 28.5.2\npackages: 12 changed";
        assert_eq!(
            shown(ended(NodeState::Done, &format!("careen: the host was rebooted: a new kernel\n{told}"))),
            "w1    done   the host was rebooted: a new kernel; 12 packages, docker 26.1.5 → 28.5.2, rebooted"
        );
        let failed = NodeState::Failed { during: StateName::Running, reason: Reason::Exit(7) };
        assert_eq!(
            shown(ended(failed.clone(), &format!("{started}step\nE: no room left\nlast"))),
            "w1    failed  exit code 7 in the command; the engine was down after the command, and was started \
             again; E: no room left"
        );
        let down = NodeState::Failed { during: StateName::Running, reason: Reason::NodeDown };
        let heard = "before that the command had printed: Setting up docker-ce";
        assert!(shown(ended(down, heard)).ends_with(&format!("come back in time; {heard}")));
    }

    #[test]
    fn no_rollout_and_the_last_one() {
        let ended = |name: &str, stage, changed: Option<&str>| EndedNode {
            node: NodeId(name.into()),
            hostname: name.into(),
            stage,
            transaction: None,
            record: changed.map(str::to_owned),
            seconds: None,
            generation: 1,
            tries: Vec::new(),
        };
        let failed = NodeState::Failed { during: StateName::Running, reason: Reason::Exit(7) };
        let last = Summary {
            spec: spec(),
            control: Control::Finished { outcome: RolloutOutcome::WithFailures },
            by: Some("root@m1".into()),
            submitted: Some("2026-11-23T02:55:39.906723839Z".into()),
            nodes: vec![
                ended("w1", NodeState::Done, Some("docker.io: 1 → 2\nlibc6: 3 → 4")),
                ended("w2", failed, Some("Unpacking\nE: no room left")),
            ],
            record: None,
        };
        let mut page = Page::new(false);
        idle(Some(&last), &mut page);
        assert_eq!(
            page.into_text(),
            "no rollout is going on\nthe last one, k3x9 (registry.example/update@sha256:00 install, submitted \
             2026-11-23T02:55:39Z by root@m1): finished, with nodes that failed or left\n\n\
             NODE  STATE   RESULT\nw1    done    docker.io: 1 → 2, and 1 more\nw2    failed  exit code 7 in the command; E: no room left\n"
        );
        assert_eq!(words::skip(Skip::Windows), "it runs Windows");
    }
}
