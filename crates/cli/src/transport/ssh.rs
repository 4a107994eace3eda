//! An engine behind the user's own ssh, as the docker CLI reaches it: `ssh HOST docker system dial-stdio` joins its standard streams to
//! the engine's socket there.

use crate::host::SshHost;
use careen_engine::transport::{Connection, Transport};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Below the time that any request has, so that it is ssh that says which host it does not reach.
const CONNECT_TIMEOUT: &str = "ConnectTimeout=15";

/// How long an ssh that has closed its streams may take to end.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// So many of ssh's last lines are told, and so much of what it printed is looked at.
const LAST_LINES: usize = 3;
const LONGEST_WORDS: usize = 8 << 10;

/// A way to an engine over ssh. Each connection is an ssh of its own.
#[derive(Debug, Clone)]
pub struct Ssh(pub SshHost);

/// Why ssh leads to no engine. All but the first quote what ssh, or docker behind it, printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum SshFailure {
    #[error("the program ssh does not start: {why}")]
    NoProgram { why: String },
    #[error("ssh does not trust the host's key: {said}")]
    HostKey { said: String },
    #[error("ssh was not let in without asking for a password: {said}")]
    NotLetIn { said: String },
    #[error("the host has no docker command: {said}")]
    NoDocker { said: String },
    #[error("the host's docker is older than 18.09 and has no 'docker system dial-stdio': {said}")]
    DockerTooOld { said: String },
    #[error("ssh ended ({how}): {said}")]
    Ended { how: String, said: String },
}

impl SshFailure {
    /// What to do next.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::NoProgram { .. } => "install an ssh client, or reach the engine by another way",
            Self::HostKey { .. } => {
                "connect once by hand ('ssh HOST') and compare the key with the host's own; careen never accepts one for you"
            }
            Self::NotLetIn { .. } => {
                "use a key that the host accepts, and an agent that holds it (ssh-add): 'ssh HOST docker version' must work without a question"
            }
            Self::NoDocker { .. } => {
                "run 'ssh HOST docker version': docker must be in the PATH of a shell that is no login shell"
            }
            Self::DockerTooOld { .. } => "upgrade docker on that host, or run careen there",
            Self::Ended { .. } => "run 'ssh HOST docker version' by hand",
        }
    }

    /// What it means that ssh ended so and printed this.
    fn of(code: Option<i32>, how: String, printed: &str) -> Self {
        let said = last_lines(printed);
        let has = |words: &str| printed.contains(words);
        // A docker without that command prints what it has instead, or that it is none.
        let is_old = ["is not a docker command", "Usage:\tdocker system", "Usage:  docker system"];
        if code == Some(255) && (has("Host key verification failed") || has("IDENTIFICATION HAS CHANGED")) {
            Self::HostKey { said }
        } else if code == Some(255) && has("Permission denied (") {
            Self::NotLetIn { said }
        } else if code == Some(127) {
            Self::NoDocker { said }
        } else if is_old.into_iter().any(has) {
            Self::DockerTooOld { said }
        } else {
            Self::Ended { how, said }
        }
    }
}

/// The last lines of what was printed, in one.
fn last_lines(printed: &str) -> String {
    let lines = printed.lines().map(str::trim);
    // The frame of a warning says nothing.
    let lines: Vec<&str> = lines.filter(|line| line.chars().any(char::is_alphanumeric)).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    if last.is_empty() { "it printed nothing".to_owned() } else { last.join("; ") }
}

/// What ssh is called with. Unlike for the docker CLI it never asks: careen opens several connections, and each would ask again.
fn arguments(host: &SshHost) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(user) = &host.user {
        arguments.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = host.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    arguments.extend(["-o", CONNECT_TIMEOUT, "-o", "BatchMode=yes", "-T", "--"].map(str::to_owned));
    arguments.push(host.name.clone());
    arguments.push(match host.engine() {
        Some(engine) => format!("docker --host={} system dial-stdio", quoted(&engine)),
        None => "docker system dial-stdio".to_owned(),
    });
    arguments
}

/// For the shell of the other host.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Transport for Ssh {
    fn at(&self) -> String {
        self.0.to_string()
    }

    fn connect(&self, _: Option<Duration>) -> io::Result<Box<dyn Connection>> {
        // One socket for both directions: unlike a pipe it has time limits.
        let (stream, theirs) = UnixStream::pair()?;
        let input = OwnedFd::from(theirs.try_clone()?);
        // Into memory: a pipe that nobody reads would be full one day, and hold ssh up.
        let printed = File::from(memfd_create("ssh", MFdFlags::MFD_CLOEXEC)?);
        let mut ssh = Command::new("ssh");
        ssh.args(arguments(&self.0)).stdin(input).stdout(OwnedFd::from(theirs));
        ssh.stderr(Stdio::from(printed.try_clone()?));
        // Ctrl-C is careen's to handle: it may still have something to give back.
        ssh.process_group(0);
        let child = ssh
            .spawn()
            .map_err(|error| io::Error::other(SshFailure::NoProgram { why: error.to_string() }))?;
        Ok(Box::new(Tunnel { stream, child, printed }))
    }
}

