//! A transaction's state machine: what the journal's records mean, and what a supervisor does next.
//!
//! The state is always replayed from the journal with [`State::step`]; nothing else remembers it. What is done next
//! follows from the state, from what the host shows now, and from the operator's policy: [`next`]. Both are pure.
//! The diagram of all edges is in docs/state-machine.md, which a test compares with [`State::step`].

use crate::journal::{EngineOutcome, Journal, Record, TransactionResult};
use crate::outcome::{
    CommandEnd, Ended, EngineRestart, NO_ENGINE_RESTART, NO_REBOOT, Outcome, Rollback, StopReason,
    TransactionPhase,
};
use careen_contract::exit::REBOOT_ME;
use careen_contract::settings::Reboot;
use strum::IntoStaticStr;

/// Reboots of one transaction, at most: a payload that asks for ever is stopped by this.
pub const MAX_REBOOTS: u32 = 5;

/// Tries to bring an engine back that is down: before the rollback, and after it.
const MAX_ENGINE_TRIES: u32 = 2;

/// Where a transaction stands, and what led there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct State {
    pub stage: TransactionStage,
    pub history: History,
}

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TransactionStage {
    /// Nothing of the command was begun.
    #[default]
    Prepared,
    /// An agent of a rollout waits for the go, or has it; nothing of the command was begun.
    Offered { agent: u32 },
    /// Nothing of the command was begun, and no agent that offered it may begin it any more.
    Revoked,
    /// A program is about to start: from here on its attempt is used.
    Starting {
        phase: TransactionPhase,
        /// Which attempt of it.
        attempt: u32,
    },
    Running {
        phase: TransactionPhase,
        /// Which attempt of it.
        attempt: u32,
    },
    /// A program is being stopped.
    Stopping {
        phase: TransactionPhase,
        /// The first reason.
        reason: StopReason,
    },
    /// A program has ended.
    Ended { phase: TransactionPhase },
    /// A program lost its supervisor: nobody knows how far it came.
    Interrupted { phase: TransactionPhase },
    /// The engine is being started or restarted.
    RestartingEngine { why: EngineRestart },
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

/// A record that cannot follow a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal says '{record}' while the transaction is {stage}")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct IllegalTransition {
    pub stage: &'static str,
    pub record: &'static str,
}

