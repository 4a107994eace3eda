//! What can go wrong in the lab. One type: the lab has one kind of caller, a test or a person at a terminal.

use std::path::PathBuf;
use std::time::Duration;

/// Every error says what happened and where; where a next step exists, it names it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Error {
    /// A program could not be started at all.
    #[error("failed to start `{command}`")]
    Spawn { command: String, source: std::io::Error },
    /// A program ran and reported failure.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        command: String,
        /// Its exit status in words.
        status: String,
        /// What it said on standard error, trimmed.
        stderr: String,
    },
    /// A file or directory could not be used.
    #[error("failed to {action} {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A program printed what this lab does not understand.
    #[error("failed to read {what}: {text:?}")]
    Unreadable {
        /// What was being read.
        what: &'static str,
        /// The text, cut to a line or two.
        text: String,
        source: serde_json::Error,
    },
    /// Something did not come true in time.
    #[error("{what}: not within {} s; last seen: {last}", limit.as_secs())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long it was waited for.
        limit: Duration,
        /// The last state that was seen.
        last: String,
    },
    /// No lab has this name.
    #[error("there is no lab named {name}; nothing was changed. `cargo lab up --name {name}` makes it")]
    NoSuchLab {
        /// The name asked for.
        name: String,
    },
    /// The lab has no such node.
    #[error("lab {lab} has no node {node}; its nodes are {nodes}. Nothing was changed")]
    NoSuchNode {
        lab: String,
        /// The node asked for.
        node: String,
        /// The nodes that exist.
        nodes: String,
    },
    /// The request makes no sense or would break something; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// A fault was injected but cannot be seen.
    #[error("{fault} on {node} did not take effect: {seen}")]
    NoEffect {
        fault: &'static str,
        node: String,
        /// What is seen instead.
        seen: String,
    },
}

/// A result whose error is the lab's, unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;
