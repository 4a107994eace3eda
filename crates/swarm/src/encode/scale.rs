//! How many tasks a service has, and nothing else of it.
//!
//! The spec is written back as its bytes came, with one number in it changed: no parser in between drops a field that it does not
//! know, or says a number otherwise.

use serde::de::{DeserializeOwned, IgnoredAny};
use std::ops::Range;

/// A service as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaled<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its version in the store.
    pub version: u64,
    /// How many tasks it is to have.
    pub replicas: u64,
    json: &'a str,
}

impl<'a> Scaled<'a> {
    /// Reads a service; `None` where it is none that is given a number of tasks.
    pub fn of(json: &'a str) -> Option<Self> {
        let id = json.get(member(json, "ID")?)?.trim_matches('"');
        let version = parse(json, path(json, &["Version", "Index"])?)?;
        let replicas = parse(json, path(json, &["Spec", "Mode", "Replicated", "Replicas"])?)?;
        Some(Self { id, version, replicas, json })
    }

    /// Its spec with another number of tasks.
    pub fn to(&self, replicas: u64) -> Option<String> {
        let spec = self.json.get(member(self.json, "Spec")?)?;
        let number = path(spec, &["Mode", "Replicated", "Replicas"])?;
        Some(format!("{}{replicas}{}", spec.get(..number.start)?, spec.get(number.end..)?))
    }
}

fn parse(json: &str, at: Range<usize>) -> Option<u64> {
    json.get(at)?.parse().ok()
}

/// Where a value is within objects.
fn path(json: &str, keys: &[&str]) -> Option<Range<usize>> {
    keys.iter().try_fold(0..json.len(), |within, key| {
        let found = member(json.get(within.clone())?, key)?;
        Some(within.start + found.start..within.start + found.end)
    })
}

/// Where the value of a key is in an object.
fn member(object: &str, key: &str) -> Option<Range<usize>> {
    let mut at = behind(object, 0, '{')?;
    loop {
        let (name, end) = next::<String>(object, at)?;
        let value = behind(object, end, ':')?;
        let (_, end) = next::<IgnoredAny>(object, value)?;
        if name == key {
            let blanks = object.get(value..end)?.len() - object.get(value..end)?.trim_start().len();
            return Some(value + blanks..end);
        }
        at = behind(object, end, ',')?;
    }
}

/// What is behind a sign that comes next.
fn behind(text: &str, at: usize, sign: char) -> Option<usize> {
    let rest = text.get(at..)?;
    let blanks = rest.len() - rest.trim_start().len();
    rest.trim_start().starts_with(sign).then_some(at + blanks + sign.len_utf8())
}

/// The value that comes next, and where it ends.
fn next<T: DeserializeOwned>(text: &str, at: usize) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_str(text.get(at..)?).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, at + values.byte_offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an engine may write it: in another order, with what nobody knows, with numbers that no parser keeps.
    const SERVICE: &str = r#"{ "ID":"x1b2", "Version": {"Index":417},"CreatedAt":"2026","PreviousSpec":{"Mode":{"Replicated":{"Replicas":9}}},
      "Spec":{"Name":"web {\"Replicas\":1}","Mode" : {"Replicated":{"Later":[{"Replicas":3}],"Replicas": 6 } },
      "UpdateConfig":{"MaxFailureRatio":0.30000000000000004440892098500626,"Delay":1e9},"Later":{"big":123456789012345678901234567890}},
      "UpdateStatus":{}}"#;

    #[test]
    fn nothing_but_the_number_changes() {
        let service = Scaled::of(SERVICE).unwrap();
        assert_eq!((service.id, service.version, service.replicas), ("x1b2", 417, 6));
        let spec = service.to(12).unwrap();
        let start = SERVICE.find(r#"{"Name""#).unwrap();
        let end = SERVICE.find(",\n      \"UpdateStatus\"").unwrap();
        let expected = SERVICE[start..end].replace(r#""Replicas": 6 "#, r#""Replicas": 12 "#);
        assert_eq!(spec, expected);
        assert_eq!(service.to(6).unwrap(), SERVICE[start..end], "byte for byte");
    }

    #[test]
    fn what_has_no_number_of_tasks_is_not_scaled() {
        let services = [
            r#"{"ID":"x","Version":{"Index":1},"Spec":{"Mode":{"Global":{}}}}"#,
            r#"{"ID":"x","Version":{"Index":1},"Spec":{"Mode":{"Replicated":{}}}}"#,
            r#"{"ID":"x","Version":{"Index":1},"Spec":{"Mode":{"Replicated":{"Replicas":"6"}}}}"#,
            r#"{"ID":"x","Version":{"Index":1},"Spec":{"Mode":{"Replicated":{"Replicas":6}"#,
            r#"[{"ID":"x"}]"#,
            "",
        ];
        for service in services {
            assert_eq!(Scaled::of(service), None, "{service}");
        }
    }
}
