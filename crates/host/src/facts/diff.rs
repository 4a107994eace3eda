//! What changed on a host between two looks at its facts.
//!
//! What is unknown in one of both is not compared, and named: a package manager that could not be asked after an
//! upgrade must not read as 'all packages were removed'.

use super::engine::EngineVersions;
use super::packages::{Broken, Packages};
use super::{Facts, PlainContainer, kernel};
use careen_contract::changed::{PackageChange, Versions, and_more, indented_within};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many packages the text for people names.
const SHOWN: usize = 20;

/// The difference of two [`Facts`] of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FactsDiff {
    /// The distribution's release.
    pub os: Option<Change>,
    /// The kernel that runs.
    pub kernel: Option<Change>,
    /// A kernel that was installed meanwhile, is newer than the one that runs, and waits for a reboot.
    pub kernel_waiting: Option<String>,
    /// Whether the host booted in between.
    pub booted: bool,
    /// The engine's programs.
    pub engine: Vec<EngineChange>,
    /// Containers that ran before and do not run now.
    pub stopped_containers: Vec<PlainContainer>,
    /// Packages that changed their version.
    pub changed: BTreeMap<String, Change>,
    /// Packages, or further versions of one, that were added.
    pub added: BTreeMap<String, String>,
    /// Packages, or one of several versions, that were removed.
    pub removed: BTreeMap<String, String>,
    /// Packages that were whole or absent before and are half installed now.
    pub broken: BTreeMap<String, Broken>,
    /// Packages that were half installed before and are whole, or gone, now.
    pub mended: BTreeSet<String>,
    /// What is unknown before or after.
    pub not_compared: Vec<String>,
    /// What runs afterwards.
    pub ends_with: Versions,
}

/// From one value to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Change {
    pub from: String,
    pub to: String,
}

/// A change of one of the engine's programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct EngineChange {
    pub program: EngineProgram,
    /// Where it was seen.
    pub seen: Seen,
    /// Its version before; `None` when there was none.
    pub from: Option<String>,
    /// Its version now; `None` when there is none.
    pub to: Option<String>,
}

/// One of the programs that make up an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum EngineProgram {
    /// dockerd.
    Engine,
    Containerd,
    Runc,
}

/// Where a program was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Seen {
    Running,
    /// It lies on the disk.
    Installed,
}

impl FactsDiff {
    /// Compares the facts before with those after.
    pub fn between(before: &Facts, after: &Facts) -> Self {
        let mut diff = Self { ends_with: after.versions(), ..Self::default() };
        if let (Some(from), Some(to)) = (&before.os, &after.os) {
            diff.os = (from != to).then(|| Change::new(&from.pretty_name, &to.pretty_name));
        }
        diff.compare_kernels(before, after);
        diff.compare_engines(before, after);
        match (&before.packages, &after.packages) {
            (Some(before), Some(after)) if before.manager == after.manager => {
                diff.compare_packages(before, after);
            }
            (None, None) => {}
            (_, _) => diff.not_compared.push("packages".into()),
        }
        match (&before.containers, &after.containers) {
            (Some(before), Some(after)) => diff.compare_containers(before, after),
            (Some(before), None) if before.iter().any(|container| container.running) => {
                diff.not_compared.push("containers".into());
            }
            (_, _) => {}
        }
        diff
    }

    /// Whether nothing that is known changed. Another boot alone is a change.
    pub fn is_empty(&self) -> bool {
        let (not_compared, ends_with) = (self.not_compared.clone(), self.ends_with.clone());
        *self == Self { not_compared, ends_with, ..Self::default() }
    }

    fn compare_kernels(&mut self, before: &Facts, after: &Facts) {
        if let (Some(from), Some(to)) = (&before.kernel.running, &after.kernel.running) {
            self.kernel = (from != to).then(|| Change::new(from, to));
        }
        let waiting = after.kernel.newest_installed.as_ref().filter(|newest| {
            let is_newer = |running: &String| kernel::is_newer(newest, running);
            after.kernel.running.as_ref().is_some_and(is_newer)
                && before.kernel.newest_installed.as_ref() != Some(newest)
        });
        self.kernel_waiting = waiting.cloned();
        let boots = (&before.boot_id, &after.boot_id);
        self.booted = matches!(boots, (Some(before), Some(after)) if before != after);
    }

