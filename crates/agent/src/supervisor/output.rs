//! Writes the command's output: its raw bytes to `output.log`, where they came from to `output.idx`.
//!
//! Of more than the limit, the first half of it is kept in `output.log` and the last half in `output.tail`, a ring:
//! byte `offset` lies there at `(offset - head) % tail`. The index tells of everything, kept or not.
//! What cannot be kept (a full disk) is counted and reported with the result; it never stops the command.

use super::sync::Syncer;
use crate::files::{File, OpenOptions};
use crate::layout::{TransactionDir, file};
use careen_host::output::{Extent, IndexReader, MAGIC, RECORD_BYTES, Record, Room, Stream};
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How much of the log a power cut may take: what was written since the last sync.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// The files of a command's output.
#[derive(Debug)]
pub struct OutputLog {
    head: File,
    tail: File,
    index: File,
    syncer: Syncer,
    room: Room,
    offset: u64,
    index_bytes: u64,
    lost_bytes: u64,
    last_error: Option<String>,
    unsynced_since: Option<Instant>,
}

impl OutputLog {
    /// Opens the files in a transaction's directory: new ones, or those of an earlier attempt, to go on behind what its
    /// index tells of.
    pub fn open(directory: &TransactionDir, limit: u64) -> io::Result<Self> {
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            options.custom_flags(nix::libc::O_NOFOLLOW).open(directory.file(name))
        };
        let (head, tail, index) = (open(file::OUTPUT)?, open(file::TAIL)?, open(file::INDEX)?);
        let (offset, index_bytes) = recover(&index)?;
        crate::files::sync_directory(directory.path())?;
        // The bytes first: what the index tells of should be there.
        let syncer = Syncer::start(&[&head, &tail, &index])?;
        Ok(Self {
            head,
            tail,
            index,
            syncer,
            room: Room::of_limit(limit),
            offset,
            index_bytes,
            lost_bytes: 0,
            last_error: None,
            unsynced_since: None,
        })
    }

    /// Appends what was read from a stream.
    pub fn append(&mut self, stream: Stream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let extent = self.room.place(self.offset, bytes.len());
            let (piece, rest) = bytes.split_at(extent.length());
            if let Err(error) = self.try_append(stream, extent, piece) {
                self.lost_bytes += piece.len() as u64;
                self.last_error = Some(error.to_string());
                // Half a record would shift everything behind it.
                let _ = self.index.set_len(self.index_bytes);
            }
            bytes = rest;
        }
    }

    fn try_append(&mut self, stream: Stream, extent: Extent, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let time_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let time_ns = u64::try_from(time_ns).unwrap_or(u64::MAX);
        let record = Record { offset: self.offset, length, stream, time_ns }.encode();
        match extent {
            Extent::Head { at, .. } => self.head.write_all_at(bytes, at)?,
            Extent::Tail { at, .. } => self.tail.write_all_at(bytes, at)?,
        }
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

    /// Has the files synced when it is time. With a disk that is slower than that, as often as it can.
    pub fn sync_if_due(&mut self) {
        if self.sync_due().is_some_and(|due| due <= Instant::now()) {
            self.unsynced_since = (!self.syncer.ask()).then(Instant::now);
        }
    }

    /// Syncs all that was written, and waits for that. Nothing is appended after it.
    pub fn finish(&mut self) {
        if self.unsynced_since.is_some() {
            self.syncer.ask();
        }
        if let Err(error) = self.syncer.finish() {
            self.last_error = Some(error.to_string());
        }
        self.unsynced_since = None;
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

/// Where to go on in an index: behind its last complete record. A new one gets its header.
fn recover(index: &File) -> io::Result<(u64, u64)> {
    let mut reader = IndexReader::default();
    let length = read_through(index, &mut reader)?;
    let Some(records) = length.checked_sub(MAGIC.len() as u64) else {
        index.set_len(0)?;
        index.write_all_at(&MAGIC, 0)?;
        return Ok((0, MAGIC.len() as u64));
    };
    let complete = length - records % RECORD_BYTES as u64;
    index.set_len(complete)?;
    Ok((reader.next_offset(), complete))
}

/// How many bytes the command of a transaction wrote: all that the index tells of. A damaged index tells of less; its
/// damage is reported to whoever reads the log.
pub fn bytes_written(directory: &TransactionDir) -> u64 {
    let mut reader = IndexReader::default();
    let _ = File::open(directory.file(file::INDEX)).and_then(|index| read_through(&index, &mut reader));
    reader.next_offset()
}

/// Reads an index piece by piece: that of a command that writes a little, often and for long is larger than a
/// supervisor's memory should be. Returns its length.
fn read_through(index: &File, reader: &mut IndexReader) -> io::Result<u64> {
    let mut piece = vec![0; 64 * 1024];
    let mut length = 0;
    loop {
        match index.read_at(&mut piece, length)? {
            0 => return Ok(length),
            read => {
                reader.push(&piece[..read]).map_err(io::Error::other)?;
                length += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(directory: &TransactionDir) -> Vec<(u64, u32, Stream)> {
        let read = IndexReader::default().push(&std::fs::read(directory.file(file::INDEX)).unwrap()).unwrap();
        read.iter().map(|record| (record.offset, record.length, record.stream)).collect()
    }

    #[test]
    fn both_streams_are_kept_in_the_order_of_reading() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        let mut log = OutputLog::open(&directory, 1 << 20).unwrap();
        log.append(Stream::Stdout, b"out\n");
        log.append(Stream::Stderr, b"\xff\xfeerr");
        log.append(Stream::Stdout, b"more");
        log.finish();
        assert_eq!(std::fs::read(directory.file(file::OUTPUT)).unwrap(), b"out\n\xff\xfeerrmore");
        assert_eq!(
            records(&directory),
            [(0, 4, Stream::Stdout), (4, 5, Stream::Stderr), (9, 4, Stream::Stdout)]
        );
        assert!(log.notes().is_empty());
    }

    #[test]
    fn the_next_attempt_goes_on_behind_a_torn_index() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        OutputLog::open(&directory, 1 << 20).unwrap().append(Stream::Stdout, b"first");
        let mut index = std::fs::read(directory.file(file::INDEX)).unwrap();
        index.extend_from_slice(b"torn");
        std::fs::write(directory.file(file::INDEX), index).unwrap();
        OutputLog::open(&directory, 1 << 20).unwrap().append(Stream::Stderr, b"second");
        assert_eq!(std::fs::read(directory.file(file::OUTPUT)).unwrap(), b"firstsecond");
        assert_eq!(records(&directory), [(0, 5, Stream::Stdout), (5, 6, Stream::Stderr)]);
    }

    #[test]
    fn an_index_of_many_pieces_is_read_to_its_end() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        let mut log = OutputLog::open(&directory, 1 << 20).unwrap();
        (0..10_000).for_each(|_| log.append(Stream::Stdout, b"xyz"));
        assert_eq!(bytes_written(&directory), 30_000);
        OutputLog::open(&directory, 1 << 20).unwrap().append(Stream::Stdout, b"more");
        assert_eq!(bytes_written(&directory), 30_004);

        let mut index = std::fs::read(directory.file(file::INDEX)).unwrap();
        index[MAGIC.len() + 9_000 * RECORD_BYTES] ^= 1;
        std::fs::write(directory.file(file::INDEX), index).unwrap();
        assert_eq!(bytes_written(&directory), 27_000, "up to the damage");
        assert!(OutputLog::open(&directory, 1 << 20).is_err(), "nothing is written behind damage");
        assert_eq!(bytes_written(&TransactionDir::at("/nowhere".into())), 0);
    }

    #[test]
    fn of_too_much_output_both_ends_are_kept() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        let mut log = OutputLog::open(&directory, 8).unwrap();
        log.append(Stream::Stdout, b"abcdefghijklmnop");
        assert_eq!(std::fs::read(directory.file(file::OUTPUT)).unwrap(), b"abcd");
        assert_eq!(std::fs::read(directory.file(file::TAIL)).unwrap(), b"mnop");
        let mut log = OutputLog::open(&directory, 8).unwrap();
        log.append(Stream::Stdout, b"qr");
        assert_eq!(std::fs::read(directory.file(file::TAIL)).unwrap(), b"qrop", "a ring");
        assert_eq!(records(&directory).last(), Some(&(16, 2, Stream::Stdout)));
    }
}
