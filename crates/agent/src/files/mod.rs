//! Every file operation of the agent and of the supervisor goes through here, and a test keeps `std::fs` out of all other
//! modules.
//!
//! In what is shipped these are the standard library's own calls. With the feature `fault-points`, which only
//! tests/faults.rs is built with, each operation has a number, may fail when its turn has come, and may be the last one
//! before the host loses power: what was not synced by then is lost, see `faults` and `unsynced`.

#[cfg(feature = "fault-points")]
mod faults;
#[cfg(feature = "fault-points")]
mod unsynced;

pub mod at;
mod file;

pub use file::{File, OpenOptions};
/// A descriptor of something that is no file of a disk: a pipe, a terminal, memory. Nothing here looks at it.
pub use std::fs::File as Descriptor;
pub use std::fs::{DirEntry, Metadata, Permissions, ReadDir};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::statfs::Statfs;
use nix::sys::statvfs::Statvfs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What kind of operation it is: which faults it can meet depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Open,
    Create,
    Read,
    Write,
    Sync,
    SetLength,
    Reserve,
    Stat,
    List,
    Rename,
    Remove,
    MakeDirectory,
    MakeLink,
    ChangeMode,
}

/// The turn of an operation on this path: an error when it is to fail.
#[cfg(feature = "fault-points")]
fn turn(class: Class, path: &Path) -> io::Result<()> {
    faults::turn(class, path)
}

#[cfg(not(feature = "fault-points"))]
#[inline]
fn turn(_: Class, _: &Path) -> io::Result<()> {
    Ok(())
}

/// How long something that a disk does not let happen is tried again. Tests that break the disk for good wait less.
pub fn patience(usual: Duration) -> Duration {
    #[cfg(feature = "fault-points")]
    let usual = faults::patience().unwrap_or(usual);
    usual
}

/// The whole content of a file.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    File::open(path)?.read_whole()
}

/// The whole content of a file of text.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Where a link leads.
pub fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    turn(Class::Stat, path.as_ref())?;
    std::fs::read_link(path)
}

/// The path without links that leads to the same.
pub fn canonical(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    turn(Class::Stat, path.as_ref())?;
    std::fs::canonicalize(path)
}

/// What lies at this path, links followed.
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    turn(Class::Stat, path.as_ref())?;
    std::fs::metadata(path)
}

/// What lies at this path.
pub fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    turn(Class::Stat, path.as_ref())?;
    std::fs::symlink_metadata(path)
}

/// Whether something lies at this path. That it cannot be told is an error, not a no.
pub fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    match metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// As [`read`], `None` where there is no such file. What cannot be read is an error, not absent.
pub fn read_if_there(path: impl AsRef<Path>) -> io::Result<Option<Vec<u8>>> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Whether something has this name, a link that leads nowhere too. That it cannot be told is an error, not a no.
pub fn is_there(path: impl AsRef<Path>) -> io::Result<bool> {
    match symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Whether a directory can be seen at this path.
pub fn is_directory(path: impl AsRef<Path>) -> bool {
    metadata(path).is_ok_and(|found| found.is_dir())
}

/// Whether a regular file can be seen at this path.
pub fn is_file(path: impl AsRef<Path>) -> bool {
    metadata(path).is_ok_and(|found| found.is_file())
}

/// How full the file system of this path is, and how it is mounted.
pub fn statvfs(path: impl AsRef<Path>) -> io::Result<Statvfs> {
    turn(Class::Stat, path.as_ref())?;
    Ok(nix::sys::statvfs::statvfs(path.as_ref())?)
}

/// Of what type the file system of this path is.
pub fn statfs(path: impl AsRef<Path>) -> io::Result<Statfs> {
    turn(Class::Stat, path.as_ref())?;
    Ok(nix::sys::statfs::statfs(path.as_ref())?)
}

/// The entries of a directory.
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    turn(Class::List, path.as_ref())?;
    std::fs::read_dir(path)
}

/// Writes a file that need not last: neither synced nor at once.
pub fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> io::Result<()> {
    use io::Write;
    OpenOptions::new().write(true).create(true).truncate(true).open(path)?.write_all(content.as_ref())
}

/// Gives a file or a directory another name; what had that name is replaced.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    turn(Class::Rename, to)?;
    #[cfg(feature = "fault-points")]
    let kept = unsynced::keep(to);
    std::fs::rename(from, to)?;
    #[cfg(feature = "fault-points")]
    unsynced::renamed(from, to, kept);
    Ok(())
}

/// As [`rename`], where nothing may be replaced: that is an error.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    turn(Class::Rename, to)?;
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // A file system without this flag: the caller's lock keeps others away as well.
        Err(nix::errno::Errno::EINVAL) => std::fs::rename(from, to)?,
        renamed => renamed?,
    }
    #[cfg(feature = "fault-points")]
    unsynced::renamed(from, to, None);
    Ok(())
}

/// Two that lie at these paths change places, in one step.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    turn(Class::Rename, other)?;
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?;
    #[cfg(feature = "fault-points")]
    unsynced::exchanged(one, other);
    Ok(())
}

/// Gives a file one more name; an error if something has that.
pub fn hard_link(file: impl AsRef<Path>, name: impl AsRef<Path>) -> io::Result<()> {
    let name = name.as_ref();
    turn(Class::MakeLink, name)?;
    std::fs::hard_link(file, name)?;
    #[cfg(feature = "fault-points")]
    unsynced::created(name);
    Ok(())
}

pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    turn(Class::Remove, path)?;
    #[cfg(feature = "fault-points")]
    let kept = unsynced::keep(path);
    std::fs::remove_file(path)?;
    #[cfg(feature = "fault-points")]
    unsynced::removed(path, kept);
    Ok(())
}

/// Removes a directory with everything in it.
pub fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    turn(Class::Remove, path)?;
    #[cfg(feature = "fault-points")]
    if unsynced::remove_tree(path)? {
        return Ok(());
    }
    std::fs::remove_dir_all(path)
}

/// Removes a directory that has nothing in it; of any other it is an error.
pub fn remove_empty_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    turn(Class::Remove, path)?;
    std::fs::remove_dir(path)
}

pub fn create_dir(path: impl AsRef<Path>, mode: u32) -> io::Result<()> {
    let path = path.as_ref();
    turn(Class::MakeDirectory, path)?;
    std::fs::DirBuilder::new().mode(mode).create(path)?;
    #[cfg(feature = "fault-points")]
    unsynced::created(path);
    Ok(())
}

pub fn symlink(target: impl AsRef<Path>, path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    turn(Class::MakeLink, path)?;
    std::os::unix::fs::symlink(target, path)?;
    #[cfg(feature = "fault-points")]
    unsynced::created(path);
    Ok(())
}

/// Changes the mode of what lies at this path.
pub fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    turn(Class::ChangeMode, path.as_ref())?;
    std::fs::set_permissions(path, permissions)
}

/// Syncs a directory, so that the names in it last: those that were made, changed and removed.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    turn(Class::Sync, path)?;
    std::fs::File::open(path)?.sync_all()?;
    #[cfg(feature = "fault-points")]
    unsynced::directory_synced(path);
    Ok(())
}

/// Makes a socket and listens at it.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    turn(Class::Create, path)?;
    let listener = UnixListener::bind(path)?;
    #[cfg(feature = "fault-points")]
    unsynced::created(path);
    Ok(listener)
}

#[cfg(test)]
mod tests;
