//! Why something does not move now. Every wait has one of these, with its data, and a sentence for people.

use crate::ids::{ControllerId, NodeId, RolloutId};
use crate::moves::Amiss;
use crate::objects::{Availability, UnfinishedUpdate};
use crate::state::words::{Reason, StateName};
use careen_contract::quorum::QuorumAtRisk;
use careen_contract::report::Restart;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use strum::IntoStaticStr;

/// A reason to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case", tag = "hold")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Hold {
    /// Another controller works on this swarm.
    LockHeld { holder: Option<ControllerId>, rollout: Option<RolloutId> },
    /// This controller takes over; it looks again first.
    TakingOver,
    /// How the services stand is being recorded.
    Starting,
    /// Both versions of the enforcement that the rollout moves are being set up beside each other.
    SettingUp { enforcement: String },
    /// The rollout is paused.
    Paused { why: PauseReason },
    /// Nodes of an earlier wave are not through.
    EarlierWave { nodes: Vec<NodeId> },
    /// As many nodes as allowed are in maintenance.
    Parallelism {
        /// How many may be.
        limit: usize,
        nodes: Vec<NodeId>,
    },
    /// Quiet time between two waves.
    Delay {
        /// How many seconds are left, rounded up.
        seconds_left: u64,
    },
    /// Too few managers would be left.
    QuorumAtRisk {
        /// All that are members.
        members: usize,
        /// Those that take part now.
        reachable: usize,
        /// How many must take part at any time.
        needed: usize,
    },
    /// No manager says that it leads, so nobody knows how the managers are.
    NoLeader,
    /// Another manager is in maintenance.
    OtherManager { node: NodeId },
    /// The controller runs on this node and moves away first.
    ControllerHere,
    /// The node does not report.
    NodeDown,
    /// The same while its command runs, which may restart the engine or the host.
    NotReporting,
    /// The manager takes part, so its engine is up, and the swarm goes on calling its node down.
    CalledDown,
    /// Agent and gates are on their way to the node.
    Placing {
        /// How many of them run.
        placed: usize,
        /// How many there are.
        of: usize,
        /// What keeps one of them from starting, as Swarm says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// The payload's image is not on the node, and the node cannot pull it.
    ImageMissing {
        image: String,
        /// What the node's engine says.
        why: String,
    },
    /// The node refuses the agent for another reason.
    AgentRejected {
        /// What the node's engine says.
        why: String,
    },
    /// Another transaction has the host.
    HostBusy { transaction: String },
    /// What careen keeps on the host came with a copy of another machine's disk.
    Copied {
        /// From which, in words.
        from: String,
    },
    /// The host is at work.
    HostAtWork {
        /// In which state of its node.
        #[serde(rename = "phase")]
        during: StateName,
    },
    /// The host waits, and says why: for its turn among the managers, or until its journal can be written.
    HostWaits { why: String },
    /// The agent says nothing that can be read now.
    NoReport {
        /// In which state of its node.
        #[serde(rename = "phase")]
        during: StateName,
    },
    /// A task would start elsewhere without its data.
    VolumeWouldMove {
        service: String,
        /// The volume or path.
        source: String,
    },
    /// A task would have no place elsewhere.
    NoPlace {
        service: String,
        /// Why, as Swarm says it.
        why: String,
    },
    /// Nothing would run of a service that should have several tasks.
    AtZero { service: String },
    /// Tasks still run on the drained node.
    NotEmpty {
        /// Their services, or jobs.
        services: Vec<String>,
    },
    /// Replacements do not run elsewhere yet.
    NotReplaced {
        services: Vec<String>,
        /// What keeps their tasks from running, by service, in the words of Swarm or of a node's engine; as far as they say it.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        why: BTreeMap<String, String>,
    },
    /// Somebody else changed the node's availability.
    AvailabilityChanged {
        /// What it is now.
        now: Availability,
        /// What the rollout needs.
        needed: Availability,
    },
    /// The go is on its way to the agent.
    GivingTheGo,
    /// The rollout is being aborted: the restart that the host waits for is being refused.
    RefusingTheRestart,
    /// The engine or the host is being restarted.
    Restarting { kind: Restart },
    /// The manager asks for the swarm's unlock key.
    UnlockNeeded {
        /// What to type on the host.
        command: String,
    },
    /// careen's services are being removed from the node.
    CleaningUp,
    /// Services are worse than before the rollout.
    ServicesWorse {
        services: Vec<String>,
        /// What keeps their tasks from running, by service, as above.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        why: BTreeMap<String, String>,
    },
    /// The manager does not take part again yet.
    ManagerUnreachable,
    /// Everything looks well; it must stay so for a while.
    Monitoring {
        /// How many seconds are left, rounded up.
        seconds_left: u64,
    },
    /// The node's label cannot be read.
    CorruptRecord {
        /// The label's value, at most 120 characters of it.
        text: String,
    },
    /// Another rollout left the node in the middle of something.
    OtherRollout { rollout: RolloutId },
    /// Services are scaled up, and not all of their tasks beside the node are healthy yet.
    Surging {
        services: Vec<String>,
        /// What keeps their tasks from running, by service.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        why: BTreeMap<String, String>,
    },
    /// Services are still scaled up for the node, and are given back first.
    SurgeBack {
        services: Vec<String>,
        /// What keeps their tasks from running, by service.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        why: BTreeMap<String, String>,
    },
    /// A service is scaled up for another node at the moment.
    SurgeElsewhere { service: String, node: NodeId },
    /// A service would be scaled up, and has no room for that.
    NoRoomToSurge {
        service: String,
        /// Why, as Swarm says it.
        why: String,
    },
    /// A service would be scaled, and its update is not through: the write would end that.
    ServiceUpdating { service: String, update: UnfinishedUpdate },
    /// The label that says what was scaled up cannot be read.
    CorruptSurge {
        /// The label's value, at most 120 characters of it.
        text: String,
    },
    /// The node left the swarm during its turn, and its host may still be at work.
    NodeGone {
        /// How many seconds it keeps its place, rounded up.
        seconds_left: u64,
    },
    /// The node left the swarm during its turn, and its host is in the swarm again under another id: its command goes on there.
    Rejoined {
        node: NodeId,
        /// That one's host name.
        hostname: String,
    },
    /// The node left the swarm during its turn, and several hosts have the record of its try: all but one are copies.
    SeveralRejoined { nodes: Vec<NodeId> },
    /// The node's label was removed although the rollout had begun on it.
    RecordRemoved,
    /// The config that says how things stood before was removed although the rollout had begun.
    BaselineRemoved,
    /// A write is under way.
    Recording,
}

