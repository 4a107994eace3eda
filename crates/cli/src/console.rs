//! The person, or the program, in front of careen: output, the one question, the clock and Ctrl-C.

use careen_controller::Pause;
use careen_engine::Bell;
use nix::sys::signal::{SigSet, Signal};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What commands need of the world outside of the swarm.
pub trait Console {
    /// Writes to standard output.
    fn out(&mut self, text: &str) -> io::Result<()>;
    /// Writes to standard error.
    fn err(&mut self, text: &str) -> io::Result<()>;
    /// Which of the two show colours.
    fn colours(&self) -> Colours;
    /// How many columns standard output has; `None` where it is no terminal.
    fn columns(&self) -> Option<usize> {
        None
    }
    /// Whether standard error can be drawn on.
    fn is_live(&self) -> bool;
    /// Asks a question; `None` when there is nobody to answer.
    fn ask(&mut self, question: &str) -> io::Result<Option<bool>>;
    /// From now on Ctrl-C ends the following in an orderly way; a second one ends the process.
    fn catch_interrupts(&mut self) -> io::Result<()>;
    /// Whether it was pressed.
    fn interrupted(&self) -> bool;
    /// Waits, not longer than until Ctrl-C.
    fn wait(&mut self, time: Duration);
    /// Waits as the pause says, and not longer than until Ctrl-C; who has no bell waits all of it.
    fn wait_for(&mut self, pause: Pause, _bell: Option<&Bell>) {
        if !pause.most.is_zero() {
            self.wait(pause.most);
        }
    }
    /// The time of a monotonic clock: only differences mean something.
    fn now(&self) -> Duration;
    /// What a wall clock shows, for people and programs to read: nothing is decided by it.
    fn time(&self) -> jiff::Timestamp;
    /// Bytes that nobody can guess, for ids.
    fn random(&mut self) -> io::Result<[u8; 8]>;
}

/// Which streams show colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Colours {
    pub out: bool,
    pub err: bool,
}

/// Whether a stream shows colours: it is a terminal that can, and NO_COLOR is not set to anything.
pub fn colours(terminal: bool, no_color: Option<&str>, term: Option<&str>) -> bool {
    terminal && no_color.is_none_or(str::is_empty) && term.is_none_or(|term| term != "dumb")
}

/// The console of this process: its standard streams, its clock and Ctrl-C.
#[derive(Debug)]
pub struct Process {
    began: Instant,
    colours: Colours,
    live: bool,
    caught: bool,
    interrupted: Arc<AtomicBool>,
}

/// How often a wait looks whether Ctrl-C was pressed, or something rang.
const LOOK: Duration = Duration::from_millis(25);

impl Process {
    /// With the environment's wishes.
    pub fn new() -> Self {
        let variable = |name| std::env::var(name).ok();
        let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
        let shows = |terminal| colours(terminal, no_color.as_deref(), term.as_deref());
        let err = io::stderr().is_terminal();
        Self {
            began: Instant::now(),
            colours: Colours { out: shows(io::stdout().is_terminal()), err: shows(err) },
            live: err && term.is_some_and(|term| term != "dumb"),
            caught: false,
            interrupted: Arc::default(),
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Console for Process {
    fn out(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn err(&mut self, text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    fn colours(&self) -> Colours {
        self.colours
    }

    fn columns(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns >= 40)
    }

    fn is_live(&self) -> bool {
        self.live
    }

    fn ask(&mut self, question: &str) -> io::Result<Option<bool>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        self.err(&format!("{question} [y/N] "))?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")))
    }

    fn catch_interrupts(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.caught, true) {
            return Ok(());
        }
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        set.thread_block()?;
        let interrupted = Arc::clone(&self.interrupted);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while let Ok(signal) = set.wait() {
                if interrupted.swap(true, Ordering::Relaxed) {
                    // What a shell reports of a process that the signal ended.
                    std::process::exit(128 + signal as i32);
                }
            }
        })?;
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while !self.interrupted() {
            match until.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => std::thread::sleep(left.min(LOOK)),
                Some(_) | None => return,
            }
        }
    }

    fn wait_for(&mut self, pause: Pause, bell: Option<&Bell>) {
        let began = Instant::now();
        self.wait(pause.least);
        while !self.interrupted() && began.elapsed() < pause.most && !bell.is_some_and(Bell::rang) {
            std::thread::sleep(pause.most.saturating_sub(began.elapsed()).min(LOOK));
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn time(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn random(&mut self) -> io::Result<[u8; 8]> {
        let mut bytes = [0; 8];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::colours;

    #[test]
    fn colours_only_on_a_terminal_whose_owner_does_not_mind() {
        assert!(colours(true, None, Some("xterm")));
        assert!(colours(true, Some(""), None));
        assert!(!colours(true, Some("1"), Some("xterm")));
        assert!(!colours(true, None, Some("dumb")));
        assert!(!colours(false, None, Some("xterm")));
    }
}
