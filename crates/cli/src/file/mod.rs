//! `careen.yaml`: the flags of `plan` and `run` in a file, in Compose's words. Every value of the file becomes a flag, so that a value
//! is good or bad in one place, and a new flag is a key at once. Flags that are typed win.
//!
//! - [`yaml`]: the text as values with their places; [`keys`]: which key is which flag; [`flags`]: values become flags
//! - [`wrong`]: what can be wrong with a file
//! - [`payload`]: the file in which a payload says what it is

pub mod flags;
pub mod keys;
pub mod payload;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
pub mod wrong;
pub mod yaml;

use crate::args::Cli;
use crate::call::{command_at, takes_value};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory};
use flags::{ARGUMENTS, Flag};
use keys::Keys;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use wrong::{Located, UnusableFile};

/// A longer file is refused: nobody writes one.
const LONGEST: usize = 1024 * 1024;

/// The words of a call with those of its file among them; `None` when the call names no file. `matches` is what clap makes of the
/// words alone.
pub fn words(words: &[OsString], matches: &ArgMatches) -> Result<Option<Vec<OsString>>, UnusableFile> {
    let Some((name, given)) = matches.subcommand() else { return Ok(None) };
    let path = given.try_get_one::<PathBuf>("file").ok().flatten();
    let Some(path) = path else { return Ok(None) };
    let (text, directory) = (read(path)?, path.parent().unwrap_or(Path::new("")));
    let located = |located: Located| UnusableFile::At { path: path.clone(), located };
    let command = Cli::command();
    let flags = of_text(&text, directory, &command).map_err(located)?;
    let words = merged(words, &command, name, given, &flags);
    if !has_payload(&flags, given) {
        return Err(UnusableFile::NoPayload { path: path.clone() });
    }
    Ok(Some(words))
}

/// The flags that a text stands for, each of them checked. Paths in it are those of its directory.
fn of_text(text: &str, directory: &Path, command: &Command) -> Result<Vec<Flag>, Located> {
    let keys = Keys::of(command);
    let root = yaml::parse(text)?;
    let flags = flags::of(&root, &keys, directory)?;
    flags::check(&flags, command)?;
    Ok(flags)
}

fn read(path: &Path) -> Result<String, UnusableFile> {
    let unreadable = |source: io::Error| UnusableFile::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX).saturating_add(1);
    let read = match path == Path::new("-") {
        true => io::stdin().lock().take(limit).read_to_string(&mut text),
        false => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)),
    };
    read.map_err(unreadable)?;
    if text.len() > LONGEST {
        return Err(UnusableFile::TooLong { path: path.to_owned(), most: LONGEST / 1024 });
    }
    Ok(text)
}

/// The flags of the file behind the command, and behind them those that were typed.
fn merged(
    words: &[OsString],
    command: &Command,
    name: &str,
    given: &ArgMatches,
    flags: &[Flag],
) -> Vec<OsString> {
    let of_command = command.find_subcommand(name).unwrap_or(command);
    let kept = flags.iter().filter(|flag| !stands_back(flag, of_command, given));
    let (arguments, kept): (Vec<&Flag>, Vec<&Flag>) = kept.partition(|flag| flag.name == ARGUMENTS);
    let at = command_at(words.get(1..).unwrap_or_default(), takes_value(command));
    let (front, behind) = words.split_at(at.map_or(words.len(), |at| at + 2));
    let mut all: Vec<OsString> = front.to_vec();
    all.extend(kept.iter().map(|flag| flag.word()));
    all.extend_from_slice(behind);
    if !arguments.is_empty() && !behind.iter().any(|word| word == "--") {
        all.push("--".into());
    }
    all.extend(arguments.iter().map(|flag| flag.word()));
    all
}

/// Whether a flag of the file gives way: it was typed, or one beside which it cannot stand. Variables are more than one thing: those
/// that are typed come later, and count.
fn stands_back(flag: &Flag, command: &Command, given: &ArgMatches) -> bool {
    let typed = |id: &str| {
        let source = given.value_source(id);
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    match flag.name.as_str() {
        "env" => return false,
        ARGUMENTS => return typed("args") || typed("command"),
        _ => {}
    }
    let excludes = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|found| found.get_id() == other.get_id())
    };
    let Some(of_file) = command.get_arguments().find(|arg| arg.get_long() == Some(&flag.name)) else {
        return false;
    };
    command
        .get_arguments()
        .filter(|arg| typed(arg.get_id().as_str()))
        .any(|arg| arg.get_id() == of_file.get_id() || excludes(arg, of_file) || excludes(of_file, arg))
}

/// Whether there is something to be carried out: clap does not ask where a file is named.
fn has_payload(flags: &[Flag], given: &ArgMatches) -> bool {
    const PAYLOADS: [&str; 3] = ["image", "script", "dir"];
    let in_file = flags.iter().any(|flag| PAYLOADS.contains(&flag.name.as_str()));
    in_file || PAYLOADS.iter().any(|name| given.value_source(name) == Some(ValueSource::CommandLine))
}
