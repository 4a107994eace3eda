//! What a package manager says that it would do, in the words of none of them.

use std::collections::BTreeSet;

/// A package that would be installed or upgraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name, with the architecture where the package manager tells it apart by that.
    pub name: String,
    /// The installed version; `None`: it is new.
    pub from: Option<String>,
    /// The version that comes.
    pub to: String,
    /// Where it comes from, as the archive calls itself.
    pub origin: String,
}

/// A package that would be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Removal {
    pub name: String,
    /// The version that goes.
    pub version: String,
}

/// All that an upgrade would change, as the package manager tells before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Simulation {
    /// Installed and upgraded, in the package manager's order.
    pub changes: Vec<Change>,
    pub removals: Vec<Removal>,
    /// There is a newer version, and the package manager leaves it.
    pub kept_back: Vec<String>,
    /// Packages whose place one that comes takes, as that says itself.
    pub replaced: BTreeSet<String>,
}

impl Simulation {
    /// Whether nothing would be done.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.removals.is_empty()
    }

    /// Whether something takes the place of a package that goes: another one that says so, or another version of it, as dnf does
    /// with kernels, of which it keeps three.
    pub fn replaces(&self, removal: &Removal) -> bool {
        let name = crate::names::plain(&removal.name);
        self.replaced.contains(name)
            || self.changes.iter().any(|change| crate::names::plain(&change.name) == name)
    }

    /// Whether a kernel comes.
    pub fn brings_a_kernel(&self) -> bool {
        self.changes.iter().any(|change| crate::names::is_kernel(&change.name))
    }
}
