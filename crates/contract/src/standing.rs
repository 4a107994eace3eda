//! What an enforcing agent says of its host, as one line of its log: how the host stands to what is enforced there. It is said
//! when it changes and after each pass that changed the host, so that the last line of a task says it all.

use crate::report::{LONGEST, MARK};
use serde::{Deserialize, Serialize};

/// How the container of an enforcing agent is told what it is.
pub const ENFORCE: &str = "enforce";

/// So much of each text travels, in characters, and so many of each list.
const LONGEST_WORDS: usize = 400;
const MOST: usize = 4;

/// How a host stands to one enforcement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What the enforcement is called.
    pub name: String,
    /// Which version of it.
    pub version: String,
    /// Where the host is.
    pub state: EnforceState,
    /// Why it is there, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether drift is seen at once.
    pub watch: PathWatch,
    /// How often drift was mended since this version came to the host: the corrective passes, without the one that brought it.
    pub mended: u32,
    /// The last pass that changed the host, or tried to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EnforcePass>,
    /// The host's clock when this was said, in seconds since 1970.
    pub at: u64,
    /// What else a person should know: a `check` that changes what it looks at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnforceState {
    /// It has not been looked at yet.
    Looking,
    /// As it should be.
    InSync,
    /// It is being brought to where it should be.
    Mending,
    /// Another transaction has the host; the pass waits for it.
    HostBusy,
    /// The payload could not do it; it is tried again, later each time.
    Failing,
    /// The same drift came back again and again; it is not mended any more, only told.
    GaveUp,
    /// What is missing needs a drain, a reboot or a restart of the engine.
    NeedsRollout,
    /// It cannot be told: `check` fails.
    Unknown,
}

/// Whether changes of owned paths are seen when they are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum PathWatch {
    /// They are.
    Watched,
    /// The payload owns no path: the host is looked at from time to time.
    Nothing,
    /// They cannot be watched, or not all of them: the host is looked at from time to time.
    Interval {
        /// Why, in words.
        why: String,
    },
}

/// One pass that changed the host, or tried to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcePass {
    /// Whether it mended drift; else it brought a new version, or was a host's first.
    pub corrective: bool,
    /// When it began, by the host's clock, in seconds since 1970.
    pub at: u64,
    /// How long it took, in milliseconds, from when the drift was seen.
    pub took_ms: u64,
    /// What `install` ended with.
    pub exit: u8,
    /// Its transaction on the host.
    pub transaction: String,
    /// Which of the owned paths had changed, where they are watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The last lines that it printed, where it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// A line's shape.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
enum Word {
    Standing(Standing),
}

impl Standing {
    /// As a line of a log, without its newline. What would make it too long is cut.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Word::Standing(self.clone().fitted())).map(|json| format!("{MARK}{json}"))
    }

    /// What a line of a log says; `None` for any other line.
    pub fn of_line(line: &str) -> Option<Self> {
        let json = line.trim_end().strip_prefix(MARK).filter(|json| json.len() <= LONGEST)?;
        serde_json::from_str(json).ok().map(|Word::Standing(standing)| standing)
    }

    fn fitted(mut self) -> Self {
        let cut = |words: &mut String| *words = words.chars().take(LONGEST_WORDS).collect();
        self.why.iter_mut().for_each(cut);
        let cut_list = |list: &mut Vec<String>, longest: usize| {
            list.truncate(MOST);
            list.iter_mut().for_each(|words| *words = words.chars().take(longest).collect());
        };
        cut_list(&mut self.notes, LONGEST_WORDS / MOST);
        if let PathWatch::Interval { why } = &mut self.watch {
            cut(why);
        }
        if let Some(last) = &mut self.last {
            cut_list(&mut last.paths, LONGEST_WORDS / MOST);
            cut_list(&mut last.lines, LONGEST_WORDS / MOST);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Answer;
    use crate::report::Report;

    fn standing(words: &str, many: usize) -> Standing {
        let last = EnforcePass {
            corrective: true,
            at: 1_795_000_000,
            took_ms: 1200,
            exit: 0,
            transaction: "e-sysctl-1".into(),
            paths: vec![words.to_owned(); many],
            lines: vec![words.to_owned(); many],
        };
        Standing {
            name: "sysctl".into(),
            version: "0a1b2c3d".into(),
            state: EnforceState::InSync,
            why: Some(words.to_owned()),
            watch: PathWatch::Interval { why: words.to_owned() },
            mended: 1,
            last: Some(last),
            at: 1_795_000_001,
            notes: vec![words.to_owned(); many],
        }
    }

    #[test]
    fn a_standing_is_read_as_it_was_said_and_is_nothing_else() {
        let said = standing("the file", 2);
        let line = said.line().unwrap();
        assert_eq!(Standing::of_line(&format!("{line}\r\n")), Some(said));
        assert_eq!((Report::of_line(&line), Answer::of_line(&line)), (None, None));
        for other in ["", "careen: x", "careen-report {\"phase\":\"preparing\"}", &line[1..]] {
            assert_eq!(Standing::of_line(other), None, "{other}");
        }
    }

    #[test]
    fn whatever_there_is_to_say_is_one_line_of_the_log() {
        let line = standing(&"\u{1}".repeat(9999), 99).line().unwrap();
        assert!(line.len() < LONGEST + MARK.len(), "{}", line.len());
        assert!(Standing::of_line(&line).is_some());
    }
}