/// A connection: one ssh.
#[derive(Debug)]
struct Tunnel {
    stream: UnixStream,
    child: Child,
    /// What it printed for people.
    printed: File,
}

impl Tunnel {
    /// What an end of the stream means: an orderly end, or why ssh ended.
    fn ended(&mut self) -> io::Result<()> {
        let status = self.wait()?;
        if status.success() {
            return Ok(());
        }
        let failure = SshFailure::of(status.code(), status.to_string(), &self.words());
        Err(io::Error::other(failure))
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > LAST_MOMENTS {
                self.child.kill()?;
                return self.child.wait();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The end of what it printed. What cannot be read is nothing.
    fn words(&self) -> String {
        let length = self.printed.metadata().map_or(0, |meta| meta.len());
        let mut words = vec![0; LONGEST_WORDS];
        let from = length.saturating_sub(LONGEST_WORDS as u64);
        let read = self.printed.read_at(&mut words, from).unwrap_or_default();
        String::from_utf8_lossy(&words[..read]).into_owned()
    }
}

/// Whether the other end of the stream is gone.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

impl Read for Tunnel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Ok(0) if !buffer.is_empty() => self.ended().map(|()| 0),
            Err(error) if is_gone(&error) => self.ended().map(|()| 0),
            read => read,
        }
    }
}

impl Write for Tunnel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if is_gone(&error) => self.ended().and(Err(error)),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Connection for Tunnel {
    fn limit_read(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.limit_read(limit)
    }

    fn limit_write(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.limit_write(limit)
    }

    fn is_idle(&mut self) -> bool {
        self.stream.is_idle()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // It ended before, or ends now; there is nobody to tell otherwise.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    fn called(given: &str) -> Vec<String> {
        match Host::parse(given).unwrap() {
            Host::Ssh(host) => arguments(&host),
            Host::Default | Host::Socket(_) | Host::Tcp(_) => unreachable!(),
        }
    }

    #[test]
    fn ssh_is_called_as_docker_calls_it_and_never_asks() {
        let options = ["-o", "ConnectTimeout=15", "-o", "BatchMode=yes", "-T", "--"];
        let dial = "docker system dial-stdio";
        assert_eq!(called("ssh://m1"), [&options[..], &["m1", dial]].concat());
        let given = called("ssh://root@m1:2222");
        assert_eq!(given, [&["-l", "root", "-p", "2222"][..], &options, &["m1", dial]].concat());
        // What looks like an option is none, and the other host's shell sees one word.
        let given = called("ssh://-oProxyCommand=x/run/it's.sock");
        let dial = r"docker --host='unix:///run/it'\''s.sock' system dial-stdio";
        assert_eq!(given, [&options[..], &["-oProxyCommand=x", dial]].concat());
    }

    #[test]
    fn what_ssh_prints_says_why_it_ended() {
        let of = |code, printed| SshFailure::of(Some(code), format!("exit status: {code}"), printed);
        let changed = "@@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@@@@@\nIt is possible.\nOffending \
                       key in known_hosts:1\nHost key verification failed.\r\n";
        let SshFailure::HostKey { said } = of(255, changed) else { panic!() };
        assert_eq!(said, "It is possible.; Offending key in known_hosts:1; Host key verification failed.");
        let denied = of(255, "root@m1: Permission denied (publickey,password).\r\n");
        assert!(matches!(denied, SshFailure::NotLetIn { .. }), "{denied}");
        let none = of(127, "bash: line 1: docker: command not found\n");
        assert!(matches!(none, SshFailure::NoDocker { .. }), "{none}");
        for old in [
            "docker: 'system' is not a docker command.\nSee 'docker --help'.\n",
            "\nUsage:\tdocker system COMMAND\n\nManage Docker\n",
        ] {
            assert!(matches!(of(1, old), SshFailure::DockerTooOld { .. }), "{old}");
        }
        // Docker's own words, and not ssh's.
        let socket = of(1, "permission denied while trying to connect to the Docker daemon socket\n");
        assert!(
            matches!(&socket, SshFailure::Ended { said, .. } if said.contains("daemon socket")),
            "{socket}"
        );
        assert!(of(255, "").to_string().contains("printed nothing"));
    }
}
