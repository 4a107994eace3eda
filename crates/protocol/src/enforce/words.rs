//! What an enforcing agent says to people.

use careen_host::enforcement::{Drift, EnforceMemory};
use std::collections::BTreeSet;

/// So many paths are named.
const MOST: usize = 3;

/// A list of paths that stays short.
pub(super) fn list(paths: &BTreeSet<String>) -> String {
    let named: Vec<&str> = paths.iter().take(MOST).map(String::as_str).collect();
    match paths.len().saturating_sub(MOST) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Why it is mended.
pub(super) fn drift(drift: &Drift) -> String {
    match drift {
        Drift::Paths(paths) => format!("changed: {}", list(paths)),
        Drift::Output(_) => "'check' found drift".to_owned(),
    }
}

/// Why it is not mended any more, and what somebody does about it.
pub(super) fn gave_up(memory: &EnforceMemory, drift: &Drift) -> String {
    let what = match drift {
        Drift::Paths(paths) => format!("{} changed again", list(paths)),
        Drift::Output(_) => "the same drift came back".to_owned(),
    };
    let last = memory.last.as_ref().map_or(String::new(), |last| {
        format!(" ('careen-agent logs {}' on the host shows the last)", last.transaction)
    });
    format!(
        "{what} after it was mended twice within an hour, so it is left as it is: find out what changes it{last}. Mending goes on \
         when the host is found in sync, with a new version, or with another CAREEN_RUN"
    )
}

/// Why a new pass waits although nothing failed.
pub(super) const STILL_DRIFTS: &str = "'install' ended with 0, and 'check' still finds drift";

pub(super) fn note_on_check(paths: &BTreeSet<String>) -> String {
    format!("'check' changes {}: what changes during a check is not looked at", list(paths))
}

pub(super) const CROWDED: &str =
    "owned paths change all the time: they are looked at ten times a minute at most";
