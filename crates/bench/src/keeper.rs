//! The lab goes however the bench ends: at its end, after a failure or a panic, after Ctrl-C, when it was killed.
//!
//! So who makes and measures is a process of its own, and this one only waits for it and removes the lab then. The signals that
//! end both are held back here alone: a process that holds them back for itself hands that to all programs that it starts, and
//! those would not end any more.

use crate::claim::Claim;
use crate::error::{Error, Result};
use careen_lab::Progress;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};

/// Ctrl-C, a terminal that closes, and what `kill` sends.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Lets `measuring` work to its end, and removes the lab, unless it is to stay. Returns the exit status for both.
pub fn keep(claim: &Claim, measuring: &mut Command, lab_stays: bool, progress: Progress) -> Result<u8> {
    let failed = |source| Error::Spawn { what: "the measuring process".to_owned(), source };
    signals().thread_block().map_err(|error| failed(error.into()))?;
    let mut child = measuring.spawn().map_err(failed)?;
    pass_on_signals(Pid::from_raw(child.id().cast_signed()), progress);
    let status = child.wait().map_err(failed)?;
    if !lab_stays {
        claim.remove(progress)?;
    }
    Ok(code(status))
}

/// What the measuring process does first: it takes the signals as every program does.
pub fn take_signals() -> Result<()> {
    let taken = signals().thread_unblock();
    taken.map_err(|error| Error::Spawn { what: "the measuring process".to_owned(), source: error.into() })
}

/// The first signal ends the measuring, and the lab goes. The second ends this process at once: what is left of the lab goes with
/// the next bench.
fn pass_on_signals(measuring: Pid, progress: Progress) {
    std::thread::spawn(move || {
        let Ok(signal) = signals().wait() else { return };
        progress.say(format!("{signal}: the lab is removed (a second one leaves that to the next bench)"));
        // A terminal has sent it to both, so it may have ended. A shell that starts programs in the background lets them ignore
        // SIGINT.
        let _ = kill(measuring, Signal::SIGTERM);
        let Ok(signal) = signals().wait() else { return };
        std::process::exit(128 + signal as i32);
    });
}

/// What a shell reports of it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(1)
}

fn signals() -> SigSet {
    SIGNALS.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_reported_as_shells_do() {
        for (raw, expected) in [(0, 0), (3 << 8, 3), (9, 137)] {
            assert_eq!(code(ExitStatus::from_raw(raw)), expected);
        }
    }
}
