//! The controller's own place in the swarm: a service that Swarm can place on any manager, or a plain container on one
//! manager where there is no other that could take it.

use crate::api::Swarm;
use crate::encode;
use crate::error::SwarmError;
use crate::names::REGISTRY_FILE;
use crate::rollouts::RequestError;
use careen_contract::label;
use careen_contract::variable;
use careen_engine::{ApiPath, EngineError, Kind, Meaning, RegistryAuth, tar};
use careen_planner::cluster::ActError;
use careen_planner::observed::{Availability, ControllerPlace, Node};
use careen_planner::plan::CONTROLLER;
use careen_planner::{GivenFile, NodeId, RolloutId, Spec};
use serde::Serialize;
use serde_json::{Value, json};

/// Where managers' engines listen, on the host and in the controller's container.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/docker.sock"];

/// Where a controller runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Home {
    /// A service: it moves away before its node's turn.
    Service,
    /// A container beside the swarm, on the manager that was asked: a drain does not touch it, and it comes back with its
    /// engine.
    Container,
}

impl Swarm {
    /// Makes sure that a controller is there for this rollout, and says where. One that is there is left alone. The
    /// first credentials are for the registry of the payload's image, which it hands on; the others for that of its own.
    pub fn start_controller(
        &self,
        id: &RolloutId,
        auth: Option<&RegistryAuth>,
        to_pull: Option<&RegistryAuth>,
    ) -> Result<Home, RequestError> {
        let rollout = self.rollout(id)?.ok_or_else(|| RequestError::Unknown { rollout: id.clone() })?;
        if let Some(home) = self.find_controller(id)? {
            return Ok(home);
        }
        let nodes = self.nodes()?;
        let image = rollout.spec.image_of_controller();
        let home = home(&nodes, &rollout.spec);
        match home {
            Home::Service => {
                let secret = self.registry_secret(id, auth)?;
                let spec = service(id, image, secret.as_ref());
                let created = self.engine().create_object(Kind::Services, &spec, to_pull);
                exists_or(created.map(drop))?;
            }
            Home::Container => self.start_container(id, image, auth, to_pull)?,
        }
        Ok(home)
    }

    /// Takes the controller away, which may be the caller's own process, and its credentials with it. What is gone is
    /// gone.
    ///
    /// The credentials go behind the service that has them: a process whose service is removed has its grace period. A
    /// container that is removed has none, so it is the last.
    pub fn remove_controller(&self, id: &RolloutId) -> Result<(), SwarmError> {
        let name = name(id);
        self.engine().remove_object_if_there(Kind::Services, &name)?;
        self.remove_registry_secret(id)?;
        Ok(self.engine().remove_container_if_there(&name)?)
    }

