//! `careen`: the operator's command line. What it decides itself is pure and small; what a rollout does is decided by
//! careen-planner, here as in the controller.
//!
//! - [`args`], [`spec`]: flags, and the rollout that they describe
//! - [`backend`]: what is needed of a swarm, as a trait; [`swarm`]: over careen-swarm; [`connect`]: which engine is asked
//! - [`commands`]: one flow for each command
//! - [`view`]: where a rollout stands; [`words`]: as sentences; [`status`], [`status_json`], [`why`],
//!   [`plan_page`]: as pages and JSON
//! - [`follow`], [`progress`]: what an onlooker is told while it goes on
//! - [`console`], [`text`]: the terminal; [`exit`], [`error`]: how a call ends
//!
//! The pages, the JSON and the exit codes are documented in docs/cli.md.

pub mod args;
pub mod backend;
pub mod commands;
pub mod connect;
pub mod console;
pub mod error;
pub mod exit;
pub mod follow;
mod image;
mod log;
pub mod plan_page;
pub mod progress;
pub mod spec;
pub mod status;
pub mod status_json;
pub mod swarm;
pub mod text;
pub mod unlock;
pub mod view;
pub mod why;
pub mod words;

#[cfg(test)]
mod testing;
