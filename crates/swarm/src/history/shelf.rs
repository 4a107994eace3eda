//! Which configs are parts of which record, whatever is in them.

use crate::decode::ConfigObject;
use crate::error::SwarmError;
use crate::names;
use careen_contract::id::hex;
use careen_contract::label;
use careen_planner::RolloutId;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The configs of the history, in order.
#[derive(Debug, Default)]
pub struct Shelf<'a> {
    /// The records whose first part is there.
    pub records: Vec<Record<'a>>,
    /// The names of parts whose first one is not there.
    pub headless: BTreeMap<RolloutId, Vec<String>>,
    /// Names that careen gives to nothing.
    pub strays: Vec<String>,
}

/// The configs of one record, as far as they are there.
#[derive(Debug)]
pub struct Record<'a> {
    /// Of which rollout, by its name.
    pub rollout: RolloutId,
    /// Its first part.
    pub first: &'a ConfigObject,
    /// The others that belong to it, in order.
    pub rest: Vec<&'a ConfigObject>,
    /// Parts beyond those that the first one counts.
    pub extra: Vec<&'a ConfigObject>,
}

impl<'a> Shelf<'a> {
    /// Sorts these configs.
    pub fn of(configs: &'a [ConfigObject]) -> Self {
        let mut shelf = Self::default();
        let mut by_rollout: BTreeMap<RolloutId, BTreeMap<usize, &ConfigObject>> = BTreeMap::new();
        for config in configs {
            match names::of_history(&config.name) {
                Some((rollout, part)) => drop(by_rollout.entry(rollout).or_default().insert(part, config)),
                None => shelf.strays.push(config.name.clone()),
            }
        }
        for (rollout, mut parts) in by_rollout {
            match parts.remove(&1) {
                Some(first) => shelf.records.push(Record::of(rollout, first, parts)),
                None => {
                    let names = parts.into_values().map(|part| part.name.clone()).collect();
                    shelf.headless.insert(rollout, names);
                }
            }
        }
        shelf
    }

    /// Whether a config is a part whose first one is not there.
    pub fn is_headless(&self, config: &ConfigObject) -> bool {
        self.headless.values().flatten().any(|name| *name == config.name)
    }
}

impl<'a> Record<'a> {
    fn of(rollout: RolloutId, first: &'a ConfigObject, parts: BTreeMap<usize, &'a ConfigObject>) -> Self {
        let mut record = Self { rollout, first, rest: Vec::new(), extra: Vec::new() };
        // Where nobody knows how many there are, all of them are.
        let count = record.count().unwrap_or(usize::MAX);
        for (number, part) in parts {
            if number <= count { record.rest.push(part) } else { record.extra.push(part) }
        }
        record
    }

    /// The parts that belong to it and are there, the first one first.
    pub fn parts(&self) -> impl Iterator<Item = &'a ConfigObject> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }

    /// Of how many parts it consists, as its first one says.
    fn count(&self) -> Result<usize, SwarmError> {
        let text = self.first.label(label::PARTS)?;
        let corrupt = || {
            let name = format!("the config {}", self.first.name);
            SwarmError::corrupt(name, format!("it has '{text}' parts"))
        };
        text.parse().ok().filter(|count| *count > 0).ok_or_else(corrupt)
    }

    /// The first part that should be there and is not.
    pub fn missing(&self) -> Result<Option<String>, SwarmError> {
        // What is there is no more than what is counted, so none is missing where it is as many.
        if self.rest.len() + 1 == self.count()? {
            return Ok(None);
        }
        let there = |name: &String| self.rest.iter().any(|part| part.name == *name);
        Ok((2..).map(|part| names::history(&self.rollout, part)).find(|name| !there(name)))
    }

    /// What tells it from every other record: the sha-256 of the data of its parts, one behind the other.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.parts().for_each(|part| hash.update(&part.data));
        hex(&hash.finalize())
    }

    /// How many bytes it has, all that lies beside it included.
    pub fn weight(&self) -> usize {
        self.parts().chain(self.extra.iter().copied()).map(|part| part.data.len()).sum()
    }

    /// When it was whole, for the order.
    pub fn time(&self) -> (&'a str, &'a str) {
        (&self.first.created, &self.first.id)
    }
}
