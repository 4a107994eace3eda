//! Carries an inquiry out: one service with a task on each host that is asked, whose log is followed. Who is waited for is decided
//! in [`careen_planner::inquiry`].
//!
//! The service says whose it is, for how long it is waited for, and which nodes are made active for it, before they are: so
//! whoever comes next can take away what one left that died, and give those nodes back.

use crate::answers::each_heard;
use crate::api::{Swarm, version_of};
use crate::controller_task::age;
use crate::decode;
use crate::deliver::PayloadFile;
use crate::encode;
use crate::error::SwarmError;
use crate::look::led;
use crate::names;
use crate::patience::{Patience, Silence};
use crate::rollouts::{RequestError, write_error};
use careen_contract::errand::Errand;
use careen_contract::label;
use careen_engine::{ApiPath, Engine, Kind, LogQuery, Meaning, RegistryAuth, Source, says_no_such_image};
use careen_planner::inquiry::{Heard, Placement, Roll, TaskSeen};
use careen_planner::observed::{Availability, Node};
use careen_planner::{NodeId, RolloutId, Spec};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often the tasks are looked at: their answers come by themselves, what keeps them from running does not.
const TASKS: Duration = Duration::from_millis(500);

/// A look that took long is followed by a rest so many times as long.
const REST: u32 = 5;

/// How often the nodes are looked at.
const NODES: Duration = Duration::from_secs(2);

/// What is heard of a task that is over within this time is not asked for once more.
const ON_ITS_WAY: Duration = Duration::from_millis(400);

/// How long reading the log of one task may take.
const ONE_LOG: Duration = Duration::from_secs(5);

/// So often it is tried to take everything away again, and after so long.
const ENDING_TRIES: u32 = 20;
const ENDING_AGAIN: Duration = Duration::from_millis(500);

/// So long its tasks may take to end by themselves, and all in all until they are not waited for any more.
const ENDS_BY_ITSELF: Duration = Duration::from_secs(2);
const STOPPING: Duration = Duration::from_secs(20);

/// So long what has ended may take to go, once its service wants no task any more. An engine that keeps it until the service goes
/// removes it then.
const GOES: Duration = Duration::from_secs(1);

/// How often that is looked at.
const AGAIN: Duration = Duration::from_millis(100);

/// Past its limit an inquiry has taken itself away; what is still there after this much more was left.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// What is asked, and of whom.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// The payload, its command and what it is given. Its id is the inquiry's.
    pub spec: Spec,
    /// The payload's own files.
    pub files: Vec<PayloadFile>,
    /// How long answers are waited for; a command is stopped then.
    pub limit: Duration,
    /// Where Swarm places its tasks.
    pub placement: Placement,
    /// Who asks, as they say themselves.
    pub by: String,
    /// What hosts are asked for.
    pub errand: Errand,
}

/// A node that was made active for an inquiry, and could not be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct NotGivenBack {
    pub node: NodeId,
    /// What it was.
    pub was: Availability,
    /// What the swarm says.
    pub why: String,
}

/// What a thread has read.
enum Came {
    /// Out of the stream that all tasks share.
    Followed(Heard),
    /// The whole log of one task.
    Whole { task: String, node: NodeId, heard: Vec<Heard> },
}

impl Swarm {
    /// All nodes, as the leader knows them.
    pub fn all_nodes(&self) -> Result<Vec<Node>, SwarmError> {
        led(self.nodes()?)
    }

    /// Asks. Whatever comes of it, [`Swarm::end_inquiry`] follows. Nodes that an inquiry before this one left active, and that cannot be
    /// given back, are said.
    pub fn inquire(
        &self,
        inquiry: &Inquiry,
        auth: Option<&RegistryAuth>,
    ) -> Result<Vec<NotGivenBack>, RequestError> {
        // What others left is in nobody's way; it is told where it cannot be mended.
        let left = self.sweep_inquiries().unwrap_or_default();
        self.begin(inquiry, auth)?;
        Ok(left)
    }

