//! Signals as something to poll.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The signals that were blocked and are read here instead.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks these signals for this thread and all threads that it starts, and reads them from now on. Call it before
    /// any thread is started. Programs inherit the mask too, unless they are started [`with_signals_unblocked`].
    pub fn watch(signals: &[Signal]) -> io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd })
    }

    /// The signals that came since the last call.
    pub fn take(&self) -> io::Result<Vec<Signal>> {
        let mut taken = Vec::new();
        while let Some(info) = self.fd.read_signal()? {
            // The kernel only hands out signals of the set, so the number is known.
            taken.extend(i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()));
        }
        Ok(taken)
    }
}

/// Lets a program get the signals that this process has blocked for itself. Without it, whatever this process starts
/// could not be asked to end: the standard library hands the mask on, and few programs reset it.
pub fn with_signals_unblocked(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only pthread_sigmask is called, which is async-signal-safe.
    unsafe { command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?)) }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
