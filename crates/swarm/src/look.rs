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
use careen_contract::object;
use careen_engine::{ApiPath, says_no_such_image};
use careen_planner::glance::{self, Glance, Memory, TasksOf};
use careen_planner::observed::{AgentReport, Job, Node, Observed, Refusal, Report, Service, Task};
use careen_planner::rollout::Control;
use careen_planner::{JobRole, NodeId, ServiceId};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// So many ids are named in a filter: the request's line has a limit.
const IDS_IN_A_FILTER: usize = 100;

/// Of more services nobody reads why their tasks do not run.
const SERVICES_IN_A_FILTER: usize = 20;

/// What Swarm wants of the tasks that are to run, and of those that it stops or has given up.
const LIVE: [&str; 3] = ["ready", "running", "complete"];
const STOPPING: [&str; 2] = ["shutdown", "remove"];

/// The list of services, as far as it is read before the tasks.
#[derive(Default)]
struct Services {
    /// Of all, jobs among them, by their ids.
    names: HashMap<String, String>,
    jobs: Vec<JobService>,
    others: Vec<Uncounted>,
}

/// Tasks as they were read: careen's own, by their service, and those of others.
struct Tasks {
    of_jobs: HashMap<String, Vec<RawTask>>,
    others: Vec<RawTask>,
}

impl SwarmCluster {
    /// Everything, or why there is nothing that can be relied on. [`careen_planner::cluster::Cluster::observe`] says the same
    /// in the controller's words.
    pub fn look(&mut self) -> Result<Observed, SwarmError> {
        // Of whatever it was told so far, this look knows.
        self.hears_of_a_node();
        let (nodes, written) = self.swarm.nodes_and_times()?;
        self.written = written;
        let nodes = led(nodes)?;
        let Services { names, jobs, others } = self.services()?;
        let at_work = glance::at_work(&nodes, jobs.iter().map(|job| &job.key));
        let read = Tasks::of(self.tasks(&at_work)?, &jobs);
        // What keeps tasks from running is asked while a rollout is at work alone.
        let in_question = if at_work.is_empty() { Vec::new() } else { decode::in_question(read.all()) };
        let mut tasks = planned(read.others, &names)?;
        let counts = glance::counts(&nodes, tasks.iter());
        let services: Vec<Service> = others.into_iter().map(|service| service.counted(&counts)).collect();
        let troubles = match at_work.is_empty() {
            true => BTreeMap::new(),
            false => self.troubles(&services, &in_question, &names)?,
        };
        tasks.retain(|task| !task.state.is_over());
        let reports = self.reports(&nodes.iter().collect::<Vec<_>>(), &jobs, &read.of_jobs)?;
        let observed = Observed { nodes, services, tasks, troubles, reports, ..Observed::default() };
        self.own(observed, &jobs, &read.of_jobs)
    }

    /// The same without what nothing says to be otherwise than in memory: [`careen_planner::glance`].
    pub fn look_briefly(&mut self, memory: &Memory, all_nodes: bool) -> Result<Option<Glance>, SwarmError> {
        let asked = memory.nodes_in_question();
        let all_nodes = self.hears_of_a_node() || all_nodes;
        let read = if all_nodes { self.nodes()? } else { self.these_nodes(&asked)? };
        let nodes = match all_nodes {
            true => read.iter().collect(),
            false => match memory.all_nodes(&asked, &read) {
                Some(nodes) => nodes,
                None => return Ok(None),
            },
        };
        let Services { names, jobs, others } = self.services()?;
        let at_work = glance::at_work(nodes.iter().copied(), jobs.iter().map(|job| &job.key));
        let services = others.into_iter().map(Uncounted::uncounted).collect::<Option<Vec<Service>>>();
        let Some(services) = services.filter(|_| all_nodes || at_work.is_subset(&asked)) else {
            return Ok(None);
        };
        let near = Tasks::of(self.tasks_near(&at_work, &jobs)?, &jobs);
        let mut raw = if at_work.is_empty() { Vec::new() } else { near.all().cloned().collect() };
        let tasks = planned(near.others, &names)?;
        let mut seen = Observed { services, tasks, ..Observed::default() };
        let in_question = memory.services_in_question(&nodes, &seen, &at_work);
        if in_question.len() > IDS_IN_A_FILTER {
            return Ok(None);
        }
        let more = self.tasks_beside(&seen.tasks, &in_question)?;
        raw.extend(more.iter().filter(|_| !at_work.is_empty()).cloned());
        seen.tasks.extend(planned(more, &names)?);
        let counts = glance::counts(nodes.iter().copied(), seen.tasks.iter());
        if !at_work.is_empty() {
            let running = |service: &Service| counts.get(&service.id).map_or(0, |count| count.running);
            let asked = seen.services.iter().filter(|service| in_question.contains(&service.id));
            let asked = asked.map(|service| Service { running: running(service), ..service.clone() });
            seen.troubles = self.troubles(&asked.collect::<Vec<_>>(), &raw, &names)?;
        }
        seen.reports = self.reports(&nodes, &jobs, &near.of_jobs)?;
        seen.nodes = read;
        let seen = self.own(seen, &jobs, &near.of_jobs)?;
        Ok(Some(Glance { seen, all_nodes, of: TasksOf { nodes: at_work, services: in_question } }))
    }