/// Why a rollout is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
#[expect(missing_docs, reason = "the names say it")]
pub enum PauseReason {
    /// An operator said so.
    Asked,
    NodeFailed {
        node: NodeId,
        #[serde(rename = "phase")]
        during: StateName,
        why: Reason,
    },
    /// A node left the swarm during its turn.
    NodeGone {
        node: NodeId,
        /// Its host's name: the node's own record of it is gone.
        hostname: String,
    },
    /// The config that says who takes part was removed by hand.
    BaselineRemoved,
    /// Somebody removed or changed what lies in the swarm for the enforcement that the rollout moves.
    EnforcementChanged { enforcement: String, amiss: Amiss },
    /// A node waited too long before anything was taken down on it.
    NodeHeld {
        node: NodeId,
        /// What it waited for.
        hold: Box<Hold>,
        /// For how many seconds it may be held.
        seconds: u64,
    },
}

impl From<QuorumAtRisk> for Hold {
    fn from(risk: QuorumAtRisk) -> Self {
        let QuorumAtRisk { members, reachable, needed } = risk;
        Self::QuorumAtRisk { members, reachable, needed }
    }
}

impl Hold {
    /// One of each kind, for the tests of documents and JSON.
    pub fn examples() -> Vec<Self> {
        let node = || NodeId("w1".into());
        vec![
            Self::LockHeld { holder: Some(ControllerId("c2".into())), rollout: None },
            Self::TakingOver,
            Self::Starting,
            Self::SettingUp { enforcement: "sysctl".into() },
            Self::Paused { why: PauseReason::Asked },
            Self::EarlierWave { nodes: vec![node()] },
            Self::Parallelism { limit: 1, nodes: vec![node()] },
            Self::Delay { seconds_left: 30 },
            Self::QuorumAtRisk { members: 3, reachable: 2, needed: 2 },
            Self::NoLeader,
            Self::OtherManager { node: node() },
            Self::ControllerHere,
            Self::NodeDown,
            Self::NotReporting,
            Self::CalledDown,
            Self::Placing { placed: 1, of: 7, why: None },
            Self::ImageMissing { image: "sha256:00".into(), why: "No such image: sha256:00".into() },
            Self::AgentRejected { why: "invalid mount config".into() },
            Self::HostBusy { transaction: "k3x9-w1-g1".into() },
            Self::Copied { from: "machine 4f2a (host web-1)".into() },
            Self::HostAtWork { during: StateName::Running },
            Self::HostWaits { why: "n2 is restarting its engine: one manager at a time".into() },
            Self::NoReport { during: StateName::Preparing },
            Self::VolumeWouldMove { service: "db".into(), source: "data".into() },
            Self::NoPlace {
                service: "db".into(),
                why: "scheduling constraints not satisfied on 4 nodes".into(),
            },
            Self::AtZero { service: "web".into() },
            Self::NotEmpty { services: vec!["web".into()] },
            Self::NotReplaced { services: vec!["web".into()], why: missing_image() },
            Self::AvailabilityChanged { now: Availability::Active, needed: Availability::Drain },
            Self::GivingTheGo,
            Self::RefusingTheRestart,
            Self::Restarting { kind: Restart::Reboot },
            Self::UnlockNeeded { command: "docker swarm unlock".into() },
            Self::CleaningUp,
            Self::ServicesWorse { services: vec!["web".into()], why: missing_image() },
            Self::ManagerUnreachable,
            Self::Monitoring { seconds_left: 15 },
            Self::CorruptRecord { text: "9 later".into() },
            Self::OtherRollout { rollout: fixed_rollout() },
            Self::Surging { services: vec!["web".into()], why: missing_image() },
            Self::SurgeBack { services: vec!["web".into()], why: missing_image() },
            Self::SurgeElsewhere { service: "web".into(), node: node() },
            Self::NoRoomToSurge { service: "web".into(), why: "insufficient resources on 4 nodes".into() },
            Self::ServiceUpdating { service: "web".into(), update: UnfinishedUpdate::Paused },
            Self::CorruptSurge { text: "9 later".into() },
            Self::NodeGone { seconds_left: 1200 },
            Self::Rejoined { node: node(), hostname: "w1".into() },
            Self::SeveralRejoined { nodes: vec![node(), NodeId("w2".into())] },
            Self::RecordRemoved,
            Self::BaselineRemoved,
            Self::Recording,
        ]
    }

