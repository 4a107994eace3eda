//! What a power cut would take: for tests/faults.rs alone.
//!
//! A file's content lasts when the file was synced after it was written; a name lasts, and so does the removal of one, when
//! its directory was synced after that. File systems keep more than that, each in its own way: nothing here relies on it.
//! What a process of before left unsynced counts as kept.
//!
//! What is removed or replaced is kept in the directory that `CAREEN_FAULT_STASH` names, on the same file system; without one,
//! nothing is remembered and a crash loses nothing. A power cut empties /run altogether: that is up to the test.

use crate::readiness;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::signal::{Signal, kill, raise};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a killed process may take to be gone, on a machine with a lot of other work.
const DEATH_LIMIT: Duration = Duration::from_secs(30);

/// What lies in the stash in place of a file or directory.
#[derive(Debug)]
pub struct Kept(PathBuf);

/// How a change of a directory that is not synced is undone.
#[derive(Debug)]
enum Undo {
    /// The name was made.
    Remove(PathBuf),
    /// The name was taken from another, and what had it before is kept.
    RenameBack { from: PathBuf, to: PathBuf, kept: Option<Kept> },
    /// Two names in one directory changed places.
    ExchangeBack { one: PathBuf, other: PathBuf },
    /// The name was removed.
    Restore { path: PathBuf, kept: Kept },
}

#[derive(Debug)]
struct Snapshot {
    /// Open for reading only: a program that somebody has open for writing cannot be executed.
    file: File,
    content: Vec<u8>,
}

#[derive(Debug, Default)]
struct Memory {
    stash: Option<PathBuf>,
    stashed: u64,
    /// By device and inode: what was synced last of a file that was written since.
    contents: HashMap<(u64, u64), Snapshot>,
    /// Changes of directories, in order.
    names: Vec<Undo>,
}

static MEMORY: LazyLock<Mutex<Memory>> = LazyLock::new(|| {
    let stash = std::env::var_os("CAREEN_FAULT_STASH").map(PathBuf::from);
    Mutex::new(Memory { stash, ..Memory::default() })
});

fn memory() -> MutexGuard<'static, Memory> {
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Before a file is opened: whether it is there. One that will be emptied is remembered.
pub fn opening(path: &Path, creates: bool, truncates: bool) -> bool {
    let was_there = creates && fs::symlink_metadata(path).is_ok();
    if truncates && let Ok(file) = File::options().read(true).write(true).open(path) {
        writing(&file);
    }
    was_there
}

/// Before the content of a file changes.
pub fn writing(file: &File) {
    let mut memory = memory();
    if memory.stash.is_none() {
        return;
    }
    let Some((key, length)) = identity(file) else { return };
    memory.contents.entry(key).or_insert_with(|| {
        let again = reopen(file, false);
        let mut content = vec![0; usize::try_from(length).unwrap_or_default()];
        let again = again.and_then(|again| again.read_exact_at(&mut content, 0).map(|()| again));
        match again {
            Ok(file) => Snapshot { file, content },
            Err(error) => broken(&format!("a file cannot be remembered: {error}")),
        }
    });
}

/// The same file, whatever its name is by now.
fn reopen(file: &File, to_write: bool) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::options().read(true).write(to_write).open(path)
}

/// After a file was synced.
pub fn file_synced(file: &File) {
    if let Some((key, _)) = identity(file) {
        memory().contents.remove(&key);
    }
}

fn identity(file: &File) -> Option<((u64, u64), u64)> {
    let found = file.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(((found.dev(), found.ino()), found.len()))
}

/// After something was made.
pub fn created(path: &Path) {
    let mut memory = memory();
    if memory.remembers(path) {
        memory.names.push(Undo::Remove(path.to_owned()));
    }
}

/// Before a name is removed or taken by something else: keeps what has it, if that is no directory.
pub fn keep(path: &Path) -> Option<Kept> {
    let mut memory = memory();
    if !memory.remembers(path) || fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return None;
    }
    let place = memory.place()?;
    fs::hard_link(path, &place).ok().map(|()| Kept(place))
}

/// After something took another name.
pub fn renamed(from: &Path, to: &Path, kept: Option<Kept>) {
    let mut memory = memory();
    if memory.remembers(to) {
        memory.names.push(Undo::RenameBack { from: from.to_owned(), to: to.to_owned(), kept });
    }
}

/// After two in one directory changed places.
pub fn exchanged(one: &Path, other: &Path) {
    let mut memory = memory();
    if memory.remembers(one) {
        memory.names.push(Undo::ExchangeBack { one: one.to_owned(), other: other.to_owned() });
    }
}

/// After a file was removed.
pub fn removed(path: &Path, kept: Option<Kept>) {
    if let Some(kept) = kept {
        memory().names.push(Undo::Restore { path: path.to_owned(), kept });
    }
}

/// Removes a directory tree in a way that can be undone; `false` when it is not remembered.
pub fn remove_tree(path: &Path) -> io::Result<bool> {
    let mut memory = memory();
    if !memory.remembers(path) {
        return Ok(false);
    }
    let Some(place) = memory.place() else { return Ok(false) };
    fs::rename(path, &place)?;
    memory.names.push(Undo::Restore { path: path.to_owned(), kept: Kept(place) });
    Ok(true)
}

