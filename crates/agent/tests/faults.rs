//! Every file operation of a supervisor fails, one after the other, with each error that it can meet; and before each of them
//! the host loses power, and with it what was not synced. See `src/files/`, and docs/testing.md for how to play one again.
//!
//! The real binary runs in namespaces of its own, as in crash.rs. A fault hits one supervisor; those that take over find a
//! disk that is mended. Needs root.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod sandbox;

use careen_host::journal::{Record, TransactionResult, encode};
use careen_host::manifest::Manifest;
use careen_host::outcome::{CommandEnd, Outcome};
use careen_host::transaction::TransactionStage;
use careen_testing::program;
use sandbox::{Sandbox, Scenario, place};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More supervisors than any history here can need: a transaction that is not closed by then never will be.
const MAX_SUPERVISIONS: usize = 8;

/// Mounts the sandbox over the machine's own directories, runs the supervisor, and looks whether it has left a command alone.
/// Whatever runs here ends with this script, as at a power cut.
const ENTER: &str = r#"
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$SANDBOX/boot_id" /proc/sys/kernel/random/boot_id
mount --bind "$SANDBOX/sbin" /usr/local/sbin
mount --bind "$SANDBOX/run" /run
mount --bind "$SANDBOX/lib" /var/lib
[ ! -d /etc/systemd/system ] || mount -t tmpfs none /etc/systemd/system
set +e
if [ -e "$SANDBOX/go" ]; then
	printf '{"number":0,"agent":1,"boot":"%s","seen":{"secs":%d,"nanos":0}}' "$(cat /proc/sys/kernel/random/boot_id)" \
		$(($(cut -d. -f1 /proc/uptime) - ${GO_AGE:-0})) > /var/lib/careen/transactions/t1/go
fi
timeout 60 "$AGENT" supervise systemd t1 $(cat "$SANDBOX/go" 2> /dev/null)
code=$?
if [ $code -lt 128 ] && grep -qs "[p]ayload/install" /proc/[0-9]*/cmdline; then
	echo "the supervisor is gone (exit $code), and its command runs" >> "$SANDBOX/violations"
fi
exit $code
"#;

const NAMESPACES: [&str; 5] = ["--mount", "--pid", "--fork", "--kill-child", "--"];

/// How a supervisor ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    GaveUp,
    LostPower,
}

/// A scenario, and how it ends when nothing is disturbed.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    scenario: Scenario,
    /// Whether it is a rollout's, offered by an agent whose go each supervisor carries.
    awaits_go: bool,
    exit: u8,
}

const CASES: [Case; 6] = [
    Case {
        name: "a plain command",
        scenario: Scenario {
            script: "echo done >> /var/lib/finished\nexit 7\n",
            idempotent: false,
            attempts: 1,
            timeout_ms: None,
        },
        awaits_go: false,
        exit: 7,
    },
    Case {
        name: "a command that asks for a reboot",
        scenario: Scenario {
            script: "test $CAREEN_ATTEMPT = 2 || exit 194\necho done >> /var/lib/finished\n",
            idempotent: false,
            attempts: 2,
            timeout_ms: None,
        },
        awaits_go: false,
        exit: 0,
    },
    Case {
        name: "an idempotent command",
        scenario: Scenario {
            script: "echo done >> /var/lib/finished\n",
            idempotent: true,
            attempts: 3,
            timeout_ms: None,
        },
        awaits_go: false,
        exit: 0,
    },
    Case {
        name: "a command at its time limit",
        scenario: Scenario {
            script: "sleep 20\necho 'past its time limit' >> /var/lib/violations\n",
            idempotent: false,
            attempts: 1,
            timeout_ms: Some(100),
        },
        awaits_go: false,
        exit: 124,
    },
    Case {
        name: "a command that is cancelled",
        scenario: Scenario { script: CANCELLED, idempotent: false, attempts: 1, timeout_ms: None },
        awaits_go: false,
        exit: 245,
    },
    Case {
        name: "a command of a rollout",
        scenario: Scenario {
            script: "echo done >> /var/lib/finished\nexit 7\n",
            idempotent: false,
            attempts: 1,
            timeout_ms: None,
        },
        awaits_go: true,
        exit: 7,
    },
];

