//! Waits for changes of the files in one directory.
//!
//! The kernel tells of them, as long as it has a watch to give: a user has 128 by default, root's are shared by everything that
//! runs as root on the host, and a busy host runs out of them. Then the files are looked at again and again instead: what
//! runs on a host must not fail, and must not be reported as failed, because nobody told of its output.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// From one look to the next where the kernel does not tell.
const INTERVAL: Duration = Duration::from_millis(200);

/// A directory whose files are watched.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<Inotify>,
}

impl Watch {
    pub fn on(directory: &Path) -> io::Result<Self> {
        let changes = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_TO;
        let watching = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .and_then(|inotify| inotify.add_watch(directory, changes).map(|_| inotify));
        match watching {
            Ok(inotify) => Ok(Self { inotify: Some(inotify) }),
            // No more instances, no more watches, no more open files in the system.
            Err(Errno::EMFILE | Errno::ENOSPC | Errno::ENFILE) => Ok(Self { inotify: None }),
            Err(error) => Err(error.into()),
        }
    }

    /// What to wait for beside a deadline; nothing where the kernel does not tell.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// When to look again at the latest.
    pub fn look_at(&self, latest: Instant) -> Instant {
        if self.inotify.is_some() { latest } else { latest.min(Instant::now() + INTERVAL) }
    }

    /// Takes the changes that came since the last call: whether a file may have changed for which this is true.
    pub fn take(&self, is_meant: impl Fn(&OsStr) -> bool) -> bool {
        let Some(inotify) = &self.inotify else { return true };
        let mut changed = false;
        while let Ok(events) = inotify.read_events()
            && !events.is_empty()
        {
            // One without a name tells that events were lost.
            changed |= events.iter().any(|event| event.name.as_deref().is_none_or(&is_meant));
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let watch = Watch::on(directory.path()).unwrap();
        let journal = |name: &OsStr| name == "journal";
        assert!(watch.inotify.is_none() || !watch.take(journal));
        std::fs::write(directory.path().join("output"), "x").unwrap();
        assert!(watch.inotify.is_none() || !watch.take(journal));
        std::fs::write(directory.path().join("journal"), "x").unwrap();
        assert!(watch.take(journal));
        std::fs::rename(directory.path().join("output"), directory.path().join("journal")).unwrap();
        assert!(watch.take(journal), "as what is replaced at once is written");
        assert!(Watch::on(&directory.path().join("none")).is_err());
    }

    #[test]
    fn without_the_kernels_help_it_is_looked_again_soon_and_everything_may_have_changed() {
        let watch = Watch { inotify: None };
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(watch.look_at(later) < later && watch.fd().is_none());
        assert!(watch.take(|_| false));
    }
}
