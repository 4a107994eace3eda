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

/// Why no new container starts.
#[derive(Debug, thiserror::Error)]
pub enum NoStart {
    /// The engine cannot be asked, or does not make room.
    #[error("{0}")]
    Engine(EngineError),
    /// The engine or its runtime refuses: its own words, without what was asked.
    #[error("{}", in_its_words(.0))]
    Refused(EngineError),
    /// It started, and failed.
    #[error("it ended with status {status}: {said}")]
    Failed {
        status: i64,
        /// The last that it wrote.
        said: String,
    },
}

impl Probe<'_> {
    /// Starts a container and sees it end. What an earlier
    /// try has left of it is removed before, and what this one leaves behind.
    pub fn start(&self) -> Result<(), NoStart> {
        let engine = Engine::connect().map_err(NoStart::Engine)?;
        let remove = || engine.remove_container_if_there(&self.name).map_err(NoStart::Engine);
        remove()?;
        let started = self.start_on(&engine);
        started.and(remove())
    }

    fn start_on(&self, engine: &Engine) -> Result<(), NoStart> {
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
        match ended.map_err(NoStart::Refused)? {
            (0, _) => Ok(()),
            (status, id) => {
                let said = engine.last_words(&id).unwrap_or_default();
                Err(NoStart::Failed { status, said: said.trim().to_owned() })
            }
        }
    }
}

/// What the engine says of it, without what was asked.
fn in_its_words(error: &EngineError) -> String {
    if let EngineError::Answer { message, .. } = error { message.clone() } else { error.to_string() }
}
