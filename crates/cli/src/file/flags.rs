//! The values of a file become flags, as somebody would type them. Pure.

use super::keys::{AtPath, Form, Keys, Meaning, OWN, nearest};
use super::wrong::{Located, Place, Wrong};
use super::yaml::{Key, Node, Yaml};
use crate::render::text::first_of;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::rc::Rc;

/// The name of those that are no flags: the command's arguments.
pub const ARGUMENTS: &str = "";

/// The fields of a secret or a config.
const FIELDS: [&str; 5] = ["source", "target", "uid", "gid", "mode"];

/// A flag as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Behind `--`; [`ARGUMENTS`] for an argument of the payload's command.
    pub name: String,
    /// Nothing, where it is a switch.
    pub value: Option<String>,
    /// Where its value stands.
    pub at: Place,
    /// Its key, from the top of the file.
    pub key: String,
}

impl Flag {
    /// As one word.
    pub fn word(&self) -> OsString {
        match (&*self.name, &self.value) {
            (ARGUMENTS, value) => value.clone().unwrap_or_default().into(),
            (name, Some(value)) => format!("--{name}={value}").into(),
            (name, None) => format!("--{name}").into(),
        }
    }
}

/// The flags of a whole file.
pub fn of(root: &Node, keys: &Keys, directory: &Path) -> Result<Vec<Flag>, Located> {
    let mut reading = Reading { keys, directory, flags: Vec::new() };
    reading.section("", root)?;
    Ok(reading.flags)
}

/// Checks the values as if they were typed, and says which of them is wrong.
pub fn check(flags: &[Flag], command: &Command) -> Result<(), Located> {
    let mut command = command.clone();
    let mut parse = |flags: &[&Flag]| {
        let (arguments, others): (Vec<&Flag>, Vec<&Flag>) =
            flags.iter().partition(|flag| flag.name == ARGUMENTS);
        let words = ["careen", "plan", "--file=x"].map(OsString::from).into_iter();
        let words = words.chain(others.iter().map(|flag| flag.word())).chain(["--".into()]);
        command.try_get_matches_from_mut(words.chain(arguments.iter().map(|flag| flag.word()))).map(drop)
    };
    let all: Vec<&Flag> = flags.iter().collect();
    let Err(error) = parse(&all) else { return Ok(()) };
    for flag in flags {
        if let Err(error) = parse(&[flag]) {
            return Err(Wrong::Value { key: flag.key.clone(), why: why(&error) }.at(flag.at));
        }
    }
    // Each of them alone is right: two of them exclude each other.
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => Some(name.clone()),
        Some(ContextValue::Strings(names)) => names.first().cloned(),
        _ => None,
    };
    let at = |kind| {
        let name = named(kind)?;
        let name = name.split([' ', '=']).next()?.trim_start_matches("--").to_owned();
        flags.iter().find(|flag| flag.name == name)
    };
    let (one, other) = (at(ContextKind::InvalidArg), at(ContextKind::PriorArg));
    let key = one.or(other).map(|flag| flag.key.clone()).unwrap_or_default();
    let place = one.or(other).or(flags.first()).map_or(Place { line: 1, column: 1 }, |flag| flag.at);
    let why = match other.filter(|_| error.kind() == ErrorKind::ArgumentConflict) {
        Some(other) => format!("it cannot stand beside {}", other.key),
        None => why(&error),
    };
    Err(Wrong::Value { key, why }.at(place))
}

/// What a wrong value is told, without what is typed on a command line.
fn why(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) {
        return format!("it is one of {}", first_of(values, values.len()));
    }
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

struct Reading<'a> {
    keys: &'a Keys,
    directory: &'a Path,
    flags: Vec<Flag>,
}

