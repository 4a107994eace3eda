//! dnf, zypper and apk: what waits is read; upgrades with them were tried on samples of their words only, and want --experimental.

use super::commands::{answer, expect};
use super::fail::Fail;
use super::{coming, say, tool, touches};
use crate::change::Simulation;
use crate::engine::Engine;
use crate::judge::{expect_restart, judge};
use crate::manager::Manager;
use crate::options::Options;
use crate::{apk, dnf, names, report, zypper};
use careen_contract::payload::DRIFT;
use std::process::Command;

/// Decides, and downloads where the package manager can.
pub fn prepare(manager: Manager, options: &Options) -> Result<u8, Fail> {
    allow(manager, options)?;
    let engine = touches::engine(manager)?;
    let simulation = simulate(manager, options, &engine)?;
    tell(&simulation, &engine);
    refuse(&simulation, options, &engine)?;
    if !simulation.is_empty()
        && let Some(mut download) = download(manager, options, &simulation, &engine)
    {
        tool::run(&mut download)?;
    }
    expect(expect_restart(&simulation, &engine, false))?;
    Ok(0)
}

pub fn install(manager: Manager, options: &Options) -> Result<u8, Fail> {
    allow(manager, options)?;
    let engine = touches::engine(manager)?;
    let simulation = simulate(manager, options, &engine)?;
    tell(&simulation, &engine);
    refuse(&simulation, options, &engine)?;
    if !simulation.is_empty() {
        tool::run(&mut upgrade(manager, options, &simulation, &engine))?;
    }
    Ok(0)
}

/// Only looks.
pub fn check(manager: Manager, options: &Options) -> Result<u8, Fail> {
    let engine = touches::engine(manager)?;
    let mut waiting = match manager {
        Manager::Dnf => {
            let mut command = tool::command("dnf");
            command.args(["-q", "check-update"]).args(dnf_options(options, &engine));
            dnf::check_update(&tool::read(&mut command, &[100])?)
        }
        Manager::Zypper => {
            let ask = ["--non-interactive", "--xmlout", "list-updates"];
            zypper::list_updates(&tool::read(tool::command("zypper").args(ask), &[])?)
        }
        Manager::Apk | Manager::Apt => simulate(manager, options, &engine)?,
    };
    waiting.changes.retain(|change| is_meant(&change.name, options, &engine));
    tell(&waiting, &engine);
    answer(report::pending(&waiting, &engine))?;
    Ok(if waiting.is_empty() { 0 } else { DRIFT })
}

fn allow(manager: Manager, options: &Options) -> Result<(), Fail> {
    if !options.experimental {
        return Err(Fail::Experimental(manager.name()));
    }
    if options.security_only && manager != Manager::Dnf {
        return Err(Fail::NotWith { manager: manager.name(), option: "--security-only" });
    }
    Ok(())
}

fn is_meant(name: &str, options: &Options, engine: &Engine) -> bool {
    let named = options.packages.is_empty() || options.packages.iter().any(|package| package == name);
    named && (options.engine || !engine.has(name))
}

/// What would be done with the packages that are meant.
fn simulate(manager: Manager, options: &Options, engine: &Engine) -> Result<Simulation, Fail> {
    match manager {
        Manager::Dnf => {
            let mut command = tool::command("dnf");
            command
                .args(["--assumeno", "upgrade"])
                .args(dnf_options(options, engine))
                .args(&options.packages);
            // 'No' is a failure to it, and so is everything else: only a failure that says so is a no.
            let output = tool::output(&mut command)?;
            let text = String::from_utf8_lossy(&output.stdout);
            let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
            if !output.status.success() && !said.contains("Operation aborted") {
                let words = "'dnf upgrade'".to_owned();
                return Err(Fail::Tool {
                    words,
                    status: output.status.to_string(),
                    said: format!(":\n{said}"),
                });
            }
            Ok(dnf::transaction(&text))
        }
        Manager::Zypper => {
            let ask = ["--non-interactive", "update", "--dry-run"];
            let text = tool::read(tool::command("zypper").args(ask).args(&options.packages), &[])?;
            let mut simulation = zypper::dry_run(&text);
            simulation.changes.retain(|change| is_meant(&change.name, options, engine));
            Ok(simulation)
        }
        Manager::Apk | Manager::Apt => {
            let ask = ["--update-cache", "--simulate", "upgrade"];
            let mut simulation = apk::simulation(&tool::read(tool::command("apk").args(ask), &[])?);
            simulation.changes.retain(|change| is_meant(&change.name, options, engine));
            Ok(simulation)
        }
    }
}

/// dnf is told what to leave; the others are told by name what to take.
fn dnf_options(options: &Options, engine: &Engine) -> Vec<String> {
    let mut words = Vec::new();
    if options.security_only {
        words.push("--security".to_owned());
    }
    if !options.engine {
        let further = engine.further().map(|(name, _)| name.to_owned());
        words.extend(names::engine_patterns().chain(further).map(|name| format!("--exclude={name}")));
    }
    words
}

fn download(
    manager: Manager,
    options: &Options,
    simulation: &Simulation,
    engine: &Engine,
) -> Option<Command> {
    match manager {
        Manager::Dnf => {
            let mut command = upgrade(manager, options, simulation, engine);
            command.arg("--downloadonly");
            Some(command)
        }
        Manager::Zypper => {
            let mut command = upgrade(manager, options, simulation, engine);
            command.arg("--download-only");
            Some(command)
        }
        Manager::Apk | Manager::Apt => None,
    }
}

fn upgrade(manager: Manager, options: &Options, simulation: &Simulation, engine: &Engine) -> Command {
    let names = simulation.changes.iter().map(|change| &change.name);
    match manager {
        Manager::Dnf => {
            let mut command = tool::command("dnf");
            command
                .args(["--assumeyes", "upgrade"])
                .args(dnf_options(options, engine))
                .args(&options.packages);
            command
        }
        Manager::Zypper => {
            let mut command = tool::command("zypper");
            command.args(["--non-interactive", "update", "--no-confirm"]).args(names);
            command
        }
        Manager::Apk | Manager::Apt => {
            let mut command = tool::command("apk");
            command.args(["--no-interactive", "upgrade"]).args(names);
            command
        }
    }
}

fn refuse(simulation: &Simulation, options: &Options, engine: &Engine) -> Result<(), Fail> {
    let refusals = judge(simulation, options, engine);
    if refusals.is_empty() { coming::check(simulation) } else { Err(Fail::Refused(refusals)) }
}

fn tell(simulation: &Simulation, engine: &Engine) {
    match simulation.is_empty() {
        true => say!("nothing to do: no package waits"),
        false => say!("{} to upgrade:", report::total(simulation)),
    }
    report::lines(simulation).iter().for_each(|line| println!("  {line}"));
    if let Some(line) = report::unknown(simulation, engine) {
        say!("{line}");
    }
}
