//! Who this agent is: which container, image, service and node. From that follows which transaction it works on.

use super::Request;
use super::secrets::Secrets;
use crate::files;
use crate::say::say;
use crate::stop::{OrRefuse, Stop};
use careen_contract::chain;
use careen_contract::id::{Identity, TransactionId};
use careen_engine::{Container, Engine, EngineError, Info};
use careen_host::manifest::{Origin, TerminalSize};
use std::io;
use std::path::{Path, PathBuf};

/// What must be read before the agent goes below /host.
#[derive(Debug)]
pub struct Own {
    container_id: Option<String>,
    /// The secrets and configs that it was given.
    pub secrets: Secrets,
    /// The path of the agent's binary inside the image.
    pub binary: PathBuf,
    /// Whether a terminal is attached.
    pub terminal: bool,
}

impl Own {
    /// Reads what the kernel tells a container about itself.
    pub fn read() -> Result<Self, Stop> {
        let text = |path: &str| files::read_to_string(path).unwrap_or_default();
        let mounts = text("/proc/self/mountinfo");
        let container_id = careen_host::container::own_id(&text("/proc/self/cgroup"), &mounts);
        let secrets = Secrets::open(&mounts)?;
        let binary = files::read_link("/proc/self/exe").or_refuse("find the agent's own binary")?;
        Ok(Self {
            container_id,
            secrets,
            binary,
            terminal: nix::unistd::isatty(io::stdin()).unwrap_or(false),
        })
    }

    /// The size of the attached terminal.
    pub fn terminal_size(&self) -> Option<TerminalSize> {
        self.terminal.then(|| super::terminal::size().unwrap_or_default())
    }
}

/// The transaction's identity, and everything that was found out on the way to it.
#[derive(Debug)]
pub struct Place {
    pub id: TransactionId,
    /// What the container told.
    pub own: Own,
    /// The host's engine, when it answers.
    pub engine: Option<Engine>,
    /// This container as the engine knows it.
    pub container: Option<Container>,
    /// The node as the engine knows it.
    pub info: Info,
}

impl Place {
    /// Asks the host's engine who we are, and derives the transaction. Without an engine to ask,
    /// `CAREEN_TRANSACTION` must say it: a guess could run a command twice.
    pub fn find(request: &Request, own: Own) -> Result<Self, Stop> {
        let asked = Engine::connect().and_then(|engine| {
            let container = own.container_id.as_deref().map(|id| engine.container(id)).transpose()?;
            let info = engine.info()?;
            Ok((engine, container, info))
        });
        let (engine, container, info, problem) = match asked {
            Ok((engine, container, info)) => (Some(engine), container, info, None),
            Err(error) => (None, None, Info::default(), Some(error)),
        };
        let id = match (&request.settings.transaction, &container) {
            (Some(id), _) => id.clone(),
            (None, Some(container)) => derive(request, container),
            (None, None) => return Err(unknown(problem)),
        };
        if let Some(problem) = problem {
            say(format_args!(
                "{}; going on as transaction {id}, as CAREEN_TRANSACTION says",
                chain(&problem)
            ));
        }
        Ok(Self { id, own, engine, container, info })
    }

    /// For work whose transactions are named one by one: this one is first.
    pub fn named(id: TransactionId, own: Own) -> Self {
        let mut place = Self { id, own, engine: None, container: None, info: Info::default() };
        place.refresh();
        place
    }

    /// Asks the host's engine again. While it does not answer, what it said last counts.
    pub fn refresh(&mut self) {
        if self.engine.is_none() {
            self.engine = Engine::connect().ok();
        }
        let Some(engine) = &self.engine else { return };
        if let (None, Some(id)) = (&self.container, self.own.container_id.as_deref()) {
            self.container = engine.container(id).ok();
        }
        if let Ok(info) = engine.info() {
            self.info = info;
        }
    }

    /// The node's name: the engine's word, or else the host's own.
    pub fn node_name(&self) -> String {
        if self.info.name.is_empty() {
            files::read_to_string(Path::new("/etc/hostname")).unwrap_or_default().trim().to_owned()
        } else {
            self.info.name.clone()
        }
    }

    /// `manager`, `worker`, or nothing outside of a swarm.
    pub fn node_role(&self) -> &'static str {
        match (self.info.swarm.node_id.is_empty(), self.info.swarm.is_manager()) {
            (true, _) => "",
            (false, true) => "manager",
            (false, false) => "worker",
        }
    }

    /// For the manifest.
    pub fn origin(&self) -> Origin {
        let label = |name: &str| {
            self.container.as_ref().and_then(|container| container.config.labels.get(name)).cloned()
        };
        Origin {
            container_id: self.container.as_ref().map(|container| container.id.clone()),
            image: self.container.as_ref().map(|container| container.config.image.clone()),
            image_id: self.container.as_ref().map(|container| container.image.clone()),
            service_id: label(SERVICE_ID),
            service_name: label("com.docker.swarm.service.name"),
            node_id: Some(self.info.swarm.node_id.clone()).filter(|id| !id.is_empty()),
        }
    }
}

/// On the container of each task of a service: the service's id.
pub(super) const SERVICE_ID: &str = "com.docker.swarm.service.id";

fn derive(request: &Request, container: &Container) -> TransactionId {
    match container.config.labels.get(SERVICE_ID) {
        Some(service_id) => Identity::Service {
            service_id,
            image: &container.config.image,
            command: &request.command,
            args: &request.args,
            run: &request.settings.run,
        },
        None => Identity::Container { container_id: &container.id },
    }
    .transaction_id()
}

fn unknown(problem: Option<EngineError>) -> Stop {
    let why = match problem {
        Some(error) => chain(&error),
        None => "the kernel does not tell in which container this is".to_owned(),
    };
    Stop::refused(format_args!(
        "cannot tell which transaction this is: {why}. The engine's socket is needed to derive it, so that the same \
         work never runs twice on a host; or name it yourself with '-e CAREEN_TRANSACTION=<id>'"
    ))
}
