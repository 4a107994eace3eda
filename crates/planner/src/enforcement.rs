//! An enforcement: a payload that each host keeps itself to, by an agent in a global service. Nothing of a rollout is in it: no lock,
//! no order. What lies in the swarm of one, whether one may begin, and who owns which path is decided here; how its hosts are, in
//! [`hosts`].

pub mod hosts;
mod owned;

pub use owned::{InvalidPath, OwnedTwice};

use crate::constraint::{Constraint, NOWHERE};
use crate::given::Given;
use crate::ids::{RolloutId, ServiceId};
use crate::objects::Service;
use careen_contract::label;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How often a host is looked at, unless its operator or the payload says otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// A `check` that runs more often than this would be most of what its host does.
const LEAST_INTERVAL: Duration = Duration::from_secs(10);

/// So many paths an agent watches.
const MOST_OWNED: usize = 256;

/// So long may a name be: with version and digest it stands in names of configs, which have 64 characters at most.
const LONGEST_NAME: usize = 24;

/// Every host that careen runs on has it, and Swarm places tasks of global services on others, too.
const LINUX: &str = "node.platform.os==linux";

/// One version of an enforcement, as its config keeps it. It is never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Enforcement {
    pub name: String,
    /// What tells it from every other version: the beginning of a hash over what hosts get.
    pub version: String,
    /// The payload's image, by digest or image id.
    pub image: String,
    /// What whoever started it called the image, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_name: Option<String>,
    /// The directory of the image that holds the payload, where it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The arguments of `check` and `install`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// What hosts get besides the image.
    #[serde(default, skip_serializing_if = "Given::is_empty")]
    pub given: Given,
    /// The paths of hosts that this payload alone writes; one that ends in `/` is a directory with all below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owns: Vec<String>,
    /// How often each host is looked at, whatever is seen of its paths.
    pub interval: Duration,
    /// Which nodes are meant, as for services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Who started it, as they say themselves.
    pub by: String,
}

/// How an enforcement is in the swarm, as its config's label says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum EnforcementState {
    /// Hosts keep themselves to it.
    Running {},
    /// Its operator stopped all of its agents.
    Paused {
        /// Who, as they say themselves.
        by: String,
        /// When, in seconds since 1970.
        since: u64,
    },
    /// A rollout brings hosts to another version; those that have had their turn belong to that one.
    Updating {
        /// Which.
        to: String,
        /// The rollout that does it.
        rollout: RolloutId,
    },
    /// This is the other version of such a rollout.
    Coming {
        /// The version that the other hosts have.
        from: String,
        /// The rollout that brings it.
        rollout: RolloutId,
    },
}

/// One version of an enforcement, as it is found in the swarm. Somebody may have removed one half of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct FoundEnforcement {
    pub name: String,
    pub version: String,
    pub config: FoundConfig,
    pub service: Option<EnforcerService>,
}

/// Its config.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum FoundConfig {
    There {
        spec: Box<Enforcement>,
        state: EnforcementState,
    },
    /// It says what this version of careen does not understand. That is never read as 'not there'.
    Unreadable {
        why: String,
    },
    Missing,
}

/// Its service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct EnforcerService {
    pub id: ServiceId,
    /// Whether no node may have a task of it.
    pub stopped: bool,
    /// What somebody has changed of it by hand, in words.
    pub changed: Vec<String>,
}

/// What is not as careen left it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Damage {
    NoService,
    NoConfig,
    Unreadable {
        why: String,
    },
    Changed {
        what: Vec<String>,
    },
    /// Paused, and its agents run: `pause` did not come to its end, or somebody changed the service.
    NotStopped,
    /// The other way round.
    Stopped,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoService => f.write_str("its service is not there"),
            Self::NoConfig => f.write_str("its config is not there, so nobody knows what it is"),
            Self::Unreadable { why } => write!(f, "its config cannot be understood: {why}"),
            Self::Changed { what } => write!(f, "somebody changed its service by hand: {}", what.join(", ")),
            Self::NotStopped => f.write_str("it is paused, and its agents may run all the same"),
            Self::Stopped => f.write_str("it should run, and its service fits no node"),
        }
    }
}

