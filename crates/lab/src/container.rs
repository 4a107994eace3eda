//! Nodes that are containers with systemd as PID 1, on the machine's engine and kernel.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;
use std::sync::Arc;

use serde::Deserialize;

use crate::capabilities::{self, Privileges};
use crate::docker::Docker;
use crate::error::{Error, Result};
use crate::image;
use crate::kind::{Identity, NodeKind, Observed, Power};
use crate::names::{LABEL, LABEL_IP, LABEL_KIND, LABEL_NODE, LABEL_RELEASE, LABEL_ROLE, LabName, Role};
use crate::process;
use crate::progress::Progress;

const KIND: &str = "container";
const BOOT: &str = include_str!("../assets/boot.sh");
/// Both must not lie on the container's overlay, on which an engine cannot put another.
const VOLUMES: [(&str, &str); 2] = [("docker", "/var/lib/docker"), ("containerd", "/var/lib/containerd")];

/// The kind `container`.
#[derive(Debug)]
pub struct Container {
    docker: Docker,
}

impl Container {
    /// Nodes as containers of this engine.
    pub fn new(docker: Docker) -> Container {
        Container { docker }
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

impl NodeKind for Container {
    fn name(&self) -> &'static str {
        KIND
    }

    fn prepare(&self, release: &str, machine: &Arc<File>, progress: Progress) -> Result<String> {
        image::ensure(&self.docker, release, machine, progress)
    }

    fn observe(&self, lab: &LabName) -> Result<Vec<Observed>> {
        let found = self.inspect(&format!("label={LABEL}={lab}"))?;
        let mut nodes: Vec<Observed> = found.iter().filter_map(|one| one.observed(lab)).collect();
        nodes.sort_by_key(|node| node.identity.name);
        Ok(nodes)
    }

    fn create(&self, node: &Identity, image: &str) -> Result<()> {
        let privileges = capabilities::of_this_machine()?;
        self.docker.run(run_arguments(node, image, &privileges))?;
        Ok(())
    }

    fn power_on(&self, node: &Identity) -> Result<()> {
        self.docker.run(["start", &container(node)]).map(drop)
    }

    fn power_cut(&self, node: &Identity) -> Result<()> {
        if self.one(node)?.is_some_and(|seen| seen.power == Power::Off) {
            return Ok(());
        }
        // A frozen container takes no signal.
        self.thaw(node)?;
        // `docker kill` counts as a stop by hand: the restart policy leaves the container off.
        self.docker.run(["kill", &container(node)]).map(drop)
    }

    fn freeze(&self, node: &Identity) -> Result<()> {
        match self.one(node)?.map(|seen| seen.power) {
            Some(Power::Frozen) => Ok(()),
            Some(Power::On | Power::Off) | None => self.docker.run(["pause", &container(node)]).map(drop),
        }
    }

    fn thaw(&self, node: &Identity) -> Result<()> {
        match self.one(node)?.map(|seen| seen.power) {
            Some(Power::Frozen) => self.docker.run(["unpause", &container(node)]).map(drop),
            Some(Power::On | Power::Off) | None => Ok(()),
        }
    }

    fn unplug(&self, node: &Identity) -> Result<()> {
        if self.one(node)?.is_some_and(|seen| !seen.plugged) {
            return Ok(());
        }
        self.docker.run(["network", "disconnect", &node.lab.network(), &container(node)]).map(drop)
    }

    fn plug(&self, node: &Identity) -> Result<()> {
        if self.one(node)?.is_some_and(|seen| seen.plugged) {
            return Ok(());
        }
        let ip = node.ip.to_string();
        self.docker.run(["network", "connect", "--ip", &ip, &node.lab.network(), &container(node)]).map(drop)
    }

    fn command(&self, node: &Identity, terminal: bool, argv: &[String]) -> Command {
        let streams = if terminal { "--interactive=true --tty=true" } else { "--interactive=true" };
        let container = container(node);
        let words = ["exec"].into_iter().chain(streams.split(' ')).chain([container.as_str()]);
        self.docker.command(words.chain(argv.iter().map(String::as_str)))
    }

    fn boot_id(&self, node: &Identity) -> Result<Option<String>> {
        // The file appears when the boot script is about to start init. Before that, /proc shows the machine's.
        let argv = ["cat", "/run/careen-lab/boot_id"].map(str::to_owned);
        let output = process::output(&mut self.command(node, false, &argv))?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && !id.is_empty()).then_some(id))
    }

    fn remove_all(&self, lab: &LabName) -> Result<usize> {
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
}

