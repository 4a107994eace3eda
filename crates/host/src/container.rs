//! How a process finds out in which container it runs.
//!
//! On cgroup v1 the container's id ends the paths in `/proc/self/cgroup`. On v2 (and with a private cgroup namespace)
//! these paths say nothing; there the engine's own bind mounts at exactly `/etc/hostname`, `/etc/hosts` and
//! `/etc/resolv.conf` come from a directory named after the container. The host's `/` may be mounted at `/host` and
//! bring files of the same names along, even from an outer engine: only the exact mount points count.
//! Either answer is a claim; the caller confirms it by inspecting that container over the host's socket.

use crate::mountinfo;

/// The id of the container that this process runs in, from the texts of `/proc/self/cgroup` and
/// `/proc/self/mountinfo`; `None` outside of a container, or in one of an engine that leaves no trace.
pub fn own_id(cgroup: &str, table: &str) -> Option<String> {
    from_mounts(table).or_else(|| from_cgroup(cgroup))
}

fn from_mounts(table: &str) -> Option<String> {
    let engine_files = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
    let mounts = mountinfo::parse(table);
    let mut engine_mounts = mounts.iter().filter(|mount| engine_files.contains(&mount.mount_point.as_str()));
    engine_mounts.find_map(|mount| {
        let (_, after) = mount.root.rsplit_once("/containers/")?;
        after.split('/').next().filter(|id| is_id(id)).map(str::to_owned)
    })
}

fn from_cgroup(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        // `/docker/<id>` with the cgroupfs driver, `…/docker-<id>.scope` with systemd's.
        let last = path.rsplit('/').next()?;
        let id = last.strip_prefix("docker-").and_then(|rest| rest.strip_suffix(".scope")).unwrap_or(last);
        is_id(id).then(|| id.to_owned())
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5f9df36ce0c4f41debe47f04db9d9c00f91c6de5a9bdb939ede84f5ea3b6b20a";
    const OUTER: &str = "4ace88052f7fb147da7d4a8af785e28c31f5d828c4e600f7abe3ce72c66c0a16";

    fn mount(root: &str, point: &str) -> String {
        format!("525 493 254:0 {root} {point} rw,relatime - ext4 /dev/vda rw\n")
    }

    #[test]
    fn cgroup_v1_paths_end_with_the_id() {
        assert_eq!(own_id(&format!("9:name=systemd:/docker/{ID}\n0::/docker/{ID}\n"), ""), Some(ID.into()));
        let systemd_driver = format!("0::/system.slice/docker-{ID}.scope\n");
        assert_eq!(own_id(&systemd_driver, ""), Some(ID.into()));
    }

    #[test]
    fn cgroup_v2_needs_the_engines_own_mounts() {
        let table = mount(&format!("/var/lib/docker/containers/{ID}/hosts"), "/etc/hosts");
        assert_eq!(own_id("0::/\n", &table), Some(ID.into()));
    }

    #[test]
    fn the_hosts_own_files_below_slash_host_do_not_count() {
        let table = mount(&format!("/var/lib/docker/containers/{OUTER}/hostname"), "/host/etc/hostname")
            + &mount(&format!("/lib/docker/containers/{ID}/hostname"), "/etc/hostname");
        assert_eq!(own_id("0::/\n", &table), Some(ID.into()));
    }

    #[test]
    fn outside_of_a_container_there_is_no_id() {
        assert_eq!(own_id("0::/user.slice/session-1.scope\n", &mount("/", "/")), None);
        assert_eq!(own_id("", ""), None);
        assert_eq!(own_id("0::/docker/short\n", ""), None);
    }
}