/// Looks for the host's lock, and has itself cancelled.
const CANCELLED: &str = r#"
grep -q ":$(stat -c %i /var/lib/careen/lock) " /proc/locks || echo 'the host is not locked' >> /var/lib/violations
"$AGENT" cancel t1 > /var/lib/cancelled 2>&1 || echo 'it cannot be cancelled' >> /var/lib/violations
sleep 20
echo 'not stopped' >> /var/lib/violations
"#;

/// One operation of an undisturbed supervisor.
#[derive(Debug, Clone)]
struct Operation {
    thread: String,
    number: u64,
    class: String,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.thread == "main" {
            write!(f, "{}", self.number)
        } else {
            write!(f, "{}/{}", self.thread, self.number)
        }
    }
}

fn sandbox(case: &Case) -> Sandbox {
    let sandbox = Sandbox::new(&case.scenario, &place());
    fs::create_dir(sandbox.path("lib/stash")).unwrap();
    if case.awaits_go {
        offer(&sandbox);
    }
    sandbox
}

/// As an agent of a rollout leaves it behind: the command is offered, and its go is the agent's number. Whoever enters passes the go
/// on, as that agent does.
fn offer(sandbox: &Sandbox) {
    let path = sandbox.transaction("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.awaits_go = true;
    fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let offered = encode(1, manifest.created, &Record::Offered { agent: 1 }).unwrap();
    fs::write(sandbox.transaction("journal.jsonl"), offered).unwrap();
    fs::write(sandbox.path("go"), "1").unwrap();
}

/// Runs a supervisor to its end, with these faults.
fn supervise(sandbox: &Sandbox, faults: &str) -> (End, String) {
    let mut command = sandbox.enter(&NAMESPACES, ENTER);
    command.env("CAREEN_FAULTS", faults).env("CAREEN_FAULT_STASH", "/var/lib/stash");
    command.env("CAREEN_FAULT_ALONE", "1");
    command.env("CAREEN_FAULT_TRACE", sandbox.path("trace")).env("CAREEN_FAULT_PATIENCE_MS", "150");
    let Output { status, stderr, .. } = command.output().expect("unshare is installed");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    let end = match status.code() {
        Some(0) => End::Done,
        Some(1) => End::GaveUp,
        Some(137) => End::LostPower,
        other => panic!("{faults}: a supervisor ended with {other:?}: {said}"),
    };
    if end == End::LostPower {
        power_cut(sandbox);
    }
    (end, said)
}

/// What a power cut takes beside what the supervisor itself has undone.
fn power_cut(sandbox: &Sandbox) {
    // Whatever the command still said of a supervisor that had just lost its power does not count.
    let _ = fs::remove_file(sandbox.path("lib/violations"));
    fs::remove_dir_all(sandbox.path("run")).unwrap();
    fs::create_dir(sandbox.path("run")).unwrap();
    let boots = sandbox.lines("boot_id").concat();
    fs::write(sandbox.path("boot_id"), format!("{boots}-and-another\n")).unwrap();
}

/// Plays one history: these faults for one supervisor, and then for the next one these. Returns what is wrong with it, and how
/// many supervisors it took.
fn play(case: &Case, faults: &[&str]) -> Result<usize, String> {
    let sandbox = sandbox(case);
    let mut said = String::new();
    for number in 0..MAX_SUPERVISIONS {
        let fault = faults.get(number).copied().unwrap_or_default();
        let (end, words) = supervise(&sandbox, fault);
        said.push_str(&format!("-- supervisor {number} ({fault}): {end:?}\n{words}"));
        let mut wrong = violations(&sandbox);
        wrong.extend(check_end(&sandbox, &end, &words));
        if let Some(result) = sandbox.result() {
            wrong.extend(check(&sandbox, case, &result, &end));
            // It stays what it is, whoever looks again.
            if faults.iter().any(|fault| fault.contains("crash")) {
                supervise(&sandbox, "");
                if sandbox.result().as_ref() != Some(&result) {
                    wrong.push("the result has changed".into());
                }
            }
            return if wrong.is_empty() {
                Ok(number + 1)
            } else {
                Err(told(&sandbox, case, faults, &said, &wrong))
            };
        }
        if !wrong.is_empty() {
            return Err(told(&sandbox, case, faults, &said, &wrong));
        }
        // Nothing was begun, and another agent has to offer it anew.
        if sandbox.state().stage == TransactionStage::Revoked {
            let begun = sandbox.lines("lib/begun");
            let wrong = format!("revoked, and begun: {begun:?}");
            return if begun.is_empty() {
                Ok(number + 1)
            } else {
                Err(told(&sandbox, case, faults, &said, &[wrong]))
            };
        }
    }
    Err(told(&sandbox, case, faults, &said, &[format!("not closed after {MAX_SUPERVISIONS} supervisors")]))
}

fn violations(sandbox: &Sandbox) -> Vec<String> {
    ["violations", "lib/violations"].iter().flat_map(|file| sandbox.lines(file)).collect()
}

/// One that gave up said why; one that ended well has closed, waits for a boot, or has revoked what nobody gave the go for.
fn check_end(sandbox: &Sandbox, end: &End, said: &str) -> Option<String> {
    let closed = sandbox.result().is_some();
    let goes_on =
        matches!(sandbox.state().stage, TransactionStage::Rebooting { .. } | TransactionStage::Revoked);
    let wrong = match end {
        End::Done if !closed && !goes_on => "ended and has not closed",
        End::GaveUp if !said.contains("careen: cannot go on error=") => "gave up and did not say why",
        End::Done | End::GaveUp | End::LostPower => return None,
    };
    Some(format!("a supervisor {wrong}"))
}

/// What must hold of a closed transaction, whatever happened.
fn check(sandbox: &Sandbox, case: &Case, result: &TransactionResult, end: &End) -> Vec<String> {
    let mut wrong = Vec::new();
    let begun = sandbox.lines("lib/begun");
    if begun.iter().collect::<BTreeSet<_>>().len() < begun.len() || begun.len() > case.scenario.attempts {
        wrong.push(format!("attempts began twice, or too many: {begun:?}"));
    }
    let finished = !sandbox.lines("lib/finished").is_empty();
    if result.outcome == (Outcome::Exited { status: 0 }) && !finished {
        wrong.push("a success of which nothing was done".into());
    }
    let expected = [case.exit, 245, 126];
    if !expected.contains(&result.exit_code) || (result.exit_code == 126 && finished) {
        wrong.push(format!("exit code {}: {result:?}", result.exit_code));
    }
    let is_left = |name: &str| sandbox.transaction(name).symlink_metadata().is_ok();
    let mut left: Vec<&str> = ["payload", "environment.json", "hold", "control.sock"]
        .into_iter()
        .filter(|name| is_left(name))
        .collect();
    left.extend(sandbox.path("run/careen/secrets/t1").exists().then_some("secrets"));
    // A name in /run that a supervisor could not remove, and one that nobody reads.
    let told = result.notes.iter().any(|note| note.contains("could not be removed"));
    if !left.is_empty() && !told && *end != End::LostPower {
        wrong.push(format!("left behind, and not told: {left:?}"));
    }
    if left.contains(&"environment.json") && !told {
        wrong.push("the environment came back with the power".into());
    }
    // One that could not be started has said nothing.
    let has_run = |record: &Record| matches!(record, Record::Ended { end, .. } if !matches!(end, CommandEnd::NotStarted(_)));
    let ended = sandbox.journal().lines.iter().filter(|line| has_run(&line.record)).count();
    let output = fs::read_to_string(sandbox.transaction("output.log")).unwrap_or_default();
    let told = result.notes.iter().any(|note| note.contains("of output") || note.contains("the output"));
    if output.matches("attempt").count() < ended && !told {
        wrong.push(format!("output of an ended attempt is lost, and not told: {output:?}"));
    }
    wrong
}

fn told(sandbox: &Sandbox, case: &Case, faults: &[&str], said: &str, wrong: &[String]) -> String {
    let trace = fs::read_to_string(sandbox.path("trace")).unwrap_or_default();
    let hit: Vec<&str> = trace.lines().filter(|line| line.split(' ').count() > 4).take(10).collect();
    let journal = fs::read_to_string(sandbox.transaction("journal.jsonl")).unwrap_or_default();
    format!(
        "== {}, faults {faults:?}: {}\n{said}-- hit: {hit:#?}\n-- journal:\n{journal}",
        case.name,
        wrong.join("; ")
    )
}

/// The operations of a supervisor that nothing disturbs.
fn operations(case: &Case) -> Vec<Operation> {
    let sandbox = sandbox(case);
    while sandbox.result().is_none() {
        supervise(&sandbox, "");
    }
    let result = sandbox.result().unwrap();
    assert_eq!(result.exit_code, case.exit, "{}: {result:?}, {:?}", case.name, sandbox.lines("trace"));
    let wrong = [violations(&sandbox), check(&sandbox, case, &result, &End::Done)].concat();
    assert!(wrong.is_empty(), "{} undisturbed: {wrong:?}", case.name);
    let mut operations: Vec<Operation> = sandbox.lines("trace").iter().map(|line| operation(line)).collect();
    // A second supervisor, behind a reboot, counts from 1 again.
    let mut seen = BTreeSet::new();
    operations.retain(|operation| operation.thread != "kernel" && seen.insert(operation.to_string()));
    operations
}

fn operation(line: &str) -> Operation {
    let mut words = line.splitn(4, ' ').map(str::to_owned);
    let mut next = || words.next().unwrap_or_default();
    let (thread, number) = (next(), next().parse().unwrap());
    Operation { thread, number, class: next() }
}

/// The faults that one operation meets: each kind of error once and for good, and the loss of power.
fn single_faults(operation: &Operation) -> Vec<String> {
    let changes = !matches!(operation.class.as_str(), "Open" | "Read" | "Stat" | "List" | "Sync");
    let grows =
        matches!(operation.class.as_str(), "Create" | "Write" | "Rename" | "MakeDirectory" | "Reserve");
    let mut faults = vec!["EIO", "crash"];
    if changes || operation.class == "Sync" {
        faults.push("crash-names");
    }
    if changes {
        faults.push(if operation.number.is_multiple_of(2) { "EROFS" } else { "EDQUOT" });
    }
    if grows {
        faults.push("ENOSPC");
    }
    if operation.class == "Write" {
        faults.push("short");
    }
    let mut faults: Vec<String> = faults.iter().map(|fault| format!("{operation}:{fault}")).collect();
    if changes {
        // A disk that stays full, one that is made read-only, and one that is mended while the supervisor lives.
        faults.extend(["ENOSPC", "EROFS", "EIO"].map(|fault| format!("{operation}-:{fault}")));
        let last = operation.number + 12;
        faults.push(format!(
            "{operation}-{last}:{}",
            if operation.number.is_multiple_of(2) { "ENOSPC" } else { "EIO" }
        ));
    }
    faults
}

/// Plays all histories, several at a time, and fails with those that are wrong. Says how many there were.
fn play_all(histories: &[(Case, Vec<String>)], what: &str) {
    let (next, supervisions) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * 8;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((case, faults)) = histories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
                    match play(case, &faults) {
                        Ok(count) => drop(supervisions.fetch_add(count, Ordering::Relaxed)),
                        Err(failure) => {
                            eprintln!("{}", failure.lines().next().unwrap_or_default());
                            failures.lock().unwrap().push(failure);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let shown = failures.iter().take(12).map(String::as_str).collect::<Vec<_>>().join("\n");
    let heads = failures.iter().filter_map(|failure| failure.lines().next()).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{shown}\n{} of {} are wrong:\n{heads}", failures.len(), histories.len());
    println!("{what}: {} histories, {} supervisors, none wrong", histories.len(), supervisions.into_inner());
}

/// Of an operation's faults, those that `make test` has time for: each operation meets one in each case, and more of them in
/// the first case.
fn sample(faults: Vec<String>, case: usize, number: u64) -> Vec<String> {
    let take = if case == 0 { 2 } else { 1 };
    let from = (usize::try_from(number).unwrap() + case * 3) % faults.len();
    let mut taken: Vec<String> = faults.iter().cycle().skip(from).step_by(2).take(take).cloned().collect();
    taken.sort();
    taken.dedup();
    taken
}

fn single_histories(is_whole: bool) -> Vec<(Case, Vec<String>)> {
    let mut histories = Vec::new();
    for (number, case) in CASES.into_iter().enumerate() {
        for operation in operations(&case) {
            let faults = single_faults(&operation);
            let faults = if is_whole { faults } else { sample(faults, number, operation.number) };
            // What is not careen's own is only looked at, in each case alike.
            let faults = if operation.thread == "host" {
                Vec::from_iter((number == 0).then(|| format!("{operation}:EIO")))
            } else {
                faults
            };
            histories.extend(faults.into_iter().map(|fault| (case, vec![fault])));
        }
    }
    histories
}

/// A host of 1,200 packages that the command upgrades all.
const PACKAGES: &str = r#"#!/bin/sh
test -e /var/lib/finished && to=2
for number in $(seq 1200); do
	printf 'ii \tlib-a-package-of-a-usual-name-%s\tamd64\t1:2.40.4-6ubuntu1.%s+esm1\n' $number ${to:-1}
done
"#;

#[test]
fn a_success_with_1200_changed_packages_is_closed_on_a_full_disk() {
    let script = "echo done >> /var/lib/finished; echo more >> /var/lib/dpkg/status\n";
    let case = Case { scenario: Scenario { script, ..CASES[2].scenario }, ..CASES[2] };
    let begun =
        operations(&CASES[2]).into_iter().filter(|operation| operation.class == "Sync").nth(5).unwrap();
    let sandbox = sandbox(&case);
    program(&sandbox.path("sbin/dpkg-query"), PACKAGES);
    fs::create_dir(sandbox.path("lib/dpkg")).unwrap();
    fs::write(sandbox.path("lib/dpkg/status"), "x").unwrap();
    let (end, said) = supervise(&sandbox, &format!("{begun}-:ENOSPC"));
    let result = sandbox.result().unwrap_or_else(|| panic!("not closed: {end:?} {said}"));
    assert_eq!(result.exit_code, 0, "{result:?}");
    let changes = result.changes.expect("the changes are recorded");
    assert_eq!(changes.changed.len(), 1200, "{:?}", changes.not_compared);
    let journal = fs::metadata(sandbox.transaction("journal.jsonl")).unwrap();
    assert!(journal.len() > 64 * 1024, "more than an earlier version had reserved");
}

/// The command's end, and what comes of it, when its journal cannot be written any more from the moment it runs.
#[test]
fn a_command_whose_journal_is_lost_is_stopped_and_said_to_be_unclosed() {
    for (number, fault) in [(3, "EIO"), (3, "EROFS"), (4, "EIO")] {
        let case = &CASES[number];
        let operations = operations(case);
        let running = operations.iter().filter(|operation| operation.class == "Sync").nth(5).unwrap();
        let sandbox = sandbox(case);
        let (end, said) = supervise(&sandbox, &format!("{running}-:{fault}"));
        assert_eq!(violations(&sandbox), Vec::<String>::new(), "{said}");
        assert_eq!(end, End::GaveUp, "{said}");
        for told in ["waiting hold=\"failed to write", "the command is over", "could not be recorded"] {
            assert!(said.contains(told), "{told}: {said}");
        }
        let hold = fs::read_to_string(sandbox.path("run/careen/holds/t1")).unwrap();
        assert!(hold.contains("could not be recorded"), "told in /run: {hold}");
        assert!(!sandbox.path("run/careen/secrets/t1").exists(), "secrets do not stay");
        assert!(sandbox.state().history.has_begun());
        supervise(&sandbox, "");
        let result = sandbox.result().expect("the next supervisor closes it");
        assert_eq!(result.exit_code, 245, "{result:?}");
        assert_eq!(sandbox.lines("lib/begun").len(), 1);
        assert!(!sandbox.path("run/careen/holds/t1").exists());
    }
}

/// Supervises, and cancels as soon as the supervisor says that it waits for a record; then ends it where that must not.
const SUPERVISE_AND_CANCEL: &str = r#"
"$AGENT" supervise systemd t1 &
supervisor=$!
for _ in $(seq 1200); do
	grep -qs "'$RECORD' to the journal" /run/careen/holds/t1 && break
	sleep 0.05
done
env -u CAREEN_FAULTS -u CAREEN_FAULT_TRACE "$AGENT" cancel t1 > /var/lib/cancelled 2>&1 ||
	echo 'it cannot be cancelled' >> /var/lib/violations
[ "$RECORD" = starting ] || kill -TERM $supervisor
wait $supervisor
exit $?
"#;

#[test]
fn a_command_whose_go_nobody_passes_on_any_more_does_not_begin() {
    let case = CASES.iter().find(|case| case.awaits_go).expect("one of a rollout");
    let sandbox = sandbox(case);
    let mut command = sandbox.enter(&NAMESPACES, ENTER);
    command.env("CAREEN_FAULT_PATIENCE_MS", "150").env("GO_AGE", "10");
    let Output { status, stderr, .. } = command.output().expect("unshare is installed");
    let said = String::from_utf8_lossy(&stderr);
    assert!(
        status.success() && said.contains("its agent did not pass the go on any more"),
        "{status}: {said}"
    );
    assert_eq!(sandbox.state().stage, TransactionStage::Revoked, "{said}");
    assert_eq!(sandbox.lines("lib/finished"), [""; 0]);
}

/// The disk is read-only from a record on. What that record only announces is not done; one of what has happened is waited
/// for. Whoever cancels hears which, why, and what to do.
#[test]
fn a_cancel_is_heard_while_a_record_cannot_be_written() {
    let case = &CASES[0];
    let undisturbed = sandbox(case);
    supervise(&undisturbed, "");
    let trace = undisturbed.lines("trace");
    let is_record = |line: &&String| line.contains(" Write ") && line.contains("/journal.jsonl");
    // Supervised, starting, running, ended. Behind 'running', and its sync and two looks for a hold, numbers depend on the output.
    let writes: Vec<u64> = trace.iter().filter(is_record).map(|line| operation(line).number).collect();
    let enter = ENTER.split_once("timeout ").expect("it supervises").0;
    for (record, from, code, told) in [
        ("starting", writes[1], 246, "'starting' could not be recorded, and is not done"),
        ("ended", writes[2] + 3, 1, "the record 'ended' is waited for"),
    ] {
        let sandbox = sandbox(case);
        let mut command = sandbox.enter(&NAMESPACES, &format!("{enter}{SUPERVISE_AND_CANCEL}"));
        command.env("CAREEN_FAULTS", format!("{from}-:EROFS")).env("RECORD", record);
        command.env("CAREEN_FAULT_TRACE", sandbox.path("trace")).env("CAREEN_FAULT_PATIENCE_MS", "120000");
        command.env("CAREEN_FAULT_STASH", "/var/lib/stash");
        let Output { status, stderr, .. } = command.output().expect("unshare is installed");
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(violations(&sandbox), Vec::<String>::new(), "{record}: {said}");
        let answer = sandbox.lines("lib/cancelled").concat();
        for word in [told, "Read-only file system", "look at the file system of /var/lib/careen"] {
            assert!(answer.contains(word), "{record}: {word}: {answer}: {said}");
        }
        assert_eq!(status.code(), Some(code), "{record}: {said}");
        let begun = sandbox.lines("lib/begun").len();
        assert_eq!(
            (sandbox.state().history.has_begun(), begun),
            (record == "ended", usize::from(record == "ended"))
        );
        supervise(&sandbox, "");
        let result = sandbox.result().expect("the next supervisor goes on");
        assert_eq!(result.exit_code, if record == "ended" { 245 } else { case.exit }, "{record}: {result:?}");
    }
}

/// What the kernel tells of processes cannot be read any more, as when the host has no file descriptors left.
#[test]
fn a_command_is_stopped_also_where_nothing_can_be_looked_up_in_proc() {
    let case = CASES[3];
    let count = {
        let sandbox = sandbox(&case);
        supervise(&sandbox, "kernel/1000000:EIO");
        sandbox.lines("trace").iter().filter(|line| line.starts_with("kernel ")).count()
    };
    assert!(count > 10);
    let step = (count / 24).max(1);
    let histories = (1..=count).step_by(step).map(|from| (case, vec![format!("kernel/{from}-:EIO")]));
    play_all(&histories.collect::<Vec<_>>(), "faults of /proc");
}

/// Becomes an agent in a container whose host is the sandbox; its supervisor is a process of that container, which no fault hits.
const ENTER_CONTAINER: &str = r#"
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$SANDBOX/boot_id" /proc/sys/kernel/random/boot_id
mount --bind "$SANDBOX/sbin" /usr/local/sbin
mount --bind "$SANDBOX/run" /run
mount --bind "$SANDBOX/lib" /var/lib
[ ! -d /etc/systemd/system ] || mount -t tmpfs none /etc/systemd/system
cd "$SANDBOX/root"
for name in bin lib lib64 sbin; do [ ! -L /$name ] || ln -sfn "$(readlink /$name)" $name; done
mount --rbind / host
mount --bind /usr usr
mount -t proc proc proc
exec timeout 120 chroot . /agent run install
"#;

/// A container and its host. The agent is a small copy of the one that is tested: it copies itself to the host.
fn container(agent: &Path) -> Sandbox {
    let sandbox = sandbox(&CASES[0]);
    for directory in ["root/install", "root/usr", "root/proc", "root/host", "lib/stash", "lib/careen"] {
        let _ = fs::remove_dir_all(sandbox.path(directory));
        fs::create_dir_all(sandbox.path(directory)).unwrap();
    }
    fs::remove_dir(sandbox.path("lib/careen")).unwrap();
    let script = "#!/bin/sh\necho $CAREEN_ATTEMPT >> /var/lib/begun\nexit 7\n";
    program(&sandbox.path("root/install/install"), script);
    fs::hard_link(agent, sandbox.path("root/agent")).unwrap();
    sandbox
}

fn small_agent() -> PathBuf {
    let target = place().join(format!("careen-agent-{}", std::process::id()));
    let binary = env!("CARGO_BIN_EXE_careen-agent");
    let stripped = std::process::Command::new("strip").arg("-o").arg(&target).arg(binary).status();
    if !stripped.is_ok_and(|status| status.success()) {
        fs::copy(binary, &target).unwrap();
    }
    target
}

/// Runs an agent to its end; returns its exit code and its words.
fn run_agent(sandbox: &Sandbox, faults: &str) -> (i32, String) {
    let mut command = sandbox.enter(&NAMESPACES, ENTER_CONTAINER);
    for (name, value) in [
        ("CAREEN_TRANSACTION", "t1"),
        ("CAREEN_HOST_ENTRY", "chroot"),
        ("CAREEN_ENGINE_RESTART", "never"),
        ("CAREEN_FAULTS", faults),
        ("CAREEN_FAULT_STASH", "/var/lib/stash"),
        ("CAREEN_FAULT_ALONE", "1"),
        ("CAREEN_FAULT_TRACE", "/trace"),
    ] {
        command.env(name, value);
    }
    let Output { status, stderr, .. } = command.output().expect("unshare is installed");
    let code = status.code().unwrap_or(137);
    if code == 137 {
        power_cut(sandbox);
    }
    (code, String::from_utf8_lossy(&stderr).into_owned())
}

/// One agent meets the fault, the next ones do not: in the end the command has run at most once, and is told.
fn play_agent(agent: &Path, faults: &str) -> Result<(), String> {
    let sandbox = container(agent);
    let mut told = String::new();
    for number in 0..MAX_SUPERVISIONS {
        let (code, said) = run_agent(&sandbox, if number == 0 { faults } else { "" });
        told.push_str(&format!("-- agent {number}: {code}\n{said}"));
        let begun = sandbox.lines("lib/begun");
        // The supervisor dies with the container of the agent that did.
        let was_cut = faults.contains("crash") || number > 0;
        let wrong = match code {
            _ if begun.len() > 1 => "the command began twice",
            7 if begun.len() == 1 => "",
            245 if was_cut => "",
            126 if was_cut && begun.is_empty() => "", // the payload is not synced, and not executed either
            7 | 126 => "the command did not run",
            // Refused, or not entered: nothing was begun, and it can be asked for again.
            137 | 245 | 247 | 248 => continue,
            _ => "an exit code of nobody's",
        };
        let left = ["payload", "environment.json"].iter().any(|name| sandbox.transaction(name).exists());
        return match (wrong, left) {
            ("", false) => Ok(()),
            ("", true) => Err(format!("== agent, fault {faults}: payload or environment are left\n{told}")),
            (wrong, _) => Err(format!("== agent, fault {faults}: {wrong}\n{told}")),
        };
    }
    Err(format!("== agent, fault {faults}: never ended\n{told}"))
}

fn agent_faults(is_whole: bool) {
    let agent = small_agent();
    let sandbox = container(&agent);
    let (code, said) = run_agent(&sandbox, "");
    assert_eq!(code, 7, "{said}");
    let mut seen = BTreeSet::new();
    // Behind the supervisor's start it only reads, as often as it is told of something.
    let trace = sandbox.lines("root/trace");
    let trace = trace.iter().take_while(|line| !(line.contains(" Open ") && line.contains("/output.")));
    let mut operations: Vec<Operation> = trace.map(|line| operation(line)).collect();
    operations.retain(|found| found.thread == "main" && seen.insert(found.to_string()));
    let sampled = |operation: &Operation| {
        let faults = single_faults(operation);
        if is_whole { faults } else { sample(faults, 1, operation.number) }
    };
    // What `make test` has no time for is left to `make soak`.
    let step = if is_whole { 1 } else { 3 };
    let faults: Vec<String> = operations.iter().step_by(step).flat_map(sampled).collect();
    assert!(faults.len() > 40, "{operations:?}");
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    failures.lock().unwrap().extend(play_agent(&agent, fault).err());
                }
            });
        }
    });
    fs::remove_file(&agent).unwrap();
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}\n{} of {} are wrong", failures.join("\n"), failures.len(), faults.len());
    println!("faults of an agent: {} histories, none wrong", faults.len());
}

