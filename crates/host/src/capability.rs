//! Linux capability sets, from the kernel's bit masks to the names that engines take.

/// Capability names by bit number (linux/capability.h, 5.9 and later), without the `CAP_` prefix.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities as one bit mask of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// Reads one set (`CapBnd`, `CapEff`, …) out of the text of a `/proc/<pid>/status`.
    pub fn from_status(status: &str, which: &str) -> Option<Self> {
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Self)
    }

    /// The names that an engine's `CapAdd` takes. Bits that this table has no name for are left out.
    pub fn names(self) -> Vec<String> {
        let known = NAMES.iter().enumerate();
        known.filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| format!("CAP_{name}")).collect()
    }

    /// Whether the capability of this name (without `CAP_`) is in the set.
    pub fn has(self, name: &str) -> bool {
        NAMES.iter().position(|known| *known == name).is_some_and(|bit| self.0 & (1 << bit) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounding_set_without_sys_resource_is_named_exactly() {
        let status = "Name:\tsystemd\nCapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n";
        let set = CapabilitySet::from_status(status, "CapBnd").unwrap();
        assert_eq!(set.names().len(), 40);
        assert!(!set.has("SYS_RESOURCE"));
        assert!(set.has("SYS_ADMIN") && set.has("CHECKPOINT_RESTORE") && set.has("CHOWN"));
    }

    #[test]
    fn a_status_without_the_set_is_not_an_empty_set() {
        assert_eq!(CapabilitySet::from_status("Name:\tx\n", "CapBnd"), None);
        assert_eq!(CapabilitySet::from_status("CapBnd:\tzz\n", "CapBnd"), None);
    }
}
