//! The supervisor on the host: where programs may lie there, and this very binary, put there.

use super::unusable::{unusable, unusable_chain};
use crate::files::{self, File, OpenOptions};
use crate::payload::pump;
use crate::say::say;
use crate::stop::Stop;
use crate::{durable, layout, tool};
use anyhow::Context;
use careen_contract::chain;
use careen_contract::id::hex;
use nix::sys::statvfs::FsFlags;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The open binary of this process, whatever has become of its path.
const OWN_BINARY: &str = "/proc/self/exe";

/// How long it may take to label a file.
const LABEL_LIMIT: Duration = Duration::from_secs(20);

/// This binary, and where the host lets it be executed.
#[derive(Debug)]
pub struct Supervisor {
    /// The first directory from which the host lets programs be executed.
    pub exec_base: PathBuf,
    pub sha256: String,
}

impl Supervisor {
    pub fn find() -> Result<Self, Stop> {
        let exec_base = executable_base()?;
        let sha256 = File::open(OWN_BINARY).and_then(|mut file| pump(&mut file, &mut std::io::sink()));
        match sha256 {
            Ok((sha256, _)) => Ok(Self { exec_base, sha256: hex(&sha256) }),
            Err(error) => Err(unusable_chain("read the agent's own binary", &error.into())),
        }
    }

    /// Puts the binary where the host can execute it, and a link to it where a person finds it. Returns its path.
    pub fn install(&self) -> Result<PathBuf, Stop> {
        self.try_install().map_err(|error| unusable_chain("install the supervisor on the host", &error))
    }

    /// One that lies there is used only if it is the same, byte by byte.
    fn try_install(&self) -> anyhow::Result<PathBuf> {
        let target = layout::binary(&self.exec_base, &self.sha256);
        let directory = target.parent().context("the binary's path has a directory")?;
        if let Some(bin) = directory.parent() {
            durable::private_directory(bin)?;
        }
        durable::private_directory(directory)?;
        let installed = File::open(&target).and_then(|mut file| pump(&mut file, &mut std::io::sink()));
        if !installed.is_ok_and(|(found, _)| hex(&found) == self.sha256) {
            let unfinished = directory.join(".new");
            durable::remove_file(&unfinished)?;
            let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&unfinished)?;
            pump(&mut File::open(OWN_BINARY)?, &mut copy)?;
            copy.sync_all()?;
            drop(copy);
            files::rename(&unfinished, &target)?;
            durable::sync_directory(directory)?;
        }
        label(&target);
        link(&target);
        Ok(target)
    }
}

/// The first directory from which the host lets programs be executed.
fn executable_base() -> Result<PathBuf, Stop> {
    let usable = |candidate: &&&str| {
        let existing =
            Path::new(candidate).ancestors().find(|ancestor| files::exists(ancestor).unwrap_or(false));
        let flags = existing.and_then(|existing| files::statvfs(existing).ok()).map(|found| found.flags());
        flags.is_some_and(|flags| !flags.intersects(FsFlags::ST_NOEXEC | FsFlags::ST_RDONLY))
    };
    let Some(base) = layout::EXEC_CANDIDATES.iter().find(usable) else {
        return Err(Stop::refused(format_args!(
            "none of {} can be written to and executed from on this host: mount one of them without 'noexec' and 'ro'",
            layout::EXEC_CANDIDATES.join(", ")
        )));
    };
    if *base != layout::ROOT {
        say(format_args!("{} is mounted noexec: the payload goes to {base}", layout::ROOT));
        durable::private_directory(Path::new(base)).map_err(|error| unusable(Path::new(base), &error))?;
    }
    Ok(PathBuf::from(base))
}

/// On a host with SELinux systemd starts what has a program's label. Set each time: a host that is labelled anew takes it away.
fn label(binary: &Path) {
    if !files::exists("/sys/fs/selinux/enforce").unwrap_or(false) {
        return;
    }
    let path = binary.display().to_string();
    if let Err(error) = tool::must(&["chcon", "-t", "bin_t", &path], LABEL_LIMIT) {
        say(format_args!(
            "warning: systemd may refuse to start {path}, which has no program's label: {}",
            chain(&error)
        ));
    }
}

/// Best effort: a host without a writable /usr/local/sbin still works, its people type a longer path.
fn link(binary: &Path) {
    let link = Path::new(layout::LINK);
    if files::read_link(link).is_ok_and(|target| target == binary) {
        return;
    }
    let is_ours = files::symlink_metadata(link).map_or(true, |found| found.is_symlink());
    let unfinished = link.with_extension("new");
    if is_ours && durable::remove_file(&unfinished).is_ok() && files::symlink(binary, &unfinished).is_ok() {
        let _ = files::rename(&unfinished, link);
    }
}
