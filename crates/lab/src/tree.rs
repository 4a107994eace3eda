//! Root file systems: Debian trees from debootstrap, made into what a recipe says. Half-made ones lie in one
//! place on the machine, so that a killed build leaves nothing that is not found again.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::apt::Mirror;
use crate::engine;
use crate::error::{Error, Result};
use crate::process;
use crate::progress::Progress;
use crate::recipe::{FORGET, Recipe};
use crate::testrepo::{self, file_error, write};

/// On a disk: a tree has some 500 MB.
pub const BUILD_DIR: &str = "/var/cache/careen-lab/build";
/// Next to the disks, which it becomes one of by its name alone.
pub const HALF_MADE_DISK: &str = "/var/cache/careen-lab/vm/half-made";
const BUILD_LOG: &str = "/var/cache/careen-lab/debootstrap.log";

/// Makes the tree of `recipe` in [`BUILD_DIR`]. `lock` is the machine's.
pub fn build(recipe: &Recipe, release: &str, mirror: &Mirror, lock: &File, progress: Progress) -> Result<()> {
    bootstrap(recipe, release, mirror, lock, progress)?;
    customise(Path::new(BUILD_DIR), recipe, release, mirror)
}

/// Removes what a killed build left behind. The caller holds the machine's lock.
pub fn discard_build() -> Result<()> {
    // debootstrap mounts /proc and /sys in the tree, in a mount namespace of its own that died with it.
    // --one-file-system all the same: this must never walk into the machine's /sys.
    process::run(Command::new("rm").args(["-rf", "--one-file-system", BUILD_DIR, HALF_MADE_DISK]))?;
    Ok(())
}

fn bootstrap(recipe: &Recipe, release: &str, mirror: &Mirror, lock: &File, progress: Progress) -> Result<()> {
    if !process::is_installed("debootstrap") {
        progress.say("installing debootstrap");
        engine::install("debootstrap")?;
    }
    discard_build()?;
    std::fs::create_dir_all(BUILD_DIR).map_err(file_error("create", Path::new(BUILD_DIR)))?;
    progress.say(format!(
        "bootstrapping {release} for {} from {} (about a minute)",
        recipe.repository, mirror.archive
    ));
    let log_path = Path::new(BUILD_LOG);
    let log = File::create(log_path).map_err(file_error("create", log_path))?;
    let both = log.try_clone().map_err(file_error("open", log_path))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "debootstrap", "--variant=minbase", &format!("--include={}", recipe.packages)]);
    command.args([release, BUILD_DIR, &mirror.archive]).stdout(log).stderr(both);
    command.stdin(lock.try_clone().map(Stdio::from).unwrap_or_else(|_| Stdio::null()));
    if let Some(proxy) = &mirror.http_proxy {
        command.env("http_proxy", proxy);
    }
    let status =
        command.status().map_err(|source| Error::Spawn { command: process::describe(&command), source })?;
    if status.success() {
        return Ok(());
    }
    let said = std::fs::read_to_string(log_path).unwrap_or_default();
    Err(Error::Command {
        command: process::describe(&command),
        status: status.to_string(),
        stderr: format!("{} (all of it is in {BUILD_LOG})", process::last_lines(&said, 5)),
    })
}

/// Makes of a bare Debian tree what the recipe says.
fn customise(tree: &Path, recipe: &Recipe, release: &str, mirror: &Mirror) -> Result<()> {
    for (path, text, mode) in recipe.files {
        write(&tree.join(path), text, *mode)?;
    }
    let units = tree.join("etc/systemd/system");
    for unit in recipe.masked {
        link("/dev/null", &units.join(unit))?;
    }
    for (target, unit) in recipe.enabled {
        let wants = units.join(format!("{target}.wants"));
        link(&format!("/etc/systemd/system/{unit}"), &wants.join(unit))?;
    }
    if recipe.is_node {
        configure_apt(tree, release, mirror)?;
        testrepo::build(tree)?;
        let package = format!("{}/{}", testrepo::PATH, testrepo::PREINSTALLED);
        process::run(Command::new("chroot").arg(tree).args(["dpkg", "--install", &package]))?;
    }
    process::run(Command::new("sh").args(["-e", "-c", recipe.finish]).current_dir(tree))?;
    forget_identity(tree)
}

fn configure_apt(tree: &Path, release: &str, mirror: &Mirror) -> Result<()> {
    let mut sources = format!("deb {} {release} main\n", mirror.archive);
    if let Some(security) = &mirror.security {
        sources.push_str(&format!("deb {security} {release}-security main\n"));
    }
    write(&tree.join("etc/apt/sources.list"), &sources, 0o644)?;
    write(&tree.join("etc/apt/sources.list.d/careen-lab.list"), testrepo::SOURCE, 0o644)?;
    if mirror.configuration.is_empty() {
        return Ok(());
    }
    write(&tree.join("etc/apt/apt.conf.d/90careen-lab"), &mirror.configuration, 0o644)
}

/// Removes what makes this tree one particular host.
fn forget_identity(tree: &Path) -> Result<()> {
    write(&tree.join("etc/machine-id"), "", 0o444)?;
    link("/etc/machine-id", &tree.join("var/lib/dbus/machine-id"))?;
    process::run(Command::new("sh").args(["-c", FORGET]).current_dir(tree))?;
    Ok(())
}

fn link(target: &str, path: &Path) -> Result<()> {
    let failed = |source| Error::File { action: "link", path: PathBuf::from(path), source };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    symlink(target, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(archive: &str) -> Mirror {
        Mirror { archive: archive.to_owned(), security: None, configuration: String::new(), http_proxy: None }
    }

    #[test]
    fn the_security_suite_has_its_own_mirror() {
        let tree = tempfile::tempdir().unwrap();
        let mut mirror = mirror("http://a.example/debian");
        mirror.security = Some("http://s.example/debian-security".to_owned());
        configure_apt(tree.path(), "bookworm", &mirror).unwrap();
        assert_eq!(
            std::fs::read_to_string(tree.path().join("etc/apt/sources.list")).unwrap(),
            "deb http://a.example/debian bookworm main\n\
             deb http://s.example/debian-security bookworm-security main\n"
        );
        assert!(!tree.path().join("etc/apt/apt.conf.d/90careen-lab").exists());
    }
}