impl State {
    /// The state after one more record.
    #[expect(clippy::too_many_lines, reason = "the edges of one graph")]
    pub fn step(self, record: &Record) -> Result<Self, IllegalTransition> {
        let illegal = IllegalTransition { stage: self.stage.name(), record: record.name() };
        let Self { stage, mut history } = self;
        let stage = match (stage, record) {
            (TransactionStage::Closed(_), _) => return Err(illegal),
            (stage, Record::Supervised { .. }) => stage,
            (
                TransactionStage::Prepared | TransactionStage::Offered { .. } | TransactionStage::Revoked,
                Record::Offered { agent },
            ) if *agent > history.offered => {
                history.offered = *agent;
                TransactionStage::Offered { agent: *agent }
            }
            (TransactionStage::Prepared | TransactionStage::Offered { .. }, Record::Revoked { .. }) => {
                TransactionStage::Revoked
            }
            (stage, Record::Starting { phase, attempt, engine_up }) => {
                if !may_start(&stage, &history, *phase, *attempt) {
                    return Err(illegal);
                }
                history.begin(*phase, *attempt, *engine_up);
                TransactionStage::Starting { phase: *phase, attempt: *attempt }
            }
            (TransactionStage::Starting { phase, attempt }, Record::Running { .. }) => {
                TransactionStage::Running { phase, attempt }
            }
            (TransactionStage::Running { phase, .. }, Record::Stopping { reason }) => {
                TransactionStage::Stopping { phase, reason: reason.clone() }
            }
            (TransactionStage::Stopping { phase, reason }, Record::Stopping { .. }) => {
                TransactionStage::Stopping { phase, reason }
            }
            (
                TransactionStage::Starting { phase, .. },
                Record::Ended { end: end @ CommandEnd::NotStarted(_), .. },
            ) => {
                history.ended(phase, end, None);
                TransactionStage::Ended { phase }
            }
            (TransactionStage::Running { phase, .. }, Record::Ended { end, .. }) => {
                history.ended(phase, end, None);
                TransactionStage::Ended { phase }
            }
            (TransactionStage::Stopping { phase, reason }, Record::Ended { end, .. }) => {
                history.ended(phase, end, Some(reason));
                TransactionStage::Ended { phase }
            }
            (
                TransactionStage::Starting { phase, .. }
                | TransactionStage::Running { phase, .. }
                | TransactionStage::Stopping { phase, .. },
                Record::Interrupted,
            ) => TransactionStage::Interrupted { phase },
            (
                TransactionStage::Ended { .. }
                | TransactionStage::EngineSettled
                | TransactionStage::RestartingEngine { .. }
                | TransactionStage::Rebooted,
                Record::RestartingEngine { why },
            ) => {
                match why {
                    EngineRestart::Down | EngineRestart::Replaced => history.engine_tries += 1,
                    EngineRestart::CalledDown => history.was_called_down = true,
                }
                TransactionStage::RestartingEngine { why: *why }
            }
            (TransactionStage::RestartingEngine { .. }, Record::EngineSettled { outcome }) => {
                history.engine = Some(outcome.clone());
                TransactionStage::EngineSettled
            }
            (
                TransactionStage::Ended { .. } | TransactionStage::EngineSettled,
                Record::Rebooting { from_boot, reason },
            ) => {
                history.reboots += 1;
                history.granted.push(reason.clone());
                TransactionStage::Rebooting { from_boot: from_boot.clone() }
            }
            (TransactionStage::Rebooting { from_boot }, Record::Rebooted { boot }) if from_boot != *boot => {
                TransactionStage::Rebooted
            }
            (stage, Record::Closed { result }) if may_close(&stage) => {
                TransactionStage::Closed(result.clone())
            }
            (_, _) => return Err(illegal),
        };
        Ok(Self { stage, history })
    }

    /// Whether a supervisor that takes over now may still start the command.
    pub fn may_start_command(&self, policy: Policy) -> bool {
        match &self.stage {
            TransactionStage::Prepared
            | TransactionStage::Offered { .. }
            | TransactionStage::Rebooting { .. }
            | TransactionStage::Rebooted => self.asks_for_command(),
            TransactionStage::Starting { phase, .. }
            | TransactionStage::Running { phase, .. }
            | TransactionStage::Stopping { phase, .. }
            | TransactionStage::Interrupted { phase } => {
                policy.idempotent && *phase == TransactionPhase::Command
            }
            TransactionStage::Revoked
            | TransactionStage::Ended { .. }
            | TransactionStage::RestartingEngine { .. }
            | TransactionStage::EngineSettled
            | TransactionStage::Closed(_) => false,
        }
    }

    /// Whether anything of the command was begun.
    pub fn is_begun(&self) -> bool {
        !matches!(
            self.stage,
            TransactionStage::Prepared | TransactionStage::Offered { .. } | TransactionStage::Revoked
        )
    }

