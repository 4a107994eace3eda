//! `journal.jsonl`: what a supervisor was about to do, and what came of it. Format in docs/journal-format.md.
//!
//! One JSON object a line. A line is synced before the act that it announces. Absent, torn, corrupt and newer are four
//! different things: a missing file is the caller's to see; a last line without its newline was being written when
//! the host lost power, so its act was not begun; anything else that does not parse is corrupt, never 'nothing there'.

use crate::facts::FactsDiff;
use crate::outcome::{CommandEnd, EngineRestart, Outcome, StopReason, TransactionPhase};
use careen_contract::entry::Way;
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// The version that this version writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// A record as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Line {
    /// [`VERSION`] of the writer.
    pub v: u32,
    /// Counted from 1, without gaps.
    pub seq: u64,
    /// When it was written, by the host's clock. Never used to decide.
    pub at: Timestamp,
    #[serde(flatten)]
    pub record: Record,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Record {
    /// A supervisor took the transaction over.
    Supervised {
        /// How it got out of the container.
        entry: Way,
        /// Its process id, in its own pid namespace.
        pid: u32,
        /// The kernel's boot id.
        boot_id: String,
    },
    /// Intent: an agent is about to say that it waits for a rollout's go. After this line the host knows the try.
    Offered {
        /// Which agent of the try. Each one that offers it has a higher number than those before it.
        agent: u32,
    },
    /// Nothing of the command was begun, and the go of every agent that offered it is void.
    Revoked {
        /// By whom, in words.
        by: String,
    },
    /// Intent: a program of the payload is about to be started. After this line its attempt counts as used.
    Starting {
        phase: TransactionPhase,
        /// Counted from 1, for each phase.
        attempt: u32,
        /// Whether the engine was up.
        engine_up: bool,
    },
    /// The program runs.
    Running {
        /// Its process id, in the supervisor's pid namespace.
        pid: u32,
    },
    /// Intent: the program is about to be stopped.
    Stopping { reason: StopReason },
    /// The program ended, or could not be started.
    Ended {
        end: CommandEnd,
        /// Processes of the program's that still ran, as `pid name`.
        left_behind: Vec<String>,
        /// What else a person should know (output that could not be kept): for the result, which another supervisor may write.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// The program lost its supervisor. It may have done all of its work, some, or none.
    Interrupted,
    /// Intent: the engine is about to be started or restarted.
    RestartingEngine { why: EngineRestart },
    /// What came of that.
    EngineSettled { outcome: EngineOutcome },
    /// Intent: the host is about to reboot.
    Rebooting {
        reason: String,
        /// The boot that must end.
        from_boot: String,
    },
    /// The host has rebooted.
    Rebooted {
        /// The new boot's id.
        boot: String,
    },
    /// The transaction is closed: payload, environment and secrets are removed, the result stands.
    Closed { result: TransactionResult },
}

/// What came of starting or restarting the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum EngineOutcome {
    Up,
    /// It was left alone, because it was not safe to restart it.
    Refused {
        reason: String,
    },
    /// It does not come up.
    Down {
        /// Its last words.
        words: String,
    },
}

/// The authoritative result of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionResult {
    /// What came of it.
    pub outcome: Outcome,
    /// What an agent exits with.
    pub exit_code: u8,
    /// How many bytes the command wrote.
    pub output_bytes: u64,
    /// From the command's start to its end, in milliseconds of the monotonic clock; `None` when that is not known.
    pub duration_ms: Option<u64>,
    /// What happened beside it that a person should know (output that could not be kept, processes left behind).
    pub notes: Vec<String>,
    /// What is different on the host; `None` where nobody looked (`check` and `help` change nothing by contract).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<FactsDiff>>,
    /// What the command left at `CAREEN_RESULT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Box<serde_json::Value>>,
}

