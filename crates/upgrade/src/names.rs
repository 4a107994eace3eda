//! Which packages are what. By name: nothing in a package says that it is the engine.

/// The packages of Docker's, Debian's, Ubuntu's, SUSE's, Alpine's and Microsoft's engines, and of what they start.
const ENGINE: [&str; 22] = [
    "containerd",
    "containerd-shim-runc-v2",
    "containerd.io",
    "docker",
    "docker-buildx",
    "docker-buildx-plugin",
    "docker-ce",
    "docker-ce-cli",
    "docker-ce-rootless-extras",
    "docker-cli",
    "docker-cli-buildx",
    "docker-cli-compose",
    "docker-compose",
    "docker-compose-plugin",
    "docker-compose-v2",
    "docker-engine",
    "docker-model-plugin",
    "docker-openrc",
    "docker-scan-plugin",
    "docker.io",
    "podman-docker",
    "runc",
];

/// Families of such packages.
const ENGINE_PREFIXES: [&str; 2] = ["moby-", "docker-engine-"];

/// Packages whose upgrade makes Debian or Ubuntu ask for a reboot, besides the kernel's.
const REBOOT: [&str; 6] = ["dbus", "dbus-broker", "dbus-daemon", "glibc", "libc6", "musl"];

/// What a package is to this tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Part of the container engine.
    Engine,
    /// The way in for people.
    Ssh,
    /// What the host boots.
    Kernel,
}

impl Part {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Engine => "the container engine",
            Self::Ssh => "the ssh server",
            Self::Kernel => "the kernel",
        }
    }
}

/// A name without its architecture (`libc6:i386`).
pub fn plain(name: &str) -> &str {
    name.split_once(':').map_or(name, |(name, _)| name)
}

/// Whether a package belongs to the container engine.
pub fn is_engine(name: &str) -> bool {
    let name = plain(name);
    ENGINE.contains(&name) || ENGINE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Every name by which the engine's packages may come, for tools that understand patterns.
pub fn engine_patterns() -> impl Iterator<Item = String> {
    let families = ENGINE_PREFIXES.iter().map(|prefix| format!("{prefix}*"));
    ENGINE.iter().map(|name| (*name).to_owned()).chain(families)
}

/// What a host must not lose.
pub fn part(name: &str) -> Option<Part> {
    let name = plain(name);
    if is_engine(name) {
        return Some(Part::Engine);
    }
    if matches!(name, "openssh-server" | "openssh" | "ssh" | "dropbear") {
        return Some(Part::Ssh);
    }
    is_kernel(name).then_some(Part::Kernel)
}

/// Whether a package is a kernel, or what brings the next one.
pub fn is_kernel(name: &str) -> bool {
    const KERNELS: [&str; 8] = [
        "linux-image",
        "linux-generic",
        "linux-virtual",
        "linux-signed-image",
        "kernel-core",
        "kernel-default",
        "linux-lts",
        "linux-virt",
    ];
    let name = plain(name);
    name == "kernel" || KERNELS.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether an upgrade of this package usually makes the distribution ask for a reboot.
pub fn wants_reboot(name: &str) -> bool {
    is_kernel(name) || REBOOT.contains(&plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_must_not_lose_is_known_by_name() {
        for name in ["docker.io", "docker-ce:amd64", "containerd.io", "moby-engine", "runc"] {
            assert_eq!(part(name), Some(Part::Engine), "{name}");
        }
        assert_eq!(part("openssh-server"), Some(Part::Ssh));
        assert_eq!(part("linux-image-6.1.0-31-cloud-amd64"), Some(Part::Kernel));
        for name in ["docker-registry", "openssh-client", "linux-libc-dev", "python3-docker", "kernel-tools"]
        {
            assert_eq!(part(name), None, "{name}");
        }
    }
}
