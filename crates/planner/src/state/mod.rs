//! Where one node stands in a rollout, and what may follow. The picture is docs/rollout-states.md; a test compares.

use careen_contract::report::Restart;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

mod record;
pub mod words;

pub use record::{CorruptRecord, NodeRecord, Taken};
pub use words::{Phase, Reason, Skip};

/// Where one node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case", tag = "stage")]
#[strum(serialize_all = "kebab-case")]
pub enum Stage {
    /// Nothing was begun.
    Pending,
    /// Intent: agent and gates are being placed. A node that its operator keeps drained is active for that.
    Entering,
    /// The agent is there and runs `prepare`.
    Preparing,
    /// The node is drained; it waits to be empty.
    Draining {
        /// What for.
        goal: Goal,
    },
    /// Intent: the go for the command is given.
    Running {
        /// Whether it was given to a drained node: then it waits while somebody has changed that.
        drained: bool,
    },
    /// Intent: the go for an engine restart is given.
    RestartingEngine,
    /// Intent: the go for a reboot is given.
    Rebooting,
    /// The node can take an agent; the result is collected, `verify` runs.
    Verifying,
    /// What careen has on the node is taken away, then its availability is given back.
    Restoring {
        /// What follows.
        then: Then,
    },
    /// The node is as it was; everything must look well for a while.
    Settling,
    /// Done.
    Done,
    /// Not done. If careen drained the node, it stays drained.
    Failed {
        /// Where.
        phase: Phase,
        /// Why.
        reason: Reason,
    },
    /// Left out.
    Skipped {
        /// Why.
        why: Skip,
    },
    /// It left the swarm after the rollout had begun. Never stored in a label, for that went with the node: whoever looks
    /// decides it from what is left ([`crate::participants::left`]).
    Gone {
        /// What is known of its host.
        left: Left,
    },
}

/// What is known of a participant that is no longer in the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// Nothing was begun on it, as far as the swarm knows.
    BeforeItsTurn,
    /// It had begun and has no result: its host may still be at work, so it keeps its place.
    AtWork,
    /// The same, and nobody waits for it any more: an operator said so, or its time is over.
    GivenUp,
    /// Its result says that it failed.
    Failed,
    /// Its result says that it was done.
    Done,
}

/// What a node is drained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The command.
    Run,
    /// A restart that the command wants.
    Restart(Restart),
}

/// What follows when a node is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It settles.
    Settle,
    /// It has failed before anything was begun on it.
    Fail {
        /// Where.
        phase: Phase,
        /// Why.
        reason: Reason,
    },
    /// It is left out.
    Skip {
        /// Why.
        why: Skip,
    },
}

/// What happens to a node's stage.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Event {
    /// It is the node's turn.
    Enter,
    /// Its operator drained it before the agent was placed.
    Withdraw,
    /// Agent and gates run.
    Placed,
    /// The agent is gone. Before the go another one is placed; after it another one asks what became of the work.
    AgentLost,
    /// No go can reach the agent any more: something else than a go happened to its gates. Another one takes its place, as
    /// when it is gone.
    Cancelled,
    /// The drain.
    Drain(Goal),
    /// The go for the command.
    Go {
        /// Whether the node is drained for it.
        drained: bool,
    },
    /// The go for a restart, or the report that one began.
    Restart(Restart),
    /// The command is done.
    Ended,
    /// A collecting agent says that the command was not begun, and that no agent before it can begin it any more.
    NotBegun,
    /// The result is there, and good.
    Verified,
    /// Agent and gates are gone from the node.
    Restored,
    /// Everything looked well for long enough.
    Settled,
    /// It failed.
    Fail(Reason),
    /// It is left out.
    Skip(Skip),
    /// An operator wants the failed node tried again.
    Retry,
    /// It is no longer in the swarm.
    Leave(Left),
    /// Nobody waits any more for a node that left.
    GiveUp,
}

/// An event that cannot happen in a stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{event}' cannot happen to a node that is {stage}")]
pub struct IllegalStep {
    /// The stage's name.
    pub stage: &'static str,
    /// The event's name.
    pub event: &'static str,
}

