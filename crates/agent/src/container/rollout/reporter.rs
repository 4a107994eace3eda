//! Says to the controller where the host stands, and says it again: a log may be cut, and a reader may come late.

use crate::say::report;
use careen_contract::report::{Printed, Report, Said};
use std::time::{Duration, Instant};

/// How often the last word is repeated.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How often it is at least, where nothing comes behind it. An agent may stay for days so that its log can be read, and what it says
/// again and again would push out what its command printed: logs have an end.
const AGAIN_AT_LAST: Duration = Duration::from_secs(24 * 3600);

/// How much is told of why the host waits.
const MOST_CHARACTERS: usize = 400;

/// What was said last.
#[derive(Debug, Default)]
pub struct Reporter {
    last: Option<(Report, Instant)>,
    /// How often it was repeated.
    repeated: u32,
    /// Why the host waits now.
    waits: Option<String>,
    /// What the command printed last.
    printed: Option<Printed>,
}

impl Reporter {
    /// Says something, once; the same again only when some time has passed.
    pub fn say(&mut self, said: Said) {
        let is_new = self.last.as_ref().is_none_or(|(last, _)| last.said != said);
        if is_new {
            self.repeated = 0;
            self.tell(said);
        }
    }

    /// Says why the host waits, beside the last word; what is said already is not said again.
    pub fn waits(&mut self, why: Option<&str>) {
        let why = why.map(|why| why.chars().take(MOST_CHARACTERS).collect());
        if self.waits == why {
            return;
        }
        self.waits = why;
        if let Some((last, _)) = self.last.take() {
            self.tell(last.said);
        }
    }

    /// What the command printed last. That it prints is said at once; what goes with the next word.
    pub fn printed(&mut self, printed: Option<Printed>) {
        let begins = self.printed.is_none() && printed.is_some();
        self.printed = printed;
        if let Some((last, _)) = self.last.take_if(|_| begins) {
            self.tell(last.said);
        }
    }

    /// Repeats the last word when it is time to.
    pub fn again(&mut self) {
        let is_due = |(last, at): &(Report, Instant)| at.elapsed() >= again_after(&last.said, self.repeated);
        if self.last.as_ref().is_some_and(is_due)
            && let Some((last, _)) = self.last.take()
        {
            self.repeated = self.repeated.saturating_add(1);
            self.tell(last.said);
        }
    }

    fn tell(&mut self, said: Said) {
        let told = Report { said, waits: self.waits.clone(), printed: self.printed.clone() };
        report(&told);
        self.last = Some((told, Instant::now()));
    }
}

/// When a word is repeated that was repeated so often: the end of all ever more seldom.
fn again_after(said: &Said, repeated: u32) -> Duration {
    match said {
        Said::Finished { .. } => {
            AGAIN_AFTER.saturating_mul(2_u32.saturating_pow(repeated)).min(AGAIN_AT_LAST)
        }
        Said::Busy { .. }
        | Said::Copied { .. }
        | Said::Preparing
        | Said::Prepared { .. }
        | Said::Running { .. }
        | Said::WantsRestart { .. }
        | Said::Restarting { .. }
        | Said::Verifying
        | Said::Cancelled { .. }
        | Said::Revoked
        | Said::NotBegun
        | Said::Forgotten => AGAIN_AFTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_contract::report::NodeOutcome;

    /// A word has 16 KiB at most, and a service's log 20 MB.
    #[test]
    fn what_an_agent_says_that_stays_for_a_month_leaves_its_commands_output_in_the_log() {
        let finished = Said::Finished { outcome: NodeOutcome::Succeeded, record: None };
        let (mut repeated, mut passed) = (0, Duration::ZERO);
        while passed < Duration::from_secs(30 * 24 * 3600) {
            passed += again_after(&finished, repeated);
            repeated += 1;
        }
        assert!((30..60).contains(&repeated), "{repeated}");
        assert_eq!(again_after(&Said::Preparing, 1000), AGAIN_AFTER);
    }
}
