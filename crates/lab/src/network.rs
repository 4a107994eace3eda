//! The lab's network: a /24 of its own with fixed addresses.

use serde::Deserialize;

use crate::docker::Docker;
use crate::error::{Error, Result};
use crate::names::{LABEL, LabName, Subnet};
use crate::process;

/// Returns the lab's subnet; makes the network where it is missing. The caller holds the machine's lock, so
/// that two labs do not choose the same subnet.
pub fn ensure(docker: &Docker, lab: &LabName) -> Result<Subnet> {
    if let Some(subnet) = of_lab(docker, lab)? {
        return Ok(subnet);
    }
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let taken: Vec<u8> =
        networks(docker)?.iter().filter_map(Network::subnet).chain(routed(&routes)).collect();
    let subnet = free_subnet(&taken).ok_or_else(|| {
        Error::Refused("all of 10.213.0.0/16 is in use; `cargo lab down --all` removes all labs".to_owned())
    })?;
    let (label, subnet_text) = (format!("{LABEL}={lab}"), subnet.to_string());
    let words = ["network", "create", "--driver", "bridge", "--subnet", &subnet_text, "--label", &label];
    docker.run(words.into_iter().chain([lab.network().as_str()]))?;
    Ok(subnet)
}

/// The subnet of an existing lab.
pub fn of_lab(docker: &Docker, lab: &LabName) -> Result<Option<Subnet>> {
    let found = networks(docker)?;
    Ok(found.iter().find(|network| network.belongs_to(lab)).and_then(Network::subnet).map(Subnet))
}

/// Removes the lab's networks; returns how many there were.
pub fn remove(docker: &Docker, lab: &LabName) -> Result<usize> {
    let found = networks(docker)?;
    let names: Vec<&str> =
        found.iter().filter(|network| network.belongs_to(lab)).map(|network| network.name.as_str()).collect();
    if !names.is_empty() {
        docker.run(["network", "rm"].into_iter().chain(names.iter().copied()))?;
    }
    Ok(names.len())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    name: String,
    labels: Option<std::collections::BTreeMap<String, String>>,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    config: Option<Vec<Pool>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pool {
    #[serde(default)]
    subnet: String,
}

impl Network {
    fn belongs_to(&self, lab: &LabName) -> bool {
        self.labels.as_ref().and_then(|labels| labels.get(LABEL)).is_some_and(|name| *name == lab.to_string())
    }

    /// The N of 10.213.N.0/24, for a network in the lab's range.
    fn subnet(&self) -> Option<u8> {
        let pools = self.ipam.config.as_deref().unwrap_or_default();
        pools.iter().find_map(|pool| pool.subnet.strip_prefix("10.213.")?.split('.').next()?.parse().ok())
    }
}

fn networks(docker: &Docker) -> Result<Vec<Network>> {
    let ids = docker.lines(["network", "ls", "--quiet"])?;
    // One that vanished meanwhile makes this fail, but the others are printed all the same.
    let output = docker.output(["network", "inspect"].into_iter().chain(ids.iter().map(String::as_str)))?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Result<Vec<Network>> {
    serde_json::from_str(text).map_err(|source| Error::Unreadable {
        what: "the output of docker network inspect",
        text: process::last_lines(text, 2),
        source,
    })
}

/// The N of every route to 10.213.N.* in /proc/net/route (addresses are little-endian hexadecimal).
fn routed(routes: &str) -> Vec<u8> {
    let third_byte = |line: &str| {
        let destination = u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()?.to_le_bytes();
        (destination[..2] == [10, 213]).then_some(destination[2])
    };
    routes.lines().filter_map(third_byte).collect()
}

fn free_subnet(taken: &[u8]) -> Option<Subnet> {
    (0..=u8::MAX).find(|candidate| !taken.contains(candidate)).map(Subnet)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSPECTED: &str = r#"[
        {"Name":"bridge","Labels":{},"IPAM":{"Driver":"default","Config":[{"Subnet":"172.17.0.0/16"}]}},
        {"Name":"host","Labels":null,"IPAM":{"Driver":"default","Config":null}},
        {"Name":"careen-x","Labels":{"careen.lab":"x"},"IPAM":{"Config":[{"Subnet":"10.213.4.0/24"}]}}]"#;

    #[test]
    fn a_lab_finds_its_network_by_label() {
        let networks = parse(INSPECTED).unwrap();
        let x: LabName = "x".parse().unwrap();
        assert_eq!(networks.iter().map(|n| n.belongs_to(&x)).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(networks.iter().map(Network::subnet).collect::<Vec<_>>(), [None, None, Some(4)]);
    }

    #[test]
    fn routes_take_subnets_too() {
        let routes = "Iface\tDestination\tGateway\neth0\t00000000\t0100000A\nbr0\t0007D50A\t00000000\n";
        assert_eq!(routed(routes), [7]);
    }

    #[test]
    fn the_first_free_subnet_is_taken() {
        assert_eq!(free_subnet(&[0, 1, 3]), Some(Subnet(2)));
        assert_eq!(free_subnet(&[]), Some(Subnet(0)));
        assert_eq!(free_subnet(&(0..=u8::MAX).collect::<Vec<_>>()), None);
    }
}
