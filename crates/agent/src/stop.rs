//! How an agent gives up: with one of its own exit codes, and words that say what to do next.

use careen_contract::AgentExit;
use std::fmt;

/// The end of an agent that has no result of a transaction to report.
#[derive(Debug)]
pub struct Stop {
    /// What to exit with.
    pub exit: AgentExit,
    /// What happened, where, and what to do next.
    pub message: String,
}

impl Stop {
    /// Gives up with this code.
    pub fn new(exit: AgentExit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// Gives up before anything was started.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self::new(AgentExit::Refused, message)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, exit code {})", self.message, self.exit, self.exit.code())
    }
}

/// Turns an error into a refusal, with words for what failed.
pub trait OrRefuse<T> {
    /// `what` completes the sentence 'cannot …'.
    fn or_refuse(self, what: impl fmt::Display) -> Result<T, Stop>;
}

impl<T, E: std::error::Error> OrRefuse<T> for Result<T, E> {
    fn or_refuse(self, what: impl fmt::Display) -> Result<T, Stop> {
        self.map_err(|error| Stop::refused(format!("cannot {what}: {}", careen_contract::chain(&error))))
    }
}
