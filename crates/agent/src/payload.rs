//! Payloads: what an image brings, and its copy on the host.

use crate::files::{self, File, OpenOptions};
use anyhow::{Context, bail};
use careen_contract::command::{CommandFile, HEAD_BYTES};
use careen_contract::payload::{EntryKind, PayloadDigest, check_name};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const BUFFER_BYTES: usize = 128 * 1024;

/// A payload in the image, held open so that it can be read after the agent went below /host.
#[derive(Debug)]
pub struct Source {
    directory: OwnedFd,
    /// Where it lies in the image, for people.
    name: PathBuf,
}

/// What a payload weighs, and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// See [`PayloadDigest`].
    pub sha256: String,
    /// Regular files.
    pub files: u64,
    pub bytes: u64,
}

impl Source {
    /// Opens the image's payload. `None` when the image has none.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(directory) => Ok(Some(Self { directory: directory.into(), name: path.to_owned() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A path to the payload that holds on either side of a chroot: every procfs resolves its `self` to the process
    /// that asks, the host's too, and the link behind it leads to the open directory wherever that lies.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd()))
    }

    /// Lets programs that this process executes use [`Source::path`] too.
    pub fn keep_open_on_exec(&self) -> io::Result<()> {
        fcntl(&self.directory, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(())
    }

    /// The names of the commands: executable files directly in the payload, sorted.
    pub fn commands(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in files::read_dir(self.path())? {
            let entry = entry?;
            let is_command = files::metadata(entry.path())
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_command && check_name(&name).is_ok() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// What the model needs to judge a command; `None` when there is no such file.
    pub fn command(&self, name: &str) -> io::Result<Option<Command>> {
        let file = match File::open(self.path().join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let mut head = Vec::new();
        if metadata.is_file() {
            (&file).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        }
        Ok(Some(Command { mode: metadata.permissions().mode(), is_file: metadata.is_file(), head }))
    }

    /// The bytes of all files, for the question whether they fit.
    pub fn bytes(&self) -> anyhow::Result<u64> {
        walk(&self.path())?
            .iter()
            .try_fold(0, |sum, entry| Ok(sum + files::symlink_metadata(&entry.path)?.len()))
    }

    /// Copies the payload into a new directory, owned by root, with its permission bits, and computes its digest from
    /// the bytes that were written.
    pub fn copy_to(&self, target: &Path) -> anyhow::Result<Contents> {
        files::create_dir(target, 0o700).with_context(|| format!("create {}", target.display()))?;
        let mut contents = Counter::default();
        for entry in walk(&self.path())? {
            copy_entry(&entry, &target.join(&entry.relative), &mut contents)
                .with_context(|| format!("copy {}", self.name.join(&entry.relative).display()))?;
        }
        Ok(contents.finish())
    }
}

/// A command's file as the model wants to see it.
#[derive(Debug)]
pub struct Command {
    mode: u32,
    is_file: bool,
    head: Vec<u8>,
}

impl Command {
    /// The view that the model judges.
    pub fn as_file(&self) -> CommandFile<'_> {
        CommandFile { mode: self.mode, is_file: self.is_file, head: &self.head }
    }
}

/// Reads a payload on the host again: is it still what was written?
pub fn read_contents(directory: &Path) -> anyhow::Result<Contents> {
    let mut contents = Counter::default();
    for entry in walk(directory)? {
        let metadata = files::symlink_metadata(&entry.path)?;
        let mode = metadata.permissions().mode();
        if metadata.is_dir() {
            contents.directory(&entry.relative, mode);
        } else if metadata.is_symlink() {
            contents.symlink(&entry.relative, files::read_link(&entry.path)?.as_os_str().as_bytes());
        } else {
            let (sha256, bytes) = pump(&mut File::open(&entry.path)?, &mut io::sink())?;
            contents.file(&entry.relative, mode, &sha256, bytes);
        }
    }
    Ok(contents.finish())
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    relative: PathBuf,
}

/// Every entry below a directory, parents before their children.
fn walk(root: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut pending: Vec<OsString> = vec![OsString::new()];
    while let Some(directory) = pending.pop() {
        for entry in
            files::read_dir(root.join(&directory)).with_context(|| format!("read {}", root.display()))?
        {
            let entry = entry?;
            let relative = Path::new(&directory).join(entry.file_name());
            if entry.file_type()?.is_dir() {
                pending.push(relative.clone().into_os_string());
            }
            entries.push(Entry { path: entry.path(), relative });
        }
    }
    // A directory is listed before it is opened, so its entry comes before those of its children.
    Ok(entries)
}

fn copy_entry(entry: &Entry, target: &Path, contents: &mut Counter) -> anyhow::Result<()> {
    let metadata = files::symlink_metadata(&entry.path)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_dir() {
        // Writable for us until its children are in it: root needs no permission bits, so the mode can be set now.
        files::create_dir(target, 0o700)?;
        files::set_permissions(target, files::Permissions::from_mode(mode))?;
        contents.directory(&entry.relative, mode);
    } else if metadata.is_symlink() {
        let link = files::read_link(&entry.path)?;
        files::symlink(&link, target)?;
        contents.symlink(&entry.relative, link.as_os_str().as_bytes());
    } else if metadata.is_file() {
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
        let (sha256, bytes) = pump(&mut File::open(&entry.path)?, &mut copy)?;
        copy.set_permissions(files::Permissions::from_mode(mode))?;
        contents.file(&entry.relative, mode, &sha256, bytes);
    } else {
        bail!("it is neither a file nor a directory nor a link");
    }
    Ok(())
}

/// Copies all bytes, and returns their SHA-256 and number.
pub fn pump(from: &mut impl Read, to: &mut impl Write) -> io::Result<([u8; 32], u64)> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut hash = Sha256::new();
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((hash.finalize().into(), bytes)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
}

#[derive(Debug, Default)]
struct Counter {
    digest: PayloadDigest,
    files: u64,
    bytes: u64,
}

impl Counter {
    fn directory(&mut self, path: &Path, mode: u32) {
        self.digest.add(path.as_os_str().as_bytes(), mode, EntryKind::Directory);
    }

    fn symlink(&mut self, path: &Path, target: &[u8]) {
        self.digest.add(path.as_os_str().as_bytes(), 0, EntryKind::Symlink(target));
    }

    fn file(&mut self, path: &Path, mode: u32, sha256: &[u8], bytes: u64) {
        self.digest.add(path.as_os_str().as_bytes(), mode, EntryKind::File(sha256));
        self.files += 1;
        self.bytes += bytes;
    }

    fn finish(self) -> Contents {
        Contents { sha256: self.digest.finish(), files: self.files, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn payload() -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir_all(base.path().join("data/deep")).unwrap();
        fs::write(base.path().join("data/deep/file"), b"contents").unwrap();
        fs::write(base.path().join("install"), b"#!/bin/sh\n").unwrap();
        fs::set_permissions(base.path().join("install"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(base.path().join("README"), b"no command").unwrap();
        fs::write(base.path().join("careen.yaml"), b"name: x\n").unwrap();
        // As a checkout on a file system without modes has it.
        fs::set_permissions(base.path().join("careen.yaml"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("install", base.path().join("upgrade")).unwrap();
        base
    }

    #[test]
    fn commands_are_the_executable_files_and_links_to_them() {
        let base = payload();
        let source = Source::open(base.path()).unwrap().unwrap();
        assert_eq!(source.commands().unwrap(), ["install", "upgrade"]);
        assert!(source.command("README").unwrap().is_some(), "there, but not executable: the model says so");
        assert!(source.command("missing").unwrap().is_none());
        assert!(Source::open(&base.path().join("missing")).unwrap().is_none());
    }

    #[test]
    fn a_copy_is_the_same_payload_and_a_changed_one_is_not() {
        let base = payload();
        let target = tempfile::tempdir().unwrap();
        let copy = target.path().join("copy");
        let copied = Source::open(base.path()).unwrap().unwrap().copy_to(&copy).unwrap();
        assert_eq!((copied.files, copied.bytes), (4, 36));
        assert_eq!(read_contents(&copy).unwrap(), copied);
        assert_eq!(read_contents(base.path()).unwrap().sha256, copied.sha256);
        fs::write(copy.join("data/deep/file"), b"contentz").unwrap();
        assert_ne!(read_contents(&copy).unwrap().sha256, copied.sha256);
    }

    #[test]
    fn things_that_cannot_be_copied_are_named() {
        let base = payload();
        let _listener = std::os::unix::net::UnixListener::bind(base.path().join("data/socket")).unwrap();
        let target = tempfile::tempdir().unwrap();
        let source = Source::open(base.path()).unwrap().unwrap();
        let error = source.copy_to(&target.path().join("copy")).unwrap_err();
        assert!(format!("{error:#}").contains("data/socket"), "{error:#}");
    }
}
