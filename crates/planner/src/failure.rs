//! What a failed node leads to.

use crate::spec::{FailureAction, Policy};

/// Whether the rollout pauses when one more of `nodes` fails, after `failed` others.
pub fn pauses(policy: &Policy, failed: usize, nodes: usize) -> bool {
    match policy.failure_action {
        FailureAction::Continue => false,
        FailureAction::Pause | FailureAction::Rollback => {
            (failed + 1) as f64 > policy.max_failure_ratio * nodes as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_what_may_fail_before_the_rollout_pauses() {
        let policy = |failure_action, max_failure_ratio| Policy {
            failure_action,
            max_failure_ratio,
            ..Policy::default()
        };
        assert!(pauses(&policy(FailureAction::Pause, 0.0), 0, 10));
        assert!(!pauses(&policy(FailureAction::Pause, 0.2), 1, 10));
        assert!(pauses(&policy(FailureAction::Rollback, 0.2), 2, 10));
        assert!(!pauses(&policy(FailureAction::Continue, 0.0), 9, 10));
    }
}
