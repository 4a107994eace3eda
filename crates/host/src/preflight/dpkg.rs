//! Whether dpkg was left in the middle of something, and whether it comes out of it by itself.

use crate::facts::{self, Parsed};

/// So many packages are named.
const NAMED: usize = 5;

/// How the packages of a host are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Dpkg {
    /// In order, or there is no dpkg.
    Well,
    /// In the middle of something that `dpkg --configure -a` brings to its end; the `upgrade` payload begins with that.
    Mendable,
    /// Not to be mended that way.
    Broken { why: String },
}

/// From the list of packages (`dpkg-query -W -f`, [`facts::DPKG_FORMAT`]) and what a rehearsal of
/// `dpkg --configure -a` said if it failed; `None` when it went through.
///
/// What is half installed, or marked for reinstallation, cannot be configured at all. Whether a maintainer script that
/// failed once fails again, nobody knows before it runs: that is not a reason to refuse.
pub fn dpkg_state(list: &str, rehearsal: impl FnOnce() -> Option<String>) -> Dpkg {
    let Parsed { packages, .. } = facts::parse_dpkg(list);
    let lost = |state: &str| matches!(state, "half-installed" | "reinst-required");
    let reinstall: Vec<String> = packages
        .broken
        .iter()
        .filter(|(_, broken)| lost(&broken.state))
        .map(|(name, broken)| format!("{name} is {}", broken.state))
        .collect();
    if !reinstall.is_empty() {
        let more = reinstall.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = reinstall.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        return Dpkg::Broken { why: format!("{named}{more}; 'apt-get install --reinstall' them") };
    }
    match packages.broken.is_empty() {
        true => Dpkg::Well,
        false => rehearsal().map_or(Dpkg::Mendable, |why| Dpkg::Broken { why }),
    }
}
