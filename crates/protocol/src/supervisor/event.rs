//! What a supervisor is told, and what it does.

use careen_contract::report::Restart;
use careen_host::journal::{EngineOutcome, Record};
use careen_host::outcome::{CommandEnd, EngineRestart, Outcome, TransactionPhase};
use careen_host::transaction::HostView;

/// A program to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Start {
    pub phase: TransactionPhase,
    /// Which attempt of it.
    pub attempt: u32,
    /// Whether the engine is up.
    pub engine_up: bool,
}

/// A restart to come; in a rollout it waits for its go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Wish {
    /// Counted over the whole transaction, from 1. A go is for one number.
    pub number: u32,
    pub kind: Restart,
    pub reason: String,
    /// The boot in which it is asked for.
    pub boot: String,
}

/// What came of the last effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Event {
    /// It was started.
    Begin,
    /// Whether the host's lock is this transaction's now.
    HostLock(bool),
    /// The record is in the journal.
    Written,
    /// What the host shows, and whether secrets that the command needs are not there.
    Seen {
        view: HostView,
        /// Only an agent can bring them.
        secrets_are_missing: bool,
    },
    /// What was waited for is there; the go that was looked at counts.
    Waited,
    /// The same before a command. The wait may have been long: whether the engine is up now is told anew.
    MayRun {
        /// An engine that is up before the command must be up behind it.
        engine_up: bool,
    },
    /// The go that was looked at is not there, or counts no more; nothing was done. While a start cannot be recorded it is told
    /// so as well.
    GoIsVoid,
    /// The swarm could do without this host when it was asked, and cannot any more: nothing was done.
    TurnIsLost,
    /// What was waited for does not come, for this reason.
    GaveUp(String),
    /// Somebody ends the wait.
    Cancelled(String),
    /// The process is told to end: the host shuts down, or somebody stopped its unit.
    ToldToEnd,
    /// The program runs.
    Started { pid: u32 },
    /// The program could not be started, or has ended.
    Ended {
        end: CommandEnd,
        /// Processes that it left behind, in words.
        left_behind: Vec<String>,
        /// What else a person should know.
        notes: Vec<String>,
        /// Whether a shutdown of the host cut it off, and it may be run again.
        cut_off: bool,
    },
    /// What came of a restart of the engine.
    Settled(EngineOutcome),
    /// The result is recorded.
    Closed,
}

/// What a supervisor does next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Effect {
    /// Take the host's lock, without waiting.
    TakeHostLock,
    /// Record that this supervisor has the transaction.
    WriteSupervised,
    /// Write this record, and sync it.
    Write(Record),
    /// Wait for an engine that was up before the command, and that the command may have started again.
    LetEngineComeUp,
    /// Look at the host.
    Look,
    /// Wait until the swarm can do without this host, right before the command: [`Event::MayRun`].
    AwaitTurnToRun,
    /// Wait until the go for the command counts ([`crate::go`]), at most for [`super::GO_TO_RUN_LIMIT`]: whoever passed it on may be gone,
    /// and the node may run tasks again. Then [`Event::MayRun`], if the swarm can still do without this host; else
    /// [`Event::TurnIsLost`].
    AwaitGoToRun,
    /// Say what is wanted, and wait for a go that counts ([`crate::go`]), at most for [`super::GO_LIMIT`]. A go that lies there already
    /// was given to a supervisor that was lost, for a node as it was then: it is taken away first, and does not count. What
    /// is wanted goes on being said until the restart begins, or does not come: so the agent goes on passing the go on.
    AwaitGo(Wish),
    /// Wait until the swarm can do without this host, right before a restart.
    AwaitTurnToRestart,
    /// Look whether the go of this number still counts: [`Event::Waited`] or [`Event::GoIsVoid`].
    LookAtGo(u32),
    StartProgram(Start),
    /// Watch it to its end: its output, its limit, whoever wants it stopped.
    WatchProgram,
    /// Start or restart the engine. With a number it is restarted only if that go counts at the very moment; else
    /// [`Event::GoIsVoid`], and nothing is done.
    RestartEngine {
        why: EngineRestart,
        /// The number of the go that it needs.
        go: Option<u32>,
    },
    /// Reboot the host, likewise, and if the swarm can still do without it: else [`Event::TurnIsLost`]. Its record may have had to
    /// wait.
    Reboot {
        /// The number of the go that it needs.
        go: Option<u32>,
    },
    /// Wait until the rebooted host takes part in its swarm again, or that has taken too long.
    AwaitSwarm,
    /// Record the result, and remove what is left.
    Close(Outcome),
    /// Remove the transaction, of which nothing was begun.
    Withdraw,
    Leave(Leave),
}

/// Why a supervisor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Leave {
    Done,
    /// Another transaction has the host, and nothing of this one was begun.
    HostBusy,
    /// Another transaction has the host, and this one goes on later.
    Later,
    /// Only an agent can bring what is missing.
    AwaitsAgent,
    /// It carries no go that counts.
    NoGo,
    /// The process is told to end; it is taken up after the boot.
    ToldToEnd,
}

impl Event {
    /// Its name, as docs/protocol.md draws it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::HostLock(true) => "host-is-ours",
            Self::HostLock(false) => "host-is-busy",
            Self::Written => "written",
            Self::Seen { .. } => "seen",
            Self::Waited => "waited",
            Self::MayRun { .. } => "may-run",
            Self::GoIsVoid => "go-is-void",
            Self::TurnIsLost => "turn-is-lost",
            Self::GaveUp(_) => "gave-up",
            Self::Cancelled(_) => "cancelled",
            Self::ToldToEnd => "told-to-end",
            Self::Started { .. } => "started",
            Self::Ended { .. } => "ended",
            Self::Settled(_) => "settled",
            Self::Closed => "closed",
        }
    }
}
