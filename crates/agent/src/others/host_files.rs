//! The host's files, as the model reads them.

use crate::files;
use careen_host::preflight::Files;
use jiff::Timestamp;
use std::io;

/// The files of the host that this agent has entered.
pub struct HostFiles;

impl Files for HostFiles {
    fn read(&self, path: &str) -> io::Result<Option<String>> {
        let read = files::read_if_there(path)?;
        Ok(read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let names = files::read_dir(directory).into_iter().flatten().flatten();
        names.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn since(&self, path: &str) -> Option<Timestamp> {
        files::metadata(path).and_then(|found| found.modified()).ok()?.try_into().ok()
    }
}
