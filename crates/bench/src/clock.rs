//! When a measurement begins and ends.
//!
//! Each contender is a program that prints [`BEGIN`] when its preparations are done. Its time is that from this line to the last
//! line that it prints, both by the clock of the process that reads them: how a program came to its host, and how long it takes
//! to go after its last word, is in nobody's time.

use crate::error::{Error, Result};
use std::io::{BufRead as _, BufReader, PipeReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The line at which the clock starts.
pub const BEGIN: &str = "BEGIN";

/// How often it is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(50);

/// How long a program that has ended may still have lines under way.
const DRAIN: Duration = Duration::from_millis(500);

/// What came of a program that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// From [`BEGIN`] to the last line.
    pub took: Duration,
    /// What it printed in this time, on both streams.
    pub lines: Vec<String>,
}

impl Timed {
    /// Its seconds.
    pub fn seconds(&self) -> f64 {
        self.took.as_secs_f64()
    }
}

/// A line, and when it was read.
type Stamped = (Instant, String);

/// Runs a program to its end, which must be a good one.
pub fn time(what: &str, limit: Duration, command: &mut Command) -> Result<Timed> {
    let spawn = |source| Error::Spawn { what: what.to_owned(), source };
    let (reader, writer) = std::io::pipe().map_err(spawn)?;
    let errors = writer.try_clone().map_err(spawn)?;
    let mut child = command.stdin(Stdio::null()).stdout(writer).stderr(errors).spawn().map_err(spawn)?;
    // The command keeps the pipe's other end, and gives it up with these.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (sender, receiver) = channel();
    std::thread::spawn(move || read(reader, &sender));
    let lines = follow(what, limit, &mut child, &receiver)?;
    let status = child.wait().map_err(spawn)?;
    if !status.success() {
        return Err(Error::Failed {
            what: what.to_owned(),
            status: status.to_string(),
            last: last(&lines, 8),
        });
    }
    timed(what, lines)
}

/// Reads until nobody writes any more. A connection that ssh keeps for later may hold the pipe for long: nobody waits for this.
fn read(reader: PipeReader, sender: &Sender<Stamped>) {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if sender.send((Instant::now(), line)).is_err() {
            return;
        }
        bytes.clear();
    }
}

/// Takes the lines of a program until it has ended, or kills it when its time is up.
fn follow(
    what: &str,
    limit: Duration,
    child: &mut Child,
    receiver: &Receiver<Stamped>,
) -> Result<Vec<Stamped>> {
    let start = Instant::now();
    let mut lines = Vec::new();
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(line) => {
                lines.push(line);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
        }
        let ended =
            child.try_wait().map_err(|source| Error::Spawn { what: what.to_owned(), source })?.is_some();
        if ended {
            while let Ok(line) = receiver.recv_timeout(DRAIN) {
                lines.push(line);
            }
            return Ok(lines);
        }
        if start.elapsed() > limit {
            // One that has ended meanwhile is as good as killed.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::TimedOut { what: what.to_owned(), limit, last: last(&lines, 3) });
        }
    }
}

fn timed(what: &str, lines: Vec<Stamped>) -> Result<Timed> {
    let unexpected = |expected: &str| Error::Unexpected {
        what: what.to_owned(),
        expected: expected.to_owned(),
        seen: last(&lines, 3),
    };
    let begin =
        lines.iter().position(|(_, line)| line == BEGIN).ok_or_else(|| unexpected("the line BEGIN"))?;
    let behind = lines.get(begin..).unwrap_or_default();
    let mut spoken = behind.iter().skip(1).filter(|(_, line)| !line.is_empty());
    let (end, _) = spoken.next_back().ok_or_else(|| unexpected("a line behind BEGIN"))?;
    let took = lines.get(begin).map(|(start, _)| end.duration_since(*start)).unwrap_or_default();
    Ok(Timed { took, lines: behind.iter().skip(1).map(|(_, line)| line.clone()).collect() })
}

fn last(lines: &[Stamped], count: usize) -> String {
    let lines: Vec<&str> =
        lines.iter().map(|(_, line)| line.as_str()).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> Result<Timed> {
        time("a script", limit, Command::new("bash").args(["-c", script]))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_time_is_from_the_begin_to_the_last_line() {
        let timed = run("sleep 0.4; echo BEGIN; sleep 0.2; echo done >&2; echo; sleep 0.4", LONG).unwrap();
        assert!(timed.took >= Duration::from_millis(190), "{timed:?}");
        assert!(timed.took < Duration::from_millis(400), "{timed:?}");
        assert_eq!(timed.lines, ["done", ""]);
    }

    #[test]
    fn what_fails_says_its_last_lines() {
        let error = run("echo BEGIN; echo no room; exit 3", LONG).unwrap_err().to_string();
        assert_eq!(error, "a script failed (exit status: 3): BEGIN / no room");
    }

    #[test]
    fn what_does_not_end_is_killed() {
        let error = run("echo BEGIN; echo waits; exec sleep 60", Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.to_string(), "a script: not within 0 s; last seen: BEGIN / waits");
    }

    #[test]
    fn one_that_never_began_or_never_ended_has_no_time() {
        for script in ["echo done", "echo BEGIN"] {
            assert!(matches!(run(script, LONG), Err(Error::Unexpected { .. })), "{script}");
        }
    }

    #[test]
    fn a_process_that_is_left_behind_holds_nothing_up() {
        let begin = Instant::now();
        run("echo BEGIN; sleep 30 & echo done", LONG).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
