//! Errors for people and records: what happened, and why, on one line.

use std::error::Error;

/// An error with all its causes, the last one behind.
pub fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read it")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn what_happened_stands_first_and_each_cause_once() {
        assert_eq!(chain(&Outer(std::io::Error::other("no room"))), "cannot read it: no room");
        assert_eq!(chain(&std::io::Error::other("no room")), "no room");
    }
}
