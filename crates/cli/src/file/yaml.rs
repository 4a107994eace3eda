//! YAML as values, each with its place. What is wrong with the text as such is found here: keys that are there twice, aliases that
//! blow up, nesting without an end. Pure.

use super::wrong::{Located, Place, Wrong};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::BTreeMap;
use std::rc::Rc;

/// So many values a file may have, aliases written out, and so deep they may be nested.
const MOST: u64 = 10_000;
const DEEPEST: usize = 32;

/// A value, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where.
    pub at: Place,
    /// What.
    pub is: Yaml,
    /// How many values it is made of, itself included and aliases written out.
    weight: u64,
}

/// A value. Numbers and booleans are texts: whoever reads one knows what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// Nothing, `null` or `~`.
    Null,
    /// A scalar.
    Text(String),
    /// A sequence.
    List(Vec<Rc<Node>>),
    /// A mapping, in its order.
    Map(Vec<(Key, Rc<Node>)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Key {
    pub at: Place,
    pub name: String,
}

impl Yaml {
    /// What it is, for people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// A list or a mapping that is not closed yet.
enum Open {
    List {
        at: Place,
        anchor: usize,
        items: Vec<Rc<Node>>,
    },
    Map {
        at: Place,
        anchor: usize,
        pairs: Vec<(Key, Rc<Node>)>,
        seen: BTreeMap<String, Place>,
        key: Option<Key>,
    },
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    documents: usize,
    root: Option<Rc<Node>>,
}

/// Reads a text of one document.
pub fn parse(text: &str) -> Result<Rc<Node>, Located> {
    let mut reader = Reader::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| not_yaml(text, place(error.marker()), error.info()))?;
        reader.event(event, place(&span.start))?;
    }
    let begin = Place { line: 1, column: 1 };
    let root = reader.root.ok_or(Wrong::Empty.at(begin))?;
    if root.is == Yaml::Null { Err(Wrong::Empty.at(begin)) } else { Ok(root) }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

/// The parser does not always say that it is a tab that it does not like.
fn not_yaml(text: &str, at: Place, why: &str) -> Located {
    let lines =
        text.lines().zip(1..).filter(|(_, number)| (at.line.saturating_sub(1)..=at.line).contains(number));
    for (line, number) in lines {
        let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..blank].find('\t') {
            return Wrong::Tab.at(Place { line: number, column: tab + 1 });
        }
    }
    Wrong::Syntax { why: why.to_owned() }.at(at)
}

impl Reader {
    fn event(&mut self, event: Event<'_>, at: Place) -> Result<(), Located> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err(Wrong::SecondDocument.at(at)) } else { Ok(()) }
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or(Wrong::Circle.at(at))?;
                self.value(node, at)
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => Err(Wrong::Tag.at(at)),
            Event::Scalar(text, style, anchor, None) => {
                let is_null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let is = if is_null { Yaml::Null } else { Yaml::Text(text.into_owned()) };
                self.close(Node { at, is, weight: 1 }, anchor)
            }
            Event::SequenceStart(anchor, None) => self.open(Open::List { at, anchor, items: Vec::new() }, at),
            Event::MappingStart(anchor, None) => {
                let (pairs, seen) = (Vec::new(), BTreeMap::new());
                self.open(Open::Map { at, anchor, pairs, seen, key: None }, at)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at, anchor, items }) => {
                    let weight = heaviness(items.iter());
                    self.close(Node { at, is: Yaml::List(items), weight }, anchor)
                }
                Some(Open::Map { at, anchor, pairs, .. }) => {
                    let weight = heaviness(pairs.iter().map(|(_, node)| node));
                    self.close(Node { at, is: Yaml::Map(pairs), weight }, anchor)
                }
                None => Ok(()),
            },
        }
    }

    fn open(&mut self, open: Open, at: Place) -> Result<(), Located> {
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            let found = if matches!(open, Open::List { .. }) { "list" } else { "mapping" };
            return Err(Wrong::Key { found }.at(at));
        }
        if self.open.len() >= DEEPEST {
            return Err(Wrong::TooDeep { most: DEEPEST }.at(at));
        }
        self.open.push(open);
        Ok(())
    }

    /// A value that is complete, and can be named by aliases from now on.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Located> {
        let at = node.at;
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.value(node, at)
    }

    fn value(&mut self, node: Rc<Node>, at: Place) -> Result<(), Located> {
        if node.weight > MOST {
            return Err(Wrong::TooMuch { most: MOST }.at(at));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { pairs, seen, key, .. }) => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(new_key(&node, at, seen)?),
            },
        }
        Ok(())
    }
}

fn new_key(node: &Node, at: Place, seen: &mut BTreeMap<String, Place>) -> Result<Key, Located> {
    let name = match &node.is {
        Yaml::Text(name) => name.clone(),
        Yaml::Null => return Err(Wrong::Key { found: "null" }.at(at)),
        Yaml::List(_) => return Err(Wrong::Key { found: "list" }.at(at)),
        Yaml::Map(_) => return Err(Wrong::Key { found: "mapping" }.at(at)),
    };
    match seen.insert(name.clone(), at) {
        Some(first) => Err(Wrong::Twice { key: name, first }.at(at)),
        None => Ok(Key { at, name }),
    }
}

fn heaviness<'a>(nodes: impl Iterator<Item = &'a Rc<Node>>) -> u64 {
    nodes.fold(1, |sum, node| sum.saturating_add(node.weight))
}
