//! What is left of rollouts that do not go on: labels and services. And how it is given back from that alone, when nobody
//! else does: decided anew at each look, as a pass is, and carried out by an operator's command.
//!
//! An agent's container goes before its gates, so that what goes with it tells no agent anything. What is on a node that does
//! not report stays until it does.

use crate::action::Action;
use crate::availability;
use crate::ids::{JobKey, JobRole, NodeId, RolloutId, ServiceId, Version};
use crate::indexed::Indexed;
use crate::names::Names;
use crate::observed::{Availability, Job, Node, Observed, Scale};
use crate::on_hold;
use crate::state::{CorruptRecord, NodeRecord, NodeState, Reason, StateName, Taken};
use crate::surge::{Stand, Surge};
use careen_contract::label;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is left of one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Remains {
    /// Nodes with its label.
    pub nodes: Vec<LabelledNode>,
    pub services: Vec<JobKey>,
}

/// A node that has the label of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct LabelledNode {
    pub id: NodeId,
    pub hostname: String,
    /// What it is called in a command.
    pub typed: String,
    /// Where it stood in that rollout.
    #[serde(rename = "stage")]
    pub state: NodeState,
    /// What its availability is.
    pub availability: Availability,
    /// What careen made of it, where it is still so.
    pub taken: Option<Taken>,
}

impl LabelledNode {
    fn of(node: &Node, names: &Names, record: &NodeRecord) -> Self {
        Self {
            id: node.id.clone(),
            hostname: node.hostname.clone(),
            typed: names.typed(&node.id),
            state: record.state.clone(),
            availability: node.availability,
            taken: record.taken.filter(|taken| taken.set == node.availability),
        }
    }

    /// Whether its host may still be at work for that rollout, as far as the label knows.
    pub fn may_be_at_work(&self) -> bool {
        self.state.is_after_the_go() || matches!(self.state, NodeState::Failed { .. })
    }
}

/// What is left of all rollouts but the one that goes on.
pub fn remains(observed: &Observed, going_on: Option<&RolloutId>) -> BTreeMap<RolloutId, Remains> {
    let names = Names::of(observed);
    let mut all: BTreeMap<RolloutId, Remains> = BTreeMap::new();
    for node in &observed.nodes {
        if let Ok(Some(record)) = NodeRecord::of(node) {
            let labelled = LabelledNode::of(node, &names, &record);
            all.entry(record.rollout).or_default().nodes.push(labelled);
        }
    }
    for job in &observed.jobs {
        all.entry(job.key.rollout.clone()).or_default().services.push(job.key.clone());
    }
    all.retain(|rollout, _| Some(rollout) != going_on);
    all
}

/// What is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub enum Scope {
    /// One node, whatever rollout left something of it but the one that goes on.
    Node {
        node: NodeId,
        /// The rollout that goes on.
        going_on: Option<RolloutId>,
    },
    /// All of a rollout, as its abort would: what failed, or may be at work, keeps its label and stays as it is.
    Rollout(RolloutId),
}

/// Why nothing is given back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the field's name says it")]
pub enum CannotRestore {
    /// The rollout that the node takes part in goes on.
    #[error("the rollout {rollout} goes on, and the node is in the middle of it")]
    GoesOn { rollout: RolloutId },
    /// Its label cannot be read, so nobody knows what is to be given back.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// There is nothing of careen's.
    #[error("careen has left nothing there")]
    Nothing,
}

/// One step of giving back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Giving {
    /// Labels and availability of a node, in one write.
    Write {
        node: NodeId,
        /// The version that was looked at.
        version: Version,
        /// Its new labels; `None` takes one away.
        labels: BTreeMap<String, Option<String>>,
        /// `None` leaves it as it is.
        availability: Option<Availability>,
    },
    /// The containers of one of careen's services.
    Stop {
        key: JobKey,
        /// The version that was looked at.
        version: Version,
    },
    /// One of careen's services.
    Remove { key: JobKey },
    /// How many tasks a service of somebody else's has, which was scaled up for a node.
    Scale {
        service: ServiceId,
        /// What people know it by.
        name: String,
        /// The version that was looked at.
        version: Version,
        from: u64,
        to: u64,
    },
}

impl From<Giving> for Action {
    fn from(giving: Giving) -> Self {
        match giving {
            Giving::Write { node, version, labels, availability } => {
                Self::UpdateNode { node, version, labels, availability }
            }
            Giving::Stop { key, version } => Self::StopJob { key, version },
            Giving::Remove { key } => Self::RemoveJob { key },
            Giving::Scale { service, version, from, to, name: _ } => {
                Self::ScaleService { service, version, from, to }
            }
        }
    }
}