impl Stage {
    /// What follows an event.
    pub fn step(self, event: &Event) -> Result<Self, IllegalStep> {
        let illegal = IllegalStep { stage: self.name(), event: event.name() };
        Ok(match event {
            Event::Enter if self == Self::Pending => Self::Entering,
            Event::Withdraw if self == Self::Entering => Self::Pending,
            Event::Placed if self == Self::Entering => Self::Preparing,
            Event::AgentLost | Event::Cancelled if self.is_before_the_go() => Self::Entering,
            // Nobody knows what the host has begun: an agent that only collects asks it.
            Event::AgentLost | Event::Cancelled if self.is_after_the_go() => Self::Verifying,
            Event::Drain(Goal::Run) if self == Self::Preparing => Self::Draining { goal: Goal::Run },
            Event::Drain(goal @ Goal::Restart(_)) if self.may_want_a_restart() => {
                Self::Draining { goal: *goal }
            }
            Event::Go { drained } if self.may_get_the_go() => Self::Running { drained: *drained },
            Event::Restart(kind) if self.may_restart(*kind) => match kind {
                Restart::Engine => Self::RestartingEngine,
                Restart::Reboot => Self::Rebooting,
            },
            Event::Ended if self.is_after_the_go() && self != Self::Verifying => Self::Verifying,
            Event::NotBegun if self == Self::Verifying => Self::Entering,
            Event::Verified if self == Self::Verifying => Self::Restoring { then: Then::Settle },
            Event::Restored => {
                let Self::Restoring { then } = self else { return Err(illegal) };
                match then {
                    Then::Settle => Self::Settling,
                    Then::Fail { phase, reason } => Self::Failed { phase, reason },
                    Then::Skip { why } => Self::Skipped { why },
                }
            }
            Event::Settled if self == Self::Settling => Self::Done,
            Event::Fail(reason) => match self.phase() {
                // Nothing was begun: what careen has there is taken back first.
                Some(phase) if self.is_before_the_go() => {
                    Self::Restoring { then: Then::Fail { phase, reason: *reason } }
                }
                Some(phase) => Self::Failed { phase, reason: *reason },
                None => return Err(illegal),
            },
            Event::Skip(why) if self.is_before_the_go() => Self::Restoring { then: Then::Skip { why: *why } },
            Event::Skip(why) if matches!(self, Self::Pending | Self::Failed { .. }) => {
                Self::Skipped { why: *why }
            }
            Event::Retry if matches!(self, Self::Failed { .. }) => Self::Pending,
            Event::Leave(left) if !matches!(self, Self::Gone { .. }) => Self::Gone { left: *left },
            Event::GiveUp if self == Self::Gone { left: Left::AtWork } => Self::Gone { left: Left::GivenUp },
            Event::Enter
            | Event::Withdraw
            | Event::Placed
            | Event::AgentLost
            | Event::Cancelled
            | Event::Drain(_)
            | Event::Go { .. }
            | Event::Restart(_)
            | Event::Ended
            | Event::NotBegun
            | Event::Verified
            | Event::Settled
            | Event::Skip(_)
            | Event::Retry
            | Event::Leave(_)
            | Event::GiveUp => return Err(illegal),
        })
    }

    /// Whether careen has something on the node, and nothing that cannot be taken back was begun.
    pub fn is_before_the_go(&self) -> bool {
        matches!(self, Self::Entering | Self::Preparing | Self::Draining { goal: Goal::Run })
    }

    /// Whether the host may be at work.
    pub fn is_after_the_go(&self) -> bool {
        matches!(
            self,
            Self::Running { .. }
                | Self::Draining { goal: Goal::Restart(_) }
                | Self::RestartingEngine
                | Self::Rebooting
                | Self::Verifying
        )
    }

    /// Why it failed, once it is called failed.
    pub const fn failed_because(&self) -> Option<Reason> {
        match self {
            Self::Failed { reason, .. } | Self::Restoring { then: Then::Fail { reason, .. } } => {
                Some(*reason)
            }
            Self::Pending
            | Self::Entering
            | Self::Preparing
            | Self::Draining { .. }
            | Self::Running { .. }
            | Self::RestartingEngine
            | Self::Rebooting
            | Self::Verifying
            | Self::Restoring { then: Then::Settle | Then::Skip { .. } }
            | Self::Settling
            | Self::Done
            | Self::Skipped { .. }
            | Self::Gone { .. } => None,
        }
    }

    /// Whether it comes from a command that wants a restart, and so was begun.
    pub fn tells_of_a_beginning(&self) -> bool {
        matches!(self, Self::Draining { goal: Goal::Restart(_) } | Self::RestartingEngine | Self::Rebooting)
    }

    /// Whether nothing follows by itself.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Done | Self::Failed { .. } | Self::Skipped { .. } => true,
            Self::Gone { left } => *left != Left::AtWork,
            Self::Pending
            | Self::Entering
            | Self::Preparing
            | Self::Draining { .. }
            | Self::Running { .. }
            | Self::RestartingEngine
            | Self::Rebooting
            | Self::Verifying
            | Self::Restoring { .. }
            | Self::Settling => false,
        }
    }

    /// Whether the node has, or may have, less to give than before: it is drained, or its host is at work.
    pub fn is_in_maintenance(&self) -> bool {
        self.is_after_the_go()
            || *self == Self::Gone { left: Left::AtWork }
            || matches!(self, Self::Draining { .. } | Self::Restoring { .. } | Self::Settling)
    }

    fn may_want_a_restart(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Verifying)
    }

    fn may_get_the_go(&self) -> bool {
        matches!(self, Self::Preparing | Self::Draining { goal: Goal::Run })
    }

    fn may_restart(&self, kind: Restart) -> bool {
        self.may_want_a_restart() || *self == Self::Draining { goal: Goal::Restart(kind) }
    }

    /// The stage as a phase that can fail; none for what is over, and for what waits to be restored.
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Pending => Some(Phase::Pending),
            Self::Entering => Some(Phase::Entering),
            Self::Preparing => Some(Phase::Preparing),
            Self::Draining { .. } => Some(Phase::Draining),
            Self::Running { .. } => Some(Phase::Running),
            Self::RestartingEngine => Some(Phase::RestartingEngine),
            Self::Rebooting => Some(Phase::Rebooting),
            Self::Verifying => Some(Phase::Verifying),
            Self::Restoring { then: Then::Settle } => Some(Phase::Restoring),
            Self::Settling => Some(Phase::Settling),
            Self::Restoring { .. }
            | Self::Done
            | Self::Failed { .. }
            | Self::Skipped { .. }
            | Self::Gone { .. } => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

impl Event {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests;
