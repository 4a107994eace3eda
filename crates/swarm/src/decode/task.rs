//! Tasks.

use super::needs::RawRequirements;
use super::{null_is_empty, object};
use crate::error::SwarmError;
use careen_planner::observed::{Task, TaskState};
use careen_planner::{NodeId, ServiceId};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A task as the API tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    desired_state: String,
    /// Only tasks of jobs have one.
    job_iteration: Option<Value>,
    #[serde(default, deserialize_with = "null_is_empty")]
    spec: Spec,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    state: String,
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

impl RawTask {
    /// Whether its container has a terminal, and its log no frames.
    pub fn has_terminal(&self) -> bool {
        self.spec.container_spec.tty
    }

    /// How far it is.
    pub fn state(&self) -> Result<TaskState, SwarmError> {
        Ok(match self.status.state.as_str() {
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

    /// Why its node refuses it, in the words of the node's engine.
    pub fn refusal(&self) -> Option<&str> {
        (self.status.state == "rejected").then(|| self.trouble()).flatten()
    }

    /// What keeps it from running: Swarm's words for one that has no place, its node's engine's for one that was refused or
    /// ended otherwise than it should. One that is on its way, runs, or was told to stop has none.
    pub fn trouble(&self) -> Option<&str> {
        let Status { state, err, message, .. } = &self.status;
        let said = [err.as_str(), message].into_iter().map(str::trim).find(|text| !text.is_empty());
        match state.as_str() {
            "rejected" | "failed" | "orphaned" => said,
            // The message of one that waits is 'pending task scheduling', which says nothing.
            _ => Some(err.trim()).filter(|err| !err.is_empty()),
        }
    }

    /// Whether Swarm wants it to run. Tasks of jobs are wanted to be complete.
    pub fn is_wanted(&self) -> bool {
        !matches!(self.desired_state.as_str(), "shutdown" | "remove" | "failed" | "rejected" | "orphaned")
    }

    /// As the planner wants to know it; the names are those of all services, jobs among them.
    pub fn planned(&self, names: &BTreeMap<String, String>) -> Result<Task, SwarmError> {
        // Tasks of a service that was removed go on for a while.
        let image = self.spec.container_spec.image.split('@').next().unwrap_or_default();
        let removed = || format!("a task of a removed service ({image})");
        Ok(Task {
            called: names.get(&self.service).cloned().unwrap_or_else(removed),
            id: self.id.clone(),
            service: ServiceId(self.service.clone()),
            job: self.job_iteration.as_ref().is_some_and(|iteration| !iteration.is_null()),
            node: (!self.node.is_empty()).then(|| NodeId(self.node.clone())),
            state: self.state()?,
            wanted: self.is_wanted(),
            reserved: self.spec.resources.clone().into(),
        })
    }
}

/// Reads an element of `GET /tasks`.
pub fn task(value: &Value) -> Result<RawTask, SwarmError> {
    object("task", value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Vec<Value> {
        serde_json::from_str(include_str!("../../fixtures/tasks.json")).unwrap()
    }

    #[test]
    fn tasks_as_20_10_24_tells_them() {
        let tasks: Vec<RawTask> = recorded().iter().map(|value| task(value).unwrap()).collect();
        let brief = |task: &RawTask| {
            let planned = task.planned(&BTreeMap::new()).unwrap();
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
        let names = BTreeMap::from([(tasks[0].service.clone(), "every".to_owned())]);
        assert_eq!(tasks[0].planned(&names).unwrap().called, "every");
        let removed = tasks[3].planned(&names).unwrap().called;
        assert!(removed.starts_with("a task of a removed service ("), "{removed}");
        let refusals: Vec<&str> = tasks.iter().filter_map(RawTask::refusal).collect();
        assert!(
            refusals.len() == 2 && refusals.iter().all(|why| why.starts_with("create nfs: missing")),
            "{refusals:?}"
        );
    }

    #[test]
    fn a_state_that_is_new_is_an_error_with_the_tasks_id() {
        let mut value = recorded().remove(0);
        value["Status"]["State"] = "dreaming".into();
        let text = task(&value).unwrap().state().unwrap_err().to_string();
        assert!(text.contains("9pzvm") && text.contains("dreaming"), "{text}");
    }
}
