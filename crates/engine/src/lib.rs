//! A docker engine, over its unix socket: what agents and controllers need of its API, and no more.
//!
//! Requests carry the engine's own API version (from `/_ping`), capped at what this code was written against.

mod answer;
mod archive;
mod bell;
mod elements;
mod error;
pub mod frames;
mod meaning;
mod path;
mod registry;
pub mod tar;
pub mod transport;

pub use answer::{
    Cluster, Config, ConfigSpec, Container, ContainerConfig, Info, RemoteManager, SwarmInfo, Version,
};
pub use archive::FileInContainer;
pub use bell::{Bell, Ringer};
pub use error::EngineError;
pub use meaning::{Meaning, says_no_such_image};
pub use path::{ApiPath, Kind, LogQuery, Source};
pub use registry::{Pushed, RegistryAuth};

use careen_contract::quorum::{Called, Manager};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use transport::{NoNames, Transport, UnixSocket, Way};

/// Where engines listen, in the order in which they are tried.
pub const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];

/// The newest API whose answers this code was read against.
const NEWEST_API: (u32, u32) = (1, 51);

/// No request of an agent takes long; an engine that does not answer within this is not there.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest answer taken. All nodes or tasks of a swarm of thousands of nodes are tens of megabytes.
const LONGEST_ANSWER: u64 = 512 << 20;

/// What is shown of a log beside an error.
const LAST_WORDS: LogQuery =
    LogQuery { stdout: true, timestamps: false, tail: Some(5), since: None, follow: false, details: false };

/// A connection to one engine.
#[derive(Debug)]
pub struct Engine {
    agent: ureq::Agent,
    /// For people.
    at: String,
    api: Option<(u32, u32)>,
    prefix: String,
}

impl Engine {
    /// Connects to the first of the host's sockets that answers a ping.
    pub fn connect() -> Result<Self, EngineError> {
        let mut last = None;
        for socket in SOCKETS {
            match Self::connect_to(Path::new(socket)) {
                Ok(engine) => return Ok(engine),
                // The first refusal says more than 'no such file' of the second path.
                Err(error) => last = last.or(Some(error)),
            }
        }
        Err(last.unwrap_or_else(|| EngineError::Answer {
            status: 0,
            request: "ping".into(),
            message: "no socket to ask".into(),
        }))
    }

    /// Connects to the engine at this socket.
    pub fn connect_to(socket: &Path) -> Result<Self, EngineError> {
        Self::over(UnixSocket(socket.to_owned()))
    }

