//! `enforce/NAME.json`: what a host remembers of what is enforced there, from one enforcing agent to the next. Schema in
//! docs/enforce.md.

use careen_contract::TransactionId;
use careen_contract::standing::{EnforcePass, EnforceState};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The schema that this version writes, and the newest that it reads.
pub const SCHEMA: u32 = 1;

/// What is remembered of one enforcement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforceMemory {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// The enforcement's name; also that of the file.
    pub name: String,
    /// Which version of it was here last. All that follows is about this one.
    pub version: String,
    /// `CAREEN_RUN` of the agent that was here last.
    pub run: String,
    /// The service of the agent that was here last: who stops an enforcement and starts it again begins anew.
    #[serde(default)]
    pub service: String,
    /// What the agent said last of the host, and when: seconds since 1970 by the host's clock.
    pub state: EnforceState,
    /// See `state`.
    pub at: u64,
    /// Whether the host has been in sync with this version: drift behind that is mended, drift before it is a version that comes.
    #[serde(default)]
    pub was_in_sync: bool,
    /// How often drift was mended.
    #[serde(default)]
    pub mended: u32,
    /// The last pass that changed the host, or tried to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EnforcePass>,
    /// The boot in which `mendings` were made.
    #[serde(default)]
    pub boot: String,
    /// What was mended in the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mendings: Vec<Mending>,
    /// Which drift is not mended any more, because it came back again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<Drift>,
    /// What is missing that needs a rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<RolloutNeed>,
    /// The `install` that was begun and of which the end is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningPass>,
}

/// A drift, as far as one can be told from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// These owned paths had changed.
    Paths(BTreeSet<String>),
    /// None had, or none is watched: the digest of what `check` printed.
    Output(String),
}

/// One time that drift was mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mending {
    /// When, in milliseconds since the host's boot.
    pub since_boot_ms: u64,
    /// What.
    pub drift: Drift,
}

/// What only a rollout can bring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutNeed {
    /// In words.
    pub why: String,
    /// The drift for which `install` was run, and what it has left: neither is a reason to run it again.
    pub drifts: BTreeSet<Drift>,
    /// Whether `check` still found drift behind it: then it also sees when that is gone.
    pub is_seen: bool,
    /// In which life of host and engine: in another one what was missing may be there.
    pub life: String,
}

/// An `install` that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningPass {
    /// Its transaction.
    pub transaction: TransactionId,
    /// For which drift.
    pub drift: Drift,
    /// Whether it mends what was in sync before.
    pub corrective: bool,
    /// When it began, in seconds since 1970 by the host's clock.
    pub at: u64,
    /// When its drift was seen, in milliseconds since the host's boot.
    pub seen_ms: u64,
}

/// Why a memory cannot be used. A missing file is none of these: that is the caller's to tell apart.
#[derive(Debug, thiserror::Error)]
pub enum EnforceMemoryError {
    /// Written by a newer careen.
    #[error("has schema {found}, this version reads up to {SCHEMA}: a newer careen wrote it")]
    Newer {
        /// The schema that it has.
        found: u32,
    },
    /// Not what this version writes.
    #[error("is corrupt")]
    Corrupt(#[source] serde_json::Error),
    /// Of another enforcement: somebody has copied or renamed it.
    #[error("is about '{found}'")]
    Another {
        /// About what it is.
        found: String,
    },
}

impl EnforceMemory {
    /// Reads what is remembered of the enforcement of this name.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, EnforceMemoryError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(EnforceMemoryError::Corrupt)?;
        if version.schema > SCHEMA {
            return Err(EnforceMemoryError::Newer { found: version.schema });
        }
        if version.schema == 0 {
            let error = serde_json::Error::custom("schemas begin with 1");
            return Err(EnforceMemoryError::Corrupt(error));
        }
        let memory: Self = serde_json::from_slice(bytes).map_err(EnforceMemoryError::Corrupt)?;
        if memory.name == name { Ok(memory) } else { Err(EnforceMemoryError::Another { found: memory.name }) }
    }

    /// As its file.
    pub fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> EnforceMemory {
        let paths = Drift::Paths(BTreeSet::from(["/etc/x".to_owned()]));
        EnforceMemory {
            schema: SCHEMA,
            name: "sysctl".into(),
            version: "0a1b2c3d".into(),
            run: String::new(),
            service: "s1".into(),
            state: EnforceState::GaveUp,
            at: 1_795_000_000,
            was_in_sync: true,
            mended: 2,
            last: None,
            boot: "b1".into(),
            mendings: vec![Mending { since_boot_ms: 7, drift: paths.clone() }],
            gave_up: Some(Drift::Output("ab".into())),
            needs: Some(RolloutNeed {
                why: "w".into(),
                drifts: BTreeSet::from([paths.clone()]),
                is_seen: true,
                life: "l".into(),
            }),
            running: Some(RunningPass {
                transaction: TransactionId::parse("e-sysctl-00000000").unwrap(),
                drift: paths,
                corrective: true,
                at: 1,
                seen_ms: 2,
            }),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_says_at_its_top_where_the_host_is() {
        let bytes = memory().bytes().unwrap();
        assert_eq!(EnforceMemory::parse(&bytes, "sysctl").unwrap(), memory());
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let top = |name: &str| json[name].as_str().unwrap().to_owned();
        assert_eq!([top("name"), top("version"), top("state")], ["sysctl", "0a1b2c3d", "gave-up"]);
        assert_eq!(json["at"], 1_795_000_000);
    }

    #[test]
    fn corrupt_newer_and_anothers_are_different_errors_wherever_it_is_cut() {
        let bytes = memory().bytes().unwrap();
        for cut in 0..bytes.len() - 1 {
            let read = EnforceMemory::parse(&bytes[..cut], "sysctl");
            assert!(matches!(read, Err(EnforceMemoryError::Corrupt(_))), "{cut}");
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        for (schema, newer) in [("2", true), ("0", false), ("-1", false)] {
            let changed = text.replacen("\"schema\":1", &format!("\"schema\":{schema}"), 1);
            let read = EnforceMemory::parse(changed.as_bytes(), "sysctl").unwrap_err();
            assert_eq!(matches!(read, EnforceMemoryError::Newer { found: 2 }), newer, "{schema}: {read}");
        }
        let anothers = EnforceMemory::parse(&bytes, "other").unwrap_err();
        assert!(matches!(anothers, EnforceMemoryError::Another { .. }), "{anothers}");
    }
}
