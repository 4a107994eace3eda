//! The command line. What the flags mean for a rollout is in [`crate::spec`].

mod check;
mod enforce;
mod enforce_update;
mod facts;
mod trial;
mod uninstall;

pub use check::CheckArgs;
pub use enforce::{
    EnforceArgs, EnforceCommand, EnforcePayload, EnforceStatusArgs, EnforceWhat, EnforcementArgs, StopArgs,
};
pub use enforce_update::EnforceUpdateArgs;
pub use facts::FactsArgs;
pub use trial::TryArgs;
pub use uninstall::UninstallArgs;

use crate::duration::{self, InvalidDuration};
use crate::given::{self, Named};
use crate::hold::HoldArgs;
use crate::phase_limit::{self, PhaseLimit};
use careen_contract::payload::{InvalidCommand, check_name};
use careen_planner::Parallelism;
use careen_planner::constraint::{Constraint, InvalidConstraint};
use careen_planner::ratio::Ratio;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

mod format;
mod past;

use format::NoTemplate;
pub use past::{HistoryArgs, InspectArgs, LsArgs, ShowArgs};

/// Upgrades, updates and configuration-manages every host of a Docker Swarm, with the swarm as the only transport.
///
/// Ask a manager: on its host, or from elsewhere as with the docker CLI (--host, --context).
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
    /// The manager's engine: unix://, tcp:// or ssh://, or DOCKER_HOST; can be repeated: the next one is asked when one cannot be
    #[arg(long = "host", short = 'H', global = true, value_name = "HOST")]
    pub hosts: Vec<String>,
    /// The docker context whose engine is asked; else DOCKER_CONTEXT, or that of 'docker context use'
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Text for people, or JSON for programs
    #[arg(long, global = true, value_parser = NoTemplate, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[value(alias = "table")]
    Text,
    /// For programs.
    Json,
}

/// A command of `careen`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Roll a payload out to the swarm's nodes
    Run(RunArgs),
    /// Say what 'run' with the same flags would do; changes nothing
    Plan(RolloutArgs),
    /// Upgrade the packages of every host
    Upgrade(UpgradeArgs),
    /// Show where the rollout stands
    Status {
        /// Watch it until it is over or paused, and exit as 'run' does
        #[arg(long, short)]
        follow: bool,
    },
    /// Show what the hosts printed
    Logs(LogsArgs),
    /// List the rollouts that the swarm remembers
    History(HistoryArgs),
    /// Show what was asked of a rollout that is over, and what came of it on each node
    Show(ShowArgs),
    /// List rollouts, with docker's -q and --filter
    Ls(LsArgs),
    /// Show all that is known of rollouts, as JSON
    Inspect(InspectArgs),
    /// Ask hosts a question, all at once, and show what each answers; changes nothing
    Ask(AskArgs),
    /// Show what each host is made of and how it stands, as it says itself; changes nothing
    Facts(FactsArgs),
    /// Ask every host whether it is as the payload wants it; changes nothing
    Check(CheckArgs),
    /// Run a payload's command on the host of the asked engine, for its author; needs no swarm
    Try(TryArgs),
    /// Have hosts keep themselves to a payload: each checks itself, and mends what is not so
    Enforce(EnforceArgs),
    /// Show what exactly blocks, and what to do next
    Why {
        /// This node alone, by id or host name
        node: Option<String>,
    },
    /// Start no further node; what has begun is finished
    Pause,
    /// Let a paused rollout go on
    Resume(SteerArgs),
    /// Try a failed node again
    Retry(NodeArgs),
    /// Leave a node out
    Skip(NodeArgs),
    /// Undo what has not begun, and end the rollout
    Abort(AbortArgs),
    /// Restore a node that no rollout works on any more: its availability, labels and services
    Restore(RestoreArgs),
    /// Remove all that careen has on hosts and in the swarm
    Uninstall(UninstallArgs),
    /// Images for the hosts
    #[command(subcommand)]
    Image(ImageCommand),
    /// Print a completion script for a shell
    #[command(alias = "completions")]
    Completion {
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
    /// How it starts.
    #[command(flatten)]
    pub start: StartArgs,
}

/// `upgrade`.
#[derive(Debug, Clone, Args)]
pub struct UpgradeArgs {
    /// Upgrade the container engine, too
    #[arg(long, help_heading = "Packages")]
    pub engine: bool,
    /// Upgrade this package alone, and what it needs; can be repeated. Hosts without it do nothing
    #[arg(long = "package", value_name = "NAME", help_heading = "Packages")]
    pub packages: Vec<String>,
    /// Install security updates only
    #[arg(long, help_heading = "Packages")]
    pub security_only: bool,
    /// Let this package be removed without a replacement; can be repeated
    #[arg(long = "allow-removal", value_name = "NAME", help_heading = "Packages")]
    pub may_go: Vec<String>,
    /// Let any package be removed without a replacement, except the engine, ssh and the kernel
    #[arg(long = "allow-removals", help_heading = "Packages")]
    pub any_may_go: bool,
    /// Also upgrade hosts with dnf, zypper or apk; never tried on real hosts
    #[arg(long, help_heading = "Packages")]
    pub experimental: bool,

