//! An enforcement of which a rollout brings a new version: what is seen of it, and its steps as requests. What comes next is decided
//! in [`careen_planner::moves`]. A controller takes the steps, and an operator's command where no rollout goes on.

use crate::api::{LabelChange, Swarm, version_of};
use crate::decode;
use crate::encode;
use crate::enforcements::state_text;
use crate::error::{SwarmError, refusal};
use crate::names;
use careen_contract::label;
use careen_engine::{EngineError, Kind, Meaning, RegistryAuth};
use careen_planner::Version;
use careen_planner::cluster::ActError;
use careen_planner::moves::{EnforcerSeen, MoveStep, Moves, Moving, StateSeen, VersionSeen};
use serde_json::Value;
use std::collections::BTreeMap;

impl Swarm {
    /// What is seen of both versions. A config that cannot be understood is an error: nobody knows how far the update is.
    pub fn moving(&self, moves: &Moves) -> Result<Moving, SwarmError> {
        let seen = |version: &str| self.version_seen(&moves.enforcement, version);
        Ok(Moving { from: seen(&moves.from)?, to: seen(&moves.to)? })
    }

    fn version_seen(&self, name: &str, version: &str) -> Result<VersionSeen, SwarmError> {
        let config = self.config(&names::enforcement(name, version))?;
        let config = config.map(|(_, config)| {
            let (_, state) = decode::enforcement(&config)?;
            Ok::<_, SwarmError>(StateSeen { at: config.version, state })
        });
        let service = self.find(Kind::Services, &names::enforcer(name, version))?;
        let service = service.map(|raw| EnforcerSeen {
            at: Version(version_of(&raw)),
            constraints: encode::constraints(&raw["Spec"]),
        });
        Ok(VersionSeen { config: config.transpose()?, service })
    }

    /// Takes one step. It is refused when the object is not what it was.
    pub fn take_move_step(
        &self,
        moves: &Moves,
        step: &MoveStep,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), ActError> {
        let config = |of: &String| names::enforcement(&moves.enforcement, of);
        let service = |of: &String| names::enforcer(&moves.enforcement, of);
        match step {
            MoveStep::Say { of, at, state } => {
                let raw = self.unchanged(Kind::Configs, &config(of), *at)?;
                let change = LabelChange::from([(label::ENFORCEMENT.to_owned(), Some(state_text(state)?))]);
                self.label_config(&raw, &change).map_err(said)
            }
            MoveStep::Constrain { of, at, constraint, present } => {
                let raw = self.unchanged(Kind::Services, &service(of), *at)?;
                let spec = encode::constrained(&raw["Spec"], constraint, *present);
                self.update(Kind::Services, &raw, &spec).map_err(said)
            }
            MoveStep::CreateService { of, constraint } => {
                let (_, stored) = self.config(&config(of))?.ok_or(ActError::Gone)?;
                let (spec, state) = decode::enforcement(&stored)?;
                let service = encode::constrained(&encode::enforcer(&spec, &state), constraint, true);
                self.engine().create_object(Kind::Services, &service, auth).map(drop).map_err(said)
            }
            MoveStep::RemoveService { of, at } => {
                let raw = self.unchanged(Kind::Services, &service(of), *at)?;
                let id = raw["ID"].as_str().unwrap_or_default();
                self.engine().remove_object(Kind::Services, id).map_err(said)
            }
            MoveStep::RemoveConfig { of, at } => {
                self.unchanged(Kind::Configs, &config(of), *at)?;
                self.remove_version(&moves.enforcement, of)
            }
            MoveStep::Unlabel { node, at } => {
                let raw = self.unchanged(Kind::Nodes, &node.0, *at)?;
                let labels = BTreeMap::from([(moves.label(), None)]);
                self.update(Kind::Nodes, &raw, &encode::node_spec(&raw["Spec"], &labels, None)).map_err(said)
            }
        }
    }

    /// Its files first. The job of a rollout's agent on a node that is down may still refer to one; nobody waits for that.
    fn remove_version(&self, name: &str, version: &str) -> Result<(), ActError> {
        let own = names::enforcement(name, version);
        let mut all = self.any_configs(&[&own])?;
        all.retain(|config| {
            names::of_enforcement(&config.name).is_some_and(|(of, at, _)| (of, at) == (name, version))
        });
        all.sort_by_key(|config| config.name == own);
        for config in all {
            match self.remove_config(&config.id) {
                Err(error) if config.name != own && error.meaning() == Meaning::InUse => {}
                answer => answer.map_err(said)?,
            }
        }
        Ok(())
    }

    /// An object as it is stored, if it still has this version.
    pub(crate) fn unchanged(&self, kind: Kind, name: &str, at: Version) -> Result<Value, ActError> {
        let raw = self.raw(kind, name).map_err(said)?;
        if version_of(&raw) == at.0 { Ok(raw) } else { Err(ActError::Conflict) }
    }
}

