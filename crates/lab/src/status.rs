//! `status`: what a lab looks like now, for people and as JSON.

use serde::Serialize;

use crate::docker::Docker;
use crate::engine;
use crate::error::{Error, Result};
use crate::holder::Holder;
use crate::identity::{Observed, Power};
use crate::names::{Kind, LabName, Role};
use crate::network;
use crate::node::Node;
use crate::parallel;
use crate::swarm::{self, Member};

/// A lab. The fields of the JSON form are these names; a field is null when it cannot be known now.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct LabStatus {
    pub name: String,
    /// The lab network, `10.213.N.0/24`.
    pub subnet: Option<String>,
    /// All nodes, in order of their numbers.
    pub nodes: Vec<NodeStatus>,
}

/// A node, as the status shows it.
#[derive(Debug, Serialize)]
pub struct NodeStatus {
    /// `n1`, `n2`, …
    pub name: String,
    /// What it is made of: `container`, `sysvinit` or `vm`.
    pub kind: Kind,
    /// The role it was made with: `manager` or `worker`.
    pub role: Role,
    /// The Debian release it was made from.
    pub release: String,
    /// Its address on the lab network.
    pub ip: String,
    /// `on`, `frozen` or `off`.
    pub power: Power,
    /// False while it is partitioned from the others.
    pub plugged: bool,
    /// The boot id it shows.
    pub boot_id: Option<String>,
    /// The version of its running engine; null while the engine does not answer over the lab network.
    pub engine_version: Option<String>,
    /// Its own view: `inactive`, `pending`, `active`, `locked` or `error`.
    pub swarm: Option<String>,
    /// The managers' view: `ready`, `down`, `unknown`, …
    pub status: Option<String>,
    /// `active`, `pause` or `drain`.
    pub availability: Option<String>,
    /// `reachable` or `unreachable`; null for workers.
    pub reachability: Option<String>,
    /// True for the leader of the managers.
    pub leader: bool,
}

/// Looks at every node of a lab. A node that is frozen, off or partitioned is not asked.
pub fn of_lab(name: &LabName) -> Result<LabStatus> {
    let docker = Docker::local();
    let holder = Holder::new(docker.clone());
    let observed = if engine::answers() { holder.observe(name)? } else { Vec::new() };
    if observed.is_empty() {
        return Err(Error::NoSuchLab { name: name.to_string() });
    }
    let mut asked = parallel::for_each(&observed, 3, |found| {
        Ok(ask(&Node::new(found.identity.clone(), &holder), found))
    })?;
    let members = asked
        .iter()
        .filter(|(node, _)| node.serves)
        .find_map(|(node, _)| swarm::members(&Docker::of_node(node.ip)).ok());
    for (node, status) in &mut asked {
        let member = members.iter().flatten().find(|member| node.is(member, &status.name));
        status.add_managers_view(member);
    }
    Ok(LabStatus {
        name: name.to_string(),
        subnet: network::of_lab(&docker, name)?.map(|subnet| subnet.to_string()),
        nodes: asked.into_iter().map(|(_, status)| status).collect(),
    })
}

/// What joins a node to its line in `docker node ls`.
struct Asked {
    ip: std::net::Ipv4Addr,
    serves: bool,
    swarm_id: String,
}

impl Asked {
    /// By the id that the node gave. A node that does not answer is known to the managers by its host name.
    fn is(&self, member: &Member, name: &str) -> bool {
        match self.swarm_id.as_str() {
            "" => member.hostname == name,
            id => member.id == id,
        }
    }
}

fn ask(node: &Node, found: &Observed) -> (Asked, NodeStatus) {
    let on = found.power == Power::On;
    let engine = if on && found.plugged { node.engine_info().ok() } else { None };
    let asked = Asked {
        ip: node.ip(),
        serves: engine.as_ref().is_some_and(|info| info.swarm.control_available),
        swarm_id: engine.as_ref().map(|info| info.swarm.node_id.clone()).unwrap_or_default(),
    };
    let status = NodeStatus {
        name: node.name().to_string(),
        kind: node.made_of(),
        role: node.role(),
        release: found.identity.release.clone(),
        ip: node.ip().to_string(),
        power: found.power,
        plugged: found.plugged,
        boot_id: if on { node.boot_id().ok().flatten() } else { None },
        engine_version: engine.as_ref().map(|info| info.version.clone()),
        swarm: engine.map(|info| info.swarm.local_node_state),
        status: None,
        availability: None,
        reachability: None,
        leader: false,
    };
    (asked, status)
}

