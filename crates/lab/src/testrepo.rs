//! The apt repository inside the node image: packages made for tests, so that most tests need no mirror.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::process;

/// Where the repository lies in a node.
pub const PATH: &str = "/srv/careen-lab/apt";
/// The node's apt source for it; unsigned on purpose, a key would have to be made at every build.
pub const SOURCE: &str = "deb [trusted=yes] file:/srv/careen-lab/apt ./\n";
/// The package file that the node image has installed already.
pub const PREINSTALLED: &str = "careen-test-hello_1.0_all.deb";

/// A package made for tests.
#[derive(Debug)]
struct TestPackage {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    /// What has to be configured before it.
    depends: Option<&'static str>,
    /// Its maintainer scripts: (name, text).
    scripts: &'static [(&'static str, &'static str)],
    /// An executable that it installs, and its text.
    program: Option<(&'static str, &'static str)>,
}

impl TestPackage {
    const fn new(name: &'static str, version: &'static str, description: &'static str) -> Self {
        Self { name, version, description, depends: None, scripts: &[], program: None }
    }

    const fn with_scripts(self, scripts: &'static [(&'static str, &'static str)]) -> Self {
        Self { scripts, ..self }
    }

    const fn with_program(self, path: &'static str, text: &'static str) -> Self {
        Self { program: Some((path, text)), ..self }
    }
}

const HELLO: &str = "usr/bin/careen-test-hello";

const POSTINST: &str = "postinst";
const PRERM: &str = "prerm";

