//! Durations of flags, as Compose writes them, and days. Pure.

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

/// Whether a day (`2026-12-24`, in UTC) is over; nothing where it is none.
pub fn is_over(day: &str, now: jiff::Timestamp) -> Option<bool> {
    let day: jiff::civil::Date = day.parse().ok()?;
    Some(now.to_zoned(jiff::tz::TimeZone::UTC).date() > day)
}

/// Writes one as it is read.
pub fn text(time: Duration) -> String {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    let parts =
        [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (u64::from(nanos), "ns")];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_over_when_the_next_one_begins() {
        let now = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        assert_eq!(is_over("2026-12-24", now("2026-12-24T23:59:59Z")), Some(false));
        assert_eq!(is_over("2026-12-24", now("2026-12-25T00:00:00Z")), Some(true));
        for no_day in ["", "Christmas", "24.12.2026", "2026-02-30"] {
            assert_eq!(is_over(no_day, now("2026-12-25T00:00:00Z")), None, "{no_day}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for (written, expected) in
            [("0s", "0s"), ("90s", "1m30s"), ("24h", "24h"), ("1h30m", "1h30m"), ("1.5s", "1s500000000ns")]
        {
            let time = parse(written).unwrap();
            assert_eq!(text(time), expected);
            assert_eq!(parse(&text(time)), Ok(time));
        }
    }
}
