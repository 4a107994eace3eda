//! Of whom nothing comes any more.

use crate::ids::{JobKey, JobRole};
use crate::indexed::Indexed;
use crate::observed::{HostPhase, Job, NodeOutcome, Said};
use crate::state::{NodeRecord, NodeState};

/// Whether nobody can draw among an agent's gates any more: the command's end was its last word, and it is told to leave, or stays only for
/// its log. A report that fails before the command is none, for the host would begin anew.
pub(super) fn is_through(observed: &Indexed<'_>, agent: &Job) -> bool {
    let said = observed.report(&agent.key);
    said.is_some_and(ends_the_command) && (agent.stopped || is_of_a_failed_node(observed, agent))
}

/// Whether a service is told to leave, and of its agent nothing comes any more.
pub(super) fn leaves(observed: &Indexed<'_>, job: &Job) -> bool {
    let agent = observed.job(&job.key.with_role(JobRole::Agent));
    job.stopped && agent.is_some_and(|agent| is_through(observed, agent))
}

/// Whether a service is of a failed node's agent that stays so that its log can be read, until the node is tried again or left out, or
/// the rollout does not go on any more. Its gates go as soon as its last word is read: until then nobody knows whether it looks at them.
pub(super) fn stays_for_its_log(observed: &Indexed<'_>, key: &JobKey) -> bool {
    let agent = observed.job(&key.with_role(JobRole::Agent));
    let stays = |agent: &Job| match observed.report(&agent.key) {
        Some(said) => key.role == JobRole::Agent && ends_the_command(said),
        None => true,
    };
    agent.is_some_and(|agent| is_of_a_failed_node(observed, agent) && stays(agent))
}

/// Whether it is the current agent of a failed node whose end is known, and its container is there. Without that there is no log, and nothing
/// that another container in its place is wanted for.
fn is_of_a_failed_node(observed: &Indexed<'_>, agent: &Job) -> bool {
    let goes_on = observed.rollout.as_ref().is_some_and(|rollout| rollout.control.goes_on());
    let key = &agent.key;
    let record = || observed.node(&key.node).map(NodeRecord::of)?.ok().flatten();
    let of_failed = |record: NodeRecord| {
        let current = (&record.rollout, record.generation, record.agent);
        matches!(record.state, NodeState::Failed { .. })
            && current == (&key.rollout, key.generation, key.agent)
    };
    goes_on
        && !agent.stopped
        && !agent.is_lost()
        && observed.result(&key.node, key.generation).is_some()
        && record().is_some_and(of_failed)
}

fn ends_the_command(said: &Said) -> bool {
    let of_the_command = |outcome: &NodeOutcome| match outcome {
        NodeOutcome::Succeeded
        | NodeOutcome::Failed { phase: HostPhase::Command | HostPhase::Verify, .. } => true,
        NodeOutcome::InSync
        | NodeOutcome::Failed {
            phase: HostPhase::Preflight | HostPhase::Check | HostPhase::Prepare, ..
        } => false,
    };
    matches!(said, Said::Finished { outcome, .. } if of_the_command(outcome))
}
