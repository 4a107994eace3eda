//! A transaction's state machine: what the journal's records mean, and what a supervisor does next.
//!
//! The state is always replayed from the journal with [`State::step`]; nothing else remembers it. What is done next
//! follows from the state, from what the host shows now, and from the operator's policy: [`next`]. Both are pure.
//! The diagram of all edges is in docs/state-machine.md, which a test compares with [`State::step`].

use crate::exit::{AgentExit, REBOOT_ME};
use crate::journal::{CommandEnd, EngineOutcome, Journal, Record, TransactionResult};
use crate::settings::Reboot;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Reboots of one transaction, at most: a payload that asks for ever is stopped by this.
pub const MAX_REBOOTS: u32 = 5;

/// Tries to bring an engine back that is down: before the rollback, and after it.
const MAX_ENGINE_TRIES: u32 = 2;

/// A part of a transaction that runs a program of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The command that was asked for.
    Command,
    /// The payload's `rollback`, when the engine stays down after the command.
    Rollback,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "command",
            Self::Rollback => "rollback",
        })
    }
}

/// Where a transaction stands, and what led there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Where it stands.
    pub stage: Stage,
    /// What led there.
    pub history: History,
}

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stage {
    /// Nothing of the command was begun.
    #[default]
    Prepared,
    /// An agent of a rollout waits for the go, or has it; nothing of the command was begun.
    Offered {
        /// Which agent.
        agent: u32,
    },
    /// Nothing of the command was begun, and no agent that offered it may begin it any more.
    Revoked,
    /// A program is about to start: from here on its attempt is used.
    Starting {
        /// Which program.
        phase: Phase,
        /// Which attempt of it.
        attempt: u32,
    },
    /// A program runs.
    Running {
        /// Which program.
        phase: Phase,
        /// Which attempt of it.
        attempt: u32,
    },
    /// A program is being stopped.
    Stopping {
        /// Which program.
        phase: Phase,
        /// The first reason.
        reason: StopReason,
    },
    /// A program has ended.
    Ended {
        /// Which program.
        phase: Phase,
    },
    /// A program lost its supervisor: nobody knows how far it came.
    Interrupted {
        /// Which program.
        phase: Phase,
    },
    /// The engine is being started or restarted.
    RestartingEngine {
        /// Why.
        why: EngineRestart,
    },
    /// That was done, or given up.
    EngineSettled,
    /// The host is about to reboot, or does.
    Rebooting {
        /// The boot that must end.
        from_boot: String,
    },
    /// The host has rebooted.
    Rebooted,
    /// Nothing more happens.
    Closed(TransactionResult),
}

/// What led to a stage, as far as it decides what follows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The last agent that offered the command to its rollout; 0 when none did.
    pub offered: u32,
    /// Attempts of the command that were begun.
    pub attempts: u32,
    /// Whether the engine was up when the command was begun.
    pub engine_was_up: bool,
    /// How the command ended, the last time.
    pub end: Option<Ended>,
    /// Whether the payload's rollback was begun.
    pub rolled_back: bool,
    /// How often the engine was started or restarted.
    pub engine_tries: u32,
    /// Whether it was restarted because the swarm went on calling the node down; that is done once.
    pub was_called_down: bool,
    /// What came of the last time.
    pub engine: Option<EngineOutcome>,
    /// Reboots that were begun.
    pub reboots: u32,
    /// What they were for, in words: a wish that survives its reboot is not granted again.
    pub granted: Vec<String>,
}

/// The end of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub end: CommandEnd,
    /// Why it was stopped, if it was.
    pub stopped: Option<StopReason>,
}

impl Ended {
    /// Whether the command did what it was meant to. Only then may something be restarted for it.
    fn is_clean(&self) -> bool {
        self.stopped.is_none() && matches!(self.end, CommandEnd::Exited(0 | REBOOT_ME))
    }

