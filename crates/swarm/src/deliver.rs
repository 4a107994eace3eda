//! What a rollout brings into the swarm and takes away again: the payload's files as configs, and the credentials for its
//! registry as a secret. Each belongs to one rollout, by its name and its label, and nothing else is ever removed.
//!
//! They are created before the rollout's config, so that a rollout that is there has all of them; what a submitter left
//! that died before it submitted goes with the sweep.

use crate::api::Swarm;
use crate::encode;
use crate::error::{SwarmError, refusal};
use crate::names;
use crate::rollouts::RequestError;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use careen_contract::label;
use careen_contract::object;
use careen_engine::{EngineError, Kind, Meaning, RegistryAuth};
use careen_planner::{GivenFile, RolloutId};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A file of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadFile {
    /// Where the agent's container finds it.
    pub target: String,
    /// What tells it from every other file of the same rollout: a hash of path, mode and content, or its beginning.
    pub digest: String,
    /// Its permission bits.
    pub mode: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Secrets and configs that were there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenKind {
    /// A secret.
    Secret,
    /// A config.
    Config,
}

impl GivenKind {
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Secret => Kind::Secrets,
            Self::Config => Kind::Configs,
        }
    }
}

impl PayloadFile {
    /// The beginning of its digest, as the name of its config has it.
    pub fn named_digest(&self) -> &str {
        names::beginning(&self.digest)
    }
}

impl Swarm {
    /// The id of a secret or a config of exactly this name.
    pub fn find_given(&self, kind: GivenKind, name: &str) -> Result<Option<String>, SwarmError> {
        let found = self.list(kind.kind(), &json!({ "name": [name] }))?;
        let exact = |value: &&Value| value.pointer("/Spec/Name").and_then(Value::as_str) == Some(name);
        Ok(found.iter().find(exact).and_then(|value| value["ID"].as_str()).map(str::to_owned))
    }

    /// Brings a payload's files into the swarm for a rollout that is to be submitted.
    pub(crate) fn deliver(
        &self,
        rollout: &RolloutId,
        files: &[PayloadFile],
    ) -> Result<Vec<GivenFile>, RequestError> {
        files.iter().map(|file| self.deliver_one(rollout, file)).collect()
    }

    fn deliver_one(&self, rollout: &RolloutId, file: &PayloadFile) -> Result<GivenFile, RequestError> {
        let name = names::file(rollout, &file.digest);
        let labels = BTreeMap::from([(label::ROLLOUT.to_owned(), rollout.to_string())]);
        let spec = encode::config_spec(&name, &labels, &file.content);
        let created = self.engine().create_object(Kind::Configs, &spec, None);
        let id = self.created(GivenKind::Config, &name, created)?;
        let (target, mode) = (file.target.clone(), file.mode);
        Ok(GivenFile { id, name, target, uid: "0".to_owned(), gid: "0".to_owned(), mode })
    }

    /// The id of what was created, or was there already.
    pub(crate) fn created(
        &self,
        kind: GivenKind,
        name: &str,
        answer: Result<String, EngineError>,
    ) -> Result<String, RequestError> {
        let write =
            |error: &EngineError| RequestError::Write { object: name.to_owned(), why: refusal(error) };
        match answer {
            Ok(id) => Ok(id),
            Err(error) if error.meaning() == Meaning::Exists => {
                self.find_given(kind, name)?.ok_or_else(|| write(&error))
            }
            Err(error) => Err(write(&error)),
        }
    }

    /// Whether files that a rollout brought are there.
    pub(crate) fn has_delivered(&self, rollout: &RolloutId) -> Result<bool, SwarmError> {
        Ok(!self.configs(&[&names::files(rollout)])?.is_empty())
    }

