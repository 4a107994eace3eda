//! `careen why`: what exactly blocks, what to do about it, and what to type. Pure.

use crate::render::step::Verb;
use crate::render::text::{Look, Page, Span};
use crate::render::{controller, held, status, status_json, words};
use crate::view::{NodeStanding, Standing};
use careen_planner::rollout::Control;
use careen_planner::state::Left;
use careen_planner::{NodeState, PauseReason};
use serde::Serialize;

/// The page, about these nodes.
pub fn page(standing: &Standing, nodes: &[&NodeStanding], page: &mut Page) {
    page.cut_lines();
    let control = standing.with_names(&words::control(standing.control.as_ref()));
    let look = status::control_look(standing.control.as_ref());
    page.spans(&[format!("rollout {}: ", standing.rollout).into(), Span::new(look, control)]);
    // That there is none is what the advice says.
    let told = controller::told(standing).filter(|told| told.kind != controller::Kind::Missing);
    if let Some(told) = told {
        controller::page(standing, &told, page);
    }
    if let Some(advice) = of_rollout(standing) {
        say(&advice, page);
    }
    if nodes.is_empty() {
        page.line("every node is through");
    }
    // Whoever asks for one node is told of it. Of fifty only those are of interest that hold the others up.
    let (waiting, telling): (Vec<&NodeStanding>, Vec<&NodeStanding>) =
        nodes.iter().partition(|node| nodes.len() > 1 && waits_its_turn(node));
    let folded = status::folded(telling.iter().copied());
    let (down, telling): (Vec<&NodeStanding>, Vec<&NodeStanding>) =
        telling.into_iter().partition(|node| folded.contains(&node.node));
    for node in telling {
        page.gap();
        let state = Span::new(status::look(node), words::state(node));
        let why = words::detail(node).map(|text| format!(": {}", standing.with_names(&text)));
        let who = format!("{} ({}) is ", node.shown, words::role(node.role));
        page.spans(&[who.into(), state, why.unwrap_or_default().into()]);
        if let Some(held) = &node.held {
            page.line(format!("  {}", held::lasted_and_then(held)));
        }
        words::printed(node).into_iter().for_each(|text| page.line(format!("  its command {text}")));
        words::last_lines(node).for_each(|line| page.spans(&["    | ".into(), Span::new(Look::Dim, line)]));
        say(&words::advice(node), page);
    }
    if let Some(first) = down.first() {
        page.gap();
        page.line(status::are_down(down.iter().copied()));
        say(&words::advice(first), page);
    }
    if let Some(text) = turns(&waiting) {
        page.gap();
        page.line(text);
    }
    if nodes.len() != 1 && !standing.not_taken_in.is_empty() {
        page.gap();
        standing.not_taken_in.iter().for_each(|late| page.line(status::not_taken_in(late)));
    }
}

fn waits_its_turn(node: &NodeStanding) -> bool {
    node.is_waiting() && node.hold.as_ref().is_none_or(words::is_routine)
}

/// Those that wait for nothing but their turn.
fn turns(waiting: &[&NodeStanding]) -> Option<String> {
    const NAMED: usize = 5;
    let names: Vec<&str> = waiting.iter().take(NAMED).map(|node| node.shown.as_str()).collect();
    let more = waiting.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if waiting.len() == 1 { "waits for its" } else { "wait for their" };
    (!names.is_empty()).then(|| format!("{}{more} {verb} turn", names.join(", ")))
}

fn say(advice: &words::Advice, page: &mut Page) {
    if !advice.text.is_empty() {
        page.line(format!("  {}", advice.text));
    }
    advice.commands.iter().for_each(|command| page.line(format!("    {command}")));
}