/// After a directory was synced: its changes last.
pub fn directory_synced(directory: &Path) {
    let mut memory = memory();
    let names = std::mem::take(&mut memory.names);
    for undo in names {
        if undo.path().parent() != Some(directory) {
            memory.names.push(undo);
            continue;
        }
        match &undo {
            Undo::RenameBack { from, to, .. } => {
                memory.names.iter_mut().for_each(|earlier| earlier.moved(from, to));
            }
            Undo::ExchangeBack { one, other } => {
                memory.names.iter_mut().for_each(|earlier| earlier.exchanged(one, other));
            }
            Undo::Remove(_) | Undo::Restore { .. } => {}
        }
    }
}

/// The host loses power: what was not synced is undone, and this process is no more.
pub fn crash(keeps_names: bool) -> ! {
    // The power is gone for everybody at once. Only who is alone in a pid namespace may say so of all processes there.
    if std::env::var_os("CAREEN_FAULT_ALONE").is_some()
        && let Err(error) = end_all_others()
    {
        broken(&format!("the other processes cannot be ended: {error}"));
    }
    let mut memory = memory();
    for snapshot in std::mem::take(&mut memory.contents).into_values() {
        let restored = reopen(&snapshot.file, true).and_then(|file| {
            file.set_len(snapshot.content.len() as u64)?;
            file.write_all_at(&snapshot.content, 0)
        });
        if let Err(error) = restored {
            broken(&format!("a file cannot be brought back: {error}"));
        }
    }
    let names = if keeps_names { Vec::new() } else { std::mem::take(&mut memory.names) };
    for undo in names.into_iter().rev() {
        if let Err(error) = undo.carry_out() {
            broken(&format!("{undo:?} is not possible: {error}"));
        }
    }
    let _ = raise(Signal::SIGKILL);
    std::process::exit(137) // the first process of a pid namespace does not die of its own signals
}

/// Ends the other processes of this pid namespace, and waits until they are gone: one that is being killed still writes what it is
/// at, and the program that it runs cannot be written to.
fn end_all_others() -> io::Result<()> {
    let _ = kill(nix::unistd::Pid::from_raw(-1), Signal::SIGKILL);
    let deadline = Instant::now() + DEATH_LIMIT;
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // The first process is out of reach of all others; it only waits for them.
        if pid == 1 || u32::try_from(pid) == Ok(std::process::id()) {
            continue;
        }
        let Some(process) = Pid::from_raw(pid) else { continue };
        let process = match pidfd_open(process, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => continue, // it is gone
            opened => opened?,
        };
        while !readiness::wait(&[process.as_fd()], Some(deadline))?[0] {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("process {pid} runs on")));
            }
        }
    }
    Ok(())
}

/// A test whose power cut is none has shown nothing.
fn broken(what: &str) -> ! {
    crate::say::say(format_args!("fault layer: {what}"));
    std::process::exit(99)
}

impl Memory {
    fn remembers(&self, path: &Path) -> bool {
        self.stash.is_some() && !path.starts_with("/run")
    }

    fn place(&mut self) -> Option<PathBuf> {
        let stash = self.stash.as_ref()?;
        self.stashed += 1;
        Some(stash.join(format!("{}-{}", std::process::id(), self.stashed)))
    }
}

impl Undo {
    /// The name that is changed back.
    fn path(&self) -> &Path {
        match self {
            Self::Remove(path) | Self::Restore { path, .. } | Self::RenameBack { to: path, .. } => path,
            Self::ExchangeBack { other, .. } => other,
        }
    }

    /// All the names that it changes back.
    fn paths(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Remove(path) | Self::Restore { path, .. } => vec![path],
            Self::RenameBack { from, to, .. } => vec![from, to],
            Self::ExchangeBack { one, other } => vec![one, other],
        }
    }

    /// A directory on its path has another name for good.
    fn moved(&mut self, old: &Path, new: &Path) {
        for path in self.paths() {
            if let Some(moved) = moved(path, old, new) {
                *path = moved;
            }
        }
    }

    /// Two directories, either of which may be on its path, have changed places for good.
    fn exchanged(&mut self, one: &Path, other: &Path) {
        for path in self.paths() {
            if let Some(moved) = moved(path, one, other).or_else(|| moved(path, other, one)) {
                *path = moved;
            }
        }
    }

    fn carry_out(&self) -> io::Result<()> {
        match self {
            Self::Remove(path) => match fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(path),
                Ok(_) => fs::remove_file(path),
                Err(_) => Ok(()), // gone already, in a way that is not remembered
            },
            Self::Restore { path, kept } => fs::rename(&kept.0, path),
            Self::RenameBack { from, to, kept } => {
                fs::rename(to, from)?;
                kept.as_ref().map_or(Ok(()), |kept| fs::rename(&kept.0, to))
            }
            Self::ExchangeBack { one, other } => {
                Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
            }
        }
    }
}

/// Where a path leads by now that began with `old`; `None` for another one.
fn moved(path: &Path, old: &Path, new: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(old).ok()?;
    Some(if below.as_os_str().is_empty() { new.to_owned() } else { new.join(below) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_places_for_good_is_found_where_it_is_now() {
        let mut earlier = Undo::RenameBack { from: "/t/.new/a".into(), to: "/t/old/b".into(), kept: None };
        earlier.exchanged(Path::new("/t/.new"), Path::new("/t/old"));
        assert_eq!(earlier.paths(), ["/t/old/a", "/t/.new/b"].map(PathBuf::from).iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_changed_places_and_was_not_synced_changes_them_back() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(one.join("file"), "1").unwrap();
        Undo::ExchangeBack { one: one.clone(), other: other.clone() }.carry_out().unwrap();
        assert!(other.join("file").exists() && !one.join("file").exists());
    }
}
