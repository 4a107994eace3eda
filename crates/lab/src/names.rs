//! The lab's nouns: what a lab and its nodes are called, and what is wanted of a lab.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::error::Error;
use strum::{Display, IntoStaticStr, VariantArray};

/// Carried by every container, network and volume of a lab; the value is the lab's name.
pub const LABEL: &str = "careen.lab";
/// A node's name in its lab.
pub const LABEL_NODE: &str = "careen.lab.node";
/// A node's role when it was made.
pub const LABEL_ROLE: &str = "careen.lab.role";
/// A node's address on the lab network.
pub const LABEL_IP: &str = "careen.lab.ip";
/// The Debian release a node was made from.
pub const LABEL_RELEASE: &str = "careen.lab.release";
/// What a node is made of, in the order in which a new lab numbers its nodes.
pub const LABEL_KIND: &str = "careen.lab.kind";

/// The highest node number: addresses are `.10 + number` in a /24.
pub const MAX_NODE: u8 = 200;

/// A lab's name: lower-case letters, digits and dashes, it becomes part of docker names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabName(String);

impl FromStr for LabName {
    type Err = Error;

    fn from_str(text: &str) -> Result<LabName, Error> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=30).contains(&text.len()) && !text.starts_with('-') && text.chars().all(fits) {
            return Ok(LabName(text.to_owned()));
        }
        Err(Error::Refused(format!(
            "{text:?} is no name for a lab: use 1 to 30 lower-case letters, digits and dashes"
        )))
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl LabName {
    /// The name of the lab's docker network.
    pub fn network(&self) -> String {
        format!("careen-{self}")
    }
}

/// A node's number; it shows as `n1`, `n2`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeName(pub u8);

impl fmt::Display for NodeName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "n{}", self.0)
    }
}

impl FromStr for NodeName {
    type Err = Error;

    fn from_str(text: &str) -> Result<NodeName, Error> {
        let number = text.strip_prefix('n').and_then(|digits| digits.parse().ok());
        match number {
            Some(number) if (1..=MAX_NODE).contains(&number) => Ok(NodeName(number)),
            Some(_) | None => Err(Error::Refused(format!("{text:?} is no node name: nodes are n1, n2, …"))),
        }
    }
}

/// A node's role in the swarm when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Takes part in raft.
    Manager,
    /// Runs tasks, and takes no part in raft.
    Worker,
}

/// What a node is made of, in the order in which a new lab numbers its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// A container with systemd as PID 1, on the machine's kernel.
    Container,
    /// A container with sysvinit as PID 1: a host without systemd.
    Sysvinit,
    /// A virtual machine with its own kernel, booted for real.
    Vm,
}

impl Kind {
    /// The kind's name in labels, in the status and in messages.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The kind of this name, if there is one.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::VARIANTS.iter().copied().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A /24 of the lab range, `10.213.N.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(pub u8);

impl Subnet {
    /// The address of a node in this subnet.
    pub fn address(self, node: NodeName) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.0, 10 + node.0)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "10.213.{}.0/24", self.0)
    }
}

/// What is wanted of a lab. Whatever is `None` stays as the lab is, or takes the default in a new lab.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Spec {
    pub name: LabName,
    /// How many managers; 3 in a new lab.
    pub managers: Option<u8>,
    /// How many workers that are containers; 2 in a new lab.
    pub workers: Option<u8>,
    /// How many workers without systemd; none in a new lab.
    pub sysvinit: Option<u8>,
    /// How many workers that are virtual machines; none in a new lab.
    pub vms: Option<u8>,
    /// The Debian release of the nodes; bookworm in a new lab.
    pub release: Option<String>,
    /// How long a rebooting node stays down; no longer than it takes in a new lab.
    pub reboot_delay: Option<Duration>,
}

impl Spec {
    /// A lab of this name with everything at its default.
    pub fn new(name: LabName) -> Spec {
        Spec {
            name,
            managers: None,
            workers: None,
            sysvinit: None,
            vms: None,
            release: None,
            reboot_delay: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lab_names_fit_into_docker_names() {
        for good in ["default", "a", "lab-2"] {
            assert!(good.parse::<LabName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", "a_b", &"x".repeat(31)] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn node_names_are_n_and_a_number() {
        assert_eq!("n12".parse::<NodeName>().unwrap(), NodeName(12));
        for bad in ["", "n", "n0", "12", "m1", "n201", "n999", "n1x"] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_are_found_by_their_names() {
        for kind in Kind::VARIANTS.iter().copied() {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("toaster"), None);
    }

    #[test]
    fn addresses_follow_the_node_number() {
        assert_eq!(Subnet(7).address(NodeName(1)), Ipv4Addr::new(10, 213, 7, 11));
        assert_eq!(Subnet(7).to_string(), "10.213.7.0/24");
    }
}
