//! The decisions of a rollout: what is seen of a swarm, a policy, and a clock's reading go in; what is to be done, and
//! why everything else waits, comes out.
//!
//! Pure: no docker, no files, no clock, no runtime. `careen plan` and the controller ask the same functions.
//!
//! - [`observed`]: what is seen, [`indexed`]: the same with an index, [`glance`]: most of it seen anew; [`spec`]: what is wanted; [`given`]: what agents get for it;
//!   [`rollout`]: what is stored beside the nodes' labels
//! - [`state`]: where one node stands, and what may follow (docs/rollout-states.md)
//! - [`hold`]: why something waits
//! - [`participants`]: who takes part, whoever joins or leaves
//! - [`order`], [`quorum`], [`drain`], [`availability`], [`settle`], [`failure`] (a [`ratio`] of the nodes), [`surge`], [`short`], [`parallelism`], [`moves`]: one question
//!   each;
//!   [`scheduler`]: where Swarm places tasks, by [`constraint`] and [`needs`]; [`names`]: how nodes are called
//! - [`inquiry`]: who is asked a question, and what the answers come to, without a rollout; [`checked`]: and who drifts
//! - [`enforcement`]: what hosts keep themselves to, which hosts those are, and how they are
//! - [`plan()`]: what a rollout would do, wave after wave, with what is at risk; [`estimate`]: in what time; [`view()`]: how it stands; [`pass()`]: what a controller does now, [`action`]:
//!   how it says so; [`remains`]: what is left, and how it is given back without a controller

pub mod action;
mod ahead;
pub mod availability;
mod board;
pub mod checked;
pub mod cluster;
pub mod constraint;
pub mod drain;
pub mod enforcement;
pub mod estimate;
pub mod exclude;
pub mod failure;
pub mod given;
pub mod glance;
pub mod hold;
pub mod ids;
pub mod image_places;
pub mod indexed;
pub mod inquiry;
pub mod moves;
pub mod names;
pub mod needs;
pub mod objects;
pub mod observed;
pub mod on_hold;
pub mod order;
pub mod parallelism;
pub mod participant;
pub mod participants;
mod pass;
pub mod plan;
mod planned;
pub mod probe;
pub mod quorum;
pub mod ratio;
pub mod remains;
mod risk;
pub mod rollout;
pub mod scheduler;
pub mod selection;
pub mod settle;
pub mod short;
pub mod spec;
pub mod state;
pub mod surge;
pub mod uninstall;
pub mod updatable;
mod watch;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use action::{Act, Action, AgentSpec};
pub use enforcement::{Enforcement, EnforcementState, FoundEnforcement};
pub use given::{Given, GivenFile};
pub use hold::{Hold, PauseReason};
pub use ids::{ControllerId, JobKey, JobRole, NodeId, RolloutId, ServiceId, Version};
pub use indexed::Indexed;
pub use observed::Observed;
pub use parallelism::Parallelism;
pub use pass::{Pass, PassEnd, PassError, View, has_begun, last_words, pass, view};
pub use plan::{Plan, plan};
pub use spec::Spec;
pub use state::{NodeRecord, NodeState};
pub use watch::Watch;
