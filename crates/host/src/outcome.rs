//! How a transaction's programs end, and what came of it all: words that the journal stores.

use careen_contract::exit::{AgentExit, REBOOT_ME};
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::Display;

/// A part of a transaction that runs a program of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum TransactionPhase {
    /// The command that was asked for.
    Command,
    /// The payload's `rollback`, when the engine stays down after the command.
    Rollback,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandEnd {
    /// It exited with this status.
    Exited(i32),
    /// It was killed by this signal.
    Signaled(i32),
    /// It could not be started, for this reason.
    NotStarted(String),
}

/// The end of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Ended {
    pub end: CommandEnd,
    /// Why it was stopped, if it was.
    pub stopped: Option<StopReason>,
}

impl Ended {
    /// Whether the command did what it was meant to. Only then may something be restarted for it.
    pub(crate) fn is_clean(&self) -> bool {
        self.stopped.is_none() && matches!(self.end, CommandEnd::Exited(0 | REBOOT_ME))
    }

    pub(crate) fn asks_for_reboot(&self) -> bool {
        self.stopped.is_none() && self.end == CommandEnd::Exited(REBOOT_ME)
    }
}

/// Why the engine is started or restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineRestart {
    /// It was up before the command and is down after it.
    Down,
    /// The installed engine is not the one that runs.
    Replaced,
    /// It is up, its manager takes part, and the swarm goes on calling the node down.
    CalledDown,
}

impl EngineRestart {
    /// What is so while it has not been done.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Down => "the engine is down after the command",
            Self::Replaced => "the installed engine is not the one that runs",
            Self::CalledDown => {
                "the swarm goes on calling this node down, although its engine is up and its manager takes part"
            }
        }
    }
}

/// Why a program was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum StopReason {
    TimeLimit,
    /// Somebody asked for it, in words.
    Cancelled(String),
    /// Its container was removed, under `CAREEN_ON_REMOVE=stop`.
    ContainerRemoved,
    /// The supervisor itself was told to stop (the host shuts down, or somebody stopped its unit).
    SupervisorStopped,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeLimit => f.write_str("its time limit"),
            Self::Cancelled(by) => write!(f, "cancelled by {by}"),
            Self::ContainerRemoved => f.write_str("its container was removed"),
            Self::SupervisorStopped => f.write_str(
                "its supervisor was stopped from outside (the host shut down, or somebody stopped its unit)",
            ),
        }
    }
}

/// What came of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Outcome {
    /// The command ended by itself with this status.
    Exited {
        /// 0 to 255.
        status: i32,
    },
    /// The command was killed by a signal that was not ours.
    Signaled { signal: i32 },
    /// The command did its work, and for that to take effect something must restart that may not.
    RestartWanted {
        /// What, and why it was not done.
        reasons: Vec<String>,
    },
    /// The engine stayed down after the command.
    EngineDown {
        /// Its last words.
        words: String,
        /// What the payload's rollback did.
        rollback: Rollback,
    },
    /// The command ran into its time limit and was stopped.
    TimedOut,
    /// The command was stopped for this reason.
    Stopped { reason: StopReason },
    /// The command could not be started.
    NotStarted {
        error: String,
        /// How many attempts had begun before this one: then something was run.
        #[serde(default, skip_serializing_if = "nothing")]
        begun: u32,
    },
    /// The supervisor is gone and left no result: nobody knows how far the command came. It is not run again.
    Interrupted,
}

impl Outcome {
    /// What the end of a command means by itself, which is that of its last attempt.
    pub fn of(ended: &Ended, attempts: u32) -> Self {
        match (&ended.stopped, &ended.end) {
            (_, CommandEnd::NotStarted(error)) => {
                Self::NotStarted { error: error.clone(), begun: attempts.saturating_sub(1) }
            }
            (Some(StopReason::TimeLimit), CommandEnd::Exited(_) | CommandEnd::Signaled(_)) => Self::TimedOut,
            (Some(reason), CommandEnd::Exited(_) | CommandEnd::Signaled(_)) => {
                Self::Stopped { reason: reason.clone() }
            }
            (None, CommandEnd::Exited(status)) => Self::Exited { status: *status },
            (None, CommandEnd::Signaled(signal)) => Self::Signaled { signal: *signal },
        }
    }

    /// What the agent exits with. A signal counts as shells count it: 128 and its number.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited { status } => u8::try_from(*status).unwrap_or(u8::MAX),
            Self::Signaled { signal } => u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX),
            Self::RestartWanted { .. } => AgentExit::RestartWanted.code(),
            Self::EngineDown { .. } => AgentExit::EngineDown.code(),
            Self::TimedOut => AgentExit::TimeLimit.code(),
            Self::NotStarted { begun: 0, .. } => AgentExit::NotExecutable.code(),
            Self::Stopped { .. } | Self::Interrupted | Self::NotStarted { .. } => {
                AgentExit::Interrupted.code()
            }
        }
    }
}

/// Why a reboot was not done that the settings forbid.
pub(crate) const NO_REBOOT: &str = "CAREEN_REBOOT is never";
/// The same of an engine restart.
pub(crate) const NO_ENGINE_RESTART: &str = "CAREEN_ENGINE_RESTART is never";

impl Outcome {
    /// Whether a rollout may go on behind it. A command that did its work on a host that the rollout's own settings keep from
    /// restarting is a success. One whose restart was to be done and was not (refused, cancelled, without a go) is none: what
    /// it has installed does not run.
    pub fn is_success(&self, command_is_done: bool) -> bool {
        match self {
            Self::Exited { status } => *status == 0,
            Self::RestartWanted { reasons } => {
                let forbidden = |why: &String| why.ends_with(NO_REBOOT) || why.ends_with(NO_ENGINE_RESTART);
                command_is_done && reasons.iter().all(forbidden)
            }
            Self::Signaled { .. }
            | Self::EngineDown { .. }
            | Self::TimedOut
            | Self::Stopped { .. }
            | Self::NotStarted { .. }
            | Self::Interrupted => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { status } => write!(f, "exited with status {status}"),
            Self::Signaled { signal } => write!(f, "was killed by signal {signal}"),
            Self::RestartWanted { reasons } => write!(f, "did its work, but {}", reasons.join("; ")),
            Self::EngineDown { words, rollback } => {
                let rollback = match rollback {
                    Rollback::None => "",
                    Rollback::BroughtBack => ", and the payload's rollback brought it back",
                    Rollback::Failed => ", also after the payload's rollback",
                };
                write!(f, "left the engine down{rollback}: {words}")
            }
            Self::TimedOut => f.write_str("was stopped at its time limit"),
            Self::Stopped { reason } => write!(f, "was stopped: {reason}"),
            Self::NotStarted { error, begun: 0 } => write!(f, "could not be started: {error}"),
            Self::NotStarted { error, begun } => {
                write!(f, "was interrupted: attempt {} could not be started: {error}", begun + 1)
            }
            Self::Interrupted => f.write_str("was interrupted: its supervisor is gone and left no result"),
        }
    }
}

fn nothing(count: &u32) -> bool {
    *count == 0
}

/// What came of a payload's rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Rollback {
    None,
    /// It was run, and the engine is up again.
    BroughtBack,
    /// It was run, and the engine is still down.
    Failed,
}
