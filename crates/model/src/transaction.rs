//! A transaction's state machine: what the journal's records mean, and what a supervisor may do next.
//!
//! ```text
//! prepared ──supervised──▶ prepared
//! prepared ──starting────▶ starting
//! starting ──running─────▶ running
//! starting ──ended───────▶ ended        (the command could not be started)
//! running  ──stopping────▶ stopping
//! running  ──ended───────▶ ended
//! stopping ──stopping────▶ stopping     (a second reason does not replace the first)
//! stopping ──ended───────▶ ended
//! ended    ──closed──────▶ closed
//! any but closed ──supervised──▶ itself
//! prepared, starting, running, stopping ──closed──▶ closed   (interrupted; the supervisor died)
//! ```
//!
//! The state is always replayed from the journal; nothing else remembers it.

use crate::exit::{AgentExit, REBOOT_ME};
use crate::journal::{CommandEnd, Journal, Record, TransactionResult};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing of the command was begun.
    #[default]
    Prepared,
    /// The command is about to start: from here on its attempt is used.
    Starting {
        /// Which attempt.
        attempt: u32,
    },
    /// The command runs.
    Running {
        /// Which attempt.
        attempt: u32,
    },
    /// The command is being stopped.
    Stopping {
        /// Which attempt.
        attempt: u32,
        /// The first reason.
        reason: StopReason,
    },
    /// The command has ended; what it left is being removed.
    Ended {
        /// How.
        end: CommandEnd,
        /// Why it was stopped, if it was.
        stopped: Option<StopReason>,
    },
    /// Nothing more happens.
    Closed(TransactionResult),
}

/// Why a command was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Its time limit.
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
            Self::SupervisorStopped => f.write_str("its supervisor was stopped from outside"),
        }
    }
}

/// What came of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// The command ended by itself with this status.
    Exited {
        /// 0 to 255.
        status: i32,
    },
    /// The command was killed by a signal that was not ours.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The command asks for a reboot and another attempt, which is not allowed here.
    RebootWanted,
    /// The command ran into its time limit and was stopped.
    TimedOut,
    /// The command was stopped for this reason.
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// The command could not be started.
    NotStarted {
        /// Why.
        error: String,
    },
    /// The supervisor is gone and left no result: nobody knows how far the command came. It is not run again.
    Interrupted,
}

impl Outcome {
    /// What the end of a command means, given why it was stopped.
    pub fn of(end: &CommandEnd, stopped: Option<&StopReason>) -> Self {
        match (stopped, end) {
            (Some(StopReason::TimeLimit), CommandEnd::Exited(_) | CommandEnd::Signaled(_)) => Self::TimedOut,
            (Some(reason), CommandEnd::Exited(_) | CommandEnd::Signaled(_)) => {
                Self::Stopped { reason: reason.clone() }
            }
            (None, CommandEnd::Exited(REBOOT_ME)) => Self::RebootWanted,
            (None, CommandEnd::Exited(status)) => Self::Exited { status: *status },
            (None, CommandEnd::Signaled(signal)) => Self::Signaled { signal: *signal },
            (_, CommandEnd::NotStarted(error)) => Self::NotStarted { error: error.clone() },
        }
    }

    /// What the agent exits with. A signal counts as shells count it: 128 and its number.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited { status } => u8::try_from(*status).unwrap_or(u8::MAX),
            Self::Signaled { signal } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::RebootWanted => AgentExit::RestartWanted.code(),
            Self::TimedOut => AgentExit::TimeLimit.code(),
            Self::Stopped { .. } | Self::Interrupted => AgentExit::Interrupted.code(),
            Self::NotStarted { .. } => AgentExit::NotExecutable.code(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { status } => write!(f, "exited with status {status}"),
            Self::Signaled { signal } => write!(f, "was killed by signal {signal}"),
            Self::RebootWanted => {
                write!(f, "asks for a reboot (status {REBOOT_ME}), which is not allowed here")
            }
            Self::TimedOut => f.write_str("was stopped at its time limit"),
            Self::Stopped { reason } => write!(f, "was stopped: {reason}"),
            Self::NotStarted { error } => write!(f, "could not be started: {error}"),
            Self::Interrupted => f.write_str("was interrupted: its supervisor is gone and left no result"),
        }
    }
}

