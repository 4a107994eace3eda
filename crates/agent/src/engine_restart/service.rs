//! The engine as the host's init system knows it.

use crate::signals::with_signals_unblocked;
use crate::unit::find_systemd_run;
use careen_model::settings::COMMAND_PATH;
use std::process::{Command, Output, Stdio};

/// The units of an engine, in the order in which they must stop: a socket would start the service again.
const UNITS: [&str; 2] = ["docker.socket", "docker.service"];

fn run(words: &[&str]) -> Result<Output, String> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().env("PATH", COMMAND_PATH).env("LC_ALL", "C").stdin(Stdio::null());
    let output = with_signals_unblocked(&mut command).output();
    output.map_err(|error| format!("{} cannot be run: {error}", words[0]))
}

fn must(words: &[&str]) -> Result<(), String> {
    let output = run(words)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("'{}' failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

fn has_systemd() -> bool {
    find_systemd_run().is_ok()
}

/// Stops the engine, and nothing else.
pub fn stop() -> Result<(), String> {
    if has_systemd() {
        // The socket's unit may not exist.
        let _ = run(&["systemctl", "stop", UNITS[0]]);
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
    let _ = run(&["systemctl", "reset-failed", "docker.service", "docker.socket", "containerd.service"]);
    if crate::host_view::is_replaced("containerd") {
        must(&["systemctl", "restart", "containerd.service"])?;
    }
    let _ = run(&["systemctl", "start", UNITS[0]]);
    must(&["systemctl", "start", UNITS[1]])
}

/// Whether the service manager still expects the engine to come up by itself.
pub fn may_come() -> bool {
    if !has_systemd() {
        return true;
    }
    let state = run(&["systemctl", "is-active", UNITS[1]]).map(|output| output.stdout).unwrap_or_default();
    matches!(String::from_utf8_lossy(&state).trim(), "active" | "activating" | "reloading")
}

/// The last thing that the engine said.
pub fn last_words() -> String {
    let log = run(&["journalctl", "--unit", UNITS[1], "--lines", "20", "--output", "cat", "--no-pager"]);
    let log = log.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let told = log
        .lines()
        .rev()
        .find(|line| line.contains("failed") || line.contains("level=fatal") || line.contains("unable"));
    told.or_else(|| log.lines().last()).unwrap_or("it left no word").trim().to_owned()
}