/// What comes next in giving back.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// To be carried out; then one looks again.
    Act(Vec<Giving>),
    /// Containers are being taken away.
    Wait(Vec<JobKey>),
    /// Updates of these services are not through; giving back how they were scaled would end them.
    Updating(Vec<String>),
    /// Everything is given back that can be. Services on nodes that do not report are left.
    Done(Vec<JobKey>),
}

/// Whether something of careen's may be given back on a node, or of one that left.
pub fn may_restore(
    observed: &Observed,
    node: &NodeId,
    going_on: Option<&RolloutId>,
) -> Result<(), CannotRestore> {
    let record = observed.node(node).map(NodeRecord::of).transpose()?.flatten();
    let of_label = record.map(|record| record.rollout);
    let of_jobs = observed.jobs.iter().filter(|job| job.key.node == *node).map(|job| job.key.rollout.clone());
    let of_surge = observed.node(node).and_then(|node| Surge::of(node).ok()?).map(|surge| surge.rollout);
    let rollouts: BTreeSet<RolloutId> = of_label.iter().cloned().chain(of_jobs).chain(of_surge).collect();
    let works = going_on.filter(|id| rollouts.contains(*id));
    let asked = observed.node(node).is_some_and(|node| node.labels.contains_key(label::ASK));
    match works {
        // What an older one left beside it can go; its own can not.
        Some(rollout) if of_label.as_ref() == Some(rollout) || rollouts.len() == 1 => {
            Err(CannotRestore::GoesOn { rollout: rollout.clone() })
        }
        _ if rollouts.is_empty() && !(asked && going_on.is_none()) => Err(CannotRestore::Nothing),
        _ => Ok(()),
    }
}

/// What comes next on the way to having given back what is in the scope.
pub fn next(observed: &Observed, scope: &Scope) -> Next {
    let observed = &Indexed::of(observed);
    let services: Vec<&Job> = observed.jobs.iter().filter(|job| scope.has(&job.key)).collect();
    let reports = |job: &Job| observed.node(job.place()).is_none_or(Node::is_ready);
    let (reachable, left): (Vec<&Job>, Vec<&Job>) = services.into_iter().partition(|job| reports(job));
    let keys = |jobs: &[&Job]| jobs.iter().map(|job| job.key.clone()).collect::<Vec<JobKey>>();
    let removals: Vec<Giving> = reachable.iter().filter_map(|job| removal(observed, job)).collect();
    if !removals.is_empty() {
        return Next::Act(removals);
    }
    if !reachable.is_empty() {
        return Next::Wait(keys(&reachable));
    }
    let surges = surges(observed, scope);
    if !surges.steps.is_empty() {
        return Next::Act(surges.steps);
    }
    if !surges.updating.is_empty() {
        return Next::Updating(surges.updating);
    }
    let writes: Vec<Giving> = observed.nodes.iter().filter_map(|node| scope.write(node)).collect();
    if writes.is_empty() { Next::Done(keys(&left)) } else { Next::Act(writes) }
}

/// What is left of services that were scaled up for nodes.
#[derive(Default)]
struct Surges {
    steps: Vec<Giving>,
    updating: Vec<String>,
}

/// Nobody waits here until all of their tasks run: an operator wants them back.
fn surges(observed: &Indexed<'_>, scope: &Scope) -> Surges {
    let mut surges = Surges::default();
    for surge in observed.nodes.iter().filter_map(|node| scope.surge(node)) {
        for (id, scaling) in &surge.services {
            let Some(service) = observed.service(id) else { continue };
            let (service, name) = (id.clone(), service.name.clone());
            let (from, to) = (scaling.to, scaling.from);
            match scaling.stand(observed.service(id)) {
                Stand::Made(Scale { update: Some(_), .. }) => surges.updating.push(name),
                Stand::Made(Scale { version, .. }) => {
                    surges.steps.push(Giving::Scale { service, name, version, from, to });
                }
                // A controller that is frozen can scale it up no more then.
                Stand::Intended => {
                    surges.steps.push(Giving::Scale { service, name, version: scaling.at, from: to, to });
                }
                Stand::Theirs => {}
            }
        }
    }
    surges
}

impl Scope {
    /// What was scaled up for a node, where it is to be given back.
    fn surge(&self, node: &Node) -> Option<Surge> {
        let surge = Surge::of(node).ok()??;
        match self {
            Self::Node { node: id, going_on } => {
                (node.id == *id && going_on.as_ref() != Some(&surge.rollout)).then_some(surge)
            }
            Self::Rollout(id) => (surge.rollout == *id).then_some(surge),
        }
    }

