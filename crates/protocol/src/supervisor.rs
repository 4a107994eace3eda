//! What a supervisor does next.
//!
//! A supervisor does one thing at a time: it is told what came of the last one (an [`Event`]) and says the next ([`Effect`]).
//! Where the transaction stands is in its journal alone ([`State`], which whoever drives the machine passes in); what the
//! machine remembers beside that is only what it waits for, and that may be lost: the next supervisor asks the journal.
//! Every act has its record before it. Every wait ends when somebody cancels, and when the host shuts down.

mod event;

use careen_contract::entry::Way;
use careen_contract::report::Restart;
use careen_contract::settings::Reboot;
use careen_host::journal::{EngineOutcome, Record};
use careen_host::outcome::{EngineRestart, Outcome, TransactionPhase};
use careen_host::transaction::{Action, HostView, Policy, State, TransactionStage, next};
use std::time::Duration;

pub use event::{Effect, Event, Leave, Start, Wish};

/// How long a supervisor waits for a restart's go. Nobody gives one after that: the rollout is long over, or lost.
pub const GO_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// How long it waits for its agent to pass the command's go on once more, behind the wait for its turn: an agent that lives
/// does it about once a second, unless its engine is slow.
pub const GO_TO_RUN_LIMIT: Duration = Duration::from_secs(60);

/// Who revokes a start whose go has ended.
const VOID: &str = "a supervisor whose agent did not pass the go on any more";

/// A supervisor: decides, and acts on nothing itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    policy: Policy,
    takes_host_lock: bool,
    /// The agent whose go it was started with.
    go: Option<u32>,
    /// Who cancelled, once somebody did: from then on nothing is begun or restarted any more.
    cancelled: Option<String>,
    at: At,
}

/// What it was asked to do last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum At {
    New,
    /// The host's lock was asked for.
    Host,
    /// A record is being written; then this.
    Writing(Then),
    /// It waits for an engine that the command has started.
    Engine,
    /// It looks at the host.
    Looking,
    /// It waits until the swarm can do without this host, for the command.
    TurnToRun(Start),
    /// It looks whether the go for the command still counts, behind the wait for its turn.
    GoToRun(Start),
    /// It waits for the rollout's go.
    Go(Wish),
    /// It waits until the swarm can do without this host, for a restart.
    TurnToRestart(Wish),
    /// It looks whether the go still counts, behind the wait for its turn.
    LookingAtGo(Wish),
    /// A program is being started.
    StartingProgram,
    Program,
    /// The engine is being started or restarted.
    RestartingEngine,
    /// The host is asked to reboot.
    Rebooting,
    /// It waits until the rebooted host takes part in its swarm again.
    Swarm(String),
    /// The result is being recorded.
    Closing,
    Gone,
}

/// What follows a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Then {
    /// Decide anew.
    Decide,
    Run(Start),
    /// Watch the program that was started.
    Watch,
    /// Start or restart the engine, with the go of this number.
    Restart(EngineRestart, Option<u32>),
    /// Reboot the host, likewise.
    Reboot(Option<u32>),
    Leave(Leave),
}

/// An event that cannot come now: a defect of whoever drives the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// What the machine had asked for.
    pub at: &'static str,
    /// What it was told.
    pub event: &'static str,
}

impl std::fmt::Display for Unexpected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a supervisor that is '{}' cannot be told '{}'", self.at, self.event)
    }
}

impl std::error::Error for Unexpected {}

impl Supervisor {
    /// One that has done nothing yet. In a container, below the agent, it cannot survive what would be restarted.
    pub fn new(allowed: Policy, takes_host_lock: bool, entry: Way, go: Option<u32>) -> Self {
        let outside = entry != Way::Chroot;
        let policy = Policy {
            reboot: if outside { allowed.reboot } else { Reboot::Never },
            engine_restart: allowed.engine_restart && outside,
            ..allowed
        };
        Self { policy, takes_host_lock, go, cancelled: None, at: At::New }
    }

    /// What it waits for, or does.
    pub fn at(&self) -> &At {
        &self.at
    }

