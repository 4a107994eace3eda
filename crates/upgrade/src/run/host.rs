//! Which package manager this host has, and whether it can change anything.

use super::fail::{Fail, file};
use super::tool;
use crate::manager::Manager;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::path::Path;

/// The host's own package manager.
pub fn manager() -> Result<Manager, Fail> {
    Manager::among(|path| Path::new(path).exists()).ok_or(Fail::NoManager)
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
