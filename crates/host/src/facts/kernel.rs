//! Which installed kernel is the newest.
//!
//! A kernel's name is a version and a flavour (`6.1.0-10-cloud-amd64`, `6.6.20+rpt-rpi-v8`), or a version, a release
//! and an architecture (`5.14.0-427.13.1.el9_4.x86_64`). No package manager's order is right for both: dpkg's takes
//! `427.el9` for newer than `427.13.1.el9`, and rpm's finds a newest one among flavours, of which the host boots only
//! one. So versions are compared as rpm does, but two different words are two flavours, of which neither is newer; and
//! among several flavours only that which runs is looked at.

use std::cmp::Ordering;

/// How the files of kernels begin in /boot, from one architecture and distribution to the other.
const IMAGES: [&str; 4] = ["vmlinuz-", "vmlinux-", "Image-", "kernel-"];

/// What is left behind by package managers and administrators, and is not booted.
const LEFTOVERS: [&str; 8] =
    [".old", ".bak", ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".rpmnew", ".rpmsave", ".rpmorig"];

/// The newest installed kernel, from the names in /boot and, where these tell no version (Alpine's `vmlinuz-lts`) or
/// /boot is not mounted, those in /lib/modules. Kernels of the flavour of the running one are preferred.
pub fn newest_installed<'a>(
    boot: impl Iterator<Item = &'a str>,
    modules: impl Iterator<Item = &'a str>,
    running: &str,
) -> Option<String> {
    let images = boot.filter_map(|name| IMAGES.iter().find_map(|prefix| name.strip_prefix(prefix)));
    let mut kernels: Vec<&str> = images.filter(|name| is_kernel(name)).collect();
    if kernels.is_empty() {
        kernels = modules.filter(|name| is_kernel(name)).collect();
    }
    if kernels.iter().any(|name| flavour(name) == flavour(running)) {
        kernels.retain(|name| flavour(name) == flavour(running));
    }
    // What a directory lists first must not decide between two that are equally new.
    kernels.sort_unstable();
    let newest = kernels.into_iter().reduce(|best, other| if is_newer(other, best) { other } else { best });
    newest.map(str::to_owned)
}

/// Whether one kernel is newer than another. Of two that differ in their flavour only, neither is.
pub fn is_newer(one: &str, other: &str) -> bool {
    compare(one, other) == Ordering::Greater
}

fn is_kernel(name: &str) -> bool {
    let is_rescue = name.starts_with("0-rescue");
    let is_leftover = LEFTOVERS.iter().any(|suffix| name.ends_with(suffix));
    name.starts_with(|first: char| first.is_ascii_digit()) && !is_rescue && !is_leftover
}

/// What follows the version: everything from the first part that begins with a letter.
fn flavour(name: &str) -> &str {
    let mut at = 0;
    for part in name.split_inclusive('-') {
        if part.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return &name[at..];
        }
        at += part.len();
    }
    ""
}

fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (Pieces(one), Pieces(other));
    loop {
        let (left, right) = (one.next(), other.next());
        let order = match (left, right) {
            (None, None) => return Ordering::Equal,
            (Some(Piece::Number(left)), Some(Piece::Number(right))) => compare_numbers(left, right),
            (left, right) if left == right => Ordering::Equal,
            (left, right) if rank(left) != rank(right) => rank(left).cmp(&rank(right)),
            // Two words, or a word and nothing: two flavours.
            (_, _) => return Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// A candidate is older than what it is a candidate for; one more number makes a version newer, a word does not.
fn rank(piece: Option<Piece<'_>>) -> u8 {
    match piece {
        Some(Piece::Candidate) => 0,
        None | Some(Piece::Word(_)) => 1,
        Some(Piece::Number(_)) => 2,
    }
}

/// Numbers of any length: there are dates and hashes among them.
fn compare_numbers(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Number(&'a str),
    Word(&'a str),
    Candidate,
}

/// The digits and the words of a name; what stands between them only parts them.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let between = |character: char| !character.is_ascii_alphanumeric() && character != '~';
        let rest = self.0.trim_start_matches(between);
        let first = rest.chars().next()?;
        let belongs = |character: char| {
            character.is_ascii_alphanumeric()
                && first != '~'
                && character.is_ascii_digit() == first.is_ascii_digit()
        };
        let end = rest.find(|character| !belongs(character)).unwrap_or(rest.len());
        let (piece, rest) = rest.split_at(if first == '~' { 1 } else { end });
        self.0 = rest;
        Some(match piece {
            "~" | "rc" => Piece::Candidate,
            _ if first.is_ascii_digit() => Piece::Number(piece),
            _ => Piece::Word(piece),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_their_distributions_mean_them() {
        let ascending = [
            ("6.1.0-9-amd64", "6.1.0-10-amd64"),
            ("6.1.0-18-cloud-amd64", "6.1.0-21-cloud-amd64"),
            ("5.10.0-28-amd64", "6.1.0-9-amd64"),
            ("6.1.0-0.deb11.9-amd64", "6.1.0-0.deb11.21-amd64"),
            ("6.12~rc6-amd64", "6.12-amd64"),
            ("6.2.0-060200rc1-generic", "6.2.0-060200-generic"),
            ("6.2.0-rc1", "6.2.0"),
            ("6.2.0-rc1", "6.2.0-rc2"),
            ("5.15.0-99-generic", "5.15.0-105-generic"),
            ("5.14.0-427.el9.x86_64", "5.14.0-427.13.1.el9_4.x86_64"),
            ("5.14.0-70.13.1.el9_0.x86_64", "5.14.0-503.15.1.el9_5.x86_64"),
            ("5.14.0-427.13.1.el9.x86_64", "5.14.0-427.13.1.el9_4.x86_64"),
            ("6.8.5-201.fc39.x86_64", "6.8.5-301.fc40.x86_64"),
            ("5.14.21-150500.55.7-default", "5.14.21-150500.55.52-default"),
            ("6.6.31-0-lts", "6.6.40-0-lts"),
            ("6.9.1-arch1-1", "6.9.1-arch1-2"),
            ("6.1", "6.1.1"),
            ("6.1.0-99999999999999999999999-x", "6.1.0-100000000000000000000000-x"),
        ];
        for (older, newer) in ascending {
            assert!(is_newer(newer, older), "{newer} > {older}");
            assert!(!is_newer(older, newer), "{older} < {newer}");
        }
    }

    #[test]
    fn of_two_flavours_neither_is_newer() {
        let equal = [
            ("6.1.0-10-amd64", "6.1.0-10-amd64"),
            ("6.1.0-10-amd64", "6.1.0-10-rt-amd64"),
            ("6.1.0-10-cloud-amd64", "6.1.0-10-amd64"),
            ("6.1.0-10-686", "6.1.0-10-686-pae"),
            ("5.14.0-427.el9.x86_64", "5.14.0-427.el9.x86_64+debug"),
            ("6.01.0", "6.1.00"),
            ("", ""),
            ("é", "ü"),
        ];
        for (one, other) in equal {
            assert!(!is_newer(one, other) && !is_newer(other, one), "{one} = {other}");
        }
    }

    fn newest(boot: &[&str], modules: &[&str], running: &str) -> Option<String> {
        newest_installed(boot.iter().copied(), modules.iter().copied(), running)
    }

    #[test]
    fn the_newest_is_found_among_what_lies_in_boot() {
        let debian = ["config-6.1.0-10-amd64", "vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-10-amd64", "grub"];
        assert_eq!(newest(&debian, &[], "6.1.0-9-amd64").as_deref(), Some("6.1.0-10-amd64"));
        let rocky = [
            "vmlinuz-0-rescue-1d2b1f8c5a1e4f0e8a1e0a4c9c2f7d11",
            "vmlinuz-5.14.0-427.el9.x86_64",
            "vmlinuz-5.14.0-427.13.1.el9_4.x86_64",
            ".vmlinuz-5.14.0-503.el9.x86_64.hmac",
        ];
        let expected = Some("5.14.0-427.13.1.el9_4.x86_64");
        assert_eq!(newest(&rocky, &[], "5.14.0-427.el9.x86_64").as_deref(), expected);
    }

    #[test]
    fn leftovers_are_not_kernels() {
        let names = ["vmlinuz-6.1.0", "vmlinuz-6.2.0.old", "vmlinuz-6.3.0.dpkg-new", "vmlinuz", "vmlinuz-"];
        assert_eq!(newest(&names, &[], "6.1.0").as_deref(), Some("6.1.0"));
        assert_eq!(newest(&["vmlinuz-0-rescue-9f"], &[], "6.1.0"), None);
    }

    #[test]
    fn modules_count_where_boot_tells_no_version() {
        let alpine = newest(&["vmlinuz-lts", "config-lts"], &["6.6.40-0-lts"], "6.6.31-0-lts");
        assert_eq!(alpine.as_deref(), Some("6.6.40-0-lts"));
        assert_eq!(newest(&[], &["extramodules", "6.9.1-arch1-2"], "x").as_deref(), Some("6.9.1-arch1-2"));
        assert_eq!(newest(&[], &[], "6.18.44"), None);
    }

    #[test]
    fn only_the_flavour_that_runs_counts_where_it_is_installed() {
        let raspberry = ["vmlinuz-6.6.20+rpt-rpi-v8", "vmlinuz-6.6.20+rpt-rpi-2712"];
        let expected = Some("6.6.20+rpt-rpi-v8");
        assert_eq!(newest(&raspberry, &[], "6.6.20+rpt-rpi-v8").as_deref(), expected);
        let switched = newest(&["vmlinuz-6.1.0-21-amd64"], &[], "6.1.0-18-cloud-amd64");
        assert_eq!(switched.as_deref(), Some("6.1.0-21-amd64"));
    }
}
