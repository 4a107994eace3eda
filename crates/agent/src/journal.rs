//! The journal's file: read by everybody, written by the supervisor alone.

use crate::layout::file;
use anyhow::{Context, bail};
use careen_model::journal::{self, Journal, Record};
use careen_model::transaction::{Stage, State};
use jiff::Timestamp;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Room that is reserved for the journal, so that a full disk cannot keep a result from being recorded. A transaction
/// writes six lines of a few hundred bytes.
const RESERVED_BYTES: i64 = 64 * 1024;

/// Reads a journal. A file that does not exist is a transaction of which nothing was begun; anything that does not
/// parse is an error, and so is one that knows of no start while there is a trace of one.
pub fn read(path: &Path) -> anyhow::Result<(Journal, State)> {
    // Looked at first: by now the record that comes before the trace is on the disk.
    let trace = trace_of_a_start(path);
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    let journal = journal::parse(&bytes).with_context(|| path.display().to_string())?;
    let state = State::replay(&journal).with_context(|| path.display().to_string())?;
    match trace {
        Some(trace) if !state.history.has_begun() && !matches!(state.stage, Stage::Closed(_)) => {
            bail!("{}: it was cut off: it tells of no start, but {trace}", path.display())
        }
        _ => Ok((journal, state)),
    }
}

/// What lies beside a journal only when a program of its transaction was started, in words.
fn trace_of_a_start(journal: &Path) -> Option<&'static str> {
    let has = |name: &str| journal.with_file_name(name).exists();
    if has(file::INDEX) {
        Some("the command has an output log")
    } else if has(file::MANIFEST) && !has(file::ENVIRONMENT) {
        Some("the command's environment is removed already")
    } else {
        None
    }
}

/// Appends to a journal, each record synced before the call returns.
#[derive(Debug)]
pub struct Writer {
    file: File,
    seq: u64,
    state: State,
}

impl Writer {
    /// Opens a journal for writing: cuts off a torn line, and goes on behind the last complete one.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let (journal, state) = read(path)?;
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(path).with_context(|| format!("failed to open {}", path.display()))?;
        if journal.torn {
            file.set_len(journal.complete_bytes)?;
        }
        // Not every file system can; then a full disk is seen when a record cannot be written.
        let _ = fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, RESERVED_BYTES);
        file.sync_all()?;
        Ok(Self { file, seq: journal.lines.len() as u64, state })
    }

    /// Where the transaction stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Writes a record and syncs it. Nothing is written when the record cannot follow the state.
    pub fn append(&mut self, record: &Record) -> anyhow::Result<()> {
        let next = self.state.clone().step(record)?;
        let line = journal::encode(self.seq + 1, Timestamp::now(), record)?;
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line behind which another would be appended reads as corrupt; without it nothing was said.
            if let Err(undo) = self.file.set_len(before) {
                bail!(
                    "failed to write '{}' to the journal ({error}) and to take it back ({undo})",
                    record.name()
                );
            }
            return Err(error).with_context(|| format!("failed to write '{}' to the journal", record.name()));
        }
        self.seq += 1;
        self.state = next;
        #[cfg(feature = "crash-points")]
        self.crash_if_asked();
        Ok(())
    }

    /// Dies as if the power had gone, right behind the record of the number that the test asks for.
    #[cfg(feature = "crash-points")]
    fn crash_if_asked(&self) {
        let asked = std::env::var("CAREEN_CRASH_AFTER").ok().and_then(|number| number.parse::<u64>().ok());
        if asked == Some(self.seq) {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_model::journal::TransactionResult;
    use careen_model::transaction::{Outcome, Phase};

    #[test]
    fn a_torn_line_is_cut_off_and_the_journal_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        let starting = Record::Starting { phase: Phase::Command, attempt: 1, engine_up: true };
        Writer::open(&path).unwrap().append(&starting).unwrap();
        let mut torn = fs::read(&path).unwrap();
        torn.extend_from_slice(b"{\"v\":1,\"seq\":2,");
        fs::write(&path, torn).unwrap();

        let mut writer = Writer::open(&path).unwrap();
        assert_eq!(writer.state().stage, Stage::Starting { phase: Phase::Command, attempt: 1 });
        writer.append(&Record::Running { pid: 3 }).unwrap();
        assert_eq!(read(&path).unwrap().1.stage, Stage::Running { phase: Phase::Command, attempt: 1 });
    }

    #[test]
    fn a_missing_journal_is_new_and_a_corrupt_one_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        assert_eq!(read(&path).unwrap().1, State::default());
        fs::write(&path, b"\0\0\0\n").unwrap();
        assert!(read(&path).is_err());
        assert!(Writer::open(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"\0\0\0\n", "a corrupt journal is left as it is");
    }

    #[test]
    fn a_journal_that_lost_its_start_is_never_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let journal = file("journal.jsonl");
        for name in ["manifest.json", "environment.json"] {
            fs::write(file(name), b"{}").unwrap();
        }
        assert!(read(&journal).is_ok(), "created, and not begun");
        fs::remove_file(file("environment.json")).unwrap();
        let error = Writer::open(&journal).unwrap_err().to_string();
        assert!(error.contains("cut off: it tells of no start, but the command's environment"), "{error}");
        assert!(!journal.exists(), "nothing is written behind it");

        fs::write(file("environment.json"), b"{}").unwrap();
        fs::write(file("output.idx"), b"").unwrap();
        let error = read(&journal).unwrap_err().to_string();
        assert!(error.contains("but the command has an output log"), "{error}");
        fs::remove_file(file("output.idx")).unwrap();
        let starting = Record::Starting { phase: Phase::Command, attempt: 1, engine_up: true };
        Writer::open(&journal).unwrap().append(&starting).unwrap();
        fs::write(file("output.idx"), b"").unwrap();
        assert!(read(&journal).is_ok());
    }

    #[test]
    fn a_refusal_is_no_journal_that_was_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        fs::write(directory.path().join("manifest.json"), b"{}").unwrap();
        fs::write(directory.path().join("environment.json"), b"{}").unwrap();
        let outcome = Outcome::Refused { reason: "quorum at risk".into() };
        let result = TransactionResult {
            exit_code: outcome.exit_code(),
            outcome,
            output_bytes: 0,
            duration_ms: None,
            notes: Vec::new(),
            changes: None,
        };
        Writer::open(&path).unwrap().append(&Record::Closed { result }).unwrap();
        fs::remove_file(directory.path().join("environment.json")).unwrap();
        assert!(matches!(read(&path).unwrap().1.stage, Stage::Closed(_)));
    }

    #[test]
    fn a_record_out_of_turn_is_refused_and_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        assert!(writer.append(&Record::Running { pid: 3 }).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}
