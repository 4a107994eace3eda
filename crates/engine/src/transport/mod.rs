//! Ways to an engine. Whatever they are, HTTP goes over them the same way; where an engine is, the way says and nobody else.

mod http;
mod unix;

pub(crate) use http::{NoNames, Way};
pub use unix::UnixSocket;

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::time::Duration;

/// A way to one engine.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Where the engine is, for people.
    fn at(&self) -> String;

    /// Connects, for at most so long; without a limit for as long as it takes.
    fn connect(&self, limit: Option<Duration>) -> io::Result<Box<dyn Connection>>;
}

/// Bytes to an engine and back.
pub trait Connection: Read + Write + Debug + Send + Sync {
    /// How long one read may take from now on; past it, it is `WouldBlock` or `TimedOut`.
    fn limit_read(&self, limit: Option<Duration>) -> io::Result<()>;

    /// The same for writes.
    fn limit_write(&self, limit: Option<Duration>) -> io::Result<()>;

    /// Whether it is open and nothing arrived between two requests. What did belongs to no request: the other side closed it, or is
    /// out of step.
    fn is_idle(&mut self) -> bool;
}
