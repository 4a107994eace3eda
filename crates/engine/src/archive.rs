//! Files of containers, which need not have been started: put there, looked for, and read.

use crate::error::EngineError;
use crate::path::ApiPath;
use crate::tar::{FirstEntry, first_entry};
use crate::{Engine, REQUEST_TIMEOUT};

/// What a container has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileInContainer {
    /// A regular file, with what is in it.
    Content(Vec<u8>),
    /// A file that is longer than it may be.
    TooLong,
    /// A directory, a link, or anything else.
    NoFile,
    /// Nothing.
    Absent,
}

impl Engine {
    /// Whether a container has something at this path.
    pub fn has_path(&self, container: &str, path: &str) -> Result<bool, EngineError> {
        let path = ApiPath::archive(container, path);
        let answer = self.agent.head(self.url(&path)).call();
        match self.bytes(format!("HEAD {path}"), answer) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a file of a container's, of so many bytes at most. More of it does not even travel.
    pub fn read_file(
        &self,
        container: &str,
        path: &str,
        most: usize,
    ) -> Result<FileInContainer, EngineError> {
        let archive = match self.reader_within(&ApiPath::archive(container, path), REQUEST_TIMEOUT) {
            Ok(archive) => archive,
            Err(error) if error.is_not_found() => return Ok(FileInContainer::Absent),
            Err(error) => return Err(error),
        };
        let first = first_entry(archive, most).map_err(|error| self.unreachable(error.into()))?;
        Ok(match first {
            FirstEntry::File(content) => FileInContainer::Content(content),
            FirstEntry::TooLong => FileInContainer::TooLong,
            FirstEntry::NoFile => FileInContainer::NoFile,
        })
    }

    /// Puts files into a container, as a tar archive that is unpacked at its root.
    pub fn put_archive(&self, container: &str, archive: &[u8]) -> Result<(), EngineError> {
        let path = ApiPath::archive(container, "/");
        let call = self.agent.put(self.url(&path)).content_type("application/x-tar");
        self.text(format!("PUT {path}"), call.send(archive)).map(drop)
    }
}
