//! What the container of an enforcing agent is told beside the [`Settings`](crate::settings::Settings): the four variables that
//! begin with `CAREEN_ENFORCE`, both ways.

use crate::id::{MAX_LEN, TransactionId};
use crate::settings::{Given, InvalidSetting};
use crate::value::{self, Value};
use crate::variable;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a host is looked at where nothing says how often.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Each look starts a program on the host.
pub const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// How many paths an enforcement may own: each is watched.
pub const MOST_OWNED: usize = 256;

/// How long a path may be, in bytes, as the kernel counts.
const LONGEST_PATH: usize = 4095;

/// So many digits of the time stand in the ids of an enforcing agent's transactions.
const DIGITS: usize = 8;

/// What an agent enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnforcePart {
    /// `CAREEN_ENFORCE`: the enforcement's name.
    pub name: String,
    /// `CAREEN_ENFORCE_VERSION`: which version of it.
    pub version: String,
    /// `CAREEN_ENFORCE_INTERVAL`: how often the host is looked at, at least.
    pub interval: Duration,
    /// `CAREEN_ENFORCE_OWNS`: the paths of the host that the payload alone writes. One that ends in '/' is a directory with all that
    /// is in it.
    pub owns: Vec<String>,
}

impl EnforcePart {
    /// Reads them out of an environment; `None` where nothing is to be enforced.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Option<Self>, InvalidSetting> {
        let given = Given(env);
        let Some(name) = given.read(variable::ENFORCE, name)? else { return Ok(None) };
        Ok(Some(Self {
            name,
            version: given.get(variable::ENFORCE_VERSION).unwrap_or_default().to_owned(),
            interval: given.read(variable::ENFORCE_INTERVAL, interval)?.unwrap_or(DEFAULT_INTERVAL),
            owns: given.read(variable::ENFORCE_OWNS, owns)?.unwrap_or_default(),
        }))
    }

    /// The variables that say all this: what is read from them is this part again.
    pub fn variables(&self) -> Result<[(&'static str, String); 4], serde_json::Error> {
        Ok([
            (variable::ENFORCE, self.name.clone()),
            (variable::ENFORCE_VERSION, self.version.clone()),
            (variable::ENFORCE_INTERVAL, value::written_duration(self.interval)),
            (variable::ENFORCE_OWNS, serde_json::to_string(&self.owns)?),
        ])
    }

    /// The id of the transaction that is begun at this moment, in milliseconds since 1970. `None` where the name is too long for one.
    pub fn transaction(&self, at_ms: u64) -> Option<TransactionId> {
        transaction(&self.name, at_ms)
    }

    /// Whether a transaction is one of this enforcement's.
    pub fn owns_transaction(&self, id: &TransactionId) -> bool {
        let rest = id.as_str().strip_prefix("e-").and_then(|rest| rest.strip_prefix(self.name.as_str()));
        let time = rest.and_then(|rest| rest.strip_prefix('-'));
        time.is_some_and(|time| {
            time.len() == DIGITS && time.bytes().all(|digit| digit.is_ascii_alphanumeric())
        })
    }
}

fn transaction(name: &str, at_ms: u64) -> Option<TransactionId> {
    let mut digits = [b'0'; DIGITS];
    let mut left = at_ms;
    for digit in digits.iter_mut().rev() {
        let value = u8::try_from(left % 36).unwrap_or_default();
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        left /= 36;
    }
    let time: String = digits.iter().map(|digit| char::from(*digit)).collect();
    TransactionId::parse(&format!("e-{name}-{time}")).ok()
}

/// A name stands in file names and in the ids of transactions.
fn name(text: &str) -> Value<String> {
    let longest = MAX_LEN - "e--".len() - DIGITS;
    let is_good = TransactionId::parse(text).is_ok() && transaction(text, 0).is_some();
    is_good.then(|| text.to_owned()).ok_or_else(|| {
        format!("1 to {longest} of the characters a-z, 0-9, '-' and '_', the first a letter or digit").into()
    })
}

