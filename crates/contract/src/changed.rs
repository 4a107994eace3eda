//! What changed on a host, as the record of its result tells it: the lines for people, and what can be read out of them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What the line begins with that tells with which versions a host ended.
const ENDS: &str = "ends with: ";

/// What a list of packages begins with that is not whole.
const AND: &str = "  and ";

/// What is between the version before and the one after.
const ARROW: &str = " → ";

/// What runs on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Versions {
    pub kernel: Option<String>,
    /// dockerd.
    pub engine: Option<String>,
    pub containerd: Option<String>,
    pub runc: Option<String>,
}

impl Versions {
    /// Each with its name.
    pub fn named(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("kernel", self.kernel.as_deref()),
            ("engine", self.engine.as_deref()),
            ("containerd", self.containerd.as_deref()),
            ("runc", self.runc.as_deref()),
        ]
    }

    /// As a line of a record; `None` where nothing is known.
    pub fn line(&self) -> Option<String> {
        let is_word = |version: &&str| !version.contains([' ', ',']) && !version.contains(char::is_control);
        let known = self.named().into_iter().filter_map(|(name, version)| Some((name, version?)));
        let words: Vec<String> = known
            .filter(|(_, version)| is_word(version))
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        (!words.is_empty()).then(|| format!("{ENDS}{}", words.join(", ")))
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut versions = Self::default();
        for word in line.strip_prefix(ENDS)?.split(", ") {
            let (name, version) = word.split_once(' ')?;
            let place = match name {
                "kernel" => &mut versions.kernel,
                "engine" => &mut versions.engine,
                "containerd" => &mut versions.containerd,
                "runc" => &mut versions.runc,
                // What a newer careen tells beside them.
                _ => continue,
            };
            *place = Some(version.to_owned());
        }
        Some(versions)
    }
}

/// What became of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PackageChange<'a> {
    Changed { name: &'a str, from: &'a str, to: &'a str },
    Added { name: &'a str, version: &'a str },
    Removed { name: &'a str, version: &'a str },
}

impl fmt::Display for PackageChange<'_> {
    /// A line of a record, without the blanks in front.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { name, from, to } => write!(f, "{name} {from}{ARROW}{to}"),
            Self::Added { name, version } => write!(f, "+ {name} {version}"),
            Self::Removed { name, version } => write!(f, "- {name} {version}"),
        }
    }
}

impl<'a> PackageChange<'a> {
    fn of_line(line: &'a str) -> Option<Self> {
        let line = line.strip_prefix("  ")?;
        if let Some((name, version)) = line.strip_prefix("+ ").and_then(|rest| rest.split_once(' ')) {
            return Some(Self::Added { name, version });
        }
        if let Some((name, version)) = line.strip_prefix("- ").and_then(|rest| rest.split_once(' ')) {
            return Some(Self::Removed { name, version });
        }
        let (name, versions) = line.split_once(' ')?;
        let (from, to) = versions.split_once(ARROW)?;
        Some(Self::Changed { name, from, to })
    }
}

/// How many of these lines are indented and fit into so many characters, and a last one that says how many more there are.
pub fn indented_within(lines: &[String], room: usize) -> Vec<String> {
    // As much as the longest last line takes.
    let mut room = room.saturating_sub(AND.len() + " more".len() + 20);
    let fits = |line: &&String| {
        let length = line.chars().count() + 3;
        let is_room = length <= room;
        room = room.saturating_sub(length);
        is_room
    };
    let mut shown: Vec<String> = lines.iter().take_while(fits).map(|line| format!("  {line}")).collect();
    shown.extend(and_more(lines.len() - shown.len()));
    shown
}

/// The line that says how many more there are.
pub fn and_more(count: usize) -> Option<String> {
    (count > 0).then(|| format!("{AND}{count} more"))
}

/// A record of so many characters at most: whole lines, for half a version would be another one, and a last line that says that it
/// was cut.
pub fn cut(record: &str, most: usize) -> String {
    let more = format!("{AND}more");
    if record.chars().count() <= most {
        return record.to_owned();
    }
    let mut room = most.saturating_sub(more.len());
    let fits = |line: &&str| {
        let length = line.chars().count() + 1;
        let is_room = length <= room;
        room = room.saturating_sub(length);
        is_room
    };
    record.lines().take_while(fits).chain([more.as_str()]).collect::<Vec<_>>().join("\n")
}

