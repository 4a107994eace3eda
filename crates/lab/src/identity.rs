//! Which node, and how it was found.

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::names::{Kind, LabName, NodeName, Role};

/// Which node: everything about it that never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub lab: LabName,
    /// Its name in the lab.
    pub name: NodeName,
    /// The role it was made with.
    pub role: Role,
    /// What it is made of.
    pub kind: Kind,
    /// Its address on the lab network.
    pub ip: Ipv4Addr,
    /// The Debian release it was made from.
    pub release: String,
}

#[cfg(test)]
impl Identity {
    /// Some node of this kind.
    pub(crate) fn example(kind: Kind) -> Self {
        Self {
            lab: "x".parse().unwrap(),
            name: "n2".parse().unwrap(),
            role: Role::Worker,
            kind,
            ip: "10.213.4.12".parse().unwrap(),
            release: "bookworm".to_owned(),
        }
    }
}

/// Whether a node has power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// Running, or about to come back by itself.
    On,
    /// Exists, and will not do anything until it is thawed.
    Frozen,
    /// Exists, and does not run.
    Off,
}

/// A node as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub identity: Identity,
    pub power: Power,
    /// Whether it is on the lab network.
    pub plugged: bool,
}