    /// Only say what would happen; changes nothing
    #[arg(long, conflicts_with_all = ["yes", "detach", "local"])]
    pub plan: bool,
    /// careen's image, if it has another name; otherwise the asked engine must have careen/installer in this version
    #[arg(long, value_parser = image, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Reboot hosts: when the distribution asks, never, or always
    #[arg(long, value_enum, default_value_t = UpgradeReboot::Auto, value_name = "WHEN", help_heading = "Hosts")]
    pub reboot: UpgradeReboot,
    /// Which nodes, in which order, and how.
    #[command(flatten)]
    pub how: HowArgs,
    /// How it starts.
    #[command(flatten)]
    pub start: StartArgs,
}

/// `upgrade --reboot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UpgradeReboot {
    /// When the distribution asks for it.
    Auto,
    /// Not at all.
    Never,
    /// In any case.
    Always,
}

/// How a rollout starts.
#[derive(Debug, Clone, Args)]
pub struct StartArgs {
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

/// `abort`.
#[derive(Debug, Clone, Args)]
pub struct AbortArgs {
    /// Run the controller in this process, and follow
    #[arg(long)]
    pub local: bool,
    /// Do not ask before what is left of a rollout is removed whose config is gone
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// `restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The node, by id or host name
    pub node: String,
    /// Do not ask before it is given back
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// `resume`.
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
    /// What the rollout's controller printed, and not the hosts
    #[arg(long, conflicts_with = "node")]
    pub controller: bool,
    /// Go on until the rollout is over
    #[arg(long, short)]
    pub follow: bool,
    /// When the host is asked for what the swarm no longer has, and its node is drained or paused: make it active meanwhile
    #[arg(long, requires = "node")]
    pub activate: bool,
    /// Do not ask whether that may be done
    #[arg(long, short, requires = "activate")]
    pub yes: bool,
}

/// `ask`.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// The payload's image; with --script or --dir the image that they are put into
    #[arg(long, value_parser = image, required_unless_present_any = ["script", "dir"], value_name = "IMAGE")]
    pub image: Option<String>,
    /// The payload's command: one that only looks
    #[arg(long, default_value = "check", value_parser = command_name, value_name = "NAME")]
    pub command: String,
    /// Its arguments, behind '--'
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
    /// What hosts get besides the image.
    #[command(flatten)]
    pub given: GivenArgs,
    /// Who is asked.
    #[command(flatten)]
    pub which: WhichArgs,
    /// How long answers are waited for; a command that still runs is stopped then
    #[arg(long, default_value = "60s", value_parser = time_limit, value_name = "DURATION")]
    pub timeout: Duration,
    /// Ask the hosts of drained and paused nodes, too: they are active meanwhile, and Swarm may place tasks there
    #[arg(long)]
    pub activate: bool,
    /// Do not ask before nodes are made active
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// Which nodes are meant.
#[derive(Debug, Clone, Args)]
pub struct WhichArgs {
    /// Only this node, by id or host name; can be repeated
    #[arg(long = "node", value_name = "NODE", help_heading = "Which nodes")]
    pub nodes: Vec<String>,
    /// Only nodes that fit, as for services (node.role==worker); can be repeated, all must hold
    #[arg(long = "constraint", value_parser = constraint, value_name = "CONSTRAINT", help_heading = "Which nodes")]
    pub constraints: Vec<String>,
}

/// What a rollout is, in the words of Compose and Swarm.
#[derive(Debug, Clone, Args)]
pub struct RolloutArgs {
    /// The payload's image; with --script or --dir the image that they are put into
    #[arg(long, value_parser = image, required_unless_present_any = ["script", "dir", "file"], value_name = "IMAGE")]
    pub image: Option<String>,
    /// A file that says the same as these flags, in Compose's words (careen.yaml), or - for standard input; flags that are
    /// typed win
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The payload's command
    #[arg(long, default_value = "install", value_parser = command_name, value_name = "NAME")]
    pub command: String,
    /// Its arguments, behind '--'
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
    /// What hosts get besides the image.
    #[command(flatten)]
    pub given: GivenArgs,
    /// Reboot hosts: never, when the command asks (exit code 194), when command or distribution ask, or always
    #[arg(long, value_enum, default_value_t = Reboot::Asked, value_name = "WHEN", help_heading = "Hosts")]
    pub reboot: Reboot,
    /// Whether the command may end the engine. 'no' promises that it never does: then managers go together like other nodes,
    /// nothing is rebooted or restarted, and nothing drained unless you say so. Without it the image's label
    /// careen.touches-engine counts, else 'maybe'
    #[arg(long, value_enum, value_name = "WHETHER", help_heading = "Hosts")]
    pub touches_engine: Option<TouchesEngine>,
    /// Work on hosts that are in sync, too. Without it a host is left as it is when the payload's 'check' ends with 0 there
    #[arg(long, help_heading = "Hosts")]
    pub force: bool,
    /// Which nodes, in which order, and how.
    #[command(flatten)]
    pub how: HowArgs,
}

/// Which nodes a rollout is about, in which order they have their turn, and how careful it is.
#[derive(Debug, Clone, Args)]
pub struct HowArgs {
    /// Which nodes.
    #[command(flatten)]
    pub which: WhichArgs,
    /// Leave this node out, by id or host name; can be repeated. Nodes with a label careen.exclude=REASON are left out anyway, with
    /// careen.exclude.until=2026-12-24 until that day is over
    #[arg(long = "exclude", value_name = "NODE", help_heading = "Which nodes")]
    pub exclude: Vec<String>,
    /// Ask every host first, with the payload's 'check', what there is to do: 50 at a time, and nothing is changed
    #[arg(long, help_heading = "Which nodes")]
    pub probe: bool,
    /// Show each node of the plan by itself, however many there are
    #[arg(long, help_heading = "Which nodes")]
    pub verbose: bool,

