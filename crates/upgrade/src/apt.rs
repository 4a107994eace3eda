//! apt's words: its simulation, its sizes, and the pins that keep packages where they are.

use crate::change::{Change, Removal, Simulation};
use crate::dpkg::{Package, State};
use crate::engine::Engine;
use crate::names;
use crate::options::Options;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Reads the output of `apt-get -s`. Lines that are none of ours are for people.
pub fn simulation(text: &str) -> Simulation {
    let mut simulation = Simulation::default();
    let mut keeps_back = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Inst ") {
            simulation.changes.extend(change(rest));
        } else if let Some(rest) = line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg ")) {
            simulation.removals.extend(removal(rest));
        }
        match line.strip_prefix("  ") {
            Some(names) if keeps_back => {
                simulation.kept_back.extend(names.split_whitespace().map(str::to_owned));
            }
            _ => keeps_back = begins_what_is_kept_back(line),
        }
    }
    simulation
}

/// Holds, pins and missing dependencies; Ubuntu's phases; and the words of apt since 3.0.
fn begins_what_is_kept_back(line: &str) -> bool {
    line.starts_with("The following packages have been kept back")
        || line.starts_with("The following upgrades have been deferred due to phasing")
        || line.starts_with("Not upgrading")
}

/// `NAME [OLD] (NEW ORIGIN, ORIGIN [ARCH]) [what is broken meanwhile]`; a new package has no old version.
fn change(rest: &str) -> Option<Change> {
    let (name, rest) = rest.split_once(' ')?;
    let (old, rest) = rest.split_once('(')?;
    let from = old.trim().strip_prefix('[').and_then(|old| old.strip_suffix(']'));
    let (inside, _) = rest.split_once(')')?;
    let (to, origin) = inside.split_once(' ').unwrap_or((inside, ""));
    let origin = origin.rsplit_once(" [").map_or(origin, |(origin, _)| origin);
    Some(Change {
        name: name.to_owned(),
        from: from.map(str::to_owned),
        to: to.to_owned(),
        origin: origin.to_owned(),
    })
}

/// Which of the packages that go are replaced by one that comes, from `apt-cache show` of those that come: a package takes the
/// place of what it provides, and of what it both replaces and conflicts with or breaks.
pub fn replaced(records: &str, removals: &[Removal]) -> BTreeSet<String> {
    let names = |text: &str| -> BTreeSet<String> {
        let name = |one: &str| one.trim().split([' ', ':', '(']).next().unwrap_or_default().to_owned();
        text.split([',', '|']).map(name).collect()
    };
    let mut replaced = BTreeSet::new();
    for record in records.split("\n\n") {
        let field = |name: &str| {
            let line = record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(names).unwrap_or_default()
        };
        let against: BTreeSet<String> = field("Conflicts").union(&field("Breaks")).cloned().collect();
        let takes: BTreeSet<String> = field("Replaces").intersection(&against).cloned().collect();
        replaced.extend(takes.union(&field("Provides")).cloned());
    }
    let goes: BTreeSet<&str> = removals.iter().map(|removal| names::plain(&removal.name)).collect();
    replaced.retain(|name| goes.contains(name.as_str()));
    replaced
}

/// What is to be done about a repository that apt refuses; nothing where apt's own words are all that is known.
pub fn advice(said: &str) -> Option<&'static str> {
    // What apt prints, in its own order of how sure it is.
    const KNOWN: [(&str, &str); 7] = [
        (
            "changed its '",
            "A repository calls itself something else than before: find out at its own pages whether that is right, then type \
             'apt-get update --allow-releaseinfo-change' on the host, and 'careen retry NODE'",
        ),
        ("EXPKEYSIG", EXPIRED_KEY),
        ("KEYEXPIRED", EXPIRED_KEY),
        (
            "NO_PUBKEY",
            "The host does not have a repository's key: get it from the repository's own pages, then 'careen retry NODE'",
        ),
        (
            "is expired (invalid since",
            "A repository's lists are older than they may be: look whether its mirror is still updated, and whether the host's \
             clock is right",
        ),
        ("is not valid yet", "A repository's lists are of the future: the host's clock is wrong"),
        (
            "does not have a Release file",
            "A repository is not where the host's sources say: it may have been archived, or the release is over",
        ),
    ];
    KNOWN.iter().find(|(words, _)| said.contains(words)).map(|(_, advice)| *advice)
}