/// A record that cannot follow a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal says '{record}' while the transaction is {state}")]
pub struct IllegalTransition {
    /// The state's name.
    pub state: &'static str,
    /// The record's name.
    pub record: &'static str,
}

impl State {
    /// The state after one more record.
    pub fn step(self, record: &Record) -> Result<Self, IllegalTransition> {
        match (self, record) {
            (Self::Closed(result), record) => Err(Self::Closed(result).illegal(record)),
            (state, Record::Supervised { .. }) => Ok(state),
            (Self::Prepared, Record::Starting { attempt }) => Ok(Self::Starting { attempt: *attempt }),
            (Self::Starting { attempt }, Record::Running { attempt: same, .. }) if attempt == *same => {
                Ok(Self::Running { attempt })
            }
            (Self::Running { attempt }, Record::Stopping { reason }) => {
                Ok(Self::Stopping { attempt, reason: reason.clone() })
            }
            (Self::Stopping { attempt, reason }, Record::Stopping { .. }) => {
                Ok(Self::Stopping { attempt, reason })
            }
            (Self::Starting { .. }, Record::Ended { end: end @ CommandEnd::NotStarted(_), .. }) => {
                Ok(Self::Ended { end: end.clone(), stopped: None })
            }
            (Self::Running { .. }, Record::Ended { end, .. }) => {
                Ok(Self::Ended { end: end.clone(), stopped: None })
            }
            (Self::Stopping { reason, .. }, Record::Ended { end, .. }) => {
                Ok(Self::Ended { end: end.clone(), stopped: Some(reason) })
            }
            (Self::Ended { .. }, Record::Closed { result }) => Ok(Self::Closed(result.clone())),
            (
                Self::Prepared | Self::Starting { .. } | Self::Running { .. } | Self::Stopping { .. },
                Record::Closed { result },
            ) if result.outcome == Outcome::Interrupted => Ok(Self::Closed(result.clone())),
            (state, record) => Err(state.illegal(record)),
        }
    }

    /// The state that a journal tells of.
    pub fn replay(journal: &Journal) -> Result<Self, IllegalTransition> {
        journal.lines.iter().try_fold(Self::default(), |state, line| state.step(&line.record))
    }

    /// What a supervisor that takes the transaction over has to do.
    pub fn resume(&self) -> Resume {
        match self {
            Self::Prepared => Resume::Start,
            Self::Starting { .. } | Self::Running { .. } | Self::Stopping { .. } => Resume::CloseInterrupted,
            Self::Ended { end, stopped } => Resume::Close(Outcome::of(end, stopped.as_ref())),
            Self::Closed(_) => Resume::Nothing,
        }
    }

    /// The state's name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Ended { .. } => "ended",
            Self::Closed(_) => "closed",
        }
    }

    fn illegal(&self, record: &Record) -> IllegalTransition {
        IllegalTransition { state: self.name(), record: record.name() }
    }
}

/// What a supervisor has to do with a transaction that it takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// Run the command: nothing of it was begun.
    Start,
    /// Record the result that was reached and remove what is left.
    Close(Outcome),
    /// Record that the command was interrupted. It is not run again: nobody knows how far it came.
    CloseInterrupted,
    /// Nothing: the result stands.
    Nothing,
}

impl Record {
    /// The record's name, as the journal writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Supervised { .. } => "supervised",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Ended { .. } => "ended",
            Self::Closed { .. } => "closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Way;

    fn supervised() -> Record {
        Record::Supervised { entry: Way::Systemd, pid: 1, boot_id: "b".into() }
    }

    fn ended(end: CommandEnd) -> Record {
        Record::Ended { end, left_behind: Vec::new() }
    }

    fn closed(outcome: Outcome) -> Record {
        let exit_code = outcome.exit_code();
        let result =
            TransactionResult { outcome, exit_code, output_bytes: 0, duration_ms: None, notes: Vec::new() };
        Record::Closed { result }
    }

