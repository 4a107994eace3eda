//! The host as it lies at /host, and the step below it.

use crate::files;
use crate::stop::{OrRefuse, Stop};
use careen_host::capability::CapabilitySet;
use careen_host::preflight;
use nix::unistd::{AccessFlags, access, chroot, geteuid};
use std::path::Path;

/// Whether something is at /host: a directory that is not the empty one of an image.
pub fn is_mounted(host: &Path) -> bool {
    files::read_dir(host).is_ok_and(|mut entries| entries.next().is_some())
}

/// Refuses what is not the root of a running Linux host that we may enter.
pub fn check(host: &Path) -> Result<(), Stop> {
    if !geteuid().is_root() {
        return Err(Stop::refused(format_args!(
            "the agent runs as uid {}, and only root may enter the host: remove USER from the Dockerfile, or run the \
             image with '--user 0'",
            geteuid()
        )));
    }
    let context = files::read_to_string("/proc/self/attr/current").unwrap_or_default();
    // What keeps the container away keeps it from reading this, too.
    let enforce = files::read_to_string(host.join("sys/fs/selinux/enforce"));
    if preflight::is_confined(&context) && enforce.map_or(true, |enforce| enforce.trim() != "0") {
        return Err(Stop::refused(format_args!(
            "SELinux keeps this container away from its host (it runs as {}): start it with '--security-opt label=disable' \
             (docker run), or take selinux-enabled out of the engine's daemon.json, for a service cannot ask for that",
            context.trim_end_matches(['\0', '\n'])
        )));
    }
    for needed in ["etc", "usr", "var"] {
        if !files::is_directory(host.join(needed)) {
            return Err(Stop::refused(format_args!(
                "/host is not the root of a host (it has no /{needed}): mount '/' itself, with '-v /:/host'"
            )));
        }
    }
    if !files::is_file(host.join("proc/1/status")) {
        return Err(Stop::refused(
            "/host has no processes at /proc: mount the host's '/' with the mounts below it (a bind mount must not be \
             non-recursive), not a copy of a root file system",
        ));
    }
    let status = files::read_to_string("/proc/self/status").or_refuse("read /proc/self/status")?;
    let uid_map =
        |path: &Path| files::read_to_string(path).or_refuse(format_args!("read {}", path.display()));
    let (own, inits) = (uid_map(Path::new("/proc/self/uid_map"))?, uid_map(&host.join("proc/1/uid_map"))?);
    if !preflight::is_hosts_root(&own, &inits) {
        return Err(Stop::refused(preflight::Problem::MappedUsers));
    }
    if CapabilitySet::from_status(&status, "CapEff").is_some_and(|effective| !effective.has("SYS_CHROOT")) {
        return Err(Stop::refused(
            "the container lacks the capability SYS_CHROOT, without which nobody gets below /host: do not drop it",
        ));
    }
    Ok(())
}

/// Makes the host's root this process's own. From here on every path is the host's.
pub fn enter(host: &Path) -> Result<(), Stop> {
    chroot(host).or_refuse("change the root to /host")?;
    std::env::set_current_dir("/").or_refuse("enter /host")
}

/// The machine's name, as uname(2) gives it.
pub fn machine() -> String {
    nix::sys::utsname::uname()
        .map(|names| names.machine().to_string_lossy().into_owned())
        .unwrap_or_else(|_| std::env::consts::ARCH.to_owned())
}

/// Whether the host has an executable of this path. Only meaningful after [`enter`].
pub fn has_executable(path: &str) -> bool {
    access(path, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_empty_or_missing_directory_is_no_host() {
        let base = tempfile::tempdir().unwrap();
        assert!(!is_mounted(base.path()));
        assert!(!is_mounted(&base.path().join("missing")));
        fs::create_dir(base.path().join("etc")).unwrap();
        assert!(is_mounted(base.path()));
    }
}
