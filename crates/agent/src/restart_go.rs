//! How a supervisor asks for the go before it restarts the engine or the host, and gets it: two files in the
//! transaction's directory. Each go is for one wish, by its number; it is not kept for the next one.

use crate::durable;
use careen_model::report::Restart;
use careen_protocol::supervisor::Wish;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// What lies in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    number: u32,
    kind: Restart,
    reason: String,
    boot: String,
}

/// Says what is wanted.
pub fn ask(path: &Path, wish: &Wish) -> io::Result<()> {
    let Wish { number, kind, reason, boot } = wish.clone();
    let asked = Asked { number, kind, reason, boot };
    durable::replace(path, 0o600, &serde_json::to_vec(&asked).map_err(io::Error::other)?)
}

/// Whether that is said already.
pub fn is_asked(path: &Path, wish: &Wish) -> bool {
    self::wish(path).as_ref() == Some(wish)
}

/// What is wanted; `None` when nothing is.
pub fn wish(path: &Path) -> Option<Wish> {
    let Asked { number, kind, reason, boot } =
        serde_json::from_slice(&crate::files::read(path).ok()?).ok()?;
    Some(Wish { number, kind, reason, boot })
}

/// Gives the go for the wish of this number.
pub fn give(path: &Path, number: u32) -> io::Result<()> {
    durable::replace(path, 0o600, number.to_string().as_bytes())
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
        let boot = "b".to_owned();
        let first = Wish { number: 1, kind: Restart::Engine, reason: "replaced".into(), boot };
        ask(&asked, &first).unwrap();
        assert!(is_asked(&asked, &first));
        assert!(!is_given(&given, &first));
        give(&given, first.number).unwrap();
        assert!(is_given(&given, &first));
        assert!(!is_given(&given, &Wish { number: 2, ..first }), "another wish needs another go");
    }
}
