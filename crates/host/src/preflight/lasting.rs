//! Whether what careen writes down outlives a boot. Exactly once per host stands on that: a host that forgets what was begun
//! would begin it again.
//!
//! Two things tell: the table of mounts, and a mark with the boot's id that careen leaves at two places. The mounts do not know
//! of a disk that is put back to what it was; a mark that is gone while its twin is there does.

use crate::mountinfo::{Mount, mount_of};

/// How many layers of overlays are looked through.
const MOST_LAYERS: usize = 8;

/// Whether a directory outlives a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Lasting {
    /// Nothing says otherwise.
    Lasts,
    Forgets {
        /// Why, as it ends a sentence that begins with the directory.
        why: String,
    },
    Unknown {
        why: String,
    },
}

/// The marks that careen finds on a host, each the id of the boot in which it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks<'a> {
    /// In careen's own directory.
    pub here: Option<&'a str>,
    /// Its twin, on another file system that outlives boots, or the host were in no swarm any more: the engine's.
    pub twin: Option<&'a str>,
    /// The id of this boot.
    pub boot: &'a str,
}

/// By the mounts. `exists` tells whether a path is there: the upper layer of an overlay may have been mounted from a place that
/// this host does not see, and then its path says nothing.
pub fn by_mounts(mounts: &[Mount], path: &str, exists: impl Fn(&str) -> bool) -> Lasting {
    let (mut path, mut words) = (path.to_owned(), String::new());
    for _ in 0..MOST_LAYERS {
        let Some(mount) = mount_of(mounts, &path) else {
            return Lasting::Unknown { why: format!("{words}is on no mount that can be seen") };
        };
        let point = &mount.mount_point;
        if let Some(what) = in_memory(mount) {
            return Lasting::Forgets { why: format!("{words}is on a {what} ({point}), which is in memory") };
        }
        if !is_layered(mount) {
            return Lasting::Lasts;
        }
        let Some(upper) = mount.value("upperdir").filter(|upper| upper.starts_with('/')) else {
            let kind = &mount.fs_type;
            return Lasting::Unknown {
                why: format!("{words}is on a {kind} ({point}), and where that writes cannot be seen"),
            };
        };
        let below = mount_of(mounts, upper);
        // What is not there any more was in memory, if the place is: an early mount's /run.
        let is_seen = exists(upper) || below.is_some_and(|below| in_memory(below).is_some());
        if !is_seen || below == Some(mount) {
            return Lasting::Unknown {
                why: format!("{words}is on an overlay ({point}), and its upper layer {upper} cannot be seen"),
            };
        }
        words = format!("{words}is on an overlay ({point}) whose upper layer {upper} ");
        path = upper.to_owned();
    }
    Lasting::Unknown { why: format!("{words}is an overlay over overlays without end") }
}

/// What a file system is called that is gone with the power.
fn in_memory(mount: &Mount) -> Option<&str> {
    let device = mount.source.strip_prefix("/dev/").unwrap_or_default();
    // A disk in memory carries a file system like any other.
    let number = ["zram", "ram"].iter().find_map(|kind| device.strip_prefix(kind));
    match mount.fs_type.as_str() {
        // The root that an initramfs was unpacked to is a ramfs or a tmpfs by another name.
        kind @ ("tmpfs" | "ramfs" | "rootfs" | "devtmpfs") => Some(kind),
        _ => number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
            .then_some(mount.source.as_str()),
    }
}

/// Whether a file system writes to another one. Those of which the kernel does not tell where are among them.
fn is_layered(mount: &Mount) -> bool {
    matches!(
        mount.fs_type.as_str(),
        "overlay"
            | "overlayfs"
            | "aufs"
            | "unionfs"
            | "fuse.unionfs"
            | "fuse.unionfs-fuse"
            | "fuse.fuse-overlayfs"
    )
}

