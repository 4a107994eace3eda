//! The flags of `enforce`.

use super::{EnforceUpdateArgs, GivenArgs, constraint, image};
use crate::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// `enforce`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EnforceArgs {
    /// What is done with one that is there.
    #[command(subcommand)]
    pub command: Option<EnforceCommand>,
    /// What is enforced, where it is not there yet.
    #[command(flatten)]
    pub what: EnforceWhat,
}

/// What is enforced.
#[derive(Debug, Clone, Args)]
pub struct EnforceWhat {
    /// The payload, with 'check' and 'install': an image, or a directory on this machine (it begins with . or /)
    #[arg(value_parser = payload, required_unless_present_any = ["image", "script", "dir"], value_name = "PAYLOAD")]
    pub payload: Option<EnforcePayload>,
    /// The payload's image; with --script or --dir the image that they are put into
    #[arg(long, value_parser = image, value_name = "IMAGE")]
    pub image: Option<String>,
    /// What it is called, a-z, 0-9 and -; by default as its image or its directory
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How often each host is checked at least; 30m by default
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub interval: Option<Duration>,
    /// A path of the hosts that this payload alone writes, with / at its end for a directory with all below it; can be repeated.
    /// A change there is mended at once
    #[arg(long = "owns", value_name = "PATH")]
    pub owns: Vec<String>,
    /// Only nodes that fit, as for services (node.role==worker); can be repeated, all must hold
    #[arg(long = "constraint", value_parser = constraint, value_name = "CONSTRAINT", help_heading = "Which nodes")]
    pub constraints: Vec<String>,
    /// What hosts get besides the image.
    #[command(flatten)]
    pub given: GivenArgs,
    /// The arguments of 'check' and 'install', behind '--'
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
    /// Do not ask before it starts
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// What stands there for a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnforcePayload {
    /// A directory on this machine.
    Directory(PathBuf),
    /// An image.
    Image(String),
}

/// What is done with enforcements that are there.
#[derive(Debug, Clone, Subcommand)]
pub enum EnforceCommand {
    /// List what is enforced
    Ls,
    /// Show how each host is
    Status(EnforceStatusArgs),
    /// Stop all agents of an enforcement, and keep it
    Pause(EnforcementArgs),
    /// Let the agents of a paused enforcement go on
    Resume(EnforcementArgs),
    /// Bring another version to the hosts node by node, as a rollout
    Update(Box<EnforceUpdateArgs>),
    /// End an enforcement; what it did on hosts stays
    Stop(StopArgs),
}

/// `enforce status`.
#[derive(Debug, Clone, Args)]
pub struct EnforceStatusArgs {
    /// This one alone
    #[arg(value_name = "ENFORCEMENT")]
    pub name: Option<String>,
    /// Wait until every host with an agent is in sync, or somebody has to do something
    #[arg(long)]
    pub wait: bool,
    /// How long is waited
    #[arg(long, requires = "wait", default_value = "10m", value_parser = duration::parse, value_name = "DURATION")]
    pub timeout: Duration,
}

/// `enforce pause` and `enforce resume`.
#[derive(Debug, Clone, Args)]
pub struct EnforcementArgs {
    /// What it is called
    #[arg(value_name = "ENFORCEMENT")]
    pub name: String,
}

/// `enforce stop`.
#[derive(Debug, Clone, Args)]
pub struct StopArgs {
    /// What it is called
    #[arg(value_name = "ENFORCEMENT")]
    pub name: String,
    /// Do not ask before it ends
    #[arg(long, short = 'y')]
    pub yes: bool,
}

pub(super) fn payload(text: &str) -> Result<EnforcePayload, super::InvalidValue> {
    match text.starts_with(['.', '/']) {
        true => Ok(EnforcePayload::Directory(text.into())),
        false => image(text).map(EnforcePayload::Image),
    }
}
