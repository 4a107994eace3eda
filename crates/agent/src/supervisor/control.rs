//! The supervisor's socket: agents and people on the host speak to it through it.

use crate::files;
use careen_contract::chain;
use careen_host::control::{Decoder, Message};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// More speakers than that at a time are turned away.
const MAX_CONNECTIONS: usize = 16;

/// The socket and who is connected to it.
#[derive(Debug)]
pub struct Control {
    listener: io::Result<UnixListener>,
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    decoder: Decoder,
}

impl Control {
    /// Listens at this path, for root only. What a dead supervisor left there is replaced; the caller holds the
    /// transaction's lock, so there is no live one.
    pub fn listen(path: &Path) -> io::Result<Self> {
        crate::durable::remove_file(path)?;
        let listener = files::listen(path)?;
        files::set_permissions(path, files::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener: Ok(listener), connections: Vec::new() })
    }

    /// One that hears nobody, for this reason.
    pub fn deaf(why: io::Error) -> Self {
        Self { listener: Err(why), connections: Vec::new() }
    }

    /// The same, and one that hears nobody in its place.
    pub fn take_over(&mut self) -> Self {
        std::mem::replace(self, Self::deaf(io::Error::other("somebody else listens")))
    }

    /// Why it hears nobody, if so.
    pub fn must_listen(&self) -> io::Result<()> {
        match &self.listener {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Everything to poll.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let streams = self.connections.iter().map(|connection| connection.stream.as_fd());
        self.listener.iter().map(AsFd::as_fd).chain(streams).collect()
    }

    /// Accepts who waits, and returns what was said. A speaker who makes no sense is hung up on.
    pub fn take(&mut self) -> Vec<Message> {
        self.hear(None)
    }

    /// The same; whoever wants something to end is told this. Who does not listen misses it.
    pub fn take_and_answer(&mut self, answer: &str) -> Vec<Message> {
        self.hear(Some(answer))
    }

    fn hear(&mut self, answer: Option<&str>) -> Vec<Message> {
        while let Some(Ok((stream, _))) = self.listener.as_ref().ok().map(UnixListener::accept) {
            if self.connections.len() < MAX_CONNECTIONS && stream.set_nonblocking(true).is_ok() {
                self.connections.push(Connection { stream, decoder: Decoder::default() });
            }
        }
        let mut messages = Vec::new();
        self.connections.retain_mut(|connection| connection.read(&mut messages, answer));
        messages
    }
}

impl Connection {
    /// Reads what is there; `false` when the connection is over.
    fn read(&mut self, messages: &mut Vec<Message>, answer: Option<&str>) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => match self.decoder.push(&buffer[..read]) {
                    Ok(complete) => {
                        let ends =
                            |message: &Message| matches!(message, Message::Stop(_) | Message::EndWait(_));
                        if let Some(answer) = answer.filter(|_| complete.iter().any(ends)) {
                            let _ = self.stream.write_all(answer.as_bytes()); // it may be gone
                        }
                        messages.extend(complete);
                    }
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "hung up on a speaker at the control socket");
                        return false;
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_host::control::Stop;
    use std::net::Shutdown;

    #[test]
    fn what_is_said_arrives_and_nonsense_is_hung_up_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let mut control = Control::listen(&path).unwrap();
        let stop = Message::Stop(Stop { by: "a test".into(), grace_ms: None });

        let mut speaker = UnixStream::connect(&path).unwrap();
        speaker.write_all(&stop.encode()).unwrap();
        let mut vandal = UnixStream::connect(&path).unwrap();
        vandal.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(control.take(), [stop]);
        assert_eq!(control.fds().len(), 2, "the listener and the speaker, not the vandal");

        drop(speaker);
        assert!(control.take().is_empty());
        assert_eq!(control.fds().len(), 1);
    }

    #[test]
    fn who_cancels_hears_what_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let mut control = Control::listen(&path).unwrap();
        let answered = |control: &mut Control, message: Message, answer: Option<&str>| {
            let mut speaker = UnixStream::connect(&path).unwrap();
            speaker.write_all(&message.encode()).unwrap();
            speaker.shutdown(Shutdown::Write).unwrap();
            assert_eq!(control.hear(answer), [message]);
            let mut heard = String::new();
            speaker.read_to_string(&mut heard).unwrap();
            heard
        };
        let stop = Message::Stop(Stop { by: "a test".into(), grace_ms: None });
        assert_eq!(answered(&mut control, stop.clone(), Some("the disk is full")), "the disk is full");
        let end_wait = Message::EndWait("a test".into());
        assert_eq!(answered(&mut control, end_wait, Some("the disk is full")), "the disk is full");
        assert_eq!(answered(&mut control, stop, None), "");
        assert_eq!(answered(&mut control, Message::Input(vec![7]), Some("not for keys")), "");
    }
}
