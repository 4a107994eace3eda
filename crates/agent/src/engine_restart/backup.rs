//! Copies a manager's swarm directory (raft store, keys, certificates), for root only: cold before its engine is
//! restarted, hot before a command that may restart the engine itself.
//!
//! What changes while it is copied is copied again, until two looks at the directory are the same: then the copy is what
//! the directory was at one moment. One that went on changing says so in its name.

use super::copies::{self, Entry, Kind, Snapshot};
use super::{Ended, INTERVAL, Patience};
use crate::durable;
use crate::files::{self, File, Metadata, OpenOptions};
use anyhow::{Context, bail};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How often what has changed is copied, at most.
const TRIES: u32 = 5;

/// Read at once. A piece that is all zeros becomes a hole: most of raft's 64 MB files is.
const PIECE_BYTES: usize = 64 * 1024;

/// A complete copy.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    pub path: PathBuf,
    /// Whether it is the directory of one moment.
    pub is_settled: bool,
}

/// Copies the swarm directory below `docker_root` to a new directory in `backups`; `None` when there is none. The inner
/// error is in words, and nothing of a copy that failed is left.
pub fn copy(
    docker_root: &Path,
    backups: &Path,
    patience: &mut dyn Patience,
) -> Result<anyhow::Result<Option<Copied>>, Ended> {
    let source = docker_root.join("swarm");
    match files::exists(&source) {
        Ok(true) => {}
        Ok(false) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error).with_context(|| format!("look for {}", source.display()))),
    }
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%9fZ").to_string();
    let partial = backups.join(copies::partial_name(&time));
    let mut copied = Snapshot::new();
    let made = match prepare(&source, backups, &partial) {
        Ok(()) => until_settled(patience, || bring_up_to_date(&source, &partial, &mut copied)),
        Err(error) => Ok(Err(error)),
    };
    let done = made.map(|made| {
        let is_settled = made?;
        let path = backups.join(copies::name(&time, is_settled));
        finish(&partial, &copied, &path)?;
        Ok(Some(Copied { path, is_settled }))
    });
    if !matches!(done, Ok(Ok(_))) {
        let _ = durable::remove_tree(&partial); // what is reported matters more; the next copy removes it
    }
    done
}

/// Copies until nothing changed meanwhile, so often at most; whether it came to that.
fn until_settled(
    patience: &mut dyn Patience,
    mut copy: impl FnMut() -> anyhow::Result<bool>,
) -> Result<anyhow::Result<bool>, Ended> {
    for left in (0..TRIES).rev() {
        match copy() {
            Ok(false) if left > 0 => patience.pause(INTERVAL)?, // given a moment, a swarm comes to rest
            done => return Ok(done),
        }
    }
    Ok(Ok(false))
}

/// Removes what others left half done, looks whether there is room, and makes the directory of the copy.
fn prepare(source: &Path, backups: &Path, partial: &Path) -> anyhow::Result<()> {
    durable::private_directory(backups).with_context(|| format!("make {}", backups.display()))?;
    for unfinished in copies::unfinished(&names(backups)?) {
        durable::remove_tree(&backups.join(unfinished)).with_context(|| format!("remove {unfinished}"))?;
    }
    let room = files::statvfs(backups).with_context(|| format!("ask how full {} is", backups.display()))?;
    let free = room.blocks_available().saturating_mul(room.fragment_size());
    if let Err(words) = copies::check_room(copies::bytes_needed(&look(source)?), free) {
        bail!("there is no room for it in {}: {words}", backups.display());
    }
    make_directory(partial)
}

/// Copies what differs, and looks again. Whether nothing has changed meanwhile; `copied` is what the copy is then.
fn bring_up_to_date(source: &Path, copy: &Path, copied: &mut Snapshot) -> anyhow::Result<bool> {
    let now = look(source)?;
    let difference = copies::difference(copied, &now);
    for path in difference.remove {
        remove(&copy.join(path))?;
    }
    for path in difference.make {
        make_directory(&copy.join(path))?;
    }
    for path in difference.copy {
        let file = source.join(path);
        copy_file(&file, &copy.join(path)).with_context(|| format!("copy {}", file.display()))?;
    }
    *copied = now;
    Ok(look(source)? == *copied)
}

/// Syncs the names, gives the copy its own, and removes the oldest ones.
fn finish(partial: &Path, snapshot: &Snapshot, path: &Path) -> anyhow::Result<()> {
    let directories = snapshot.iter().filter(|(_, entry)| entry.kind == Kind::Directory);
    for (directory, _) in directories {
        durable::sync_directory(&partial.join(directory))?;
    }
    durable::sync_directory(partial)?;
    files::rename(partial, path).with_context(|| format!("name {}", path.display()))?;
    let backups = path.parent().unwrap_or(Path::new("/"));
    durable::sync_directory(backups)?;
    for surplus in copies::surplus(&names(backups)?) {
        durable::remove_tree(&backups.join(surplus)).with_context(|| format!("remove {surplus}"))?;
    }
    Ok(())
}

