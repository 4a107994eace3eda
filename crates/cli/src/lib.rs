//! `careen`: the operator's command line. What it decides itself is pure and small; what a rollout does is decided by
//! careen-planner, here as in the controller.
//!
//! - [`args`], [`duration`], [`phase_limit`], [`spec`]: flags, and the rollout that they describe; [`given`], [`delivery`]: what hosts get besides the
//!   image; [`registry`], [`credential_helper`], [`push`]: credentials, and images on their way to a registry; [`carried`], [`load`]: the
//!   image in the program
//! - [`complete`]: what may stand where somebody types
//! - [`mod@file`]: a rollout in a file (`careen.yaml`)
//! - [`plugin`], [`call`]: how docker calls careen, and the words of a call before they are read
//! - [`enforcement`]: the flags of `enforce`, and how an enforcement was found
//! - [`backend`]: what is needed of a swarm, as a trait; [`swarm`]: over careen-swarm; [`connect`], [`docker_context`],
//!   [`host`]: which engine is asked; [`transport`]: the ways to those of other machines
//! - [`commands`]: one flow for each command
//! - [`view`]: where a rollout stands; [`left`]: what rollouts that do not go on have left
//! - [`follow`]: what an onlooker is told while it goes on
//! - [`render`]: all that is shown, as text and as JSON; [`console`]: the terminal
//! - [`filter`]: which rollouts are listed
//! - [`past`]: how long the same work took before; [`known`]: what is known of rollouts; [`flags`]: how one was asked for
//! - [`named`]: which node or rollout is meant
//! - [`parity`]: which nodes ended with other versions than the first one
//! - [`exit`], [`error`]: how a call ends
//!
//! The pages, the JSON and the exit codes are documented in docs/cli.md.

pub mod args;
pub mod backend;
pub mod call;
pub mod carried;
pub mod commands;
pub mod complete;
pub mod connect;
pub mod console;
pub mod credential_helper;
pub mod delivery;
mod docker_config;
pub mod docker_context;
pub mod duration;
pub mod enforcement;
pub mod error;
pub mod exit;
pub mod file;
pub mod filter;
pub mod flags;
pub mod follow;
pub mod given;
pub mod hold;
pub mod host;
mod image;
pub mod known;
pub mod left;
pub mod load;
mod log;
pub mod named;
pub mod parity;
pub mod past;
pub mod phase_limit;
pub mod plugin;
pub mod push;
pub mod registry;
pub mod render;
pub mod spec;
pub mod swarm;
mod target;
pub mod transport;
pub mod unlock;
pub mod view;

#[cfg(test)]
mod enforce_screens;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod typed;