/// The record with a line for these versions at its end.
pub fn with_versions(record: Option<String>, versions: Option<&Versions>) -> Option<String> {
    let lines: Vec<String> = record.into_iter().chain(versions.and_then(Versions::line)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The record without that line.
pub fn without_versions(record: &str) -> &str {
    let (before, last) = record.rsplit_once('\n').unwrap_or(("", record));
    if Versions::of_line(last).is_some() { before } else { record }
}

/// How a host ended, as far as its record tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct EndsWith {
    pub versions: Versions,
    /// Packages that changed, with the version that they ended with; `None`: removed.
    pub packages: BTreeMap<String, Option<String>>,
    /// Whether these are all that changed.
    pub is_whole: bool,
}

impl EndsWith {
    /// Out of a record. One that an older careen wrote tells of nothing but what changed.
    pub fn of(record: &str) -> Self {
        let mut ends = Self { is_whole: true, ..Self::default() };
        for line in record.lines() {
            if let Some(versions) = Versions::of_line(line) {
                ends.versions = versions;
            }
            ends.is_whole &= !line.starts_with(AND);
            match PackageChange::of_line(line) {
                Some(
                    PackageChange::Changed { name, to: version, .. } | PackageChange::Added { name, version },
                ) => {
                    ends.packages.insert(name.to_owned(), Some(version.to_owned()));
                }
                // One of several versions may go when another one comes.
                Some(PackageChange::Removed { name, .. }) => {
                    ends.packages.entry(name.to_owned()).or_default();
                }
                None => {}
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions() -> Versions {
        let version = |text: &str| Some(text.to_owned());
        Versions { kernel: version("6.1.0-9-amd64"), engine: version("28.5.2"), ..Versions::default() }
    }

    #[test]
    fn a_record_tells_what_was_written_into_it() {
        let changes = [
            PackageChange::Changed { name: "bash", from: "5.1 5.2", to: "5.3" },
            PackageChange::Added { name: "kernel", version: "2" },
            PackageChange::Added { name: "new:i386", version: "1" },
            PackageChange::Removed { name: "kernel", version: "1" },
            PackageChange::Removed { name: "old", version: "1" },
        ];
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let text = format!("packages: 1 changed\n{}", indented_within(&lines, 1000).join("\n"));
        let record = with_versions(Some(text.clone()), Some(&versions())).unwrap();
        let version = |text: &str| Some(text.to_owned());
        let packages =
            [("bash", version("5.3")), ("kernel", version("2")), ("new:i386", version("1")), ("old", None)];
        let packages = packages.map(|(name, version)| (name.to_owned(), version)).into();
        assert_eq!(EndsWith::of(&record), EndsWith { versions: versions(), packages, is_whole: true });
        assert_eq!(without_versions(&record), text);
        assert_eq!(without_versions(&text), text);
    }

    #[test]
    fn a_record_of_versions_alone_says_nothing_to_people_and_none_of_nothing() {
        let record = with_versions(None, Some(&versions())).unwrap();
        assert_eq!(record, "ends with: kernel 6.1.0-9-amd64, engine 28.5.2");
        assert_eq!(without_versions(&record), "");
        assert_eq!(with_versions(None, Some(&Versions::default())), None);
        let odd = Versions { engine: Some("1, kernel 2".into()), ..Versions::default() };
        assert_eq!(odd.line(), None, "it would be read as something else");
    }

    #[test]
    fn a_list_that_is_cut_says_so() {
        let lines: Vec<String> = (0..9).map(|number| format!("p{number} 1 → 2")).collect();
        let shown = indented_within(&lines, 70);
        assert_eq!(shown.last().unwrap(), "  and 6 more");
        let length: usize = shown.iter().map(|line| line.chars().count() + 1).sum();
        assert!(length <= 70, "{length}");
        assert!(!EndsWith::of(&shown.join("\n")).is_whole);
        assert!(EndsWith::of(&indented_within(&lines, 200).join("\n")).is_whole);
        assert_eq!(indented_within(&lines, 0), ["  and 9 more"]);
    }

    #[test]
    fn a_record_is_cut_between_two_lines_and_says_so() {
        let record = "careen: the host was rebooted\npackages: 2 changed\n  a 1 → 20\n  b 1 → 2";
        assert_eq!(cut(record, 100), record);
        for most in 0..record.chars().count() {
            let cut = cut(record, most);
            let ends = EndsWith::of(&cut);
            assert!(!ends.is_whole && cut.chars().count() <= most.max(10), "{most}: {cut}");
            assert!(ends.packages.values().flatten().all(|version| version == "20"), "{cut}");
        }
    }

    #[test]
    fn other_lines_of_a_record_are_no_versions() {
        let record = "kernel: 1 → 2\npackages: 1 changed, 1 broken\n  ! vim 2 is half-configured: not completely \
                      installed\n  vi is whole again, or gone\ncontainer web (nginx) ran and does not\nends with: \
                      nothing";
        assert_eq!(EndsWith::of(record), EndsWith { is_whole: true, ..EndsWith::default() });
        let newer = EndsWith::of("ends with: kernel 2, podman 5").versions;
        assert_eq!(newer, Versions { kernel: Some("2".into()), ..Versions::default() });
    }
}
