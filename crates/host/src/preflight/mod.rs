//! Whether a host is fit for its part in a rollout: what was seen there goes in, what is wrong comes out. Pure.
//!
//! It is asked before `prepare`, before the drain, before anything is changed. What would only show when the engine starts
//! the next time is a problem where the rollout may lead to that, and a warning where it may not.

mod daemon_json;
mod dpkg;
mod lasting;
mod others;
mod problem;
mod selinux;
mod settings;
mod storage;
mod unit;

pub use daemon_json::{DaemonJson, Told, Verdict, config_file};
pub use dpkg::{Dpkg, dpkg_state};
pub use lasting::{Lasting, Marks, by_mounts};
pub use others::{Manners, Somebody, UPDATER_LIMIT, look as look_for_others, wait_for};
pub use problem::{Engine, Problem};
pub use selinux::{Selinux, is_confined};
pub use settings::Dropped;
pub use storage::{Removed, major};
pub use unit::{Files, Start, Unit, docker_service};

/// What was seen of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// What the engine says of itself, or why it cannot be asked.
    pub engine: EngineAnswer,
    /// The version of dockerd on the disk.
    pub installed: Option<String>,
    /// How the host's service manager would start the engine.
    pub unit: Unit,
    /// The engine's configuration: its file, and the flags that its unit gives it.
    pub daemon_json: DaemonJson,
    /// What of that later engines refuse.
    pub dropped: Vec<Dropped>,
    /// Whether what careen writes down outlives a boot.
    pub memory: Lasting,
    /// Who else is about to act on the host.
    pub others: Vec<Somebody>,
    /// How SELinux is there.
    pub selinux: Selinux,
    /// The version of systemd, where that is the host's PID 1 and tells it.
    pub systemd: Option<u32>,
    /// How the packages of a host with dpkg are.
    pub dpkg: Dpkg,
    /// How the host stands towards its swarm's unlock key.
    pub unlock: Unlock,
}

/// What came of asking the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EngineAnswer {
    Says(EngineSays),
    /// It cannot be asked.
    Silent {
        /// Why, with all causes.
        why: String,
    },
}

impl EngineAnswer {
    /// What it says of itself, if it says anything.
    pub fn says(&self) -> Option<&EngineSays> {
        match self {
            Self::Says(says) => Some(says),
            Self::Silent { .. } => None,
        }
    }
}

/// What the engine says of itself (`GET /info`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct EngineSays {
    /// Whether containers outlive it.
    pub live_restore: bool,
    pub driver: String,
    /// Its data directory.
    pub root: String,
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
    /// Whether the host may be rebooted.
    pub reboot: bool,
    /// Whether anything is done there at all.
    pub works: bool,
    /// Whether somebody types the unlock key.
    pub unlock_by_hand: bool,
    /// Whether the operator wants to go on whatever is found, to mend it for example.
    pub allow_unfit: bool,
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
    /// When the host is rebooted.
    Reboot,
    /// When the engine is started.
    EngineStart,
    /// With another engine than the one that is there.
    Later,
}

/// Sorts what is wrong with a host: what refuses it, given what may come of the rollout there, and what is only said.
pub fn judge(facts: &HostFacts, ahead: Ahead) -> Findings {
    let (problems, warnings) =
        problems(facts, ahead).into_iter().partition(|problem| match problem.bites() {
            Bites::Always => true,
            Bites::Work => ahead.works && !ahead.allow_unfit,
            Bites::Reboot => ahead.reboot && !ahead.allow_unfit,
            Bites::EngineStart => ahead.engine_start && !ahead.allow_unfit,
            Bites::Later => false,
        });
    Findings { problems, warnings }
}

fn problems(facts: &HostFacts, ahead: Ahead) -> Vec<Problem> {
    let mut found = of_the_engine(facts);
    if let Dpkg::Broken { why } = &facts.dpkg {
        found.push(Problem::Dpkg { why: why.clone() });
    }
    match facts.unlock {
        Unlock::Wrong => found.push(Problem::WrongUnlockKey),
        Unlock::Missing if !ahead.unlock_by_hand => found.push(Problem::NoUnlockKey),
        Unlock::Missing | Unlock::NotAsked | Unlock::Right => {}
    }
    match &facts.memory {
        Lasting::Lasts => {}
        Lasting::Forgets { why } => found.push(Problem::Forgets { why: why.clone() }),
        Lasting::Unknown { why } if ahead.reboot => found.push(Problem::MayForget { why: why.clone() }),
        Lasting::Unknown { .. } => {}
    }
    if let Selinux::Enforcing { .. } = &facts.selinux {
        found.push(Problem::Selinux);
    }
    match facts.systemd {
        Some(version) if version < SYSTEMD_LEAST => found.push(Problem::Systemd { version }),
        Some(version) if version < SYSTEMD_TRIED => found.push(Problem::OldSystemd { version }),
        Some(_) | None => {}
    }
    found.extend(of_others(&facts.others, ahead));
    found
}

