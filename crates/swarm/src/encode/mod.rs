//! The planner's words in, the engine's JSON out. No I/O.
//!
//! Other people's objects are changed as they were read: the raw spec with our fields in it, so that what this version
//! does not know is written back as it was.

mod config;
mod enforcement;
mod given;
mod inquiry;
mod job;
mod node;
mod scale;
mod verify;

pub use config::{LARGEST, config_spec, lock_labels, with_labels};
pub use enforcement::{changed, constrained, constraints, enforcer, is_stopped, placed};
pub use given::references;
pub use inquiry::{inquiry, stopped_inquiry};
pub use job::{agent, away_from, gate, stand_in, stopped};
pub use node::node_spec;
pub use scale::Scaled;
pub use verify::ignored;
