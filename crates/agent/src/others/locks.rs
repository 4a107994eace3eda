//! Who has the package managers' locks, and which of them run that have none.

use crate::engine_process::processes_named;
use crate::files::{self, OpenOptions};
use careen_host::preflight::Somebody;
use nix::fcntl::{FcntlArg, fcntl};
use std::os::unix::fs::MetadataExt;

/// What a process that works with dpkg has locked.
const DPKG_LOCKS: [&str; 2] = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"];

/// What a process that changes rpm's packages has locked.
const RPM_LOCKS: [&str; 2] = ["/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock"];

/// Package managers whose locks are no locks of the kernel's, or not of this kind.
const PROGRAMS: [&str; 6] = ["apk", "dnf", "dnf5", "transactional-u", "yum", "zypper"];

/// Whether somebody works with dpkg.
pub fn dpkg_is_locked() -> bool {
    DPKG_LOCKS.iter().any(|path| is_locked(path))
}

/// Each by its process, once.
pub fn holders() -> Vec<Somebody> {
    let table = files::read_to_string("/proc/locks").unwrap_or_default();
    let locked = DPKG_LOCKS.iter().chain(&RPM_LOCKS).filter(|path| is_locked(path));
    let mut found: Vec<String> =
        locked.map(|path| format!("{}, which has {path},", holder(path, &table))).collect();
    // Whoever has dpkg has both of its locks.
    found.truncate(1);
    let running = processes_named(&PROGRAMS).into_iter();
    found.extend(running.map(|(name, pid)| format!("{name} (process {pid})")));
    found.into_iter().map(|what| Somebody::Updater { what, since: None }).collect()
}

fn is_locked(path: &str) -> bool {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return false };
    let (kind, whence) = (nix::libc::F_WRLCK as i16, nix::libc::SEEK_SET as i16);
    let mut lock = nix::libc::flock { l_type: kind, l_whence: whence, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).is_ok() && lock.l_type != nix::libc::F_UNLCK as i16
}

/// The kernel does not tell a container the process; the host's own table of locks does.
fn holder(path: &str, table: &str) -> String {
    let inode = files::metadata(path).map(|found| found.ino());
    let pid = inode.ok().and_then(|inode| pid_of(table, inode));
    let name = pid.and_then(|pid| files::read_to_string(format!("/proc/{pid}/comm")).ok());
    match (name, pid) {
        (Some(name), Some(pid)) => format!("{} (process {pid})", name.trim()),
        (None, Some(_)) | (_, None) => "another process".to_owned(),
    }
}

/// The process that has locked the file of this inode to write, in a proc_locks(5): `1: POSIX ADVISORY WRITE 812 fe:01:131 0 EOF`.
/// Devices are left out: on some file systems the table has others than stat(2).
fn pid_of(table: &str, inode: u64) -> Option<u32> {
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", pid, file, ..] = words.as_slice() else { return None };
        let its = file.rsplit(':').next()?.parse::<u64>().ok()?;
        (its == inode).then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_table_of_locks_names_the_process() {
        let table = "1: FLOCK  ADVISORY  WRITE 7 fe:01:131 0 EOF\n2: POSIX  ADVISORY  READ 8 fe:01:131 0 EOF\n\
            3: POSIX  ADVISORY  WRITE 812 fe:01:131 0 EOF\n3: -> POSIX  ADVISORY  WRITE 9 fe:01:131 0 EOF\n\
            4: POSIX  ADVISORY  WRITE 10 fe:01:132 0 EOF\n";
        assert_eq!(pid_of(table, 131), Some(812));
        assert_eq!(pid_of(table, 133), None);
        assert_eq!(pid_of("", 131), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_nobodys() {
        assert!(!is_locked("/no/such/lock"));
        assert_eq!(holder("/no/such/lock", ""), "another process");
    }
}
