//! What engines answer, as far as careen wants to know.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What `GET /containers/{id}/json` tells, as far as an agent wants to know.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// Its full id.
    pub id: String,
    /// The id of its image.
    pub image: String,
    /// Its configuration.
    pub config: ContainerConfig,
}

/// Part of [`Container`].
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// The image as it was asked for.
    pub image: String,
    /// Its labels; Swarm's are among them.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What `GET /info` tells, as far as an agent wants to know.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Info {
    /// The host's name.
    pub name: String,
    /// Its machine's architecture, as uname(2) calls it.
    pub architecture: String,
    /// Where the engine keeps its things.
    pub docker_root_dir: String,
    /// The storage driver in which it has its images. Empty when it does not say.
    pub driver: String,
    /// Whether containers outlive it.
    pub live_restore_enabled: bool,
    /// Its place in a swarm.
    pub swarm: SwarmInfo,
}

/// Part of [`Info`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SwarmInfo {
    /// Empty outside of a swarm.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Whether the node is a manager.
    pub control_available: bool,
    /// `inactive`, `pending`, `active`, `locked` or `error`.
    pub local_node_state: String,
    /// Why it takes no part, in the engine's words.
    pub error: String,
    /// The managers that this node knows of, itself among them if it is one.
    #[serde(deserialize_with = "null_is_empty")]
    pub remote_managers: Vec<RemoteManager>,
    /// The swarm itself, as far as a manager tells.
    #[serde(deserialize_with = "null_is_empty")]
    pub cluster: Cluster,
}

/// Part of [`SwarmInfo`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// The same on all managers. Empty where nobody tells.
    #[serde(rename = "ID")]
    pub id: String,
}

/// Part of [`SwarmInfo`].
#[derive(Debug, Clone, Deserialize)]
pub struct RemoteManager {
    /// Its node's id.
    #[serde(rename = "NodeID")]
    pub node_id: String,
}

impl SwarmInfo {
    /// Whether the node is a manager, also in the moments in which it cannot say so itself: while it starts, and while
    /// its swarm has no leader, a manager does not call its control available.
    pub fn is_manager(&self) -> bool {
        let is_this = |manager: &RemoteManager| manager.node_id == self.node_id;
        self.control_available || !self.node_id.is_empty() && self.remote_managers.iter().any(is_this)
    }
}

/// A config, as far as a lock needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Changes with every update.
    #[serde(rename = "Version")]
    pub version: Version,
    /// What it is.
    #[serde(rename = "Spec")]
    pub spec: ConfigSpec,
}

/// Part of [`Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    /// The store's index of the last change.
    pub index: u64,
}

/// Part of [`Config`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigSpec {
    /// Its labels.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub labels: BTreeMap<String, String>,
}

pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_one_also_while_it_cannot_say_so() {
        let swarm = |text: &str| serde_json::from_str::<SwarmInfo>(text).unwrap();
        assert!(swarm(r#"{"NodeID":"a","ControlAvailable":true,"RemoteManagers":null}"#).is_manager());
        assert!(swarm(r#"{"NodeID":"a","RemoteManagers":[{"NodeID":"b"},{"NodeID":"a"}]}"#).is_manager());
        assert!(!swarm(r#"{"NodeID":"a","RemoteManagers":[{"NodeID":"b","Addr":"x"}]}"#).is_manager());
        assert!(!swarm(r#"{"NodeID":"","RemoteManagers":[{"NodeID":""}]}"#).is_manager());
    }
}
