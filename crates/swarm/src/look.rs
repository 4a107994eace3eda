//! One look at the swarm.
//!
//! The lists are not read at one moment. They come in an order in which the delay errs to the safe side: nodes first,
//! so that a write on them is refused when they changed meanwhile; then services, tasks, logs; the lock and the
//! rollout last, so that a controller that lost its lock sees it.

use crate::SwarmCluster;
use crate::decode::{self, JobService, RawTask, Uncounted};
use crate::error::SwarmError;
use crate::names;
use crate::reports::Source;
use careen_contract::label;
use careen_contract::object;
use careen_engine::{ApiPath, says_no_such_image};
use careen_planner::observed::{AgentReport, Job, Node, Observed, Refusal, Report, Service, Task};
use careen_planner::rollout::Control;
use careen_planner::{JobRole, NodeId, NodeRecord};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};

/// With more nodes than this the tasks that are being stopped are asked for without naming nodes: the request's line
/// has a limit.
const NODES_IN_A_FILTER: usize = 100;

/// Of more services nobody reads why their tasks do not run.
const SERVICES_IN_A_FILTER: usize = 20;

/// The list of services, as far as it is read before the tasks.
#[derive(Default)]
struct Services {
    /// Of all, jobs among them, by their ids.
    names: HashMap<String, String>,
    jobs: Vec<JobService>,
    others: Vec<Uncounted>,
}

impl SwarmCluster {
    /// Everything, or why there is nothing that can be relied on. [`careen_planner::cluster::Cluster::observe`] says the same
    /// in the controller's words.
    pub fn look(&mut self) -> Result<Observed, SwarmError> {
        let nodes = self.nodes()?;
        let Services { names, jobs, others } = self.services()?;
        let at_work = at_work(&nodes, &jobs);
        let all_tasks = self.tasks(&at_work)?;
        let ids: HashSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        let is_ours = |task: &RawTask| ids.contains(task.service.as_str());
        let mut of_jobs: HashMap<String, Vec<RawTask>> = HashMap::new();
        for task in all_tasks.iter().filter(|task| is_ours(task)) {
            of_jobs.entry(task.service.clone()).or_default().push(task.clone());
        }
        // What keeps tasks from running is asked while a rollout is at work alone.
        let in_question = if at_work.is_empty() { Vec::new() } else { all_tasks.clone() };
        let planned = all_tasks.into_iter().filter(|task| !is_ours(task)).map(|task| task.planned(&names));
        let mut tasks = planned.collect::<Result<Vec<Task>, _>>()?;
        let services = counted(others, &nodes, &tasks);
        let troubles = match at_work.is_empty() {
            true => BTreeMap::new(),
            false => self.troubles(&services, &in_question, &names)?,
        };
        tasks.retain(|task| !task.state.is_over());
        let observed = Observed {
            services,
            troubles,
            jobs: jobs.iter().map(|job| with_tasks(job, &of_jobs)).collect::<Result<_, _>>()?,
            reports: self.reports(&nodes, &jobs, &of_jobs)?,
            tasks,
            autolock: self.swarm.engine().is_autolocked()?,
            controller: self.place.clone(),
            nodes,
            ..Observed::default()
        };
        self.records(observed)
    }

    fn nodes(&self) -> Result<Vec<Node>, SwarmError> {
        let nodes = self.swarm.nodes()?;
        // For some seconds after the leader is gone the others still give lists, with every manager reachable.
        if nodes.iter().any(Node::is_leader) { Ok(nodes) } else { Err(SwarmError::NoLeader) }
    }

    fn services(&self) -> Result<Services, SwarmError> {
        let mut services = Services::default();
        self.swarm.engine().get_each(&ApiPath::services_with_status(), |json| {
            let (id, name) = decode::name(json)?;
            services.names.insert(id, name);
            services.jobs.extend(decode::job_service(json)?);
            services.others.extend(decode::service(json)?);
            Ok::<(), SwarmError>(())
        })?;
        Ok(services)
    }

