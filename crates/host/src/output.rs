//! `output.idx`: which bytes of `output.log` came from which stream, and when.
//!
//! `output.log` holds the command's raw bytes, both streams in the order in which the supervisor read them. The index
//! has a magic header and one record of fixed size per read, so that a record torn by a power cut is seen by its
//! length, and a reader can follow it without parsing text.

/// The first bytes of an index: name and version of the format.
pub const MAGIC: [u8; 8] = *b"careenI1";

/// The size of one record in bytes.
pub const RECORD_BYTES: usize = 24;

/// A stream of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Stream {
    /// Standard output; also everything that a terminal shows.
    Stdout,
    Stderr,
}

/// One piece of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Record {
    /// Where it begins, counted from the first byte that the command ever wrote.
    pub offset: u64,
    pub length: u32,
    pub stream: Stream,
    /// When it was read: nanoseconds since 1970 by the host's clock.
    pub time_ns: u64,
}

/// How much of an output is kept: its head, and its tail in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    head: u64,
    tail: u64,
}

/// Where a piece of output lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Extent {
    /// In the head's file.
    Head {
        /// At this byte of it.
        at: u64,
        length: usize,
    },
    /// In the ring.
    Tail {
        /// At this byte of it.
        at: u64,
        length: usize,
    },
}

impl Extent {
    /// How many bytes.
    pub fn length(&self) -> usize {
        match self {
            Self::Head { length, .. } | Self::Tail { length, .. } => *length,
        }
    }
}

impl Room {
    /// Half of the limit for the head, half for the tail.
    pub fn of_limit(limit: u64) -> Self {
        let tail = (limit / 2).max(1);
        Self { head: limit.saturating_sub(tail), tail }
    }

    /// Where the bytes from this offset on lie: as many of `length` as lie in one piece.
    pub fn place(&self, offset: u64, length: usize) -> Extent {
        let up_to = |room: u64| length.min(usize::try_from(room).unwrap_or(usize::MAX));
        match self.head.checked_sub(offset) {
            Some(room) if room > 0 => Extent::Head { at: offset, length: up_to(room) },
            Some(_) | None => {
                let at = (offset - self.head) % self.tail;
                Extent::Tail { at, length: up_to(self.tail - at) }
            }
        }
    }

    /// The part of a record that was overwritten when this many bytes had been written in all: its first so many bytes.
    pub fn overwritten(&self, record: &Record, written: u64) -> u64 {
        let kept_from = written.saturating_sub(self.tail).max(self.head);
        if record.offset < self.head {
            0
        } else {
            kept_from.saturating_sub(record.offset).min(record.length.into())
        }
    }
}

/// Why an index cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The header is not this format's.
    #[error("does not begin as an index of this version")]
    Magic,
    /// A record that nothing of ours writes.
    #[error("record {number} is corrupt")]
    Corrupt {
        /// Counted from 0.
        number: u64,
    },
}

impl Record {
    /// The record's bytes, little-endian.
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20] = match self.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        bytes
    }

    /// A record out of its bytes; `None` when they are none.
    pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let number = |from: usize| {
            bytes[from..from + 8].iter().rev().fold(0u64, |value, byte| (value << 8) | u64::from(*byte))
        };
        let length = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        let stream = match bytes[20..24] {
            [1, 0, 0, 0] => Stream::Stdout,
            [2, 0, 0, 0] => Stream::Stderr,
            _ => return None,
        };
        Some(Self { offset: number(0), length, stream, time_ns: number(8) })
    }

    /// The offset behind the record's last byte.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }
}

/// Decodes an index that grows, piece by piece, and checks that its offsets are without gaps.
#[derive(Debug, Default)]
pub struct IndexReader {
    pending: Vec<u8>,
    header_seen: bool,
    records: u64,
    next_offset: u64,
}

impl IndexReader {
    /// Takes the next bytes of the file and returns the records that are complete now. Bytes of an incomplete record
    /// are kept for the next call.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Record>, IndexError> {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        if !self.header_seen {
            match self.pending.get(..MAGIC.len()) {
                Some(header) if header == MAGIC => at = MAGIC.len(),
                Some(_) => return Err(IndexError::Magic),
                None => return Ok(Vec::new()),
            }
            self.header_seen = true;
        }
        let (complete, _) = self.pending[at..].as_chunks::<RECORD_BYTES>();
        let mut records = Vec::with_capacity(complete.len());
        for bytes in complete {
            let corrupt = IndexError::Corrupt { number: self.records };
            let record =
                Record::decode(bytes).filter(|record| record.offset == self.next_offset).ok_or(corrupt)?;
            self.next_offset = record.end();
            self.records += 1;
            records.push(record);
        }
        self.pending.drain(..at + records.len() * RECORD_BYTES);
        Ok(records)
    }

    /// The offset behind the last byte that the index has told of.
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> (Vec<u8>, [Record; 2]) {
        let first = Record { offset: 0, length: 5, stream: Stream::Stdout, time_ns: u64::MAX - 1 };
        let second = Record { offset: 5, length: 70_000, stream: Stream::Stderr, time_ns: 7 };
        ([&MAGIC[..], &first.encode(), &second.encode()].concat(), [first, second])
    }

    #[test]
    fn records_come_back_whatever_the_pieces() {
        let (bytes, records) = index();
        for size in 1..=bytes.len() {
            let mut reader = IndexReader::default();
            let read: Vec<Record> =
                bytes.chunks(size).flat_map(|piece| reader.push(piece).unwrap()).collect();
            assert_eq!(read, records, "in pieces of {size}");
            assert_eq!(reader.next_offset(), 70_005);
        }
    }

    #[test]
    fn every_byte_has_its_place_and_the_ring_says_what_it_lost() {
        let room = Room::of_limit(10);
        let (mut head, mut tail) = ([0; 5], [0; 5]);
        let mut offset = 0;
        while offset < 23 {
            let extent = room.place(offset, 23 - offset as usize);
            for byte in 0..extent.length() {
                match extent {
                    Extent::Head { at, .. } => head[at as usize + byte] = offset as usize + byte,
                    Extent::Tail { at, .. } => tail[at as usize + byte] = offset as usize + byte,
                }
            }
            offset += extent.length() as u64;
        }
        assert_eq!((head, tail), ([0, 1, 2, 3, 4], [20, 21, 22, 18, 19]));
        let record = |offset| Record { offset, length: 4, stream: Stream::Stdout, time_ns: 0 };
        assert_eq!(room.overwritten(&record(0), 23), 0, "the head stays");
        assert_eq!(room.overwritten(&record(5), 23), 4);
        assert_eq!(room.overwritten(&record(16), 23), 2);
        assert_eq!(room.overwritten(&record(19), 23), 0);
        assert_eq!(room.overwritten(&record(5), 9), 0, "nothing is lost before the ring is full");
    }

    #[test]
    fn a_torn_last_record_is_not_a_record_and_not_an_error() {
        let (bytes, records) = index();
        let read = IndexReader::default().push(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(read, records[..1]);
    }

    #[test]
    fn a_foreign_header_a_gap_and_garbage_are_errors() {
        assert_eq!(IndexReader::default().push(b"careenI9....."), Err(IndexError::Magic));
        let (bytes, records) = index();
        let gap = [&MAGIC[..], &records[1].encode()].concat();
        assert_eq!(IndexReader::default().push(&gap), Err(IndexError::Corrupt { number: 0 }));
        let mut garbage = bytes;
        garbage[MAGIC.len() + RECORD_BYTES + 20] = 9;
        assert_eq!(IndexReader::default().push(&garbage), Err(IndexError::Corrupt { number: 1 }));
    }
}
