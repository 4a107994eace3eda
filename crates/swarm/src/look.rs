//! One look at the swarm.
//!
//! The lists are not read at one moment. They come in an order in which the delay errs to the safe side: nodes first,
//! so that a write on them is refused when they changed meanwhile; then services, tasks, logs; the lock and the
//! rollout last, so that a controller that lost its lock sees it.

use crate::SwarmCluster;
use crate::decode::{self, JobService, RawTask};
use crate::error::SwarmError;
use crate::names;
use crate::reports::Source;
use careen_contract::label;
use careen_contract::object;
use careen_engine::says_no_such_image;
use careen_engine::{ApiPath, Kind};
use careen_planner::observed::{AgentReport, Job, Node, Observed, Refusal, Report, Service, Task};
use careen_planner::rollout::Control;
use careen_planner::{JobRole, NodeRecord};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// With more nodes than this the tasks that are being stopped are asked for without naming nodes: the request's line
/// has a limit.
const NODES_IN_A_FILTER: usize = 100;

/// Of more services nobody reads why their tasks do not run.
const SERVICES_IN_A_FILTER: usize = 20;

/// The names of services, jobs among them, by their ids.
fn names_of(services: &[Value]) -> BTreeMap<String, String> {
    let name = |value: &Value| {
        let name = value.pointer("/Spec/Name").and_then(Value::as_str)?;
        Some((value.get("ID").and_then(Value::as_str)?.to_owned(), name.to_owned()))
    };
    services.iter().filter_map(name).collect()
}

impl SwarmCluster {
    /// Everything, or why there is nothing that can be relied on. [`careen_planner::cluster::Cluster::observe`] says the same
    /// in the controller's words.
    pub fn look(&mut self) -> Result<Observed, SwarmError> {
        let nodes = self.nodes()?;
        let services = self.swarm.engine().get::<Vec<Value>>(&ApiPath::services_with_status())?;
        let jobs: Vec<JobService> = decoded(&services, decode::job_service)?;
        let all_tasks = self.tasks(&nodes, &jobs)?;
        let is_ours = |task: &&RawTask| jobs.iter().any(|job| job.id == task.service);
        let (ours, others): (Vec<&RawTask>, Vec<&RawTask>) = all_tasks.iter().partition(is_ours);
        let names = names_of(&services);
        let tasks = others.iter().map(|task| task.planned(&names)).collect::<Result<Vec<Task>, _>>()?;
        // What runs on a node that does not report counts for nothing, though Swarm may not have given it up yet.
        let down =
            |task: &&Task| nodes.iter().any(|node| task.node.as_ref() == Some(&node.id) && !node.is_ready());
        let up: Vec<Task> = tasks.iter().filter(|task| !down(task)).cloned().collect();
        let services_seen: Vec<Service> = decoded(&services, |value| decode::service(value, &up))?;
        let works = !at_work(&nodes, &jobs).is_empty();
        let troubles = match works {
            true => self.troubles(&services_seen, &all_tasks, &names)?,
            false => BTreeMap::new(),
        };
        let observed = Observed {
            services: services_seen,
            troubles,
            jobs: jobs.iter().map(|job| with_tasks(job, &ours)).collect::<Result<_, _>>()?,
            reports: self.reports(&nodes, &jobs, &ours)?,
            tasks: tasks.into_iter().filter(|task| !task.state.is_over()).collect(),
            autolock: self.swarm.engine().is_autolocked()?,
            controller: self.place.clone(),
            nodes,
            ..Observed::default()
        };
        self.records(observed)
    }

    fn nodes(&self) -> Result<Vec<Node>, SwarmError> {
        let values = self.swarm.nodes()?;
        let nodes: Vec<Node> = values.iter().map(decode::node).collect::<Result<_, _>>()?;
        // For some seconds after the leader is gone the others still give lists, with every manager reachable.
        if nodes.iter().any(Node::is_leader) { Ok(nodes) } else { Err(SwarmError::NoLeader) }
    }

    /// The tasks that are to run, and those that are being stopped where it matters: on nodes that are at work. The
    /// swarm's memory of tasks that ended long ago is many times as large, and not asked for.
    fn tasks(&self, nodes: &[Node], jobs: &[JobService]) -> Result<Vec<RawTask>, SwarmError> {
        let live =
            self.swarm.list(Kind::Tasks, &json!({ "desired-state": ["ready", "running", "complete"] }))?;
        let mut filters = json!({ "desired-state": ["shutdown", "remove"] });
        let at_work = at_work(nodes, jobs);
        let stopping = match at_work.len() {
            0 => Vec::new(),
            1..=NODES_IN_A_FILTER => {
                filters["node"] = json!(at_work);
                self.swarm.list(Kind::Tasks, &filters)?
            }
            _ => self.swarm.list(Kind::Tasks, &filters)?,
        };
        // A task may go from the one list to the other between the two requests.
        let mut seen = BTreeSet::new();
        let tasks = live.iter().chain(&stopping).map(decode::task).collect::<Result<Vec<_>, _>>()?;
        Ok(tasks.into_iter().rev().filter(|task| seen.insert(task.id.clone())).collect())
    }

