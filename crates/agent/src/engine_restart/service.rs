//! The engine as the host's init system knows it.

use super::stop::{Killed, PROPERTIES, Step, Unit};
use super::{Ended, Patience, interval};
use crate::engine_process::{engine_instance, is_replaced};
use crate::tool::{self, ToolError};
use crate::unit::find_systemd_run;
use careen_contract::chain;
use std::time::{Duration, Instant};

/// An engine gives its containers 10 s each, all at once, and an init script waits for it. One that starts may have a big
/// raft store to read, and Debian's unit sets it no limit.
const TIME_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How long systemd may take to accept a job that nobody waits for.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// How long an engine may go on ending behind an init script that has returned.
const LATE_LIMIT: Duration = Duration::from_secs(30);

/// How long the engine of an init script may take until its process can be seen, before it is started again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The units of an engine, in the order in which they must stop: a socket would start the service again.
const UNITS: [&str; 2] = ["docker.socket", "docker.service"];

/// Whether systemd looks after the engine.
pub fn has_systemd() -> bool {
    find_systemd_run().is_ok()
}

/// Why an engine that was to stop did not: it may run on, or end later.
#[derive(Debug, thiserror::Error)]
pub enum NotStopped {
    /// Whoever was asked to stop it said no.
    #[error("{}", in_one_line(&chain(.0)))]
    Refused(ToolError),
    /// systemd took the job, and does not do it.
    #[error("systemd does not stop {}", UNITS[1])]
    Ignored,
    /// Nothing helps; `state` is systemd's word for its unit.
    #[error("{} is {state} since {minutes} minutes", UNITS[1])]
    Hangs { state: String, minutes: u64 },
    /// The init script went through.
    #[error("'service docker stop' did not stop the engine")]
    ScriptIsDone,
    /// The same process as before is still there.
    #[error("the host's init system says that the engine is stopped, and its process runs on")]
    RunsOn,
}

/// Stops the engine, and nothing else; waits for that as long as it takes, within limits.
pub fn stop(patience: &mut dyn Patience) -> Result<Result<(), NotStopped>, Ended> {
    let instance = engine_instance();
    let stopped = if has_systemd() { stop_unit(patience)? } else { stop_by_script(patience)? };
    Ok(match stopped {
        Ok(()) if instance.is_some() && engine_instance() == instance => Err(NotStopped::RunsOn),
        stopped => stopped,
    })
}

/// The job is systemd's: it is asked for, and watched. A `systemctl stop` that is killed does not take it back.
fn stop_unit(patience: &mut dyn Patience) -> Result<Result<(), NotStopped>, Ended> {
    // One call for both: docker.service needs its socket, so that stopping the socket alone would wait for it too. The
    // socket's unit may not exist; whatever systemd says, the state of the service tells.
    let asked = tool::must(&["systemctl", "--no-block", "stop", UNITS[0], UNITS[1]], ASK_LIMIT);
    let refused = asked.err();
    let (begun, mut killed) = (Instant::now(), Killed::default());
    loop {
        let unit = unit();
        match unit.next(begun.elapsed(), killed) {
            Step::Stopped => return Ok(Ok(())),
            Step::Left => return Ok(Err(refused.map_or(NotStopped::Ignored, NotStopped::Refused))),
            Step::GiveUp => {
                let minutes = begun.elapsed().as_secs() / 60;
                return Ok(Err(NotStopped::Hangs { state: unit.state(), minutes }));
            }
            Step::KillHelper => {
                kill("control", begun.elapsed());
                killed = Killed::Helper;
            }
            Step::KillEngine => {
                kill("main", begun.elapsed());
                killed = Killed::Engine;
            }
            Step::Wait => {}
        }
        hold_stopping(patience, begun.elapsed());
        patience.pause(interval(begun.elapsed()))?;
    }
}

/// Never the whole unit: an engine without a containerd of the host's keeps its containers' processes in its own.
fn kill(whom: &str, waited: Duration) {
    tracing::warn!("the stop of {} hangs since {} s: killing its {whom} process", UNITS[1], waited.as_secs());
    let killed =
        tool::must(&["systemctl", "kill", "--kill-who", whom, "--signal=SIGKILL", UNITS[1]], ASK_LIMIT);
    if let Err(error) = killed {
        tracing::warn!(error = chain(&error), "nothing was killed"); // there may be none
    }
}

