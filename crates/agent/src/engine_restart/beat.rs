//! Holds the lock for engine restarts while something else goes on: a thread touches it, so that nobody takes it for dead.
//!
//! What can come in its way, and what then: the engine is down (the command restarts it): it is not asked, for a question
//! at its socket would start it, and touched again when it is back. The swarm has no leader: the same. The lock was taken
//! for dead meanwhile, or removed by hand: it is taken again as soon as it is free. The supervisor dies: nobody touches it,
//! and others take it for dead after five minutes.

use super::lock::{self, Holder, NotTaken, Work};
use crate::engine_process::engine_instance;
use careen_contract::TransactionId;
use careen_contract::chain;
use careen_engine::{Engine, EngineError};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// From one touch to the next: many of them within the time after which a lock counts as dead.
const BEAT: Duration = Duration::from_secs(30);

/// The lock, held. Dropped, it is touched no more, and stays until it is released or counts as dead.
#[derive(Debug)]
pub struct Held {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Held {
    /// Holds the lock that this transaction has just taken, or that a supervisor before this one held.
    pub fn by(transaction: &TransactionId, is_fresh: bool) -> std::io::Result<Self> {
        let transaction = transaction.clone();
        let (stop, stopped) = mpsc::channel();
        let first = if is_fresh { BEAT } else { Duration::ZERO };
        let beat = move || beat_until(&stopped, first, &transaction);
        let thread = thread::Builder::new().name("engine-lock".into()).spawn(beat)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Held {
    /// Returns when the last touch is over: behind it nothing brings a lock back that is released.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // one that panicked touches nothing any more either
        }
    }
}

fn beat_until(stopped: &mpsc::Receiver<()>, first: Duration, transaction: &TransactionId) {
    let (mut watch, mut said, mut pause) = (lock::Watch::default(), None, first);
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let trouble = touch(transaction, &mut watch).err().map(|why| chain(&why));
        if trouble != said {
            match &trouble {
                Some(words) => {
                    tracing::warn!(error = words, "the lock for engine restarts cannot be kept alive");
                }
                None => tracing::info!("the lock for engine restarts is held again"),
            }
        }
        (said, pause) = (trouble, BEAT);
    }
}

/// Why the lock could not be touched.
#[derive(Debug, thiserror::Error)]
enum Untouched {
    #[error("the engine is down")]
    Down,
    #[error("this node is no manager")]
    NoManager,
    #[error(transparent)]
    NotOurs(#[from] NotTaken),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Touches the lock, or takes it where nobody has it.
fn touch(transaction: &TransactionId, watch: &mut lock::Watch) -> Result<(), Untouched> {
    if engine_instance().is_none() {
        return Err(Untouched::Down);
    }
    let engine = Engine::connect()?;
    let info = engine.info()?;
    if !info.swarm.is_manager() {
        return Err(Untouched::NoManager);
    }
    let holder = Holder {
        node: &info.swarm.node_id,
        name: &info.name,
        transaction: transaction.as_str(),
        work: Work::Command,
    };
    Ok(lock::take(&engine, &holder, watch)??)
}
