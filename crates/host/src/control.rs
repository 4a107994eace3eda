//! What an agent, or a person on the host, says to a running supervisor over its `control.sock`.
//!
//! A frame is one byte of kind, four bytes of length (little-endian), and that many bytes.

use serde::{Deserialize, Serialize};

/// The longest frame accepted.
pub const MAX_FRAME: usize = 64 * 1024;

const HEADER: usize = 5;

/// One message to a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Message {
    /// Stop the command, or end what the supervisor waits for.
    Stop(Stop),
    /// End what the supervisor waits for, for whom this says. A program that runs is left alone.
    EndWait(String),
    /// Bytes that somebody typed, for the command's terminal.
    Input(Vec<u8>),
    /// The size of that somebody's terminal.
    Resize { rows: u16, columns: u16 },
}

/// A request to stop the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Who asks, in words for the journal.
    pub by: String,
    /// The time from SIGTERM to SIGKILL in milliseconds, when it is not to be the manifest's.
    pub grace_ms: Option<u64>,
}

/// Why bytes are no frame. The connection that sent them is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A kind that this version does not know.
    #[error("unknown message kind {0}")]
    Kind(u8),
    /// Longer than [`MAX_FRAME`].
    #[error("a message of {0} bytes is too long")]
    Length(usize),
    /// The content does not fit the kind.
    #[error("malformed message")]
    Content,
}

impl Message {
    /// The frame's bytes. Input longer than a frame must be split by the caller.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, content) = match self {
            // A struct of a string and a number always serializes.
            Self::Stop(stop) => (b'S', serde_json::to_vec(stop).unwrap_or_default()),
            Self::EndWait(by) => (b'W', by.as_bytes().to_vec()),
            Self::Input(bytes) => (b'I', bytes.clone()),
            Self::Resize { rows, columns } => (b'R', [rows.to_le_bytes(), columns.to_le_bytes()].concat()),
        };
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        [&[kind][..], &length.to_le_bytes(), &content].concat()
    }

    fn decode(kind: u8, content: &[u8]) -> Result<Self, FrameError> {
        match (kind, content) {
            (b'S', json) => serde_json::from_slice(json).map(Self::Stop).map_err(|_| FrameError::Content),
            (b'W', by) => String::from_utf8(by.to_vec()).map(Self::EndWait).map_err(|_| FrameError::Content),
            (b'I', bytes) => Ok(Self::Input(bytes.to_vec())),
            (b'R', &[a, b, c, d]) => {
                Ok(Self::Resize { rows: u16::from_le_bytes([a, b]), columns: u16::from_le_bytes([c, d]) })
            }
            (b'R', _) => Err(FrameError::Content),
            (other, _) => Err(FrameError::Kind(other)),
        }
    }
}

/// Takes frames out of a stream of bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes and returns the messages that are complete now.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, FrameError> {
        self.pending.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(&[kind, a, b, c, d]) = self.pending.first_chunk::<HEADER>() {
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            if length > MAX_FRAME {
                return Err(FrameError::Length(length));
            }
            let Some(content) = self.pending.get(HEADER..HEADER + length) else { break };
            messages.push(Message::decode(kind, content)?);
            self.pending.drain(..HEADER + length);
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_whatever_the_pieces() {
        let messages = [
            Message::Stop(Stop { by: "SIGINT".into(), grace_ms: Some(5) }),
            Message::EndWait("the rollout k3x9".into()),
            Message::Input(b"\x03\xff".to_vec()),
            Message::Resize { rows: 24, columns: 300 },
            Message::Input(Vec::new()),
        ];
        let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        for size in 1..=bytes.len() {
            let mut decoder = Decoder::default();
            let read: Vec<Message> =
                bytes.chunks(size).flat_map(|piece| decoder.push(piece).unwrap()).collect();
            assert_eq!(read, messages);
        }
    }

    #[test]
    fn garbage_is_an_error_and_not_a_wait_for_more() {
        assert!(matches!(Decoder::default().push(b"X\0\0\0\0"), Err(FrameError::Kind(b'X'))));
        assert!(matches!(Decoder::default().push(b"I\xff\xff\xff\xff"), Err(FrameError::Length(_))));
        assert!(matches!(Decoder::default().push(b"S\x01\0\0\0{"), Err(FrameError::Content)));
        assert!(matches!(Decoder::default().push(b"W\x01\0\0\0\xff"), Err(FrameError::Content)));
        assert!(matches!(Decoder::default().push(b"R\x01\0\0\0{"), Err(FrameError::Content)));
    }
}
