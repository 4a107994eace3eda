//! The docker engine, as it runs and as it is installed: after an upgrade these are often two.

use serde::{Deserialize, Serialize};

/// The engine of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFacts {
    /// What answers; nothing is known of an engine that is down.
    pub running: EngineVersions,
    /// What the programs on the disk say of themselves.
    pub installed: EngineVersions,
}

/// The versions of an engine's programs. `None` where there is no such program, or it could not be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct EngineVersions {
    /// dockerd.
    pub engine: Option<String>,
    pub containerd: Option<String>,
    /// runc. It is started anew for each container, so the engine tells of the installed one here, too.
    pub runc: Option<String>,
}

impl EngineVersions {
    /// From what `GET /version` tells: the engine's own version, and its components by name. Both sources of a version
    /// (see [`version_of_containerd`]) must write it alike, so a leading `v` goes.
    pub fn of_api<'a>(engine: &str, components: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut versions = Self { engine: word(Some(engine)), ..Self::default() };
        for (name, version) in components {
            match name {
                "containerd" => versions.containerd = word(Some(version)),
                "runc" => versions.runc = word(Some(version)),
                _ => {}
            }
        }
        versions
    }
}

/// The version in the output of `dockerd --version`.
pub fn version_of_dockerd(output: &str) -> Option<String> {
    let version = output.trim_start().strip_prefix("Docker version ")?;
    word(version.split([',', '\n']).next())
}

/// The version in the output of `containerd --version`: name, package, version, revision.
pub fn version_of_containerd(output: &str) -> Option<String> {
    let mut words = output.lines().next()?.split_whitespace();
    (words.next() == Some("containerd")).then(|| word(words.nth(1))).flatten()
}

/// The version in the output of `runc --version`.
pub fn version_of_runc(output: &str) -> Option<String> {
    word(output.lines().find_map(|line| line.strip_prefix("runc version ")))
}

fn word(text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    let is_numbered = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_digit());
    let text = text.strip_prefix('v').filter(is_numbered).unwrap_or(text);
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_tell_their_versions() {
        let dockerd = [
            ("Docker version 20.10.24+dfsg1, build 5d6db84\n", Some("20.10.24+dfsg1")),
            ("Docker version 26.1.5+dfsg1, build 411e817", Some("26.1.5+dfsg1")),
            ("Docker version 27.0\n", Some("27.0")),
            ("Docker version ", None),
            ("dockerd: not found", None),
            ("", None),
        ];
        for (output, expected) in dockerd {
            assert_eq!(version_of_dockerd(output).as_deref(), expected, "{output}");
        }
        let containerd = [
            (
                "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n",
                Some("1.6.20~ds1"),
            ),
            ("containerd containerd.io v2.1.5 fcd43222d6b07379a4be9786bda52438f0dd16a1", Some("2.1.5")),
            ("containerd github.com/containerd/containerd", None),
            ("something else 1.6.20", None),
            ("", None),
        ];
        for (output, expected) in containerd {
            assert_eq!(version_of_containerd(output).as_deref(), expected, "{output}");
        }
        let runc = "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\n";
        assert_eq!(version_of_runc(runc).as_deref(), Some("1.1.5+ds1"));
        assert_eq!(version_of_runc("crun version 1.8"), None);
    }

    #[test]
    fn both_sources_write_a_version_alike() {
        let components = [("Engine", "29.0.0"), ("containerd", "v2.1.5"), ("runc", "1.3.3")];
        let versions = EngineVersions::of_api("29.0.0", components.into_iter());
        assert_eq!(versions.containerd, version_of_containerd("containerd containerd.io v2.1.5 fcd4\n"));
        assert_eq!((versions.engine.as_deref(), versions.runc.as_deref()), (Some("29.0.0"), Some("1.3.3")));
        assert_eq!(EngineVersions::of_api("", [].into_iter()), EngineVersions::default());
    }
}
