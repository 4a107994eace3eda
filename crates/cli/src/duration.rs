//! Durations of flags, as Compose writes them. Pure.

use std::time::Duration;

/// A text that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is written as 90s, 10m or 1h30m")]
pub struct InvalidDuration;

/// Reads a text such as `90s`, `10m` or `1h30m`; a negative one is an error.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| InvalidDuration)?;
    Duration::try_from(parsed).map_err(|_| InvalidDuration)
}
