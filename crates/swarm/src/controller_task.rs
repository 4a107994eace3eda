//! What Swarm and the engine tell of a rollout's controller: whether it is there, on its way, or why it does not come up.
//!
//! What is so follows from the states of its tasks, and from times that one clock wrote; nobody has to wait to know it.

use crate::api::Swarm;
use crate::controller::{Home, name};
use crate::decode::RawTask;
use crate::error::SwarmError;
use crate::names;
use careen_engine::{ApiPath, Kind};
use careen_planner::RolloutId;
use careen_planner::observed::TaskState;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// So many tries that ended by themselves, one behind the other, are no accident.
const TRIES: usize = 2;

/// A try that lasted longer than this came up: whatever ended it is another story.
const CAME_UP: Duration = Duration::from_secs(60);

/// How long the log of a task may take: the call hangs when its node is frozen.
const LOG_LIMIT: Duration = Duration::from_secs(3);

/// What is known of a rollout's controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum ControllerTask {
    /// There is no service of it, and no container on the manager that was asked.
    Absent {
        /// How many seconds ago the rollout was submitted, by the managers' own clock.
        submitted_seconds: Option<u64>,
    },
    /// It is being started.
    ComingUp(Seat),
    /// It runs.
    Runs(Seat),
    /// No manager takes it, or it ends again and again as soon as it is started.
    Fails(Seat),
}

/// Where a controller runs, or should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seat {
    /// As what.
    pub home: Home,
    /// The name of its service or container.
    pub name: String,
    /// On which node, by its id; none where no node has it, or nobody says.
    pub node: Option<String>,
    /// How far it is, in the engine's word: of its task, or of its container.
    pub task: String,
    /// What keeps it from running, in the words of Swarm or of the node's engine; of a try that is under way what kept the last one.
    pub why: Option<String>,
    /// How many tries ended by themselves, one behind the other.
    pub tries: usize,
    /// The last lines of the last of them.
    pub lines: Vec<String>,
}

impl Swarm {
    /// What is known of this rollout's controller. `held` is whether a controller has the lock for it: one that runs for a
    /// moment and ends, again and again, has not.
    pub fn controller_task(&self, id: &RolloutId, held: bool) -> Result<ControllerTask, SwarmError> {
        match self.find(Kind::Services, &name(id))? {
            Some(_) => self.of_service(id, held),
            None => self.of_container(id, held),
        }
    }

    fn of_service(&self, id: &RolloutId, held: bool) -> Result<ControllerTask, SwarmError> {
        let tasks = self.tasks(&json!({ "service": [name(id)] }))?;
        let (task, last) = of_tasks(&name(id), tasks, held)?;
        let ControllerTask::Fails(seat) = task else { return Ok(task) };
        // What it printed is a help and no more: a log that cannot be read keeps nobody from the rest.
        let words = last.and_then(|id| self.engine().last_words_of_task(&id, LOG_LIMIT).ok());
        Ok(ControllerTask::Fails(seat.with_lines(words)))
    }

    fn of_container(&self, id: &RolloutId, held: bool) -> Result<ControllerTask, SwarmError> {
        let Some(raw) = self.engine().find::<Value>(&ApiPath::container(&name(id)))? else {
            return Ok(ControllerTask::Absent { submitted_seconds: self.submitted_ago(id)? });
        };
        let task = container(&name(id), &raw, held);
        let ControllerTask::Fails(seat) = task else { return Ok(task) };
        let words = self.engine().last_words(&name(id)).ok();
        Ok(ControllerTask::Fails(seat.with_lines(words)))
    }

    fn submitted_ago(&self, id: &RolloutId) -> Result<Option<u64>, SwarmError> {
        let created = self.config(&names::rollout(id))?.map(|(_, config)| config.created);
        let now = self.time()?;
        Ok(created.and_then(|created| age(&created, now?)).map(|age| age.as_secs()))
    }

    /// What the asked manager's clock says; `None` when it does not say it.
    pub(crate) fn time(&self) -> Result<Option<Timestamp>, SwarmError> {
        let info: Value = self.engine().get(&ApiPath::info())?;
        Ok(info["SystemTime"].as_str().and_then(|time| time.parse().ok()))
    }
}

/// How long ago that was; nothing for what cannot be read, and no time for what is still to come.
pub(crate) fn age(time: &str, now: Timestamp) -> Option<Duration> {
    let time: Timestamp = time.parse().ok()?;
    Some(Duration::try_from(now.duration_since(time)).unwrap_or_default())
}

impl Seat {
    fn with_lines(self, words: Option<String>) -> Self {
        let lines = words.unwrap_or_default().lines().map(str::to_owned).collect();
        Self { lines, ..self }
    }
}

