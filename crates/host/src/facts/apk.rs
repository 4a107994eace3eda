//! The packages of Alpine, from apk's own database.
//!
//! The file is read rather than `apk info -v`, because it is exact: there name and version are fields of their own,
//! while the command joins them with a hyphen that both may contain; it says which packages are broken; and reading it
//! starts no program, waits for no lock and prints no warnings about indexes among its lines.

use super::packages::{Broken, PackageManager, Parsed};

/// Reads `/lib/apk/db/installed`: entries of one-letter fields, with an empty line behind each.
pub fn parse_installed(database: &str) -> Parsed {
    let mut parsed = Parsed::new(PackageManager::Apk);
    let mut entry = Entry::default();
    for line in database.lines().chain([""]) {
        entry.has_lines |= !line.is_empty();
        match line.split_once(':') {
            Some(("P", name)) => entry.name = Some(name),
            Some(("V", version)) => entry.version = Some(version),
            Some(("f", flags)) => entry.flags = flags,
            // What else there is describes the package and lists its files.
            Some(_) => {}
            None if line.is_empty() => std::mem::take(&mut entry).close(&mut parsed),
            None => {}
        }
    }
    parsed
}

#[derive(Default)]
struct Entry<'a> {
    name: Option<&'a str>,
    version: Option<&'a str>,
    flags: &'a str,
    has_lines: bool,
}

impl Entry<'_> {
    fn close(self, parsed: &mut Parsed) {
        let is_word = |word: &&str| !word.is_empty() && !word.contains(' ');
        match (self.name.filter(is_word), self.version.filter(is_word)) {
            (Some(name), Some(version)) => match broken(self.flags) {
                None => parsed.packages.install(name.to_owned(), version),
                Some(state) => {
                    let broken = Broken { version: version.to_owned(), state: state.to_owned() };
                    parsed.packages.broken.insert(name.to_owned(), broken);
                }
            },
            (None, None) if !self.has_lines => {}
            (_, _) => parsed.not_understood += 1,
        }
    }
}

/// The flags that 'apk fix' looks for. Others (how checksums are written) say nothing about the package's health.
fn broken(flags: &str) -> Option<&'static str> {
    let states = [('f', "broken-files"), ('s', "broken-script"), ('x', "broken-xattr")];
    states.into_iter().find(|(flag, _)| flags.contains(*flag)).map(|(_, state)| state)
}

#[cfg(test)]
mod tests {
    use super::super::tests::recorded;
    use super::*;

    #[test]
    fn a_recorded_database_is_read_in_full() {
        let parsed = parse_installed(recorded(include_str!("../../fixtures/facts/apk-installed.txt")));
        assert_eq!(parsed.not_understood, 0);
        let installed = parsed.packages.installed;
        assert_eq!(installed.len(), 4);
        assert_eq!(installed["alpine-baselayout-data"], "3.4.3-r1");
        assert_eq!(installed["musl"], "1.2.4-r1");
    }

    #[test]
    fn broken_packages_stand_apart_and_other_flags_do_not_matter() {
        let database = "P:a\nV:1\nf:s\n\nP:b\nV:1\nf:S\n\nP:c\nV:1\nf:fx\nF:usr\nR:f\n";
        let packages = parse_installed(database).packages;
        assert_eq!(packages.installed.keys().collect::<Vec<_>>(), ["b"]);
        let broken: Vec<_> =
            packages.broken.iter().map(|(name, broken)| (name.as_str(), broken.state.as_str())).collect();
        assert_eq!(broken, [("a", "broken-script"), ("c", "broken-files")]);
    }

    #[test]
    fn entries_of_another_form_are_counted() {
        let parsed =
            parse_installed("P:good\nV:1\n\n\n\nP:no-version\n\nV:1\n\nT:text\n\nnonsense\n\nP:\nV:\n");
        assert_eq!((parsed.packages.installed.len(), parsed.not_understood), (1, 5));
        assert_eq!(parse_installed("").not_understood, 0);
    }
}
