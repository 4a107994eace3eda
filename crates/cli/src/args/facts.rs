//! The flags of `facts`.

use super::{constraint, time_limit};
use crate::host_filter::{self, HostFilter};
use clap::Args;
use std::time::Duration;

/// `facts`.
#[derive(Debug, Clone, Args)]
pub struct FactsArgs {
    /// These nodes alone, by id or host name
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Only nodes that fit, as for services (node.role==worker); can be repeated, all must hold
    #[arg(long = "constraint", value_parser = constraint, value_name = "CONSTRAINT")]
    pub constraints: Vec<String>,
    /// Show in which versions of system, kernel, engine and containerd hosts differ
    #[arg(long, conflicts_with = "behind")]
    pub skew: bool,
    /// Show which packages wait on each host
    #[arg(long)]
    pub behind: bool,
    /// Print ids of nodes alone
    #[arg(long, short, conflicts_with_all = ["skew", "behind"])]
    pub quiet: bool,
    /// Show only hosts that fit (reboot=yes, pending=yes, system=debian, engine=28.5.2, drift=yes, answered=no); can be repeated
    #[arg(long = "filter", short = 'f', value_parser = host_filter::parse, value_name = "KEY=VALUE")]
    pub filters: Vec<HostFilter>,
    /// careen's image, if it has another name; otherwise the asked engine must have careen/installer in this version
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// How long hosts are waited for
    #[arg(long, default_value = "60s", value_parser = time_limit, value_name = "DURATION")]
    pub timeout: Duration,
    /// Ask the hosts of drained and paused nodes, too: they are active meanwhile, and Swarm may place tasks there
    #[arg(long)]
    pub activate: bool,
    /// Do not ask before nodes are made active
    #[arg(long, short = 'y')]
    pub yes: bool,
}
