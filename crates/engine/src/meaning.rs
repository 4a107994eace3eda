//! What an engine means when it says no. Docker's API tells much of that in words alone; they are compared here and nowhere else.

use crate::error::EngineError;

/// What an answer means that is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// There is no such thing.
    NotFound,
    /// There is one of that name.
    Exists,
    /// Somebody changed it since it was read.
    Changed,
    /// Something refers to it.
    InUse,
    /// No manager leads, or this one does not reach the one that does.
    NoLeader,
    /// It is a manager that waits for the swarm's unlock key.
    Locked,
    /// It takes no part in the management of a swarm: as a worker, in none, or because it starts or stops just now.
    NotAManager,
    /// It does not take it as it was asked.
    Refused,
    /// It could not do it now, or nobody knows whether it did.
    Unavailable,
}

/// Words that say more than the status, and with which status where that matters. The first that fits counts.
const WORDS: [(&str, Option<u16>, Meaning); 5] = [
    ("update out of sequence", None, Meaning::Changed),
    ("is in use by", None, Meaning::InUse),
    // Seen on 20.10.24 and 26.1.5, with status 500 or 503.
    ("swarm does not have a leader", None, Meaning::NoLeader),
    // moby's daemon/cluster/errors.go; with status 503.
    ("swarm is encrypted and needs to be unlocked", None, Meaning::Locked),
    ("not a swarm manager", Some(503), Meaning::NotAManager),
];

impl EngineError {
    /// What it means.
    pub fn meaning(&self) -> Meaning {
        let Self::Answer { status, message, .. } = self else { return Meaning::Unavailable };
        let fits = |words: &str, with: Option<u16>| {
            message.to_ascii_lowercase().contains(words) && with.is_none_or(|one| one == *status)
        };
        let told = WORDS.iter().find(|(words, with, _)| fits(words, *with));
        told.map_or_else(|| of_status(*status), |(_, _, meaning)| *meaning)
    }

    /// Whether the engine says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.meaning() == Meaning::NotFound
    }
}

const fn of_status(status: u16) -> Meaning {
    match status {
        404 => Meaning::NotFound,
        409 => Meaning::Exists,
        400..500 => Meaning::Refused,
        _ => Meaning::Unavailable,
    }
}

/// Whether an engine that refuses a task says that it has no such image.
pub fn says_no_such_image(words: &str) -> bool {
    words.to_ascii_lowercase().contains("no such image")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_and_what_it_means() {
        let table = [
            (404, "No such service: x", Meaning::NotFound),
            (
                409,
                "rpc error: code = AlreadyExists desc = name conflicts with an existing object",
                Meaning::Exists,
            ),
            (500, "rpc error: code = Unknown desc = update out of sequence", Meaning::Changed),
            (
                400,
                "rpc error: code = InvalidArgument desc = config 'c' is in use by the following service: s",
                Meaning::InUse,
            ),
            (500, "rpc error: code = Unknown desc = The swarm does not have a leader.", Meaning::NoLeader),
            (503, "This node is not a swarm manager. Use \"docker swarm init\"", Meaning::NotAManager),
            (503, "Swarm is encrypted and needs to be unlocked before it can be used.", Meaning::Locked),
            (400, "invalid name", Meaning::Refused),
            (500, "something else", Meaning::Unavailable),
        ];
        for (status, message, meaning) in table {
            let (request, message) = ("POST /x".to_owned(), message.to_owned());
            let error = EngineError::Answer { status, request, message };
            assert_eq!(error.meaning(), meaning, "{error}");
        }
        assert!(says_no_such_image("No such image: sha256:00"));
        assert!(!says_no_such_image("invalid mount config for type \"bind\""));
    }
}
