//! The engine's versions and its plain containers.

use crate::engine_process::running_as_installed;
use crate::tool::output;
use careen_contract::chain;
use careen_contract::label;
use careen_engine::{ApiPath, Engine};
use careen_host::facts::{
    EngineFacts, EngineVersions, PlainContainer, version_of_containerd, version_of_dockerd, version_of_runc,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// On every container of a Swarm task.
const TASK_LABEL: &str = "com.docker.swarm.task.id";
/// What `GET /version` tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
    components: Option<Vec<Component>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
    version: String,
}

/// One entry of `GET /containers/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    state: String,
    labels: Option<BTreeMap<String, String>>,
}

/// The versions of the engine that answers, and of that which is installed. `same_runc` are those of a time when runc was the very
/// file that it is now: it is not asked again.
pub fn versions(
    engine: Option<&Engine>,
    same_runc: Option<&EngineFacts>,
    notes: &mut Vec<String>,
) -> EngineFacts {
    let running = engine.and_then(|engine| match engine.get::<Version>(&ApiPath::version()) {
        Ok(version) => Some(of_api(&version)),
        Err(error) => {
            notes.push(chain(&error));
            None
        }
    });
    let running = running.unwrap_or_default();
    // To start dockerd and containerd just for their versions takes longer than all the rest. The file that runs and
    // answered need not be asked.
    let current = running_as_installed();
    let mut installed = |program: &str, running: &Option<String>, version_of: fn(&str) -> Option<String>| {
        if running.is_some() && current.contains(&program) {
            return running.clone();
        }
        output(program, &["--version"], notes).as_deref().and_then(version_of)
    };
    let runc = same_runc.and_then(|known| known.installed.runc.clone());
    let installed = EngineVersions {
        engine: installed("dockerd", &running.engine, version_of_dockerd),
        containerd: installed("containerd", &running.containerd, version_of_containerd),
        runc: runc.or_else(|| output("runc", &["--version"], notes).as_deref().and_then(version_of_runc)),
    };
    EngineFacts { running, installed }
}

fn of_api(version: &Version) -> EngineVersions {
    let components = version.components.iter().flatten();
    let components = components.map(|component| (component.name.as_str(), component.version.as_str()));
    EngineVersions::of_api(&version.version, components)
}

/// The containers that somebody started beside Swarm, by name.
pub fn plain_containers(
    engine: &Engine,
    agents: &BTreeSet<String>,
    notes: &mut Vec<String>,
) -> Option<Vec<PlainContainer>> {
    match engine.get::<Vec<Listed>>(&ApiPath::all_containers()) {
        Ok(listed) => Some(plain(listed, agents)),
        Err(error) => {
            notes.push(chain(&error));
            None
        }
    }
}

fn plain(listed: Vec<Listed>, agents: &BTreeSet<String>) -> Vec<PlainContainer> {
    let is_plain = |container: &Listed| {
        let mut labels = container.labels.iter().flatten().map(|(name, _)| name.as_str());
        !labels.any(|name| matches!(name, TASK_LABEL | label::HELPER)) && !agents.contains(&container.id)
    };
    let mut plain: Vec<_> = listed.into_iter().filter(is_plain).map(described).collect();
    plain.sort_by(|one, other| one.name.cmp(&other.name));
    plain
}

fn described(container: Listed) -> PlainContainer {
    // Links from other containers are names too (`/other/alias`); its own has no second slash.
    let names = container.names.unwrap_or_default();
    let mut names = names.iter().map(|name| name.trim_start_matches('/'));
    let name = names.find(|name| !name.contains('/')).unwrap_or(&container.id).to_owned();
    // A paused container is up; one that is being restarted failed.
    let running = matches!(container.state.as_str(), "running" | "paused");
    PlainContainer { name, image: container.image, running }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_containers_are_listed() {
        let json = r#"[
            {"Id":"1","Names":["/other/db","/web"],"Image":"nginx:1.27","State":"running","Labels":{"a":"b"}},
            {"Id":"2","Names":["/t.1.x"],"Image":"t","State":"running","Labels":{"com.docker.swarm.task.id":"x"}},
            {"Id":"3","Names":["/h"],"Image":"i","State":"running","Labels":{"careen.helper":"x"}},
            {"Id":"4","Names":["/agent"],"Image":"i","State":"running","Labels":null},
            {"Id":"5","Names":null,"Image":"sha256:aa","State":"exited"},
            {"Id":"6","Names":["/kept"],"Image":"p","State":"paused","Labels":{}}
        ]"#;
        let listed: Vec<Listed> = serde_json::from_str(json).unwrap();
        let containers = plain(listed, &BTreeSet::from(["4".to_owned()]));
        let said: Vec<_> =
            containers.iter().map(|one| (one.name.as_str(), one.image.as_str(), one.running)).collect();
        assert_eq!(said, [("5", "sha256:aa", false), ("kept", "p", true), ("web", "nginx:1.27", true)]);
    }

    #[test]
    fn a_runc_that_is_the_same_file_is_not_asked_again() {
        let known = EngineVersions { runc: Some("1.1.5-as-it-said".into()), ..EngineVersions::default() };
        let known = EngineFacts { installed: known, ..EngineFacts::default() };
        let version = |same: Option<&EngineFacts>| versions(None, same, &mut Vec::new()).installed.runc;
        assert_eq!(version(Some(&known)).as_deref(), Some("1.1.5-as-it-said"));
        assert_ne!(version(None).as_deref(), Some("1.1.5-as-it-said"));
        assert_eq!(version(Some(&EngineFacts::default())), version(None), "one that never said it is asked");
    }

    #[test]
    fn an_engine_tells_its_programs() {
        let json = r#"{"Version":"20.10.24+dfsg1","Components":[
            {"Name":"Engine","Version":"20.10.24+dfsg1","Details":{}},
            {"Name":"containerd","Version":"1.6.20~ds1"},{"Name":"runc","Version":"1.1.5+ds1"},
            {"Name":"docker-init","Version":"0.19.0"}]}"#;
        let versions = of_api(&serde_json::from_str(json).unwrap());
        let expected = [versions.engine, versions.containerd, versions.runc].map(Option::unwrap);
        assert_eq!(expected, ["20.10.24+dfsg1", "1.6.20~ds1", "1.1.5+ds1"]);
        let old: Version = serde_json::from_str(r#"{"Version":"1"}"#).unwrap();
        assert_eq!(of_api(&old).engine.as_deref(), Some("1"));
    }
}
