//! careen's services that nothing needs any more are taken away: an agent always before its gates.
//!
//! A gate that goes is a go to the agent that waits for it. So no gate is touched while its agent may still run,
//! and what is on a node that does not report stays until it does, or until the node has left.

use super::Work;
use crate::action::Action;
use crate::ids::{JobKey, JobRole};
use crate::observed::{Job, Observed};
use crate::state::{NodeRecord, Stage};

impl Work<'_> {
    pub(super) fn reap(&mut self) {
        let observed = self.observed;
        for job in observed.jobs.iter().filter(|job| !is_needed(observed, &job.key)) {
            self.actions.extend(removal(observed, job));
        }
    }
}

/// Whether the node's record speaks of this service. Nobody knows what a record means that cannot be read.
pub(super) fn is_needed(observed: &Observed, key: &JobKey) -> bool {
    let Some(node) = observed.node(&key.node) else { return false };
    match NodeRecord::of(node) {
        Err(_) => true,
        Ok(None) => false,
        Ok(Some(record)) => {
            let current = record.rollout == key.rollout
                && record.generation == key.generation
                && record.agent == key.agent;
            let over = record.stage.is_terminal() || matches!(record.stage, Stage::Restoring { .. });
            current && !over && record.stage != Stage::Pending
        }
    }
}

/// The next step on the way out of the swarm for one service.
fn removal(observed: &Observed, job: &Job) -> Option<Action> {
    let key = job.key.clone();
    if observed.node(&key.node).is_none() {
        return Some(Action::RemoveJob { key });
    }
    let agent = observed.job(&key.with_role(JobRole::Agent));
    match key.role {
        JobRole::Gate(_) if agent.is_some_and(|agent| !is_gone(agent)) => None,
        JobRole::Agent | JobRole::Gate(_) if is_gone(job) => Some(Action::RemoveJob { key }),
        JobRole::Agent | JobRole::Gate(_) if job.stopped => None,
        JobRole::Agent | JobRole::Gate(_) => Some(Action::StopJob { key, version: job.version }),
    }
}

/// Whether no container of it is left or can come.
fn is_gone(job: &Job) -> bool {
    (job.stopped && !job.may_run()) || job.is_over()
}
