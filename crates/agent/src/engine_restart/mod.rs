//! The host's engine, where it may go down: on workers at once, on managers one at a time, and only while the swarm keeps its
//! quorum. That is asked before the engine is restarted, before the host is rebooted, and in a rollout before a command
//! begins, which may do either. The swarm directory of a manager is copied before.
//!
//! [`turn`] says when, [`start`] stops and starts, [`backup`] copies; [`lock`] keeps managers apart, and [`beat`] keeps
//! the lock alive. What is decided by what is seen is in [`stop`] and [`copies`], and in [`careen_contract::quorum`].

mod backup;
mod beat;
mod copies;
mod lock;
mod service;
mod start;
mod stop;
mod turn;

pub use beat::Held;
pub use turn::NoTurn;

use crate::engine_process::{self, engine_instance};
use crate::layout;
use careen_contract::chain;
use careen_contract::quorum;
use careen_engine::{Engine, EngineError, Info};
use careen_host::journal::EngineOutcome;
use careen_host::manifest::Manifest;
use careen_host::outcome::EngineRestart;
use careen_host::transaction::TransactionStage;
use lock::Work;
use start::Missing;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an engine whose process runs may take to answer before it counts as down.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long an init script's engine may take until its process has its name: start-stop-daemon returns before that.
const APPEAR_LIMIT: Duration = Duration::from_secs(3);
/// How often things are looked at that take long.
pub const INTERVAL: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(100);

/// Somebody ended the wait: the host shuts down. What was begun is taken up after the boot.
#[derive(Debug)]
pub struct Ended;

/// How a supervisor waits, and says why.
pub trait Patience {
    /// Waits this long; an error when the supervisor was told to end.
    fn pause(&mut self, time: Duration) -> Result<(), Ended>;
    /// Why it waits now; said when it changes.
    fn hold(&mut self, reason: Option<&str>);
}

/// Whether the engine's process runs and answers. The process first: asking a socket that systemd holds would start it.
pub fn is_up() -> bool {
    engine_instance().is_some() && Engine::connect().is_ok()
}

/// How long an engine has to be up before a swarm that calls its node down counts as one that goes on so.
const CALLED_DOWN: Duration = Duration::from_secs(60);

/// Whether the engine has been up for a while, its manager takes part, and the swarm calls the node down all the same.
/// A worker cannot ask that.
pub fn is_called_down() -> bool {
    let old = |instance| engine_process::age(instance).is_some_and(|age| age >= CALLED_DOWN);
    engine_instance().is_some_and(old)
        && Engine::connect().and_then(|engine| called_down(&engine)).unwrap_or(false)
}

fn called_down(engine: &Engine) -> Result<bool, EngineError> {
    let info = engine.info()?;
    Ok(info.swarm.is_manager() && quorum::is_called_down(&engine.managers()?, &info.swarm.node_id))
}

/// Waits for an engine that the command has started and that does not answer yet. An init script does not wait for
/// that as systemd does; an engine that is only coming is not down.
pub fn let_come_up(patience: &mut dyn Patience) -> Result<(), Ended> {
    let begun = Instant::now();
    while !is_up() && begun.elapsed() < may_take(engine_instance().is_some(), service::has_systemd()) {
        patience.hold(Some("the engine is coming up"));
        patience.pause(interval(begun.elapsed()))?;
    }
    patience.hold(None);
    Ok(())
}

/// How long until it is looked again, behind so long a wait: what comes soon is seen soon, and what takes long costs little.
fn interval(waited: Duration) -> Duration {
    (waited / 10).clamp(SHORTEST, INTERVAL)
}

/// How long an engine that does not answer may take to come by itself.
fn may_take(its_process_runs: bool, started_by_systemd: bool) -> Duration {
    match (its_process_runs, started_by_systemd) {
        (true, _) => ANSWER_LIMIT,
        (false, false) => APPEAR_LIMIT,
        (false, true) => Duration::ZERO, // systemctl has waited for it
    }
}

/// Starts or restarts the engine, and waits until it takes part again. `None` when its turn came and it may not be stopped any
/// more: nothing was done then.
pub fn carry_out(
    why: EngineRestart,
    manifest: &Manifest,
    patience: &mut dyn Patience,
    may_be_stopped: &dyn Fn() -> bool,
) -> Result<Option<EngineOutcome>, Ended> {
    let mut restart = Restart::new(manifest, patience);
    let outcome = match why {
        EngineRestart::Down => restart.start(None).map(Some),
        EngineRestart::Replaced | EngineRestart::CalledDown => restart.restart(may_be_stopped),
    };
    restart.patience.hold(None);
    outcome
}

