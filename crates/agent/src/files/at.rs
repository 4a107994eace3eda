//! Files below a directory that is held open, for the helpers of payloads: between a look at a name and what is done with it
//! nobody can put another directory in the place of this one.
//!
//! No operation here follows a link. They are the helpers' alone and nothing of a transaction, so none of them has a number.

use rustix::fs::{self, AtFlags, Gid, IFlags, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What is known of a file.
pub use rustix::fs::Stat;

/// What kind of thing has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    File,
    Directory,
    Link,
    Other,
}

/// Kind of what this describes.
pub fn thing(stat: &Stat) -> Thing {
    match fs::FileType::from_raw_mode(stat.st_mode) {
        fs::FileType::RegularFile => Thing::File,
        fs::FileType::Directory => Thing::Directory,
        fs::FileType::Symlink => Thing::Link,
        fs::FileType::Fifo
        | fs::FileType::Socket
        | fs::FileType::CharacterDevice
        | fs::FileType::BlockDevice
        | fs::FileType::Unknown => Thing::Other,
    }
}

/// Whom this process is to the kernel.
pub fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// And of which group.
pub fn own_group() -> u32 {
    rustix::process::getegid().as_raw()
}

/// A directory that is held open.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
}

impl Directory {
    /// `/`
    pub fn root() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: fs::open("/", flags, Mode::empty())? })
    }

    /// One in it.
    pub fn below(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { fd: fs::openat(&self.fd, name, flags, Mode::empty())? })
    }

    /// The same one, to be read and synced as well.
    pub fn opened(&self) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: fs::openat(&self.fd, ".", flags, Mode::empty())? })
    }

    /// What it is itself.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(fs::fstat(&self.fd)?)
    }

    /// What has this name, if anything has.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(found.map(Some)?),
        }
    }

    /// Where a link leads.
    pub fn link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = fs::readlinkat(&self.fd, name, Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
    }

    /// Opens a file to be read. What is no file does not hold this up.
    pub fn open(&self, name: &OsStr) -> io::Result<Held> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(Held { file: fs::openat(&self.fd, name, flags, Mode::empty())?.into() })
    }

    /// Makes a file that only its maker may read; an error if anything has the name.
    pub fn create(&self, name: &OsStr) -> io::Result<Held> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Held { file: fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?.into() })
    }

    /// Gives a file of this directory another name in it; what had that is replaced.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Whether nobody may change it (`chattr +i`, or `+a`).
    pub fn is_immutable(&self) -> bool {
        is_immutable(&self.fd)
    }

    /// The names in it. It must be [`opened`](Self::opened), as for a sync.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd)? {
            names.push(OsString::from_vec(entry?.file_name().to_bytes().to_vec()));
        }
        Ok(names)
    }

    /// So that the names in it last.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.fd)?)
    }
}

/// A file that is held open.
#[derive(Debug)]
pub struct Held {
    file: std::fs::File,
}

impl Held {
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(fs::fstat(&self.file)?)
    }

    /// Whether nobody may change it (`chattr +i`, or `+a`).
    pub fn is_immutable(&self) -> bool {
        is_immutable(&self.file)
    }

    /// All of it, or `None` where it is longer than that.
    pub fn read(&self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let mut content = Vec::new();
        (&self.file).take(limit + 1).read_to_end(&mut content)?;
        Ok(Some(content).filter(|content| content.len() as u64 <= limit))
    }

    pub fn write(&self, content: &[u8]) -> io::Result<()> {
        (&self.file).write_all(content)
    }

    pub fn give(&self, uid: u32, gid: u32) -> io::Result<()> {
        Ok(fs::fchown(&self.file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
    }

    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fs::fchmod(&self.file, Mode::from_raw_mode(mode))?)
    }

    pub fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.file)?)
    }

    /// The names of its extended attributes: labels, capabilities, access lists.
    pub fn attributes(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = vec![0; LONGEST_ATTRIBUTE];
        match fs::flistxattr(&self.file, &mut names[..]) {
            Ok(length) => {
                let names = names[..length].split_inclusive(|byte| *byte == 0);
                Ok(names.map(|name| name.strip_suffix(b"\0").unwrap_or(name).to_vec()).collect())
            }
            // A file system without any.
            Err(Errno::NOTSUP | Errno::NOSYS) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }

    pub fn attribute(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        let mut value = vec![0; LONGEST_ATTRIBUTE];
        let length = fs::fgetxattr(&self.file, name, &mut value[..])?;
        value.truncate(length);
        Ok(value)
    }

    pub fn set_attribute(&self, name: &[u8], value: &[u8]) -> io::Result<()> {
        Ok(fs::fsetxattr(&self.file, name, value, fs::XattrFlags::empty())?)
    }

    pub fn remove_attribute(&self, name: &[u8]) -> io::Result<()> {
        Ok(fs::fremovexattr(&self.file, name)?)
    }
}

/// The kernel's own limit, of a value as of the list of names.
const LONGEST_ATTRIBUTE: usize = 64 * 1024;

/// File systems that have no such flags have no immutable files either.
fn is_immutable(fd: impl AsFd) -> bool {
    fs::ioctl_getflags(fd).is_ok_and(|flags| flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND))
}
