//! What a node can be made of. Containers today; the rest of the lab sees nothing but this trait.

use std::fmt::Debug;
use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use serde::Serialize;

use crate::error::Result;
use crate::names::{LabName, NodeName, Role};
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
    /// Its address on the lab network.
    pub ip: Ipv4Addr,
    /// The Debian release it was made from.
    pub release: String,
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

/// How nodes of one kind are made and handled.
///
/// Every method is idempotent or says in its error what is in the way. All state is derived from what the kind
/// itself can list: nothing is remembered between calls.
pub trait NodeKind: Debug + Send + Sync {
    /// The kind's name in labels and in the status.
    fn name(&self) -> &'static str;
    /// Makes what all nodes of this release share; returns a handle for [`NodeKind::create`].
    fn prepare(&self, release: &str, machine: &Arc<File>, progress: Progress) -> Result<String>;
    /// All nodes of this kind in a lab, half-made ones included, in order of their numbers.
    fn observe(&self, lab: &LabName) -> Result<Vec<Observed>>;
    /// Makes a node and turns it on.
    fn create(&self, node: &Identity, image: &str) -> Result<()>;
    /// Turns on a node that is off.
    fn power_on(&self, node: &Identity) -> Result<()>;
    /// Takes the power away, without any warning to the node; it stays off.
    fn power_cut(&self, node: &Identity) -> Result<()>;
    /// Stops every process of the node where it stands.
    fn freeze(&self, node: &Identity) -> Result<()>;
    /// Lets a frozen node go on.
    fn thaw(&self, node: &Identity) -> Result<()>;
    /// Takes the node off the lab network.
    fn unplug(&self, node: &Identity) -> Result<()>;
    /// Puts it back, with the same address.
    fn plug(&self, node: &Identity) -> Result<()>;
    /// A command that, when run, runs `argv` in the node's own context as root, with the standard streams it is
    /// given and the exit status of what it ran. `terminal` asks for a terminal in the node.
    fn command(&self, node: &Identity, terminal: bool, argv: &[String]) -> Command;
    /// The boot id, or `None` while the node is not up.
    fn boot_id(&self, node: &Identity) -> Result<Option<String>>;
    /// Removes all nodes of this kind in a lab with all that belongs to them; returns how many.
    fn remove_all(&self, lab: &LabName) -> Result<usize>;
}
