//! The directory in which a run keeps what it made for itself, and where its results lie.

use crate::error::{Result, file_error};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// `target/bench`, or what the command line says.
#[derive(Debug, Clone)]
pub struct Work(PathBuf);

impl Work {
    /// The directory, made where it is missing, without what an earlier run left in it for itself.
    pub fn in_directory(directory: &Path) -> Result<Work> {
        std::fs::create_dir_all(directory).map_err(file_error("create", directory))?;
        let directory = directory.canonicalize().map_err(file_error("find", directory))?;
        let work = Work(directory);
        let own = work.own();
        match std::fs::remove_dir_all(&own) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error("remove", &own)(error));
            }
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(&own).map_err(file_error("create", &own))?;
        // A key that opens the lab's hosts lies in it.
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&own, mode).map_err(file_error("chmod", &own))?;
        Ok(work)
    }

    /// A file of a run's own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.own().join(name)
    }

    /// What stays from one run to the next, and the results.
    pub fn lasting(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file of a run's own; where it lies.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> Result<PathBuf> {
        let path = self.file(name);
        write(&path, text)?;
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).map_err(file_error("chmod", &path))?;
        Ok(path)
    }

    /// Writes a result.
    pub fn result(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.lasting(name);
        write(&path, text)?;
        Ok(path)
    }

    fn own(&self) -> PathBuf {
        self.0.join("run")
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(file_error("create", directory))?;
    }
    std::fs::write(path, text).map_err(file_error("write", path))
}
