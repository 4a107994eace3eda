//! Which privileges a node container can be given here.
//!
//! `--privileged` asks for every capability and fails where the bounding set is smaller. Then the node gets all
//! capabilities but those that are missing, and the rest of what `--privileged` means one by one.

use std::path::Path;

use careen_host::capability::NAMES;

use crate::error::{Error, Result};

/// What a node container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privileges {
    /// `--privileged` works.
    Full,
    /// Everything but these capabilities.
    Without(Vec<&'static str>),
}

/// Looks at this process and this kernel.
pub fn of_this_machine() -> Result<Privileges> {
    let read = |path: &str| {
        std::fs::read_to_string(path).map_err(|source| Error::File {
            action: "read",
            path: Path::new(path).to_path_buf(),
            source,
        })
    };
    let status = read("/proc/self/status")?;
    let last = read("/proc/sys/kernel/cap_last_cap")?;
    privileges(&status, &last).ok_or_else(|| {
        Error::Refused("failed to find CapBnd in /proc/self/status: is this Linux with /proc mounted?".into())
    })
}

fn privileges(status: &str, last_capability: &str) -> Option<Privileges> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    let bounding = u64::from_str_radix(line.trim(), 16).ok()?;
    let last: usize = last_capability.trim().parse().ok()?;
    let missing: Vec<_> = NAMES
        .iter()
        .enumerate()
        .filter(|(bit, _)| *bit <= last && bounding & (1 << bit) == 0)
        .map(|(_, name)| *name)
        .collect();
    Some(if missing.is_empty() { Privileges::Full } else { Privileges::Without(missing) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let of = |bounding: &str, last: &str| privileges(&format!("Name:\tx\nCapBnd:\t{bounding}\n"), last);
        assert_eq!(of("000001ffffffffff", "40"), Some(Privileges::Full));
        assert_eq!(of("000001fffeffffff", "40"), Some(Privileges::Without(vec!["SYS_RESOURCE"])));
        assert_eq!(of("000001fffffeffff", "40\n"), Some(Privileges::Without(vec!["SYS_MODULE"])));
        // An older kernel knows fewer capabilities; those it does not know are not missing.
        assert_eq!(of("0000003fffffffff", "37"), Some(Privileges::Full));
        assert_eq!(of("rubbish", "40"), None);
        assert_eq!(privileges("", "40"), None);
    }
}
