//! What a rollout's agents are given besides the image: variables, and files that lie in the swarm.

use serde::{Deserialize, Serialize};

/// All of it. A spec of an older version has none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Given {
    /// Environment variables, `KEY=VALUE`.
    pub environment: Vec<String>,
    /// The payload's own files, where it comes without an image: configs that belong to the rollout.
    pub files: Vec<GivenFile>,
    /// Configs that were there before.
    pub configs: Vec<GivenFile>,
    /// Secrets that were there before.
    pub secrets: Vec<GivenFile>,
    /// Whether the image's registry wants credentials, which the controller has and passes on.
    pub registry_auth: bool,
}

/// A config or a secret as a file in the agent's container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenFile {
    /// Its id in the swarm.
    pub id: String,
    /// Its name in the swarm.
    pub name: String,
    /// Where the container finds it.
    pub target: String,
    /// The file's owner: a number, as text.
    pub uid: String,
    /// The file's group: a number, as text.
    pub gid: String,
    /// The file's permission bits, as `0o444`.
    pub mode: u32,
}

impl Given {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::{RolloutId, Spec};

    #[test]
    fn a_spec_of_an_older_version_gives_nothing() {
        let spec = Spec::run(RolloutId::parse("k3x9").unwrap(), "i");
        let mut old = serde_json::to_value(&spec).unwrap();
        assert!(old.as_object_mut().unwrap().remove("given").is_none(), "nothing is not written");
        assert_eq!(serde_json::from_value::<Spec>(old).unwrap(), spec);
        // What a later careen asks for is not left out without a word.
        for place in ["", "/policy", "/selection", "/limits", "/given"] {
            let mut later = serde_json::to_value(Spec {
                given: super::Given { registry_auth: true, ..super::Given::default() },
                ..spec.clone()
            })
            .unwrap();
            later.pointer_mut(place).unwrap()["windows"] = "22:00-04:00".into();
            let error = serde_json::from_value::<Spec>(later).unwrap_err().to_string();
            assert!(error.contains("unknown field `windows`"), "{place}: {error}");
        }
    }
}