/// What the tasks of its service tell, and which of them ended last and had a container.
fn of_tasks(
    name: &str,
    mut tasks: Vec<RawTask>,
    held: bool,
) -> Result<(ControllerTask, Option<String>), SwarmError> {
    tasks.sort_by_key(|task| std::cmp::Reverse(task.created_at.parse::<Timestamp>().ok()));
    let mut states = Vec::new();
    for task in &tasks {
        states.push(task.state()?);
    }
    // What Swarm stops is no try any more, and what it wants is one, whether it has ended or not.
    let now = tasks.iter().zip(&states).find(|(task, _)| task.is_wanted());
    let ended = tasks.iter().zip(&states).filter(|(_, state)| state.is_over());
    let failed = ended.take_while(|(task, state)| state.ended_by_itself() && !came_up(task));
    let failed: Vec<&RawTask> = failed.map(|(task, _)| task).collect();
    let why = now.and_then(|(task, _)| task.trouble()).or_else(|| failed.first()?.trouble());
    let seat = Seat {
        home: Home::Service,
        name: name.to_owned(),
        node: now.map(|(task, _)| task.node.clone()).filter(|node| !node.is_empty()),
        task: now.map_or("new", |(task, _)| task.word()).to_owned(),
        why: why.map(str::to_owned),
        tries: failed.len(),
        lines: Vec::new(),
    };
    let homeless = now.is_some_and(|(task, state)| *state == TaskState::Pending && task.trouble().is_some());
    let runs = now.is_some_and(|(_, state)| *state == TaskState::Running);
    let again_and_again = failed.len() >= TRIES;
    let last = failed.iter().find(|task| task.had_container()).map(|task| task.id.clone());
    let task = match runs {
        true if held || !again_and_again => ControllerTask::Runs(seat),
        false if !homeless && !again_and_again => ControllerTask::ComingUp(seat),
        true | false => ControllerTask::Fails(seat),
    };
    Ok((task, last))
}

/// Whether it had run for a while. Both times are the leader's.
fn came_up(task: &RawTask) -> bool {
    let ended = task.updated_at.parse::<Timestamp>().ok();
    ended.and_then(|ended| age(&task.created_at, ended)).is_some_and(|lasted| lasted > CAME_UP)
}

