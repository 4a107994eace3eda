//! dnf's words: `dnf check-update`, and the transaction that it shows before it asks.

use crate::change::{Change, Removal, Simulation};

/// Reads `dnf -q check-update`: `NAME.ARCH VERSION REPOSITORY` a line, and behind 'Obsoleting Packages' other things.
pub fn check_update(text: &str) -> Simulation {
    let lines = text.lines().take_while(|line| !line.starts_with("Obsoleting"));
    let change = |line: &str| {
        let [name, to, origin] = words(line)?;
        let (name, _) = name.rsplit_once('.')?;
        Some(Change { name: name.to_owned(), from: None, to: to.to_owned(), origin: origin.to_owned() })
    };
    Simulation { changes: lines.filter_map(change).collect(), ..Simulation::default() }
}

fn words(line: &str) -> Option<[&str; 3]> {
    line.split_whitespace().collect::<Vec<_>>().try_into().ok()
}

/// Reads the table of `dnf --assumeno upgrade`: sections with rows ` NAME ARCH VERSION REPOSITORY SIZE`.
pub fn transaction(text: &str) -> Simulation {
    #[derive(Clone, Copy)]
    enum Section {
        Other,
        Comes,
        Goes,
        Kept,
    }
    let mut simulation = Simulation::default();
    let mut section = Section::Other;
    // A name that is too long for its column stands on a line of its own.
    let mut wrapped = None;
    // Hints in parentheses stand between a headline and its rows.
    for line in text.lines().filter(|line| !line.starts_with('(')) {
        if !line.starts_with(' ') {
            section = match line.split_whitespace().next() {
                Some("Installing" | "Installing:" | "Upgrading:" | "Downgrading:" | "Reinstalling:") => {
                    Section::Comes
                }
                Some("Removing" | "Removing:") => Section::Goes,
                Some("Skipping") => Section::Kept,
                _ => Section::Other,
            };
            continue;
        }
        let row: Vec<&str> = wrapped.take().into_iter().chain(line.split_whitespace()).collect();
        if let [name] = row[..] {
            wrapped = Some(name);
        }
        let [name, _arch, version, repository, ..] = row[..] else { continue };
        match section {
            Section::Comes if name == "replacing" => {}
            Section::Comes => simulation.changes.push(Change {
                name: name.to_owned(),
                from: None,
                to: version.to_owned(),
                origin: repository.to_owned(),
            }),
            Section::Goes => {
                simulation.removals.push(Removal { name: name.to_owned(), version: version.to_owned() });
            }
            Section::Kept => simulation.kept_back.push(name.to_owned()),
            Section::Other => {}
        }
    }
    simulation.removals.extend(replaced(text));
    simulation
}

/// `     replacing  NAME.ARCH VERSION` below the row of what replaces it.
fn replaced(text: &str) -> impl Iterator<Item = Removal> + '_ {
    text.lines().filter_map(|line| {
        let [name, version] =
            line.trim_start().strip_prefix("replacing ")?.split_whitespace().collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let (name, _) = name.rsplit_once('.')?;
        Some(Removal { name: name.to_owned(), version: version.trim_end_matches('.').to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_read_and_obsoleted_packages_are_not() {
        let waiting = check_update(include_str!("../testdata/dnf-check-update.txt"));
        let names: Vec<_> = waiting.changes.iter().map(|one| (one.name.as_str(), one.to.as_str())).collect();
        assert_eq!(
            names,
            [
                ("containerd.io", "1.7.24-3.1.el9"),
                ("kernel", "5.14.0-503.19.1.el9_5"),
                ("python3.11", "3.11.9-7.el9_5.2")
            ]
        );
        assert_eq!(waiting.changes[0].origin, "docker-ce-stable");
        assert!(check_update("").is_empty());
    }

    #[test]
    fn a_transaction_says_what_comes_and_what_goes() {
        let simulation = transaction(include_str!("../testdata/dnf-upgrade-assumeno.txt"));
        let comes: Vec<_> = simulation.changes.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            comes,
            ["kernel-core", "openssl", "new-runtime", "a-package-with-a-very-long-name", "openssl-libs"]
        );
        let goes: Vec<_> = simulation.removals.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(goes, ["kernel-core", "runc"]);
        assert_eq!(simulation.kept_back, ["docker-ce"]);
    }
}
