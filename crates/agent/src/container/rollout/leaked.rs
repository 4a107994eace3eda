//! What earlier rollouts have left on this host: engines before 23.0.2 keep the containers of a job whose service was
//! removed, running ones included.

use crate::say::say;
use careen_contract::chain;
use careen_contract::label::{self, ROLE, role};
use careen_engine::{ApiPath, Engine, EngineError};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Removes the containers of other rollouts' jobs: there is one rollout at a time in a swarm. What they started on the host
/// goes on. That one stays does no harm, so it is only said.
pub fn remove(engine: &Engine, rollout: &str) {
    let removed = find(engine).and_then(|found| {
        let leaked = of_other_rollouts(&found, rollout);
        leaked.iter().try_for_each(|container| engine.remove_container_if_there(&container.id))?;
        Ok(leaked.len())
    });
    match removed {
        Ok(0) => {}
        Ok(count) => {
            say(format_args!("removed what earlier rollouts left on this host, {count} container(s)"))
        }
        Err(error) => say(format_args!("what earlier rollouts left on this host stays: {}", chain(&error))),
    }
}

fn find(engine: &Engine) -> Result<Vec<Listed>, EngineError> {
    engine.get(&ApiPath::containers(&json!({ "label": [ROLE, "com.docker.swarm.task.id"] })))
}

/// Agents first: to one that still waits, the end of its gate would be a go.
fn of_other_rollouts<'a>(found: &'a [Listed], rollout: &str) -> Vec<&'a Listed> {
    let label = |container: &Listed, name: &str| container.labels.get(name).cloned().unwrap_or_default();
    let is_job = |container: &Listed| {
        label(container, ROLE) == role::AGENT || label(container, ROLE).starts_with(role::GATE)
    };
    let other = |container: &&Listed| {
        is_job(container) && !["", rollout].contains(&label(container, label::ROLLOUT).as_str())
    };
    let mut leaked: Vec<&Listed> = found.iter().filter(other).collect();
    leaked.sort_by_key(|container| label(container, ROLE) != role::AGENT);
    leaked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_jobs_of_other_rollouts_and_agents_before_their_gates() {
        let container = |id: &str, rollout: &str, role: &str| Listed {
            id: id.into(),
            labels: [(label::ROLLOUT, rollout), (ROLE, role)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        };
        let found = [
            container("gate", "old", "gate-run"),
            container("agent", "old", "agent"),
            container("own", "new", "agent"),
            container("controller", "old", "controller"),
            container("unknown", "", "agent"),
        ];
        let ids: Vec<&str> = of_other_rollouts(&found, "new").iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["agent", "gate"]);
    }
}
