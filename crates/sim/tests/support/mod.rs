//! What the tests of invariants share.

#![allow(dead_code, reason = "each test program uses its part of it")]

use careen_sim::whole::Whole;
use careen_sim::{Failure, Faults, Run};

/// So many histories at most are played until one is caught.
const SEEDS: u64 = 800;

/// What is played: one rollout, or the next one behind it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plays {
    One,
    Two,
}

/// Plays histories until one is caught at what it was expected to be. Nodes neither come nor go in them, and nobody deletes
/// anything: rollouts that end early by that show less.
pub fn caught(change: impl Fn(&mut Run), expected: &str) {
    caught_under(Faults::but_members(), change, expected);
}

/// The same with other faults.
pub fn caught_under(faults: Faults, change: impl Fn(&mut Run), expected: &str) {
    caught_in(Plays::One, faults, change, expected);
}

/// The same in one rollout or in two.
pub fn caught_in(plays: Plays, faults: Faults, change: impl Fn(&mut Run), expected: &str) {
    let mut others = Vec::new();
    for seed in 0..SEEDS {
        let whole = Whole { seed, faults };
        let played: Result<(), Failure> = match plays {
            Plays::One => whole.first_bent(&change).map(|_| ()),
            Plays::Two => whole.play_bent(&change).map(|_| ()),
        };
        if let Err(failure) = played {
            // What is bent may also get stuck first.
            if failure.what.iter().any(|what| what.contains(expected)) {
                println!("'{expected}': caught in history {}", seed + 1);
                return;
            }
            others.push(format!("seed {seed}: {}", failure.what.join("; ")));
        }
    }
    panic!("nobody notices; expected was '{expected}', but: {others:#?}");
}
