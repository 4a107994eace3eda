//! What `make dist` packs: the installer image without an engine, and the packages around a program. The program here is a script.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The time of all files in what is packed.
const EPOCH: &str = "1790000000";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn tool(name: &str) -> Command {
    let mut tool = Command::new(repository().join("tools").join(name));
    tool.env("SOURCE_DATE_EPOCH", EPOCH).current_dir(repository());
    tool
}

/// Whether this machine has what the tools need.
fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// The packages of a program that completes with one word, by how their names end.
fn packed(program: &str) -> (TempDir, BTreeMap<String, PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    careen_testing::program(&directory.path().join("careen"), program);
    let out = directory.path().join("dist");
    printed(tool("dist").arg(directory.path().join("careen")).arg("7.8.9").arg(&out));
    let found = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let ending = |path: &Path| path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let found = found.map(|path| (ending(&path), path)).collect();
    (directory, found)
}

const NEW: &str = "#!/bin/sh\n[ \"$1\" = completion ] || exit 2\necho \"new $2\"\n";
const OLD: &str = "#!/bin/sh\n[ \"$1\" = completions ] || exit 2\necho \"old $2\"\n";

#[test]
fn a_package_has_the_program_as_a_plugin_too_and_completions_and_nobodys_own_ids() {
    if !is_there("dpkg-deb") {
        return;
    }
    let (_directory, found) = packed(NEW);
    let listed = printed(Command::new("dpkg-deb").arg("-c").arg(&found["deb"]));
    let files: Vec<(&str, &str)> = listed
        .lines()
        .filter(|line| !line.starts_with('d'))
        .map(|line| (line.split(' ').next().unwrap(), line.split_once(" ./").unwrap().1))
        .collect();
    let (plain, link) = ("-rw-r--r--", "lrwxrwxrwx");
    let mut expected = vec![
        ("-rwxr-xr-x", "usr/bin/careen"),
        (link, "usr/libexec/docker/cli-plugins/docker-careen -> ../../../bin/careen"),
        (plain, "usr/share/bash-completion/completions/careen"),
        (plain, "usr/share/doc/careen/CHANGELOG.md"),
        (plain, "usr/share/doc/careen/README.md"),
        (plain, "usr/share/doc/careen/copyright"),
        (plain, "usr/share/fish/vendor_completions.d/careen.fish"),
        (plain, "usr/share/zsh/vendor-completions/_careen"),
    ];
    expected.sort_unstable_by_key(|(_, name)| *name);
    let mut sorted = files;
    sorted.sort_unstable_by_key(|(_, name)| *name);
    assert_eq!(sorted, expected);
    assert!(listed.lines().all(|line| line.contains(" root/root ")), "{listed}");
    let field = |name: &str| printed(Command::new("dpkg-deb").arg("-f").arg(&found["deb"]).arg(name));
    assert_eq!(field("Package").trim(), "careen");
    let version = field("Version");
    assert!(version.starts_with("7.8.9"), "{version}");
    let is_earlier =
        Command::new("dpkg").args(["--compare-versions", version.trim(), "le", "7.8.9"]).status();
    assert!(is_earlier.unwrap().success(), "a release replaces what was built before it: {version}");
}

#[test]
fn the_same_program_makes_the_same_packages_and_their_sums_are_right() {
    let ((_one, first), (_two, second)) = (packed(NEW), packed(NEW));
    for (name, path) in first.iter().filter(|(name, _)| !name.is_empty()) {
        assert!(fs::read(path).unwrap() == fs::read(&second[name]).unwrap(), "{name} differs");
    }
    let sums = &first[""];
    printed(
        Command::new("sha256sum").args(["--check", "--strict"]).arg(sums).current_dir(sums.parent().unwrap()),
    );
    let sums = fs::read_to_string(sums).unwrap();
    assert_eq!(sums.lines().count(), first.len() - 1, "{sums}");
    // The tarball's completions, of a program that still says it the other way.
    let (_directory, old) = packed(OLD);
    let read = |found: &BTreeMap<String, PathBuf>| {
        printed(Command::new("tar").args(["-xzO", "--wildcards", "*/careen.fish", "-f"]).arg(&found["gz"]))
    };
    assert_eq!((read(&first), read(&old)), ("new fish\n".to_owned(), "old fish\n".to_owned()));
}

#[test]
fn an_image_is_made_without_an_engine_and_says_what_its_dockerfile_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir_all(path("root/upgrade/bin")).unwrap();
    careen_testing::program(&path("root/careen-agent"), "agent");
    fs::hard_link(path("root/careen-agent"), path("root/upgrade/bin/careen-upgrade")).unwrap();
    symlink("bin/careen-upgrade", path("root/upgrade/check")).unwrap();
    fs::copy(repository().join("image/Dockerfile"), path("Dockerfile")).unwrap();
    for output in ["one.tar.gz", "two.tar.gz"] {
        printed(tool("image-archive").arg(directory.path()).arg("careen/installer:7.8.9").arg(path(output)));
    }
    assert!(fs::read(path("one.tar.gz")).unwrap() == fs::read(path("two.tar.gz")).unwrap());
    fs::create_dir(path("image")).unwrap();
    let mut unpack = Command::new("tar");
    printed(unpack.arg("-xzf").arg(path("one.tar.gz")).arg("-C").arg(path("image")));
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path("image").join(name)).unwrap()).unwrap()
    };
    let manifest = json("manifest.json");
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["careen/installer:7.8.9"]));
    let config = manifest[0]["Config"].as_str().unwrap();
    let sha256 = |name: &str| -> String {
        let digest = Sha256::digest(fs::read(path("image").join(name)).unwrap());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    assert_eq!(format!("{}.json", sha256(config)), config, "an engine checks it");
    let layer = manifest[0]["Layers"][0].as_str().unwrap();
    let config = json(config);
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(layer)));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/careen-agent", "run"]));
    assert_eq!(config["config"]["Labels"]["careen.protocol"], careen_contract::label::THIS_PROTOCOL);
    let listed = printed(Command::new("tar").arg("-tvf").arg(path("image").join(layer)));
    assert!(listed.contains("upgrade/bin/careen-upgrade link to careen-agent"), "{listed}");
    assert!(listed.contains("upgrade/check -> bin/careen-upgrade"), "{listed}");
}