fn stop_by_script(patience: &mut dyn Patience) -> Result<Result<(), NotStopped>, Ended> {
    let instance = engine_instance();
    let refused = must(&["service", "docker", "stop"]).err();
    let begun = Instant::now();
    // A script that failed, or that was stopped at its limit, may have told the engine to end.
    while instance.is_some() && engine_instance() == instance {
        if begun.elapsed() >= LATE_LIMIT {
            return Ok(Err(refused.map_or(NotStopped::ScriptIsDone, NotStopped::Refused)));
        }
        hold_stopping(patience, begun.elapsed());
        patience.pause(interval(begun.elapsed()))?;
    }
    Ok(Ok(()))
}

fn hold_stopping(patience: &mut dyn Patience, since: Duration) {
    match since.as_secs() / 60 {
        0 => patience.hold(Some("the engine is being stopped")),
        minutes => patience.hold(Some(&format!("the engine is being stopped, for {minutes} min"))),
    }
}

/// The engine's unit now; one that cannot be asked for counts as on its way, which is bounded.
fn unit() -> Unit {
    match tool::ask("systemctl", &["show", "-p", PROPERTIES, UNITS[1]]) {
        Ok(Some(answer)) if answer.status == 0 => Unit::parse(&answer.output),
        Ok(_) | Err(_) => Unit::unknown(),
    }
}

/// Whether the engine is on its way down, as far as the init system tells.
pub fn is_stopping() -> bool {
    has_systemd() && unit().is_stopping()
}

/// Starts the engine, and what it needs. Restarts that a package made before count against systemd's limit, so that is
/// forgotten first; a containerd whose binary was replaced is restarted while the engine is down.
pub fn start() -> Result<(), ToolError> {
    if !has_systemd() {
        return must(&["service", "docker", "start"]);
    }
    let _ = must(&["systemctl", "reset-failed", "docker.service", "docker.socket", "containerd.service"]);
    if engine_instance().is_none() && is_replaced("containerd") {
        must(&["systemctl", "restart", "containerd.service"])?;
    }
    let _ = must(&["systemctl", "start", UNITS[0]]);
    must(&["systemctl", "start", UNITS[1]])
}

/// Has the engine started by whoever looks after it when it is stopped, and does not wait for that: for one who must
/// leave while it stops.
pub fn start_later() {
    let asked = if has_systemd() {
        // In the place of the stop's job; systemd carries it out when the unit is down.
        tool::must(&["systemctl", "--no-block", "start", UNITS[0], UNITS[1]], ASK_LIMIT)
    } else {
        must(&["service", "docker", "start"])
    };
    if let Err(error) = asked {
        tracing::warn!(error = chain(&error), "the engine may stay down");
    }
}

/// Whether the service manager still expects the engine to come up by itself.
pub fn may_come() -> bool {
    if !has_systemd() {
        return true;
    }
    matches!(said("systemctl", &["is-active", UNITS[1]]).trim(), "active" | "activating" | "reloading")
}

/// Whether an engine that was started so long ago is to be started again. systemd does so itself, until it gives up; an
/// init script that found an engine which was ending has started none.
pub fn needs_another_start(since: Duration) -> bool {
    if has_systemd() { !may_come() } else { engine_instance().is_none() && since >= AGAIN_AFTER }
}

/// The last thing that the engine said.
pub fn last_words() -> String {
    let log = said("journalctl", &["--unit", UNITS[1], "--lines", "20", "--output", "cat", "--no-pager"]);
    let told = log
        .lines()
        .rev()
        .find(|line| line.contains("failed") || line.contains("level=fatal") || line.contains("unable"));
    told.or_else(|| log.lines().last()).unwrap_or("it left no word").trim().to_owned()
}

fn must(words: &[&str]) -> Result<(), ToolError> {
    tool::must(words, TIME_LIMIT)
}

/// A reason is one line in a list and in a report.
fn in_one_line(words: &str) -> String {
    words.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// What a tool answers, whatever its status; nothing when it cannot be asked.
fn said(program: &str, arguments: &[&str]) -> String {
    tool::ask(program, arguments).ok().flatten().map(|answer| answer.output).unwrap_or_default()
}
