//! A file with new content in the place of an old one: at once, lasting, and with all that the old one had beside its content.

use super::error::EditError;
use super::place::{Others, Place, is_ours};
use crate::files::at::{Directory, Held, Stat, Thing, thing};
use crate::tool;
use careen_edit::LARGEST;
use careen_edit::words::Validation;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a validation may take.
const VALIDATION_LIMIT: Duration = Duration::from_secs(60);

/// How much of what it says is shown, in bytes.
const VALIDATION_WORDS: usize = 16 * 1024;

/// How the name of a file begins that does not have its name yet; the id of its process and its name follow. Programs that read
/// all files of a directory leave hidden ones alone, and one that asks for an ending finds the right one.
const DRAFT: &str = ".careen-new-";

/// The longest name that a file may have.
const LONGEST_NAME: usize = 255;

/// Says what is in the content and is none of the new one's business.
const OF_THE_CONTENT: [&[u8]; 2] = [b"security.ima", b"security.evm"];

/// The access list, which a new file may get from its directory.
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";

/// A file as it is before the change.
#[derive(Debug)]
pub struct Old {
    pub content: Vec<u8>,
    pub stat: Stat,
    file: Held,
}

/// What a file is to have beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Old {
    /// What it has beside its content.
    pub fn bits(&self) -> Bits {
        Bits { mode: self.stat.st_mode & 0o7777, uid: self.stat.st_uid, gid: self.stat.st_gid }
    }
}

/// Reads what is there, if anything is. `gets_owner` says that it will belong to whom the caller named.
pub fn read(place: &Place, gets_owner: bool) -> Result<Option<Old>, EditError> {
    let path = || place.path.clone();
    let failed = |source| EditError::Read { what: place.path.display().to_string(), source };
    if place.directory.is_immutable() {
        let path = place.path.parent().unwrap_or(Path::new("/")).to_owned();
        return Err(EditError::Immutable { path });
    }
    let Some(seen) = place.directory.look(&place.name).map_err(failed)? else { return Ok(None) };
    match thing(&seen) {
        Thing::File => {}
        Thing::Directory => return Err(EditError::Kind { path: path(), kind: "a directory" }),
        Thing::Link => return Err(EditError::Kind { path: path(), kind: "a link" }),
        Thing::Other => return Err(EditError::Kind { path: path(), kind: "a pipe, a socket or a device" }),
    }
    if place.others != Others::Nobody && seen.st_nlink > 1 {
        return Err(EditError::OtherName { path: path() });
    }
    if place.others == Others::Everybody && !is_ours(seen.st_uid) && !gets_owner {
        return Err(EditError::Foreign { path: path() });
    }
    let file = place.directory.open(&place.name).map_err(failed)?;
    let stat = file.stat().map_err(failed)?;
    if !is_same(&seen, &stat) {
        return Err(EditError::Meanwhile { path: path() });
    }
    if file.is_immutable() {
        return Err(EditError::Immutable { path: path() });
    }
    let content = file.read(LARGEST).map_err(failed)?;
    let Some(content) = content else {
        return Err(EditError::TooLarge { what: place.path.display().to_string() });
    };
    Ok(Some(Old { content, stat, file }))
}

/// The same file, not written meanwhile.
fn is_same(one: &Stat, other: &Stat) -> bool {
    let of = |stat: &Stat| {
        (
            stat.st_dev,
            stat.st_ino,
            stat.st_size,
            (stat.st_mtime, stat.st_mtime_nsec),
            (stat.st_ctime, stat.st_ctime_nsec),
        )
    };
    of(one) == of(other)
}

/// A file that does not have its name yet. Dropped, it is gone.
struct Draft<'a> {
    place: &'a Place,
    name: OsString,
    file: Held,
    is_placed: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Replacement<'a> {
    pub content: &'a [u8],
    pub bits: Bits,
    pub backup: Option<&'a str>,
    pub validate: Option<&'a Validation>,
}

/// Puts new content in the place of what was read.
pub fn replace(place: &Place, old: Option<&Old>, new: &Replacement<'_>) -> Result<(), EditError> {
    sweep(&place.directory);
    let draft = Draft::new(place, &place.name, new.content, new.bits, old)?;
    if let Some(validation) = new.validate {
        draft.validate(validation)?;
    }
    draft.refuse_if_changed(old)?;
    if let (Some(suffix), Some(old)) = (new.backup, old) {
        let mut name = place.name.clone();
        name.push(suffix);
        Draft::new(place, &name, &old.content, old.bits(), Some(old))?.become_named(&name)?;
    }
    let seen = draft.file.stat().map_err(|source| draft.failed("a look at the new file", source))?;
    draft.become_named(&place.name)?;
    let synced = place.directory.sync();
    synced.map_err(|source| EditError::Unsynced { path: place.path.clone(), source })?;
    let now = place.directory.look(&place.name);
    if !now.is_ok_and(|now| now.is_some_and(|now| (now.st_dev, now.st_ino) == (seen.st_dev, seen.st_ino))) {
        return Err(EditError::Exchanged { path: place.path.clone() });
    }
    Ok(())
}

