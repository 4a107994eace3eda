//! The command line. What the flags mean for a rollout is in [`crate::spec`].

use careen_planner::constraint::Constraint;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Upgrades, updates and configuration-manages every host of a Docker Swarm, with the swarm as the only transport.
///
/// Ask a manager: on its host, or through a forwarded socket with --host.
#[derive(Debug, Parser)]
#[command(name = "careen", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command understands.
    #[command(flatten)]
    pub common: Common,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The manager's engine: unix:///run/docker.sock
    #[arg(long, short = 'H', global = true, env = "DOCKER_HOST", value_name = "HOST")]
    pub host: Option<String>,
    /// Text for people, or JSON for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A command of `careen`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Roll a payload out over the swarm's nodes
    Run(RunArgs),
    /// Say what 'run' with the same flags would do; changes nothing
    Plan(RolloutArgs),
    /// Where the rollout stands
    Status,
    /// What the hosts printed
    Logs(LogsArgs),
    /// What exactly blocks, and what to do next
    Why {
        /// This node alone, by id or host name
        node: Option<String>,
    },
    /// Let no more node begin what cannot be taken back
    Pause,
    /// Let a paused rollout go on
    Resume(SteerArgs),
    /// Try a failed node again
    Retry(NodeArgs),
    /// Leave a node out
    Skip(NodeArgs),
    /// Give back what can be given back, and end the rollout
    Abort(SteerArgs),
    /// Print a completion script for a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The rollout.
    #[command(flatten)]
    pub rollout: RolloutArgs,
    /// Start the rollout and return
    #[arg(long, conflicts_with = "local")]
    pub detach: bool,
    /// Run the controller in this process instead of in the swarm
    #[arg(long)]
    pub local: bool,
    /// Do not ask before the rollout starts
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// `resume` and `abort`.
#[derive(Debug, Clone, Args)]
pub struct SteerArgs {
    /// Run the controller in this process, and follow
    #[arg(long)]
    pub local: bool,
}

/// `retry` and `skip`.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// The node, by id or host name
    pub node: String,
    /// Run the controller in this process, and follow
    #[arg(long)]
    pub local: bool,
}

/// `logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// This node alone, by id or host name
    pub node: Option<String>,
    /// Go on until the rollout is over
    #[arg(long, short)]
    pub follow: bool,
}

/// What a rollout is, in the words of Compose and Swarm.
#[derive(Debug, Clone, Args)]
pub struct RolloutArgs {
    /// The payload's image
    #[arg(long, value_parser = image, value_name = "IMAGE")]
    pub image: String,
    /// The payload's command
    #[arg(long, default_value = "install", value_parser = command_name, value_name = "NAME")]
    pub command: String,
    /// Its arguments, behind '--'
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,

    /// Only this node, by id or host name; can be repeated
    #[arg(long = "node", value_name = "NODE", help_heading = "Which nodes")]
    pub nodes: Vec<String>,
    /// Only nodes that fit, as for services (node.role==worker); can be repeated, all must hold
    #[arg(long = "constraint", value_parser = constraint, value_name = "CONSTRAINT", help_heading = "Which nodes")]
    pub constraints: Vec<String>,

    /// Never work on nodes with different values of this key at once (node.labels.zone)
    #[arg(long, value_parser = spread, value_name = "KEY", help_heading = "Order and pace")]
    pub spread: Option<String>,
    /// How many nodes at a time; managers go one by one whatever it says
    #[arg(long, default_value = "1", value_name = "N", help_heading = "Order and pace")]
    pub parallelism: NonZeroUsize,
    /// Quiet time between waves
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION", help_heading = "Order and pace")]
    pub delay: Duration,
    /// How long a node must look well before it is done
    #[arg(long, default_value = "15s", value_parser = duration, value_name = "DURATION", help_heading = "Order and pace")]
    pub monitor: Duration,
    /// Who goes first
    #[arg(long, value_enum, default_value_t = Order::WorkersFirst, value_name = "ORDER", help_heading = "Order and pace")]
    pub order: Order,
    /// How many workers go alone before the others
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Order and pace")]
    pub canaries: usize,

    /// What a failed node leads to; 'rollback' takes back the failed node's work, then pauses
    #[arg(long, value_enum, default_value_t = FailureAction::Pause, value_name = "ACTION", help_heading = "Failures")]
    pub failure_action: FailureAction,
    /// Which part of the nodes may fail before that, from 0 to 1
    #[arg(long, default_value = "0", value_parser = ratio, value_name = "RATIO", help_heading = "Failures")]
    pub max_failure_ratio: f64,
    /// The command's time limit on each host; none by default
    #[arg(long, value_parser = time_limit, value_name = "DURATION", help_heading = "Failures")]
    pub timeout: Option<Duration>,

