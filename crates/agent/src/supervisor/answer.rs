//! What a command left at `CAREEN_RESULT`. It cannot make a result of what has none: what is no JSON, or no file, is a note.

use crate::files::OpenOptions;
use crate::layout::{TransactionDir, file};
use careen_contract::answer::{self, LONGEST_RESULT};
use careen_contract::variable;
use serde_json::Value;
use std::error::Error;
use std::io::{self, Read};

/// Why it does not count.
#[derive(Debug, thiserror::Error)]
#[error("what the command left at {} does not count", variable::RESULT)]
pub struct NoAnswer(#[source] Box<dyn Error + Send + Sync>);

/// What the command of this transaction left, if anything.
pub fn left_in(directory: &TransactionDir) -> Result<Option<Value>, NoAnswer> {
    let Some(bytes) = read(directory).map_err(|error| NoAnswer(error.into()))? else { return Ok(None) };
    answer::result(&bytes).map_err(|error| NoAnswer(error.into()))
}

/// A byte more than the longest at most: a command may leave what has no end, or a pipe that nobody writes to.
fn read(directory: &TransactionDir) -> io::Result<Option<Vec<u8>>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    let file = match options.open(directory.file(file::RESULT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_RESULT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_contract::chain;
    use serde_json::json;

    #[test]
    fn what_a_command_left_is_read_whatever_it_left() {
        let base = tempfile::tempdir().unwrap();
        let directory = TransactionDir::at(base.path().to_owned());
        let path = directory.file(file::RESULT);
        let said = || left_in(&directory).map_err(|error| chain(&error));
        assert_eq!(said(), Ok(None));
        std::fs::write(&path, "{\"pending\": 3}\n").unwrap();
        assert_eq!(said(), Ok(Some(json!({ "pending": 3 }))));
        for (bytes, words) in [(vec![b'1'; 1 << 20], "more than 12288 bytes"), (b"{".to_vec(), "no JSON")] {
            std::fs::write(&path, bytes).unwrap();
            let error = said().unwrap_err();
            assert!(error.contains(words) && error.contains(variable::RESULT), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(said().is_err(), "a link is not followed");
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(said().unwrap_err().contains("no regular file"), "nobody waits for a pipe");
    }
}