    fn asks_for_reboot(&self) -> bool {
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
            Self::SupervisorStopped => f.write_str(
                "its supervisor was stopped from outside (the host shut down, or somebody stopped its unit)",
            ),
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
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// The command could not be started.
    NotStarted {
        /// Why.
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
const NO_REBOOT: &str = "CAREEN_REBOOT is never";
/// The same of an engine restart.
const NO_ENGINE_RESTART: &str = "CAREEN_ENGINE_RESTART is never";

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
pub enum Rollback {
    /// There is none.
    None,
    /// It was run, and the engine is up again.
    BroughtBack,
    /// It was run, and the engine is still down.
    Failed,
}

/// A record that cannot follow a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal says '{record}' while the transaction is {stage}")]
pub struct IllegalTransition {
    /// The stage's name.
    pub stage: &'static str,
    /// The record's name.
    pub record: &'static str,
}

impl State {
    /// The state after one more record.
    pub fn step(self, record: &Record) -> Result<Self, IllegalTransition> {
        let illegal = IllegalTransition { stage: self.stage.name(), record: record.name() };
        let Self { stage, mut history } = self;
        let stage = match (stage, record) {
            (Stage::Closed(_), _) => return Err(illegal),
            (stage, Record::Supervised { .. }) => stage,
            (Stage::Prepared | Stage::Offered { .. } | Stage::Revoked, Record::Offered { agent })
                if *agent > history.offered =>
            {
                history.offered = *agent;
                Stage::Offered { agent: *agent }
            }
            (Stage::Prepared | Stage::Offered { .. }, Record::Revoked { .. }) => Stage::Revoked,
            (stage, Record::Starting { phase, attempt, engine_up }) => {
                if !may_start(&stage, &history, *phase, *attempt) {
                    return Err(illegal);
                }
                history.begin(*phase, *attempt, *engine_up);
                Stage::Starting { phase: *phase, attempt: *attempt }
            }
            (Stage::Starting { phase, attempt }, Record::Running { .. }) => Stage::Running { phase, attempt },
            (Stage::Running { phase, .. }, Record::Stopping { reason }) => {
                Stage::Stopping { phase, reason: reason.clone() }
            }
            (Stage::Stopping { phase, reason }, Record::Stopping { .. }) => Stage::Stopping { phase, reason },
            (Stage::Starting { phase, .. }, Record::Ended { end: end @ CommandEnd::NotStarted(_), .. }) => {
                history.ended(phase, end, None);
                Stage::Ended { phase }
            }
            (Stage::Running { phase, .. }, Record::Ended { end, .. }) => {
                history.ended(phase, end, None);
                Stage::Ended { phase }
            }
            (Stage::Stopping { phase, reason }, Record::Ended { end, .. }) => {
                history.ended(phase, end, Some(reason));
                Stage::Ended { phase }
            }
            (
                Stage::Starting { phase, .. } | Stage::Running { phase, .. } | Stage::Stopping { phase, .. },
                Record::Interrupted,
            ) => Stage::Interrupted { phase },
            (
                Stage::Ended { .. } | Stage::EngineSettled | Stage::RestartingEngine { .. } | Stage::Rebooted,
                Record::RestartingEngine { why },
            ) => {
                match why {
                    EngineRestart::Down | EngineRestart::Replaced => history.engine_tries += 1,
                    EngineRestart::CalledDown => history.was_called_down = true,
                }
                Stage::RestartingEngine { why: *why }
            }
            (Stage::RestartingEngine { .. }, Record::EngineSettled { outcome }) => {
                history.engine = Some(outcome.clone());
                Stage::EngineSettled
            }
            (Stage::Ended { .. } | Stage::EngineSettled, Record::Rebooting { from_boot, reason }) => {
                history.reboots += 1;
                history.granted.push(reason.clone());
                Stage::Rebooting { from_boot: from_boot.clone() }
            }
            (Stage::Rebooting { from_boot }, Record::Rebooted { boot }) if from_boot != *boot => {
                Stage::Rebooted
            }
            (stage, Record::Closed { result }) if may_close(&stage) => Stage::Closed(result.clone()),
            (_, _) => return Err(illegal),
        };
        Ok(Self { stage, history })
    }

    /// Whether a supervisor that takes over now may still start the command.
    pub fn may_start_command(&self, policy: Policy) -> bool {
        match &self.stage {
            Stage::Prepared | Stage::Offered { .. } | Stage::Rebooting { .. } | Stage::Rebooted => {
                self.asks_for_command()
            }
            Stage::Starting { phase, .. }
            | Stage::Running { phase, .. }
            | Stage::Stopping { phase, .. }
            | Stage::Interrupted { phase } => policy.idempotent && *phase == Phase::Command,
            Stage::Revoked
            | Stage::Ended { .. }
            | Stage::RestartingEngine { .. }
            | Stage::EngineSettled
            | Stage::Closed(_) => false,
        }
    }

    /// Whether anything of the command was begun.
    pub fn is_begun(&self) -> bool {
        !matches!(self.stage, Stage::Prepared | Stage::Offered { .. } | Stage::Revoked)
    }

    /// Whether a program of the payload runs, as far as the journal tells.
    pub fn has_a_living_program(&self) -> bool {
        matches!(self.stage, Stage::Starting { .. } | Stage::Running { .. } | Stage::Stopping { .. })
    }

    fn asks_for_command(&self) -> bool {
        self.history.end.as_ref().is_none_or(Ended::asks_for_reboot)
    }

    /// The state that a journal tells of.
    pub fn replay(journal: &Journal) -> Result<Self, IllegalTransition> {
        journal.lines.iter().try_fold(Self::default(), |state, line| state.step(&line.record))
    }
}

/// The command is started once, again after a reboot that it asked for or after an interruption; the rollback once,
/// after everything else failed. Attempts are counted without gaps.
fn may_start(stage: &Stage, history: &History, phase: Phase, attempt: u32) -> bool {
    match (stage, phase) {
        (
            Stage::Prepared
            | Stage::Offered { .. }
            | Stage::Rebooted
            | Stage::Interrupted { phase: Phase::Command },
            Phase::Command,
        ) => attempt == history.attempts + 1,
        (Stage::Ended { .. } | Stage::EngineSettled, Phase::Rollback) => attempt == 1 && !history.rolled_back,
        (_, Phase::Command | Phase::Rollback) => false,
    }
}

fn may_close(stage: &Stage) -> bool {
    match stage {
        Stage::Ended { .. }
        | Stage::Interrupted { .. }
        | Stage::EngineSettled
        | Stage::Rebooting { .. }
        | Stage::Rebooted => true,
        Stage::Prepared
        | Stage::Offered { .. }
        | Stage::Revoked
        | Stage::Starting { .. }
        | Stage::Running { .. }
        | Stage::Stopping { .. }
        | Stage::RestartingEngine { .. }
        | Stage::Closed(_) => false,
    }
}

impl History {
    /// Whether any program was begun.
    pub fn has_begun(&self) -> bool {
        self.attempts > 0 || self.rolled_back
    }

    fn begin(&mut self, phase: Phase, attempt: u32, engine_up: bool) {
        match phase {
            Phase::Command => {
                self.attempts = attempt;
                self.engine_was_up |= engine_up;
            }
            Phase::Rollback => {
                self.rolled_back = true;
                // What it brought back has to be started, however often that failed before.
                self.engine_tries = self.engine_tries.min(MAX_ENGINE_TRIES - 1);
            }
        }
    }

    fn ended(&mut self, phase: Phase, end: &CommandEnd, stopped: Option<StopReason>) {
        if phase == Phase::Command {
            self.end = Some(Ended { end: end.clone(), stopped });
        }
    }
}

impl Stage {
    /// The stage's name, for messages and the diagram.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Offered { .. } => "offered",
            Self::Revoked => "revoked",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Ended { .. } => "ended",
            Self::Interrupted { .. } => "interrupted",
            Self::RestartingEngine { .. } => "restarting-engine",
            Self::EngineSettled => "engine-settled",
            Self::Rebooting { .. } => "rebooting",
            Self::Rebooted => "rebooted",
            Self::Closed(_) => "closed",
        }
    }
}

/// What the operator and the payload allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether the host may be rebooted (`CAREEN_REBOOT`).
    pub reboot: Reboot,
    /// Whether a replaced engine may be restarted (`CAREEN_ENGINE_RESTART=auto`).
    pub engine_restart: bool,
    /// Whether the command may be run again after an interruption (`CAREEN_IDEMPOTENT=1`).
    pub idempotent: bool,
    /// Whether the payload has a `rollback`.
    pub has_rollback: bool,
    /// Whether the command waits for a rollout's go, and so does every restart.
    pub awaits_go: bool,
}

