//! Tasks.

use super::needs::RawRequirements;
use super::{null_is_empty, object};
use crate::error::SwarmError;
use careen_planner::observed::{Task, TaskState};
use careen_planner::{NodeId, ServiceId};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// A task as the API tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RawTask {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// When it was created, so that the newest of a service is known.
    #[serde(default)]
    pub created_at: String,
    /// When the managers wrote it last: by the same clock.
    #[serde(default)]
    pub updated_at: String,
    /// Its place among the tasks of a replicated service: one task takes the place of the other.
    #[serde(default)]
    pub slot: u64,
    /// Its service.
    #[serde(rename = "ServiceID", default)]
    pub service: String,
    /// Its node; empty when it is not placed.
    #[serde(rename = "NodeID", default)]
    pub node: String,
    /// How far it is.
    status: Status,
    /// What Swarm wants it to be.
    #[serde(deserialize_with = "word")]
    desired_state: Word,
    /// Only tasks of jobs have one.
    job_iteration: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "null_is_empty")]
    spec: Spec,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    #[serde(deserialize_with = "word")]
    state: Word,
    #[serde(default)]
    err: String,
    #[serde(default)]
    message: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    container_status: ContainerStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    container: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Spec {
    #[serde(deserialize_with = "null_is_empty")]
    container_spec: ContainerSpec,
    #[serde(deserialize_with = "null_is_empty")]
    resources: RawRequirements,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    #[serde(rename = "TTY")]
    tty: bool,
    image: String,
}

/// A task that takes the place of another is of the same service and has its slot; of a global service, its node.
type Place<'a> = (&'a str, u64, &'a str);

/// What an engine says of a task whose container it removed as it stopped. Of one that it finds again it tells the exit code.
const NO_CONTAINER: &str = "No such container";

/// One of Swarm's words for how far a task is. Each of tens of thousands of tasks has two: those that are known are nowhere twice.
type Word = Cow<'static, str>;

const WORDS: [&str; 15] = [
    "new",
    "pending",
    "allocated",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
    "complete",
    "failed",
    "orphaned",
    "rejected",
    "shutdown",
    "remove",
];

fn word<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    struct Known;
    impl serde::de::Visitor<'_> for Known {
        type Value = Word;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Word, E> {
            let known = WORDS.iter().find(|word| **word == text);
            Ok(known.map_or_else(|| Word::Owned(text.to_owned()), |word| Word::Borrowed(word)))
        }
    }
    deserializer.deserialize_str(Known)
}

impl RawTask {
    /// Whether its container has a terminal, and its log no frames.
    pub fn has_terminal(&self) -> bool {
        self.spec.container_spec.tty
    }

    /// How far it is.
    pub fn state(&self) -> Result<TaskState, SwarmError> {
        Ok(match self.status.state.as_ref() {
            "new" | "pending" | "allocated" => TaskState::Pending,
            "assigned" | "accepted" | "preparing" | "ready" | "starting" => TaskState::Starting,
            "running" => TaskState::Running,
            "complete" => TaskState::Complete,
            // An orphan is a task of a node that has been down for a day.
            "failed" | "orphaned" => TaskState::Failed,
            "rejected" => TaskState::Rejected,
            "shutdown" | "remove" => TaskState::Shutdown,
            other => {
                let why = format!("its state is '{other}'");
                return Err(SwarmError::corrupt(format!("the task {}", self.id), why));
            }
        })
    }

    /// Swarm's word for how far it is.
    pub fn word(&self) -> &str {
        &self.status.state
    }

    /// Whether it ever had a container, so that there may be a log.
    pub fn had_container(&self) -> bool {
        !self.status.container_status.container.is_empty()
    }

    /// Whether its engine, when it started again, had no container of it any more: it had stopped in good order.
    pub fn was_swept(&self) -> bool {
        self.status.state == "failed" && self.status.err.contains(NO_CONTAINER)
    }

    /// Why its node refuses it, in the words of the node's engine.
    pub fn refusal(&self) -> Option<&str> {
        (self.status.state == "rejected").then(|| self.trouble()).flatten()
    }

    /// What keeps it from running: Swarm's words for one that has no place, its node's engine's for one that was refused or
    /// ended otherwise than it should. One that is on its way, runs, or was told to stop has none.
    pub fn trouble(&self) -> Option<&str> {
        let Status { state, err, message, .. } = &self.status;
        let said = [err.as_str(), message].into_iter().map(str::trim).find(|text| !text.is_empty());
        match state.as_ref() {
            "rejected" | "failed" | "orphaned" => said,
            // The message of one that waits is 'pending task scheduling', which says nothing.
            _ => Some(err.trim()).filter(|err| !err.is_empty()),
        }
    }