fn of_the_engine(facts: &HostFacts) -> Vec<Problem> {
    let mut found = Vec::new();
    let installed = facts.installed.as_deref();
    match &facts.engine {
        EngineAnswer::Silent { why } => found.push(Problem::NoEngine { why: why.clone() }),
        EngineAnswer::Says(says) => found.extend(storage(says, installed)),
    }
    let runs_so = facts.engine.says().is_some_and(|says| says.live_restore);
    if runs_so || facts.daemon_json == DaemonJson::LiveRestore {
        found.push(Problem::LiveRestore);
    }
    if let DaemonJson::Invalid { why } = &facts.daemon_json {
        found.push(Problem::DaemonJson { why: why.clone() });
    }
    match &facts.unit {
        Unit::Broken { why } => found.push(Problem::EngineUnit { why: why.clone() }),
        Unit::Unclear { why } => found.push(Problem::UnclearUnit { why: why.clone() }),
        Unit::None | Unit::Starts(_) => {}
    }
    found.extend(facts.dropped.iter().map(|dropped| of_dropped(dropped, installed, Engine::Installed)));
    found
}

fn of_dropped(dropped: &Dropped, engine: Option<&str>, which: Engine) -> Problem {
    let dropped = dropped.clone();
    match engine.filter(|version| dropped.removed.is_before(version)) {
        Some(version) => Problem::Setting { dropped, version: version.to_owned(), which },
        None => Problem::SettingAges { dropped },
    }
}

/// What only careful people want to hear is said where it may be of consequence.
fn of_others(others: &[Somebody], ahead: Ahead) -> impl Iterator<Item = Problem> {
    let counts = move |somebody: &&Somebody| match somebody {
        Somebody::Shutdown { .. } | Somebody::Updater { .. } => ahead.works,
        Somebody::Inhibitor { .. } => ahead.reboot,
        Somebody::Person { .. } => ahead.reboot || ahead.engine_start,
    };
    others.iter().filter(counts).cloned().map(Problem::Somebody)
}

/// What keeps an engine that is to come from starting as this host would start it. `driver` is the storage driver of the one that
/// runs, where it is known; the version may be that of a package.
pub fn against_engine(version: &str, dropped: &[Dropped], driver: Option<&str>) -> Vec<Problem> {
    let settings = dropped
        .iter()
        .filter(|dropped| dropped.removed.is_before(version))
        .map(|dropped| of_dropped(dropped, Some(version), Engine::Coming));
    let driver =
        driver.filter(|driver| storage::removed_in(driver).is_some_and(|gone| gone.is_before(version)));
    let storage = driver.map(|driver| Problem::StorageDriver {
        driver: driver.to_owned(),
        version: version.to_owned(),
        which: Engine::Coming,
    });
    settings.chain(storage).collect()
}

/// The first systemd that can be asked over the system bus for a unit (`systemd-run --wait`): from a container no other way
/// leads to it.
const SYSTEMD_LEAST: u32 = 232;

/// The first with all that careen asks for in a unit (`Type=exec`); before it `Type=simple` stands in.
const SYSTEMD_TRIED: u32 = 240;

fn storage(says: &EngineSays, installed: Option<&str>) -> Option<Problem> {
    let removed = storage::removed_in(&says.driver)?;
    let driver = says.driver.clone();
    Some(match installed.filter(|version| removed.is_before(version)) {
        Some(version) => {
            Problem::StorageDriver { driver, version: version.to_owned(), which: Engine::Installed }
        }
        None => Problem::StorageDriverAges { driver, removed },
    })
}

/// Whether a container's root is the host's, by the `uid_map` of its own process and of the host's PID 1: both are the same in one
/// user namespace. (A host that is itself a container with mapped users is its own root all the same.)
pub fn is_hosts_root(own: &str, inits: &str) -> bool {
    own.split_whitespace().eq(inits.split_whitespace())
}

#[cfg(test)]
mod tests;
