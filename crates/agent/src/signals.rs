//! Signals as something to poll.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The signals that were blocked and are read here instead.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks these signals for this thread and all that it starts, and reads them from now on.
    /// Call it before any thread is started. Commands get a clean mask: `std::process::Command` resets it.
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

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
