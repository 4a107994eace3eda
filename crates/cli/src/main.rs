//! `careen`: reads the command line and the environment, and says how it ended.

use careen_cli::args::{Cli, Command, ImageCommand};
use careen_cli::commands::Session;
use careen_cli::connect;
use careen_cli::console::{Console, Process};
use careen_cli::error::Failure;
use careen_cli::exit::Exit;
use careen_cli::push;
use careen_cli::registry::Credentials;
use careen_cli::swarm::SwarmBackend;
use clap::{CommandFactory, Parser};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "careen", &mut std::io::stdout());
        return Exit::Done.into();
    }
    let mut console = Process::new();
    match execute(&cli, &mut console) {
        Ok(exit) => exit.into(),
        // Who reads no further wants no further word.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Exit::Other.into(),
        Err(failure) => {
            // There is no other place to say it.
            let _best_effort = console.err(&careen_cli::render::failure::text(&failure, cli.common.format));
            failure.exit().into()
        }
    }
}

fn execute(cli: &Cli, console: &mut Process) -> Result<Exit, Failure> {
    let given = cli.common.host.as_deref().filter(|host| !host.is_empty());
    let context = if given.is_some() { None } else { docker_context()? };
    let host = connect::host(given, context.as_deref())?;
    let credentials = Credentials::of_directory(docker_directory());
    if let Command::Image(ImageCommand::Push(args)) = &cli.command {
        let (engine, _) = connect::engine(&host)?;
        return push::push(&engine, &credentials, args, cli.common.format, console);
    }
    let mut backend =
        SwarmBackend::over(connect::manager(&host)?, connect::manager(&host)?)?.with_credentials(credentials);
    let mut session = Session { backend: &mut backend, console, format: cli.common.format, by: caller() };
    session.execute(&cli.command)
}

fn docker_context() -> Result<Option<String>, connect::UnusableHost> {
    let config = docker_directory().map(|directory| directory.join("config.json"));
    connect::context(std::env::var("DOCKER_CONTEXT").ok(), config.as_deref())
}

/// Where the docker CLI keeps its config file.
fn docker_directory() -> Option<PathBuf> {
    let given = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))
}

/// Who calls, as far as the environment tells: a claim, not a proof.
fn caller() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let uid = nix::unistd::getuid();
    let of_uid = || nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    let user = user.or_else(of_uid).unwrap_or_else(|| format!("uid {uid}"));
    format!("{user}@{}", host.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