    /// Connects to an engine this way.
    pub fn over(transport: impl Transport) -> Result<Self, EngineError> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .max_idle_connections(1)
            .build();
        let at = transport.at();
        let agent = ureq::Agent::with_parts(config, Way(Arc::new(transport)), NoNames);
        let mut engine = Self { agent, at, api: None, prefix: String::new() };
        let pong =
            engine.agent.get("http://docker/_ping").call().map_err(|source| engine.unreachable(source))?;
        let api = pong.headers().get("Api-Version").and_then(|version| version.to_str().ok());
        engine.api = api.and_then(parse_version);
        engine.prefix = version_prefix(engine.api);
        Ok(engine)
    }

    /// Whether it answers, and well.
    pub fn ping(&self) -> Result<(), EngineError> {
        self.get_bytes(&ApiPath::ping()).map(drop)
    }

    /// The newest API that the engine speaks; none when it does not say.
    pub fn api(&self) -> Option<(u32, u32)> {
        self.api
    }

    /// Inspects a container.
    pub fn container(&self, id: &str) -> Result<Container, EngineError> {
        self.get(&ApiPath::container(id))
    }

    /// Asks the engine about itself.
    pub fn info(&self) -> Result<Info, EngineError> {
        self.get(&ApiPath::info())
    }

    /// Creates a container and returns its id.
    pub fn create_container(&self, body: &Value) -> Result<String, EngineError> {
        self.create(&ApiPath::create_container(None), body)
    }

    /// Creates a container with this name and returns its id.
    pub fn create_named_container(&self, name: &str, body: &Value) -> Result<String, EngineError> {
        self.create(&ApiPath::create_container(Some(name)), body)
    }

    fn create(&self, path: &ApiPath, body: &Value) -> Result<String, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Created {
            id: String,
        }
        self.post::<Created>(path, body).map(|created| created.id)
    }

    /// Starts a container.
    pub fn start_container(&self, id: &str) -> Result<(), EngineError> {
        // Without any body: engines take another one for the host's configuration of old, and refuse it.
        let path = ApiPath::start_container(id);
        let answer = self.agent.post(self.url(&path)).send_empty();
        self.text(format!("POST {path}"), answer).map(drop)
    }

    /// Waits until a container has ended, and returns its exit code.
    pub fn wait_container(&self, id: &str) -> Result<i64, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Waited {
            status_code: i64,
        }
        self.post::<Waited>(&ApiPath::wait_container(id), &Value::Null).map(|waited| waited.status_code)
    }

    /// What a container has ended with; `None` while it has not.
    pub fn ended(&self, id: &str) -> Result<Option<u8>, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Inspected {
            state: State,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct State {
            status: String,
            exit_code: i64,
        }
        let Inspected { state } = self.get(&ApiPath::container(id))?;
        let is_over = matches!(state.status.as_str(), "exited" | "dead");
        Ok(is_over.then(|| u8::try_from(state.exit_code).unwrap_or(u8::MAX)))
    }

    /// Sends a signal to a container's first process.
    pub fn kill_container(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let path = ApiPath::kill_container(id, signal);
        let answer = self.agent.post(self.url(&path)).send_empty();
        self.text(format!("POST {path}"), answer).map(drop)
    }

    /// The last lines that a container without a terminal wrote, both streams together.
    pub fn last_words(&self, id: &str) -> Result<String, EngineError> {
        let path = ApiPath::logs(Source::Container(id), LAST_WORDS);
        self.get_bytes(&path).map(|frames| frames::text(&frames))
    }

    /// The last lines that a task without a terminal wrote, both streams together. Its node may be frozen: they are not waited
    /// for longer than this.
    pub fn last_words_of_task(&self, id: &str, limit: Duration) -> Result<String, EngineError> {
        let path = ApiPath::logs(Source::Task(id), LAST_WORDS);
        self.get_bytes_within(&path, limit).map(|frames| frames::text(&frames))
    }

    /// Makes sure that there is a volume of this name; one that is there stays as it is.
    pub fn create_volume(&self, name: &str, labels: &Value) -> Result<(), EngineError> {
        self.post_only(&ApiPath::create_volume(), &serde_json::json!({ "Name": name, "Labels": labels }))
    }

    /// Whether there is a volume of this name.
    pub fn has_volume(&self, name: &str) -> Result<bool, EngineError> {
        Ok(self.find::<Value>(&ApiPath::volume(name))?.is_some())
    }

    /// Removes a volume; one that is gone is removed already.
    pub fn remove_volume_if_there(&self, name: &str) -> Result<(), EngineError> {
        if_there(self.delete(&ApiPath::volume(name)))
    }

    /// Removes a container, running or not.
    pub fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        self.delete(&ApiPath::remove_container(id))
    }

    /// Removes a container, running or not; one that is gone already is no error.
    pub fn remove_container_if_there(&self, id: &str) -> Result<(), EngineError> {
        if_there(self.remove_container(id))
    }

    /// The managers of the swarm. Only a manager can be asked.
    pub fn managers(&self) -> Result<Vec<Manager>, EngineError> {
        #[derive(Deserialize)]
        struct Node {
            #[serde(rename = "ID")]
            id: String,
            #[serde(rename = "Status")]
            status: Status,
            #[serde(rename = "ManagerStatus")]
            manager: Option<ManagerStatus>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Status {
            state: String,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "PascalCase", default)]
        struct ManagerStatus {
            leader: bool,
            reachability: String,
        }
        let nodes: Vec<Node> =
            self.get(&ApiPath::list(Kind::Nodes, &serde_json::json!({ "role": ["manager"] })))?;
        let manager = |node: Node| {
            let status = node.manager.unwrap_or_default();
            Manager {
                node: node.id,
                reachable: status.reachability == "reachable",
                leader: status.leader,
                called: match node.status.state.as_str() {
                    "ready" => Called::Ready,
                    "down" => Called::Down,
                    _ => Called::Other,
                },
            }
        };
        Ok(nodes.into_iter().map(manager).collect())
    }

    /// Whether a manager of this swarm needs a key when its engine starts. Only a manager can be asked.
    pub fn is_autolocked(&self) -> Result<bool, EngineError> {
        let swarm: Value = self.get(&ApiPath::swarm())?;
        Ok(swarm.pointer("/Spec/EncryptionConfig/AutoLockManagers").and_then(Value::as_bool).unwrap_or(false))
    }

    /// The key that a manager of this swarm needs when its engine starts; `None` when it needs none. It is a secret: for
    /// comparing, never for printing.
    pub fn unlock_key(&self) -> Result<Option<String>, EngineError> {
        let answer: Value = self.get(&ApiPath::unlock_key())?;
        let key = answer["UnlockKey"].as_str().map(str::trim).filter(|key| !key.is_empty());
        Ok(key.map(str::to_owned))
    }

    /// Unlocks this manager.
    pub fn unlock_swarm(&self, key: &str) -> Result<(), EngineError> {
        self.post_only(&ApiPath::unlock(), &serde_json::json!({ "UnlockKey": key }))
    }

    /// The config of exactly this name.
    pub fn config(&self, name: &str) -> Result<Option<Config>, EngineError> {
        self.find(&ApiPath::object(Kind::Configs, name))
    }

    /// Creates a config. `false` when there is one of this name already: that decides who holds a lock.
    pub fn create_config(&self, name: &str, labels: &Value) -> Result<bool, EngineError> {
        // The data must not be empty; what counts are the labels, which can be updated. "bG9jaw==" is "lock".
        let body = serde_json::json!({ "Name": name, "Labels": labels, "Data": "bG9jaw==" });
        match self.create_object(Kind::Configs, &body, None) {
            Ok(_) => Ok(true),
            Err(error) if error.meaning() == Meaning::Exists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces the labels of a config, if it has not changed since it was read.
    pub fn update_config(&self, name: &str, config: &Config, labels: &Value) -> Result<(), EngineError> {
        let body = serde_json::json!({ "Name": name, "Labels": labels, "Data": "bG9jaw==" });
        self.update_object(Kind::Configs, &config.id, config.version.index, &body)
    }

    /// Removes a config; one that is gone is removed already.
    pub fn remove_config(&self, id: &str) -> Result<(), EngineError> {
        if_there(self.remove_object(Kind::Configs, id))
    }

    /// Creates an object of the swarm's store and returns its id. The credentials are for the registry of a service's image.
    pub fn create_object(
        &self,
        kind: Kind,
        spec: &Value,
        auth: Option<&RegistryAuth>,
    ) -> Result<String, EngineError> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "ID")]
            id: String,
        }
        let created = self.post_authorised::<Created>(&ApiPath::create(kind), spec, auth)?;
        Ok(created.id)
    }

    /// Writes an object's spec, if it has not changed since it was read: with the version of then.
    pub fn update_object(&self, kind: Kind, id: &str, version: u64, spec: &Value) -> Result<(), EngineError> {
        self.post_only(&ApiPath::update(kind, id, version), spec)
    }

    /// Reads an object in the newest API that the engine itself speaks: in an older one it drops what came since from what is written.
    pub fn whole_object(&self, kind: Kind, name: &str) -> Result<Vec<u8>, EngineError> {
        let path = ApiPath::object(kind, name);
        self.bytes(format!("GET {path}"), self.agent.get(format!("http://docker{path}")).call())
    }

    /// Updates an object in that API, with a spec that goes as it is written here, byte for byte.
    pub fn update_whole(&self, kind: Kind, id: &str, version: u64, spec: &str) -> Result<(), EngineError> {
        let path = ApiPath::update(kind, id, version);
        let request = self.agent.post(format!("http://docker{path}")).content_type("application/json");
        self.text(format!("POST {path}"), request.send(spec)).map(drop)
    }

    /// Removes an object, by its id or name.
    pub fn remove_object(&self, kind: Kind, name: &str) -> Result<(), EngineError> {
        self.delete(&ApiPath::object(kind, name))
    }

    /// The same; one that is gone is removed already.
    pub fn remove_object_if_there(&self, kind: Kind, name: &str) -> Result<(), EngineError> {
        if_there(self.remove_object(kind, name))
    }

    /// Asks for something that need not be there.
    pub fn find<T: DeserializeOwned>(&self, path: &ApiPath) -> Result<Option<T>, EngineError> {
        match self.get(path) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for something. Whoever wants to know more than is here brings types of its own.
    pub fn get<T: DeserializeOwned>(&self, path: &ApiPath) -> Result<T, EngineError> {
        let request = format!("GET {path}");
        let answer = self.agent.get(self.url(path)).call();
        parse(request.clone(), &self.text(request, answer)?)
    }

    /// Asks for a list, and gives each of its elements, as JSON, while it comes: the list is never in memory as a whole. An answer
    /// that is no list, or breaks off, is an error, also when elements were given before.
    pub fn get_each<E: From<EngineError>>(
        &self,
        path: &ApiPath,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let request = format!("GET {path}");
        let answer = self.agent.get(self.url(path)).call();
        let mut response = answer.map_err(|source| self.unreachable(source))?;
        if !response.status().is_success() {
            return self.refusal(request, &mut response).map_err(E::from);
        }
        let reader = response.into_body().into_with_config().limit(LONGEST_ANSWER).reader();
        elements::each(reader, |element| each(element).map_err(Broken::Taker)).map_err(
            |broken| match broken {
                Broken::Taker(error) => error,
                Broken::Reading(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    let source = serde::de::Error::custom(error);
                    EngineError::Malformed { request, source }.into()
                }
                Broken::Reading(error) => self.unreachable(error.into()).into(),
            },
        )
    }

    /// Posts something, and takes the answer.
    fn post<T: DeserializeOwned>(&self, path: &ApiPath, body: &Value) -> Result<T, EngineError> {
        let request = format!("POST {path}");
        let answer = self.agent.post(self.url(path)).send_json(body);
        parse(request.clone(), &self.text(request, answer)?)
    }

    /// Posts something to which the answer, if there is one, says nothing.
    fn post_only(&self, path: &ApiPath, body: &Value) -> Result<(), EngineError> {
        let answer = self.agent.post(self.url(path)).send_json(body);
        self.text(format!("POST {path}"), answer).map(drop)
    }

    /// Deletes something.
    fn delete(&self, path: &ApiPath) -> Result<(), EngineError> {
        let answer = self.agent.delete(self.url(path)).call();
        self.text(format!("DELETE {path}"), answer).map(drop)
    }

    /// Asks for bytes.
    fn get_bytes(&self, path: &ApiPath) -> Result<Vec<u8>, EngineError> {
        let answer = self.agent.get(self.url(path)).call();
        self.bytes(format!("GET {path}"), answer)
    }

    /// Asks for bytes, and does not wait for them longer than this, whatever the engine does.
    pub fn get_bytes_within(&self, path: &ApiPath, limit: Duration) -> Result<Vec<u8>, EngineError> {
        let request = self.agent.get(self.url(path));
        let answer = request.config().timeout_global(Some(limit)).build().call();
        self.bytes(format!("GET {path}"), answer)
    }

    /// Asks for bytes that may be many, and gives them as they come. The limit is for all of them: past it reading is an error.
    pub fn reader_within(&self, path: &ApiPath, limit: Duration) -> Result<impl Read + use<>, EngineError> {
        let request = self.agent.get(self.url(path));
        let answer = request.config().timeout_global(Some(limit)).build().call();
        let mut response = answer.map_err(|source| self.unreachable(source))?;
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        self.refusal(format!("GET {path}"), &mut response)
    }

    fn url(&self, path: &ApiPath) -> String {
        format!("http://docker{}{path}", self.prefix)
    }

    fn text(&self, request: String, answer: Answer) -> Result<String, EngineError> {
        self.bytes(request, answer).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn bytes(&self, request: String, answer: Answer) -> Result<Vec<u8>, EngineError> {
        let mut response = answer.map_err(|source| self.unreachable(source))?;
        let status = response.status();
        if status.is_success() || status.as_u16() == 304 {
            return self.body(&mut response);
        }
        self.refusal(request, &mut response)
    }

    fn body(&self, response: &mut Response) -> Result<Vec<u8>, EngineError> {
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER);
        body.read_to_vec().map_err(|source| self.unreachable(source))
    }

    /// What the engine says of why it does not do what is asked.
    fn refusal<T>(&self, request: String, response: &mut Response) -> Result<T, EngineError> {
        let status = response.status().as_u16();
        let message = error_message(&String::from_utf8_lossy(&self.body(response)?));
        Err(EngineError::Answer { status, request, message })
    }

    fn unreachable(&self, source: ureq::Error) -> EngineError {
        EngineError::Unreachable { at: self.at.clone(), source: Box::new(source) }
    }
}

