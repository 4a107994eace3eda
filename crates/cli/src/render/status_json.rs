//! `careen status` as JSON; a node looks the same in `why` and while following. Pure.

use crate::backend::{EndedNode, Summary};
use crate::left::LeftBehind;
use crate::parity::Parity;
use crate::render::held::{self, HeldJson};
use crate::render::left::{self, LeftJson};
use crate::render::status::next;
use crate::render::step::Step;
use crate::render::words;
use crate::view::{NodeStanding, Standing, Totals};
use careen_planner::estimate::Estimate;
use careen_planner::moves::{Moves, VersionsByNode};
use careen_planner::observed::{Availability, NodeOutcome, Printed};
use careen_planner::participants::Participant;
use careen_planner::rollout::Control;
use careen_planner::{Hold, NodeState, Spec};
use careen_swarm::ControllerTask;
use serde::Serialize;

/// `careen status --format json`.
#[derive(Debug, Serialize)]
pub struct StatusJson<'a> {
    /// The rollout; `null` when none is going on.
    rollout: Option<RolloutJson<'a>>,
    /// The last one, when none is going on.
    last: Option<LastJson<'a>>,
    /// What rollouts that do not go on have left.
    left: Vec<LeftJson<'a>>,
}

#[derive(Debug, Serialize)]
struct RolloutJson<'a> {
    id: &'a str,
    image: &'a str,
    image_name: Option<&'a str>,
    command: &'a str,
    args: &'a [String],
    control: Option<&'a Control>,
    controller: Option<&'a str>,
    controller_task: Option<&'a ControllerTask>,
    nodes: Vec<NodeJson<'a>>,
    totals: Totals,
    estimate: Option<&'a Estimate>,
    not_taken_in: Vec<LateJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moves: Option<MovesJson<'a>>,
    next: Vec<Step>,
}

/// An enforcement of which the rollout brings a new version, and which version is for which node.
#[derive(Debug, Serialize)]
struct MovesJson<'a> {
    #[serde(flatten)]
    moves: &'a Moves,
    nodes: &'a VersionsByNode,
}

#[derive(Debug, Serialize)]
struct LateJson<'a> {
    node: &'a str,
    hostname: &'a str,
    role: &'static str,
}

#[derive(Debug, Serialize)]
struct LastJson<'a> {
    id: &'a str,
    image: &'a str,
    image_name: Option<&'a str>,
    command: &'a str,
    args: &'a [String],
    control: &'a Control,
    by: Option<&'a str>,
    submitted: Option<&'a str>,
    nodes: Vec<EndedJson<'a>>,
    parity: Option<&'a Parity>,
}

#[derive(Debug, Serialize)]
struct EndedJson<'a> {
    node: &'a str,
    hostname: &'a str,
    state: &'static str,
    stage: &'a NodeState,
    record: Option<&'a str>,
}

/// A node in JSON.
#[derive(Debug, Serialize)]
pub struct NodeJson<'a> {
    node: &'a str,
    hostname: &'a str,
    role: &'static str,
    wave: Option<usize>,
    #[serde(rename = "try")]
    generation: u32,
    cancelled_goes: u32,
    state: &'static str,
    stage: &'a NodeState,
    since_seconds: Option<u64>,
    availability: Option<&'static str>,
    drained_by_careen: bool,
    hold: Option<&'a Hold>,
    held: Option<HeldJson>,
    why: Option<String>,
    outcome: Option<&'a NodeOutcome>,
    record: Option<&'a str>,
    printed: Option<&'a Printed>,
    asked: Option<&'static str>,
    same_name: Option<&'a str>,
}