    /// The tasks that are to run, and those that are being stopped where it matters: on nodes that are at work. The
    /// swarm's memory of tasks that ended long ago is many times as large, and not asked for.
    fn tasks(&self, at_work: &[String]) -> Result<Vec<RawTask>, SwarmError> {
        let live = self.swarm.tasks(&json!({ "desired-state": ["ready", "running", "complete"] }))?;
        let mut filters = json!({ "desired-state": ["shutdown", "remove"] });
        let stopping = match at_work.len() {
            0 => Vec::new(),
            1..=NODES_IN_A_FILTER => {
                filters["node"] = json!(at_work);
                self.swarm.tasks(&filters)?
            }
            _ => self.swarm.tasks(&filters)?,
        };
        // A task may go from the one list to the other between the two requests.
        let later: HashSet<String> = stopping.iter().map(|task| task.id.clone()).collect();
        let stays = |task: &RawTask| !later.contains(&task.id);
        let live = live.into_iter().rev().filter(stays);
        Ok(stopping.into_iter().rev().chain(live).collect())
    }

    /// What keeps tasks from running that should. Why a try ended is remembered with the task that Swarm gave up: that is asked of
    /// services alone that have too few, and only while a rollout is at work.
    fn troubles(
        &self,
        services: &[Service],
        tasks: &[RawTask],
        names: &HashMap<String, String>,
    ) -> Result<BTreeMap<String, String>, SwarmError> {
        let short = services.iter().filter(|service| service.running < service.desired);
        let short: Vec<&str> =
            short.take(SERVICES_IN_A_FILTER).map(|service| service.id.0.as_str()).collect();
        let given_up = match short.is_empty() {
            true => Vec::new(),
            false => self.swarm.tasks(&json!({ "service": short, "desired-state": ["shutdown"] }))?,
        };
        let troubles = decode::troubles(tasks.iter().chain(&given_up));
        let named = |(service, why): (&str, String)| Some((names.get(service)?.clone(), why));
        Ok(troubles.into_iter().filter_map(named).collect())
    }

    /// What the agents of this rollout said.
    fn reports(
        &mut self,
        nodes: &[Node],
        jobs: &[JobService],
        tasks: &HashMap<String, Vec<RawTask>>,
    ) -> Result<Vec<AgentReport>, SwarmError> {
        let ready: HashSet<&NodeId> =
            nodes.iter().filter(|node| node.is_ready()).map(|node| &node.id).collect();
        let (mut agents, mut sources) = (Vec::new(), Vec::new());
        let agent = |job: &&JobService| job.key.role == JobRole::Agent && job.key.rollout == self.spec.id;
        for job in jobs.iter().filter(agent) {
            let of_job = tasks.get(&job.id).into_iter().flatten().filter(|task| !task.node.is_empty());
            let mut of_job: Vec<&RawTask> = of_job.collect();
            of_job.sort_by(|a, b| a.created_at.cmp(&b.created_at));
            let ready = ready.contains(job.place());
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

/// What runs on a node that does not report counts for nothing, though Swarm may not have given it up yet.
fn counted(services: Vec<Uncounted>, nodes: &[Node], tasks: &[Task]) -> Vec<Service> {
    let silent: HashSet<&NodeId> =
        nodes.iter().filter(|node| !node.is_ready()).map(|node| &node.id).collect();
    let up = tasks.iter().filter(|task| !task.node.as_ref().is_some_and(|node| silent.contains(node)));
    let counts = decode::counts(up);
    services.into_iter().map(|service| service.counted(&counts)).collect()
}

/// The nodes on which something of a rollout is under way, or of which nobody knows.
fn at_work(nodes: &[Node], jobs: &[JobService]) -> Vec<String> {
    let with_jobs: HashSet<&NodeId> = jobs.iter().map(|job| &job.key.node).collect();
    let busy = |node: &&Node| {
        let begun = || {
            let record = NodeRecord::of(node);
            record.map_or(true, |record| record.is_some_and(|record| !record.state.is_terminal()))
        };
        (node.labels.contains_key(label::NODE) && begun()) || with_jobs.contains(&node.id)
    };
    nodes.iter().filter(busy).map(|node| node.id.0.clone()).collect()
}

fn with_tasks(job: &JobService, tasks: &HashMap<String, Vec<RawTask>>) -> Result<Job, SwarmError> {
    let of_job = tasks.get(&job.id).map_or(&[][..], Vec::as_slice);
    let refused = of_job.iter().find_map(RawTask::refusal);
    let refused = refused.map(|why| Refusal { why: why.to_owned(), no_image: says_no_such_image(why) });
    let tasks = of_job.iter().map(RawTask::state).collect::<Result<_, _>>()?;
    Ok(Job {
        key: job.key.clone(),
        version: job.version,
        stopped: job.stopped,
        on: job.on.clone(),
        tasks,
        refused,
    })
}