/// What the host shows now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostView {
    /// The agent whose go for the command this supervisor was started with; `None` without one.
    pub go: Option<u32>,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Whether the engine is up.
    pub engine_up: bool,
    /// Whether the engine is up, its manager takes part, and the swarm has gone on calling the node down for a while.
    pub called_down: bool,
    /// Why the installed engine must be restarted to take effect.
    pub engine_restart_wanted: Option<String>,
    /// Why the distribution wants a reboot.
    pub reboot_wanted: Option<String>,
    /// Whether it wanted just that before the command began. Then a command that asks for nothing has nothing to do
    /// with it, and where reboots are not allowed it is no fault of the command's that none happens.
    pub reboot_wanted_before: bool,
}

/// What a supervisor does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start a program of the payload.
    Start {
        /// Which.
        phase: Phase,
        /// Which attempt of it.
        attempt: u32,
    },
    /// Record that a program lost its supervisor.
    RecordInterrupted,
    /// Start or restart the engine.
    RestartEngine(EngineRestart),
    /// Record the intent and reboot.
    Reboot {
        /// Why.
        reason: String,
    },
    /// The intent is recorded and the boot is still the same: reboot.
    RebootNow,
    /// Record that the host has rebooted.
    RecordRebooted,
    /// Record the result, and remove what is left.
    Close(Outcome),
    /// Nothing: the result stands, or nobody may begin.
    Nothing,
}

