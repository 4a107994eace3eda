//! What the swarm knows of rollouts, out of what it stores. Pure.

use crate::backend::{EndedNode, Record, Rollouts, Summary};
use crate::exit::Exit;
use crate::named::{Shortened, both, called};
use crate::parity::Parity;
use crate::render::text::{first_of, short};
use careen_planner::observed::{HostPhase, NodeOutcome};
use careen_planner::rollout::{Control, NodeResult};
use careen_planner::{JobKey, JobRole, RolloutId};
use careen_swarm::{History, HistoryNode, Remembered, Rollout};
use jiff::Timestamp;

/// All rollouts: those whose config is there, the oldest first, and those of which the history tells.
pub fn rollouts(stored: Vec<Rollout>, remembered: Remembered) -> Rollouts {
    let Remembered { histories, mut unreadable, headless } = remembered;
    let told = |id: &RolloutId| histories.iter().any(|history| history.rollout == *id);
    let goes_on =
        |id: &RolloutId| stored.iter().any(|rollout| rollout.spec.id == *id && !rollout.is_finished());
    let headless = headless.iter().filter(|(id, _)| !goes_on(id));
    unreadable.extend(headless.map(|(id, parts)| {
        format!("the first part of the record of {id} is gone, and there is {}", parts.join(", "))
    }));
    let open = stored.into_iter().filter(|rollout| !told(&rollout.spec.id)).rev();
    let open = open.map(|rollout| Summary {
        spec: rollout.spec,
        control: rollout.control,
        by: rollout.by,
        submitted: Some(rollout.submitted),
        nodes: Vec::new(),
        record: None,
    });
    Rollouts { known: open.chain(histories.iter().map(summary)).collect(), unreadable }
}

fn summary(history: &History) -> Summary {
    Summary {
        spec: history.spec.clone(),
        control: Control::Finished { outcome: history.outcome },
        by: history.by.clone(),
        submitted: Some(history.submitted.clone()),
        nodes: history.nodes.iter().map(|node| ended(history, node)).collect(),
        record: Some(Record {
            ended: history.ended.clone(),
            files: history.files.clone(),
            sha256: history.sha256.clone(),
            before: history.before.clone(),
            parity: Parity::of(&history.nodes, &history.results),
        }),
    }
}

fn ended(history: &History, node: &HistoryNode) -> EndedNode {
    let tries = history.results.iter().filter(|result| result.node == node.id).cloned();
    let mut tries: Vec<NodeResult> = tries.collect();
    tries.sort_by_key(|result| result.generation);
    let (rollout, of) = (history.rollout.clone(), node.id.clone());
    let key = JobKey { rollout, node: of, generation: node.generation, agent: 1, role: JobRole::Agent };
    let result = tries.iter().find(|result| result.generation == node.generation);
    let record = result.and_then(|result| result.record.clone());
    EndedNode {
        node: node.id.clone(),
        transaction: key.transaction().map(|id| format!("{id}{}", suffix(result))),
        hostname: node.hostname.clone(),
        stage: node.state.clone(),
        record: record.or_else(|| node.last_words.clone()),
        seconds: result.and_then(|result| result.seconds),
        generation: node.generation,
        tries,
    }
}

/// What stands behind the try's name in that of the transaction to look at: of a host that was in sync there is its `check` alone.
fn suffix(result: Option<&NodeResult>) -> &'static str {
    match result.map(|result| &result.outcome) {
        Some(NodeOutcome::InSync | NodeOutcome::Failed { phase: HostPhase::Check, .. }) => "-c",
        Some(NodeOutcome::Succeeded | NodeOutcome::Failed { .. }) | None => "",
    }
}

/// How long a rollout took, from its submission to its record, by the leader's clock. Nothing where that went back meanwhile.
pub fn seconds(summary: &Summary) -> Option<u64> {
    let from: Timestamp = summary.submitted.as_ref()?.parse().ok()?;
    let to: Timestamp = summary.record.as_ref()?.ended.parse().ok()?;
    u64::try_from(to.duration_since(from).as_secs()).ok()
}

/// Why nothing is remembered of what was asked for.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum NotRemembered {
    #[error("the swarm remembers no rollout '{}'", short(.given, SHOWN))]
    Rollout { given: String },
    #[error("'{}' is the name of several, or its beginning: {}", short(.given, SHOWN), some(.names))]
    Several { given: String, names: Vec<String> },
    #[error("the rollout {rollout} is not over, so there is no record of it yet")]
    NotOver { rollout: RolloutId },
    #[error("the record of the rollout {rollout} has no node '{}'", short(.given, SHOWN))]
    Node { rollout: RolloutId, given: String },
}

/// So many columns of a name, and so many names, an error shows.
const SHOWN: usize = 60;
const NAMES: usize = 10;

fn some(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| short(name, SHOWN)).collect();
    first_of(&names, NAMES)
}

impl NotRemembered {
    /// What the process exits with.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Rollout { .. } | Self::Several { .. } | Self::Node { .. } => Exit::Usage,
            Self::NotOver { .. } => Exit::Other,
        }
    }

    /// What to do next.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::Rollout { .. } => "'careen history' lists those that it remembers",
            Self::Several { .. } => "say more of the name, or the whole id",
            Self::NotOver { .. } => "'careen status' shows where it stands",
            Self::Node { .. } => "'careen show RUN' lists those of which something was begun",
        }
    }
}

/// The rollout that is called so, if it is over.
pub fn find_over<'a>(known: &'a [Summary], given: &str) -> Result<&'a Summary, NotRemembered> {
    let one = find_rollout(known, given)?;
    match one.control {
        Control::Finished { .. } => Ok(one),
        Control::Running | Control::Paused { .. } | Control::Aborting => {
            Err(NotRemembered::NotOver { rollout: one.spec.id.clone() })
        }
    }
}

/// The rollout that is called so, whether it is over or not.
pub fn find_rollout<'a>(known: &'a [Summary], given: &str) -> Result<&'a Summary, NotRemembered> {
    let id = |summary: &&Summary| summary.spec.id.to_string();
    let given = given.to_owned();
    let found = called(known, &given, Shortened::Ids, |summary| {
        let id = summary.spec.id.as_str();
        [id, id]
    });
    match &found[..] {
        [one] => Ok(one),
        [] => Err(NotRemembered::Rollout { given }),
        several => Err(NotRemembered::Several { given, names: several.iter().map(id).collect() }),
    }
}

/// The node of a rollout that is over, by its id or name.
pub fn find_node<'a>(summary: &'a Summary, given: &str) -> Result<&'a EndedNode, NotRemembered> {
    let name = |node: &&EndedNode| both(&node.hostname, &node.node.0);
    let given = given.to_owned();
    let found = called(&summary.nodes, &given, Shortened::IdsAndNames, |node| [&node.node.0, &node.hostname]);
    match &found[..] {
        [one] => Ok(one),
        [] => Err(NotRemembered::Node { rollout: summary.spec.id.clone(), given }),
        several => Err(NotRemembered::Several { given, names: several.iter().map(name).collect() }),
    }
}
