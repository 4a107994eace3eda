//! What may be wrong with a host, when it matters, and the words for it.

use super::{Bites, Dropped, Removed, Somebody};
use std::fmt;

/// Which engine does not go with its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The one that is installed, and perhaps not yet running.
    Installed,
    /// The one that an upgrade would bring.
    Coming,
}

/// What is wrong with a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Problem {
    /// Root in a container is another user on the host: userns-remap, or a rootless engine.
    MappedUsers,
    /// The engine cannot be asked at all.
    NoEngine { why: String },
    /// Containers are to outlive the engine: one in a swarm does not start with that.
    LiveRestore,
    /// The engine would not start with its configuration.
    DaemonJson {
        /// Why, in dockerd's own words where it can be asked.
        why: String,
    },
    /// The service manager would not start the engine.
    EngineUnit { why: String },
    /// How the engine would be started cannot be told.
    UnclearUnit { why: String },
    /// An engine refuses one of its settings.
    Setting { dropped: Dropped, version: String, which: Engine },
    /// An engine of a later release would.
    SettingAges { dropped: Dropped },
    /// An engine does not have the driver in which the running one has its images.
    StorageDriver { driver: String, version: String, which: Engine },
    /// An engine of a later release does not have it.
    StorageDriverAges {
        driver: String,
        /// The release that dropped it.
        removed: Removed,
    },
    /// Packages that `dpkg --configure -a` does not bring into order.
    Dpkg {
        /// What dpkg says, or the packages.
        why: String,
    },
    /// The unlock key in the agent's secret is not the swarm's.
    WrongUnlockKey,
    /// The manager asks for a key after its engine was started, and nobody gave one.
    NoUnlockKey,
    /// What careen writes down is gone after a boot.
    Forgets { why: String },
    /// It may be gone: what it lies on is not known.
    MayForget {
        /// Why nobody can tell.
        why: String,
    },
    /// SELinux refuses what its policy does not allow, and nobody has tried careen there.
    Selinux,
    /// A systemd that cannot be asked from a container.
    Systemd { version: u32 },
    /// A systemd older than those that careen was tried with.
    OldSystemd { version: u32 },
    /// Somebody else is about to act on the host, or does.
    Somebody(Somebody),
}

impl Problem {
    pub(super) fn bites(&self) -> Bites {
        match self {
            Self::MappedUsers | Self::NoEngine { .. } => Bites::Always,
            Self::Dpkg { .. } | Self::Selinux | Self::Systemd { .. } => Bites::Work,
            Self::Forgets { .. } => Bites::Reboot,
            Self::LiveRestore
            | Self::DaemonJson { .. }
            | Self::EngineUnit { .. }
            | Self::Setting { .. }
            | Self::StorageDriver { .. }
            | Self::WrongUnlockKey
            | Self::NoUnlockKey => Bites::EngineStart,
            Self::UnclearUnit { .. }
            | Self::SettingAges { .. }
            | Self::StorageDriverAges { .. }
            | Self::MayForget { .. }
            | Self::OldSystemd { .. } => Bites::Later,
            Self::Somebody(somebody) => match somebody {
                Somebody::Shutdown { .. } | Somebody::Updater { .. } => Bites::Work,
                Somebody::Inhibitor { .. } | Somebody::Person { .. } => Bites::Later,
            },
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installed => "that is installed",
            Self::Coming => "that would come",
        })
    }
}

/// What is wrong, and what to do.
impl fmt::Display for Problem {
    #[expect(clippy::too_many_lines, reason = "a sentence for each problem")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MappedUsers => f.write_str(
                "root in a container is nobody on this host (the engine has userns-remap, or is rootless), and a service cannot \
                 ask for the host's own users: leave the node out, or take userns-remap out of its daemon.json",
            ),
            Self::NoEngine { why } => {
                write!(f, "the host's engine cannot be asked, so no go would be seen: {why}")
            }
            Self::LiveRestore => f.write_str(
                "live-restore is on, and an engine in a swarm does not start with it: remove it from daemon.json, or from the \
                 flags in docker.service",
            ),
            Self::DaemonJson { why } => {
                write!(f, "the engine would not start again with its configuration: {why}")
            }
            Self::EngineUnit { why } => {
                write!(
                    f,
                    "systemd would not start the engine again: docker.service and its drop-ins: {why}. See 'systemctl cat \
                     docker.service'"
                )
            }
            Self::UnclearUnit { why } => write!(
                f,
                "with which flags docker.service starts the engine cannot be told ({why}), so only its daemon.json was checked"
            ),
            Self::Setting { dropped, version, which } => {
                write!(f, "the engine {version} {which} would not start with {dropped}")
            }
            Self::SettingAges { dropped } => write!(f, "the engine is told {dropped}"),
            Self::StorageDriver { driver, version, which } => write!(
                f,
                "the engine {version} {which} has no storage driver '{driver}' any more, and would not find its images: move \
                 to overlay2 first"
            ),
            Self::StorageDriverAges { driver, removed } => write!(
                f,
                "the storage driver '{driver}' is gone from engine {removed} on: move to overlay2 before such an upgrade"
            ),
            Self::Dpkg { why } => {
                write!(f, "dpkg is left in a state that 'dpkg --configure -a' does not mend: {why}")
            }
            Self::WrongUnlockKey => f.write_str(
                "the secret 'unlock-key' is not the key of this swarm: 'docker swarm unlock-key' on a manager shows it",
            ),
            Self::NoUnlockKey => f.write_str(
                "the swarm is autolocked, and this manager would stay locked after its engine was started: give the key \
                 (--unlock-key-file), or --engine-restart never",
            ),
            Self::Forgets { why } => write!(
                f,
                "/var/lib/careen {why}: after a reboot this host would not know what was done to it. Put /var/lib/careen on a \
                 disk, or say --reboot never"
            ),
            Self::MayForget { why } => write!(
                f,
                "/var/lib/careen {why}: nobody can tell whether this host knows after a reboot what was done to it. Put /var/lib/careen on a \
                 disk of its own to be sure"
            ),
            Self::Selinux => f.write_str(
                "SELinux is enforcing on this host, and careen was never tried there: say --allow-unfit-hosts to try it (careen \
                 labels its program bin_t), on a node that you can do without; or leave the node out",
            ),
            Self::Systemd { version } => write!(
                f,
                "systemd {version} of this host cannot be asked from a container to start anything (that takes {}): leave the \
                 node out",
                super::SYSTEMD_LEAST
            ),
            Self::OldSystemd { version } => {
                write!(f, "systemd {version} of this host is older than those that careen was tried with (from 247 on)")
            }
            Self::Somebody(somebody) => match somebody {
                Somebody::Shutdown { .. } => {
                    write!(f, "{somebody}: cancel it there ('shutdown -c'), or wait until the host is up again")
                }
                Somebody::Updater { .. } => write!(f, "{somebody}: wait until that is through, then 'careen retry NODE'"),
                Somebody::Inhibitor { .. } | Somebody::Person { .. } => {
                    write!(f, "{somebody}: the host goes down all the same; --respect-inhibitors waits for that")
                }
            },
        }
    }
}