const BROKEN: &str = "#!/bin/sh
[ \"$1\" = configure ] || exit 0
echo 'careen-test-broken: failing on purpose' >&2
exit 1
";

const REBOOT: &str = "#!/bin/sh
set -e
[ \"$1\" = configure ] || exit 0
echo '*** System restart required ***' >/run/reboot-required
echo careen-test-reboot >>/run/reboot-required.pkgs
";

const RESTART_DOCKER: &str = "#!/bin/sh
set -e
[ \"$1\" = configure ] || exit 0
if [ -d /run/systemd/system ]; then deb-systemd-invoke restart docker.service; fi
";

const PACKAGES: [TestPackage; 10] = [
    TestPackage::new("careen-test-hello", "1.0", "prints its version")
        .with_program(HELLO, "#!/bin/sh\necho 1.0\n"),
    TestPackage::new("careen-test-hello", "2.0", "prints its version")
        .with_program(HELLO, "#!/bin/sh\necho 2.0\n"),
    TestPackage::new("careen-test-broken", "1.0", "fails in its postinst")
        .with_scripts(&[(POSTINST, BROKEN)]),
    TestPackage::new("careen-test-reboot", "1.0", "asks for a reboot").with_scripts(&[(POSTINST, REBOOT)]),
    TestPackage::new("careen-test-restart-docker", "1.0", "restarts the engine in its postinst")
        .with_scripts(&[(POSTINST, RESTART_DOCKER)]),
    docker_ce("1.0", DOCKER_CE_19),
    docker_ce("1.1", DOCKER_CE),
    docker_ce("2.0", DOCKER_CE),
    containerd_io("1.0"),
    containerd_io("2.0"),
];

const DOCKER_CE_POSTINST: &str = include_str!("../assets/packages/docker-ce.postinst");
const DOCKER_CE: &[(&str, &str)] =
    &[(POSTINST, DOCKER_CE_POSTINST), (PRERM, include_str!("../assets/packages/docker-ce.prerm"))];
const DOCKER_CE_19: &[(&str, &str)] =
    &[(POSTINST, DOCKER_CE_POSTINST), (PRERM, include_str!("../assets/packages/docker-ce-19.prerm"))];
const CONTAINERD_IO: &[(&str, &str)] = &[
    (POSTINST, include_str!("../assets/packages/containerd-io.postinst")),
    (PRERM, include_str!("../assets/packages/containerd-io.prerm")),
];

const fn docker_ce(version: &'static str, scripts: &'static [(&'static str, &'static str)]) -> TestPackage {
    TestPackage {
        depends: Some("careen-test-containerd-io"),
        scripts,
        ..TestPackage::new("careen-test-docker-ce", version, "does to the engine what docker-ce does")
    }
}

const fn containerd_io(version: &'static str) -> TestPackage {
    TestPackage::new("careen-test-containerd-io", version, "does to the engine what containerd.io does")
        .with_scripts(CONTAINERD_IO)
}

/// Everything the repository is made of, for the recipe's hash.
pub fn fingerprint() -> String {
    format!("{PACKAGES:?} {} {}", index_entry(&PACKAGES[0], b""), release_file(""))
}

/// Builds the repository under the root file system `tree`.
pub fn build(tree: &Path) -> Result<()> {
    let repository = tree.join(PATH.trim_start_matches('/'));
    create_dir(&repository)?;
    let mut index = String::new();
    for package in &PACKAGES {
        let file = repository.join(file_name(package));
        build_package(package, &file)?;
        let bytes = std::fs::read(&file).map_err(file_error("read", &file))?;
        index.push_str(&index_entry(package, &bytes));
    }
    write(&repository.join("Packages"), &index, 0o644)?;
    write(&repository.join("Release"), &release_file(&index), 0o644)
}

fn build_package(package: &TestPackage, file: &Path) -> Result<()> {
    let staging = tempfile::tempdir().map_err(file_error("create", &std::env::temp_dir()))?;
    let root = staging.path().join("root");
    write(&root.join("DEBIAN/control"), &control(package), 0o644)?;
    for (name, text) in package.scripts {
        write(&root.join("DEBIAN").join(name), text, 0o755)?;
    }
    if let Some((path, text)) = package.program {
        write(&root.join(path), text, 0o755)?;
    }
    process::run(
        Command::new("dpkg-deb").args(["--build", "--root-owner-group", "-Zgzip"]).arg(&root).arg(file),
    )?;
    Ok(())
}

fn control(package: &TestPackage) -> String {
    let depends = package.depends.map(|name| format!("Depends: {name}\n")).unwrap_or_default();
    format!(
        "Package: {}\nVersion: {}\nArchitecture: all\nMaintainer: the careen lab <careen-lab@localhost>\n\
         Section: misc\nPriority: optional\n{depends}Description: {}\n",
        package.name, package.version, package.description
    )
}

fn file_name(package: &TestPackage) -> String {
    format!("{}_{}_all.deb", package.name, package.version)
}

fn index_entry(package: &TestPackage, bytes: &[u8]) -> String {
    format!(
        "{}Filename: ./{}\nSize: {}\nSHA256: {}\n\n",
        control(package),
        file_name(package),
        bytes.len(),
        sha256(bytes)
    )
}

/// The date is any in the past: apt wants one, and the same repository shall have the same bytes.
fn release_file(index: &str) -> String {
    format!(
        "Origin: careen-lab\nLabel: careen-lab\nSuite: careen-lab\nDate: Wed, 01 Jan 2020 00:00:00 UTC\n\
         Architectures: all\nDescription: made for tests\nSHA256:\n {} {} Packages\n",
        sha256(index.as_bytes()),
        index.len()
    )
}

/// The SHA-256 of `bytes` in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a file with its directories and its mode.
pub fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(directory) = path.parent() {
        create_dir(directory)?;
    }
    std::fs::write(path, text).map_err(file_error("write", path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(file_error("chmod", path))
}

fn create_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(file_error("create", path))
}

/// Names the path in an I/O error.
pub fn file_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = PathBuf::from(path);
    move |source| Error::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_entry_is_the_control_file_and_where_to_find_the_package() {
        let entry = index_entry(&PACKAGES[0], b"abc");
        assert!(entry.starts_with("Package: careen-test-hello\nVersion: 1.0\n"));
        assert!(entry.contains("\nFilename: ./careen-test-hello_1.0_all.deb\nSize: 3\nSHA256: ba7816bf"));
        assert!(entry.ends_with("\n\n"));
    }

    #[test]
    fn the_preinstalled_package_is_in_the_repository() {
        assert!(PACKAGES.iter().any(|package| file_name(package) == PREINSTALLED));
    }

    #[test]
    fn maintainer_scripts_are_shell_scripts() {
        for (package, script, text) in PACKAGES
            .iter()
            .flat_map(|package| package.scripts.iter().map(move |(name, text)| (package.name, name, text)))
        {
            assert!(text.starts_with("#!/bin/sh\n"), "{package} {script}");
            let status = Command::new("sh").args(["-n", "-c", text]).status().unwrap();
            assert!(status.success(), "{package} {script}");
        }
    }

    #[test]
    fn the_repository_builds_with_dpkg_alone() {
        let tree = tempfile::tempdir().unwrap();
        build(tree.path()).unwrap();
        let repository = tree.path().join("srv/careen-lab/apt");
        let index = std::fs::read_to_string(repository.join("Packages")).unwrap();
        assert_eq!(index.matches("\nFilename: ").count(), PACKAGES.len());
        let release = std::fs::read_to_string(repository.join("Release")).unwrap();
        assert!(release.contains(&sha256(index.as_bytes())));
    }
}
