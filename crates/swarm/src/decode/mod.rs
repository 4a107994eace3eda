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

pub use job::{JobService, job_service, name};
pub use node::{node, written};
pub use record::{
    ConfigObject, any_config, baseline, config, control, enforcement, gone, lock, node_result, payload,
    rollout_record, spec,
};
pub use service::{Uncounted, service};
pub use task::{RawTask, in_question, task, troubles};

use crate::error::SwarmError;
use careen_engine::EngineError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One object, or why it cannot be understood.
fn object<T: DeserializeOwned>(kind: &str, json: &[u8]) -> Result<T, SwarmError> {
    serde_json::from_slice(json).map_err(|error| match serde_json::from_slice::<Value>(json) {
        // Said once more without where in the line it is, which helps nobody.
        Ok(value) => {
            let why = T::deserialize(&value).err().unwrap_or(error);
            SwarmError::corrupt(named(kind, &value), why)
        }
        Err(source) => {
            EngineError::Malformed { request: format!("the question for each {kind}"), source }.into()
        }
    })
}

/// An object's kind with its name, or with its id where it has none.
fn named(kind: &str, value: &Value) -> String {
    let name = ["/Spec/Name", "/Description/Hostname", "/ID"].iter().find_map(|path| value.pointer(path));
    format!("the {kind} {}", name.and_then(Value::as_str).unwrap_or("without a name"))
}

/// The same of one that was read.
fn called(kind: &str, json: &[u8]) -> String {
    named(kind, &serde_json::from_slice(json).unwrap_or_default())
}

#[cfg(test)]
pub(crate) fn json(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
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
