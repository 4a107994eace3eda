//! What waits on a host by the lists that it has. Nothing is fetched, no lock is taken, nothing is written: a question must not
//! change its host. Who runs the programs that are named here is the agent.

use crate::change::{Change, Simulation};
use crate::manager::Manager;
use crate::report::is_security;
use crate::{apk, apt, dnf, zypper};
use careen_contract::facts::{PendingPackage, PendingPackages};

/// A program to be run, and which of its statuses are answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Words {
    pub program: &'static str,
    pub arguments: &'static [&'static str],
    pub statuses: &'static [i32],
}

/// Settings of the host's apt.conf that would change the words that are read, or write something.
const APT: &[&str] = &[
    "--simulate",
    "-o",
    "Dir::Cache::pkgcache=",
    "-o",
    "Dir::Cache::srcpkgcache=",
    "-o",
    "Debug::NoLocking=1",
    "-o",
    "APT::Get::Show-User-Simulation-Note=0",
    "-o",
    "APT::Get::Show-Versions=0",
    "-o",
    "APT::Get::AutomaticRemove=0",
    "-o",
    "APT::Color=0",
    "dist-upgrade",
];

/// What a package manager is asked.
pub const fn all(manager: Manager) -> Words {
    match manager {
        Manager::Apt => Words { program: "apt-get", arguments: APT, statuses: &[0] },
        Manager::Dnf => {
            Words { program: "dnf", arguments: &["-q", "-C", "check-update"], statuses: &[0, 100] }
        }
        Manager::Zypper => Words {
            program: "zypper",
            arguments: &["--no-refresh", "--non-interactive", "--xmlout", "list-updates"],
            statuses: &[0],
        },
        Manager::Apk => {
            Words { program: "apk", arguments: &["--no-network", "--simulate", "upgrade"], statuses: &[0] }
        }
    }
}

/// What one is asked of which the words about all updates do not tell which are for security; `None` where nothing does, or nothing need
/// be asked.
pub const fn for_security(manager: Manager) -> Option<Words> {
    match manager {
        Manager::Dnf => Some(Words {
            program: "dnf",
            arguments: &["-q", "-C", "check-update", "--security"],
            statuses: &[0, 100],
        }),
        Manager::Apt | Manager::Zypper | Manager::Apk => None,
    }
}

/// Where its lists lie; a `*` stands for every name. Without any, nothing that it says of updates means anything.
pub const fn lists(manager: Manager) -> &'static [&'static str] {
    match manager {
        Manager::Apt => &["/var/lib/apt/lists/*"],
        Manager::Dnf => &["/var/cache/dnf/*/repodata/repomd.xml", "/var/cache/libdnf5/*/repodata/repomd.xml"],
        Manager::Zypper => &["/var/cache/zypp/solv/*/solv"],
        Manager::Apk => &["/var/cache/apk/*", "/etc/apk/cache/*"],
    }
}

/// Whether a file among them is a list.
pub fn is_list(manager: Manager, name: &str) -> bool {
    match manager {
        Manager::Apt => ["_InRelease", "_Release", "_Packages"].iter().any(|end| name.contains(end)),
        Manager::Apk => name.starts_with("APKINDEX."),
        Manager::Dnf | Manager::Zypper => true,
    }
}

/// What is written whenever the lists are fetched, changed or not; the newest tells when that was last. The lists themselves do not:
/// apt gives them the time that their archive says.
pub const fn fetched(manager: Manager) -> &'static [&'static str] {
    match manager {
        Manager::Apt => &[
            "/var/lib/apt/lists/partial",
            "/var/lib/apt/lists",
            "/var/lib/apt/periodic/update-success-stamp",
            "/var/lib/apt/periodic/update-stamp",
        ],
        Manager::Zypper => &["/var/cache/zypp/raw/*/cookie", "/var/cache/zypp/solv/*/solv"],
        Manager::Dnf | Manager::Apk => lists(manager),
    }
}

/// Which of them an answer to [`all`] names.
pub fn read(manager: Manager, text: &str) -> Simulation {
    match manager {
        Manager::Apt => apt::simulation(text),
        Manager::Dnf => dnf::check_update(text),
        Manager::Zypper => zypper::list_updates(text),
        Manager::Apk => apk::simulation(text),
    }
}

