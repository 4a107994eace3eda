//! Which packages are what, by name. What a package brings says more, and is asked of the installed ones: [`crate::touches`].

/// The packages of an engine, and of what it starts, that no family below takes in. Each vendor's own pages name them:
/// - Docker, and what its pages tell to remove first: `docker`, `docker-client`, `docker-common`, `docker-logrotate`,
///   `docker-selinux`, `docker-io`, `lxc-docker`, and the plugins;
/// - Debian and Ubuntu: `docker.io`, `docker-cli`, `docker-compose`, `docker-compose-v2`, `docker-buildx`, `containerd`, `runc`;
/// - SUSE: `docker` with its completions, which want the very version of it, `docker-libnetwork`, `docker-runc`,
///   `docker-containerd`, `containerd-ctr`;
/// - Alpine: `docker-openrc`, `docker-cli-buildx`, `docker-rootless-extras`, `containerd-openrc` and others;
/// - Fedora: `docker-compose-switch`, `containerd`, `runc`, and the family `moby-`.
///
/// Not in it: `podman-docker`, which is podman under docker's name; `cri-dockerd`, which only talks to it; `tini`, `catatonit`
/// and `crun`, which others start too, and which an engine starts anew with each container.
const ENGINE: [&str; 37] = [
    "containerd",
    "containerd-ctr",
    "containerd-openrc",
    "containerd-shim-runc-v2",
    "containerd.io",
    "docker",
    "docker-bash-completion",
    "docker-buildx",
    "docker-buildx-plugin",
    "docker-buildx-plugin-ee",
    "docker-cli",
    "docker-cli-buildx",
    "docker-cli-compose",
    "docker-client",
    "docker-client-latest",
    "docker-common",
    "docker-compose",
    "docker-compose-plugin",
    "docker-compose-plugin-ee",
    "docker-compose-switch",
    "docker-compose-v2",
    "docker-containerd",
    "docker-fish-completion",
    "docker-io",
    "docker-libnetwork",
    "docker-logrotate",
    "docker-model-plugin",
    "docker-openrc",
    "docker-rootless-extras",
    "docker-runc",
    "docker-scan-plugin",
    "docker-selinux",
    "docker-zsh-completion",
    "docker.io",
    "lxc-docker",
    "lxc-docker-virtual-package",
    "runc",
];

/// Families of such packages: Docker's community and enterprise (now Mirantis') engines, Docker's older one, SUSE's and Red Hat's
/// other branches, and Microsoft's and Fedora's builds.
const ENGINE_PREFIXES: [&str; 6] =
    ["docker-ce", "docker-ee", "docker-engine", "docker-stable", "docker-latest", "moby-"];

/// Packages that have the engine itself, so that their version is its own.
const DAEMONS: [&str; 9] = [
    "docker",
    "docker-ce",
    "docker-ee",
    "docker-engine",
    "docker-latest",
    "docker-stable",
    "docker.io",
    "lxc-docker",
    "moby-engine",
];

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

/// Whether a package has the engine itself.
pub fn has_the_daemon(name: &str) -> bool {
    DAEMONS.contains(&plain(name))
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

    /// As each vendor's own pages tell to install them.
    #[test]
    fn what_each_vendor_installs_is_its_engine() {
        for (vendor, names) in [
            (
                "Docker",
                "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin docker-ce-rootless-extras \
                 docker-scan-plugin docker-model-plugin",
            ),
            (
                "Docker before 2017",
                "docker-engine docker-engine-selinux lxc-docker docker-selinux docker-common",
            ),
            (
                "Debian, Ubuntu",
                "docker.io docker-cli docker-compose docker-compose-v2 docker-buildx containerd runc",
            ),
            (
                "Mirantis",
                "docker-ee docker-ee-cli docker-ee-rootless-extras containerd.io docker-compose-plugin-ee",
            ),
            (
                "SUSE",
                "docker docker-stable docker-stable-buildx docker-stable-rootless-extras docker-stable-zsh-completion \
                 docker-bash-completion docker-buildx docker-libnetwork docker-runc containerd containerd-ctr runc",
            ),
            (
                "Red Hat",
                "docker docker-client docker-latest docker-client-latest docker-latest-logrotate docker-logrotate",
            ),
            (
                "Fedora",
                "moby-engine moby-engine-rootless docker-cli docker-buildx docker-compose containerd runc",
            ),
            (
                "Microsoft",
                "moby-engine moby-cli moby-containerd moby-runc moby-tini moby-buildx moby-compose",
            ),
            (
                "Alpine",
                "docker docker-cli docker-engine docker-openrc docker-cli-buildx docker-cli-compose docker-rootless-extras \
                 containerd containerd-openrc runc",
            ),
        ] {
            for name in names.split_whitespace() {
                assert!(is_engine(name) && part(name) == Some(Part::Engine), "{vendor}: {name}");
            }
        }
    }

    #[test]
    fn what_a_host_must_not_lose_is_known_by_name() {
        for name in ["docker.io", "docker-ce:amd64", "containerd.io", "moby-engine", "runc"] {
            assert_eq!(part(name), Some(Part::Engine), "{name}");
        }
        assert_eq!(part("openssh-server"), Some(Part::Ssh));
        assert_eq!(part("linux-image-6.1.0-31-cloud-amd64"), Some(Part::Kernel));
        for name in [
            "podman-docker",
            "cri-dockerd",
            "docker-registry",
            "docker-doc",
            "golang-github-docker-devel",
            "tini",
            "openssh-client",
            "linux-libc-dev",
            "python3-docker",
            "kernel-tools",
        ] {
            assert_eq!(part(name), None, "{name}");
        }
    }
}
