//! Swarm's placement constraints: `KEY==VALUE` and `KEY!=VALUE`. Used to select nodes, and to say where a task may go.
//!
//! Keys and comparison are those of swarmkit's constraint filter: values are compared without regard to case, an
//! absent label is the empty text.

use crate::observed::{Node, Role};

/// One constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    key: Key,
    equal: bool,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Id,
    Hostname,
    Role,
    Os,
    Arch,
    Label(String),
    EngineLabel(String),
}

/// Why a text is no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{given}' is no placement constraint: KEY==VALUE or KEY!=VALUE with node.id, node.hostname, node.role, node.platform.os, node.platform.arch, node.labels.NAME or engine.labels.NAME"
)]
pub struct InvalidConstraint {
    /// What was given.
    pub given: String,
}

impl Constraint {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, InvalidConstraint> {
        let invalid = || InvalidConstraint { given: text.to_owned() };
        let (key, equal, value) = match (text.split_once("=="), text.split_once("!=")) {
            (Some((key, value)), _) => (key, true, value),
            (None, Some((key, value))) => (key, false, value),
            (None, None) => return Err(invalid()),
        };
        let key = Key::parse(key.trim()).ok_or_else(invalid)?;
        Ok(Self { key, equal, value: value.trim().to_owned() })
    }

    /// Whether a node fits.
    pub fn fits(&self, node: &Node) -> bool {
        self.key.of(node).eq_ignore_ascii_case(&self.value) == self.equal
    }
}

/// Whether a node fits all constraints. One that cannot be read excludes nothing and promises nothing: Swarm has
/// accepted it, so it is of a kind that came after this program, and the task is taken for movable.
pub fn fits_all(constraints: &[String], node: &Node) -> bool {
    constraints.iter().filter_map(|text| Constraint::parse(text).ok()).all(|constraint| constraint.fits(node))
}

/// A key's value on a node (`node.labels.zone`); `None` when there is no such key.
pub fn value_of<'a>(key: &str, node: &'a Node) -> Option<&'a str> {
    Key::parse(key).map(|key| key.of(node))
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "node.id" => Some(Self::Id),
            "node.hostname" => Some(Self::Hostname),
            "node.role" => Some(Self::Role),
            "node.platform.os" => Some(Self::Os),
            "node.platform.arch" => Some(Self::Arch),
            _ => {
                let name = |prefix| text.strip_prefix(prefix).filter(|name: &&str| !name.is_empty());
                name("node.labels.")
                    .map(|name| Self::Label(name.to_owned()))
                    .or_else(|| name("engine.labels.").map(|name| Self::EngineLabel(name.to_owned())))
            }
        }
    }

    fn of<'a>(&self, node: &'a Node) -> &'a str {
        match self {
            Self::Id => &node.id.0,
            Self::Hostname => &node.hostname,
            Self::Role => match node.role {
                Role::Worker => "worker",
                Role::Manager => "manager",
            },
            Self::Os => &node.os,
            Self::Arch => &node.arch,
            Self::Label(name) => node.labels.get(name).map_or("", String::as_str),
            Self::EngineLabel(name) => node.engine_labels.get(name).map_or("", String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::worker;

    #[test]
    fn constraints_are_read_and_fit_as_swarm_reads_them() {
        let mut node = worker("w1");
        node.labels.insert("zone".into(), "North".into());
        let table = [
            ("node.hostname==w1", true),
            ("node.hostname != w1", false),
            ("node.role==worker", true),
            ("node.role==manager", false),
            ("node.labels.zone==north", true),
            ("node.labels.zone!=north", false),
            ("node.labels.none!=north", true),
            ("node.platform.os==linux", true),
        ];
        for (text, fits) in table {
            assert_eq!(Constraint::parse(text).unwrap().fits(&node), fits, "{text}");
        }
        for bad in ["", "zone", "node.zone==a", "node.labels.==a", "node.id=a"] {
            assert!(Constraint::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(value_of("node.labels.zone", &node), Some("North"));
    }
}
