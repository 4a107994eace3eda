//! `down`: removes all and only what a lab made, also a half-made one.

use crate::docker::Docker;
use crate::engine;
use crate::error::Result;
use crate::holder::Holder;
use crate::lab;
use crate::lock;
use crate::names::LabName;
use crate::network;
use crate::progress::Progress;
use crate::tree;

/// Removes one lab. The last one stops an engine that the lab started; the image cache stays.
pub fn down(name: &LabName, progress: Progress) -> Result<()> {
    if !engine::answers() {
        progress
            .say("no docker engine answers: no lab is running. Labs of a stopped engine come back with it");
        return Ok(());
    }
    remove(name, progress)?;
    tidy_machine(progress)
}

/// Removes every lab of this machine.
pub fn down_all(progress: Progress) -> Result<()> {
    if engine::answers() {
        for name in lab::all(&Docker::local())? {
            remove(&name.parse()?, progress)?;
        }
    }
    tidy_machine(progress)
}

fn remove(name: &LabName, progress: Progress) -> Result<()> {
    let lock = lock::of_lab(name, progress)?;
    let docker = Docker::local().holding(lock);
    let nodes = Holder::new(docker.clone()).remove_all(name)?;
    let networks = network::remove(&docker, name)?;
    match nodes + networks {
        0 => progress.say(format!("lab {name}: there is nothing to remove")),
        _ => progress
            .say(format!("lab {name}: {nodes} nodes with their volumes and {networks} network removed")),
    }
    Ok(())
}

/// After the last lab: nothing half-made stays, and an engine that the lab started ends.
fn tidy_machine(progress: Progress) -> Result<()> {
    let _machine = lock::of_machine(progress)?;
    tree::discard_build()?;
    if !engine::answers() {
        return engine::stop_own(progress);
    }
    let docker = Docker::local();
    if !lab::all(&docker)?.is_empty() {
        return Ok(());
    }
    match docker.lines(["ps", "--quiet"])?.len() {
        0 => engine::stop_own(progress),
        others => {
            progress.say(format!("{others} other containers run on this engine: it keeps running"));
            Ok(())
        }
    }
}
