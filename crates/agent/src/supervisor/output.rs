//! Writes the command's output: its raw bytes to `output.log`, where they came from to `output.idx`.
//!
//! What cannot be kept (a full disk) is counted and reported with the result; it never stops the command.

use crate::layout::{TransactionDir, file};
use careen_model::output::{MAGIC, Record, Stream};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How much of the log a power cut may take: what was written since the last sync.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// The two files of a command's output.
#[derive(Debug)]
pub struct OutputLog {
    log: File,
    index: File,
    offset: u64,
    index_bytes: u64,
    lost_bytes: u64,
    last_error: Option<String>,
    unsynced_since: Option<Instant>,
}

impl OutputLog {
    /// Creates both files in a transaction's directory. They must not exist: an attempt writes them once.
    pub fn create(directory: &TransactionDir) -> io::Result<Self> {
        let create = |name: &str| {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.file(name))
        };
        let log = create(file::OUTPUT)?;
        let mut index = create(file::INDEX)?;
        index.write_all(&MAGIC)?;
        Ok(Self {
            log,
            index,
            offset: 0,
            index_bytes: MAGIC.len() as u64,
            lost_bytes: 0,
            last_error: None,
            unsynced_since: None,
        })
    }

    /// Appends what was read from a stream.
    pub fn append(&mut self, stream: Stream, bytes: &[u8]) {
        if let Err(error) = self.try_append(stream, bytes) {
            self.lost_bytes += bytes.len() as u64;
            self.last_error = Some(error.to_string());
            // Half a piece without its record would shift everything behind it.
            let _ = self.log.set_len(self.offset);
            let _ = self.index.set_len(self.index_bytes);
        }
    }

    fn try_append(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let time_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let time_ns = u64::try_from(time_ns).unwrap_or(u64::MAX);
        let record = Record { offset: self.offset, length, stream, time_ns }.encode();
        self.log.write_all_at(bytes, self.offset)?;
        self.index.write_all_at(&record, self.index_bytes)?;
        self.offset += u64::from(length);
        self.index_bytes += record.len() as u64;
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// When the next sync is due.
    pub fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since.map(|since| since + SYNC_INTERVAL)
    }

    /// Syncs both files when it is time.
    pub fn sync_if_due(&mut self) {
        if self.sync_due().is_some_and(|due| due <= Instant::now()) {
            self.sync();
        }
    }

    /// Syncs both files: the bytes first, so that the index never tells of bytes that are not there.
    pub fn sync(&mut self) {
        if let Err(error) = self.log.sync_data().and_then(|()| self.index.sync_data()) {
            self.last_error = Some(error.to_string());
        }
        self.unsynced_since = None;
    }

    /// How many bytes were kept.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// What a person should know about the log.
    pub fn notes(&self) -> Vec<String> {
        match (&self.last_error, self.lost_bytes) {
            (None, _) => Vec::new(),
            (Some(error), 0) => vec![format!("the output could not be synced to disk: {error}")],
            (Some(error), lost) => vec![format!("{lost} bytes of output could not be kept: {error}")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_model::output::IndexReader;

    #[test]
    fn both_streams_are_kept_in_the_order_of_reading() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        let mut log = OutputLog::create(&directory).unwrap();
        log.append(Stream::Stdout, b"out\n");
        log.append(Stream::Stderr, b"\xff\xfeerr");
        log.append(Stream::Stdout, b"more");
        log.sync();
        assert_eq!(std::fs::read(directory.file(file::OUTPUT)).unwrap(), b"out\n\xff\xfeerrmore");
        let records =
            IndexReader::default().push(&std::fs::read(directory.file(file::INDEX)).unwrap()).unwrap();
        let kept: Vec<_> =
            records.iter().map(|record| (record.offset, record.length, record.stream)).collect();
        assert_eq!(kept, [(0, 4, Stream::Stdout), (4, 5, Stream::Stderr), (9, 4, Stream::Stdout)]);
        assert!(log.notes().is_empty());
        assert!(OutputLog::create(&directory).is_err(), "an attempt's output is never written over");
    }
}
