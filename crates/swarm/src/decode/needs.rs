//! What tasks ask of a node and what nodes offer, as the API tells both.

use super::null_is_empty;
use careen_planner::observed::{HostPort, Platform, Plugin, Resources};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Reserved by a task, or had by a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawResources {
    #[serde(rename = "NanoCPUs")]
    nano_cpus: i64,
    memory_bytes: i64,
    #[serde(deserialize_with = "null_is_empty")]
    generic_resources: Vec<RawGeneric>,
}

/// One of both: a thing with a name of its own, or a number of things.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawGeneric {
    named_resource_spec: Option<RawNamed>,
    discrete_resource_spec: Option<RawDiscrete>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawNamed {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawDiscrete {
    kind: String,
    #[serde(default)]
    value: i64,
}

/// A task template's `Resources`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawRequirements {
    #[serde(deserialize_with = "null_is_empty")]
    reservations: RawResources,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawPlatform {
    #[serde(default)]
    architecture: String,
    #[serde(rename = "OS", default)]
    os: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawPlugin {
    #[serde(rename = "Type")]
    kind: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawPort {
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    published_port: u32,
    #[serde(default)]
    publish_mode: String,
}

impl From<RawResources> for Resources {
    fn from(raw: RawResources) -> Self {
        let mut generic = BTreeMap::new();
        for one in raw.generic_resources {
            let named = one.named_resource_spec.map(|named| (named.kind, 1));
            let discrete = one.discrete_resource_spec.map(|discrete| (discrete.kind, discrete.value));
            for (kind, number) in named.into_iter().chain(discrete) {
                *generic.entry(kind).or_default() += number;
            }
        }
        Self { nano_cpus: raw.nano_cpus, memory: raw.memory_bytes, generic }
    }
}

impl From<RawRequirements> for Resources {
    fn from(raw: RawRequirements) -> Self {
        raw.reservations.into()
    }
}

impl From<RawPlatform> for Platform {
    fn from(raw: RawPlatform) -> Self {
        Self { os: raw.os, arch: raw.architecture }
    }
}

impl From<RawPlugin> for Plugin {
    fn from(raw: RawPlugin) -> Self {
        Self { kind: raw.kind, name: raw.name }
    }
}

impl RawPort {
    /// The port of the node that each task takes. One that Swarm chooses is never taken already.
    pub(super) fn of_the_node(self) -> Option<HostPort> {
        let is_fixed = self.publish_mode == "host" && self.published_port != 0;
        is_fixed.then_some(HostPort { protocol: self.protocol, port: self.published_port })
    }
}
