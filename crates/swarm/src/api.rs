//! The few requests that everything here is made of.

use crate::decode::{self, ConfigObject, RawTask};
use crate::encode::{self, Scaled};
use crate::error::SwarmError;
use careen_contract::object;
use careen_engine::{ApiPath, Bell, Engine, EngineError, Kind, Ringer};
use careen_planner::observed::Node;
use careen_planner::{NodeId, ServiceId, Version};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The API in which jobs came.
const NEEDED_API: (u32, u32) = (1, 41);

/// A swarm, over the engine of one of its managers.
#[derive(Debug, Clone)]
pub struct Swarm {
    engine: Arc<Engine>,
}

/// Labels as they are changed: set, or taken away.
pub(crate) type LabelChange = BTreeMap<String, Option<String>>;

impl Swarm {
    /// Over the engine of this host.
    pub fn connect() -> Result<Self, SwarmError> {
        Self::over(Engine::connect()?)
    }

    /// Over the engine at this socket.
    pub fn connect_to(socket: &Path) -> Result<Self, SwarmError> {
        Self::over(Engine::connect_to(socket)?)
    }

    /// Over this engine.
    pub fn over(engine: Engine) -> Result<Self, SwarmError> {
        match engine.api() {
            Some(api) if api < NEEDED_API => Err(SwarmError::TooOld { api }),
            Some(_) | None => Ok(Self { engine: Arc::new(engine) }),
        }
    }

    /// The node of this engine; `None` when it is in no swarm.
    pub fn node_id(&self) -> Result<Option<String>, SwarmError> {
        let id = self.engine.info()?.swarm.node_id;
        Ok((!id.is_empty()).then_some(id))
    }

    /// The first rings when a node is created, changed or removed, by whomever, the second when a service, a config or a secret is,
    /// until they are dropped. But for the lock: that a controller lives is told every few seconds, and who waits for the lock looks
    /// by the clock.
    pub(crate) fn follow_events(&self, bell: &Bell) -> (Ringer, Ringer) {
        let follow = |kinds: &[&str]| {
            let engine = self.shared();
            let path = ApiPath::events(&json!({ "type": kinds }));
            bell.follow(path, move || Some(Arc::clone(&engine)), |line| !is_of_the_lock(line))
        };
        (follow(&["node"]), follow(&["service", "config", "secret"]))
    }

