//! A record on the host that is damaged, or newer than whoever reads it: said clearly, and never a reason to run.

use crate::support::{GATED, GATED_STATUS, Gates, Host, Image, assert_contains, host};

const NAME: &str = "damaged";
const DIRECTORY: &str = "/var/lib/careen/transactions/damaged";

/// A closed transaction, which can be damaged over and over.
struct Record<'a> {
    host: &'a Host,
    gates: Gates<'a>,
    image: Image,
}

impl<'a> Record<'a> {
    fn new(host: &'a Host) -> Self {
        let gates = Gates::new(host.node());
        gates.open(&["start", "middle", "end"]);
        let image = host.script(GATED);
        let record = Self { host, gates, image };
        record.run().expect(GATED_STATUS);
        host.must(&format!("rm -rf {DIRECTORY}.saved && cp -a {DIRECTORY} {DIRECTORY}.saved"));
        record
    }

    /// Damages the undamaged transaction; the script runs in its directory.
    fn damage(&self, script: &str) {
        let restore = format!("rm -rf {DIRECTORY} && cp -a {DIRECTORY}.saved {DIRECTORY} && cd {DIRECTORY}");
        self.host.must(&format!("{restore} && {script}"));
    }

    fn run(&self) -> crate::support::Ran {
        self.host.run(&self.image).env("CAREEN_TRANSACTION", NAME).go()
    }

    /// Everybody who reads it says these words, and fails.
    #[track_caller]
    fn is_refused(&self, words: &str) {
        let ran = self.run().expect(248);
        assert_contains(&ran.stderr, words);
        assert_contains(&ran.stderr, "nobody knows whether its command ran");
        assert_eq!(ran.text(), "");
        for verb in ["list", &format!("show {NAME}")] {
            let said = self.host.sh(&format!("careen-agent {verb} 2>&1")).expect("exec");
            assert_eq!(said.status, 1, "{verb}: {}", said.stdout);
            assert_contains(&said.stdout, words);
        }
        assert_eq!(self.gates.runs(), 1);
    }

    fn finish(self) {
        self.host.must(&format!("rm -r {DIRECTORY} {DIRECTORY}.saved"));
    }
}

#[test]
fn a_journal_that_is_cut_at_any_byte_never_runs_the_command_again() {
    let host = host();
    let record = Record::new(&host);
    let journal = host.must(&format!("cat {DIRECTORY}/journal.jsonl"));
    let behind = |event: &str| {
        let at = journal.find(event).unwrap_or_else(|| panic!("no {event} in {journal}"));
        at + journal[at..].find('\n').expect("a line") + 1
    };
    let (starting, ended) = (behind("\"starting\""), behind("\"ended\""));
    // Before the first start is on record: what else is on the host tells that there was one.
    for length in [0, 1, 40, behind("\"supervised\""), starting - 1] {
        record.damage(&format!("truncate -s {length} journal.jsonl"));
        record.is_refused("it was cut off: it tells of no start");
    }
    // Behind it: an interruption. Behind the command's end: its status, which is known.
    for (length, code) in
        [(starting, 245), ((starting + ended) / 2, 245), (ended - 1, 245), (ended, GATED_STATUS)]
    {
        record.damage(&format!("truncate -s {length} journal.jsonl"));
        record.run().expect(code);
        assert_eq!(record.gates.runs(), 1, "cut at {length}");
    }
    record.finish();
}

#[test]
fn garbage_and_newer_records_are_told_apart_and_refused() {
    let host = host();
    let record = Record::new(&host);
    for (script, words) in [
        ("sed -i '3s/.*/garbage/' journal.jsonl", "journal.jsonl: line 3 is corrupt"),
        (
            "printf '\\000\\000\\000\\000\\000\\000\\000\\000' | dd conv=notrunc bs=1 seek=200 of=journal.jsonl 2>/dev/null",
            "is corrupt",
        ),
        ("sed -i 2d journal.jsonl", "journal.jsonl: line 2 has sequence number 3"),
        (
            "sed -i '4s/\"v\":1/\"v\":2/' journal.jsonl",
            "journal.jsonl: line 4 has version 2, this version reads up to 1",
        ),
        (
            "sed -i 's/\"schema\": 1/\"schema\": 9/' manifest.json",
            "manifest.json: has schema 9, this version reads up to 1",
        ),
        ("truncate -s 100 manifest.json", "manifest.json: is corrupt"),
    ] {
        record.damage(script);
        record.is_refused(words);
    }
    record.finish();
}
