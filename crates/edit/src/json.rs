//! The merge patch of RFC 7386, for files that people write: what a merge does not change stays as it is written: the order of
//! keys, numbers (`1.0`, `1e5`, integers of any length), blanks and lines.
//!
//! `serde_json` finds where values begin and end; its own maps and numbers would lose all of that, and its features that would
//! keep some of it change every crate of the workspace.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;

/// How deep values may be nested.
const DEEPEST: usize = 100;

/// What is indented in a file that does not show how it wants to be.
const INDENT: &str = "    ";

/// Why a text is no object that can be merged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonError {
    /// It is no UTF-8.
    #[error("line {line}: this is no UTF-8 text")]
    NotText {
        /// Of the first byte that is none.
        line: usize,
    },
    /// It is no JSON.
    #[error("line {line}, column {column}: this is no JSON: {why}")]
    Syntax {
        /// Where.
        line: usize,
        /// Where in it.
        column: usize,
        /// What the parser says.
        why: String,
    },
    /// A key stands twice in one object. Readers differ in which one they take.
    #[error("line {line}, column {column}: the key {key} stands twice in the same object")]
    Twice {
        /// Of the second one.
        line: usize,
        /// Where in it.
        column: usize,
        /// As it is written.
        key: String,
    },
    /// Only objects have keys to merge.
    #[error("line {line}, column {column}: this is JSON, but no object ({{ … }})")]
    NoObject {
        /// Where.
        line: usize,
        /// Where in it.
        column: usize,
    },
    /// Nobody writes that by hand.
    #[error("line {line}, column {column}: this is nested deeper than {DEEPEST} levels")]
    TooDeep {
        /// Where.
        line: usize,
        /// Where in it.
        column: usize,
    },
}

/// What comes of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The whole text; the old one, byte by byte, where nothing changes.
    pub text: Vec<u8>,
    /// The keys of the outermost object that change, in the order of the patch.
    pub keys: Vec<String>,
}

/// A JSON object that was read.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    text: &'a str,
    value: JsonValue<'a>,
}

#[derive(Debug, Clone)]
struct JsonValue<'a> {
    /// As it is written. An object that was changed is not that any more.
    written: Option<&'a str>,
    node: Node<'a>,
}

#[derive(Debug, Clone)]
enum Node<'a> {
    Object(Vec<Member<'a>>),
    Array(Vec<JsonValue<'a>>),
    /// A string, a number, true, false or null.
    Scalar(&'a str),
}

#[derive(Debug, Clone)]
struct Member<'a> {
    written: &'a str,
    key: String,
    value: JsonValue<'a>,
}

impl<'a> Document<'a> {
    /// Reads an object. Nothing but blanks counts as an empty one, as many programs read their files, and as a file that is not
    /// there does.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotText {
            line: 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count(),
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_ascii().is_empty() {
            return Ok(Self {
                text,
                value: JsonValue { written: Some(text), node: Node::Object(Vec::new()) },
            });
        }
        let whole: &RawValue = serde_json::from_str(text).map_err(|error| syntax(text, text, &error))?;
        let value = read(text, whole.get(), 0)?;
        match value.node {
            Node::Object(_) => Ok(Self { text, value }),
            Node::Array(_) | Node::Scalar(_) => {
                let (line, column) = place(text, whole.get());
                Err(JsonError::NoObject { line, column })
            }
        }
    }

    /// This object with another one merged into it.
    pub fn merged(&self, patch: &Document<'_>) -> Merged {
        let mut value = self.value.clone();
        let keys = merge_members(&mut value, &patch.value);
        if keys.is_empty() {
            return Merged { text: self.text.as_bytes().to_vec(), keys };
        }
        let mut text = String::new();
        write(&mut text, &value, indent(self.text), 0);
        text.push('\n');
        Merged { text: text.into_bytes(), keys }
    }
}

/// Where a part of the text begins: line and column, from 1.
fn place(text: &str, part: &str) -> (usize, usize) {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
}

/// A parser's error about a part of the text, with its place in the whole.
fn syntax(text: &str, part: &str, error: &serde_json::Error) -> JsonError {
    let (line, column) = place(text, part);
    let column = if error.line() <= 1 { column - 1 + error.column() } else { error.column() };
    let why = error.to_string();
    let why = why.split(" at line ").next().unwrap_or_default().to_owned();
    JsonError::Syntax { line: line + error.line().saturating_sub(1), column, why }
}

/// The members of an object, as they are written, in their order.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Reads a value that is written without blanks around it, and is known to be JSON.
fn read<'a>(text: &str, written: &'a str, depth: usize) -> Result<JsonValue<'a>, JsonError> {
    if depth > DEEPEST {
        let (line, column) = place(text, written);
        return Err(JsonError::TooDeep { line, column });
    }
    let wrong = |error: serde_json::Error| syntax(text, written, &error);
    let node = match written.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(written).map_err(wrong)?;
            let (mut known, mut read_members) = (BTreeSet::new(), Vec::with_capacity(members.len()));
            for (key, value) in members {
                let written = key.get();
                let key: String =
                    serde_json::from_str(written).map_err(|error| syntax(text, written, &error))?;
                if !known.insert(key.clone()) {
                    let (line, column) = place(text, written);
                    return Err(JsonError::Twice { line, column, key: written.to_owned() });
                }
                read_members.push(Member { written, key, value: read(text, value.get(), depth + 1)? });
            }
            Node::Object(read_members)
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(written).map_err(wrong)?;
            let values = values.into_iter().map(|value| read(text, value.get(), depth + 1));
            Node::Array(values.collect::<Result<_, _>>()?)
        }
        _ => Node::Scalar(written),
    };
    Ok(JsonValue { written: Some(written), node })
}

