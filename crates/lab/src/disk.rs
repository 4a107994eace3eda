//! The disk that every virtual machine of a release starts as a copy of, and the key to log in with. Both are made
//! once and kept in the machine's cache, in a directory that carries the recipe's hash.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::apt;
use crate::docker::Docker;
use crate::error::Result;
use crate::process;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::testrepo::file_error;
use crate::tree::{self, BUILD_DIR, HALF_MADE_DISK};

const CACHE: &str = "/var/cache/careen-lab/vm";
/// Sparse: it takes the room of what was written.
const SIZE: &str = "8G";

/// Makes the machine's key, of which only the public half stays in the tree $1; $2 is the new directory.
const KEY: &str = r#"
chroot "$1" ssh-keygen -q -t ed25519 -N '' -C careen-lab -f /root/.ssh/key
mv "$1/root/.ssh/key" "$2/key"
mv "$1/root/.ssh/key.pub" "$1/root/.ssh/authorized_keys"
chmod 0600 "$2/key" "$1/root/.ssh/authorized_keys"
"#;

/// Returns the directory with the disk (`disk.img`) and the key (`key`); builds it where it is missing. `lock` is
/// the machine's.
pub fn ensure(docker: &Docker, release: &str, lock: &Arc<File>, progress: Progress) -> Result<PathBuf> {
    let recipe = Recipe::machine(release);
    let mirror = apt::of_this_machine(release)?;
    let name = format!("{release}-{}", recipe.fingerprint(release, &mirror));
    let directory = Path::new(CACHE).join(&name);
    if directory.is_dir() {
        return Ok(directory);
    }
    tree::build(&recipe, release, &mirror, lock, progress)?;
    progress.say(format!("making the disk {}", directory.display()));
    // It gets its name when it is whole.
    let half_made = Path::new(HALF_MADE_DISK);
    make(half_made)?;
    std::fs::rename(half_made, &directory).map_err(file_error("rename", half_made))?;
    tree::discard_build()?;
    remove_older(docker, release, &name)?;
    Ok(directory)
}

fn make(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(file_error("create", directory))?;
    let tree = Path::new(BUILD_DIR);
    process::run(Command::new("sh").args(["-e", "-c", KEY, "sh"]).arg(tree).arg(directory))?;
    // No loop device: mke2fs fills the file system by itself.
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]).arg(tree).arg(directory.join("disk.img")).arg(SIZE);
    process::run(&mut mke2fs)?;
    Ok(())
}

/// Removes the disks of older recipes of this release, but for those a lab still uses.
fn remove_older(docker: &Docker, release: &str, keep: &str) -> Result<()> {
    let cache = Path::new(CACHE);
    let entries = std::fs::read_dir(cache).map_err(file_error("list", cache))?;
    let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    for name in outdated(&names, release, keep) {
        let directory = cache.join(name);
        let filter = format!("volume={}", directory.display());
        if docker.lines(["ps", "--all", "--quiet", "--filter", &filter])?.is_empty() {
            std::fs::remove_dir_all(&directory).map_err(file_error("remove", &directory))?;
        }
    }
    Ok(())
}

fn outdated<'a>(names: &'a [String], release: &str, keep: &str) -> Vec<&'a str> {
    let prefix = format!("{release}-");
    names.iter().map(String::as_str).filter(|name| name.starts_with(&prefix) && *name != keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_disks_of_the_same_release_go() {
        let names = ["bookworm-1", "bookworm-2", "trixie-1"].map(str::to_owned);
        assert_eq!(outdated(&names, "bookworm", "bookworm-2"), ["bookworm-1"]);
    }
}
