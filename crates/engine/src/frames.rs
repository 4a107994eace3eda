//! The frames in which the engine sends both streams of a container without a terminal: stream, length, bytes.

use std::io::{self, Read, Take};
use std::ops::ControlFlow;

/// The frames of standard output.
pub const STDOUT: u8 = 1;

/// The frames of standard error.
pub const STDERR: u8 = 2;

/// Gives each frame's stream and bytes, in their order; what is not read of a frame is passed over. Ends with the log, where a frame
/// is torn (of the last one there is as much as came), and where `each` breaks off.
pub fn each_frame<R: Read>(
    mut log: R,
    mut each: impl FnMut(u8, &mut Take<&mut R>) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    while let Some((stream, length)) = next_frame(&mut log)? {
        let mut body = log.by_ref().take(length);
        if each(stream, &mut body)?.is_break() {
            break;
        }
        io::copy(&mut body, &mut io::sink())?;
        if body.limit() > 0 {
            break;
        }
    }
    Ok(())
}

/// The text of both streams together.
pub fn text(frames: &[u8]) -> String {
    let mut text = Vec::new();
    // Reading from memory does not fail.
    let _infallible =
        each_frame(frames, |_, body| body.read_to_end(&mut text).map(|_| ControlFlow::Continue(())));
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// The next frame's stream, and how many bytes of it follow. `None` at the end, and where the head itself is torn.
fn next_frame(from: &mut impl Read) -> io::Result<Option<(u8, u64)>> {
    let mut header = [0; 8];
    match from.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Ok(Some((header[0], u64::from(length))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_joined_and_torn_ones_survived() {
        let frames = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x04 twoX";
        assert_eq!(text(&frames[..frames.len() - 1]), "one two");
        assert_eq!(text(b"\x01\0\0\0\0\0\0\x09cut"), "cut");
        assert_eq!(text(b""), "");
    }

    #[test]
    fn what_is_not_read_of_a_frame_is_passed_over() {
        let frames = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x03two";
        let mut streams = Vec::new();
        each_frame(&frames[..], |stream, _| {
            streams.push(stream);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(streams, [STDOUT, STDERR]);
    }
}
