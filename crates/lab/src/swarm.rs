//! Makes one swarm of the lab's nodes, and reads what the swarm says of itself.

use std::time::Duration;

use serde::Deserialize;

use crate::docker::Docker;
use crate::error::{Error, Result};
use crate::holder;
use crate::names::{Kind, Role};
use crate::node::Node;
use crate::parallel;
use crate::poll::{Poll, wait_until};
use crate::process;
use crate::progress::Progress;

const SWARM_LIMIT: Duration = Duration::from_secs(90);

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct EngineInfo {
    pub version: String,
    /// Its view of its own membership.
    pub swarm: Membership,
}

/// `docker info`'s Swarm part.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Membership {
    /// `inactive`, `pending`, `active`, `locked` or `error`.
    pub local_node_state: String,
    /// The node's id in the swarm; empty outside one.
    #[serde(rename = "NodeID", default)]
    pub node_id: String,
    /// True on a manager that can serve the swarm's API.
    #[serde(default)]
    pub control_available: bool,
}

/// One line of `docker node ls`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Member {
    /// The node's id in the swarm.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its host name, which is its name in the lab.
    pub hostname: String,
    /// `Ready`, `Down`, `Unknown`, …
    pub status: String,
    /// `Active`, `Pause` or `Drain`.
    pub availability: String,
    /// `Leader`, `Reachable`, `Unreachable`, or empty for a worker.
    pub manager_status: String,
}

/// Asks an engine for its version and its membership.
pub fn engine_info(docker: &Docker) -> Result<EngineInfo> {
    let format = r#"{"version":{{json .ServerVersion}},"swarm":{{json .Swarm}}}"#;
    let text = docker.run(["info", "--format", format])?;
    let what = "the output of docker info";
    let info: EngineInfo = serde_json::from_str(&text).map_err(unreadable(what, &text))?;
    // docker's client says nothing, and calls that well, where the engine does not answer.
    match info.version.is_empty() || info.swarm.local_node_state.is_empty() {
        true => Err(unreadable(what, &text)(serde::de::Error::custom("the engine did not answer"))),
        false => Ok(info),
    }
}

impl Node {
    /// The engine's version and its membership in the swarm.
    pub fn engine_info(&self) -> Result<EngineInfo> {
        engine_info(&self.api())
    }
}

/// Asks a manager for the swarm's nodes.
pub fn members(docker: &Docker) -> Result<Vec<Member>> {
    parse_members(&docker.run(["node", "ls", "--format", "{{json .}}"])?)
}

/// Makes a swarm of these nodes, or completes it. Returns when all are ready.
pub fn form(nodes: &[Node], progress: Progress) -> Result<()> {
    parallel::for_each(nodes, 3, wait_for_engine)?;
    let (primary, is_made) = wait_for_primary(nodes)?;
    if !is_made {
        progress.say(format!("{}: swarm init", primary.name()));
        primary.api().run(["swarm", "init", "--advertise-addr", &primary.ip().to_string()])?;
    }
    join_all(nodes, primary, progress)?;
    wait_for_members(nodes, primary)
}

/// Waits until the node's engine answers over the lab network.
pub fn wait_for_engine(node: &Node) -> Result<EngineInfo> {
    let limit = node.kind().boot_limit();
    wait_until(&format!("{}: the engine answers{}", node.name(), where_to_look(node)), limit, || {
        Ok(match engine_info(&node.api()) {
            Ok(info) => Poll::Ready(info),
            Err(error) => Poll::Pending(error.to_string()),
        })
    })
}

/// A machine that does not boot tells nobody but its console.
fn where_to_look(node: &Node) -> String {
    match node.made_of() {
        Kind::Vm => format!(" (its console: docker logs {})", holder::name(node.identity())),
        Kind::Container | Kind::Sysvinit => String::new(),
    }
}

fn join_all(nodes: &[Node], primary: &Node, progress: Progress) -> Result<()> {
    let mut outside = Vec::new();
    for node in nodes {
        match engine_info(&node.api())?.swarm.local_node_state.as_str() {
            "inactive" => outside.push(node),
            "locked" => return Err(locked(node)),
            _ => {}
        }
    }
    let (managers, workers): (Vec<&Node>, Vec<&Node>) =
        outside.into_iter().partition(|node| node.role() == Role::Manager);
    // Raft takes one change of its members at a time.
    parallel::for_each(&managers, 1, |node| join(node, primary, progress))?;
    parallel::for_each(&workers, 2, |node| join(node, primary, progress))?;
    Ok(())
}

fn join(node: &Node, primary: &Node, progress: Progress) -> Result<()> {
    let token = primary.api().run(["swarm", "join-token", "--quiet", &node.role().to_string()])?;
    let (own, other) = (node.ip().to_string(), format!("{}:2377", primary.ip()));
    // docker0 has the same address in every node: without --advertise-addr it may be taken.
    node.api().without_limit().run(["swarm", "join", "--advertise-addr", &own, "--token", &token, &other])?;
    progress.say(format!("{}: joined as {}", node.name(), node.role()));
    Ok(())
}

