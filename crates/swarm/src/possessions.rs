//! All that careen has in a swarm beside labels on nodes: services, configs, secrets. For whoever uninstalls it.

use crate::api::Swarm;
use crate::error::SwarmError;
use crate::names;
use crate::remains::SECRETS;
use crate::rollouts::{RequestError, write_error};
use careen_contract::label;
use careen_contract::object;
use careen_engine::{Kind, Meaning};
use serde_json::{Value, json};

/// What kind of object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are Swarm's own words")]
pub enum PossessionKind {
    Service,
    Config,
    Secret,
}

/// One of careen's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Possession {
    pub kind: PossessionKind,
    pub id: String,
    pub name: String,
    /// Whether it is a part of the history of rollouts that are over.
    pub is_history: bool,
}

/// What the names of careen's own begin with.
const CONFIGS: [&str; 9] = [
    object::LOCK,
    object::ENGINE_RESTART,
    object::ROLLOUTS,
    object::BASELINES,
    object::RESULTS,
    object::HISTORIES,
    object::TICKETS,
    object::FILES,
    object::ENFORCEMENTS,
];

impl PossessionKind {
    const fn kind(self) -> Kind {
        match self {
            Self::Service => Kind::Services,
            Self::Config => Kind::Configs,
            Self::Secret => Kind::Secrets,
        }
    }
}

impl Swarm {
    /// All of them, in the order in which they are to be removed: what refers to others first.
    pub fn possessions(&self) -> Result<Vec<Possession>, SwarmError> {
        let mut all = Vec::new();
        for label in [label::ROLE, label::INQUIRY] {
            let found = self.list(Kind::Services, &json!({ "label": [label] }))?;
            all.extend(found.iter().filter_map(service));
        }
        let configs = self.list(Kind::Configs, &json!({ "name": CONFIGS }))?;
        all.extend(configs.iter().filter_map(|raw| stored(PossessionKind::Config, raw, &CONFIGS)));
        let secrets = self.list(Kind::Secrets, &json!({ "name": SECRETS }))?;
        all.extend(secrets.iter().filter_map(|raw| stored(PossessionKind::Secret, raw, &SECRETS)));
        all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        all.dedup_by(|a, b| a.id == b.id);
        Ok(all)
    }

    /// Removes one of them; `false` when a service still refers to it. One that is gone is removed already.
    pub fn remove_possession(&self, one: &Possession) -> Result<bool, RequestError> {
        match self.engine().remove_object(one.kind.kind(), &one.id) {
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) if error.meaning() == Meaning::InUse => Ok(false),
            answer => answer.map(|()| true).map_err(|error| write_error(&one.name, &error)),
        }
    }
}

fn service(raw: &Value) -> Option<Possession> {
    let (id, name) = (raw.get("ID")?.as_str()?, raw.pointer("/Spec/Name")?.as_str()?);
    // A label that somebody gave to a service of theirs makes it no service of careen's.
    name.starts_with("careen-").then(|| Possession {
        kind: PossessionKind::Service,
        id: id.to_owned(),
        name: name.to_owned(),
        is_history: false,
    })
}

/// One that careen named and labelled so; what somebody else called so is theirs.
fn stored(kind: PossessionKind, raw: &Value, prefixes: &[&str]) -> Option<Possession> {
    let (id, name) = (raw.get("ID")?.as_str()?, raw.pointer("/Spec/Name")?.as_str()?);
    let named = prefixes.iter().any(|prefix| match prefix.ends_with('.') {
        true => name.starts_with(prefix),
        false => name == *prefix,
    });
    let labels = raw.pointer("/Spec/Labels")?.as_object()?;
    let labelled = labels.keys().any(|label| label.starts_with(object::PREFIX));
    let is_history = names::of_history(name).is_some();
    (named && labelled).then(|| Possession { kind, id: id.to_owned(), name: name.to_owned(), is_history })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_careen_named_and_labelled_is_its_own_whatever_its_version() {
        let raw = |name: &str, label: &str| json!({ "ID": "c1", "Spec": { "Name": name, "Labels": { label: "x" } } });
        let config = |name: &str, label: &str| stored(PossessionKind::Config, &raw(name, label), &CONFIGS);
        for name in [
            "careen.lock",
            "careen.engine-restart",
            "careen.rollout.k3x9",
            "careen.result.k3x9.n1.g2",
            "careen.ticket.k3x9.n1.g1.a1",
            "careen.file.k3x9.00",
            "careen.enforce.sysctl.0a1b2c3d",
        ] {
            let found = config(name, "careen.format").unwrap();
            assert_eq!((found.name.as_str(), found.is_history), (name, false));
            assert_eq!(config(name, "com.docker.stack.namespace"), None, "somebody else's {name}");
        }
        assert!(config("careen.history.k3x9.2", label::FORMAT).unwrap().is_history);
        for name in ["careen.locker", "careen.other.k3x9", "mine.careen.lock", "careen"] {
            assert_eq!(config(name, label::FORMAT), None, "{name}");
        }
        assert!(service(&raw("careen-k3x9-w1-g1-a1", label::ROLE)).is_some());
        assert_eq!(service(&raw("mine", label::ROLE)), None);
        assert_eq!(stored(PossessionKind::Config, &json!({}), &CONFIGS), None);
    }
}
