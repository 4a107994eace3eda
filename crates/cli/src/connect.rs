//! Which engine is asked, and whether it is a manager's. Nothing is changed here.

use crate::docker_context::{self, Chosen, Context, UnusableContext, Wishes};
use crate::host::{Host, InvalidHost, TcpHost};
use crate::transport::{Certificates, InvalidCertificates, Ssh, SshFailure, Tcp, TlsFailure};
use careen_contract::chain;
use careen_engine::transport::UnixSocket;
use careen_engine::{Engine, EngineError, Info};
use std::io;
use std::path::PathBuf;

/// What an engine says on a port for TLS to whoever speaks none.
const WANTS_TLS: &str = "HTTP request to an HTTPS server";

/// A route to an engine, ready to be taken.
#[derive(Debug, Clone)]
pub enum Route {
    /// To where engines listen by default.
    Default,
    /// Over a unix socket.
    Socket(UnixSocket),
    /// Over TCP, with TLS or without.
    Tcp(Tcp),
    /// Over ssh.
    Ssh(Ssh),
}

/// What the environment says of docker, beside which engine is meant.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Where the docker CLI keeps its files: `DOCKER_CONFIG`, or `~/.docker`.
    pub directory: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`, where it is not that directory.
    pub certificates: Option<PathBuf>,
    /// Whether tcp:// is TLS: `DOCKER_TLS_VERIFY` or `DOCKER_TLS` has a value, whichever.
    pub tls: bool,
    /// Whether the engine's certificate counts then: `DOCKER_TLS_VERIFY` has a value.
    pub verify: bool,
}

/// Why no engine can be asked: the call is wrong, or what it relies on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum UnusableHost {
    #[error(transparent)]
    Address(#[from] InvalidHost),
    #[error(transparent)]
    Context(#[from] UnusableContext),
    /// What TLS needs is not there, or of no use.
    #[error("TLS to {host} cannot be set up")]
    Certificates { host: String, source: InvalidCertificates },
    /// TLS, and nobody knows where certificates are.
    #[error("TLS to {host} cannot be set up: none of DOCKER_CERT_PATH, DOCKER_CONFIG and HOME is set")]
    NoDirectory { host: String },
    /// careen as a plugin of docker's.
    #[error("careen does not read docker's {flag}")]
    DockerFlag { flag: String },
}

impl UnusableHost {
    /// What to do next.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::Address(_) => "for this machine's engine say --host unix:///run/docker.sock",
            Self::Context(UnusableContext::Missing { .. }) => {
                "'docker context ls' lists them; --context default is this machine's engine"
            }
            Self::Context(UnusableContext::Conflict) => "a context has the address of its engine",
            Self::Context(
                UnusableContext::Config { .. }
                | UnusableContext::NoDirectory { .. }
                | UnusableContext::Damaged { .. },
            ) => "say which engine is meant: --host unix:///run/docker.sock is this machine's",
            Self::Certificates { .. } | Self::NoDirectory { .. } | Self::DockerFlag { .. } => {
                "DOCKER_CERT_PATH says where ca.pem, cert.pem and key.pem are; a context has its own ('docker context update')"
            }
        }
    }
}

/// Why no manager could be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum NoManager {
    #[error("no docker engine listens at {at}")]
    NoEngine { at: String },
    /// This user may not use the socket.
    #[error("you may not use the docker socket {at}")]
    Denied { at: String },
    /// One of both sides does not trust the other.
    #[error("{at}: {why}")]
    Tls { at: String, why: TlsFailure },
    /// It was asked without TLS.
    #[error("the engine at {at} speaks TLS alone, and was asked without")]
    WantsTls { at: String },
    /// ssh did not lead to an engine.
    #[error("{at}: {why}")]
    Ssh { at: String, why: SshFailure },
    /// None of several.
    #[error("none of the {} hosts can be asked: {}", .tried.len(), listed(.tried))]
    NoneOf { tried: Vec<NoManager> },
    /// A manager, but of other nodes than the one that was asked before.
    #[error("{at} is a manager of another swarm than the one that was asked before")]
    OtherSwarm { at: String },
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
                "run careen on a manager's host, or name its engine: --host ssh://USER@MANAGER, --context or DOCKER_HOST"
            }
            Self::Tls { why, .. } => why.next(),
            Self::Ssh { why, .. } => why.next(),
            Self::WantsTls { .. } => {
                "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the directory with ca.pem, cert.pem and key.pem"
            }
            Self::NoneOf { tried } => tried.first().map_or("name a manager: --host", Self::next),
            Self::OtherSwarm { .. } => "name managers of one swarm alone by --host",
            Self::Denied { .. } => "run careen as root, or as a member of the group that owns the socket",
            Self::NoAnswer { .. } => "look at the engine: 'docker info' on its host",
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

fn listed(tried: &[NoManager]) -> String {
    tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The routes to the engines that are meant, in the order in which they are asked. There is one at least.
pub fn routes(wishes: &Wishes, around: &Surroundings) -> Result<Vec<Route>, UnusableHost> {
    let directory = around.directory.as_deref();
    let current =
        || directory.map_or(Ok(None), |docker| docker_context::current(&docker.join("config.json")));
    match docker_context::choose(wishes, current)? {
        Chosen::Hosts(hosts) => hosts.iter().map(|host| route(Host::parse(host)?, || around.tls())).collect(),
        Chosen::Context(name) => {
            let Context { host, skip_verify, certificates: directory, tls } =
                docker_context::read(directory, &name)?;
            let certificates = Certificates { directory, verify: !skip_verify, needs_authority: false };
            let tls = || Ok(tls.then_some(certificates));
            Ok(vec![route(Host::parse(&host)?, tls)?])
        }
    }
}

impl Surroundings {
    /// The certificates for tcp://; `None` where that is no TLS.
    fn tls(&self) -> Result<Option<Certificates>, Nowhere> {
        if !self.tls {
            return Ok(None);
        }
        let directory = self.certificates.clone().or_else(|| self.directory.clone()).ok_or(Nowhere)?;
        Ok(Some(Certificates { directory, verify: self.verify, needs_authority: self.verify }))
    }
}

/// There is no directory for certificates.
struct Nowhere;

/// TLS is for TCP alone, and its files are read for nothing else.
fn route(
    host: Host,
    tls: impl FnOnce() -> Result<Option<Certificates>, Nowhere>,
) -> Result<Route, UnusableHost> {
    Ok(match host {
        Host::Default => Route::Default,
        Host::Socket(path) => Route::Socket(UnixSocket(path)),
        Host::Ssh(host) => Route::Ssh(Ssh(host)),
        Host::Tcp(host) => Route::Tcp(over_tcp(host, tls)?),
    })
}

fn over_tcp(
    host: TcpHost,
    tls: impl FnOnce() -> Result<Option<Certificates>, Nowhere>,
) -> Result<Tcp, UnusableHost> {
    let certificates = tls().map_err(|_| UnusableHost::NoDirectory { host: host.to_string() })?;
    let secure = certificates.map(|certificates| certificates.secure(&host.name)).transpose();
    let secure = secure.map_err(|source| UnusableHost::Certificates { host: host.to_string(), source })?;
    Ok(Tcp { host, secure })
}

/// A manager, and the routes to others that can be asked in its place.
#[derive(Debug)]
pub struct Managers {
    routes: Vec<Route>,
    /// The one that was asked last.
    at: usize,
    /// The swarm of the first that answered.
    swarm: Option<String>,
}

/// What it takes to ask a manager.
#[derive(Debug)]
pub struct Connected {
    /// For images and logs.
    pub engine: Engine,
    /// For rollouts: a connection of their own.
    pub rollouts: Engine,
    /// Those before it, which could not be asked.
    pub passed: Vec<NoManager>,
}

impl Managers {
    /// Those at the ends of these routes, in this order.
    pub const fn new(routes: Vec<Route>) -> Self {
        Self { routes, at: 0, swarm: None }
    }

    /// Connects to the first one that can be asked.
    pub fn connect(&mut self) -> Result<Connected, NoManager> {
        self.first_of((0..self.routes.len()).collect())
    }

    /// Connects to the next one that can be asked, in turn; `None` when there are no others.
    pub fn replace(&mut self) -> Result<Option<Connected>, NoManager> {
        let all = self.routes.len();
        let others: Vec<usize> = (1..all).map(|step| (self.at + step) % all).collect();
        if others.is_empty() { Ok(None) } else { self.first_of(others).map(Some) }
    }

    /// Whether there are others than the one that is asked.
    pub const fn are_several(&self) -> bool {
        self.routes.len() > 1
    }

    fn first_of(&mut self, order: Vec<usize>) -> Result<Connected, NoManager> {
        let mut passed = Vec::new();
        for at in order {
            match self.manager(at) {
                Ok((engine, rollouts)) => {
                    self.at = at;
                    return Ok(Connected { engine, rollouts, passed });
                }
                Err(why) => passed.push(why),
            }
        }
        match passed.pop() {
            Some(only) if passed.is_empty() => Err(only),
            last => Err(NoManager::NoneOf { tried: passed.into_iter().chain(last).collect() }),
        }
    }

    fn manager(&mut self, at: usize) -> Result<(Engine, Engine), NoManager> {
        let route = &self.routes[at];
        let (engine, info) = engine(route)?;
        judge(&info)?;
        let swarm = Some(info.swarm.cluster.id).filter(|id| !id.is_empty());
        if self.swarm.is_some() && swarm.is_some() && self.swarm != swarm {
            return Err(NoManager::OtherSwarm { at: info.name });
        }
        let rollouts = route.connect().map_err(|error| unreachable(&error, route))?;
        self.swarm = swarm.or_else(|| self.swarm.take());
        Ok((engine, rollouts))
    }
}

/// Connects to the first engine that answers, of whatever host.
pub fn any_engine(routes: &[Route]) -> Result<Engine, NoManager> {
    let mut tried = Vec::new();
    for route in routes {
        match engine(route) {
            Ok((engine, _)) => return Ok(engine),
            Err(why) => tried.push(why),
        }
    }
    Err(if tried.len() == 1 { tried.remove(0) } else { NoManager::NoneOf { tried } })
}

impl Route {
    fn connect(&self) -> Result<Engine, EngineError> {
        match self {
            Self::Default => Engine::connect(),
            Self::Socket(socket) => Engine::over(socket.clone()),
            Self::Tcp(tcp) => Engine::over(tcp.clone()),
            Self::Ssh(ssh) => Engine::over(ssh.clone()),
        }
    }

    /// Where it leads, for people.
    fn at(&self) -> String {
        match self {
            Self::Default => careen_engine::SOCKETS[0].to_owned(),
            Self::Socket(socket) => socket.0.display().to_string(),
            Self::Tcp(tcp) => tcp.host.to_string(),
            Self::Ssh(ssh) => ssh.0.to_string(),
        }
    }
}

fn engine(route: &Route) -> Result<(Engine, Info), NoManager> {
    let engine = route.connect().map_err(|error| unreachable(&error, route))?;
    let info = engine.info().map_err(|error| unreachable(&error, route))?;
    Ok((engine, info))
}

fn unreachable(error: &EngineError, route: &Route) -> NoManager {
    let at = match error {
        EngineError::Unreachable { at, .. } => at.clone(),
        EngineError::Answer { .. } | EngineError::Malformed { .. } => route.at(),
    };
    if let Some(why) = error.carried::<TlsFailure>() {
        return NoManager::Tls { at, why: why.clone() };
    }
    if let Some(why) = error.carried::<SshFailure>() {
        return NoManager::Ssh { at, why: why.clone() };
    }
    if let EngineError::Answer { message, .. } = error
        && message.contains(WANTS_TLS)
    {
        return NoManager::WantsTls { at };
    }
    match error.io_kind() {
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => NoManager::NoEngine { at },
        Some(io::ErrorKind::PermissionDenied) => NoManager::Denied { at },
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

    fn wishes(hosts: &[&str]) -> Wishes {
        Wishes { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..Wishes::default() }
    }

    #[test]
    fn each_host_is_a_way_and_a_wrong_one_is_not_passed_over() {
        let around = Surroundings::default();
        let found =
            routes(&wishes(&["unix:///run/d.sock", "tcp://m1", "ssh://root@m2", ""]), &around).unwrap();
        let places: Vec<String> = found.iter().map(Route::at).collect();
        assert_eq!(places, ["/run/d.sock", "tcp://m1:2375", "ssh://root@m2", "/run/docker.sock"]);
        let error = routes(&wishes(&["tcp://m1", "npipe://x"]), &around).unwrap_err().to_string();
        assert!(error.contains("'npipe://x'"), "{error}");
    }

    #[test]
    fn tls_is_for_tcp_alone_and_needs_its_authority_when_it_is_to_verify() {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Some(directory.path().to_owned());
        let around = Surroundings { directory: None, certificates, tls: true, verify: true };
        assert!(routes(&wishes(&["unix:///run/d.sock", "ssh://m1"]), &around).is_ok());
        let error = chain(&routes(&wishes(&["tcp://m1:2376"]), &around).unwrap_err());
        assert!(error.contains("tcp://m1:2376") && error.contains("ca.pem cannot be read"), "{error}");
        let nowhere = Surroundings { certificates: None, ..around.clone() };
        let error = routes(&wishes(&["tcp://m1:2376"]), &nowhere).unwrap_err().to_string();
        assert!(error.contains("DOCKER_CERT_PATH"), "{error}");
        let careless = Surroundings { verify: false, ..around };
        assert!(
            matches!(&routes(&wishes(&["tcp://m1"]), &careless).unwrap()[..], [Route::Tcp(tcp)] if tcp.secure.is_some())
        );
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