const EXPIRED_KEY: &str = "A repository's key has expired: get its new one from the repository's own pages, then 'careen retry NODE'";

/// `NAME [VERSION]`.
fn removal(rest: &str) -> Option<Removal> {
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let version =
        rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("", |(version, _)| version);
    (!name.is_empty()).then(|| Removal { name: name.to_owned(), version: version.to_owned() })
}

/// What an upgrade weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Bytes to download.
    pub download: u64,
    /// Bytes more on the disk afterwards; 0 where it becomes less.
    pub grows: u64,
}

/// Reads what apt says before it asks: `Need to get 8416 kB/9000 kB of archives.` and `After this operation, 47.1 kB of
/// additional disk space will be used.`; apt since 3.0 says `Download size: 8416 kB / 9000 kB` and `Space needed: 1 MB / 9 GB
/// available`.
pub fn sizes(text: &str) -> Sizes {
    let mut sizes = Sizes::default();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("Need to get ").or_else(|| line.strip_prefix("Download size: "))
        {
            sizes.download = bytes(rest).unwrap_or(0);
        }
        let grows = line.strip_prefix("After this operation, ").filter(|rest| rest.contains("will be used"));
        if let Some(rest) = grows.or_else(|| line.strip_prefix("Space needed: ")) {
            sizes.grows = bytes(rest).unwrap_or(0);
        }
    }
    sizes
}

