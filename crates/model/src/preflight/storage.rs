//! Storage drivers that newer engines do not have (Docker's list of deprecated features).

use std::fmt;

/// The release that dropped a driver.
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
    /// Whether an engine of this version is without the driver. Of one that has no number nobody knows.
    pub(super) fn is_before(self, version: &str) -> bool {
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        major.is_some_and(|major| major >= self.0)
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.0", self.0)
    }
}