/// Why a list was not read to its end.
enum Broken<E> {
    Reading(std::io::Error),
    /// Who takes the elements does not want more.
    Taker(E),
}

impl<E> From<std::io::Error> for Broken<E> {
    fn from(error: std::io::Error) -> Self {
        Self::Reading(error)
    }
}

/// What is gone is removed already.
fn if_there(removed: Result<(), EngineError>) -> Result<(), EngineError> {
    match removed {
        Err(error) if !error.is_not_found() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

type Response = ureq::http::Response<ureq::Body>;

type Answer = Result<Response, ureq::Error>;

fn parse<T: DeserializeOwned>(request: String, text: &str) -> Result<T, EngineError> {
    serde_json::from_str(text).map_err(|source| EngineError::Malformed { request, source })
}

fn parse_version(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `/v1.41` for an engine that speaks up to 1.41; no prefix (the engine's own choice) when it does not say.
fn version_prefix(api: Option<(u32, u32)>) -> String {
    match api.map(|version| version.min(NEWEST_API)) {
        Some((major, minor)) => format!("/v{major}.{minor}"),
        None => String::new(),
    }
}

fn error_message(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")).and_then(Value::as_str);
    message.unwrap_or(body).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_carry_the_lower_of_both_versions() {
        assert_eq!(version_prefix(parse_version("1.41")), "/v1.41");
        assert_eq!(version_prefix(parse_version("1.99")), "/v1.51");
        assert_eq!(version_prefix(parse_version("nonsense")), "");
        assert_eq!(version_prefix(None), "");
    }

    #[test]
    fn an_engines_words_are_taken_out_of_its_json() {
        assert_eq!(error_message("{\"message\":\"No such container: x\"}\n"), "No such container: x");
        assert_eq!(error_message("plain\n"), "plain");
    }

    /// An engine that answers every request with this.
    fn engine(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> (tempfile::TempDir, Engine) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (request, _) = careen_testing::request(&mut stream);
                let Some(body) = answer(&request) else {
                    silent.push(stream);
                    continue;
                };
                careen_testing::answer(stream, "200 OK", &body);
            }
        });
        let engine = Engine::connect_to(&socket).unwrap();
        (dir, engine)
    }

    #[test]
    fn the_nodes_of_a_large_swarm_are_more_than_ten_megabytes() {
        let long = 11 << 20;
        let (_dir, engine) =
            engine(move |request| Some(vec![b'x'; if request.contains("_ping") { 2 } else { long }]));
        assert_eq!(engine.get_bytes(&ApiPath::all(Kind::Nodes)).unwrap().len(), long);
        assert_eq!(engine.api(), Some((1, 41)));
    }

    #[test]
    fn a_list_is_given_element_by_element_and_one_that_breaks_off_is_an_error() {
        let (_dir, engine) = engine(|request| {
            let body = match request.split(' ').nth(1).unwrap_or_default() {
                path if path.ends_with("/nodes") => "[{\"ID\":\"a\"}, {\"ID\":\"b\"}]\n",
                path if path.ends_with("/tasks") => "[{\"ID\":\"a\"}, {\"ID\"",
                path if path.ends_with("/secrets") => "null",
                _ => "OK",
            };
            Some(body.as_bytes().to_vec())
        });
        let read = |kind| {
            let mut found = Vec::new();
            let take = |element: &[u8]| {
                found.push(String::from_utf8_lossy(element).into_owned());
                Ok::<(), EngineError>(())
            };
            engine.get_each(&ApiPath::all(kind), take).map(|()| found)
        };
        assert_eq!(read(Kind::Nodes).unwrap(), ["{\"ID\":\"a\"}", "{\"ID\":\"b\"}"]);
        for kind in [Kind::Tasks, Kind::Secrets] {
            assert!(matches!(read(kind), Err(EngineError::Malformed { .. })), "{kind:?}");
        }
    }

    #[test]
    fn an_answer_that_never_comes_is_not_waited_for() {
        let (_dir, engine) = engine(|request| request.contains("_ping").then(|| b"OK".to_vec()));
        let error = engine.get_bytes_within(&ApiPath::info(), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error_that_names_it() {
        let error = Engine::connect_to(Path::new("/nonexistent/docker.sock")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/docker.sock"));
    }
}
