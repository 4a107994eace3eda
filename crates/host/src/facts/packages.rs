//! What a package manager has installed.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What keeps the list of a host's packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageManager {
    /// Debian's and Ubuntu's.
    Dpkg,
    /// Red Hat's, SUSE's and their relatives'.
    Rpm,
    /// Alpine's.
    Apk,
}

/// The packages of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Packages {
    pub manager: PackageManager,
    /// Name to version. A package of another architecture than the host's is `name:architecture`. Where several
    /// versions of one name are installed (kernels under rpm), they stand side by side, sorted as text, with a blank
    /// between them: no package manager allows one in a version.
    pub installed: BTreeMap<String, String>,
    /// Packages that the package manager began to install and did not finish; not among the installed ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub broken: BTreeMap<String, Broken>,
}

/// A package that is neither installed nor absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The version that lies on the disk.
    pub version: String,
    /// Its state, in the package manager's words.
    pub state: String,
}

/// Output of a package manager, as understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Parsed {
    pub packages: Packages,
    /// How many lines (of apk: entries) were not of the documented form. Anything but 0 deserves a note.
    pub not_understood: usize,
}

/// One package as a tool lists it.
pub(super) struct Listed<'a> {
    pub name: &'a str,
    pub architecture: &'a str,
    pub version: &'a str,
}

impl Parsed {
    pub(super) fn new(manager: PackageManager) -> Self {
        let packages = Packages { manager, installed: BTreeMap::new(), broken: BTreeMap::new() };
        Self { packages, not_understood: 0 }
    }
}

impl Packages {
    /// Adds a version to those of a name.
    pub(super) fn install(&mut self, name: String, version: &str) {
        let versions = self.installed.entry(name).or_default();
        let all: BTreeSet<&str> =
            versions.split(' ').chain([version]).filter(|one| !one.is_empty()).collect();
        *versions = all.into_iter().collect::<Vec<_>>().join(" ");
    }

    /// Every version of every package that lies on the disk, whole or broken: a package that an upgrade left half
    /// configured was not removed.
    pub(super) fn on_disk(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let broken = self.broken.iter().map(|(name, broken)| (name, &broken.version));
        for (name, versions) in self.installed.iter().chain(broken) {
            all.entry(name).or_default().extend(versions.split(' ').filter(|one| !one.is_empty()));
        }
        all
    }
}

/// Whether a text can be a version: it is there, and without the blank that stands between several.
pub(super) fn is_version(text: &str) -> bool {
    !text.is_empty() && !text.contains(' ')
}

/// The name under which a package is listed, given the architecture of the package manager itself: the host's.
pub(super) fn key(package: &Listed<'_>, native: Option<&str>) -> String {
    let everywhere = ["all", "noarch", "(none)", ""];
    if everywhere.contains(&package.architecture) || Some(package.architecture) == native {
        return package.name.to_owned();
    }
    format!("{}:{}", package.name, package.architecture)
}