    pub(crate) fn shared(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn list(&self, kind: Kind, filters: &Value) -> Result<Vec<Value>, EngineError> {
        self.engine.get(&ApiPath::list(kind, filters))
    }

    pub(crate) fn nodes(&self) -> Result<Vec<Node>, SwarmError> {
        self.read_each(&ApiPath::all(Kind::Nodes), decode::node)
    }

    /// The same, and when each was written last.
    pub(crate) fn nodes_and_times(&self) -> Result<(Vec<Node>, BTreeMap<NodeId, String>), SwarmError> {
        let read = |json: &[u8]| Ok((decode::node(json)?, decode::written(json)));
        let (nodes, written): (Vec<Node>, Vec<_>) =
            self.read_each(&ApiPath::all(Kind::Nodes), read)?.into_iter().unzip();
        Ok((nodes, written.into_iter().flatten().collect()))
    }

    /// The nodes that fit these filters.
    pub(crate) fn nodes_that(&self, filters: &Value) -> Result<Vec<Node>, SwarmError> {
        self.read_each(&ApiPath::list(Kind::Nodes, filters), decode::node)
    }

    /// The tasks that fit these filters.
    pub(crate) fn tasks(&self, filters: &Value) -> Result<Vec<RawTask>, SwarmError> {
        self.read_each(&ApiPath::list(Kind::Tasks, filters), decode::task)
    }

    fn read_each<T>(
        &self,
        path: &ApiPath,
        read: impl Fn(&[u8]) -> Result<T, SwarmError>,
    ) -> Result<Vec<T>, SwarmError> {
        let mut found = Vec::new();
        self.engine.get_each(path, |json| {
            found.push(read(json)?);
            Ok::<(), SwarmError>(())
        })?;
        Ok(found)
    }

    /// All configs whose name begins with one of these.
    pub(crate) fn configs(&self, prefixes: &[&str]) -> Result<Vec<ConfigObject>, SwarmError> {
        self.configs_read_by(prefixes, decode::config)
    }

    /// The same whatever somebody may have put there: what is in them is judged by whoever reads them.
    pub(crate) fn any_configs(&self, prefixes: &[&str]) -> Result<Vec<ConfigObject>, SwarmError> {
        self.configs_read_by(prefixes, decode::any_config)
    }

    fn configs_read_by(
        &self,
        prefixes: &[&str],
        read: impl Fn(&Value) -> Result<ConfigObject, SwarmError>,
    ) -> Result<Vec<ConfigObject>, SwarmError> {
        let found = self.list(Kind::Configs, &json!({ "name": prefixes }))?;
        let wanted = |value: &&Value| {
            let name = value.pointer("/Spec/Name").and_then(Value::as_str).unwrap_or_default();
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        };
        found.iter().filter(wanted).map(read).collect()
    }

    /// A config as it is stored, and as it is understood.
    pub(crate) fn config(&self, name: &str) -> Result<Option<(Value, ConfigObject)>, SwarmError> {
        let Some(raw) = self.find(Kind::Configs, name)? else { return Ok(None) };
        decode::config(&raw).map(|config| Some((raw, config)))
    }

    pub(crate) fn create_config(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        data: &[u8],
    ) -> Result<(), EngineError> {
        let spec = encode::config_spec(name, labels, data);
        self.engine.create_object(Kind::Configs, &spec, None).map(drop)
    }

    /// Changes labels of a config, if it is still what it was.
    pub(crate) fn label_config(&self, raw: &Value, labels: &LabelChange) -> Result<(), EngineError> {
        self.update(Kind::Configs, raw, &encode::with_labels(&raw["Spec"], labels))
    }

    /// Removes a config; one that is gone is removed already.
    pub(crate) fn remove_config(&self, id: &str) -> Result<(), EngineError> {
        self.engine.remove_config(id)
    }

    pub(crate) fn raw(&self, kind: Kind, name: &str) -> Result<Value, EngineError> {
        self.engine.get(&ApiPath::object(kind, name))
    }

    pub(crate) fn find(&self, kind: Kind, name: &str) -> Result<Option<Value>, EngineError> {
        self.engine.find(&ApiPath::object(kind, name))
    }

    /// Writes an object's spec, with the version of what was read: the swarm refuses it when there is a newer one.
    pub(crate) fn update(&self, kind: Kind, read: &Value, spec: &Value) -> Result<(), EngineError> {
        let id = read["ID"].as_str().unwrap_or_default();
        self.engine.update_object(kind, id, version_of(read), spec)
    }
}

/// What became of scaling a service.
pub(crate) enum Scaling {
    Done,
    /// It is not what it was.
    Changed,
}

impl Swarm {
    /// Gives a service another number of tasks, if it is still what it was, and changes nothing else of it.
    pub(crate) fn scale(
        &self,
        service: &ServiceId,
        (version, from): (Version, u64),
        to: u64,
    ) -> Result<Scaling, EngineError> {
        let json = self.engine.whole_object(Kind::Services, &service.0)?;
        let json = std::str::from_utf8(&json).unwrap_or_default();
        let read = Scaled::of(json).filter(|read| (read.version, read.replicas) == (version.0, from));
        let Some((read, spec)) = read.and_then(|read| Some((read, read.to(to)?))) else {
            return Ok(Scaling::Changed);
        };
        self.engine.update_whole(Kind::Services, read.id, read.version, &spec)?;
        Ok(Scaling::Done)
    }
}

/// Whether an event is one of the lock's: events tell the name of their object.
fn is_of_the_lock(event: &[u8]) -> bool {
    let name = format!("\"name\":\"{}\"", object::LOCK);
    event.windows(name.len()).any(|window| window == name.as_bytes())
}

/// The version of an object as it was read.
pub(crate) fn version_of(raw: &Value) -> u64 {
    raw.pointer("/Version/Index").and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_controller_lives_is_no_news() {
        let event = |name: &str| {
            let actor = json!({ "ID": "c1", "Attributes": { "name": name } });
            json!({ "Type": "config", "Action": "update", "Actor": actor, "scope": "swarm" }).to_string()
        };
        assert!(is_of_the_lock(event("careen.lock").as_bytes()));
        assert!(!is_of_the_lock(event("careen.lock2").as_bytes()));
        assert!(!is_of_the_lock(event("careen.rollout.k3x9").as_bytes()));
    }

    const SERVICE: &str = r#"{"ID":"x1","Version":{"Index":7},"Spec":{"Name":"web","Later":[1e3],"Mode":{"Replicated":{"Replicas":6}}}}"#;

    /// A manager whose store has one service; what it is asked goes to the sender, the first line and the body.
    fn manager(asked: std::sync::mpsc::Sender<(String, String)>) -> (tempfile::TempDir, Swarm) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (first, sent) = careen_testing::request(&mut stream);
                asked.send((first.clone(), String::from_utf8(sent).unwrap())).unwrap();
                let body = if first.starts_with("GET /services/") { SERVICE } else { "{}" };
                careen_testing::answer(stream, "200 OK", body.as_bytes());
            }
        });
        let swarm = Swarm::connect_to(&socket).unwrap();
        (dir, swarm)
    }

    #[test]
    fn a_service_is_scaled_as_it_was_read_and_only_then() {
        let (sender, asked) = std::sync::mpsc::channel();
        let (_dir, swarm) = manager(sender);
        let web = ServiceId("x1".to_owned());
        let scale = |version, from, to| swarm.scale(&web, (Version(version), from), to).unwrap();
        assert!(matches!(scale(7, 6, 7), Scaling::Done));
        assert!(matches!(scale(8, 6, 7), Scaling::Changed), "somebody has written it since");
        assert!(matches!(scale(7, 7, 6), Scaling::Changed), "somebody else has scaled it");
        let asked: Vec<(String, String)> = asked.try_iter().skip(1).collect();
        let requests: Vec<&str> = asked.iter().map(|(first, _)| first.as_str()).collect();
        let read = "GET /services/x1 HTTP/1.1";
        assert_eq!(requests, [read, "POST /services/x1/update?version=7 HTTP/1.1", read, read]);
        assert_eq!(asked[1].1, r#"{"Name":"web","Later":[1e3],"Mode":{"Replicated":{"Replicas":7}}}"#);
    }
}
