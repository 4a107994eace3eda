//! The words and the pure decisions that every part of careen shares.
//!
//! What is here: identifiers, exit codes, the payload contract's settings, the schemas of what lies on a host
//! (manifest, journal, output index), the state machine of a transaction, and the parsers of what the kernel tells
//! a container about itself.
//!
//! What is not: files, sockets, clocks, processes, docker. Everything here takes bytes and values and returns values,
//! so that each decision can be tested without a host.

pub mod capability;
pub mod cause;
pub mod command;
pub mod container;
pub mod control;
pub mod deeds;
pub mod entry;
pub mod exit;
pub mod facts;
pub mod id;
pub mod journal;
pub mod last_line;
pub mod machine;
pub mod manifest;
pub mod mountinfo;
pub mod outcome;
pub mod output;
pub mod payload;
pub mod preflight;
pub mod quorum;
pub mod removal;
pub mod report;
pub mod settings;
pub mod terminal;
pub mod transaction;

pub use exit::AgentExit;
pub use id::TransactionId;
