//! Of whom nothing comes any more.

use crate::ids::JobRole;
use crate::indexed::Indexed;
use crate::observed::{HostPhase, Job, NodeOutcome, Said};

/// Whether nobody can draw among an agent's gates any more: it is told to leave, and the command's end was its last word. A report
/// that fails before the command is none, for the host would begin anew.
pub(super) fn is_through(observed: &Indexed<'_>, agent: &Job) -> bool {
    let of_the_command = |outcome: &NodeOutcome| match outcome {
        NodeOutcome::Succeeded
        | NodeOutcome::Failed { phase: HostPhase::Command | HostPhase::Verify, .. } => true,
        NodeOutcome::InSync
        | NodeOutcome::Failed {
            phase: HostPhase::Preflight | HostPhase::Check | HostPhase::Prepare, ..
        } => false,
    };
    let said = observed.report(&agent.key);
    agent.stopped && matches!(said, Some(Said::Finished { outcome, .. }) if of_the_command(outcome))
}

/// Whether a service is told to leave, and so is its agent, of which nothing comes any more.
pub(super) fn leaves(observed: &Indexed<'_>, job: &Job) -> bool {
    let agent = observed.job(&job.key.with_role(JobRole::Agent));
    job.stopped && agent.is_some_and(|agent| is_through(observed, agent))
}
