//! The unlock key of an autolocked swarm. It is never printed.

use std::fmt;

/// The unlock key, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// As it was given.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// For comparing, and for storing.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}
