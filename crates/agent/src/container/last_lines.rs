//! The last lines of a transaction's output, to go with a result that failed.

use crate::files::{self, File};
use crate::layout::{TransactionDir, file};
use careen_contract::cause::lines_that_matter;
use careen_host::output::{Extent, IndexReader, Record, Room};
use std::io;

/// How many of the last bytes they are looked for in.
const BYTES: usize = 32 << 10;

/// How many characters of a line: all of them together travel with a result.
const LONGEST: usize = 130;

/// What matters of what a command wrote: its last lines, and those before them that look like the cause; none where the output
/// cannot be read: the host has it, and nothing depends
/// on it here. `limit` is the one under which it was written.
pub fn of(directory: &TransactionDir, limit: u64) -> Vec<String> {
    let bytes = last_bytes(directory, limit).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines_that_matter(&lines).into_iter().map(|line| line.chars().take(LONGEST).collect()).collect()
}

fn last_bytes(directory: &TransactionDir, limit: u64) -> io::Result<Vec<u8>> {
    let room = Room::of_limit(limit);
    // What is older than the ring is long has been written over.
    let most = BYTES.min(usize::try_from(limit / 2).unwrap_or(BYTES));
    let index = files::read(directory.file(file::INDEX))?;
    let records = IndexReader::default().push(&index).map_err(io::Error::other)?;
    let (head, tail) = (File::open(directory.file(file::OUTPUT))?, File::open(directory.file(file::TAIL))?);
    let mut pieces = Vec::new();
    let mut found = 0;
    for record in records.iter().rev() {
        pieces.push(read(record, &room, &head, &tail)?);
        found += record.length as usize;
        if found >= most {
            break;
        }
    }
    pieces.reverse();
    Ok(pieces.concat())
}

fn read(record: &Record, room: &Room, head: &File, tail: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; record.length as usize];
    match room.place(record.offset, bytes.len()) {
        Extent::Head { at, .. } => head.read_exact_at(&mut bytes, at)?,
        Extent::Tail { at, .. } => tail.read_exact_at(&mut bytes, at)?,
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::output::OutputLog;
    use careen_host::output::Stream;

    #[test]
    fn the_last_lines_of_both_streams_also_where_the_middle_is_lost() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        assert!(of(&directory, 1 << 20).is_empty(), "nothing was written");
        let mut output = OutputLog::open(&directory, 8192).unwrap();
        for number in 0..3000 {
            output.append(Stream::Stdout, format!("line {number}\n").as_bytes());
        }
        output.append(Stream::Stderr, b"E: no room left\r\n\n");
        output.finish();
        let lines = of(&directory, 8192);
        assert_eq!(lines.len(), 10, "{lines:?}");
        assert_eq!((lines[0].as_str(), lines[9].as_str()), ("line 2991", "E: no room left"));
    }
}
