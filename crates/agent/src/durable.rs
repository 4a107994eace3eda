//! Files that are either whole or not there, and that a power cut does not take back.

use crate::files::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Creates a new file, for root only, with this content; file and name are synced. Fails when the name is taken, by a link too.
pub fn create(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    write_new(path, mode, content)?.sync_all()?;
    sync_name(path)
}

/// As [`create`]; the name lasts once the caller has synced the directory, as one does that makes several files in it.
pub fn create_one_of_several(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    write_new(path, mode, content)?.sync_all()
}

/// As [`create`], not synced.
pub fn create_unsynced(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    write_new(path, mode, content).map(drop)
}

/// Puts this content in the place of a file's, at once: a reader finds the one or the other. File and name are synced.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    replace_by(path, |new| write_new(new, mode, content)?.sync_all())?;
    sync_name(path)
}

/// As [`replace`], not synced.
pub fn replace_unsynced(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    replace_by(path, |new| create_unsynced(new, mode, content))
}

fn replace_by(path: &Path, create: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let new = path.with_extension("new");
    remove_file(&new)?;
    create(&new)?;
    files::rename(new, path)
}

fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    Ok(file)
}

/// Syncs a directory, so that the names in it last.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    files::sync_directory(path)
}

/// Syncs the directory that this name stands in.
fn sync_name(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), files::sync_directory)
}

/// Syncs that the contents of this directory, and the other one, were removed from where they stood.
pub fn sync_removals(directory: &Path, other: &Path) -> io::Result<()> {
    files::sync_directory(directory)?;
    match other.parent() {
        Some(parent) if parent != directory && files::exists(parent)? => files::sync_directory(parent),
        Some(_) | None => Ok(()),
    }
}

/// Makes sure that a directory of our own exists: ours, not a link, and closed to everybody else. Its name is synced, also when
/// it was there: whoever made it may have been killed before that.
pub fn private_directory(path: &Path) -> io::Result<()> {
    match files::create_dir(path, 0o700) {
        Ok(()) => return sync_name(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = files::symlink_metadata(path)?;
    let wrong = |what: &str| Err(io::Error::other(format!("{} {what}: refusing to use it", path.display())));
    if !found.is_dir() {
        return wrong("is not a directory");
    }
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return wrong(&format!("belongs to uid {}", found.uid()));
    }
    if found.mode() & 0o077 != 0 {
        files::set_permissions(path, files::Permissions::from_mode(0o700))?;
    }
    sync_name(path)
}

/// Makes sure that a directory exists, with all that lead to it; the names of those that are made are synced.
pub fn directories(path: &Path) -> io::Result<()> {
    if files::exists(path)? {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        directories(parent)?;
    }
    match files::create_dir(path, 0o755) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    sync_name(path)
}

/// Removes a directory tree; one that does not exist is removed already.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match files::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes a file; one that does not exist is removed already.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match files::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_planted_link_or_file_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let elsewhere = base.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        assert!(private_directory(&link).unwrap_err().to_string().contains("is not a directory"));
        assert!(create(&link, 0o600, b"x").is_err());
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
    }

    #[test]
    fn a_directory_that_was_open_to_others_is_closed() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("d");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        private_directory(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }
}
