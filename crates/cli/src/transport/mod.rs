//! Ways to engines on other machines: TCP, with TLS or without, and the user's own ssh. They are the command line's alone: agents
//! and controllers talk to the unix socket of their host.

mod ssh;
mod tcp;
mod tls;

pub use ssh::{Ssh, SshFailure};
pub use tcp::Tcp;
pub use tls::{Certificates, InvalidCertificates, Secure, TlsFailure};
