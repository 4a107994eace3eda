//! The secrets and configs that the container was given, and their copy for the command on the host.
//!
//! The engine mounts each as a file of its own, below /run/secrets or wherever the service says. Nothing tells a secret
//! with a target of its own from a config, so both are treated as secrets: one directory, on a tmpfs, for root only.
//! What is mounted below /install is no secret but the payload, or a part of it: it is copied with the payload, and the
//! host may go on without an agent.

use crate::files::{self, File};
use crate::stop::{OrRefuse, Stop};
use crate::{durable, layout};
use anyhow::Context;
use careen_contract::TransactionId;
use careen_contract::settings::DEFAULT_PAYLOAD;
use careen_host::mountinfo;
use nix::sys::statfs::TMPFS_MAGIC;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

/// Where engines mount secrets that have no target of their own.
const IN_CONTAINER: &str = "/run/secrets";

/// Secrets and configs, held open so that they can be read after the agent went below /host.
#[derive(Debug, Default)]
pub struct Secrets {
    files: BTreeMap<PathBuf, Opened>,
}

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
}

impl Secrets {
    /// Opens all of them. The table is the container's own, see [`mountinfo`].
    pub fn open(table: &str) -> Result<Self, Stop> {
        let mut secrets = Self::default();
        for path in plain_files().or_refuse(format_args!("read {IN_CONTAINER}"))? {
            secrets.add(path)?;
        }
        for path in
            mountinfo::swarm_files(table).into_iter().map(PathBuf::from).filter(|path| !is_payload(path))
        {
            secrets.add(path)?;
        }
        Ok(secrets)
    }

    fn add(&mut self, path: PathBuf) -> Result<(), Stop> {
        let name = name_of(&path);
        if let Some(other) = self.files.get(&name).filter(|other| other.path != path) {
            return Err(Stop::refused(format_args!(
                "{} and {} of this container would both be '{}' in CAREEN_SECRETS: give one of them another target",
                other.path.display(),
                path.display(),
                name.display()
            )));
        }
        let file = File::open(&path).or_refuse(format_args!("read {}", path.display()))?;
        self.files.insert(name, Opened { path, file });
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(Path::new(name))
    }

    /// The text of the one of this name.
    pub fn text(&self, name: &str) -> Option<String> {
        let mut file = &self.files.get(Path::new(name))?.file;
        let mut text = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
        Some(text)
    }

    /// Copies them to a directory of the host's that never reaches a disk. The directory takes its name when it is
    /// complete: who finds one finds all.
    pub fn copy_to_host(&self, id: &TransactionId) -> anyhow::Result<()> {
        let target = layout::secrets(id);
        let unfinished = target.with_file_name(format!("{}{id}", layout::UNFINISHED));
        for directory in [Path::new("/run/careen"), Path::new(layout::SECRETS)] {
            durable::private_directory(directory)?;
        }
        durable::remove_tree(&target)?;
        durable::remove_tree(&unfinished)?;
        durable::private_directory(&unfinished)?;
        let is_tmpfs = files::statfs(&unfinished)?.filesystem_type() == TMPFS_MAGIC;
        let copied = if self.is_empty() || is_tmpfs {
            self.files.iter().try_for_each(|(name, opened)| opened.copy_to(&unfinished, name))
        } else {
            Err(anyhow::anyhow!(
                "the service has secrets or configs, but the host's /run is not a tmpfs: they would reach a disk"
            ))
        };
        let moved = copied.and_then(|()| Ok(files::rename(&unfinished, &target)?));
        if moved.is_err() {
            let _ = durable::remove_tree(&unfinished); // the error that is reported matters more
        }
        moved
    }
}

impl Opened {
    fn copy_to(&self, directory: &Path, name: &Path) -> anyhow::Result<()> {
        let mut content = Vec::new();
        let mut file = &self.file;
        file.rewind()?;
        file.read_to_end(&mut content).with_context(|| format!("read {}", self.path.display()))?;
        let target = directory.join(name);
        for parent in missing_parents(&target) {
            durable::private_directory(&parent)?;
        }
        Ok(durable::create(&target, 0o400, &content)?)
    }
}

/// The directories that a path needs, the outermost first.
fn missing_parents(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = path
        .ancestors()
        .skip(1)
        .take_while(|parent| !files::exists(parent).unwrap_or(false))
        .map(Path::to_owned)
        .collect();
    missing.reverse();
    missing
}

/// The regular files in /run/secrets: what `docker run -v` can bring, too.
fn plain_files() -> std::io::Result<Vec<PathBuf>> {
    let entries = match files::read_dir(IN_CONTAINER) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Whether a config is a file of the payload.
fn is_payload(path: &Path) -> bool {
    path.starts_with(DEFAULT_PAYLOAD)
}

/// What the command finds it under: without /run/secrets, else with the whole path of its target.
fn name_of(path: &Path) -> PathBuf {
    let below = path.strip_prefix(IN_CONTAINER).or_else(|_| path.strip_prefix("/"));
    below.unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_targets() {
        for (path, name) in [
            ("/run/secrets/password", "password"),
            ("/run/secrets/sub/deep", "sub/deep"),
            ("/app.conf", "app.conf"),
            ("/etc/app/x.conf", "etc/app/x.conf"),
            ("/run/secretsauce", "run/secretsauce"),
        ] {
            assert_eq!(name_of(Path::new(path)), Path::new(name));
        }
    }

    #[test]
    fn files_of_the_payload_are_no_secrets() {
        let line = |point: &str| format!("1 2 0:130 /y8l03mdy7ke4fz2lcgycky9e6 {point} ro - tmpfs x ro\n");
        let payload = ["/install/install", "/install/lib/common.sh"].map(line).concat();
        assert!(Secrets::open(&payload).unwrap().is_empty());
        assert!(is_payload(Path::new("/install/a")) && !is_payload(Path::new("/installed/a")));
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let mut secrets = Secrets::default();
        secrets.add(PathBuf::from("/etc/hostname")).unwrap();
        secrets.add(PathBuf::from("/etc/hostname")).unwrap();
        assert!(secrets.has("etc/hostname") && !secrets.is_empty());
        let stop = secrets.add(PathBuf::from("/run/secrets/etc/hostname")).unwrap_err().to_string();
        assert!(stop.contains("would both be 'etc/hostname' in CAREEN_SECRETS"), "{stop}");
    }
}
