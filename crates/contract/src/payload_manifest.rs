//! What a payload says of itself, in a file beside its commands: what it is called, which paths it alone writes, whether it may be run
//! again when it was cut off, and how often its host is worth a look. How the file is written is the reader's business.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The file, directly in the payload. It is no command, whatever its mode.
pub const MANIFEST_FILE: &str = "careen.yaml";

/// A longer one is refused, in bytes: nobody writes one.
pub const LONGEST_MANIFEST: usize = 64 << 10;

/// The longest name, and the longest path, in bytes.
pub const LONGEST_NAME: usize = 24;
const LONGEST_PATH: usize = 1024;

/// So many paths a payload may own: they travel in one variable.
pub const MOST_OWNED: usize = 100;

/// A host is not looked at without a pause.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// What a payload says of itself. What it does not say is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PayloadManifest {
    /// What it is called.
    pub name: Option<PayloadName>,
    /// The paths that it alone writes.
    pub owns: Vec<OwnedPath>,
    /// Whether its commands may be run again when nobody knows how far they came.
    pub idempotent: bool,
    /// How often its host is to be looked at.
    pub interval: Option<Duration>,
}

/// What a payload is called: up to 24 of `a-z 0-9 -`, first and last a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PayloadName(String);

/// A path that a payload alone writes: absolute and normalised; a directory, with all that is below it, ends in `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnedPath(String);

/// Why a text cannot be what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// A name.
    #[error(
        "a name is 1 to {LONGEST_NAME} of a-z, 0-9 and '-', and begins and ends with a letter or a digit"
    )]
    Name,
    /// A path that is relative.
    #[error("a path begins with '/': it is the host's")]
    Relative,
    /// Every path at once.
    #[error("'/' is everything that the host has, and no payload writes that alone")]
    Root,
    /// More than one way to write the same path.
    #[error("a path is written without '//', '.' and '..'; a directory ends in one '/'")]
    NotNormalised,
    /// A pattern.
    #[error("patterns ('*', '?') are not read: name the directory, with '/' at its end")]
    Pattern,
    /// Nothing that anybody meant.
    #[error("a path has no control characters, and {LONGEST_PATH} bytes at most")]
    Unreadable,
    /// No time at all.
    #[error("an interval is at least 1s")]
    Interval,
}

impl PayloadName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, InvalidManifest> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = |byte: Option<&u8>| byte.is_some_and(|byte| plain(*byte));
        let bytes = text.as_bytes();
        let is_name = bytes.len() <= LONGEST_NAME
            && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
            && ends(bytes.first())
            && ends(bytes.last());
        if is_name { Ok(Self(text.to_owned())) } else { Err(InvalidManifest::Name) }
    }

    /// As a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl OwnedPath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, InvalidManifest> {
        if text.chars().any(char::is_control) || text.len() > LONGEST_PATH {
            return Err(InvalidManifest::Unreadable);
        }
        let Some(inside) = text.strip_prefix('/') else { return Err(InvalidManifest::Relative) };
        if inside.is_empty() {
            return Err(InvalidManifest::Root);
        }
        if text.contains(['*', '?']) {
            return Err(InvalidManifest::Pattern);
        }
        let mut parts = inside.strip_suffix('/').unwrap_or(inside).split('/');
        match parts.any(|part| matches!(part, "" | "." | "..")) {
            true => Err(InvalidManifest::NotNormalised),
            false => Ok(Self(text.to_owned())),
        }
    }

    /// As a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a directory, with all that is below it.
    pub fn is_directory(&self) -> bool {
        self.0.ends_with('/')
    }
}

/// Checks how often a host is to be looked at.
pub fn check_interval(interval: Duration) -> Result<Duration, InvalidManifest> {
    if interval < SHORTEST_INTERVAL { Err(InvalidManifest::Interval) } else { Ok(interval) }
}

impl TryFrom<String> for PayloadName {
    type Error = InvalidManifest;

    fn try_from(text: String) -> Result<Self, InvalidManifest> {
        Self::parse(&text)
    }
}

impl TryFrom<String> for OwnedPath {
    type Error = InvalidManifest;

    fn try_from(text: String) -> Result<Self, InvalidManifest> {
        Self::parse(&text)
    }
}

impl From<PayloadName> for String {
    fn from(name: PayloadName) -> Self {
        name.0
    }
}

impl From<OwnedPath> for String {
    fn from(path: OwnedPath) -> Self {
        path.0
    }
}

impl fmt::Display for PayloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for OwnedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for good in ["a", "sysctl", "docker-daemon-config", "0", &"x".repeat(24)] {
            assert_eq!(PayloadName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "ä", "a.b", &"x".repeat(25)] {
            assert_eq!(PayloadName::parse(bad), Err(InvalidManifest::Name), "{bad}");
        }
    }

    #[test]
    fn a_path_is_written_in_one_way_alone() {
        for good in ["/etc/sysctl.d/90-careen.conf", "/etc/a/", "/a", "/etc/.hidden", "/etc/a b", "/etc/..a"]
        {
            let path = OwnedPath::parse(good).unwrap();
            assert_eq!((path.as_str(), path.is_directory()), (good, good.ends_with('/')));
        }
        for (bad, why) in [
            ("", InvalidManifest::Relative),
            ("etc/a", InvalidManifest::Relative),
            ("~/a", InvalidManifest::Relative),
            ("/", InvalidManifest::Root),
            ("//", InvalidManifest::NotNormalised),
            ("/etc//a", InvalidManifest::NotNormalised),
            ("/etc/a//", InvalidManifest::NotNormalised),
            ("/etc/./a", InvalidManifest::NotNormalised),
            ("/etc/../a", InvalidManifest::NotNormalised),
            ("/etc/..", InvalidManifest::NotNormalised),
            ("/etc/*.conf", InvalidManifest::Pattern),
            ("/etc/a\n", InvalidManifest::Unreadable),
            (&format!("/{}", "x".repeat(1024)), InvalidManifest::Unreadable),
        ] {
            assert_eq!(OwnedPath::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn paths_travel_as_json_and_are_checked_where_they_arrive() {
        let paths = [OwnedPath::parse("/etc/a/").unwrap(), OwnedPath::parse("/etc/b").unwrap()];
        let text = serde_json::to_string(&paths).unwrap();
        assert_eq!(text, r#"["/etc/a/","/etc/b"]"#);
        assert_eq!(serde_json::from_str::<Vec<OwnedPath>>(&text).unwrap(), paths);
        assert!(serde_json::from_str::<Vec<OwnedPath>>(r#"["etc"]"#).is_err());
    }
}
