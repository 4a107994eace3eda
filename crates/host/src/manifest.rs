//! `manifest.json`: what a transaction is, written once, before anything starts. Schema in docs/journal-format.md.

use crate::transaction::Policy;
use careen_contract::id::TransactionId;
use careen_contract::settings::{EngineRestarts, OnRemove, Reboot};
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The schema that this version writes, and the newest that it reads.
pub const SCHEMA: u32 = 1;

/// Everything about a transaction that does not change while it runs. Holds no environment: that may be confidential
/// and lies in a file of its own, which is removed when the transaction closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Manifest {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// The transaction's id; also the name of its directory.
    pub id: TransactionId,
    /// Which try of a rollout on its node this is; 0 outside of a rollout. A host refuses an older one.
    pub generation: u64,
    /// When the agent created it, by the host's clock.
    pub created: Timestamp,
    pub command: String,
    pub args: Vec<String>,
    /// `CAREEN_RUN`.
    pub run: String,
    /// The payload on this host.
    pub payload: Payload,
    /// SHA-256 of the careen-agent that supervises it.
    pub binary_sha256: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the transaction needs the host for itself.
    pub takes_host_lock: bool,
    /// The terminal that the command gets, of the size that its container's has; `None` without one.
    pub terminal: Option<TerminalSize>,
    /// The command's time limit in milliseconds.
    pub timeout_ms: Option<u64>,
    /// From SIGTERM to SIGKILL, in milliseconds.
    pub stop_grace_period_ms: u64,
    /// What a removed container means.
    pub on_remove: OnRemove,
    /// Whether the host may be rebooted.
    pub reboot: Reboot,
    /// Whether a replaced engine may be restarted.
    pub engine_restart: EngineRestarts,
    /// Whether the command may be run again when nobody knows how far it came.
    pub idempotent: bool,
    /// How many bytes of output are kept.
    pub output_limit: u64,
    /// Whether the command has secrets. They never reach a disk, so that after a reboot only an agent can bring them.
    pub has_secrets: bool,
    /// Whether an agent has to give the go before the engine is restarted or the host rebooted.
    #[serde(default)]
    pub awaits_go: bool,
    /// Whether a manager may go down even if the others are no quorum.
    #[serde(default)]
    pub allow_quorum_loss: bool,
    /// Whether a reboot waits for programs that ask for no shutdown and for people at the console.
    #[serde(default)]
    pub respect_inhibitors: bool,
    /// Whether the command may stop or restart the engine itself: in a rollout, unless `prepare` said that it does not. One
    /// manager at a time runs such a command.
    #[serde(default)]
    pub may_touch_engine: bool,
}

/// The size of a terminal, in characters. Zero where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct TerminalSize {
    pub rows: u16,
    pub columns: u16,
}

/// The copy of the payload on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Payload {
    /// Its directory, an absolute path of the host.
    pub directory: String,
    /// Its digest, see [`careen_contract::payload::PayloadDigest`].
    pub sha256: String,
    pub files: u64,
    pub bytes: u64,
    /// Whether the command is a text without `#!`, to be run by `/bin/sh`.
    pub by_shell: bool,
    /// Whether there is a `rollback` that can be run.
    pub has_rollback: bool,
}

/// Who asked for the transaction. All of it may be empty: `docker run` knows no service, a host no swarm.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Origin {
    /// The first agent's container.
    pub container_id: Option<String>,
    /// The image as the container's configuration names it.
    pub image: Option<String>,
    pub image_id: Option<String>,
    pub service_id: Option<String>,
    pub service_name: Option<String>,
    pub node_id: Option<String>,
}

/// Why a manifest cannot be used. A missing file is none of these: that is the caller's to tell apart.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum ManifestError {
    /// Written by a newer careen.
    #[error(
        "has schema {found}, this version reads up to {SCHEMA}: use the careen that wrote it, or a newer one"
    )]
    Newer { found: u32 },
    /// Not what this version writes.
    #[error("is corrupt")]
    Corrupt(#[source] serde_json::Error),
}

impl Manifest {
    /// Reads a manifest, telling a newer one from a corrupt one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(ManifestError::Corrupt)?;
        if version.schema > SCHEMA {
            return Err(ManifestError::Newer { found: version.schema });
        }
        if version.schema == 0 {
            return Err(ManifestError::Corrupt(serde_json::Error::custom("schemas begin with 1")));
        }
        serde_json::from_slice(bytes).map_err(ManifestError::Corrupt)
    }

    /// What is allowed for the command's sake.
    pub fn policy(&self) -> Policy {
        Policy {
            reboot: self.reboot,
            engine_restart: self.engine_restart == EngineRestarts::Auto,
            idempotent: self.idempotent,
            has_rollback: self.payload.has_rollback,
            awaits_go: self.awaits_go,
            only_looks: !self.takes_host_lock,
        }
    }

    /// The command's time limit.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// The time from SIGTERM to SIGKILL.
    pub fn stop_grace_period(&self) -> Duration {
        Duration::from_millis(self.stop_grace_period_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_and_corrupt_are_different_errors() {
        let newer = Manifest::parse(br#"{"schema": 2, "surprise": true}"#);
        assert!(matches!(newer, Err(ManifestError::Newer { found: 2 })));
        for corrupt in [&b""[..], b"{", b"{}", b"[]", br#"{"schema": 1}"#, b"\xff\x00"] {
            assert!(matches!(Manifest::parse(corrupt), Err(ManifestError::Corrupt(_))), "{corrupt:?}");
        }
        let recorded = include_str!("../../../fuzz/seeds/manifest/terminal.json");
        assert!(Manifest::parse(recorded.as_bytes()).is_ok());
        let no_schema_of_ours = recorded.replacen(r#""schema":1"#, r#""schema":0"#, 1);
        assert!(matches!(Manifest::parse(no_schema_of_ours.as_bytes()), Err(ManifestError::Corrupt(_))));
    }
}
