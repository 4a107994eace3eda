//! Helpers for payloads: `careen-agent file` and `careen-agent json-merge`. A host needs neither Perl nor Python nor jq to have
//! its configuration changed safely. What is to be decided is in `careen-edit`.

mod error;
mod place;
mod replace;
#[cfg(test)]
mod tests;

use crate::files::{self, Descriptor, OpenOptions};
use careen_contract::chain;
use careen_edit::LARGEST;
use careen_edit::diff::Change;
use careen_edit::json::{Document, Merged};
use careen_edit::owner::{self, GROUP, Ids, PASSWD};
use careen_edit::words::{self, Content, ReadFrom, Target};
use error::EditError;
use place::Place;
use replace::{Bits, Old, Replacement};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

/// How both are called.
pub const USAGE: &str = "\
careen-agent file [OPTIONS] [--src FILE|- | --content TEXT] PATH
careen-agent json-merge [OPTIONS] [--changed-keys] PATH PATCH|-
  Make PATH have this content, or merge a JSON patch (RFC 7386) into it. What changes is printed as a difference.

  --check              change nothing; exit with 2 if something would change
  --mode MODE          in octal digits (default: as it is; 0644 for a new file)
  --owner USER[:GROUP] by name or number (default: as it is)
  --backup[=SUFFIX]    keep what is replaced as PATHSUFFIX (default: .before-careen)
  --validate 'CMD %s'  replace nothing unless this command ends with 0; %s is a file with the new content
  --follow             where PATH is a link, change what it leads to
  --no-diff            say only that it changes: the content is secret
  --changed-exit N     exit with N (4 to 125) instead of 0 if something was changed
  --changed-keys       print the outermost keys that change, one a line, instead of the difference

Exit codes: 0 done, 1 an error and nothing changed, 2 --check found a change, 3 the validation failed and nothing changed
";

/// `--check` found something to change.
const DRIFT: u8 = 2;

/// The mode of a file that is made.
const NEW_MODE: u32 = 0o644;

/// `careen-agent file`.
pub fn file(words: &[OsString]) -> u8 {
    finish("file", as_text(words).and_then(|words| do_file(&words, &mut io::stdout())))
}

/// `careen-agent json-merge`.
pub fn json_merge(words: &[OsString]) -> u8 {
    finish("json-merge", as_text(words).and_then(|words| do_merge(&words, &mut io::stdout())))
}

fn as_text(words: &[OsString]) -> Result<Vec<String>, EditError> {
    let words = words.iter().map(|word| word.clone().into_string().map_err(|_| EditError::NotText));
    words.collect()
}

fn finish(helper: &str, done: Result<u8, EditError>) -> u8 {
    done.unwrap_or_else(|error| {
        eprintln!("careen-agent {helper}: {}", chain(&error));
        if matches!(error, EditError::Words(_)) {
            eprintln!("careen-agent {helper}: 'careen-agent {helper} --help' lists the options");
        }
        error.exit_code()
    })
}

fn do_file(words: &[String], out: &mut dyn Write) -> Result<u8, EditError> {
    if is_help(words) {
        return help(out);
    }
    let call = words::file(words)?;
    let site = Site::find(&call.target)?;
    let content = match &call.content {
        Content::Text(text) => text.as_bytes().to_vec(),
        Content::From(source) => read_source(source)?,
        Content::Kept => match &site.old {
            Some(old) => old.content.clone(),
            None => return Err(EditError::Missing { path: site.place.path }),
        },
    };
    site.put(&call.target, &content, None, out)
}

fn do_merge(words: &[String], out: &mut dyn Write) -> Result<u8, EditError> {
    if is_help(words) {
        return help(out);
    }
    let call = words::json_merge(words)?;
    let site = Site::find(&call.target)?;
    let patch = read_source(&call.patch)?;
    let what = match &call.patch {
        ReadFrom::Stdin => "the patch".to_owned(),
        ReadFrom::File(path) => format!("the patch {path}"),
    };
    let patch = Document::parse(&patch).map_err(|source| EditError::Json { what, source })?;
    let base = site.old.as_ref().map(|old| old.content.as_slice()).unwrap_or_default();
    let what = || site.place.path.display().to_string();
    let base = Document::parse(base).map_err(|source| EditError::Json { what: what(), source })?;
    let Merged { text, keys } = base.merged(&patch);
    // A file that is not there counts as one without keys: where none is wanted, none is made.
    if site.old.is_none() && keys.is_empty() {
        return Ok(0);
    }
    // As it is, with all that the parser leaves out, when nothing changes.
    let text = site.old.as_ref().filter(|_| keys.is_empty()).map_or(text, |old| old.content.clone());
    site.put(&call.target, &text, call.changed_keys.then_some(keys.as_slice()), out)
}

fn is_help(words: &[String]) -> bool {
    matches!(words, [word] if word == "--help" || word == "-h")
}

fn help(out: &mut dyn Write) -> Result<u8, EditError> {
    out.write_all(USAGE.as_bytes()).map(|()| 0).map_err(EditError::Print)
}

