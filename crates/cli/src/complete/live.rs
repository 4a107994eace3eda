//! Names out of the swarm, for somebody who waits with a finger on a key: after a short time, and on every error, there are none.

use super::Sought;
use crate::connect::{self, Route};
use careen_contract::object;
use careen_engine::{ApiPath, Engine, EngineError, Kind};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long the names are waited for.
const LIMIT: Duration = Duration::from_millis(1500);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    description: Description,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    hostname: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    spec: Named,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: String,
}

/// What is sought, as far as the first engine that can be reached tells it in time. Who asked goes on then: a thread that still waits
/// ends with the process.
pub fn names(sought: Sought, routes: Vec<Route>) -> Vec<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let found = connect::any_engine(&routes).ok().and_then(|engine| ask(&engine, sought).ok());
        // Nobody listens any more.
        let _late = send.send(found.unwrap_or_default());
    });
    receive.recv_timeout(LIMIT).unwrap_or_default().into_iter().collect()
}

fn ask(engine: &Engine, sought: Sought) -> Result<BTreeSet<String>, EngineError> {
    match sought {
        Sought::Nodes => {
            let nodes: Vec<Node> = engine.get(&ApiPath::all(Kind::Nodes))?;
            Ok(nodes.into_iter().map(|node| node.description.hostname).collect())
        }
        Sought::Rollouts => {
            let named = json!({ "name": [object::ROLLOUTS, object::HISTORIES] });
            let configs: Vec<Config> = engine.get(&ApiPath::list(Kind::Configs, &named))?;
            Ok(configs.iter().filter_map(|config| rollout(&config.spec.name)).map(str::to_owned).collect())
        }
        Sought::Enforcements => {
            let named = json!({ "name": [object::ENFORCEMENTS] });
            let configs: Vec<Config> = engine.get(&ApiPath::list(Kind::Configs, &named))?;
            let of = |config: &Config| {
                let rest = config.spec.name.strip_prefix(object::ENFORCEMENTS)?;
                rest.split('.').next().filter(|name| !name.is_empty()).map(str::to_owned)
            };
            Ok(configs.iter().filter_map(of).collect())
        }
        Sought::Nothing | Sought::Files | Sought::Directories => Ok(BTreeSet::new()),
    }
}

/// The rollout of a config: that of its spec, or a part of its record.
fn rollout(name: &str) -> Option<&str> {
    let id = name.strip_prefix(object::ROLLOUTS).or_else(|| name.strip_prefix(object::HISTORIES))?;
    id.split('.').next().filter(|id| !id.is_empty())
}
