//! HTTP over a unix socket. There is no name to resolve: a static binary must not.

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, socket};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// Connects every request to one unix socket.
#[derive(Debug)]
pub struct UnixConnector {
    /// The socket.
    pub socket: PathBuf,
}

impl<In: Transport> Connector<In> for UnixConnector {
    type Out = UnixTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<In>,
    ) -> Result<Option<UnixTransport>, ureq::Error> {
        let limit = details.timeout.not_zero().map(|limit| *limit);
        let stream = connect(&self.socket, limit).map_err(|error| timed_out(error, &details.timeout))?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(UnixTransport { stream, buffers }))
    }
}

/// Connects, for at most so long: to a socket whose owner hangs, and whose queue is full, one waits for ever else. (A socket's
/// limit for sending is that of its connecting, too: unix(7), socket(7).)
fn connect(path: &Path, limit: Option<Duration>) -> std::io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(limit)?;
    socket::connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    stream.set_write_timeout(None)?;
    Ok(stream)
}

/// One connection to it.
#[derive(Debug)]
pub struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.set_write_timeout(timeout.not_zero().map(|limit| *limit))?;
        self.stream.write_all(&self.buffers.output()[..amount]).map_err(|error| timed_out(error, &timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.set_read_timeout(timeout.not_zero().map(|limit| *limit))?;
        let amount =
            self.stream.read(self.buffers.input_append_buf()).map_err(|error| timed_out(error, &timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // A connection on which something arrived between two requests is closed, or out of step.
        let mut byte = [0];
        let idle = self.stream.set_nonblocking(true).and_then(|()| match self.stream.read(&mut byte) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        });
        self.stream.set_nonblocking(false).is_ok() && idle.unwrap_or(false)
    }
}

fn timed_out(error: std::io::Error, timeout: &NextTimeout) -> ureq::Error {
    let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    if is_late { ureq::Error::Timeout(timeout.reason) } else { error.into() }
}

/// There is one host, behind one socket, whatever the URL says.
#[derive(Debug)]
pub struct NoNames;

impl Resolver for NoNames {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(std::net::SocketAddr::from(([127, 0, 0, 1], 80)));
        Ok(addresses)
    }
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
