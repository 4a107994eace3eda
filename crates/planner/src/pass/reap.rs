//! careen's services that nothing needs any more are taken away, in an order that gives nobody a go.
//!
//! Two of an agent's gates are its go, and gates are taken away one after the other. So the agent's container goes first,
//! and its service stays until its gates are gone: its name keeps a controller that was frozen from creating the agent
//! again meanwhile. That one would find all its gates still running, draw, and might see exactly its two go first. A gate
//! without an agent gets a stand-in with that name, for the same reason. What is on a node that does not report stays
//! until it does, or until the node has left.
//!
//! Behind the end of a command its agent looks at no gate any more. Then it is enough that its service is stopped, so that no
//! other container of it comes: agent and gates leave together. The agent of a failed node stays, so that its log can be read, and its
//! gates go: those that were its go are stopped already, so that even another container of it would never see all of them run.

use super::node::is_past_the_go;
use super::through::{is_through, stays_for_its_log};
use super::{Work, last_words};
use crate::action::Action;
use crate::ids::{JobKey, JobRole, RolloutId};
use crate::indexed::Indexed;
use crate::observed::{Job, Said};
use crate::participants;
use crate::state::{NodeRecord, NodeState};
use std::cmp::Ordering;

impl Work<'_> {
    pub(super) fn reap(&mut self) {
        let observed = self.observed;
        for job in observed.jobs.iter().filter(|job| !is_needed(observed, &self.spec.id, &job.key)) {
            let removal = removal(observed, job).filter(|action| !is_last_trace(observed, job, action));
            if removal.as_ref().is_some_and(|action| !self.actions.contains(action)) {
                self.actions.extend(removal);
            }
        }
    }
}

/// Whether the node's record speaks of this service, or there is none and the service is what tells of it. Nobody knows
/// what a record means that cannot be read.
pub(super) fn is_needed(observed: &Indexed<'_>, rollout: &RolloutId, key: &JobKey) -> bool {
    if participants::is_evidence(observed, rollout, key) {
        return true;
    }
    let Some(node) = observed.node(&key.node) else { return false };
    match NodeRecord::of(node) {
        Err(_) => true,
        Ok(None) => false,
        Ok(Some(record)) => {
            let of_try = record.rollout == key.rollout && record.generation == key.generation;
            let over = record.state.is_terminal() || matches!(record.state, NodeState::Restoring { .. });
            let works = !over && record.state != NodeState::Pending && record.agent == key.agent;
            of_try && (works || may_still_tell(observed, &record, key) || stays_for_its_log(observed, key))
        }
    }
}

/// Whether a host whose time ran out may still tell how it ended, as long as the rollout goes on: its agent lives, and gets no go
/// any more, or another one asks (lost ones are counted).
fn may_still_tell(observed: &Indexed<'_>, record: &NodeRecord, key: &JobKey) -> bool {
    let goes_on = observed.rollout.as_ref().is_some_and(|rollout| rollout.control.goes_on());
    let agent = key.with_role(JobRole::Agent);
    let unknown = || observed.result(&key.node, key.generation).is_none();
    let tells = || match key.agent.cmp(&record.agent) {
        Ordering::Less => false,
        Ordering::Equal => lives(observed, &agent),
        Ordering::Greater => observed.job(&agent).is_some_and(|job| job.on.is_some()),
    };
    goes_on && last_words::is_late(&record.state) && unknown() && tells()
}

/// Whether an agent may speak of the end.
fn lives(observed: &Indexed<'_>, agent: &JobKey) -> bool {
    // One that waits for a go waits for ever.
    let goes_on_there = |said: &Said| is_past_the_go(said) && !matches!(said, Said::WantsRestart { .. });
    let may_speak = observed.report(agent).is_none_or(goes_on_there);
    may_speak && observed.job(agent).is_some_and(|job| !job.stopped && !job.is_lost())
}

/// Whether this would take away the last that tells, beside its label, that a node's host is at work. The label goes with a
/// node that leaves, so an agent's service stays until the next agent has one.
fn is_last_trace(observed: &Indexed<'_>, job: &Job, action: &Action) -> bool {
    let Some(Ok(Some(record))) = observed.node(&job.key.node).map(NodeRecord::of) else { return false };
    let of_try = record.rollout == job.key.rollout && record.generation == job.key.generation;
    let next = JobKey { agent: record.agent, ..job.key.clone() };
    matches!(action, Action::RemoveJob { .. })
        && job.key.role == JobRole::Agent
        && of_try
        && record.state.is_after_the_go()
        && observed.job(&next).is_none()
}

/// The next step on the way out of the swarm for one service.
pub(crate) fn removal(observed: &Indexed<'_>, job: &Job) -> Option<Action> {
    let key = job.key.clone();
    // Where it runs, which is not always the node that it is for: one that is there has to see it stopped.
    if observed.node(job.place()).is_none() {
        return Some(Action::RemoveJob { key });
    }
    let agent = key.with_role(JobRole::Agent);
    match (key.role, observed.job(&agent)) {
        (JobRole::Gate(_), None) => Some(Action::CreateStandIn { key: agent }),
        (JobRole::Gate(_), Some(agent)) if !is_gone(agent) && !is_through(observed, agent) => None,
        (JobRole::Agent, _) if is_gone(job) && has_gates(observed, &key) => None,
        (JobRole::Agent | JobRole::Gate(_), _) => Some(if is_gone(job) {
            Action::RemoveJob { key }
        } else if job.stopped {
            return None;
        } else {
            Action::StopJob { key, version: job.version }
        }),
    }
}

fn has_gates(observed: &Indexed<'_>, agent: &JobKey) -> bool {
    let jobs = observed.jobs_for(&agent.node);
    jobs.iter().any(|job| job.key != *agent && job.key.with_role(JobRole::Agent) == *agent)
}

/// Whether no container of it is left, and none can come: a failed task may be started again until it is stopped.
fn is_gone(job: &Job) -> bool {
    job.stopped && !job.may_run()
}
