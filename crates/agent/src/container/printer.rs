//! Printing a transaction's output, while it grows and afterwards.

use crate::files::{Descriptor, File};
use crate::layout::{TransactionDir, file};
use crate::say::{pass_on, say};
use careen_contract::report::Printed;
use careen_host::last_line::LastLine;
use careen_host::output::{Extent, IndexReader, MAGIC, RECORD_BYTES, Record, Room, Stream};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

/// Lines that this process has written to standard output, a last one without its newline among them.
static LINES: Mutex<Lines> = Mutex::new(Lines { ended: 0, open: false });

struct Lines {
    ended: u64,
    open: bool,
}

/// How many lines this process has written to standard output: so many a reader of its log will find there.
pub fn lines_written() -> u64 {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.ended + u64::from(lines.open)
}

fn count(bytes: &[u8]) {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.ended += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    lines.open = bytes.last().map_or(lines.open, |last| *last != b'\n');
}

/// Copies a growing output log to this process's own streams.
#[derive(Debug)]
pub struct Printer {
    directory: TransactionDir,
    files: Option<Files>,
    room: Room,
    index: IndexReader,
    from: u64,
    left_out: u64,
    listener_gone: bool,
    last: LastLine,
    /// Where the output begins that nobody can have printed before; said there, once.
    new_from: Option<u64>,
}

#[derive(Debug)]
struct Files {
    head: File,
    tail: File,
    index: File,
}

impl Printer {
    /// Prints from this offset on; `limit` is the one under which the output was written.
    pub fn new(directory: TransactionDir, limit: u64, from: u64) -> Self {
        let room = Room::of_limit(limit);
        Self {
            directory,
            files: None,
            room,
            index: IndexReader::default(),
            from,
            left_out: 0,
            listener_gone: false,
            last: LastLine::default(),
            new_from: None,
        }
    }

    /// Says it when it comes to this offset that what follows is new.
    pub fn tell_when_new(&mut self, offset: u64) {
        self.new_from = Some(offset);
    }

    /// How far it has printed.
    pub fn offset(&self) -> u64 {
        self.from.max(self.index.next_offset())
    }

    /// What the command printed last, also where an agent before this one has printed it.
    pub fn printed(&self) -> Option<Printed> {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.last.printed(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Prints what has come since the last call.
    pub fn print(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if self.files.is_none() {
                self.files = self.open()?;
            }
            let Some(files) = &mut self.files else { return Ok(()) };
            let read = files.index.read(&mut buffer)?;
            if read == 0 {
                self.say_what_was_left_out();
                return Ok(());
            }
            for record in self.index.push(&buffer[..read]).map_err(io::Error::other)? {
                self.print_record(&record)?;
            }
        }
    }

    fn print_record(&mut self, record: &Record) -> io::Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        let mut bytes = vec![0; record.length as usize];
        let (there, lost) = match self.room.place(record.offset, bytes.len()) {
            Extent::Head { at, .. } => (read_what_is_there(&files.head, &mut bytes, at)?, 0),
            Extent::Tail { at, .. } => {
                let there = read_what_is_there(&files.tail, &mut bytes, at)?;
                // The ring may have gone over these bytes, even while they were read: so that is asked afterwards.
                (there, self.room.overwritten(record, written(&files.index)?))
            }
        };
        bytes.truncate(there);
        let whole = usize::try_from(lost).ok().and_then(|lost| bytes.get(lost..)).unwrap_or_default();
        self.last.push(record, whole);
        let new = what_is_new(record, self.from, there, lost);
        self.left_out += new.left_out;
        let kept = bytes.get(new.skip..).unwrap_or_default();
        if !kept.is_empty() {
            self.say_what_was_left_out();
            if !self.listener_gone {
                self.listener_gone = write(record.stream, kept).is_err();
            }
        }
        if new.missing > 0 {
            say(format_args!(
                "... {} bytes of output did not reach the disk before the host lost power ...",
                new.missing
            ));
        }
        if self.new_from.take_if(|from| *from <= record.end()).is_some() {
            say("what follows was printed since this agent came");
        }
        Ok(())
    }

    fn say_what_was_left_out(&mut self) {
        if self.left_out > 0 {
            say(format_args!(
                "... {} bytes of output were not kept (CAREEN_OUTPUT_LIMIT) ...",
                self.left_out
            ));
            self.left_out = 0;
        }
    }

