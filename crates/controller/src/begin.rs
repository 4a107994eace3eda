//! To begin a rollout, and to give it to another controller: what whoever submits it does while the controller in the swarm comes up.

use crate::{Controller, run_pass};
use careen_planner::cluster::{ActError, Cluster, Unseen};
use careen_planner::{Act, Action, ControllerId, Pass, PassEnd};

/// The lock, who takes part, labels, tickets, agents: five passes, five more where an enforcement moves, and some for writes that others
/// were faster with.
const MOST_PASSES: u32 = 16;

/// Why the lock was not given back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReleased {
    /// Nobody knows who has it.
    #[error(transparent)]
    Unseen(#[from] Unseen),
    /// The swarm does not take the write.
    #[error(transparent)]
    Act(#[from] ActError),
}

/// Begins what can begin at once, and gives the lock back. Nothing is waited for, and whatever goes wrong is the next controller's
/// to see: it takes over here as from any other that has ended.
pub fn begin(controller: &mut Controller, cluster: &mut impl Cluster) -> Result<(), NotReleased> {
    for _ in 0..MOST_PASSES {
        let Ok((pass, done)) = run_pass(controller, cluster) else { break };
        let is_refused = done.iter().any(|done| done.result.is_err());
        if pass.end != PassEnd::GoOn || is_refused || !begins(&pass) {
            break;
        }
    }
    release(cluster, &controller.id().clone())
}

/// Gives the lock back where this controller has it: so the next one need not wait until it is dead.
pub fn release(cluster: &mut impl Cluster, me: &ControllerId) -> Result<(), NotReleased> {
    let lock = cluster.observe()?.lock;
    let Some(lock) = lock.filter(|lock| lock.holder.as_ref() == Some(me)) else { return Ok(()) };
    let action = Action::ReleaseLock { version: lock.version };
    Ok(cluster.act(&Act { epoch: lock.epoch, action })?)
}

/// Whether something comes of a pass with which a node begins, or may with the next.
fn begins(pass: &Pass) -> bool {
    let begins = |action: &Action| match action {
        Action::TakeLock { .. }
        | Action::WriteBaseline { .. }
        | Action::UpdateNode { .. }
        | Action::Move { .. }
        | Action::CreateTicket { .. }
        | Action::CreateJob { .. }
        | Action::CreateGate { .. } => true,
        Action::Beat { .. }
        | Action::ScaleService { .. }
        | Action::ReleaseLock { .. }
        | Action::RemoveTicket { .. }
        | Action::OpenGate { .. }
        | Action::StopJob { .. }
        | Action::CreateStandIn { .. }
        | Action::RemoveJob { .. }
        | Action::WriteResult { .. }
        | Action::WriteHistory { .. }
        | Action::RemoveResults
        | Action::RemoveDelivered
        | Action::SetControl { .. }
        | Action::MarkGone { .. }
        | Action::MoveController { .. } => false,
    };
    pass.actions.iter().any(|act| begins(&act.action))
}
