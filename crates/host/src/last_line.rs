//! The last line of what a command prints, while it prints.

use crate::output::{Record, Stream};
use careen_contract::report::Printed;

/// How many bytes of a line are kept: it is for people, and travels with every report.
const MOST_BYTES: usize = 300;

/// The last line of both streams. A line that is not ended counts too, because a command that waits for an answer prints its
/// question so; a carriage return begins a line anew, as on a terminal.
#[derive(Debug, Default)]
pub struct LastLine {
    /// What was begun and not ended, of standard output and standard error.
    open: [Vec<u8>; 2],
    /// Which of them was written to last.
    stream: usize,
    /// The last line that was ended and is not blank.
    ended: Vec<u8>,
    /// When something was printed last: nanoseconds since 1970 by the host's clock.
    time_ns: u64,
}

impl LastLine {
    /// Takes the next piece of output. Bytes that are lost are left out.
    pub fn push(&mut self, record: &Record, bytes: &[u8]) {
        self.stream = match record.stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
        };
        self.time_ns = record.time_ns;
        for byte in bytes {
            let open = &mut self.open[self.stream];
            match byte {
                b'\n' | b'\r' if is_blank(open) => open.clear(),
                b'\n' | b'\r' => self.ended = std::mem::take(open),
                byte if open.len() < MOST_BYTES => open.push(*byte),
                _ => {}
            }
        }
    }

    /// The line, and how long ago something was printed; `None` when nothing was. `now_ns` is by the same clock; where that was
    /// set back, it was now.
    pub fn printed(&self, now_ns: u64) -> Option<Printed> {
        let open = &self.open[self.stream];
        let line = if is_blank(open) { &self.ended } else { open };
        let seconds = now_ns.saturating_sub(self.time_ns) / 1_000_000_000;
        let line = String::from_utf8_lossy(line).into_owned();
        (!line.is_empty()).then_some(Printed { line, seconds })
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn after(pieces: &[(Stream, &str)]) -> Option<String> {
        let mut last = LastLine::default();
        for (stream, text) in pieces {
            let record = Record { offset: 0, length: text.len() as u32, stream: *stream, time_ns: SECOND };
            last.push(&record, text.as_bytes());
        }
        last.printed(SECOND).map(|printed| printed.line)
    }

    #[test]
    fn the_last_line_is_told_also_when_it_is_not_ended() {
        use Stream::{Stderr, Stdout};
        for (pieces, line) in [
            (&[][..], None),
            (&[(Stdout, "\n \r\n")], None),
            (&[(Stdout, "one\ntw"), (Stdout, "o\n\n")], Some("two")),
            (&[(Stdout, "Setting up x\nContinue? [Y/n] ")], Some("Continue? [Y/n] ")),
            (&[(Stdout, "Continue? "), (Stderr, "W: slow\n")], Some("W: slow")),
            (&[(Stderr, "W: sl"), (Stdout, "b\n"), (Stderr, "ow\n")], Some("W: slow")),
            (&[(Stdout, "5%\r50%\r")], Some("50%")),
            (&[(Stdout, "5%\r50%")], Some("50%")),
        ] {
            assert_eq!(after(pieces).as_deref(), line, "{pieces:?}");
        }
        assert_eq!(after(&[(Stdout, &"x".repeat(1000))]).unwrap().len(), MOST_BYTES);
    }

    #[test]
    fn how_long_ago_is_by_the_hosts_clock_and_never_negative() {
        let mut last = LastLine::default();
        let record = Record { offset: 0, length: 1, stream: Stream::Stdout, time_ns: 100 * SECOND };
        last.push(&record, b"x");
        let seconds = |now: u64| last.printed(now * SECOND).unwrap().seconds;
        assert_eq!((seconds(170), seconds(100), seconds(20)), (70, 0, 0));
    }
}
