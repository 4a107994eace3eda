//! One sweep for all that rollouts bring into the swarm and leave there: when the next one is submitted, and when one ends.
//!
//! What belongs to a rollout that is over goes at once: its history has it all. Files, keys and credentials are there before
//! their rollout is, so what nobody knows a rollout of may be another command line's, which submits it in a moment. It goes
//! when it is so old that no command line can be that slow, by the managers' own clock. What a controller has written of a
//! rollout that nobody knows any more is an operator's to judge ([`crate::remains`]), and is left alone.

use crate::api::Swarm;
use crate::controller_task::age;
use crate::decode;
use crate::error::SwarmError;
use crate::names;
use crate::remains::Stored;
use crate::rollouts::RequestError;
use careen_contract::label;
use careen_contract::object;
use careen_engine::Kind;
use careen_planner::RolloutId;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A command line submits seconds after it brought the first file, minutes on a bad line. What is as old as this was abandoned.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Of a rollout that goes on, or whose end nobody has recorded yet.
    Needed,
    /// Of one that is over, and recorded.
    Over,
    /// Of none that the swarm knows of.
    Unknown,
}

/// The service of a controller.
struct ControllerService {
    rollout: RolloutId,
    age: Option<Duration>,
}

impl Stored {
    /// Whether another command line may be about to submit the rollout that needs it.
    pub fn may_be_submitted(&self) -> bool {
        self.is_brought() && self.age.is_some_and(|age| age < ABANDONED)
    }

    /// Whether it is there before its rollout is.
    pub fn is_brought(&self) -> bool {
        [object::FILES, object::REGISTRIES, object::UNLOCK_KEYS]
            .iter()
            .any(|prefix| self.name.starts_with(prefix))
    }

    fn is_superfluous(&self, whose: Whose) -> bool {
        whose.lets_go(self.is_brought(), self.age)
    }
}

impl Whose {
    /// Whether something of that age may go. Of what nobody knows the age nobody knows whether it is needed.
    fn lets_go(self, is_brought: bool, age: Option<Duration>) -> bool {
        match self {
            Self::Needed => false,
            Self::Over => true,
            Self::Unknown => is_brought && age.is_some_and(|age| age >= ABANDONED),
        }
    }
}

impl Swarm {
    /// Removes what nobody needs any more. What a service still refers to stays for the next sweep.
    pub(crate) fn sweep(&self) -> Result<(), RequestError> {
        let now = self.time()?;
        let stored = self.stored_at(now)?;
        let controllers = self.controllers(now)?;
        let ids = stored.iter().map(|one| &one.rollout).chain(controllers.iter().map(|one| &one.rollout));
        let whose = self.whose(ids.cloned().collect())?;
        let of = |id: &RolloutId| whose.get(id).copied().unwrap_or(Whose::Needed);
        // A service that has a secret keeps it, so controllers go first.
        for one in controllers.iter().filter(|one| of(&one.rollout).lets_go(true, one.age)) {
            self.remove_controller(&one.rollout)?;
        }
        for one in stored.iter().filter(|one| one.is_superfluous(of(&one.rollout))) {
            let _in_use_still = self.remove_stored(one)?;
        }
        Ok(())
    }

    fn whose(&self, ids: BTreeSet<RolloutId>) -> Result<BTreeMap<RolloutId, Whose>, SwarmError> {
        let lock = self.config(object::LOCK)?.map(|(_, config)| decode::lock(&config)).transpose()?;
        let busy = lock.filter(|lock| lock.holder.is_some()).and_then(|lock| lock.rollout);
        let rollouts = self.rollouts()?;
        let of = |id: RolloutId| {
            let known = rollouts.iter().find(|one| one.spec.id == id);
            let finished = known.map(|one| one.is_finished());
            let recorded = self.config(&names::history(&id, 1))?.is_some();
            Ok((id.clone(), whose(finished, recorded, busy.as_ref() == Some(&id))))
        };
        ids.into_iter().map(of).collect()
    }

    fn controllers(&self, now: Option<Timestamp>) -> Result<Vec<ControllerService>, SwarmError> {
        let role = format!("{}={}", label::ROLE, label::role::CONTROLLER);
        let found = self.list(Kind::Services, &json!({ "label": [role] }))?;
        let read = |raw: &Value| {
            let rollout = raw.pointer("/Spec/Labels")?.get(label::ROLLOUT)?.as_str()?;
            let created = raw["CreatedAt"].as_str().unwrap_or_default();
            let rollout = RolloutId::parse(rollout).ok()?;
            Some(ControllerService { rollout, age: now.and_then(|now| age(created, now)) })
        };
        Ok(found.iter().filter_map(read).collect())
    }
}

/// Whose something is, by its rollout: whether that is finished (`None`: not there), recorded, and has the lock.
fn whose(finished: Option<bool>, recorded: bool, has_the_lock: bool) -> Whose {
    match (finished, recorded) {
        // Its controller tidies up.
        _ if has_the_lock => Whose::Needed,
        (Some(false), _) | (Some(true), false) => Whose::Needed,
        (Some(true) | None, true) => Whose::Over,
        (None, false) => Whose::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GivenKind;

    fn stored(name: &str, seconds: Option<u64>) -> Stored {
        let (kind, id, rollout) = (GivenKind::Config, name.to_owned(), RolloutId::parse("k3x9").unwrap());
        Stored { kind, id, name: name.to_owned(), rollout, age: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn what_a_rollout_that_is_over_left_goes_and_what_another_one_needs_stays() {
        // finished, recorded, whether it has the lock
        for (finished, recorded, lock, expected) in [
            (Some(false), false, false, Whose::Needed),
            (Some(false), true, false, Whose::Needed),
            (Some(true), true, true, Whose::Needed),
            (Some(true), false, false, Whose::Needed),
            (Some(true), true, false, Whose::Over),
            (None, true, false, Whose::Over),
            (None, false, true, Whose::Needed),
            (None, false, false, Whose::Unknown),
        ] {
            assert_eq!(whose(finished, recorded, lock), expected, "{finished:?} {recorded} {lock}");
        }
    }

    #[test]
    fn what_was_brought_for_a_rollout_that_never_was_goes_when_nobody_can_be_about_to_submit_it() {
        let day = Some(86_400);
        for name in ["careen.file.k3x9.00", "careen.registry.k3x9", "careen.unlock-key.k3x9"] {
            for (age, abandoned) in [(Some(5), false), (Some(3599), false), (day, true), (None, false)] {
                let one = stored(name, age);
                assert_eq!(one.is_superfluous(Whose::Unknown), abandoned, "{name} {age:?}");
                assert!(!one.is_superfluous(Whose::Needed), "{name} {age:?}");
                assert!(one.is_superfluous(Whose::Over), "{name} {age:?}");
            }
            assert!(stored(name, Some(5)).may_be_submitted() && !stored(name, day).may_be_submitted());
        }
        for name in ["careen.rollout.k3x9", "careen.baseline.k3x9", "careen.result.k3x9.n1.g1"] {
            assert!(!stored(name, day).is_superfluous(Whose::Unknown), "{name}: a controller was at work");
            assert!(!stored(name, Some(5)).may_be_submitted(), "{name}");
        }
    }
}