fn interval(text: &str) -> Value<Duration> {
    let words = "a duration of at least a second, such as 90s, 10m or 1h30m";
    value::duration(text).ok().filter(|given| *given >= LEAST_INTERVAL).ok_or_else(|| words.into())
}

fn owns(text: &str) -> Value<Vec<String>> {
    let all: Option<Vec<String>> = serde_json::from_str(text).ok();
    let is_good = |all: &Vec<String>| all.len() <= MOST_OWNED && all.iter().all(|path| is_path(path));
    all.filter(is_good).ok_or_else(|| {
        format!("a JSON array of at most {MOST_OWNED} paths of the host, each from its root: [\"/etc/app.conf\",\"/etc/app.d/\"]")
            .into()
    })
}

/// A path below the root, without anything that would lead elsewhere than it says.
fn is_path(path: &str) -> bool {
    let below = path.strip_prefix('/').map(|below| below.strip_suffix('/').unwrap_or(below));
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    path.len() <= LONGEST_PATH && below.is_some_and(|below| below.split('/').all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn part() -> EnforcePart {
        EnforcePart {
            name: "sysctl".into(),
            version: "0a1b2c3d".into(),
            interval: Duration::from_secs(90),
            owns: vec!["/etc/sysctl.d/90-x.conf".into(), "/etc/app.d/".into()],
        }
    }

    #[test]
    fn a_part_is_read_as_it_is_written() {
        let variables = part().variables().unwrap();
        let written = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        assert_eq!(EnforcePart::from_env(&written), Ok(Some(part())));
        assert_eq!(EnforcePart::from_env(&env(&[])), Ok(None));
        let least = EnforcePart::from_env(&env(&[("CAREEN_ENFORCE", "a"), ("CAREEN_ENFORCE_OWNS", "")]));
        let least = least.unwrap().unwrap();
        assert_eq!((least.interval, least.owns.len(), least.version.as_str()), (DEFAULT_INTERVAL, 0, ""));
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_the_variable() {
        let longest = "x".repeat(37);
        assert!(EnforcePart::from_env(&env(&[("CAREEN_ENFORCE", &longest)])).is_ok());
        for (name, value) in [
            ("CAREEN_ENFORCE", "a/b"),
            ("CAREEN_ENFORCE", "-a"),
            ("CAREEN_ENFORCE", &format!("{longest}x")),
            ("CAREEN_ENFORCE_INTERVAL", "10ms"),
            ("CAREEN_ENFORCE_INTERVAL", "often"),
            ("CAREEN_ENFORCE_OWNS", "/etc/x"),
            ("CAREEN_ENFORCE_OWNS", "[\"/\"]"),
            ("CAREEN_ENFORCE_OWNS", "[\"etc/x\"]"),
            ("CAREEN_ENFORCE_OWNS", "[\"/etc/../x\"]"),
            ("CAREEN_ENFORCE_OWNS", "[\"/etc//x\"]"),
            ("CAREEN_ENFORCE_OWNS", "[1]"),
        ] {
            let mut set = env(&[("CAREEN_ENFORCE", "a")]);
            set.insert(name.to_owned(), value.to_owned());
            let refused = EnforcePart::from_env(&set).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{name}='")), "{refused}");
        }
    }

    #[test]
    fn each_moment_has_a_transaction_of_its_own_that_is_known_again() {
        let (one, other) = (part().transaction(1_795_000_000_000), part().transaction(1_795_000_000_001));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one != other && one.as_str() < other.as_str(), "{one} {other}");

        assert!(part().owns_transaction(&one));
        let longer = EnforcePart { name: "sysctl-more".into(), ..part() };
        let of_longer = longer.transaction(1_795_000_000_000).unwrap();
        assert!(!part().owns_transaction(&of_longer) && longer.owns_transaction(&of_longer));
        let shorter = EnforcePart { name: "sys".into(), ..part() };
        assert!(
            !shorter.owns_transaction(&one) && !part().owns_transaction(&TransactionId::parse("x").unwrap())
        );
    }
}