impl Lasting {
    /// What the marks add: one that is of an earlier boot has outlived it, and one that is gone while its twin is there has not.
    #[must_use]
    pub fn with(self, marks: Marks<'_>) -> Self {
        match (self, marks.here, marks.twin) {
            (Self::Forgets { why }, Some(here), _) if here != marks.boot => Self::Unknown {
                why: format!("{why}, although something brought it back after an earlier boot"),
            },
            (Self::Unknown { .. }, Some(here), _) if here != marks.boot => Self::Lasts,
            (Self::Forgets { why }, ..) => Self::Forgets { why },
            (_, here, Some(twin)) if twin != marks.boot && here.is_none_or(|here| here == marks.boot) => {
                Self::Forgets {
                    why: format!(
                        "has lost what was written there in an earlier boot ({twin}), or somebody removed it"
                    ),
                }
            }
            (lasting, ..) => lasting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mountinfo::parse;

    const ROOT: &str = "/var/lib/careen";

    fn told(lines: &[&str], there: &[&str]) -> Lasting {
        let table: String = lines.iter().map(|line| format!("1 2 0:1 / {line}\n")).collect();
        by_mounts(&parse(&table), ROOT, |path| there.contains(&path))
    }

    fn forgets(lines: &[&str], there: &[&str]) -> String {
        let Lasting::Forgets { why } = told(lines, there) else { panic!("{:?}", told(lines, there)) };
        why
    }

    fn unknown(lines: &[&str], there: &[&str]) -> String {
        let Lasting::Unknown { why } = told(lines, there) else { panic!("{:?}", told(lines, there)) };
        why
    }

    #[test]
    fn a_disk_lasts() {
        for root in ["/ rw - ext4 /dev/vda1 rw", "/ rw - zfs rpool/ROOT rw", "/ rw - nfs4 server:/root rw"] {
            assert_eq!(told(&[root], &[]), Lasting::Lasts, "{root}");
        }
        assert_eq!(told(&["/ rw - tmpfs tmpfs rw", "/var rw - ext4 /dev/vdb rw"], &[]), Lasting::Lasts);
        assert_eq!(told(&["/ rw - ext4 /dev/rambo1 rw"], &[]), Lasting::Lasts, "no disk in memory");
    }

    #[test]
    fn what_is_in_memory_forgets() {
        let table = [
            ("/ rw - rootfs rootfs rw", "rootfs (/)"),
            ("/var rw - tmpfs tmpfs rw", "tmpfs (/var)"),
            ("/var/lib/careen rw - ramfs none rw", "ramfs (/var/lib/careen)"),
            ("/var/lib rw - ext4 /dev/zram1 rw", "/dev/zram1 (/var/lib)"),
            ("/var/lib rw - ext2 /dev/ram0 rw", "/dev/ram0 (/var/lib)"),
        ];
        for (mount, words) in table {
            let why = forgets(&["/ rw - ext4 /dev/vda1 rw", mount], &[]);
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn an_overlay_is_what_its_upper_layer_is() {
        let lower = "/media/root-ro ro - ext4 /dev/vda1 ro";
        let overlay = "/ rw - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/w";
        let upper = ["/media/root-rw/overlay"];
        let why = forgets(&[overlay, lower, "/media/root-rw rw - tmpfs tmpfs-root rw"], &upper);
        assert_eq!(
            why,
            "is on an overlay (/) whose upper layer /media/root-rw/overlay is on a tmpfs (/media/root-rw), which is in memory"
        );
        let disk = told(&[overlay, lower, "/media/root-rw rw - ext4 /dev/vdb rw"], &upper);
        assert_eq!(disk, Lasting::Lasts);
        // systemd.volatile=overlay takes its upper layer's mount away behind itself.
        let volatile = "/ rw - overlay overlay rw,lowerdir=/run/systemd/overlay-sysroot/lower,upperdir=/run/systemd/overlay-sysroot/upper";
        assert!(forgets(&[volatile, "/run rw - tmpfs tmpfs rw"], &[]).contains("/run"));
        // A host that is a container: its engine's overlay lies on a disk that it does not see.
        let container =
            "/ rw - overlay overlay rw,lowerdir=/l,upperdir=/var/lib/docker/overlay2/ab/diff,workdir=/w";
        let volume = "/var/lib/docker rw - ext4 /dev/vdb rw";
        assert!(unknown(&[container, volume], &[]).contains("cannot be seen"));
        assert!(
            unknown(&[container], &["/var/lib/docker/overlay2/ab/diff"]).contains("cannot be seen"),
            "itself"
        );
        assert!(unknown(&["/ rw - overlay overlay ro,lowerdir=/l"], &[]).contains("overlay"));
        assert!(unknown(&["/ rw - aufs none rw,si=4f"], &[]).contains("aufs"));
    }

    #[test]
    fn marks_tell_what_mounts_do_not() {
        let lost = |lasting: &Lasting| matches!(lasting, Lasting::Forgets { why } if why.contains("earlier boot (b1)"));
        let mark = |here, twin| Marks { here, twin, boot: "b2" };
        let (lasts, unseen) = (Lasting::Lasts, Lasting::Unknown { why: "u".into() });
        for lasting in [&lasts, &unseen] {
            assert!(lost(&lasting.clone().with(mark(None, Some("b1")))), "{lasting:?}");
            assert!(lost(&lasting.clone().with(mark(Some("b2"), Some("b1")))), "{lasting:?}");
            assert_eq!(
                lasting.clone().with(mark(Some("b1"), Some("b1"))),
                Lasting::Lasts,
                "it outlived a boot"
            );
            for nothing in [
                mark(None, None),
                mark(Some("b2"), None),
                mark(None, Some("b2")),
                mark(Some("b2"), Some("b2")),
            ] {
                assert_eq!(lasting.clone().with(nothing), *lasting, "{nothing:?}");
            }
        }
        let memory = Lasting::Forgets { why: "is on a tmpfs".into() };
        assert_eq!(memory.clone().with(mark(None, None)), memory);
        let Lasting::Unknown { why } = memory.with(mark(Some("b1"), None)) else {
            panic!("it came back once")
        };
        assert!(why.contains("brought it back"), "{why}");
    }
}
