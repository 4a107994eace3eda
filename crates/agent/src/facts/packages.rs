//! The installed packages, from the host's package manager.

use crate::tool::output;
use careen_model::facts::{self, Packages, Parsed};
use std::fs;

/// dpkg's database; only its size is looked at.
const DPKG_DATABASE: &str = "/var/lib/dpkg/status";
/// apk's database.
const APK_DATABASE: &str = "/lib/apk/db/installed";

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
    fs::metadata(DPKG_DATABASE).ok().filter(|database| database.len() > 0)?;
    output("dpkg-query", &["-W", "-f", facts::DPKG_FORMAT], notes).map(|list| facts::parse_dpkg(&list))
}

fn apk() -> Option<Parsed> {
    fs::read(APK_DATABASE).ok().map(|database| facts::parse_apk(&String::from_utf8_lossy(&database)))
}

fn rpm(notes: &mut Vec<String>) -> Option<Parsed> {
    output("rpm", &["-qa", "--qf", facts::RPM_FORMAT], notes).map(|list| facts::parse_rpm(&list))
}
