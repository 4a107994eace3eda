//! The last lines of a transaction's output, to go with a result that failed.

use crate::files::{self, File};
use crate::layout::{TransactionDir, file};
use careen_model::output::{Extent, IndexReader, Record, Room};
use std::io;

/// How many lines.
const LINES: usize = 5;

/// How many of the last bytes they are looked for in.
const BYTES: usize = 4096;

/// The last lines of what a command wrote; none where the output cannot be read: the host has it, and nothing depends
/// on it here. `limit` is the one under which it was written.
pub fn of(directory: &TransactionDir, limit: u64) -> Vec<String> {
    let bytes = last_bytes(directory, limit).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(LINES);
    lines.drain(from..).map(str::to_owned).collect()
}

fn last_bytes(directory: &TransactionDir, limit: u64) -> io::Result<Vec<u8>> {
    let room = Room::of_limit(limit);
    let index = files::read(directory.file(file::INDEX))?;
    let records = IndexReader::default().push(&index).map_err(io::Error::other)?;
    let (head, tail) = (File::open(directory.file(file::OUTPUT))?, File::open(directory.file(file::TAIL))?);
    let mut pieces = Vec::new();
    let mut found = 0;
    for record in records.iter().rev() {
        pieces.push(read(record, &room, &head, &tail)?);
        found += record.length as usize;
        if found >= BYTES {
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
    use careen_model::output::Stream;

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
        assert_eq!(
            of(&directory, 8192),
            ["line 2996", "line 2997", "line 2998", "line 2999", "E: no room left"]
        );
    }
}
