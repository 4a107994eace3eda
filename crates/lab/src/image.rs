//! The node image: a Debian root file system from debootstrap, cached as a docker image.
//!
//! The tag carries a hash of everything that went into it, so an image is never out of date: a changed recipe
//! is another tag. Does not start nodes.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::apt::{self, Mirror};
use crate::docker::Docker;
use crate::engine;
use crate::error::{Error, Result};
use crate::process;
use crate::progress::Progress;
use crate::testrepo::{self, file_error, sha256, write};

const REPOSITORY: &str = "careen-lab/node";
const LABEL_RECIPE: &str = "careen.lab.recipe";
/// Half-made root file systems live here; on a disk, they have some 500 MB.
const BUILD_DIR: &str = "/var/cache/careen-lab/build";
const BUILD_LOG: &str = "/var/cache/careen-lab/debootstrap.log";

const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,docker.io,iproute2,iptables,ca-certificates,procps,openssh-server";

/// Since Debian 13 docker.io only recommends its client, and debootstrap follows no recommendations.
fn packages(release: &str) -> String {
    match release {
        "bullseye" | "bookworm" => PACKAGES.to_owned(),
        _ => format!("{PACKAGES},docker-cli"),
    }
}

/// Masked in the nodes: units that would change the machine's kernel, which all nodes share (sysctl, modules),
/// that have no device to work on, or that take the dpkg lock whenever they like (the apt timers).
const MASKED: [&str; 17] = [
    "systemd-sysctl.service",
    "systemd-modules-load.service",
    "systemd-remount-fs.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "getty.target",
    "console-getty.service",
    "e2scrub_reap.service",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dev-hugepages.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
];

/// The files that the lab adds to a node: path, text, mode.
const FILES: [(&str, &str, u32); 5] = [
    ("usr/lib/careen-lab/api-proxy.pl", include_str!("../assets/api-proxy.pl"), 0o644),
    ("usr/lib/careen-lab/dpkg-lock.pl", include_str!("../assets/dpkg-lock.pl"), 0o644),
    ("etc/systemd/system/careen-lab-api.socket", include_str!("../assets/careen-lab-api.socket"), 0o644),
    ("etc/systemd/system/careen-lab-api.service", include_str!("../assets/careen-lab-api.service"), 0o644),
    (
        "etc/systemd/system/careen-lab-hostkeys.service",
        include_str!("../assets/careen-lab-hostkeys.service"),
        0o644,
    ),
];

/// Where a unit is wanted from: (target, unit).
const ENABLED: [(&str, &str); 2] =
    [("sockets.target", "careen-lab-api.socket"), ("ssh.service", "careen-lab-hostkeys.service")];

/// What must differ between hosts, and what a node does not need.
const FORGET: &str = "rm -rf etc/ssh/ssh_host_* var/lib/apt/lists/* var/cache/apt/*.bin \
                      var/cache/apt/archives/*.deb var/log/*.log var/log/apt etc/hostname etc/resolv.conf";

/// Returns the tag of the node image for `release`; builds it where it is missing. `lock` is the machine's.
pub fn ensure(docker: &Docker, release: &str, lock: &Arc<File>, progress: Progress) -> Result<String> {
    let mirror = apt::of_this_machine(release)?;
    let tag = tag(release, &mirror);
    let docker = docker.clone().holding(Arc::clone(lock));
    if docker.output(["image", "inspect", &tag])?.status.success() {
        return Ok(tag);
    }
    if mirror.security.is_none() {
        progress
            .say(format!("no security suite for {release} in the machine's apt sources: the nodes get none"));
    }
    bootstrap(release, &mirror, lock, progress)?;
    customise(Path::new(BUILD_DIR), release, &mirror)?;
    import(&docker, &tag, progress)?;
    discard_build()?;
    remove_older(&docker, release, &tag)?;
    Ok(tag)
}

/// Removes what a killed build left behind. The caller holds the machine's lock.
pub fn discard_build() -> Result<()> {
    // debootstrap mounts /proc and /sys in the tree, in a mount namespace of its own that died with it.
    // --one-file-system all the same: this must never walk into the machine's /sys.
    process::run(Command::new("rm").args(["-rf", "--one-file-system", BUILD_DIR]))?;
    Ok(())
}