    /// Hears until the roll is over or `tick` breaks off, of an inquiry that was begun at this moment, over whichever manager. `tick` is
    /// called at least twice a second. An error when this manager does not answer and there is no patience left with it.
    pub fn hear(
        &self,
        inquiry: &Inquiry,
        began: Instant,
        patience: Patience,
        roll: &mut Roll,
        tick: &mut dyn FnMut(&Roll) -> ControlFlow<()>,
    ) -> Result<(), SwarmError> {
        let (sender, receiver) = channel();
        follow(self.shared(), names::inquiry(&inquiry.spec.id), inquiry.limit, sender.clone());
        Hearing {
            swarm: self,
            service: names::inquiry(&inquiry.spec.id),
            sender,
            receiver,
            began,
            silence: Silence::new(patience),
            over: BTreeMap::new(),
            read_once_more: BTreeSet::new(),
        }
        .until_over(roll, tick)
    }

    /// Gives back the nodes that were made active for it, and takes away what was brought. Which could not be given back is said. The
    /// engine that is asked may be the one that is being restarted: that is waited for.
    pub fn end_inquiry(&self, id: &RolloutId) -> Result<Vec<NotGivenBack>, RequestError> {
        for _ in 1..ENDING_TRIES {
            match self.end(id) {
                Err(_) => std::thread::sleep(ENDING_AGAIN),
                ended => return ended,
            }
        }
        self.end(id)
    }

    fn begin(&self, inquiry: &Inquiry, auth: Option<&RegistryAuth>) -> Result<(), RequestError> {
        let mut inquiry = inquiry.clone();
        inquiry.spec.given.files = self.deliver(&inquiry.spec.id, &inquiry.files)?;
        let activated = serde_json::to_string(&inquiry.placement.activate)
            .map_err(|error| SwarmError::corrupt("the nodes to be made active", error))?;
        let service = encode::inquiry(&inquiry, &activated);
        let name = names::inquiry(&inquiry.spec.id);
        let wakes = !inquiry.placement.activate.is_empty();
        let first = if wakes { &encode::stopped_inquiry(&service) } else { &service };
        let created = self.engine().create_object(Kind::Services, first, auth);
        let id = created.map_err(|error| write_error(&name, &error))?;
        for (node, was) in &inquiry.placement.activate {
            self.set_availability(node, *was, Availability::Active)?;
        }
        // A global job takes no notice of nodes that become active: it is placed when they are.
        if wakes {
            let raw = self.raw(Kind::Services, &id).map_err(SwarmError::from)?;
            self.update(Kind::Services, &raw, &service).map_err(|error| write_error(&name, &error))?;
        }
        Ok(())
    }

    /// Gives nodes back and takes everything of an inquiry away. A node that could not be given back keeps its service, which says
    /// what it was.
    fn end(&self, id: &RolloutId) -> Result<Vec<NotGivenBack>, RequestError> {
        let name = names::inquiry(id);
        let Some(raw) = self.find(Kind::Services, &name).map_err(SwarmError::from)? else {
            self.remove_delivered(id)?;
            return Ok(Vec::new());
        };
        let left = self.give_nodes_back(&raw)?;
        self.end_tasks(&name)?;
        if left.is_empty() {
            self.engine().remove_object_if_there(Kind::Services, &name).map_err(SwarmError::from)?;
            self.remove_delivered(id)?;
        }
        Ok(left)
    }

    /// Engines before 23.0.2 leave the containers of a job behind that is removed, also of one that is complete. A new iteration that
    /// fits nowhere takes them away. An agent that has answered is let end by itself before. A node that is down reports no end, and is
    /// not waited for.
    fn end_tasks(&self, service: &str) -> Result<(), RequestError> {
        let begun = Instant::now();
        let mut stopped: Option<Instant> = None;
        while begun.elapsed() < STOPPING {
            let tasks = self.tasks_seen(service)?;
            let run = tasks.iter().any(|task| !task.state.is_over());
            if stopped.is_some_and(|at| tasks.is_empty() || (!run && at.elapsed() >= GOES)) {
                return Ok(());
            }
            if stopped.is_none() && (!run || begun.elapsed() >= ENDS_BY_ITSELF) {
                let raw = self.raw(Kind::Services, service).map_err(SwarmError::from)?;
                let written = self.update(Kind::Services, &raw, &encode::stopped_inquiry(&raw["Spec"]));
                written.map_err(|error| write_error(service, &error))?;
                stopped = Some(Instant::now());
            }
            std::thread::sleep(AGAIN);
        }
        Ok(())
    }

