//! A deterministic swarm for tests: nodes, engines, hosts, agents, a store with versions and quorum, an orchestrator,
//! virtual time, faults and interfering operators. One seed is one history.
//!
//! It runs the real planner and the real controller's loop; what it fakes is what docs/swarm-facts.md says of Swarm,
//! and what an agent does on its host. Between any two actions a controller may crash, freeze, or meet another one.
//!
//! - the state: [`world`], and what it consists of: [`container`], [`host`], `truth`, [`rng`], [`bend`]
//! - who acts on it: `orchestrator`, `containers`, `agents`, `supervise`, `cluster`, [`members`], [`hand`]
//! - who watches: `witness`, [`invariants`], `surge`, `moves`
//! - what happens when: `second`, and [`run`] with `accidents` and `trouble`
//! - [`fleet`]: how long a rollout over many nodes takes

mod accidents;
mod agents;
pub mod bend;
mod cluster;
pub mod container;
mod containers;
pub mod faults;
pub mod fleet;
pub mod hand;
pub mod host;
pub mod invariants;
pub mod members;
mod moves;
mod orchestrator;
pub mod rng;
pub mod run;
pub mod scenario;
mod second;
mod supervise;
mod surge;
mod trouble;
mod truth;
pub mod whole;
mod witness;
pub mod world;

pub use cluster::View;
pub use faults::{Accidents, Faults};
pub use run::{Ending, Failure, Run};
