//! Nodes.

use super::needs::{RawPlugin, RawResources};
use super::{Index, called, null_is_empty, object};
use crate::error::SwarmError;
use careen_planner::observed::{Availability, Manager, Node, NodeStatus, Offers, Plugin, Reachability, Role};
use careen_planner::{NodeId, Version};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    #[serde(rename = "ID")]
    id: String,
    version: Index,
    spec: Spec,
    #[serde(default)]
    description: Description,
    status: Status,
    manager_status: Option<ManagerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    #[serde(default, deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    role: Role,
    availability: Availability,
}

/// A node that has never reported has none of this.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Description {
    hostname: String,
    platform: Platform,
    #[serde(deserialize_with = "null_is_empty")]
    resources: RawResources,
    engine: Engine,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Platform {
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Engine {
    engine_version: String,
    #[serde(deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_empty")]
    plugins: Vec<RawPlugin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    state: NodeStatus,
    #[serde(default)]
    addr: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManagerStatus {
    #[serde(default)]
    leader: bool,
    reachability: Reachability,
}

/// When a node was written last, by the managers' clock, as they say it. For people: what cannot be read is left out.
pub fn written(json: &[u8]) -> Option<(NodeId, String)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Written {
        #[serde(rename = "ID")]
        id: NodeId,
        updated_at: String,
    }
    let written: Written = serde_json::from_slice(json).ok()?;
    Some((written.id, written.updated_at))
}

/// Reads an element of `GET /nodes`.
pub fn node(json: &[u8]) -> Result<Node, SwarmError> {
    let raw: Raw = object("node", json)?;
    if raw.id.is_empty() || raw.version.index == 0 {
        return Err(SwarmError::corrupt(called("node", json), "it has no id, or no version"));
    }
    let manager =
        |status: ManagerStatus| Manager { leader: status.leader, reachability: status.reachability };
    let engine = raw.description.engine;
    let offers = Offers {
        address: raw.status.addr,
        resources: raw.description.resources.into(),
        plugins: engine.plugins.into_iter().map(Plugin::from).collect(),
    };
    Ok(Node {
        id: NodeId(raw.id),
        hostname: raw.description.hostname,
        version: Version(raw.version.index),
        role: raw.spec.role,
        availability: raw.spec.availability,
        status: raw.status.state,
        manager: raw.manager_status.map(manager),
        api: api_of(&engine.engine_version),
        engine: engine.engine_version,
        os: raw.description.platform.os,
        arch: raw.description.platform.architecture,
        labels: raw.spec.labels,
        engine_labels: engine.labels,
        offers,
        plain_containers: Vec::new(),
        plain_on_overlays: Vec::new(),
    })
}

/// The newest API of each engine release. The swarm tells the releases of its nodes, not their APIs; the table is that
/// of Docker's API version history.
const APIS: [((u32, u32), u32); 15] = [
    ((29, 0), 52),
    ((28, 3), 51),
    ((28, 2), 50),
    ((28, 1), 49),
    ((28, 0), 48),
    ((27, 2), 47),
    ((27, 0), 46),
    ((26, 0), 45),
    ((25, 0), 44),
    ((24, 0), 43),
    ((23, 0), 42),
    ((20, 10), 41),
    ((19, 3), 40),
    ((18, 9), 39),
    ((0, 0), 24),
];

/// The newest API that an engine of this version speaks. A version that cannot be read is one of 1.24: nothing is
/// expected of it.
fn api_of(version: &str) -> (u32, u32) {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
    let release = (numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0));
    let minor = APIS.iter().find(|(since, _)| release >= *since).map_or(24, |(_, minor)| *minor);
    (1, minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::json;
    use serde_json::Value;

    fn recorded() -> Vec<Value> {
        serde_json::from_str(include_str!("../../fixtures/nodes.json")).unwrap()
    }

    #[test]
    fn a_worker_and_the_leader_as_20_10_24_tells_them() {
        let nodes: Vec<Node> = recorded().iter().map(|value| node(&json(value)).unwrap()).collect();
        let [worker, leader] = &nodes[..] else { panic!("{nodes:?}") };
        assert_eq!((worker.hostname.as_str(), worker.role, worker.manager), ("n2", Role::Worker, None));
        assert_eq!(worker.version, Version(31));
        assert_eq!(worker.labels, BTreeMap::from([("zone".into(), "a".into())]));
        assert_eq!((worker.engine.as_str(), worker.api), ("20.10.24+dfsg1", (1, 41)));
        assert_eq!((worker.os.as_str(), worker.arch.as_str()), ("linux", "x86_64"));
        assert!(worker.is_ready() && worker.availability == Availability::Active);
        assert_eq!(worker.offers.address, "10.213.2.12");
        assert!(leader.is_leader() && leader.is_manager());
        assert_eq!(leader.manager.unwrap().reachability, Reachability::Reachable);
    }

    #[test]
    fn what_a_node_offers() {
        let mut value = recorded().remove(0);
        value["Description"]["Resources"] = serde_json::json!({
            "NanoCPUs": 2_000_000_000_i64,
            "MemoryBytes": 1024,
            "GenericResources": [
                { "NamedResourceSpec": { "Kind": "gpu", "Value": "a1" } },
                { "NamedResourceSpec": { "Kind": "gpu", "Value": "a2" } },
                { "DiscreteResourceSpec": { "Kind": "ssd", "Value": 3 } },
            ],
        });
        value["Description"]["Engine"]["Plugins"] = serde_json::json!([{ "Type": "Log", "Name": "gelf" }]);
        let offers = node(&json(&value)).unwrap().offers;
        assert_eq!((offers.resources.nano_cpus, offers.resources.memory), (2_000_000_000, 1024));
        assert_eq!(offers.resources.generic, BTreeMap::from([("gpu".into(), 2), ("ssd".into(), 3)]));
        let log = |name: &str| Plugin { kind: "Log".into(), name: name.into() };
        assert!(offers.has(&log("gelf")) && !offers.has(&log("splunk")));
    }

    #[test]
    fn a_node_that_says_something_new_is_an_error_with_its_name() {
        let mut value = recorded().remove(0);
        value["Spec"]["Availability"] = "hibernate".into();
        let text = node(&json(&value)).unwrap_err().to_string();
        assert!(text.contains("the node n2") && text.contains("hibernate"), "{text}");
        let text = node(br#"{ "ID": "x" }"#).unwrap_err().to_string();
        assert!(text.contains("the node x"), "{text}");
    }

    #[test]
    fn a_node_that_never_reported_has_no_description() {
        let mut value = recorded().remove(0);
        value["Description"] = serde_json::json!({});
        value["Status"]["State"] = "unknown".into();
        let node = node(&json(&value)).unwrap();
        assert_eq!((node.status, node.api), (NodeStatus::Unknown, (1, 24)));
    }

    #[test]
    fn releases_and_their_apis() {
        let table =
            [("20.10.24+dfsg1", 41), ("19.03.15", 40), ("26.1.5", 45), ("28.5.1", 51), ("31.0.0-rc.1", 52)];
        for (version, minor) in table {
            assert_eq!(api_of(version), (1, minor), "{version}");
        }
        assert_eq!(api_of("dev"), (1, 24));
    }
}
