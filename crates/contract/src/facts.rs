//! What a host says of itself when it is asked for its facts (`careen facts`, `careen-agent facts`): one JSON object that travels as the
//! result of an answer. Every field may be missing; then [`HostFacts::unknown`] says why.

use crate::answer::LONGEST_RESULT;
use crate::chain;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The schema that this version writes, and the newest that it reads.
pub const SCHEMA: u32 = 1;

/// What fields of [`HostFacts`] are called where it is said why one is not known.
#[expect(missing_docs, reason = "the names say it")]
pub mod field {
    pub const OS: &str = "os";
    pub const KERNEL: &str = "kernel";
    pub const ENGINE: &str = "engine";
    pub const CONTAINERD: &str = "containerd";
    pub const PENDING: &str = "pending";
    pub const SECURITY: &str = "security";
    pub const REBOOT: &str = "reboot";
    pub const ENGINE_RESTART: &str = "engine_restart";
    pub const ROOM: &str = "room";
    pub const CLOCK: &str = "clock";
    pub const CERTIFICATE: &str = "certificate";
    pub const LAST_RUN: &str = "last_run";
    pub const DRIFT: &str = "drift";
}

/// What a host says of itself, at one moment. Times are seconds since 1970 by the host's own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// When this was said.
    pub at: u64,
    /// Its distribution.
    pub os: Option<Distribution>,
    /// The kernel that runs, and the newest that is installed.
    pub kernel: Option<VersionPair>,
    /// dockerd.
    pub engine: Option<VersionPair>,
    /// containerd.
    pub containerd: Option<VersionPair>,
    /// The packages that wait, by the lists that the host has.
    pub pending: Option<PendingPackages>,
    /// Whether it wants a reboot.
    pub reboot: Option<RestartNeed>,
    /// Whether its engine wants a restart.
    pub engine_restart: Option<RestartNeed>,
    /// How full its file systems are, each once.
    pub room: Option<Vec<FileSystemRoom>>,
    /// The host's own word on its clock.
    pub clock: Option<ClockState>,
    /// The certificate with which it is a node of its swarm.
    pub certificate: Option<NodeCertificate>,
    /// The rollout of which the host's newest closed transaction was. `None` without a reason in `unknown`: there was none.
    pub last_run: Option<LastRun>,
    /// How it stands to what is enforced there; empty where nothing is.
    pub drift: Option<Vec<DriftFact>>,
    /// Why a field is not known, by the names in [`field`].
    pub unknown: BTreeMap<String, String>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// A distribution, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Distribution {
    pub id: String,
    pub version_id: Option<String>,
    pub name: String,
}

/// What runs, and what would run after a restart. `None`: it does not run, is not installed, or could not be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct VersionPair {
    pub running: Option<String>,
    pub installed: Option<String>,
}

/// Packages that wait, as the host's package manager tells without fetching anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPackages {
    /// Who says so: `apt`, `dnf`, `zypper`, `apk`.
    pub manager: String,
    /// How many packages would be installed, upgraded or removed.
    pub packages: u64,
    /// How many of them are security updates; `None` where the package manager does not tell.
    pub security: Option<u64>,
    /// When the lists were last fetched.
    pub lists_at: Option<u64>,
    /// Some of them, those for security first.
    #[serde(default)]
    pub names: Vec<PendingPackage>,
}

/// A package that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPackage {
    /// Its name.
    pub name: String,
    /// The installed version; `None` where it is new, or the package manager does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version that waits; `None`: the package would be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether it is a security update.
    #[serde(default)]
    pub security: bool,
}

/// Whether something has to be restarted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartNeed {
    /// Whether it has.
    pub needed: bool,
    /// Since when, as far as that is known.
    pub since: Option<u64>,
    /// Why, in words.
    #[serde(default)]
    pub why: Vec<String>,
}

/// How full a file system is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemRoom {
    /// Which of the directories that are looked at lie on it.
    pub paths: Vec<String>,
    /// Its size, in bytes.
    pub bytes: u64,
    /// How many of them are free for everybody.
    pub bytes_free: u64,
    /// How many inodes it has; `None` where it counts none.
    pub inodes: Option<u64>,
    /// How many of those are free.
    pub inodes_free: Option<u64>,
}

/// What the kernel says of its clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockState {
    /// Whether something keeps it in step with others' clocks (NTP).
    pub in_sync: bool,
    /// By how much it is still being moved, in microseconds, where who keeps it says so.
    pub offset_us: Option<i64>,
    /// By how much it may be wrong, in microseconds, as far as the kernel knows.
    pub max_error_us: Option<i64>,
}

