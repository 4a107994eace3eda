//! Swarm's placement constraints: `KEY==VALUE` and `KEY!=VALUE`. Used to select nodes, and to say where a task may go.
//!
//! Keys and comparison are those of swarmkit's `manager/constraint`: keys (but not the names of labels) and values are
//! compared without regard to case, an absent label is the empty text, `node.ip` takes an address or a subnet.

use crate::objects::{Node, Role};
use std::net::IpAddr;

/// The constraint that no node fits: it is what a service is stopped with.
pub const NOWHERE: &str = "node.id==none";

/// A placement constraint: a key, and the value that a node must have there, or must not have.
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
    Ip,
    Role,
    Os,
    Arch,
    Label(String),
    EngineLabel(String),
}

/// Why a text is no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{given}' is no placement constraint: KEY==VALUE or KEY!=VALUE with node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.NAME or engine.labels.NAME"
)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct InvalidConstraint {
    pub given: String,
}

impl Constraint {
    /// Reads `KEY==VALUE` or `KEY!=VALUE`; spaces around key and value are dropped.
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
        if self.key == Key::Ip {
            return is_at(&node.offers.address, &self.value).is_some_and(|there| there == self.equal);
        }
        self.key.of(node).eq_ignore_ascii_case(&self.value) == self.equal
    }
}

/// Whether an address is this one, or in this subnet; `None` when the latter is neither, which fits no node. A node whose
/// address is not known is in none.
fn is_at(address: &str, place: &str) -> Option<bool> {
    let canonical = |text: &str| text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    let address = canonical(address);
    let Some((network, bits)) = place.split_once('/') else {
        return canonical(place).map(|place| address == Some(place));
    };
    let (network, bits) = (canonical(network)?, bits.parse::<u32>().ok()?);
    let same_start =
        |one: u128, other: u128, width: u32| bits == 0 || one >> (width - bits) == other >> (width - bits);
    match (address, network) {
        (Some(IpAddr::V4(address)), IpAddr::V4(network)) if bits <= 32 => {
            Some(same_start(address.to_bits().into(), network.to_bits().into(), 32))
        }
        (Some(IpAddr::V6(address)), IpAddr::V6(network)) if bits <= 128 => {
            Some(same_start(address.to_bits(), network.to_bits(), 128))
        }
        (_, network) => (bits <= if network.is_ipv4() { 32 } else { 128 }).then_some(false),
    }
}

/// Whether a node fits all constraints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum Fit<'a> {
    Yes,
    No,
    /// This one cannot be read: Swarm has accepted it, so it is of a kind that came after this program.
    Unknown(&'a str),
}

/// A service's constraints, read once.
#[derive(Debug)]
pub struct Constraints<'a> {
    readable: Vec<Constraint>,
    /// The last one that cannot be read.
    unknown: Option<&'a str>,
}

impl<'a> Constraints<'a> {
    /// Reads them, as far as they can be read.
    pub fn of(texts: &'a [String]) -> Self {
        let (mut readable, mut unknown) = (Vec::new(), None);
        for text in texts {
            match Constraint::parse(text) {
                Ok(constraint) => readable.push(constraint),
                Err(InvalidConstraint { .. }) => unknown = Some(text.as_str()),
            }
        }
        Self { readable, unknown }
    }

    /// Whether a node fits all of them.
    pub fn fit(&self, node: &Node) -> Fit<'a> {
        if !self.readable.iter().all(|constraint| constraint.fits(node)) {
            return Fit::No;
        }
        self.unknown.map_or(Fit::Yes, Fit::Unknown)
    }

    /// One that cannot be read.
    pub fn unknown(&self) -> Option<&'a str> {
        self.unknown
    }
}

/// A key's value on a node (`node.labels.zone`); `None` when there is no such key.
pub fn value_of<'a>(key: &str, node: &'a Node) -> Option<&'a str> {
    Key::parse(key).map(|key| key.of(node))
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        // The prefix is compared without regard to case, the label's name is not.
        let after = |prefix: &str| {
            let (start, name) = text.split_at_checked(prefix.len())?;
            (start.eq_ignore_ascii_case(prefix) && !name.is_empty()).then(|| name.to_owned())
        };
        let label = || after("node.labels.").map(Self::Label);
        match text.to_ascii_lowercase().as_str() {
            "node.id" => Some(Self::Id),
            "node.hostname" => Some(Self::Hostname),
            "node.ip" => Some(Self::Ip),
            "node.role" => Some(Self::Role),
            "node.platform.os" => Some(Self::Os),
            "node.platform.arch" => Some(Self::Arch),
            _ => label().or_else(|| after("engine.labels.").map(Self::EngineLabel)),
        }
    }

    fn of<'a>(&self, node: &'a Node) -> &'a str {
        match self {
            Self::Id => &node.id.0,
            Self::Hostname => &node.hostname,
            Self::Ip => &node.offers.address,
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
        node.offers.address = "10.0.7.3".into();
        let table = [
            ("node.hostname==w1", true),
            ("node.hostname != w1", false),
            ("node.role==worker", true),
            ("node.role==manager", false),
            ("node.labels.zone==north", true),
            ("node.labels.zone!=north", false),
            ("node.labels.none!=north", true),
            ("node.platform.os==linux", true),
            ("Node.Role==Worker", true),
            ("node.labels.Zone==north", false),
            ("NODE.LABELS.zone==north", true),
            ("node.ip==10.0.7.3", true),
            ("node.ip!=10.0.7.3", false),
            ("node.ip==10.0.0.0/16", true),
            ("node.ip==10.0.7.0/31", false),
            ("node.ip!=192.168.0.0/16", true),
            ("node.ip==0.0.0.0/0", true),
            ("node.ip==2001:db8::/32", false),
            ("node.ip!=10.0.0.0/33", false),
            ("node.ip!=somewhere", false),
        ];
        for (text, fits) in table {
            assert_eq!(Constraint::parse(text).unwrap().fits(&node), fits, "{text}");
        }
        for bad in ["", "zone", "node.zone==a", "node.labels.==a", "node.id=a"] {
            assert!(Constraint::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(value_of("node.labels.zone", &node), Some("North"));
    }

    #[test]
    fn subnets_of_version_6_and_addresses_that_are_written_in_two_ways() {
        assert_eq!(is_at("2001:db8:1::7", "2001:db8::/32"), Some(true));
        assert_eq!(is_at("2001:db9::7", "2001:db8::/32"), Some(false));
        assert_eq!(is_at("::ffff:10.0.7.3", "10.0.7.3"), Some(true));
        assert_eq!(is_at("", "10.0.7.3"), Some(false), "a node that never said its address");
        assert_eq!(is_at("10.0.7.3", "10.0.7.3/x"), None);
    }

    #[test]
    fn a_constraint_of_a_later_swarm_promises_nothing_and_excludes_nothing() {
        let node = worker("w1");
        let later = "node.gpu==yes".to_owned();
        let alone = std::slice::from_ref(&later);
        assert_eq!(Constraints::of(alone).fit(&node), Fit::Unknown(&later));
        assert_eq!(Constraints::of(&[later.clone(), "node.role==manager".into()]).fit(&node), Fit::No);
        assert_eq!(Constraints::of(&["node.role==worker".into()]).fit(&node), Fit::Yes);
    }
}
