//! A docker engine, over its unix socket: what agents and controllers need of its API, and no more.
//!
//! Requests carry the engine's own API version (from `/_ping`), capped at what this code was written against.

pub mod frames;
mod meaning;
mod registry;
mod transport;

pub use meaning::{Meaning, says_no_such_image};
pub use registry::{Pushed, RegistryAuth};

use crate::frames::next_frame;
use careen_contract::quorum::{Called, Manager};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use transport::{NoNames, UnixConnector};

/// Where engines listen, in the order in which they are tried.
pub const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];

/// The newest API whose answers this code was read against.
const NEWEST_API: (u32, u32) = (1, 51);

/// No request of an agent takes long; an engine that does not answer within this is not there.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest answer taken. All nodes or tasks of a swarm of thousands of nodes are tens of megabytes.
const LONGEST_ANSWER: u64 = 512 << 20;

/// Why an engine could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing listens there, or it does not let us in, or it broke off.
    #[error("the docker engine at {socket} cannot be asked")]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the kernel or the HTTP client says.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It answered, with an error.
    #[error("the docker engine answered {status} to {request}: {message}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// Method and path.
        request: String,
        /// Its words.
        message: String,
    },
    /// It answered with something else than documented.
    #[error("the docker engine's answer to {request} was not understood")]
    Malformed {
        /// Method and path.
        request: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
}

impl EngineError {
    /// What the kernel said to it, when it was the kernel that said no.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        let Self::Unreachable { source, .. } = self else { return None };
        let ureq::Error::Io(error) = source.as_ref() else { return None };
        Some(error.kind())
    }
}

/// A connection to one engine.
#[derive(Debug)]
pub struct Engine {
    agent: ureq::Agent,
    socket: PathBuf,
    api: Option<(u32, u32)>,
    prefix: String,
}

/// What `GET /containers/{id}/json` tells, as far as an agent wants to know.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// Its full id.
    pub id: String,
    /// The id of its image.
    pub image: String,
    /// Its configuration.
    pub config: ContainerConfig,
}

/// Part of [`Container`].
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// The image as it was asked for.
    pub image: String,
    /// Its labels; Swarm's are among them.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// What `GET /info` tells, as far as an agent wants to know.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Info {
    /// The host's name.
    pub name: String,
    /// Where the engine keeps its things.
    pub docker_root_dir: String,
    /// Its place in a swarm.
    pub swarm: SwarmInfo,
}

/// Part of [`Info`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SwarmInfo {
    /// Empty outside of a swarm.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Whether the node is a manager.
    pub control_available: bool,
    /// `inactive`, `pending`, `active`, `locked` or `error`.
    pub local_node_state: String,
    /// Why it takes no part, in the engine's words.
    pub error: String,
    /// The managers that this node knows of, itself among them if it is one.
    #[serde(deserialize_with = "null_is_empty")]
    pub remote_managers: Vec<RemoteManager>,
}

/// Part of [`SwarmInfo`].
#[derive(Debug, Clone, Deserialize)]
pub struct RemoteManager {
    /// Its node's id.
    #[serde(rename = "NodeID")]
    pub node_id: String,
}

impl SwarmInfo {
    /// Whether the node is a manager, also in the moments in which it cannot say so itself: while it starts, and while
    /// its swarm has no leader, a manager does not call its control available.
    pub fn is_manager(&self) -> bool {
        let is_this = |manager: &RemoteManager| manager.node_id == self.node_id;
        self.control_available || !self.node_id.is_empty() && self.remote_managers.iter().any(is_this)
    }
}

/// A config, as far as a lock needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Changes with every update.
    #[serde(rename = "Version")]
    pub version: Version,
    /// What it is.
    #[serde(rename = "Spec")]
    pub spec: ConfigSpec,
}

/// Part of [`Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    /// The store's index of the last change.
    pub index: u64,
}

