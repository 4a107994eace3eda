//! careen as a plugin of the docker CLI: a link `docker-careen` in one of its plugin directories, and `docker careen …`. Pure
//! but for [`socket`], over which docker says that it ends.
//!
//! docker asks each plugin what it is, with one word (`docker-cli-plugin-metadata`), and calls it with all of its own arguments:
//! `docker --context prod careen status` becomes `docker-careen --context prod careen status`.

pub mod socket;

use crate::call::command_at;
use crate::connect::UnusableHost;
use clap::Command;
use serde::Serialize;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What the link is called, and what docker calls the plugin.
const PROGRAM: &str = "docker-careen";
const NAME: &str = "careen";
/// The word with which docker asks.
const METADATA: &str = "docker-cli-plugin-metadata";

/// docker's flags in front of the plugin's name that have a value.
const WITH_VALUE: [&str; 10] = [
    "--config",
    "--context",
    "-c",
    "--host",
    "-H",
    "--log-level",
    "-l",
    "--tlscacert",
    "--tlscert",
    "--tlskey",
];

/// What a plugin says of itself.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    schema_version: &'static str,
    vendor: &'static str,
    version: &'static str,
    short_description: &'static str,
}

/// What docker's own flags say that careen has no flags for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerFlags {
    /// `--config`: where docker keeps its files.
    pub directory: Option<PathBuf>,
    /// `--tls`.
    pub tls: bool,
    /// `--tlsverify`.
    pub verify: bool,
}

/// A call, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// careen's words, the program's name in front.
    pub words: Vec<OsString>,
    /// Whether docker called.
    pub is_plugin: bool,
    /// What docker was told.
    pub docker: DockerFlags,
}

impl Call {
    /// A definition of the command line that is called as its user called it.
    pub fn called(&self, command: Command) -> Command {
        if self.is_plugin { command.bin_name("docker careen") } else { command }
    }
}

/// What is answered when docker asks what the plugin is.
pub fn metadata(words: &[OsString]) -> Option<Result<String, serde_json::Error>> {
    let is_asked = words.get(1).is_some_and(|word| word == METADATA);
    let metadata = Metadata {
        schema_version: "0.1.0",
        vendor: "careen",
        version: env!("CARGO_PKG_VERSION"),
        short_description: "Upgrade and configure every host of a swarm",
    };
    is_asked.then(|| serde_json::to_string(&metadata))
}

/// Reads the words of a call. Those of docker's are careen's without docker's own flags and the plugin's name.
pub fn read(words: Vec<OsString>) -> Result<Call, UnusableHost> {
    let program = words.first().and_then(|program| Path::new(program).file_name());
    let mut docker = DockerFlags::default();
    if program != Some(OsStr::new(PROGRAM)) {
        return Ok(Call { words, is_plugin: false, docker });
    }
    let (program, rest) = words.split_at(1);
    let takes_value = |word: &str| WITH_VALUE.contains(&word);
    // docker puts its word for a completion in front of everything.
    let asked = rest.first().is_some_and(|word| word.to_string_lossy().starts_with("__complete"));
    let (asked, rest) = rest.split_at(usize::from(asked));
    let at = command_at(rest, takes_value).filter(|at| rest[*at] == NAME);
    let (flags, behind) = match at {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (&[][..], rest),
    };
    let flags = of_docker(flags, &mut docker)?;
    let words = [program, asked, &flags, behind].concat();
    Ok(Call { words, is_plugin: true, docker })
}

/// docker's flags as careen has them.
fn of_docker(words: &[OsString], docker: &mut DockerFlags) -> Result<Vec<OsString>, UnusableHost> {
    let mut flags = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let (flag, attached) = match text.split_once('=') {
            Some((flag, value)) => (flag, Some(OsString::from(value))),
            None => (&*text, None),
        };
        let mut value = || attached.clone().or_else(|| words.next().cloned()).unwrap_or_default();
        match flag {
            "--host" | "-H" => flags.extend(["--host".into(), value()]),
            "--context" | "-c" => flags.extend(["--context".into(), value()]),
            "--config" => docker.directory = Some(PathBuf::from(value())),
            "--tls" => docker.tls = attached.is_none_or(|value| value != "false"),
            "--tlsverify" => docker.verify = attached.is_none_or(|value| value != "false"),
            "--tlscacert" | "--tlscert" | "--tlskey" => {
                return Err(UnusableHost::DockerFlag { flag: flag.to_owned() });
            }
            // What docker itself logs.
            "--log-level" | "-l" => drop(value()),
            "--debug" | "-D" => {}
            _ => match text.strip_prefix("-c") {
                Some(name) => flags.extend(["--context".into(), name.into()]),
                None => flags.push(word.clone()),
            },
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_call_by_docker_is_one_without_dockers_flags_and_the_plugins_name() {
        let default = DockerFlags::default();
        let directory = DockerFlags { directory: Some("/etc/docker".into()), ..default.clone() };
        let verify = DockerFlags { tls: true, verify: true, ..default.clone() };
        for (line, expected, docker) in [
            ("/usr/libexec/docker/cli-plugins/docker-careen careen status -f", "status -f", &default),
            ("docker-careen --context careen careen status", "--context careen status", &default),
            ("docker-careen -cprod -Htcp://m1 careen ls", "--context prod -Htcp://m1 ls", &default),
            ("docker-careen -c prod -D careen why careen", "--context prod why careen", &default),
            (
                "docker-careen -H tcp://m1 --host=tcp://m2 careen ls",
                "--host tcp://m1 --host tcp://m2 ls",
                &default,
            ),
            ("docker-careen --config /etc/docker -l debug careen ls", "ls", &directory),
            ("docker-careen --tls --tlsverify=true careen ls", "ls", &verify),
            ("docker-careen __complete careen why w", "__complete why w", &default),
            ("docker-careen __completeNoDesc careen status -", "__completeNoDesc status -", &default),
            ("docker-careen status", "status", &default),
            ("docker-careen careen", "", &default),
        ] {
            let call = read(words(line)).unwrap();
            assert_eq!(call.words[1..], words(expected), "{line}");
            assert!(call.is_plugin && call.docker == *docker, "{line}");
        }
        let plain = words("/usr/bin/careen careen --config x");
        let call = read(plain.clone()).unwrap();
        assert!(!call.is_plugin && call.words == plain);
        assert!(
            read(words("docker-careen --tlscacert x careen ls"))
                .unwrap_err()
                .to_string()
                .contains("--tlscacert")
        );
    }

    #[test]
    fn the_metadata_is_what_docker_wants() {
        let said = metadata(&words("docker-careen docker-cli-plugin-metadata")).unwrap().unwrap();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&said["SchemaVersion"], &said["Vendor"]), (&"0.1.0".into(), &"careen".into()));
        assert!(said["Version"].is_string() && said["ShortDescription"].is_string());
        assert!(metadata(&words("careen status docker-cli-plugin-metadata")).is_none());
    }
}
