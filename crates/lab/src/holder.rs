//! The container that stands for a node, whatever kind it is: the node itself, or what holds its emulator.
//!
//! Its labels are the only record of a node, and what docker can do to it (kill, pause, unplug) is what can happen to
//! the node. Does not know what runs inside.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::docker::Docker;
use crate::error::{Error, Result};
use crate::identity::{Identity, Observed, Power};
use crate::names::{Kind, LABEL, LABEL_IP, LABEL_KIND, LABEL_NODE, LABEL_RELEASE, LABEL_ROLE, LabName, Role};
use crate::process;

/// The containers of this machine's nodes.
#[derive(Debug, Clone)]
pub struct Holder {
    docker: Docker,
}

impl Holder {
    /// The containers of this engine.
    pub fn new(docker: Docker) -> Holder {
        Holder { docker }
    }

    /// The engine they run on.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// All nodes of a lab, of every kind, half-made ones included, in order of their numbers.
    pub fn observe(&self, lab: &LabName) -> Result<Vec<Observed>> {
        let found = self.inspect(&format!("label={LABEL}={lab}"))?;
        let mut nodes: Vec<Observed> = found.iter().filter_map(|one| one.observed(lab)).collect();
        nodes.sort_by_key(|node| node.identity.name);
        Ok(nodes)
    }

    /// Turns on a node that is off.
    pub fn power_on(&self, node: &Identity) -> Result<()> {
        self.docker.run(["start", &name(node)]).map(drop)
    }

    /// Takes the power away, without any warning to the node; it stays off.
    pub fn power_cut(&self, node: &Identity) -> Result<()> {
        if self.one(node)?.is_some_and(|seen| seen.power == Power::Off) {
            return Ok(());
        }
        // A frozen container takes no signal.
        self.thaw(node)?;
        // `docker kill` counts as a stop by hand: the restart policy leaves the container off.
        self.docker.run(["kill", &name(node)]).map(drop)
    }

    /// Stops every process of the node where it stands.
    pub fn freeze(&self, node: &Identity) -> Result<()> {
        match self.one(node)?.map(|seen| seen.power) {
            Some(Power::Frozen) => Ok(()),
            Some(Power::On | Power::Off) | None => self.docker.run(["pause", &name(node)]).map(drop),
        }
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self, node: &Identity) -> Result<()> {
        match self.one(node)?.map(|seen| seen.power) {
            Some(Power::Frozen) => self.docker.run(["unpause", &name(node)]).map(drop),
            Some(Power::On | Power::Off) | None => Ok(()),
        }
    }

    /// Takes the node off the lab network.
    pub fn unplug(&self, node: &Identity) -> Result<()> {
        if self.one(node)?.is_some_and(|seen| !seen.plugged) {
            return Ok(());
        }
        self.docker.run(["network", "disconnect", &node.lab.network(), &name(node)]).map(drop)
    }

    /// Puts it back, with the same address.
    pub fn plug(&self, node: &Identity) -> Result<()> {
        if self.one(node)?.is_some_and(|seen| seen.plugged) {
            return Ok(());
        }
        let ip = node.ip.to_string();
        self.docker.run(["network", "connect", "--ip", &ip, &node.lab.network(), &name(node)]).map(drop)
    }

    /// Removes all nodes of a lab with all that belongs to them; returns how many.
    pub fn remove_all(&self, lab: &LabName) -> Result<usize> {
        let filter = format!("label={LABEL}={lab}");
        let ids = self.docker.lines(["ps", "--all", "--quiet", "--filter", &filter])?;
        let frozen =
            self.docker.lines(["ps", "--quiet", "--filter", &filter, "--filter", "status=paused"])?;
        for id in &frozen {
            self.docker.run(["unpause", id])?;
        }
        if !ids.is_empty() {
            let arguments = ["rm", "--force", "--volumes"].into_iter();
            self.docker.run(arguments.chain(ids.iter().map(String::as_str)))?;
        }
        let volumes = self.docker.lines(["volume", "ls", "--quiet", "--filter", &filter])?;
        if !volumes.is_empty() {
            self.docker.run(["volume", "rm"].into_iter().chain(volumes.iter().map(String::as_str)))?;
        }
        Ok(ids.len())
    }

    fn inspect(&self, filter: &str) -> Result<Vec<Inspected>> {
        let ids = self.docker.lines(["ps", "--all", "--quiet", "--filter", filter])?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // A container that vanished meanwhile makes this fail, but the others are printed all the same.
        let output = self
            .docker
            .output(["inspect", "--type", "container"].into_iter().chain(ids.iter().map(String::as_str)))?;
        parse_inspect(&String::from_utf8_lossy(&output.stdout))
    }

    fn one(&self, node: &Identity) -> Result<Option<Observed>> {
        let observed = self.observe(&node.lab)?;
        Ok(observed.into_iter().find(|other| other.identity.name == node.name))
    }
}

/// The name of the container that stands for a node.
pub fn name(node: &Identity) -> String {
    format!("careen-{}-{}", node.lab, node.name)
}