/// Merges the members of an object into a value, which becomes an object if it is none. Returns the keys that change.
fn merge_members<'a>(base: &mut JsonValue<'a>, patch: &JsonValue<'a>) -> Vec<String> {
    let Node::Object(wanted) = &patch.node else { return Vec::new() };
    if !matches!(base.node, Node::Object(_)) {
        *base = JsonValue { written: None, node: Node::Object(Vec::new()) };
    }
    let Node::Object(members) = &mut base.node else { return Vec::new() };
    let changes = wanted.iter().filter(|member| merge_member(members, member));
    let changed: Vec<String> = changes.map(|member| member.key.clone()).collect();
    if !changed.is_empty() {
        base.written = None;
    }
    changed
}

/// Merges one member. Returns whether that changes anything.
fn merge_member<'a>(members: &mut Vec<Member<'a>>, wanted: &Member<'a>) -> bool {
    let at = members.iter().position(|member| member.key == wanted.key);
    match (at, &wanted.value.node) {
        (None, Node::Scalar("null")) => false,
        (Some(at), Node::Scalar("null")) => {
            members.remove(at);
            true
        }
        (Some(at), Node::Object(_)) => {
            let value = &mut members[at].value;
            let was_object = matches!(value.node, Node::Object(_));
            !merge_members(value, &wanted.value).is_empty() || !was_object
        }
        (Some(at), Node::Array(_) | Node::Scalar(_)) => {
            if is_same(&members[at].value, &wanted.value) {
                return false;
            }
            members[at].value = as_new(&wanted.value);
            true
        }
        (None, Node::Object(_)) => {
            // Merged into nothing, so that a null in it removes and is not written.
            let mut value = JsonValue { written: None, node: Node::Object(Vec::new()) };
            merge_members(&mut value, &wanted.value);
            members.push(Member { written: wanted.written, key: wanted.key.clone(), value });
            true
        }
        (None, Node::Array(_) | Node::Scalar(_)) => {
            let value = as_new(&wanted.value);
            members.push(Member { written: wanted.written, key: wanted.key.clone(), value });
            true
        }
    }
}

/// A value of the patch, to be laid out as the file is.
fn as_new<'a>(value: &JsonValue<'a>) -> JsonValue<'a> {
    let node = match &value.node {
        Node::Object(members) => {
            let new = |member: &Member<'a>| Member { value: as_new(&member.value), ..member.clone() };
            Node::Object(members.iter().map(new).collect())
        }
        Node::Array(values) => Node::Array(values.iter().map(as_new).collect()),
        Node::Scalar(written) => Node::Scalar(written),
    };
    JsonValue { written: None, node }
}

/// Whether two values say the same. Numbers are compared as they are written: which of `1` and `1.0` a program wants, it knows.
fn is_same(one: &JsonValue<'_>, other: &JsonValue<'_>) -> bool {
    match (&one.node, &other.node) {
        (Node::Object(one), Node::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|member| {
                    let twin = other.iter().find(|twin| twin.key == member.key);
                    twin.is_some_and(|twin| is_same(&member.value, &twin.value))
                })
        }
        (Node::Array(one), Node::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Node::Scalar(one), Node::Scalar(other)) => one == other || is_same_string(one, other),
        (Node::Object(_) | Node::Array(_) | Node::Scalar(_), _) => false,
    }
}

fn is_same_string(one: &str, other: &str) -> bool {
    let decoded = |text: &str| serde_json::from_str::<String>(text).ok();
    decoded(one).is_some_and(|one| Some(one) == decoded(other))
}

/// What this file indents its members with: the blanks before the first key that begins a line.
fn indent(text: &str) -> &str {
    let ends = |line: &str| line.find(|c: char| c != ' ' && c != '\t');
    let mut blanks = text.lines().skip(1).filter_map(|line| ends(line).map(|end| &line[..end]));
    blanks.find(|blanks| !blanks.is_empty()).unwrap_or(INDENT)
}

fn write(text: &mut String, value: &JsonValue<'_>, unit: &str, depth: usize) {
    if let Some(written) = value.written {
        text.push_str(written);
        return;
    }
    match &value.node {
        Node::Scalar(written) => text.push_str(written),
        Node::Object(members) => write_list(text, ('{', '}'), members, unit, depth, |text, member| {
            text.push_str(member.written);
            text.push_str(": ");
            write(text, &member.value, unit, depth + 1);
        }),
        Node::Array(values) => write_list(text, ('[', ']'), values, unit, depth, |text, value| {
            write(text, value, unit, depth + 1);
        }),
    }
}

fn write_list<T>(
    text: &mut String,
    (open, close): (char, char),
    items: &[T],
    unit: &str,
    depth: usize,
    item: impl Fn(&mut String, &T),
) {
    text.push(open);
    for (number, one) in items.iter().enumerate() {
        text.push_str(if number == 0 { "\n" } else { ",\n" });
        text.push_str(&unit.repeat(depth + 1));
        item(text, one);
    }
    if !items.is_empty() {
        text.push('\n');
        text.push_str(&unit.repeat(depth));
    }
    text.push(close);
}

#[cfg(test)]
mod tests;
