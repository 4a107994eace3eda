//! One look at this agent's gates, over the host's own socket: what [`careen_protocol::gates`] decides from. How one of them
//! ended the engine knows from its last events, also when its container is gone.

use crate::engine_process::engine_instance;
use careen_contract::settings::RolloutPart;
use careen_engine::{ApiPath, Engine, EngineError};
use careen_protocol::gates::{Gate, Look};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// On the container of each task of a service: the service's name.
const SERVICE_NAME: &str = "com.docker.swarm.service.name";

/// What a gate exits with that is told to stop.
const TOLD_TO_STOP: &str = "0";

/// How long the engine may take to tell its last events.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How each gate stands, and when its container was created.
type Numbered = BTreeMap<u8, (Gate, i64)>;

#[derive(Debug)]
pub struct Gates {
    prefix: String,
    count: u8,
    own_container: Option<String>,
    /// The containers of which it is not known how they ended, with their gates' numbers.
    alive: BTreeMap<String, u8>,
    killed: BTreeSet<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    id: String,
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
        let (alive, killed) = (BTreeMap::new(), BTreeSet::new());
        Self { prefix: part.gate.clone(), count: part.gates, own_container, alive, killed }
    }

    /// Looks; `None` when the engine does not say.
    pub fn look(&mut self) -> Option<Look> {
        let before = engine_instance();
        let (gates, agent_runs) = self.ask().ok()?;
        let engine = before.filter(|before| engine_instance().as_ref() == Some(before));
        Some(Look { engine, agent_runs, gates, killed: self.killed.clone() })
    }

    fn ask(&mut self) -> Result<(Numbered, bool), EngineError> {
        let engine = Engine::connect()?;
        let list = |filters: Value| -> Result<Vec<Listed>, EngineError> {
            engine.get(&ApiPath::containers(&filters))
        };
        let found = list(json!({ "name": [self.prefix] }))?;
        let own = match &self.own_container {
            Some(id) => list(json!({ "id": [id] }))?,
            None => Vec::new(),
        };
        let agent_runs = own.iter().any(|container| standing(&container.state) == Gate::Running);
        let ended = self.ended(&found);
        if !ended.is_empty() {
            let text = engine.get_bytes_within(&deaths_of(&ended, SystemTime::now()), ANSWER_LIMIT)?;
            self.take_deaths(&text);
        }
        Ok((self.by_number(&found), agent_runs))
    }

    /// Which containers ran at an earlier look, and do not now.
    fn ended(&mut self, found: &[Listed]) -> Vec<String> {
        let runs =
            |id: &String| found.iter().any(|one| one.id == *id && standing(&one.state) == Gate::Running);
        let ended = self.alive.keys().filter(|id| !runs(id)).cloned().collect();
        for container in found.iter().filter(|one| standing(&one.state) == Gate::Running) {
            if let Some(number) = self.number(container) {
                self.alive.insert(container.id.clone(), number);
            }
        }
        ended
    }

    /// Takes what the engine knows of how they ended. Of what it has forgotten nobody knows more than that it is gone.
    fn take_deaths(&mut self, events: &[u8]) {
        for death in deaths(events) {
            if let Some(number) = self.alive.remove(&death.actor.id)
                && death.actor.attributes.exit_code != TOLD_TO_STOP
            {
                self.killed.insert(number);
            }
        }
    }

    fn number(&self, container: &Listed) -> Option<u8> {
        let name = container.labels.get(SERVICE_NAME).and_then(|name| name.strip_prefix(&self.prefix));
        let number = name.and_then(|number| number.parse::<u8>().ok());
        number.filter(|number| (1..=self.count).contains(number))
    }

    /// Of a gate that has several containers the one counts that runs: Swarm may have started it again.
    fn by_number(&self, found: &[Listed]) -> Numbered {
        let mut gates = BTreeMap::new();
        for container in found {
            let Some(number) = self.number(container) else { continue };
            let standing = (standing(&container.state), container.created);
            let runs_already = gates.get(&number).is_some_and(|(gate, _)| *gate == Gate::Running);
            if standing.0 != Gate::Removed && !runs_already {
                gates.insert(number, standing);
            }
        }
        gates
    }
}

/// An event of a container that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Death {
    #[serde(rename = "Actor")]
    actor: Actor,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes")]
    attributes: Attributes,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Attributes {
    #[serde(rename = "exitCode")]
    exit_code: String,
}

/// Asks for what is over, so that the answer ends at once.
fn deaths_of(containers: &[String], now: SystemTime) -> ApiPath {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let filters = json!({ "type": ["container"], "event": ["die"], "container": containers });
    let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    ApiPath::events_until(&until, &filters)
}

fn deaths(events: &[u8]) -> Vec<Death> {
    serde_json::Deserializer::from_slice(events).into_iter().map_while(Result::ok).collect()
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

    fn four() -> Gates {
        Gates {
            prefix: "careen-k3x9-w1-g1-a2-gate".into(),
            count: 4,
            own_container: None,
            alive: BTreeMap::new(),
            killed: BTreeSet::new(),
        }
    }

    #[test]
    fn the_engines_last_events_tell_which_gates_were_killed() {
        let mut gates = four();
        let runs = |number: u8| Listed {
            id: format!("c{number}"),
            labels: [(SERVICE_NAME.to_owned(), format!("careen-k3x9-w1-g1-a2-gate{number}"))].into(),
            created: 1,
            state: "running".to_owned(),
        };
        assert_eq!(gates.ended(&[runs(1), runs(2), runs(3)]), [""; 0]);
        assert_eq!(gates.ended(&[runs(3)]), ["c1", "c2"]);
        // As 20.10 tells it, one behind the other.
        let event = |id: &str, code: &str| {
            format!(
                r#"{{"status":"die","id":"{id}","from":"x","Type":"container","Action":"die","Actor":{{"ID":"{id}","Attributes":{{"exitCode":"{code}","image":"x"}}}},"scope":"local","time":1}}"#
            )
        };
        gates.take_deaths(format!("{}\n{}\n", event("c1", "0"), event("c2", "137")).as_bytes());
        assert_eq!(gates.killed, [2].into());
        assert_eq!(gates.ended(&[runs(3)]), [""; 0], "it is asked once");
        assert_eq!(gates.ended(&[]), ["c3"]);
        gates.take_deaths(b"");
        assert_eq!(gates.killed, [2].into(), "what the engine has forgotten tells nothing");
    }

    #[test]
    fn containers_are_gates_by_their_services_names() {
        let gates = four();
        let container = |name: &str, state: &str, created| Listed {
            id: String::new(),
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
