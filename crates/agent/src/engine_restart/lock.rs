//! One manager at a time: a Swarm config of a fixed name, whose creation succeeds for exactly one.
//!
//! The holder touches it while it waits, and while a command runs that may restart the engine. While its own engine
//! restarts it cannot; nor can one that died. A lock counts as dead when its version has not moved for five minutes on the
//! *observer's* monotonic clock: the clocks of two machines are never compared. Whoever takes over a dead one still asks the
//! quorum, which counts a manager that is down: the lock keeps managers apart, the quorum keeps the swarm.

use careen_contract::{label, object};
use careen_engine::{Config, Engine, EngineError};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const NAME: &str = object::ENGINE_RESTART;
const DEAD_AFTER: Duration = Duration::from_secs(5 * 60);

/// Who takes the lock.
#[derive(Debug)]
pub struct Holder<'a> {
    /// The node's id.
    pub node: &'a str,
    /// Its name, for people.
    pub name: &'a str,
    pub transaction: &'a str,
    /// What it does meanwhile.
    pub work: Work,
}

/// What a holder does while it has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It restarts its engine or its host, or waits for its turn to do so.
    Restart,
    /// It runs a command that may restart the engine.
    Command,
}

impl Work {
    fn label(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Command => "command",
        }
    }

    /// What another says of a holder with this label; one of an older version has none.
    fn in_words(label: Option<&str>) -> &'static str {
        if label == Some(Self::Command.label()) {
            "runs a command that may restart its engine"
        } else {
            "is restarting its engine"
        }
    }
}

impl Holder<'_> {
    fn labels(&self, beat: u64) -> Value {
        json!({
            label::LOCK: "engine-restart",
            label::NODE_ID: self.node,
            label::NODE_NAME: self.name,
            label::TRANSACTION: self.transaction,
            label::WORK: self.work.label(),
            label::BEAT: beat.to_string(),
        })
    }

    /// A supervisor that takes over finds the lock that its predecessor held.
    fn holds(&self, config: &Config) -> bool {
        let label = |name: &str| config.spec.labels.get(name).map(String::as_str);
        label(label::NODE_ID) == Some(self.node) && label(label::TRANSACTION) == Some(self.transaction)
    }
}

/// Why this manager has not got the lock now. `by` is the node's name, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Between the holder before and the next one.
    #[error("the lock for engine restarts changes hands")]
    ChangesHands,
    /// The next try gets it.
    #[error("the lock that {by} held is dead: taking it over")]
    WasDead { by: String },
    /// Another has it, and does this `work`.
    #[error("{by} {work}: one manager at a time")]
    Held { by: String, work: &'static str },
}

/// What one observer has seen of the lock, and when.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Option<(String, u64, Instant)>,
}

impl Watch {
    /// Whether the lock of another is dead, as of now.
    fn is_dead(&mut self, id: &str, version: u64, now: Instant) -> bool {
        match &self.seen {
            Some((seen, index, since)) if seen == id && *index == version => {
                now.duration_since(*since) >= DEAD_AFTER
            }
            Some(_) | None => {
                self.seen = Some((id.to_owned(), version, now));
                false
            }
        }
    }
}

/// Takes the lock, or keeps it.
pub fn take(
    engine: &Engine,
    holder: &Holder<'_>,
    watch: &mut Watch,
) -> Result<Result<(), NotTaken>, EngineError> {
    engine.create_config(NAME, &holder.labels(0))?;
    let Some(config) = engine.config(NAME)? else {
        return Ok(Err(NotTaken::ChangesHands));
    };
    if holder.holds(&config) {
        engine.update_config(NAME, &config, &holder.labels(config.version.index))?;
        return Ok(Ok(()));
    }
    let other = config.spec.labels.get(label::NODE_NAME).map_or("another manager", String::as_str);
    if watch.is_dead(&config.id, config.version.index, Instant::now()) {
        // By its id: if its holder came back to life and another lock was taken meanwhile, that one stays.
        engine.remove_config(&config.id)?;
        return Ok(Err(NotTaken::WasDead { by: other.to_owned() }));
    }
    let work = Work::in_words(config.spec.labels.get(label::WORK).map(String::as_str));
    Ok(Err(NotTaken::Held { by: other.to_owned(), work }))
}

/// Gives the lock back, if this transaction holds it.
pub fn release(engine: &Engine, holder: &Holder<'_>) -> Result<(), EngineError> {
    match engine.config(NAME)? {
        Some(config) if holder.holds(&config) => engine.remove_config(&config.id),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(labels: &Value) -> Config {
        serde_json::from_value(json!({ "ID": "c", "Version": { "Index": 7 }, "Spec": { "Labels": labels } }))
            .unwrap()
    }

    #[test]
    fn a_supervisor_that_takes_over_has_the_lock_of_the_one_before_whatever_that_did() {
        let holder = |node, transaction, work| Holder { node, name: "n1", transaction, work };
        let held = config(&holder("a", "t", Work::Command).labels(3));
        assert!(holder("a", "t", Work::Restart).holds(&held));
        assert!(!holder("a", "t2", Work::Command).holds(&held));
        assert!(!holder("b", "t", Work::Command).holds(&held));
        assert_eq!(held.spec.labels[label::BEAT], "3");
    }

    #[test]
    fn others_are_told_what_the_holder_does() {
        for (work, words) in [(Work::Command, "runs a command"), (Work::Restart, "is restarting")] {
            assert!(Work::in_words(Some(work.label())).starts_with(words));
        }
        assert_eq!(Work::in_words(None), "is restarting its engine");
    }

    #[test]
    fn a_lock_is_dead_when_it_has_not_moved_for_long_on_this_observers_clock() {
        let mut watch = Watch::default();
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!watch.is_dead("a", 1, start));
        assert!(!watch.is_dead("a", 1, after(299)));
        assert!(watch.is_dead("a", 1, after(300)));
        assert!(!watch.is_dead("a", 2, after(301)), "it moved");
        assert!(!watch.is_dead("b", 2, after(900)), "another one took it");
        assert!(watch.is_dead("b", 2, after(1200)));
    }
}