    /// With all that is careen's own, and the records last.
    fn own(
        &self,
        observed: Observed,
        services: &[JobService],
        tasks: &HashMap<String, Vec<RawTask>>,
    ) -> Result<Observed, SwarmError> {
        let jobs = services.iter().map(|job| with_tasks(job, tasks)).collect::<Result<_, _>>()?;
        let (autolock, controller) = (self.swarm.engine().is_autolocked()?, self.place.clone());
        let mut observed = self.records(Observed { jobs, autolock, controller, ..observed })?;
        observed.key_is_left = self.key_is_left(&observed, services)?;
        Ok(observed)
    }

    /// Whether the rollout is over, and its own key is there to which no service refers. One of the operator's is theirs.
    fn key_is_left(&self, observed: &Observed, services: &[JobService]) -> Result<bool, SwarmError> {
        let name = names::unlock_key(&self.spec.id);
        let control = observed.rollout.as_ref().map(|rollout| &rollout.control);
        let is_own = self.spec.unlock_key.as_ref().is_some_and(|key| key.name == name);
        let is_used = || services.iter().any(|job| job.has_key && job.key.rollout == self.spec.id);
        if !is_own || !matches!(control, Some(Control::Finished { .. })) || is_used() {
            return Ok(false);
        }
        Ok(self.swarm.secret(&name)?.is_some())
    }

    fn nodes(&self) -> Result<Vec<Node>, SwarmError> {
        led(self.swarm.nodes()?)
    }

    /// The managers, and these.
    fn these_nodes(&self, ids: &BTreeSet<NodeId>) -> Result<Vec<Node>, SwarmError> {
        let mut nodes = self.swarm.nodes_that(&json!({ "role": ["manager"] }))?;
        let managers: HashSet<NodeId> = nodes.iter().map(|node| node.id.clone()).collect();
        let others = ids.iter().filter(|id| !managers.contains(*id));
        let others: Vec<&str> = others.map(|id| id.0.as_str()).collect();
        for some in others.chunks(IDS_IN_A_FILTER) {
            nodes.extend(self.swarm.nodes_that(&json!({ "id": some }))?);
        }
        led(nodes)
    }

    fn services(&self) -> Result<Services, SwarmError> {
        let mut services = Services::default();
        self.swarm.engine().get_each(&ApiPath::services_with_status(), |json| {
            let service = decode::service(json)?;
            // There are hundreds of them: each is read once.
            let (id, name) = match &service {
                Some(other) => other.called(),
                None => decode::name(json)?,
            };
            services.names.insert(id, name);
            if service.as_ref().is_none_or(Uncounted::is_ours) {
                services.jobs.extend(decode::job_service(json)?);
            }
            services.others.extend(service);
            Ok::<(), SwarmError>(())
        })?;
        Ok(services)
    }

    /// The tasks that are to run, and those that are being stopped where it matters: on nodes that are at work. The
    /// swarm's memory of tasks that ended long ago is many times as large, and not asked for.
    fn tasks(&self, at_work: &BTreeSet<NodeId>) -> Result<Vec<RawTask>, SwarmError> {
        let live = self.swarm.tasks(&json!({ "desired-state": LIVE }))?;
        let stopping = match at_work.len() {
            0..=IDS_IN_A_FILTER => self.tasks_on(at_work, &STOPPING)?,
            _ => self.swarm.tasks(&json!({ "desired-state": STOPPING }))?,
        };
        Ok(without_doubles(live, stopping))
    }

    /// Those of them that are careen's own, or on nodes that are at work.
    fn tasks_near(
        &self,
        at_work: &BTreeSet<NodeId>,
        jobs: &[JobService],
    ) -> Result<Vec<RawTask>, SwarmError> {
        let mut live = self.tasks_of("service", jobs.iter().map(|job| job.id.as_str()), &LIVE)?;
        let known: HashSet<String> = live.iter().map(|task| task.id.clone()).collect();
        let near = self.tasks_on(at_work, &LIVE)?;
        live.extend(near.into_iter().filter(|task| !known.contains(&task.id)));
        Ok(without_doubles(live, self.tasks_on(at_work, &STOPPING)?))
    }

