//! What an agent is told, and what it does.

use crate::gates::Look;
use careen_contract::payload::DRIFT;
use careen_contract::report::{Expectation, Restart, Said};
use careen_host::journal::{Record, TransactionResult};
use careen_host::outcome::{CommandEnd, Outcome, Rollback};
use careen_host::transaction::State;
use std::time::Duration;

/// What an agent is told when it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which agent of the try.
    pub agent: u32,
    /// How many gates it has. With none it needs no go: its rollout has nothing to wait for, and placing it was the word.
    pub gates: u8,
    /// It asks what became of the try, and begins nothing.
    pub collects: bool,
    /// Whether a failure is taken back.
    pub rolls_back: bool,
    /// Whether the payload's `check` is asked first: a host that is in sync is left as it is.
    pub checks: bool,
    /// Whether the payload has a `prepare`.
    pub has_prepare: bool,
    /// Whether it has a `verify`.
    pub has_verify: bool,
    /// Whether it has a `rollback`.
    pub has_rollback: bool,
}

/// What the host knows of the try.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Known {
    Nothing,
    /// Nothing, though its engine remembers that an agent of this try which needs no go was about to offer it: the host has
    /// forgotten, and Swarm has started that agent again.
    Lost,
    /// The try, and that nothing of it was begun; the last agent that offered it, 0 for none.
    NotBegun {
        offered: u32,
    },
    /// Something of it was begun.
    Begun,
    /// The try, and that `check` has found this host in sync: so nothing of it was begun, nor will be.
    InSync,
    /// A newer try of the rollout was here, or a later agent has offered this one.
    Newer,
    /// What the host knows came with a copy of another machine's disk: nothing of it counts, and nobody has said yet which
    /// machine this is.
    Copied {
        /// From which, in words.
        from: String,
    },
}

/// What happened to an agent, or what came of what it did last.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Event {
    /// It was started.
    Begin,
    /// What the host knows of the try.
    Known(Known),
    /// The host is fit for the work.
    Fit,
    /// The host is not fit, or has to refuse this agent; another one would find the same.
    Unfit {
        /// What an agent exits with for it.
        exit: u8,
    },
    /// A command of the payload has ended: `prepare`, the command itself, `rollback` or `verify`.
    Ran(Ran),
    /// What `check` said.
    Checked(CheckSaid),
    /// Whether a new container starts on the host.
    Probed { starts: bool },
    /// Another transaction has the host.
    Busy {
        /// The transaction that has it.
        holder: String,
        /// Whether its supervisor only waits, no command of it lives, and it was there before this agent. An agent that some
        /// engine or controller has left behind must not end what a newer rollout waits for.
        only_waits: bool,
    },
    /// The host's journal knows that this agent offers the try.
    Offered { expects: Expectation },
    /// A look at the gates; `None` when the engine does not answer.
    Looked {
        look: Option<Look>,
        /// The reading of the host's clock since its boot before the engine was asked.
        asked: Duration,
        /// The same clock's reading now.
        now: Duration,
        /// Any number.
        random: u64,
    },
    /// The journal says that every go so far is void: because this agent wrote it down, or, to one that follows, because its
    /// supervisor or another agent has.
    Revoked,
    /// The journal says that the command was begun. Whoever wanted to offer or to revoke it comes too late.
    TooLate,
    /// The records of the command's journal that this agent has not seen yet, all at once: what is over by now is not told as
    /// if it went on.
    Records(Vec<Record>),
    /// What the supervisor waits for a go for; `None` when it does not. Told with each look.
    Wish(Option<Wish>),
    /// It is told to leave.
    ToldToLeave,
}

/// A supervisor's wish, as an agent needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Its number, from 1.
    pub number: u32,
    /// What is to be restarted.
    pub kind: Restart,
}

/// What `check` says of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckSaid {
    /// There is nothing to do.
    InSync,
    /// There is.
    Drift,
    /// It cannot tell.
    Failed {
        /// What an agent exits with for it.
        exit: u8,
    },
}

impl CheckSaid {
    /// What its result says: by the contract 0 is in sync, 2 is drift, and everything else an error.
    pub fn of(result: &TransactionResult) -> Self {
        match &result.outcome {
            Outcome::Exited { status: 0 } => Self::InSync,
            Outcome::Exited { status } if *status == i32::from(DRIFT) => Self::Drift,
            Outcome::Exited { .. }
            | Outcome::Signaled { .. }
            | Outcome::RestartWanted { .. }
            | Outcome::TimedOut
            | Outcome::Stopped { .. }
            | Outcome::NotStarted { .. }
            | Outcome::EngineDown { .. }
            | Outcome::Interrupted => Self::Failed { exit: result.exit_code },
        }
    }
}

