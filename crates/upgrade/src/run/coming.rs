//! Whether the engine that an upgrade brings would start on this host: with its daemon.json, with the flags in docker.service, and
//! with the storage driver that has the images. Asked before the node is drained.

use super::fail::Fail;
use super::{engine, say};
use crate::change::Simulation;
use crate::names::has_the_daemon;
use careen_contract::variable;
use careen_host::preflight::{
    Dropped, Files, Problem, Told, Unit, against_engine, config_file, docker_service,
};
use std::io::{self, ErrorKind};

/// An engine that would not start is an error; a warning where the operator wants to go on whatever is found.
pub fn check(simulation: &Simulation) -> Result<(), Fail> {
    let Some(version) = version(simulation) else { return Ok(()) };
    let found = against_engine(version, &dropped(&HostFiles), engine::storage_driver().as_deref());
    if found.is_empty() {
        return Ok(());
    }
    let words = found.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
    if std::env::var(variable::PREFLIGHT).as_deref() == Ok("warn") {
        say!("warning: {words}");
        return Ok(());
    }
    Err(Fail::Coming(words))
}

/// The version of the engine that comes.
fn version(simulation: &Simulation) -> Option<&str> {
    simulation.changes.iter().find(|change| has_the_daemon(&change.name)).map(|change| change.to.as_str())
}

/// What this host tells its engine that some later one refuses. What cannot be read is preflight's to tell.
fn dropped(files: &dyn Files) -> Vec<Dropped> {
    let arguments = match docker_service(files) {
        Unit::Starts(start) => start.arguments,
        Unit::None | Unit::Broken { .. } | Unit::Unclear { .. } => Vec::new(),
    };
    let path = config_file(&arguments);
    let text = files.read(&path).ok().flatten();
    Told { path: &path, text: text.as_deref(), arguments: &arguments }.dropped()
}

struct HostFiles;

impl Files for HostFiles {
    fn read(&self, path: &str) -> io::Result<Option<String>> {
        match std::fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(|bytes| Some(String::from_utf8_lossy(&bytes).into_owned())),
        }
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let names = std::fs::read_dir(directory).into_iter().flatten().flatten();
        names.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;

    struct Host;

    impl Files for Host {
        fn read(&self, path: &str) -> io::Result<Option<String>> {
            Ok(match path {
                "/lib/systemd/system/docker.service" => {
                    Some("[Service]\nExecStart=/usr/bin/dockerd --oom-score-adjust=-500 --config-file /etc/d.json\n".into())
                }
                "/etc/d.json" => Some(r#"{"graph": "/data"}"#.into()),
                _ => None,
            })
        }

        fn list(&self, _: &str) -> Vec<String> {
            Vec::new()
        }
    }

    fn coming(changes: &[(&str, &str)]) -> Simulation {
        let change = |(name, to): &(&str, &str)| Change {
            name: (*name).to_owned(),
            from: None,
            to: (*to).to_owned(),
            origin: String::new(),
        };
        Simulation { changes: changes.iter().map(change).collect(), ..Simulation::default() }
    }

    #[test]
    fn the_engine_that_comes_is_the_one_that_counts() {
        let simulation =
            coming(&[("docker-ce-cli", "5:29.0-1"), ("docker-ce:amd64", "5:28.0.4-1~debian.12")]);
        assert_eq!(version(&simulation), Some("5:28.0.4-1~debian.12"));
        assert_eq!(version(&coming(&[("containerd.io", "1.7.27"), ("vim", "9")])), None);
    }

    #[test]
    fn its_units_flags_and_its_own_file_are_held_against_it() {
        let dropped = dropped(&Host);
        let refused = |version: &str| against_engine(version, &dropped, Some("overlay2")).len();
        assert_eq!(
            [refused("20.10.24+dfsg1-1"), refused("5:23.0.6-1"), refused("5:25.0.5-1~debian.12")],
            [0, 1, 2]
        );
        let words = against_engine("5:25.0.5-1", &dropped, None)[0].to_string();
        assert!(
            words.contains("'graph' in /etc/d.json, gone from engine 23.0 on: say data-root instead"),
            "{words}"
        );
    }
}