    /// What follows. `state` is where the journal stands now.
    pub fn step(&mut self, state: &State, event: Event) -> Result<Effect, Unexpected> {
        let unexpected = Unexpected { at: self.at.name(), event: event.name() };
        let at = std::mem::replace(&mut self.at, At::Gone);
        Ok(match (at, event) {
            (At::New, Event::Begin) if self.takes_host_lock => self.will(At::Host, Effect::TakeHostLock),
            (At::New, Event::Begin) | (At::Host, Event::HostLock(true)) => self.take_over(state),
            (At::Host, Event::HostLock(false)) => self.host_is_busy(state),
            (At::Writing(then), Event::Written) => self.after_record(state, then),
            (At::Engine, Event::Waited | Event::GaveUp(_)) => self.will(At::Looking, Effect::Look),
            (At::Looking, Event::Seen { view, secrets_are_missing }) => {
                self.decide(state, view, secrets_are_missing)
            }
            // What has begun is gone on with under the go that it had.
            (At::TurnToRun(start), Event::MayRun { .. }) if !state.is_begun() => {
                self.will(At::GoToRun(start), Effect::AwaitGoToRun)
            }
            (At::TurnToRun(start) | At::GoToRun(start), Event::MayRun { engine_up }) => {
                self.record_start(Start { engine_up, ..start })
            }
            (At::TurnToRun(start), Event::GaveUp(why)) => self.no_turn(state, start, why.clone(), &why),
            (At::GoToRun(_), Event::GaveUp(why)) => self.revoke(why),
            (At::GoToRun(start), Event::TurnIsLost) => {
                self.will(At::TurnToRun(start), Effect::AwaitTurnToRun)
            }
            (At::Go(wish), Event::Waited) => self.await_turn_to_restart(wish),
            (At::TurnToRestart(wish), Event::Waited) => self.has_its_turn(state, wish),
            (At::Go(wish) | At::TurnToRestart(wish), Event::GaveUp(why)) => {
                self.no_restart(state, &wish.reason, why)
            }
            (At::LookingAtGo(wish), Event::Waited) => self.record_restart(state, wish),
            (At::LookingAtGo(wish), Event::GoIsVoid) => self.await_go(wish),
            // Recorded and not done: as one that takes over, it asks for another go.
            (At::RestartingEngine | At::Rebooting, Event::GoIsVoid) | (At::Rebooting, Event::TurnIsLost) => {
                self.will(At::Looking, Effect::Look)
            }
            (At::StartingProgram, Event::Started { pid }) => self.write(Record::Running { pid }, Then::Watch),
            (At::StartingProgram | At::Program, Event::Ended { end, left_behind, notes, cut_off }) => {
                match cut_off {
                    true => self.write(Record::Interrupted, Then::Leave(Leave::ToldToEnd)),
                    false => self.write(Record::Ended { end, left_behind, notes }, Then::Decide),
                }
            }
            (At::RestartingEngine, Event::Settled(outcome)) => {
                self.write(Record::EngineSettled { outcome }, Then::Decide)
            }
            (At::Rebooting, Event::GaveUp(why)) => self.close(Outcome::RestartWanted { reasons: vec![why] }),
            (At::Swarm(boot), Event::Waited | Event::GaveUp(_)) => {
                self.write(Record::Rebooted { boot }, Then::Decide)
            }
            (At::Closing, Event::Closed) => self.leave(Leave::Done),
            // The start could not be recorded for a while, and its agent may be gone by now.
            (At::Writing(Then::Run(_)), Event::GoIsVoid) => self.revoke(VOID.to_owned()),
            // What it announces cannot be recorded, and is not done.
            (
                At::Writing(then @ (Then::Run(_) | Then::Restart(..) | Then::Reboot(_))),
                Event::Cancelled(by),
            ) => self.cancel_record(state, then, by),
            (at, Event::Cancelled(by)) if at.is_a_wait() => self.cancel(state, at, by),
            (at, Event::ToldToEnd) if at.is_a_wait() => self.leave(Leave::ToldToEnd),
            (at, _) => {
                self.at = at;
                return Err(unexpected);
            }
        })
    }

    fn will(&mut self, at: At, effect: Effect) -> Effect {
        self.at = at;
        effect
    }

    fn write(&mut self, record: Record, then: Then) -> Effect {
        self.will(At::Writing(then), Effect::Write(record))
    }

    fn close(&mut self, outcome: Outcome) -> Effect {
        self.will(At::Closing, Effect::Close(outcome))
    }

    fn leave(&mut self, why: Leave) -> Effect {
        self.will(At::Gone, Effect::Leave(why))
    }

