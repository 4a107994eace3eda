//! The supervisor, killed behind every record that it writes, and behind every record of the one that takes over.
//!
//! The real binary runs in a mount namespace of its own, with its own /var/lib, /run and boot id, and with a `systemctl`
//! whose reboot changes that boot id and ends the supervisor; an engine of the machine's own is hidden. So every interleaving of crash and takeover is played
//! through in seconds, with real files, processes, locks and syncs. Needs root.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod sandbox;

use careen_host::journal::{Record, TransactionResult};
use sandbox::{Sandbox, Scenario, place};
use std::fs;

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

/// What a supervisor does to the transaction of a sandbox.
trait Supervised {
    fn supervise(&self, crash_after: Option<usize>) -> bool;
    fn supervise_until(&self, record: usize) -> bool;
    fn finish(&self) -> TransactionResult;
}

impl Supervised for Sandbox {
    /// Runs a supervisor to its end, which comes behind the record of this number, or by itself. Says whether it was
    /// killed.
    fn supervise(&self, crash_after: Option<usize>) -> bool {
        let mut command = self.enter(&["--mount"], ENTER);
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
    let sandbox = Sandbox::new(scenario, &place());
    let result = sandbox.finish();
    assert_eq!(result.exit_code, undisturbed, "{result:?}");
    check(&sandbox, &result, scenario, "undisturbed");
    let records = sandbox.journal().lines.len();
    assert!(records >= 5);
    for first in 1..=records {
        for second in 0..=records {
            let sandbox = Sandbox::new(scenario, &place());
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
    every_crash(&Scenario { script: "exit 7\n", idempotent: false, attempts: 1, timeout_ms: None }, 7);
}

#[test]
fn a_command_that_asks_for_a_reboot() {
    let script = "test $CAREEN_ATTEMPT = 2 || exit 194\n";
    every_crash(&Scenario { script, idempotent: false, attempts: 2, timeout_ms: None }, 0);
}

#[test]
fn an_idempotent_command() {
    every_crash(&Scenario { script: "exit 0\n", idempotent: true, attempts: 3, timeout_ms: None }, 0);
}

#[test]
fn a_journal_that_is_damaged_starts_nothing_and_stays_as_it_is() {
    for damage in [&b"garbage\n"[..], b"{\"v\":99,\"seq\":1}\n", b"\0\0\0\0\n", b"{\"v\":1,\"seq\":2}\n"] {
        let scenario = Scenario { script: "exit 0\n", idempotent: true, attempts: 1, timeout_ms: None };
        let sandbox = Sandbox::new(&scenario, &place());
        fs::write(sandbox.transaction("journal.jsonl"), damage).unwrap();
        let output = sandbox.enter(&["--mount"], ENTER).output().expect("unshare is installed");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(sandbox.lines("lib/begun").is_empty());
        assert_eq!(fs::read(sandbox.transaction("journal.jsonl")).unwrap(), damage);
    }
}
