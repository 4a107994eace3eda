//! The frames in which the engine sends both streams of a container without a terminal: stream, length, bytes.

use std::io::{self, Read};

/// The frames of standard output.
pub const STDOUT: u8 = 1;

/// The frames of standard error.
pub const STDERR: u8 = 2;

/// The next frame's stream, and how many bytes of it follow. `None` at the end, and where the head itself is torn.
pub fn next_frame(from: &mut impl Read) -> io::Result<Option<(u8, u64)>> {
    let mut header = [0; 8];
    match from.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Ok(Some((header[0], u64::from(length))))
}
