//! What became of a rollout: one record in as many configs as it needs. Pure.

use crate::decode::{ConfigObject, payload};
use crate::encode::LARGEST;
use crate::error::SwarmError;
use crate::names;
use careen_contract::label;
use careen_contract::object;
use careen_planner::rollout::{GoneNode, NodeResult, RolloutOutcome};
use careen_planner::{NodeId, NodeState, RolloutId, Spec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many rollouts are remembered.
pub const KEPT: usize = 50;

/// How many bytes they may have together. Swarm keeps all of it in every manager's memory, and everybody who lists
/// configs gets it.
pub const KEPT_BYTES: usize = 8 << 20;

/// What became of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Which.
    pub rollout: RolloutId,
    /// How it ended.
    pub outcome: RolloutOutcome,
    /// What it was to do.
    pub spec: Spec,
    /// Who submitted it, as they say themselves.
    pub by: Option<String>,
    /// When, by the leader's clock, in RFC 3339.
    pub submitted: String,
    /// When this was written, likewise; not part of what is stored.
    #[serde(skip)]
    pub ended: String,
    /// The nodes of which something was begun or decided.
    pub nodes: Vec<HistoryNode>,
    /// The results of all tries.
    pub results: Vec<NodeResult>,
}

/// Where a node stood at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryNode {
    /// The node.
    pub id: NodeId,
    /// Its host's name then.
    pub hostname: String,
    /// Which try it was.
    pub generation: u32,
    /// Where it stood.
    #[serde(rename = "stage")]
    pub state: NodeState,
    /// What its host said last, where nothing else was heard of how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_words: Option<String>,
}

impl From<&GoneNode> for HistoryNode {
    fn from(gone: &GoneNode) -> Self {
        let GoneNode { id, hostname, generation, state } = gone.clone();
        Self { id, hostname, generation, state, last_words: None }
    }
}

/// Results that do not fit into the first part.
#[derive(Serialize, Deserialize)]
struct Part {
    results: Vec<NodeResult>,
}

/// The data of each part, the first one first. Only results are spread over parts.
pub fn parts(history: &History) -> Result<Vec<Vec<u8>>, serde_json::Error> {
    let mut first = History { results: Vec::new(), ..history.clone() };
    let mut room = LARGEST.saturating_sub(serde_json::to_vec(&first)?.len());
    let mut all: Vec<Vec<NodeResult>> = vec![Vec::new()];
    for result in &history.results {
        let length = serde_json::to_vec(result)?.len() + 1;
        if length > room {
            all.push(Vec::new());
            room = LARGEST - 64;
        }
        room = room.saturating_sub(length);
        if let Some(last) = all.last_mut() {
            last.push(result.clone());
        }
    }
    let mut all = all.into_iter();
    first.results = all.next().unwrap_or_default();
    let rest = all.map(|results| serde_json::to_vec(&Part { results }));
    std::iter::once(serde_json::to_vec(&first)).chain(rest).collect()
}

/// What is remembered of earlier rollouts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// What can be read, the newest first.
    pub histories: Vec<History>,
    /// What cannot, in words. Nothing depends on it: a rollout that is over is over.
    pub unreadable: Vec<String>,
}

/// Puts the parts of all rollouts together.
pub fn assemble(configs: Vec<ConfigObject>) -> Remembered {
    let mut by_name: BTreeMap<String, ConfigObject> =
        configs.into_iter().map(|config| (config.name.clone(), config)).collect();
    let firsts: Vec<String> = by_name.keys().filter(|name| is_first(name)).cloned().collect();
    let mut remembered = Remembered::default();
    for name in firsts {
        let Some(first) = by_name.remove(&name) else { continue };
        match one(&first, &mut by_name) {
            Ok(history) => remembered.histories.push(history),
            Err(error) => remembered.unreadable.push(error.to_string()),
        }
    }
    remembered.histories.sort_by(|a, b| b.ended.cmp(&a.ended));
    remembered
}

fn one(first: &ConfigObject, parts: &mut BTreeMap<String, ConfigObject>) -> Result<History, SwarmError> {
    let mut history: History = payload(first)?;
    history.ended = first.created.clone();
    for part in 2..=part_count(first)? {
        let name = names::history(&history.rollout, part);
        let missing = || SwarmError::corrupt(format!("the config {}", first.name), format!("{name} is gone"));
        let config = parts.remove(&name).ok_or_else(missing)?;
        history.results.extend(payload::<Part>(&config)?.results);
    }
    Ok(history)
}

/// Whether a config is the first part of a history: `careen.history.ID`.
pub fn is_first(name: &str) -> bool {
    name.strip_prefix(object::HISTORIES).is_some_and(|id| RolloutId::parse(id).is_ok())
}

fn part_count(first: &ConfigObject) -> Result<usize, SwarmError> {
    let text = first.label(label::PARTS)?;
    let corrupt =
        |_| SwarmError::corrupt(format!("the config {}", first.name), format!("it has '{text}' parts"));
    text.parse().map_err(corrupt)
}

