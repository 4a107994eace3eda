//! Files that are either whole or not there, and that a power cut does not take back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Creates a new file, for root only, with this content, synced. Fails when the name is taken, by a link too.
pub fn create(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    write_new(path, mode, content)?.sync_all()
}

/// As [`create`], not synced.
pub fn create_unsynced(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    write_new(path, mode, content).map(drop)
}

/// Puts this content in the place of a file's, at once: a reader finds the one or the other.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    replace_by(path, |new| create(new, mode, content))
}

/// As [`replace`], not synced.
pub fn replace_unsynced(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    replace_by(path, |new| create_unsynced(new, mode, content))
}

fn replace_by(path: &Path, create: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let new = path.with_extension("new");
    remove_file(&new)?;
    create(&new)?;
    fs::rename(new, path)
}

fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    Ok(file)
}

/// Syncs a directory, so that the names in it last.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes sure that a directory of our own exists: ours, not a link, and closed to everybody else.
pub fn private_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::symlink_metadata(path)?;
    let wrong = |what: &str| Err(io::Error::other(format!("{} {what}: refusing to use it", path.display())));
    if !found.is_dir() {
        return wrong("is not a directory");
    }
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return wrong(&format!("belongs to uid {}", found.uid()));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Removes a directory tree; one that does not exist is removed already.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes a file; one that does not exist is removed already.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
