//! The commands, on hosts with apt.

use super::apt::{self, Apt};
use super::fail::{Fail, file};
use super::work::Work;
use super::{coming, engine, say, space, touches};
use crate::apt::Sizes;
use crate::change::Simulation;
use crate::dpkg::{Package, State, names_in};
use crate::engine::Engine;
use crate::judge::{Restart, expect_restart, judge};
use crate::manager::Manager;
use crate::options::Options;
use crate::plan::Plan;
use crate::report;
use careen_contract::payload::DRIFT;
use careen_contract::pending::Pending;
use careen_contract::{chain, variable};

/// Before the drain: mends dpkg, decides, downloads.
pub fn prepare(options: &Options) -> Result<u8, Fail> {
    let installed = apt::installed()?;
    let engine = touches::engine(Manager::Apt)?;
    let unfinished = names_in(&installed, State::Unfinished);
    if unfinished.iter().any(|name| engine.has(name)) {
        // To configure the engine may restart it, and this node still works.
        say!(
            "the engine's packages are not configured: 'install' does that, and all else, once the node is drained"
        );
        expect(Restart::Yes)?;
        return Ok(0);
    }
    mend(&installed)?;
    let work = Work::fresh()?;
    let simulation = decide_and_download(&work, options, &engine).inspect_err(|_| drop(work.remove()))?;
    expect(expect_restart(&simulation, &engine, may_reboot()))?;
    Ok(0)
}

/// After the drain: does what was decided.
pub fn install(options: &Options) -> Result<u8, Fail> {
    mend(&apt::installed()?)?;
    let engine = touches::engine(Manager::Apt)?;
    let (work, simulation) = prepared(options, &engine)?;
    let done = if simulation.is_empty() { Ok(()) } else { Apt::new(&work, options).install() };
    work.remove()?;
    done?;
    let held = names_held(&apt::installed()?);
    if !simulation.is_empty() {
        say!("done: {}", report::total(&simulation));
    }
    if !held.is_empty() {
        say!("left as they are, because they are held on this host: {}", held.join(" "));
    }
    Ok(0)
}

/// Only looks.
pub fn check(options: &Options) -> Result<u8, Fail> {
    let installed = apt::installed()?;
    let engine = touches::engine(Manager::Apt)?;
    let work = Work::for_a_look()?;
    let looked = look(&work, &installed, options, &engine);
    work.remove()?;
    let (simulation, pending) = looked?;
    tell(&installed, options, &simulation, &engine);
    answer(pending)?;
    let unfinished = names_in(&installed, State::Unfinished);
    if !unfinished.is_empty() {
        say!("not configured: {}", unfinished.join(" "));
    }
    Ok(if simulation.is_empty() && unfinished.is_empty() { 0 } else { DRIFT })
}

/// What waits, and what would come of it.
fn look(
    work: &Work,
    installed: &[Package],
    options: &Options,
    engine: &Engine,
) -> Result<(Simulation, Pending), Fail> {
    let apt = Apt::new(work, options);
    apt.refresh(installed, engine)?;
    let simulation = apt.simulate()?;
    let sizes = if simulation.is_empty() { None } else { Some(apt.sizes()?) };
    let room = |sizes: Sizes| space::check(sizes, Some(&work.archives()), simulation.brings_a_kernel());
    let refused = refuse(&simulation, options, engine).and_then(|()| sizes.map_or(Ok(()), room));
    let pending = Pending {
        download_bytes: Some(sizes.map_or(0, |sizes| sizes.download)),
        refused: refused.err().map(|fail| chain(&fail)),
        ..report::pending(&simulation, engine)
    };
    Ok((simulation, pending))
}

/// Tells whoever asks by a program.
pub fn answer(pending: Pending) -> Result<(), Fail> {
    let Some(path) = std::env::var_os(variable::RESULT).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let text = pending.text().map_err(|error| file("write", &path)(error.into()))?;
    std::fs::write(&path, text).map_err(file("write", &path))
}

/// Whether dpkg is whole and the engine answers.
pub fn verify() -> Result<u8, Fail> {
    complain(&apt::installed()?)?;
    say!("every package is configured");
    engine::verify()?;
    Ok(0)
}