/// Whom the others join, and whether it serves a swarm already. Looked at anew each time: an engine that has just come up may call
/// itself in a swarm, or in none, a moment too early.
fn wait_for_primary(nodes: &[Node]) -> Result<(&Node, bool)> {
    wait_until("a manager serves the swarm, or all nodes are in none", SWARM_LIMIT, || {
        let (mut seen, mut states) = (Vec::new(), Vec::new());
        // Workers are shown too: one that is in some swarm already is why no new one was made.
        for node in nodes {
            match engine_info(&node.api()) {
                Ok(info) if info.swarm.local_node_state == "locked" => return Err(locked(node)),
                Ok(info) => {
                    seen.push(format!("{} is {:?}", node.name(), info.swarm.local_node_state));
                    states.push(Candidate { role: node.role(), swarm: info.swarm });
                }
                Err(error) => seen.push(format!("{}: {error}", node.name())),
            }
        }
        // Who does not answer may be in a swarm.
        if states.len() < nodes.len() {
            return Ok(Poll::Pending(seen.join(", ")));
        }
        Ok(match choose_primary(&states)? {
            Primary::Existing(index) => Poll::Ready((&nodes[index], true)),
            Primary::ToBe(index) => Poll::Ready((&nodes[index], false)),
            Primary::Awaited => Poll::Pending(seen.join(", ")),
        })
    })
}

fn wait_for_members(nodes: &[Node], primary: &Node) -> Result<()> {
    wait_until("all nodes are ready in the swarm", SWARM_LIMIT, || {
        let listed = match members(&primary.api()) {
            Ok(listed) => listed,
            Err(error) => return Ok(Poll::Pending(error.to_string())),
        };
        let mut waiting = Vec::new();
        for node in nodes {
            let id = match engine_info(&node.api()) {
                Ok(info) => info.swarm.node_id,
                Err(error) => error.to_string(),
            };
            let status = listed.iter().find(|member| member.id == id).map(|member| member.status.as_str());
            if status != Some("Ready") {
                waiting.push(format!("{} is {}", node.name(), status.unwrap_or("no member")));
            }
        }
        Ok(if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending(waiting.join(", ")) })
    })
}

impl Membership {
    fn serves(&self) -> bool {
        self.local_node_state == "active" && self.control_available
    }
}

struct Candidate {
    role: Role,
    swarm: Membership,
}

/// Whom the others join.
#[derive(Debug, PartialEq, Eq)]
enum Primary {
    /// This node serves the swarm already.
    Existing(usize),
    /// There is no swarm: this node makes it.
    ToBe(usize),
    /// There is a swarm, but no manager serves it yet.
    Awaited,
}

fn choose_primary(nodes: &[Candidate]) -> Result<Primary> {
    if let Some(index) = nodes.iter().position(|node| node.swarm.serves()) {
        return Ok(Primary::Existing(index));
    }
    if nodes.iter().any(|node| node.swarm.local_node_state != "inactive") {
        return Ok(Primary::Awaited);
    }
    nodes
        .iter()
        .position(|node| node.role == Role::Manager)
        .map(Primary::ToBe)
        .ok_or_else(|| Error::Refused("the lab has no manager: `cargo lab down` and begin again".to_owned()))
}

fn locked(node: &Node) -> Error {
    Error::Refused(format!(
        "{}: its swarm is locked; `cargo lab exec {} -- docker swarm unlock`, then run this again",
        node.name(),
        node.name()
    ))
}

fn parse_members(text: &str) -> Result<Vec<Member>> {
    let what = "the output of docker node ls";
    text.lines().map(|line| serde_json::from_str(line).map_err(unreadable(what, line))).collect()
}

fn unreadable(what: &'static str, text: &str) -> impl FnOnce(serde_json::Error) -> Error + use<> {
    let text = process::last_lines(text, 2);
    move |source| Error::Unreadable { what, text, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(state: &str, control_available: bool) -> Membership {
        Membership { local_node_state: state.to_owned(), node_id: String::new(), control_available }
    }

    fn chosen(nodes: &[(Role, Membership)]) -> Result<Primary> {
        let nodes: Vec<Candidate> =
            nodes.iter().map(|(role, swarm)| Candidate { role: *role, swarm: swarm.clone() }).collect();
        choose_primary(&nodes)
    }

    #[test]
    fn who_makes_the_swarm() {
        let manager = |state, control| (Role::Manager, membership(state, control));
        let worker = |state| (Role::Worker, membership(state, false));
        let new = [manager("inactive", false), manager("inactive", false), worker("inactive")];
        assert_eq!(chosen(&new).unwrap(), Primary::ToBe(0));
        let second_serves = [manager("inactive", false), manager("active", true)];
        assert_eq!(chosen(&second_serves).unwrap(), Primary::Existing(1));
        // Quorum lost or not yet there: a second swarm would be worse than waiting.
        for state in ["active", "pending", "error", "locked"] {
            assert_eq!(
                chosen(&[manager("inactive", false), manager(state, false)]).unwrap(),
                Primary::Awaited
            );
        }
        assert!(chosen(&[worker("inactive")]).is_err());
    }

    #[test]
    fn recorded_node_ls() {
        let text = r#"{"Availability":"Active","EngineVersion":"20.10.24+dfsg1","Hostname":"n1","ID":"ab1","ManagerStatus":"Leader","Self":true,"Status":"Ready","TLSStatus":"Ready"}
{"Availability":"Drain","EngineVersion":"20.10.24+dfsg1","Hostname":"n2","ID":"cd2","ManagerStatus":"","Self":false,"Status":"Down","TLSStatus":"Ready"}"#;
        let members = parse_members(text).unwrap();
        assert_eq!(members[0].manager_status, "Leader");
        assert_eq!((members[1].status.as_str(), members[1].availability.as_str()), ("Down", "Drain"));
        assert!(parse_members("no json").is_err());
    }
}
