//! The flags of `enforce update`.

use super::enforce::payload;
use super::{EnforcePayload, GivenArgs, HowArgs, StartArgs, TouchesEngine, image};
use crate::duration;
use clap::Args;
use std::time::Duration;

/// `enforce update`. Nothing is drained or restarted unless somebody says so, and all nodes that the enforcement is meant for take part.
#[derive(Debug, Clone, Args)]
#[command(
    mut_arg("drain", |arg| arg.default_value("never")),
    mut_arg("engine_restart", |arg| arg.default_value("never")),
    mut_arg("nodes", |arg| arg.hide(true).conflicts_with("name"))
)]
pub struct EnforceUpdateArgs {
    /// What it is called
    #[arg(value_name = "ENFORCEMENT")]
    pub name: String,
    /// The new payload, with 'check' and 'install': an image, or a directory on this machine (it begins with . or /). What is not said
    /// stays as it is: payload, variables, secrets and configs, arguments, paths, interval, constraints
    #[arg(value_parser = payload, value_name = "PAYLOAD")]
    pub payload: Option<EnforcePayload>,
    /// The payload's image; with --script or --dir the image that they are put into
    #[arg(long, value_parser = image, value_name = "IMAGE")]
    pub image: Option<String>,
    /// How often each host is checked at least
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub interval: Option<Duration>,
    /// A path of the hosts that this payload alone writes; can be repeated. Those of before are replaced
    #[arg(long = "owns", value_name = "PATH")]
    pub owns: Vec<String>,
    /// Take an update back that is not through: all hosts keep themselves to the version of before
    #[arg(long, conflicts_with_all = ["payload", "image", "script", "dir", "interval", "owns", "detach", "local"])]
    pub back: bool,
    /// The arguments of 'check' and 'install', behind '--'
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
    /// What hosts get besides the image.
    #[command(flatten)]
    pub given: GivenArgs,
    /// Whether the command may end the engine. 'no' promises that it never does: then managers go together like other nodes. Without it
    /// the image's label careen.touches-engine counts, else 'maybe'
    #[arg(long, value_enum, value_name = "WHETHER", help_heading = "Hosts")]
    pub touches_engine: Option<TouchesEngine>,
    /// In which order, and how.
    #[command(flatten)]
    pub how: HowArgs,
    /// How it starts.
    #[command(flatten)]
    pub start: StartArgs,
}