/// The JSON of a rollout that goes on.
pub fn status<'a>(standing: &'a Standing, spec: &'a Spec, left: &'a [LeftBehind]) -> StatusJson<'a> {
    let rollout = RolloutJson {
        id: standing.rollout.as_str(),
        image: &spec.image,
        image_name: spec.image_name.as_deref(),
        command: &spec.command,
        args: &spec.args,
        control: standing.control.as_ref(),
        controller: standing.controller.as_ref().map(|id| id.0.as_str()),
        controller_task: standing.task.as_ref(),
        nodes: standing.nodes.iter().map(|node| self::node(standing, node)).collect(),
        totals: standing.totals(),
        estimate: standing.estimate.as_ref(),
        not_taken_in: standing.not_taken_in.iter().map(late).collect(),
        moves: standing.versions.as_ref().map(|(moves, nodes)| MovesJson { moves, nodes }),
        next: next(standing),
    };
    StatusJson { rollout: Some(rollout), last: None, left: left::json(left) }
}

/// The JSON when none does.
pub fn idle<'a>(last: Option<&'a Summary>, left: &'a [LeftBehind]) -> StatusJson<'a> {
    let last = last.map(|last| LastJson {
        id: last.spec.id.as_str(),
        image: &last.spec.image,
        image_name: last.spec.image_name.as_deref(),
        command: &last.spec.command,
        args: &last.spec.args,
        control: &last.control,
        by: last.by.as_deref(),
        submitted: last.submitted.as_deref(),
        nodes: last.nodes.iter().map(ended).collect(),
        parity: last.record.as_ref().and_then(|record| record.parity.as_ref()),
    });
    StatusJson { rollout: None, last, left: left::json(left) }
}

fn late(late: &Participant) -> LateJson<'_> {
    LateJson { node: &late.id.0, hostname: &late.hostname, role: words::role(late.role) }
}

fn ended(node: &EndedNode) -> EndedJson<'_> {
    EndedJson {
        node: &node.node.0,
        hostname: &node.hostname,
        state: node.state(),
        stage: &node.stage,
        record: node.record.as_deref(),
    }
}

/// One node, as it is in JSON.
pub fn node<'a>(standing: &Standing, node: &'a NodeStanding) -> NodeJson<'a> {
    NodeJson {
        node: &node.node.0,
        hostname: &node.hostname,
        role: words::role(node.role),
        wave: node.wave,
        generation: node.generation,
        cancelled_goes: node.cancelled,
        state: node.state(),
        stage: &node.stage,
        since_seconds: node.age.map(|age| age.as_secs()),
        availability: node.availability.map(Availability::word),
        drained_by_careen: node.taken,
        hold: node.hold.as_ref(),
        held: node.held.as_ref().map(held::json),
        why: words::detail(node).map(|text| standing.with_names(&text)),
        outcome: node.outcome.as_ref(),
        record: node.record.as_deref(),
        printed: node.printed.as_ref(),
        asked: node.asked.map(careen_planner::rollout::Ask::word),
        same_name: node.same_name.as_ref().map(|id| id.0.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::failed_and_paused;
    use crate::view::look;
    use careen_planner::Watch;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[test]
    fn json_has_the_documented_fields_and_no_other() {
        let (observed, spec) = failed_and_paused();
        let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
        let ages = BTreeMap::from([(standing.nodes[1].node.clone(), Duration::from_secs(300))]);
        let standing = standing.with_ages(&ages);
        let json = serde_json::to_value(status(&standing, &spec, &[])).unwrap();
        let rollout = &json["rollout"];
        assert_eq!(rollout["control"]["why"]["reason"], "node-failed");
        assert_eq!(rollout["totals"]["failed"], 1);
        let failed = &rollout["nodes"][1];
        assert_eq!((&failed["state"], &failed["since_seconds"]), (&"failed".into(), &300.into()));
        assert_eq!(failed["drained_by_careen"], true);
        assert_eq!(rollout["nodes"][2]["hold"]["hold"], "paused");
        let document = include_str!("../../../../docs/cli.md");
        let section = document.split("### status").nth(1).unwrap().split("\n### ").next().unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        for key in [keys(rollout), keys(failed), keys(&rollout["totals"])].concat() {
            assert!(section.contains(&format!("`{key}`")), "{key} is not documented");
        }
        assert!(serde_json::to_value(idle(None, &[])).unwrap()["rollout"].is_null());
    }
}