    /// Whether a program of the payload runs, as far as the journal tells.
    pub fn has_a_living_program(&self) -> bool {
        matches!(
            self.stage,
            TransactionStage::Starting { .. }
                | TransactionStage::Running { .. }
                | TransactionStage::Stopping { .. }
        )
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
fn may_start(stage: &TransactionStage, history: &History, phase: TransactionPhase, attempt: u32) -> bool {
    match (stage, phase) {
        (
            TransactionStage::Prepared
            | TransactionStage::Offered { .. }
            | TransactionStage::Rebooted
            | TransactionStage::Interrupted { phase: TransactionPhase::Command },
            TransactionPhase::Command,
        ) => attempt == history.attempts + 1,
        (TransactionStage::Ended { .. } | TransactionStage::EngineSettled, TransactionPhase::Rollback) => {
            attempt == 1 && !history.rolled_back
        }
        (_, TransactionPhase::Command | TransactionPhase::Rollback) => false,
    }
}

fn may_close(stage: &TransactionStage) -> bool {
    match stage {
        TransactionStage::Ended { .. }
        | TransactionStage::Interrupted { .. }
        | TransactionStage::EngineSettled
        | TransactionStage::Rebooting { .. }
        | TransactionStage::Rebooted => true,
        TransactionStage::Prepared
        | TransactionStage::Offered { .. }
        | TransactionStage::Revoked
        | TransactionStage::Starting { .. }
        | TransactionStage::Running { .. }
        | TransactionStage::Stopping { .. }
        | TransactionStage::RestartingEngine { .. }
        | TransactionStage::Closed(_) => false,
    }
}

impl History {
    /// Whether any program was begun.
    pub fn has_begun(&self) -> bool {
        self.attempts > 0 || self.rolled_back
    }

    fn begin(&mut self, phase: TransactionPhase, attempt: u32, engine_up: bool) {
        match phase {
            TransactionPhase::Command => {
                self.attempts = attempt;
                self.engine_was_up |= engine_up;
            }
            TransactionPhase::Rollback => {
                self.rolled_back = true;
                // What it brought back has to be started, however often that failed before.
                self.engine_tries = self.engine_tries.min(MAX_ENGINE_TRIES - 1);
            }
        }
    }

    fn ended(&mut self, phase: TransactionPhase, end: &CommandEnd, stopped: Option<StopReason>) {
        if phase == TransactionPhase::Command {
            self.end = Some(Ended { end: end.clone(), stopped });
        }
    }
}

impl TransactionStage {
    /// The stage's name, for messages and the diagram.
    pub fn name(&self) -> &'static str {
        self.into()
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
    /// Whether the command only looks, beside whoever else works on the host: what becomes of engine and host meanwhile is
    /// theirs.
    pub only_looks: bool,
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
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Action {
    /// Start a program of the payload.
    Start {
        phase: TransactionPhase,
        /// Which attempt of it.
        attempt: u32,
    },
    /// Record that a program lost its supervisor.
    RecordInterrupted,
    /// Start or restart the engine.
    RestartEngine(EngineRestart),
    /// Record the intent and reboot.
    Reboot { reason: String },
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
        TransactionStage::Prepared if policy.awaits_go => Action::Nothing,
        TransactionStage::Offered { agent } if host.go != Some(*agent) => Action::Nothing,
        TransactionStage::Revoked => Action::Nothing,
        TransactionStage::Prepared | TransactionStage::Offered { .. } => {
            Action::Start { phase: TransactionPhase::Command, attempt: 1 }
        }
        TransactionStage::Starting { .. }
        | TransactionStage::Running { .. }
        | TransactionStage::Stopping { .. } => Action::RecordInterrupted,
        TransactionStage::Interrupted { phase: TransactionPhase::Command }
            if policy.idempotent && history.attempts <= MAX_REBOOTS =>
        {
            Action::Start { phase: TransactionPhase::Command, attempt: history.attempts + 1 }
        }
        TransactionStage::Interrupted { .. } => Action::Close(Outcome::Interrupted),
        TransactionStage::Ended { .. } | TransactionStage::EngineSettled => {
            after_the_command(history, host, policy)
        }
        TransactionStage::RestartingEngine { why } => Action::RestartEngine(*why),
        TransactionStage::Rebooting { from_boot } if *from_boot == host.boot_id => Action::RebootNow,
        TransactionStage::Rebooting { .. } => Action::RecordRebooted,
        TransactionStage::Rebooted => after_the_reboot(history, host, policy),
        TransactionStage::Closed(_) => Action::Nothing,
    }
}

fn after_the_command(history: &History, host: &HostView, policy: Policy) -> Action {
    if policy.only_looks {
        let end = history.end.as_ref();
        return Action::Close(end.map_or(Outcome::Interrupted, |end| Outcome::of(end, history.attempts)));
    }
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
        return Action::Start { phase: TransactionPhase::Rollback, attempt: 1 };
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
            Action::Start { phase: TransactionPhase::Command, attempt: history.attempts + 1 }
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
        self.into()
    }
}

#[cfg(test)]
mod tests;
