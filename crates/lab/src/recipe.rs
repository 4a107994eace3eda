//! What goes into the root file systems of the nodes. Data; [`crate::tree`] makes trees of it.

use crate::apt::Mirror;
use crate::testrepo::{self, sha256};

/// What must differ between hosts, and what a node does not need.
pub const FORGET: &str = "rm -rf etc/ssh/ssh_host_* var/lib/apt/lists/* var/cache/apt/*.bin \
                      var/cache/apt/archives/*.deb var/log/*.log var/log/apt etc/hostname etc/resolv.conf";

/// A file that the lab adds: path, text, mode.
pub type Added = (&'static str, &'static str, u32);

/// What one root file system is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The repository of the image that is made of it.
    pub repository: &'static str,
    /// What debootstrap installs on top of its minbase, by commas.
    pub packages: String,
    /// Units that must not run.
    pub masked: &'static [&'static str],
    /// The files that the lab adds.
    pub files: &'static [Added],
    /// Where a unit is wanted from: (target, unit).
    pub enabled: &'static [(&'static str, &'static str)],
    /// A shell script for what is left to do; it runs in the tree's directory, outside of it.
    pub finish: &'static str,
    /// True for a node, which has apt sources and the test packages; false for a tool of the lab.
    pub is_node: bool,
}

/// A host with systemd.
const SYSTEMD: &str =
    "systemd,systemd-sysv,dbus,docker.io,iproute2,iptables,ca-certificates,procps,openssh-server";

/// The release's own kernel: the security suite, which debootstrap does not see, often has a newer one to upgrade to.
const KERNEL: &str = "linux-image-cloud-amd64,initramfs-tools,zstd,apparmor";

fn systemd_packages(release: &str) -> String {
    with_client(SYSTEMD, release)
}

/// Since Debian 13 docker.io only recommends its client, and debootstrap follows no recommendations.
fn with_client(packages: &str, release: &str) -> String {
    match release {
        "bullseye" | "bookworm" => packages.to_owned(),
        _ => format!("{packages},docker-cli"),
    }
}

/// Masked in the nodes: units that would change the machine's kernel, which all nodes share (sysctl, modules),
/// that have no device to work on, or that take the dpkg lock whenever they like (the apt timers).
const MASKED_IN_CONTAINERS: [&str; 17] = [
    "systemd-sysctl.service",
    "systemd-modules-load.service",
    "systemd-remount-fs.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "getty.target",
    "console-getty.service",
    "e2scrub_reap.service",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dev-hugepages.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
];

/// Masked in the virtual machines: what takes the dpkg lock whenever it likes, and what only slows down the boot.
const MASKED_IN_MACHINES: [&str; 6] = [
    "getty.target",
    "e2scrub_reap.service",
    "e2scrub_all.timer",
    "fstrim.timer",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
];

/// The files that a host with systemd gets.
const FILES: [Added; 5] = [
    ("usr/lib/careen-lab/api-proxy.pl", include_str!("../assets/api-proxy.pl"), 0o644),
    ("usr/lib/careen-lab/dpkg-lock.pl", include_str!("../assets/dpkg-lock.pl"), 0o644),
    ("etc/systemd/system/careen-lab-api.socket", include_str!("../assets/careen-lab-api.socket"), 0o644),
    ("etc/systemd/system/careen-lab-api.service", include_str!("../assets/careen-lab-api.service"), 0o644),
    (
        "etc/systemd/system/careen-lab-hostkeys.service",
        include_str!("../assets/careen-lab-hostkeys.service"),
        0o644,
    ),
];

/// Where a unit is wanted from: (target, unit).
const ENABLED: [(&str, &str); 2] =
    [("sockets.target", "careen-lab-api.socket"), ("ssh.service", "careen-lab-hostkeys.service")];

const SYSVINIT: &str = "sysvinit-core,sysv-rc,initscripts,insserv,startpar,dbus,docker.io,iproute2,iptables,\
                        ca-certificates,procps,openssh-server";

const SYSVINIT_FILES: [Added; 6] = [
    FILES[0],
    FILES[1],
    ("usr/lib/careen-lab/api-listen.pl", include_str!("../assets/api-listen.pl"), 0o644),
    ("etc/inittab", include_str!("../assets/inittab"), 0o644),
    // The engine's init script fails where it may not raise a limit, and the machine may not let it.
    (
        "lib/lsb/init-functions.d/90-careen-lab",
        "ulimit() { command ulimit \"$@\" 2>/dev/null || :; }\n",
        0o644,
    ),
    // The boot script has mounted them; with this line the engine's init script leaves them alone.
    ("etc/fstab", "cgroup /sys/fs/cgroup cgroup noauto 0 0\n", 0o644),
];

/// In a container there are no disks to check and mount, no clock to set, and no kernel of one's own to configure.
/// `reboot` must leave the network alone: the engine takes it away, and brings it back.
const SYSVINIT_FINISH: &str = "
for script in brightness checkfs.sh checkroot-bootclean.sh checkroot.sh hwclock.sh mount-configfs mountall-bootclean.sh \
	mountall.sh mountdevsubfs.sh mountkernfs.sh mountnfs-bootclean.sh mountnfs.sh procps umountfs umountnfs.sh umountroot \
	urandom; do
	rm -f etc/rc[0-9S].d/[SK][0-9][0-9]$script