/// Part of [`Config`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigSpec {
    /// Its labels.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub labels: std::collections::BTreeMap<String, String>,
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
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .max_idle_connections(1)
            .build();
        let connector = UnixConnector { socket: socket.to_owned() };
        let agent = ureq::Agent::with_parts(config, connector, NoNames);
        let mut engine = Self { agent, socket: socket.to_owned(), api: None, prefix: String::new() };
        let pong =
            engine.agent.get("http://docker/_ping").call().map_err(|source| engine.unreachable(source))?;
        let api = pong.headers().get("Api-Version").and_then(|version| version.to_str().ok());
        engine.api = api.and_then(parse_version);
        engine.prefix = version_prefix(engine.api);
        Ok(engine)
    }

    /// The newest API that the engine speaks; none when it does not say.
    pub fn api(&self) -> Option<(u32, u32)> {
        self.api
    }

    /// Inspects a container.
    pub fn container(&self, id: &str) -> Result<Container, EngineError> {
        self.get(&format!("/containers/{id}/json"))
    }

    /// Asks the engine about itself.
    pub fn info(&self) -> Result<Info, EngineError> {
        self.get("/info")
    }

    /// Creates a container and returns its id.
    pub fn create_container(&self, body: &Value) -> Result<String, EngineError> {
        self.create("/containers/create", body)
    }

    /// Creates a container with this name and returns its id.
    pub fn create_named_container(&self, name: &str, body: &Value) -> Result<String, EngineError> {
        self.create(&format!("/containers/create?name={}", escaped(name)), body)
    }

    fn create(&self, path: &str, body: &Value) -> Result<String, EngineError> {
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
        let path = format!("/containers/{id}/start");
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
        self.post::<Waited>(&format!("/containers/{id}/wait"), &Value::Null).map(|waited| waited.status_code)
    }

    /// The last lines that a container without a terminal wrote, both streams together.
    pub fn last_words(&self, id: &str) -> Result<String, EngineError> {
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&tail=5");
        self.get_bytes(&path).map(|frames| demultiplex(&frames))
    }

    /// The last lines that a task without a terminal wrote, both streams together. Its node may be frozen: they are not waited
    /// for longer than this.
    pub fn last_words_of_task(&self, id: &str, limit: Duration) -> Result<String, EngineError> {
        let path = format!("/tasks/{id}/logs?stdout=1&stderr=1&tail=5");
        self.get_bytes_within(&path, limit).map(|frames| demultiplex(&frames))
    }

    /// Whether a container has something at this path. It need not have been started.
    pub fn has_path(&self, container: &str, path: &str) -> Result<bool, EngineError> {
        let path = format!("/containers/{container}/archive?path={}", escaped(path));
        let answer = self.agent.head(self.url(&path)).call();
        match self.bytes(format!("HEAD {path}"), answer) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a container, running or not.
    pub fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        self.delete(&format!("/containers/{id}?force=1&v=1"))
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
        let nodes: Vec<Node> = self.get("/nodes?filters=%7B%22role%22%3A%5B%22manager%22%5D%7D")?;
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
        let swarm: Value = self.get("/swarm")?;
        Ok(swarm.pointer("/Spec/EncryptionConfig/AutoLockManagers").and_then(Value::as_bool).unwrap_or(false))
    }

    /// The key that a manager of this swarm needs when its engine starts; `None` when it needs none. It is a secret: for
    /// comparing, never for printing.
    pub fn unlock_key(&self) -> Result<Option<String>, EngineError> {
        let answer: Value = self.get("/swarm/unlockkey")?;
        let key = answer["UnlockKey"].as_str().map(str::trim).filter(|key| !key.is_empty());
        Ok(key.map(str::to_owned))
    }

    /// Unlocks this manager.
    pub fn unlock_swarm(&self, key: &str) -> Result<(), EngineError> {
        self.post_only("/swarm/unlock", &serde_json::json!({ "UnlockKey": key }))
    }

    /// The config of exactly this name.
    pub fn config(&self, name: &str) -> Result<Option<Config>, EngineError> {
        match self.get(&format!("/configs/{name}")) {
            Ok(config) => Ok(Some(config)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a config. `false` when there is one of this name already: that decides who holds a lock.
    pub fn create_config(&self, name: &str, labels: &Value) -> Result<bool, EngineError> {
        // The data must not be empty; what counts are the labels, which can be updated. "bG9jaw==" is "lock".
        let body = serde_json::json!({ "Name": name, "Labels": labels, "Data": "bG9jaw==" });
        match self.post::<Value>("/configs/create", &body) {
            Ok(_) => Ok(true),
            Err(EngineError::Answer { status: 409, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces the labels of a config, if it has not changed since it was read.
    pub fn update_config(&self, name: &str, config: &Config, labels: &Value) -> Result<(), EngineError> {
        let path = format!("/configs/{}/update?version={}", config.id, config.version.index);
        let body = serde_json::json!({ "Name": name, "Labels": labels, "Data": "bG9jaw==" });
        self.post_only(&path, &body)
    }

    /// Removes a config; one that is gone is removed already.
    pub fn remove_config(&self, id: &str) -> Result<(), EngineError> {
        if_there(self.delete(&format!("/configs/{id}")))
    }

    /// Asks for something. Whoever wants to know more than is here brings types of its own.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let request = format!("GET {path}");
        let answer = self.agent.get(self.url(path)).call();
        parse(request.clone(), &self.text(request, answer)?)
    }

    /// Posts something, and takes the answer.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, EngineError> {
        let request = format!("POST {path}");
        let answer = self.agent.post(self.url(path)).send_json(body);
        parse(request.clone(), &self.text(request, answer)?)
    }

    /// Posts something to which the answer, if there is one, says nothing.
    pub fn post_only(&self, path: &str, body: &Value) -> Result<(), EngineError> {
        let answer = self.agent.post(self.url(path)).send_json(body);
        self.text(format!("POST {path}"), answer).map(drop)
    }

    /// Deletes something.
    pub fn delete(&self, path: &str) -> Result<(), EngineError> {
        let answer = self.agent.delete(self.url(path)).call();
        self.text(format!("DELETE {path}"), answer).map(drop)
    }

    /// Asks for bytes.
    pub fn get_bytes(&self, path: &str) -> Result<Vec<u8>, EngineError> {
        let answer = self.agent.get(self.url(path)).call();
        self.bytes(format!("GET {path}"), answer)
    }

    /// Asks for bytes, and does not wait for them longer than this, whatever the engine does.
    pub fn get_bytes_within(&self, path: &str, limit: Duration) -> Result<Vec<u8>, EngineError> {
        let request = self.agent.get(self.url(path));
        let answer = request.config().timeout_global(Some(limit)).build().call();
        self.bytes(format!("GET {path}"), answer)
    }

    /// Asks for bytes that may be many, and gives them as they come. The limit is for all of them: past it reading is an error.
    pub fn reader_within(&self, path: &str, limit: Duration) -> Result<impl Read + use<>, EngineError> {
        let request = self.agent.get(self.url(path));
        let answer = request.config().timeout_global(Some(limit)).build().call();
        let mut response = answer.map_err(|source| self.unreachable(source))?;
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        self.refusal(format!("GET {path}"), &mut response)
    }

    fn url(&self, path: &str) -> String {
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
        EngineError::Unreachable { socket: self.socket.clone(), source: Box::new(source) }
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

/// As the value in a URL's query: every byte that is not plainly allowed there is escaped.
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~=".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

fn error_message(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")).and_then(Value::as_str);
    message.unwrap_or(body).trim().to_owned()
}

/// Takes the text out of both streams' frames. What is torn at the end gives what there is of it.
fn demultiplex(mut frames: &[u8]) -> String {
    let mut text = Vec::new();
    while let Ok(Some((_, length))) = next_frame(&mut frames) {
        let Ok(_) = frames.by_ref().take(length).read_to_end(&mut text) else { break };
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};

    #[test]
    fn a_filter_travels_in_a_url() {
        assert_eq!(escaped(r#"{"a":["b=c-1"]}"#), "%7B%22a%22%3A%5B%22b=c-1%22%5D%7D");
        assert_eq!(escaped(r#"{"name":["careen."]}"#), "%7B%22name%22%3A%5B%22careen.%22%5D%7D");
    }

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

    #[test]
    fn a_manager_is_one_also_while_it_cannot_say_so() {
        let swarm = |text: &str| serde_json::from_str::<SwarmInfo>(text).unwrap();
        assert!(swarm(r#"{"NodeID":"a","ControlAvailable":true,"RemoteManagers":null}"#).is_manager());
        assert!(swarm(r#"{"NodeID":"a","RemoteManagers":[{"NodeID":"b"},{"NodeID":"a"}]}"#).is_manager());
        assert!(!swarm(r#"{"NodeID":"a","RemoteManagers":[{"NodeID":"b","Addr":"x"}]}"#).is_manager());
        assert!(!swarm(r#"{"NodeID":"","RemoteManagers":[{"NodeID":""}]}"#).is_manager());
    }

    #[test]
    fn log_frames_are_joined_and_torn_ones_survived() {
        let frames = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x04 twoX";
        assert_eq!(demultiplex(&frames[..frames.len() - 1]), "one two");
        assert_eq!(demultiplex(b"\x01\0\0\0\0\0\0\x09cut"), "cut");
        assert_eq!(demultiplex(b""), "");
    }

    /// An engine that answers every request with this.
    fn engine(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> (tempfile::TempDir, Engine) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = String::new();
                BufReader::new(&stream).read_line(&mut request).unwrap();
                let Some(body) = answer(&request) else {
                    silent.push(stream);
                    continue;
                };
                let header = format!(
                    "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[header.as_bytes(), &body].concat()).unwrap();
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
        assert_eq!(engine.get_bytes("/nodes").unwrap().len(), long);
        assert_eq!(engine.api(), Some((1, 41)));
    }

    #[test]
    fn an_answer_that_never_comes_is_not_waited_for() {
        let (_dir, engine) = engine(|request| request.contains("_ping").then(|| b"OK".to_vec()));
        let error = engine.get_bytes_within("/tasks/x/logs", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error_that_names_it() {
        let error = Engine::connect_to(Path::new("/nonexistent/docker.sock")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/docker.sock"));
    }
}
