//! The log of one of careen's services, as the engine sends it. Of a log that may have any length no more is held than what it
//! takes to put its two streams in order. Pure.

use crate::backend::{LogLine, LogPlace, Stream};
use careen_engine::frames::{STDERR, STDOUT, each_frame};
use careen_engine::{ApiPath, LogQuery, Source};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;

/// So much of what was read may wait for lines of the other stream that are older.
const WINDOW: usize = 4 << 20;

/// So much of one line is kept; the rest is counted.
const LONGEST_LINE: usize = 1 << 20;

/// More than a time has: `2026-11-23T02:00:00.000000001Z`.
const LONGEST_TIME: u64 = 64;

/// What is asked of the engine: everything from the second of the place on. It cannot be asked more exactly than that
/// by all engines, so [`read`] leaves out what was there before.
pub fn path(source: Source<'_>, after: &LogPlace) -> ApiPath {
    let query = LogQuery { stdout: true, timestamps: true, since: second(after), ..LogQuery::default() };
    ApiPath::logs(source, query)
}

/// A place is the time of the last line, and how many lines of that very time were read.
fn parsed(place: &LogPlace) -> Option<(&str, usize)> {
    let (time, count) = place.0.split_once(' ')?;
    Some((time, count.parse().ok()?))
}

fn second(place: &LogPlace) -> Option<i64> {
    Some(parsed(place)?.0.parse::<jiff::Timestamp>().ok()?.as_second())
}

/// Gives the lines behind a place, whole and in order, and moves the place behind each. What is no frame, or not whole, is left for
/// the next time. When reading fails, the older half of what waited is given first: whoever tries again gets on.
pub fn read(frames: impl Read, place: &mut LogPlace, each: &mut dyn FnMut(LogLine)) -> io::Result<()> {
    let mut window = Window::after(place);
    let result = lines(frames, |time, line| {
        window.take(time, line);
        if window.size > WINDOW {
            window.give_half(place, each);
        }
    });
    match result {
        Ok(()) => window.give(window.lines.len(), place, each),
        Err(_) => window.give_half(place, each),
    }
    result
}

/// Lines that may have to be put in order: the two streams come one piece after the other, and not line by line.
struct Window {
    /// Where reading began: a time, and how many lines of it are known.
    last: String,
    count: usize,
    /// How many of that time came by.
    same: usize,
    lines: Vec<(String, LogLine)>,
    size: usize,
}

impl Window {
    fn after(place: &LogPlace) -> Self {
        let (last, count) = parsed(place).unwrap_or(("", 0));
        Self { last: last.to_owned(), count, same: 0, lines: Vec::new(), size: 0 }
    }

    fn take(&mut self, time: String, line: LogLine) {
        // Engines write times with nine places, so their order is that of the texts.
        self.same += usize::from(time == self.last);
        if time > self.last || (time == self.last && self.same > self.count) {
            self.size += weight(&time, &line);
            self.lines.push((time, line));
        }
    }

    fn give_half(&mut self, place: &mut LogPlace, each: &mut dyn FnMut(LogLine)) {
        self.give(self.lines.len().div_ceil(2), place, each);
    }

    fn give(&mut self, count: usize, place: &mut LogPlace, each: &mut dyn FnMut(LogLine)) {
        self.lines.sort_by(|a, b| a.0.cmp(&b.0));
        for (time, line) in self.lines.drain(..count) {
            self.size -= weight(&time, &line);
            let (last, known) = parsed(place).unwrap_or(("", 0));
            match time.as_str().cmp(last) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => *place = LogPlace(format!("{time} {}", known + 1)),
                std::cmp::Ordering::Greater => *place = LogPlace(format!("{time} 1")),
            }
            each(line);
        }
    }
}

fn weight(time: &str, line: &LogLine) -> usize {
    2 * time.len() + line.text.len() + size_of::<(String, LogLine)>()
}

