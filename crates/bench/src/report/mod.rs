//! What a run found, for people and for programs. Pure.

mod markdown;

pub use markdown::{table, whole};

use crate::machine::Machine;
use crate::row::Row;
use serde::{Deserialize, Serialize};

/// One run of the bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The command that repeats it.
    pub command: String,
    /// On what it ran.
    pub machine: Machine,
    /// How long it has run so far, in seconds.
    pub lasted_seconds: u64,
    /// What was measured so far.
    pub rows: Vec<Row>,
}