    fn has(&self, key: &JobKey) -> bool {
        match self {
            Self::Node { node, going_on } => key.node == *node && going_on.as_ref() != Some(&key.rollout),
            Self::Rollout(rollout) => key.rollout == *rollout,
        }
    }

    /// Labels and availability of a node in one write. Of what was scaled up for it nothing is left by then.
    fn write(&self, node: &Node) -> Option<Giving> {
        let surge = self.surge(node).map(|_| (label::SURGE.to_owned(), None));
        let Some(mut giving) = self.write_record(node) else {
            let labels = BTreeMap::from([surge?]);
            let (node, version) = (node.id.clone(), node.version);
            return Some(Giving::Write { node, version, labels, availability: None });
        };
        if let Giving::Write { labels, .. } = &mut giving {
            labels.extend(surge);
        }
        Some(giving)
    }

    fn write_record(&self, node: &Node) -> Option<Giving> {
        let record = NodeRecord::of(node).ok()?;
        let rollout = record.as_ref().map(|record| &record.rollout);
        match self {
            Self::Node { node: id, going_on } => {
                let theirs = rollout.is_some() && rollout == going_on.as_ref();
                let labelled =
                    rollout.is_some() || (going_on.is_none() && node.labels.contains_key(label::ASK));
                (node.id == *id && labelled && !theirs).then(|| give_back(node, record.as_ref()))
            }
            Self::Rollout(id) => {
                let Some(record) = record else {
                    return on_hold::is_of(node, id).then(|| without_labels(node, None));
                };
                let record = Some(&record).filter(|record| record.rollout == *id)?;
                match stays(record) {
                    None => Some(give_back(node, Some(record))),
                    Some(state) if state == record.state => None,
                    Some(state) => Some(relabel(node, &NodeRecord { state, ..record.clone() })),
                }
            }
        }
    }
}

/// What an abort leaves as it is, and what it calls it.
fn stays(record: &NodeRecord) -> Option<NodeState> {
    match &record.state {
        NodeState::Failed { .. } => Some(record.state.clone()),
        state if state.is_after_the_go() => {
            let during = state.can_fail_in().unwrap_or(StateName::Verifying);
            Some(NodeState::Failed { during, reason: Reason::Aborted })
        }
        NodeState::Pending
        | NodeState::Entering
        | NodeState::Preparing
        | NodeState::Draining { .. }
        | NodeState::Running { .. }
        | NodeState::RestartingEngine
        | NodeState::Rebooting
        | NodeState::Verifying
        | NodeState::Restoring { .. }
        | NodeState::Settling
        | NodeState::Done
        | NodeState::Skipped { .. }
        | NodeState::Gone { .. } => None,
    }
}

fn give_back(node: &Node, record: Option<&NodeRecord>) -> Giving {
    let taken = record.and_then(|record| record.taken);
    without_labels(node, availability::restore(node, taken).to)
}

/// Takes all labels of careen's off a node.
pub(crate) fn without_labels(node: &Node, availability: Option<Availability>) -> Giving {
    let labels =
        [label::NODE, label::ASK, label::LAST_WORDS, label::HELD].map(|name| (name.to_owned(), None));
    let (node, version) = (node.id.clone(), node.version);
    Giving::Write { node, version, labels: BTreeMap::from(labels), availability }
}

/// What careen drained stays so. A node that its operator keeps drained, and that was active for a moment, goes back to that.
fn relabel(node: &Node, record: &NodeRecord) -> Giving {
    let change = match availability::operators(node, record.taken) {
        Availability::Active => availability::Change { to: None, taken: record.taken },
        Availability::Pause | Availability::Drain => availability::restore(node, record.taken),
    };
    let record = NodeRecord { taken: change.taken, ..record.clone() };
    let labels = [(label::NODE.to_owned(), Some(record.encode())), (label::ASK.to_owned(), None)];
    Giving::Write {
        node: node.id.clone(),
        version: node.version,
        labels: BTreeMap::from(labels),
        availability: change.to,
    }
}

