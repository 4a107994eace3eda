//! `careen`: the operator's command line.
//!
//! Rollouts are not built yet: what works today is the installer image with the plain docker CLI (see the README).
//! This binary says so, and has the one command that needs no swarm.

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Upgrades, updates and configuration-manages every host of a Docker Swarm, with the swarm as the only transport.
///
/// This version has no rollouts yet. Installer images work with the plain docker CLI:
///
///   docker service create --detach --mode global --restart-condition none \
///     --mount type=bind,source=/,target=/host IMAGE [COMMAND [ARGS...]]
#[derive(Debug, Parser)]
#[command(name = "careen", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a completion script for a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
}

fn main() {
    match Cli::parse().command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "careen", &mut std::io::stdout());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