/// What starting an enforcement comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// It is not there yet.
    New,
    /// Its config is there, and its service is not: somebody died in between, or removed it.
    Completed,
    /// It runs already, just so.
    Nothing,
}

/// Why an enforcement is not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CannotEnforce {
    #[error(
        "'{given}' is no name of an enforcement: it has 1 to {LONGEST_NAME} of the characters a-z, 0-9 and -, and no - in front"
    )]
    Name { given: String },
    #[error("hosts are looked at every {} s at most", LEAST_INTERVAL.as_secs())]
    TooOften,
    #[error("it would own {count} paths, and each is watched on each host: {MOST_OWNED} are the most")]
    TooMany { count: usize },
    #[error(transparent)]
    Path(#[from] InvalidPath),
    #[error(transparent)]
    OwnedTwice(#[from] OwnedTwice),
    #[error("'{constraint}' is no placement constraint that careen knows")]
    Constraint { constraint: String },
    #[error("{name} is enforced already, in the version {runs}")]
    OtherVersion { name: String, runs: String },
    #[error("{name} is paused")]
    Paused { name: String },
    #[error("{name} is being updated by the rollout {rollout}")]
    Updating { name: String, rollout: RolloutId },
    #[error("the service of {name} {version} is there, and its config is not")]
    NoConfig { name: String, version: String },
    #[error(
        "the config of {name} {version} cannot be understood ({why}), so nobody knows which paths it owns"
    )]
    Unreadable { name: String, version: String, why: String },
}

/// A name that its objects can have, and that can be typed.
pub fn check_name(name: &str) -> Result<(), CannotEnforce> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name.chars().all(allowed)
        && !name.starts_with('-')
    {
        true => Ok(()),
        false => {
            let given = name.chars().take(40).collect::<String>().escape_default().to_string();
            Err(CannotEnforce::Name { given })
        }
    }
}

impl Enforcement {
    /// Whether it can be carried out at all, whatever else is in the swarm.
    pub fn check(&self) -> Result<(), CannotEnforce> {
        check_name(&self.name)?;
        if self.interval < LEAST_INTERVAL {
            return Err(CannotEnforce::TooOften);
        }
        if let Some(constraint) = self.constraints.iter().find(|text| Constraint::parse(text).is_err()) {
            return Err(CannotEnforce::Constraint { constraint: constraint.clone() });
        }
        if self.owns.len() > MOST_OWNED {
            return Err(CannotEnforce::TooMany { count: self.owns.len() });
        }
        self.owns.iter().try_for_each(|path| owned::check(path).map_err(CannotEnforce::from))
    }

    /// The same without what hosts get nothing of, and without what is known when it is in the swarm alone: over this, as JSON, and
    /// the digests of the files that come with it the version is the hash.
    #[must_use]
    pub fn hashed(&self) -> Self {
        let given = Given { files: Vec::new(), ..self.given.clone() };
        Self { version: String::new(), image_name: None, by: String::new(), given, ..self.clone() }
    }

    /// What its operator calls the payload's image.
    pub fn called(&self) -> &str {
        self.image_name.as_deref().unwrap_or(&self.image)
    }

    /// Where Swarm may place its tasks, as it is now.
    pub fn placement(&self, state: &EnforcementState) -> Vec<String> {
        let version_on = |is: &str, version: &str| {
            format!("node.labels.{}{}{is}{version}", label::ENFORCE_VERSION_ON, self.name)
        };
        let more = match state {
            EnforcementState::Running {} => None,
            EnforcementState::Paused { .. } => Some(NOWHERE.to_owned()),
            EnforcementState::Updating { to, .. } => Some(version_on("!=", to)),
            EnforcementState::Coming { .. } => Some(version_on("==", &self.version)),
        };
        self.constraints.iter().cloned().chain([LINUX.to_owned()]).chain(more).collect()
    }
}

