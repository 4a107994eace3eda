//! The way of those who need ssh. Connections are made once and kept: the contenders are to be as fast as they can be.

use crate::clock::BEGIN;
use crate::error::{Error, Result, file_error};
use crate::work::Work;
use careen_lab::Node;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// Options of a client that knows neither the hosts nor a configuration of whoever runs the bench.
const OPTIONS: [&str; 8] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "ControlMaster=auto",
    "ControlPersist=600",
    "ConnectTimeout=10",
    "IdentitiesOnly=yes",
];

/// A key that opens the lab's hosts, and the connections to them.
#[derive(Debug, Clone)]
pub struct Ssh {
    key: PathBuf,
    /// A path of a socket must be short, and that of a checkout may be long.
    sockets: String,
}

impl Ssh {
    /// A new key, for all of these hosts.
    pub fn to(nodes: &[Node], work: &Work) -> Result<Ssh> {
        let key = work.file("key");
        let words = ["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"];
        let made = Command::new("ssh-keygen").args(words).arg(&key).output();
        let made = made.map_err(|source| Error::Spawn { what: "ssh-keygen".to_owned(), source })?;
        if !made.status.success() {
            return Err(Error::Failed {
                what: "ssh-keygen".to_owned(),
                status: made.status.to_string(),
                last: String::from_utf8_lossy(&made.stderr).trim().to_owned(),
            });
        }
        let public = key.with_extension("pub");
        let public = std::fs::read_to_string(&public).map_err(file_error("read", &public))?;
        for node in nodes {
            let script = format!(
                "install -d -m 700 /root/.ssh; echo '{}' >/root/.ssh/authorized_keys; systemctl is-active ssh >/dev/null",
                public.trim()
            );
            node.sh(&script)?.ok()?;
        }
        let sockets = format!("/run/careen-bench-{}-%C", std::process::id());
        Ok(Ssh { key, sockets })
    }

    /// The private key's file.
    pub fn key(&self) -> &PathBuf {
        &self.key
    }

    /// The options, as they are written behind `ssh` on this machine.
    pub fn options(&self) -> String {
        self.options_with(&self.key.to_string_lossy())
    }

    /// The same where the key lies elsewhere.
    pub fn options_with(&self, key: &str) -> String {
        let mut text = format!("-F none -i {key} -o ControlPath={}", self.sockets);
        for option in OPTIONS {
            // Writing into a String cannot fail.
            let _ = write!(text, " -o {option}");
        }
        text
    }

    /// A shell script for this machine that runs another one on all of these hosts at once, as root, and fails when one fails.
    /// Its clock starts when a connection to each is there.
    pub fn everywhere(&self, nodes: &[&Node], script: &str) -> Command {
        let addresses: Vec<String> = nodes.iter().map(|node| node.ip().to_string()).collect();
        let parallel = include_str!("../assets/everywhere.sh");
        let mut command = Command::new("bash");
        command.args(["-c", parallel, "bench", &self.options(), script, BEGIN]).args(addresses);
        command
    }
}
