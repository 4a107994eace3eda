//! Whether this host's state directory is this machine's own, or came with a copy of another one's disk.
//!
//! The comparison is [`careen_host::machine`]; here is what it compares, and what follows on a host. Everything here is the
//! host's own: the kernel tells a container's `/sys` of the host that mounted it, and PID 1's routes are the host's.

use crate::facts::names_in;
use crate::{durable, files, layout};
use anyhow::Context;
use careen_host::machine::{Difference, Hardware, Machine, SCHEMA, Verdict};
use std::io::Read;
use std::path::{Path, PathBuf};

const DEVICES: &str = "/sys/class/net";
const SYSTEM_UUID: &str = "/sys/class/dmi/id/product_uuid";
const ROUTES: &str = "/proc/1/net/route";

/// What the kernel writes for an address that it made up at boot (`NET_ADDR_RANDOM`).
const RANDOM: &str = "1";

/// Whose the state directory is, by the record of a machine in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// The state directory is this machine's own.
    Own,
    /// It came from this machine, and here is another one.
    Copied {
        /// The machine that made it.
        from: Machine,
        differences: Vec<Difference>,
    },
}

/// What this machine is made of, as far as the kernel tells.
pub fn hardware() -> Hardware {
    let uuid = files::read_to_string(SYSTEM_UUID).ok();
    let devices = names_in(DEVICES);
    let mut macs: Vec<String> =
        devices.iter().filter(|name| has_hardware(name)).filter_map(|name| mac(name)).collect();
    if macs.is_empty() {
        // A host that is a container itself: what its way out of the house has, was given to it alone.
        let route =
            files::read_to_string(ROUTES).ok().and_then(|routes| default_device(&routes).map(str::to_owned));
        macs.extend(route.and_then(|name| mac(&name)));
    }
    Hardware::new(uuid.as_deref(), macs)
}

fn of_device(name: &str, what: &str) -> PathBuf {
    Path::new(DEVICES).join(name).join(what)
}

/// Bridges, tunnels and containers' ends come and go; a device is there.
fn has_hardware(name: &str) -> bool {
    files::symlink_metadata(of_device(name, "device")).is_ok()
}

/// A device's permanent address; one below a bond shows the bond's.
fn mac(name: &str) -> Option<String> {
    let read = |what: &str| files::read_to_string(of_device(name, what)).ok();
    if read("addr_assign_type").is_some_and(|kind| kind.trim() == RANDOM) {
        return None;
    }
    read("bonding_slave/perm_hwaddr").or_else(|| read("address"))
}

/// The device of the default route in the kernel's table.
fn default_device(routes: &str) -> Option<&str> {
    routes.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let device = words.next()?;
        (words.next()? == "00000000").then_some(device)
    })
}

/// The record of this host's machine; `None` where there is none yet.
pub fn read(root: &Path) -> anyhow::Result<Option<Machine>> {
    let path = layout::machine(root);
    let read = files::read_if_there(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let Some(text) = read else { return Ok(None) };
    let machine: Machine = serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} says nothing that this version understands, so nobody knows whether {} is this machine's own: see \
             'careen-agent machine'",
            path.display(),
            root.display()
        )
    })?;
    Ok(Some(machine))
}

pub fn write(root: &Path, machine: &Machine) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(machine)?;
    let path = layout::machine(root);
    durable::replace(&path, 0o600, &text).with_context(|| format!("failed to write {}", path.display()))
}

/// Looks, and changes nothing.
pub fn look(root: &Path) -> anyhow::Result<Ownership> {
    Ok(read(root)?.map_or(Ownership::Own, |machine| ownership(machine, &hardware()).0))
}

fn ownership(machine: Machine, here: &Hardware) -> (Ownership, Option<Hardware>) {
    match machine.judge(here) {
        Verdict::Same(learned) => (Ownership::Own, learned),
        Verdict::Another(differences) => (Ownership::Copied { from: machine, differences }, None),
    }
}

/// Looks, and records what is new; a host that careen has never seen gets an identity. The caller holds `create.lock`.
pub fn look_and_record(root: &Path) -> anyhow::Result<Ownership> {
    record(root, hardware())
}

fn record(root: &Path, here: Hardware) -> anyhow::Result<Ownership> {
    let Some(machine) = read(root)? else {
        write(root, &drawn(here)?)?;
        return Ok(Ownership::Own);
    };
    let (ownership, learned) = ownership(machine.clone(), &here);
    if let Some(hardware) = learned {
        write(root, &Machine { hardware, ..machine })?;
    }
    Ok(ownership)
}

pub fn drawn(hardware: Hardware) -> anyhow::Result<Machine> {
    let mut bytes = [0; 16];
    files::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("failed to draw an identity for this machine from /dev/urandom")?;
    let id = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let hostname = files::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned();
    Ok(Machine { schema: SCHEMA, id, hostname, hardware })
}

/// What a person is told of a copy.
pub fn in_words(root: &Path, from: &Machine, differences: &[Difference]) -> String {
    let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
    format!(
        "{} on this host was copied from {from}: {}. Nothing of it goes on here, and nothing is begun, until somebody \
         says on this host which it is: 'careen-agent machine new' if this is another machine (what the original knew of \
         its transactions is put aside), 'careen-agent machine keep' if it is the same one with other hardware",
        root.display(),
        differences.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(mac: &str) -> Hardware {
        Hardware::new(None, [mac.to_owned()])
    }

    const THIS: &str = "3c:ec:ef:00:00:01";
    const OTHER: &str = "3c:ec:ef:00:00:02";

    #[test]
    fn a_host_gets_an_identity_once_and_a_copy_of_it_is_told_apart() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(record(root.path(), here(THIS)).unwrap(), Ownership::Own);
        let first = read(root.path()).unwrap().expect("it is written down");
        assert_eq!(record(root.path(), here(THIS)).unwrap(), Ownership::Own);
        assert_eq!(read(root.path()).unwrap(), Some(first.clone()), "it stays the same");
        let Ownership::Copied { from, differences } = record(root.path(), here(OTHER)).unwrap() else {
            panic!("a copy is not told apart")
        };
        assert_eq!(from, first);
        let words = in_words(root.path(), &from, &differences);
        for part in [first.id.as_str(), THIS, OTHER, "careen-agent machine new", "careen-agent machine keep"]
        {
            assert!(words.contains(part), "{part} is not in: {words}");
        }
        assert_eq!(read(root.path()).unwrap(), Some(first), "a look at a copy changes nothing");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_no_absent_one() {
        let root = tempfile::tempdir().unwrap();
        for text in ["", "{", "{\"schema\":1}"] {
            std::fs::write(layout::machine(root.path()), text).unwrap();
            let error = record(root.path(), here(THIS)).expect_err("it was read as none");
            assert!(format!("{error:#}").contains("careen-agent machine"), "{error:#}");
            assert_eq!(std::fs::read_to_string(layout::machine(root.path())).unwrap(), text);
        }
    }

    #[test]
    fn the_default_route_names_a_device() {
        let head = "Iface\tDestination\tGateway\n";
        let routes = format!("{head}eth1\t0000000A\t00000000\neth0\t00000000\t0100000A\n");
        assert_eq!(default_device(&routes), Some("eth0"));
        assert_eq!(default_device(head), None);
    }
}