/// The file that is to be changed, as it is now.
struct Site {
    place: Place,
    old: Option<Old>,
    bits: Bits,
    users: String,
    groups: String,
}

impl Site {
    fn find(target: &Target) -> Result<Self, EditError> {
        let path = std::env::current_dir().map_err(EditError::Here)?.join(&target.path);
        if target.path.ends_with('/') {
            return Err(EditError::Kind { path, kind: "a directory by its last '/'" });
        }
        let place = place::find(&path, target.follow)?;
        let users = host_text(PASSWD, target)?;
        let groups = host_text(GROUP, target)?;
        let ids = target.owner.as_ref().map(|owner| owner.ids(&users, &groups)).transpose()?;
        let old = replace::read(&place, target.owner.is_some())?;
        let bits = wanted_bits(old.as_ref(), target.mode, ids.unwrap_or_default());
        Ok(Self { place, old, bits, users, groups })
    }

    /// Makes the file have this content, or says that it would. `keys` are what is said of the change instead of a difference.
    fn put(
        &self,
        target: &Target,
        content: &[u8],
        keys: Option<&[String]>,
        out: &mut dyn Write,
    ) -> Result<u8, EditError> {
        let path = self.place.path.display().to_string();
        if content.len() as u64 > LARGEST {
            return Err(EditError::TooLarge { what: format!("the new content of {path}") });
        }
        let change =
            Change { path: &path, old: self.old.as_ref().map(|old| old.content.as_slice()), new: content };
        let bits = self.shown_bits();
        if !change.is_one() && bits.is_empty() {
            return Ok(0);
        }
        let shown = match keys {
            Some(keys) => keys.iter().fold(String::new(), |all, key| all + key + "\n"),
            None if target.no_diff => format!("changed: {path}\n"),
            None => change.shown() + &bits,
        };
        let code = if target.check {
            DRIFT
        } else {
            let (backup, validate) = (target.backup.as_deref(), target.validate.as_ref());
            let new = Replacement { content, bits: self.bits, backup, validate };
            replace::replace(&self.place, self.old.as_ref(), &new)?;
            target.changed_exit
        };
        let printed = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
        // Behind a change that is done, what becomes of the words is not an error: the exit code tells.
        match printed {
            Err(error) if target.check => Err(EditError::Print(error)),
            Ok(()) | Err(_) => Ok(code),
        }
    }

    /// What changes beside the content of a file that is there.
    fn shown_bits(&self) -> String {
        let mut shown = String::new();
        let Some(old) = self.old.as_ref().map(Old::bits) else { return shown };
        let path = self.place.path.display();
        if old.mode != self.bits.mode {
            let _ = writeln!(shown, "mode of {path}: {:04o} → {:04o}", old.mode, self.bits.mode);
        }
        if (old.uid, old.gid) != (self.bits.uid, self.bits.gid) {
            let _ = writeln!(shown, "owner of {path}: {} → {}", self.owner(old), self.owner(self.bits));
        }
        shown
    }

    fn owner(&self, bits: Bits) -> String {
        format!("{}:{}", owner::name(&self.users, bits.uid), owner::name(&self.groups, bits.gid))
    }
}

/// What a file is to have: what was asked for, else what it has, else what a new one gets.
fn wanted_bits(old: Option<&Old>, mode: Option<u32>, ids: Ids) -> Bits {
    let kept = old.map_or_else(
        || Bits { mode: NEW_MODE, uid: files::at::own_user(), gid: files::at::own_group() },
        Old::bits,
    );
    Bits {
        mode: mode.unwrap_or(kept.mode),
        uid: ids.uid.unwrap_or(kept.uid),
        gid: ids.gid.unwrap_or(kept.gid),
    }
}

/// The host's users or groups. Where there are none, only numbers can be given, and that is told.
fn host_text(path: &str, target: &Target) -> Result<String, EditError> {
    let read = files::read_if_there(path);
    match read {
        Ok(text) => Ok(String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()),
        Err(source) if target.owner.is_some() => Err(EditError::Read { what: path.to_owned(), source }),
        Err(_) => Ok(String::new()),
    }
}

fn read_source(source: &ReadFrom) -> Result<Vec<u8>, EditError> {
    let (what, read) = match source {
        ReadFrom::Stdin => {
            let own = io::stdin().as_fd().try_clone_to_owned();
            ("standard input".to_owned(), own.and_then(|fd| read_some(Descriptor::from(fd))))
        }
        ReadFrom::File(path) => (path.clone(), OpenOptions::new().read(true).open(path).and_then(read_some)),
    };
    match read {
        Ok(Some(content)) => Ok(content),
        Ok(None) => Err(EditError::TooLarge { what }),
        Err(source) => Err(EditError::Read { what, source }),
    }
}

/// Not more than may be, whatever it is: a pipe and a device have no length that could be asked for.
fn read_some(source: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    source.take(LARGEST + 1).read_to_end(&mut content)?;
    Ok(Some(content).filter(|content| content.len() as u64 <= LARGEST))
}
