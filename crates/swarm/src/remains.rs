//! What rollouts have left in the swarm beside labels and services, and how an operator's command gives it all back, with no
//! controller and no lock: each write is guarded by the version of what it changes.

use crate::api::{Scaling, Swarm, version_of};
use crate::controller_task::age;
use crate::encode;
use crate::error::SwarmError;
use crate::names;
use crate::rollouts::{RequestError, write_error};
use careen_contract::label;
use careen_contract::object;
use careen_engine::{Kind, Meaning};
use careen_planner::cluster::ActError;
use careen_planner::remains::Giving;
use careen_planner::{JobKey, RolloutId, Version};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// A config or a secret of one rollout. A history is none: it stays on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Which of the two.
    pub kind: crate::GivenKind,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Of which rollout.
    pub rollout: RolloutId,
    /// How old it is, by the managers' own clock; `None` when that does not say it.
    pub age: Option<Duration>,
}

/// What the names of a rollout's configs begin with, and of its secrets. The rollout itself stands first, so that it is
/// removed last.
const CONFIGS: [&str; 5] =
    [object::ROLLOUTS, object::BASELINES, object::RESULTS, object::FILES, object::TICKETS];
/// What its secrets are called.
pub(crate) const SECRETS: [&str; 2] = [object::REGISTRIES, object::UNLOCK_KEYS];

impl Swarm {
    /// All configs and secrets of rollouts, in the order in which they are to be removed.
    pub fn stored(&self) -> Result<Vec<Stored>, SwarmError> {
        self.stored_at(self.time()?)
    }

    /// The same, with its age at this time.
    pub(crate) fn stored_at(&self, now: Option<Timestamp>) -> Result<Vec<Stored>, SwarmError> {
        let configs = self.list(Kind::Configs, &json!({ "name": CONFIGS }))?;
        let secrets = self.list(Kind::Secrets, &json!({ "name": SECRETS }))?;
        let configs = configs.iter().filter_map(|raw| stored(crate::GivenKind::Config, raw, &CONFIGS, now));
        let secrets = secrets.iter().filter_map(|raw| stored(crate::GivenKind::Secret, raw, &SECRETS, now));
        let mut all: Vec<Stored> = configs.chain(secrets).collect();
        all.sort_by_key(order);
        Ok(all)
    }

    /// Removes one of them; `false` when a service still refers to it.
    pub fn remove_stored(&self, stored: &Stored) -> Result<bool, RequestError> {
        match self.engine().remove_object(stored.kind.kind(), &stored.id) {
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) if error.meaning() == Meaning::InUse => Ok(false),
            answer => answer.map(|()| true).map_err(|error| write_error(&stored.name, &error)),
        }
    }

    /// Carries out one step of giving back. What is gone is given back already.
    pub fn give_back(&self, giving: &Giving) -> Result<(), RequestError> {
        match giving {
            Giving::Write { node, version, labels, availability } => {
                let object = format!("the node {node}");
                let raw = self.at_version(Kind::Nodes, &node.0, *version, &object)?;
                let spec = encode::node_spec(&raw["Spec"], labels, *availability);
                self.update(Kind::Nodes, &raw, &spec).map_err(|error| write_error(&object, &error))
            }
            Giving::Stop { key, version } => self.stop_job(key, *version),
            Giving::Scale { service, name, version, from, to } => {
                match self.scale(service, (*version, *from), *to) {
                    Ok(Scaling::Done) => Ok(()),
                    Ok(Scaling::Changed) => {
                        Err(RequestError::Write { object: name.clone(), why: ActError::Conflict })
                    }
                    Err(error) => Err(write_error(name, &error)),
                }
            }
            Giving::Remove { key } => {
                let removed = self.engine().remove_object_if_there(Kind::Services, &key.name());
                removed.map_err(|error| write_error(&key.name(), &error))
            }
        }
    }

    fn stop_job(&self, key: &JobKey, version: Version) -> Result<(), RequestError> {
        let name = key.name();
        let raw = self.at_version(Kind::Services, &name, version, &name)?;
        let stopped = encode::stopped(&raw["Spec"]);
        self.update(Kind::Services, &raw, &stopped).map_err(|error| write_error(&name, &error))
    }

    fn at_version(
        &self,
        kind: Kind,
        name: &str,
        version: Version,
        object: &str,
    ) -> Result<Value, RequestError> {
        let raw = self.raw(kind, name).map_err(|error| write_error(object, &error))?;
        if version_of(&raw) == version.0 {
            return Ok(raw);
        }
        Err(RequestError::Write { object: object.to_owned(), why: ActError::Conflict })
    }
}