/// What the engine tells of a container.
fn container(name: &str, raw: &Value, held: bool) -> ControllerTask {
    let state = &raw["State"];
    let word = state["Status"].as_str().unwrap_or("unknown");
    let tries = raw["RestartCount"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let error = state["Error"].as_str().filter(|error| !error.is_empty()).map(str::to_owned);
    let exit = state["ExitCode"].as_i64().filter(|code| *code != 0).map(|code| format!("exit code {code}"));
    let seat = Seat {
        home: Home::Container,
        name: name.to_owned(),
        node: None,
        task: word.to_owned(),
        why: error.clone().or(exit).filter(|_| word != "running" || tries > 0),
        tries,
        lines: Vec::new(),
    };
    let again_and_again = tries >= TRIES;
    match word {
        "running" if held || !again_and_again => ControllerTask::Runs(seat),
        "created" | "restarting" if error.is_none() && !again_and_again => ControllerTask::ComingUp(seat),
        _ => ControllerTask::Fails(seat),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    /// State, desired state, error, when it was created and ended, in seconds of a minute.
    type Told<'a> = (&'a str, &'a str, &'a str, u8, u8);

    fn tasks(told: &[Told<'_>]) -> Vec<RawTask> {
        let task = |(number, (state, desired, err, created, ended)): (usize, &Told<'_>)| {
            let time = |second: u8| format!("2026-11-23T02:{:02}:{:02}Z", second / 60, second % 60);
            let container = if *state == "failed" { "c1" } else { "" };
            let value = json!({
                "ID": format!("t{number}"), "NodeID": if *state == "pending" { "" } else { "n2" }, "DesiredState": desired,
                "CreatedAt": time(*created), "UpdatedAt": time(*ended),
                "Status": { "State": state, "Err": err, "ContainerStatus": { "ContainerID": container } },
            });
            decode::task(&decode::json(&value)).unwrap()
        };
        told.iter().enumerate().map(task).collect()
    }

    fn told(told: &[Told<'_>], held: bool) -> (&'static str, Seat, Option<String>) {
        let (task, last) = of_tasks("careen-controller-k3x9", tasks(told), held).unwrap();
        match task {
            ControllerTask::Absent { .. } => panic!("it has a service"),
            ControllerTask::ComingUp(seat) => ("coming-up", seat, last),
            ControllerTask::Runs(seat) => ("runs", seat, last),
            ControllerTask::Fails(seat) => ("fails", seat, last),
        }
    }

    #[test]
    fn a_task_that_swarm_is_bringing_up_is_on_its_way_and_one_that_ends_at_once_again_and_again_is_not() {
        const EXIT: &str = "task: non-zero exit (1)";
        let failed = |created| ("failed", "shutdown", EXIT, created, created + 1);
        let next = |state| (state, "running", "", 30, 30);
        let table: [(&[Told<'_>], bool, &str); 14] = [
            (&[], false, "coming-up"),
            (&[next("pending")], false, "coming-up"),
            (&[next("preparing")], false, "coming-up"),
            (&[next("running")], false, "runs"),
            // It moves: the task that Swarm has stopped is none that failed.
            (&[("running", "shutdown", "", 1, 2), next("preparing")], true, "coming-up"),
            (
                &[("shutdown", "shutdown", "", 1, 2), ("shutdown", "shutdown", "", 2, 3), next("ready")],
                false,
                "coming-up",
            ),
            // An engine that was restarted took it along.
            (&[failed(1), next("starting")], true, "coming-up"),
            (&[failed(1), failed(4), next("ready")], false, "fails"),
            (&[failed(1), failed(4)], false, "fails"),
            (&[failed(1), ("failed", "running", EXIT, 4, 5)], false, "fails"),
            // For a moment it runs, each time; one that has the lock came up.
            (&[failed(1), failed(4), next("running")], false, "fails"),
            (&[failed(1), failed(4), next("running")], true, "runs"),
            // These had run for a while.
            (
                &[
                    ("failed", "shutdown", EXIT, 1, 90),
                    ("failed", "shutdown", EXIT, 91, 180),
                    next("preparing"),
                ],
                false,
                "coming-up",
            ),
            (
                &[(
                    "pending",
                    "running",
                    "no suitable node (scheduling constraints not satisfied on 3 nodes)",
                    1,
                    2,
                )],
                false,
                "fails",
            ),
        ];
        for (tasks, held, expected) in table {
            assert_eq!(told(tasks, held).0, expected, "{tasks:?}");
        }
    }

    #[test]
    fn what_keeps_it_from_running_is_told_in_the_engines_own_words() {
        let missing = ("rejected", "shutdown", "No such image: update:1", 1, 2);
        let again = ("rejected", "shutdown", "No such image: update:1", 4, 5);
        let (state, seat, last) = told(&[missing, again, ("ready", "ready", "", 6, 6)], false);
        assert_eq!((state, seat.why.as_deref(), seat.tries), ("fails", Some("No such image: update:1"), 2));
        assert_eq!(
            (seat.task.as_str(), last),
            ("ready", None),
            "it never had a container, so there is no log"
        );
        let exit = "task: non-zero exit (1)";
        let failed = [("failed", "shutdown", exit, 1, 2), ("failed", "shutdown", exit, 4, 5)];
        let (_, seat, last) = told(&failed, false);
        assert_eq!(
            (seat.why.as_deref(), last.as_deref()),
            (Some(exit), Some("t1")),
            "the log of the last try"
        );
        let homeless = "no suitable node (1 node not available for new tasks)";
        let (_, seat, _) = told(&[("pending", "running", homeless, 1, 2)], false);
        assert_eq!((seat.node, seat.why.as_deref()), (None, Some(homeless)));
    }

    #[test]
    fn a_container_beside_the_swarm() {
        let raw = |status: &str, count: u64, code: i64, error: &str| json!({ "RestartCount": count, "State": { "Status": status, "ExitCode": code, "Error": error } });
        let state = |raw: &Value, held| match container("c", raw, held) {
            ControllerTask::Absent { .. } => ("absent", None),
            ControllerTask::ComingUp(seat) => ("coming-up", seat.why),
            ControllerTask::Runs(seat) => ("runs", seat.why),
            ControllerTask::Fails(seat) => ("fails", seat.why),
        };
        assert_eq!(state(&raw("running", 0, 0, ""), false), ("runs", None));
        assert_eq!(state(&raw("running", 7, 0, ""), true).0, "runs");
        assert_eq!(state(&raw("running", 7, 0, ""), false).0, "fails");
        assert_eq!(state(&raw("restarting", 1, 1, ""), false), ("coming-up", Some("exit code 1".into())));
        assert_eq!(state(&raw("restarting", 5, 1, ""), false), ("fails", Some("exit code 1".into())));
        let refused = "exec: /careen-controller: no such file or directory";
        assert_eq!(state(&raw("created", 0, 127, refused), false), ("fails", Some(refused.into())));
        assert_eq!(state(&raw("exited", 0, 137, ""), false), ("fails", Some("exit code 137".into())));
    }

    #[test]
    fn ages_are_never_negative() {
        let now = "2026-11-23T02:00:30Z".parse().unwrap();
        assert_eq!(age("2026-11-23T02:00:00.5Z", now), Some(Duration::from_millis(29_500)));
        assert_eq!(age("2026-11-23T03:00:00Z", now), Some(Duration::ZERO));
        assert_eq!(age("", now), None);
    }
}
