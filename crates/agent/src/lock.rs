//! Locks that die with their holder, and that can be asked about without being taken.
//!
//! Open file description locks: they belong to an open file, not to a process, so a thread or a library that opens and
//! closes the same file does not lose them; they work between a container and its host, for it is one kernel; and
//! `F_OFD_GETLK` tells whether somebody holds one without disturbing who is about to take it.

use crate::files::{File, OpenOptions};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::io;
use std::path::Path;

/// A lock that is held until this is dropped, or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, or returns `None` when another holds it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => Ok(Some(Self { file })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes the lock, waiting for whoever holds it. `waiting` is called once before a wait.
    pub fn take(path: &Path, waiting: impl FnOnce()) -> io::Result<Self> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        waiting();
        let file = open(path)?;
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file(libc::F_WRLCK))) {
                Ok(_) => return Ok(Self { file }),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Whether somebody holds the lock now. A file that does not exist is not locked.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut asked = whole_file(libc::F_WRLCK);
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut asked))?;
        Ok(i32::from(asked.l_type) != libc::F_UNLCK)
    }

    /// Replaces the content of the locked file: who holds it, for a person or another agent to read.
    pub fn write(&mut self, content: &str) -> io::Result<()> {
        use std::io::{Seek, Write};
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(content.as_bytes())
    }
}

impl Drop for Lock {
    /// To close the file is not enough: between a thread's fork(2) and the child's exec(2) the child has it open too.
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by the end of the process.
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)));
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path)
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    // The constants are small positive numbers on every target; l_pid must be 0 for these locks.
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_kept_from_others_and_gone_with_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(!Lock::is_held(&path).unwrap(), "a missing file is not locked");
        let mut held = Lock::try_take(&path).unwrap().unwrap();
        held.write("first, longer").unwrap();
        held.write("second").unwrap();
        assert!(Lock::is_held(&path).unwrap());
        assert!(Lock::try_take(&path).unwrap().is_none());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second");
        // As a child of another thread has it that is not yet what it becomes.
        let _childs = held.file.try_clone().unwrap();
        drop(held);
        assert!(!Lock::is_held(&path).unwrap());
        Lock::take(&path, || panic!("nobody to wait for")).unwrap();
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        std::os::unix::fs::symlink(&target, directory.path().join("lock")).unwrap();
        assert!(Lock::try_take(&directory.path().join("lock")).is_err());
        assert!(!target.exists());
    }
}
