//! Starts and restarts the host's engine: at once on workers; on managers one at a time, and only while the swarm keeps
//! its quorum. The stopped swarm directory of a manager is copied before a new engine touches it.

mod lock;
mod service;

use crate::engine_process::engine_instance;
use crate::files;
use crate::layout;
use crate::say::{chain, say};
use careen_engine::{Engine, EngineError, Info};
use careen_model::journal::EngineOutcome;
use careen_model::manifest::Manifest;
use careen_model::quorum::{NotNow, may_go_down, takes_part};
use careen_model::transaction::EngineRestart;
use std::path::Path;
use std::time::{Duration, Instant};

/// The name of the secret with the unlock key of an autolocked swarm.
pub const UNLOCK_KEY: &str = "unlock-key";

/// How long a manager waits for its turn and for the others.
const TURN_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How long an engine may take from its start to taking part in its swarm.
const UP_LIMIT: Duration = Duration::from_secs(180);
/// How long a manager stays locked before its engine counts as down, where nobody gave careen the key.
const TYPED_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How long an engine whose process runs may take to answer before it counts as down.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long an init script's engine may take until its process has its name: start-stop-daemon returns before that.
const APPEAR_LIMIT: Duration = Duration::from_secs(3);
/// How often things are looked at.
pub const INTERVAL: Duration = Duration::from_secs(1);

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

/// Waits for an engine that the command has started and that does not answer yet. An init script does not wait for
/// that as systemd does; an engine that is only coming is not down.
pub fn let_come_up(patience: &mut dyn Patience) -> Result<(), Ended> {
    let begun = Instant::now();
    while !is_up() && begun.elapsed() < may_take(engine_instance().is_some(), service::has_systemd()) {
        patience.hold(Some("the engine is coming up"));
        patience.pause(INTERVAL)?;
    }
    patience.hold(None);
    Ok(())
}

/// How long an engine that does not answer may take to come by itself.
fn may_take(its_process_runs: bool, started_by_systemd: bool) -> Duration {
    match (its_process_runs, started_by_systemd) {
        (true, _) => ANSWER_LIMIT,
        (false, false) => APPEAR_LIMIT,
        (false, true) => Duration::ZERO, // systemctl has waited for it
    }
}

/// Starts or restarts the engine, and waits until it takes part again.
pub fn carry_out(
    why: EngineRestart,
    manifest: &Manifest,
    patience: &mut dyn Patience,
) -> Result<EngineOutcome, Ended> {
    let mut restart = Restart { manifest, patience, locked: false };
    let outcome = match why {
        EngineRestart::Down => restart.start(None),
        EngineRestart::Replaced => restart.restart(),
    };
    restart.patience.hold(None);
    outcome
}

/// Waits until this host may reboot: at once, but for managers, of which one goes down at a time, and only while the
/// swarm keeps its quorum. The lock stays held through the reboot. The inner error says why it may not.
pub fn await_reboot(manifest: &Manifest, patience: &mut dyn Patience) -> Result<Result<(), String>, Ended> {
    let mut restart = Restart { manifest, patience, locked: false };
    let turn = restart.await_turn()?;
    restart.patience.hold(None);
    Ok(turn.map(drop))
}

/// After a reboot: waits until the engine takes part again, and gives the lock back if this transaction held it. A lock
/// that cannot be given back dies by itself, and the outcome of the transaction is decided elsewhere.
pub fn after_reboot(manifest: &Manifest, patience: &mut dyn Patience) -> Result<(), Ended> {
    let mut restart = Restart { manifest, patience, locked: false };
    let begun = Instant::now();
    while let Err(reason) = restart.look() {
        if begun.elapsed() >= restart.up_limit() {
            say(format_args!("the engine does not take part in its swarm: {reason}"));
            restart.patience.hold(None);
            return Ok(()); // another manager must not go down now
        }
        restart.patience.hold(Some(&reason));
        restart.patience.pause(INTERVAL)?;
    }
    restart.patience.hold(None);
    restart.release_lock();
    Ok(())
}