fn names(directory: &Path) -> anyhow::Result<Vec<String>> {
    let entries = files::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Everything below a directory as it is now. What goes away while it is looked at is gone.
fn look(root: &Path) -> anyhow::Result<Snapshot> {
    let mut found = Snapshot::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        let path = root.join(&directory);
        let entries = match files::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) && path != root => continue,
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("read {}", path.display()))?;
            let metadata = match files::symlink_metadata(entry.path()) {
                Ok(metadata) => metadata,
                Err(error) if is_gone(&error) => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("look at {}", entry.path().display()));
                }
            };
            let relative = directory.join(entry.file_name());
            if metadata.is_dir() {
                pending.push(relative.clone());
            }
            found.insert(relative, as_entry(&metadata));
        }
    }
    Ok(found)
}

fn as_entry(metadata: &Metadata) -> Entry {
    let kind = if metadata.is_dir() {
        Kind::Directory
    } else if metadata.is_file() {
        Kind::File
    } else {
        Kind::Other
    };
    Entry { kind, bytes: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn make_directory(path: &Path) -> anyhow::Result<()> {
    files::create_dir(path, 0o700).with_context(|| format!("make {}", path.display()))
}

/// Removes an entry of the copy; one that was gone before it could be copied is not there.
fn remove(path: &Path) -> anyhow::Result<()> {
    let removed =
        if files::is_directory(path) { durable::remove_tree(path) } else { durable::remove_file(path) };
    removed.with_context(|| format!("remove {}", path.display()))
}

/// Copies a file, synced, for root only. One that is gone meanwhile is left out: the next look tells.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = match OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(from) {
        Ok(source) => source,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    pump(&mut source, &mut copy)?;
    copy.sync_all()
}

fn pump(from: &mut impl Read, to: &mut File) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut length = 0;
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return to.set_len(length),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += read as u64;
        if piece[..read].iter().all(|byte| *byte == 0) {
            to.seek(SeekFrom::Start(length))?;
        } else {
            to.write_all(&piece[..read])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    /// Does something at each pause.
    struct Meanwhile<F>(F);

    impl<F: FnMut() -> Result<(), Ended>> Patience for Meanwhile<F> {
        fn pause(&mut self, _time: Duration) -> Result<(), Ended> {
            (self.0)()
        }

        fn hold(&mut self, _reason: Option<&str>) {}
    }

    struct Host {
        base: tempfile::TempDir,
    }

    impl Host {
        fn new() -> Self {
            let base = tempfile::tempdir().unwrap();
            let wal = base.path().join("docker/swarm/raft/wal");
            fs::create_dir_all(&wal).unwrap();
            fs::write(wal.join("0.wal"), [&b"entries"[..], &[0; 300_000]].concat()).unwrap();
            fs::write(base.path().join("docker/swarm/state.json"), b"[]").unwrap();
            fs::set_permissions(
                base.path().join("docker/swarm/state.json"),
                fs::Permissions::from_mode(0o644),
            )
            .unwrap();
            Self { base }
        }

        fn swarm(&self, name: &str) -> PathBuf {
            self.base.path().join("docker/swarm").join(name)
        }

        fn backups(&self) -> PathBuf {
            self.base.path().join("backup")
        }

        fn copy(&self, meanwhile: impl FnMut() -> Result<(), Ended>) -> anyhow::Result<Option<Copied>> {
            copy(&self.base.path().join("docker"), &self.backups(), &mut Meanwhile(meanwhile))
                .expect("not told to end")
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_directory_at_rest_is_copied_at_the_first_try_for_root_alone() {
        let host = Host::new();
        let _socket = std::os::unix::net::UnixListener::bind(host.swarm("socket")).unwrap();
        let copied = host.copy(|| panic!("nothing to wait for")).unwrap().unwrap();
        assert!(copied.is_settled);
        let file = |name: &str| copied.path.join(name);
        assert_eq!(
            fs::read(file("raft/wal/0.wal")).unwrap(),
            fs::read(host.swarm("raft/wal/0.wal")).unwrap()
        );
        let blocks = fs::metadata(file("raft/wal/0.wal")).unwrap().blocks() * 512;
        assert!(blocks < 300_000, "zeros take no room: {blocks}");
        assert_eq!(fs::read(file("state.json")).unwrap(), b"[]");
        assert!(!file("socket").exists());
        assert_eq!((mode(&file("state.json")), mode(&file("raft/wal/0.wal"))), (0o600, 0o600));
        assert_eq!(
            (mode(&copied.path), mode(&file("raft/wal")), mode(&host.backups())),
            (0o700, 0o700, 0o700)
        );
    }

    #[test]
    fn an_engine_without_a_swarm_has_nothing_to_copy() {
        let host = Host::new();
        fs::remove_dir_all(host.swarm("")).unwrap();
        assert_eq!(host.copy(|| panic!("nothing to wait for")).unwrap(), None);
        assert!(!host.backups().exists());
    }

    #[test]
    fn what_changed_is_copied_again_until_nothing_does() {
        let host = Host::new();
        let wal = host.swarm("raft/wal/0.wal");
        let mut snapshot = Snapshot::new();
        let copy = host.base.path().join("copy");
        make_directory(&copy).unwrap();
        assert!(bring_up_to_date(&host.swarm(""), &copy, &mut snapshot).unwrap());
        fs::write(&wal, b"shorter").unwrap();
        fs::remove_file(host.swarm("state.json")).unwrap();
        fs::create_dir(host.swarm("worker")).unwrap();
        fs::write(host.swarm("worker/tasks.db"), b"tasks").unwrap();
        assert!(bring_up_to_date(&host.swarm(""), &copy, &mut snapshot).unwrap());
        assert_eq!(fs::read(copy.join("raft/wal/0.wal")).unwrap(), b"shorter");
        assert_eq!(fs::read(copy.join("worker/tasks.db")).unwrap(), b"tasks");
        assert!(!copy.join("state.json").exists());
    }

    #[test]
    fn a_file_that_goes_away_while_it_is_copied_is_left_out() {
        let host = Host::new();
        let to = host.base.path().join("copy");
        copy_file(&host.swarm("raft/wal/1.tmp"), &to).unwrap();
        assert!(!to.exists());
        remove(&to).unwrap();
        assert!(look(&host.swarm("none")).is_err(), "the directory itself must be there");
    }

    #[test]
    fn a_directory_that_never_rests_is_copied_five_times_and_no_more() {
        let tried = |settled_at: Option<u32>| {
            let (mut pauses, mut copies) = (0, 0);
            let mut meanwhile = Meanwhile(|| {
                pauses += 1;
                Ok(())
            });
            let settled = until_settled(&mut meanwhile, || {
                copies += 1;
                Ok(settled_at == Some(copies))
            });
            (settled.expect("not told to end").unwrap(), copies, pauses)
        };
        assert_eq!(tried(Some(1)), (true, 1, 0));
        assert_eq!(tried(Some(5)), (true, 5, 4));
        assert_eq!(tried(None), (false, 5, 4));
        let mut ended = Meanwhile(|| Err(Ended));
        assert!(until_settled(&mut ended, || Ok(false)).is_err());
        let mut failing = Meanwhile(|| panic!("an error is not tried again"));
        assert!(until_settled(&mut failing, || bail!("EIO")).expect("not told to end").is_err());
    }

    #[test]
    fn two_copies_stay_and_nothing_that_is_partial() {
        let host = Host::new();
        let paths: Vec<PathBuf> = (0..3).map(|_| host.copy(|| Ok(())).unwrap().unwrap().path).collect();
        let left = host.backups().join(".partial-swarm-0/raft");
        fs::create_dir_all(&left).unwrap();
        assert_eq!(names(&host.backups()).unwrap().len(), 3, "two copies, and what a dead supervisor left");
        let last = host.copy(|| Ok(())).unwrap().unwrap().path;
        let mut found = names(&host.backups()).unwrap();
        found.sort();
        let kept = [&paths[2], &last].map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        assert_eq!(found, kept);
    }

    #[test]
    fn a_copy_that_fails_leaves_nothing() {
        let host = Host::new();
        fs::write(host.backups(), b"in the way").unwrap();
        let error = host.copy(|| Ok(())).unwrap_err();
        assert!(format!("{error:#}").contains("backup"), "{error:#}");
        fs::remove_file(host.backups()).unwrap();
        fs::create_dir(host.backups()).unwrap();
        // What cannot be read as what it was when it was looked at.
        let wal = host.swarm("raft/wal/0.wal");
        let first = look(&host.swarm("")).unwrap();
        fs::remove_file(&wal).unwrap();
        fs::create_dir(&wal).unwrap();
        assert!(copy_file(&wal, &host.base.path().join("copy")).is_err());
        assert_ne!(look(&host.swarm("")).unwrap(), first);
    }
}
