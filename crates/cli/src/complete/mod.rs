//! What may stand where somebody types: commands, flags and their values out of the definition of the command line, names of nodes
//! and rollouts out of the swarm. The shells ask with `careen __complete WORDS`, in the words of cobra's shells, so that docker's own
//! completion asks a plugin in the same way.
//!
//! - [`live`]: the names, from a swarm that may not answer; [`script`]: what a shell loads
//!
//! All but [`live`] is pure.

pub mod live;
pub mod script;

use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;

/// The words with which shells ask, with help beside each candidate or without.
const ASKED: [(&str, bool); 2] = [("__complete", true), ("__completeNoDesc", false)];

/// What else there is to offer, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// Nothing else.
    Nothing,
    /// Files of this machine: the shell knows them.
    Files,
    /// Directories of this machine.
    Directories,
    /// Host names of the swarm's nodes.
    Nodes,
    /// Ids of rollouts.
    Rollouts,
    /// Names of enforcements.
    Enforcements,
}

impl Sought {
    /// What the shell does on its own, in cobra's numbers: no files, files, directories.
    const fn directive(self) -> u8 {
        match self {
            Self::Nothing | Self::Nodes | Self::Rollouts | Self::Enforcements => 4,
            Self::Files => 0,
            Self::Directories => 16,
        }
    }
}

/// Something that may stand there, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Candidate {
    pub word: String,
    pub help: String,
}

/// What may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What is known without a swarm.
    pub candidates: Vec<Candidate>,
    /// What is not.
    pub sought: Sought,
    /// What stands in front of each name that is found: `--node=`.
    pub before: String,
    /// What is typed of the word.
    pub typed: String,
    /// The engines that the line names.
    pub hosts: Vec<String>,
    /// The context that it names.
    pub context: Option<String>,
}

/// The words that are to be completed, the last one as far as it is typed, and whether help is wanted; `None` for any other call.
pub fn asked(words: &[OsString]) -> Option<(Vec<String>, bool)> {
    let (_, helps) = ASKED.into_iter().find(|(word, _)| words.get(1).is_some_and(|asked| asked == word))?;
    let words = words.iter().skip(2).map(|word| word.to_string_lossy().into_owned());
    Some((words.collect(), helps))
}

