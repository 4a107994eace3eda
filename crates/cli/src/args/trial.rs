//! The flags of `try`.

use super::{command_name, image};
use clap::Args;
use std::path::PathBuf;

/// `try`.
#[derive(Debug, Clone, Args)]
pub struct TryArgs {
    /// The payload: a directory on this machine
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The payload's command; by default its 'check'
    #[arg(value_parser = command_name, value_name = "COMMAND")]
    pub command: Option<String>,
    /// Its arguments, behind '--'
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
    /// A variable for the command, KEY=VALUE, or KEY as it is set here; can be repeated
    #[arg(long = "env", short = 'e', value_name = "KEY=VALUE")]
    pub environment: Vec<String>,
    /// careen's image, if it has another name; otherwise the asked engine must have careen/installer in this version
    #[arg(long, value_parser = image, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Do not ask before a command runs that may change the host
    #[arg(long, short = 'y')]
    pub yes: bool,
}
