//! Text for terminals and logs: what comes from a host, an engine or the swarm reaches neither with its control characters.
//! Every program of careen's that prints such text takes it from here.

use std::fmt::Write;

/// A text that can do nothing to a terminal, and begins no line of its own in a log: control characters, and those that turn the
/// direction of writing, become visible. A tab becomes a blank.
pub fn neutral(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push(' '),
            c if is_harmful(c) => {
                let _infallible = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// A line of a log as a terminal would show it in the end: a carriage return begins the line anew.
pub fn log_line(text: &str) -> String {
    let text = text.trim_end_matches('\r');
    neutral(text.rsplit('\r').next().unwrap_or(text))
}

/// Whether a character does something else than to be seen.
pub fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_prints_does_nothing_to_a_terminal_and_begins_no_line() {
        assert_eq!(
            neutral("a\x1b[31mb\u{9b}2Jc\td\r\n\u{202e}"),
            r"a\u{1b}[31mb\u{9b}2Jc d\u{d}\u{a}\u{202e}"
        );
        assert_eq!(neutral("größer ✓"), "größer ✓");
        assert_eq!(log_line("5%\r50%\r100%\r"), "100%");
    }
}
