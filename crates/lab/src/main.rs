//! `careen-lab`: the lab's command line (`cargo lab`). Parses, calls the library, prints errors with their causes.

mod cli;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, bail};
use careen_lab::{Lab, LabName, Progress, Spec, status};
use clap::Parser as _;

use crate::cli::{Cli, Format, UpArgs, Verb};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("careen-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let name = &cli.name;
    match cli.verb {
        Verb::Up(args) => Lab::up(&spec(name, args), Progress::shown()).map(drop)?,
        Verb::Status { format } => {
            let status = status::of_lab(name)?;
            match format {
                Format::Text => print!("{}", status.table()),
                Format::Json => println!("{}", serde_json::to_string_pretty(&status)?),
            }
        }
        Verb::Exec { node, command } => return exec(name, &node, &command),
        Verb::Cp { source, destination } => copy(name, &source, &destination)?,
        Verb::Load { image } => Lab::open(name)?.load(&image, Progress::shown())?,
        Verb::Env { node } => print!("{}", Lab::open(name)?.node(&node)?.environment()),
        Verb::Fault { fault } => {
            let (node, fault) = fault.split();
            Lab::open(name)?.node(&node)?.fault(fault)?;
        }
        Verb::Watch { service, replicas, command } => return watch(name, &service, replicas, &command),
        Verb::Engine => careen_lab::ensure_engine(Progress::shown())?,
        Verb::Down { all: true } => careen_lab::down_all(Progress::shown())?,
        Verb::Down { all: false } => careen_lab::down(name, Progress::shown())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn spec(name: &LabName, args: UpArgs) -> Spec {
    Spec {
        name: name.clone(),
        managers: args.managers,
        workers: args.workers,
        sysvinit: args.sysvinit,
        vms: args.vms,
        release: args.release,
        reboot_delay: args.reboot_delay,
    }
}

/// Becomes the command: streams, signals and the exit status are its own. Returns only when that fails.
fn exec(name: &LabName, node: &str, command: &[String]) -> anyhow::Result<ExitCode> {
    use std::io::IsTerminal as _;
    let lab = Lab::open(name)?;
    let node = lab.node(node)?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut process = if terminal { node.command_on_terminal(command) } else { node.command(command) };
    let error = process.stdin(Stdio::inherit()).exec();
    Err(error).context("failed to start the docker command")
}

/// Runs a command while the service is watched; its exit status, 1 when a signal ended it.
fn watch(name: &LabName, service: &str, replicas: usize, command: &[String]) -> anyhow::Result<ExitCode> {
    let lab = Lab::open(name)?;
    let (program, args) = command.split_first().context("no command")?;
    let work = || std::process::Command::new(program).args(args).status();
    let (ended, seen) = careen_lab::while_watching(&lab, service, replicas, work);
    let status = ended.with_context(|| format!("failed to start {program}"))?;
    eprintln!("{service}, {seen}");
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

fn copy(name: &LabName, source: &str, destination: &str) -> anyhow::Result<()> {
    let lab = Lab::open(name)?;
    match (cli::node_path(source), cli::node_path(destination)) {
        (None, Some((node, path))) => lab.node(node)?.cp_in(Path::new(source), path)?,
        (Some((node, path)), None) => lab.node(node)?.cp_out(path, Path::new(destination))?,
        (None, None) | (Some(_), Some(_)) => {
            bail!(
                "one of {source} and {destination} must be NODE:PATH and the other a local path; nothing was copied"
            )
        }
    }
    Ok(())
}
