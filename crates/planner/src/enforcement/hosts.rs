//! How the hosts of an enforcement are: what each said last of itself, and why nobody speaks for the others.

use super::{Enforcement, EnforcementState};
use crate::constraint::{Constraints, Fit};
use crate::ids::NodeId;
use crate::inquiry::TaskSeen;
use crate::observed::{Availability, Node, NodeStatus, TaskState};
use crate::selection::unfit;
use crate::state::Skip;
use careen_contract::standing::{EnforceState, Standing};
use std::collections::BTreeMap;

/// What the log of a task says of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastWord {
    /// This, last of all.
    Said(Box<Standing>),
    /// Something that this version of careen does not understand.
    Unintelligible,
    /// Nothing yet.
    Nothing,
    /// It cannot be read now.
    Unread {
        /// Why, in words.
        why: String,
    },
}

/// A host that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct EnforcedHost {
    pub node: NodeId,
    pub hostname: String,
    pub coverage: Coverage,
}

/// Whether an agent keeps the host as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// One runs there, and this is its last word.
    Covered(LastWord),
    /// None does.
    Not(Uncovered),
}

/// Why no agent runs on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Uncovered {
    /// The whole enforcement is paused.
    Stopped,
    /// Its service is not there.
    NoService,
    Down,
    Drained,
    /// Its node is paused, and has no task: Swarm places none there.
    Paused,
    /// Nothing of careen's runs there.
    Unfit(Skip),
    /// Its engine does not have the image, and cannot get it.
    NoImage {
        why: String,
    },
    /// Its tasks end.
    Fails {
        why: String,
    },
    /// Its task has not come up yet.
    OnItsWay,
    /// Swarm has not placed a task there.
    NotPlaced,
}

impl EnforcedHost {
    /// What it said last.
    pub fn said(&self) -> Option<&Standing> {
        match &self.coverage {
            Coverage::Covered(LastWord::Said(said)) => Some(said),
            Coverage::Covered(LastWord::Unintelligible | LastWord::Nothing | LastWord::Unread { .. })
            | Coverage::Not(_) => None,
        }
    }

    /// Whether it is as it should be.
    pub fn is_in_sync(&self) -> bool {
        self.said().is_some_and(|said| said.state == EnforceState::InSync)
    }

    /// Whether it may come to be as it should be while somebody waits: what an operator has to mend is not waited for.
    pub fn is_awaited(&self) -> bool {
        match &self.coverage {
            Coverage::Covered(LastWord::Said(said)) => match said.state {
                EnforceState::Looking
                | EnforceState::Mending
                | EnforceState::HostBusy
                | EnforceState::Failing
                | EnforceState::Unknown => true,
                EnforceState::InSync | EnforceState::GaveUp | EnforceState::NeedsRollout => false,
            },
            Coverage::Covered(LastWord::Nothing | LastWord::Unread { .. }) => true,
            Coverage::Covered(LastWord::Unintelligible) => false,
            Coverage::Not(why) => match why {
                Uncovered::OnItsWay | Uncovered::NotPlaced | Uncovered::Fails { .. } => true,
                Uncovered::Stopped
                | Uncovered::NoService
                | Uncovered::Down
                | Uncovered::Drained
                | Uncovered::Paused
                | Uncovered::Unfit(_)
                | Uncovered::NoImage { .. } => false,
            },
        }
    }
}

/// All hosts that are meant, by their names. The tasks are those of its service, the oldest first, or nothing where there is no service;
/// the words are by their tasks' ids.
pub fn hosts(
    spec: &Enforcement,
    state: &EnforcementState,
    nodes: &[Node],
    tasks: Option<&[TaskSeen]>,
    words: &BTreeMap<String, LastWord>,
) -> Vec<EnforcedHost> {
    let constraints = Constraints::of(&spec.constraints);
    let meant = nodes.iter().filter(|node| constraints.fit(node) != Fit::No);
    let host = |node: &Node| {
        let coverage = coverage(state, node, tasks, words);
        EnforcedHost { node: node.id.clone(), hostname: node.hostname.clone(), coverage }
    };
    let mut hosts: Vec<EnforcedHost> = meant.filter(|node| belongs(spec, state, node)).map(host).collect();
    hosts.sort_by(|a, b| (&a.hostname, &a.node).cmp(&(&b.hostname, &b.node)));
    hosts
}

/// Whether a node has this version, while it is brought to another one. What no task can run on stays in the list.
fn belongs(spec: &Enforcement, state: &EnforcementState, node: &Node) -> bool {
    match state {
        EnforcementState::Running {} | EnforcementState::Paused { .. } => true,
        EnforcementState::Updating { to, .. } => version_on(spec, node) != Some(to.as_str()),
        EnforcementState::Coming { .. } => version_on(spec, node) == Some(spec.version.as_str()),
    }
}

/// Which version a node was given while hosts are brought to another one.
pub fn version_on<'a>(spec: &Enforcement, node: &'a Node) -> Option<&'a str> {
    let label = format!("{}{}", careen_contract::label::ENFORCE_VERSION_ON, spec.name);
    node.labels.get(&label).map(String::as_str)
}

fn coverage(
    state: &EnforcementState,
    node: &Node,
    tasks: Option<&[TaskSeen]>,
    words: &BTreeMap<String, LastWord>,
) -> Coverage {
    if let Some(skip) = unfit(node) {
        return Coverage::Not(Uncovered::Unfit(skip));
    }
    if matches!(state, EnforcementState::Paused { .. }) {
        return Coverage::Not(Uncovered::Stopped);
    }
    let Some(tasks) = tasks else { return Coverage::Not(Uncovered::NoService) };
    match (node.status, node.availability) {
        (NodeStatus::Down | NodeStatus::Disconnected, _) => return Coverage::Not(Uncovered::Down),
        (NodeStatus::Ready | NodeStatus::Unknown, Availability::Drain) => {
            return Coverage::Not(Uncovered::Drained);
        }
        (NodeStatus::Ready | NodeStatus::Unknown, Availability::Active | Availability::Pause) => {}
    }
    let here: Vec<&TaskSeen> = tasks.iter().filter(|task| task.node == node.id).collect();
    // One that was told to leave says how it was before.
    match here.iter().rev().find(|task| task.state == TaskState::Running && !task.leaves) {
        Some(task) => Coverage::Covered(words.get(&task.id).cloned().unwrap_or(LastWord::Nothing)),
        None if node.availability == Availability::Pause => Coverage::Not(Uncovered::Paused),
        None => Coverage::Not(without_a_task(&here)),
    }
}

/// A task that fails is followed by another one, which is on its way most of the time: why the one before it ended says more.
fn without_a_task(here: &[&TaskSeen]) -> Uncovered {
    let failed = here.iter().rev().find(|task| task.no_image || task.state.ended_by_itself());
    if let Some(task) = failed {
        let why = task.trouble.clone().unwrap_or_else(|| "its task ended".to_owned());
        return if task.no_image { Uncovered::NoImage { why } } else { Uncovered::Fails { why } };
    }
    match here.iter().any(|task| !task.state.is_over() && !task.leaves) {
        true => Uncovered::OnItsWay,
        false => Uncovered::NotPlaced,
    }
}
