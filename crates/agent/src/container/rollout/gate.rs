//! The gate: a container beside this agent whose end is the go.
//!
//! It is the way down to a host that can get no new task, because it is drained. The agent looks over the host's own
//! socket, so nothing else has to reach it.

use crate::engine_process::engine_instance;
use careen_engine::{Engine, escaped};
use careen_model::removal::EngineInstance;
use serde::Deserialize;

/// A gate, and what this agent has seen of it.
#[derive(Debug)]
pub struct Gate {
    service: String,
    engine: Option<EngineInstance>,
    seen: bool,
}

/// How a gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its container has not been seen yet.
    NotSeen,
    /// Its container runs, or nobody knows just now.
    Closed,
    /// Its container was seen and is gone: go.
    Open,
    /// The engine is another one than at the beginning: that took the container away, and is no go.
    Cancelled,
}

impl Gate {
    /// The gate of this service; the engine that runs now is the one that counts.
    pub fn new(service: &str) -> Self {
        Self { service: service.to_owned(), engine: engine_instance(), seen: false }
    }

    /// Looks at it.
    pub fn look(&mut self) -> Standing {
        let runs = self.runs();
        let same_engine = self.engine.is_some() && engine_instance() == self.engine;
        self.seen |= runs == Some(true);
        judge(self.seen, runs, same_engine)
    }

    /// Whether its container runs; `None` when the engine does not say.
    fn runs(&self) -> Option<bool> {
        #[derive(Deserialize)]
        struct Listed {}
        let filter = format!("{{\"label\":[\"com.docker.swarm.service.name={}\"]}}", self.service);
        let engine = Engine::connect().ok()?;
        let found: Vec<Listed> =
            engine.get(&format!("/containers/json?filters={}", escaped(&filter))).ok()?;
        Some(!found.is_empty())
    }
}

fn judge(seen: bool, runs: Option<bool>, same_engine: bool) -> Standing {
    match (same_engine, seen, runs) {
        (false, _, _) => Standing::Cancelled,
        (true, false, _) => Standing::NotSeen,
        (true, true, Some(false)) => Standing::Open,
        (true, true, Some(true) | None) => Standing::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_gate_that_was_seen_under_the_same_engine_is_a_go() {
        assert_eq!(judge(true, Some(false), true), Standing::Open);
        assert_eq!(judge(false, Some(false), true), Standing::NotSeen, "it may not have been placed yet");
        assert_eq!(judge(true, Some(true), true), Standing::Closed);
        assert_eq!(judge(true, None, true), Standing::Closed, "an engine that says nothing says no go");
        for runs in [Some(true), Some(false), None] {
            assert_eq!(judge(true, runs, false), Standing::Cancelled);
            assert_eq!(judge(false, runs, false), Standing::Cancelled);
        }
    }
}