fn said(error: EngineError) -> ActError {
    refusal(&error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::testing::{enforcement, rollout};
    use careen_planner::{EnforcementState, NodeId};
    use serde_json::json;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::mpsc::{Receiver, Sender, channel};

    const NEW: &str = "11112222";

    fn moves() -> Moves {
        let of = enforcement();
        Moves { enforcement: of.name, from: of.version, to: NEW.into() }
    }

    /// A manager whose store has these objects, by the end of their path; all that is written to it goes to the sender.
    fn manager(objects: Vec<(String, Value)>) -> (tempfile::TempDir, Swarm, Receiver<(String, String)>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (written, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                answer(stream, &objects, &written);
            }
        });
        let swarm = Swarm::connect_to(&socket).unwrap();
        (dir, swarm, told)
    }

    fn answer(mut stream: UnixStream, objects: &[(String, Value)], written: &Sender<(String, String)>) {
        let (first, body) = careen_testing::request(&mut stream);
        let words: Vec<&str> = first.split(' ').collect();
        let (method, path) = (words[0], words[1].split('?').next().unwrap_or_default());
        let object = objects.iter().find(|(name, _)| path.ends_with(&format!("/{name}")));
        let (status, body_back) = match (method, path.ends_with("/_ping"), object) {
            (_, true, _) => ("200 OK", json!("OK")),
            ("GET", _, Some((_, object))) => ("200 OK", object.clone()),
            ("GET", _, None) => ("404 Not Found", json!({ "message": "no such object" })),
            _ => {
                written.send((first.clone(), String::from_utf8(body).unwrap())).unwrap();
                ("201 Created", json!({ "ID": "x9" }))
            }
        };
        careen_testing::answer(stream, status, body_back.to_string().as_bytes());
    }

    fn stored(version: u64, spec: &Value) -> Value {
        json!({ "ID": "x1", "Version": { "Index": version }, "CreatedAt": "2026-11-27T00:00:00Z", "Spec": spec })
    }

    fn config(version: &str, state: &EnforcementState) -> (String, Value) {
        let spec = careen_planner::Enforcement { version: version.into(), ..enforcement() };
        let name = names::enforcement(&spec.name, version);
        let labels = BTreeMap::from([(label::ENFORCEMENT.to_owned(), state_text(state).unwrap())]);
        let data = serde_json::to_vec(&spec).unwrap();
        (name.clone(), stored(7, &encode::config_spec(&name, &labels, &data)))
    }

    fn service(version: &str, state: &EnforcementState) -> (String, Value) {
        let spec = careen_planner::Enforcement { version: version.into(), ..enforcement() };
        let mut service = encode::enforcer(&spec, state);
        service["Later"] = json!([1]);
        (names::enforcer(&spec.name, version), stored(8, &service))
    }

    fn coming() -> EnforcementState {
        EnforcementState::Coming { from: moves().from, rollout: rollout() }
    }

    #[test]
    fn what_lies_there_is_seen_with_its_versions_and_what_does_not_is_not() {
        let running = EnforcementState::Running {};
        let old = moves().from;
        let objects = vec![config(&old, &running), service(&old, &running), config(NEW, &coming())];
        let (_dir, swarm, _told) = manager(objects);
        let seen = swarm.moving(&moves()).unwrap();
        assert_eq!(seen.from.config, Some(StateSeen { at: Version(7), state: running }));
        assert_eq!(seen.from.service.map(|service| service.at), Some(Version(8)));
        assert_eq!(seen.to.config, Some(StateSeen { at: Version(7), state: coming() }));
        assert_eq!(seen.to.service, None);
    }

    #[test]
    fn a_step_writes_what_was_read_with_its_one_change_and_only_that_version() {
        let running = EnforcementState::Running {};
        let old = moves().from;
        let (_dir, swarm, told) = manager(vec![service(&old, &running), config(NEW, &coming())]);
        let constrain = |at| MoveStep::Constrain {
            of: old.clone(),
            at: Version(at),
            constraint: moves().not_new(),
            present: true,
        };
        assert_eq!(swarm.take_move_step(&moves(), &constrain(7), None), Err(ActError::Conflict));
        swarm.take_move_step(&moves(), &constrain(8), None).unwrap();
        let (request, body) = told.try_recv().unwrap();
        assert!(request.contains("/services/x1/update?version=8"), "{request}");
        let written: Value = serde_json::from_str(&body).unwrap();
        let before = service(&old, &running).1["Spec"].clone();
        assert_eq!(written, encode::constrained(&before, &moves().not_new(), true));
        assert_eq!(written["Later"], json!([1]), "what this version does not know");

        let create = MoveStep::CreateService { of: NEW.into(), constraint: moves().only_new() };
        swarm.take_move_step(&moves(), &create, None).unwrap();
        let (request, body) = told.try_recv().unwrap();
        assert!(request.contains("POST") && request.contains("/services/create"), "{request}");
        let created: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(encode::constraints(&created).last(), Some(&moves().only_new()));
        assert_eq!(created["Name"], names::enforcer("sysctl", NEW));

        let unlabel = MoveStep::Unlabel { node: NodeId("gone".into()), at: Version(1) };
        assert_eq!(swarm.take_move_step(&moves(), &unlabel, None), Err(ActError::Gone));
        assert!(told.try_recv().is_err(), "nothing else is written");
    }

    #[test]
    fn a_service_whose_config_is_gone_is_not_created() {
        let (_dir, swarm, told) = manager(Vec::new());
        let create = MoveStep::CreateService { of: NEW.into(), constraint: moves().only_new() };
        assert_eq!(swarm.take_move_step(&moves(), &create, None), Err(ActError::Gone));
        assert!(told.try_recv().is_err());
    }
}
