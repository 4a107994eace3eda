//! One node, for tests and for the command line: run something in it, copy files, ask it, break it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::docker::Docker;
use crate::error::{Error, Result};
use crate::holder::Holder;
use crate::identity::{Identity, Observed};
use crate::init::Init;
use crate::kind::NodeKind;
use crate::kinds;
use crate::names::{Kind, NodeName, Role};
use crate::process;

/// What came of a command in a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// Its exit status; 128 + N for signal N.
    pub status: i32,
    /// Its standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// The standard output of a command that succeeded; otherwise an error with what it said.
    pub fn ok(self) -> Result<String> {
        if self.status == 0 {
            return Ok(self.stdout);
        }
        Err(Error::Command {
            command: self.command,
            status: format!("exit status: {}", self.status),
            stderr: process::last_lines(&format!("{}\n{}", self.stdout, self.stderr), 12),
        })
    }
}

/// A node of a lab.
#[derive(Debug, Clone)]
pub struct Node {
    identity: Identity,
    kind: Arc<dyn NodeKind>,
}

impl Node {
    pub(crate) fn new(identity: Identity, holder: &Holder) -> Node {
        let kind = kinds::of(identity.kind, holder);
        Node { identity, kind }
    }

    /// `n1`, `n2`, …; also its host name.
    pub fn name(&self) -> NodeName {
        self.identity.name
    }

    /// The role it was made with.
    pub fn role(&self) -> Role {
        self.identity.role
    }

    /// Its address on the lab network.
    pub fn ip(&self) -> Ipv4Addr {
        self.identity.ip
    }

    /// What it is made of.
    pub fn made_of(&self) -> Kind {
        self.identity.kind
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn kind(&self) -> &dyn NodeKind {
        &*self.kind
    }

    pub(crate) fn init(&self) -> Init {
        self.kind.init()
    }

    pub(crate) fn observe(&self) -> Result<Observed> {
        let found = self.kind.holder().observe(&self.identity.lab)?;
        found.into_iter().find(|other| other.identity.name == self.identity.name).ok_or_else(|| {
            Error::Refused(format!("{} does not exist any more: was its lab taken down?", self.identity.name))
        })
    }

    /// A command that runs `argv` in the node; see [`NodeKind::command`]. Its input is empty unless set.
    pub fn command<A: AsRef<str>>(&self, argv: impl IntoIterator<Item = A>) -> Command {
        let argv: Vec<String> = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self.kind.command(&self.identity, false, &argv)
    }

    /// The same with a terminal in the node.
    pub fn command_on_terminal(&self, argv: &[String]) -> Command {
        self.kind.command(&self.identity, true, argv)
    }

    /// Runs `argv` in the node and waits for it. A non-zero exit status is no error here: see [`Output::ok`].
    pub fn exec<A: AsRef<str>>(&self, argv: impl IntoIterator<Item = A>) -> Result<Output> {
        collect(&mut self.command(argv))
    }

    /// Runs a shell script in the node.
    pub fn sh(&self, script: &str) -> Result<Output> {
        self.exec(["sh", "-c", script])
    }

    /// Runs a shell script where the node's reboot delay is kept; see [`NodeKind::outside_command`].
    pub(crate) fn outside(&self, script: &str) -> Result<Output> {
        collect(&mut self.kind.outside_command(&self.identity, script))
    }

    /// Runs the machine's `docker` command against the node's engine.
    pub fn docker<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Result<Output> {
        collect(&mut self.api().without_limit().command(args))
    }

    /// The node's docker API, over the lab network.
    pub fn api(&self) -> Docker {
        Docker::of_node(self.identity.ip)
    }

    /// The boot id that the node shows, or `None` while it is down.
    pub fn boot_id(&self) -> Result<Option<String>> {
        self.kind.boot_id(&self.identity)
    }

    /// Copies a file or a directory into the node, as root's. Like cp: into `to` if that is a directory, else as
    /// `to`, whose directory must exist.
    pub fn cp_in(&self, from: &Path, to: &str) -> Result<()> {
        let (directory, name) = split(from)?;
        let mut pack = pack(&directory, &name);
        process::pipe(&mut pack, &mut self.command(["sh", "-c", UNPACK, "sh", to, &name])).map(drop)
    }

    /// Copies a file or a directory out of the node, by the same rules.
    pub fn cp_out(&self, from: &str, to: &Path) -> Result<()> {
        let (directory, name) = split(Path::new(from))?;
        let mut pack = self.command(["tar", "-C", &directory, "-cf", "-", "--", &name]);
        let mut unpack = Command::new("sh");
        unpack.args(["-c", UNPACK, "sh"]).arg(to).arg(&name);
        process::pipe(&mut pack, &mut unpack).map(drop)
    }

    /// Lines for a shell to point `docker` and `careen` at this node.
    pub fn environment(&self) -> String {
        format!("export DOCKER_HOST={}\nunset DOCKER_CONTEXT DOCKER_TLS_VERIFY\n", self.api().host())
    }
}

/// Unpacks a tar with one entry $2 as cp would copy it to $1. Not `docker cp`: on a tmpfs of the node, /tmp and
/// /run, that writes below the mount.
const UNPACK: &str = r#"
set -e
if [ -d "$1" ]; then exec tar --no-same-owner -xpf - -C "$1"; fi
aside=$(mktemp -d -- "$(dirname -- "$1")/.careen-lab-cp.XXXXXX")
trap 'rm -rf -- "$aside"' EXIT
tar --no-same-owner -xpf - -C "$aside"
mv -T -- "$aside/$2" "$1"
"#;

fn pack(directory: &str, name: &str) -> Command {
    let mut pack = Command::new("tar");
    pack.args(["-C", directory, "-cf", "-", "--", name]).stdin(Stdio::null());
    pack
}

fn split(path: &Path) -> Result<(String, String)> {
    let name = path.file_name().ok_or_else(|| {
        Error::Refused(format!("{} has no last component to copy; nothing was copied", path.display()))
    })?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((directory.to_string_lossy().into_owned(), name.to_string_lossy().into_owned()))
}

fn collect(command: &mut Command) -> Result<Output> {
    use std::os::unix::process::ExitStatusExt as _;
    let output = process::output(command)?;
    let status = output.status;
    Ok(Output {
        command: process::describe(command),
        status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(from: &Path, to: &Path) -> Result<String> {
        let (directory, name) = split(from)?;
        let mut unpack = Command::new("sh");
        unpack.args(["-c", UNPACK, "sh"]).arg(to).arg(&name);
        process::pipe(&mut pack(&directory, &name), &mut unpack)
    }

    #[test]
    fn copies_like_cp() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir(path("a dir")).unwrap();
        std::fs::write(path("a dir/it's"), "text").unwrap();
        // To a new name, over a file, into a directory, and a directory to a new name.
        copy(&path("a dir/it's"), &path("new")).unwrap();
        copy(&path("a dir/it's"), &path("new")).unwrap();
        assert_eq!(std::fs::read_to_string(path("new")).unwrap(), "text");
        copy(&path("new"), &path("a dir")).unwrap();
        assert!(path("a dir/new").is_file());
        copy(&path("a dir"), &path("other")).unwrap();
        assert!(path("other/it's").is_file());
        assert!(copy(&path("new"), &path("no/such/dir")).is_err());
        assert!(copy(&path("missing"), &path("x")).is_err());
        let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
}