    fn all_records() -> [Record; 8] {
        [
            supervised(),
            Record::Starting { attempt: 1 },
            Record::Running { attempt: 1, pid: 9 },
            Record::Stopping { reason: StopReason::TimeLimit },
            ended(CommandEnd::Exited(0)),
            ended(CommandEnd::NotStarted("x".into())),
            closed(Outcome::Exited { status: 0 }),
            closed(Outcome::Interrupted),
        ]
    }

    fn all_states() -> [State; 6] {
        [
            State::Prepared,
            State::Starting { attempt: 1 },
            State::Running { attempt: 1 },
            State::Stopping { attempt: 1, reason: StopReason::ContainerRemoved },
            State::Ended { end: CommandEnd::Exited(0), stopped: None },
            State::Closed(TransactionResult {
                outcome: Outcome::Interrupted,
                exit_code: 245,
                output_bytes: 0,
                duration_ms: None,
                notes: Vec::new(),
            }),
        ]
    }

    /// Every pair of state and record, legal or not, against the edges of the module's diagram.
    #[test]
    fn the_edges_are_those_of_the_diagram_and_no_others() {
        let legal = |state: &str, record: &str, interrupted: bool, not_started: bool| match (state, record) {
            ("closed", _) => None,
            (state, "supervised") => Some(state.to_owned()),
            ("prepared", "starting") => Some("starting".into()),
            ("starting", "running") => Some("running".into()),
            ("starting", "ended") if not_started => Some("ended".into()),
            ("running" | "stopping", "ended") => Some("ended".into()),
            ("running" | "stopping", "stopping") => Some("stopping".into()),
            ("ended", "closed") => Some("closed".into()),
            ("prepared" | "starting" | "running" | "stopping", "closed") if interrupted => {
                Some("closed".into())
            }
            _ => None,
        };
        for state in all_states() {
            for record in all_records() {
                let interrupted = record == closed(Outcome::Interrupted);
                let not_started = record == ended(CommandEnd::NotStarted("x".into()));
                let expected = legal(state.name(), record.name(), interrupted, not_started);
                let got = state.clone().step(&record).ok().map(|next| next.name().to_owned());
                assert_eq!(got, expected, "{} + {}", state.name(), record.name());
            }
        }
    }

    #[test]
    fn a_used_attempt_is_never_started_again() {
        for state in all_states() {
            let may_start = state.resume() == Resume::Start;
            assert_eq!(may_start, state == State::Prepared, "{}", state.name());
        }
    }

    #[test]
    fn the_first_reason_to_stop_is_kept() {
        let stopping =
            State::Running { attempt: 1 }.step(&Record::Stopping { reason: StopReason::TimeLimit }).unwrap();
        let again = Record::Stopping { reason: StopReason::Cancelled("x".into()) };
        let end = stopping.step(&again).unwrap().step(&ended(CommandEnd::Signaled(9))).unwrap();
        assert_eq!(end, State::Ended { end: CommandEnd::Signaled(9), stopped: Some(StopReason::TimeLimit) });
        assert_eq!(end.resume(), Resume::Close(Outcome::TimedOut));
    }

    #[test]
    fn exit_codes_follow_the_contract() {
        let code =
            |end: CommandEnd, stopped: Option<StopReason>| Outcome::of(&end, stopped.as_ref()).exit_code();
        assert_eq!(code(CommandEnd::Exited(0), None), 0);
        assert_eq!(code(CommandEnd::Exited(7), None), 7);
        assert_eq!(code(CommandEnd::Exited(194), None), 246);
        assert_eq!(code(CommandEnd::Signaled(11), None), 139);
        assert_eq!(code(CommandEnd::Exited(0), Some(StopReason::TimeLimit)), 124);
        assert_eq!(code(CommandEnd::Exited(0), Some(StopReason::Cancelled("x".into()))), 245);
        assert_eq!(code(CommandEnd::NotStarted("x".into()), None), 126);
        assert_eq!(Outcome::Interrupted.exit_code(), 245);
    }
}
