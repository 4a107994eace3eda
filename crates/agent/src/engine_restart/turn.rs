//! Whose turn it is to go down: asked at the engine's own socket, waited for within a limit.

use super::lock::{self, NotTaken, Work};
use super::{Ended, Restart, interval};
use crate::engine_process::engine_instance;
use careen_contract::chain;
use careen_contract::quorum::{Manager, NotNow, may_go_down};
use careen_engine::{Engine, EngineError, Info};
use std::time::{Duration, Instant};

/// How long a manager waits for its turn and for the others.
const TURN_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Why this host may not go down, or begin what may take it down.
#[derive(Debug, thiserror::Error)]
pub enum NoTurn {
    /// Another manager has the lock.
    #[error(transparent)]
    Locked(#[from] NotTaken),
    /// The swarm needs this manager.
    #[error(transparent)]
    Needed(#[from] NotNow),
    /// Its engine runs, and cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It was waited for until the limit; `why` is how it stood at the last look.
    #[error("{}, for {minutes} minutes", chain(.why.as_ref()))]
    TooLong {
        /// How long it was waited for.
        minutes: u64,
        /// What it was waited for at last.
        why: Box<NoTurn>,
    },
}

/// Whose turn it is to go down.
enum Turn {
    /// This host's: a worker's always, a manager's while the others are enough.
    Ours(Box<Info>),
    /// The engine does not run: whatever swarm it had has lost it already.
    Down,
}

impl Restart<'_> {
    /// Until the swarm can do without this host's engine; what that engine says of itself, if it runs. With `work` a manager takes
    /// the lock for it too, and the quorum is looked at with the lock held, right before what may end the engine. Where
    /// it does not come to that, the lock is given back.
    pub fn await_turn(&mut self, work: Option<Work>) -> Result<Result<Option<Info>, NoTurn>, Ended> {
        let begun = Instant::now();
        let deadline = begun + TURN_LIMIT;
        let mut watch = lock::Watch::default();
        loop {
            let why = match self.try_turn(work, &mut watch) {
                Ok(Turn::Ours(info)) => return Ok(Ok(Some(*info))),
                Ok(Turn::Down) => return Ok(Ok(None)),
                Err(why) => why,
            };
            if Instant::now() >= deadline {
                if work.is_some() {
                    self.release_lock();
                }
                return Ok(Err(NoTurn::TooLong { minutes: TURN_LIMIT.as_secs() / 60, why: Box::new(why) }));
            }
            self.patience.hold(Some(&chain(&why)));
            self.patience.pause(interval(begun.elapsed()))?;
        }
    }

    /// Whether the swarm can do without this host's engine at this moment.
    pub fn has_turn(&self) -> Result<(), NoTurn> {
        self.try_turn(None, &mut lock::Watch::default()).map(drop)
    }

    fn try_turn(&self, work: Option<Work>, watch: &mut lock::Watch) -> Result<Turn, NoTurn> {
        if engine_instance().is_none() {
            return Ok(Turn::Down);
        }
        let engine = Engine::connect()?;
        let info = engine.info()?;
        if !info.swarm.is_manager() {
            return Ok(Turn::Ours(Box::new(info)));
        }
        if let Some(work) = work {
            lock::take(&engine, &self.holder(&info, work), watch)??;
        }
        may_begin(&engine.managers()?, self.manifest.allow_quorum_loss)?;
        Ok(Turn::Ours(Box::new(info)))
    }

    pub(super) fn holder<'a>(&'a self, info: &'a Info, work: Work) -> lock::Holder<'a> {
        lock::Holder {
            node: &info.swarm.node_id,
            name: &info.name,
            transaction: self.manifest.id.as_str(),
            work,
        }
    }
}

/// Whether one of these managers may go down. Who allows the loss of the quorum still waits for a leader: without one
/// nobody knows who is there.
fn may_begin(managers: &[Manager], allow_quorum_loss: bool) -> Result<(), NotNow> {
    match may_go_down(managers) {
        Err(NotNow::QuorumAtRisk(_)) if allow_quorum_loss => Ok(()),
        decided => decided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_contract::quorum::Called;

    fn managers(leader: bool, reachable: &[bool]) -> Vec<Manager> {
        let manager = |(index, reachable): (usize, &bool)| Manager {
            node: format!("m{index}"),
            reachable: *reachable,
            leader: leader && index == 0,
            called: Called::Ready,
        };
        reachable.iter().enumerate().map(manager).collect()
    }

    #[test]
    fn who_allows_the_loss_of_the_quorum_gets_it_but_not_without_a_leader() {
        let two = managers(true, &[true, true]);
        assert!(matches!(may_begin(&two, false), Err(NotNow::QuorumAtRisk(_))));
        assert_eq!(may_begin(&two, true), Ok(()));
        assert_eq!(may_begin(&managers(false, &[true, true]), true), Err(NotNow::NoLeader));
        assert_eq!(may_begin(&managers(true, &[true, true, true]), false), Ok(()));
    }
}
