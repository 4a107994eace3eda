//! How many nodes may be in maintenance together, as an operator says it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How many nodes may be in maintenance together. Managers that may lose their engine go one at a time whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub enum Parallelism {
    /// So many; 0 is refused.
    Nodes(usize),
    /// So many of a hundred of the rollout's nodes.
    Percent(Percent),
}

/// A part of a hundred, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u8);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Parallelism {
    /// How many that are, of so many nodes: a part is rounded down, and one node may always go.
    pub fn of(self, nodes: usize) -> usize {
        let places = match self {
            Self::Nodes(places) => places,
            Self::Percent(Percent(percent)) => nodes.saturating_mul(usize::from(percent)) / 100,
        };
        places.max(1)
    }
}

/// Why a text is no parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidParallelism {
    /// It is 0.
    #[error("with 0 nodes at a time no node would ever begin; at least 1")]
    Zero,
    /// It is a part that cannot be.
    #[error("a part of the nodes is a whole number from 1% to 100%")]
    Percent,
    /// It is neither a number nor a part.
    #[error("a number of nodes such as 5, or a part of them such as 10%")]
    Text,
}

impl FromStr for Parallelism {
    type Err = InvalidParallelism;

    fn from_str(text: &str) -> Result<Self, InvalidParallelism> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(percent) = text.strip_suffix('%') {
            let within = || percent.parse().ok().filter(|percent| (1..=100).contains(percent));
            let percent = if is_number(percent) { within() } else { None };
            return percent.map(|percent| Self::Percent(Percent(percent))).ok_or(InvalidParallelism::Percent);
        }
        let nodes = if is_number(text) { text.parse().ok() } else { None };
        match nodes.ok_or(InvalidParallelism::Text)? {
            0 => Err(InvalidParallelism::Zero),
            nodes => Ok(Self::Nodes(nodes)),
        }
    }
}

impl From<usize> for Parallelism {
    fn from(nodes: usize) -> Self {
        Self::Nodes(nodes)
    }
}

/// As it is typed: `5`, `10%`.
impl fmt::Display for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => nodes.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// As it is stored: a number, as it always was, or a text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Nodes(usize),
    Text(String),
}

impl TryFrom<Stored> for Parallelism {
    type Error = InvalidParallelism;

    fn try_from(stored: Stored) -> Result<Self, InvalidParallelism> {
        match stored {
            Stored::Nodes(nodes) => Ok(Self::Nodes(nodes)),
            Stored::Text(text) => text.parse(),
        }
    }
}

impl From<Parallelism> for Stored {
    fn from(parallelism: Parallelism) -> Self {
        match parallelism {
            Parallelism::Nodes(nodes) => Self::Nodes(nodes),
            Parallelism::Percent(_) => Self::Text(parallelism.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parallelism(text: &str) -> Parallelism {
        text.parse().unwrap()
    }

    #[test]
    fn a_part_is_rounded_down_and_is_one_node_at_least() {
        for (text, nodes, places) in [
            ("5", 500, 5),
            ("5", 3, 5),
            ("10%", 500, 50),
            ("10%", 59, 5),
            ("10%", 9, 1),
            ("10%", 0, 1),
            ("1%", 500, 5),
            ("99%", 3, 2),
            ("100%", 7, 7),
        ] {
            assert_eq!(parallelism(text).of(nodes), places, "{text} of {nodes}");
        }
        assert_eq!(Parallelism::Nodes(0).of(5), 1, "a spec of before may say so");
    }

    #[test]
    fn a_part_is_never_more_than_the_whole_nor_less_than_the_next_smaller_one() {
        for nodes in 1..300 {
            let places: Vec<usize> =
                (1..=100).map(|percent| parallelism(&format!("{percent}%")).of(nodes)).collect();
            assert!(places.is_sorted() && places.iter().all(|places| (1..=nodes).contains(places)));
        }
    }

    #[test]
    fn what_is_no_parallelism_is_an_error_that_says_why() {
        use InvalidParallelism::{Percent, Text, Zero};
        for (text, why) in [
            ("0", Zero),
            ("00", Zero),
            ("", Text),
            ("-1", Text),
            ("+1", Text),
            ("ten", Text),
            ("1.5", Text),
            ("10 nodes", Text),
            ("99999999999999999999999", Text),
            ("0%", Percent),
            ("101%", Percent),
            ("300%", Percent),
            ("-1%", Percent),
            ("2.5%", Percent),
            ("%", Percent),
            ("ten%", Percent),
            ("10%%", Percent),
            ("10 %", Percent),
        ] {
            assert_eq!(text.parse::<Parallelism>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_number_is_stored_as_it_always_was_and_a_part_as_it_is_typed() {
        for (text, stored) in [("5", "5"), ("10%", "\"10%\""), ("100%", "\"100%\"")] {
            let given = parallelism(text);
            assert_eq!(serde_json::to_string(&given).unwrap(), stored);
            assert_eq!(serde_json::from_str::<Parallelism>(stored).unwrap(), given);
            assert_eq!(given.to_string(), text);
        }
        assert_eq!(serde_json::from_str::<Parallelism>("0").unwrap(), Parallelism::Nodes(0));
        for stored in ["\"0%\"", "\"ten\"", "-1", "null", "1.5"] {
            assert!(serde_json::from_str::<Parallelism>(stored).is_err(), "{stored}");
        }
    }
}
