//! Which key of a file is which flag. Compose's words are listed; below `x-careen` a flag of `plan` is called as it is typed, so that
//! a new one is a key at once. Pure.

use clap::{Arg, ArgAction, Command};
use std::collections::BTreeMap;

/// Compose's words for flags, from the top of the file.
const COMPOSE: [(&str, &str); 12] = [
    ("image", "image"),
    ("command", "command"),
    ("environment", "env"),
    ("env_file", "env-file"),
    ("secrets", "secret"),
    ("configs", "config"),
    ("deploy.placement.constraints", "constraint"),
    ("deploy.update_config.parallelism", "parallelism"),
    ("deploy.update_config.delay", "delay"),
    ("deploy.update_config.failure_action", "failure-action"),
    ("deploy.update_config.monitor", "monitor"),
    ("deploy.update_config.max_failure_ratio", "max-failure-ratio"),
];

/// Compose's words that mean something else, or nothing, in a rollout.
const NOT_HERE: [(&str, &str); 4] = [
    (
        "deploy.update_config.order",
        "start-first and stop-first are about the tasks of a service; which nodes go first is x-careen.order",
    ),
    (
        "deploy.rollback_config",
        "what a failed node leads to is deploy.update_config.failure_action: 'rollback' runs the payload's rollback there",
    ),
    (
        "deploy.placement.preferences",
        "nodes that must not go together are those of different x-careen.spread",
    ),
    ("services", "a file describes one rollout; what stands below the service's name stands at the top here"),
];

/// Where all other flags are.
pub const OWN: &str = "x-careen";
/// Flags that say how a call goes, and nothing of the rollout.
const OF_THE_CALL: [&str; 2] = ["file", "verbose"];

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One scalar.
    Scalar,
    /// `true` or `false`.
    Switch,
    /// A list of scalars, or one.
    List,
    /// A mapping, or a list of `KEY=VALUE`.
    Pairs,
    /// A list of names or mappings: secrets and configs.
    Files,
    /// A text that is cut at its blanks, or a list.
    Words,
}

/// What a key means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The flag, as it is typed behind `--`.
    pub flag: String,
    /// How its value is written.
    pub form: Form,
    /// Whether it is a path on this machine.
    pub is_path: bool,
    /// The only values, where they are listed.
    pub values: Vec<String>,
    /// What the flag's help says.
    pub help: String,
}

/// All keys, by their paths from the top: `deploy.update_config.delay`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, Meaning>);

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum AtPath<'a> {
    /// A flag's value.
    Flag(&'a Meaning),
    /// A mapping with more keys.
    Section,
    /// Something of Compose's that is not here, with the reason.
    NotHere(String),
    /// Nothing: what is nearest to it, where something is near, and what is there.
    Unknown { near: Option<String>, known: Vec<String> },
}

impl Keys {
    /// The flags that `plan` and `run` have in common, out of the definition of the command line: one file is for both.
    pub fn of(command: &Command) -> Self {
        let of = |name| command.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
        let of_run = |arg: &Arg| of("run").any(|other| other.get_id() == arg.get_id());
        let flags = of("plan").filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && of_run(arg));
        let keys = flags.filter_map(|arg| {
            let flag = arg.get_long().filter(|flag| !OF_THE_CALL.contains(flag))?;
            let compose = COMPOSE.iter().find(|(_, of)| *of == flag);
            let path = compose.map_or_else(|| format!("{OWN}.{flag}"), |(path, _)| (*path).to_owned());
            Some((path, meaning(arg, flag)))
        });
        Self(keys.collect())
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Meaning)> {
        self.0.iter().map(|(path, meaning)| (path.as_str(), meaning))
    }

    /// What stands at a path.
    pub fn at(&self, path: &str) -> AtPath<'_> {
        if let Some(meaning) = self.0.get(path) {
            return AtPath::Flag(meaning);
        }
        let inside = format!("{path}.");
        if self.0.keys().any(|known| known.starts_with(&inside)) {
            return AtPath::Section;
        }
        if let Some((_, why)) = NOT_HERE.iter().find(|(known, _)| *known == path) {
            return AtPath::NotHere((*why).to_owned());
        }
        let name = path.strip_prefix(OWN).and_then(|name| name.strip_prefix('.'));
        if let Some((compose, _)) = name.and_then(|name| COMPOSE.iter().find(|(_, flag)| *flag == name)) {
            return AtPath::NotHere(format!("in a file this is {compose}"));
        }
        let known = self.beside(path);
        let (_, last) = path.rsplit_once('.').unwrap_or(("", path));
        AtPath::Unknown { near: nearest(last, &known), known }
    }

    /// The keys that may stand where this one stands.
    fn beside(&self, path: &str) -> Vec<String> {
        let above = path.rsplit_once('.').map_or_else(String::new, |(above, _)| format!("{above}."));
        let mut known: Vec<String> = Vec::new();
        for path in self.0.keys() {
            let name = path.strip_prefix(&above).and_then(|rest| rest.split('.').next());
            if let Some(name) = name.filter(|name| !known.iter().any(|known| known == name)) {
                known.push(name.to_owned());
            }
        }
        known
    }
}

/// The name that somebody who wrote this may have meant.
pub fn nearest(written: &str, known: &[String]) -> Option<String> {
    // Nothing of that length is near to a name.
    if written.chars().count() > 40 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let written = plain(written);
    let far = |name: &String| strsim::damerau_levenshtein(&written, &plain(name));
    let near = known.iter().map(|name| (far(name), name)).min()?;
    let most = near.1.chars().count().div_ceil(3).min(3);
    let goes_on = known.iter().find(|name| plain(name).strip_suffix('s') == Some(&written));
    goes_on.or((near.0 <= most).then_some(near.1)).cloned()
}

fn meaning(arg: &Arg, flag: &str) -> Meaning {
    let name = arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string());
    let name = name.unwrap_or_default();
    let several = matches!(arg.get_action(), ArgAction::Append);
    let form = match flag {
        "command" => Form::Words,
        "secret" | "config" => Form::Files,
        _ if !arg.get_action().takes_values() => Form::Switch,
        _ if several && name.contains('=') => Form::Pairs,
        _ if several => Form::List,
        _ => Form::Scalar,
    };
    let values = arg.get_possible_values();
    Meaning {
        flag: flag.to_owned(),
        form,
        is_path: ["FILE", "DIR"].contains(&name.as_str()),
        values: if form == Form::Switch {
            Vec::new()
        } else {
            values.iter().map(|value| value.get_name().to_owned()).collect()
        },
        help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
    }
}
