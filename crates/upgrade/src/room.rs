//! Whether there is room for an upgrade: what lands on one file system is summed, whatever the directories are called.

/// Bytes that something writes into a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Need {
    /// The directory, for people.
    pub path: String,
    /// What for, for people.
    pub what: &'static str,
    pub bytes: u64,
    /// On which file system it is: the same number for the same one.
    pub file_system: u64,
    /// How many bytes are free on that.
    pub free: u64,
}

/// A file system on which there is too little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    /// Its directories, and what for: `/var/cache (the packages), /usr (what they install)`.
    pub what: String,
    /// How many bytes are free.
    pub free: u64,
    /// How many are needed, with what has to stay free for everybody else.
    pub needed: u64,
}

/// What has to stay free on a file system for everybody else.
pub const RESERVE: u64 = 64 << 20;

/// The first file system that has too little.
pub fn short(needs: &[Need]) -> Option<Short> {
    let on = |file_system: u64| needs.iter().filter(move |one| one.file_system == file_system);
    needs.iter().find_map(|first| {
        let bytes: u64 = on(first.file_system).fold(0, |sum, one| sum.saturating_add(one.bytes));
        let needed = bytes.saturating_add(RESERVE);
        let wants = on(first.file_system).filter(|one| one.bytes > 0);
        let what: Vec<String> = wants.map(|one| format!("{} ({})", one.path, one.what)).collect();
        let is_short = bytes > 0 && first.free < needed;
        is_short.then(|| Short { what: what.join(", "), free: first.free, needed })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn need(path: &str, what: &'static str, mib: u64, file_system: u64, free: u64) -> Need {
        Need { path: path.into(), what, bytes: mib * MIB, file_system, free: free * MIB }
    }

    #[test]
    fn what_lands_on_one_file_system_is_summed() {
        let needs = |usr, free| {
            [
                need("/var/cache", "the packages", 100, 1, free),
                need("/usr", "what they install", 300, usr, free),
                need("/boot", "another kernel", 0, 3, 1),
            ]
        };
        assert_eq!(short(&needs(2, 400)), None, "two file systems");
        let found = short(&needs(1, 400)).unwrap();
        assert_eq!((found.needed / MIB, found.free / MIB), (464, 400));
        assert_eq!(found.what, "/var/cache (the packages), /usr (what they install)");
        assert_eq!(short(&needs(1, 464)), None);
    }

    #[test]
    fn a_full_file_system_that_nothing_is_written_to_is_no_matter() {
        assert_eq!(short(&[need("/boot", "another kernel", 0, 3, 0)]), None);
        assert_eq!(short(&[]), None);
    }
}