impl<'a> Draft<'a> {
    /// On the disk, with all that it is to have.
    fn new(
        place: &'a Place,
        becomes: &OsStr,
        content: &[u8],
        bits: Bits,
        old: Option<&Old>,
    ) -> Result<Self, EditError> {
        let name = draft_name(becomes);
        let failed =
            |step: &str, source| EditError::Step { step: step.into(), path: place.path.clone(), source };
        // One of this name is left by a process that had the same id, and is gone.
        let _ = place.directory.remove(&name);
        let file =
            place.directory.create(&name).map_err(|source| failed("making a file beside it", source))?;
        let draft = Self { place, name, file, is_placed: false };
        draft.file.write(content).map_err(|source| failed("writing the new content", source))?;
        // The owner first: a change of it takes capabilities and some bits of the mode away.
        let stat = draft.file.stat().map_err(|source| failed("a look at the new file", source))?;
        if (stat.st_uid, stat.st_gid) != (bits.uid, bits.gid) {
            let given = draft.file.give(bits.uid, bits.gid);
            given.map_err(|source| failed("giving the new file its owner", source))?;
        }
        if let Some(old) = old {
            draft.take_attributes(old)?;
        }
        draft.file.set_mode(bits.mode).map_err(|source| failed("setting the new file's mode", source))?;
        draft.file.sync().map_err(|source| failed("syncing the new file", source))?;
        Ok(draft)
    }

    fn failed(&self, step: &str, source: io::Error) -> EditError {
        EditError::Step { step: step.to_owned(), path: self.place.path.clone(), source }
    }

    /// Labels, capabilities and access lists are kept.
    fn take_attributes(&self, old: &Old) -> Result<(), EditError> {
        let listed = old.file.attributes().map_err(|source| self.failed("reading its attributes", source))?;
        for name in listed.iter().filter(|name| !OF_THE_CONTENT.contains(&name.as_slice())) {
            let value = old.file.attribute(name);
            // A new file has the right label already where the system gives it.
            let has = |value: &[u8]| self.file.attribute(name).is_ok_and(|own| own == value);
            let kept = value
                .and_then(|value| if has(&value) { Ok(()) } else { self.file.set_attribute(name, &value) });
            kept.map_err(|source| {
                self.failed(&format!("keeping the attribute {}", String::from_utf8_lossy(name)), source)
            })?;
        }
        let own = self.file.attributes().map_err(|source| self.failed("reading its attributes", source))?;
        let is_list = |name: &Vec<u8>| name == ACCESS_LIST;
        if own.iter().any(is_list) && !listed.iter().any(is_list) {
            let removed = self.file.remove_attribute(ACCESS_LIST);
            removed.map_err(|source| self.failed("removing the directory's access list", source))?;
        }
        Ok(())
    }

    fn validate(&self, validation: &Validation) -> Result<(), EditError> {
        let path: PathBuf = self.place.path.with_file_name(&self.name);
        let command = validation.command(&path.display().to_string());
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let shown = || validation.text().to_owned();
        match tool::told("/bin/sh", &["-c", &command], &environment, VALIDATION_LIMIT) {
            Ok(answer) if answer.status == 0 => Ok(()),
            Ok(answer) => Err(EditError::Invalid {
                command: shown(),
                status: answer.status,
                said: shortened(answer.output.trim_end()),
                path: self.place.path.clone(),
            }),
            Err(source) => {
                Err(EditError::Unvalidated { command: shown(), path: self.place.path.clone(), source })
            }
        }
    }

    /// What was decided rests on what was read.
    fn refuse_if_changed(&self, old: Option<&Old>) -> Result<(), EditError> {
        let now = self.place.directory.look(&self.place.name);
        let now = now.map_err(|source| self.failed("a second look", source))?;
        let is_so = match (old, &now) {
            (None, None) => true,
            (Some(old), Some(now)) => is_same(&old.stat, now),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if is_so { Ok(()) } else { Err(EditError::Meanwhile { path: self.place.path.clone() }) }
    }

    fn become_named(mut self, name: &OsStr) -> Result<(), EditError> {
        let renamed = self.place.directory.rename(&self.name, name);
        self.is_placed = renamed.is_ok();
        let step = if name == self.place.name { "replacing it" } else { "replacing its backup" };
        renamed.map_err(|source| self.failed(step, explained(source)))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = self.place.directory.remove(&self.name);
        }
    }
}

/// What the kernel's word means for a rename.
fn explained(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::ResourceBusy {
        return io::Error::other("it is mounted there by itself, as /etc/hosts is in a container");
    }
    error
}

/// Those of a file and of its backup differ, and are there side by side.
fn draft_name(becomes: &OsStr) -> OsString {
    let mut draft = OsString::from(format!("{DRAFT}{}-", std::process::id()));
    if draft.len() + becomes.len() <= LONGEST_NAME {
        draft.push(becomes);
    } else {
        draft.push(becomes.len().to_string());
    }
    draft
}

/// Removes what helpers left that were killed. A process that lives is none of those.
fn sweep(directory: &Directory) {
    for name in directory.names().unwrap_or_default() {
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(DRAFT)) else { continue };
        let process = rest.split('-').next().and_then(|id| id.parse::<u32>().ok());
        let lives = process.is_none_or(|id| crate::files::exists(format!("/proc/{id}")).unwrap_or(true));
        if !lives {
            let _ = directory.remove(&name);
        }
    }
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(VALIDATION_WORDS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let more = text.len() - end;
    if more == 0 { text.to_owned() } else { format!("{}\n... and {more} more bytes", &text[..end]) }
}