fn tag(release: &str, mirror: &Mirror) -> String {
    let recipe = format!(
        "{release} {mirror:?} {} {FORGET} {MASKED:?} {FILES:?} {ENABLED:?} {} {}",
        packages(release),
        testrepo::SOURCE,
        testrepo::fingerprint()
    );
    format!("{REPOSITORY}:{release}-{}", &sha256(recipe.as_bytes())[..12])
}

fn bootstrap(release: &str, mirror: &Mirror, lock: &File, progress: Progress) -> Result<()> {
    if !process::is_installed("debootstrap") {
        progress.say("installing debootstrap");
        engine::install("debootstrap")?;
    }
    discard_build()?;
    std::fs::create_dir_all(BUILD_DIR).map_err(file_error("create", Path::new(BUILD_DIR)))?;
    progress.say(format!("bootstrapping {release} from {} (about a minute)", mirror.archive));
    let log_path = Path::new(BUILD_LOG);
    let log = File::create(log_path).map_err(file_error("create", log_path))?;
    let both = log.try_clone().map_err(file_error("open", log_path))?;
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "debootstrap",
        "--variant=minbase",
        &format!("--include={}", packages(release)),
    ]);
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

/// Makes a lab node of a bare Debian tree.
fn customise(tree: &Path, release: &str, mirror: &Mirror) -> Result<()> {
    for (path, text, mode) in FILES {
        write(&tree.join(path), text, mode)?;
    }
    let units = tree.join("etc/systemd/system");
    for unit in MASKED {
        link("/dev/null", &units.join(unit))?;
    }
    for (target, unit) in ENABLED {
        let wants = units.join(format!("{target}.wants"));
        std::fs::create_dir_all(&wants).map_err(file_error("create", &wants))?;
        link(&format!("/etc/systemd/system/{unit}"), &wants.join(unit))?;
    }
    configure_apt(tree, release, mirror)?;
    testrepo::build(tree)?;
    let package = format!("{}/{}", testrepo::PATH, testrepo::PREINSTALLED);
    process::run(Command::new("chroot").arg(tree).args(["dpkg", "--install", &package]))?;
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

fn import(docker: &Docker, tag: &str, progress: Progress) -> Result<()> {
    progress.say(format!("importing {tag}"));
    // Tagged only when the whole tree has arrived: `docker import` accepts a tar that was cut short.
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--one-file-system", "-C", BUILD_DIR, "-c", "."]);
    let label = format!("LABEL {LABEL_RECIPE}={tag}");
    let id = process::pipe(&mut tar, &mut docker.command(["import", "--change", &label, "-"]))?;
    docker.run(["tag", &id, tag])?;
    Ok(())
}

/// Removes the images of older recipes of this release, but for those a lab still uses.
fn remove_older(docker: &Docker, release: &str, keep: &str) -> Result<()> {
    let format = "{{.Repository}}:{{.Tag}}";
    for tag in outdated(&docker.lines(["image", "ls", REPOSITORY, "--format", format])?, release, keep) {
        docker.output(["image", "rm", tag])?;
    }
    let filter = format!("label={LABEL_RECIPE}");
    docker.run(["image", "prune", "--force", "--filter", &filter])?;
    Ok(())
}

fn outdated<'a>(tags: &'a [String], release: &str, keep: &str) -> Vec<&'a str> {
    let prefix = format!("{REPOSITORY}:{release}-");
    tags.iter().map(String::as_str).filter(|tag| tag.starts_with(&prefix) && *tag != keep).collect()
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
    fn the_tag_follows_the_recipe() {
        let one = tag("bookworm", &mirror("http://a.example/debian"));
        assert_eq!(one, tag("bookworm", &mirror("http://a.example/debian")));
        assert_ne!(one, tag("bookworm", &mirror("http://b.example/debian")));
        assert!(one.starts_with("careen-lab/node:bookworm-"));
    }

    #[test]
    fn older_recipes_of_the_same_release_go() {
        let tags: Vec<String> =
            ["bookworm-1", "bookworm-2", "trixie-1"].map(|tag| format!("{REPOSITORY}:{tag}")).into();
        assert_eq!(outdated(&tags, "bookworm", "careen-lab/node:bookworm-2"), ["careen-lab/node:bookworm-1"]);
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