done
echo NETDOWN=no >>etc/default/halt
";

/// A tree as Debian's kernel packages leave it, with what a boot loader would do left to the lab.
///
/// An initrd with just what this disk needs: it is built at each kernel upgrade, by an emulated processor, and with
/// all of Debian's drivers that takes minutes.
const MACHINE_FINISH: &str = "
echo '/dev/vda / ext4 errors=remount-ro 0 1' >etc/fstab
mkdir -p etc/systemd/system/careen-lab-api.socket.d etc/systemd/system/multi-user.target.wants
ln -sf /lib/systemd/system/systemd-networkd.service etc/systemd/system/multi-user.target.wants/
mkdir -p -m 0700 root/.ssh
echo 'MaxSessions 100' >etc/ssh/sshd_config.d/careen-lab.conf
printf 'MODULES=list\\nCOMPRESSLEVEL=1\\n' >etc/initramfs-tools/conf.d/careen-lab
printf '%s\\n' virtio_pci virtio_blk ext4 crc32c_generic crc32c_intel >>etc/initramfs-tools/modules
chroot . update-initramfs -u -k all
";

impl Recipe {
    /// A host with systemd, in a container.
    pub fn systemd(release: &str) -> Recipe {
        Recipe {
            repository: "careen-lab/node",
            packages: systemd_packages(release),
            masked: &MASKED_IN_CONTAINERS,
            files: &FILES,
            enabled: &ENABLED,
            finish: "",
            is_node: true,
        }
    }

    /// A host without systemd, in a container.
    pub fn sysvinit(release: &str) -> Recipe {
        Recipe {
            repository: "careen-lab/node-sysvinit",
            packages: with_client(SYSVINIT, release),
            masked: &[],
            files: &SYSVINIT_FILES,
            enabled: &[],
            finish: SYSVINIT_FINISH,
            is_node: true,
        }
    }

    /// The root file system of a virtual machine.
    pub fn machine(release: &str) -> Recipe {
        Recipe {
            repository: "careen-lab/vm",
            packages: format!("{},{KERNEL}", systemd_packages(release)),
            masked: &MASKED_IN_MACHINES,
            files: &FILES,
            enabled: &ENABLED,
            finish: MACHINE_FINISH,
            is_node: true,
        }
    }

    /// What runs a virtual machine: the emulator, and the tools to look into its disk and to log in.
    pub fn emulator() -> Recipe {
        Recipe {
            repository: "careen-lab/emulator",
            packages: "qemu-system-x86,e2fsprogs,iproute2,openssh-client".to_owned(),
            masked: &[],
            files: &[],
            enabled: &[],
            finish: "rm -rf usr/share/doc usr/share/locale",
            is_node: false,
        }
    }

    /// A hash of everything that goes into the tree: a changed recipe is another one.
    pub fn fingerprint(&self, release: &str, mirror: &Mirror) -> String {
        let Recipe { packages, masked, files, enabled, finish, .. } = self;
        let recipe = format!(
            "{release} {mirror:?} {packages} {FORGET} {masked:?} {files:?} {enabled:?} {} {}{finish}",
            testrepo::SOURCE,
            testrepo::fingerprint()
        );
        sha256(recipe.as_bytes())[..12].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(archive: &str) -> Mirror {
        Mirror { archive: archive.to_owned(), security: None, configuration: String::new(), http_proxy: None }
    }

    fn all() -> [Recipe; 4] {
        let release = "bookworm";
        [Recipe::systemd(release), Recipe::sysvinit(release), Recipe::machine(release), Recipe::emulator()]
    }

    #[test]
    fn the_fingerprint_follows_the_recipe() {
        let of = |recipe: &Recipe, archive: &str| recipe.fingerprint("bookworm", &mirror(archive));
        let systemd = Recipe::systemd("bookworm");
        let one = of(&systemd, "http://a.example/debian");
        assert_eq!(one, of(&systemd, "http://a.example/debian"));
        assert_ne!(one, of(&systemd, "http://b.example/debian"));
        let more = Recipe { finish: "true", ..systemd };
        assert_ne!(one, of(&more, "http://a.example/debian"));
    }

    #[test]
    fn each_recipe_has_a_repository_of_its_own() {
        // An image of one recipe must never be taken for an outdated one of another.
        let mut names: Vec<_> = all().iter().map(|recipe| recipe.repository).collect();
        names.dedup();
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn a_host_without_systemd_has_none() {
        let recipe = Recipe::sysvinit("trixie");
        assert!(recipe.packages.split(',').all(|package| !package.starts_with("systemd")));
        assert!(recipe.packages.ends_with(",docker-cli"));
    }

    #[test]
    fn finishing_scripts_are_shell_scripts() {
        for recipe in all() {
            let status = std::process::Command::new("sh").args(["-n", "-c", recipe.finish]).status().unwrap();
            assert!(status.success(), "{}", recipe.repository);
        }
    }
}