/// Waits until this host or its engine may go down: at once, but for managers, of which one goes down at a time, and only while the
/// swarm keeps its quorum. The lock stays held through the restart.
pub fn await_restart(manifest: &Manifest, patience: &mut dyn Patience) -> Result<Result<(), NoTurn>, Ended> {
    let mut restart = Restart::new(manifest, patience);
    let turn = restart.await_turn(Some(Work::Restart))?;
    restart.patience.hold(None);
    Ok(turn.map(drop))
}

/// After a reboot: waits until the engine takes part again, and gives the lock back if this transaction held it. A lock
/// that cannot be given back dies by itself, and the outcome of the transaction is decided elsewhere.
pub fn after_reboot(manifest: &Manifest, patience: &mut dyn Patience) -> Result<(), Ended> {
    let mut restart = Restart::new(manifest, patience);
    let takes_part = restart.await_part()?;
    restart.patience.hold(None);
    match takes_part {
        Ok(()) => restart.release_lock(),
        // Another manager must not go down now.
        Err(missing) => {
            tracing::warn!(error = chain(&missing), "the engine does not take part in its swarm");
        }
    }
    Ok(())
}

/// What a command begins with.
#[derive(Debug, Default)]
pub struct Begin {
    /// The lock for engine restarts, where the command may restart this manager's engine. Keep it until the command has
    /// ended, and give it back by [`after_command`]; drop it before a restart that follows, which takes it over.
    pub held: Option<Held>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// In a rollout, right before a command begins: waits until the swarm can do without this manager. Where the command may
/// restart the engine itself, it also waits for the lock, holds it, and copies the swarm directory, if this is the
/// first attempt. Other hosts, commands that only look, and commands of no rollout begin at once. Without
/// its turn the command must not begin, and nothing is held.
pub fn before_command(
    manifest: &Manifest,
    attempt: u32,
    patience: &mut dyn Patience,
) -> Result<Result<Begin, NoTurn>, Ended> {
    if !manifest.awaits_go || !manifest.takes_host_lock {
        return Ok(Ok(Begin::default()));
    }
    let mut restart = Restart::new(manifest, patience);
    let begin = restart.before_command(attempt)?;
    restart.patience.hold(None);
    Ok(begin)
}

/// Whether the swarm can still do without this host, for a command of a rollout that waited for its turn before: see
/// [`before_command`].
pub fn may_still_run(manifest: &Manifest) -> Result<(), NoTurn> {
    match manifest.awaits_go && manifest.takes_host_lock {
        true => may_still_go_down(manifest),
        false => Ok(()),
    }
}

/// The same for a host that waited for its turn to go down.
pub fn may_still_go_down(manifest: &Manifest) -> Result<(), NoTurn> {
    Restart::new(manifest, &mut NoWait).has_turn()
}

/// Holds the lock again for a supervisor that takes a transaction over in this stage, if the one before held it.
pub fn hold_again(manifest: &Manifest, stage: &TransactionStage) -> Option<Held> {
    let held_it = match stage {
        TransactionStage::Starting { .. }
        | TransactionStage::Running { .. }
        | TransactionStage::Stopping { .. }
        | TransactionStage::Ended { .. }
        | TransactionStage::Interrupted { .. } => true,
        // Not begun; or a restart had taken it over, and gives it back itself.
        TransactionStage::Prepared
        | TransactionStage::Offered { .. }
        | TransactionStage::Revoked
        | TransactionStage::RestartingEngine { .. }
        | TransactionStage::EngineSettled
        | TransactionStage::Rebooting { .. }
        | TransactionStage::Rebooted
        | TransactionStage::Closed(_) => false,
    };
    if held_it && manifest.may_touch_engine { hold(manifest, false) } else { None }
}

/// When the command has ended and no restart follows: waits until the engine takes part in its swarm, and gives the lock
/// back. Where it does not, the lock stays until it counts as dead: no other manager should go down now.
pub fn after_command(held: Held, manifest: &Manifest, patience: &mut dyn Patience) {
    let mut restart = Restart::new(manifest, patience);
    let takes_part = match engine_instance() {
        Some(_) => restart.await_part().unwrap_or_else(|Ended| Err(Missing::Host)),
        None => Err(Missing::Engine),
    };
    restart.patience.hold(None);
    drop(held);
    match takes_part {
        Ok(()) => restart.release_lock(),
        Err(missing) => {
            tracing::warn!(error = chain(&missing), "the lock for engine restarts stays until it is dead");
        }
    }
}

/// Gives the lock back, if this transaction has it, for a command that does not begin.
pub fn give_back(manifest: &Manifest) {
    if manifest.may_touch_engine {
        give_turn_back(manifest);
    }
}

/// Whoever does not wait.
struct NoWait;

impl Patience for NoWait {
    fn pause(&mut self, _: Duration) -> Result<(), Ended> {
        Err(Ended)
    }
    fn hold(&mut self, _: Option<&str>) {}
}

/// The same for a restart that does not come now.
pub fn give_turn_back(manifest: &Manifest) {
    Restart::new(manifest, &mut NoWait).release_lock();
}

/// The same for one that does not come any more, if the engine takes part in its swarm.
pub fn give_turn_back_where_up(manifest: &Manifest) {
    let mut no_wait = NoWait;
    let mut restart = Restart::new(manifest, &mut no_wait);
    if engine_instance().is_some() && restart.look().is_ok() {
        restart.release_lock();
    }
}

/// A lock that nobody keeps alive dies by itself, and the quorum is asked beside it.
fn hold(manifest: &Manifest, is_fresh: bool) -> Option<Held> {
    Held::by(&manifest.id, is_fresh)
        .inspect_err(|error| {
            tracing::warn!(error = chain(error), "the lock for engine restarts is not kept alive")
        })
        .ok()
}

/// One transaction's dealing with the engine.
struct Restart<'a> {
    manifest: &'a Manifest,
    patience: &'a mut dyn Patience,
    /// Whether the manager was locked when it was looked at last, and somebody has to type the key.
    locked: bool,
    /// Since when all that is missing is that the swarm calls the node down.
    called_down: Option<Instant>,
}

