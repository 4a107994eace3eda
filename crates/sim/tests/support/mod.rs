//! What the tests of invariants share.

use careen_sim::whole::Whole;
use careen_sim::{Faults, Run};

/// So many histories at most are played until one is caught.
const SEEDS: u64 = 400;

/// Plays histories until one is caught at what it was expected to be. Nodes neither come nor go in them, and nobody deletes
/// anything: rollouts that end early by that show less.
pub fn caught(change: impl Fn(&mut Run), expected: &str) {
    caught_under(Faults::but_members(), change, expected);
}

/// The same with other faults.
pub fn caught_under(faults: Faults, change: impl Fn(&mut Run), expected: &str) {
    let mut others = Vec::new();
    for seed in 0..SEEDS {
        if let Err(failure) = (Whole { seed, faults }).play_bent(&change) {
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
