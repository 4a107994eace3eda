//! The one place where the lab waits for something.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// What a probe has seen.
pub enum Poll<T> {
    /// It came true; what the probe brings along.
    Ready(T),
    /// Not yet; the text says what is seen instead.
    Pending(String),
}

/// Asks `probe` until it is ready. On timeout the error carries the last state seen.
///
/// A probe that fails ends the wait: a probe decides itself which errors mean 'not yet'. Between two probes as much time passes
/// as one takes, at least: a machine under load is not kept busy by those who wait for it.
pub fn wait_until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<Poll<T>>) -> Result<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        let asked = Instant::now();
        let last = match probe()? {
            Poll::Ready(value) => return Ok(value),
            Poll::Pending(seen) => seen,
        };
        if start.elapsed() >= limit {
            return Err(Error::TimedOut { what: what.to_owned(), limit, last });
        }
        std::thread::sleep(pause.max(asked.elapsed()));
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reports_the_last_state_seen() {
        let mut asked = 0;
        let result: Result<()> = wait_until("the moon", Duration::ZERO, || {
            asked += 1;
            Ok(Poll::Pending(format!("cheese {asked}")))
        });
        assert_eq!(result.unwrap_err().to_string(), "the moon: not within 0 s; last seen: cheese 1");
    }

    #[test]
    fn ready_ends_the_wait() {
        let mut asked = 0;
        let value = wait_until("three", Duration::from_secs(5), || {
            asked += 1;
            Ok(if asked == 3 { Poll::Ready(asked) } else { Poll::Pending(String::new()) })
        });
        assert_eq!(value.unwrap(), 3);
    }
}