fn container(node: &Identity) -> String {
    format!("careen-{}-{}", node.lab, node.name)
}

fn run_arguments(node: &Identity, image: &str, privileges: &Privileges) -> Vec<String> {
    let mut words: Vec<String> = ["run", "--detach", "--restart=always", "--stop-signal=SIGRTMIN+3"]
        .into_iter()
        .chain(["--cgroupns=private", "--tmpfs=/run:exec", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec"])
        .map(str::to_owned)
        .collect();
    words.extend(privilege_arguments(privileges));
    words.extend([
        format!("--name={}", container(node)),
        format!("--hostname={}", node.name),
        format!("--network={}", node.lab.network()),
        format!("--ip={}", node.ip),
        "--env=container=docker".to_owned(),
        format!("--env=CAREEN_LAB_IP={}", node.ip),
    ]);
    words.extend(labels(node).map(|(label, value)| format!("--label={label}={value}")));
    for (volume, path) in VOLUMES {
        words.push(format!(
            "--mount=type=volume,source={}-{volume},target={path},volume-label={LABEL}={}",
            container(node),
            node.lab
        ));
    }
    words.extend([image, "/bin/sh", "-c", BOOT].map(str::to_owned));
    words
}

fn privilege_arguments(privileges: &Privileges) -> Vec<String> {
    match privileges {
        Privileges::Full => vec!["--privileged".to_owned()],
        Privileges::Without(missing) => ["--cap-add=ALL".to_owned()]
            .into_iter()
            .chain(missing.iter().map(|name| format!("--cap-drop={name}")))
            .chain(
                ["seccomp", "systempaths", "apparmor"]
                    .map(|what| format!("--security-opt={what}=unconfined")),
            )
            .chain(["--device-cgroup-rule=a *:* rwm".to_owned()])
            .collect(),
    }
}

fn labels(node: &Identity) -> impl Iterator<Item = (&'static str, String)> {
    [
        (LABEL, node.lab.to_string()),
        (LABEL_KIND, KIND.to_owned()),
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

    fn node() -> Identity {
        Identity {
            lab: "x".parse().unwrap(),
            name: "n2".parse().unwrap(),
            role: Role::Worker,
            ip: "10.213.4.12".parse().unwrap(),
            release: "bookworm".to_owned(),
        }
    }

    /// What docker 20.10 prints, cut to the fields that are read and some that are not.
    fn inspected(status: &str, networks: &str) -> String {
        format!(
            r#"[{{"Id":"4ace","State":{{"Status":"{status}","Running":true,"Paused":false}},
                "Config":{{"Hostname":"n2","Labels":{{"careen.lab":"x","careen.lab.node":"n2",
                "careen.lab.role":"worker","careen.lab.ip":"10.213.4.12","careen.lab.release":"bookworm"}}}},
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
            let expected = Observed { identity: node(), power, plugged: true };
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
    fn privileges_where_they_work_and_their_parts_where_they_do_not() {
        let full = run_arguments(&node(), "image", &Privileges::Full);
        assert!(full.contains(&"--privileged".to_owned()));
        let reduced = run_arguments(&node(), "image", &Privileges::Without(vec!["SYS_RESOURCE"]));
        assert!(!reduced.contains(&"--privileged".to_owned()));
        for word in ["--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=systempaths=unconfined"] {
            assert!(reduced.contains(&word.to_owned()), "{word}");
        }
    }

    #[test]
    fn everything_a_node_makes_carries_the_label() {
        let words = run_arguments(&node(), "image", &Privileges::Full);
        assert!(words.contains(&"--label=careen.lab=x".to_owned()));
        let volumes: Vec<_> = words.iter().filter(|word| word.starts_with("--mount=type=volume")).collect();
        assert_eq!(volumes.len(), VOLUMES.len());
        assert!(volumes.iter().all(|volume| volume.ends_with("volume-label=careen.lab=x")));
    }
}
