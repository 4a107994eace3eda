//! careen's own services.

use super::{Index, called, null_is_empty, object};
use crate::error::SwarmError;
use crate::names;
use careen_contract::label;
use careen_planner::{JobKey, NodeId, RolloutId, Version};
use serde::Deserialize;
use std::collections::BTreeMap;

/// An agent's or a gate's service, without its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobService {
    /// Its id.
    pub id: String,
    /// Which one it is.
    pub key: JobKey,
    /// Its version.
    pub version: Version,
    /// On which node, when that is another than the one that the try is for.
    pub on: Option<NodeId>,
    /// Whether its current iteration fits nowhere.
    pub stopped: bool,
}

impl JobService {
    /// The node that it runs on.
    pub fn place(&self) -> &NodeId {
        self.on.as_ref().unwrap_or(&self.key.node)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    #[serde(rename = "ID")]
    id: String,
    version: Index,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    name: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    task_template: Template,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Template {
    #[serde(deserialize_with = "null_is_empty")]
    placement: Placement,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Placement {
    #[serde(deserialize_with = "null_is_empty")]
    constraints: Vec<String>,
}

/// The id and the name of an element of `GET /services`, whosever it is.
pub fn name(json: &[u8]) -> Result<(String, String), SwarmError> {
    let raw: Raw = object("service", json)?;
    Ok((raw.id, raw.spec.name))
}

/// Reads an element of `GET /services`; `None` when it is somebody else's, a controller's or an
/// enforcement's.
pub fn job_service(json: &[u8]) -> Result<Option<JobService>, SwarmError> {
    let raw: Raw = object("service", json)?;
    let role = raw.spec.labels.get(label::ROLE).map(String::as_str);
    let role = match role {
        None | Some(label::role::CONTROLLER | label::role::ENFORCER) => return Ok(None),
        Some(word) => names::role_of(word),
    };
    let corrupt = |why: &str| SwarmError::corrupt(called("service", json), why);
    let label = |name: &str| raw.spec.labels.get(name);
    let number = |name: &str| label(name).and_then(|text| text.parse().ok());
    let key = || {
        Some(JobKey {
            rollout: RolloutId::parse(label(label::ROLLOUT)?).ok()?,
            node: NodeId(label(label::NODE_ID)?.clone()),
            generation: number(label::GENERATION)?,
            agent: number(label::AGENT)?,
            role: role?,
        })
    };
    let key = key().ok_or_else(|| corrupt("its labels careen.* do not say what it is for"))?;
    if key.name() != raw.spec.name {
        return Err(corrupt("its labels careen.* do not fit its name"));
    }
    let stopped = raw.spec.task_template.placement.constraints.iter().any(|one| one == names::NOWHERE);
    let on = label(label::ON).cloned().map(NodeId);
    Ok(Some(JobService { id: raw.id, key, version: Version(raw.version.index), on, stopped }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::json;
    use careen_planner::JobRole;
    use serde_json::Value;

    fn recorded() -> Vec<Value> {
        serde_json::from_str(include_str!("../../fixtures/jobs.json")).unwrap()
    }

    #[test]
    fn careens_services_as_20_10_24_tells_them() {
        let jobs: Vec<JobService> =
            recorded().iter().map(|one| job_service(&json(one)).unwrap().unwrap()).collect();
        let [agent, gate, stopped] = &jobs[..] else { panic!("{jobs:?}") };
        assert_eq!((agent.key.role, agent.stopped), (JobRole::Agent, false));
        assert_eq!((agent.key.rollout.as_str(), agent.key.generation, agent.key.agent), ("k3x9", 1, 2));
        assert_eq!((gate.key.role, gate.stopped), (JobRole::Gate(1), false));
        assert_eq!((stopped.key.role, stopped.stopped), (JobRole::Gate(2), true));
        assert!(agent.version.0 > 0);
    }

    #[test]
    fn other_peoples_services_are_none_of_careens() {
        let services: Vec<Value> =
            serde_json::from_str(include_str!("../../fixtures/services.json")).unwrap();
        assert!(services.iter().all(|one| job_service(&json(one)).unwrap().is_none()));
        let mut controller = recorded().remove(0);
        controller["Spec"]["Labels"][label::ROLE] = label::role::CONTROLLER.into();
        assert_eq!(job_service(&json(&controller)).unwrap(), None);
    }

    #[test]
    fn labels_that_somebody_changed_are_an_error_with_the_services_name() {
        for (label, text) in [
            (label::GENERATION, "two"),
            (label::NODE_ID, "another"),
            (label::ROLE, "gate"),
            (label::ROLLOUT, ""),
        ] {
            let mut value = recorded().remove(0);
            value["Spec"]["Labels"][label] = text.into();
            let error = job_service(&json(&value)).unwrap_err().to_string();
            assert!(error.contains("the service careen-k3x9-"), "{error}");
        }
    }
}
