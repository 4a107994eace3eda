//! What a controller needs of a swarm. A real one is careen-swarm's, a simulated one careen-sim's.
//!
//! Synchronous on purpose, so that a simulator can drive it step by step; an implementation over an asynchronous client blocks
//! on it.

use crate::glance::{Glance, Memory};
use crate::{Act, Observed};
use std::time::Duration;

/// A swarm, as a controller needs it.
pub trait Cluster {
    /// Everything at one moment. It must be as new as the swarm's leader knows: a look from the memory of a manager
    /// that lost its leader is an error, not an answer.
    fn observe(&mut self) -> Result<Observed, Unseen>;

    /// Everything but what nothing says to be otherwise than in memory: [`crate::glance`]. With `all_nodes` no node is left out.
    /// `None` where that cannot be told; then only a look helps.
    fn glance(&mut self, memory: &Memory, all_nodes: bool) -> Result<Option<Glance>, Unseen> {
        let _nothing_to_spare = (memory, all_nodes);
        Ok(None)
    }

    /// Carries one action out. It must be refused when the object has another version than the action says, or exists
    /// already, and should be when the lock has a higher epoch than the act: looked at right before. That leaves a
    /// moment in which a controller may freeze; what it can still do then is harmless or announced.
    fn act(&mut self, act: &Act) -> Result<(), ActError>;

    /// A monotonic clock; where it begins does not matter.
    fn now(&self) -> Duration;
}

/// Why there is nothing that a decision could rest on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// No manager answers, or none that has a leader.
    #[error("the swarm does not answer: {why}")]
    Away {
        /// What was tried, and what came of it.
        why: String,
    },
    /// Something in the swarm cannot be understood. It is never taken for 'not there': nothing is done until somebody
    /// mends it.
    #[error("{why}; nothing is done until that is mended")]
    Corrupt {
        /// What, and what is wrong with it.
        why: String,
    },
}

/// Why an action was not carried out, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// The object was changed since. Nothing was done; the next pass sees it.
    #[error("the object was changed meanwhile; nothing was done")]
    Conflict,
    /// The object exists already. Nothing was done.
    #[error("it exists already; nothing was done")]
    Exists,
    /// The object is gone. Nothing was done.
    #[error("the object is gone; nothing was done")]
    Gone,
    /// The swarm refuses it. Nothing was done.
    #[error("the swarm refuses it: {why}; nothing was done")]
    Refused {
        /// In the words of the engine, where it is what refuses.
        why: String,
    },
    /// Nobody knows whether it was done; the next pass sees it.
    #[error("the swarm does not answer: {why}; it may have been done")]
    Unavailable {
        /// What came instead of an answer.
        why: String,
    },
}
