//! What became of rollouts: one record for each that is over, in as many configs as it needs, and each with a hash of the record
//! before it. Pure.
//!
//! - this file: the record, its parts, and which records stay
//! - [`shelf`]: which configs are parts of which record
//! - [`chain`]: the hashes, and whether the records that are there are those that were written
//! - [`files`]: what is kept of a payload that came without an image

mod chain;
mod files;
mod shelf;

pub use chain::{Before, Finding, Head, Verification, verify};
pub use files::{KeptFile, kept_files};

use crate::decode::{ConfigObject, payload};
use crate::encode::LARGEST;
use crate::error::SwarmError;
use crate::names;
use careen_contract::label;
use careen_planner::observed::Node;
use careen_planner::rollout::{GoneNode, NodeResult, RolloutOutcome};
use careen_planner::{NodeId, NodeRecord, NodeState, RolloutId, Spec, Version, last_words};
use serde::{Deserialize, Serialize};
use shelf::{Record, Shelf};
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
    /// The sha-256 of the whole record; not part of what is stored.
    #[serde(skip)]
    pub sha256: String,
    /// The record before it. One that an older careen wrote does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// The files of a payload that came without an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<KeptFile>,
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

impl HistoryNode {
    /// Where a node of the swarm stands in a rollout; `None` when its label says nothing of that one.
    pub fn of(node: &Node, rollout: &RolloutId) -> Option<Self> {
        let record = NodeRecord::of(node).ok().flatten().filter(|record| record.rollout == *rollout)?;
        let (id, hostname) = (node.id.clone(), node.hostname.clone());
        let last_words = last_words(node, &record.rollout, record.generation);
        Some(Self { id, hostname, generation: record.generation, state: record.state, last_words })
    }
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

/// A config that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConfig {
    /// What it is called.
    pub name: String,
    /// Its labels, without the format.
    pub labels: BTreeMap<String, String>,
    /// Its data.
    pub data: Vec<u8>,
}

impl NewConfig {
    /// As the swarm gives it back that created it then: for whoever plays a swarm.
    pub fn stored(self, created: &str) -> ConfigObject {
        let mut labels = self.labels;
        labels.insert(label::FORMAT.to_owned(), names::FORMAT.to_owned());
        let (id, created) = (self.name.clone(), created.to_owned());
        ConfigObject { id, version: Version(1), created, labels, name: self.name, data: self.data }
    }
}

/// The configs of a new record beside those of the history that are there, in the order in which they are to be created: the first
/// part last, so that a record whose first part is there is whole.
pub fn to_write(mut history: History, there: &[ConfigObject]) -> Result<Vec<NewConfig>, serde_json::Error> {
    history.before = Some(Before::newest(there, &history.rollout));
    let parts = parts(&history)?;
    let labels = BTreeMap::from([
        (label::PARTS.to_owned(), parts.len().to_string()),
        (label::ROLLOUT.to_owned(), history.rollout.to_string()),
    ]);
    let config = |(index, data)| NewConfig {
        name: names::history(&history.rollout, index + 1),
        labels: labels.clone(),
        data,
    };
    Ok(parts.into_iter().enumerate().rev().map(config).collect())
}

/// The ids of the parts that a controller left of this rollout's record when it died half way. `None` when the record is whole: then
/// all of them belong to it.
pub fn half_written(there: &[ConfigObject], rollout: &RolloutId) -> Option<Vec<String>> {
    let of = |config: &ConfigObject| names::of_history(&config.name).filter(|(id, _)| id == rollout);
    let own = || there.iter().filter_map(|config| Some((config, of(config)?.1)));
    let whole = own().any(|(_, part)| part == 1);
    (!whole).then(|| own().map(|(config, _)| config.id.clone()).collect())
}

/// The data of each part, the first one first. Only results are spread over parts.
fn parts(history: &History) -> Result<Vec<Vec<u8>>, serde_json::Error> {
    let mut first = History { results: Vec::new(), ..history.clone() };
    if serde_json::to_vec(&first)?.len() > LARGEST {
        // Of a very large swarm. A rollout has to end: its payload's text is what can be spared.
        first.files.iter_mut().for_each(|file| file.text = None);
    }
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
    /// Parts of records whose first part is not there. Of a rollout that goes on, its record is just being written.
    pub headless: BTreeMap<RolloutId, Vec<String>>,
}

/// Puts the parts of all rollouts together.
pub fn assemble(configs: &[ConfigObject]) -> Remembered {
    let shelf = Shelf::of(configs);
    let mut remembered = Remembered { headless: shelf.headless, ..Remembered::default() };
    for record in &shelf.records {
        match read(record) {
            Ok(history) => remembered.histories.push(history),
            Err(error) => remembered.unreadable.push(error.to_string()),
        }
    }
    remembered.histories.sort_by(|a, b| b.ended.cmp(&a.ended));
    remembered
}

/// What a record says.
fn read(record: &Record<'_>) -> Result<History, SwarmError> {
    let first = record.first;
    let corrupt = |why: String| SwarmError::corrupt(format!("the config {}", first.name), why);
    for part in record.parts() {
        part.check_format()?;
    }
    let mut history: History = payload(first)?;
    if history.rollout != record.rollout {
        return Err(corrupt(format!("it holds the rollout {}", history.rollout)));
    }
    if let Some(missing) = record.missing()? {
        return Err(corrupt(format!("{missing} is gone")));
    }
    for part in &record.rest {
        history.results.extend(payload::<Part>(part)?.results);
    }
    history.ended.clone_from(&first.created);
    history.sha256 = record.sha256();
    Ok(history)
}

