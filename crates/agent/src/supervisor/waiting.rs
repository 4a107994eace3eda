//! How a supervisor waits: with its ears open, and with the reason where agents and people find it.

use super::control::Control;
use crate::engine_restart::{Ended, Patience};
use crate::layout::{TransactionDir, file};
use crate::signals::Signals;
use crate::watch::Watch;
use crate::{hold, readiness};
use careen_contract::chain;
use careen_host::control::Message;
use careen_protocol::supervisor::Event;
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A wait that a shutdown ends, and everybody who speaks to the control socket.
pub struct Waiting<'a> {
    signals: &'a Signals,
    control: &'a mut Control,
    /// Where the go comes. Without it a pause for a go is as long as it is.
    go: Option<Watch>,
    hold: PathBuf,
    said: Option<String>,
    cancelled: Option<String>,
}

impl<'a> Waiting<'a> {
    /// Begins to wait; the reason is written to the transaction's directory, where the go comes, too.
    pub fn new(signals: &'a Signals, control: &'a mut Control, directory: &TransactionDir) -> Self {
        let (go, hold) = (Watch::on(directory.path()).ok(), directory.file(file::HOLD));
        Self { signals, control, go, hold, said: None, cancelled: None }
    }

    /// How a wait ended that came to no end of its own.
    pub fn ended(&mut self) -> Event {
        match self.cancelled.take() {
            Some(by) => Event::Cancelled(by),
            None => Event::ToldToEnd,
        }
    }

    /// A pause that ends when a go is passed on, too. No other pause does: agents pass a go on again and again, and what is waited
    /// for may need all of its time.
    pub fn pause_for_a_go(&mut self, time: Duration) -> Result<(), Ended> {
        self.wait(time, true)
    }

    fn wait(&mut self, time: Duration, for_a_go: bool) -> Result<(), Ended> {
        let deadline = Instant::now() + time;
        loop {
            self.listen()?;
            if Instant::now() >= deadline {
                return Ok(());
            }
            let go = self.go.as_ref().filter(|watch| for_a_go && watch.fd().is_some());
            let mut fds = [vec![self.signals.as_fd()], self.control.fds()].concat();
            fds.extend(go.and_then(Watch::fd));
            // A wait that fails is no wait: better to end than to spin.
            readiness::wait(&fds, Some(deadline)).map_err(|_| Ended)?;
            let signals = self.signals.take().map_err(|_| Ended)?;
            if signals.iter().any(|signal| *signal != Signal::SIGCHLD) {
                return Err(Ended);
            }
            if go.is_some_and(|watch| watch.take(|name| name == file::GO)) {
                return self.listen();
            }
        }
    }

    fn listen(&mut self) -> Result<(), Ended> {
        for message in self.control.take() {
            match message {
                Message::Stop(stop) => self.cancelled = Some(stop.by),
                Message::EndWait(by) => self.cancelled = Some(by),
                Message::Input(_) | Message::Resize { .. } => {}
            }
        }
        if self.cancelled.is_some() { Err(Ended) } else { Ok(()) }
    }
}

impl Patience for Waiting<'_> {
    fn pause(&mut self, time: Duration) -> Result<(), Ended> {
        self.wait(time, false)
    }

    fn hold(&mut self, reason: Option<&str>) {
        if self.said.as_deref() == reason {
            return;
        }
        self.said = reason.map(str::to_owned);
        let written = match reason {
            Some(reason) => {
                tracing::info!(hold = reason, "waiting");
                hold::tell(&self.hold, reason)
            }
            None => hold::clear(&self.hold),
        };
        if let Err(error) = written {
            tracing::warn!(file = %self.hold.display(), error = chain(&error), "agents are not told why it waits");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_that_is_passed_on_ends_the_pause_for_it_and_no_other() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        let signals = Signals::watch(&[Signal::SIGCHLD]).unwrap();
        let mut control = Control::deaf(std::io::Error::other("a test"));
        let mut waiting = Waiting::new(&signals, &mut control, &directory);
        let pass_on = || std::fs::write(directory.file(file::GO), "0").unwrap();
        pass_on();
        let (begun, time) = (Instant::now(), Duration::from_millis(200));
        assert!(waiting.pause(time).is_ok());
        assert!(begun.elapsed() >= time, "a reboot that was asked for is given its time");
        // It was passed on before: an hour is not waited for.
        assert!(waiting.pause_for_a_go(Duration::from_secs(3600)).is_ok());
    }
}
