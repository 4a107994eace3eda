//! What the payload of a call says of itself, wherever the payload comes from.

use super::Session;
use crate::args::GivenArgs;
use crate::backend::Backend;
use crate::console::Console;
use crate::error::Failure;
use crate::file::payload;
use crate::file::wrong::UnusableFile;
use careen_contract::payload_manifest::{LONGEST_MANIFEST, MANIFEST_FILE, PayloadManifest};
use careen_contract::settings::DEFAULT_PAYLOAD;
use careen_engine::FileInContainer;
use std::io;
use std::path::{Path, PathBuf};

impl<B: Backend, C: Console> Session<'_, B, C> {
    /// Of `--dir` and beside `--script` the file of this machine counts, else that of the image that is named, as it is pinned.
    /// Nothing where there is none, and where nobody knows: of an image that the asked engine does not have nothing is read.
    pub(super) fn payload_manifest(
        &mut self,
        given: &GivenArgs,
        image: Option<&str>,
    ) -> Result<Option<PayloadManifest>, Failure> {
        let beside = given.script.as_deref().map(|script| script.parent().unwrap_or(Path::new("")));
        if let Some(directory) = given.dir.as_deref().or(beside)
            && let Some(manifest) = payload::beside(directory)?
        {
            return Ok(Some(manifest));
        }
        let Some(image) = image else { return Ok(None) };
        let file = format!("{DEFAULT_PAYLOAD}/{MANIFEST_FILE}");
        let path = PathBuf::from(format!("{image}:{file}"));
        Ok(match self.backend.read_in_image(image, &file, LONGEST_MANIFEST)? {
            None | Some(FileInContainer::Absent) => None,
            Some(FileInContainer::Content(content)) => payload::of_content(&path, content)?,
            Some(FileInContainer::TooLong) => return Err(payload::too_long(path).into()),
            Some(FileInContainer::NoFile) => {
                let source = io::Error::other("it is no regular file");
                return Err(UnusableFile::Unreadable { path, source }.into());
            }
        })
    }
}
