//! Small tar archives (POSIX.1-2001, ustar with pax): what the engine takes to put files into a container, and what it gives of one.

use std::io::{self, Read};

const BLOCK: usize = 512;

/// How long a name may be that has its place in the header.
const IN_HEADER: usize = 99;

/// Entries that say something of the one behind them.
const OF_THE_NEXT: [u8; 4] = *b"xgLK";

const FILE: u8 = b'0';
const DIRECTORY: u8 = b'5';
const PAX: u8 = b'x';

/// Where the header has its fields.
const SIZE: std::ops::Range<usize> = 124..136;
const KIND: usize = 156;

/// An archive with this file, for root alone to write; the directories above it come with the unpacking.
pub fn file(path: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    Archive::default().file(path, mode, content).finish()
}

/// An archive that is put together. Everything in it belongs to root.
#[derive(Debug, Clone, Default)]
pub struct Archive(Vec<u8>);

impl Archive {
    /// With this file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(FILE, path.trim_start_matches('/'), mode, content)
    }

    /// With this directory.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(DIRECTORY, path.trim_start_matches('/'), mode, &[])
    }

    /// All of it: two empty blocks are the end.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }

    fn entry(self, kind: u8, path: &str, mode: u32, content: &[u8]) -> Self {
        let mut archive = self;
        if path.len() > IN_HEADER {
            archive = archive.entry(PAX, "pax", 0o644, &pax_record("path", path));
        }
        archive.0.extend_from_slice(&header(kind, path, mode, content.len()));
        archive.0.extend_from_slice(content);
        archive.0.resize(archive.0.len().next_multiple_of(BLOCK), 0);
        archive
    }
}

/// `LENGTH KEY=VALUE\n`, and the length counts itself.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while rest.len() + length.to_string().len() != length {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}").into_bytes()
}

fn header(kind: u8, path: &str, mode: u32, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &path.as_bytes()[..path.len().min(IN_HEADER)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(SIZE.start, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    // The sum is made with blanks in its own place.
    put(148, b"        ");
    put(KIND, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// What an archive begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstEntry {
    /// A regular file, with what is in it.
    File(Vec<u8>),
    /// A regular file that is longer than it may be.
    TooLong,
    /// A directory, a link, or anything else.
    NoFile,
}

/// Reads the first entry of an archive, as far as it may be long, and no further. An archive that breaks off is an error.
pub fn first_entry(mut archive: impl Read, most: usize) -> io::Result<FirstEntry> {
    loop {
        let mut header = [0; BLOCK];
        archive.read_exact(&mut header)?;
        let size = octal(&header[SIZE])?;
        match header[KIND] {
            kind if OF_THE_NEXT.contains(&kind) => {
                let blocks = size.next_multiple_of(BLOCK as u64);
                io::copy(&mut archive.by_ref().take(blocks), &mut io::sink())?;
            }
            // Of old a file has no letter.
            FILE | 0 if size > most as u64 => return Ok(FirstEntry::TooLong),
            FILE | 0 => {
                let mut content = Vec::new();
                archive.take(size).read_to_end(&mut content)?;
                let whole = content.len() as u64 == size;
                return if whole { Ok(FirstEntry::File(content)) } else { Err(broken()) };
            }
            _ => return Ok(FirstEntry::NoFile),
        }
    }
}

fn octal(field: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(field).map_err(|_| broken())?;
    u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).map_err(|_| broken())
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the archive cannot be understood")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::{Command, Stdio};

    fn unpacked(archive: &[u8]) -> tempfile::TempDir {
        let target = tempfile::tempdir().unwrap();
        let mut tar =
            Command::new("tar").args(["-xp", "-C"]).arg(target.path()).stdin(Stdio::piped()).spawn().unwrap();
        tar.stdin.take().unwrap().write_all(archive).unwrap();
        assert!(tar.wait().unwrap().success());
        target
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn tar_unpacks_it() {
        let target = unpacked(&file("/run/secrets/x", 0o400, b"content"));
        let path = target.path().join("run/secrets/x");
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
        assert_eq!(mode(&path), 0o400);
    }

    #[test]
    fn several_files_keep_their_names_and_modes_however_long_a_name_is() {
        let long = format!("install/{}/{}", "d".repeat(120), "f".repeat(200));
        let whole = vec![7; 1024];
        let archive = Archive::default().directory("/install", 0o755).file("/install/check", 0o750, &whole);
        let target = unpacked(&archive.file(&long, 0o644, b"x").finish());
        assert_eq!(std::fs::read(target.path().join(&long)).unwrap(), b"x");
        assert_eq!(std::fs::read(target.path().join("install/check")).unwrap(), whole);
        assert_eq!(mode(&target.path().join("install/check")), 0o750);
        assert_eq!(mode(&target.path().join("install")), 0o755);
    }

    #[test]
    fn the_first_file_is_read_as_far_as_it_may_be_long() {
        let archive = file("/a", 0o644, b"content");
        assert_eq!(first_entry(&archive[..], 7).unwrap(), FirstEntry::File(b"content".to_vec()));
        assert_eq!(first_entry(&archive[..], 6).unwrap(), FirstEntry::TooLong);
        let long = file(&"n".repeat(150), 0o644, b"behind its name");
        assert_eq!(first_entry(&long[..], 99).unwrap(), FirstEntry::File(b"behind its name".to_vec()));
        let directory = Archive::default().directory("/a", 0o755).finish();
        assert_eq!(first_entry(&directory[..], 99).unwrap(), FirstEntry::NoFile);
        for torn in [&b""[..], &archive[..100], &archive[..515], &[b'9'; 1024]] {
            assert!(first_entry(torn, 99).is_err());
        }
    }
}
