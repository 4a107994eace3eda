//! What an inquiry comes to a host for: to run a payload's command there, to uninstall careen, or to hear what the host is. The words with which such an agent
//! is started, both ways, and what a host says of what careen has there.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How an agent is told that it is asked for something else than a payload's command.
pub const ASKED: &str = "asked";

const FACTS: &str = "facts";
const UNINSTALL: &str = "uninstall";
const DRY_RUN: &str = "--dry-run";

/// So many things that could not be removed travel, and so much of each, in characters.
const MOST_LEFT: usize = 8;
const LONGEST_LEFT: usize = 150;

/// What hosts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Errand {
    /// To run the payload's command.
    #[default]
    Command,
    /// To remove what careen has there.
    Uninstall {
        /// Only to say what that is.
        dry_run: bool,
    },
    /// To say what the host is ([`crate::facts::HostFacts`]). Changes nothing there.
    Facts,
}

impl Errand {
    /// The agent's words behind [`ASKED`]; none where the payload's command is run.
    pub fn words(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Command => None,
            Self::Facts => Some(vec![FACTS]),
            Self::Uninstall { dry_run: false } => Some(vec![UNINSTALL]),
            Self::Uninstall { dry_run: true } => Some(vec![UNINSTALL, DRY_RUN]),
        }
    }

    /// What these words ask for; `None` when they are not understood.
    pub fn of_words(words: &[&str]) -> Option<Self> {
        match words {
            [FACTS] => Some(Self::Facts),
            [UNINSTALL] => Some(Self::Uninstall { dry_run: false }),
            [UNINSTALL, DRY_RUN] => Some(Self::Uninstall { dry_run: true }),
            _ => None,
        }
    }
}

/// What careen has on a host, or had until it was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Belongings {
    /// Files and directories.
    pub paths: Vec<String>,
    /// Volumes of the host's engine, which mark what a rollout had begun.
    pub volumes: Vec<String>,
    /// Containers of the host's engine that agents, gates and controllers of earlier rollouts have left.
    pub containers: Vec<String>,
    /// How many transactions the host remembers.
    pub transactions: u64,
    /// How many bytes all of it takes.
    pub bytes: u64,
    /// What could not be removed, and why.
    pub left: Vec<String>,
}

impl Belongings {
    /// What an answer's result says; nothing where it is about something else.
    pub fn of(result: &Value) -> Option<Self> {
        result.is_object().then(|| serde_json::from_value(result.clone()).ok())?
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.volumes.is_empty() && self.containers.is_empty()
    }

    /// As much of it as travels.
    #[must_use]
    pub fn fitted(mut self) -> Self {
        self.volumes.truncate(MOST_LEFT);
        self.containers.truncate(MOST_LEFT);
        self.left.truncate(MOST_LEFT);
        self.left.iter_mut().for_each(|left| *left = left.chars().take(LONGEST_LEFT).collect());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::LONGEST_RESULT;
    use serde_json::json;

    #[test]
    fn what_is_asked_for_is_read_as_it_is_written() {
        for errand in
            [Errand::Facts, Errand::Uninstall { dry_run: false }, Errand::Uninstall { dry_run: true }]
        {
            assert_eq!(Errand::of_words(&errand.words().unwrap()), Some(errand));
        }
        assert_eq!(Errand::Command.words(), None);
        for other in [
            &[][..],
            &["uninstall", "now"],
            &["facts", "now"],
            &["--dry-run"],
            &["uninstall", "--dry-run", "x"],
        ] {
            assert_eq!(Errand::of_words(other), None, "{other:?}");
        }
    }

    #[test]
    fn belongings_are_read_as_they_are_written_and_travel_whatever_there_is() {
        let one = Belongings { paths: vec!["/var/lib/careen".into()], bytes: 7, ..Belongings::default() };
        assert_eq!(Belongings::of(&serde_json::to_value(&one).unwrap()), Some(one.clone()));
        assert!(!one.is_empty() && Belongings::default().is_empty());
        assert_eq!(Belongings::of(&json!({ "paths": [], "later": 1 })), Some(Belongings::default()));
        assert_eq!(Belongings::of(&json!("nothing")), None);
        let left = vec!["\u{1}".repeat(999); 99];
        let much = Belongings {
            volumes: vec!["careen-mark-x".repeat(20); 999],
            containers: vec!["c".repeat(64); 999],
            left,
            ..one
        }
        .fitted();
        assert!(serde_json::to_vec(&much).unwrap().len() < LONGEST_RESULT);
    }
}
