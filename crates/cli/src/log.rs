//! The log of one of careen's services, as the engine sends it. Pure.

use crate::backend::{LogLine, LogPage, LogPlace, Stream};

/// What is asked of the engine: everything from the second of the place on. It cannot be asked more exactly than that
/// by all engines, so [`page`] leaves out what was there before.
pub fn path(service: &str, after: &LogPlace) -> String {
    let since = second(after).map_or_else(String::new, |second| format!("&since={second}"));
    format!("/services/{service}/logs?stdout=1&stderr=1&timestamps=1{since}")
}

/// A place is the time of the last line, and how many lines of that very time were read.
fn read(place: &LogPlace) -> Option<(&str, usize)> {
    let (time, count) = place.0.split_once(' ')?;
    Some((time, count.parse().ok()?))
}

fn second(place: &LogPlace) -> Option<i64> {
    Some(read(place)?.0.parse::<jiff::Timestamp>().ok()?.as_second())
}

/// The lines behind a place. What is no frame, or not whole, is left for the next time.
pub fn page(frames: &[u8], after: &LogPlace) -> LogPage {
    let (last, count) = read(after).unwrap_or(("", 0));
    let mut same = 0;
    let new = lines(frames).into_iter().filter(|(time, _)| {
        // Engines write times with nine places, so their order is that of the texts.
        same += usize::from(time == last);
        time.as_str() > last || (time == last && same > count)
    });
    let mut new: Vec<(String, LogLine)> = new.collect();
    // The two streams come one piece after the other, and not line by line.
    new.sort_by(|a, b| a.0.cmp(&b.0));
    let next = match new.last() {
        None => after.clone(),
        Some((time, _)) => {
            let before = if time == last { count } else { 0 };
            LogPlace(format!("{time} {}", before + new.iter().filter(|(one, _)| one == time).count()))
        }
    };
    LogPage { lines: new.into_iter().map(|(_, line)| line).collect(), next }
}

/// Whole lines with their times. A long line comes in pieces, each in a frame with the time in front; all but the last
/// are without newline.
fn lines(mut frames: &[u8]) -> Vec<(String, LogLine)> {
    let mut lines = Vec::new();
    let mut open: [Option<(String, Vec<u8>)>; 2] = [None, None];
    while let Some((header, rest)) = frames.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let Some((body, rest)) = rest.split_at_checked(length) else { break };
        frames = rest;
        let (stream, slot) = match header[0] {
            1 => (Stream::Stdout, 0),
            2 => (Stream::Stderr, 1),
            _ => continue,
        };
        let at = body.iter().position(|byte| *byte == b' ').unwrap_or(body.len());
        let (time, text) = body.split_at(at);
        let piece = text.get(1..).unwrap_or_default();
        let (time, mut text) =
            open[slot].take().unwrap_or_else(|| (String::from_utf8_lossy(time).into_owned(), Vec::new()));
        text.extend_from_slice(piece);
        match text.strip_suffix(b"\n") {
            Some(whole) => {
                let text = String::from_utf8_lossy(whole).into_owned();
                lines.push((time, LogLine { stream, text }));
            }
            None => open[slot] = Some((time, text)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
    }

    fn texts(page: &LogPage) -> Vec<&str> {
        page.lines.iter().map(|line| line.text.as_str()).collect()
    }

    const AT: [&str; 3] = [
        "2026-11-23T02:00:00.000000001Z",
        "2026-11-23T02:00:00.100000000Z",
        "2026-11-23T02:00:01.000000000Z",
    ];

    #[test]
    fn every_line_comes_once_also_when_several_have_one_time() {
        let line = |time: usize, text: &str| frame(1, &format!("{} {text}\n", AT[time]));
        let first = [line(0, "a"), line(1, "b")].concat();
        let page_1 = page(&first, &LogPlace::default());
        assert_eq!(texts(&page_1), ["a", "b"]);
        assert!(path("s", &page_1.next).ends_with("&since=1795399200"), "{}", path("s", &page_1.next));
        let second = [first.clone(), line(1, "c"), line(2, "d e")].concat();
        let page_2 = page(&second, &page_1.next);
        assert_eq!(texts(&page_2), ["c", "d e"]);
        assert_eq!(page(&second, &page_2.next), LogPage { lines: vec![], next: page_2.next.clone() });
        let third = [second, line(2, "f")].concat();
        assert_eq!(texts(&page(&third, &page_2.next)), ["f"]);
        assert_eq!(path("s", &LogPlace::default()), "/services/s/logs?stdout=1&stderr=1&timestamps=1");
    }

    #[test]
    fn pieces_are_put_together_and_a_torn_end_waits() {
        let pieces = [
            frame(1, &format!("{} be", AT[0])),
            frame(2, &format!("{} note\n", AT[1])),
            frame(1, &format!("{} gin\n", AT[0])),
            frame(1, &format!("{} not whole", AT[2])),
        ]
        .concat();
        let page = page(&pieces[..pieces.len() - 3], &LogPlace::default());
        let lines: Vec<_> = page.lines.iter().map(|line| (line.stream, line.text.as_str())).collect();
        assert_eq!(lines, [(Stream::Stdout, "begin"), (Stream::Stderr, "note")]);
    }
}
