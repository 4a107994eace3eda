//! Transaction identifiers.
//!
//! A transaction's identity decides what 'the same work' means: two agents that derive the same identifier on one host
//! share one transaction, and its command runs once.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The longest identifier accepted. A unix socket lies in the transaction's directory, and its path has 107 bytes.
pub const MAX_LEN: usize = 48;

/// An identifier that is safe as a file name, a unit name and a label value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TransactionId(String);

/// Why a text is no transaction identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{given}' is no transaction id: 1 to {MAX_LEN} of the characters a-z, 0-9, '-' and '_', the first a letter or digit"
)]
pub struct InvalidId {
    /// What was given, shortened and with control characters escaped.
    pub given: String,
}

impl TransactionId {
    /// Checks a text that somebody gave (`CAREEN_TRANSACTION`, `careen-agent cancel ID`).
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts_well && text.len() <= MAX_LEN && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { given: text.chars().take(80).collect::<String>().escape_default().to_string() })
        }
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TransactionId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<TransactionId> for String {
    fn from(id: TransactionId) -> Self {
        id.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What makes a transaction the same one when nobody names it.
///
/// Everything in it is known on a worker too, and stays the same when Swarm restarts or re-creates a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Identity<'a> {
    /// A task of a Swarm service: all tasks of the service on one host are one transaction.
    Service {
        /// The service's id (label `com.docker.swarm.service.id` of the container).
        service_id: &'a str,
        /// The container's `Config.Image`: an update to another image is another transaction.
        image: &'a str,
        command: &'a str,
        args: &'a [String],
        /// `CAREEN_RUN`, the operator's way to ask for another run.
        run: &'a str,
    },
    /// A plain `docker run`: the container itself is the identity, so that a restarted container does not run twice.
    Container {
        /// The container's full id.
        container_id: &'a str,
    },
}

impl Identity<'_> {
    /// Derives the identifier: 128 bits of a SHA-256 over length-prefixed fields, in hexadecimal.
    pub fn transaction_id(&self) -> TransactionId {
        let mut hash = Sha256::new();
        let mut field = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        match self {
            Self::Service { service_id, image, command, args, run } => {
                for text in ["service", service_id, image, command, run] {
                    field(text);
                }
                args.iter().for_each(|arg| field(arg));
            }
            Self::Container { container_id } => {
                field("container");
                field(container_id);
            }
        }
        TransactionId(hex(&hash.finalize()[..16]))
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service<'a>(command: &'a str, args: &'a [String], run: &'a str) -> TransactionId {
        Identity::Service { service_id: "s1", image: "update:1", command, args, run }.transaction_id()
    }

    #[test]
    fn the_same_work_has_the_same_id() {
        let args = ["a b".to_owned()];
        assert_eq!(service("install", &args, ""), service("install", &args, ""));
    }

    #[test]
    fn any_difference_in_the_work_makes_another_id() {
        let two = ["a".to_owned(), "b".to_owned()];
        let one = ["a b".to_owned()];
        let ids = [
            service("install", &[], ""),
            service("install", &[], "again"),
            service("check", &[], ""),
            service("install", &two, ""),
            service("install", &one, ""),
            Identity::Container { container_id: "s1" }.transaction_id(),
        ];
        for (i, a) in ids.iter().enumerate() {
            for b in &ids[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn derived_ids_are_valid_ids() {
        let id = service("install", &[], "");
        assert_eq!(TransactionId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn names_that_could_leave_their_directory_are_refused() {
        for bad in ["", "..", ".hidden", "a/b", "-x", "A", "a\n", "a b", "ü", &"x".repeat(MAX_LEN + 1)] {
            assert!(TransactionId::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(TransactionId::parse("tuesday-night_2").is_ok());
    }
}
