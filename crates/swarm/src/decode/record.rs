//! careen's configs: the lock, rollouts, baselines, results.

use super::{Index, named, null_is_empty};
use crate::error::SwarmError;
use crate::names;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use careen_contract::label;
use careen_planner::observed::Lock;
use careen_planner::rollout::{Baseline, Control, GoneMark, NodeResult, RolloutRecord};
use careen_planner::{ControllerId, Enforcement, EnforcementState, NodeId, RolloutId, Spec, Version};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// A config of careen's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigObject {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// When it was created, by the leader's clock, in RFC 3339.
    pub created: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its data.
    pub data: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    #[serde(rename = "ID")]
    id: String,
    version: Index,
    #[serde(default)]
    created_at: String,
    spec: RawSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSpec {
    name: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    data: String,
}

impl ConfigObject {
    fn corrupt(&self, why: impl ToString) -> SwarmError {
        SwarmError::corrupt(format!("the config {}", self.name), why)
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Result<&str, SwarmError> {
        let value = self.labels.get(name).map(String::as_str);
        value.ok_or_else(|| self.corrupt(format!("it has no label {name}")))
    }

    /// Whether this version knows the format of what is in it.
    pub fn check_format(&self) -> Result<(), SwarmError> {
        match self.label(label::FORMAT)? {
            names::FORMAT => Ok(()),
            other => {
                let known = names::FORMAT;
                Err(self.corrupt(format!("its format is '{other}'; this version of careen reads {known}")))
            }
        }
    }

    fn rollout_label(&self) -> Result<RolloutId, SwarmError> {
        RolloutId::parse(self.label(label::ROLLOUT)?).map_err(|error| self.corrupt(error))
    }
}

/// Reads an element of `GET /configs`.
pub fn config(value: &Value) -> Result<ConfigObject, SwarmError> {
    let config = any_config(value)?;
    config.check_format().map(|()| config)
}

/// The same of one that may have been written by anybody.
pub fn any_config(value: &Value) -> Result<ConfigObject, SwarmError> {
    let raw = Raw::deserialize(value).map_err(|error| SwarmError::corrupt(named("config", value), error))?;
    let corrupt = |why: String| SwarmError::corrupt(named("config", value), why);
    let data = BASE64_STANDARD.decode(raw.spec.data).map_err(|error| corrupt(error.to_string()))?;
    let (id, version, name) = (raw.id, Version(raw.version.index), raw.spec.name);
    Ok(ConfigObject { id, name, version, created: raw.created_at, labels: raw.spec.labels, data })
}

/// A config's data.
pub fn payload<T: DeserializeOwned>(config: &ConfigObject) -> Result<T, SwarmError> {
    serde_json::from_slice(&config.data).map_err(|error| config.corrupt(error))
}

/// The lock.
pub fn lock(config: &ConfigObject) -> Result<Lock, SwarmError> {
    let epoch = config.label(label::EPOCH)?;
    let epoch = epoch.parse().map_err(|_| config.corrupt(format!("its epoch is '{epoch}'")))?;
    let holder = config.labels.get(label::HOLDER).map(|holder| ControllerId(holder.clone()));
    let rollout = config.labels.contains_key(label::ROLLOUT).then(|| config.rollout_label()).transpose()?;
    let place = config.labels.get(label::PLACE).map(|place| serde_json::from_str(place)).transpose();
    let place = place.map_err(|error| config.corrupt(format!("its label {}: {error}", label::PLACE)))?;
    Ok(Lock { version: config.version, holder, epoch, rollout, place })
}

/// What a rollout is to do.
pub fn spec(config: &ConfigObject) -> Result<Spec, SwarmError> {
    let spec: Spec = payload(config)?;
    if names::rollout(&spec.id) != config.name {
        return Err(config.corrupt(format!("it holds the rollout {}", spec.id)));
    }
    Ok(spec)
}

/// What a rollout is told to do.
pub fn control(config: &ConfigObject) -> Result<Control, SwarmError> {
    let text = config.label(label::CONTROL)?;
    serde_json::from_str(text).map_err(|error| config.corrupt(format!("its label careen.control: {error}")))
}

/// What one version of an enforcement is, and how it is in the swarm.
pub fn enforcement(config: &ConfigObject) -> Result<(Enforcement, EnforcementState), SwarmError> {
    config.check_format()?;
    let spec: Enforcement = payload(config)?;
    if names::enforcement(&spec.name, &spec.version) != config.name {
        return Err(config.corrupt(format!("it holds {} {}", spec.name, spec.version)));
    }
    let state = serde_json::from_str(config.label(label::ENFORCEMENT)?);
    let state =
        state.map_err(|error| config.corrupt(format!("its label {}: {error}", label::ENFORCEMENT)))?;
    Ok((spec, state))
}

/// Which participants left in their turn, and how far that was dealt with.
pub fn gone(config: &ConfigObject) -> Result<BTreeMap<NodeId, GoneMark>, SwarmError> {
    let Some(text) = config.labels.get(label::GONE) else { return Ok(BTreeMap::new()) };
    let corrupt = |error| config.corrupt(format!("its label {}: {error}", label::GONE));
    serde_json::from_str(text).map_err(corrupt)
}

/// Where a rollout stands.
pub fn rollout_record(config: &ConfigObject) -> Result<RolloutRecord, SwarmError> {
    Ok(RolloutRecord { version: config.version, control: control(config)?, gone: gone(config)? })
}

/// How the services stood.
pub fn baseline(config: &ConfigObject) -> Result<Baseline, SwarmError> {
    payload(config)
}

/// A node's result.
pub fn node_result(config: &ConfigObject) -> Result<NodeResult, SwarmError> {
    let result: NodeResult = payload(config)?;
    if names::result(&config.rollout_label()?, &result.node, result.generation) != config.name {
        return Err(config.corrupt(format!("it holds a result of {}", result.node)));
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::observed::NodeOutcome;

    fn recorded() -> BTreeMap<String, Value> {
        let values: Vec<Value> = serde_json::from_str(include_str!("../../fixtures/configs.json")).unwrap();
        values.into_iter().map(|one| (one["Spec"]["Name"].as_str().unwrap().to_owned(), one)).collect()
    }

    fn named(name: &str) -> Value {
        recorded().into_iter().find(|(found, _)| found.starts_with(name)).unwrap().1
    }

    #[test]
    fn careens_configs_as_20_10_24_tells_them() {
        let found = lock(&config(&named("careen.lock")).unwrap()).unwrap();
        assert_eq!(found.holder, Some(ControllerId("c1".into())));
        assert_eq!((found.epoch, found.rollout), (1, RolloutId::parse("k3x9").ok()));
        assert!(found.version.0 > 0);
        let rollout = config(&named("careen.rollout.")).unwrap();
        assert_eq!(spec(&rollout).unwrap().id.as_str(), "k3x9");
        assert_eq!(rollout_record(&rollout).unwrap().control, Control::Running);
        assert!(rollout_record(&rollout).unwrap().gone.is_empty());
        assert_eq!(baseline(&config(&named("careen.baseline.")).unwrap()).unwrap().services.len(), 1);
        let result = node_result(&config(&named("careen.result.")).unwrap()).unwrap();
        assert_eq!((result.generation, result.outcome), (1, NodeOutcome::Succeeded));
        assert_ne!(result.node, NodeId(String::new()));
    }

    #[test]
    fn a_lock_that_was_given_back_has_no_holder() {
        let mut value = named("careen.lock");
        let labels = value["Spec"]["Labels"].as_object_mut().unwrap();
        labels.remove(label::HOLDER);
        labels.remove(label::ROLLOUT);
        let lock = lock(&config(&value).unwrap()).unwrap();
        assert_eq!((lock.holder, lock.rollout, lock.epoch), (None, None, 1));
    }

    fn error<T: std::fmt::Debug>(result: Result<T, SwarmError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_the_configs_name() {
        let mut value = named("careen.lock");
        value["Spec"]["Labels"][label::EPOCH] = "one".into();
        assert!(error(lock(&config(&value).unwrap())).contains("the config careen.lock"));
        value["Spec"]["Labels"][label::FORMAT] = "2".into();
        let text = error(config(&value));
        assert!(text.contains("careen.lock") && text.contains("format is '2'"), "{text}");
        value["Spec"]["Labels"] = Value::Null;
        assert!(
            error(config(&value)).contains("careen.lock"),
            "a lock that lost its labels is not 'no lock'"
        );

        let mut value = named("careen.rollout.");
        value["Spec"]["Labels"][label::CONTROL] = "{\"state\":\"dancing\"}".into();
        assert!(error(rollout_record(&config(&value).unwrap())).contains("the config careen.rollout.k3x9"));
        value["Spec"]["Labels"][label::CONTROL] = "{\"state\":\"running\"}".into();
        value["Spec"]["Labels"][label::GONE] = "{\"n1\":\"lost\"}".into();
        assert!(error(rollout_record(&config(&value).unwrap())).contains("careen.gone"));
        value["Spec"]["Labels"][label::GONE] = "{\"n1\":\"given-up\"}".into();
        let marks = rollout_record(&config(&value).unwrap()).unwrap().gone;
        assert_eq!(marks, BTreeMap::from([(NodeId("n1".into()), GoneMark::GivenUp)]));
        value["Spec"]["Name"] = "careen.rollout.other".into();
        assert!(error(spec(&config(&value).unwrap())).contains("it holds the rollout k3x9"));
        value["Spec"]["Data"] = "e30=".into();
        assert!(error(spec(&config(&value).unwrap())).contains("careen.rollout.other"));

        let mut value = named("careen.result.");
        value["Spec"]["Name"] = "careen.result.k3x9.other.g1".into();
        assert!(error(node_result(&config(&value).unwrap())).contains("careen.result.k3x9.other.g1"));
    }
}