    fn compare_engines(&mut self, before: &Facts, after: &Facts) {
        let places = [
            (Seen::Running, &before.engine.running, &after.engine.running),
            (Seen::Installed, &before.engine.installed, &after.engine.installed),
        ];
        for (seen, before, after) in places {
            for ((program, from), (_, to)) in programs(before).into_iter().zip(programs(after)) {
                if from != to {
                    let (from, to) = (from.clone(), to.clone());
                    self.engine.push(EngineChange { program, seen, from, to });
                }
            }
        }
    }

    fn compare_packages(&mut self, before: &Packages, after: &Packages) {
        let (old, new) = (before.on_disk(), after.on_disk());
        let none = BTreeSet::new();
        let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for name in names {
            self.compare_versions(name, old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        }
        let newly = after.broken.iter().filter(|(name, _)| !before.broken.contains_key(*name));
        self.broken = newly.map(|(name, broken)| (name.clone(), broken.clone())).collect();
        let mended = before.broken.keys().filter(|name| !after.broken.contains_key(*name));
        self.mended = mended.cloned().collect();
    }

    fn compare_versions(&mut self, name: &str, old: &BTreeSet<&str>, new: &BTreeSet<&str>) {
        let words = |versions: &[&str]| versions.join(" ");
        let gone: Vec<&str> = old.difference(new).copied().collect();
        let came: Vec<&str> = new.difference(old).copied().collect();
        let stayed = old.intersection(new).next().is_some();
        if !stayed && !gone.is_empty() && !came.is_empty() {
            self.changed.insert(name.into(), Change::new(&words(&gone), &words(&came)));
            return;
        }
        // Beside a version that stayed (kernels), the others come and go on their own.
        if !gone.is_empty() {
            self.removed.insert(name.into(), words(&gone));
        }
        if !came.is_empty() {
            self.added.insert(name.into(), words(&came));
        }
    }

    fn compare_containers(&mut self, before: &[PlainContainer], after: &[PlainContainer]) {
        let runs = |name: &str| after.iter().any(|container| container.running && container.name == name);
        let stopped = before.iter().filter(|container| container.running && !runs(&container.name));
        self.stopped_containers = stopped.cloned().collect();
    }

    /// What matters in one line: `12 packages, docker 26.1.5 → 28.5.2, rebooted`. Nothing when none of that changed.
    pub fn in_short(&self) -> Option<String> {
        let names: BTreeSet<&String> = self.changed.keys().chain(self.added.keys()).collect();
        let names = names.into_iter().chain(self.removed.keys()).collect::<BTreeSet<_>>();
        let packages = match names.len() {
            0 => None,
            1 => Some("1 package".to_owned()),
            many => Some(format!("{many} packages")),
        };
        let is_engine = |one: &&EngineChange| one.program == EngineProgram::Engine;
        let runs = |one: &&EngineChange| one.seen == Seen::Running;
        let engines = || self.engine.iter().filter(is_engine);
        let engine = engines().find(runs).or_else(|| engines().next()).map(|one| {
            let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".to_owned());
            let waits = if runs(&one) { "" } else { " (installed, and not running yet)" };
            format!("docker {} → {}{waits}", version(&one.from), version(&one.to))
        });
        let broken = (!self.broken.is_empty()).then(|| format!("{} half installed", self.broken.len()));
        let rebooted = self.booted.then(|| "rebooted".to_owned());
        let waits = self.kernel_waiting.is_some().then(|| "a kernel waits for a reboot".to_owned());
        let all: Vec<String> = [packages, broken, engine, rebooted, waits].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join(", ").replace(char::is_control, "\u{fffd}"))
    }

    /// One line for each package, those that need somebody first.
    fn package_lines(&self) -> Vec<String> {
        let broken = self.broken.iter().map(|(name, broken)| {
            format!("! {name} {} is {}: not completely installed", broken.version, broken.state)
        });
        let mended = self.mended.iter().map(|name| format!("{name} is whole again, or gone"));
        let changed =
            self.changed.iter().map(|(name, Change { from, to })| PackageChange::Changed { name, from, to });
        let added = self.added.iter().map(|(name, version)| PackageChange::Added { name, version });
        let removed = self.removed.iter().map(|(name, version)| PackageChange::Removed { name, version });
        let versions = changed.chain(added).chain(removed).map(|change| change.to_string());
        broken.chain(mended).chain(versions).collect()
    }