/// How a command of the payload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// What an agent exits with for it.
    pub exit: u8,
    /// Whether the rollout may go on.
    pub is_success: bool,
    /// What an engine that stayed down made of the rollback.
    pub rolled_back: Option<bool>,
}

impl Ran {
    /// What a transaction's journal and its result say.
    pub fn of(state: &State, result: &TransactionResult) -> Self {
        let command_is_done = state.history.end.as_ref().is_some_and(|end| end.end == CommandEnd::Exited(0));
        Self {
            exit: result.exit_code,
            is_success: result.outcome.is_success(command_is_done),
            rolled_back: rolled_back(&result.outcome),
        }
    }
}

fn rolled_back(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::EngineDown { rollback: Rollback::BroughtBack, .. } => Some(true),
        Outcome::EngineDown { rollback: Rollback::Failed, .. } => Some(false),
        Outcome::EngineDown { rollback: Rollback::None, .. }
        | Outcome::Exited { .. }
        | Outcome::Signaled { .. }
        | Outcome::RestartWanted { .. }
        | Outcome::TimedOut
        | Outcome::Stopped { .. }
        | Outcome::NotStarted { .. }
        | Outcome::Interrupted => None,
    }
}

/// What an agent does.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say this to the controller, and again from time to time.
    Say(Said),
    /// Pass a go on to the supervisor, in place of any that lies there. Said anew with each look that shows it: it counts only
    /// for a while ([`crate::go`]).
    PassGo {
        /// What it is for: 0 is the command, else the wish of this number.
        number: u32,
        /// When the look began that showed it, on the host's clock since its boot.
        seen: Duration,
    },
    /// Take a go back, whoever passed it on. One that cannot be taken back counts only for a while.
    TakeBackGo,
    /// End what the supervisor waits for.
    CancelWait,
    /// Do this next; what comes of it is the next event.
    Do(Do),
}

/// What takes an agent's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    /// Read what the host knows of the try.
    Read,
    /// See whether the host is fit.
    Preflight,
    /// Run this command of the payload, or take its recorded result.
    Run(Step),
    /// Void what other rollouts' agents offered on this host before this agent came, bring the payload, and write down that
    /// this agent offers.
    Offer,
    /// Look at the gates again and again.
    LookAtGates,
    /// Write down that every go so far is void, unless the command was begun.
    Revoke {
        /// By whom, in words.
        by: &'static str,
    },
    /// See to it that the command is supervised, with this agent's go, and follow it to its end.
    Follow,
    /// Start a new container and see it end: an engine that answers may have a runtime that starts none.
    Probe,
    /// End what the holder of the host waits for, and try the last thing again.
    Free {
        /// Which transaction.
        holder: String,
        /// What was tried.
        then: Box<Do>,
    },
    /// Wait some seconds for the host, and try the last thing again.
    WaitForHost {
        /// What was tried.
        then: Box<Do>,
    },
    /// Stay until the container is taken away: then exit with this code. A job's container that ends by itself would stay on
    /// the host for good, and its log would have to be read before somebody calls it lost.
    Stay(u8),
    /// Exit with this code.
    Leave(u8),
}

/// A command of the payload beside the rollout's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before anything else. It is told as [`Event::Checked`].
    Check,
    /// Before the go.
    Prepare,
    /// After success.
    Verify,
    /// After a failure.
    Rollback,
}

impl Event {
    /// Its name, as docs/protocol.md draws it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Known(Known::Nothing) => "nothing-known",
            Self::Known(Known::Lost) => "lost-known",
            Self::Known(Known::NotBegun { .. }) => "known-not-begun",
            Self::Known(Known::Begun) => "known-begun",
            Self::Known(Known::InSync) => "in-sync-known",
            Self::Known(Known::Newer) => "newer-known",
            Self::Known(Known::Copied { .. }) => "copy-known",
            Self::Fit => "fit",
            Self::Unfit { .. } => "unfit",
            Self::Ran(ran) if ran.is_success => "succeeded",
            Self::Ran(_) => "failed",
            Self::Checked(CheckSaid::InSync) => "in-sync",
            Self::Checked(CheckSaid::Drift) => "drift",
            Self::Checked(CheckSaid::Failed { .. }) => "check-failed",
            Self::Probed { starts: true } => "container-starts",
            Self::Probed { starts: false } => "container-fails",
            Self::Busy { .. } => "busy",
            Self::Offered { .. } => "offered",
            Self::Looked { .. } => "looked",
            Self::Revoked => "revoked",
            Self::TooLate => "too-late",
            Self::Records(_) => "records",
            Self::Wish(_) => "wish",
            Self::ToldToLeave => "told-to-leave",
        }
    }
}
