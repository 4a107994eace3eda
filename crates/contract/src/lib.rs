//! What those who start an agent and the agent agree on: names, the environment, reports, exit codes, and the pure decisions
//! that both sides take alike.
//!
//! Both directions of each are here, so that what one side writes is what the other side reads. What only a host knows is in
//! `careen-host`, what only a controller knows in `careen-planner`. No files, sockets, clocks, processes, docker.

pub mod answer;
pub mod cause;
mod chain;
pub mod changed;
pub mod command;
pub mod enforce_part;
pub mod entry;
pub mod errand;
pub mod exit;
pub mod facts;
pub mod id;
pub mod label;
pub mod object;
pub mod payload;
pub mod payload_manifest;
pub mod pending;
pub mod quorum;
pub mod record;
pub mod report;
pub mod settings;
pub mod standing;
pub mod terminal;
mod value;
pub mod variable;

pub use chain::chain;
pub use exit::AgentExit;
pub use id::TransactionId;
