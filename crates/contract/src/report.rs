//! What an agent tells a rollout's controller about its host, as single lines in its log.
//!
//! Such a line is lost when an engine stops, or comes late: whoever reads must count on that. An agent says what it has
//! to say again, and the next agent on the host says it anew. The authority is the host's journal.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a line of a report begins with.
pub const MARK: &str = "careen-report ";

/// The longest line. The json-file log driver cuts lines into pieces of 16 KiB.
pub(crate) const LONGEST: usize = 15 * 1024;

/// What an agent says of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Said {
    /// Another transaction has the host.
    Busy {
        transaction: String,
    },
    /// What careen keeps on the host came with a copy of another machine's disk. Nothing is begun until somebody says there
    /// which machine it is.
    Copied {
        /// From which, in words.
        from: String,
    },
    /// `prepare` runs, or `check` before it.
    Preparing,
    /// `prepare` is done; the agent waits for the go.
    Prepared {
        /// Whether the command is going to need a restart of the engine or a reboot.
        restart: Expectation,
        /// What the go for the command is.
        draw: Draw,
    },
    Running {
        attempt: u32,
    },
    /// The command is done and a restart is wanted; the agent waits for the go.
    WantsRestart {
        kind: Restart,
        /// What the go for it is.
        draw: Draw,
    },
    /// The engine is restarted, or the host rebooted.
    Restarting {
        kind: Restart,
    },
    /// Everything is done but `verify`.
    Verifying,
    /// No go can reach this agent any more: something else than a go happened to its gates. Another agent can take its place;
    /// this one begins nothing.
    Cancelled {
        /// What happened, in words.
        why: String,
    },
    /// This agent was told to leave before the command began, and the host's journal says that its go is void.
    Revoked,
    /// The host knows this try, and nothing of it was begun: the go of every agent before this one is void.
    NotBegun,
    /// The host knows nothing of this try, although an agent had announced it there: it lost its state, or is another host.
    Forgotten,
    /// The transaction is closed.
    Finished {
        outcome: NodeOutcome,
        /// What else there is to say, for people: what changed. Kept with the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<String>,
    },
}

/// What the go is, for one agent: of its gates just these two taken away by the swarm, and everything else as it was. Drawn
/// at random after everything was in place, so that nothing that happens by accident is likely to say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// What it is the go for: 0 is the command, N the N-th restart that this try has asked for.
    pub number: u32,
    /// The numbers of the two gates, the smaller one first.
    pub gates: [u8; 2],
}

/// What `prepare` expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Expectation {
    /// A restart will be needed.
    Yes,
    No,
    /// It cannot say.
    Unknown,
}

/// What is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Restart {
    Engine,
    Reboot,
}

/// How a transaction ended on its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum NodeOutcome {
    /// Well, `verify` included.
    Succeeded,
    /// The payload's `check` says that the host is as it should be: nothing else was run.
    InSync,
    /// A command of the payload failed.
    Failed {
        /// Which: the look at the host before anything is done, `check`, `prepare`, the command itself, `verify`.
        phase: HostPhase,
        /// What the agent exits with.
        exit: i32,
        /// Whether the payload's `rollback` was run, and did its work.
        rolled_back: Option<bool>,
    },
}

/// A command of the payload, or what comes before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostPhase {
    /// Before anything: the host is not fit, or refuses the agent. The report's record says why.
    Preflight,
    /// Before anything else of the payload: whether the host is in sync.
    Check,
    /// Before the go.
    Prepare,
    /// The command that the rollout is about.
    Command,
    /// After the last restart.
    Verify,
}

/// A line of a report: what an agent says, and what the host waits for meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Report {
    #[serde(flatten)]
    pub said: Said,
    /// Why the supervisor waits, in words for people. Nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// What the host's command printed last, for people. Nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printed: Option<Printed>,
}

/// The last line that a command printed. A command that hangs may ask for something there, without a newline behind it: a log
/// driver waits for that newline, the host's own record does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// The line, as it was printed.
    pub line: String,
    /// How many seconds before the report, by the host's own clock.
    pub seconds: u64,
}

impl From<Said> for Report {
    fn from(said: Said) -> Self {
        Self { said, waits: None, printed: None }
    }
}

