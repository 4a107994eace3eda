//! The supervisor, killed behind every record that it writes, and behind every record of the one that takes over.
//!
//! The real binary runs in a mount namespace of its own, with its own /var/lib, /run and boot id, and with a `systemctl`
//! whose reboot changes that boot id and ends the supervisor; an engine of the machine's own is hidden. So every interleaving of crash and takeover is played
//! through in seconds, with real files, processes, locks and syncs. Needs root.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set the scene has failed")]

use careen_model::id::TransactionId;
use careen_model::journal::{self, Record, TransactionResult};
use careen_model::manifest::{Manifest, Origin, Payload, SCHEMA};
use careen_model::payload::{EntryKind, PayloadDigest};
use careen_model::settings::{EngineRestarts, OnRemove, Reboot};
use careen_model::transaction::{Stage, State};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// More supervisors than any history here can need: a transaction that is not closed by then never will be.
const MAX_SUPERVISIONS: usize = 12;

/// Mounts the sandbox over the machine's own directories, and becomes the supervisor.
const ENTER: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$SANDBOX/boot_id" /proc/sys/kernel/random/boot_id
mount --bind "$SANDBOX/sbin" /usr/local/sbin
mount --bind "$SANDBOX/run" /run
mount --bind "$SANDBOX/lib" /var/lib
for engine in $(grep -slxE 'dockerd|containerd' /proc/[0-9]*/comm); do
	mount -t tmpfs none "${engine%/comm}" || : # gone meanwhile
done
exec "$AGENT" supervise systemd t1
"#;

/// A reboot: another boot id, and SIGTERM to whoever asked, as systemd would send it.
const SYSTEMCTL: &str = r#"#!/bin/sh
[ "$1" = reboot ] || exit 0
cat /proc/sys/kernel/random/uuid > /proc/sys/kernel/random/boot_id
echo reboot >> /var/lib/reboots
kill -TERM $PPID
"#;

struct Sandbox {
    base: tempfile::TempDir,
}

struct Scenario {
    script: &'static str,
    idempotent: bool,
    /// How often the script may begin, at most.
    attempts: usize,
}

