//! A go on its way from an agent to a supervisor.
//!
//! A go is for the node as it is while the agent that passes it on lives and sees its gates say so. So it is no order but a
//! lease: the agent passes it on with every look, and each counts for [`GO_COUNTS`] from the beginning of that look. A
//! supervisor looks at it behind every wait and right before it acts; one that was frozen, or waited long for its turn, finds
//! that it counts no more when its agent is gone. A controller that misses an agent waits as long before it makes the node
//! active for the next one.

pub use careen_contract::settings::GO_COUNTS;
use std::time::Duration;

/// The number of the go for the command. Restarts count from 1.
pub const COMMAND: u32 = 0;

/// A go on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Go {
    /// For the wish of this number, or for the [`COMMAND`].
    pub number: u32,
    /// Which agent of the try passed it on.
    pub agent: u32,
    /// The boot that it is for.
    pub boot: String,
    /// When the look began in which the agent saw it, on the host's clock since that boot.
    pub seen: Duration,
}

impl Go {
    /// Whether it is for this wish, and still counts. `boot` is the host's boot, and `now` the reading of its clock.
    pub fn counts(&self, number: u32, boot: &str, now: Duration) -> bool {
        let age = now.checked_sub(self.seen);
        self.number == number && self.boot == boot && age.is_some_and(|age| age < GO_COUNTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_counts_for_its_wish_in_its_boot_and_for_a_while() {
        let seen = Duration::from_secs(100);
        let go = Go { number: 2, agent: 1, boot: "one".into(), seen };
        assert!(go.counts(2, "one", seen));
        assert!(go.counts(2, "one", seen + GO_COUNTS - Duration::from_millis(1)));
        assert!(!go.counts(2, "one", seen + GO_COUNTS), "whoever passed it on may be gone");
        assert!(!go.counts(1, "one", seen) && !go.counts(3, "one", seen), "another wish");
        assert!(!go.counts(2, "two", seen), "the clock began anew with the boot");
        assert!(!go.counts(2, "one", seen - Duration::from_secs(1)), "of a moment that has not been yet");
    }
}
