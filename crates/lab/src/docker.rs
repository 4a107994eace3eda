//! The `docker` command line, of this machine's engine or of a node's. Glue: no decision is taken here.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use crate::error::Result;
use crate::process;

/// The socket of this machine's engine. Not DOCKER_HOST: `eval "$(cargo lab env)"` points that at a node.
pub const LOCAL_SOCKET: &str = "/var/run/docker.sock";

/// The port of a node's docker API on the lab network.
pub const NODE_API_PORT: u16 = 2375;

/// Seconds after which a call to a node is given up: a frozen node accepts connections and never answers.
const NODE_CALL_LIMIT: u32 = 20;

/// One engine, reached through the `docker` command.
#[derive(Debug, Clone)]
pub struct Docker {
    host: String,
    limit: Option<u32>,
    hold: Option<Arc<File>>,
}

impl Docker {
    /// The engine of this machine, at its usual socket.
    pub fn local() -> Docker {
        Docker { host: format!("unix://{LOCAL_SOCKET}"), limit: None, hold: None }
    }

    /// The engine of the node at `ip`.
    pub fn of_node(ip: Ipv4Addr) -> Docker {
        Docker { host: format!("tcp://{ip}:{NODE_API_PORT}"), limit: Some(NODE_CALL_LIMIT), hold: None }
    }

    /// Calls may take as long as they like.
    #[must_use]
    pub fn without_limit(mut self) -> Docker {
        self.limit = None;
        self
    }

    /// Every call holds `lock` open for as long as its `docker` process lives.
    ///
    /// A `careen-lab` that is killed leaves its docker clients at work for a moment. They inherit the lock, so
    /// the next verb waits for them and does not race what they are still making.
    #[must_use]
    pub fn holding(mut self, lock: Arc<File>) -> Docker {
        self.hold = Some(lock);
        self
    }

    /// The value for DOCKER_HOST.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A `docker` command with these arguments, ready to run; standard input is empty unless set.
    pub fn command<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = match self.limit {
            Some(seconds) => {
                let mut command = Command::new("timeout");
                command.args(["--kill-after=1", &seconds.to_string(), "docker"]);
                command
            }
            None => Command::new("docker"),
        };
        command.args(["--host", &self.host]);
        command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        for variable in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "http_proxy", "HTTP_PROXY"] {
            command.env_remove(variable);
        }
        command.stdin(self.stdin());
        command
    }

    /// Runs `docker` and returns its standard output; a failure is an error.
    pub fn run<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Result<String> {
        process::run(&mut self.command(args))
    }

    /// Runs `docker` and returns what came of it, failures included.
    pub fn output<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Result<Output> {
        process::output(&mut self.command(args))
    }

    /// Non-empty lines of the output, for the `ls --quiet` family.
    pub fn lines<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Result<Vec<String>> {
        let text = self.run(args)?;
        Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    // The lock file is empty: to a reader it is the same as /dev/null.
    fn stdin(&self) -> Stdio {
        match self.hold.as_deref().map(File::try_clone) {
            Some(Ok(lock)) => Stdio::from(lock),
            Some(Err(_)) | None => Stdio::null(),
        }
    }
}
