//! What can go wrong between careen and a swarm.

use careen_contract::chain;
use careen_engine::{EngineError, Meaning};
use careen_planner::cluster::{ActError, Unseen};

/// Why the swarm could not be looked at, or something in it not be understood.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// The engine gives no answer, or one that says no.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine is too old for jobs.
    #[error("the engine speaks API {}.{} only; careen needs 1.41 (docker 20.10) on the managers", .api.0, .api.1)]
    TooOld {
        /// The newest API that it speaks.
        api: (u32, u32),
    },
    /// No manager leads, so that nobody knows whether what is seen is still true.
    #[error("no manager of the swarm leads; what the others remember proves nothing")]
    NoLeader,
    /// An object says what this version does not understand. It is never read as 'not there'.
    #[error("{object} cannot be understood: {why}")]
    Corrupt {
        /// Which: its kind and name.
        object: String,
        /// What is wrong with it.
        why: String,
    },
}

impl SwarmError {
    pub(crate) fn corrupt(object: impl Into<String>, why: impl ToString) -> Self {
        Self::Corrupt { object: object.into(), why: why.to_string() }
    }
}

impl From<SwarmError> for Unseen {
    fn from(error: SwarmError) -> Self {
        let why = chain(&error);
        match error {
            SwarmError::Engine(_) | SwarmError::NoLeader => Self::Away { why },
            SwarmError::TooOld { .. } | SwarmError::Corrupt { .. } => Self::Corrupt { why },
        }
    }
}

/// What an engine's answer to a write means.
pub(crate) fn refusal(error: &EngineError) -> ActError {
    let why = || chain(error);
    match error.meaning() {
        Meaning::Changed => ActError::Conflict,
        Meaning::NotFound => ActError::Gone,
        Meaning::Exists => ActError::Exists,
        Meaning::InUse | Meaning::Refused => ActError::Refused { why: why() },
        Meaning::NoLeader | Meaning::NotAManager | Meaning::Locked | Meaning::Unavailable => {
            ActError::Unavailable { why: why() }
        }
    }
}

impl From<SwarmError> for ActError {
    fn from(error: SwarmError) -> Self {
        match &error {
            SwarmError::Engine(answer) => refusal(answer),
            SwarmError::NoLeader => Self::Unavailable { why: chain(&error) },
            SwarmError::TooOld { .. } | SwarmError::Corrupt { .. } => Self::Refused { why: chain(&error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_understood_is_not_told_as_a_swarm_that_is_away() {
        let unseen = |error: SwarmError| Unseen::from(error).to_string();
        let corrupt = unseen(SwarmError::corrupt("the config careen.lock", "its epoch is 'x'"));
        assert_eq!(
            corrupt,
            "the config careen.lock cannot be understood: its epoch is 'x'; nothing is done until that is mended"
        );
        assert!(unseen(SwarmError::NoLeader).starts_with("the swarm does not answer: "));
    }

    #[test]
    fn what_an_engine_answers_means_what_was_seen_on_20_10_24() {
        let answer = |status, message: &str| {
            let message = message.to_owned();
            refusal(&EngineError::Answer { status, request: "POST /x".into(), message })
        };
        let out_of_sequence = "rpc error: code = Unknown desc = update out of sequence";
        assert_eq!(answer(500, out_of_sequence), ActError::Conflict);
        let exists = "rpc error: code = AlreadyExists desc = config careen.lock already exists";
        assert_eq!(answer(409, exists), ActError::Exists);
        assert_eq!(answer(404, "node x not found"), ActError::Gone);
        let refused =
            "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm";
        assert!(matches!(answer(400, refused), ActError::Refused { .. }));
        let away = "rpc error: code = Unknown desc = The swarm does not have a leader.";
        assert!(matches!(answer(500, away), ActError::Unavailable { .. }));
        assert!(matches!(answer(503, "This node is not a swarm manager."), ActError::Unavailable { .. }));
    }
}
