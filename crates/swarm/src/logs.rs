//! What an agent's log says. Pure.

use careen_contract::report::MARK;
use careen_contract::standing::Standing;
use careen_engine::frames::{STDERR, each_frame};
use careen_planner::enforcement::hosts::LastWord;
use careen_planner::observed::Report;
use std::io::{self, BufReader, Read, Write};
use std::ops::ControlFlow;

/// So much of a line is kept: more than the longest report has (15 KiB, in careen-contract). A longer line is none of careen's.
const LONGEST_LINE: usize = 64 << 10;

/// The last report in a log. Without a terminal the engine sends frames, and reports are on standard error; with one it sends the bytes as they are. A log is as long as the host's log driver lets it grow, so no
/// more of it is held than one line. An error of reading is one: what was read before it need not be the last.
pub fn last_report(log: impl Read, terminal: bool) -> io::Result<Option<Report>> {
    last_that(log, terminal, Report::of_line)
}

/// The last word of an enforcing agent in a log, which has frames.
pub fn last_word(log: impl Read) -> io::Result<Option<LastWord>> {
    last_that(log, false, |line| {
        let said = || Standing::of_line(line).map(|said| LastWord::Said(Box::new(said)));
        line.starts_with(MARK).then(|| said().unwrap_or(LastWord::Unintelligible))
    })
}

fn last_that<T>(log: impl Read, terminal: bool, read: fn(&str) -> Option<T>) -> io::Result<Option<T>> {
    let mut log = BufReader::new(log);
    let mut lines = Lines::new(read);
    if terminal {
        io::copy(&mut log, &mut lines)?;
        return Ok(lines.end());
    }
    each_frame(log, |stream, body| {
        if stream == STDERR {
            io::copy(body, &mut lines)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(lines.end())
}

/// Looks for what is read out of lines, line by line.
struct Lines<T> {
    /// What there is of the current line.
    line: Vec<u8>,
    last: Option<T>,
    read: fn(&str) -> Option<T>,
}

impl<T> Write for Lines<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.ends_line();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T> Lines<T> {
    fn new(read: fn(&str) -> Option<T>) -> Self {
        Self { line: Vec::new(), last: None, read }
    }

    fn ends_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        self.last = (self.read)(&line).or(self.last.take());
        self.line.clear();
    }

    fn end(mut self) -> Option<T> {
        self.ends_line();
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::observed::{Draw, Expectation, Said};

    const PREPARED: Said =
        Said::Prepared { restart: Expectation::Unknown, draw: Draw { number: 0, gates: [2, 5] } };

    fn found(log: &[u8], terminal: bool) -> Option<Report> {
        last_report(log, terminal).unwrap()
    }

    #[test]
    fn the_last_report_of_a_recorded_log() {
        assert_eq!(found(include_bytes!("../fixtures/task-log.bin"), false), Some(PREPARED.into()));
        assert_eq!(found(include_bytes!("../fixtures/task-log-terminal.bin"), true), Some(PREPARED.into()));
    }

    #[test]
    fn a_report_in_pieces_is_whole_and_a_torn_one_is_none() {
        let line = format!("{}\n", Report::from(Said::Preparing).line().unwrap());
        let frame = |stream: u8, text: &str| {
            [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
        };
        let (one, two) = line.split_at(20);
        let log = [frame(2, one), frame(1, "noise"), frame(2, two)].concat();
        assert_eq!(found(&log, false), Some(Said::Preparing.into()));
        let torn = [frame(2, &line), frame(2, "careen-report {\"phase\":\"ver")].concat();
        assert_eq!(found(&torn, false), Some(Said::Preparing.into()), "the one before the torn one");
        assert_eq!(found(&log[..20], false), None);
        assert_eq!(found(&frame(1, &line), false), None, "a command may print what it likes");
        assert_eq!(found(b"", false), None);
    }

    #[test]
    fn the_last_word_counts_also_one_that_nobody_understands() {
        let standing = Standing {
            name: "sysctl".into(),
            version: "0a1b2c3d".into(),
            state: careen_contract::standing::EnforceState::InSync,
            why: None,
            watch: careen_contract::standing::PathWatch::Nothing,
            mended: 2,
            last: None,
            at: 7,
            notes: Vec::new(),
        };
        let frame = |stream: u8, line: &str| {
            let text = format!("{line}\n");
            [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
        };
        let line = standing.line().unwrap();
        let log = [frame(2, &line), frame(2, "careen: looks again")].concat();
        assert_eq!(last_word(&log[..]).unwrap(), Some(LastWord::Said(Box::new(standing))));
        let later = [log.clone(), frame(2, "careen-report {\"phase\":\"of-a-later-careen\"}")].concat();
        assert_eq!(last_word(&later[..]).unwrap(), Some(LastWord::Unintelligible));
        assert_eq!(last_word(&frame(1, &line)[..]).unwrap(), None, "a command may print what it likes");
    }

    #[test]
    fn a_line_without_end_is_not_held_and_hides_nothing() {
        let report = format!("{}\n", Report::from(Said::Preparing).line().unwrap());
        let noise = io::repeat(b'x').take(3 * LONGEST_LINE as u64);
        let mut log = report.as_bytes().chain(noise).chain(&b"\n"[..]);
        let mut lines = Lines::new(Report::of_line);
        io::copy(&mut log, &mut lines).unwrap();
        assert!(lines.line.capacity() <= 2 * LONGEST_LINE, "{}", lines.line.capacity());
        assert_eq!(lines.end(), Some(Said::Preparing.into()));
    }

    #[test]
    fn a_log_that_breaks_off_has_no_last_report() {
        struct Breaks;
        impl Read for Breaks {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::TimedOut.into())
            }
        }
        let report = format!("{}\n", Report::from(Said::Preparing).line().unwrap());
        let error = last_report(report.as_bytes().chain(Breaks), true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
