//! An engine behind a TCP port, with TLS or without.

use super::tls::{Secure, Session};
use crate::host::TcpHost;
use careen_engine::transport::{Connection, Transport};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

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

/// Connects to the first of a name's addresses that answers. The time is for all of them.
fn connect(host: &TcpHost, limit: Duration) -> io::Result<TcpStream> {
    let began = Instant::now();
    let mut failed = None;
    for address in (host.name.as_str(), host.port).to_socket_addrs()? {
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::TimedOut => failed = Some(unanswered(limit)),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| unanswered(limit)))
}

/// The HTTP client would say which of its limits it was, and not what that means.
fn unanswered(limit: Duration) -> io::Error {
    let why = format!("nothing answers there within {} s", limit.as_secs_f64().round());
    io::Error::new(ErrorKind::HostUnreachable, why)
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

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, listen};
    use std::net::TcpListener;

    #[test]
    fn a_host_that_does_not_answer_is_said_to_be_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let host = TcpHost { name: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        // Some wait in its queue; when that is full, the kernel answers nobody.
        let tries: Vec<_> = (0..10).map(|_| connect(&host, Duration::from_millis(50))).collect();
        let error = tries.into_iter().find_map(Result::err).unwrap();
        assert!(error.to_string().contains("nothing answers there"), "{error}");
    }
}
