//! Services that are no jobs.

use super::needs::{RawPlatform, RawPort, RawRequirements};
use super::{Index, called, null_is_empty, object};
use crate::error::SwarmError;
use careen_contract::label;
use careen_planner::glance::Count;
use careen_planner::observed::{
    Mode, Mount, MountKind, Needs, Platform, Plugin, Scale, Service, Tally, UnfinishedUpdate,
};
use careen_planner::{ServiceId, Version};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    #[serde(rename = "ID")]
    id: String,
    version: Index,
    spec: Spec,
    service_status: Option<Status>,
    update_status: Option<UpdateStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    name: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    task_template: Template,
    mode: RawMode,
    #[serde(default, deserialize_with = "null_is_empty")]
    endpoint_spec: EndpointSpec,
}

/// One of these; Go writes those that are not as null, or leaves them out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawMode {
    replicated: Option<RawReplicated>,
    global: Option<IgnoredAny>,
    replicated_job: Option<IgnoredAny>,
    global_job: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawReplicated {
    replicas: Option<u64>,
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

/// Engines leave out the state of a service that was never updated.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateStatus {
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    running_tasks: u64,
    desired_tasks: u64,
}

/// A service without what its tasks tell of it.
#[derive(Debug)]
pub struct Uncounted {
    service: Service,
    /// How many tasks it should have, where the API says it.
    desired: Option<u64>,
}

impl Uncounted {
    /// With how many run. That is counted here: `RunningTasks` counts those that are being stopped, and those of a node that is
    /// down.
    pub fn counted(self, counts: &HashMap<&ServiceId, Count>) -> Service {
        let count = counts.get(&self.service.id).copied().unwrap_or_default();
        Service { running: count.running, desired: self.desired.unwrap_or(count.wanted), ..self.service }
    }

    /// Its id and its name.
    pub fn called(&self) -> (String, String) {
        (self.service.id.0.clone(), self.service.name.clone())
    }

    /// Whether it says that it is careen's.
    pub fn is_ours(&self) -> bool {
        self.service.labels.contains_key(label::ROLE)
    }

    /// As it is; `None` where the API does not say how many tasks it should have.
    pub fn uncounted(self) -> Option<Service> {
        let tally = self.service.tally?;
        Some(Service { desired: tally.desired, ..self.service })
    }
}

/// Reads an element of `GET /services?status=true`; `None` for a job.
pub fn service(json: &[u8]) -> Result<Option<Uncounted>, SwarmError> {
    let raw: Raw = object("service", json)?;
    let Some(mode) = mode(&raw.spec.mode, json)? else { return Ok(None) };
    let replicas = raw.spec.mode.replicated.and_then(|replicated| replicated.replicas);
    // What a controller mounts is its host's engine, and an enforcing agent the host: no data that it leaves behind.
    let roles = [label::role::CONTROLLER, label::role::ENFORCER];
    let is_ours = raw.spec.labels.get(label::ROLE).is_some_and(|role| roles.contains(&role.as_str()));
    let template = raw.spec.task_template;
    let needs = Needs {
        max_per_node: template.placement.max_replicas,
        platforms: template.placement.platforms.into_iter().map(Platform::from).collect(),
        reserved: template.resources.into(),
        ports: raw.spec.endpoint_spec.ports.into_iter().filter_map(RawPort::of_the_node).collect(),
        plugins: plugins(&template.container_spec.mounts, &template.log_driver),
    };
    let mounts = template.container_spec.mounts.into_iter().filter(|_| !is_ours);
    let version = Version(raw.version.index);
    let update = raw.update_status.as_ref().and_then(unfinished);
    let tally = |told: &Status| Tally { version, running: told.running_tasks, desired: told.desired_tasks };
    let service = Service {
        id: ServiceId(raw.id),
        name: raw.spec.name,
        mode,
        desired: 0,
        running: 0,
        tally: raw.service_status.as_ref().map(tally),
        scale: replicas.map(|replicas| Scale { version, replicas, update }),
        constraints: template.placement.constraints,
        needs,
        labels: raw.spec.labels,
        mounts: mounts.map(mount).collect(),
    };
    Ok(Some(Uncounted {
        service,
        desired: raw.service_status.map(|status| status.desired_tasks).or(replicas),
    }))
}

/// How far an update is that is not through. What is not known is taken for one.
fn unfinished(UpdateStatus { state }: &UpdateStatus) -> Option<UnfinishedUpdate> {
    match state.as_str() {
        "" | "completed" | "rollback_completed" => None,
        "paused" => Some(UnfinishedUpdate::Paused),
        "rollback_started" => Some(UnfinishedUpdate::RollingBack),
        "rollback_paused" => Some(UnfinishedUpdate::RollbackPaused),
        _ => Some(UnfinishedUpdate::UnderWay),
    }
}

