//! The ways from a container into its host, and in which order they are tried.

use crate::value::{self, Value};
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::{Display, VariantArray};

/// One way of starting the supervisor outside of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Way {
    /// A transient unit, asked of the host's systemd over the system bus.
    Systemd,
    /// A helper container on the host's docker socket that enters the namespaces of the host's PID 1.
    Container,
    /// A process in the container itself, below /host. Dies with the container.
    Chroot,
}

impl Way {
    /// What this way cannot survive, to be said when it is used.
    pub fn weakness(self) -> Option<&'static str> {
        match self {
            Self::Systemd | Self::Container => None,
            Self::Chroot => Some(
                "the command lives inside this container: it ends when the container is stopped, when the engine \
                 restarts and when the node is drained, and it sees the container's processes and network only",
            ),
        }
    }
}

/// `CAREEN_HOST_ENTRY`: which ways may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum HostEntry {
    /// All of them, the one that survives most first.
    #[default]
    Auto,
    Only(Way),
}

impl HostEntry {
    /// The ways to try, in order.
    pub fn order(self) -> &'static [Way] {
        match self {
            Self::Auto => &[Way::Systemd, Way::Container, Way::Chroot],
            Self::Only(Way::Systemd) => &[Way::Systemd],
            Self::Only(Way::Container) => &[Way::Container],
            Self::Only(Way::Chroot) => &[Way::Chroot],
        }
    }

    /// Reads the setting's value; an error says what it may be.
    pub fn parse(text: &str) -> Value<Self> {
        value::one_of([Self::Auto].into_iter().chain(Way::VARIANTS.iter().copied().map(Self::Only)), text)
    }
}

impl fmt::Display for HostEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Only(way) => way.fmt(f),
        }
    }
}

/// Why a way was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The way that was tried.
    pub way: Way,
    /// What stood in it, in words.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.way, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_tries_the_way_that_survives_most_first() {
        assert_eq!(HostEntry::Auto.order(), [Way::Systemd, Way::Container, Way::Chroot]);
    }

    #[test]
    fn a_forced_way_is_the_only_one_tried_and_every_way_can_be_forced() {
        for way in HostEntry::Auto.order() {
            assert_eq!(HostEntry::parse(&way.to_string()).unwrap().order(), [*way]);
        }
        assert_eq!(HostEntry::parse("ssh"), Err("auto, systemd, container or chroot".into()));
    }
}