    /// Its name in JSON and in the documents.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

fn missing_image() -> BTreeMap<String, String> {
    BTreeMap::from([("web".to_owned(), "rejected on w2: No such image: web:9".to_owned())])
}

fn fixed_rollout() -> RolloutId {
    RolloutId::parse("k3x9").unwrap_or_else(|_| unreachable!("a fixed text"))
}

impl fmt::Display for Hold {
    #[expect(clippy::too_many_lines, reason = "a sentence for each hold")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LockHeld { holder, rollout } => {
                let holder = holder.as_ref().map_or("another controller", |id| id.0.as_str());
                write!(f, "{holder} works on this swarm")?;
                match rollout {
                    Some(rollout) => write!(f, ", on the rollout {rollout}"),
                    None => Ok(()),
                }
            }
            Self::TakingOver => f.write_str("this controller is taking over the rollout"),
            Self::Starting => f.write_str("the state of the services is being recorded"),
            Self::SettingUp { enforcement } => write!(
                f,
                "the two versions of the enforcement {enforcement} are being set up beside each other"
            ),
            Self::Paused { why } => write!(f, "the rollout is paused: {why}"),
            Self::EarlierWave { nodes } => write!(f, "it is not this node's turn yet: {} first", list(nodes)),
            Self::Parallelism { limit, nodes } => {
                write!(f, "{limit} at a time: {} in maintenance", list(nodes))
            }
            Self::Delay { seconds_left } => write!(f, "the delay between waves: {seconds_left} s left"),
            Self::QuorumAtRisk { members, reachable, needed } => {
                let risk = QuorumAtRisk { members: *members, reachable: *reachable, needed: *needed };
                write!(f, "{risk}")
            }
            Self::NoLeader => f.write_str("the managers have no leader, so their state is unknown"),
            Self::OtherManager { node } => write!(f, "another manager is in maintenance: {node}"),
            Self::ControllerHere => f.write_str("the controller runs on this node and moves to another manager first"),
            Self::NodeDown => f.write_str("the node is down"),
            Self::NotReporting => f.write_str(
                "the node does not report: its command may have restarted the engine or the host, or something hangs there",
            ),
            Self::CalledDown => f.write_str(
                "the swarm still calls the node down although its manager takes part, so its engine is up",
            ),
            Self::Placing { placed, of, why } => {
                write!(f, "careen's services are starting on the node: {placed} of {of} run")?;
                why.iter().try_for_each(|why| write!(f, " ({why})"))
            }
            Self::ImageMissing { image, why } => {
                write!(f, "the image {image} is not on the node, and the node cannot pull it ({why})")
            }
            Self::AgentRejected { why } => write!(f, "the node refuses the agent: {why}"),
            Self::HostBusy { transaction } => write!(f, "the transaction {transaction} has the host"),
            Self::Copied { from } => write!(
                f,
                "what careen keeps on the host was copied from {from}; nothing starts until somebody says on the host which \
                 machine it is"
            ),
            Self::HostAtWork { during } => write!(f, "the host is at work ({})", during.word()),
            Self::HostWaits { why } => write!(f, "its host waits: {why}"),
            Self::NoReport { during } => {
                write!(f, "the agent's report cannot be read at the moment ({})", during.word())
            }
            Self::VolumeWouldMove { service, source } => write!(
                f,
                "{service} would start elsewhere without its data in {source}: pin it, or use --allow-volume-moves"
            ),
            Self::NoPlace { service, why } => {
                write!(f, "{service} would have no place elsewhere ({why}): make room, or use --allow-gaps")
            }
            Self::AtZero { service } => {
                write!(f, "no task of {service} would be left running: spread it over more nodes, or use --allow-gaps")
            }
            Self::NotEmpty { services } => {
                write!(f, "the drained node still runs {}", services.join(", "))
            }
            Self::NotReplaced { services, why } => {
                write!(f, "not running elsewhere yet: {}", with_why(services, why))
            }
            Self::AvailabilityChanged { now, needed } => write!(
                f,
                "somebody set the node to '{}' while the rollout needs '{}': set it back, or skip the node",
                now.word(),
                needed.word()
            ),
            Self::GivingTheGo => f.write_str("the go is on its way"),
            Self::RefusingTheRestart => {
                f.write_str("the rollout is being aborted: the restart that the host waits for is refused")
            }
            Self::Restarting { kind: Restart::Engine } => f.write_str("the engine is being restarted"),
            Self::Restarting { kind: Restart::Reboot } => f.write_str("the host is being rebooted"),
            Self::UnlockNeeded { command } => write!(f, "the manager is locked; on its host: {command}"),
            Self::CleaningUp => f.write_str("careen's services are being removed from the node"),
            Self::ServicesWorse { services, why } => {
                write!(f, "worse than before the rollout: {}", with_why(services, why))
            }
            Self::ManagerUnreachable => f.write_str("the manager does not take part in the swarm again yet"),
            Self::Monitoring { seconds_left } => {
                write!(f, "all services are well; watching them for {seconds_left} s more")
            }
            Self::CorruptRecord { text } => {
                write!(f, "the label careen.node says '{text}', which this version does not understand")
            }
            Self::OtherRollout { rollout } => {
                write!(f, "the rollout {rollout} left this node unfinished")
            }
            Self::Surging { services, why } => {
                write!(f, "scaled up before the drain, and not running elsewhere yet: {}", with_why(services, why))
            }
            Self::SurgeBack { services, why } => {
                write!(f, "still scaled up until everything runs elsewhere: {}", with_why(services, why))
            }
            Self::SurgeElsewhere { service, node } => {
                write!(f, "{service} is scaled up for {node} at the moment; one node at a time")
            }
            Self::NoRoomToSurge { service, why } => write!(
                f,
                "{service} cannot be scaled up before the drain ({why}): make room, or use --allow-gaps"
            ),
            Self::ServiceUpdating { service, update } => write!(
                f,
                "{service} cannot be scaled now: its {}; scaling would end that",
                match update {
                    UnfinishedUpdate::UnderWay => "update is under way",
                    UnfinishedUpdate::Paused => "update is paused",
                    UnfinishedUpdate::RollingBack => "update is being rolled back",
                    UnfinishedUpdate::RollbackPaused => "rollback is paused",
                }
            ),
            Self::CorruptSurge { text } => {
                write!(f, "the label careen.surges says '{text}', which this version does not understand")
            }
            Self::NodeGone { seconds_left } => write!(
                f,
                "the node left the swarm during its turn, and its host may still be at work; its place is kept for \
                 {seconds_left} s more"
            ),
            Self::Rejoined { node, hostname } => write!(
                f,
                "the node left the swarm during its turn and joined again as {hostname} ({node}), where its command goes on"
            ),
            Self::SeveralRejoined { nodes } => {
                let nodes: Vec<&str> = nodes.iter().map(|node| node.0.as_str()).collect();
                write!(
                    f,
                    "the node left the swarm during its turn, and several nodes carry its record: {}; all but one are copies, so \
                     none is trusted",
                    nodes.join(", ")
                )
            }
            Self::RecordRemoved => f.write_str(
                "somebody removed the node's label careen.node after the rollout had started there; nothing is started again",
            ),
            Self::BaselineRemoved => f.write_str(
                "somebody removed the config that lists the nodes that take part; no further node starts",
            ),
            Self::Recording => f.write_str("the next step is being recorded"),
        }
    }
}

