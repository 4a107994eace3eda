//! The few requests that everything here is made of.

use crate::decode::{self, ConfigObject};
use crate::encode;
use crate::error::SwarmError;
use careen_engine::{Engine, EngineError, escaped};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The API in which jobs came.
const NEEDED_API: (u32, u32) = (1, 41);

/// A swarm, over the engine of one of its managers.
#[derive(Debug, Clone)]
pub struct Swarm {
    engine: Arc<Engine>,
}

/// Labels as they are changed: set, or taken away.
pub(crate) type LabelChange = BTreeMap<String, Option<String>>;

impl Swarm {
    /// Over the engine of this host.
    pub fn connect() -> Result<Self, SwarmError> {
        Self::over(Engine::connect()?)
    }

    /// Over the engine at this socket.
    pub fn connect_to(socket: &Path) -> Result<Self, SwarmError> {
        Self::over(Engine::connect_to(socket)?)
    }

    /// Over this engine.
    pub fn over(engine: Engine) -> Result<Self, SwarmError> {
        match engine.api() {
            Some(api) if api < NEEDED_API => Err(SwarmError::TooOld { api }),
            Some(_) | None => Ok(Self { engine: Arc::new(engine) }),
        }
    }

    /// The node of this engine; `None` when it is in no swarm.
    pub fn node_id(&self) -> Result<Option<String>, SwarmError> {
        let id = self.engine.info()?.swarm.node_id;
        Ok((!id.is_empty()).then_some(id))
    }

    pub(crate) fn shared(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn list(&self, what: &str, filters: &Value) -> Result<Vec<Value>, EngineError> {
        let separator = if what.contains('?') { '&' } else { '?' };
        self.engine.get(&format!("/{what}{separator}filters={}", escaped(&filters.to_string())))
    }

    /// All configs whose name begins with one of these.
    pub(crate) fn configs(&self, prefixes: &[&str]) -> Result<Vec<ConfigObject>, SwarmError> {
        let found = self.list("configs", &json!({ "name": prefixes }))?;
        let wanted = |value: &&Value| {
            let name = value.pointer("/Spec/Name").and_then(Value::as_str).unwrap_or_default();
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        };
        found.iter().filter(wanted).map(decode::config).collect()
    }

    /// A config as it is stored, and as it is understood.
    pub(crate) fn config(&self, name: &str) -> Result<Option<(Value, ConfigObject)>, SwarmError> {
        match self.engine.get::<Value>(&format!("/configs/{name}")) {
            Ok(raw) => decode::config(&raw).map(|config| Some((raw, config))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn create_config(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        data: &[u8],
    ) -> Result<(), EngineError> {
        let spec = encode::config_spec(name, labels, data);
        self.engine.post::<Value>("/configs/create", &spec).map(drop)
    }

    /// Changes labels of a config, if it is still what it was.
    pub(crate) fn label_config(&self, raw: &Value, labels: &LabelChange) -> Result<(), EngineError> {
        self.update("configs", raw, &encode::with_labels(&raw["Spec"], labels))
    }

    /// Removes a config; one that is gone is removed already.
    pub(crate) fn remove_config(&self, id: &str) -> Result<(), EngineError> {
        self.engine.remove_config(id)
    }

    pub(crate) fn raw(&self, kind: &str, name: &str) -> Result<Value, EngineError> {
        self.engine.get(&format!("/{kind}/{name}"))
    }

    /// Writes an object's spec, with the version of what was read: the swarm refuses it when there is a newer one.
    pub(crate) fn update(&self, kind: &str, read: &Value, spec: &Value) -> Result<(), EngineError> {
        let id = read["ID"].as_str().unwrap_or_default();
        self.engine.post_only(&format!("/{kind}/{id}/update?version={}", version_of(read)), spec)
    }
}

/// The version of an object as it was read.
pub(crate) fn version_of(raw: &Value) -> u64 {
    raw.pointer("/Version/Index").and_then(Value::as_u64).unwrap_or(0)
}