impl Sandbox {
    fn new(scenario: &Scenario) -> Self {
        let base = tempfile::tempdir().unwrap();
        let sandbox = Self { base };
        for directory in
            ["lib/careen/transactions/t1/payload", "lib/careen/state", "run/careen/secrets/t1", "sbin"]
        {
            fs::create_dir_all(sandbox.path(directory)).unwrap();
        }
        fs::write(sandbox.path("boot_id"), "first\n").unwrap();
        executable(&sandbox.path("sbin/systemctl"), SYSTEMCTL);
        for program in ["dockerd", "containerd", "runc"] {
            // Asked for their versions before and after, as no engine runs here; the real ones take long to say them.
            executable(&sandbox.path("sbin").join(program), "#!/bin/sh\necho version 1.0\n");
        }
        fs::write(sandbox.path("run/careen/secrets/t1/password"), "hunter2").unwrap();
        let script = format!(
            "#!/bin/sh\necho $CAREEN_ATTEMPT >> /var/lib/begun\necho attempt $CAREEN_ATTEMPT\n{}",
            scenario.script
        );
        executable(&sandbox.transaction("payload/install"), &script);
        fs::write(sandbox.transaction("environment.json"), b"{}").unwrap();
        let manifest = serde_json::to_vec(&manifest(&script, scenario.idempotent)).unwrap();
        fs::write(sandbox.transaction("manifest.json"), manifest).unwrap();
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    fn transaction(&self, name: &str) -> PathBuf {
        self.path("lib/careen/transactions/t1").join(name)
    }

    /// Runs a supervisor to its end, which comes behind the record of this number, or by itself. Says whether it was
    /// killed.
    fn supervise(&self, crash_after: Option<usize>) -> bool {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER]);
        command.env("SANDBOX", self.base.path()).env("AGENT", env!("CARGO_BIN_EXE_careen-agent"));
        if let Some(number) = crash_after {
            command.env("CAREEN_CRASH_AFTER", number.to_string());
        }
        let output = command.output().expect("unshare is installed");
        let killed = output.status.code().is_none();
        assert!((killed && crash_after.is_some()) || output.status.success(), "{output:?}");
        killed
    }

    /// Takes the transaction over until a supervisor dies behind the journal's record of this number, or until it is
    /// closed. Says whether one died.
    fn supervise_until(&self, record: usize) -> bool {
        (0..MAX_SUPERVISIONS).any(|_| self.result().is_none() && self.supervise(Some(record)))
    }

    fn journal(&self) -> journal::Journal {
        journal::parse(&fs::read(self.transaction("journal.jsonl")).unwrap_or_default())
            .expect("a journal is never corrupt")
    }

    fn result(&self) -> Option<TransactionResult> {
        match State::replay(&self.journal()).expect("a journal is never illegal").stage {
            Stage::Closed(result) => Some(result),
            _ => None,
        }
    }

    /// Takes the transaction over until it is closed, as agents and boots do.
    fn finish(&self) -> TransactionResult {
        for _ in 0..MAX_SUPERVISIONS {
            if let Some(result) = self.result() {
                return result;
            }
            self.supervise(None);
        }
        panic!("not closed after {MAX_SUPERVISIONS} supervisors: {:?}", self.journal());
    }

    fn lines(&self, file: &str) -> Vec<String> {
        fs::read_to_string(self.path(file)).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn executable(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn manifest(script: &str, idempotent: bool) -> Manifest {
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
        timeout_ms: None,
        stop_grace_period_ms: 1000,
        on_remove: OnRemove::Continue,
        reboot: Reboot::Wanted,
        engine_restart: EngineRestarts::Never,
        idempotent,
        output_limit: 1 << 20,
        has_secrets: false,
        awaits_go: false,
        allow_quorum_loss: false,
        may_touch_engine: false,
    }
}

/// What must hold whatever happened.
fn check(sandbox: &Sandbox, result: &TransactionResult, scenario: &Scenario, history: &str) {
    let begun = sandbox.lines("lib/begun");
    let mut once = begun.clone();
    once.dedup();
    assert_eq!(begun, once, "{history}: an attempt began twice");
    assert!(begun.len() <= scenario.attempts, "{history}: {begun:?}");
    if begun.is_empty() {
        assert_eq!(result.exit_code, 245, "{history}: what never began is no success");
    }
    for gone in ["payload", "environment.json", "control.sock"] {
        assert!(!sandbox.transaction(gone).exists(), "{history}: {gone} is left");
    }
    assert!(!sandbox.path("run/careen/secrets/t1").exists(), "{history}: secrets are left");
    let ended =
        sandbox.journal().lines.iter().filter(|line| matches!(line.record, Record::Ended { .. })).count();
    let output = fs::read_to_string(sandbox.transaction("output.log")).unwrap_or_default();
    assert!(
        output.matches("attempt").count() >= ended,
        "{history}: output of an ended attempt is lost: {output}"
    );
}

fn every_crash(scenario: &Scenario, undisturbed: u8) {
    let sandbox = Sandbox::new(scenario);
    let result = sandbox.finish();
    assert_eq!(result.exit_code, undisturbed, "{result:?}");
    check(&sandbox, &result, scenario, "undisturbed");
    let records = sandbox.journal().lines.len();
    assert!(records >= 5);
    for first in 1..=records {
        for second in 0..=records {
            let sandbox = Sandbox::new(scenario);
            assert!(sandbox.supervise_until(first), "not killed after record {first}");
            if second > 0 {
                sandbox.supervise_until(sandbox.journal().lines.len() + second);
            }
            let result = sandbox.finish();
            let history = format!("killed after record {first}, then {second} records later");
            check(&sandbox, &result, scenario, &history);
        }
    }
}

#[test]
fn a_plain_command() {
    every_crash(&Scenario { script: "exit 7\n", idempotent: false, attempts: 1 }, 7);
}

#[test]
fn a_command_that_asks_for_a_reboot() {
    let script = "test $CAREEN_ATTEMPT = 2 || exit 194\n";
    every_crash(&Scenario { script, idempotent: false, attempts: 2 }, 0);
}

#[test]
fn an_idempotent_command() {
    every_crash(&Scenario { script: "exit 0\n", idempotent: true, attempts: 3 }, 0);
}

#[test]
fn a_journal_that_is_damaged_starts_nothing_and_stays_as_it_is() {
    for damage in [&b"garbage\n"[..], b"{\"v\":99,\"seq\":1}\n", b"\0\0\0\0\n", b"{\"v\":1,\"seq\":2}\n"] {
        let scenario = Scenario { script: "exit 0\n", idempotent: true, attempts: 1 };
        let sandbox = Sandbox::new(&scenario);
        fs::write(sandbox.transaction("journal.jsonl"), damage).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER]);
        command.env("SANDBOX", sandbox.base.path()).env("AGENT", env!("CARGO_BIN_EXE_careen-agent"));
        let output = command.output().expect("unshare is installed");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(sandbox.lines("lib/begun").is_empty());
        assert_eq!(fs::read(sandbox.transaction("journal.jsonl")).unwrap(), damage);
    }
}
