//! What a host is made of: before and after a transaction, so that every result says what changed.
//!
//! What is here: the schema of the facts, the parsers of the tools' output that they come from, the difference of two
//! of them, and the decisions that hang on what is installed and what runs ([`restart`]). What is not: running the
//! tools. A source that could not be asked is `None` and has a note, so 'unknown' is never taken for 'empty'.
//!
//! What a host says of itself beyond that when somebody asks (`careen facts`) is [`careen_contract::facts`]; here is what that is made of:
//! [`validity`] of its certificate, [`ClockReading`], [`mod@room`], [`mod@need`], [`drift()`].

mod apk;
mod certificate;
mod clock;
mod diff;
mod dpkg;
mod drift;
mod engine;
mod kernel;
pub mod need;
mod os_release;
mod packages;
pub mod restart;
pub mod room;
mod rpm;

pub use apk::parse_installed as parse_apk;
pub use certificate::{InvalidCertificate, validity};
pub use clock::ClockReading;
pub use diff::{Change, EngineChange, EngineProgram, FactsDiff, Seen};
pub use dpkg::{FORMAT as DPKG_FORMAT, parse as parse_dpkg};
pub use drift::{InvalidDrift, drift};
pub use engine::{EngineFacts, EngineVersions, version_of_containerd, version_of_dockerd, version_of_runc};
pub use kernel::{is_newer as kernel_is_newer, newest_installed as newest_kernel};
pub use os_release::Os;
pub use packages::{Broken, PackageManager, Packages, Parsed};
pub use rpm::{FORMAT as RPM_FORMAT, parse as parse_rpm};

use careen_contract::changed::Versions;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

/// The version that this version writes, and the newest that it reads.
pub const SCHEMA: u32 = 1;

/// What a host is made of, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Facts {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Its distribution; `None` without an os-release(5).
    pub os: Option<Os>,
    pub kernel: Kernel,
    /// The kernel's boot id: another one means another boot.
    pub boot_id: Option<String>,
    pub engine: EngineFacts,
    /// What its package manager has installed.
    pub packages: Option<Packages>,
    /// Which files the package manager keeps that in, and which state of them: while it is the same, so are the
    /// packages.
    #[serde(default)]
    pub package_database: Option<String>,
    /// Which file runc is, and which state of it: while it is the same, so is its version.
    #[serde(default)]
    pub runc_file: Option<String>,
    /// Its plain containers, by name; neither tasks of Swarm nor careen's own.
    pub containers: Option<Vec<PlainContainer>>,
    /// What could not be found out, and why.
    pub notes: Vec<String>,
}

/// The kernels of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// What runs (`uname -r`).
    pub running: Option<String>,
    /// The newest that is installed, of the flavour that runs. `None` where no kernel is installed, as in a
    /// container.
    pub newest_installed: Option<String>,
}

/// A container that somebody started beside Swarm: nobody but this host starts it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct PlainContainer {
    pub name: String,
    /// Its image, as it was asked for; an id when the name went to another image meanwhile.
    pub image: String,
    pub running: bool,
}

/// Why recorded facts cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum FactsError {
    /// Written by a newer careen.
    #[error(
        "the facts have schema {found}, this version reads up to {SCHEMA}: use the careen that wrote them"
    )]
    Newer { found: u32 },
    /// Not of this format.
    #[error("the facts are corrupt")]
    Corrupt(#[source] serde_json::Error),
}

impl Facts {
    /// Reads recorded facts from any bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, FactsError> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let schema: Schema = serde_json::from_slice(bytes).map_err(FactsError::Corrupt)?;
        if schema.schema > SCHEMA {
            return Err(FactsError::Newer { found: schema.schema });
        }
        if schema.schema == 0 {
            return Err(FactsError::Corrupt(serde_json::Error::custom("schemas begin with 1")));
        }
        serde_json::from_slice(bytes).map_err(FactsError::Corrupt)
    }

    /// What runs. Of an engine that does not answer, what is installed.
    pub fn versions(&self) -> Versions {
        let EngineFacts { running, installed } = &self.engine;
        let or = |one: &Option<String>, other: &Option<String>| one.clone().or_else(|| other.clone());
        Versions {
            kernel: self.kernel.running.clone(),
            engine: or(&running.engine, &installed.engine),
            containerd: or(&running.containerd, &installed.containerd),
            runc: or(&running.runc, &installed.runc),
        }
    }
}

impl Default for Facts {
    /// A host of which nothing is known.
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            os: None,
            kernel: Kernel::default(),
            boot_id: None,
            engine: EngineFacts::default(),
            packages: None,
            package_database: None,
            runc_file: None,
            containers: None,
            notes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixture without its header: the first line says what it is and where it comes from.
    pub(super) fn recorded(fixture: &str) -> &str {
        fixture.split_once('\n').map_or("", |(_, recorded)| recorded)
    }

    #[test]
    fn facts_are_read_as_they_were_written() {
        let kernel = Kernel { running: Some("6.1.0-9-amd64".into()), newest_installed: None };
        let facts = Facts { kernel, boot_id: Some("b".into()), notes: vec!["n".into()], ..Facts::default() };
        let bytes = serde_json::to_vec(&facts).unwrap();
        assert_eq!(Facts::parse(&bytes).unwrap(), facts);
        let no_schema_of_ours = Facts { schema: 0, ..facts };
        let bytes = serde_json::to_vec(&no_schema_of_ours).unwrap();
        assert!(matches!(Facts::parse(&bytes), Err(FactsError::Corrupt(_))));
    }

    #[test]
    fn newer_and_corrupt_facts_are_told_apart() {
        assert!(matches!(Facts::parse(b"{\"schema\":2}"), Err(FactsError::Newer { found: 2 })));
        for bytes in [&b""[..], b"\xff", b"{}", b"{\"schema\":1}", b"{\"schema\":-1}"] {
            assert!(matches!(Facts::parse(bytes), Err(FactsError::Corrupt(_))), "{bytes:?}");
        }
    }

    #[test]
    fn no_parser_panics_on_damaged_output() {
        let fixtures = [
            include_str!("../../fixtures/facts/dpkg-query.txt"),
            include_str!("../../fixtures/facts/rpm-qa.txt"),
            include_str!("../../fixtures/facts/apk-installed.txt"),
            include_str!("../../fixtures/facts/os-release-debian"),
        ];
        for fixture in fixtures {
            for (at, _) in fixture.bytes().enumerate().step_by(7) {
                let mut bytes = fixture.as_bytes()[..at].to_vec();
                bytes.extend_from_slice(b"\xff\t\\\"\t:\0");
                bytes.extend_from_slice(&fixture.as_bytes()[at..]);
                let text = String::from_utf8_lossy(&bytes);
                let (_, _, _) = (parse_dpkg(&text), parse_rpm(&text), parse_apk(&text));
                let _ = Os::parse(&text);
                let _ = newest_kernel(text.lines(), text.split('\t'), &text);
            }
        }
    }
}
