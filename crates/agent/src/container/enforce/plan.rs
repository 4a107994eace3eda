//! Which directories are to be watched so that no change of the owned paths is missed.

use crate::files;
use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// So many directories are watched at most: a user's watches are shared by everything that runs as root on the host.
pub const MOST_WATCHES: usize = 4096;

/// What a change in a directory means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// The entry that matters; `None` where all of them do.
    pub name: Option<OsString>,
    /// Which of the owned paths it is about.
    pub owned: usize,
    /// Whether the entry leads to the owned path and is not the path itself: then other directories are to be watched behind it.
    pub leads_there: bool,
}

impl Interest {
    /// Whether a change of this entry is meant; an event without a name is about the directory itself.
    pub fn means(&self, name: Option<&OsStr>) -> bool {
        match (&self.name, name) {
            (Some(meant), Some(name)) => meant == name,
            (None, _) | (Some(_), None) => true,
        }
    }
}

/// All directories, with what a change in each means, and why not everything can be watched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub directories: BTreeMap<PathBuf, Vec<Interest>>,
    pub problem: Option<String>,
}

impl Plan {
    /// For these paths, as the host is now.
    pub fn of(owns: &[String]) -> Self {
        let mut plan = Self::default();
        for (owned, path) in owns.iter().enumerate() {
            plan.add(owned, path);
        }
        plan
    }

    fn add(&mut self, owned: usize, declared: &str) {
        let path = Path::new(declared.trim_end_matches('/'));
        let nearest = self.chain(owned, path);
        self.look_at_its_file_system(declared, &nearest);
        // Behind links it lies elsewhere: what is read there is what counts, and the links are the way to it.
        let real = files::canonical(path).unwrap_or_else(|_| path.to_owned());
        if real != path {
            self.chain(owned, &real);
        }
        if files::is_directory(&real) {
            self.tree(owned, declared, real);
        }
    }

    /// Every directory on the way to a path, down to the last one that is there: each of them may be moved away, and what is
    /// missing may appear. Returns that last one.
    fn chain(&mut self, owned: usize, path: &Path) -> PathBuf {
        let mut directory = PathBuf::from("/");
        let names: Vec<&OsStr> = path
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name),
                Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
            })
            .collect();
        for (at, name) in names.iter().enumerate() {
            let leads_there = at + 1 < names.len();
            self.interest(&directory, Interest { name: Some((*name).to_owned()), owned, leads_there });
            let next = directory.join(name);
            if !leads_there || !files::is_directory(&next) {
                break;
            }
            directory = next;
        }
        directory
    }

    /// A directory with all that is in it. Links in it are not followed.
    fn tree(&mut self, owned: usize, declared: &str, top: PathBuf) {
        let mut pending = vec![top];
        while let Some(directory) = pending.pop() {
            if self.directories.len() >= MOST_WATCHES && !self.directories.contains_key(&directory) {
                self.trouble(format!(
                    "{declared} has too many directories: {MOST_WATCHES} are watched at most"
                ));
                return;
            }
            self.interest(&directory, Interest { name: None, owned, leads_there: false });
            // One that went away meanwhile has told so.
            for entry in files::read_dir(&directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    pending.push(entry.path());
                }
            }
        }
    }

    fn interest(&mut self, directory: &Path, interest: Interest) {
        let interests = self.directories.entry(directory.to_owned()).or_default();
        if !interests.contains(&interest) {
            interests.push(interest);
        }
    }

    fn look_at_its_file_system(&mut self, declared: &str, nearest: &Path) {
        let Some(kind) = files::statfs(nearest).ok().and_then(|found| silent(found.filesystem_type())) else {
            return;
        };
        self.trouble(format!("{declared} is on {kind}, which does not tell of every change"));
    }

    fn trouble(&mut self, why: String) {
        self.problem.get_or_insert(why);
    }
}

/// File systems whose files change without the kernel's telling.
fn silent(kind: FsType) -> Option<&'static str> {
    let silent = [
        (PROC_SUPER_MAGIC, "proc"),
        (SYSFS_MAGIC, "sysfs"),
        (NFS_SUPER_MAGIC, "NFS"),
        (FUSE_SUPER_MAGIC, "a file system of a program's (FUSE)"),
    ];
    silent.into_iter().find_map(|(magic, name)| (magic == kind).then_some(name))
}
