//! Which engine is asked, and whether it is a manager's. Nothing is changed here.

use crate::docker_config::{self, Unreadable};
use careen_contract::chain;
use careen_engine::{Engine, EngineError, Info};
use std::io;
use std::path::{Path, PathBuf};

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Where engines listen by default.
    Default,
    /// At this unix socket.
    Socket(PathBuf),
}

/// An address that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum UnusableHost {
    /// Not a unix socket.
    #[error("the host '{given}' cannot be asked: only unix:///PATH is supported so far")]
    Scheme { given: String },
    /// A docker context that is not this machine's engine.
    #[error("the docker context '{name}' is chosen, and contexts are not supported so far")]
    Context { name: String },
    /// Nobody knows which context is chosen.
    #[error("whether a docker context is chosen cannot be told: {path}")]
    Config {
        /// The docker CLI's config file.
        path: PathBuf,
        source: NoContext,
    },
}

/// What is wrong with a config file that is to name a context.
#[derive(Debug, thiserror::Error)]
pub enum NoContext {
    /// It cannot be read at all.
    #[error(transparent)]
    File(#[from] Unreadable),
    /// It names none.
    #[error("its currentContext is no name")]
    NoName,
}

/// Why no manager could be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum NoManager {
    #[error("no docker engine listens at {socket}")]
    NoEngine { socket: PathBuf },
    /// This user may not use the socket.
    #[error("you may not use the docker socket {socket}")]
    Denied { socket: PathBuf },
    /// Something is there, and gives no answer that can be used.
    #[error("{why}")]
    NoAnswer {
        /// What came instead of a usable answer.
        why: String,
    },
    /// The host is in no swarm.
    #[error("{name} is in no swarm")]
    NoSwarm { name: String },
    /// A worker knows nothing of the swarm.
    #[error("{name} is a worker of its swarm, and only managers can be asked")]
    Worker { name: String },
    /// The manager waits for the swarm's unlock key.
    #[error("{name} is a manager that is locked since its engine started")]
    Locked { name: String },
    /// The engine takes no part in the swarm that it belongs to, such as one whose certificate has expired.
    #[error("{name} belongs to a swarm and takes no part in it: {why}")]
    SwarmError {
        name: String,
        /// In the engine's own words.
        why: String,
    },
    /// The host is on its way into a swarm.
    #[error("{name} is joining a swarm, and is not in it yet")]
    Joining { name: String },
    /// The engine says something of its swarm that is not known here.
    #[error("{name} says that its part in its swarm is '{state}', and careen does not know what that means")]
    UnknownState {
        name: String,
        /// The word that the engine used.
        state: String,
    },
    /// The managers have no leader, or this one does not reach it.
    #[error("the swarm of {name} does not answer: no manager leads, or {name} does not reach it")]
    NoLeader { name: String },
}

impl NoManager {
    /// What to do next.
    pub fn next(&self) -> &'static str {
        match self {
            Self::NoEngine { .. } => {
                "run careen on a manager's host, or name its engine: --host unix:///PATH (or DOCKER_HOST)"
            }
            Self::Denied { .. } => "run careen as root, or as a member of the group that owns the socket",
            Self::NoAnswer { .. } => "look at the engine: 'docker info' on this host",
            Self::NoSwarm { .. } => {
                "run careen on a manager's host ('docker swarm init' makes this one a manager)"
            }
            Self::Worker { .. } => "run careen on a manager's host; 'docker node ls' there lists them",
            Self::Locked { .. } => "type 'docker swarm unlock' on that host",
            Self::SwarmError { .. } => {
                "fix that on its host ('docker info', and its engine's log); meanwhile run careen on another manager's host"
            }
            Self::Joining { .. } => {
                "wait for it: another manager may have to accept it, or none can be reached ('docker info')"
            }
            Self::UnknownState { .. } => "look at the engine: 'docker info' on that host",
            Self::NoLeader { .. } => {
                "look at the managers: 'docker node ls' on each; a rollout waits meanwhile"
            }
        }
    }
}

/// Which engine is meant. `--host` wins, then DOCKER_HOST (both in `host`), then the docker context: one that is chosen
/// and not used would be another swarm than the docker CLI's, so it is refused.
pub fn host(host: Option<&str>, context: Option<&str>) -> Result<Host, UnusableHost> {
    let given = host.unwrap_or_default();
    if given.is_empty() {
        return match context.unwrap_or_default() {
            "" | "default" => Ok(Host::Default),
            name => Err(UnusableHost::Context { name: name.to_owned() }),
        };
    }
    match given.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(Host::Socket(PathBuf::from(path))),
        Some(_) | None => Err(UnusableHost::Scheme { given: given.to_owned() }),
    }
}

/// The docker context that is chosen: DOCKER_CONTEXT, or what the docker CLI's config file says, which is read only then. One
/// that cannot be read is an error: the default engine may be that of another swarm.
pub fn context(variable: Option<String>, config: Option<&Path>) -> Result<Option<String>, UnusableHost> {
    if let Some(name) = variable.filter(|name| !name.is_empty()) {
        return Ok(Some(name));
    }
    let Some(path) = config else { return Ok(None) };
    let unusable = |source: NoContext| UnusableHost::Config { path: path.to_owned(), source };
    let Some(config) = docker_config::read(path).map_err(|error| unusable(error.into()))? else {
        return Ok(None);
    };
    match config.get("currentContext") {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(unusable(NoContext::NoName)),
    }
}

