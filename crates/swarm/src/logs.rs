//! What an agent's log says. Pure.

use careen_planner::observed::Report;

/// The last report in a log. Without a terminal the engine sends frames (stream, length, bytes), and reports are on
/// standard error; with one it sends the bytes as they are.
pub fn last_report(log: &[u8], terminal: bool) -> Option<Report> {
    let text = match terminal {
        true => log.to_vec(),
        false => standard_error(log),
    };
    String::from_utf8_lossy(&text).lines().rev().find_map(Report::of_line)
}

/// The bytes of standard error. A torn frame at the end gives what there is of it.
fn standard_error(mut frames: &[u8]) -> Vec<u8> {
    const STDERR: u8 = 2;
    let mut text = Vec::new();
    while let Some((header, rest)) = frames.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let (body, rest) = rest.split_at(length.min(rest.len()));
        if header[0] == STDERR {
            text.extend_from_slice(body);
        }
        frames = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::observed::{Draw, Expectation, Said};

    const PREPARED: Said =
        Said::Prepared { restart: Expectation::Unknown, draw: Draw { number: 0, gates: [2, 5] } };

    #[test]
    fn the_last_report_of_a_recorded_log() {
        assert_eq!(last_report(include_bytes!("../fixtures/task-log.bin"), false), Some(PREPARED.into()));
        assert_eq!(
            last_report(include_bytes!("../fixtures/task-log-terminal.bin"), true),
            Some(PREPARED.into())
        );
    }

    #[test]
    fn a_report_in_pieces_is_whole_and_a_torn_one_is_none() {
        let line = format!("{}\n", Report::from(Said::Preparing).line().unwrap());
        let frame = |stream: u8, text: &str| {
            [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
        };
        let (one, two) = line.split_at(20);
        let log = [frame(2, one), frame(1, "noise"), frame(2, two)].concat();
        assert_eq!(last_report(&log, false), Some(Said::Preparing.into()));
        let torn = [frame(2, &line), frame(2, "careen-report {\"phase\":\"ver")].concat();
        assert_eq!(last_report(&torn, false), Some(Said::Preparing.into()), "the one before the torn one");
        assert_eq!(last_report(&log[..20], false), None);
        assert_eq!(last_report(&frame(1, &line), false), None, "a command may print what it likes");
        assert_eq!(last_report(b"", false), None);
    }
}