/// Decides what a supervisor does next. Called after every record, and by a supervisor that takes a transaction over.
pub fn next(state: &State, host: &HostView, policy: Policy) -> Action {
    let history = &state.history;
    match &state.stage {
        // Without a go nothing begins, and a go is for the agent alone that offered last.
        Stage::Prepared if policy.awaits_go => Action::Nothing,
        Stage::Offered { agent } if host.go != Some(*agent) => Action::Nothing,
        Stage::Revoked => Action::Nothing,
        Stage::Prepared | Stage::Offered { .. } => Action::Start { phase: Phase::Command, attempt: 1 },
        Stage::Starting { .. } | Stage::Running { .. } | Stage::Stopping { .. } => Action::RecordInterrupted,
        Stage::Interrupted { phase: Phase::Command }
            if policy.idempotent && history.attempts <= MAX_REBOOTS =>
        {
            Action::Start { phase: Phase::Command, attempt: history.attempts + 1 }
        }
        Stage::Interrupted { .. } => Action::Close(Outcome::Interrupted),
        Stage::Ended { .. } | Stage::EngineSettled => after_the_command(history, host, policy),
        Stage::RestartingEngine { why } => Action::RestartEngine(*why),
        Stage::Rebooting { from_boot } if *from_boot == host.boot_id => Action::RebootNow,
        Stage::Rebooting { .. } => Action::RecordRebooted,
        Stage::Rebooted => after_the_reboot(history, host, policy),
        Stage::Closed(_) => Action::Nothing,
    }
}

fn after_the_command(history: &History, host: &HostView, policy: Policy) -> Action {
    if history.engine_was_up && !host.engine_up {
        return with_the_engine_down(history, policy);
    }
    if history.rolled_back {
        return Action::Close(engine_down(history, Rollback::BroughtBack));
    }
    let Some(ended) = &history.end else { return Action::Close(Outcome::Interrupted) };
    if !ended.is_clean() {
        return Action::Close(Outcome::of(ended, history.attempts));
    }
    let asked =
        ended.asks_for_reboot().then(|| format!("the command asks for a reboot (status {REBOOT_ME})"));
    let reboot = asked.or_else(|| match policy.reboot {
        Reboot::Asked => None,
        Reboot::Always if history.reboots == 0 => Some("every host is to be rebooted".to_owned()),
        Reboot::Never if host.reboot_wanted_before => None,
        Reboot::Never | Reboot::Wanted | Reboot::Always => host.reboot_wanted.clone(),
    });
    let mut reasons = Vec::new();
    match reboot {
        Some(reason) if policy.reboot == Reboot::Never => reasons.push(format!("{reason}, and {NO_REBOOT}")),
        Some(reason) if history.reboots >= MAX_REBOOTS => {
            reasons.push(format!("{reason}, after {MAX_REBOOTS} reboots already"));
        }
        // The reboot restarts the engine too.
        Some(reason) => return Action::Reboot { reason },
        None => {}
    }
    match (&host.engine_restart_wanted, &history.engine) {
        (None, _) | (Some(_), Some(EngineOutcome::Up)) => {}
        (Some(reason), _) if !policy.engine_restart => {
            reasons.push(format!("{reason}, and {NO_ENGINE_RESTART}"));
        }
        (Some(_), None) => return Action::RestartEngine(EngineRestart::Replaced),
        (Some(reason), Some(EngineOutcome::Refused { reason: why } | EngineOutcome::Down { words: why })) => {
            reasons.push(format!("{reason}, which was not done: {why}"));
        }
    }
    if is_to_be_heard_of(history, host, policy) {
        return Action::RestartEngine(EngineRestart::CalledDown);
    }
    Action::Close(if reasons.is_empty() {
        Outcome::of(ended, history.attempts)
    } else {
        Outcome::RestartWanted { reasons }
    })
}

