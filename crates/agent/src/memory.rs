//! Whether this host knows after a boot what was written down before it: see [`careen_host::preflight::Lasting`].

use crate::say::say;
use crate::{boot, durable, files, layout};
use anyhow::Context as _;
use careen_host::mountinfo::{self, Mount, mount_of};
use careen_host::preflight::{Lasting, Marks, by_mounts};
use std::path::{Path, PathBuf};

/// By the mounts alone.
pub fn of_this_host() -> Lasting {
    mounts().map_or_else(unknown, |mounts| by_mounts_of(&mounts))
}

/// By the mounts and by the marks of earlier visits. With `leaves_marks` they are left where they are missing. `data_root` is the
/// engine's data directory.
pub fn look(data_root: &str, leaves_marks: bool) -> Lasting {
    match mounts().and_then(|mounts| with_marks(&mounts, Path::new(layout::ROOT), data_root, leaves_marks)) {
        Ok(lasting) => lasting,
        Err(error) => unknown(error),
    }
}

fn unknown(error: anyhow::Error) -> Lasting {
    Lasting::Unknown { why: format!("may or may not outlive a boot ({error:#})") }
}

fn mounts() -> anyhow::Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let table = files::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
    Ok(mountinfo::parse(&table))
}

fn by_mounts_of(mounts: &[Mount]) -> Lasting {
    by_mounts(mounts, layout::ROOT, |path| files::exists(path).unwrap_or(false))
}

fn with_marks(mounts: &[Mount], root: &Path, data_root: &str, leaves_marks: bool) -> anyhow::Result<Lasting> {
    let here = layout::boot_mark(root);
    let twin = twin(mounts, root, data_root);
    let boot = boot::boot_id()?;
    let (found, found_twin) = (read(&here)?, twin.as_deref().map(read).transpose()?.flatten());
    let marks = Marks { here: found.as_deref(), twin: found_twin.as_deref(), boot: &boot };
    let lasting = by_mounts_of(mounts).with(marks);
    let missing = [found.is_none().then_some(here), twin.filter(|_| found_twin.is_none())];
    for mark in missing.into_iter().flatten().filter(|_| leaves_marks) {
        if let Err(error) = leave(&mark, &boot) {
            say(format_args!("{error:#}: whether this host forgets is told by its mounts alone"));
        }
    }
    Ok(lasting)
}

/// On the same file system as careen's directory it would be lost with that, and tell nothing.
fn twin(mounts: &[Mount], root: &Path, data_root: &str) -> Option<PathBuf> {
    let data_root = Path::new(data_root);
    if !data_root.is_absolute() || !files::is_directory(data_root) {
        return None;
    }
    let place = |path: &Path| mount_of(mounts, &path.to_string_lossy()).map(|mount| &mount.mount_point);
    (place(root) != place(data_root)).then(|| data_root.join(layout::BOOT_MARK_TWIN))
}

/// What cannot be read is no mark that is missing.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    let read = files::read_if_there(path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(read.map(|mark| String::from_utf8_lossy(&mark).trim().to_owned()).filter(|mark| !mark.is_empty()))
}

fn leave(path: &Path, boot: &str) -> anyhow::Result<()> {
    let directory = path.parent().context("a mark lies in a directory")?;
    let made = if files::is_directory(directory) { Ok(()) } else { durable::private_directory(directory) };
    made.and_then(|()| durable::replace(path, 0o600, format!("{boot}\n").as_bytes()))
        .with_context(|| format!("failed to leave a mark in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A careen's and an engine's directory on two file systems.
    struct Host {
        base: tempfile::TempDir,
        mounts: Vec<Mount>,
    }

    impl Host {
        fn new() -> Self {
            let base = tempfile::tempdir().unwrap();
            for name in ["careen", "docker"] {
                std::fs::create_dir(base.path().join(name)).unwrap();
            }
            let table = format!(
                "1 2 0:1 / / rw - ext4 /dev/vda rw\n1 2 0:2 / {}/docker rw - ext4 /dev/vdb rw\n",
                base.path().display()
            );
            Self { mounts: mountinfo::parse(&table), base }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.base.path().join(name)
        }

        fn look(&self, leaves_marks: bool) -> Lasting {
            let docker = self.path("docker").display().to_string();
            std::fs::create_dir_all(self.path("careen")).unwrap();
            with_marks(&self.mounts, &self.path("careen"), &docker, leaves_marks).unwrap()
        }

        fn booted(&self, name: &str) {
            std::fs::write(self.path(name), "an earlier boot\n").unwrap();
        }
    }

    #[test]
    fn a_host_that_lost_its_mark_and_not_the_twin_forgets() {
        let host = Host::new();
        assert_eq!(host.look(false), Lasting::Lasts);
        assert!(!host.path("docker/careen-boot").exists(), "a look leaves nothing");
        assert_eq!(host.look(true), Lasting::Lasts);
        assert_eq!(host.look(true), Lasting::Lasts, "both are of this boot");
        // A boot, after which one of them is gone.
        host.booted("docker/careen-boot");
        std::fs::remove_dir_all(host.path("careen")).unwrap();
        for _ in 0..2 {
            let Lasting::Forgets { why } = host.look(true) else { panic!("it is not noticed") };
            assert!(why.contains("an earlier boot"), "{why}");
        }
        // The mark that was left then outlives the next one.
        host.booted("careen/boot");
        assert_eq!(host.look(true), Lasting::Lasts);
    }

    #[test]
    fn on_one_file_system_there_is_no_twin() {
        let host = Host::new();
        let docker = host.path("docker").display().to_string();
        let root = host.path("careen");
        assert_eq!(twin(&host.mounts[..1], &root, &docker), None);
        assert_eq!(twin(&host.mounts, &root, ""), None);
        assert_eq!(twin(&host.mounts, &root, "/no/such/directory"), None);
        assert_eq!(twin(&host.mounts, &root, &docker), Some(host.path("docker/careen-boot")));
    }

    #[test]
    fn a_mark_that_cannot_be_read_is_none_that_is_missing() {
        let host = Host::new();
        std::fs::create_dir(host.path("careen/boot")).unwrap();
        let docker = host.path("docker").display().to_string();
        let error = with_marks(&host.mounts, &host.path("careen"), &docker, true).unwrap_err();
        assert!(error.to_string().contains("careen/boot"), "{error:#}");
        assert!(matches!(unknown(error), Lasting::Unknown { .. }));
    }
}
