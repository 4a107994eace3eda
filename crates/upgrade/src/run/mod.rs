//! The commands on the host: they ask package managers, let the library decide, and say what they do.

mod apt;
mod coming;
mod commands;
mod dpkg_lock;
mod engine;
mod fail;
mod host;
mod other;
mod space;
mod tool;
mod touches;
mod work;

use crate::manager::Manager;
use crate::options::Options;
use fail::Fail;
use std::process::ExitCode;

/// What every failure ends with; nothing that means something else to careen.
const FAILED: u8 = 1;

/// Says something to whoever reads the log.
macro_rules! say {
    ($($words:tt)*) => { println!("upgrade: {}", format_args!($($words)*)) };
}
use say;

/// The payload's commands: what the program is called.
const COMMANDS: [&str; 4] = ["prepare", "install", "check", "verify"];

/// Whether a program of this name is one of the payload's commands.
pub fn is_command(name: &str) -> bool {
    COMMANDS.contains(&name)
}

/// Carries out a command of the payload, and returns its exit code.
pub fn command(name: &str, args: Vec<String>) -> ExitCode {
    match carry_out(name, args) {
        Ok(code) => code.into(),
        Err(fail) => {
            eprintln!("upgrade: {}", careen_contract::chain(&fail));
            FAILED.into()
        }
    }
}

fn carry_out(name: &str, args: Vec<String>) -> Result<u8, Fail> {
    let options = Options::parse(args)?;
    let manager = host::manager()?;
    if matches!(name, "prepare" | "install") {
        host::check_that_packages_can_change(manager)?;
    }
    match (name, manager) {
        ("prepare", Manager::Apt) => commands::prepare(&options),
        ("install", Manager::Apt) => commands::install(&options),
        ("check", Manager::Apt) => commands::check(&options),
        ("verify", Manager::Apt) => commands::verify(),
        ("prepare", other) => other::prepare(other, &options),
        ("install", other) => other::install(other, &options),
        ("check", other) => other::check(other, &options),
        ("verify", _) => engine::verify().map(|()| 0),
        _ => Err(Fail::NoCommand(name.to_owned())),
    }
}
