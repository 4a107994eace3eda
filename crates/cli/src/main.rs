//! `careen`: reads the command line and the environment, and says how it ended.

use careen_cli::args::{Cli, Command, Format, ImageCommand};
use careen_cli::call::hosts_together;
use careen_cli::commands::Session;
use careen_cli::complete::{self, Sought, live, script};
use careen_cli::connect::{self, Managers, Surroundings};
use careen_cli::console::{Console, Process};
use careen_cli::docker_context::Wishes;
use careen_cli::error::Failure;
use careen_cli::exit::Exit;
use careen_cli::file;
use careen_cli::plugin::{self, Call, DockerFlags, socket};
use careen_cli::registry::Credentials;
use careen_cli::render::{failure, text};
use careen_cli::swarm::SwarmBackend;
use careen_cli::{carried, load, push};
use clap::{CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut console = Process::new();
    let mut format = Format::Text;
    match carry_out(words, &mut format, &mut console) {
        Ok(exit) => exit.into(),
        // Who reads no further wants no further word.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Exit::Other.into(),
        Err(failure) => {
            // There is no other place to say it.
            let told = failure::text(&failure, format);
            let told = match format {
                Format::Text => told,
                Format::Json => text::timed(&told, console.time()).unwrap_or(told),
            };
            let _best_effort = console.err(&told);
            failure.exit().into()
        }
    }
}

/// Does what a call wants. `format` is known as soon as the call is read.
fn carry_out(words: Vec<OsString>, format: &mut Format, console: &mut Process) -> Result<Exit, Failure> {
    if let Some(metadata) = plugin::metadata(&words) {
        console.out(&(metadata? + "\n"))?;
        return Ok(Exit::Done);
    }
    let call = plugin::read(words)?;
    if let Some((words, helps)) = complete::asked(&call.words) {
        console.out(&completed(&words, helps, &call.docker))?;
        return Ok(Exit::Done);
    }
    if let Some(address) = std::env::var_os(socket::VARIABLE).filter(|_| call.is_plugin) {
        // Without it careen ends a little later.
        let _best_effort = socket::end_with_docker(&address);
    }
    let words = hosts_together(&call.words, &Cli::command());
    let cli = parse(&call, &words, format)?;
    if let Command::Completion { shell } = cli.command {
        std::io::stdout().write_all(&script::of(shell, &mut Cli::command()))?;
        return Ok(Exit::Done);
    }
    execute(&cli, &call.docker, console)
}

/// What the words mean, those of the file that they name among them; a wrong call, and one for help, ends here.
fn parse(call: &Call, words: &[OsString], format: &mut Format) -> Result<Cli, Failure> {
    let matches = call.called(Cli::command()).get_matches_from(words);
    let cli = || Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    *format = cli().common.format;
    let Some(words) = file::words(words, &matches)? else { return Ok(cli()) };
    let matches = call.called(Cli::command()).get_matches_from(words);
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// What may stand where somebody types. There is no error: a shell would show it in the middle of the line.
fn completed(words: &[String], helps: bool, docker: &DockerFlags) -> String {
    let completion = complete::complete(&Cli::command(), words);
    let is_live = matches!(completion.sought, Sought::Nodes | Sought::Rollouts | Sought::Enforcements);
    let routes = is_live.then(|| {
        let wishes = wishes(&completion.hosts, completion.context.as_deref());
        connect::routes(&wishes, &surroundings(docker, directory(docker))).ok()
    });
    let names = routes.flatten().map(|routes| live::names(completion.sought, routes));
    complete::answer(&completion, &names.unwrap_or_default(), helps)
}

fn execute(cli: &Cli, docker: &DockerFlags, console: &mut Process) -> Result<Exit, Failure> {
    let wishes = wishes(&cli.common.hosts, cli.common.context.as_deref());
    let routes = connect::routes(&wishes, &surroundings(docker, directory(docker)))?;
    let credentials = Credentials::of_directory(directory(docker));
    if let Command::Image(command) = &cli.command {
        let engine = connect::any_engine(&routes)?;
        return match command {
            ImageCommand::Load => load::load(&engine, carried::ARCHIVE, cli.common.format, console),
            ImageCommand::Push(args) => push::push(&engine, &credentials, args, cli.common.format, console),
        };
    }
    let (backend, passed) = SwarmBackend::connect(Managers::new(routes))?;
    let mut backend = backend.with_credentials(credentials);
    let mut session = Session { backend: &mut backend, console, format: cli.common.format, by: caller() };
    session.tell_who_was_passed(&passed)?;
    session.execute(&cli.command)
}

fn wishes(hosts: &[String], context: Option<&str>) -> Wishes {
    let variable = |name| std::env::var(name).ok();
    let (docker_host, docker_context) = (variable("DOCKER_HOST"), variable("DOCKER_CONTEXT"));
    Wishes { hosts: hosts.to_vec(), context: context.map(str::to_owned), docker_host, docker_context }
}

fn surroundings(docker: &DockerFlags, directory: Option<PathBuf>) -> Surroundings {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let verify = docker.verify || is_set("DOCKER_TLS_VERIFY");
    let certificates =
        std::env::var_os("DOCKER_CERT_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    Surroundings { directory, certificates, tls: verify || docker.tls || is_set("DOCKER_TLS"), verify }
}

/// Where the docker CLI keeps its config file.
fn directory(docker: &DockerFlags) -> Option<PathBuf> {
    if docker.directory.is_some() {
        return docker.directory.clone();
    }
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
