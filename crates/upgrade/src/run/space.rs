//! Whether there is room for an upgrade: before anything is downloaded, and once more right before anything is changed.

use super::fail::{Fail, file};
use crate::apt::Sizes;
use crate::report::mib;
use crate::room::{self, Need};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What dpkg writes about what it installs, and what maintainer scripts leave.
const DATABASE: u64 = 32 << 20;

/// A file system that has too little for this upgrade is an error. Nothing is downloaded any more where `archives` is none.
pub fn check(sizes: Sizes, archives: Option<&Path>, kernel: bool) -> Result<(), Fail> {
    let mut needs = Vec::new();
    if let Some(archives) = archives {
        needs.push(need(archives, "the packages", sizes.download)?);
    }
    needs.push(need(Path::new("/usr"), "what they install", sizes.grows)?);
    needs.push(need(Path::new("/var/lib"), "what dpkg notes of them", DATABASE)?);
    let boot = Path::new("/boot");
    if kernel && boot.is_dir() {
        needs.push(need(boot, "another kernel", kernel_size(boot))?);
    }
    match room::short(&needs) {
        None => Ok(()),
        Some(short) => {
            Err(Fail::Space { free: mib(short.free), needed: mib(short.needed), what: short.what })
        }
    }
}

fn need(path: &Path, what: &'static str, bytes: u64) -> Result<Need, Fail> {
    let found = statvfs(path).map_err(|errno| file("ask how full is", path)(errno.into()))?;
    let file_system = fs::metadata(path).map_err(file("look at", path))?.dev();
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    Ok(Need { path: path.display().to_string(), what, bytes, file_system, free })
}

/// A kernel's image and initrd, as large as the largest that are there: a full /boot leaves a package half configured. Nothing
/// on a host that boots from elsewhere.
fn kernel_size(boot: &Path) -> u64 {
    let largest = |prefix: &str| {
        let entries = fs::read_dir(boot).into_iter().flatten().flatten();
        let sizes = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .filter_map(|entry| entry.metadata().ok().map(|metadata| metadata.len()));
        sizes.max().unwrap_or(0)
    };
    match (largest("vmlinuz"), largest("initrd")) {
        (0, _) => 0,
        (image, initrd) => image + initrd + initrd / 4,
    }
}