impl FoundEnforcement {
    /// What it is, and how, where that can be understood.
    pub fn spec(&self) -> Option<(&Enforcement, &EnforcementState)> {
        match &self.config {
            FoundConfig::There { spec, state } => Some((spec, state)),
            FoundConfig::Unreadable { .. } | FoundConfig::Missing => None,
        }
    }

    /// What is not as careen left it.
    pub fn damage(&self) -> Option<Damage> {
        match (&self.config, &self.service) {
            (FoundConfig::Missing, _) => Some(Damage::NoConfig),
            (FoundConfig::Unreadable { why }, _) => Some(Damage::Unreadable { why: why.clone() }),
            (FoundConfig::There { .. }, None) => Some(Damage::NoService),
            (FoundConfig::There { state, .. }, Some(service)) => {
                let paused = matches!(state, EnforcementState::Paused { .. });
                match (paused, service.stopped) {
                    (true, false) => Some(Damage::NotStopped),
                    (false, true) => Some(Damage::Stopped),
                    (true, true) | (false, false) if service.changed.is_empty() => None,
                    (true, true) | (false, false) => Some(Damage::Changed { what: service.changed.clone() }),
                }
            }
        }
    }

    /// Whether its config is understood and says that it runs.
    fn begins(&self) -> Result<Beginning, CannotEnforce> {
        let (name, version) = (self.name.clone(), self.version.clone());
        match (&self.config, &self.service) {
            (FoundConfig::Missing, _) => Err(CannotEnforce::NoConfig { name, version }),
            (FoundConfig::Unreadable { why }, _) => {
                Err(CannotEnforce::Unreadable { name, version, why: why.clone() })
            }
            (FoundConfig::There { state, .. }, service) => match state {
                EnforcementState::Paused { .. } => Err(CannotEnforce::Paused { name }),
                EnforcementState::Updating { rollout, .. } | EnforcementState::Coming { rollout, .. } => {
                    Err(CannotEnforce::Updating { name, rollout: rollout.clone() })
                }
                EnforcementState::Running {} if service.is_none() => Ok(Beginning::Completed),
                EnforcementState::Running {} => Ok(Beginning::Nothing),
            },
        }
    }
}

/// Whether this one may be started beside all that there are.
pub fn may_start(all: &[FoundEnforcement], new: &Enforcement) -> Result<Beginning, CannotEnforce> {
    new.check()?;
    let (same_name, others): (Vec<_>, Vec<_>) = all.iter().partition(|found| found.name == new.name);
    if let Some(found) = same_name.iter().find(|found| found.version == new.version) {
        return found.begins();
    }
    if let Some(found) = same_name.first() {
        let (name, runs) = (found.name.clone(), found.version.clone());
        return Err(CannotEnforce::OtherVersion { name, runs });
    }
    for found in others {
        match &found.config {
            FoundConfig::There { spec, .. } => owned::apart(new, spec)?,
            FoundConfig::Unreadable { why } => {
                let (name, version) = (found.name.clone(), found.version.clone());
                return Err(CannotEnforce::Unreadable { name, version, why: why.clone() });
            }
            // Of a service without its config nothing is known that it owns; whoever looks at it is told.
            FoundConfig::Missing => {}
        }
    }
    Ok(Beginning::New)
}

/// What is enforced in a swarm, as its services say: name and version.
pub fn enforced(services: &[Service]) -> Vec<(&str, &str)> {
    let of = |service: &'_ Service, name: &str| service.labels.get(name).is_some_and(|it| !it.is_empty());
    let ours = services.iter().filter(|one| of(one, label::ENFORCED) && of(one, label::ENFORCED_VERSION));
    let mut all: Vec<(&str, &str)> = ours
        .map(|one| (one.labels[label::ENFORCED].as_str(), one.labels[label::ENFORCED_VERSION].as_str()))
        .collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests;
