//! A host: what outlives its containers. Its transactions, its supervisor, and what the payload will do there.

use crate::gates::Gates;
use careen_planner::RolloutId;
use careen_planner::observed::{Expectation, HostPhase, NodeOutcome, Restart, Said};
use std::collections::BTreeMap;

/// What the payload does on one host, decided before the history begins.
#[derive(Debug, Clone)]
pub struct HostPlan {
    /// Whether the node refuses the agent: it does not get its image.
    pub refuses_the_agent: bool,
    /// Whether `prepare` works.
    pub prepare_works: bool,
    /// What `prepare` expects.
    pub expects: Expectation,
    /// How each attempt of the command ends; the last one counts for all that follow.
    pub attempts: Vec<AttemptEnd>,
    /// Whether the engine is restarted in the middle of the command.
    pub engine_restarts_midway: bool,
    /// What the host wants after a good end.
    pub wants: Option<Restart>,
    /// Whether `verify` works.
    pub verify_works: bool,
    /// Whether the host never comes back from its first reboot.
    pub dies_at_reboot: bool,
    /// How many seconds the command takes.
    pub takes: u64,
    /// How many seconds a reboot takes.
    pub boots_in: u64,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// With status 0.
    Well,
    /// With status 1.
    Failed,
    /// With status 194.
    RebootMe,
}

impl Default for HostPlan {
    fn default() -> Self {
        Self {
            refuses_the_agent: false,
            prepare_works: true,
            expects: Expectation::Unknown,
            attempts: vec![AttemptEnd::Well],
            engine_restarts_midway: false,
            wants: None,
            verify_works: true,
            dies_at_reboot: false,
            takes: 10,
            boots_in: 25,
        }
    }
}

/// One transaction on a host.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// How far it is.
    pub at: At,
    /// Attempts of the command that were started.
    pub attempts: u32,
    /// Whether reboots are allowed.
    pub may_reboot: bool,
    /// Whether reboots are allowed when only the host wants one.
    pub may_reboot_unasked: bool,
    /// Whether the engine's restart in the middle of this attempt is done.
    pub midway_done: bool,
    /// Whether the host's own wish was answered.
    pub wish_done: bool,
    /// How many restarts there were.
    pub restarts: u32,
    /// No agent up to this one can begin the command any more.
    pub void_up_to: u32,
}

/// How far a transaction is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Nothing but `prepare` was begun; it is done at this time.
    Preparing(u64),
    /// It waits for the go.
    Prepared,
    /// The command runs until then.
    Running(u64),
    /// It waits for a restart's go.
    WantsRestart(Restart),
    /// A restart begins at this time.
    Restarting(Restart, u64),
    /// The power went; what follows does so when the engine is up again.
    Restarted(Restart),
    /// `verify` runs until then.
    Verifying(u64),
    /// Its result stands.
    Closed(NodeOutcome),
}

/// Which transaction one is: its rollout, and which try of it on this host.
pub type Try = (RolloutId, u32);

/// A host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Its transactions.
    pub transactions: BTreeMap<Try, Transaction>,
    /// What the payload does on it.
    pub plan: HostPlan,
}

impl Transaction {
    /// A new one.
    pub fn new(prepared_at: u64) -> Self {
        Self {
            at: At::Preparing(prepared_at),
            attempts: 0,
            may_reboot: true,
            may_reboot_unasked: true,
            midway_done: false,
            wish_done: false,
            restarts: 0,
            void_up_to: 0,
        }
    }

    /// What an agent says of it that has seen this of its gates; nothing while it waits for them.
    pub fn said(&self, plan: &HostPlan, gates: &Gates) -> Option<Said> {
        let draw = gates.draw.filter(|draw| Some(draw.number) == self.awaits());
        let cancelled = gates.void.as_ref().filter(|_| self.awaits().is_some());
        if let Some(why) = cancelled {
            return Some(Said::Cancelled { why: why.clone() });
        }
        Some(match &self.at {
            At::Preparing(_) => Said::Preparing,
            At::Prepared => {
                draw.map_or(Said::Preparing, |draw| Said::Prepared { restart: plan.expects, draw })
            }
            At::Running(_) => Said::Running { attempt: self.attempts },
            At::WantsRestart(kind) => Said::WantsRestart { kind: *kind, draw: draw? },
            At::Restarting(kind, _) | At::Restarted(kind) => Said::Restarting { kind: *kind },
            At::Verifying(_) => Said::Verifying,
            At::Closed(outcome) => Said::Finished { outcome: outcome.clone(), record: None },
        })
    }

    /// The number of the go that it waits for.
    pub fn awaits(&self) -> Option<u32> {
        match self.at {
            At::Prepared => Some(0),
            At::WantsRestart(_) => Some(self.restarts + 1),
            At::Preparing(_)
            | At::Running(_)
            | At::Restarting(..)
            | At::Restarted(_)
            | At::Verifying(_)
            | At::Closed(_) => None,
        }
    }

    /// Whether nothing of the command was begun.
    pub fn is_not_begun(&self) -> bool {
        matches!(self.at, At::Preparing(_) | At::Prepared)
    }

    /// Whether the host is at work for it.
    pub fn works(&self) -> bool {
        match self.at {
            At::Preparing(_) | At::Prepared | At::Closed(_) => false,
            At::Running(_)
            | At::WantsRestart(_)
            | At::Restarting(..)
            | At::Restarted(_)
            | At::Verifying(_) => true,
        }
    }

    /// What follows the end of an attempt.
    pub fn attempt_ended(&mut self, plan: &HostPlan, now: u64) {
        let last = plan.attempts.len().saturating_sub(1);
        let end = plan.attempts.get((self.attempts as usize - 1).min(last)).copied();
        self.at = match end.unwrap_or(AttemptEnd::Well) {
            AttemptEnd::Failed => At::Closed(failed(HostPhase::Command, 1)),
            // The host gives up after five reboots.
            AttemptEnd::RebootMe if self.may_reboot && self.attempts <= 5 => {
                At::WantsRestart(Restart::Reboot)
            }
            AttemptEnd::RebootMe => At::Closed(failed(HostPhase::Command, 246)),
            AttemptEnd::Well => match plan.wants {
                Some(Restart::Reboot) if self.may_reboot_unasked && !self.wish_done => {
                    At::WantsRestart(Restart::Reboot)
                }
                Some(Restart::Engine) if !self.wish_done => At::WantsRestart(Restart::Engine),
                Some(_) | None => At::Verifying(now + 3),
            },
        };
    }

    /// Whether another attempt may follow: only status 194 asks for one.
    pub fn wants_another_attempt(&self, plan: &HostPlan) -> bool {
        let last = plan.attempts.len().saturating_sub(1);
        plan.attempts.get((self.attempts as usize).saturating_sub(1).min(last)) == Some(&AttemptEnd::RebootMe)
    }
}

/// A failure.
pub fn failed(phase: HostPhase, exit: i32) -> NodeOutcome {
    NodeOutcome::Failed { phase, exit, rolled_back: None }
}
