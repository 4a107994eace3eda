//! What is to be typed next.

use careen_planner::names::is_plain;
use serde::{Serialize, Serializer};
use std::fmt;

/// A command to type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub enum Step {
    /// One of careen's own.
    Careen {
        verb: Verb,
        /// About which node; none for the rollout.
        node: Option<String>,
        /// Whether the controller is to run in this process.
        local: bool,
    },
    /// Another program's command, as it is typed.
    Other(String),
}

/// careen's commands that are ever to be typed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Let a paused rollout go on.
    Resume,
    /// End the rollout before its time.
    Abort,
    /// Try a node again.
    Retry,
    /// Leave a node out.
    Skip,
    /// Give a node back.
    Restore,
    /// Read what it printed.
    Logs,
    /// Read what it prints.
    Follow,
    /// Ask why it waits.
    Why,
}

impl Verb {
    /// For the whole rollout.
    pub const fn step(self) -> Step {
        Step::Careen { verb: self, node: None, local: false }
    }

    /// The command about this one node.
    pub fn node(self, name: &str) -> Step {
        Step::Careen { verb: self, node: Some(name.to_owned()), local: false }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Restore => "restore",
            Self::Logs => "logs",
            Self::Follow => "logs -f",
            Self::Why => "why",
        }
    }

    /// Whether a controller has to see to it.
    const fn steers(self) -> bool {
        match self {
            Self::Resume | Self::Abort | Self::Retry | Self::Skip => true,
            Self::Restore | Self::Logs | Self::Follow | Self::Why => false,
        }
    }
}

impl Step {
    /// Whether careen itself is to be typed.
    pub const fn is_careen(&self) -> bool {
        matches!(self, Self::Careen { .. })
    }

    /// The same for somebody whose controller ran in his own process.
    pub fn locally(self) -> Self {
        match self {
            Self::Careen { verb, node, .. } => Self::Careen { verb, node, local: verb.steers() },
            Self::Other(text) => Self::Other(text),
        }
    }
}

impl From<&str> for Step {
    fn from(text: &str) -> Self {
        Self::Other(text.to_owned())
    }
}

impl From<String> for Step {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => f.write_str(text),
            Self::Careen { verb, node, local } => {
                write!(f, "careen {}", verb.words())?;
                node.iter().try_for_each(|node| write!(f, " {node}"))?;
                f.write_str(if *local { " --local" } else { "" })
            }
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What brings an image to a host: out of its registry, or from here where no registry has it.
pub fn bring(image: &str, host: &str) -> Step {
    match image.contains('@') {
        true => on_host(host, &format!("docker pull {image}")),
        false => format!("docker save {image} | {}", on_host(host, "docker load")).into(),
    }
}

/// The id of a transaction as its host says it. What is more than an id to a shell is left to who types it.
pub fn id_of_host(transaction: &str) -> &str {
    if is_plain(transaction) { transaction } else { "ID" }
}

/// What is to be typed on a host. A name that is more than one to a shell is left to who types it.
pub fn on_host(host: &str, command: &str) -> Step {
    let host = if is_plain(host) { host } else { "HOST" };
    format!("ssh {host} {command}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_steers_a_rollout_is_typed_with_local() {
        let local = |step: Step| step.locally().to_string();
        assert_eq!(local(Verb::Retry.node("w1")), "careen retry w1 --local");
        assert_eq!(local(Verb::Resume.step()), "careen resume --local");
        assert_eq!(local(Verb::Follow.node("w1")), "careen logs -f w1");
        assert_eq!(local(Verb::Restore.node("w1")), "careen restore w1");
        assert_eq!(local("docker node inspect --pretty w1".into()), "docker node inspect --pretty w1");
    }
}