    /// Opens the files once all are there: the supervisor creates them just before it starts the command.
    fn open(&self) -> io::Result<Option<Files>> {
        let open = |name: &str| match File::open(self.directory.file(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let (head, tail, index) = (open(file::OUTPUT)?, open(file::TAIL)?, open(file::INDEX)?);
        let all = head.zip(tail).zip(index);
        Ok(all.map(|((head, tail), index)| Files { head, tail, index }))
    }
}

/// What of one record is to be printed, and what is to be said of it, when everything before an offset was told already.
#[derive(Debug, PartialEq, Eq)]
struct New {
    /// So many bytes of it are not printed.
    skip: usize,
    /// So many bytes that were not told were written over.
    left_out: u64,
    /// So many bytes that were not told never reached the disk.
    missing: u64,
}

/// `there` bytes of the record were read, and its first `lost` bytes had been written over.
fn what_is_new(record: &Record, from: u64, there: usize, lost: u64) -> New {
    let told = from.saturating_sub(record.offset).min(u64::from(record.length));
    let known = told.max(there as u64).min(u64::from(record.length));
    New {
        skip: usize::try_from(told.max(lost)).unwrap_or(usize::MAX),
        left_out: lost.saturating_sub(told),
        missing: u64::from(record.length) - known,
    }
}

/// Reads as many of these bytes as the file has. The index is written after them, so all are there; but the host may have
/// lost power when only the index had reached the disk.
fn read_what_is_there(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut there = 0;
    while there < bytes.len() {
        match file.read_at(&mut bytes[there..], at + there as u64) {
            Ok(0) => break,
            Ok(read) => there += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

/// How many bytes the index tells of now: its last complete record says it.
fn written(index: &File) -> io::Result<u64> {
    let complete = (index.metadata()?.len().saturating_sub(MAGIC.len() as u64)) / RECORD_BYTES as u64;
    let Some(last) = complete.checked_sub(1) else { return Ok(0) };
    let mut bytes = [0; RECORD_BYTES];
    index.read_exact_at(&mut bytes, MAGIC.len() as u64 + last * RECORD_BYTES as u64)?;
    Ok(Record::decode(&bytes).map_or(0, |record| record.end()))
}

/// Unbuffered, so that the engine sees both streams in the order of the log.
fn write(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Stdout => {
            count(bytes);
            Descriptor::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(bytes)
        }
        Stream::Stderr => pass_on(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_power_cut_took_from_the_log_is_left_out_and_the_rest_can_be_read() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("output.log");
        std::fs::write(&path, b"01234567").unwrap();
        let log = File::open(&path).unwrap();
        for (at, length, there) in [(0, 8, 8), (3, 5, 5), (3, 9, 5), (8, 1, 0), (20, 4, 0), (0, 0, 0)] {
            let mut bytes = vec![0; length];
            assert_eq!(read_what_is_there(&log, &mut bytes, at).unwrap(), there, "{length} at {at}");
            assert_eq!(bytes[..there], b"01234567"[(at as usize).min(8)..][..there]);
        }
    }

    #[test]
    fn what_was_told_already_is_neither_printed_nor_missed_once_more() {
        let record = Record { offset: 100, length: 50, stream: Stream::Stdout, time_ns: 0 };
        let new = |skip, left_out, missing| New { skip, left_out, missing };
        for (from, there, lost, expected) in [
            (0, 50, 0, new(0, 0, 0)),
            (100, 50, 20, new(20, 20, 0)),
            (110, 50, 20, new(20, 10, 0)),
            (130, 50, 20, new(30, 0, 0)),
            (150, 50, 50, new(50, 0, 0)),
            (900, 10, 0, new(50, 0, 0)),
            (0, 10, 0, new(0, 0, 40)),
            (120, 10, 0, new(20, 0, 30)),
        ] {
            assert_eq!(what_is_new(&record, from, there, lost), expected, "{from} {there} {lost}");
        }
    }

    #[test]
    fn an_index_that_tells_of_more_than_the_log_has_is_no_error() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        let record = Record { offset: 0, length: 5000, stream: Stream::Stderr, time_ns: 0 };
        std::fs::write(directory.file(file::INDEX), [&MAGIC[..], &record.encode()].concat()).unwrap();
        std::fs::write(directory.file(file::OUTPUT), b"").unwrap();
        std::fs::write(directory.file(file::TAIL), b"").unwrap();
        Printer::new(directory, 1 << 20, 0).print().unwrap();
    }
}
