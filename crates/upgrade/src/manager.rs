//! The package managers that are known, and which of them a host has.

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
    pub fn among(is_there: impl Fn(&str) -> bool) -> Option<Self> {
        let all = [
            (Self::Apt, "/usr/bin/apt-get", "/var/lib/dpkg/status"),
            (Self::Zypper, "/usr/bin/zypper", "/usr/bin/rpm"),
            (Self::Dnf, "/usr/bin/dnf", "/usr/bin/rpm"),
            (Self::Apk, "/sbin/apk", "/lib/apk/db/installed"),
        ];
        let found = all.into_iter().find(|(_, program, other)| is_there(program) && is_there(other));
        found.map(|(manager, ..)| manager)
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
            Self::Apk => "apk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_the_one_whose_packages_the_host_has() {
        let has = |paths: &'static [&'static str]| Manager::among(|path| paths.contains(&path));
        assert_eq!(has(&["/usr/bin/apt-get", "/var/lib/dpkg/status"]), Some(Manager::Apt));
        // apt-get of apt4rpm.
        assert_eq!(has(&["/usr/bin/apt-get", "/usr/bin/dnf", "/usr/bin/rpm"]), Some(Manager::Dnf));
        assert_eq!(has(&["/sbin/apk", "/lib/apk/db/installed"]), Some(Manager::Apk));
        assert_eq!(has(&[]), None);
    }
}