/// Connects to a manager's engine.
pub fn manager(host: &Host) -> Result<Engine, NoManager> {
    let (engine, info) = engine(host)?;
    judge(&info)?;
    Ok(engine)
}

/// Connects to an engine, of whatever host.
pub fn engine(host: &Host) -> Result<(Engine, Info), NoManager> {
    let (engine, socket) = match host {
        Host::Default => (Engine::connect(), Path::new(careen_engine::SOCKETS[0])),
        Host::Socket(socket) => (Engine::connect_to(socket), socket.as_path()),
    };
    let engine = engine.map_err(|error| unreachable(&error, socket))?;
    let info = engine.info().map_err(|error| unreachable(&error, socket))?;
    Ok((engine, info))
}

fn unreachable(error: &EngineError, socket: &Path) -> NoManager {
    let socket = match error {
        EngineError::Unreachable { at, .. } => PathBuf::from(at),
        EngineError::Answer { .. } | EngineError::Malformed { .. } => socket.to_owned(),
    };
    match error.io_kind() {
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => NoManager::NoEngine { socket },
        Some(io::ErrorKind::PermissionDenied) => NoManager::Denied { socket },
        Some(_) | None => NoManager::NoAnswer { why: chain(error) },
    }
}

fn judge(info: &Info) -> Result<(), NoManager> {
    let name = if info.name.is_empty() { "this host".to_owned() } else { info.name.clone() };
    match info.swarm.local_node_state.as_str() {
        "locked" => Err(NoManager::Locked { name }),
        "inactive" | "" => Err(NoManager::NoSwarm { name }),
        "error" => Err(NoManager::SwarmError { name, why: words(&info.swarm.error) }),
        "pending" => Err(NoManager::Joining { name }),
        "active" if info.swarm.control_available => Ok(()),
        "active" if info.swarm.is_manager() => Err(NoManager::NoLeader { name }),
        "active" => Err(NoManager::Worker { name }),
        state => Err(NoManager::UnknownState { name, state: state.to_owned() }),
    }
}

fn words(error: &str) -> String {
    let error = error.trim();
    if error.is_empty() { "its engine does not say why".to_owned() } else { error.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_engine::SwarmInfo;

    #[test]
    fn only_unix_sockets_are_asked_and_no_other_swarm_by_mistake() {
        assert_eq!(host(None, None).unwrap(), Host::Default);
        assert_eq!(host(Some(""), Some("default")).unwrap(), Host::Default);
        assert_eq!(
            host(Some("unix:///run/d.sock"), Some("prod")).unwrap(),
            Host::Socket("/run/d.sock".into())
        );
        for given in ["tcp://m1:2376", "ssh://root@m1", "npipe://x", "unix://relative", "/run/docker.sock"] {
            let error = host(Some(given), None).unwrap_err().to_string();
            assert!(error.contains(given) && error.contains("only unix:///PATH"), "{error}");
        }
        let chosen = host(None, Some("prod")).unwrap_err();
        assert!(matches!(&chosen, UnusableHost::Context { name } if name == "prod"), "{chosen}");
    }

    #[test]
    fn the_context_is_the_variables_or_the_config_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let says = |text: &str| {
            std::fs::write(&path, text).unwrap();
            context(None, Some(&path))
        };
        assert_eq!(says(r#"{"auths":{},"currentContext":"prod"}"#).unwrap(), Some("prod".into()));
        assert_eq!(context(Some(String::new()), Some(&path)).unwrap(), Some("prod".into()));
        assert_eq!(says("{}").unwrap(), None);
        for damaged in ["torn", "", "{\"currentContext\":1}"] {
            let error = says(damaged).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert_eq!(context(Some("test".into()), Some(&path)).unwrap(), Some("test".into()), "{damaged}");
        }
        assert_eq!(context(None, Some(&directory.path().join("none"))).unwrap(), None);
        assert!(context(None, Some(directory.path())).is_err(), "what cannot be read is not absent");
        assert_eq!(context(None, None).unwrap(), None);
    }

    #[test]
    fn what_an_engine_says_of_its_swarm() {
        let info = |state: &str, control, managers: &str| {
            let swarm = format!(
                r#"{{"NodeID":"n1","LocalNodeState":"{state}","ControlAvailable":{control},"RemoteManagers":{managers},"Error":"expired"}}"#
            );
            let swarm: SwarmInfo = serde_json::from_str(&swarm).unwrap();
            judge(&Info { name: "h1".into(), swarm, ..Info::default() })
        };
        let name = || "h1".to_owned();
        let this = r#"[{"NodeID":"n1"}]"#;
        assert_eq!(info("active", true, this), Ok(()));
        assert_eq!(info("inactive", false, "null"), Err(NoManager::NoSwarm { name: name() }));
        assert_eq!(info("locked", false, "null"), Err(NoManager::Locked { name: name() }));
        let others = r#"[{"NodeID":"n2"}]"#;
        assert_eq!(info("active", false, others), Err(NoManager::Worker { name: name() }));
        assert_eq!(info("active", false, this), Err(NoManager::NoLeader { name: name() }));
        // A manager, but its certificate has expired.
        let expired = NoManager::SwarmError { name: name(), why: "expired".into() };
        assert_eq!(info("error", false, "null"), Err(expired));
        assert_eq!(info("pending", false, "null"), Err(NoManager::Joining { name: name() }));
        let unknown = NoManager::UnknownState { name: name(), state: "new".into() };
        assert_eq!(info("new", true, this), Err(unknown));
    }
}
