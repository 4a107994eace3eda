//! The installed packages, from the host's package manager.

use crate::files;
use crate::tool::{file_state, output};
use careen_contract::id::hex;
use careen_host::facts::{self, Packages, Parsed};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// dpkg's database; only its size is looked at.
const DPKG_DATABASE: &str = "/var/lib/dpkg/status";
const APK_DATABASE: &str = "/lib/apk/db/installed";

/// Where package managers keep what is installed. Every writer replaces a file here, or writes to one.
const DATABASES: [&str; 5] =
    [DPKG_DATABASE, APK_DATABASE, "/var/lib/rpm", "/usr/lib/sysimage/rpm", "/var/lib/dpkg/updates"];

/// The state of the package managers' files: while it is the same, so are the packages. `None` without any.
pub fn database() -> Option<String> {
    let mut digest = Sha256::new();
    let mut any = false;
    for place in DATABASES {
        for path in std::iter::once(PathBuf::from(place)).chain(files_in(Path::new(place))) {
            let Some(state) = file_state(&path) else { continue };
            any = true;
            digest.update(state + "\0");
        }
    }
    any.then(|| hex(&digest.finalize()))
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = files::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Asks the package managers, the most frequent first. A host may have the tool of another family (Debian has a package
/// `rpm`, Fedora one of `dpkg`), but then with an empty database: the first that knows packages is the host's.
pub fn installed(notes: &mut Vec<String>) -> Option<Packages> {
    let is_the_hosts = |parsed: &Parsed| !parsed.packages.installed.is_empty();
    let found = dpkg(notes).filter(is_the_hosts).or_else(|| apk().filter(is_the_hosts));
    let Some(parsed) = found.or_else(|| rpm(notes).filter(is_the_hosts)) else {
        notes.push("no package manager told which packages are installed".into());
        return None;
    };
    if parsed.not_understood > 0 {
        notes.push(format!("{} lines of the list of packages were not understood", parsed.not_understood));
    }
    Some(parsed.packages)
}

fn dpkg(notes: &mut Vec<String>) -> Option<Parsed> {
    // With an empty database dpkg-query fails, and that would be noted.
    files::metadata(DPKG_DATABASE).ok().filter(|database| database.len() > 0)?;
    output("dpkg-query", &["-W", "-f", facts::DPKG_FORMAT], notes).map(|list| facts::parse_dpkg(&list))
}

fn apk() -> Option<Parsed> {
    files::read(APK_DATABASE).ok().map(|database| facts::parse_apk(&String::from_utf8_lossy(&database)))
}

fn rpm(notes: &mut Vec<String>) -> Option<Parsed> {
    output("rpm", &["-qa", "--qf", facts::RPM_FORMAT], notes).map(|list| facts::parse_rpm(&list))
}
