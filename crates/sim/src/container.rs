//! A container of careen's on a node, and what can be read of it.

use careen_contract::report::Said;
use careen_planner::JobKey;
use careen_protocol::gates::Gate;

pub mod agent;

use agent::AgentProcess;

/// How long a container that was told to stop may go on.
const GRACE: u64 = 10;

/// A container of careen's.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Container {
    pub key: JobKey,
    /// Its process, when it is an agent.
    pub process: Option<AgentProcess>,
    /// How the engine lists it.
    pub listed: Gate,
    /// When it was created: it counts up.
    pub created: i64,
    /// What it exited with.
    pub exit: u8,
    /// When the swarm stops it.
    pub stops_at: Option<u64>,
    /// When it is killed, after it was told to stop.
    pub kill_at: Option<u64>,
    /// When the swarm removes it, after it has ended.
    pub removed_at: u64,
}

/// What an agent said.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// What it said, and in which second.
    pub said: Vec<(u64, Said)>,
    /// Since when its container is gone.
    pub gone: Option<u64>,
}

/// How somebody ends a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerEnd {
    /// `docker kill`, the OOM killer, a crash: it has ended, and stays.
    Kill,
    /// `docker rm -f`.
    Remove,
    /// `docker stop`: it has some seconds.
    Stop,
}

impl Container {
    /// Its process has ended.
    pub fn ends(&mut self, now: u64) {
        if self.listed == Gate::Running {
            self.listed = Gate::Ended;
            self.removed_at = self.removed_at.max(now);
            self.exit = self.process.as_ref().map_or(0, |process| process.exit.unwrap_or(137));
        }
    }

    pub(crate) fn told_to_stop(&mut self, now: u64) {
        match &mut self.process {
            Some(process) => {
                process.told_to_leave = true;
                self.kill_at.get_or_insert(now + GRACE);
            }
            // A gate only waits.
            None => self.ends(now),
        }
    }
}