    /// The tasks of these services that are to run, but for those that are known.
    fn tasks_beside(
        &self,
        known: &[Task],
        services: &BTreeSet<ServiceId>,
    ) -> Result<Vec<RawTask>, SwarmError> {
        let known: HashSet<&str> = known.iter().map(|task| task.id.as_str()).collect();
        let mut found = self.tasks_of("service", services.iter().map(|service| service.0.as_str()), &LIVE)?;
        found.retain(|task| !known.contains(task.id.as_str()));
        Ok(found)
    }

    fn tasks_on(&self, nodes: &BTreeSet<NodeId>, desired: &[&str]) -> Result<Vec<RawTask>, SwarmError> {
        self.tasks_of("node", nodes.iter().map(|node| node.0.as_str()), desired)
    }

    /// The tasks of these nodes or services, in as many requests as it takes.
    fn tasks_of<'a>(
        &self,
        what: &str,
        ids: impl Iterator<Item = &'a str>,
        desired: &[&str],
    ) -> Result<Vec<RawTask>, SwarmError> {
        let ids: Vec<&str> = ids.collect();
        let mut found = Vec::new();
        for some in ids.chunks(IDS_IN_A_FILTER) {
            found.extend(self.swarm.tasks(&json!({ what: some, "desired-state": desired }))?);
        }
        Ok(found)
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
        nodes: &[&Node],
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
        let moves = self.spec.moves.as_ref();
        observed.moving = moves.map(|moves| self.swarm.moving(moves)).transpose()?;
        let lock = self.swarm.config(object::LOCK)?;
        observed.lock = lock.map(|(_, config)| decode::lock(&config)).transpose()?;
        if observed.controller.is_none() {
            let of_this = observed.lock.as_ref().filter(|lock| lock.rollout.as_ref() == Some(id));
            observed.controller = of_this.and_then(|lock| lock.place.clone());
        }
        Ok(observed)
    }
}

/// For some seconds after the leader is gone the others still give lists, with every manager reachable.
pub(crate) fn led(nodes: Vec<Node>) -> Result<Vec<Node>, SwarmError> {
    if nodes.iter().any(Node::is_leader) { Ok(nodes) } else { Err(SwarmError::NoLeader) }
}

impl Tasks {
    fn of(tasks: Vec<RawTask>, jobs: &[JobService]) -> Self {
        let ids: HashSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        let mut of_jobs: HashMap<String, Vec<RawTask>> = HashMap::new();
        let (ours, others): (Vec<RawTask>, Vec<RawTask>) =
            tasks.into_iter().partition(|task| ids.contains(task.service.as_str()));
        for task in ours {
            of_jobs.entry(task.service.clone()).or_default().push(task);
        }
        Self { of_jobs, others }
    }

    fn all(&self) -> impl Iterator<Item = &RawTask> + Clone {
        self.others.iter().chain(self.of_jobs.values().flatten())
    }
}

/// A task may go from the one list to the other between the two requests.
fn without_doubles(live: Vec<RawTask>, stopping: Vec<RawTask>) -> Vec<RawTask> {
    let later: HashSet<String> = stopping.iter().map(|task| task.id.clone()).collect();
    let stays = |task: &RawTask| !later.contains(&task.id);
    let live = live.into_iter().rev().filter(stays);
    stopping.into_iter().rev().chain(live).collect()
}

fn planned(tasks: Vec<RawTask>, names: &HashMap<String, String>) -> Result<Vec<Task>, SwarmError> {
    tasks.into_iter().map(|task| task.planned(names)).collect()
}

fn with_tasks(job: &JobService, tasks: &HashMap<String, Vec<RawTask>>) -> Result<Job, SwarmError> {
    let of_job = tasks.get(&job.id).map_or(&[][..], Vec::as_slice);
    let refused = of_job.iter().find_map(RawTask::refusal);
    let refused = refused.map(|why| Refusal { why: why.to_owned(), no_image: says_no_such_image(why) });
    let tasks = of_job.iter().map(RawTask::state).collect::<Result<Vec<_>, _>>()?;
    let mut over = of_job.iter().zip(&tasks).filter(|(_, state)| state.is_over()).peekable();
    let swept = over.peek().is_some() && over.all(|(task, _)| task.was_swept());
    Ok(Job {
        key: job.key.clone(),
        version: job.version,
        stopped: job.stopped,
        on: job.on.clone(),
        tasks,
        swept,
        refused,
    })
}
