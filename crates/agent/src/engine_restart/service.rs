//! The engine as the host's init system knows it.

use crate::tool;
use crate::unit::find_systemd_run;
use std::time::Duration;

/// An engine gives its containers 10 s each, all at once, and systemd gives an engine 90 s to stop by default. One that
/// starts may have a big raft store to read, and Debian's unit sets it no limit.
const TIME_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The units of an engine, in the order in which they must stop: a socket would start the service again.
const UNITS: [&str; 2] = ["docker.socket", "docker.service"];

/// Whether systemd looks after the engine.
pub fn has_systemd() -> bool {
    find_systemd_run().is_ok()
}

/// Stops the engine, and nothing else.
pub fn stop() -> Result<(), String> {
    if has_systemd() {
        // The socket's unit may not exist.
        let _ = must(&["systemctl", "stop", UNITS[0]]);
        must(&["systemctl", "stop", UNITS[1]])
    } else {
        must(&["service", "docker", "stop"])
    }
}

/// Starts the engine, and what it needs. Restarts that a package made before count against systemd's limit, so that is
/// forgotten first; a containerd whose binary was replaced is restarted while the engine is down.
pub fn start() -> Result<(), String> {
    if !has_systemd() {
        return must(&["service", "docker", "start"]);
    }
    let _ = must(&["systemctl", "reset-failed", "docker.service", "docker.socket", "containerd.service"]);
    if crate::engine_process::is_replaced("containerd") {
        must(&["systemctl", "restart", "containerd.service"])?;
    }
    let _ = must(&["systemctl", "start", UNITS[0]]);
    must(&["systemctl", "start", UNITS[1]])
}

/// Whether the service manager still expects the engine to come up by itself.
pub fn may_come() -> bool {
    if !has_systemd() {
        return true;
    }
    matches!(said("systemctl", &["is-active", UNITS[1]]).trim(), "active" | "activating" | "reloading")
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

fn must(words: &[&str]) -> Result<(), String> {
    tool::must(words, TIME_LIMIT)
}

/// What a tool answers, whatever its status; nothing when it cannot be asked.
fn said(program: &str, arguments: &[&str]) -> String {
    tool::ask(program, arguments).ok().flatten().map(|answer| answer.output).unwrap_or_default()
}
