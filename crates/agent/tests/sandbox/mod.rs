//! A host of a transaction's own: /var/lib, /run and /usr/local/sbin in a directory, for supervisors that run in a mount
//! namespace. See crash.rs and faults.rs.

use careen_contract::id::TransactionId;
use careen_contract::payload::{EntryKind, PayloadDigest};
use careen_contract::settings::{EngineRestarts, OnRemove, Reboot};
use careen_host::journal::{self, TransactionResult};
use careen_host::manifest::{Manifest, Origin, Payload, SCHEMA};
use careen_host::transaction::{State, TransactionStage};
use careen_testing::programs;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A reboot: another boot id, and SIGTERM to whoever asked, as systemd would send it.
const SYSTEMCTL: &str = r#"#!/bin/sh
[ "$1" = reboot ] || exit 0
cat /proc/sys/kernel/random/uuid > /proc/sys/kernel/random/boot_id
echo reboot >> /var/lib/reboots
kill -TERM $PPID
"#;

/// One transaction and the host that it lies on.
pub struct Sandbox {
    base: tempfile::TempDir,
}

/// What the transaction's command does.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Lines of a shell script, behind those that count the attempt.
    pub script: &'static str,
    /// Whether it may be run again after an interruption.
    pub idempotent: bool,
    /// How often the script may begin, at most.
    pub attempts: usize,
    /// Its time limit in milliseconds.
    pub timeout_ms: Option<u64>,
}

impl Sandbox {
    /// The host with the transaction, created and not begun.
    pub fn new(scenario: &Scenario, below: &Path) -> Self {
        let sandbox = Self { base: tempfile::tempdir_in(below).unwrap() };
        for directory in
            ["lib/careen/transactions/t1/payload", "lib/careen/state", "run/careen/secrets/t1", "sbin"]
        {
            fs::create_dir_all(sandbox.path(directory)).unwrap();
        }
        fs::write(sandbox.path("boot_id"), "first\n").unwrap();
        fs::write(sandbox.path("run/careen/secrets/t1/password"), "hunter2").unwrap();
        let script = format!(
            "#!/bin/sh\necho $CAREEN_ATTEMPT >> /var/lib/begun\necho attempt $CAREEN_ATTEMPT\n{}",
            scenario.script
        );
        // Asked for their versions before and after, as no engine runs here; the real ones take long to say them.
        let version = "#!/bin/sh\necho version 1.0\n";
        programs([
            (sandbox.path("sbin/systemctl"), SYSTEMCTL),
            (sandbox.path("sbin/dockerd"), version),
            (sandbox.path("sbin/containerd"), version),
            (sandbox.path("sbin/runc"), version),
            (sandbox.path("sbin/dpkg-query"), "#!/bin/sh\n"),
            (sandbox.transaction("payload/install"), script.as_str()),
        ]);
        let agent =
            serde_json::json!({ "AGENT": env!("CARGO_BIN_EXE_careen-agent"), "PATH": "/usr/bin:/bin" });
        fs::write(sandbox.transaction("environment.json"), agent.to_string()).unwrap();
        let manifest = serde_json::to_vec(&manifest(&script, scenario)).unwrap();
        fs::write(sandbox.transaction("manifest.json"), manifest).unwrap();
        sandbox
    }

    /// A path of the sandbox.
    pub fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// A file of the transaction.
    pub fn transaction(&self, name: &str) -> PathBuf {
        self.path("lib/careen/transactions/t1").join(name)
    }

    /// A command that becomes the supervisor in namespaces of its own, by this script.
    pub fn enter(&self, unshare: &[&str], script: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(unshare).args(["sh", "-c", script]);
        command.env("SANDBOX", self.base.path()).env("AGENT", env!("CARGO_BIN_EXE_careen-agent"));
        command
    }

    /// The journal, which is never corrupt.
    pub fn journal(&self) -> journal::Journal {
        journal::parse(&fs::read(self.transaction("journal.jsonl")).unwrap_or_default())
            .expect("a journal is never corrupt")
    }

    /// The state that it tells of.
    pub fn state(&self) -> State {
        State::replay(&self.journal()).expect("a journal is never illegal")
    }

    /// The result, once the transaction is closed.
    pub fn result(&self) -> Option<TransactionResult> {
        if let TransactionStage::Closed(result) = self.state().stage { Some(result) } else { None }
    }

    /// The lines of a file that is written by what runs in the sandbox.
    pub fn lines(&self, file: &str) -> Vec<String> {
        fs::read_to_string(self.path(file)).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// Where sandboxes lie: in memory. What a disk would lose is lost by other means, and a busy disk's syncs take minutes in all.
pub fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn manifest(script: &str, scenario: &Scenario) -> Manifest {
    let mut digest = PayloadDigest::default();
    digest.add(b"install", 0o755, EntryKind::File(&Sha256::digest(script)));
    Manifest {
        schema: SCHEMA,
        id: TransactionId::parse("t1").unwrap(),
        generation: 0,
        created: "2026-01-01T00:00:00Z".parse().unwrap(),
        command: "install".into(),
        args: Vec::new(),
        run: String::new(),
        payload: Payload {
            directory: "/var/lib/careen/transactions/t1/payload".into(),
            sha256: digest.finish(),
            files: 1,
            bytes: script.len() as u64,
            by_shell: false,
            has_rollback: false,
        },
        binary_sha256: String::new(),
        origin: Origin::default(),
        takes_host_lock: true,
        terminal: None,
        timeout_ms: scenario.timeout_ms,
        stop_grace_period_ms: 1000,
        on_remove: OnRemove::Continue,
        reboot: Reboot::Wanted,
        engine_restart: EngineRestarts::Never,
        idempotent: scenario.idempotent,
        output_limit: 1 << 20,
        has_secrets: false,
        awaits_go: false,
        allow_quorum_loss: false,
        respect_inhibitors: false,
        may_touch_engine: false,
    }
}