    /// What keeps tasks from running that should. Why a try ended is remembered with the task that Swarm gave up: that is asked of
    /// services alone that have too few, and only while a rollout is at work.
    fn troubles(
        &self,
        services: &[Service],
        tasks: &[RawTask],
        names: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, SwarmError> {
        let short = services.iter().filter(|service| service.running < service.desired);
        let short: Vec<&str> =
            short.take(SERVICES_IN_A_FILTER).map(|service| service.id.0.as_str()).collect();
        let given_up = match short.is_empty() {
            true => Vec::new(),
            false => {
                self.swarm.list(Kind::Tasks, &json!({ "service": short, "desired-state": ["shutdown"] }))?
            }
        };
        let given_up: Vec<RawTask> = given_up.iter().map(decode::task).collect::<Result<_, _>>()?;
        let troubles = decode::troubles(tasks.iter().chain(&given_up));
        let named = |(service, why): (&str, String)| Some((names.get(service)?.clone(), why));
        Ok(troubles.into_iter().filter_map(named).collect())
    }

    /// What the agents of this rollout said.
    fn reports(
        &mut self,
        nodes: &[Node],
        jobs: &[JobService],
        tasks: &[&RawTask],
    ) -> Result<Vec<AgentReport>, SwarmError> {
        let (mut agents, mut sources) = (Vec::new(), Vec::new());
        let agent = |job: &&JobService| job.key.role == JobRole::Agent && job.key.rollout == self.spec.id;
        for job in jobs.iter().filter(agent) {
            let of_job = tasks.iter().filter(|task| task.service == job.id && !task.node.is_empty());
            let mut of_job: Vec<&&RawTask> = of_job.collect();
            of_job.sort_by(|a, b| a.created_at.cmp(&b.created_at));
            let ready = nodes.iter().any(|node| node.id == *job.place() && node.is_ready());
            for task in &of_job {
                let (over, terminal) = (task.state()?.is_over(), task.has_terminal());
                sources.push(Source { task: task.id.clone(), terminal, over, reachable: ready });
            }
            agents.push((job, of_job.len()));
        }
        let mut said = self.reports.look(&sources).into_iter();
        let reports = agents.iter().filter_map(|(job, tasks)| {
            // Where Swarm made several, all but one say nothing.
            let Report { said, waits, printed } = said.by_ref().take(*tasks).flatten().last()?;
            Some(AgentReport {
                node: job.key.node.clone(),
                transaction: job.key.transaction()?.to_string(),
                generation: job.key.generation,
                agent: job.key.agent,
                said,
                waits,
                printed,
            })
        });
        Ok(reports.collect())
    }

    /// careen's configs.
    fn records(&self, mut observed: Observed) -> Result<Observed, SwarmError> {
        let id = &self.spec.id;
        let (rollout, baseline) = (names::rollout(id), names::baseline(id));
        let (results, history) = (names::results(id), names::history(id, 1));
        let tickets = names::tickets(id);
        let found = self.swarm.configs(&[&rollout, &baseline, &results, &history, &tickets])?;
        let named = |name: &str| found.iter().find(|config| config.name == name);
        observed.rollout = named(&rollout).map(decode::rollout_record).transpose()?;
        observed.baseline = named(&baseline).map(decode::baseline).transpose()?;
        observed.history_written = named(&history).is_some();
        let of_node = found.iter().filter(|config| config.name.starts_with(&results));
        observed.results = of_node.map(decode::node_result).collect::<Result<_, _>>()?;
        let of_agents = found.iter().filter(|config| config.name.starts_with(&tickets));
        let ticket = |config: &decode::ConfigObject| {
            let corrupt =
                || SwarmError::corrupt(format!("the config {}", config.name), "its name is no ticket's");
            names::of_ticket(&config.name).ok_or_else(corrupt)
        };
        observed.tickets = of_agents.map(ticket).collect::<Result<_, _>>()?;
        let control = observed.rollout.as_ref().map(|rollout| &rollout.control);
        // The list comes with all that is in them, so it is asked for at the end alone.
        if matches!(control, Some(Control::Finished { .. })) && !self.spec.given.files.is_empty() {
            observed.delivered = self.swarm.has_delivered(id)?;
        }
        let lock = self.swarm.config(object::LOCK)?;
        observed.lock = lock.map(|(_, config)| decode::lock(&config)).transpose()?;
        if observed.controller.is_none() {
            let of_this = observed.lock.as_ref().filter(|lock| lock.rollout.as_ref() == Some(id));
            observed.controller = of_this.and_then(|lock| lock.place.clone());
        }
        Ok(observed)
    }
}

fn decoded<T>(
    values: &[Value],
    read: impl Fn(&Value) -> Result<Option<T>, SwarmError>,
) -> Result<Vec<T>, SwarmError> {
    values.iter().filter_map(|value| read(value).transpose()).collect()
}

/// The nodes on which something of a rollout is under way, or of which nobody knows.
fn at_work(nodes: &[Node], jobs: &[JobService]) -> Vec<String> {
    let busy = |node: &&Node| {
        let record = NodeRecord::of(node);
        let begun = record.map_or(true, |record| record.is_some_and(|record| !record.state.is_terminal()));
        let labelled = node.labels.contains_key(label::NODE);
        (labelled && begun) || jobs.iter().any(|job| job.key.node == node.id)
    };
    nodes.iter().filter(busy).map(|node| node.id.0.clone()).collect()
}

fn with_tasks(job: &JobService, tasks: &[&RawTask]) -> Result<Job, SwarmError> {
    let of_job = tasks.iter().filter(|task| task.service == job.id);
    let refused = of_job.clone().find_map(|task| task.refusal());
    let refused = refused.map(|why| Refusal { why: why.to_owned(), no_image: says_no_such_image(why) });
    let tasks = of_job.map(|task| task.state()).collect::<Result<_, _>>()?;
    Ok(Job {
        key: job.key.clone(),
        version: job.version,
        stopped: job.stopped,
        on: job.on.clone(),
        tasks,
        refused,
    })
}