/// What `prepare` has decided for this work, if it is still what would be done; without it, what is decided now.
fn prepared(options: &Options, engine: &Engine) -> Result<(Work, Simulation), Fail> {
    let args = options.to_args();
    if let Some((work, plan)) = Work::prepared().filter(|(_, plan)| plan.is_for(&transaction(), &args)) {
        let simulation = Apt::new(&work, options).simulate()?;
        let surprises = plan.surprises(&simulation);
        if !surprises.is_empty() {
            work.remove()?;
            return Err(Fail::Surprise(surprises.join(", ")));
        }
        refuse(&simulation, options, engine)?;
        if !simulation.is_empty() {
            // The drain took its time, and the disk is everybody's.
            let sizes = Apt::new(&work, options).sizes()?;
            space::check(sizes, None, simulation.brings_a_kernel()).inspect_err(|_| drop(work.remove()))?;
        }
        return Ok((work, simulation));
    }
    say!("nothing was prepared for this: deciding and downloading now");
    let work = Work::fresh()?;
    let simulation = decide_and_download(&work, options, engine).inspect_err(|_| drop(work.remove()))?;
    Ok((work, simulation))
}

fn decide_and_download(work: &Work, options: &Options, engine: &Engine) -> Result<Simulation, Fail> {
    let installed = apt::installed()?;
    let apt = Apt::new(work, options);
    apt.refresh(&installed, engine)?;
    let simulation = apt.simulate()?;
    tell(&installed, options, &simulation, engine);
    refuse(&simulation, options, engine)?;
    if !simulation.is_empty() {
        space::check(apt.sizes()?, Some(&work.archives()), simulation.brings_a_kernel())?;
        apt.download()?;
    }
    work.seal(&Plan::new(&transaction(), options.to_args(), &simulation))?;
    Ok(simulation)
}

/// Finishes what dpkg was interrupted in. What it cannot finish is told by name.
fn mend(installed: &[Package]) -> Result<(), Fail> {
    let unfinished = names_in(installed, State::Unfinished);
    if unfinished.is_empty() && !apt::is_interrupted() {
        return complain(installed);
    }
    say!(
        "dpkg was interrupted: configuring {}",
        if unfinished.is_empty() { "nothing".into() } else { unfinished.join(" ") }
    );
    // What is left tells more than the status.
    let configured = apt::configure_all();
    complain(&apt::installed()?)?;
    configured
}

fn complain(installed: &[Package]) -> Result<(), Fail> {
    let broken = names_in(installed, State::Broken);
    if !broken.is_empty() {
        return Err(Fail::HalfInstalled(broken.join(" ")));
    }
    let unfinished = names_in(installed, State::Unfinished);
    if unfinished.is_empty() { Ok(()) } else { Err(Fail::NotConfigured(unfinished.join(" "))) }
}

fn refuse(simulation: &Simulation, options: &Options, engine: &Engine) -> Result<(), Fail> {
    let refusals = judge(simulation, options, engine);
    if refusals.is_empty() { coming::check(simulation) } else { Err(Fail::Refused(refusals)) }
}

fn tell(installed: &[Package], options: &Options, simulation: &Simulation, engine: &Engine) {
    match simulation.is_empty() {
        true => say!("nothing to do: no package waits"),
        false => say!("{} to upgrade:", report::total(simulation)),
    }
    report::lines(simulation).iter().for_each(|line| println!("  {line}"));
    let is_left = |one: &&Package| !options.engine && one.state != State::Absent && engine.has(&one.name);
    let left: Vec<String> = installed.iter().filter(is_left).map(|one| one.name.clone()).collect();
    let kept = report::kept(&names_held(installed), &left, simulation);
    for line in kept.into_iter().chain(report::unknown(simulation, engine)) {
        say!("{line}");
    }
}

fn names_held(installed: &[Package]) -> Vec<String> {
    let held = installed.iter().filter(|one| one.is_held && one.state != State::Absent);
    held.map(|one| one.name.clone()).collect()
}

/// Tells a rollout whether a restart is to be expected.
pub fn expect(restart: Restart) -> Result<(), Fail> {
    let path = std::env::var_os(variable::EXPECTS_RESTART).filter(|path| !path.is_empty());
    let (Some(path), Some(word)) = (path, restart.word()) else { return Ok(()) };
    say!("a restart of the engine or the host is to be expected: {word}");
    std::fs::write(&path, word).map_err(file("write", path))
}

/// Whether this rollout may reboot the host for what the distribution wants.
fn may_reboot() -> bool {
    matches!(std::env::var(variable::REBOOT).as_deref(), Ok("wanted" | "always"))
}

/// Which work this is.
fn transaction() -> String {
    std::env::var(variable::TRANSACTION).unwrap_or_default()
}
