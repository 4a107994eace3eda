//! Says to the controller where the host stands, and says it again: a log may be cut, and a reader may come late.

use crate::say::report;
use careen_contract::report::{Printed, Report, Said};
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
    /// What the command printed last.
    printed: Option<Printed>,
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
        if self.last.as_ref().is_some_and(|(_, at)| at.elapsed() >= AGAIN_AFTER)
            && let Some((last, _)) = self.last.take()
        {
            self.tell(last.said);
        }
    }

    fn tell(&mut self, said: Said) {
        let told = Report { said, waits: self.waits.clone(), printed: self.printed.clone() };
        report(&told);
        self.last = Some((told, Instant::now()));
    }
}
