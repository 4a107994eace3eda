//! Which machine a state directory belongs to.
//!
//! What a host knows of its transactions lies on its disk, and disks are cloned: golden images, snapshots, backups that are
//! played back elsewhere. On a copy nothing may go on that the original began, and nothing counts as done that only the
//! original did. `/etc/machine-id` is copied along; what the machine is made of is not.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The version of [`Machine`]'s schema.
pub const SCHEMA: u32 = 1;

/// Whose a state directory is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Machine {
    pub schema: u32,
    /// careen's own identity of the machine: drawn at random, and never seen elsewhere but on a copy.
    pub id: String,
    /// The host's name when it was written, for people.
    pub hostname: String,
    /// What the machine was made of then.
    pub hardware: Hardware,
}

/// What tells one machine from another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// The system's UUID (SMBIOS), in lower case; `None` where there is none that tells anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_uuid: Option<String>,
    /// The permanent MAC addresses of its network devices, in lower case.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub macs: BTreeSet<String>,
}

/// UUIDs that vendors left as they were: many machines have them.
const BOGUS: [&str; 4] = [
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "fefefefe-fefe-fefe-fefe-fefefefefefe",
    "00020003-0004-0005-0006-000700080009",
];

impl Hardware {
    /// From what the kernel tells; what says nothing is left out.
    pub fn new(system_uuid: Option<&str>, macs: impl IntoIterator<Item = String>) -> Self {
        let uuid = system_uuid.map(|text| text.trim().to_ascii_lowercase());
        let macs = macs.into_iter().map(|mac| mac.trim().to_ascii_lowercase());
        Self {
            system_uuid: uuid.filter(|uuid| tells_something(uuid)),
            macs: macs.filter(|mac| is_a_mac(mac)).collect(),
        }
    }

    /// What is known of a machine from now on: a device that was added or replaced counts, and what cannot be seen now does
    /// not make what was known untrue.
    fn or_else(&self, known: &Self) -> Self {
        Self {
            system_uuid: self.system_uuid.clone().or_else(|| known.system_uuid.clone()),
            macs: if self.macs.is_empty() { known.macs.clone() } else { self.macs.clone() },
        }
    }
}

fn tells_something(uuid: &str) -> bool {
    let digits: BTreeSet<char> = uuid.chars().filter(|c| *c != '-').collect();
    uuid.len() == 36 && digits.len() > 1 && !BOGUS.contains(&uuid)
}

fn is_a_mac(mac: &str) -> bool {
    let bytes: Vec<Option<u8>> = mac
        .split(':')
        .map(|byte| if byte.len() == 2 { u8::from_str_radix(byte, 16).ok() } else { None })
        .collect();
    let same = |value: u8| bytes.iter().all(|byte| *byte == Some(value));
    bytes.len() == 6 && bytes.iter().all(Option::is_some) && !same(0) && !same(0xff)
}

/// In what a machine differs from the one that a state directory belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Difference {
    SystemUuid {
        /// Recorded.
        was: String,
        /// Here.
        is: String,
    },
    /// None of the MAC addresses is the same.
    Macs {
        /// Recorded.
        were: BTreeSet<String>,
        /// Here.
        are: BTreeSet<String>,
    },
}

/// Whether a machine is the one that a state directory belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is. What has to be recorded, when it is made of something else by now.
    Same(Option<Hardware>),
    /// It is another one: the directory is a copy, or so much of the machine was replaced that it looks like one.
    Another(Vec<Difference>),
}

impl Machine {
    /// Compares with what the machine is made of. What is known on both sides must agree: the UUID be the same, and one MAC
    /// address at least.
    pub fn judge(&self, here: &Hardware) -> Verdict {
        let uuids = self.hardware.system_uuid.as_ref().zip(here.system_uuid.as_ref());
        let other = uuids.filter(|(was, is)| was != is);
        let uuid = other.map(|(was, is)| Difference::SystemUuid { was: was.clone(), is: is.clone() });
        let (were, are) = (&self.hardware.macs, &here.macs);
        let apart = !were.is_empty() && !are.is_empty() && were.is_disjoint(are);
        let macs = apart.then(|| Difference::Macs { were: were.clone(), are: are.clone() });
        let differences: Vec<Difference> = uuid.into_iter().chain(macs).collect();
        if !differences.is_empty() {
            return Verdict::Another(differences);
        }
        let known = here.or_else(&self.hardware);
        Verdict::Same(Some(known).filter(|known| *known != self.hardware))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine {} (host {})", self.id, self.hostname)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |macs: &BTreeSet<String>| macs.iter().cloned().collect::<Vec<_>>().join(", ");
        match self {
            Self::SystemUuid { was, is } => write!(f, "the system's UUID was {was} and is {is}"),
            Self::Macs { were, are } => {
                write!(f, "the MAC addresses were {} and are {}", list(were), list(are))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "4c4c4544-0042-3510-8051-b4c04f4d3332";
    const OTHER: &str = "4c4c4544-0042-3510-8051-b4c04f4d3333";

    fn hardware(uuid: &str, macs: &[&str]) -> Hardware {
        Hardware::new(Some(uuid), macs.iter().map(|mac| (*mac).to_owned()))
    }

    fn machine(hardware: Hardware) -> Machine {
        Machine { schema: SCHEMA, id: "m1".into(), hostname: "web-1".into(), hardware }
    }

    #[test]
    fn a_machine_stays_itself_while_parts_of_it_are_replaced() {
        let known = machine(hardware(UUID, &["3c:ec:ef:00:00:01", "3c:ec:ef:00:00:02"]));
        assert_eq!(known.judge(&known.hardware), Verdict::Same(None));
        let replaced = hardware(UUID, &["3c:ec:ef:00:00:02", "3c:ec:ef:00:00:03"]);
        assert_eq!(known.judge(&replaced), Verdict::Same(Some(replaced.clone())), "one is still there");
        let unseen = Hardware::default();
        assert_eq!(known.judge(&unseen), Verdict::Same(None), "what cannot be seen now tells nothing");
        let first = machine(Hardware::default());
        assert_eq!(first.judge(&replaced), Verdict::Same(Some(replaced.clone())), "it is learned later");
    }

    #[test]
    fn what_is_known_on_both_sides_must_agree() {
        let known = machine(hardware(UUID, &["3c:ec:ef:00:00:01"]));
        for (here, count) in [
            (hardware(OTHER, &["3c:ec:ef:00:00:01"]), 1),
            (hardware(UUID, &["3c:ec:ef:00:00:09"]), 1),
            (hardware(OTHER, &["3c:ec:ef:00:00:09"]), 2),
            (hardware(OTHER, &[]), 1),
            (hardware("", &["3c:ec:ef:00:00:09"]), 1),
        ] {
            let Verdict::Another(differences) = known.judge(&here) else { panic!("{here:?} is the same") };
            assert_eq!(differences.len(), count, "{here:?}");
        }
    }

    #[test]
    fn what_many_machines_have_tells_nothing() {
        for bogus in ["00000000-0000-0000-0000-000000000000", BOGUS[0], "Not Settable", ""] {
            assert_eq!(hardware(bogus, &[]).system_uuid, None, "{bogus}");
        }
        let macs = ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "", "00:11", "80:00:00:48:fe:80:00:00"];
        assert_eq!(hardware(UUID, &macs).macs, BTreeSet::new());
        assert_eq!(
            hardware(&format!("{}\n", UUID.to_uppercase()), &["3C:EC:EF:00:00:0A\n"]),
            hardware(UUID, &["3c:ec:ef:00:00:0a"])
        );
    }
}