/// What waits, those for security first. `security` is what [`for_security`] was answered.
pub fn pending(
    manager: Manager,
    waiting: &Simulation,
    security: Option<&Simulation>,
    lists_at: Option<u64>,
) -> PendingPackages {
    let tells = manager == Manager::Apt || security.is_some();
    let is_one = |change: &Change| match security {
        Some(named) => named.changes.iter().any(|one| one.name == change.name),
        None => tells && is_security(change),
    };
    let comes = waiting.changes.iter().map(|change| PendingPackage {
        name: change.name.clone(),
        from: change.from.clone(),
        to: Some(change.to.clone()),
        security: is_one(change),
    });
    let goes = waiting.removals.iter().map(|removal| PendingPackage {
        name: removal.name.clone(),
        from: Some(removal.version.clone()).filter(|version| !version.is_empty()),
        to: None,
        security: false,
    });
    let mut names: Vec<PendingPackage> = comes.chain(goes).collect();
    names.sort_by(|one, other| other.security.cmp(&one.security).then_with(|| one.name.cmp(&other.name)));
    let count = names.iter().filter(|one| one.security).count() as u64;
    PendingPackages {
        manager: manager.name().to_owned(),
        packages: names.len() as u64,
        security: tells.then_some(count),
        lists_at,
        names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pending: &PendingPackages) -> Vec<String> {
        let name = |one: &PendingPackage| format!("{}{}", one.name, if one.security { "!" } else { "" });
        pending.names.iter().map(name).collect()
    }

    #[test]
    fn what_apt_would_do_is_counted_with_security_first() {
        let waiting = read(Manager::Apt, include_str!("../testdata/apt-dist-upgrade.txt"));
        let pending = pending(Manager::Apt, &waiting, None, Some(7));
        assert_eq!((pending.packages, pending.security, pending.lists_at), (11, Some(10), Some(7)));
        let text = "Remv old [1.0-1]\nInst vim [1] (2 Debian:12/stable [amd64])\n\
                    Inst curl [7] (8 Debian:12/stable, Debian-Security:12/stable-security [amd64])\n";
        let pending = super::pending(Manager::Apt, &read(Manager::Apt, text), None, None);
        assert_eq!(told(&pending), ["curl!", "old", "vim"]);
        assert_eq!((pending.packages, pending.security), (3, Some(1)));
        assert_eq!((&pending.names[1].from, &pending.names[1].to), (&Some("1.0-1".into()), &None));
    }

    #[test]
    fn dnf_is_asked_twice_and_who_does_not_tell_what_is_for_security_is_not_guessed_at() {
        let waiting = read(Manager::Dnf, include_str!("../testdata/dnf-check-update.txt"));
        let security = dnf::check_update("kernel.x86_64  5.14.0-503.19.1.el9_5  baseos\n");
        let of_dnf = pending(Manager::Dnf, &waiting, Some(&security), None);
        assert_eq!((told(&of_dnf)[0].as_str(), of_dnf.security), ("kernel!", Some(1)));
        assert_eq!(pending(Manager::Dnf, &waiting, None, None).security, None);
        let zypper = read(Manager::Zypper, include_str!("../testdata/zypper-list-updates.xml"));
        let of_zypper = pending(Manager::Zypper, &zypper, None, None);
        assert_eq!((of_zypper.packages, of_zypper.security), (2, None));
        let apk = read(Manager::Apk, include_str!("../testdata/apk-upgrade-simulate.txt"));
        assert_eq!(pending(Manager::Apk, &apk, None, None).packages, 4, "one of them goes");
    }

    #[test]
    fn nothing_is_fetched() {
        for manager in [Manager::Apt, Manager::Dnf, Manager::Zypper, Manager::Apk] {
            for words in [Some(all(manager)), for_security(manager)].into_iter().flatten() {
                let offline = ["--simulate", "-C", "--no-refresh", "--no-network"];
                assert!(words.arguments.iter().any(|word| offline.contains(word)), "{words:?}");
                assert!(!words.arguments.contains(&"update"), "{words:?}");
            }
        }
        let lists = [
            ("mirror.example_debian_dists_bookworm_InRelease", true),
            ("mirror.example_debian_dists_bookworm_main_binary-amd64_Packages.lz4", true),
            ("lock", false),
            ("partial", false),
        ];
        lists.iter().for_each(|(name, is)| assert_eq!(is_list(Manager::Apt, name), *is, "{name}"));
        assert!(is_list(Manager::Apk, "APKINDEX.1f2e.tar.gz") && !is_list(Manager::Apk, "musl-1.apk"));
    }
}