/// A frame's text, or a line's: its beginning, and how long it was.
#[derive(Default)]
struct Text {
    kept: Vec<u8>,
    /// Bytes that are not kept.
    dropped: usize,
    last: Option<u8>,
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST_LINE.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.dropped += bytes.len() - room;
        self.last = bytes.last().copied().or(self.last);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Text {
    fn is_line(&self) -> bool {
        self.last == Some(b'\n')
    }

    /// The line without its newline.
    fn line(mut self) -> String {
        let newline = usize::from(self.is_line());
        if self.dropped == 0 {
            self.kept.truncate(self.kept.len() - newline);
        }
        let text = String::from_utf8_lossy(&self.kept).into_owned();
        match self.dropped {
            0 => text,
            more => format!("{text} … ({} bytes more in this line)", more - newline),
        }
    }
}

/// Whole lines with their times, as they come. A long line comes in pieces, each in a frame with the time in front; all but the
/// last are without newline.
fn lines(frames: impl Read, mut each: impl FnMut(String, LogLine)) -> io::Result<()> {
    let mut open: [Option<(String, Text)>; 2] = [None, None];
    each_frame(BufReader::new(frames), |stream, body| {
        let (stream, slot) = match stream {
            STDOUT => (Stream::Stdout, &mut open[0]),
            STDERR => (Stream::Stderr, &mut open[1]),
            _ => return Ok(ControlFlow::Continue(())),
        };
        let mut time = Vec::new();
        body.by_ref().take(LONGEST_TIME).read_until(b' ', &mut time)?;
        let (_, text) = slot.get_or_insert_with(|| {
            (String::from_utf8_lossy(time.trim_ascii_end()).into_owned(), Text::default())
        });
        io::copy(body, text)?;
        // A torn end is no line yet.
        if body.limit() == 0
            && text.is_line()
            && let Some((time, text)) = slot.take()
        {
            let said = Some(time.clone()).filter(|time| time.parse::<jiff::Timestamp>().is_ok());
            each(time, LogLine { stream, text: text.line(), time: said });
        }
        Ok(ControlFlow::Continue(()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
    }

    fn reads(log: &[u8], place: &mut LogPlace) -> Vec<String> {
        let mut texts = Vec::new();
        read(log, place, &mut |line| texts.push(line.text)).unwrap();
        texts
    }

    const AT: [&str; 3] = [
        "2026-11-23T02:00:00.000000001Z",
        "2026-11-23T02:00:00.100000000Z",
        "2026-11-23T02:00:01.000000000Z",
    ];

    #[test]
    fn every_line_comes_once_also_when_several_have_one_time() {
        let line = |time: usize, text: &str| frame(1, &format!("{} {text}\n", AT[time]));
        let mut place = LogPlace::default();
        assert_eq!(
            path(Source::Service("s"), &place).to_string(),
            "/services/s/logs?stderr=1&stdout=1&timestamps=1"
        );
        let first = [line(0, "a"), line(1, "b")].concat();
        assert_eq!(reads(&first, &mut place), ["a", "b"]);
        assert!(
            path(Source::Service("s"), &place).to_string().ends_with("&since=1795399200"),
            "{}",
            path(Source::Service("s"), &place)
        );
        let second = [first.clone(), line(1, "c"), line(2, "d e")].concat();
        assert_eq!(reads(&second, &mut place), ["c", "d e"]);
        let before = place.clone();
        assert_eq!(reads(&second, &mut place), [""; 0]);
        assert_eq!(place, before);
        assert_eq!(reads(&[second, line(2, "f")].concat(), &mut place), ["f"]);
    }

    #[test]
    fn pieces_are_put_together_and_a_torn_end_waits() {
        let pieces = [
            frame(1, &format!("{} be", AT[0])),
            frame(2, &format!("{} note\n", AT[1])),
            frame(3, &format!("{} of the engine's own\n", AT[1])),
            frame(1, &format!("{} gin\n", AT[0])),
            frame(1, &format!("{} not whole", AT[2])),
        ]
        .concat();
        let mut lines = Vec::new();
        let log = &pieces[..pieces.len() - 3];
        let mut times = Vec::new();
        let mut each = |line: LogLine| {
            times.extend(line.time);
            lines.push((line.stream, line.text));
        };
        read(log, &mut LogPlace::default(), &mut each).unwrap();
        assert_eq!(times, [AT[0], AT[1]]);
        assert_eq!(lines, [(Stream::Stdout, "begin".to_owned()), (Stream::Stderr, "note".to_owned())]);
    }

    /// Frames without end, made as they are read.
    struct Endless {
        frame: Vec<u8>,
        at: usize,
        made: u64,
        ends: u64,
    }

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.at == self.frame.len() {
                if self.made == self.ends {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                self.made += 1;
                let time = format!("2026-11-23T02:00:{:02}.{:09}Z", self.made / 10_000, self.made % 10_000);
                (self.frame, self.at) = (frame(1, &format!("{time} {:01000}\n", self.made)), 0);
            }
            let count = buffer.len().min(self.frame.len() - self.at);
            buffer[..count].copy_from_slice(&self.frame[self.at..self.at + count]);
            self.at += count;
            Ok(count)
        }
    }

    #[test]
    fn a_log_that_is_longer_than_the_time_for_it_is_given_in_steps_and_never_held_as_a_whole() {
        let log = |from: u64, ends: u64| Endless { frame: Vec::new(), at: 0, made: from, ends };
        let (mut place, mut given, mut most) = (LogPlace::default(), Vec::new(), 0);
        let mut from = 0;
        for _ in 0..4 {
            let mut each = |line: LogLine| given.push(line.text.parse::<u64>().unwrap());
            let mut reader = log(from, from + 20_000);
            let error = read(&mut reader, &mut place, &mut each).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            most = most.max(reader.made - given.last().unwrap());
            from = (given.last().unwrap() / 10_000) * 10_000;
        }
        assert!(given.iter().copied().eq(1..=*given.last().unwrap()), "each once, and in order");
        assert!(*given.last().unwrap() > 40_000, "{:?}", given.last());
        assert!(most < 5_000, "{most} lines of 1,000 bytes were held");
    }

    #[test]
    fn a_line_without_end_is_cut_and_says_so() {
        let long = "x".repeat(LONGEST_LINE);
        let pieces = [
            frame(1, &format!("{} {long}", AT[0])),
            frame(1, &format!("{} yyy\n", AT[0])),
            frame(1, &format!("{} next\n", AT[1])),
        ];
        let texts = reads(&pieces.concat(), &mut LogPlace::default());
        assert_eq!(texts.len(), 2);
        assert!(texts[0].ends_with("x … (3 bytes more in this line)"), "{}", &texts[0][LONGEST_LINE..]);
        assert_eq!(texts[1], "next");
    }
}
