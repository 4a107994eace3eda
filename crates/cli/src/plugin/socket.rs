//! docker tells its plugins to end by closing a socket. It does so when it is told to end itself and its output is no terminal; from a
//! terminal both get the signal.

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::thread;

/// Where docker writes the socket's address.
pub const VARIABLE: &str = "DOCKER_CLI_PLUGIN_SOCKET";

/// From now on docker's end has the effect of Ctrl-C on this process: whoever follows a rollout stops following, and the rollout goes
/// on. The signal is SIGTERM: what a script starts in the background ignores SIGINT.
pub fn end_with_docker(address: &OsStr) -> io::Result<()> {
    let mut socket = UnixStream::connect_addr(&parse(address)?)?;
    // This thread is never the one that gets a signal: the console waits for them in a thread of its own.
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_block()?;
    let waiting = thread::Builder::new().name("docker".to_owned()).spawn(move || {
        // docker sends nothing: what comes is the end.
        while matches!(socket.read(&mut [0]), Ok(1..)) {}
        // There is nobody to tell that it failed.
        let _best_effort = kill(Pid::this(), Signal::SIGTERM);
    });
    signals.thread_unblock()?;
    waiting.map(drop)
}

/// An address as Go writes it: a path, or a name that no file has behind an `@`.
fn parse(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(address),
    }
}