/// What is to be done about the rollout as a whole.
fn of_rollout(standing: &Standing) -> Option<words::Advice> {
    let advice = |text, verbs: &[Verb]| {
        let commands = verbs.iter().map(|verb| verb.step()).collect();
        Some(words::Advice { text, commands })
    };
    let of_controller = controller::told(standing).filter(|told| !told.advice.text.is_empty());
    let of_controller = of_controller.map(|told| (told.kind, told.advice));
    match (&standing.control, of_controller) {
        // Who does not come up takes no order.
        (_, Some((controller::Kind::Fails, advice))) => return Some(advice),
        (Some(Control::Running | Control::Aborting), Some((_, advice))) => return Some(advice),
        (_, Some(_) | None) => {}
    }
    match &standing.control {
        Some(Control::Paused { why: PauseReason::BaselineRemoved }) => {
            advice("nobody knows any more which nodes take part; end it", &[Verb::Abort])
        }
        Some(Control::Paused { why: PauseReason::EnforcementChanged { .. } }) => advice(
            "put it back as it was and go on, or end it: that takes back what is left of the new version",
            &[Verb::Resume, Verb::Abort],
        ),
        Some(Control::Paused { .. }) => advice("it waits for an operator", &[Verb::Resume, Verb::Abort]),
        Some(Control::Running | Control::Aborting | Control::Finished { .. }) | None => None,
    }
}

/// The nodes that one asks about who names none: all that are not done or left out.
pub fn blocked(standing: &Standing) -> Vec<&NodeStanding> {
    let missing =
        |node: &NodeStanding| matches!(&node.stage, NodeState::Gone { left } if !matches!(left, Left::Done));
    let open = |node: &&NodeStanding| !node.stage.is_terminal() || node.has_failed() || missing(node);
    standing.nodes.iter().filter(open).collect()
}

/// `careen why --format json`.
#[derive(Debug, Serialize)]
pub struct WhyJson<'a> {
    rollout: &'a str,
    control: Option<&'a Control>,
    controller: Option<&'a str>,
    advice: Option<words::Advice>,
    nodes: Vec<NodeJson<'a>>,
}

#[derive(Debug, Serialize)]
struct NodeJson<'a> {
    #[serde(flatten)]
    node: status_json::NodeJson<'a>,
    advice: words::Advice,
}