/// A journal as read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Journal {
    /// Its complete lines.
    pub lines: Vec<Line>,
    /// The length of the complete lines in bytes; what lies behind is a torn line.
    pub complete_bytes: u64,
    /// Whether a torn line lies behind them.
    pub torn: bool,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum JournalError {
    /// Written by a newer careen.
    #[error(
        "line {line} has version {found}, this version reads up to {VERSION}: use the careen that wrote it, or a newer one"
    )]
    Newer {
        /// Counted from 1.
        line: u64,
        found: u32,
    },
    /// A complete line that is not of this format.
    #[error("line {line} is corrupt")]
    Corrupt {
        /// Counted from 1.
        line: u64,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A line is missing or stands twice.
    #[error("line {line} has sequence number {found} instead of {line}")]
    Sequence {
        /// Counted from 1.
        line: u64,
        found: u64,
    },
}

/// Encodes a line with its newline.
pub fn encode(seq: u64, at: Timestamp, record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(&Line { v: VERSION, seq, at, record: record.clone() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a journal from any bytes.
pub fn parse(bytes: &[u8]) -> Result<Journal, JournalError> {
    let mut journal = Journal::default();
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = piece.strip_suffix(b"\n") else {
            journal.torn = true;
            break;
        };
        let number = journal.lines.len() as u64 + 1;
        let line = parse_line(number, line)?;
        if line.seq != number {
            return Err(JournalError::Sequence { line: number, found: line.seq });
        }
        journal.lines.push(line);
        journal.complete_bytes += piece.len() as u64;
    }
    Ok(journal)
}

fn parse_line(number: u64, bytes: &[u8]) -> Result<Line, JournalError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let corrupt = |source| JournalError::Corrupt { line: number, source };
    let version: Version = serde_json::from_slice(bytes).map_err(corrupt)?;
    if version.v > VERSION {
        return Err(JournalError::Newer { line: number, found: version.v });
    }
    if version.v == 0 {
        return Err(corrupt(serde_json::Error::custom("versions begin with 1")));
    }
    serde_json::from_slice(bytes).map_err(corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_lines() -> Vec<u8> {
        let at = Timestamp::UNIX_EPOCH;
        let first = Record::Supervised { entry: Way::Systemd, pid: 7, boot_id: "b".into() };
        [
            encode(1, at, &first).unwrap(),
            encode(
                2,
                at,
                &Record::Starting { phase: TransactionPhase::Command, attempt: 1, engine_up: true },
            )
            .unwrap(),
        ]
        .concat()
    }

    #[test]
    fn lines_are_json_objects_that_a_person_can_read() {
        let text = String::from_utf8(two_lines()).unwrap();
        assert_eq!(
            text.lines().nth(1).unwrap(),
            r#"{"v":1,"seq":2,"at":"1970-01-01T00:00:00Z","event":"starting","phase":"command","attempt":1,"engine_up":true}"#
        );
    }

    #[test]
    fn a_journal_cut_at_any_byte_reads_as_its_complete_lines() {
        let bytes = two_lines();
        for length in 0..=bytes.len() {
            let journal = parse(&bytes[..length]).unwrap();
            let complete = bytes[..length].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(journal.lines.len(), complete);
            assert_eq!(journal.torn, journal.complete_bytes < length as u64);
        }
    }

    #[test]
    fn corrupt_newer_and_out_of_sequence_are_never_read_as_absent() {
        let corrupt = [
            &b"\n"[..],
            b"{}\n",
            b"\xff\xfe\n",
            b"{\"v\":0,\"seq\":1,\"at\":\"1970-01-01T00:00:00Z\",\"event\":\"interrupted\"}\n",
            b"{\"v\":1,\"seq\":1,\"at\":\"x\",\"event\":\"starting\"}\n",
        ];
        for bytes in corrupt {
            assert!(matches!(parse(bytes), Err(JournalError::Corrupt { line: 1, .. })), "{bytes:?}");
        }
        assert!(matches!(parse(b"{\"v\":2}\n"), Err(JournalError::Newer { line: 1, found: 2 })));
        let doubled = [two_lines(), two_lines()].concat();
        assert!(matches!(parse(&doubled), Err(JournalError::Sequence { line: 3, found: 1 })));
        let unknown_event = b"{\"v\":1,\"seq\":1,\"at\":\"1970-01-01T00:00:00Z\",\"event\":\"dancing\"}\n";
        assert!(matches!(parse(unknown_event), Err(JournalError::Corrupt { .. })));
    }
}
