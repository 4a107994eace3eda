//! Says to the controller where the host stands, and says it again: a log may be cut, and a reader may come late.

use crate::say::report;
use careen_model::report::{Report, Said};
use std::time::{Duration, Instant};

/// How often the last word is repeated.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How much is told of why the host waits.
const MOST_CHARACTERS: usize = 400;

/// What was said last.
#[derive(Debug, Default)]
pub struct Reporter {
    last: Option<(Report, Instant)>,
    /// Why the host waits now.
    waits: Option<String>,
}

impl Reporter {
    /// Says something, once; the same again only when some time has passed.
    pub fn say(&mut self, said: Said) {
        let is_new = self.last.as_ref().is_none_or(|(last, _)| last.said != said);
        if is_new {
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

    /// Repeats the last word when it is time to.
    pub fn again(&mut self) {
        if let Some((last, at)) = &mut self.last
            && at.elapsed() >= AGAIN_AFTER
        {
            report(last);
            *at = Instant::now();
        }
    }

    fn tell(&mut self, said: Said) {
        let told = Report { said, waits: self.waits.clone() };
        report(&told);
        self.last = Some((told, Instant::now()));
    }
}