/// Whether a restart of the engine is to bring the node back into its swarm's list. It is part of the restart that came before:
/// once, and where restarts are allowed.
fn is_to_be_heard_of(history: &History, host: &HostView, policy: Policy) -> bool {
    host.called_down && host.engine_up && policy.engine_restart && !history.was_called_down
}

/// No other way into the host is left when its engine stays down: so it is tried, rolled back, and tried again.
fn with_the_engine_down(history: &History, policy: Policy) -> Action {
    // Up when it was started or left alone, and down again: that may happen once.
    let untried = match &history.engine {
        None | Some(EngineOutcome::Up | EngineOutcome::Refused { .. }) => true,
        Some(EngineOutcome::Down { .. }) => false,
    };
    if untried && history.engine_tries < MAX_ENGINE_TRIES {
        return Action::RestartEngine(EngineRestart::Down);
    }
    if policy.has_rollback && !history.rolled_back {
        return Action::Start { phase: Phase::Rollback, attempt: 1 };
    }
    if history.rolled_back && history.engine_tries < MAX_ENGINE_TRIES {
        return Action::RestartEngine(EngineRestart::Down);
    }
    Action::Close(engine_down(history, if history.rolled_back { Rollback::Failed } else { Rollback::None }))
}

fn engine_down(history: &History, rollback: Rollback) -> Outcome {
    let words = match &history.engine {
        Some(EngineOutcome::Down { words } | EngineOutcome::Refused { reason: words }) => words.clone(),
        Some(EngineOutcome::Up) | None => "it did not come up".to_owned(),
    };
    Outcome::EngineDown { words, rollback }
}

/// A wish of the distribution's that survives its reboot is not repeated; it stands in the facts of the result.
fn after_the_reboot(history: &History, host: &HostView, policy: Policy) -> Action {
    match &history.end {
        Some(ended) if ended.asks_for_reboot() => {
            Action::Start { phase: Phase::Command, attempt: history.attempts + 1 }
        }
        Some(ended) => {
            // The engine may still be starting: whoever acts waits for it.
            let down = history.engine_was_up && !host.engine_up && history.engine_tries < MAX_ENGINE_TRIES;
            if down {
                Action::RestartEngine(EngineRestart::Down)
            } else if is_to_be_heard_of(history, host, policy) {
                Action::RestartEngine(EngineRestart::CalledDown)
            } else {
                Action::Close(Outcome::of(ended, history.attempts))
            }
        }
        None => Action::Close(Outcome::Interrupted),
    }
}

impl Record {
    /// The record's name, as the journal writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Supervised { .. } => "supervised",
            Self::Offered { .. } => "offered",
            Self::Revoked { .. } => "revoked",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Ended { .. } => "ended",
            Self::Interrupted => "interrupted",
            Self::RestartingEngine { .. } => "restarting-engine",
            Self::EngineSettled { .. } => "engine-settled",
            Self::Rebooting { .. } => "rebooting",
            Self::Rebooted { .. } => "rebooted",
            Self::Closed { .. } => "closed",
        }
    }
}

#[cfg(test)]
mod tests;
