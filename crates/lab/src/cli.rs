//! The command line's words.

use std::time::Duration;

use careen_lab::fault::{Fault, LONGEST_DELAY};
use careen_lab::{LabName, NodeName};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Real swarms of real Debian hosts on this machine.
///
/// Nodes are n1, n2, …, managers first. Everything is found again by docker labels, so every verb works after a
/// crash at any point. Needs root, and Debian with a mirror in its apt sources.
#[derive(Debug, Parser)]
#[command(name = "careen-lab", bin_name = "cargo lab", version)]
pub struct Cli {
    /// Which lab; several can be up side by side.
    #[arg(long, global = true, default_value = "default", value_name = "LAB")]
    pub name: LabName,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make the lab, or bring it back to what it should be. Changes nothing where all is well.
    Up(UpArgs),
    /// Show the nodes: kind, power, engine, place in the swarm, boot id.
    Status {
        /// `text` for people; `json` for programs.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Run a command in a node, with its streams and its exit status passed through.
    Exec {
        /// The node.
        node: String,
        /// The command and its arguments, unchanged.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<String>,
    },
    /// Copy a file or a directory into a node (SRC NODE:DST) or out of it (NODE:SRC DST), by the rules of cp.
    Cp {
        /// What to copy.
        #[arg(value_name = "SRC")]
        source: String,
        /// Where to.
        #[arg(value_name = "DST")]
        destination: String,
    },
    /// Bring an image of this machine's engine into every node that lacks it.
    Load {
        /// The image's name.
        image: String,
    },
    /// Print shell lines that point docker and careen at a node: eval "$(cargo lab env n2)".
    Env {
        /// The node.
        #[arg(default_value = "n1")]
        node: String,
    },
    /// Run a command on this machine, and tell at its end what was seen of a service and the nodes meanwhile, with several looks
    /// a second. The exit status is the command's.
    Watch {
        /// The service.
        service: String,
        /// How many tasks it has now, and should have all the time.
        replicas: usize,
        /// The command and its arguments, unchanged.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<String>,
    },
    /// Break a node, or mend it. Returns when the effect can be seen.
    Fault {
        #[command(subcommand)]
        fault: FaultArgs,
    },
    /// Make sure that a container engine answers on this machine: install and start one where none does.
    Engine,
    /// Remove all and only what the lab made. The last one stops an engine that the lab started.
    Down {
        /// Every lab of this machine.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// A table.
    Text,
    /// All fields.
    Json,
}

#[derive(Debug, Args)]
pub struct UpArgs {
    /// How many managers [default: 3, or as the lab is]
    #[arg(long, value_name = "N")]
    pub managers: Option<u8>,
    /// How many workers [default: 2, or as the lab is]
    #[arg(long, value_name = "N")]
    pub workers: Option<u8>,
    /// How many workers without systemd: sysvinit and init scripts [default: 0, or as the lab is]
    #[arg(long, value_name = "N")]
    pub sysvinit: Option<u8>,
    /// How many workers that are virtual machines, with a kernel of their own; slow where they have to be
    /// emulated [default: 0, or as the lab is]
    #[arg(long, value_name = "N")]
    pub vms: Option<u8>,
    /// How long a rebooting node stays down, like 20s or 2m. A swarm does not see a node down that is back within
    /// about 15 s [default: no longer than it takes, or as the lab is]
    #[arg(long, value_name = "TIME", value_parser = parse_delay)]
    pub reboot_delay: Option<Duration>,
    /// The Debian release of the nodes [default: bookworm, or as the lab is]
    #[arg(long, value_name = "SUITE", value_parser = parse_release)]
    pub release: Option<String>,
}

#[derive(Debug, Args)]
pub struct NodeArg {
    /// The node.
    node: String,
}

#[derive(Debug, Subcommand)]
pub enum FaultArgs {
    /// A reboot in order; returns when the node is back with a new boot id.
    Reboot {
        #[command(flatten)]
        on: NodeArg,
        /// Return as soon as the node goes down.
        #[arg(long)]
        no_wait: bool,
    },
    /// Take the power away and give it back; the node stays down for the reboot delay.
    PowerCut {
        #[command(flatten)]
        on: NodeArg,
        /// Leave it off, until `power-on` or `up`.
        #[arg(long)]
        stay_off: bool,
    },
    /// Turn on a node that is off.
    PowerOn(NodeArg),
    /// Stop every process of the node where it stands.
    Freeze(NodeArg),
    /// Let a frozen node go on.
    Thaw(NodeArg),
    /// SIGKILL to dockerd; systemd starts it again, on a host without systemd `start-engine` does.
    KillEngine(NodeArg),
    /// Stop the engine, in order.
    StopEngine(NodeArg),
    /// Start them again; returns when the engine answers.
    StartEngine(NodeArg),
    /// Take the node off the lab network.
    Partition(NodeArg),
    /// Put it back, with the same address.
    Heal(NodeArg),
    /// Mount a small full file system over /var/lib/careen.
    FillDisk(NodeArg),
    /// Undo fill-disk.
    FreeDisk(NodeArg),
    /// Hold dpkg's frontend lock in the node.
    HoldDpkgLock(NodeArg),
    /// Undo hold-dpkg-lock.
    ReleaseDpkgLock(NodeArg),
}

impl FaultArgs {
    /// The node and what to do to it.
    pub fn split(self) -> (String, Fault) {
        let (on, fault) = match self {
            FaultArgs::Reboot { on, no_wait } => {
                (on, if no_wait { Fault::RebootNoWait } else { Fault::Reboot })
            }
            FaultArgs::PowerCut { on, stay_off } => {
                (on, if stay_off { Fault::PowerOff } else { Fault::PowerCut })
            }
            FaultArgs::PowerOn(on) => (on, Fault::PowerOn),
            FaultArgs::Freeze(on) => (on, Fault::Freeze),
            FaultArgs::Thaw(on) => (on, Fault::Thaw),
            FaultArgs::KillEngine(on) => (on, Fault::KillEngine),
            FaultArgs::StopEngine(on) => (on, Fault::StopEngine),
            FaultArgs::StartEngine(on) => (on, Fault::StartEngine),
            FaultArgs::Partition(on) => (on, Fault::Partition),
            FaultArgs::Heal(on) => (on, Fault::Heal),
            FaultArgs::FillDisk(on) => (on, Fault::FillDisk),
            FaultArgs::FreeDisk(on) => (on, Fault::FreeDisk),
            FaultArgs::HoldDpkgLock(on) => (on, Fault::HoldDpkgLock),
            FaultArgs::ReleaseDpkgLock(on) => (on, Fault::ReleaseDpkgLock),
        };
        (on.node, fault)
    }
}

/// Splits `n1:/path`. Anything else is a local path, also one with a colon.
pub fn node_path(text: &str) -> Option<(&str, &str)> {
    let (node, path) = text.split_once(':')?;
    node.parse::<NodeName>().ok()?;
    Some((node, path))
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = digits.parse().map_err(|_| "want a number with s or m, like 20s".to_owned())?;
    let delay = match unit {
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(format!("{unit:?} is no unit: use s or m")),
    };
    if delay > LONGEST_DELAY {
        return Err(format!("more than {} s", LONGEST_DELAY.as_secs()));
    }
    Ok(delay)
}

fn parse_release(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase()) {
        true => Ok(text.to_owned()),
        false => Err("want a Debian code name, like bookworm".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn delays() {
        assert_eq!(parse_delay("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(parse_delay("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_delay("0"), Ok(Duration::ZERO));
        for bad in ["", "s", "20h", "-1s", "11m", "99999999999999999999s"] {
            assert!(parse_delay(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn node_paths() {
        assert_eq!(node_path("n1:/tmp/x y"), Some(("n1", "/tmp/x y")));
        assert_eq!(node_path("/tmp/n1:x"), None);
        assert_eq!(node_path("file"), None);
    }

    #[test]
    fn commands_keep_their_dashes() {
        let cli = Cli::try_parse_from(["x", "exec", "n1", "--", "ls", "-l", "--name", "a"]).unwrap();
        let Verb::Exec { command, .. } = cli.verb else { panic!("{:?}", cli.verb) };
        assert_eq!(command, ["ls", "-l", "--name", "a"]);
    }
}
