//! How a supervisor asks for the go before it restarts the engine or the host, and gets it: two files in the
//! transaction's directory. Each go is for one wish, by its number; it is not kept for the next one.

use crate::durable;
use careen_model::report::Restart;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// What a supervisor wants to restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Counted over the whole transaction.
    pub number: u32,
    /// What.
    pub kind: Restart,
    /// Why, in words.
    pub reason: String,
}

/// Says what is wanted.
pub fn ask(path: &Path, wish: &Wish) -> io::Result<()> {
    durable::replace(path, 0o600, &serde_json::to_vec(wish).map_err(io::Error::other)?)
}

/// What is wanted; `None` when nothing is.
pub fn wish(path: &Path) -> Option<Wish> {
    serde_json::from_slice(&crate::files::read(path).ok()?).ok()
}

/// Gives the go for this wish.
pub fn give(path: &Path, wish: &Wish) -> io::Result<()> {
    durable::replace(path, 0o600, wish.number.to_string().as_bytes())
}

/// Whether the go for this wish is given.
pub fn is_given(path: &Path, wish: &Wish) -> bool {
    crate::files::read_to_string(path).is_ok_and(|number| number == wish.number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_is_for_one_wish() {
        let directory = tempfile::tempdir().unwrap();
        let (asked, given) = (directory.path().join("wish"), directory.path().join("go"));
        assert_eq!(wish(&asked), None);
        let first = Wish { number: 0, kind: Restart::Engine, reason: "replaced".into() };
        ask(&asked, &first).unwrap();
        assert_eq!(wish(&asked), Some(first.clone()));
        assert!(!is_given(&given, &first));
        give(&given, &first).unwrap();
        assert!(is_given(&given, &first));
        assert!(!is_given(&given, &Wish { number: 1, ..first }), "another wish needs another go");
    }
}
