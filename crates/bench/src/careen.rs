//! careen as a contender: the command line on the manager, its controller in the swarm.

use crate::clock::{BEGIN, Timed, time};
use crate::error::{Error, Result};
use careen_lab::{Node, Poll, wait_until};
use std::path::Path;
use std::time::Duration;

/// The most that a rollout may take.
const LIMIT: Duration = Duration::from_secs(900);

/// How long a rollout that failed may take to be taken back.
const ABORT_LIMIT: Duration = Duration::from_secs(180);

/// Only the hosts that are worked on.
pub const ON_WORKERS: &str = "--constraint=node.role==worker";

/// All hosts of a part in one wave, and nobody waits to see whether they stay well.
pub const AT_ONCE: [&str; 6] =
    ["--parallelism=100", "--canaries=0", "--monitor=0s", "--drain=never", ON_WORKERS, "--yes"];

/// Nothing is restarted for what the command asks: with [`AT_ONCE`] no go is needed, and there are no gates.
pub const NO_RESTARTS: [&str; 2] = ["--reboot=never", "--engine-restart=never"];

/// What says that the payload touches no engine, so that nothing has to be drained and no go to be waited for.
pub const SHORT_WAY: [&str; 1] = ["--touches-engine=no"];

/// Drained one by one, and nobody waits to see whether they stay well.
pub const ONE_BY_ONE: [&str; 6] =
    ["--parallelism=1", "--canaries=0", "--monitor=0s", "--drain=always", ON_WORKERS, "--yes"];

/// `careen` on a manager.
#[derive(Debug, Clone)]
pub struct Careen<'a> {
    manager: &'a Node,
}

impl<'a> Careen<'a> {
    /// Brings the program to a manager.
    pub fn bring(manager: &Node, program: &Path) -> Result<()> {
        Ok(manager.cp_in(program, "/usr/local/bin/careen")?)
    }

    /// The one on a manager that has it.
    pub fn of(manager: &'a Node) -> Careen<'a> {
        Careen { manager }
    }

    /// Whether this careen has the short way.
    pub fn has_short_way(&self) -> Result<bool> {
        let help = self.manager.exec(["careen", "run", "--help"])?.ok()?;
        let flag = SHORT_WAY[0].split('=').next().unwrap_or_default();
        Ok(help.contains(flag))
    }

    /// A rollout to its end, which must be a good one.
    pub fn rollout(&self, what: &str, words: &[&[&str]]) -> Result<Timed> {
        let script = format!("echo {BEGIN}; exec careen \"$@\"");
        let fixed: [&str; 4] = ["bash", "-c", &script, "bench"];
        let words = fixed.iter().chain(words.iter().copied().flatten());
        let timed = time(what, LIMIT, &mut self.manager.command(words));
        match timed {
            Ok(timed) => self.await_end().map(|()| timed),
            Err(error) => {
                // The next contender must find a swarm without a rollout; what failed is told by the first error.
                let _ = self.abort();
                Err(error)
            }
        }
    }

    /// Begins a rollout, and returns while it goes on.
    pub fn begin(&self, words: &[&[&str]]) -> Result<()> {
        let words = ["careen"].iter().chain(words.iter().copied().flatten()).chain(&["--detach"]);
        self.manager.exec(words)?.ok()?;
        Ok(())
    }

    /// Ends a rollout that goes on, if there is one.
    pub fn abort(&self) -> Result<()> {
        self.manager.exec(["careen", "abort", "--yes"])?;
        self.await_end_within(ABORT_LIMIT)
    }

    /// Waits until no rollout goes on, and its controller is gone.
    pub fn await_end(&self) -> Result<()> {
        self.await_end_within(LIMIT)
    }

    fn await_end_within(&self, limit: Duration) -> Result<()> {
        let left = "careen status | head -n 2; docker service ls --quiet --filter name=careen-";
        wait_until("the rollout is over, and nothing of it is left", limit, || {
            let seen = self.manager.sh(left)?.ok()?;
            let lines: Vec<&str> = seen.lines().collect();
            let is_over = lines.first().is_none_or(|line| line.starts_with("no rollout"));
            Ok(if is_over && lines.len() <= 2 { Poll::Ready(()) } else { Poll::Pending(lines.join(" / ")) })
        })
        .map_err(Error::from)
    }
}
