//! A directory of our own for apt: lists, downloaded packages and pins. What others do to the host's own (a timer's update, an
//! `apt-get clean`) between `prepare` and `install` changes nothing in it, and it goes with one removal.

use super::fail::{Fail, file};
use crate::plan::Plan;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

/// Readable for everybody, unlike careen's own: apt gives up its rights to download.
const ROOT: &str = "/var/cache/careen";
const UPGRADE: &str = "upgrade";
const CHECK: &str = "check-";

#[derive(Debug)]
pub struct Work {
    path: PathBuf,
}

impl Work {
    /// A new one, in place of any that was left.
    pub fn fresh() -> Result<Self, Fail> {
        Self::create(UPGRADE.to_owned())
    }

    /// A new one for a look, which may happen beside an upgrade.
    pub fn for_a_look() -> Result<Self, Fail> {
        Self::create(format!("{CHECK}{}", std::process::id()))
    }

    /// The one that `prepare` has left, with its plan.
    pub fn prepared() -> Option<(Self, Plan)> {
        let work = Self { path: Path::new(ROOT).join(UPGRADE) };
        let text = fs::read_to_string(work.plan()).ok()?;
        Plan::parse(&text).map(|plan| (work, plan))
    }

    fn create(name: String) -> Result<Self, Fail> {
        remove_what_died();
        let work = Self { path: Path::new(ROOT).join(name) };
        work.remove()?;
        for directory in [work.lists().join("partial"), work.archives().join("partial"), work.preferences()] {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(&directory);
            made.map_err(file("create", directory))?;
        }
        Ok(work)
    }

    pub fn lists(&self) -> PathBuf {
        self.path.join("lists")
    }

    pub fn archives(&self) -> PathBuf {
        self.path.join("archives")
    }

    pub fn preferences(&self) -> PathBuf {
        self.path.join("preferences.d")
    }

    fn plan(&self) -> PathBuf {
        self.path.join("plan")
    }

    /// Says that everything is here. Written last, and by one rename: half of it is none.
    pub fn seal(&self, plan: &Plan) -> Result<(), Fail> {
        let unfinished = self.path.join("plan.new");
        fs::write(&unfinished, plan.to_text()).map_err(file("write", &unfinished))?;
        fs::rename(&unfinished, self.plan()).map_err(file("write", self.plan()))
    }

    /// Begins with the lists that the host has, so that only what is new in the archives is fetched.
    pub fn take_lists(&self, from: &Path) -> Result<(), Fail> {
        for entry in fs::read_dir(from).map_err(file("read", from))?.flatten() {
            let path = entry.path();
            let is_list = entry.file_type().is_ok_and(|kind| !kind.is_dir()) && entry.file_name() != "lock";
            if is_list {
                take(&path, &self.lists().join(entry.file_name()));
            }
        }
        Ok(())
    }

    /// The operator's pins, and ours before them.
    pub fn pin(&self, operators: &Path, ours: &str) -> Result<(), Fail> {
        for entry in fs::read_dir(operators).into_iter().flatten().flatten() {
            let target = self.preferences().join(entry.file_name());
            symlink(entry.path(), &target).map_err(file("create", target))?;
        }
        let path = self.preferences().join("00-careen");
        fs::write(&path, ours).map_err(file("write", path))
    }

    /// Takes it away, and the directory above when that is empty.
    pub fn remove(&self) -> Result<(), Fail> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", &self.path)(error)),
            _ => {
                let _ = fs::remove_dir(ROOT); // others may have theirs in it
                Ok(())
            }
        }
    }
}

/// A link, or a copy where the host's lists lie on another file system. What cannot be had is fetched: half a copy is worse
/// than none.
fn take(path: &Path, target: &Path) {
    if fs::hard_link(path, target).is_err() && fs::copy(path, target).is_err() {
        let _ = fs::remove_file(target); // there may be nothing
    }
}

/// What looks have left that were killed. The kernel has given their numbers back, or they are still at it.
fn remove_what_died() {
    for entry in fs::read_dir(ROOT).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix(CHECK) else { continue };
        if !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_dir_all(entry.path()); // in nobody's way; the next one tries again
        }
    }
}
