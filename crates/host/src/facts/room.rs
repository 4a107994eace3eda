//! How full a host is: file systems, each once, whatever is looked at lies on it.

use careen_contract::facts::FileSystemRoom;

/// A directory that is looked at, and its file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The directory, and how full its file system is.
    pub room: FileSystemRoom,
    /// On which file system it is: the same number for the same one.
    pub file_system: u64,
}

/// The file systems, in the order in which they were first seen.
pub fn each_once(looked: Vec<Looked>) -> Vec<FileSystemRoom> {
    let mut rooms: Vec<Looked> = Vec::new();
    for one in looked {
        match rooms.iter_mut().find(|room| room.file_system == one.file_system) {
            Some(known) => {
                let new = one.room.paths.into_iter().filter(|path| !known.room.paths.contains(path));
                let new: Vec<String> = new.collect();
                known.room.paths.extend(new);
            }
            None => rooms.push(one),
        }
    }
    rooms.into_iter().map(|looked| looked.room).collect()
}

/// What statvfs(3) says. A file system that counts no inodes (btrfs) says that it has none.
pub fn room(path: &str, fragment: u64, blocks: [u64; 2], inodes: [u64; 2]) -> FileSystemRoom {
    let [blocks, blocks_free] = blocks;
    let [inodes, inodes_free] = inodes;
    FileSystemRoom {
        paths: vec![path.to_owned()],
        bytes: blocks.saturating_mul(fragment),
        bytes_free: blocks_free.saturating_mul(fragment),
        inodes: (inodes > 0).then_some(inodes),
        inodes_free: (inodes > 0).then_some(inodes_free),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_system_is_told_once_with_all_that_lies_on_it() {
        let looked = |path: &str, file_system, blocks| Looked {
            room: room(path, 4096, [blocks, blocks / 2], [100, 40]),
            file_system,
        };
        let all = vec![
            looked("/", 1, 1000),
            looked("/var", 1, 1000),
            looked("/boot", 3, 10),
            looked("/var", 1, 1000),
            looked("/var/lib/docker", 2, 9000),
        ];
        let rooms = each_once(all);
        let paths: Vec<String> = rooms.iter().map(|room| room.paths.join(" ")).collect();
        assert_eq!(paths, ["/ /var", "/boot", "/var/lib/docker"]);
        assert_eq!((rooms[0].bytes, rooms[0].bytes_free), (4_096_000, 2_048_000));
        assert_eq!((rooms[0].inodes, rooms[0].inodes_free), (Some(100), Some(40)));
    }

    #[test]
    fn a_file_system_that_counts_no_inodes_is_not_full() {
        let btrfs = room("/", 4096, [10, 5], [0, 0]);
        assert_eq!((btrfs.inodes, btrfs.free_percent()), (None, 50));
        assert_eq!(room("/", u64::MAX, [9, 9], [0, 0]).bytes, u64::MAX);
    }
}