/// `8416 kB/9000 kB`: apt counts in thousands.
fn bytes(text: &str) -> Option<u64> {
    let (number, rest) = text.split_once(' ')?;
    let number: f64 = number.replace(',', "").parse().ok()?;
    let unit: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    let factor = match unit.as_str() {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    Some((number * factor) as u64)
}

/// A preferences file that keeps the engine where it is, and everything that is no security update. It lies in a
/// directory of our own, which apt is pointed to for our calls alone.
pub fn preferences(installed: &[Package], options: &Options, engine: &Engine) -> String {
    let mut text = String::new();
    if !options.engine {
        for name in names::engine_patterns() {
            // What is not installed must not come as something that others need.
            let _ = write!(text, "Package: {name}\nPin: version *\nPin-Priority: -1\n\n");
        }
    }
    let of_it = installed.iter().filter(|one| one.state != State::Absent && engine.has(&one.name));
    let pins: String = of_it
        .filter(|_| !options.engine)
        .map(|one| {
            format!(
                "Package: {}\nPin: version {}\nPin-Priority: 1001\n\n",
                names::plain(&one.name),
                one.version
            )
        })
        .collect();
    // Of the pins for one package the first that fits counts.
    let mut all = pins + &text;
    if options.security_only {
        all.push_str(SECURITY_ONLY);
    }
    all
}

/// Debian's security archive by its label, Ubuntu's by its suite. Below 100 a version is taken only for a package that
/// is not installed: a dependency of a security update may come from anywhere.
const SECURITY_ONLY: &str = "\
Package: *
Pin: release l=Debian-Security
Pin-Priority: 500

Package: *
Pin: release a=*-security
Pin-Priority: 500

Package: *
Pin: release a=now
Pin-Priority: 100

Package: *
Pin: release *
Pin-Priority: 50
";

/// What apt is asked to do.
pub fn verb(options: &Options) -> Vec<String> {
    if options.packages.is_empty() {
        return vec!["dist-upgrade".to_owned()];
    }
    // Without --only-upgrade it would count them as asked for by a person, and never remove them again by itself.
    let words = ["install", "--only-upgrade"].map(str::to_owned);
    words.into_iter().chain(options.packages.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_simulation_is_read() {
        let simulation = simulation(include_str!("../testdata/apt-dist-upgrade.txt"));
        assert_eq!(simulation.changes.len(), 11);
        let first = Change {
            name: "perl-base".into(),
            from: Some("5.36.0-7+deb12u3".into()),
            to: "5.36.0-7+deb12u4".into(),
            origin: "Debian-Security:12/oldstable-security".into(),
        };
        assert_eq!(simulation.changes[0], first);
        assert!(simulation.removals.is_empty() && simulation.kept_back.is_empty());
    }

    #[test]
    fn new_and_removed_packages_and_those_kept_back_are_read() {
        let text = "The following packages have been kept back:\n  docker.io vim\n  vim-common\n\
                    The following packages will be REMOVED:\n  old\n\
                    Remv old [1.0-1] [needs-old:amd64 ]\n\
                    Inst linux-image-6.1.0-31-amd64 (6.1.128-1 Debian:12.9/stable, Debian-Security:12/stable-security [amd64])\n\
                    Inst libc6:i386 [2.36-9] (2.36-10 Debian:12/stable [i386]) [libc-bin:amd64 on libc6:amd64] []\n\
                    Inst local [1] (2 [all])\n";
        let simulation = simulation(text);
        assert_eq!(simulation.kept_back, ["docker.io", "vim", "vim-common"]);
        assert_eq!(simulation.removals, [Removal { name: "old".into(), version: "1.0-1".into() }]);
        let seen: Vec<_> = simulation
            .changes
            .iter()
            .map(|one| (one.name.as_str(), one.from.is_some(), one.to.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("linux-image-6.1.0-31-amd64", false, "6.1.128-1"),
                ("libc6:i386", true, "2.36-10"),
                ("local", true, "2")
            ]
        );
        assert_eq!(simulation.changes[0].origin, "Debian:12.9/stable, Debian-Security:12/stable-security");
    }

    #[test]
    fn what_takes_a_packages_place_says_so_itself() {
        let records = "Package: libfoo1t64\nProvides: libfoo1 (= 2), libfoo-abi\nReplaces: libfoo1\nBreaks: libfoo1 (<< 2)\n\n\
                       Package: new-tool\nReplaces: old-tool, files-of\nConflicts: old-tool\n\n\
                       Package: mover\nReplaces: files-of (<< 3)\n";
        let removals = ["libfoo1:amd64", "old-tool", "files-of", "keepalived"];
        let removals = removals.map(|name| Removal { name: name.into(), version: "1".into() });
        let replaced: Vec<String> = replaced(records, &removals).into_iter().collect();
        assert_eq!(replaced, ["libfoo1", "old-tool"], "some of its files moved: that is no replacement");
    }

    #[test]
    fn what_apt_refuses_comes_with_what_to_do() {
        let label = "E: Repository 'http://x bookworm InRelease' changed its 'Label' value from 'A' to 'B'\n";
        assert!(advice(label).unwrap().contains("--allow-releaseinfo-change"));
        let key = "W: GPG error: http://x InRelease: The following signatures were invalid: EXPKEYSIG 7638D0442B90D010\n";
        assert!(advice(key).unwrap().contains("key has expired"));
        assert_eq!(advice("E: Could not get lock\n"), None);
    }

    #[test]
    fn sizes_are_read_in_the_words_of_old_and_new_apt() {
        let old = "Need to get 8416 kB/9000 kB of archives.\nAfter this operation, 1,047 kB of additional disk space will be used.\n";
        assert_eq!(sizes(old), Sizes { download: 8_416_000, grows: 1_047_000 });
        let less = "Need to get 0 B of archives.\nAfter this operation, 12.3 MB disk space will be freed.\n";
        assert_eq!(sizes(less), Sizes::default());
        let new = "Summary:\n  Upgrading: 1\n  Download size: 1.5 MB / 2 MB\n  Space needed: 2 GB / 9 GB available\n";
        assert_eq!(sizes(new), Sizes { download: 1_500_000, grows: 2_000_000_000 });
    }

    #[test]
    fn the_engine_stays_where_it_is_without_its_flag() {
        let installed =
            crate::dpkg::packages("install installed ok 20.10 docker.io\ninstall installed ok 9 vim\n");
        let text = preferences(&installed, &Options::default(), &Engine::default());
        let pin = text.find("Package: docker.io\nPin: version 20.10\nPin-Priority: 1001\n").unwrap();
        let never = text.find("Package: docker.io\nPin: version *\nPin-Priority: -1\n").unwrap();
        assert!(pin < never && !text.contains("Package: vim"));
        let engine = Options { engine: true, ..Options::default() };
        assert_eq!(preferences(&installed, &engine, &Engine::default()), "");
        let how = crate::touches::How::Has("/usr/bin/dockerd".into());
        let vims = Engine::new([("vim".to_owned(), how)].into());
        assert!(
            preferences(&installed, &Options::default(), &vims).contains("Package: vim\nPin: version 9\n")
        );
    }
}
