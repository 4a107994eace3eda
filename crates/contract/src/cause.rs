//! Which lines of a command's output tell why it failed. Package managers end with lines that say that something did, behind
//! the one that says what.

/// How many of the last lines are kept, and how many before them that look like a cause.
const LAST: usize = 10;
const CAUSES: usize = 5;

/// What a line has in it that tells a cause, in small letters.
const SIGNS: [&str; 12] = [
    "e: ",
    "error:",
    "error ",
    "fatal",
    "no space left",
    "unknown option",
    "invalid option",
    "permission denied",
    "not permitted",
    "no such file",
    "cannot ",
    "failed to ",
];

/// What says that something failed, and not what.
const CONSEQUENCES: [&str; 5] = [
    "returned an error code",
    "errors were encountered while processing",
    "error processing package",
    "error processing archive",
    "failed with exit code",
];

fn is_cause(line: &str) -> bool {
    let small = line.to_lowercase();
    let begins = small.trim_start().starts_with(SIGNS[0]);
    let has = SIGNS[1..].iter().any(|sign| small.contains(sign));
    (begins || has) && !CONSEQUENCES.iter().any(|words| small.contains(words))
}

/// The lines to keep of a failure: the last ten, and of those before them up to five that look like its cause, the last first to
/// be kept. In their order.
pub fn lines_that_matter<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let (before, last) = lines.split_at(lines.len().saturating_sub(LAST));
    let mut causes: Vec<&str> =
        before.iter().rev().filter(|line| is_cause(line)).take(CAUSES).copied().collect();
    causes.reverse();
    causes.into_iter().chain(last.iter().copied()).collect()
}

/// The line that tells most: the first that looks like a cause, else the last.
pub fn telling(text: &str) -> Option<&str> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.clone().find(|line| is_cause(line)).or_else(|| lines.next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DPKG: &str = "\
Preparing to unpack .../libc6.deb ...
dpkg: error processing archive /var/cache/libc6.deb (--unpack):
 cannot copy extracted data for './lib/libc.so.6' to '/lib/libc.so.6.dpkg-new': failed to write (No space left on device)
dpkg-deb: error: paste subprocess was killed by signal (Broken pipe)
Errors were encountered while processing:
 /var/cache/libc6.deb
E: Sub-process /usr/bin/dpkg returned an error code (1)";

    #[test]
    fn the_cause_is_told_and_not_what_followed_from_it() {
        assert!(telling(DPKG).unwrap().contains("No space left on device"));
        assert_eq!(telling("one\ntwo\n\n"), Some("two"));
        assert_eq!(telling("E: Unable to locate package vim\n"), Some("E: Unable to locate package vim"));
        assert_eq!(
            telling("/install/install: unknown option --fast\nusage: …"),
            Some("/install/install: unknown option --fast")
        );
        assert_eq!(telling(""), None);
    }

    #[test]
    fn a_cause_long_before_the_end_is_kept() {
        let mut lines = vec!["unable: no space left on device", "noise"];
        lines.extend(["step"; 30]);
        let kept = lines_that_matter(&lines);
        assert_eq!((kept.len(), kept[0]), (11, "unable: no space left on device"));
        assert_eq!(lines_that_matter(&["a", "b"]), ["a", "b"]);
    }
}
