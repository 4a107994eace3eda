//! Services that are no jobs.

use super::needs::{RawPlatform, RawPort, RawRequirements};
use super::{named, null_is_empty, object};
use crate::error::SwarmError;
use careen_contract::label;
use careen_planner::ServiceId;
use careen_planner::observed::{Mode, Mount, MountKind, Needs, Platform, Plugin, Service, Task, TaskState};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    #[serde(rename = "ID")]
    id: String,
    spec: Spec,
    service_status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    name: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    task_template: Template,
    mode: BTreeMap<String, Value>,
    #[serde(default, deserialize_with = "null_is_empty")]
    endpoint_spec: EndpointSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct EndpointSpec {
    #[serde(deserialize_with = "null_is_empty")]
    ports: Vec<RawPort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Template {
    #[serde(default, deserialize_with = "null_is_empty")]
    container_spec: ContainerSpec,
    #[serde(default, deserialize_with = "null_is_empty")]
    placement: Placement,
    #[serde(default, deserialize_with = "null_is_empty")]
    resources: RawRequirements,
    #[serde(default, deserialize_with = "null_is_empty")]
    log_driver: DriverConfig,
}

/// Services of plugins and networks have none.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    #[serde(deserialize_with = "null_is_empty")]
    mounts: Vec<RawMount>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Placement {
    #[serde(deserialize_with = "null_is_empty")]
    constraints: Vec<String>,
    max_replicas: u64,
    #[serde(deserialize_with = "null_is_empty")]
    platforms: Vec<RawPlatform>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawMount {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    read_only: bool,
    #[serde(default, deserialize_with = "null_is_empty")]
    volume_options: VolumeOptions,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct VolumeOptions {
    #[serde(deserialize_with = "null_is_empty")]
    driver_config: DriverConfig,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DriverConfig {
    name: String,
    #[serde(deserialize_with = "null_is_empty")]
    options: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    desired_tasks: u64,
}

/// Reads an element of `GET /services?status=true`; `None` for a job. The tasks are all that Swarm wants to run.
///
/// How many run is counted here: `RunningTasks` counts those that are being stopped, and those of a node that is down.
pub fn service(value: &Value, tasks: &[Task]) -> Result<Option<Service>, SwarmError> {
    let raw: Raw = object("service", value)?;
    let Some(mode) = mode(&raw, value)? else { return Ok(None) };
    let id = ServiceId(raw.id);
    let wanted = || tasks.iter().filter(|task| task.service == id && task.wanted);
    let running = wanted().filter(|task| task.state == TaskState::Running).count() as u64;
    let replicas = value.pointer("/Spec/Mode/Replicated/Replicas").and_then(Value::as_u64);
    let desired = match (&raw.service_status, replicas) {
        (Some(status), _) => status.desired_tasks,
        (None, Some(replicas)) => replicas,
        (None, None) => wanted().count() as u64,
    };
    // What a controller mounts is its host's engine, and no data: it is as well off elsewhere.
    let is_ours = raw.spec.labels.get(label::ROLE).is_some_and(|role| role == label::role::CONTROLLER);
    let template = raw.spec.task_template;
    let needs = Needs {
        max_per_node: template.placement.max_replicas,
        platforms: template.placement.platforms.into_iter().map(Platform::from).collect(),
        reserved: template.resources.into(),
        ports: raw.spec.endpoint_spec.ports.into_iter().filter_map(RawPort::of_the_node).collect(),
        plugins: plugins(&template.container_spec.mounts, &template.log_driver),
    };
    let mounts = template.container_spec.mounts.into_iter().filter(|_| !is_ours);
    Ok(Some(Service {
        name: raw.spec.name,
        mode,
        desired,
        running,
        constraints: template.placement.constraints,
        needs,
        labels: raw.spec.labels,
        mounts: mounts.map(mount).collect(),
        id,
    }))
}

fn mode(raw: &Raw, value: &Value) -> Result<Option<Mode>, SwarmError> {
    let mode = |name: &str| raw.spec.mode.get(name).is_some_and(|mode| !mode.is_null());
    if mode("ReplicatedJob") || mode("GlobalJob") {
        Ok(None)
    } else if mode("Replicated") {
        Ok(Some(Mode::Replicated))
    } else if mode("Global") {
        Ok(Some(Mode::Global))
    } else {
        Err(SwarmError::corrupt(named("service", value), "it has no mode that is known"))
    }
}

/// The plugins without which Swarm does not place a task: those of its volumes and of its log.
fn plugins(mounts: &[RawMount], log: &DriverConfig) -> BTreeSet<Plugin> {
    let plugin = |kind: &str, name: &str| Plugin { kind: kind.to_owned(), name: name.to_owned() };
    let volumes = mounts.iter().filter(|mount| mount.kind == "volume");
    let volumes = volumes.map(|mount| mount.volume_options.driver_config.name.as_str());
    let volumes = volumes.filter(|name| !name.is_empty() && *name != "local");
    let log = Some(log.name.as_str()).filter(|name| !name.is_empty() && *name != "none");
    volumes.map(|name| plugin("Volume", name)).chain(log.map(|name| plugin("Log", name))).collect()
}

fn mount(raw: RawMount) -> Mount {
    let DriverConfig { name, options } = raw.volume_options.driver_config;
    let local = (name.is_empty() || name == "local") && options.is_empty();
    let kind = match raw.kind.as_str() {
        "bind" => MountKind::Bind,
        // A volume without a name is a new one for each task: there is nothing in it to be missed.
        "volume" if local && !raw.source.is_empty() => MountKind::LocalVolume,
        _ => MountKind::Elsewhere,
    };
    Mount { kind, source: raw.source, read_only: raw.read_only }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::NodeId;

    fn recorded() -> Vec<Value> {
        serde_json::from_str(include_str!("../../fixtures/services.json")).unwrap()
    }

    #[test]
    fn services_as_20_10_24_tells_them_and_jobs_are_none() {
        let read = |value| service(value, &[]).unwrap();
        let services: Vec<Service> = recorded().iter().filter_map(read).collect();
        let [web, every] = &services[..] else { panic!("{services:?}") };
        assert_eq!((web.name.as_str(), web.mode, web.desired), ("web", Mode::Replicated, 2));
        assert_eq!(web.constraints, ["node.labels.zone!=none"]);
        assert_eq!(web.labels, BTreeMap::from([("tier".into(), "front".into())]));
        let kinds: Vec<_> =
            web.mounts.iter().map(|one| (one.kind, one.source.as_str(), one.read_only)).collect();
        let expected = [
            (MountKind::LocalVolume, "data", false),
            (MountKind::Elsewhere, "nfs", false),
            (MountKind::Bind, "/etc", true),
            (MountKind::Elsewhere, "", false),
        ];
        assert_eq!(kinds, expected);
        assert_eq!((every.name.as_str(), every.mode, every.desired), ("every", Mode::Global, 2));
    }

    #[test]
    fn what_each_task_asks_of_its_node() {
        let mut value = recorded().remove(0);
        assert_eq!(service(&value, &[]).unwrap().unwrap().needs, Needs::default());
        let template = &mut value["Spec"]["TaskTemplate"];
        template["Placement"]["MaxReplicas"] = 2.into();
        template["Placement"]["Platforms"] =
            serde_json::json!([{ "Architecture": "amd64", "OS": "linux" }, {}]);
        template["Resources"]["Reservations"] = serde_json::json!({ "NanoCPUs": 500, "MemoryBytes": 64 });
        template["LogDriver"] =
            serde_json::json!({ "Name": "gelf", "Options": { "gelf-address": "udp://x:1" } });
        template["ContainerSpec"]["Mounts"][1]["VolumeOptions"]["DriverConfig"]["Name"] = "rexray".into();
        value["Spec"]["EndpointSpec"]["Ports"] = serde_json::json!([
            { "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host" },
            { "Protocol": "tcp", "TargetPort": 81, "PublishMode": "host" },
            { "Protocol": "udp", "TargetPort": 82, "PublishedPort": 82, "PublishMode": "ingress" },
        ]);
        let needs = service(&value, &[]).unwrap().unwrap().needs;
        assert_eq!((needs.max_per_node, needs.platforms.len()), (2, 2));
        assert_eq!((needs.reserved.nano_cpus, needs.reserved.memory), (500, 64));
        let plugin = |kind: &str, name: &str| Plugin { kind: kind.into(), name: name.into() };
        assert_eq!(needs.plugins, BTreeSet::from([plugin("Log", "gelf"), plugin("Volume", "rexray")]));
        let ports: Vec<u32> = needs.ports.iter().map(|port| port.port).collect();
        assert_eq!(ports, [8080], "one that Swarm chooses, and one of the mesh, are never taken");
    }

    #[test]
    fn a_controllers_socket_is_no_data_that_would_be_left_behind() {
        let mut value = recorded().remove(0);
        value["Spec"]["Labels"][label::ROLE] = label::role::CONTROLLER.into();
        assert!(service(&value, &[]).unwrap().unwrap().mounts.is_empty());
    }

    #[test]
    fn what_is_being_stopped_does_not_count_as_running() {
        let values = recorded();
        let task = |wanted, state| Task {
            id: "t".into(),
            service: ServiceId(values[0]["ID"].as_str().unwrap().into()),
            called: String::new(),
            job: false,
            node: Some(NodeId("w1".into())),
            state,
            wanted,
            reserved: careen_planner::observed::Resources::default(),
        };
        let tasks = [
            task(true, TaskState::Running),
            task(false, TaskState::Running),
            task(true, TaskState::Starting),
        ];
        assert_eq!(service(&values[0], &tasks).unwrap().unwrap().running, 1);
    }

    #[test]
    fn without_a_status_the_replicas_are_what_is_wanted() {
        let mut value = recorded().remove(0);
        value.as_object_mut().unwrap().remove("ServiceStatus");
        assert_eq!(service(&value, &[]).unwrap().unwrap().desired, 2);
        value["Spec"]["Mode"] = serde_json::json!({ "Cron": {} });
        let text = service(&value, &[]).unwrap_err().to_string();
        assert!(text.contains("the service web"), "{text}");
    }
}
