//! Locks between `careen-lab` processes: one per lab name, one for the machine (engine and image).

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::names::LabName;
use crate::progress::Progress;

/// Where the lab keeps its locks and the record of an engine it started.
pub const RUN_DIR: &str = "/run/careen-lab";

/// Serialises `up` and `down` of one lab.
pub fn of_lab(name: &LabName, progress: Progress) -> Result<Arc<File>> {
    take(&Path::new(RUN_DIR).join(format!("lab-{name}.lock")), progress)
}

/// Serialises what all labs of this machine share: the engine, the node image, the choice of a subnet.
pub fn of_machine(progress: Progress) -> Result<Arc<File>> {
    take(&Path::new(RUN_DIR).join("machine.lock"), progress)
}

fn take(path: &Path, progress: Progress) -> Result<Arc<File>> {
    let error = |action| {
        let path = PathBuf::from(path);
        move |source| Error::File { action, path, source }
    };
    std::fs::create_dir_all(RUN_DIR).map_err(error("create (the lab must run as root) the directory of"))?;
    let file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(error("open (the lab must run as root)"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress.say(format!("waiting for another careen-lab process ({})", path.display()));
            file.lock().map_err(error("lock"))?;
        }
        Err(TryLockError::Error(source)) => return Err(error("lock")(source)),
    }
    Ok(Arc::new(file))
}
