//! What a node can be made of. The rest of the lab sees nothing but this trait.

use std::fmt::Debug;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::container::Container;
use crate::error::Result;
use crate::holder::Holder;
use crate::init::Init;
use crate::machine::Machine;
use crate::names::{Kind, LabName, NodeName, Role};
use crate::progress::Progress;

/// Which node: everything about it that never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its lab.
    pub lab: LabName,
    /// Its name in the lab.
    pub name: NodeName,
    /// The role it was made with.
    pub role: Role,
    /// What it is made of.
    pub kind: Kind,
    /// Its address on the lab network.
    pub ip: Ipv4Addr,
    /// The Debian release it was made from.
    pub release: String,
}

#[cfg(test)]
impl Identity {
    /// Some node of this kind.
    pub(crate) fn example(kind: Kind) -> Self {
        Self {
            lab: "x".parse().unwrap(),
            name: "n2".parse().unwrap(),
            role: Role::Worker,
            kind,
            ip: "10.213.4.12".parse().unwrap(),
            release: "bookworm".to_owned(),
        }
    }
}

/// Whether a node has power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// Running, or about to come back by itself.
    On,
    /// Exists, and will not do anything until it is thawed.
    Frozen,
    /// Exists, and does not run.
    Off,
}

/// A node as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Which node.
    pub identity: Identity,
    /// Whether it runs.
    pub power: Power,
    /// Whether it is on the lab network.
    pub plugged: bool,
}

/// What all nodes of a kind and a release are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The image of their containers.
    pub image: String,
    /// The directory of the disk that virtual machines start with.
    pub disk: Option<PathBuf>,
}

/// How nodes of one kind are made and handled.
///
/// Every method is idempotent or says in its error what is in the way. All state is derived from what the kind's
/// containers tell ([`Holder`]): nothing is remembered between calls.
pub trait NodeKind: Debug + Send + Sync {
    /// Which kind this is.
    fn kind(&self) -> Kind;
    /// The containers that stand for its nodes.
    fn holder(&self) -> &Holder;
    /// What runs as PID 1 in its nodes.
    fn init(&self) -> Init;
    /// How long a boot may take, the shutdown before it included.
    fn boot_limit(&self) -> Duration {
        // A boot takes a few seconds; a shutdown may wait for the stop time limits of its units.
        Duration::from_secs(150)
    }
    /// Makes what all nodes of this release share; `machine` is the machine's
    /// lock.
    fn prepare(&self, release: &str, machine: &Arc<File>, progress: Progress) -> Result<Parts>;
    /// Makes a node and turns it on.
    fn create(&self, node: &Identity, parts: &Parts) -> Result<()>;
    /// A command that, when run, runs `argv` in the node's own context as root, with the standard streams it is
    /// given and the exit status of what it ran. `terminal` asks for a terminal in the node.
    fn command(&self, node: &Identity, terminal: bool, argv: &[String]) -> Command;
    /// A command that runs a script where the node's reboot delay is kept: in the node, unless its kind knows a place
    /// that can be reached while the node is down and that survives a power cut.
    fn outside_command(&self, node: &Identity, script: &str) -> Command {
        self.command(node, false, &["sh", "-c", script].map(str::to_owned))
    }
    /// The boot id, or `None` while the node is not up.
    fn boot_id(&self, node: &Identity) -> Result<Option<String>>;
}

/// How this kind of node is handled, on this engine.
pub fn of(kind: Kind, holder: &Holder) -> Arc<dyn NodeKind> {
    match kind {
        Kind::Container => Arc::new(Container::new(holder.clone(), Init::Systemd)),
        Kind::Sysvinit => Arc::new(Container::new(holder.clone(), Init::Sysvinit)),
        Kind::Vm => Arc::new(Machine::new(holder.clone())),
    }
}
