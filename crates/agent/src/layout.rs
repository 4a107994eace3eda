//! Where careen's things lie on a host. Every path is the host's own, as seen after the agent went below /host.

use careen_contract::TransactionId;
use std::path::{Path, PathBuf};

/// The root of everything that careen keeps on a host.
pub const ROOT: &str = "/var/lib/careen";

/// Where the payload and the binary may lie instead, when [`ROOT`] is mounted noexec.
pub const EXEC_CANDIDATES: [&str; 4] = [ROOT, "/usr/local/lib/careen", "/opt/careen", "/root/.careen"];

/// Secrets of running transactions: a tmpfs on every current distribution, and checked to be one.
pub const SECRETS: &str = "/run/careen/secrets";

/// Below [`ROOT`]: one file for each enforcement that an agent keeps up here, with how the host stands to it.
pub const ENFORCE: &str = "enforce";

/// What careen keeps in memory on a host: a tmpfs, as the directories below it.
pub const RUN: &str = "/run/careen";

/// What systemd-run said of its version, since the host was started.
pub const SYSTEMD_RUN: &str = "/run/careen/systemd-run";

/// Where supervisors say why they wait that cannot say it in their transaction's directory, by the transaction's id.
pub const HOLDS: &str = "/run/careen/holds";

/// Where a person on the host finds `careen-agent`.
pub const LINK: &str = "/usr/local/sbin/careen-agent";

/// Names inside a transaction's directory.
pub mod file {
    /// What the transaction is.
    pub const MANIFEST: &str = "manifest.json";
    /// What happened to it.
    pub const JOURNAL: &str = "journal.jsonl";
    /// The command's environment; removed at the end.
    pub const ENVIRONMENT: &str = "environment.json";
    /// The command's output.
    pub const OUTPUT: &str = "output.log";
    /// The end of an output that is longer than its limit.
    pub const TAIL: &str = "output.tail";
    /// The index of the output.
    pub const INDEX: &str = "output.idx";
    /// Made by a command that wants the engine restarted (`CAREEN_RESTART_ENGINE`).
    pub const RESTART_ENGINE: &str = "restart-engine";
    /// What `prepare` expects of the command (`CAREEN_EXPECTS_RESTART`).
    pub const EXPECTS_RESTART: &str = "expects-restart";
    /// What the command leaves for whoever asked (`CAREEN_RESULT`); what it says is in the journal at the end.
    pub const RESULT: &str = "result";
    /// What a supervisor wants to restart, and waits for the go for.
    pub const RESTART_WISH: &str = "restart-wish";
    /// The go for it, or for the command.
    pub const GO: &str = "go";
    /// What the host was made of before the command.
    pub const FACTS_BEFORE: &str = "facts-before.json";
    /// The payload, where /var/lib is not noexec; removed at the end.
    pub const PAYLOAD: &str = "payload";
    /// Why the supervisor waits, in words; not there while it does not.
    pub const HOLD: &str = "hold";
    /// Why the last supervisor left that was started and wrote nothing into the journal.
    pub const LEFT: &str = "left";
    /// The supervisor's socket.
    pub const CONTROL: &str = "control.sock";
    /// Locked by the supervisor while it lives.
    pub const SUPERVISOR_LOCK: &str = "supervisor.lock";
    /// One empty file for each container that an agent joined from.
    pub const AGENTS: &str = "agents";
}

/// The directory of one transaction, and what it is made of.
#[derive(Debug, Clone)]
pub struct TransactionDir {
    path: PathBuf,
}

impl TransactionDir {
    /// The directory of the transaction of this id below `root`.
    pub fn new(root: &Path, id: &TransactionId) -> Self {
        Self { path: transactions(root).join(id.as_str()) }
    }

    /// The same names in a directory that is not in its place yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One of its files, see [`mod@file`].
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// All transactions below `root`.
pub fn transactions(root: &Path) -> PathBuf {
    root.join("transactions")
}

/// How the names of directories begin that are not transactions yet, or not any more. The next agent removes them.
pub const UNFINISHED: &str = ".new-";

/// The lock that a running transaction holds; its content names the transaction.
pub fn host_lock(root: &Path) -> PathBuf {
    root.join("lock")
}

/// The lock under which agents create and start transactions.
pub fn create_lock(root: &Path) -> PathBuf {
    root.join("create.lock")
}

/// What the host was made of after the last transaction: spares the next one the work. Nothing decides by it.
pub fn last_facts(root: &Path) -> PathBuf {
    root.join("facts.json")
}

/// The id of the boot in which careen first worked on this host: one that is there after another boot tells that the directory
/// outlives them.
pub fn boot_mark(root: &Path) -> PathBuf {
    root.join("boot")
}

/// The name of its twin in the engine's data directory, where that is another file system.
pub const BOOT_MARK_TWIN: &str = "careen-boot";

/// Which machine this directory belongs to.
pub fn machine(root: &Path) -> PathBuf {
    root.join("machine.json")
}

/// Where the transactions of another machine lie, whose disk this machine's is a copy of. `id` is this machine's.
pub fn transactions_of_another(root: &Path, id: &str) -> PathBuf {
    root.join(format!("transactions-before-{id}"))
}

/// What enforcing agents remember.
pub fn enforcements(root: &Path) -> PathBuf {
    root.join("enforce")
}

/// What is remembered of the enforcement of this name.
pub fn enforcement(root: &Path, name: &str) -> PathBuf {
    enforcements(root).join(format!("{name}.json"))
}

/// Held by the one agent that enforces it here.
pub fn enforcement_lock(root: &Path, name: &str) -> PathBuf {
    enforcements(root).join(format!("{name}.lock"))
}

/// What lasts between runs (`CAREEN_STATE`).
pub fn state(root: &Path) -> PathBuf {
    root.join("state")
}

/// The binary of this digest below an executable base.
pub fn binary(exec_base: &Path, sha256: &str) -> PathBuf {
    exec_base.join("bin").join(sha256).join("careen-agent")
}

/// The digest that the path of an installed binary tells of.
pub fn sha256_of_binary(binary: &Path) -> Option<&str> {
    let name = binary.parent()?.file_name()?.to_str()?;
    let is_digest = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(name)
}

/// A transaction's payload below an executable base.
pub fn payload(exec_base: &Path, root: &Path, id: &TransactionId) -> PathBuf {
    if exec_base == root {
        TransactionDir::new(root, id).file(file::PAYLOAD)
    } else {
        exec_base.join("payload").join(id.as_str())
    }
}

pub fn secrets(id: &TransactionId) -> PathBuf {
    Path::new(SECRETS).join(id.as_str())
}