    /// Nothing of a rollout's command may begin without a go, whoever starts a supervisor: then not even a record is written.
    fn take_over(&mut self, state: &State) -> Effect {
        let go_counts = matches!(state.stage, TransactionStage::Offered { agent } if self.go == Some(agent));
        if matches!(state.stage, TransactionStage::Closed(_)) {
            return self.leave(Leave::Done);
        }
        if self.policy.awaits_go && !state.is_begun() && !go_counts {
            return self.leave(Leave::NoGo);
        }
        self.will(At::Writing(Then::Decide), Effect::WriteSupervised)
    }

    fn host_is_busy(&mut self, state: &State) -> Effect {
        match (state.is_begun(), self.policy.awaits_go) {
            (true, _) => self.leave(Leave::Later),
            // The agent asks again; what the host knows of the try must not go.
            (false, true) => self.leave(Leave::HostBusy),
            (false, false) => self.will(At::Gone, Effect::Withdraw),
        }
    }

    fn after_record(&mut self, state: &State, then: Then) -> Effect {
        match then {
            Then::Decide if self.awaits_engine(state) => self.will(At::Engine, Effect::LetEngineComeUp),
            Then::Decide => self.will(At::Looking, Effect::Look),
            Then::Run(start) => self.will(At::StartingProgram, Effect::StartProgram(start)),
            Then::Watch => self.will(At::Program, Effect::WatchProgram),
            Then::Restart(why, go) => self.will(At::RestartingEngine, Effect::RestartEngine { why, go }),
            Then::Reboot(go) => self.will(At::Rebooting, Effect::Reboot { go }),
            Then::Leave(why) => self.leave(why),
        }
    }

    /// An engine that was up before the command, and that the command has started again, may need a moment.
    fn awaits_engine(&self, state: &State) -> bool {
        matches!(state.stage, TransactionStage::Ended { .. })
            && state.history.engine_was_up
            && self.cancelled.is_none()
    }

    fn decide(&mut self, state: &State, view: HostView, secrets_are_missing: bool) -> Effect {
        let view = HostView { go: self.go, ..view };
        let action = next(state, &view, self.policy);
        if let Some(effect) = self.cancelled_instead(state, &action) {
            return effect;
        }
        match action {
            Action::Start { phase: TransactionPhase::Command, .. } if secrets_are_missing => {
                self.leave(Leave::AwaitsAgent)
            }
            Action::Start { phase, attempt } => {
                self.start(Start { phase, attempt, engine_up: view.engine_up })
            }
            Action::RecordInterrupted => self.write(Record::Interrupted, Then::Decide),
            Action::RestartEngine(why) => self.restart_engine(state, &view, why),
            Action::Reboot { reason } => {
                let wish = wish(state, Restart::Reboot, reason, view.boot_id);
                self.ask(state, wish)
            }
            Action::RebootNow => self.reboot_again(state, view.boot_id),
            Action::RecordRebooted if state.history.engine_was_up && self.cancelled.is_none() => {
                self.will(At::Swarm(view.boot_id), Effect::AwaitSwarm)
            }
            Action::RecordRebooted => self.write(Record::Rebooted { boot: view.boot_id }, Then::Decide),
            Action::Close(outcome) => self.close(outcome),
            Action::Nothing if matches!(state.stage, TransactionStage::Closed(_)) => self.leave(Leave::Done),
            Action::Nothing => self.leave(Leave::NoGo),
        }
    }

    /// After a cancel only what ends the transaction is done.
    fn cancelled_instead(&mut self, state: &State, action: &Action) -> Option<Effect> {
        let by = self.cancelled.clone()?;
        let why = format!("cancelled by {by}");
        match action {
            Action::Start { .. } if !state.is_begun() => Some(self.revoke(by)),
            Action::Start { phase, .. } => {
                Some(self.not_done(&format!("another start of the {phase} is due"), &why))
            }
            Action::RestartEngine(restart) => Some(self.not_done(restart.words(), &why)),
            Action::Reboot { reason } => Some(self.not_done(reason, &why)),
            Action::RebootNow => Some(self.not_done("a reboot is due", &why)),
            Action::RecordInterrupted | Action::RecordRebooted | Action::Close(_) | Action::Nothing => None,
        }
    }

