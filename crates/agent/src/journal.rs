//! The journal's file: read by everybody, written by the supervisor alone.

mod fit;

use crate::files::{self, File, OpenOptions};
use crate::layout::file;
use anyhow::{Context, bail};
use careen_host::journal::{self, Journal, Record};
use careen_host::transaction::{IllegalTransition, State, TransactionStage};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Room that is reserved behind what is written already, so that a full disk cannot keep a result from being recorded. All that
/// one supervisor writes has room there, see [`fit`].
const RESERVED_BYTES: u64 = 1024 * 1024;

/// From one try to write what could not be written to the next.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Reads a journal. A file that does not exist is a transaction of which nothing was begun; anything that does not
/// parse is an error, and so is one that knows of no start while there is a trace of one.
pub fn read(path: &Path) -> anyhow::Result<(Journal, State)> {
    // Looked at first: by now the record that comes before the trace is on the disk.
    let trace =
        trace_of_a_start(path).with_context(|| format!("failed to look around {}", path.display()))?;
    let bytes = match files::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    let journal = journal::parse(&bytes).with_context(|| path.display().to_string())?;
    let state = State::replay(&journal).with_context(|| path.display().to_string())?;
    match trace {
        // Whoever revokes it takes the environment away, too.
        Some(ENVIRONMENT_IS_REMOVED) if state.stage == TransactionStage::Revoked => Ok((journal, state)),
        Some(trace) if !state.history.has_begun() => {
            bail!("{}: it was cut off: it tells of no start, but {trace}", path.display())
        }
        _ => Ok((journal, state)),
    }
}

const ENVIRONMENT_IS_REMOVED: &str = "the command's environment is removed already";

/// What lies beside a journal only when a program of its transaction was started, in words.
fn trace_of_a_start(journal: &Path) -> io::Result<Option<&'static str>> {
    let has = |name: &str| files::exists(journal.with_file_name(name));
    Ok(if has(file::INDEX)? {
        Some("the command has an output log")
    } else if has(file::MANIFEST)? && !has(file::ENVIRONMENT)? {
        Some(ENVIRONMENT_IS_REMOVED)
    } else {
        None
    })
}

/// Appends to a journal.
///
/// What is about to be done is [`Writer::append`]ed: synced before the call returns, or not said. What has happened already is
/// [`Writer::note`]d: the state knows it at once, and the file as soon as it can be written.
#[derive(Debug)]
pub struct Writer {
    file: File,
    /// Of the lines that are written and synced, in bytes.
    length: u64,
    seq: u64,
    state: State,
    /// All of the transaction's, those of earlier supervisors and those that are owed included.
    records: Vec<Record>,
    owed: VecDeque<(Timestamp, Record)>,
    why_owed: Option<String>,
    retry_at: Option<Instant>,
}

