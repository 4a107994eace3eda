//! One look at this agent's gates, over the host's own socket: what [`careen_protocol::gates`] decides from.

use crate::engine_process::engine_instance;
use careen_engine::{Engine, EngineError, escaped};
use careen_model::settings::RolloutPart;
use careen_protocol::gates::{Gate, Look};
use serde::Deserialize;
use std::collections::BTreeMap;

/// On the container of each task of a service: the service's name.
const SERVICE_NAME: &str = "com.docker.swarm.service.name";

/// How each gate stands, and when its container was created.
type Numbered = BTreeMap<u8, (Gate, i64)>;

/// An agent's gates.
#[derive(Debug)]
pub struct Gates {
    prefix: String,
    count: u8,
    own_container: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    state: String,
}

impl Gates {
    /// Those of the agent in this container.
    pub fn new(part: &RolloutPart, own_container: Option<String>) -> Self {
        Self { prefix: part.gate.clone(), count: part.gates, own_container }
    }

    /// Looks; `None` when the engine does not say.
    pub fn look(&self) -> Option<Look> {
        let before = engine_instance();
        let (gates, agent_runs) = self.ask().ok()?;
        let engine = before.filter(|before| engine_instance().as_ref() == Some(before));
        Some(Look { engine, agent_runs, gates })
    }

    fn ask(&self) -> Result<(Numbered, bool), EngineError> {
        let engine = Engine::connect()?;
        let list = |filter: &str| -> Result<Vec<Listed>, EngineError> {
            engine.get(&format!("/containers/json?all=1&filters={}", escaped(filter)))
        };
        let found = list(&format!("{{\"name\":[\"{}\"]}}", self.prefix))?;
        let own = match &self.own_container {
            Some(id) => list(&format!("{{\"id\":[\"{id}\"]}}"))?,
            None => Vec::new(),
        };
        let agent_runs = own.iter().any(|container| standing(&container.state) == Gate::Running);
        Ok((self.by_number(&found), agent_runs))
    }

    /// Of a gate that has several containers the one counts that runs: Swarm may have started it again.
    fn by_number(&self, found: &[Listed]) -> Numbered {
        let mut gates = BTreeMap::new();
        for container in found {
            let name = container.labels.get(SERVICE_NAME).and_then(|name| name.strip_prefix(&self.prefix));
            let number = name.and_then(|number| number.parse::<u8>().ok());
            let Some(number) = number.filter(|number| (1..=self.count).contains(number)) else { continue };
            let standing = (standing(&container.state), container.created);
            let runs_already = gates.get(&number).is_some_and(|(gate, _)| *gate == Gate::Running);
            if standing.0 != Gate::Removed && !runs_already {
                gates.insert(number, standing);
            }
        }
        gates
    }
}

/// What the engine's word for a container's state means. One that is only created has never run.
fn standing(state: &str) -> Gate {
    match state {
        "running" | "paused" => Gate::Running,
        "created" | "restarting" => Gate::Removed,
        _ => Gate::Ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_gates_by_their_services_names() {
        let gates = Gates { prefix: "careen-k3x9-w1-g1-a2-gate".into(), count: 4, own_container: None };
        let container = |name: &str, state: &str, created| Listed {
            labels: [(SERVICE_NAME.to_owned(), name.to_owned())].into(),
            created,
            state: state.to_owned(),
        };
        let found = [
            container("careen-k3x9-w1-g1-a2-gate1", "running", 7),
            container("careen-k3x9-w1-g1-a2-gate2", "exited", 8),
            container("careen-k3x9-w1-g1-a2-gate2", "running", 9),
            container("careen-k3x9-w1-g1-a2-gate3", "created", 9),
            container("careen-k3x9-w1-g1-a2-gate4", "dead", 9),
            container("careen-k3x9-w1-g1-a2-gate9", "running", 9),
            container("careen-k3x9-w1-g1-a2-gatex", "running", 9),
            container("web-careen-k3x9-w1-g1-a2-gate1", "running", 9),
        ];
        let expected = [(1, (Gate::Running, 7)), (2, (Gate::Running, 9)), (4, (Gate::Ended, 9))];
        assert_eq!(gates.by_number(&found), expected.into());
    }
}
