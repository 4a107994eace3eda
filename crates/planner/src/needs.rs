//! What a task asks of its node beside constraints, and what a node offers.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What each task of a service asks of the node that it is placed on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Needs {
    /// How many tasks of the service a node takes at most; 0 is no limit.
    pub max_per_node: u64,
    /// What the image runs on; none means that nobody knows, and any node will do.
    pub platforms: Vec<Platform>,
    /// What is reserved for each task.
    pub reserved: Resources,
    /// Ports of the node itself (`mode=host`) that each task takes.
    pub ports: BTreeSet<HostPort>,
    /// Plugins of volumes and logs.
    pub plugins: BTreeSet<Plugin>,
}

/// An operating system and an architecture; empty is any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`.
    pub os: String,
    /// `amd64`, or `x86_64` as hosts call it.
    pub arch: String,
}

/// What is reserved, or there to be reserved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Billionths of a processor.
    pub nano_cpus: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Generic resources, by kind: how many.
    pub generic: BTreeMap<String, i64>,
}

/// A port of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct HostPort {
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    pub port: u32,
}

/// A plugin of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Plugin {
    /// `Volume`, `Log`.
    pub kind: String,
    /// With its tag, or without when that is `latest`.
    pub name: String,
}

/// What a node offers to tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Offers {
    /// Its address, as the managers know it.
    pub address: String,
    /// All that it has.
    pub resources: Resources,
    /// The plugins of its engine.
    pub plugins: BTreeSet<Plugin>,
}

impl Platform {
    /// Whether an image for this platform runs on a node of the other one.
    pub fn runs_on(&self, node: &Self) -> bool {
        let any_or = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
        any_or(normal(&self.arch), normal(&node.arch)) && any_or(&self.os, &node.os)
    }
}

/// Images and hosts have two names for the same architecture.
fn normal(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Resources {
    /// Whether this is nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether these resources have room for those.
    pub fn hold(&self, wanted: &Self) -> bool {
        let has = |kind: &String, number: &i64| self.generic.get(kind).copied().unwrap_or(0) >= *number;
        self.nano_cpus >= wanted.nano_cpus
            && self.memory >= wanted.memory
            && wanted.generic.iter().all(|(kind, number)| has(kind, number))
    }

    /// Takes something away; what is reserved beyond what is there is less than nothing.
    pub fn take(&mut self, taken: &Self) {
        self.nano_cpus = self.nano_cpus.saturating_sub(taken.nano_cpus);
        self.memory = self.memory.saturating_sub(taken.memory);
        for (kind, number) in &taken.generic {
            let left = self.generic.entry(kind.clone()).or_default();
            *left = left.saturating_sub(*number);
        }
    }
}

impl Offers {
    /// Whether the node has a plugin. An engine that names none of a log driver's kind is one that does not tell.
    pub fn has(&self, wanted: &Plugin) -> bool {
        let mut of_kind = self.plugins.iter().filter(|plugin| plugin.kind == wanted.kind).peekable();
        let unknown = wanted.kind == "Log" && of_kind.peek().is_none();
        let latest = format!("{}:latest", wanted.name);
        unknown || of_kind.any(|plugin| plugin.name == wanted.name || plugin.name == latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(kind: &str, name: &str) -> Plugin {
        Plugin { kind: kind.into(), name: name.into() }
    }

    #[test]
    fn platforms_are_compared_as_swarm_does() {
        let node = Platform { os: "linux".into(), arch: "x86_64".into() };
        for (os, arch, runs) in
            [("linux", "amd64", true), ("", "", true), ("linux", "arm64", false), ("windows", "amd64", false)]
        {
            assert_eq!(Platform { os: os.into(), arch: arch.into() }.runs_on(&node), runs, "{os}/{arch}");
        }
    }

    #[test]
    fn a_plugin_is_found_by_its_name_with_or_without_latest() {
        let offers = Offers { plugins: [plugin("Volume", "rexray:latest")].into(), ..Offers::default() };
        assert!(offers.has(&plugin("Volume", "rexray")) && offers.has(&plugin("Volume", "rexray:latest")));
        assert!(!offers.has(&plugin("Volume", "rex")));
        assert!(offers.has(&plugin("Log", "gelf")), "it names no log drivers at all");
    }

    #[test]
    fn what_is_reserved_is_not_there_twice() {
        let gpu = |number| BTreeMap::from([("gpu".to_owned(), number)]);
        let mut has = Resources { nano_cpus: 2_000_000_000, memory: 1 << 30, generic: gpu(1) };
        let wanted = Resources { nano_cpus: 1_500_000_000, memory: 1 << 29, generic: gpu(1) };
        assert!(has.hold(&wanted) && !wanted.is_none());
        has.take(&wanted);
        assert!(!has.hold(&wanted) && has.hold(&Resources::default()));
        assert_eq!((has.nano_cpus, has.generic["gpu"]), (500_000_000, 0));
    }
}
