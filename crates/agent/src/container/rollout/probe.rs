//! Whether a new container starts on this host. An engine that answers may have a runtime that starts none: after an upgrade of
//! runc, say, all that runs goes on, and everything that is placed on the node fails.

use careen_contract::label::{self, role};
use careen_engine::{Container, Engine, EngineError};
use serde_json::json;
use std::path::Path;

/// What is started, and under which name.
#[derive(Debug)]
pub struct Probe<'a> {
    /// The container that this agent runs in: its image is on the host.
    pub own: &'a Container,
    /// Where the agent lies in it.
    pub program: &'a Path,
    /// The new container's name.
    pub name: String,
}

impl Probe<'_> {
    /// Starts a container and sees it end; an error in the engine's or its runtime's own words when it does not. What an earlier
    /// try has left of it is removed before, and what this one leaves behind.
    pub fn start(&self) -> Result<(), String> {
        let engine = Engine::connect().map_err(|error| error.to_string())?;
        let remove = || engine.remove_container_if_there(&self.name).map_err(|error| error.to_string());
        remove()?;
        let started = self.start_on(&engine);
        started.and(remove())
    }

    fn start_on(&self, engine: &Engine) -> Result<(), String> {
        let body = json!({
            "Image": self.own.image,
            "Entrypoint": [self.program],
            "Cmd": ["--version"],
            "Labels": { label::ROLE: role::PROBE },
            "HostConfig": { "NetworkMode": "none" },
        });
        let ended = engine.create_named_container(&self.name, &body).and_then(|id| {
            engine.start_container(&id)?;
            Ok((engine.wait_container(&id)?, id))
        });
        match ended.map_err(|error| in_its_words(&error))? {
            (0, _) => Ok(()),
            (status, id) => {
                let said = engine.last_words(&id).unwrap_or_default();
                Err(format!("it ended with status {status}: {}", said.trim()))
            }
        }
    }
}

/// What the engine says of it, without what was asked.
fn in_its_words(error: &EngineError) -> String {
    if let EngineError::Answer { message, .. } = error { message.clone() } else { error.to_string() }
}