    fn give_nodes_back(&self, service: &Value) -> Result<Vec<NotGivenBack>, SwarmError> {
        let name = || format!("the label {} of the service {}", label::ACTIVATED, service["Spec"]["Name"]);
        let label = service["Spec"]["Labels"][label::ACTIVATED].as_str();
        let label = label.ok_or_else(|| SwarmError::corrupt(name(), "it is not there"))?;
        let activated: BTreeMap<NodeId, Availability> =
            serde_json::from_str(label).map_err(|error| SwarmError::corrupt(name(), error))?;
        let failed = |(node, was): (NodeId, Availability)| {
            let why = self.set_availability(&node, Availability::Active, was).err()?.to_string();
            Some(NotGivenBack { node, was, why })
        };
        Ok(activated.into_iter().filter_map(failed).collect())
    }

    /// Changes a node's availability, where it still is what it is expected to be: what somebody else has made of it, or a rollout, is
    /// theirs.
    fn set_availability(
        &self,
        node: &NodeId,
        from: Availability,
        to: Availability,
    ) -> Result<(), RequestError> {
        const TRIES: usize = 5;
        for _ in 0..TRIES {
            let Some(raw) = self.find(Kind::Nodes, &node.0).map_err(SwarmError::from)? else { return Ok(()) };
            let is_now = raw.pointer("/Spec/Availability").and_then(Value::as_str);
            let in_a_rollout = raw["Spec"]["Labels"].get(label::NODE).is_some();
            if is_now != Some(from.word()) || in_a_rollout {
                return Ok(());
            }
            let spec = encode::node_spec(&raw["Spec"], &BTreeMap::new(), Some(to));
            match self.engine().update_object(Kind::Nodes, &node.0, version_of(&raw), &spec) {
                Err(error) if error.meaning() == Meaning::Changed => {}
                written => return written.map_err(|error| write_error(&format!("the node {node}"), &error)),
            }
        }
        Err(RequestError::Contended { object: format!("the node {node}") })
    }

    /// Takes away what inquiries left that nobody waits for any more.
    pub fn sweep_inquiries(&self) -> Result<Vec<NotGivenBack>, RequestError> {
        let found =
            self.list(Kind::Services, &json!({ "label": [label::INQUIRY] })).map_err(SwarmError::from)?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let Some(now) = self.time()? else { return Ok(Vec::new()) };
        let mut left = Vec::new();
        for raw in found {
            let labels = &raw["Spec"]["Labels"];
            let id = labels[label::INQUIRY].as_str().and_then(|id| RolloutId::parse(id).ok());
            let limit = labels[label::LIMIT].as_str().and_then(|limit| limit.parse().ok());
            let age = age(raw["CreatedAt"].as_str().unwrap_or_default(), now);
            if let (Some(id), Some(limit), Some(age)) = (id, limit, age)
                && age > Duration::from_secs(limit) + LEFT_BEHIND
            {
                left.extend(self.end(&id)?);
            }
        }
        Ok(left)
    }

    pub(crate) fn tasks_seen(&self, service: &str) -> Result<Vec<TaskSeen>, SwarmError> {
        let seen = |task: decode::RawTask| {
            let trouble = task.trouble().map(str::to_owned);
            let no_image = task.refusal().is_some_and(says_no_such_image);
            let (state, leaves) = (task.state()?, !task.is_wanted());
            Ok(TaskSeen { id: task.id, node: NodeId(task.node), state, leaves, trouble, no_image })
        };
        let mut tasks = self.tasks(&json!({ "service": [service] }))?;
        // What is known of the newest of a node counts.
        tasks.sort_by(|a, b| a.created_at.cmp(&b.created_at));
        tasks.into_iter().map(seen).collect()
    }
}

/// What is under way while answers come.
struct Hearing<'a> {
    swarm: &'a Swarm,
    service: String,
    sender: Sender<Came>,
    receiver: Receiver<Came>,
    began: Instant,
    /// Whether the manager answers.
    silence: Silence,
    /// When a task was first seen to be over.
    over: BTreeMap<String, Duration>,
    /// Tasks whose logs are, or were, read by themselves.
    read_once_more: BTreeSet<String>,
}