impl<'a> Restart<'a> {
    fn new(manifest: &'a Manifest, patience: &'a mut dyn Patience) -> Self {
        Self { manifest, patience, locked: false, called_down: None }
    }
}

impl Restart<'_> {
    fn before_command(&mut self, attempt: u32) -> Result<Result<Begin, NoTurn>, Ended> {
        let work = self.manifest.may_touch_engine.then_some(Work::Command);
        let info = match self.await_turn(work)? {
            Ok(Some(info)) if work.is_some() && info.swarm.is_manager() => info,
            Ok(_) => return Ok(Ok(Begin::default())),
            Err(why) => return Ok(Err(why)),
        };
        let held = hold(self.manifest, true);
        let mut notes = Vec::new();
        // A later attempt would copy what an earlier one has made of it.
        if attempt == 1 {
            notes.extend(self.copy_swarm_directory(&info)?);
            // That may have taken long.
            if let Err(why) = self.await_turn(None)? {
                drop(held);
                self.release_lock();
                return Ok(Err(why));
            }
        }
        Ok(Ok(Begin { held, notes }))
    }

    /// Copies the swarm directory of a manager. What a person should know of that is returned, and said.
    fn copy_swarm_directory(&mut self, info: &Info) -> Result<Option<String>, Ended> {
        self.patience.hold(Some("the swarm directory is being copied"));
        let backups = Path::new(layout::ROOT).join("backup");
        let note = match backup::copy(Path::new(&info.docker_root_dir), &backups, self.patience)? {
            Ok(Some(copied)) if !copied.is_settled => Some(format!(
                "the swarm directory went on changing while it was copied to {}: that copy may not be usable",
                copied.path.display()
            )),
            Ok(_) => None,
            Err(error) => Some(format!("the swarm directory could not be copied: {error:#}")),
        };
        note.iter().for_each(|note| tracing::warn!("{note}"));
        Ok(note)
    }

    /// Waits until the engine takes part in its swarm, as long as that may take.
    fn await_part(&mut self) -> Result<Result<(), Missing>, Ended> {
        let begun = Instant::now();
        while let Err(missing) = self.look() {
            if begun.elapsed() >= self.up_limit() || self.goes_on_called_down() {
                return Ok(Err(missing));
            }
            self.patience.hold(Some(&chain(&missing)));
            self.patience.pause(interval(begun.elapsed()))?;
        }
        Ok(Ok(()))
    }

    /// Gives back the lock if this transaction holds it. One that cannot be given back dies by itself.
    fn release_lock(&self) {
        let released = Engine::connect().and_then(|engine| {
            let info = engine.info()?;
            let holder = self.holder(&info, Work::Restart);
            if info.swarm.is_manager() { lock::release(&engine, &holder) } else { Ok(()) }
        });
        if let Err(error) = released {
            tracing::warn!(error = chain(&error), "the lock for engine restarts stays until it is dead");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_engine_that_can_still_come_is_waited_for() {
        assert_eq!(may_take(false, true), Duration::ZERO, "systemd's engine without a process is down");
        assert!(may_take(false, false) > Duration::ZERO, "an init script's has no process yet");
        assert!(
            may_take(true, true) > may_take(false, false),
            "a process takes longer to answer than to appear"
        );
    }
}