impl Report {
    /// As a line of a log, without its newline.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|json| format!("{MARK}{json}"))
    }

    /// What a line of a log says; `None` for a line of another kind, or one that is not whole.
    pub fn of_line(line: &str) -> Option<Self> {
        let json = line.trim_end().strip_prefix(MARK).filter(|json| json.len() <= LONGEST)?;
        serde_json::from_str(json).ok()
    }
}

/// Where a stream stands to which a payload and its agent write by turns: no line of the payload's may be taken for a
/// report, and no report may be glued to a line that the payload has not ended.
#[derive(Debug, Default)]
pub struct Shared {
    /// How many bytes of [`MARK`] the current line is, so far; `None` for a line that is something else already.
    matched: Option<usize>,
    begun: bool,
}

/// What stands instead of the prefix's space in a payload's line that looks like a report.
const INSTEAD: u8 = b':';

impl Shared {
    /// The payload's bytes as they may be written. Only a line that looks like a report is changed, by one byte.
    pub fn payload<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut bytes = Cow::Borrowed(bytes);
        for at in 0..bytes.len() {
            let byte = bytes[at];
            if byte == b'\n' {
                *self = Self::default();
                continue;
            }
            let matched = if self.begun { self.matched } else { Some(0) };
            self.begun = true;
            self.matched = matched.filter(|n| MARK.as_bytes().get(*n) == Some(&byte)).map(|n| n + 1);
            if self.matched == Some(MARK.len()) {
                bytes.to_mut()[at] = INSTEAD;
                self.matched = None;
            }
        }
        bytes
    }

    /// What has to be written before a line of the agent's own, which then ends its line itself.
    pub fn before_own_line(&mut self) -> &'static str {
        if std::mem::take(self).begun { "\n" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payloads_line_is_no_report_however_its_bytes_come() {
        let text =
            "a\ncareen-report {\"phase\":\"verifying\"}\n careen-report x\ncareen-repor\ncareen-report";
        let changed = text.replacen("careen-report {", "careen-report:{", 1);
        for size in 1..text.len() {
            let mut stream = Shared::default();
            let written: Vec<u8> =
                text.as_bytes().chunks(size).flat_map(|piece| stream.payload(piece).into_owned()).collect();
            assert_eq!(String::from_utf8(written).unwrap(), changed, "in pieces of {size}");
            assert_eq!(stream.before_own_line(), "\n", "the last line is not ended");
            assert_eq!(stream.before_own_line(), "");
        }
        assert!(changed.lines().all(|line| Report::of_line(line).is_none()));
    }

    #[test]
    fn a_report_is_read_as_it_was_said() {
        let failed = NodeOutcome::Failed { phase: HostPhase::Verify, exit: 3, rolled_back: Some(true) };
        for said in [
            Said::Busy { transaction: "t1".into() },
            Said::Prepared { restart: Expectation::Unknown, draw: Draw { number: 0, gates: [2, 5] } },
            Said::WantsRestart { kind: Restart::Reboot, draw: Draw { number: 1, gates: [1, 3] } },
            Said::Cancelled { why: "a gate ended".into() },
            Said::Finished { outcome: NodeOutcome::InSync, record: None },
            Said::Finished { outcome: failed, record: Some("kernel: 1 → 2\n\u{1b}".into()) },
        ] {
            for waits in [None, Some("n2 is restarting its engine".to_owned())] {
                let printed = waits.as_ref().map(|_| Printed { line: "Setting up foo ".into(), seconds: 70 });
                let report = Report { said: said.clone(), waits, printed };
                let line = report.line().unwrap();
                assert_eq!(Report::of_line(&line).as_ref(), Some(&report));
                assert_eq!(Report::of_line(&format!("{line}\r\n")), Some(report));
            }
        }
    }

    #[test]
    fn a_torn_or_foreign_line_says_nothing() {
        let line = Report::from(Said::Preparing).line().unwrap();
        for foreign in ["", "careen: note", &line[..line.len() - 1], &line[1..], &format!("{MARK}{{}}")] {
            assert_eq!(Report::of_line(foreign), None, "{foreign}");
        }
    }
}
