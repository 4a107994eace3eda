//! The words of a call before clap reads them: which one is the command. Pure.

use clap::Command;
use std::ffi::OsString;

/// Where the command stands: behind the flags in front of it and their values.
pub fn command_at(words: &[OsString], takes_value: impl Fn(&str) -> bool) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let word = word.to_string_lossy();
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') {
            return Some(at);
        }
        at += if takes_value(&word) { 2 } else { 1 };
    }
    None
}

/// Whether a word is one of these flags as it stands, so that the word behind it is its value: `--host`, `-H`.
pub fn takes_value<'a>(command: &'a Command) -> impl Fn(&str) -> bool + 'a {
    move |word| {
        let is_it = |arg: &&clap::Arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short().is_some_and(|short| word.strip_prefix('-') == Some(&short.to_string())),
        };
        command.get_arguments().find(is_it).is_some_and(|arg| arg.get_action().takes_values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_is_found_behind_flags_and_their_values() {
        let command = Cli::command();
        for (line, expected) in [
            ("plan --image i", Some(0)),
            ("--host run plan", Some(2)),
            ("-H run -H=status plan", Some(3)),
            ("--host=run --format json run", Some(3)),
            ("-Hunix:///x status", Some(1)),
            ("--help plan", Some(1)),
            ("--host", None),
            ("-- plan", None),
            ("", None),
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(command_at(&words, takes_value(&command)), expected, "{line}");
        }
    }
}
