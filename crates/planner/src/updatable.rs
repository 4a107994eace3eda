//! Whether a new version of an enforcement may be brought to the hosts, and in the place of which: how far an earlier update came, by
//! what lies in the swarm.

use crate::enforcement::{
    CannotEnforce, Enforcement, EnforcementState, FoundConfig, FoundEnforcement, may_start,
};
use crate::ids::RolloutId;
use crate::moves::Moves;

/// How an enforcement is that is to be updated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Updatable {
    /// One version is enforced, and of another nothing is there.
    Stable(Box<Enforcement>),
    /// A rollout brings another version, or did not come to its end.
    Between {
        from: Box<Enforcement>,
        to: String,
        /// The new version; `None` when its config is gone already.
        coming: Option<Box<Enforcement>>,
        rollout: RolloutId,
    },
    /// The new version is the stable one, and something of the old one is left.
    Promoted { from: String, to: Box<Enforcement> },
}

/// Why an enforcement is not updated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CannotUpdate {
    #[error("there is no enforcement '{name}'")]
    Unknown { name: String },
    #[error("{name} is paused")]
    Paused { name: String },
    #[error(
        "{name} {version} is not as careen left it: its config or its service is gone, or cannot be understood"
    )]
    Damaged { name: String, version: String },
    #[error("there are versions of {name} that are no update of each other: {}", .versions.join(", "))]
    Several { name: String, versions: Vec<String> },
    #[error("an update of {name} to another payload ({to}) is not through")]
    HalfWay { name: String, to: String },
    #[error("the rollout {rollout} is bringing a new version of {name}")]
    GoesOn { name: String, rollout: RolloutId },
    #[error("the payload of {name} came from files, which stay on the machine that they came from")]
    NoPayload { name: String },
    #[error(transparent)]
    Enforce(#[from] CannotEnforce),
}