fn mode(mode: &RawMode, json: &[u8]) -> Result<Option<Mode>, SwarmError> {
    if mode.replicated_job.is_some() || mode.global_job.is_some() {
        Ok(None)
    } else if mode.replicated.is_some() {
        Ok(Some(Mode::Replicated))
    } else if mode.global.is_some() {
        Ok(Some(Mode::Global))
    } else {
        Err(SwarmError::corrupt(called("service", json), "it has no mode that is known"))
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
    use crate::decode::json;
    use careen_planner::NodeId;
    use careen_planner::glance::counts;
    use careen_planner::observed::{Task, TaskState};
    use serde_json::Value;

    fn recorded() -> Vec<Value> {
        serde_json::from_str(include_str!("../../fixtures/services.json")).unwrap()
    }

    fn read(value: &Value, tasks: &[Task]) -> Result<Option<Service>, SwarmError> {
        Ok(service(&json(value))?.map(|found| found.counted(&counts(&[], tasks.iter()))))
    }

    #[test]
    fn services_as_20_10_24_tells_them_and_jobs_are_none() {
        let services: Vec<Service> =
            recorded().iter().filter_map(|value| read(value, &[]).unwrap()).collect();
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
        assert_eq!(read(&value, &[]).unwrap().unwrap().needs, Needs::default());
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
        let needs = read(&value, &[]).unwrap().unwrap().needs;
        assert_eq!((needs.max_per_node, needs.platforms.len()), (2, 2));
        assert_eq!((needs.reserved.nano_cpus, needs.reserved.memory), (500, 64));
        let plugin = |kind: &str, name: &str| Plugin { kind: kind.into(), name: name.into() };
        assert_eq!(needs.plugins, BTreeSet::from([plugin("Log", "gelf"), plugin("Volume", "rexray")]));
        let ports: Vec<u32> = needs.ports.iter().map(|port| port.port).collect();
        assert_eq!(ports, [8080], "one that Swarm chooses, and one of the mesh, are never taken");
    }

    #[test]
    fn what_a_service_is_scaled_to_and_whether_that_can_be_changed_now() {
        let mut value = recorded().remove(0);
        let scale = |value: &Value| read(value, &[]).unwrap().unwrap().scale.unwrap();
        let version = Version(value["Version"]["Index"].as_u64().unwrap());
        assert_eq!(scale(&value), Scale { version, replicas: 2, update: None });
        let table = [
            ("completed", None),
            ("rollback_completed", None),
            ("updating", Some(UnfinishedUpdate::UnderWay)),
            ("paused", Some(UnfinishedUpdate::Paused)),
            ("rollback_started", Some(UnfinishedUpdate::RollingBack)),
            ("rollback_paused", Some(UnfinishedUpdate::RollbackPaused)),
            ("of a newer engine", Some(UnfinishedUpdate::UnderWay)),
        ];
        for (state, update) in table {
            value["UpdateStatus"] =
                serde_json::json!({ "State": state, "StartedAt": "2026-11-23T02:00:00Z" });
            assert_eq!(scale(&value).update, update, "{state}");
        }
        assert_eq!(read(&recorded()[1], &[]).unwrap().unwrap().scale, None, "a global one");
    }

    #[test]
    fn a_controllers_socket_is_no_data_that_would_be_left_behind() {
        let mut value = recorded().remove(0);
        value["Spec"]["Labels"][label::ROLE] = label::role::CONTROLLER.into();
        assert!(read(&value, &[]).unwrap().unwrap().mounts.is_empty());
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
        assert_eq!(read(&values[0], &tasks).unwrap().unwrap().running, 1);
    }

    #[test]
    fn what_swarm_counts_itself_is_known_before_the_tasks_are() {
        let mut value = recorded().remove(1);
        let every = service(&json(&value)).unwrap().unwrap().uncounted().unwrap();
        let version = Version(value["Version"]["Index"].as_u64().unwrap());
        assert_eq!(every.tally, Some(Tally { version, running: 2, desired: 2 }));
        assert_eq!((every.running, every.desired), (0, 2));
        value.as_object_mut().unwrap().remove("ServiceStatus");
        assert!(service(&json(&value)).unwrap().unwrap().uncounted().is_none());
    }

    #[test]
    fn without_a_status_the_replicas_are_what_is_wanted() {
        let mut value = recorded().remove(0);
        value.as_object_mut().unwrap().remove("ServiceStatus");
        assert_eq!(read(&value, &[]).unwrap().unwrap().desired, 2);
        value["Spec"]["Mode"] = serde_json::json!({ "Cron": {} });
        let text = read(&value, &[]).unwrap_err().to_string();
        assert!(text.contains("the service web"), "{text}");
    }
}
