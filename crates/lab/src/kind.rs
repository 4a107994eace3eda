//! What a node can be made of. The rest of the lab sees nothing but this trait.

use std::fmt::Debug;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::holder::Holder;
use crate::identity::Identity;
use crate::init::Init;
use crate::names::Kind;
use crate::progress::Progress;

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
