//! The flags of `uninstall`.

use crate::duration;
use clap::Args;
use std::time::Duration;

/// `uninstall`.
#[derive(Debug, Clone, Args)]
pub struct UninstallArgs {
    /// Only say what would be removed; asks hosts, and changes nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Remove the records of rollouts that are over, too
    #[arg(long)]
    pub history: bool,
    /// careen's image, if it has another name; otherwise the asked engine must have careen/installer in this version
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// How long hosts are waited for
    #[arg(long, default_value = "60s", value_parser = duration::parse, value_name = "DURATION")]
    pub timeout: Duration,
    /// Ask the hosts of drained and paused nodes, too: they are active meanwhile, and Swarm may place tasks there
    #[arg(long)]
    pub activate: bool,
    /// Do not ask before anything is removed
    #[arg(long, short = 'y')]
    pub yes: bool,
}