impl Hearing<'_> {
    fn until_over(
        mut self,
        roll: &mut Roll,
        tick: &mut dyn FnMut(&Roll) -> ControlFlow<()>,
    ) -> Result<(), SwarmError> {
        let (mut tasks_at, mut nodes_at) = (TASKS, NODES);
        loop {
            let now = self.began.elapsed();
            roll.tick(now);
            if roll.is_over(now) || tick(roll).is_break() {
                return Ok(());
            }
            // A manager that does not answer may do so again before the limit, which ends the waiting in any case.
            if now >= tasks_at {
                let looked = self.look_at_tasks(roll);
                self.silence.bear(looked, self.began.elapsed())?;
                tasks_at = next(now, self.began.elapsed(), TASKS);
            }
            if now >= nodes_at {
                if let Ok(nodes) = self.swarm.nodes() {
                    roll.hear(Heard::Nodes(nodes), now);
                }
                nodes_at = next(now, self.began.elapsed(), NODES);
            }
            let until = tasks_at.min(nodes_at).saturating_sub(self.began.elapsed());
            match self.receiver.recv_timeout(until) {
                Ok(came) => {
                    self.take(came, roll);
                    while let Ok(came) = self.receiver.try_recv() {
                        self.take(came, roll);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    fn look_at_tasks(&mut self, roll: &mut Roll) -> Result<(), SwarmError> {
        let tasks = self.swarm.tasks_seen(&self.service)?;
        let now = self.began.elapsed();
        for id in roll.unheard(&tasks) {
            let since = *self.over.entry(id.clone()).or_insert(now);
            let node = tasks.iter().find(|task| task.id == id).map(|task| task.node.clone());
            if let Some(node) = node
                && now >= since + ON_ITS_WAY
                && self.read_once_more.insert(id.clone())
            {
                read_whole(self.swarm.shared(), id, node, self.sender.clone());
            }
        }
        roll.hear(Heard::Tasks(tasks), now);
        Ok(())
    }

    fn take(&self, came: Came, roll: &mut Roll) {
        let now = self.began.elapsed();
        match came {
            Came::Followed(heard) => {
                let read_by_itself = task_of(&heard).is_some_and(|task| self.read_once_more.contains(task));
                // Its answer counts wherever it comes from; its lines come from one place.
                if !read_by_itself || matches!(heard, Heard::Said { .. }) {
                    roll.hear(heard, now);
                }
            }
            Came::Whole { task, node, heard } => {
                roll.hear(Heard::Afresh { task, node }, now);
                heard.into_iter().for_each(|heard| roll.hear(heard, now));
            }
        }
    }
}

/// When it is looked again.
fn next(began: Duration, ended: Duration, interval: Duration) -> Duration {
    ended + interval.max((ended.saturating_sub(began)) * REST)
}

fn task_of(heard: &Heard) -> Option<&str> {
    match heard {
        Heard::Line { task, .. } | Heard::Said { task, .. } | Heard::Afresh { task, .. } => Some(task),
        Heard::Tasks(_) | Heard::Nodes(_) => None,
    }
}

/// Follows all tasks, those that are still to come among them, in a thread that ends when nobody hears it any more. A stream that
/// breaks off is not begun anew: what it did not bring is read by task.
fn follow(engine: Arc<Engine>, service: String, limit: Duration, sender: Sender<Came>) {
    std::thread::spawn(move || {
        let query = LogQuery { stdout: true, follow: true, details: true, ..LogQuery::default() };
        let path = ApiPath::logs(Source::Service(&service), query);
        if let Ok(log) = engine.reader_within(&path, limit + LEFT_BEHIND) {
            let _broken_off = each_heard(log, |heard| match sender.send(Came::Followed(heard)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_nobody) => ControlFlow::Break(()),
            });
        }
    });
}

fn read_whole(engine: Arc<Engine>, task: String, node: NodeId, sender: Sender<Came>) {
    std::thread::spawn(move || {
        let query = LogQuery { stdout: true, details: true, ..LogQuery::default() };
        let path = ApiPath::logs(Source::Task(&task), query);
        let mut heard = Vec::new();
        if let Ok(log) = engine.reader_within(&path, ONE_LOG) {
            let _broken_off = each_heard(log, |one| {
                heard.push(one);
                ControlFlow::Continue(())
            });
            let _nobody = sender.send(Came::Whole { task, node, heard });
        }
    });
}