    /// Drain nodes: when the engine is restarted or the host rebooted, always, or never
    #[arg(long, value_enum, default_value_t = Drain::Auto, value_name = "WHEN", help_heading = "Hosts")]
    pub drain: Drain,
    /// Reboot hosts: never, when the command asks (exit code 194), when command or distribution ask, or always
    #[arg(long, value_enum, default_value_t = Reboot::Asked, value_name = "WHEN", help_heading = "Hosts")]
    pub reboot: Reboot,
    /// Restart engines that were replaced
    #[arg(long, value_enum, default_value_t = EngineRestart::Auto, value_name = "WHEN", help_heading = "Hosts")]
    pub engine_restart: EngineRestart,

    /// Take a manager down although the others are no majority: the swarm stands still meanwhile
    #[arg(long, help_heading = "What is refused otherwise")]
    pub allow_quorum_loss: bool,
    /// Drain although tasks start elsewhere without what is in their local volumes
    #[arg(long, help_heading = "What is refused otherwise")]
    pub allow_volume_moves: bool,
    /// Reboot autolocked managers: you will type the unlock key on each
    #[arg(long, help_heading = "What is refused otherwise")]
    pub unlock_by_hand: bool,
    /// Work on hosts although preflight finds them unfit, for example to mend them
    #[arg(long, help_heading = "What is refused otherwise")]
    pub allow_unfit_hosts: bool,

    /// A file with the unlock key of an autolocked swarm, for engine restarts of managers; the environment's
    /// CAREEN_UNLOCK_KEY may hold the key itself
    #[arg(long, value_name = "FILE", conflicts_with = "unlock_key_secret", help_heading = "Autolock")]
    pub unlock_key_file: Option<std::path::PathBuf>,
    /// A Swarm secret that holds the unlock key
    #[arg(long, value_name = "SECRET", help_heading = "Autolock")]
    pub unlock_key_secret: Option<String>,
}

/// `--order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Workers, then managers.
    WorkersFirst,
    /// Managers, then workers.
    ManagersFirst,
}

/// `--failure-action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailureAction {
    /// No further node begins.
    Pause,
    /// The others go on.
    Continue,
    /// The failed node's payload takes its work back; then as pause.
    Rollback,
}

/// `--drain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drain {
    /// When the engine is restarted or the host rebooted.
    Auto,
    /// Before the command, whatever it does.
    Always,
    /// Not at all.
    Never,
}

/// `--reboot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reboot {
    /// Not at all.
    Never,
    /// When the command asks for it (exit code 194).
    Asked,
    /// When the command or the distribution asks for it.
    Auto,
    /// In any case.
    Always,
}

/// `--engine-restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineRestart {
    /// When it was replaced.
    Auto,
    /// Not at all.
    Never,
}

fn image(text: &str) -> Result<String, String> {
    let bad =
        text.is_empty() || text.starts_with('-') || text.chars().any(|c| c.is_whitespace() || c.is_control());
    if bad { Err("an image is NAME, NAME:TAG or NAME@sha256:DIGEST".to_owned()) } else { Ok(text.to_owned()) }
}

fn command_name(text: &str) -> Result<String, String> {
    careen_model::payload::check_name(text).map(|()| text.to_owned()).map_err(|invalid| invalid.to_string())
}

fn constraint(text: &str) -> Result<String, String> {
    Constraint::parse(text).map(|_| text.to_owned()).map_err(|invalid| invalid.to_string())
}

fn spread(text: &str) -> Result<String, String> {
    let allowed = "a key is node.labels.NAME, engine.labels.NAME, node.hostname, node.role, node.id, node.platform.os or node.platform.arch";
    let no_key = text.contains('=') || Constraint::parse(&format!("{text}==x")).is_err();
    if no_key { Err(allowed.to_owned()) } else { Ok(text.to_owned()) }
}

/// A duration as Compose writes it.
fn duration(text: &str) -> Result<Duration, String> {
    let allowed = || "a duration is written as 90s, 10m or 1h30m".to_owned();
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| allowed())?;
    Duration::try_from(parsed).map_err(|_| allowed())
}

fn time_limit(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("no time at all is no limit; leave --timeout out for none".to_owned()),
        limit => Ok(limit),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "a ratio is a number from 0 to 1, such as 0.2".to_owned())
}
