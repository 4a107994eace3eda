//! Where one node stands in a rollout, and what may follow. The picture is docs/rollout-states.md; a test compares.

use careen_contract::report::Restart;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

mod record;
pub mod words;

pub use record::{CorruptRecord, NodeRecord, Taken};
pub use words::{Reason, Skip, StateName};

/// Where one node stands. In JSON it is `stage`, and where a node failed is `phase`: other programs read these words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case", tag = "stage")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum NodeState {
    /// Nothing was begun on it yet.
    Pending,
    /// Intent: agent and gates are being placed. A node that its operator keeps drained is active for that.
    Entering,
    /// The agent is there and runs `prepare`.
    Preparing,
    /// The node is drained; it waits to be empty.
    Draining {
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
        then: AfterRestoring,
    },
    /// The node is as it was; everything must look well for a while.
    Settling,
    Done,
    /// Not done. If careen drained the node, it stays drained.
    Failed {
        #[serde(rename = "phase")]
        during: StateName,
        reason: Reason,
    },
    Skipped {
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
    /// The payload's command, before it runs.
    Run,
    /// A restart that the command wants.
    Restart(Restart),
}

/// What follows when a node is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum AfterRestoring {
    Settle,
    /// Its host is in sync, and nothing was run: there is nothing that could be worse than before.
    Done,
    /// It has failed before anything was begun on it.
    Fail {
        #[serde(rename = "phase")]
        during: StateName,
        reason: Reason,
    },
    /// It is left out.
    Skip {
        why: Skip,
    },
}

/// What happens to a node's state.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum NodeEvent {
    /// It is the node's turn.
    Enter,
    /// It is the node's turn, and it goes the short way: the agent needs no go ([`crate::short`]).
    Start,
    /// Of the short way: its agent was never placed, and can be placed no more.
    NeverPlaced,
    /// Of the short way: its node refused the agent, so nothing was begun. Another one is placed, with gates.
    Refused,
    /// Its operator drained it before the agent was placed.
    Withdraw,
    /// Agent and gates run.
    Placed,
    /// The agent is gone. Before the go another one is placed; after it another one asks what became of the work.
    AgentLost,
    /// No go can reach the agent any more: something else than a go happened to its gates. Another one takes its place, as
    /// when it is gone.
    Cancelled,
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
    /// The result is there: the host is in sync, and nothing was run.
    InSync,
    /// Agent and gates are gone from the node.
    Restored,
    /// Everything looked well for long enough.
    Settled,
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

/// An event that cannot happen in a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{event}' cannot happen to a node that is {state}")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct IllegalStep {
    pub state: &'static str,
    pub event: &'static str,
}

impl NodeState {
    /// What follows an event.
    #[expect(clippy::too_many_lines, reason = "the edges of one graph")]
    pub fn step(self, event: &NodeEvent) -> Result<Self, IllegalStep> {
        let illegal = IllegalStep { state: self.name(), event: event.name() };
        Ok(match event {
            NodeEvent::Enter if self == Self::Pending => Self::Entering,
            NodeEvent::Start if self == Self::Pending => Self::Running { drained: false },
            NodeEvent::NeverPlaced if self == (Self::Running { drained: false }) => Self::Pending,
            NodeEvent::Refused if self == (Self::Running { drained: false }) => Self::Entering,
            NodeEvent::Withdraw if self == Self::Entering => Self::Pending,
            NodeEvent::Placed if self == Self::Entering => Self::Preparing,
            NodeEvent::AgentLost | NodeEvent::Cancelled if self.is_before_the_go() => Self::Entering,
            // Nobody knows what the host has begun: an agent that only collects asks it.
            NodeEvent::AgentLost | NodeEvent::Cancelled if self.is_after_the_go() => Self::Verifying,
            NodeEvent::Drain(Goal::Run) if self == Self::Preparing => Self::Draining { goal: Goal::Run },
            NodeEvent::Drain(goal @ Goal::Restart(_)) if self.may_want_a_restart() => {
                Self::Draining { goal: *goal }
            }
            NodeEvent::Go { drained } if self.may_get_the_go() => Self::Running { drained: *drained },
            NodeEvent::Restart(kind) if self.may_restart(*kind) => match kind {
                Restart::Engine => Self::RestartingEngine,
                Restart::Reboot => Self::Rebooting,
            },
            NodeEvent::Ended if self.is_after_the_go() && self != Self::Verifying => Self::Verifying,
            NodeEvent::NotBegun if self == Self::Verifying => Self::Entering,
            NodeEvent::Verified if self == Self::Verifying => {
                Self::Restoring { then: AfterRestoring::Settle }
            }
            NodeEvent::InSync if self.may_be_in_sync() => Self::Restoring { then: AfterRestoring::Done },
            NodeEvent::Restored => self.restored().ok_or(illegal)?,
            NodeEvent::Settled if self == Self::Settling => Self::Done,
            NodeEvent::Fail(reason) => match self.can_fail_in() {
                // Nothing was begun: what careen has there is taken back first.
                Some(during) if self.is_before_the_go() => {
                    Self::Restoring { then: AfterRestoring::Fail { during, reason: *reason } }
                }
                Some(during) => Self::Failed { during, reason: *reason },
                None => return Err(illegal),
            },
            NodeEvent::Skip(why) if self.is_before_the_go() => {
                Self::Restoring { then: AfterRestoring::Skip { why: *why } }
            }
            NodeEvent::Skip(why) if matches!(self, Self::Pending | Self::Failed { .. }) => {
                Self::Skipped { why: *why }
            }
            NodeEvent::Retry if matches!(self, Self::Failed { .. }) => Self::Pending,
            NodeEvent::Leave(left) if !matches!(self, Self::Gone { .. }) => Self::Gone { left: *left },
            NodeEvent::GiveUp if self == Self::Gone { left: Left::AtWork } => {
                Self::Gone { left: Left::GivenUp }
            }
            NodeEvent::Enter
            | NodeEvent::Start
            | NodeEvent::NeverPlaced
            | NodeEvent::Refused
            | NodeEvent::Withdraw
            | NodeEvent::Placed
            | NodeEvent::AgentLost
            | NodeEvent::Cancelled
            | NodeEvent::Drain(_)
            | NodeEvent::Go { .. }
            | NodeEvent::Restart(_)
            | NodeEvent::Ended
            | NodeEvent::NotBegun
            | NodeEvent::Verified
            | NodeEvent::InSync
            | NodeEvent::Settled
            | NodeEvent::Skip(_)
            | NodeEvent::Retry
            | NodeEvent::Leave(_)
            | NodeEvent::GiveUp => return Err(illegal),
        })
    }