#[test]
fn agent() {
    agent_faults(false);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn agent_whole() {
    agent_faults(true);
}

#[test]
fn single() {
    play_all(&single_histories(false), "single faults, sampled");
}

#[test]
#[ignore = "takes many minutes: make soak"]
fn single_whole() {
    let mut histories = single_histories(true);
    // One that is stopped in the middle has seen something of everything.
    histories.sort_by_key(|(_, faults)| faults.concat().bytes().rev().collect::<Vec<_>>());
    play_all(&histories, "single faults");
}

/// Two faults: the second hits the supervisor that takes over, or the same one some operations later.
#[test]
#[ignore = "takes many minutes: make soak"]
fn pairs() {
    let limit =
        std::env::var("CAREEN_FAULT_PAIRS").ok().and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let mut histories = Vec::new();
    for case in CASES {
        let faults: Vec<Vec<String>> = operations(&case)
            .iter()
            .filter(|operation| operation.thread != "host" && operation.thread != "kernel")
            .map(single_faults)
            .collect();
        for (first, firsts) in faults.iter().enumerate() {
            for (second, seconds) in faults.iter().enumerate() {
                let one = &firsts[second % firsts.len()];
                let other = &seconds[first % seconds.len()];
                histories.push((case, vec![one.clone(), other.clone()]));
                if first < second {
                    histories.push((case, vec![format!("{one},{other}")]));
                }
            }
        }
    }
    // So that a part of them is a sample of all.
    let step = histories.len().div_ceil(limit.max(1));
    let histories: Vec<_> = histories.into_iter().step_by(step.max(1)).collect();
    play_all(&histories, "pairs of faults");
}