    /// When it was created, by the leader's clock.
    pub fn created(&self) -> Option<Timestamp> {
        self.created_at.parse().ok()
    }

    /// [`RawTask::trouble`], with how far it came and where.
    fn told_trouble(&self) -> String {
        let on = if self.node.is_empty() { String::new() } else { format!(" on {}", self.node) };
        format!("{}{on}: {}", self.word(), self.trouble().unwrap_or_default())
    }

    /// Whether Swarm wants it to run. Tasks of jobs are wanted to be complete.
    pub fn is_wanted(&self) -> bool {
        !matches!(self.desired_state.as_ref(), "shutdown" | "remove" | "failed" | "rejected" | "orphaned")
    }

    /// Whether it runs, or has run to its end.
    fn is_there(&self) -> bool {
        matches!(self.status.state.as_ref(), "running" | "complete")
    }

    fn place(&self) -> Place<'_> {
        (&self.service, self.slot, if self.slot == 0 { &self.node } else { "" })
    }

    /// As the planner wants to know it; the names are those of all services, jobs among them.
    pub fn planned(self, names: &HashMap<String, String>) -> Result<Task, SwarmError> {
        let (state, wanted) = (self.state()?, self.is_wanted());
        // Tasks of a service that was removed go on for a while.
        let image = &self.spec.container_spec.image;
        let removed = || format!("a task of a removed service ({image})");
        Ok(Task {
            called: names.get(&self.service).cloned().unwrap_or_else(removed),
            id: self.id,
            service: ServiceId(self.service),
            job: self.job_iteration.is_some(),
            node: (!self.node.is_empty()).then_some(NodeId(self.node)),
            state,
            wanted,
            reserved: self.spec.resources.into(),
        })
    }

    /// Without what nobody asks of one that is as it should be: there are tens of thousands.
    fn slim(mut self) -> Self {
        let image = &mut self.spec.container_spec.image;
        image.truncate(image.find('@').unwrap_or(image.len()));
        image.shrink_to_fit();
        if self.is_there() {
            self.status.message = String::new();
        }
        self
    }
}

/// The tasks of the places where one that Swarm wants does not run: all others are in no trouble, and there are tens of thousands.
pub fn in_question<'a>(tasks: impl Iterator<Item = &'a RawTask> + Clone) -> Vec<RawTask> {
    let waits = |task: &&RawTask| task.is_wanted() && !task.is_there();
    let places: HashSet<Place<'_>> = tasks.clone().filter(waits).map(RawTask::place).collect();
    tasks.filter(|task| places.contains(&task.place())).cloned().collect()
}

/// What keeps tasks from running that should, by the id of their service: of several of one service the newest trouble. The tasks
/// are those that Swarm wants, and those that it gave up in their place.
pub fn troubles<'a>(tasks: impl Iterator<Item = &'a RawTask>) -> BTreeMap<&'a str, String> {
    let mut places: BTreeMap<Place<'_>, Vec<&RawTask>> = BTreeMap::new();
    for task in tasks {
        places.entry(task.place()).or_default().push(task);
    }
    let mut newest: BTreeMap<&str, &RawTask> = BTreeMap::new();
    for task in places.values().filter_map(|place| in_trouble(place)) {
        let known = newest.entry(&task.service).or_insert(task);
        if known.created() < task.created() {
            *known = task;
        }
    }
    newest.into_iter().map(|(service, task)| (service, task.told_trouble())).collect()
}

/// The task that says why nothing runs in a place: the one that Swarm wants there, or while that is on its way the one before it.
fn in_trouble<'a>(place: &[&'a RawTask]) -> Option<&'a RawTask> {
    let newest = |wanted: bool| {
        let of = place.iter().filter(|task| task.is_wanted() == wanted);
        of.max_by_key(|task| task.created()).copied()
    };
    let now = newest(true)?;
    if now.is_there() {
        return None;
    }
    [Some(now), newest(false)].into_iter().flatten().find(|task| task.trouble().is_some())
}

