//! The engine's JSON in, the planner's words out. No I/O: tested with what a real swarm answered.
//!
//! Fields that are not here are not looked at; one that is here and has another shape is an error that names the
//! object. Nothing that cannot be read is taken for absent.

mod job;
mod needs;
mod node;
mod record;
mod service;
mod task;

pub use job::{JobService, job_service};
pub use node::node;
pub use record::{
    ConfigObject, baseline, config, control, gone, lock, node_result, payload, rollout_record, spec,
};
pub use service::service;
pub use task::{RawTask, task, troubles};

use crate::error::SwarmError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One object of a list, or why it cannot be understood.
fn object<T: DeserializeOwned>(kind: &str, value: &Value) -> Result<T, SwarmError> {
    T::deserialize(value).map_err(|error| SwarmError::corrupt(named(kind, value), error))
}

/// An object's kind with its name, or with its id where it has none.
fn named(kind: &str, value: &Value) -> String {
    let name = ["/Spec/Name", "/Description/Hostname", "/ID"].iter().find_map(|path| value.pointer(path));
    format!("the {kind} {}", name.and_then(Value::as_str).unwrap_or("without a name"))
}

/// Go's empty maps and lists are null, or left out.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    #[serde(default)]
    index: u64,
}