    /// Takes away what a rollout brought. What a service still refers to stays: Swarm does not let it go.
    pub fn remove_delivered(&self, rollout: &RolloutId) -> Result<(), SwarmError> {
        for (kind, prefix) in [(Kind::Configs, object::FILES), (Kind::Secrets, object::REGISTRIES)] {
            for object in self.list(kind, &json!({ "name": [prefix] }))? {
                let is_ours = ours(&object, prefix) == Some(rollout.as_str());
                if let Some(id) = object["ID"].as_str().filter(|_| is_ours) {
                    gone_or_in_use(self.engine().remove_object(kind, id))?;
                }
            }
        }
        Ok(())
    }

    /// The secret with the credentials for the rollout's registry, created when there are some to put into it.
    pub(crate) fn registry_secret(
        &self,
        rollout: &RolloutId,
        auth: Option<&RegistryAuth>,
    ) -> Result<Option<GivenFile>, RequestError> {
        let name = names::registry(rollout);
        let id = match auth {
            None => self.find_given(GivenKind::Secret, &name)?,
            Some(auth) => {
                let labels = json!({ label::ROLLOUT: rollout.as_str(), label::FORMAT: names::FORMAT });
                let data = BASE64_STANDARD.encode(auth.header());
                let spec = json!({ "Name": name, "Labels": labels, "Data": data });
                let created = self.engine().create_object(Kind::Secrets, &spec, None);
                Some(self.created(GivenKind::Secret, &name, created)?)
            }
        };
        let file = |id| GivenFile {
            id,
            name,
            target: names::REGISTRY_FILE.to_owned(),
            uid: "0".to_owned(),
            gid: "0".to_owned(),
            mode: 0o400,
        };
        Ok(id.map(file))
    }

    /// Takes the credentials away. Swarm lets them go when no controller's service has them any more.
    pub(crate) fn remove_registry_secret(&self, rollout: &RolloutId) -> Result<(), SwarmError> {
        gone_or_in_use(self.engine().remove_object(Kind::Secrets, &names::registry(rollout)))
    }
}

/// Which rollout brought it; `None` for what is not careen's.
fn ours<'a>(object: &'a Value, prefix: &str) -> Option<&'a str> {
    let spec = &object["Spec"];
    let name = spec["Name"].as_str()?;
    let rollout = spec["Labels"][label::ROLLOUT].as_str()?;
    let belongs = spec["Labels"][label::FORMAT] == names::FORMAT
        && name.strip_prefix(prefix)?.split('.').next() == Some(rollout);
    belongs.then_some(rollout)
}

fn gone_or_in_use(answer: Result<(), EngineError>) -> Result<(), SwarmError> {
    match answer {
        Err(error) if matches!(error.meaning(), Meaning::NotFound | Meaning::InUse) => Ok(()),
        answer => Ok(answer?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_rollout_brought_is_its_own() {
        let object = |name: &str, rollout: &str, format: &str| json!({ "ID": "x", "Spec": { "Name": name, "Labels": { "careen.rollout": rollout, "careen.format": format } } });
        let table = [
            (object("careen.file.k3x9.00", "k3x9", "1"), Some("k3x9")),
            (object("careen.file.k3x9.00", "other", "1"), None),
            (object("careen.file.k3x9.00", "k3x9", "2"), None),
            (object("careen.files", "k3x9", "1"), None),
            (json!({ "ID": "x", "Spec": { "Name": "careen.file.k3x9.00", "Labels": null } }), None),
        ];
        for (object, expected) in table {
            assert_eq!(ours(&object, object::FILES), expected, "{object}");
        }
        let secret = object("careen.registry.k3x9", "k3x9", "1");
        assert_eq!(ours(&secret, object::REGISTRIES), Some("k3x9"));
    }

    #[test]
    fn what_is_in_use_stays_and_other_errors_are_told() {
        let answer = |status, message: &str| {
            let message = message.to_owned();
            gone_or_in_use(Err(EngineError::Answer { status, request: "DELETE /configs/x".into(), message }))
        };
        assert!(answer(404, "config x not found").is_ok());
        let in_use =
            "rpc error: code = InvalidArgument desc = config 'x' is in use by the following service: y";
        assert!(answer(400, in_use).is_ok());
        assert!(answer(500, "rpc error: code = Unknown desc = The swarm does not have a leader.").is_err());
    }
}
