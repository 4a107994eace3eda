//! Standard error: the agent's own lines, told apart from the command's by their prefix, and in a rollout its reports.

use careen_contract::answer::Answer;
use careen_contract::report::{Report, Shared};
use careen_contract::standing::Standing;
use careen_contract::terminal::log_line;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What every line of the agent's own begins with, and of the supervisor's.
pub const PREFIX: &str = "careen: ";

/// Where the stream stands in a rollout, where a reader takes lines for reports. Otherwise what a command writes is passed
/// on as it is.
static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// Whether the agent's own words are left out for a while.
static HUSHED: AtomicBool = AtomicBool::new(false);

fn shared() -> MutexGuard<'static, Option<Shared>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on reports stand on lines of their own, and nothing that a command writes looks like one.
pub fn keep_reports_apart() {
    shared().get_or_insert_default();
}

/// Prints one line of the agent's own. Nobody may be listening any more; that is no reason to stop. What a host's tool or an
/// engine said may be in it: where that has several lines, each is one of the agent's own, so that none looks like a report.
pub fn say(message: impl fmt::Display) {
    if !HUSHED.load(Ordering::Relaxed) {
        own_line(said(message));
    }
}

/// Does this without the agent's own words on the way, if `hushed`: an agent that does the same again and again tells of it once.
pub fn hushed<T>(hushed: bool, act: impl FnOnce() -> T) -> T {
    HUSHED.store(hushed, Ordering::Relaxed);
    let done = act();
    HUSHED.store(false, Ordering::Relaxed);
    done
}

fn said(message: impl fmt::Display) -> String {
    let message = message.to_string();
    let lines = message.split('\n').map(|line| format!("{PREFIX}{}", log_line(line)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Where events go: each is written at once, as a line of the agent's own. What the supervisor shares with the agent may print them
/// between reports.
pub struct Events;

impl Write for Events {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        own_line(String::from_utf8_lossy(event).trim_end_matches('\n'));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints a report. Nobody may be listening any more.
pub fn report(report: &Report) {
    if let Ok(line) = report.line() {
        own_line(line);
    }
}

/// Prints an answer. Nobody may be listening any more.
pub fn answer(answer: &Answer) {
    if let Ok(line) = answer.line() {
        own_line(line);
    }
}

/// Prints how a host is. Nobody may be listening any more.
pub fn how_it_is(standing: &Standing) {
    if let Ok(line) = standing.line() {
        own_line(line);
    }
}

fn own_line(line: impl fmt::Display) {
    let mut shared = shared();
    let before = shared.as_mut().map_or("", Shared::before_own_line);
    let _ = io::stderr().write_all(format!("{before}{line}\n").as_bytes());
}

/// Passes on what a command wrote to its standard error.
pub fn pass_on(bytes: &[u8]) -> io::Result<()> {
    let mut shared = shared();
    match &mut *shared {
        Some(shared) => io::stderr().write_all(&shared.payload(bytes)),
        None => io::stderr().write_all(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_said_stays_on_lines_of_the_agents_own() {
        let line = said("apt: \u{1b}[31mE:\u{1b}[0m no room\ncareen-report {}");
        assert_eq!(line, "careen: apt: \\u{1b}[31mE:\\u{1b}[0m no room\ncareen: careen-report {}");
    }
}
