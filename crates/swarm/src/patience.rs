//! How long a manager may be silent before another one is asked. Pure.

use std::time::Duration;

/// A manager that has not answered for so long is left for another one, where there is one. One whose engine restarts is back before.
const SILENT: Duration = Duration::from_secs(3);

/// How long a manager may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until nobody waits any more: there is no other one.
    Endless,
    /// For some seconds: another one can be asked.
    Some,
}

/// What is known of a manager's silence.
#[derive(Debug)]
pub(crate) struct Silence {
    patience: Patience,
    since: Option<Duration>,
}

impl Silence {
    pub(crate) const fn new(patience: Patience) -> Self {
        Self { patience, since: None }
    }

    /// Hears what came of asking it at this moment. It is an error when there is no patience left.
    pub(crate) fn bear<E>(&mut self, asked: Result<(), E>, now: Duration) -> Result<(), E> {
        let Err(error) = asked else {
            self.since = None;
            return Ok(());
        };
        let since = *self.since.get_or_insert(now);
        match self.patience {
            Patience::Some if now >= since + SILENT => Err(error),
            Patience::Some | Patience::Endless => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When an answer is an error, of a manager that answers as it is said.
    fn lost_at(patience: Patience, answers: &[(u64, bool)]) -> Option<u64> {
        let mut silence = Silence::new(patience);
        let asked = |answers| if answers { Ok(()) } else { Err("gone") };
        let mut heard =
            answers.iter().map(|(at, yes)| (at, silence.bear(asked(*yes), Duration::from_secs(*at))));
        heard.find(|(_, heard)| heard.is_err()).map(|(at, _)| *at)
    }

    #[test]
    fn a_silent_manager_is_left_after_some_seconds_and_one_that_answers_between_is_not() {
        let gone = [(1, true), (2, false), (3, false), (4, false), (5, false)];
        assert_eq!(lost_at(Patience::Some, &gone), Some(5));
        assert_eq!(lost_at(Patience::Some, &[(0, false), (2, true), (3, false), (5, false)]), None);
        assert_eq!(lost_at(Patience::Endless, &[(0, false), (600, false)]), None);
    }
}