/// What may stand in the place of the last word.
pub fn complete(root: &Command, words: &[String]) -> Completion {
    let (typed, before) =
        words.split_last().map_or(("", &[][..]), |(typed, before)| (typed.as_str(), before));
    let mut line = Line {
        root,
        command: root,
        position: 0,
        value_of: None,
        given: Vec::new(),
        behind: false,
        engine: Vec::new(),
    };
    before.iter().for_each(|word| line.word(word));
    let (candidates, sought, prefix) = line.may_follow(typed);
    let of = |name: &str| {
        let named = line.engine.iter().filter(|(id, _)| *id == name);
        named.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    Completion {
        candidates: candidates.into_iter().filter(|one| one.word.starts_with(typed)).collect(),
        sought,
        before: prefix,
        typed: typed.to_owned(),
        hosts: of("hosts"),
        context: of("context").pop(),
    }
}

/// The answer to a shell: a candidate a line, and what it is behind a tab; at the end what the shell does on its own.
pub fn answer(completion: &Completion, names: &[String], helps: bool) -> String {
    let mut text = String::new();
    // Nothing in a name ends a line or a word of it.
    let plain = |word: &str| !word.chars().any(|c| c.is_control() || c.is_whitespace());
    let names = names.iter().map(|name| format!("{}{name}", completion.before));
    for name in names.filter(|name| name.starts_with(&completion.typed) && plain(name)) {
        text += &format!("{name}\n");
    }
    for Candidate { word, help } in &completion.candidates {
        let help = help.lines().next().unwrap_or_default();
        text += &if helps && !help.is_empty() { format!("{word}\t{help}\n") } else { format!("{word}\n") };
    }
    text + &format!(":{}\n", completion.sought.directive())
}

/// How far a line is read.
struct Line<'a> {
    root: &'a Command,
    command: &'a Command,
    /// How many values without a flag the command has.
    position: usize,
    /// The flag whose value comes next.
    value_of: Option<&'a Arg>,
    given: Vec<&'a str>,
    /// Whether everything is an argument from here on.
    behind: bool,
    /// The values of `--host` and `--context`.
    engine: Vec<(&'a str, String)>,
}

impl<'a> Line<'a> {
    fn word(&mut self, word: &str) {
        if let Some(arg) = self.value_of.take() {
            return self.value(arg, word);
        }
        if self.behind || word == "--" {
            self.behind = true;
            return;
        }
        if word.starts_with('-') && word.len() > 1 {
            let (flag, attached) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word, None),
            };
            let Some(arg) = self.flag(flag) else { return };
            self.given.push(arg.get_id().as_str());
            match attached {
                Some(value) => self.value(arg, value),
                None if arg.get_action().takes_values() => self.value_of = Some(arg),
                None => {}
            }
            return;
        }
        match self.command.find_subcommand(word) {
            Some(command) => self.command = command,
            None => self.position += 1,
        }
    }

    fn value(&mut self, arg: &'a Arg, value: &str) {
        self.engine.push((arg.get_id().as_str(), value.to_owned()));
    }

    /// The command's own flags, and those of every command.
    fn flags(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        let of_all = self.root.get_arguments().filter(|arg| arg.is_global_set());
        let own = self.command.get_arguments().filter(|arg| !arg.is_global_set());
        own.chain(of_all).filter(|arg| !arg.is_positional() && !arg.is_hide_set())
    }

    fn flag(&self, word: &str) -> Option<&'a Arg> {
        self.flags().find(|arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&long)),
            None => arg.get_short().is_some_and(|short| word.strip_prefix('-') == Some(&short.to_string())),
        })
    }

    /// What may come now, and what stands in front of each value.
    fn may_follow(&self, typed: &str) -> (Vec<Candidate>, Sought, String) {
        if let Some(arg) = self.value_of {
            return values(arg, "");
        }
        if self.behind {
            return (Vec::new(), Sought::Files, String::new());
        }
        if let Some((flag, _)) = typed.split_once('=').filter(|_| typed.starts_with("--")) {
            let nothing = (Vec::new(), Sought::Nothing, String::new());
            return self.flag(flag).map_or(nothing, |arg| values(arg, &format!("{flag}=")));
        }
        if typed.starts_with('-') {
            return (self.flags_left(), Sought::Nothing, String::new());
        }
        let commands = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let commands: Vec<Candidate> = commands
            .map(|command| candidate(command.get_name(), command.get_about().map(ToString::to_string)))
            .collect();
        // Where a command or a payload may stand, a directory shows by how it begins.
        let is_path = typed.starts_with(['.', '/']) && self.command.get_positionals().next().is_some();
        if !commands.is_empty() && !is_path {
            return (commands, Sought::Nothing, String::new());
        }
        let positionals: Vec<&Arg> =
            self.command.get_positionals().filter(|arg| !arg.is_last_set()).collect();
        // The last one may be there more than once.
        let several = || positionals.last().filter(|arg| matches!(arg.get_action(), ArgAction::Append));
        match positionals.get(self.position).or_else(several) {
            Some(arg) => values(arg, ""),
            None => (self.flags_left(), Sought::Nothing, String::new()),
        }
    }

    /// The flags that may be there, those that are given already left out.
    fn flags_left(&self) -> Vec<Candidate> {
        let again = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append);
        let left = self.flags().filter(|arg| again(arg) || !self.given.contains(&arg.get_id().as_str()));
        let left = left.filter_map(|arg| {
            Some(candidate(&format!("--{}", arg.get_long()?), arg.get_help().map(ToString::to_string)))
        });
        left.chain([candidate("--help", Some("Print help".to_owned()))]).collect()
    }
}

fn candidate(word: &str, help: Option<String>) -> Candidate {
    Candidate { word: word.to_owned(), help: help.unwrap_or_default() }
}

/// The values of a flag or an argument: those that are listed, or what its name in the help says.
fn values(arg: &Arg, before: &str) -> (Vec<Candidate>, Sought, String) {
    let listed = arg.get_possible_values();
    let listed = listed.iter().filter(|value| !value.is_hide_set());
    let listed: Vec<Candidate> = listed
        .map(|value| {
            candidate(&format!("{before}{}", value.get_name()), value.get_help().map(ToString::to_string))
        })
        .collect();
    let name = arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string());
    let sought = match name.as_deref() {
        _ if !listed.is_empty() => Sought::Nothing,
        Some("NODE") => Sought::Nodes,
        Some("RUN") => Sought::Rollouts,
        Some("FILE") => Sought::Files,
        Some("DIR" | "PAYLOAD") => Sought::Directories,
        Some("ENFORCEMENT") => Sought::Enforcements,
        Some(_) | None => Sought::Nothing,
    };
    (listed, sought, before.to_owned())
}

#[cfg(test)]
mod tests;