impl Updatable {
    /// What an update that is not through moves.
    pub fn moves(&self) -> Option<Moves> {
        let moves = |of: &Enforcement, from: &str, to: &str| Moves {
            enforcement: of.name.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        match self {
            Self::Stable(_) => None,
            Self::Between { from, to, .. } => Some(moves(from, &from.version, to)),
            Self::Promoted { from, to } => Some(moves(to, from, &to.version)),
        }
    }
}

/// How the enforcement of this name is.
pub fn updatable(all: &[FoundEnforcement], name: &str) -> Result<Updatable, CannotUpdate> {
    let versions: Vec<&FoundEnforcement> = all.iter().filter(|found| found.name == name).collect();
    let mut known = Vec::new();
    for found in &versions {
        match &found.config {
            FoundConfig::There { spec, state } => known.push((&**spec, state, found.service.is_some())),
            FoundConfig::Unreadable { .. } | FoundConfig::Missing => {
                return Err(CannotUpdate::Damaged { name: name.to_owned(), version: found.version.clone() });
            }
        }
    }
    match known[..] {
        [] => Err(CannotUpdate::Unknown { name: name.to_owned() }),
        [(spec, state, has_service)] => alone(spec, state, has_service),
        [(one, of_one, _), (other, of_other, _)] => {
            let pair = beside((one, of_one), (other, of_other));
            pair.or_else(|| beside((other, of_other), (one, of_one))).ok_or_else(|| several(&versions, name))
        }
        [..] => Err(several(&versions, name)),
    }
}

fn several(versions: &[&FoundEnforcement], name: &str) -> CannotUpdate {
    let versions = versions.iter().map(|found| found.version.clone()).collect();
    CannotUpdate::Several { name: name.to_owned(), versions }
}

fn alone(spec: &Enforcement, state: &EnforcementState, has_service: bool) -> Result<Updatable, CannotUpdate> {
    let (name, version) = (spec.name.clone(), spec.version.clone());
    match state {
        EnforcementState::Running {} if has_service => Ok(Updatable::Stable(Box::new(spec.clone()))),
        EnforcementState::Running {} | EnforcementState::Coming { .. } => {
            Err(CannotUpdate::Damaged { name, version })
        }
        EnforcementState::Paused { .. } => Err(CannotUpdate::Paused { name }),
        EnforcementState::Updating { to, rollout } => {
            let (from, to, rollout) = (Box::new(spec.clone()), to.clone(), rollout.clone());
            Ok(Updatable::Between { from, to, coming: None, rollout })
        }
    }
}

/// The second one in the place of the first.
fn beside(
    (from, of_from): (&Enforcement, &EnforcementState),
    (to, of_to): (&Enforcement, &EnforcementState),
) -> Option<Updatable> {
    let leads_to = |to_version: &String| *to_version == to.version;
    match (of_from, of_to) {
        (EnforcementState::Updating { to: next, .. }, EnforcementState::Running {}) if leads_to(next) => {
            Some(Updatable::Promoted { from: from.version.clone(), to: Box::new(to.clone()) })
        }
        (
            EnforcementState::Running {} | EnforcementState::Updating { .. },
            EnforcementState::Coming { from: before, rollout },
        ) if *before == from.version => Some(Updatable::Between {
            from: Box::new(from.clone()),
            to: to.version.clone(),
            coming: Some(Box::new(to.clone())),
            rollout: rollout.clone(),
        }),
        (
            EnforcementState::Running {}
            | EnforcementState::Paused { .. }
            | EnforcementState::Updating { .. }
            | EnforcementState::Coming { .. },
            EnforcementState::Running {}
            | EnforcementState::Paused { .. }
            | EnforcementState::Updating { .. }
            | EnforcementState::Coming { .. },
        ) => None,
    }
}

/// Whether a new version may be beside all other enforcements.
pub fn may_update(all: &[FoundEnforcement], new: &Enforcement) -> Result<(), CannotUpdate> {
    let others: Vec<FoundEnforcement> = all.iter().filter(|found| found.name != new.name).cloned().collect();
    may_start(&others, new).map(drop).map_err(CannotUpdate::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforcement::EnforcerService;
    use crate::ids::ServiceId;
    use crate::testing::{enforcement, rollout};

    const OLD: &str = "0a1b2c3d";
    const NEW: &str = "11112222";

    fn found(version: &str, state: EnforcementState) -> FoundEnforcement {
        let spec = Box::new(Enforcement { version: version.to_owned(), ..enforcement() });
        let service =
            Some(EnforcerService { id: ServiceId("s".into()), stopped: false, changed: Vec::new() });
        let config = FoundConfig::There { spec, state };
        FoundEnforcement { name: "sysctl".into(), version: version.to_owned(), config, service }
    }

    fn updating() -> EnforcementState {
        EnforcementState::Updating { to: NEW.into(), rollout: rollout() }
    }

    fn coming() -> EnforcementState {
        EnforcementState::Coming { from: OLD.into(), rollout: rollout() }
    }

    const RUNNING: EnforcementState = EnforcementState::Running {};

    #[test]
    fn how_far_an_update_came_is_told_from_what_lies_there() {
        let between = |all: &[FoundEnforcement]| {
            let state = updatable(all, "sysctl").unwrap();
            let moves = state.moves().unwrap();
            assert_eq!((moves.from.as_str(), moves.to.as_str()), (OLD, NEW));
            state
        };
        let stable = updatable(&[found(OLD, RUNNING)], "sysctl").unwrap();
        assert!(
            matches!(&stable, Updatable::Stable(spec) if spec.version == OLD) && stable.moves().is_none()
        );
        // Submitted and not begun; set up, in either order of the list; taken back but for the last label; promoted.
        for all in [
            [found(OLD, RUNNING), found(NEW, coming())],
            [found(OLD, updating()), found(NEW, coming())],
            [found(NEW, coming()), found(OLD, updating())],
        ] {
            assert!(matches!(between(&all), Updatable::Between { coming: Some(_), .. }), "{all:?}");
        }
        assert!(matches!(between(&[found(OLD, updating())]), Updatable::Between { coming: None, .. }));
        assert!(matches!(
            between(&[found(OLD, updating()), found(NEW, RUNNING)]),
            Updatable::Promoted { .. }
        ));
    }

    #[test]
    fn what_nobody_can_go_on_from_is_refused() {
        let refused = |all: &[FoundEnforcement]| updatable(all, "sysctl").unwrap_err();
        let paused = EnforcementState::Paused { by: "me".into(), since: 1 };
        assert!(matches!(refused(&[]), CannotUpdate::Unknown { .. }));
        assert!(matches!(refused(&[found(OLD, paused)]), CannotUpdate::Paused { .. }));
        let gone = FoundEnforcement { service: None, ..found(OLD, RUNNING) };
        assert!(matches!(refused(&[gone]), CannotUpdate::Damaged { .. }));
        let unread = FoundConfig::Unreadable { why: "x".into() };
        let unread = FoundEnforcement { config: unread, ..found(NEW, RUNNING) };
        assert!(
            matches!(refused(&[found(OLD, RUNNING), unread]), CannotUpdate::Damaged { version, .. } if version == NEW)
        );
        assert!(matches!(refused(&[found(OLD, RUNNING), found(NEW, RUNNING)]), CannotUpdate::Several { .. }));
    }

    #[test]
    fn a_new_version_may_own_what_the_old_one_owns_and_nobody_else_does() {
        let new = Enforcement { version: NEW.into(), ..enforcement() };
        assert_eq!(may_update(&[found(OLD, RUNNING)], &new), Ok(()));
        let other = Enforcement { name: "other".into(), ..enforcement() };
        let other = FoundConfig::There { spec: Box::new(other), state: RUNNING };
        let other = FoundEnforcement { name: "other".into(), config: other, ..found(OLD, RUNNING) };
        assert!(matches!(
            may_update(&[other], &new),
            Err(CannotUpdate::Enforce(CannotEnforce::OwnedTwice(_)))
        ));
    }
}