/// The next step on the way out of the swarm for one service; `None`: it waits for its container, or for its agent's.
fn removal(observed: &Indexed<'_>, job: &Job) -> Option<Giving> {
    let key = job.key.clone();
    if observed.node(job.place()).is_none() {
        return Some(Giving::Remove { key });
    }
    let beside = |other: &&Job| {
        other.key != key && other.key.with_role(JobRole::Agent) == key.with_role(JobRole::Agent)
    };
    let others: Vec<&Job> = observed.jobs_for(&key.node).iter().copied().filter(beside).collect();
    let is_agent = |job: &Job| job.key.role == JobRole::Agent;
    let agent_is_there = others.iter().any(|other| is_agent(other) && !is_gone(other));
    match (is_agent(job), is_gone(job)) {
        (false, _) if agent_is_there => None,
        // Its name stays taken until its gates are gone.
        (true, true) if !others.is_empty() => None,
        (_, true) => Some(Giving::Remove { key }),
        (_, false) => (!job.stopped).then_some(Giving::Stop { key, version: job.version }),
    }
}

fn is_gone(job: &Job) -> bool {
    job.stopped && !job.may_run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{NodeStatus, TaskState};
    use crate::state::{AfterRestoring, Goal, Skip};
    use crate::testing::{rollout, worker};
    use Availability::{Active, Drain, Pause};

    fn labelled(name: &str, state: NodeState, availability: Availability, taken: Option<Taken>) -> Node {
        let record = NodeRecord { state, taken, ..NodeRecord::new(&rollout(), 3) };
        let labels = BTreeMap::from([(label::NODE.to_owned(), record.encode())]);
        Node { availability, labels, ..worker(name) }
    }

    fn of_node(name: &str) -> Scope {
        Scope::Node { node: NodeId(name.into()), going_on: None }
    }

    fn services(observed: &mut Observed, name: &str, state: TaskState) {
        let agent = JobKey {
            rollout: rollout(),
            node: NodeId(name.into()),
            generation: 1,
            agent: 1,
            role: JobRole::Agent,
        };
        let gate = agent.with_role(JobRole::Gate(1));
        for key in [gate, agent] {
            let (version, tasks) = (Version(2), vec![state]);
            observed.jobs.push(Job {
                key,
                version,
                stopped: false,
                on: None,
                tasks,
                swept: false,
                refused: None,
            });
        }
    }

    /// The actions in words.
    fn words(next: &Next) -> Vec<String> {
        let part = |key: &JobKey| if key.role == JobRole::Agent { "agent" } else { "gate" };
        let word = |giving: &Giving| match giving {
            Giving::Write { node, labels, availability, .. } => {
                let label = labels[label::NODE].as_ref();
                let label = label.map_or("-", |text| text.splitn(6, ' ').nth(5).unwrap());
                let to = availability.map_or(String::new(), |to| format!(" := {}", to.word()));
                assert_eq!(labels[label::ASK], None);
                format!("{node} {label}{to}")
            }
            Giving::Stop { key, .. } => format!("stop {}", part(key)),
            Giving::Remove { key } => format!("remove {}", part(key)),
            Giving::Scale { name, version: Version(at), from, to, .. } => {
                format!("scale {name} at {at}: {from} to {to}")
            }
        };
        match next {
            Next::Act(actions) => actions.iter().map(word).collect(),
            Next::Wait(keys) => vec![format!("wait {}", keys.len())],
            Next::Updating(names) => vec![format!("updating {}", names.join(" "))],
            Next::Done(keys) => vec![format!("done, {} left", keys.len())],
        }
    }

    #[test]
    fn a_node_is_given_back_from_its_label_alone() {
        let taken = |was, set| Some(Taken { was, set });
        let failed = NodeState::Failed { during: StateName::Running, reason: Reason::Exit(1) };
        // state, availability, what careen made of it; restore, abort
        let drain = NodeState::Draining { goal: Goal::Run };
        let restoring = NodeState::Restoring { then: AfterRestoring::Skip { why: Skip::Asked } };
        let table = [
            (NodeState::Entering, Active, None, "w1 -", "w1 -"),
            (NodeState::Entering, Active, taken(Drain, Active), "w1 - := drain", "w1 - := drain"),
            (drain.clone(), Drain, taken(Active, Drain), "w1 - := active", "w1 - := active"),
            (drain.clone(), Drain, taken(Pause, Drain), "w1 - := pause", "w1 - := pause"),
            // Somebody else changed it since: it is theirs.
            (drain.clone(), Pause, taken(Active, Drain), "w1 -", "w1 -"),
            (drain, Drain, None, "w1 -", "w1 -"),
            (restoring, Drain, taken(Active, Drain), "w1 - := active", "w1 - := active"),
            (NodeState::Settling, Active, None, "w1 -", "w1 -"),
            // An abort leaves a host alone that may be at work; `restore NODE` says that somebody knows better.
            (
                NodeState::Running { drained: true },
                Drain,
                taken(Active, Drain),
                "w1 - := active",
                "w1 failed:running:aborted active>drain",
            ),
            (
                NodeState::Verifying,
                Active,
                taken(Drain, Active),
                "w1 - := drain",
                "w1 failed:verifying:aborted := drain",
            ),
            (failed, Drain, taken(Active, Drain), "w1 - := active", "done, 0 left"),
        ];
        for (state, availability, taken, restored, aborted) in table {
            let nodes = vec![labelled("w1", state.clone(), availability, taken), worker("w2")];
            let observed = Observed { nodes, ..Observed::default() };
            assert_eq!(words(&next(&observed, &of_node("w1"))), [restored], "{state:?}");
            assert_eq!(words(&next(&observed, &Scope::Rollout(rollout()))), [aborted], "{state:?}");
            assert_eq!(words(&next(&observed, &of_node("w2"))), ["done, 0 left"]);
            let other = RolloutId::parse("other").unwrap();
            assert_eq!(words(&next(&observed, &Scope::Rollout(other))), ["done, 0 left"]);
        }
    }

    #[test]
    fn an_agent_goes_before_its_gates_and_services_before_labels() {
        let mut observed = Observed {
            nodes: vec![labelled("w1", NodeState::Preparing, Active, None)],
            ..Observed::default()
        };
        services(&mut observed, "w1", TaskState::Running);
        let step = |observed: &Observed| words(&next(observed, &of_node("w1")));
        assert_eq!(step(&observed), ["stop agent"]);
        observed.jobs[1].stopped = true;
        assert_eq!(step(&observed), ["wait 2"], "its container may be there");
        observed.jobs[1].tasks = vec![TaskState::Shutdown];
        assert_eq!(step(&observed), ["stop gate"], "its name stays taken");
        (observed.jobs[0].stopped, observed.jobs[0].tasks) = (true, vec![TaskState::Shutdown]);
        assert_eq!(step(&observed), ["remove gate"]);
        observed.jobs.remove(0);
        assert_eq!(step(&observed), ["remove agent"]);
        observed.jobs.clear();
        assert_eq!(step(&observed), ["w1 -"]);
        // A gate without its agent, and services of a node that is down or left.
        services(&mut observed, "w1", TaskState::Running);
        observed.jobs.remove(1);
        assert_eq!(step(&observed), ["stop gate"]);
        observed.nodes[0].status = NodeStatus::Down;
        assert_eq!(step(&observed), ["w1 -"], "what is on it stays until it reports");
        observed.nodes[0].labels.clear();
        assert_eq!(step(&observed), ["done, 1 left"]);
        observed.nodes.clear();
        assert_eq!(step(&observed), ["remove gate"]);
    }

    #[test]
    fn what_belongs_to_a_rollout_that_goes_on_is_not_given_back() {
        let (mine, other) = (rollout(), RolloutId::parse("other").unwrap());
        let node = NodeId("w1".into());
        let mut observed = Observed { nodes: vec![worker("w1")], ..Observed::default() };
        let may = |observed: &Observed, going_on: Option<&RolloutId>| may_restore(observed, &node, going_on);
        assert_eq!(may(&observed, None), Err(CannotRestore::Nothing));
        services(&mut observed, "w1", TaskState::Running);
        assert_eq!(may(&observed, None), Ok(()));
        assert_eq!(may(&observed, Some(&other)), Ok(()));
        let goes_on = Err(CannotRestore::GoesOn { rollout: mine.clone() });
        assert_eq!(may(&observed, Some(&mine)), goes_on);
        observed.jobs.clear();
        observed.nodes = vec![labelled("w1", NodeState::Preparing, Active, None)];
        assert_eq!(may(&observed, Some(&mine)), goes_on);
        assert_eq!(may(&observed, Some(&other)), Ok(()));
        // Services of the one that goes on stay beside what another one left.
        services(&mut observed, "w1", TaskState::Running);
        observed.jobs.iter_mut().for_each(|job| job.key.rollout = other.clone());
        let scope = Scope::Node { node: node.clone(), going_on: Some(other.clone()) };
        assert_eq!(may(&observed, Some(&other)), Ok(()));
        assert_eq!(words(&next(&observed, &scope)), ["w1 -"]);
        let left = remains(&observed, Some(&other));
        assert_eq!((left.len(), left[&mine].nodes.len(), left[&mine].services.len()), (1, 1, 0));
        observed.nodes[0].labels.insert(label::NODE.into(), "9 later".into());
        assert!(matches!(may(&observed, None), Err(CannotRestore::Corrupt(_))));
    }
}
