//! A command that goes from gate to gate, so that a test acts at an exact point of it.

use super::eventually;
use careen_lab::Node;
use std::ops::Range;

/// Counts its runs, prints nothing before the gate `start`, three lines before each of the gates `middle` and `end`, and
/// exits with 3. It waits at a gate until the test opens it, or takes all of them away.
pub const GATED: &str = "#!/bin/sh
gates=/run/careen-test-gates
pass() { touch $gates/at-$1; while test -e $gates && ! test -e $gates/open-$1; do sleep 0.02; done; }
echo run >> $gates/runs
pass start
for line in 1 2 3; do echo line $line; done
pass middle
for line in 4 5 6; do echo line $line; done
pass end
exit 3
";

/// What [`GATED`] exits with.
pub const GATED_STATUS: i32 = 3;

const GATES: &str = "/run/careen-test-gates";

/// The gates of [`GATED`] on one host. Dropped, all of them are open.
pub struct Gates<'a> {
    node: &'a Node,
}

impl<'a> Gates<'a> {
    /// Puts up new ones.
    pub fn new(node: &'a Node) -> Self {
        let gates = Self { node };
        gates.must(&format!("rm -rf {GATES} && mkdir {GATES}"));
        gates
    }

    /// Waits until the command stands at this gate.
    #[track_caller]
    pub fn await_at(&self, gate: &str) {
        eventually(&format!("the command at the gate '{gate}'"), || {
            let seen = self.must(&format!("ls {GATES}"));
            if seen.lines().any(|name| name == format!("at-{gate}")) { Ok(()) } else { Err(seen) }
        });
    }

    /// Opens gates.
    #[track_caller]
    pub fn open(&self, gates: &[&str]) {
        gates.iter().for_each(|gate| drop(self.must(&format!("touch {GATES}/open-{gate}"))));
    }

    /// How often the command ran.
    #[track_caller]
    pub fn runs(&self) -> usize {
        self.must(&format!("cat {GATES}/runs")).lines().count()
    }

    #[track_caller]
    fn must(&self, script: &str) -> String {
        let ran = self.node.sh(script).and_then(careen_lab::Output::ok);
        ran.unwrap_or_else(|error| panic!("on {}: {error}", self.node.name()))
    }
}

impl Drop for Gates<'_> {
    fn drop(&mut self) {
        let _ = self.node.sh(&format!("rm -rf {GATES}"));
    }
}

/// The lines of these numbers, as [`GATED`] prints them.
pub fn lines(numbers: Range<u32>) -> String {
    numbers.map(|number| format!("line {number}\n")).collect()
}
