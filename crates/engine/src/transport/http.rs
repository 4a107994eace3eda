//! The HTTP client over any [`Transport`].

use super::{Connection, Transport};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout};

/// Takes every request the same way.
#[derive(Debug)]
pub struct Way(pub Arc<dyn Transport>);

impl<In: ureq::unversioned::transport::Transport> Connector<In> for Way {
    type Out = Connected;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<In>,
    ) -> Result<Option<Connected>, ureq::Error> {
        let limit = details.timeout.not_zero().map(|limit| *limit);
        let connection = self.0.connect(limit).map_err(|error| timed_out(error, &details.timeout))?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Connected { connection, buffers }))
    }
}

/// One connection, with what the client has not taken yet.
#[derive(Debug)]
pub struct Connected {
    connection: Box<dyn Connection>,
    buffers: LazyBuffers,
}

impl ureq::unversioned::transport::Transport for Connected {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.connection.limit_write(timeout.not_zero().map(|limit| *limit))?;
        let written = self.connection.write_all(&self.buffers.output()[..amount]);
        written.map_err(|error| timed_out(error, &timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.connection.limit_read(timeout.not_zero().map(|limit| *limit))?;
        let read = self.connection.read(self.buffers.input_append_buf());
        let amount = read.map_err(|error| timed_out(error, &timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_idle()
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