/// Reads an element of `GET /tasks`.
pub fn task(json: &[u8]) -> Result<RawTask, SwarmError> {
    object("task", json).map(RawTask::slim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::json;
    use serde_json::Value;

    fn recorded() -> Vec<Value> {
        serde_json::from_str(include_str!("../../fixtures/tasks.json")).unwrap()
    }

    #[test]
    fn tasks_as_20_10_24_tells_them() {
        let tasks: Vec<RawTask> = recorded().iter().map(|value| task(&json(value)).unwrap()).collect();
        let brief = |task: &RawTask| {
            let planned = task.clone().planned(&HashMap::new()).unwrap();
            (planned.state, planned.wanted, planned.job, planned.node.is_some(), task.has_terminal())
        };
        let found: Vec<_> = tasks.iter().map(brief).collect();
        let expected = [
            // a global service's; a replica that its node refused, and the one after it, which waits
            (TaskState::Running, true, false, true, false),
            (TaskState::Rejected, false, false, true, false),
            (TaskState::Rejected, true, false, true, false),
            // a job's, wanted to be complete; the same with a terminal; one that is being stopped; one that fits nowhere
            (TaskState::Running, true, true, true, false),
            (TaskState::Running, true, true, true, true),
            (TaskState::Running, false, true, true, false),
            (TaskState::Pending, true, true, false, false),
        ];
        assert_eq!(found, expected);
        let names = HashMap::from([(tasks[0].service.clone(), "every".to_owned())]);
        assert_eq!(tasks[0].clone().planned(&names).unwrap().called, "every");
        let removed = tasks[3].clone().planned(&names).unwrap().called;
        assert!(removed.starts_with("a task of a removed service ("), "{removed}");
        let refusals: Vec<&str> = tasks.iter().filter_map(RawTask::refusal).collect();
        assert!(
            refusals.len() == 2 && refusals.iter().all(|why| why.starts_with("create nfs: missing")),
            "{refusals:?}"
        );
    }

    #[test]
    fn where_all_tasks_run_none_is_in_question() {
        let mut tasks: Vec<RawTask> = recorded().iter().map(|value| task(&json(value)).unwrap()).collect();
        tasks.retain(|task| task.is_there() && task.is_wanted());
        assert!(tasks.len() > 2 && in_question(tasks.iter()).is_empty());
    }

    #[test]
    fn what_keeps_a_service_from_running_is_what_its_newest_try_says() {
        let told = |told: &[(&str, &str, &str, u64, u8)]| {
            let read = |(number, (state, desired, err, slot, second)): (
                usize,
                &(&str, &str, &str, u64, u8),
            )| {
                task(&json(&serde_json::json!({
                    "ID": format!("t{number}"), "ServiceID": "web", "NodeID": if *state == "pending" { "" } else { "w2" },
                    "Slot": slot, "CreatedAt": format!("2026-11-23T02:00:{second:02}Z"), "DesiredState": desired,
                    "Status": { "State": state, "Err": err, "Message": "some state" },
                })))
                .unwrap()
            };
            let tasks: Vec<RawTask> = told.iter().enumerate().map(read).collect();
            let found = troubles(tasks.iter());
            assert_eq!(troubles(in_question(tasks.iter()).iter()), found, "others are in no trouble");
            found.get("web").cloned()
        };
        let image = "No such image: web:9";
        let port = "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated";
        let homeless = "no suitable node (insufficient resources on 2 nodes)";
        for (tasks, expected) in [
            (vec![("running", "running", "", 1, 9)], None),
            (vec![("preparing", "running", "", 1, 9)], None),
            (vec![("pending", "running", homeless, 1, 9)], Some(format!("pending: {homeless}"))),
            // The drain has stopped the one before it, which says nothing of what is on its way now.
            (vec![("shutdown", "shutdown", "", 1, 1), ("preparing", "running", "", 1, 9)], None),
            (
                vec![
                    ("rejected", "shutdown", image, 1, 5),
                    ("shutdown", "shutdown", "", 1, 1),
                    ("ready", "ready", "", 1, 9),
                ],
                Some(format!("rejected on w2: {image}")),
            ),
            // What failed long ago in a place where a task runs now is over.
            (vec![("failed", "shutdown", port, 1, 5), ("running", "running", "", 1, 9)], None),
            (
                vec![
                    ("failed", "shutdown", port, 1, 5),
                    ("starting", "running", "", 1, 6),
                    ("pending", "running", homeless, 2, 3),
                ],
                Some(format!("failed on w2: {port}")),
            ),
            (vec![("failed", "running", "", 1, 5)], Some("failed on w2: some state".to_owned())),
        ] {
            assert_eq!(told(&tasks), expected, "{tasks:?}");
        }
    }

    #[test]
    fn a_state_that_is_new_is_an_error_with_the_tasks_id() {
        let mut value = recorded().remove(0);
        value["Status"]["State"] = "dreaming".into();
        let text = task(&json(&value)).unwrap().state().unwrap_err().to_string();
        assert!(text.contains("9pzvm") && text.contains("dreaming"), "{text}");
    }
}