    /// Never work on nodes with different values of this key at once (node.labels.zone)
    #[arg(long, value_parser = spread, value_name = "KEY", help_heading = "Order and pace")]
    pub spread: Option<String>,
    /// How many nodes at a time, or which part of them (10%); managers go one by one unless --touches-engine says no
    #[arg(long, default_value = "1", value_name = "N", help_heading = "Order and pace")]
    pub parallelism: Parallelism,
    /// Pause between two waves
    #[arg(long, default_value = "0s", value_parser = duration::parse, value_name = "DURATION", help_heading = "Order and pace")]
    pub delay: Duration,
    /// How long a node must stay healthy before it is done
    #[arg(long, default_value = "15s", value_parser = duration::parse, value_name = "DURATION", help_heading = "Order and pace")]
    pub monitor: Duration,
    /// Who goes first
    #[arg(long, value_enum, default_value_t = Order::WorkersFirst, value_name = "ORDER", help_heading = "Order and pace")]
    pub order: Order,
    /// How many workers go first, alone
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Order and pace")]
    pub canaries: usize,

    /// What happens when a node fails; 'rollback' runs the payload's rollback on that node, then pauses
    #[arg(long, value_enum, default_value_t = FailureAction::Pause, value_name = "ACTION", help_heading = "Failures")]
    pub failure_action: FailureAction,
    /// The share of the nodes that may fail before that, from 0 to 1
    #[arg(long, default_value = "0", value_name = "RATIO", help_heading = "Failures")]
    pub max_failure_ratio: Ratio,
    /// The command's time limit on each host; none by default
    #[arg(long, value_parser = time_limit, value_name = "DURATION", help_heading = "Failures")]
    pub timeout: Option<Duration>,
    /// How long a phase may take before the node counts as failed, such as rebooting=30m; can be repeated. It ends careen's
    /// waiting, not what runs on the host
    #[arg(long = "phase-timeout", value_parser = phase_limit::parse, value_name = "PHASE=DURATION", help_heading = "Failures")]
    pub phase_timeouts: Vec<PhaseLimit>,
    /// How long a node may be held, and what follows.
    #[command(flatten)]
    pub holds: HoldArgs,

    /// Drain nodes: when the engine is restarted or the host rebooted, always, or never
    #[arg(long, value_enum, default_value_t = Drain::Auto, value_name = "WHEN", help_heading = "Hosts")]
    pub drain: Drain,
    /// Restart engines that were replaced
    #[arg(long, value_enum, default_value_t = EngineRestart::Auto, value_name = "WHEN", help_heading = "Hosts")]
    pub engine_restart: EngineRestart,

    /// careen's own image, for the controller, if the payload's image has none
    #[arg(long, value_name = "IMAGE", help_heading = "Hosts")]
    pub controller_image: Option<String>,
    /// Before a host goes down, wait for programs that inhibit a shutdown (systemd-inhibit) and for people at its console
    #[arg(long, help_heading = "Hosts")]
    pub respect_inhibitors: bool,

    /// Before a drain, run as many tasks more of each service with several as it has there, and give that back when all run
    /// elsewhere. Of a service with one task its label careen.surge=true asks for it, also without this flag
    #[arg(long, help_heading = "Hosts")]
    pub surge: bool,

