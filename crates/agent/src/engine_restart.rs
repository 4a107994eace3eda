//! Starts and restarts the engine.

use crate::signals::with_signals_unblocked;
use careen_model::journal::EngineOutcome;
use careen_model::manifest::Manifest;
use careen_model::settings::COMMAND_PATH;
use careen_model::transaction::EngineRestart;
use std::process::{Command, Stdio};

/// Whether the engine's process runs and answers. The process first: asking a socket that systemd holds would start it.
pub fn is_up() -> bool {
    crate::supervisor::engine_instance().is_some() && crate::engine::Engine::connect().is_ok()
}

/// Starts or restarts the engine and waits until it answers.
pub fn carry_out(_why: EngineRestart, _manifest: &Manifest) -> EngineOutcome {
    let run = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().env("PATH", COMMAND_PATH).stdin(Stdio::null());
        with_signals_unblocked(&mut command).output()
    };
    let _ = run(&["systemctl", "reset-failed", "docker.service"]);
    match run(&["systemctl", "restart", "docker.service"]) {
        Ok(output) if output.status.success() && is_up() => EngineOutcome::Up,
        Ok(output) => {
            EngineOutcome::Down { words: String::from_utf8_lossy(&output.stderr).trim().to_owned() }
        }
        Err(error) => EngineOutcome::Down { words: error.to_string() },
    }
}