    fn start(&mut self, start: Start) -> Effect {
        match (self.policy.awaits_go, start.phase) {
            (true, TransactionPhase::Command) => self.will(At::TurnToRun(start), Effect::AwaitTurnToRun),
            (true, TransactionPhase::Rollback) | (false, _) => self.record_start(start),
        }
    }

    fn record_start(&mut self, start: Start) -> Effect {
        let Start { phase, attempt, engine_up } = start;
        self.write(Record::Starting { phase, attempt, engine_up }, Then::Run(start))
    }

    fn restart_engine(&mut self, state: &State, view: &HostView, why: EngineRestart) -> Effect {
        let begun = matches!(state.stage, TransactionStage::RestartingEngine { .. });
        match why {
            EngineRestart::Down => self.now_restart(why),
            EngineRestart::Replaced if !self.policy.awaits_go => self.now_restart(why),
            // Starting it takes nobody down; to stop one that has come up meanwhile would need a go.
            EngineRestart::Replaced | EngineRestart::CalledDown if begun && !view.engine_up => {
                self.now_restart(EngineRestart::Down)
            }
            EngineRestart::Replaced => self.restart_replaced(state, view, begun),
            // The second half of a restart that had its go, and done once.
            EngineRestart::CalledDown if begun => self.engine_is_up(),
            EngineRestart::CalledDown => self.now_restart(why),
        }
    }

    fn now_restart(&mut self, why: EngineRestart) -> Effect {
        self.write(Record::RestartingEngine { why }, Then::Restart(why, None))
    }

    fn engine_is_up(&mut self) -> Effect {
        self.write(Record::EngineSettled { outcome: EngineOutcome::Up }, Then::Decide)
    }

    /// Of a restart that a supervisor had begun which was lost, nobody knows more than the host shows. In a rollout its go was
    /// for the node as it was then, which may run tasks again by now.
    fn restart_replaced(&mut self, state: &State, view: &HostView, begun: bool) -> Effect {
        match &view.engine_restart_wanted {
            None if begun => self.engine_is_up(),
            wanted => {
                let reason = wanted.clone().unwrap_or_else(|| "it was replaced".to_owned());
                self.ask(state, wish(state, Restart::Engine, reason, view.boot_id.clone()))
            }
        }
    }

    /// The reboot is recorded, and whoever was about to do it was lost.
    fn reboot_again(&mut self, state: &State, boot: String) -> Effect {
        let reason = state.history.granted.last().cloned().unwrap_or_else(|| "a reboot is due".to_owned());
        self.ask(state, wish(state, Restart::Reboot, reason, boot))
    }

    /// In a rollout a restart waits for its go, and then for its turn; alone an engine waits for its turn when it is restarted.
    fn ask(&mut self, state: &State, wish: Wish) -> Effect {
        match (self.policy.awaits_go, wish.kind) {
            (true, _) => self.await_go(wish),
            (false, Restart::Engine) => self.record_restart(state, wish),
            (false, Restart::Reboot) => self.await_turn_to_restart(wish),
        }
    }

    fn await_go(&mut self, wish: Wish) -> Effect {
        self.will(At::Go(wish.clone()), Effect::AwaitGo(wish))
    }

    fn await_turn_to_restart(&mut self, wish: Wish) -> Effect {
        self.will(At::TurnToRestart(wish), Effect::AwaitTurnToRestart)
    }

    /// The wait may have been long: the go may count no more.
    fn has_its_turn(&mut self, state: &State, wish: Wish) -> Effect {
        let number = wish.number;
        match self.policy.awaits_go {
            true => self.will(At::LookingAtGo(wish), Effect::LookAtGo(number)),
            false => self.record_restart(state, wish),
        }
    }

    fn record_restart(&mut self, state: &State, wish: Wish) -> Effect {
        let go = self.policy.awaits_go.then_some(wish.number);
        match wish.kind {
            Restart::Engine => {
                let why = EngineRestart::Replaced;
                self.write(Record::RestartingEngine { why }, Then::Restart(why, go))
            }
            Restart::Reboot if matches!(state.stage, TransactionStage::Rebooting { .. }) => {
                self.will(At::Rebooting, Effect::Reboot { go })
            }
            Restart::Reboot => {
                let Wish { reason, boot: from_boot, .. } = wish;
                self.write(Record::Rebooting { reason, from_boot }, Then::Reboot(go))
            }
        }
    }