    /// The lines about the engine. An installed program that changed as the running one did is not told twice.
    fn engine_lines(&self) -> Vec<String> {
        let told = |change: &EngineChange| {
            change.seen == Seen::Installed
                && self.engine.iter().any(|other| {
                    other.seen == Seen::Running && other.program == change.program && other.to == change.to
                })
        };
        self.engine.iter().filter(|change| !told(change)).map(ToString::to_string).collect()
    }

    fn head_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.os.as_ref().map(|change| format!("system: {change}")));
        lines.extend(self.kernel.as_ref().map(|change| format!("kernel: {change}")));
        if self.booted && self.kernel.is_none() {
            lines.push("the host booted, with the same kernel".into());
        }
        let waiting = self.kernel_waiting.as_ref();
        lines.extend(waiting.map(|kernel| format!("kernel: {kernel} is installed and waits for a reboot")));
        lines.extend(self.engine_lines());
        let stopped = self.stopped_containers.iter();
        lines
            .extend(stopped.map(|gone| format!("container {} ({}) ran and does not", gone.name, gone.image)));
        lines
    }
}

impl Change {
    fn new(from: &str, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned() }
    }
}

fn programs(versions: &EngineVersions) -> [(EngineProgram, &Option<String>); 3] {
    [
        (EngineProgram::Engine, &versions.engine),
        (EngineProgram::Containerd, &versions.containerd),
        (EngineProgram::Runc, &versions.runc),
    ]
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            // Releases of a distribution may differ in their number only.
            return write!(f, "{}, another release", self.to);
        }
        write!(f, "{} → {}", self.from, self.to)
    }
}

impl fmt::Display for EngineChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.seen {
            Seen::Running => "",
            Seen::Installed => " on the disk",
        };
        let program = match self.program {
            EngineProgram::Engine => "engine",
            EngineProgram::Containerd => "containerd",
            EngineProgram::Runc => "runc",
        };
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".into());
        write!(f, "{program}{place}: {} → {}", version(&self.from), version(&self.to))
    }
}

impl FactsDiff {
    /// The same as the text for people, with as many packages as there is room for in so many characters.
    pub fn within(&self, room: usize) -> String {
        let head = self.lines(|_| Vec::new()).join("\n").chars().count();
        self.lines(|packages| indented_within(packages, room.saturating_sub(head + 1))).join("\n")
    }

    /// All lines, with as many of those of packages as is chosen. Control characters, which hosts' tools may print, are taken out.
    fn lines(&self, choose: impl FnOnce(&[String]) -> Vec<String>) -> Vec<String> {
        let mut lines = self.head_lines();
        let packages = self.package_lines();
        if !packages.is_empty() {
            let counts = [("changed", self.changed.len()), ("added", self.added.len())];
            let counts = counts.into_iter().chain([("removed", self.removed.len())]);
            let counts = counts.chain([("broken", self.broken.len()), ("mended", self.mended.len())]);
            let counts: Vec<_> = counts
                .filter(|(_, count)| *count > 0)
                .map(|(word, count)| format!("{count} {word}"))
                .collect();
            lines.push(format!("packages: {}", counts.join(", ")));
        }
        lines.extend(choose(&packages));
        if lines.is_empty() {
            lines.push("nothing changed".into());
        }
        if !self.not_compared.is_empty() {
            lines.push(format!(
                "not known before or after, so not compared: {}",
                self.not_compared.join(", ")
            ));
        }
        lines.iter().map(|line| line.replace(char::is_control, "\u{fffd}")).collect()
    }
}

impl fmt::Display for FactsDiff {
    /// Several lines, without a newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines(|packages| {
            let shown = packages.iter().take(SHOWN).map(|line| format!("  {line}"));
            shown.chain(and_more(packages.len().saturating_sub(SHOWN))).collect()
        });
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