impl fmt::Display for PauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("an operator asked for it"),
            Self::NodeFailed { node, during, why } => {
                write!(f, "{node} failed ({}: {})", during.word(), why.word())
            }
            Self::NodeGone { hostname, .. } => write!(f, "{hostname} left the swarm during its turn"),
            Self::BaselineRemoved => {
                f.write_str("somebody removed the config that lists the nodes that take part")
            }
            Self::EnforcementChanged { enforcement, amiss } => {
                write!(f, "the enforcement {enforcement} was changed by hand: {amiss}")
            }
            Self::NodeHeld { node, hold, seconds } => {
                write!(f, "{node} was held for {seconds} s: {hold}")
            }
        }
    }
}

/// Services, each with what keeps its tasks from running.
fn with_why(services: &[String], why: &BTreeMap<String, String>) -> String {
    let told = |service: &String| match why.get(service) {
        Some(why) => format!("{service} ({why})"),
        None => service.clone(),
    };
    services.iter().map(told).collect::<Vec<_>>().join(", ")
}

fn list(nodes: &[NodeId]) -> String {
    match nodes {
        [one] => format!("{one} is"),
        [] => "others are".to_owned(),
        [first, rest @ ..] => format!("{first} and {} more are", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hold_has_a_name_in_json_and_a_sentence() {
        for hold in Hold::examples() {
            let json = serde_json::to_value(&hold).unwrap();
            assert_eq!(json["hold"], hold.name());
            assert_eq!(serde_json::from_value::<Hold>(json).unwrap(), hold);
            assert!(hold.to_string().len() > 10, "{hold:?}");
        }
    }

    #[test]
    fn what_keeps_tasks_from_running_is_quoted() {
        let services = || vec!["db".to_owned(), "web".to_owned()];
        let hold = Hold::NotReplaced { services: services(), why: missing_image() };
        let quoted = "db, web (rejected on w2: No such image: web:9)";
        assert_eq!(hold.to_string(), format!("not running elsewhere yet: {quoted}"));
        let hold = Hold::ServicesWorse { services: services(), why: missing_image() };
        assert_eq!(hold.to_string(), format!("worse than before the rollout: {quoted}"));
        // As careen wrote it before: nothing that was stored becomes unreadable.
        let old = r#"{"hold":"not-replaced","services":["web"]}"#;
        let read: Hold = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
    }

    #[test]
    fn every_hold_stands_in_the_documents_and_no_other() {
        let text = include_str!("../../../docs/rollout-states.md");
        let table = text.split("## Holds").nth(1).unwrap().split("## Limits").next().unwrap();
        assert_eq!(table.matches("\n| `").count(), Hold::examples().len());
        for hold in Hold::examples() {
            assert!(text.contains(&format!("| `{}` |", hold.name())), "{} is missing", hold.name());
        }
    }
}
