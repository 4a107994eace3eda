//! An open file.

use super::{Class, Metadata, Permissions, turn};
use nix::fcntl::{FallocateFlags, fallocate};
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

pub struct File {
    inner: std::fs::File,
    #[cfg(feature = "fault-points")]
    path: std::sync::Arc<Path>,
}

/// How a file is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    inner: std::fs::OpenOptions,
    writes: bool,
    creates: bool,
    truncates: bool,
}

impl OpenOptions {
    /// Nothing is allowed yet.
    pub fn new() -> Self {
        Self { inner: std::fs::OpenOptions::new(), writes: false, creates: false, truncates: false }
    }

    pub fn read(&mut self, read: bool) -> &mut Self {
        self.inner.read(read);
        self
    }

    pub fn write(&mut self, write: bool) -> &mut Self {
        self.writes |= write;
        self.inner.write(write);
        self
    }

    /// Written at its end only.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.writes |= append;
        self.inner.append(append);
        self
    }

    /// Made if it is not there.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.creates |= create;
        self.inner.create(create);
        self
    }

    /// Made; an error if something is there.
    pub fn create_new(&mut self, create: bool) -> &mut Self {
        self.creates |= create;
        self.inner.create_new(create);
        self
    }

    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncates |= truncate;
        self.inner.truncate(truncate);
        self
    }

    /// The mode of one that is made.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.inner.mode(mode);
        self
    }

    /// More flags of open(2).
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.inner.custom_flags(flags);
        self
    }

    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        turn(if self.writes { Class::Create } else { Class::Open }, path)?;
        #[cfg(feature = "fault-points")]
        let was_there = super::unsynced::opening(path, self.creates, self.truncates);
        let file = File::wrap(self.inner.open(path)?, path);
        #[cfg(feature = "fault-points")]
        if self.creates && !was_there {
            super::unsynced::created(path);
        }
        Ok(file)
    }
}

impl File {
    #[cfg(feature = "fault-points")]
    fn wrap(inner: std::fs::File, path: &Path) -> Self {
        Self { inner, path: path.into() }
    }

    #[cfg(not(feature = "fault-points"))]
    fn wrap(inner: std::fs::File, _: &Path) -> Self {
        Self { inner }
    }

    #[cfg(feature = "fault-points")]
    fn turn(&self, class: Class) -> io::Result<()> {
        turn(class, &self.path)
    }

    #[cfg(not(feature = "fault-points"))]
    #[inline]
    fn turn(&self, class: Class) -> io::Result<()> {
        turn(class, Path::new(""))
    }

    /// Opens a file to be read.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path)
    }

    /// What is known of it.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.turn(Class::Stat)?;
        self.inner.metadata()
    }

    /// Another handle of it.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            inner: self.inner.try_clone()?,
            #[cfg(feature = "fault-points")]
            path: self.path.clone(),
        })
    }

    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.turn(Class::ChangeMode)?;
        self.inner.set_permissions(permissions)
    }

    /// Cuts it off, or fills it with zeros.
    pub fn set_len(&self, length: u64) -> io::Result<()> {
        self.turn(Class::SetLength)?;
        #[cfg(feature = "fault-points")]
        super::unsynced::writing(&self.inner);
        self.inner.set_len(length)
    }

    /// Syncs content and metadata; not the name, see [`super::sync_directory`].
    pub fn sync_all(&self) -> io::Result<()> {
        self.turn(Class::Sync)?;
        self.inner.sync_all()?;
        #[cfg(feature = "fault-points")]
        super::unsynced::file_synced(&self.inner);
        Ok(())
    }

    /// Syncs the content, and of the metadata what is needed to read it.
    pub fn sync_data(&self) -> io::Result<()> {
        self.turn(Class::Sync)?;
        self.inner.sync_data()?;
        #[cfg(feature = "fault-points")]
        super::unsynced::file_synced(&self.inner);
        Ok(())
    }

    /// Reserves room for these bytes behind the first `from`, without making it longer.
    pub fn reserve(&self, from: u64, bytes: u64) -> io::Result<()> {
        self.turn(Class::Reserve)?;
        let signed = |number: u64| i64::try_from(number).map_err(io::Error::other);
        fallocate(&self.inner, FallocateFlags::FALLOC_FL_KEEP_SIZE, signed(from)?, signed(bytes)?)?;
        #[cfg(feature = "fault-points")]
        super::faults::reserved(&self.path, from + bytes);
        Ok(())
    }

    /// Reads all of it.
    pub fn read_whole(mut self) -> io::Result<Vec<u8>> {
        self.turn(Class::Read)?;
        let mut content = Vec::new();
        self.inner.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Reads at this offset.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.turn(Class::Read)?;
        self.inner.read_at(bytes, offset)
    }

    /// Reads so many bytes at this offset.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.turn(Class::Read)?;
        self.inner.read_exact_at(bytes, offset)
    }

    /// Writes all these bytes at this offset.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            let at = offset + written as u64;
            let piece = self.before_write(&bytes[written..], Some(at))?;
            match self.inner.write_at(piece, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What of these bytes may be written now.
    #[cfg(feature = "fault-points")]
    fn before_write<'a>(&self, bytes: &'a [u8], at: Option<u64>) -> io::Result<&'a [u8]> {
        let at = at.or_else(|| self.inner.metadata().ok().map(|found| found.len())).unwrap_or_default();
        let piece = super::faults::turn_to_write(&self.path, bytes, at)?;
        super::unsynced::writing(&self.inner);
        Ok(piece)
    }

    #[cfg(not(feature = "fault-points"))]
    #[inline]
    fn before_write<'a>(&self, bytes: &'a [u8], _: Option<u64>) -> io::Result<&'a [u8]> {
        self.turn(Class::Write).map(|()| bytes)
    }
}

impl Read for File {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self).read(bytes)
    }
}

impl Read for &File {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.turn(Class::Read)?;
        (&self.inner).read(bytes)
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = self.before_write(bytes, None)?;
        self.inner.write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing is buffered
    }
}

impl Seek for File {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

impl Seek for &File {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&self.inner).seek(position)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// For whoever goes on with the descriptor, a process that writes to it: what is done there is not seen here.
impl From<File> for OwnedFd {
    fn from(file: File) -> Self {
        file.inner.into()
    }
}