/// The name of one of the node's volumes.
pub fn volume(node: &Identity, what: &str) -> String {
    format!("{}-{what}", name(node))
}

/// What every node's container is started with: its name, its address, its labels, its volumes (what, where).
pub fn run_arguments(node: &Identity, volumes: &[(&str, &str)]) -> Vec<String> {
    let mut words: Vec<String> = vec![
        "run".to_owned(),
        "--detach".to_owned(),
        "--restart=always".to_owned(),
        format!("--name={}", name(node)),
        format!("--hostname={}", node.name),
        format!("--network={}", node.lab.network()),
        format!("--ip={}", node.ip),
        format!("--env=CAREEN_LAB_IP={}", node.ip),
    ];
    words.extend(labels(node).map(|(label, value)| format!("--label={label}={value}")));
    words.extend(volumes.iter().map(|(what, path)| {
        let source = volume(node, what);
        format!("--mount=type=volume,source={source},target={path},volume-label={LABEL}={}", node.lab)
    }));
    words
}

fn labels(node: &Identity) -> impl Iterator<Item = (&'static str, String)> {
    [
        (LABEL, node.lab.to_string()),
        (LABEL_KIND, node.kind.to_string()),
        (LABEL_NODE, node.name.to_string()),
        (LABEL_ROLE, node.role.to_string()),
        (LABEL_IP, node.ip.to_string()),
        (LABEL_RELEASE, node.release.clone()),
    ]
    .into_iter()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: State,
    config: Config,
    network_settings: NetworkSettings,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default)]
    networks: BTreeMap<String, serde_json::Value>,
}

impl Inspected {
    /// `None` for a container that carries the lab's label but is no node.
    fn observed(&self, lab: &LabName) -> Option<Observed> {
        let label = |name: &str| self.config.labels.get(name);
        let identity = Identity {
            lab: lab.clone(),
            name: label(LABEL_NODE)?.parse().ok()?,
            kind: label(LABEL_KIND).map_or(Some(Kind::Container), |name| Kind::named(name))?,
            role: match label(LABEL_ROLE)?.as_str() {
                "manager" => Role::Manager,
                "worker" => Role::Worker,
                _ => return None,
            },
            ip: label(LABEL_IP)?.parse().ok()?,
            release: label(LABEL_RELEASE)?.clone(),
        };
        let power = match self.state.status.as_str() {
            "running" | "restarting" => Power::On,
            "paused" => Power::Frozen,
            _ => Power::Off,
        };
        let plugged = self.network_settings.networks.contains_key(&lab.network());
        Some(Observed { identity, power, plugged })
    }
}

fn parse_inspect(text: &str) -> Result<Vec<Inspected>> {
    serde_json::from_str(text).map_err(|source| Error::Unreadable {
        what: "the output of docker inspect",
        text: process::last_lines(text, 2),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What docker 20.10 prints, cut to the fields that are read and some that are not.
    fn inspected(status: &str, networks: &str) -> String {
        format!(
            r#"[{{"Id":"4ace","State":{{"Status":"{status}","Running":true,"Paused":false}},
                "Config":{{"Hostname":"n2","Labels":{{"careen.lab":"x","careen.lab.node":"n2",
                "careen.lab.role":"worker","careen.lab.kind":"vm","careen.lab.ip":"10.213.4.12","careen.lab.release":"bookworm"}}}},
                "NetworkSettings":{{"Bridge":"","Networks":{networks}}}}}]"#
        )
    }

    fn observe(text: &str) -> Vec<Observed> {
        let lab = "x".parse().unwrap();
        parse_inspect(text).unwrap().iter().filter_map(|one| one.observed(&lab)).collect()
    }

    #[test]
    fn states_of_a_container() {
        let on_network = r#"{"careen-x":{"IPAddress":"10.213.4.12"}}"#;
        for (status, power) in [
            ("running", Power::On),
            ("restarting", Power::On),
            ("paused", Power::Frozen),
            ("exited", Power::Off),
            ("created", Power::Off),
            ("dead", Power::Off),
        ] {
            let expected = Observed { identity: Identity::example(Kind::Vm), power, plugged: true };
            assert_eq!(observe(&inspected(status, on_network)), [expected], "{status}");
        }
        assert!(!observe(&inspected("running", "{}"))[0].plugged);
        assert!(!observe(&inspected("running", r#"{"bridge":{}}"#))[0].plugged);
    }

    #[test]
    fn a_container_without_a_node_label_is_no_node() {
        let text = inspected("running", "{}").replace("careen.lab.node", "other");
        assert_eq!(observe(&text), []);
    }

    #[test]
    fn everything_a_node_makes_carries_the_label() {
        let words = run_arguments(&Identity::example(Kind::Vm), &[("disk", "/disk"), ("log", "/log")]);
        assert!(words.contains(&"--label=careen.lab=x".to_owned()));
        let volumes: Vec<_> = words.iter().filter(|word| word.starts_with("--mount=type=volume")).collect();
        assert_eq!(volumes.len(), 2);
        assert!(volumes.iter().all(|volume| volume.ends_with("volume-label=careen.lab=x")));
    }
}
