//! Whether there is room for an upgrade, before anything is downloaded.

use super::fail::{Fail, file};
use careen_upgrade::report::mib;
use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::Path;

/// What has to stay free on a file system for everybody else.
const RESERVE: u64 = 64 << 20;

/// A file system that has too little is an error.
pub fn check(path: &Path, bytes: u64, what: &'static str) -> Result<(), Fail> {
    let found = statvfs(path).map_err(|errno| file("ask how full is", path)(errno.into()))?;
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    let needed = bytes.saturating_add(RESERVE);
    if free >= needed {
        return Ok(());
    }
    Err(Fail::Space { path: path.display().to_string(), free: mib(free), needed: mib(needed), what })
}

/// A kernel's image and initrd, as large as the largest that are there: a full /boot leaves a package half configured.
pub fn check_boot(boot: &Path) -> Result<(), Fail> {
    let largest = |prefix: &str| {
        let entries = fs::read_dir(boot).into_iter().flatten().flatten();
        let sizes = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .filter_map(|entry| entry.metadata().ok().map(|metadata| metadata.len()));
        sizes.max().unwrap_or(0)
    };
    let (image, initrd) = (largest("vmlinuz"), largest("initrd"));
    if image == 0 {
        return Ok(()); // a host that boots from elsewhere
    }
    let found = statvfs(boot).map_err(|errno| file("ask how full is", boot)(errno.into()))?;
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    let needed = image + initrd + initrd / 4;
    if free >= needed {
        return Ok(());
    }
    let path = boot.display().to_string();
    Err(Fail::Space { path, free: mib(free), needed: mib(needed), what: "another kernel" })
}
