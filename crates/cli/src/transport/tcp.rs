//! An engine behind a TCP port, with TLS or without.

use super::tls::{Secure, Session};
use crate::host::TcpHost;
use careen_engine::transport::{Connection, Transport};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long one address is tried where nobody says otherwise, as by the docker CLI.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// A silent connection is asked after so many seconds whether it is still there: streams are silent for long.
const KEEP_ALIVE: u32 = 30;

/// A way to an engine over TCP.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// The port.
    pub host: TcpHost,
    /// How the engine is known, where it speaks TLS.
    pub secure: Option<Secure>,
}

impl Transport for Tcp {
    fn at(&self) -> String {
        self.host.to_string()
    }

    fn connect(&self, limit: Option<Duration>) -> io::Result<Box<dyn Connection>> {
        let stream = connect(&self.host, limit.unwrap_or(CONNECT_LIMIT))?;
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &KEEP_ALIVE)?;
        setsockopt(&stream, sockopt::TcpKeepInterval, &KEEP_ALIVE)?;
        match &self.secure {
            Some(secure) => Ok(Box::new(Session::open(secure, stream, limit)?)),
            None => Ok(Box::new(Plain(stream))),
        }
    }
}

/// Connects to the first of a name's addresses that answers.
fn connect(host: &TcpHost, limit: Duration) -> io::Result<TcpStream> {
    let mut failed = None;
    for address in (host.name.as_str(), host.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::new(ErrorKind::AddrNotAvailable, "the name has no address")))
}

#[derive(Debug)]
struct Plain(TcpStream);

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Connection for Plain {
    fn limit_read(&self, limit: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(limit)
    }

    fn limit_write(&self, limit: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(limit)
    }

    fn is_idle(&mut self) -> bool {
        let waits = self.0.set_nonblocking(true).and_then(|()| self.0.peek(&mut [0]));
        let is_silent = waits.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).is_ok() && is_silent
    }
}
