//! Which lab is this bench's: one at a time has it, and a lab that no bench has made is left alone.
//!
//! The claim is a file beside the lab's own locks. It is locked as long as the bench lives, and says `made` from before the lab
//! is made until it is gone: a lab that is there while it says so is what a killed bench left.

use crate::error::{Error, Result, file_error};
use crate::image::payload_name;
use careen_lab::{Docker, Lab, LabName, Progress};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Where the lab keeps its locks.
const DIRECTORY: &str = "/run/careen-lab";

const MADE: &str = "made\n";

/// The one who may make and remove the lab of this name.
#[derive(Debug)]
pub struct Claim {
    lab: LabName,
    path: PathBuf,
    lock: File,
}

impl Claim {
    /// Takes the lab of this name, and removes what a killed bench left of it.
    pub fn take(lab: &LabName, progress: Progress) -> Result<Claim> {
        let claim = Claim::in_directory(lab, Path::new(DIRECTORY))?;
        match (Lab::open(lab), claim.has_made()?) {
            (Err(careen_lab::Error::NoSuchLab { .. }), _) => {}
            (Err(error), _) => return Err(error.into()),
            (Ok(_), false) => return Err(Error::NotOurs { lab: lab.to_string() }),
            (Ok(_), true) => {
                progress.say(format!("a bench that was killed left the lab {lab}: it is removed"));
                claim.remove(progress)?;
            }
        }
        std::fs::write(&claim.path, MADE).map_err(file_error("write", &claim.path))?;
        Ok(claim)
    }

    /// The lab's name.
    pub fn lab(&self) -> &LabName {
        &self.lab
    }

    /// Removes the lab, and the payload's image on this machine. Does nothing where there is none.
    pub fn remove(&self, progress: Progress) -> Result<()> {
        // Before the lab, whose end may be the engine's. An image that is not there needs no removing.
        let _ = Docker::local().output(["image", "rm", &payload_name(&self.lab)])?;
        careen_lab::down(&self.lab, progress)?;
        std::fs::write(&self.path, "").map_err(file_error("write", &self.path))
    }

    fn in_directory(lab: &LabName, directory: &Path) -> Result<Claim> {
        std::fs::create_dir_all(directory).map_err(file_error("create", directory))?;
        let path = directory.join(format!("bench-{lab}"));
        let opened = File::options().read(true).append(true).create(true).open(&path);
        let lock = opened.map_err(file_error("open (the bench must run as root)", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Claim { lab: lab.clone(), path, lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { lab: lab.to_string(), path }),
            Err(TryLockError::Error(source)) => Err(file_error("lock", &path)(source)),
        }
    }

    fn has_made(&self) -> Result<bool> {
        let text = std::fs::read_to_string(&self.path).map_err(file_error("read", &self.path))?;
        Ok(text == MADE)
    }
}

impl Drop for Claim {
    /// To close the file is not enough: between a thread's fork(2) and the child's exec(2) the child has it open too.
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by the end of the process.
        let _ = self.lock.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bench_at_a_time_has_a_lab() {
        let directory = std::env::temp_dir().join(format!("careen-bench-claim-{}", std::process::id()));
        let lab = "mine".parse().unwrap();
        let first = Claim::in_directory(&lab, &directory).unwrap();
        assert!(!first.has_made().unwrap());
        assert!(matches!(Claim::in_directory(&lab, &directory), Err(Error::Busy { .. })));
        let other = Claim::in_directory(&"other".parse().unwrap(), &directory);
        assert!(other.is_ok());
        // As a child of another thread has it that is not yet what it becomes.
        let _childs = first.lock.try_clone().unwrap();
        drop(first);
        assert!(Claim::in_directory(&lab, &directory).is_ok());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
