//! Which package manager a host has.

use super::fail::Fail;
use std::path::Path;

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Debian and Ubuntu.
    Apt,
    /// Fedora, Red Hat and their relatives.
    Dnf,
    /// SUSE.
    Zypper,
    /// Alpine.
    Apk,
}

impl Manager {
    /// The host's own. An rpm host may have apt-get, too, but no dpkg that manages it.
    pub fn find() -> Result<Self, Fail> {
        let all = [
            (Self::Apt, "/usr/bin/apt-get", "/var/lib/dpkg/status"),
            (Self::Zypper, "/usr/bin/zypper", "/usr/bin/rpm"),
            (Self::Dnf, "/usr/bin/dnf", "/usr/bin/rpm"),
            (Self::Apk, "/sbin/apk", "/lib/apk/db/installed"),
        ];
        let found = all
            .into_iter()
            .find(|(_, program, other)| Path::new(program).exists() && Path::new(other).exists());
        found.map(|(manager, ..)| manager).ok_or(Fail::NoManager)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
            Self::Apk => "apk",
        }
    }
}
