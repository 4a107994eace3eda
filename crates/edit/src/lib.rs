//! What careen-agent's helpers for payloads decide: what the words of a call mean, what a merged JSON file is, what a change
//! looks like. No file is touched here; careen-agent does that.
//!
//! - [`words`]: the options of `careen-agent file` and `careen-agent json-merge`.
//! - [`owner`]: users and groups by name, from the text of /etc/passwd and /etc/group.
//! - [`json`]: the merge patch of RFC 7386, which leaves as written what it does not change.
//! - [`diff`]: what a person is shown of a change.

pub mod diff;
pub mod json;
pub mod owner;
pub mod words;

/// How large a file may be that a helper reads or writes, in bytes. A configuration file is never that large; a path that was
/// meant otherwise may be.
pub const LARGEST: u64 = 16 * 1024 * 1024;
