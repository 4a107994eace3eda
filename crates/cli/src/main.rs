//! `careen`: reads the command line and the environment, and says how it ended.

use careen_cli::args::{Cli, Command, Common, Format, ImageCommand};
use careen_cli::commands::Session;
use careen_cli::connect::{self, Managers, Surroundings};
use careen_cli::console::{Console, Process};
use careen_cli::docker_context::Wishes;
use careen_cli::error::Failure;
use careen_cli::exit::Exit;
use careen_cli::push;
use careen_cli::registry::Credentials;
use careen_cli::render::{failure, text};
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
            let told = failure::text(&failure, cli.common.format);
            let told = match cli.common.format {
                Format::Text => told,
                Format::Json => text::timed(&told, console.time()).unwrap_or(told),
            };
            let _best_effort = console.err(&told);
            failure.exit().into()
        }
    }
}

fn execute(cli: &Cli, console: &mut Process) -> Result<Exit, Failure> {
    let routes = connect::routes(&wishes(&cli.common), &surroundings())?;
    let credentials = Credentials::of_directory(docker_directory());
    if let Command::Image(ImageCommand::Push(args)) = &cli.command {
        let engine = connect::any_engine(&routes)?;
        return push::push(&engine, &credentials, args, cli.common.format, console);
    }
    let (backend, passed) = SwarmBackend::connect(Managers::new(routes))?;
    let mut backend = backend.with_credentials(credentials);
    let mut session = Session { backend: &mut backend, console, format: cli.common.format, by: caller() };
    session.tell_who_was_passed(&passed)?;
    session.execute(&cli.command)
}

fn wishes(common: &Common) -> Wishes {
    let variable = |name| std::env::var(name).ok();
    let (docker_host, docker_context) = (variable("DOCKER_HOST"), variable("DOCKER_CONTEXT"));
    Wishes { hosts: common.hosts.clone(), context: common.context.clone(), docker_host, docker_context }
}

fn surroundings() -> Surroundings {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let verify = is_set("DOCKER_TLS_VERIFY");
    let certificates =
        std::env::var_os("DOCKER_CERT_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    Surroundings { directory: docker_directory(), certificates, tls: verify || is_set("DOCKER_TLS"), verify }
}

/// Where the docker CLI keeps its config file.
fn docker_directory() -> Option<PathBuf> {
    let given = std::env::var_os("DOCKER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
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