/// The ids of the configs that are to be removed so that the newest stay: the first part of each, then the others, so
/// that what is half removed is not taken for a record.
pub fn superfluous(configs: &[ConfigObject], count: usize, bytes: usize) -> Vec<String> {
    let belongs = |first: &ConfigObject, part: &ConfigObject| {
        part.name == first.name
            || part.name.strip_prefix(&first.name).is_some_and(|rest| rest.starts_with('.'))
    };
    let mut firsts: Vec<&ConfigObject> = configs.iter().filter(|config| is_first(&config.name)).collect();
    firsts.sort_by(|a, b| (&b.created, &b.id).cmp(&(&a.created, &a.id)));
    let (mut kept, mut weight) = (0, 0);
    let mut remove = Vec::new();
    for first in firsts {
        let parts: Vec<&ConfigObject> = configs.iter().filter(|part| belongs(first, part)).collect();
        weight += parts.iter().map(|part| part.data.len()).sum::<usize>();
        kept += 1;
        // The newest stays, however large it is.
        if kept > 1 && (kept > count || weight > bytes) {
            remove.push(first.id.clone());
            remove.extend(parts.iter().filter(|part| part.id != first.id).map(|part| part.id.clone()));
        }
    }
    remove
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::observed::NodeOutcome;

    fn history(id: &str, results: usize) -> History {
        let rollout = RolloutId::parse(id).unwrap();
        let result = |number| NodeResult {
            node: NodeId(format!("node{number:020}")),
            generation: 1,
            outcome: NodeOutcome::Succeeded,
            record: None,
            seconds: None,
        };
        History {
            spec: Spec::run(rollout.clone(), "update:1"),
            rollout,
            outcome: RolloutOutcome::Done,
            by: Some("alice".into()),
            submitted: "2026-11-23T02:55:39Z".into(),
            ended: String::new(),
            nodes: Vec::new(),
            results: (0..results).map(result).collect(),
        }
    }

    fn stored(history: &History, created: &str) -> Vec<ConfigObject> {
        let parts = parts(history).unwrap();
        let labels = BTreeMap::from([(label::PARTS.to_owned(), parts.len().to_string())]);
        let config = |(index, data): (usize, Vec<u8>)| ConfigObject {
            id: format!("{}-{}", history.rollout, index + 1),
            name: names::history(&history.rollout, index + 1),
            version: careen_planner::Version(1),
            created: created.into(),
            labels: labels.clone(),
            data,
        };
        parts.into_iter().enumerate().map(config).collect()
    }

    #[test]
    fn a_small_history_is_one_config_and_a_large_one_several() {
        for (results, expected) in [(0, 1), (3, 1), (30_000, 3)] {
            let history = history("k3x9", results);
            let configs = stored(&history, "2026");
            assert_eq!(configs.len(), expected);
            assert!(configs.iter().all(|config| config.data.len() <= LARGEST));
            let read = assemble(configs);
            assert_eq!(read.unreadable, [""; 0]);
            assert_eq!(read.histories, [History { ended: "2026".into(), ..history }]);
        }
    }

    #[test]
    fn how_long_a_try_took_is_read_where_it_is_and_is_no_part_of_older_records() {
        let mut took = history("k3x9", 2);
        took.results[1].seconds = Some(95);
        let configs = stored(&took, "2026");
        let text = String::from_utf8(configs[0].data.clone()).unwrap();
        assert_eq!(text.matches("seconds\":95").count(), 1, "{text}");
        assert_eq!(text.matches("\"seconds\"").count(), 1, "one that is not known is not written");
        assert_eq!(assemble(configs).histories, [History { ended: "2026".into(), ..took }]);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named_and_the_others_are_read() {
        let well = stored(&history("a1", 1), "2026");
        let mut gone = stored(&history("k3x9", 30_000), "2026");
        gone.remove(1);
        let mut damaged = stored(&history("b2", 1), "2026");
        damaged[0].data = b"{".to_vec();
        let mut uncounted = stored(&history("c3", 1), "2026");
        uncounted[0].labels.clear();
        let read = assemble([well, gone, damaged, uncounted].concat());
        let ids: Vec<&str> = read.histories.iter().map(|history| history.rollout.as_str()).collect();
        assert_eq!(ids, ["a1"]);
        assert_eq!(read.unreadable.len(), 3, "{:?}", read.unreadable);
        for part in ["careen.history.k3x9.2 is gone", "careen.history.b2", "careen.history.c3"] {
            assert!(read.unreadable.iter().any(|why| why.contains(part)), "{part}: {:?}", read.unreadable);
        }
    }

    #[test]
    fn the_newest_stay() {
        let all: Vec<ConfigObject> = ["a1", "a2", "a3", "a"]
            .iter()
            .enumerate()
            .flat_map(|(year, id)| {
                stored(&history(id, if *id == "a1" { 30_000 } else { 1 }), &format!("202{year}"))
            })
            .collect();
        assert!(superfluous(&all, 4, usize::MAX).is_empty());
        assert_eq!(superfluous(&all, 3, usize::MAX), ["a1-1", "a1-2", "a1-3"]);
        assert_eq!(superfluous(&all, 1, usize::MAX).len(), 5);
        assert_eq!(superfluous(&all, 50, 1 << 20), ["a1-1", "a1-2", "a1-3"], "by size");
        assert_eq!(superfluous(&all, 0, 0).len(), 5, "the newest stays in any case");
        let newest_first: Vec<_> =
            assemble(all).histories.into_iter().map(|one| one.rollout.to_string()).collect();
        assert_eq!(newest_first, ["a", "a3", "a2", "a1"]);
    }
}