    fn not_done(&mut self, reason: &str, why: &str) -> Effect {
        self.close(Outcome::RestartWanted { reasons: vec![format!("{reason}, which was not done: {why}")] })
    }

    fn revoke(&mut self, by: String) -> Effect {
        self.write(Record::Revoked { by }, Then::Leave(Leave::NoGo))
    }

    /// The command is not started: what has begun before is closed, and what has not may be begun by another agent.
    fn no_turn(&mut self, state: &State, start: Start, by: String, why: &str) -> Effect {
        match state.is_begun() {
            false => self.revoke(by),
            true => self.not_done(&format!("another start of the {} is due", start.phase), why),
        }
    }

    fn no_restart(&mut self, state: &State, reason: &str, why: String) -> Effect {
        if matches!(state.stage, TransactionStage::RestartingEngine { .. }) {
            // Recorded by one that was lost, and not done.
            let outcome = EngineOutcome::Refused { reason: why };
            return self.write(Record::EngineSettled { outcome }, Then::Decide);
        }
        self.not_done(reason, &why)
    }

    fn cancel_record(&mut self, state: &State, then: Then, by: String) -> Effect {
        let why = format!("cancelled by {by}");
        self.cancelled = Some(by.clone());
        match then {
            Then::Run(start) => self.no_turn(state, start, by, &why),
            Then::Restart(restart, _) => self.no_restart(state, restart.words(), why),
            Then::Reboot(_) => self.no_restart(state, "a reboot is due", why),
            Then::Decide | Then::Watch | Then::Leave(_) => self.will(At::Looking, Effect::Look),
        }
    }

    fn cancel(&mut self, state: &State, at: At, by: String) -> Effect {
        let why = format!("cancelled by {by}");
        self.cancelled = Some(by.clone());
        match at {
            At::TurnToRun(start) => self.no_turn(state, start, by, &why),
            At::GoToRun(_) => self.revoke(by),
            At::Go(wish) | At::TurnToRestart(wish) => self.no_restart(state, &wish.reason, why),
            At::Rebooting => self.not_done("a reboot was asked for", &why),
            At::RestartingEngine => {
                // Whoever waited has started it, and it was not there yet.
                let outcome = EngineOutcome::Down { words: why };
                self.write(Record::EngineSettled { outcome }, Then::Decide)
            }
            At::Swarm(boot) => self.write(Record::Rebooted { boot }, Then::Decide),
            At::Engine => self.will(At::Looking, Effect::Look),
            At::New
            | At::Host
            | At::Writing(_)
            | At::Looking
            | At::LookingAtGo(_)
            | At::StartingProgram
            | At::Program
            | At::Closing
            | At::Gone => self.will(At::Looking, Effect::Look),
        }
    }
}

fn wish(state: &State, kind: Restart, reason: String, boot: String) -> Wish {
    let number = state.history.reboots + state.history.engine_tries + 1;
    Wish { number, kind, reason, boot }
}

impl At {
    /// Whether somebody may end it.
    pub fn is_a_wait(&self) -> bool {
        match self {
            Self::Engine
            | Self::TurnToRun(_)
            | Self::GoToRun(_)
            | Self::Go(_)
            | Self::TurnToRestart(_)
            | Self::RestartingEngine
            | Self::Rebooting
            | Self::Swarm(_) => true,
            Self::New
            | Self::Host
            | Self::Writing(_)
            | Self::Looking
            | Self::LookingAtGo(_)
            | Self::StartingProgram
            | Self::Program
            | Self::Closing
            | Self::Gone => false,
        }
    }

    /// Its name, as docs/protocol.md draws it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Host => "taking-the-host",
            Self::Writing(_) => "writing",
            Self::Engine => "awaiting-engine",
            Self::Looking => "looking",
            Self::TurnToRun(_) => "awaiting-turn-to-run",
            Self::GoToRun(_) => "awaiting-go-to-run",
            Self::Go(_) => "awaiting-go",
            Self::TurnToRestart(_) => "awaiting-turn-to-restart",
            Self::LookingAtGo(_) => "looking-at-its-go",
            Self::StartingProgram => "starting-program",
            Self::Program => "watching-program",
            Self::RestartingEngine => "restarting-engine",
            Self::Rebooting => "rebooting",
            Self::Swarm(_) => "awaiting-swarm",
            Self::Closing => "closing",
            Self::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests;