/// A node's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct NodeCertificate {
    pub begins: u64,
    pub ends: u64,
}

/// The newest closed transaction of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct LastRun {
    pub rollout: String,
    pub transaction: String,
    pub command: String,
    /// When it was closed.
    pub ended: Option<u64>,
    /// What came of it, in words.
    pub outcome: String,
    pub exit: u8,
}

/// How the host stands to one enforcement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftFact {
    /// The enforcement's name.
    pub name: String,
    /// Which version of it.
    #[serde(default)]
    pub version: Option<String>,
    /// `in-sync`, or what is not well.
    pub state: String,
    /// When that was said.
    #[serde(default)]
    pub at: Option<u64>,
}

impl PendingPackages {
    /// How many are not among the names.
    pub fn more(&self) -> u64 {
        self.packages.saturating_sub(self.names.len() as u64)
    }
}

impl FileSystemRoom {
    /// How much of it is free, in percent, rounded down: of bytes or of inodes, whichever is less.
    pub fn free_percent(&self) -> u64 {
        let part = |free: u64, all: u64| {
            let percent = u128::from(free) * 100 / u128::from(all.max(1));
            u64::try_from(percent).unwrap_or(100).min(100)
        };
        let inodes = self.inodes.filter(|all| *all > 0).zip(self.inodes_free);
        part(self.bytes_free, self.bytes).min(inodes.map_or(100, |(all, free)| part(free, all)))
    }
}

impl NodeCertificate {
    /// How many whole days it is still valid at this moment; negative when it has expired.
    pub fn days_left(&self, at: u64) -> i64 {
        let seconds = i128::from(self.ends) - i128::from(at);
        i64::try_from(seconds.div_euclid(86_400)).unwrap_or(i64::MAX)
    }
}

impl DriftFact {
    /// Whether the host is as it should be.
    pub fn is_in_sync(&self) -> bool {
        self.state == "in-sync"
    }
}

impl HostFacts {
    /// What an answer's result says; `None` where it is about something else, or a newer careen wrote it.
    pub fn of(result: &Value) -> Option<Self> {
        let facts: Self = result.is_object().then(|| serde_json::from_value(result.clone()).ok())??;
        (1..=SCHEMA).contains(&facts.schema).then_some(facts)
    }

    /// Takes a field in, or why it is not known.
    pub fn note<T, E: std::error::Error>(&mut self, field: &str, found: Result<T, E>) -> Option<T> {
        found.map_err(|why| self.unknown.insert(field.to_owned(), chain(&why))).ok()
    }

    /// Why a field is not known.
    pub fn why_unknown(&self, field: &str) -> Option<&str> {
        self.unknown.get(field).map(String::as_str)
    }

    /// As much of it as travels: lists and words are cut until it does.
    #[must_use]
    pub fn fitted(self) -> Self {
        /// So many packages, so many of everything else, and so many characters of each word.
        const SIZES: [(usize, usize, usize); 5] =
            [(100, 16, 200), (60, 12, 120), (30, 8, 80), (12, 6, 40), (0, 3, 20)];
        let mut fitted = self;
        for (packages, most, longest) in SIZES {
            fitted = fitted.cut(packages, most, longest);
            if serde_json::to_vec(&fitted).is_ok_and(|json| json.len() <= LONGEST_RESULT) {
                break;
            }
        }
        fitted
    }

