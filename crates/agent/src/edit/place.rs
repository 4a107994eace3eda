//! Where a file is, found step by step with every directory held open, so that nobody leads the helper elsewhere.
//!
//! Whoever may write into a directory on the way may put a link there, or another directory. So a link is followed only where
//! nobody but root can have put it (or whoever calls, who needs no trick to write what is his own).

use crate::files::at::{self, Directory, Stat, Thing, thing};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// The directory of a file, held open, and the file's name in it.
#[derive(Debug)]
pub struct Place {
    pub directory: Directory,
    pub name: OsString,
    /// The path without any link in it.
    pub path: PathBuf,
    /// Who else can change names in the directory.
    pub others: Others,
}

/// Who can change the names in a directory, beside root and whoever calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Nobody.
    Nobody,
    /// Whose it is, or its group.
    Some,
    /// Everybody, each his own (`/tmp`).
    Everybody,
}

/// Why a file is not reached. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("{path} cannot be looked at")]
    Look { path: PathBuf, source: io::Error },
    #[error("the directory {path} does not exist: make it first, as with 'install -d -m 0755 {path}'")]
    NoDirectory { path: PathBuf },
    #[error("{path} is no directory")]
    NotADirectory { path: PathBuf },
    #[error("{path} is a link to {to}: name that file, or give --follow to change what the link leads to")]
    Link { path: PathBuf, to: PathBuf },
    #[error("{path} is a link that somebody else than root may have put there: it is not followed")]
    ForeignLink { path: PathBuf },
    #[error("{path} can be written by everybody and has no sticky bit: anybody could exchange the file")]
    Open { path: PathBuf },
    #[error("{path} leads through more than {MOST_LINKS} links")]
    TooManyLinks { path: PathBuf },
    #[error("{path} has '..' in it: write the path without")]
    Up { path: PathBuf },
    #[error("{path} is a directory")]
    IsDirectory { path: PathBuf },
}

/// One directory on the way.
struct Step {
    directory: Directory,
    path: PathBuf,
}

/// Finds the place of an absolute path. A link at its end is followed only with `follow`.
pub fn find(path: &Path, follow: bool) -> Result<Place, PlaceError> {
    let mut way = Way { steps: vec![root()?], left: VecDeque::new(), links: 0 };
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(PlaceError::Up { path: path.to_owned() });
    }
    way.lead(path);
    while let Some(name) = way.left.pop_front() {
        if name == ".." {
            // Out of a link's target alone.
            if way.steps.len() > 1 {
                way.steps.pop();
            }
            continue;
        }
        let is_last = way.left.is_empty();
        if let Some(place) = way.step(path, name, is_last, follow)? {
            return Ok(place);
        }
    }
    Err(PlaceError::IsDirectory { path: path.to_owned() })
}

fn root() -> Result<Step, PlaceError> {
    let path = PathBuf::from("/");
    match Directory::root() {
        Ok(directory) => Ok(Step { directory, path }),
        Err(source) => Err(PlaceError::Look { path, source }),
    }
}

/// The way so far, and what is left of it.
struct Way {
    steps: Vec<Step>,
    left: VecDeque<OsString>,
    links: usize,
}

impl Way {
    /// Puts the parts of a path in front of what is left.
    fn lead(&mut self, path: &Path) {
        for part in path.components().rev() {
            match part {
                Component::Normal(name) => self.left.push_front(name.to_owned()),
                Component::ParentDir => self.left.push_front("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    /// One name further; the place when that was the last.
    fn step(
        &mut self,
        whole: &Path,
        name: OsString,
        is_last: bool,
        follow: bool,
    ) -> Result<Option<Place>, PlaceError> {
        let Some(here) = self.steps.last() else {
            return Err(PlaceError::IsDirectory { path: whole.into() });
        };
        let path = here.path.join(&name);
        let look = |source| PlaceError::Look { path: path.clone(), source };
        let others = others(&here.directory.stat().map_err(look)?, &here.path)?;
        let found = here.directory.look(&name).map_err(look)?;
        match found.as_ref().map(thing) {
            Some(Thing::Link) => {
                self.follow(whole, &path, &name, found.as_ref(), others, !is_last || follow)?
            }
            None if !is_last => return Err(PlaceError::NoDirectory { path }),
            Some(Thing::Directory) if !is_last => {
                let directory = here.directory.below(&name).map_err(look)?;
                self.steps.push(Step { directory, path });
            }
            Some(Thing::File | Thing::Other) if !is_last => return Err(PlaceError::NotADirectory { path }),
            Some(Thing::File | Thing::Directory | Thing::Other) | None => {
                let directory = here.directory.opened().map_err(look)?;
                return Ok(Some(Place { directory, name, path, others }));
            }
        }
        Ok(None)
    }

    fn follow(
        &mut self,
        whole: &Path,
        path: &Path,
        name: &OsStr,
        link: Option<&Stat>,
        others: Others,
        may: bool,
    ) -> Result<(), PlaceError> {
        let Some(here) = self.steps.last() else { return Ok(()) };
        let read = here.directory.link(name);
        let to = read.map_err(|source| PlaceError::Look { path: path.to_owned(), source })?;
        if !may {
            return Err(PlaceError::Link { path: path.to_owned(), to });
        }
        if others != Others::Nobody || !link.is_some_and(|link| is_ours(link.st_uid)) {
            return Err(PlaceError::ForeignLink { path: path.to_owned() });
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(PlaceError::TooManyLinks { path: whole.to_owned() });
        }
        if to.is_absolute() {
            self.steps.truncate(1);
        }
        self.lead(&to);
        Ok(())
    }
}

/// Whether this user can be trusted with everything here.
pub fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == at::own_user()
}

/// Who can change names in a directory.
fn others(directory: &Stat, path: &Path) -> Result<Others, PlaceError> {
    let may = |bits: u32| directory.st_mode & bits != 0;
    if may(0o002) {
        return if may(0o1000) {
            Ok(Others::Everybody)
        } else {
            Err(PlaceError::Open { path: path.to_owned() })
        };
    }
    let group_may = may(0o020) && directory.st_gid != 0;
    Ok(if is_ours(directory.st_uid) && !group_may { Others::Nobody } else { Others::Some })
}
