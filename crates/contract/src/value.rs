//! How the values of careen's variables are written, and read again.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;
use strum::VariantArray;

/// The smallest limit for output that makes sense: one piece of it in each half.
const LEAST_OUTPUT_LIMIT: u64 = 64 * 1024;

/// What a value may be, where it is something else: `1 or 0`, in words that end the sentence 'use ...'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Expected(String);

impl From<&str> for Expected {
    fn from(words: &str) -> Self {
        Self(words.to_owned())
    }
}

impl From<String> for Expected {
    fn from(words: String) -> Self {
        Self(words)
    }
}

pub(crate) type Value<T> = Result<T, Expected>;

/// What switches something on or off. People and Compose files write it in several ways.
pub(crate) fn flag(text: &str) -> Value<bool> {
    match text {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        _ => Err("1 or 0".into()),
    }
}

pub(crate) fn written_flag(value: bool) -> String {
    u8::from(value).to_string()
}

/// One of two words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Either {
    pub no: &'static str,
    pub yes: &'static str,
}

impl Either {
    pub fn read(self, text: &str) -> Value<bool> {
        if text == self.yes {
            Ok(true)
        } else if text == self.no {
            Ok(false)
        } else {
            Err(listed(&[self.no, self.yes]).into())
        }
    }

    pub fn written(self, value: bool) -> String {
        if value { self.yes } else { self.no }.to_owned()
    }
}

/// One of an enum's words.
pub(crate) fn word<T: Copy + Display + VariantArray>(text: &str) -> Value<T> {
    one_of(T::VARIANTS.iter().copied(), text)
}

/// One of these, as it is written.
pub(crate) fn one_of<T: Display>(all: impl Iterator<Item = T> + Clone, text: &str) -> Value<T> {
    let words = || all.clone().map(|one| one.to_string()).collect::<Vec<_>>();
    all.clone().find(|one| one.to_string() == text).ok_or_else(|| listed(&words()).into())
}

/// `a, b or c`.
fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

pub(crate) fn number<T: FromStr>(text: &str) -> Value<T> {
    text.parse().map_err(|_| "a number from 0 on".into())
}

/// A duration as Compose writes it (`1h30m`, `90s`, `500ms`); zero and negative ones are refused.
pub(crate) fn duration(text: &str) -> Value<Duration> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|parsed| Duration::try_from(parsed).ok());
    parsed.filter(|duration| !duration.is_zero()).ok_or_else(|| "a duration such as 90s, 10m or 1h30m".into())
}

/// In whole milliseconds, and at least one: none is no duration.
pub(crate) fn written_duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis % 1000 == 0 && millis > 0 => format!("{}s", millis / 1000),
        millis => format!("{}ms", millis.max(1)),
    }
}

/// A number of bytes, with or without a binary unit.
pub(crate) fn size(text: &str) -> Value<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    let found = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let bytes =
        found.and_then(|(number, shift)| number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)));
    bytes
        .filter(|bytes| *bytes >= LEAST_OUTPUT_LIMIT)
        .ok_or_else(|| "a size such as 64MiB, at least 64KiB".into())
}

/// A directory of an image. Not the root: the whole image would be brought to the host, and what is mounted in it, the host itself,
/// with it.
pub(crate) fn directory(text: &str) -> Value<String> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    let is_good = text.strip_prefix('/').is_some_and(|parts| {
        parts != "host" && !parts.starts_with("host/") && parts.split('/').all(is_plain)
    });
    is_good.then(|| text.to_owned()).ok_or_else(|| "a directory of the image, from its root: /install".into())
}