    fn cut(mut self, packages: usize, most: usize, longest: usize) -> Self {
        let cut = |word: &mut String| *word = word.chars().take(longest).collect();
        let cut_list = |list: &mut Vec<String>| {
            list.truncate(most);
            list.iter_mut().for_each(cut);
        };
        if let Some(os) = &mut self.os {
            [&mut os.id, &mut os.name].into_iter().chain(&mut os.version_id).for_each(cut);
        }
        for pair in [&mut self.kernel, &mut self.engine, &mut self.containerd].into_iter().flatten() {
            pair.running.iter_mut().chain(&mut pair.installed).for_each(cut);
        }
        if let Some(pending) = &mut self.pending {
            pending.names.truncate(packages);
            for one in &mut pending.names {
                [&mut one.name].into_iter().chain(&mut one.from).chain(&mut one.to).for_each(cut);
            }
        }
        for need in [&mut self.reboot, &mut self.engine_restart].into_iter().flatten() {
            cut_list(&mut need.why);
        }
        if let Some(room) = &mut self.room {
            room.truncate(most);
            room.iter_mut().for_each(|one| cut_list(&mut one.paths));
        }
        if let Some(run) = &mut self.last_run {
            [&mut run.rollout, &mut run.transaction, &mut run.command, &mut run.outcome]
                .into_iter()
                .for_each(cut);
        }
        if let Some(drift) = &mut self.drift {
            // What is not well says more than what is.
            drift.sort_by_key(DriftFact::is_in_sync);
            drift.truncate(most);
            for one in drift {
                [&mut one.name, &mut one.state].into_iter().chain(&mut one.version).for_each(cut);
            }
        }
        self.unknown.values_mut().for_each(cut);
        cut_list(&mut self.notes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn much(word: &str, many: usize) -> HostFacts {
        let pair = || Some(VersionPair { running: Some(word.into()), installed: Some(word.into()) });
        let need = || Some(RestartNeed { needed: true, since: Some(1), why: vec![word.into(); many] });
        let package = PendingPackage {
            name: word.into(),
            from: Some(word.into()),
            to: Some(word.into()),
            security: true,
        };
        let room = FileSystemRoom { paths: vec![word.into(); many], bytes: 9, ..FileSystemRoom::default() };
        let drift =
            |state: &str| DriftFact { name: word.into(), state: state.into(), ..DriftFact::default() };
        HostFacts {
            schema: SCHEMA,
            at: 7,
            os: Some(Distribution { id: word.into(), version_id: Some(word.into()), name: word.into() }),
            kernel: pair(),
            engine: pair(),
            containerd: pair(),
            pending: Some(PendingPackages {
                manager: "apt".into(),
                packages: 700,
                security: Some(3),
                lists_at: Some(1),
                names: vec![package; many],
            }),
            reboot: need(),
            engine_restart: need(),
            room: Some(vec![room; many]),
            clock: Some(ClockState { in_sync: true, offset_us: Some(-3), max_error_us: Some(900) }),
            certificate: Some(NodeCertificate { begins: 1, ends: 2 }),
            last_run: Some(LastRun { rollout: word.into(), outcome: word.into(), ..LastRun::default() }),
            drift: Some([vec![drift("in-sync"); many], vec![drift("failing")]].concat()),
            unknown: [field::CLOCK, field::ROOM].map(|name| (name.to_owned(), word.to_owned())).into(),
            notes: vec![word.into(); many],
        }
    }

    #[test]
    fn facts_are_read_as_they_are_written_and_what_is_newer_is_not() {
        let facts = much("a", 2);
        assert_eq!(HostFacts::of(&serde_json::to_value(&facts).unwrap()), Some(facts));
        let lean = HostFacts::of(&json!({ "schema": 1, "later": 1 })).unwrap();
        assert_eq!(lean, HostFacts { schema: 1, ..HostFacts::default() });
        for other in [json!({ "schema": 2 }), json!({}), json!("facts"), json!({ "schema": 1, "at": "now" })]
        {
            assert_eq!(HostFacts::of(&other), None, "{other}");
        }
    }

    #[test]
    fn whatever_a_host_has_to_say_travels_and_what_is_not_well_comes_first() {
        for word in ["x", "x".repeat(999).as_str(), "\u{1}".repeat(999).as_str()] {
            let fitted = much(word, 999).fitted();
            assert!(serde_json::to_vec(&fitted).unwrap().len() <= LONGEST_RESULT, "{word}");
            assert_eq!(fitted.drift.unwrap()[0].state, "failing");
        }
        let pending = much("name", 999).fitted().pending.unwrap();
        assert!(pending.names.len() >= 60 && pending.more() == 700 - pending.names.len() as u64);
    }

    #[test]
    fn room_is_what_is_least_and_days_are_whole() {
        let room = |free, inodes, inodes_free| FileSystemRoom {
            bytes: 1000,
            bytes_free: free,
            inodes,
            inodes_free,
            ..FileSystemRoom::default()
        };
        assert_eq!(room(419, None, None).free_percent(), 41);
        assert_eq!(room(419, Some(200), Some(9)).free_percent(), 4);
        assert_eq!(room(419, Some(0), Some(0)).free_percent(), 41);
        assert_eq!(FileSystemRoom::default().free_percent(), 0);
        let certificate = NodeCertificate { begins: 0, ends: 90 * 86_400 };
        assert_eq!([0, 1, 90 * 86_400, 90 * 86_400 + 1].map(|at| certificate.days_left(at)), [90, 89, 0, -1]);
    }
}
