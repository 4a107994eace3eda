//! Hosts with SELinux. careen's program lies in /var/lib/careen; systemd may start what is labelled as a program (`bin_t`), and
//! nothing with the label that files get there by themselves (`var_lib_t`).

/// How SELinux is on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selinux {
    /// Not there, or it only writes down what it would refuse.
    Lenient,
    /// It refuses what its policy does not allow.
    Enforcing {
        /// The context of the agent.
        agent: String,
    },
}

impl Selinux {
    /// From `/sys/fs/selinux/enforce` of the host, if there is such a file, and `/proc/self/attr/current`.
    pub fn of(enforce: Option<&str>, context: &str) -> Self {
        let agent = context.trim_end_matches(['\0', '\n']).to_owned();
        match enforce.map(str::trim) {
            Some("1") => Self::Enforcing { agent },
            Some(_) | None => Self::Lenient,
        }
    }
}

/// Whether a context is that of an ordinary container, which may touch nothing of its host: an engine with `selinux-enabled`
/// gives it to those that do not ask for more.
pub fn is_confined(context: &str) -> bool {
    let kind = context.split(':').nth(2).unwrap_or_default();
    matches!(kind, "container_t" | "svirt_lxc_net_t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_enforcing_host_is_strict() {
        let context = "system_u:system_r:spc_t:s0\0";
        assert_eq!(Selinux::of(None, context), Selinux::Lenient);
        assert_eq!(Selinux::of(Some("0"), context), Selinux::Lenient);
        let agent = "system_u:system_r:spc_t:s0".to_owned();
        assert_eq!(Selinux::of(Some("1\n"), context), Selinux::Enforcing { agent });
    }

    #[test]
    fn an_ordinary_containers_context_is_told_apart() {
        assert!(is_confined("system_u:system_r:container_t:s0:c1,c2"));
        assert!(is_confined("system_u:system_r:svirt_lxc_net_t:s0:c1,c2"));
        for free in [
            "system_u:system_r:spc_t:s0",
            "unconfined_u:unconfined_r:unconfined_t:s0",
            "docker-default (enforce)",
            "",
        ] {
            assert!(!is_confined(free), "{free}");
        }
    }
}