    /// Take a manager down even if the others are no quorum: the swarm cannot be managed meanwhile
    #[arg(long, help_heading = "What is refused otherwise")]
    pub allow_quorum_loss: bool,
    /// Drain even if tasks would start elsewhere without the data in their local volumes
    #[arg(long, help_heading = "What is refused otherwise")]
    pub allow_volume_moves: bool,
    /// Drain even if a task would find no place elsewhere, or a service of several tasks would have none
    #[arg(long, help_heading = "What is refused otherwise")]
    pub allow_gaps: bool,
    /// Reboot autolocked managers: you will type the unlock key on each
    #[arg(long, help_heading = "What is refused otherwise")]
    pub unlock_by_hand: bool,
    /// Work on hosts even if preflight finds them unfit, for example to repair them
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

/// What hosts get besides the image.
#[derive(Debug, Clone, Args)]
pub struct GivenArgs {
    /// A script on this machine, as the payload's command
    #[arg(long, value_name = "FILE", conflicts_with = "dir", help_heading = "Payload")]
    pub script: Option<PathBuf>,
    /// A directory on this machine, as the whole payload
    #[arg(long, value_name = "DIR", help_heading = "Payload")]
    pub dir: Option<PathBuf>,
    /// A variable for the command, KEY=VALUE, or KEY as it is set here; can be repeated
    #[arg(long = "env", short = 'e', value_name = "KEY=VALUE", help_heading = "Payload")]
    pub environment: Vec<String>,
    /// A file of such variables, a line each; can be repeated
    #[arg(long = "env-file", value_name = "FILE", help_heading = "Payload")]
    pub environment_files: Vec<PathBuf>,
    /// A secret of the swarm for the command, as for services (source=NAME,target=PATH); can be repeated
    #[arg(long = "secret", value_parser = given::secret, value_name = "SECRET", help_heading = "Payload")]
    pub secrets: Vec<Named>,
    /// A config of the swarm for the command, likewise
    #[arg(long = "config", value_parser = given::config, value_name = "CONFIG", help_heading = "Payload")]
    pub configs: Vec<Named>,
    /// Let the hosts pull the image with this user's credentials, which stay in the swarm until the rollout is over
    #[arg(long, help_heading = "Payload")]
    pub with_registry_auth: bool,
}

/// `image`.
#[derive(Debug, Clone, Subcommand)]
pub enum ImageCommand {
    /// Bring the image that this program carries onto the asked engine
    Load,
    /// Bring an image from this engine to a registry that the hosts reach
    Push(PushArgs),
}

/// `image push`.
#[derive(Debug, Clone, Args)]
pub struct PushArgs {
    /// Where to: a registry (HOST:PORT), or a name in it (HOST:PORT/NAME:TAG)
    #[arg(value_name = "REGISTRY[/NAME]")]
    pub target: String,
    /// What: an image of this engine; by default careen's own, the one that this program carries if it carries one
    #[arg(long, value_parser = image, value_name = "IMAGE")]
    pub image: Option<String>,
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

/// `--touches-engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TouchesEngine {
    /// It may, as every script may.
    Maybe,
    /// It never does.
    No,
}

/// `--engine-restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineRestart {
    /// When it was replaced.
    Auto,
    /// Not at all.
    Never,
}

/// A value that a flag does not take.
#[derive(Debug, thiserror::Error)]
enum InvalidValue {
    #[error("an image is NAME, NAME:TAG or NAME@sha256:DIGEST")]
    Image,
    #[error(
        "a key is node.labels.NAME, engine.labels.NAME, node.hostname, node.role, node.id, node.platform.os or node.platform.arch"
    )]
    Spread,
    #[error(transparent)]
    Duration(#[from] InvalidDuration),
    #[error("no time at all is no limit; leave --timeout out for none")]
    NoTime,
}

fn image(text: &str) -> Result<String, InvalidValue> {
    let bad =
        text.is_empty() || text.starts_with('-') || text.chars().any(|c| c.is_whitespace() || c.is_control());
    if bad { Err(InvalidValue::Image) } else { Ok(text.to_owned()) }
}

fn command_name(text: &str) -> Result<String, InvalidCommand> {
    check_name(text).map(|()| text.to_owned())
}

fn constraint(text: &str) -> Result<String, InvalidConstraint> {
    Constraint::parse(text).map(|_| text.to_owned())
}

fn spread(text: &str) -> Result<String, InvalidValue> {
    let no_key = text.contains('=') || Constraint::parse(&format!("{text}==x")).is_err();
    if no_key { Err(InvalidValue::Spread) } else { Ok(text.to_owned()) }
}

fn time_limit(text: &str) -> Result<Duration, InvalidValue> {
    match duration::parse(text)? {
        Duration::ZERO => Err(InvalidValue::NoTime),
        limit => Ok(limit),
    }
}
