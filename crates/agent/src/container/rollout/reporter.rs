//! Says to the controller where the host stands, and says it again: a log may be cut, and a reader may come late.

use crate::say::report;
use careen_model::report::Said;
use std::time::{Duration, Instant};

/// How often the last word is repeated.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What was said last.
#[derive(Debug, Default)]
pub struct Reporter {
    last: Option<(Said, Instant)>,
}

impl Reporter {
    /// Says something, once; the same again only when some time has passed.
    pub fn say(&mut self, said: Said) {
        let is_new = self.last.as_ref().is_none_or(|(last, _)| *last != said);
        if is_new {
            report(&said);
            self.last = Some((said, Instant::now()));
        }
    }

    /// Repeats the last word when it is time to.
    pub fn again(&mut self) {
        if let Some((said, at)) = &mut self.last
            && at.elapsed() >= AGAIN_AFTER
        {
            report(said);
            *at = Instant::now();
        }
    }
}