impl NodeStatus {
    fn add_managers_view(&mut self, member: Option<&Member>) {
        let Some(member) = member else {
            return;
        };
        self.status = Some(member.status.to_lowercase());
        self.availability = Some(member.availability.to_lowercase());
        self.leader = member.manager_status == "Leader";
        self.reachability = match member.manager_status.as_str() {
            "" => None,
            "Leader" => Some("reachable".to_owned()),
            other => Some(other.to_lowercase()),
        };
    }
}

impl LabStatus {
    /// A table for people.
    pub fn table(&self) -> String {
        let mut rows = vec![
            ["NODE", "KIND", "ROLE", "ADDRESS", "POWER", "ENGINE", "SWARM", "BOOT ID"].map(str::to_owned),
        ];
        rows.extend(self.nodes.iter().map(NodeStatus::row));
        let widths: Vec<usize> =
            (0..8).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
        let line = |row: &[String; 8]| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        let subnet = self.subnet.as_deref().unwrap_or("no network");
        let table: String = rows.iter().map(line).collect();
        format!("lab {} on {subnet}\n{table}", self.name)
    }
}

impl NodeStatus {
    fn row(&self) -> [String; 8] {
        let power = match (self.power, self.plugged) {
            (Power::On, true) => "on",
            (Power::On, false) => "on, partitioned",
            (Power::Frozen, _) => "frozen",
            (Power::Off, _) => "off",
        };
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        // What the node says of itself is worth a word only where it is not the usual.
        let own = self.swarm.as_ref().filter(|state| *state != "active");
        let views = [own, self.status.as_ref(), self.availability.as_ref(), self.reachability.as_ref()];
        let mut swarm: Vec<&str> = views.into_iter().flatten().map(String::as_str).collect();
        if self.leader {
            swarm.push("leader");
        }
        [
            self.name.clone(),
            self.kind.to_string(),
            self.role.to_string(),
            self.ip.clone(),
            power.to_owned(),
            known(&self.engine_version),
            if swarm.is_empty() { "-".to_owned() } else { swarm.join(", ") },
            known(&self.boot_id),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(power: Power) -> NodeStatus {
        NodeStatus {
            name: "n1".to_owned(),
            kind: Kind::Container,
            role: Role::Manager,
            release: "bookworm".to_owned(),
            ip: "10.213.0.11".to_owned(),
            power,
            plugged: true,
            boot_id: None,
            engine_version: None,
            swarm: None,
            status: None,
            availability: None,
            reachability: None,
            leader: false,
        }
    }

    #[test]
    fn the_leader_is_reachable_and_a_worker_has_no_reachability() {
        let member = |manager_status: &str| Member {
            id: "x".to_owned(),
            hostname: "n1".to_owned(),
            status: "Ready".to_owned(),
            availability: "Active".to_owned(),
            manager_status: manager_status.to_owned(),
        };
        for (said, reachability, leader) in [
            ("Leader", Some("reachable"), true),
            ("Reachable", Some("reachable"), false),
            ("Unreachable", Some("unreachable"), false),
            ("", None, false),
        ] {
            let mut status = node(Power::On);
            status.add_managers_view(Some(&member(said)));
            assert_eq!((status.reachability.as_deref(), status.leader), (reachability, leader), "{said}");
        }
    }

    #[test]
    fn the_table_shows_what_is_not_known_as_a_dash() {
        let status = LabStatus { name: "x".to_owned(), subnet: None, nodes: vec![node(Power::Off)] };
        assert_eq!(
            status.table(),
            "lab x on no network\n\
             NODE  KIND       ROLE     ADDRESS      POWER  ENGINE  SWARM  BOOT ID\n\
             n1    container  manager  10.213.0.11  off    -       -      -\n"
        );
    }
}
