//! What can be wrong with a file: where, and what would be right.

use crate::render::text::{first_of, short};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// So many columns of a key or a value, and so many names, an error shows.
const SHOWN: usize = 60;
const NAMES: usize = 40;

/// A place in a text; both are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
#[error("{at}: {why}")]
pub struct Located {
    pub at: Place,
    pub why: Wrong,
}

impl Wrong {
    /// The same, with its place.
    pub const fn at(self, at: Place) -> Located {
        Located { at, why: self }
    }
}

/// What is wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Wrong {
    /// In the words of the parser.
    #[error("this is not YAML: {}", short(.why, 200))]
    Syntax { why: String },
    #[error("YAML is indented with blanks, and this line has a tab")]
    Tab,
    #[error("a file is one document, and here a second one begins")]
    SecondDocument,
    #[error("there is nothing in the file")]
    Empty,
    #[error("a file is made of lines 'KEY: VALUE', and here is {found}")]
    NoMapping { found: &'static str },
    #[error("tags ('!…') are not read")]
    Tag,
    #[error("an alias ('*…') names what it is part of")]
    Circle,
    #[error("with all its aliases ('*…') written out the file has more than {most} values")]
    TooMuch { most: u64 },
    #[error("lists and mappings are nested more than {most} deep")]
    TooDeep { most: usize },
    #[error("a key is a name, and here is a {found}")]
    Key { found: &'static str },
    #[error("the key '{}' is there already, in line {}", short(.key, SHOWN), .first.line)]
    Twice { key: String, first: Place },
    #[error("unknown key '{}'{}", short(.key, SHOWN), hint(.near.as_deref(), .known))]
    Unknown { key: String, near: Option<String>, known: Vec<String> },
    #[error("'{}': {why}", short(.key, SHOWN))]
    NotHere { key: String, why: String },
    #[error("'{}' wants {wanted}, and here is {found}", short(.key, SHOWN))]
    Type { key: String, wanted: &'static str, found: &'static str },
    #[error("'{}': {}", short(.key, SHOWN), short(.why, 300))]
    Value { key: String, why: String },
    #[error(
        "'{}' has a '$': variables are not replaced here; write the value itself, and '$$' for a dollar sign",
        short(.key, SHOWN)
    )]
    Variable { key: String },
}

fn hint(near: Option<&str>, known: &[String]) -> String {
    match near {
        Some(near) => format!(": did you mean '{near}'?"),
        None => format!("; there are {}", first_of(known, NAMES)),
    }
}

/// A file that is of no use.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum UnusableFile {
    #[error("cannot read {}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has more than {most} KiB; nothing was changed", .path.display())]
    TooLong { path: PathBuf, most: usize },
    /// `FILE:LINE:COLUMN`, as compilers and editors have it.
    #[error("{}:{located}; nothing was changed", .path.display())]
    At { path: PathBuf, located: Located },
    /// The same of what a payload says of itself.
    #[error("{}:{located}; nothing was changed", .path.display())]
    InPayload { path: PathBuf, located: Located },
    #[error(
        "{} names no payload, and the call does not either: there is no image, script or dir; nothing was changed",
        .path.display()
    )]
    NoPayload { path: PathBuf },
}

impl UnusableFile {
    /// What to do next.
    pub const fn next(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } | Self::TooLong { .. } => None,
            Self::At { .. } => {
                Some("docs/cli.md describes the file; with docs/careen.schema.json an editor checks it")
            }
            Self::InPayload { .. } => Some(
                "docs/payload-contract.md describes a payload's file; with docs/payload.schema.json an editor checks it",
            ),
            Self::NoPayload { .. } => {
                Some("write 'image: NAME' into the file, or say --image, --script or --dir")
            }
        }
    }
}
