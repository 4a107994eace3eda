//! Stops the engine and starts it again; whatever becomes of the stop, it is started.

use super::lock::Work;
use super::service::{self, NotStopped};
use super::{CALLED_DOWN, Ended, Restart, interval, stop};
use crate::engine_process::engine_instance;
use crate::files;
use crate::host_view::is_shutting_down;
use crate::layout;
use careen_contract::chain;
use careen_contract::object::UNLOCK_KEY;
use careen_contract::quorum::{NotNow, is_called_down, takes_part};
use careen_engine::{Engine, EngineError, Info};
use careen_host::journal::EngineOutcome;
use careen_host::outcome::EngineRestart;
use careen_host::removal::EngineInstance;
use std::time::{Duration, Instant};

/// How long an engine may take from its start to taking part in its swarm.
const UP_LIMIT: Duration = Duration::from_secs(180);
/// How long a manager stays locked before its engine counts as down, where nobody gave careen the key.
const TYPED_LIMIT: Duration = Duration::from_secs(60 * 60);

/// What an engine is short of taking part in its swarm.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missing {
    #[error("the engine's process does not run")]
    Process,
    #[error(transparent)]
    Answer(#[from] EngineError),
    /// `state` is the engine's word for its node.
    #[error("the node is {state} in its swarm")]
    Membership { state: String },
    #[error("{}", EngineRestart::CalledDown.words())]
    CalledDown,
    /// The other managers do not count it yet.
    #[error(transparent)]
    Counted(#[from] NotNow),
    #[error("the swarm is locked, and there is no secret '{UNLOCK_KEY}': docker swarm unlock")]
    UnlockKey,
    #[error("the swarm is being unlocked")]
    Unlocked,
    /// It was down already when it was to be looked at.
    #[error("the engine is down")]
    Engine,
    /// Nobody waits for it any more.
    #[error("the host shuts down")]
    Host,
}

/// A stop that did not go well.
struct FailedStop {
    why: NotStopped,
    /// What was to be stopped.
    instance: Option<EngineInstance>,
}

impl Restart<'_> {
    pub(super) fn restart(
        &mut self,
        may_be_stopped: &dyn Fn() -> bool,
    ) -> Result<Option<EngineOutcome>, Ended> {
        match self.await_turn(Some(Work::Restart))? {
            // Its turn may have taken long.
            Ok(Some(_)) if !may_be_stopped() => {
                self.release_lock();
                Ok(None)
            }
            Ok(Some(info)) => self.start(Some(&info)).map(Some),
            // It was stopped, maybe by a supervisor that was lost then.
            Ok(None) => self.start(None).map(Some),
            Err(why) => Ok(Some(EngineOutcome::Refused { reason: chain(&why) })),
        }
    }

    /// Stops what runs, if something does, and starts the installed engine. `before` is what the engine said of itself. The
    /// lock is given back when the engine takes part again, and kept when it does not: no other manager may go down then.
    pub(super) fn start(&mut self, before: Option<&Info>) -> Result<EngineOutcome, Ended> {
        let failed = match before {
            Some(info) => self.stop(info).inspect_err(|Ended| leave_it_starting())?,
            None => None,
        };
        self.patience.hold(Some("the engine is being started"));
        let mut said = service::start().err();
        let (begun, mut started) = (Instant::now(), Instant::now());
        loop {
            let waiting_for = match self.look() {
                Ok(()) => return Ok(self.settled(failed)),
                Err(missing) => chain(&missing),
            };
            let over = begun.elapsed() >= self.up_limit() || self.goes_on_called_down();
            if over || said.is_some() && !service::may_come() {
                if before.is_none() && self.engine_is_active() {
                    // Nobody asked the swarm before this engine went down: it may have lost its quorum elsewhere.
                    tracing::warn!(error = waiting_for, "the engine is up, but does not take part");
                    return Ok(EngineOutcome::Up);
                }
                let waited = || format!("{waiting_for}, for {} s", begun.elapsed().as_secs());
                let failed = failed.map(|failed| failed.why.to_string());
                let words = failed.or(said.map(|error| chain(&error))).unwrap_or_else(waited);
                return Ok(EngineOutcome::Down { words: format!("{words}: {}", service::last_words()) });
            }
            if service::needs_another_start(started.elapsed()) {
                said = service::start().err().or(said);
                started = Instant::now();
            }
            self.patience.hold(Some(&waiting_for));
            self.patience.pause(interval(begun.elapsed()))?;
        }
    }

    /// Stops the engine, and copies a manager's swarm directory while it is down. What did not go well is returned: the
    /// engine is to be started all the same.
    fn stop(&mut self, info: &Info) -> Result<Option<FailedStop>, Ended> {
        let instance = engine_instance();
        self.patience.hold(Some("the engine is being stopped"));
        match service::stop(self.patience)? {
            Ok(()) => {
                if info.swarm.is_manager() {
                    self.copy_swarm_directory(info)?;
                }
                Ok(None)
            }
            Err(why) => {
                tracing::warn!(error = chain(&why), "the engine did not stop as it should");
                Ok(Some(FailedStop { why, instance }))
            }
        }
    }

    /// The engine is up and takes part: what came of the restart.
    fn settled(&mut self, failed: Option<FailedStop>) -> EngineOutcome {
        let outcome = match failed {
            None => EngineOutcome::Up,
            Some(failed) => {
                let is_the_same = failed.instance.is_some() && engine_instance() == failed.instance;
                stop::outcome_when_up(failed.why.to_string(), is_the_same, service::is_stopping())
            }
        };
        if !matches!(outcome, EngineOutcome::Down { .. }) {
            self.release_lock();
        }
        outcome
    }

    /// Whether the engine is up and takes part in its swarm, if it has one.
    pub(super) fn look(&mut self) -> Result<(), Missing> {
        self.locked = false;
        let called_down_since = self.called_down.take();
        if engine_instance().is_none() {
            return Err(Missing::Process);
        }
        let engine = Engine::connect()?;
        let info = engine.info()?;
        match info.swarm.local_node_state.as_str() {
            "locked" => self.unlock(&engine),
            state @ ("pending" | "error") => Err(Missing::Membership { state: state.to_owned() }),
            _ if info.swarm.is_manager() => {
                let managers = engine.managers()?;
                if is_called_down(&managers, &info.swarm.node_id) {
                    self.called_down = called_down_since.or_else(|| Some(Instant::now()));
                    return Err(Missing::CalledDown);
                }
                Ok(takes_part(&managers, &info.swarm.node_id)?)
            }
            _ => Ok(()),
        }
    }

    /// Whether the swarm has called the node down for so long that it would go on so.
    pub(super) fn goes_on_called_down(&self) -> bool {
        self.called_down.is_some_and(|since| since.elapsed() >= CALLED_DOWN)
    }

    /// Whether the engine answers, and is a member of its swarm by its own word.
    fn engine_is_active(&self) -> bool {
        let info = Engine::connect().and_then(|engine| engine.info());
        info.is_ok_and(|info| matches!(info.swarm.local_node_state.as_str(), "active" | "inactive"))
    }

    /// How long it may take until the engine takes part. Somebody who types the key has to find the host first.
    pub(super) fn up_limit(&self) -> Duration {
        if self.locked { TYPED_LIMIT } else { UP_LIMIT }
    }

    fn unlock(&mut self, engine: &Engine) -> Result<(), Missing> {
        let key = files::read_to_string(layout::secrets(&self.manifest.id).join(UNLOCK_KEY));
        let key = key.map_err(|_| {
            self.locked = true;
            Missing::UnlockKey
        })?;
        engine.unlock_swarm(key.trim())?;
        Err(Missing::Unlocked)
    }
}

/// A supervisor that is told to end while it stops the engine: nobody else would start it, unless the host goes down.
fn leave_it_starting() {
    if !is_shutting_down() {
        service::start_later();
    }
}
