//! A deterministic swarm for tests: nodes, engines, hosts, agents, a store with versions and quorum, an orchestrator,
//! virtual time, faults and interfering operators. One seed is one history.
//!
//! It runs the real planner and the real controller's loop; what it fakes is what docs/swarm-facts.md says of Swarm,
//! and what an agent does on its host. Between any two actions a controller may crash, freeze, or meet another one.

mod accidents;
mod agents;
pub mod bend;
mod cluster;
mod containers;
pub mod faults;
pub mod hand;
pub mod host;
pub mod invariants;
pub mod members;
mod orchestrator;
pub mod rng;
pub mod run;
pub mod scenario;
mod supervise;
mod trouble;
mod truth;
pub mod whole;
pub mod world;

pub use cluster::View;
pub use faults::{Accidents, Faults};
pub use run::{Ending, Failure, Run};