struct Restart<'a> {
    manifest: &'a Manifest,
    patience: &'a mut dyn Patience,
    /// Whether the manager was locked when it was looked at last, and somebody has to type the key.
    locked: bool,
}

/// Whose turn it is to go down.
enum Turn {
    /// This host's: a worker's always, a manager's with the lock.
    Ours(Info),
    /// Not yet this manager's, and why.
    NotYet(String),
    /// The engine does not run: whatever swarm it had has lost it already.
    Down,
}

impl Restart<'_> {
    fn restart(&mut self) -> Result<EngineOutcome, Ended> {
        let info = match self.await_turn()? {
            Ok(Some(info)) => info,
            // It was stopped, maybe by a supervisor that was lost then.
            Ok(None) => return self.start(None),
            Err(reason) => return Ok(EngineOutcome::Refused { reason }),
        };
        let outcome = self.start(Some(&info))?;
        if outcome == EngineOutcome::Up {
            // Kept when the engine stays down: no other manager may go down then.
            self.release_lock();
        }
        Ok(outcome)
    }

    /// Until the swarm can do without this host's engine; what that engine says of itself, if it runs. The quorum is looked at with
    /// the lock held, right before the engine is stopped.
    fn await_turn(&mut self) -> Result<Result<Option<Info>, String>, Ended> {
        let deadline = Instant::now() + TURN_LIMIT;
        let mut watch = lock::Watch::default();
        loop {
            let reason = match self.try_turn(&mut watch) {
                Ok(Turn::Ours(info)) => return Ok(Ok(Some(info))),
                Ok(Turn::Down) => return Ok(Ok(None)),
                Ok(Turn::NotYet(reason)) => reason,
                Err(error) => chain(&error),
            };
            if Instant::now() >= deadline {
                self.release_lock();
                return Ok(Err(format!("{reason}, for {} minutes", TURN_LIMIT.as_secs() / 60)));
            }
            self.patience.hold(Some(&reason));
            self.patience.pause(INTERVAL)?;
        }
    }

    fn try_turn(&self, watch: &mut lock::Watch) -> Result<Turn, EngineError> {
        if engine_instance().is_none() {
            return Ok(Turn::Down);
        }
        let engine = Engine::connect()?;
        let info = engine.info()?;
        if !info.swarm.is_manager() {
            return Ok(Turn::Ours(info));
        }
        if let Err(reason) = lock::take(&engine, &self.holder(&info), watch)? {
            return Ok(Turn::NotYet(reason));
        }
        let managers = engine.managers()?;
        Ok(match may_go_down(&managers) {
            Err(NotNow::QuorumAtRisk(_)) if self.manifest.allow_quorum_loss => Turn::Ours(info),
            Ok(()) => Turn::Ours(info),
            Err(reason) => Turn::NotYet(reason.to_string()),
        })
    }

    fn holder<'a>(&'a self, info: &'a Info) -> lock::Holder<'a> {
        lock::Holder { node: &info.swarm.node_id, name: &info.name, transaction: self.manifest.id.as_str() }
    }

    /// Gives back the lock if this transaction holds it. One that cannot be given back dies by itself.
    fn release_lock(&self) {
        let released = Engine::connect().and_then(|engine| {
            let info = engine.info()?;
            if info.swarm.is_manager() { lock::release(&engine, &self.holder(&info)) } else { Ok(()) }
        });
        if let Err(error) = released {
            say(format_args!("the lock for engine restarts stays until it is dead: {}", chain(&error)));
        }
    }

    /// Stops what runs, if something does, and starts the installed engine. `before` is what the engine said of itself.
    fn start(&mut self, before: Option<&Info>) -> Result<EngineOutcome, Ended> {
        if let Some(info) = before {
            self.patience.hold(Some("the engine is being stopped"));
            if let Err(reason) = service::stop() {
                return Ok(EngineOutcome::Refused { reason });
            }
            if info.swarm.is_manager()
                && let Err(error) = copy_swarm_directory(Path::new(&info.docker_root_dir))
            {
                say(format_args!("the swarm's state could not be copied: {error:#}"));
            }
        }
        self.patience.hold(Some("the engine is being started"));
        let mut said = service::start().err();
        let begun = Instant::now();
        loop {
            let waiting_for = match self.look() {
                Ok(()) => return Ok(EngineOutcome::Up),
                Err(reason) => reason,
            };
            if begun.elapsed() >= self.up_limit() || said.is_some() && !service::may_come() {
                if before.is_none() && self.engine_is_active() {
                    // Nobody asked the swarm before this engine went down: it may have lost its quorum elsewhere.
                    say(format_args!("the engine is up, but {waiting_for}"));
                    return Ok(EngineOutcome::Up);
                }
                let words =
                    said.unwrap_or_else(|| format!("{waiting_for}, for {} s", begun.elapsed().as_secs()));
                return Ok(EngineOutcome::Down { words: format!("{words}: {}", service::last_words()) });
            }
            if !service::may_come() {
                said = service::start().err().or(said);
            }
            self.patience.hold(Some(&waiting_for));
            self.patience.pause(INTERVAL)?;
        }
    }

    /// Whether the engine is up and takes part in its swarm, if it has one; else what is missing.
    fn look(&mut self) -> Result<(), String> {
        self.locked = false;
        if engine_instance().is_none() {
            return Err("the engine's process does not run".into());
        }
        let engine = Engine::connect().map_err(|error| chain(&error))?;
        let info = engine.info().map_err(|error| chain(&error))?;
        match info.swarm.local_node_state.as_str() {
            "locked" => self.unlock(&engine),
            "pending" | "error" => Err(format!("the node is {} in its swarm", info.swarm.local_node_state)),
            _ if info.swarm.is_manager() => {
                let managers = engine.managers().map_err(|error| chain(&error))?;
                takes_part(&managers, &info.swarm.node_id).map_err(|reason| reason.to_string())
            }
            _ => Ok(()),
        }
    }

    /// Whether the engine answers, and is a member of its swarm by its own word.
    fn engine_is_active(&self) -> bool {
        let info = Engine::connect().and_then(|engine| engine.info());
        info.is_ok_and(|info| matches!(info.swarm.local_node_state.as_str(), "active" | "inactive"))
    }

    /// How long it may take until the engine takes part. Somebody who types the key has to find the host first.
    fn up_limit(&self) -> Duration {
        if self.locked { TYPED_LIMIT } else { UP_LIMIT }
    }

    fn unlock(&mut self, engine: &Engine) -> Result<(), String> {
        let key = files::read_to_string(layout::secrets(&self.manifest.id).join(UNLOCK_KEY));
        let key = key.map_err(|_| {
            self.locked = true;
            format!("the swarm is locked, and there is no secret '{UNLOCK_KEY}': docker swarm unlock")
        })?;
        engine.unlock_swarm(key.trim()).map_err(|error| chain(&error))?;
        Err("the swarm is being unlocked".into())
    }
}

/// Copies a manager's stopped raft store, keys and certificates, for root only. Two copies are kept.
fn copy_swarm_directory(docker_root: &Path) -> anyhow::Result<()> {
    const KEPT: usize = 2;
    let source = docker_root.join("swarm");
    let backups = Path::new(layout::ROOT).join("backup");
    crate::durable::private_directory(&backups)?;
    let target = backups.join(format!("swarm-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%fZ")));
    if let Some(directory) = crate::payload::Source::open(&source)? {
        directory.copy_to(&target)?;
    }
    let mut copies: Vec<_> = files::read_dir(&backups)?.flatten().map(|entry| entry.path()).collect();
    copies.sort();
    let surplus = copies.len().saturating_sub(KEPT);
    copies.iter().take(surplus).try_for_each(|old| crate::durable::remove_tree(old))?;
    Ok(())
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
