//! Storage drivers that newer engines do not have (Docker's list of deprecated features).

use std::fmt;

/// The release that dropped something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed(u32);

/// Since which release a driver is gone; `None` for those that stay.
pub(super) fn removed_in(driver: &str) -> Option<Removed> {
    match driver {
        "aufs" | "overlay" => Some(Removed(24)),
        "devicemapper" => Some(Removed(25)),
        _ => None,
    }
}

impl Removed {
    /// In the first release of this number.
    pub(super) const fn of(major: u32) -> Self {
        Self(major)
    }

    /// Whether an engine of this version is without it. Of one that has no number nobody knows.
    pub fn is_before(self, version: &str) -> bool {
        major(version).is_some_and(|major| major >= self.0)
    }
}

/// The first number of a version: an engine's own (`26.1.5+dfsg1`), or a package's (`5:27.3.1-1~debian.12`).
pub fn major(version: &str) -> Option<u32> {
    let upstream = version.split_once(':').map_or(version, |(_, upstream)| upstream);
    upstream.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.0", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_engines_and_packages_have_a_number() {
        for (version, number) in [
            ("26.1.5+dfsg1", Some(26)),
            ("5:27.3.1-1~debian.12~bookworm", Some(27)),
            ("3:28.0.1-1.el9", Some(28)),
            ("20.10.24+dfsg1-1+deb12u1+b2", Some(20)),
            ("library-import", None),
            ("", None),
        ] {
            assert_eq!(major(version), number, "{version}");
        }
        assert!(
            Removed(24).is_before("24.0.0")
                && !Removed(24).is_before("23.0.6")
                && !Removed(24).is_before("dev")
        );
    }
}