    /// What a node becomes when it is restored.
    fn restored(self) -> Option<Self> {
        let Self::Restoring { then } = self else { return None };
        Some(match then {
            AfterRestoring::Settle => Self::Settling,
            AfterRestoring::Done => Self::Done,
            AfterRestoring::Fail { during, reason } => Self::Failed { during, reason },
            AfterRestoring::Skip { why } => Self::Skipped { why },
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
            Self::Failed { reason, .. } | Self::Restoring { then: AfterRestoring::Fail { reason, .. } } => {
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
            | Self::Restoring {
                then: AfterRestoring::Settle | AfterRestoring::Done | AfterRestoring::Skip { .. },
            }
            | Self::Settling
            | Self::Done
            | Self::Skipped { .. }
            | Self::Gone { .. } => None,
        }
    }

    /// Whether it is left out, or will be, because it waited too long.
    pub fn is_skipped_for_a_hold(&self) -> bool {
        let held = Skip::Held;
        *self == Self::Skipped { why: held }
            || *self == Self::Restoring { then: AfterRestoring::Skip { why: held } }
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

    /// Whether an agent may say that nothing was run: on the short way behind the label `running`, and whoever collects says so, too.
    pub(crate) fn may_be_in_sync(&self) -> bool {
        self.is_before_the_go() || matches!(self, Self::Running { .. } | Self::Verifying)
    }

    fn may_get_the_go(&self) -> bool {
        matches!(self, Self::Preparing | Self::Draining { goal: Goal::Run })
    }

    fn may_restart(&self, kind: Restart) -> bool {
        self.may_want_a_restart() || *self == Self::Draining { goal: Goal::Restart(kind) }
    }

    /// The name of a state in which a node can fail; none for what is over, and for what waits to be restored.
    pub fn can_fail_in(&self) -> Option<StateName> {
        match self {
            Self::Pending => Some(StateName::Pending),
            Self::Entering => Some(StateName::Entering),
            Self::Preparing => Some(StateName::Preparing),
            Self::Draining { .. } => Some(StateName::Draining),
            Self::Running { .. } => Some(StateName::Running),
            Self::RestartingEngine => Some(StateName::RestartingEngine),
            Self::Rebooting => Some(StateName::Rebooting),
            Self::Verifying => Some(StateName::Verifying),
            Self::Restoring { then: AfterRestoring::Settle } => Some(StateName::Restoring),
            Self::Settling => Some(StateName::Settling),
            Self::Restoring { .. }
            | Self::Done
            | Self::Failed { .. }
            | Self::Skipped { .. }
            | Self::Gone { .. } => None,
        }
    }

    /// Its word, the same as in JSON.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

impl NodeEvent {
    /// Its name in messages, as `agent-lost`.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests;