/// What `careen why` prints as JSON.
pub fn json<'a>(standing: &'a Standing, nodes: &[&'a NodeStanding]) -> WhyJson<'a> {
    let node_json = |node: &&'a NodeStanding| NodeJson {
        node: status_json::node(standing, node),
        advice: words::advice(node),
    };
    WhyJson {
        rollout: standing.rollout.as_str(),
        control: standing.control.as_ref(),
        controller: standing.controller.as_ref().map(|id| id.0.as_str()),
        advice: of_rollout(standing),
        nodes: nodes.iter().map(node_json).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, failed_and_paused, quorum_at_risk};
    use crate::view::look;
    use careen_contract::label;
    use careen_planner::observed::{HostPhase, NodeOutcome};
    use careen_planner::rollout::NodeResult;
    use careen_planner::state::{Reason, StateName};
    use careen_planner::{Hold, NodeState, Observed, Spec, Watch};
    use std::time::Duration;

    fn text((observed, spec): (Observed, Spec), name: &str) -> String {
        let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
        let mut blocked = blocked(&standing);
        blocked.retain(|node| name.is_empty() || node.hostname == name);
        let mut text = Page::new(false);
        page(&standing, &blocked, &mut text);
        text.into_text()
    }

    #[test]
    fn a_failed_node_and_what_to_type() {
        assert_eq!(
            text(failed_and_paused(), "w2"),
            "\
rollout k3x9: paused: w2 failed: exit code 100 in the command
  it waits for an operator
    careen resume
    careen abort

w2 (worker) is failed: exit code 100 in the command; it stays drained
  read what it printed, fix the cause, then try it again or leave it out
    careen logs w2
    careen retry w2
    careen skip w2
"
        );
    }

    #[test]
    fn nodes_that_only_wait_for_their_turn_take_one_line() {
        let text = text(failed_and_paused(), "");
        assert_eq!(text.matches("careen resume").count(), 1, "{text}");
        assert!(
            text.contains("\nw2 (worker) is failed") && text.ends_with("\nw3, m1 wait for their turn\n"),
            "{text}"
        );
    }

    #[test]
    fn a_node_that_died_has_no_logs_to_be_read() {
        let (mut observed, spec) = failed_and_paused();
        let stage = NodeState::Failed { during: StateName::Running, reason: Reason::NodeDown };
        at(&mut observed.nodes[2], stage, None);
        let text = text((observed, spec), "w2");
        assert!(
            text.contains("look at the host") && text.contains("docker node inspect --pretty w2"),
            "{text}"
        );
        assert!(text.contains("    ssh w2 careen-agent list\n"), "its own record needs no engine: {text}");
        assert!(!text.contains("careen logs"), "{text}");
    }

    #[test]
    fn a_node_that_died_is_told_with_the_last_that_was_heard_of_it() {
        let (mut observed, spec) = failed_and_paused();
        let stage = NodeState::Failed { during: StateName::Running, reason: Reason::NodeDown };
        at(&mut observed.nodes[2], stage, None);
        let heard = "before that the command had printed: Setting up docker-ce";
        let label = |generation: u32| format!("{} g{generation} {heard}", spec.id);
        for (generation, told) in [(1, true), (2, false)] {
            let labels = &mut observed.nodes[2].labels;
            labels.insert(label::LAST_WORDS.into(), label(generation));
            let text = text((observed.clone(), spec.clone()), "w2");
            assert_eq!(text.contains(&format!("did not come back in time; {heard}\n")), told, "{text}");
        }
    }

    #[test]
    fn what_a_failed_host_tells_after_all_is_told() {
        let (mut observed, spec) = failed_and_paused();
        let stage = NodeState::Failed { during: StateName::Running, reason: Reason::NodeDown };
        at(&mut observed.nodes[2], stage, None);
        let outcome = NodeOutcome::Failed { phase: HostPhase::Command, exit: 7, rolled_back: None };
        let node = observed.nodes[2].id.clone();
        let record = Some("E: no space left\nE: gave up".to_owned());
        observed.results.push(NodeResult { node, generation: 1, outcome, record, seconds: None });
        let text = text((observed, spec), "w2");
        assert!(text.contains("since then its host has told how it ended: exit code 7"), "{text}");
        assert!(text.contains("    | E: no space left\n    | E: gave up\n"), "{text}");
    }

    #[test]
    fn a_lost_go_and_a_host_that_has_forgotten_say_where_to_look() {
        for (reason, why, look) in [
            (Reason::GoLost, "gate containers went away", "ssh w2 docker ps -a --filter label=careen.role"),
            (Reason::Forgotten, "knows nothing of this try", "ssh w2 careen-agent list"),
        ] {
            let (mut observed, spec) = failed_and_paused();
            at(&mut observed.nodes[2], NodeState::Failed { during: StateName::Verifying, reason }, None);
            let text = text((observed, spec), "w2");
            for part in [why, look, "careen retry w2", "careen skip w2"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn a_node_whose_gos_were_cancelled_says_so_while_it_goes_on() {
        let (mut observed, spec) = failed_and_paused();
        at(&mut observed.nodes[2], NodeState::Preparing, None);
        let label = observed.nodes[2].labels.get_mut("careen.node").unwrap();
        *label = label.replace(" e1", " c2 e1");
        let text = text((observed, spec), "w2");
        assert!(text.contains("took gate containers away 2 times"), "{text}");
    }

    #[test]
    fn a_manager_that_waits_for_the_quorum() {
        let text = text(quorum_at_risk(), "m2");
        assert!(text.contains("m2 (manager) is held: quorum at risk: 2 of 3 managers"), "{text}");
        assert!(text.contains("bring the other managers back, or leave this one out"), "{text}");
        assert!(text.contains("    careen skip m2\n"), "{text}");
    }

    #[test]
    fn every_hold_that_is_no_routine_says_what_to_do() {
        let (observed, spec) = failed_and_paused();
        let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
        for hold in Hold::examples() {
            let node = NodeStanding { hold: Some(hold.clone()), ..standing.nodes[2].clone() };
            let advice = words::advice(&node);
            assert!(words::is_routine(&hold) || !advice.text.is_empty(), "{hold:?}");
        }
    }

    #[test]
    fn json_carries_the_commands() {
        let (observed, spec) = failed_and_paused();
        let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
        let json = serde_json::to_value(json(&standing, &blocked(&standing))).unwrap();
        assert_eq!(json["nodes"].as_array().unwrap().len(), 3, "what is done blocks nothing");
        assert_eq!(json["nodes"][0]["advice"]["commands"][1], "careen retry w2");
        assert_eq!(json["advice"]["commands"][0], "careen resume");
    }
}
