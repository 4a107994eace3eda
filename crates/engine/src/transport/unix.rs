//! The unix socket of an engine on this machine. There is no name to resolve: a static binary must not.

use super::{Connection, Transport};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, socket};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An engine's socket.
#[derive(Debug, Clone)]
pub struct UnixSocket(pub PathBuf);

impl Transport for UnixSocket {
    fn at(&self) -> String {
        self.0.display().to_string()
    }

    fn connect(&self, limit: Option<Duration>) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(connect(&self.0, limit)?))
    }
}

impl Connection for UnixStream {
    fn limit_read(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(limit)
    }

    fn limit_write(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_write_timeout(limit)
    }

    fn is_idle(&mut self) -> bool {
        let mut byte = [0];
        let idle = self.set_nonblocking(true).and_then(|()| match self.read(&mut byte) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        });
        self.set_nonblocking(false).is_ok() && idle.unwrap_or(false)
    }
}

/// Connects, for at most so long: to a socket whose owner hangs, and whose queue is full, one waits for ever else. (A socket's
/// limit for sending is that of its connecting, too: unix(7), socket(7).)
fn connect(path: &Path, limit: Option<Duration>) -> io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(limit)?;
    socket::connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    stream.set_write_timeout(None)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, bind, listen};

    #[test]
    fn a_socket_whose_owner_hangs_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hung.sock");
        let owner = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(owner.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&owner, Backlog::new(0).unwrap()).unwrap();
        // One waits in its queue; the next one finds that full.
        let queued = connect(&path, None).unwrap();
        let error = connect(&path, Some(Duration::from_millis(50))).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
        drop(queued);
    }
}
