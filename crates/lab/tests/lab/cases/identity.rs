//! The same work runs once on a host, and one piece of work at a time.

use crate::support::{File, assert_contains, host};

const COUNTS: &str = "#!/bin/sh\necho run >> /run/careen-test-runs; wc -l < /run/careen-test-runs\n";

#[test]
fn a_container_that_is_started_again_reports_and_does_not_run_again() {
    let host = host();
    host.must("rm -f /run/careen-test-runs");
    let image = host.script(COUNTS);
    let container = host.run(&image).start();
    container.await_log("exit code 0");
    container.docker(&["wait"]);
    container.docker(&["start"]).expect(0);
    container.await_log("this is the recorded result, nothing was run again. For another run");
    let ran = container.wait().expect(0);
    assert_eq!(ran.text(), "1\n1\n", "the log is printed again, the command is not run again");
    assert_eq!(host.must("cat /run/careen-test-runs && rm /run/careen-test-runs"), "run\n");
}

#[test]
fn another_container_is_another_run() {
    let host = host();
    host.must("rm -f /run/careen-test-runs");
    let image = host.script(COUNTS);
    assert_eq!(host.run(&image).go().expect(0).text(), "1\n");
    assert_eq!(host.run(&image).go().expect(0).text(), "2\n");
    host.must("rm /run/careen-test-runs");
}

#[test]
fn two_agents_at_once_on_one_transaction_run_it_once_and_both_report_it() {
    let host = host();
    host.must("rm -f /run/careen-test-runs");
    let image = host.script(&format!("{COUNTS}sleep 1\n"));
    let run = || host.run(&image).env("CAREEN_TRANSACTION", "shared").start();
    let containers: Vec<_> = (0..4).map(|_| run()).collect();
    for container in containers {
        assert_eq!(container.wait().expect(0).text(), "1\n");
    }
    assert_eq!(host.must("cat /run/careen-test-runs && rm /run/careen-test-runs"), "run\n");
    host.must("rm -rf /var/lib/careen/transactions/shared");
}

#[test]
fn a_host_does_one_thing_at_a_time_but_can_be_looked_at() {
    let host = host();
    host.must("rm -f /run/careen-test-go");
    let image = host.image(&[
        File::script(
            "install",
            "#!/bin/sh\necho waiting; until test -e /run/careen-test-go; do sleep 0.05; done\n",
        ),
        File::script("check", "#!/bin/sh\necho drifted; exit 2\n"),
    ]);
    let first = host.run(&image).start();
    first.await_log("waiting");
    let id = host.must("careen-agent list | tail -n 1 | cut -d' ' -f1");
    let second = host.run(&image).go().expect(244);
    assert_contains(&second.stderr, &format!("this host is busy with transaction {}", id.trim()));
    assert_eq!(host.run(&image).command(&["check"]).go().expect(2).text(), "drifted\n");
    host.must("touch /run/careen-test-go");
    first.wait().expect(0);
    host.must("rm /run/careen-test-go");
    host.run(&image).command(&["check"]).go().expect(2);
}

#[test]
fn a_supervisor_that_is_killed_leaves_an_interrupted_transaction_that_is_never_run_again() {
    let host = host();
    host.must("rm -f /run/careen-test-runs");
    let image = host.script("#!/bin/sh\necho run >> /run/careen-test-runs; echo working; exec sleep 600\n");
    let container = host.run(&image).start();
    container.await_log("working");
    host.must("pkill -KILL -f '[c]areen-agent supervise'");
    container.await_log("the supervisor is gone");
    let ran = container.wait().expect(245);
    assert_contains(&ran.stderr, "was interrupted: its supervisor is gone and left no result");
    assert_eq!(ran.text(), "working\n", "printed once, whoever follows");
    assert_eq!(host.must("cat /run/careen-test-runs && rm /run/careen-test-runs"), "run\n");
    host.must("pkill -f '[s]leep 600'");
}

#[test]
fn a_corrupt_record_is_an_error_and_not_a_reason_to_run() {
    let host = host();
    let image = host.script("#!/bin/sh\necho ran\n");
    let run = || host.run(&image).env("CAREEN_TRANSACTION", "corrupt");
    run().go().expect(0);
    host.must("printf 'garbage\\n' > /var/lib/careen/transactions/corrupt/journal.jsonl");
    let ran = run().go().expect(248);
    assert_eq!(ran.text(), "");
    assert_contains(&ran.stderr, "journal.jsonl: line 1 is corrupt");
    assert_contains(&ran.stderr, "nobody knows whether its command ran");
    host.must("rm -rf /var/lib/careen/transactions/corrupt");
}

/// Makes of a host's record one that another machine wrote: what a host finds whose disk is a copy.
const COPY: &str = r#"sed -i 's/"..:..:..:..:..:.."/"02:00:00:00:00:01"/' /var/lib/careen/machine.json"#;

#[test]
fn on_a_copy_of_another_hosts_disk_nothing_goes_on_and_nothing_counts_until_somebody_says_which_it_is() {
    let host = host();
    host.must("rm -f /run/careen-test-runs");
    let image = host.script(COUNTS);
    let run = || host.run(&image).env("CAREEN_TRANSACTION", "copied").go();
    assert_eq!(run().expect(0).text(), "1\n");
    let standing = || host.must("careen-agent machine");
    assert_contains(&standing(), "\"standing\":\"own\"");
    host.must(COPY);
    assert_contains(&standing(), "\"standing\":\"copied\"");

    let refused = run().expect(248);
    for part in ["was copied from machine ", "careen-agent machine new", "careen-agent machine keep"] {
        assert_contains(&refused.stderr, part);
    }
    let resumed = host.sh("careen-agent resume").expect("a shell on the host");
    assert!(resumed.status == 1 && resumed.stderr.contains("was copied from machine "), "{resumed:?}");

    // It is the same machine after all: what it knew counts again.
    assert_contains(&host.must("careen-agent machine keep"), "what it had begun goes on");
    assert_contains(&standing(), "\"standing\":\"own\"");
    assert_contains(&run().expect(0).stderr, "nothing was run again");

    // It is another one: what the original did was not done here.
    host.must(COPY);
    assert_contains(&host.must("careen-agent machine new"), "nothing was begun on it");
    assert_eq!(host.must("careen-agent list"), "");
    assert_eq!(run().expect(0).text(), "2\n");
    host.must("rm -rf /var/lib/careen/transactions-before-* /var/lib/careen/transactions/copied");
    host.must("rm /run/careen-test-runs");
}