impl Writer {
    /// Opens a journal for writing: cuts off a torn line, and goes on behind the last complete one. The file's name lasts when
    /// this returns.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let (journal, state) = read(path)?;
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(path).with_context(|| format!("failed to open {}", path.display()))?;
        if journal.torn {
            file.set_len(journal.complete_bytes)?;
        }
        reserve(&file, journal.complete_bytes, state.history.has_begun())
            .with_context(|| format!("failed to reserve room for {}", path.display()))?;
        file.sync_all()?;
        if let Some(directory) = path.parent() {
            files::sync_directory(directory)?;
        }
        Ok(Self {
            file,
            length: journal.complete_bytes,
            seq: journal.lines.len() as u64,
            state,
            records: journal.lines.into_iter().map(|line| line.record).collect(),
            owed: VecDeque::new(),
            why_owed: None,
            retry_at: None,
        })
    }

    /// Where the transaction stands, with what is not written yet.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All that the transaction's supervisors recorded. Nobody has to read it again, from a disk that may fail by then.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Writes a record and syncs it, behind those that are owed. Nothing is written when the record cannot follow the state
    /// ([`IllegalTransition`]), and nothing is said when it cannot be written.
    pub fn append(&mut self, record: &Record) -> anyhow::Result<()> {
        let record = fit::fitted(record);
        let next = self.state.clone().step(&record)?;
        self.settle()?;
        self.write(Timestamp::now(), &record)?;
        self.state = next;
        let is_last = matches!(record, Record::Closed { .. } | Record::Revoked { .. });
        self.records.push(record);
        if is_last {
            // Nothing more comes, or nothing before another supervisor opens it: the file gives back what was reserved behind its end.
            let _ = self.file.set_len(self.length);
        }
        Ok(())
    }

    /// Records what has happened. When it cannot be written it is owed: see [`Writer::owes`], and [`Writer::settle`].
    pub fn note(&mut self, record: &Record) -> Result<(), IllegalTransition> {
        let record = fit::fitted(record);
        self.state = self.state.clone().step(&record)?;
        self.records.push(record.clone());
        self.owed.push_back((Timestamp::now(), record));
        let _ = self.settle(); // why not is kept
        Ok(())
    }

    /// Why records cannot be written that should be.
    pub fn owes(&self) -> Option<&str> {
        self.why_owed.as_deref()
    }

    /// When what is owed should be tried again.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Writes what is owed.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        while let Some((at, record)) = self.owed.front().cloned() {
            if let Err(error) = self.write(at, &record) {
                self.why_owed = Some(format!("{error:#}"));
                self.retry_at = Some(Instant::now() + RETRY_INTERVAL);
                return Err(error);
            }
            self.owed.pop_front();
        }
        (self.why_owed, self.retry_at) = (None, None);
        Ok(())
    }

    /// Writes a line behind what is known to be synced. What an earlier try left there, half a line or one of which nobody knows
    /// whether it reached the disk, is cut off first: behind it, another would read as corrupt.
    fn write(&mut self, at: Timestamp, record: &Record) -> anyhow::Result<()> {
        let line = journal::encode(self.seq + 1, at, record)?;
        let written =
            self.cut_off().and_then(|()| self.file.write_all(&line)).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            let _ = self.cut_off(); // tried again before the next line
            return Err(error).with_context(|| format!("failed to write '{}' to the journal", record.name()));
        }
        self.length += line.len() as u64;
        self.seq += 1;
        #[cfg(feature = "crash-points")]
        self.crash_if_asked();
        Ok(())
    }

    fn cut_off(&self) -> io::Result<()> {
        if self.file.metadata()?.len() == self.length { Ok(()) } else { self.file.set_len(self.length) }
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

/// Reserves room. A file system that cannot is none's fault: a full disk is then seen when a record cannot be written. One that
/// has no room is a reason not to begin; what was begun is recorded as far as it goes.
fn reserve(file: &File, from: u64, has_begun: bool) -> io::Result<()> {
    match file.reserve(from, RESERVED_BYTES) {
        Err(error)
            if !has_begun && matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
        {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_host::outcome::TransactionPhase;
    use std::fs;

    #[test]
    fn a_torn_line_is_cut_off_and_the_journal_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        let starting = Record::Starting { phase: TransactionPhase::Command, attempt: 1, engine_up: true };
        Writer::open(&path).unwrap().append(&starting).unwrap();
        let mut torn = fs::read(&path).unwrap();
        torn.extend_from_slice(b"{\"v\":1,\"seq\":2,");
        fs::write(&path, torn).unwrap();

        let mut writer = Writer::open(&path).unwrap();
        assert_eq!(
            writer.state().stage,
            TransactionStage::Starting { phase: TransactionPhase::Command, attempt: 1 }
        );
        writer.append(&Record::Running { pid: 3 }).unwrap();
        assert_eq!(
            read(&path).unwrap().1.stage,
            TransactionStage::Running { phase: TransactionPhase::Command, attempt: 1 }
        );
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
        let starting = Record::Starting { phase: TransactionPhase::Command, attempt: 1, engine_up: true };
        Writer::open(&journal).unwrap().append(&starting).unwrap();
        fs::write(file("output.idx"), b"").unwrap();
        assert!(read(&journal).is_ok());
    }

    #[test]
    fn what_earlier_supervisors_recorded_is_known_without_another_look() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        let starting = Record::Starting { phase: TransactionPhase::Command, attempt: 1, engine_up: true };
        let end = careen_host::outcome::CommandEnd::NotStarted("EIO".to_owned());
        let ended =
            Record::Ended { end, left_behind: Vec::new(), notes: vec!["9 bytes of output".to_owned()] };
        Writer::open(&path).unwrap().append(&starting).unwrap();
        let mut writer = Writer::open(&path).unwrap();
        writer.note(&ended).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(writer.records(), [starting, ended]);
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
