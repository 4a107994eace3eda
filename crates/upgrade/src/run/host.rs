//! Which package manager a host has.

use super::fail::{Fail, file};
use super::tool;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Debian and Ubuntu.
    Apt,
    /// Fedora, Red Hat and their relatives.
    Dnf,
    /// SUSE.
    Zypper,
    /// Alpine.
    Apk,
}

impl Manager {
    /// The host's own. An rpm host may have apt-get, too, but no dpkg that manages it.
    pub fn find() -> Result<Self, Fail> {
        let all = [
            (Self::Apt, "/usr/bin/apt-get", "/var/lib/dpkg/status"),
            (Self::Zypper, "/usr/bin/zypper", "/usr/bin/rpm"),
            (Self::Dnf, "/usr/bin/dnf", "/usr/bin/rpm"),
            (Self::Apk, "/sbin/apk", "/lib/apk/db/installed"),
        ];
        let found = all
            .into_iter()
            .find(|(_, program, other)| Path::new(program).exists() && Path::new(other).exists());
        found.map(|(manager, ..)| manager).ok_or(Fail::NoManager)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
            Self::Apk => "apk",
        }
    }
}

/// Refuses a host whose `/usr` cannot be written to: its system comes as an image. Debian's securing manual has apt mount it for
/// writing around each run of dpkg; then it can.
pub fn check_that_packages_can_change(manager: Manager) -> Result<(), Fail> {
    let usr = Path::new("/usr");
    let found = statvfs(usr).map_err(|errno| file("ask how is mounted", usr)(errno.into()))?;
    if !found.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(());
    }
    let mounts_it = match manager {
        Manager::Apt => mounts_usr(&tool::read(tool::command("apt-config").arg("dump"), &[])?),
        Manager::Dnf | Manager::Zypper | Manager::Apk => false,
    };
    if mounts_it { Ok(()) } else { Err(Fail::ReadOnly) }
}

/// Whether apt runs something before dpkg that mounts a file system for writing.
fn mounts_usr(configuration: &str) -> bool {
    let hook =
        |line: &str| line.starts_with("DPkg::Pre-Invoke") && line.contains("remount") && line.contains("rw");
    configuration.lines().any(hook)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_may_mount_usr_itself() {
        let hooks = "DPkg::Pre-Invoke \"\";\nDPkg::Pre-Invoke:: \"mount -o remount,rw /usr\";\n";
        assert!(mounts_usr(hooks));
        let other = "DPkg::Post-Invoke:: \"mount -o remount,rw /usr\";\nDPkg::Pre-Invoke:: \"mount -o remount,ro /usr\";\n";
        assert!(!mounts_usr(other));
    }
}
