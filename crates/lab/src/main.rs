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
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("careen-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
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
        Verb::Engine => careen_lab::ensure_engine(Progress::shown())?,
        Verb::Down { all: true } => careen_lab::down_all(Progress::shown())?,
        Verb::Down { all: false } => careen_lab::down(name, Progress::shown())?,
    }
    Ok(())
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
fn exec(name: &LabName, node: &str, command: &[String]) -> anyhow::Result<()> {
    use std::io::IsTerminal as _;
    let lab = Lab::open(name)?;
    let node = lab.node(node)?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut process = if terminal { node.command_on_terminal(command) } else { node.command(command) };
    let error = process.stdin(Stdio::inherit()).exec();
    Err(error).context("failed to start the docker command")
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
