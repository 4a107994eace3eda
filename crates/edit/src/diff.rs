//! What a person is shown of a change.

use similar::{Algorithm, TextDiff};
use std::time::Duration;

/// How many lines of a difference are shown. Whoever wants more has both files.
const LINES: usize = 2_000;

/// How many bytes of it.
const BYTES: usize = 256 * 1024;

/// How long the shortest difference is looked for. Behind that a longer one is good enough.
const PATIENCE: Duration = Duration::from_secs(3);

/// What changes in a file's content.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The file's path, as it is shown.
    pub path: &'a str,
    /// What it has now; `None` where it is not there.
    pub old: Option<&'a [u8]>,
    /// What it is to have.
    pub new: &'a [u8],
}

impl Change<'_> {
    /// Whether there is one. An empty file that is to be made is one, too.
    pub fn is_one(&self) -> bool {
        self.old != Some(self.new)
    }

    /// A unified difference, or a word where one of the two is no text. Empty where nothing changes.
    pub fn shown(&self) -> String {
        if !self.is_one() {
            return String::new();
        }
        let (from, to) = (self.from(), format!("{} (wanted)", self.path));
        let (Some(old), Some(new)) = (text(self.old.unwrap_or_default()), text(self.new)) else {
            return format!("binary files differ: {from} and {to}\n");
        };
        let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(old, new);
        let shown = diff.unified_diff().header(&from, &to).to_string();
        // A file that is made empty has no hunk.
        if shown.is_empty() { format!("--- {from}\n+++ {to}\n") } else { bounded(shown) }
    }

    fn from(&self) -> String {
        if self.old.is_some() { self.path.to_owned() } else { "/dev/null".to_owned() }
    }
}

/// Bytes that a terminal can show as lines.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// At most so much as a person reads.
fn bounded(shown: String) -> String {
    let mut kept = 0;
    let (mut end, mut all) = (0, 0);
    for line in shown.split_inclusive('\n') {
        all += 1;
        if kept + 1 == all && kept < LINES && end + line.len() <= BYTES {
            kept += 1;
            end += line.len();
        }
    }
    if kept == all {
        return shown;
    }
    format!("{}... and {} more lines of the difference\n", &shown[..end], all - kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: Option<&[u8]>, new: &[u8]) -> String {
        Change { path: "/etc/x", old, new }.shown()
    }

    #[test]
    fn a_change_is_shown_as_diff_shows_it() {
        let text = shown(Some(b"a\nb\nc\n"), b"a\nB\nc\n");
        assert_eq!(text, "--- /etc/x\n+++ /etc/x (wanted)\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert_eq!(shown(Some(b"a\n"), b"a\n"), "");
    }

    #[test]
    fn a_new_file_comes_from_nowhere_an_empty_one_too() {
        assert_eq!(shown(None, b"a\n"), "--- /dev/null\n+++ /etc/x (wanted)\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(shown(None, b""), "--- /dev/null\n+++ /etc/x (wanted)\n");
        assert!(Change { path: "/etc/x", old: None, new: b"" }.is_one());
    }

    #[test]
    fn a_missing_end_of_the_last_line_is_seen() {
        let text = shown(Some(b"a"), b"a\n");
        assert!(text.contains("\\ No newline at end of file"), "{text}");
    }

    #[test]
    fn what_is_no_text_is_not_printed() {
        for (old, new) in [(&b"a\0b"[..], &b"a"[..]), (b"a", b"\xff\xfe")] {
            let text = shown(Some(old), new);
            assert_eq!(text, "binary files differ: /etc/x and /etc/x (wanted)\n");
        }
    }

    #[test]
    fn a_long_difference_is_cut_and_says_so() {
        let new: String = (0..5_000).map(|line| format!("{line}\n")).collect();
        let text = shown(None, new.as_bytes());
        assert_eq!(text.lines().count(), LINES + 1);
        assert!(
            text.ends_with("... and 3003 more lines of the difference\n"),
            "{}",
            &text[text.len() - 80..]
        );
        let one = "x".repeat(BYTES + 1);
        assert!(shown(None, one.as_bytes()).len() < 1_000, "one long line, too");
    }
}
