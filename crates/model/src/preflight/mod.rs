//! Whether a host is fit for its part in a rollout: what was seen there goes in, what is wrong comes out. Pure.
//!
//! It is asked before `prepare`, before the drain, before anything is changed. What would only show when the engine starts
//! the next time is a problem where the rollout may lead to that, and a warning where it may not.

mod daemon_json;
mod dpkg;
mod storage;

pub use daemon_json::DaemonJson;
pub use dpkg::{Dpkg, dpkg_state};
pub use storage::Removed;

use std::fmt;

/// What was seen of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// What the engine says of itself, or why it cannot be asked.
    pub engine: Result<EngineSays, String>,
    /// The version of dockerd on the disk.
    pub installed: Option<String>,
    /// The engine's configuration file.
    pub daemon_json: DaemonJson,
    /// How the packages of a host with dpkg are.
    pub dpkg: Dpkg,
    /// How the host stands towards its swarm's unlock key.
    pub unlock: Unlock,
}

/// What the engine says of itself (`GET /info`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineSays {
    /// Whether containers outlive it.
    pub live_restore: bool,
    /// Its storage driver.
    pub driver: String,
}

/// A host and its swarm's unlock key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlock {
    /// The host asks for none: it is no manager, or the swarm is not autolocked.
    NotAsked,
    /// It asks for one, and the agent has it.
    Right,
    /// It asks for one, and the agent has another.
    Wrong,
    /// It asks for one, and nobody has given it to the agent.
    Missing,
}

/// What may come of the rollout on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Whether the engine may be started anew: by itself, or with its host.
    pub engine_start: bool,
    /// Whether somebody types the unlock key.
    pub unlock_by_hand: bool,
    /// Whether the operator wants to go on whatever is found, to mend it for example.
    pub allow_unfit: bool,
}

/// What is wrong with a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Root in a container is another user on the host: userns-remap, or a rootless engine.
    MappedUsers,
    /// The engine cannot be asked at all.
    NoEngine {
        /// Why.
        why: String,
    },
    /// Containers are to outlive the engine: one in a swarm does not start with that.
    LiveRestore,
    /// The engine's configuration cannot be read.
    DaemonJson {
        /// Why, in dockerd's own words where it can be asked.
        why: String,
    },
    /// The installed engine does not have the driver in which the running one has its images.
    StorageDriver {
        /// Which driver.
        driver: String,
        /// What is installed.
        installed: String,
    },
    /// An engine of a later release does not have it.
    StorageDriverAges {
        /// Which driver.
        driver: String,
        /// The release that dropped it.
        removed: Removed,
    },
    /// Packages that `dpkg --configure -a` does not bring into order.
    Dpkg {
        /// What dpkg says, or the packages.
        why: String,
    },
    /// The unlock key in the agent's secret is not the swarm's.
    WrongUnlockKey,
    /// The manager asks for a key after its engine was started, and nobody gave one.
    NoUnlockKey,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Why the host is not worked on.
    pub problems: Vec<Problem>,
    /// What an operator should know.
    pub warnings: Vec<Problem>,
}

/// When a problem shows.
enum Bites {
    /// At once, and there is no way around.
    Always,
    /// When something is installed.
    Work,
    /// When the engine is started.
    EngineStart,
    /// With another engine than the one that is there.
    Later,
}

/// Judges a host.
pub fn judge(facts: &HostFacts, ahead: Ahead) -> Findings {
    let (problems, warnings) =
        problems(facts, ahead).into_iter().partition(|problem| match problem.bites() {
            Bites::Always => true,
            Bites::Work => !ahead.allow_unfit,
            Bites::EngineStart => ahead.engine_start && !ahead.allow_unfit,
            Bites::Later => false,
        });
    Findings { problems, warnings }
}

fn problems(facts: &HostFacts, ahead: Ahead) -> Vec<Problem> {
    let mut found = Vec::new();
    match &facts.engine {
        Err(why) => found.push(Problem::NoEngine { why: why.clone() }),
        Ok(says) => found.extend(storage(says, facts.installed.as_deref())),
    }
    let runs_so = facts.engine.as_ref().is_ok_and(|says| says.live_restore);
    if runs_so || facts.daemon_json == DaemonJson::LiveRestore {
        found.push(Problem::LiveRestore);
    }
    if let DaemonJson::Invalid { why } = &facts.daemon_json {
        found.push(Problem::DaemonJson { why: why.clone() });
    }
    if let Dpkg::Broken { why } = &facts.dpkg {
        found.push(Problem::Dpkg { why: why.clone() });
    }
    match facts.unlock {
        Unlock::Wrong => found.push(Problem::WrongUnlockKey),
        Unlock::Missing if !ahead.unlock_by_hand => found.push(Problem::NoUnlockKey),
        Unlock::Missing | Unlock::NotAsked | Unlock::Right => {}
    }
    found
}

fn storage(says: &EngineSays, installed: Option<&str>) -> Option<Problem> {
    let removed = storage::removed_in(&says.driver)?;
    let driver = says.driver.clone();
    Some(match installed.filter(|version| removed.is_before(version)) {
        Some(version) => Problem::StorageDriver { driver, installed: version.to_owned() },
        None => Problem::StorageDriverAges { driver, removed },
    })
}

/// Whether a container's root is the host's, by the `uid_map` of its own process and of the host's PID 1: both are the same in one
/// user namespace. (A host that is itself a container with mapped users is its own root all the same.)
pub fn is_hosts_root(own: &str, inits: &str) -> bool {
    own.split_whitespace().eq(inits.split_whitespace())
}

impl Problem {
    fn bites(&self) -> Bites {
        match self {
            Self::MappedUsers | Self::NoEngine { .. } => Bites::Always,
            Self::Dpkg { .. } => Bites::Work,
            Self::LiveRestore
            | Self::DaemonJson { .. }
            | Self::StorageDriver { .. }
            | Self::WrongUnlockKey
            | Self::NoUnlockKey => Bites::EngineStart,
            Self::StorageDriverAges { .. } => Bites::Later,
        }
    }
}

/// What is wrong, and what to do.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MappedUsers => f.write_str(
                "root in a container is nobody on this host (the engine has userns-remap, or is rootless), and a service cannot \
                 ask for the host's own users: leave the node out, or take userns-remap out of its daemon.json",
            ),
            Self::NoEngine { why } => {
                write!(f, "the host's engine cannot be asked, so no go would be seen: {why}")
            }
            Self::LiveRestore => f.write_str(
                "live-restore is on, and an engine in a swarm does not start with it: remove it from daemon.json",
            ),
            Self::DaemonJson { why } => {
                write!(f, "the engine would not start again with its daemon.json: {why}")
            }
            Self::StorageDriver { driver, installed } => write!(
                f,
                "the engine {installed} that is installed has no storage driver '{driver}' any more, and would not find its \
                 images: move to overlay2 first"
            ),
            Self::StorageDriverAges { driver, removed } => write!(
                f,
                "the storage driver '{driver}' is gone from engine {removed} on: move to overlay2 before such an upgrade"
            ),
            Self::Dpkg { why } => {
                write!(f, "dpkg is left in a state that 'dpkg --configure -a' does not mend: {why}")
            }
            Self::WrongUnlockKey => f.write_str(
                "the secret 'unlock-key' is not the key of this swarm: 'docker swarm unlock-key' on a manager shows it",
            ),
            Self::NoUnlockKey => f.write_str(
                "the swarm is autolocked, and this manager would stay locked after its engine was started: give the key \
                 (--unlock-key-file), or --engine-restart never",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