impl Reading<'_> {
    /// A mapping in which flags and more such mappings stand.
    fn section(&mut self, above: &str, node: &Node) -> Result<(), Located> {
        let pairs = match &node.is {
            Yaml::Map(pairs) => pairs,
            Yaml::Null => return Ok(()),
            Yaml::Text(_) | Yaml::List(_) => {
                let whole = Wrong::NoMapping { found: node.is.kind() }.at(node.at);
                return Err(if above.is_empty() { whole } else { kind(above, "a mapping", node) });
            }
        };
        for (key, node) in pairs {
            let path = if above.is_empty() { key.name.clone() } else { format!("{above}.{}", key.name) };
            match self.keys.at(&path) {
                AtPath::Flag(meaning) => {
                    let meaning = meaning.clone();
                    self.flag(&path, &meaning, node)?;
                }
                AtPath::Section => self.section(&path, node)?,
                AtPath::NotHere(why) => return Err(Wrong::NotHere { key: path, why }.at(key.at)),
                AtPath::Unknown { near, known } => unknown(path, key, near, known)?,
            }
        }
        Ok(())
    }

    fn flag(&mut self, key: &str, meaning: &Meaning, node: &Node) -> Result<(), Located> {
        match meaning.form {
            Form::Switch => {
                if is_true(key, node)? {
                    self.push(key, meaning, None, node.at);
                }
                Ok(())
            }
            Form::Scalar => self.scalar(key, meaning, node),
            Form::List => each(node).iter().try_for_each(|node| self.scalar(key, meaning, node)),
            Form::Pairs => self.pairs(key, meaning, node),
            Form::Files => list(key, node)?.iter().try_for_each(|node| {
                let value = file(key, node)?;
                self.push(key, meaning, Some(value), node.at);
                Ok(())
            }),
            Form::Words => self.words(key, meaning, node),
        }
    }

    fn push(&mut self, key: &str, meaning: &Meaning, value: Option<String>, at: Place) {
        let value = value.map(|value| match meaning.is_path {
            true => self.directory.join(value).display().to_string(),
            false => value,
        });
        self.flags.push(Flag { name: meaning.flag.clone(), value, at, key: key.to_owned() });
    }

    fn scalar(&mut self, key: &str, meaning: &Meaning, node: &Node) -> Result<(), Located> {
        let value = text(key, "a text or a number", node)?;
        self.push(key, meaning, Some(value), node.at);
        Ok(())
    }

    /// `{A: 1}` or `[A=1]`; a variable of no value is taken from careen's own environment.
    fn pairs(&mut self, key: &str, meaning: &Meaning, node: &Node) -> Result<(), Located> {
        let Yaml::Map(pairs) = &node.is else {
            return list(key, node)?.iter().try_for_each(|node| self.scalar(key, meaning, node));
        };
        for (name, node) in pairs {
            let path = format!("{key}.{}", name.name);
            if name.name.contains('=') {
                let why = "a name has no '='".to_owned();
                return Err(Wrong::Value { key: path, why }.at(name.at));
            }
            let value = match node.is {
                Yaml::Null => name.name.clone(),
                Yaml::Text(_) | Yaml::List(_) | Yaml::Map(_) => {
                    format!("{}={}", name.name, text(&path, "a text or a number", node)?)
                }
            };
            self.push(&path, meaning, Some(value), node.at);
        }
        Ok(())
    }

    /// The payload's command, and its arguments.
    fn words(&mut self, key: &str, meaning: &Meaning, node: &Node) -> Result<(), Located> {
        let words: Vec<(String, Place)> = match &node.is {
            Yaml::List(items) => {
                let words = items.iter().map(|item| Ok((text(key, "a text", item)?, item.at)));
                words.collect::<Result<_, Located>>()?
            }
            Yaml::Text(_) | Yaml::Null | Yaml::Map(_) => {
                let line = text(key, "a text or a list", node)?;
                if line.contains(['"', '\'', '\\']) {
                    let why =
                        "quotes and backslashes are not read here; write a list, an item a word".to_owned();
                    return Err(Wrong::Value { key: key.to_owned(), why }.at(node.at));
                }
                line.split_whitespace().map(|word| (word.to_owned(), node.at)).collect()
            }
        };
        let Some(((command, at), arguments)) = words.split_first() else {
            return Err(kind(key, "the name of a command", node));
        };
        self.push(key, meaning, Some(command.clone()), *at);
        let arguments = arguments.iter().map(|(word, at)| Flag {
            name: ARGUMENTS.to_owned(),
            value: Some(word.clone()),
            at: *at,
            key: key.to_owned(),
        });
        self.flags.extend(arguments);
        Ok(())
    }
}

