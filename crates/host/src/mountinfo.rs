//! The kernel's table of mounts, `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::path::Path;

/// One mount as a process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The directory inside the mounted file system that forms the root of this mount.
    pub root: String,
    /// Where it is mounted, seen from the process's own root.
    pub mount_point: String,
    /// Per-mount options (`ro`, `noexec`, …).
    pub options: Vec<String>,
    /// The file system's type.
    pub fs_type: String,
    /// What is mounted: a device, or a word of the file system's own.
    pub source: String,
    /// Options of the file system itself (`upperdir=…`).
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether one of the per-mount options is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|set| set == option)
    }

    /// The value of one of the file system's own options.
    pub fn value(&self, option: &str) -> Option<&str> {
        self.super_options.iter().find_map(|set| set.strip_prefix(option)?.strip_prefix('='))
    }
}

/// The mount that an absolute path lies on: the deepest, and of several at one place the last, which covers the others.
pub fn mount_of<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    let path = Path::new(path);
    let holds = |mount: &&Mount| path.starts_with(&mount.mount_point);
    // Of several greatest ones, `max_by_key` gives the last.
    mounts.iter().filter(holds).max_by_key(|mount| Path::new(&mount.mount_point).components().count())
}

/// Parses the whole table. Lines that do not have the documented form are left out: the kernel adds fields, and a
/// table with a line that we do not know must not make a host unreachable.
pub fn parse(table: &str) -> Vec<Mount> {
    table.lines().filter_map(parse_line).collect()
}

/// Where the engine mounted files of Swarm objects, secrets and configs alike. It keeps them in a tmpfs of the
/// container's, named by the object's id, and mounts each of them by itself. (Seen on 20.10; read in moby up to 28.)
pub fn swarm_files(table: &str) -> Vec<String> {
    let is_one = |mount: &Mount| {
        let id = mount.root.strip_prefix('/').unwrap_or_default();
        mount.fs_type == "tmpfs"
            && id.len() == OBJECT_ID_LENGTH
            && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
            && !mount.mount_point.starts_with("/host/")
    };
    parse(table).into_iter().filter(is_one).map(|mount| mount.mount_point).collect()
}

/// Swarm's ids are 25 digits of base 36.
const OBJECT_ID_LENGTH: usize = 25;

fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let root = unescape(left.next()?);
    let mount_point = unescape(left.next()?);
    let options = left.next()?.split(',').map(str::to_owned).collect();
    let mut right = right.split(' ');
    let fs_type = right.next()?.to_owned();
    // Each line has both, but nothing that decided before them needed them.
    let source = unescape(right.next().unwrap_or_default());
    let super_options = right.next().unwrap_or_default().split(',').map(unescape).collect();
    Some(Mount { root, mount_point, options, fs_type, source, super_options })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                plain.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                plain.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
392 144 0:94 / / rw,relatime master:259 - overlay overlay rw,lowerdir=/l
493 392 0:39 / /host rw,relatime master:3 - overlay overlay rw
494 493 0:42 / /host/proc rw,nosuid,nodev,noexec,relatime master:4 - proc proc rw
516 493 0:48 / /host/run ro,nosuid,nodev master:21 - tmpfs tmpfs rw
517 493 0:49 /a\\040b /host/mnt/with\\040space rw,noexec - ext4 /dev/vda rw
nonsense
";

    #[test]
    fn files_of_swarm_objects_are_those_of_a_tmpfs_named_by_an_id() {
        let line =
            |root: &str, point: &str, kind: &str| format!("1 2 0:130 {root} {point} ro - {kind} x ro\n");
        let id = "/y8l03mdy7ke4fz2lcgycky9e6";
        let table = [
            line(id, "/run/secrets/password", "tmpfs"),
            line(id, "/etc/app/with\\040space", "tmpfs"),
            line(id, "/host/etc/app/x", "tmpfs"),
            line(id, "/volume", "ext4"),
            line("/", "/tmp", "tmpfs"),
            line("/careen-lab/boot_id", "/proc/sys/kernel/random/boot_id", "tmpfs"),
            line("/Y8L03mdy7ke4fz2lcgycky9e6", "/other", "tmpfs"),
        ];
        assert_eq!(swarm_files(&table.concat()), ["/run/secrets/password", "/etc/app/with space"]);
    }

    #[test]
    fn options_and_escapes_are_read() {
        let mounts = parse(TABLE);
        assert_eq!(mounts.len(), 5, "the line that is no mount is left out");
        assert!(mounts[3].has("ro"));
        assert_eq!(mounts[4].mount_point, "/host/mnt/with space");
        assert_eq!(mounts[4].root, "/a b");
        assert_eq!(mounts[4].source, "/dev/vda");
        assert_eq!((mounts[0].value("lowerdir"), mounts[0].value("upperdir")), (Some("/l"), None));
    }

    #[test]
    fn a_path_lies_on_the_deepest_mount_and_on_the_last_of_several() {
        let line = |point: &str, source: &str| format!("1 2 0:130 / {point} rw - ext4 {source} rw\n");
        let table = [
            line("/", "root"),
            line("/var/lib", "below"),
            line("/var/lib", "above"),
            line("/var/l", "other"),
        ];
        let mounts = parse(&table.concat());
        for (path, source) in [("/var/lib/careen", "above"), ("/var/lib", "above"), ("/var/libx", "root")] {
            assert_eq!(mount_of(&mounts, path).map(|mount| mount.source.as_str()), Some(source), "{path}");
        }
        assert_eq!(mount_of(&[], "/"), None);
    }
}
