//! What rollouts that do not go on have left in the swarm: a page's lines, and JSON. Pure.

use crate::left::LeftBehind;
use crate::render::step::{Step, Verb};
use crate::render::text::{Look, Page, Span, host_name};
use crate::render::words;
use careen_planner::observed::Availability;
use careen_planner::remains::LabelledNode;
use careen_planner::{JobKey, NodeState};
use careen_swarm::GivenKind;
use serde::Serialize;

/// The lines of a page.
pub fn page(all: &[LeftBehind], page: &mut Page) {
    page.cut_lines();
    for left in all {
        page.gap();
        let what = match (left.removed, left.never_was()) {
            (false, _) => "which is over",
            (true, true) => "which was never submitted",
            (true, false) => "whose config somebody removed",
        };
        page.spans(&[Span::new(Look::Warn, format!("left of the rollout {}, {what}:", left.id()))]);
        lines(left).into_iter().for_each(|line| page.line(format!("  {line}")));
        let next = next(left);
        if !next.is_empty() {
            page.line("  what next:");
            next.into_iter().for_each(|command| page.line(format!("    {command}")));
        }
    }
}

/// What is left, a line each.
pub fn lines(left: &LeftBehind) -> Vec<String> {
    let mut lines: Vec<String> = left.remains.nodes.iter().map(node).collect();
    let services: Vec<String> = left.remains.services.iter().map(JobKey::name).collect();
    let listed =
        |what: &str, names: &[&str]| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    lines.extend(listed("services", &services));
    lines.extend(listed("configs", &left.names(GivenKind::Config)));
    lines.extend(listed("secrets", &left.names(GivenKind::Secret)));
    lines
}

fn node(node: &LabelledNode) -> String {
    let drained = node.taken.is_some() && node.availability == Availability::Drain;
    let stays = if drained { "; it stays drained" } else { "" };
    let works = if let NodeState::Failed { during: phase, reason } = &node.state {
        format!(": {}", words::failure(*phase, *reason))
    } else if node.may_be_at_work() {
        "; its host may be at work".to_owned()
    } else {
        String::new()
    };
    format!("{} ({}) was {}{works}{stays}", host_name(&node.hostname), node.id, words::stage(&node.state))
}

/// The commands that give it back.
pub fn next(left: &LeftBehind) -> Vec<Step> {
    if left.removed {
        return vec![Verb::Abort.step()];
    }
    left.remains.nodes.iter().map(|node| Verb::Restore.node(&node.typed)).collect()
}

/// What one rollout has left, in JSON.
#[derive(Debug, Serialize)]
pub struct LeftJson<'a> {
    rollout: &'a str,
    removed: bool,
    nodes: Vec<LeftNodeJson<'a>>,
    services: Vec<String>,
    configs: Vec<&'a str>,
    secrets: Vec<&'a str>,
    next: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct LeftNodeJson<'a> {
    node: &'a str,
    hostname: &'a str,
    state: &'static str,
    stage: &'a NodeState,
    availability: &'static str,
    drained_by_careen: bool,
}

/// What is left, as it is in JSON.
pub fn json(all: &[LeftBehind]) -> Vec<LeftJson<'_>> {
    all.iter().map(json_of_one).collect()
}

fn json_of_one(left: &LeftBehind) -> LeftJson<'_> {
    LeftJson {
        rollout: left.id(),
        removed: left.removed,
        nodes: left.remains.nodes.iter().map(node_json).collect(),
        services: left.remains.services.iter().map(JobKey::name).collect(),
        configs: left.names(GivenKind::Config),
        secrets: left.names(GivenKind::Secret),
        next: next(left),
    }
}

fn node_json(node: &LabelledNode) -> LeftNodeJson<'_> {
    LeftNodeJson {
        node: &node.id.0,
        hostname: &node.hostname,
        state: node.state.name(),
        stage: &node.state,
        availability: node.availability.word(),
        drained_by_careen: node.taken.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::left::left_behind;
    use crate::testing::{agent, at, failed_and_paused, spec};
    use careen_planner::Observed;
    use careen_planner::state::{Reason, StateName, Taken};
    use careen_swarm::Stored;

    fn config(name: &str) -> Stored {
        let (kind, id) = (GivenKind::Config, name.to_owned());
        Stored { kind, id, name: name.to_owned(), rollout: spec().id, age: None }
    }

    fn text(left: &[LeftBehind]) -> String {
        let mut text = Page::new(false);
        page(left, &mut text);
        text.into_text()
    }

    #[test]
    fn what_another_command_line_is_about_to_submit_is_not_left_behind() {
        let key = |seconds| {
            let name = "careen.unlock-key.k3x9".to_owned();
            let age = Some(std::time::Duration::from_secs(seconds));
            Stored { kind: GivenKind::Secret, id: name.clone(), name, rollout: spec().id, age }
        };
        let nothing = Observed::default();
        assert!(left_behind(&nothing, vec![key(5)], &[], None).is_empty());
        let left = left_behind(&nothing, vec![key(86_400)], &[], None);
        assert_eq!(
            text(&left),
            "\nleft of the rollout k3x9, which was never submitted:\n  secrets: careen.unlock-key.k3x9\n  what next:\n    \
             careen abort\n"
        );
        // Beside what a controller has written it is none of another's.
        assert_eq!(left_behind(&nothing, vec![key(5), config("careen.baseline.k3x9")], &[], None).len(), 1);
    }

    #[test]
    fn a_rollout_that_is_over_and_one_whose_config_is_gone() {
        let (mut observed, spec) = failed_and_paused();
        observed.nodes[1].labels.clear();
        let stored = || vec![config("careen.baseline.k3x9")];
        assert!(left_behind(&observed, Vec::new(), &[], Some(&spec.id)).is_empty(), "it goes on");
        let over = left_behind(&observed, stored(), std::slice::from_ref(&spec.id), None);
        assert_eq!(
            text(&over),
            "\nleft of the rollout k3x9, which is over:\n  w2 (w2) was failed: exit code 100 in the command; it stays \
             drained\n  what next:\n    careen restore w2\n"
        );
        let drained = Some(Taken { was: Availability::Active, set: Availability::Drain });
        at(&mut observed.nodes[2], NodeState::Running { drained: true }, drained);
        observed.jobs.push(agent("w2"));
        let removed = left_behind(&observed, stored(), &[], None);
        assert_eq!(
            text(&removed),
            "\nleft of the rollout k3x9, whose config somebody removed:\n  w2 (w2) was running; its host may be at work; it \
             stays drained\n  services: careen-k3x9-w2-g1-a1\n  configs: careen.baseline.k3x9\n  what next:\n    careen \
             abort\n"
        );
        let json = serde_json::to_value(json(&removed)).unwrap();
        assert_eq!(json[0]["nodes"][0]["drained_by_careen"], true);
        let document = include_str!("../../../../docs/cli.md");
        let section = document.split("### status").nth(1).unwrap().split("\n### ").next().unwrap();
        for key in json[0].as_object().unwrap().keys() {
            assert!(section.contains(&format!("`{key}`")), "{key} is not documented");
        }
        let failed = NodeState::Failed { during: StateName::Running, reason: Reason::Aborted };
        assert!(
            node(&LabelledNode { state: failed, ..removed[0].remains.nodes[0].clone() }).contains("aborted")
        );
    }
}
