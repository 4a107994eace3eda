//! Whether Swarm has started this agent twice. A manager that has lost the lead and has it again goes on with what it did as
//! leader before, beside what it does now: each job gets a task more, on the same node, until another manager leads. It also
//! starts a job's task again that has failed. Of all containers of one agent only the first does anything.

use crate::container::identity::{Place, SERVICE_ID};
use crate::say::say;
use crate::stop::Stop;
use careen_contract::AgentExit;
use careen_engine::{ApiPath, Engine, EngineError};
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    created: i64,
}

/// Whether another container is this agent's first. Nobody may act who does not know.
pub fn is_one(place: &Place) -> Result<bool, Stop> {
    let (Some(engine), Some(own)) = (&place.engine, &place.container) else { return Ok(false) };
    let Some(service) = own.config.labels.get(SERVICE_ID) else { return Ok(false) };
    let all = list(engine, service).map_err(|error| {
        let error = careen_contract::chain(&error);
        let message = format!("cannot tell whether this agent was started twice: {error}");
        Stop::new(AgentExit::Interrupted, message)
    })?;
    let first = first(&all).filter(|first| first.id != own.id);
    if let Some(first) = first {
        say(format_args!("Swarm has started this agent twice: the container {} does the work", first.id));
    }
    Ok(first.is_some())
}

fn list(engine: &Engine, service: &str) -> Result<Vec<Listed>, EngineError> {
    let label = format!("{SERVICE_ID}={service}");
    engine.get(&ApiPath::containers(&json!({ "label": [label] })))
}

fn first(all: &[Listed]) -> Option<&Listed> {
    all.iter().min_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_the_oldest_and_the_same_for_all_that_look() {
        let listed = |id: &str, created| Listed { id: id.into(), created };
        let all = [listed("c", 8), listed("b", 7), listed("a", 7), listed("d", 9)];
        assert_eq!(first(&all), Some(&listed("a", 7)));
        assert_eq!(first(&all[..2]), Some(&listed("b", 7)));
        assert_eq!(first(&[]), None);
    }
}