/// The ids of the configs that are to be removed so that the newest stay: the first part of each, then the others, so
/// that what is half removed is not taken for a record. And of what was half removed before, the rest.
pub fn superfluous(configs: &[ConfigObject], count: usize, bytes: usize) -> Vec<String> {
    let shelf = Shelf::of(configs);
    let mut records: Vec<&Record<'_>> = shelf.records.iter().collect();
    records.sort_by(|a, b| b.time().cmp(&a.time()));
    let (mut kept, mut weight) = (0, 0);
    let (mut remove, mut oldest) = (Vec::new(), None);
    for record in records {
        weight += record.weight();
        kept += 1;
        // The newest stays, however large it is.
        if kept > 1 && (kept > count || weight > bytes) {
            remove.extend(record.parts().chain(record.extra.iter().copied()).map(|part| part.id.clone()));
        } else {
            oldest = Some(record.first.created.as_str());
        }
    }
    let is_old = |part: &&ConfigObject| oldest.is_some_and(|oldest| part.created.as_str() < oldest);
    let headless = configs.iter().filter(|part| shelf.is_headless(part)).filter(is_old);
    remove.extend(headless.map(|part| part.id.clone()));
    remove
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::observed::NodeOutcome;

    pub(super) fn history(id: &str, results: usize) -> History {
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
            sha256: String::new(),
            before: None,
            files: Vec::new(),
            nodes: Vec::new(),
            results: (0..results).map(result).collect(),
        }
    }

    pub(super) fn stored(history: &History, created: &str) -> Vec<ConfigObject> {
        let parts = parts(history).unwrap();
        let labels = [(label::PARTS, parts.len().to_string()), (label::FORMAT, names::FORMAT.to_owned())];
        let labels: BTreeMap<String, String> = labels.map(|(name, value)| (name.to_owned(), value)).into();
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
            let read = assemble(&configs);
            assert_eq!(read.unreadable, [""; 0]);
            let sha256 = read.histories[0].sha256.clone();
            assert_eq!(read.histories, [History { ended: "2026".into(), sha256, ..history }]);
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
        assert_eq!(assemble(&configs).histories[0].results, took.results);
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
        let read = assemble(&[well, gone, damaged, uncounted].concat());
        let ids: Vec<&str> = read.histories.iter().map(|history| history.rollout.as_str()).collect();
        assert_eq!(ids, ["a1"]);
        assert_eq!(read.unreadable.len(), 3, "{:?}", read.unreadable);
        for part in ["careen.history.k3x9.2 is gone", "careen.history.b2", "careen.history.c3"] {
            assert!(read.unreadable.iter().any(|why| why.contains(part)), "{part}: {:?}", read.unreadable);
        }
    }

    #[test]
    fn a_record_under_another_name_or_of_another_format_is_none() {
        let mut renamed = stored(&history("a1", 1), "2026");
        renamed[0].name = "careen.history.b2".into();
        let mut other = stored(&history("c3", 1), "2026");
        other[0].labels.insert(label::FORMAT.into(), "2".into());
        let mut by_hand = stored(&history("d4", 1), "2026");
        by_hand[0].labels.clear();
        let read = assemble(&[renamed, other, by_hand].concat());
        assert!(read.histories.is_empty());
        for part in ["b2 cannot be understood: it holds the rollout a1", "c3", "format is '2'", "d4"] {
            assert!(read.unreadable.iter().any(|why| why.contains(part)), "{part}: {:?}", read.unreadable);
        }
    }

    #[test]
    fn what_a_controller_left_that_died_half_way_is_no_record_and_goes_with_the_oldest() {
        let mut half = stored(&history("k3x9", 30_000), "2025");
        half.remove(0);
        let newer = stored(&history("a1", 1), "2026");
        let all = [half, newer].concat();
        let read = assemble(&all);
        assert_eq!((read.histories.len(), read.unreadable.len()), (1, 0));
        let parts = ["careen.history.k3x9.2", "careen.history.k3x9.3"].map(str::to_owned).to_vec();
        assert_eq!(read.headless, BTreeMap::from([(RolloutId::parse("k3x9").unwrap(), parts)]));
        assert_eq!(superfluous(&all, 50, usize::MAX), ["k3x9-2", "k3x9-3"]);
        let later: Vec<ConfigObject> =
            all.into_iter().map(|part| ConfigObject { created: "2026".into(), ..part }).collect();
        assert!(superfluous(&later, 50, usize::MAX).is_empty(), "it may be in the middle of it");
    }

    #[test]
    fn a_payloads_text_is_left_out_where_there_is_no_room() {
        let mut large = history("k3x9", 1);
        large.files = vec![KeptFile {
            target: "/install/install".into(),
            mode: 0o755,
            bytes: Some(9),
            sha256: Some("00".into()),
            text: Some("#!/bin/sh".into()),
        }];
        large.by = Some("x".repeat(LARGEST));
        let parts = parts(&large).unwrap();
        assert!(!String::from_utf8(parts[0].clone()).unwrap().contains("#!/bin/sh"));
        large.by = None;
        let parts = super::parts(&large).unwrap();
        assert!(String::from_utf8(parts[0].clone()).unwrap().contains("#!/bin/sh"));
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
            assemble(&all).histories.into_iter().map(|one| one.rollout.to_string()).collect();
        assert_eq!(newest_first, ["a", "a3", "a2", "a1"]);
    }
}