/// The rollout's own config last: as long as it is there, the rest is known to be of one that is not over.
fn order(stored: &Stored) -> (RolloutId, bool, String) {
    (stored.rollout.clone(), stored.name.starts_with(object::ROLLOUTS), stored.name.clone())
}

/// One that careen named and labelled so; what somebody else called so is theirs, and what a newer careen stores is not
/// guessed at.
fn stored(kind: crate::GivenKind, raw: &Value, prefixes: &[&str], now: Option<Timestamp>) -> Option<Stored> {
    let name = raw.pointer("/Spec/Name")?.as_str()?;
    let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let rollout = RolloutId::parse(rest.split('.').next()?).ok()?;
    let labels = raw.pointer("/Spec/Labels")?;
    let labelled = labels.get(label::ROLLOUT)?.as_str()?;
    let format = labels.get(label::FORMAT)?.as_str()?;
    let id = raw.get("ID")?.as_str()?;
    let created = raw["CreatedAt"].as_str().unwrap_or_default();
    let age = now.and_then(|now| age(created, now));
    let ours = labelled == rollout.as_str() && format == names::FORMAT;
    ours.then(|| Stored { kind, id: id.to_owned(), name: name.to_owned(), rollout, age })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_careen_named_and_labelled_is_a_rollouts_and_its_history_is_not() {
        let raw = |name: &str, label: &str| json!({ "ID": "c1", "CreatedAt": "2026-11-23T02:00:00Z", "Spec": { "Name": name, "Labels": { label::ROLLOUT: label, label::FORMAT: names::FORMAT } } });
        let now = Some("2026-11-23T02:00:05Z".parse().unwrap());
        let read = |name: &str, label: &str| {
            stored(crate::GivenKind::Config, &raw(name, label), &CONFIGS, now)
                .map(|one| one.rollout.to_string())
        };
        for name in
            ["careen.rollout.k3x9", "careen.baseline.k3x9", "careen.result.k3x9.n1.g2", "careen.file.k3x9.00"]
        {
            assert_eq!(read(name, "k3x9").as_deref(), Some("k3x9"), "{name}");
            assert_eq!(read(name, "other"), None, "{name}");
        }
        for name in ["careen.lock", "careen.history.k3x9", "careen.history.k3x9.2", "k3x9", "careen.rollout."]
        {
            assert_eq!(read(name, "k3x9"), None, "{name}");
        }
        let mut all: Vec<Stored> = ["careen.rollout.k3x9", "careen.file.k3x9.00", "careen.result.k3x9.n1.g1"]
            .iter()
            .filter_map(|name| stored(crate::GivenKind::Config, &raw(name, "k3x9"), &CONFIGS, now))
            .collect();
        all.sort_by_key(order);
        assert_eq!(all.last().unwrap().name, "careen.rollout.k3x9");
        assert_eq!(all.last().unwrap().age, Some(Duration::from_secs(5)));
        let mut newer = raw("careen.file.k3x9.00", "k3x9");
        newer["Spec"]["Labels"][label::FORMAT] = "2".into();
        assert_eq!(stored(crate::GivenKind::Config, &newer, &CONFIGS, now), None, "a newer careen's");
    }
}
