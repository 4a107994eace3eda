//! One small file as a tar archive (POSIX.1-1988, ustar): what the engine takes to put a file into a container.

const BLOCK: usize = 512;

/// An archive with this file, for root alone to write; the directories above it come with the unpacking.
pub fn file(path: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut archive = header(path.trim_start_matches('/'), mode, content.len()).to_vec();
    archive.extend_from_slice(content);
    // Content in whole blocks, then two empty ones: the end.
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

fn header(path: &str, mode: u32, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &path.as_bytes()[..path.len().min(99)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    // The sum is made with blanks in its own place.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn tar_unpacks_it() {
        let target = tempfile::tempdir().unwrap();
        let mut tar =
            Command::new("tar").args(["-xp", "-C"]).arg(target.path()).stdin(Stdio::piped()).spawn().unwrap();
        tar.stdin.take().unwrap().write_all(&file("/run/secrets/x", 0o400, b"content")).unwrap();
        assert!(tar.wait().unwrap().success());
        let path = target.path().join("run/secrets/x");
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o400);
    }
}
