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

/// The words with all hosts behind the command: clap keeps those in front of it only where none is behind it. The program's name
/// is the first word.
pub fn hosts_together(words: &[OsString], command: &Command) -> Vec<OsString> {
    // What stands in front of an inner command is understood everywhere.
    let takes_value = takes_value(command);
    let (mut hosts, mut others) = (Vec::new(), Vec::new());
    let (mut at, mut command) = (1, command);
    while let Some(here) = words.get(at..).and_then(|rest| command_at(rest, &takes_value)) {
        let Some(inner) = words[at + here].to_str().and_then(|word| command.find_subcommand(word)) else {
            break;
        };
        let mut flags = words[at..at + here].iter();
        while let Some(word) = flags.next() {
            let into = if is_host(&word.to_string_lossy()) { &mut hosts } else { &mut others };
            into.push(word.clone());
            if takes_value(&word.to_string_lossy()) {
                into.extend(flags.next().cloned());
            }
        }
        others.push(words[at + here].clone());
        (at, command) = (at + here + 1, inner);
        if !command.has_subcommands() {
            break;
        }
    }
    let program = words.iter().take(1).cloned();
    program.chain(others).chain(hosts).chain(words.iter().skip(at).cloned()).collect()
}

fn is_host(word: &str) -> bool {
    word == "--host" || word.starts_with("--host=") || (word.starts_with("-H") && !word.starts_with("--"))
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

    #[test]
    fn hosts_in_front_of_a_command_and_behind_it_are_put_together() {
        let command = Cli::command();
        for (line, expected) in [
            ("careen --host a status --host b", "careen status --host a --host b"),
            (
                "careen -Ha --format json -H=b plan -H c -- -H d",
                "careen --format json plan -Ha -H=b -H c -- -H d",
            ),
            ("careen --host=a image push --host b x", "careen image push --host=a --host b x"),
            ("careen --host a image -H b push x", "careen image push --host a -H b x"),
            ("careen --context c status", "careen --context c status"),
            ("careen status --host a", "careen status --host a"),
            // What is no command is left to clap.
            ("careen --host a help plan", "careen --host a help plan"),
            ("careen --host a image", "careen image --host a"),
            ("careen --host", "careen --host"),
            ("careen", "careen"),
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let together = hosts_together(&words, &command);
            let together: Vec<&str> = together.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(together.join(" "), expected, "{line}");
        }
        assert_eq!(hosts_together(&[], &command), Vec::<OsString>::new());
    }
}