    fn find_controller(&self, id: &RolloutId) -> Result<Option<Home>, SwarmError> {
        if self.find(Kind::Services, &name(id))?.is_some() {
            return Ok(Some(Home::Service));
        }
        match self.engine().find::<Value>(&ApiPath::container(&name(id)))? {
            Some(container) if container.pointer("/State/Running") == Some(&Value::Bool(true)) => {
                Ok(Some(Home::Container))
            }
            Some(_) => {
                self.engine().remove_container(&name(id))?;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn start_container(
        &self,
        id: &RolloutId,
        image: &str,
        auth: Option<&RegistryAuth>,
        to_pull: Option<&RegistryAuth>,
    ) -> Result<(), RequestError> {
        let create = || self.engine().create_named_container(&name(id), &container(id, image));
        let mut created = create();
        if created.as_ref().is_err_and(EngineError::is_not_found) && image.contains('@') {
            // Swarm pulls for services; for a container somebody has to ask.
            self.engine().pull(image, to_pull).map_err(SwarmError::from)?;
            created = create();
        }
        match created {
            Ok(_) => {}
            Err(error) if error.is_not_found() && !image.contains('@') => {
                let why = format!(
                    "this engine does not have the image {image}: give the command on the manager on which the rollout was \
                     started, or bring the image here ('docker load')"
                );
                return Err(RequestError::Write { object: name(id), why: ActError::Refused { why } });
            }
            error => return exists_or(error.map(drop)),
        }
        if let Some(auth) = auth {
            let archive = tar::file(REGISTRY_FILE, 0o400, auth.header().as_bytes());
            self.engine().put_archive(&name(id), &archive).map_err(SwarmError::from)?;
        }
        self.engine().start_container(&name(id)).map_err(|error| SwarmError::from(error).into())
    }
}

/// Where this rollout's controller would be if it were started over this manager's engine now. `None` where Swarm chooses among
/// managers.
pub fn place_of_a_new_one(nodes: &[Node], here: &NodeId, spec: &Spec) -> Option<ControllerPlace> {
    match home(nodes, spec) {
        Home::Service => None,
        Home::Container => Some(ControllerPlace { node: here.clone(), movable: false }),
    }
}

/// Another controller that was started at the same moment is as good.
fn exists_or(created: Result<(), EngineError>) -> Result<(), RequestError> {
    match created {
        Err(error) if error.meaning() == Meaning::Exists => Ok(()),
        created => created.map_err(|error| SwarmError::from(error).into()),
    }
}

/// A service needs a second manager to go to while the first is in maintenance, and its image there.
fn home(nodes: &[Node], spec: &Spec) -> Home {
    let takes =
        |node: &&Node| node.is_manager() && node.is_ready() && node.availability == Availability::Active;
    if spec.controller_may_move() && nodes.iter().filter(takes).count() >= 2 {
        Home::Service
    } else {
        Home::Container
    }
}

/// What the controller of a rollout is called, service or container.
pub fn name(id: &RolloutId) -> String {
    format!("careen-controller-{id}")
}

fn labels(id: &RolloutId) -> Value {
    json!({ label::ROLLOUT: id.as_str(), label::ROLE: label::role::CONTROLLER })
}

/// Whatever user the payload's image has: the manager's engine is root's to use.
const ROOT: &str = "0:0";

fn service(id: &RolloutId, image: &str, secret: Option<&GivenFile>) -> Value {
    let mut own = labels(id);
    // It is none of the services that nodes are taken care for: one that is frozen or cannot start would hold up whoever
    // goes on in its place.
    own[label::SETTLE] = "ignore".into();
    let mut service = json!({
        "Name": name(id),
        "Labels": own,
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": image,
                "User": ROOT,
                "Command": [CONTROLLER, id.as_str()],
                "Env": [format!("{}=1", variable::CONTROLLER_MOVABLE)],
                "Mounts": [{ "Type": "bind", "Source": SOCKETS[0], "Target": SOCKETS[1] }],
                "Labels": labels(id),
            },
            "RestartPolicy": { "Condition": "any", "Delay": 2_000_000_000_u64 },
            "Placement": { "Constraints": ["node.role==manager"] },
            "LogDriver": { "Name": "json-file", "Options": { "max-size": "10m", "max-file": "2" } },
        },
        "Mode": { "Replicated": { "Replicas": 1 } },
    });
    if let Some(secret) = secret {
        service["TaskTemplate"]["ContainerSpec"]["Secrets"] = encode::references("Secret", &[secret]);
    }
    service
}

fn container(id: &RolloutId, image: &str) -> Value {
    json!({
        "Image": image,
        "User": ROOT,
        "Entrypoint": [CONTROLLER, id.as_str()],
        "Cmd": [],
        "Labels": labels(id),
        "HostConfig": {
            "Binds": [format!("{}:{}", SOCKETS[0], SOCKETS[1])],
            "RestartPolicy": { "Name": "always" },
            "LogConfig": { "Type": "json-file", "Config": { "max-size": "10m", "max-file": "2" } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn a_service_needs_two_managers_that_take_it() {
        let values: Vec<Value> = serde_json::from_str(include_str!("../fixtures/nodes.json")).unwrap();
        let manager = values
            .iter()
            .map(|value| decode::node(&decode::json(value)).unwrap())
            .find(Node::is_manager)
            .unwrap();
        let spec = Spec::run(RolloutId::parse("k3x9").unwrap(), "update@sha256:11");
        let home = |nodes: &[Node]| super::home(nodes, &spec);
        assert_eq!(home(std::slice::from_ref(&manager)), Home::Container);
        assert_eq!(home(&[manager.clone(), manager.clone()]), Home::Service);
        let own = |image: &str| Spec { controller_image: Some(image.to_owned()), ..spec.clone() };
        let two = [manager.clone(), manager.clone()];
        assert_eq!(super::home(&two, &own("r.example/careen@sha256:22")), Home::Service);
        assert_eq!(
            super::home(&two, &own("sha256:22")),
            Home::Container,
            "who knows whether the other has it"
        );
        let drained = Node { availability: Availability::Drain, ..manager.clone() };
        assert_eq!(home(&[manager.clone(), drained.clone()]), Home::Container);
        let place = place_of_a_new_one(&[manager.clone(), drained], &manager.id, &spec).unwrap();
        assert_eq!((place.node, place.movable), (manager.id, false));
    }

    #[test]
    fn both_homes_run_the_same_program_over_the_managers_socket() {
        let id = RolloutId::parse("k3x9").unwrap();
        let command = json!(["/careen-controller", "k3x9"]);
        let service = service(&id, "update:1", None);
        assert_eq!(service["TaskTemplate"]["ContainerSpec"]["Command"], command);
        let container = container(&id, "update:1");
        assert_eq!(container["Entrypoint"], command);
        assert_eq!(
            (&service["TaskTemplate"]["ContainerSpec"]["User"], &container["User"]),
            (&json!("0:0"), &json!("0:0"))
        );
        assert_eq!(container["HostConfig"]["Binds"][0], "/var/run/docker.sock:/run/docker.sock");
        assert_eq!(service["Labels"][label::ROLE], label::role::CONTROLLER);
        assert_eq!(
            service["Labels"]["careen.settle"], "ignore",
            "a rollout does not wait for its controller"
        );
    }
}
