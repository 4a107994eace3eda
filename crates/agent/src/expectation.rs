//! What a payload's `prepare` said of its command: whether that leads to a restart of the engine or the host.

use crate::files;
use crate::layout::{TransactionDir, file};
use careen_contract::TransactionId;
use careen_contract::report::Expectation;
use std::path::Path;

/// What was said for the command of this transaction, now or to an agent before this one. Nothing that can be read, or
/// another word, is no knowledge: then the command may do either.
pub fn of_command(root: &Path, command: &TransactionId) -> Expectation {
    let Ok(prepare) = TransactionId::parse(&format!("{command}-p")) else {
        return Expectation::Unknown;
    };
    let path = TransactionDir::new(root, &prepare).file(file::EXPECTS_RESTART);
    match files::read_to_string(path).unwrap_or_default().trim() {
        "yes" => Expectation::Yes,
        "no" => Expectation::No,
        _ => Expectation::Unknown,
    }
}

/// Whether the command may restart the engine, as far as is known.
pub fn may_touch_engine(said: Expectation) -> bool {
    match said {
        Expectation::Yes | Expectation::Unknown => true,
        Expectation::No => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_no_leaves_the_engine_alone() {
        let root = tempfile::tempdir().unwrap();
        let id = TransactionId::parse("r-n1-g1").unwrap();
        let prepare = TransactionDir::new(root.path(), &TransactionId::parse("r-n1-g1-p").unwrap());
        std::fs::create_dir_all(prepare.path()).unwrap();
        let said = || of_command(root.path(), &id);
        assert_eq!(said(), Expectation::Unknown, "prepare said nothing, or there is none");
        for (word, expected) in
            [("yes\n", Expectation::Yes), ("no", Expectation::No), ("maybe", Expectation::Unknown)]
        {
            std::fs::write(prepare.file(file::EXPECTS_RESTART), word).unwrap();
            assert_eq!(said(), expected, "{word}");
        }
        assert!(may_touch_engine(Expectation::Yes) && may_touch_engine(Expectation::Unknown));
        assert!(!may_touch_engine(Expectation::No));
    }
}
