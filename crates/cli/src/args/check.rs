//! The flags of `check`.

use super::{AskArgs, GivenArgs, WhichArgs, image, time_limit};
use careen_contract::payload::CHECK_COMMAND;
use clap::Args;
use std::time::Duration;

/// `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The payload's image; with --script or --dir the image that they are put into, with --upgrade careen's own if it has another
    /// name
    #[arg(long, value_parser = image, required_unless_present_any = ["script", "dir", "upgrade"], value_name = "IMAGE")]
    pub image: Option<String>,
    /// Check with the built-in payload of 'careen upgrade': whether packages wait
    #[arg(long, conflicts_with_all = ["script", "dir"])]
    pub upgrade: bool,
    /// Arguments of the payload's 'check', behind '--'
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
    /// Show what each host says; hosts that say the same are shown once
    #[arg(long)]
    pub diff: bool,
    /// What hosts get besides the image.
    #[command(flatten)]
    pub given: GivenArgs,
    /// Who is asked.
    #[command(flatten)]
    pub which: WhichArgs,
    /// How long answers are waited for; a check that still runs is stopped then
    #[arg(long, default_value = "180s", value_parser = time_limit, value_name = "DURATION")]
    pub timeout: Duration,
    /// Ask the hosts of drained and paused nodes, too: they are active meanwhile, and Swarm may place tasks there
    #[arg(long)]
    pub activate: bool,
    /// Do not ask before nodes are made active
    #[arg(long, short = 'y')]
    pub yes: bool,
}

impl CheckArgs {
    /// The question that it is.
    pub fn question(&self) -> AskArgs {
        AskArgs {
            image: self.image.clone(),
            command: CHECK_COMMAND.to_owned(),
            args: self.args.clone(),
            given: self.given.clone(),
            which: self.which.clone(),
            timeout: self.timeout,
            activate: self.activate,
            yes: self.yes,
        }
    }
}
