//! What a failed node leads to.

use crate::spec::{OnFailure, Policy};

/// Whether the rollout pauses when one more of `nodes` fails, after `failed` others.
pub fn pauses(policy: &Policy, failed: usize, nodes: usize) -> bool {
    match policy.failure_action {
        OnFailure::Continue => false,
        OnFailure::Pause | OnFailure::Rollback => policy.max_failure_ratio.is_less_than(failed + 1, nodes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratio::Ratio;

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    #[test]
    fn the_ratio_is_what_may_fail_before_the_rollout_pauses() {
        let policy = |failure_action, text| Policy {
            failure_action,
            max_failure_ratio: ratio(text),
            ..Policy::default()
        };
        assert!(pauses(&policy(OnFailure::Pause, "0"), 0, 10));
        assert!(!pauses(&policy(OnFailure::Pause, "0.2"), 1, 10));
        assert!(pauses(&policy(OnFailure::Rollback, "0.2"), 2, 10));
        assert!(!pauses(&policy(OnFailure::Continue, "0"), 9, 10));
    }

    #[test]
    fn every_hundredth_is_just_as_many_of_a_hundred_also_as_it_is_stored() {
        for some in 0..=100_usize {
            let given = ratio(&format!("{}.{:02}", some / 100, some % 100));
            let stored = serde_json::to_string(&given).unwrap();
            assert_eq!(serde_json::from_str::<Ratio>(&stored).unwrap(), given, "{stored}");
            let policy = Policy { max_failure_ratio: given, ..Policy::default() };
            assert!(some == 0 || !pauses(&policy, some - 1, 100), "{some} of 100 may fail");
            assert!(pauses(&policy, some, 100), "{some} and one more may not");
        }
    }
}
