//! `--script` and `--dir`: a payload from this machine, which travels as Swarm configs. Everything that cannot travel so is
//! refused here, before anything is created.

use careen_contract::command::{CommandFile, HEAD_BYTES, NotRunnable, judge};
use careen_contract::settings::DEFAULT_PAYLOAD;
use careen_swarm::PayloadFile;
use sha2::{Digest, Sha256};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Swarm takes a config of less than this.
const LARGEST_FILE: u64 = 1000 * 1024;

/// All files together: each manager keeps them, and each node gets them in one message, which may have 4 MiB.
const LARGEST_PAYLOAD: u64 = 2 * 1024 * 1024;

/// How many files: each is an object in the swarm's store, and a mount in the agent's container.
const MOST_FILES: usize = 100;

/// What to do when it does not fit.
const BUILD: &str = "build an image for it: 'FROM careen/installer' and 'ADD DIR /install'";

/// Why a payload cannot go out as configs. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Undeliverable {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Unreadable { path: PathBuf, source: io::Error },
    /// Something that is no file, or that a config cannot be.
    #[error("{path} {why}")]
    Unfit {
        path: String,
        /// Why, and what to do.
        why: String,
    },
    /// More than may go out as configs.
    #[error("{path} {why}; {BUILD}")]
    TooLarge {
        path: String,
        /// By how much it is too large.
        why: String,
    },
    /// The command is not there, or cannot run.
    #[error("the command '{command}' {why}")]
    Command {
        command: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A script as the payload's only file: its command.
pub fn script(path: &Path, command: &str) -> Result<Vec<PayloadFile>, Undeliverable> {
    let mut payload = Payload::default();
    let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    payload.add(path, command, &metadata)?;
    payload.finish(path, Some(command))
}

/// A directory as the whole payload. `command` must be among its files; without one the image has it.
pub fn directory(path: &Path, command: Option<&str>) -> Result<Vec<PayloadFile>, Undeliverable> {
    let mut payload = Payload::default();
    payload.walk(path, "")?;
    payload.finish(path, command)
}

#[derive(Default)]
struct Payload {
    files: Vec<PayloadFile>,
    bytes: u64,
}

impl Payload {
    fn walk(&mut self, directory: &Path, below: &str) -> Result<(), Undeliverable> {
        let entries = fs::read_dir(directory).map_err(|source| unreadable(directory, source))?;
        let mut entries: Vec<_> =
            entries.collect::<Result<_, _>>().map_err(|source| unreadable(directory, source))?;
        if entries.is_empty() {
            return Err(unfit(directory, "is an empty directory: configs carry files only, put one into it"));
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().filter(|name| !name.chars().any(char::is_control));
            let name =
                name.ok_or_else(|| unfit(&path, "has a name that is no plain UTF-8: give it another"))?;
            let metadata = fs::symlink_metadata(&path).map_err(|source| unreadable(&path, source))?;
            if metadata.is_dir() {
                self.walk(&path, &format!("{below}{name}/"))?;
            } else {
                self.add(&path, &format!("{below}{name}"), &metadata)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, relative: &str, metadata: &Metadata) -> Result<(), Undeliverable> {
        if metadata.is_symlink() {
            return Err(unfit(
                path,
                "is a symbolic link, and a config cannot be one: put the file itself there",
            ));
        }
        if metadata.is_dir() {
            return Err(unfit(path, "is a directory: --dir takes one"));
        }
        if !metadata.is_file() {
            return Err(unfit(path, "is neither a file nor a directory: take it away"));
        }
        if metadata.len() == 0 {
            return Err(unfit(path, "is empty, and a config must not be: put a line into it"));
        }
        if self.files.len() == MOST_FILES {
            return Err(too_large(
                path,
                format!("is one file more than {MOST_FILES}, which are the most that travel as configs"),
            ));
        }
        let content = read(path)?;
        let size = content.len() as u64;
        if size >= LARGEST_FILE {
            return Err(too_large(
                path,
                format!(
                    "has {} KiB or more, and a config must have less than {} KiB",
                    size / 1024,
                    LARGEST_FILE / 1024
                ),
            ));
        }
        self.bytes += size;
        if self.bytes > LARGEST_PAYLOAD {
            return Err(too_large(
                path,
                format!("is behind the {} KiB that all files together may have", LARGEST_PAYLOAD / 1024),
            ));
        }
        let mode = metadata.permissions().mode() & 0o777;
        let digest = digest(relative, mode, &content);
        self.files.push(PayloadFile {
            target: format!("{DEFAULT_PAYLOAD}/{relative}"),
            digest,
            mode,
            content,
        });
        Ok(())
    }

    fn finish(self, path: &Path, command: Option<&str>) -> Result<Vec<PayloadFile>, Undeliverable> {
        if let Some(command) = command {
            let wrong = |why: String| Undeliverable::Command { command: command.to_owned(), why };
            let target = format!("{DEFAULT_PAYLOAD}/{command}");
            let file = self.files.iter().find(|file| file.target == target);
            let file =
                file.ok_or_else(|| wrong(format!("is not in {}; --command names another", path.display())))?;
            judged(file).map_err(|why| wrong(format!("{why} ({})", path.display())))?;
        }
        Ok(self.files)
    }
}

/// What can be told here of a command; which interpreters and machines there are, only the hosts know.
fn judged(file: &PayloadFile) -> Result<(), NotRunnable> {
    let head = &file.content[..file.content.len().min(HEAD_BYTES)];
    match judge(CommandFile { mode: file.mode, is_file: true, head }, "", |_| true) {
        Ok(_) | Err(NotRunnable::OtherMachine { .. }) => Ok(()),
        Err(why) => Err(why),
    }
}

/// A file, as far as it could fit. One that became a pipe meanwhile holds nobody up.
fn read(path: &Path) -> Result<Vec<u8>, Undeliverable> {
    let mut content = Vec::new();
    let mut options = File::options();
    let opened = options.read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let read = opened.and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut content));
    read.map_err(|source| unreadable(path, source))?;
    Ok(content)
}

/// Tells a file of a payload from every other: engines keep a container's configs by their ids, so two files must not be
/// one config even if they are the same bytes with other modes.
/// A script that careen brings itself.
pub fn made(command: &str, content: &[u8]) -> PayloadFile {
    const MODE: u32 = 0o755;
    PayloadFile {
        target: format!("{DEFAULT_PAYLOAD}/{command}"),
        digest: digest(command, MODE, content),
        mode: MODE,
        content: content.to_vec(),
    }
}

fn digest(relative: &str, mode: u32, content: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(relative.as_bytes());
    hash.update([0]);
    hash.update(mode.to_be_bytes());
    hash.update(content);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unreadable(path: &Path, source: io::Error) -> Undeliverable {
    Undeliverable::Unreadable { path: path.to_owned(), source }
}

fn unfit(path: &Path, why: &str) -> Undeliverable {
    Undeliverable::Unfit { path: path.display().to_string(), why: why.to_owned() }
}

fn too_large(path: &Path, why: String) -> Undeliverable {
    Undeliverable::TooLarge { path: path.display().to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn write(base: &Path, name: &str, content: &[u8], mode: u32) {
        let path = base.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(change: impl FnOnce(&Path)) -> String {
        let base = tempfile::tempdir().unwrap();
        write(base.path(), "install", b"#!/bin/sh\n", 0o755);
        change(base.path());
        directory(base.path(), Some("install")).unwrap_err().to_string()
    }

    #[test]
    fn a_directory_travels_with_its_modes_and_subdirectories() {
        let base = tempfile::tempdir().unwrap();
        write(base.path(), "install", b"#!/bin/sh\n", 0o750);
        write(base.path(), "lib/deep/common.sh", b"x", 0o644);
        write(base.path(), "lib/deep/copy.sh", b"x", 0o644);
        let files = directory(base.path(), Some("install")).unwrap();
        let found: Vec<_> = files.iter().map(|file| (file.target.as_str(), file.mode)).collect();
        let expected = [
            ("/install/install", 0o750),
            ("/install/lib/deep/common.sh", 0o644),
            ("/install/lib/deep/copy.sh", 0o644),
        ];
        assert_eq!(found, expected);
        assert_ne!(files[1].digest, files[2].digest, "the same bytes at two places are two configs");
        assert_eq!(directory(base.path(), Some("install")).unwrap(), files);
    }

    #[test]
    fn a_script_is_the_command_whatever_it_is_called() {
        let base = tempfile::tempdir().unwrap();
        write(base.path(), "fix.sh", b"true\n", 0o700);
        let path = base.path().join("fix.sh");
        let files = script(&path, "check").unwrap();
        assert_eq!((files.len(), files[0].target.as_str(), files[0].mode), (1, "/install/check", 0o700));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let why = script(&path, "install").unwrap_err().to_string();
        assert!(why.contains("chmod +x") && why.contains("fix.sh"), "{why}");
        assert!(script(base.path(), "install").unwrap_err().to_string().contains("--dir takes one"));
        assert!(script(&base.path().join("no"), "install").unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn what_cannot_travel_as_configs_is_refused_with_a_hint() {
        let large = |base: &Path| write(base, "data", &vec![1; 1000 * 1024], 0o644);
        assert!(refusal(large).contains("less than 1000 KiB; build an image"));
        let much =
            |base: &Path| (0..3).for_each(|n| write(base, &format!("d{n}"), &vec![1; 900 * 1024], 0o644));
        assert!(refusal(much).contains("all files together may have; build an image"));
        let many = |base: &Path| (0..100).for_each(|n| write(base, &format!("d{n:03}"), b"x", 0o644));
        assert!(refusal(many).contains("one file more than 100"));
        let link = |base: &Path| std::os::unix::fs::symlink("install", base.join("upgrade")).unwrap();
        assert!(refusal(link).contains("symbolic link"));
        assert!(
            refusal(|base| fs::create_dir(base.join("lib")).unwrap()).contains("lib is an empty directory")
        );
        assert!(refusal(|base| write(base, "lib/__init__.py", b"", 0o644)).contains("is empty"));
        let strange = |base: &Path| fs::write(base.join(OsStr::from_bytes(b"a\xff")), b"x").unwrap();
        assert!(refusal(strange).contains("UTF-8"));
        let socket = |base: &Path| drop(std::os::unix::net::UnixListener::bind(base.join("s")).unwrap());
        assert!(refusal(socket).contains("neither a file"));
        assert!(
            refusal(|base| fs::remove_file(base.join("install")).unwrap()).contains("is an empty directory")
        );
        let crlf = |base: &Path| write(base, "install", b"#!/bin/sh\r\n", 0o755);
        assert!(refusal(crlf).contains("CRLF"));
    }

    #[test]
    fn a_directory_need_not_have_the_command_when_the_image_does() {
        let base = tempfile::tempdir().unwrap();
        write(base.path(), "data", b"x", 0o644);
        assert_eq!(directory(base.path(), None).unwrap().len(), 1);
        let why = directory(base.path(), Some("install")).unwrap_err().to_string();
        assert!(why.contains("'install' is not in") && why.contains("--command"), "{why}");
    }

    #[test]
    fn a_file_just_below_the_limit_travels() {
        let base = tempfile::tempdir().unwrap();
        write(base.path(), "data", &vec![1; 1000 * 1024 - 1], 0o644);
        assert_eq!(directory(base.path(), None).unwrap().len(), 1);
    }
}