/// A key that nobody knows. Compose leaves what begins with `x-` to whoever writes it; what looks like careen's own is a mistake.
fn unknown(path: String, key: &Key, near: Option<String>, known: Vec<String>) -> Result<(), Located> {
    if path.starts_with("x-") && !path.contains('.') && near.as_deref() != Some(OWN) {
        return Ok(());
    }
    if key.name == "<<" {
        let why = "mappings are not merged; write the keys out".to_owned();
        return Err(Wrong::NotHere { key: path, why }.at(key.at));
    }
    Err(Wrong::Unknown { key: path, near, known }.at(key.at))
}

pub(super) fn kind(key: &str, wanted: &'static str, node: &Node) -> Located {
    Wrong::Type { key: key.to_owned(), wanted, found: node.is.kind() }.at(node.at)
}

/// A scalar, as it is written. What Compose would put in is refused, and its `$$` is one dollar sign.
pub(super) fn text(key: &str, wanted: &'static str, node: &Node) -> Result<String, Located> {
    let text = match &node.is {
        Yaml::Text(text) => text,
        Yaml::Null | Yaml::List(_) | Yaml::Map(_) => return Err(kind(key, wanted, node)),
    };
    if text.replace("$$", "").contains('$') {
        return Err(Wrong::Variable { key: key.to_owned() }.at(node.at));
    }
    Ok(text.replace("$$", "$"))
}

pub(super) fn is_true(key: &str, node: &Node) -> Result<bool, Located> {
    match &node.is {
        Yaml::Text(text) if text == "true" => Ok(true),
        Yaml::Text(text) if text == "false" => Ok(false),
        Yaml::Text(_) | Yaml::Null | Yaml::List(_) | Yaml::Map(_) => Err(kind(key, "true or false", node)),
    }
}

/// The items of a list, or the one value that stands in its place.
fn each(node: &Node) -> Vec<&Node> {
    match &node.is {
        Yaml::List(items) => items.iter().map(Rc::as_ref).collect(),
        Yaml::Text(_) | Yaml::Null | Yaml::Map(_) => vec![node],
    }
}

pub(super) fn list<'a>(key: &str, node: &'a Node) -> Result<&'a [Rc<Node>], Located> {
    match &node.is {
        Yaml::List(items) => Ok(items),
        Yaml::Text(_) | Yaml::Null | Yaml::Map(_) => Err(kind(key, "a list", node)),
    }
}

/// A secret or a config: its name, or a mapping of Compose's fields.
fn file(key: &str, node: &Node) -> Result<String, Located> {
    let Yaml::Map(pairs) = &node.is else { return text(key, "a name or a mapping", node) };
    let mut fields = Vec::new();
    for (name, node) in pairs {
        let path = format!("{key}.{}", name.name);
        if !FIELDS.contains(&name.name.as_str()) {
            let known = FIELDS.map(str::to_owned).to_vec();
            return Err(Wrong::Unknown { key: path, near: nearest(&name.name, &known), known }.at(name.at));
        }
        let value = text(&path, "a text or a number", node)?;
        if value.contains(',') {
            let why = "it must not have a comma".to_owned();
            return Err(Wrong::Value { key: path, why }.at(node.at));
        }
        let value = if name.name == "mode" { value.trim_start_matches("0o") } else { &value };
        fields.push(format!("{}={value}", name.name));
    }
    Ok(fields.join(","))
}
