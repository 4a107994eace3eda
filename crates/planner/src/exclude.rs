//! Which nodes an operator leaves out: for one rollout by name, or for good with labels of the nodes' own.

use crate::ids::NodeId;
use crate::observed::{Node, Observed};
use crate::plan::{PlanRefusal, names_no_node};
use careen_contract::label;
use std::collections::BTreeMap;

/// So much of a reason is kept, in characters.
const LONGEST_REASON: usize = 200;

/// What is said of one that is named for a rollout.
const NAMED: &str = "left out of this rollout";

/// The nodes that are left out, and why; and what cannot be understood. `is_over` is whether a day is in the past, or nothing where it is
/// no day.
pub fn excluded(
    observed: &Observed,
    named: &[String],
    is_over: impl Fn(&str) -> Option<bool>,
) -> (BTreeMap<NodeId, String>, Vec<PlanRefusal>) {
    let mut refusals: Vec<PlanRefusal> =
        named.iter().filter_map(|name| names_no_node(observed, name)).collect();
    let is_named = |node: &Node| named.iter().any(|name| *name == node.id.0 || *name == node.hostname);
    let mut excluded = BTreeMap::new();
    for node in &observed.nodes {
        match by_label(node, &is_over) {
            Ok(Some(reason)) => drop(excluded.insert(node.id.clone(), reason)),
            Ok(None) if is_named(node) => drop(excluded.insert(node.id.clone(), NAMED.to_owned())),
            Ok(None) => {}
            Err(refusal) => refusals.push(refusal),
        }
    }
    (excluded, refusals)
}

fn by_label(node: &Node, is_over: impl Fn(&str) -> Option<bool>) -> Result<Option<String>, PlanRefusal> {
    let Some(reason) = node.labels.get(label::EXCLUDE) else { return Ok(None) };
    let until = node.labels.get(label::EXCLUDE_UNTIL).map(|day| day.trim());
    let cut = |text: &str| text.chars().take(LONGEST_REASON).collect::<String>();
    let over = until.map(|day| {
        is_over(day).ok_or_else(|| PlanRefusal::BadExclude { node: node.id.clone(), text: cut(day) })
    });
    Ok(match (over.transpose()?, until) {
        (Some(true), _) => None,
        (Some(false), Some(day)) => Some(format!("{} (until {day})", cut(reason))),
        (Some(false) | None, _) => Some(cut(reason)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{manager, worker};

    /// On the tenth of the month.
    fn is_over(day: &str) -> Option<bool> {
        Some(day.strip_prefix("2026-12-")?.parse::<u8>().ok()? < 10)
    }

    #[test]
    fn nodes_are_left_out_by_name_by_label_and_until_a_day() {
        let mut observed =
            Observed { nodes: ["w1", "w2", "w3", "w4", "w5"].map(worker).to_vec(), ..Observed::default() };
        observed.nodes.push(manager("m1"));
        let mut label = |index: usize, reason: &str, until: Option<&str>| {
            let labels = &mut observed.nodes[index].labels;
            labels.insert(label::EXCLUDE.into(), reason.into());
            labels.extend(until.map(|day| (label::EXCLUDE_UNTIL.into(), day.into())));
        };
        label(0, "its disk is going", None);
        label(1, "the fair", Some("2026-12-10"));
        label(2, "the fair", Some("2026-12-09"));
        label(3, "x", Some("Christmas"));
        let named = ["m1", "w1", "nobody"].map(str::to_owned);
        let (excluded, refusals) = excluded(&observed, &named, is_over);
        let of = |node: &str, reason: &str| (NodeId(node.into()), reason.to_owned());
        let expected =
            [of("m1", NAMED), of("w1", "its disk is going"), of("w2", "the fair (until 2026-12-10)")];
        assert_eq!(excluded, expected.into());
        let nobody = PlanRefusal::NoSuchNode { name: "nobody".into() };
        let no_day = PlanRefusal::BadExclude { node: NodeId("w4".into()), text: "Christmas".into() };
        assert_eq!(refusals, [nobody, no_day]);
    }
}
