//! Progress lines with timings, on standard error.

use std::time::Instant;

/// Says what happens and when, or nothing at all.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    start: Instant,
    quiet: bool,
}

impl Progress {
    /// Lines on standard error, each with the seconds since now.
    pub fn shown() -> Progress {
        Progress { start: Instant::now(), quiet: false }
    }

    /// One that says nothing.
    pub fn quiet() -> Progress {
        Progress { start: Instant::now(), quiet: true }
    }

    /// Writes a line, with the seconds since the start.
    pub fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("[{:5.1}s] {}", self.start.elapsed().as_secs_f32(), line.as_ref());
        }
    }
}
