//! Small clusters for unit tests, here and in the crates that show what was decided.

use crate::enforcement::{DEFAULT_INTERVAL, Enforcement};
use crate::given::Given;
use crate::ids::{NodeId, RolloutId, ServiceId, Version};
use crate::observed::{
    Availability, Manager, Mode, Needs, Node, NodeStatus, Offers, Reachability, Resources, Role, Scale,
    Service, Task, TaskState,
};
use crate::spec::Spec;
use std::collections::BTreeMap;

/// A worker that is well, with its name as its id.
pub fn worker(name: &str) -> Node {
    Node {
        id: NodeId(name.into()),
        hostname: name.into(),
        version: Version(1),
        role: Role::Worker,
        availability: Availability::Active,
        status: NodeStatus::Ready,
        manager: None,
        engine: "26.1.5".into(),
        api: (1, 45),
        os: "linux".into(),
        arch: "x86_64".into(),
        labels: BTreeMap::new(),
        engine_labels: BTreeMap::new(),
        offers: Offers::default(),
        plain_containers: Vec::new(),
        plain_on_overlays: Vec::new(),
    }
}

/// A manager that is well, with its name as its id; `m1` leads.
pub fn manager(name: &str) -> Node {
    let manager = Manager { leader: name == "m1", reachability: Reachability::Reachable };
    Node { role: Role::Manager, manager: Some(manager), ..worker(name) }
}

/// The rollout id of the tests, `k3x9`.
pub fn rollout() -> RolloutId {
    RolloutId::parse("k3x9").unwrap_or_else(|_| unreachable!("a fixed text"))
}

/// A rollout with the defaults.
pub fn spec() -> Spec {
    Spec::run(rollout(), "registry.example/update@sha256:00")
}

/// A replicated service that runs as it should, with its name as its id.
pub fn service(name: &str, replicas: u64) -> Service {
    Service {
        id: ServiceId(name.into()),
        name: name.into(),
        mode: Mode::Replicated,
        desired: replicas,
        running: replicas,
        tally: None,
        scale: Some(Scale { version: Version(1), replicas, update: None }),
        constraints: Vec::new(),
        needs: Needs::default(),
        labels: BTreeMap::new(),
        mounts: Vec::new(),
    }
}

/// A task that runs.
pub fn task(service: &str, node: &str) -> Task {
    Task {
        id: format!("{service}.{node}"),
        service: ServiceId(service.into()),
        called: service.into(),
        job: false,
        node: Some(NodeId(node.into())),
        state: TaskState::Running,
        wanted: true,
        reserved: Resources::default(),
    }
}

/// An enforcement with the defaults.
pub fn enforcement() -> Enforcement {
    Enforcement {
        name: "sysctl".into(),
        version: "0a1b2c3d".into(),
        image: "registry.example/sysctl@sha256:00".into(),
        image_name: Some("registry.example/sysctl:1".into()),
        payload: None,
        args: Vec::new(),
        given: Given::default(),
        owns: vec!["/etc/sysctl.d/50-app.conf".into()],
        interval: DEFAULT_INTERVAL,
        constraints: Vec::new(),
        by: "root@m1".into(),
    }
}
