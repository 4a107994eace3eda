//! The swarm as one controller sees it and writes to it.

use crate::world::{Lists, SimJob, SimNode, SimService, World};
use careen_contract::label;
use careen_planner::cluster::{ActError, Cluster, Unseen};
use careen_planner::glance::{self, Glance, Memory, TasksOf};
use careen_planner::observed::{
    Availability, ControllerPlace, Job, Lock, Manager, Mode, Mount, MountKind, Needs, Node, NodeStatus,
    Offers, Reachability, Resources, Role, Scale, Service, Tally, Task, TaskState, UnfinishedUpdate,
};
use careen_planner::rollout::Control;
use careen_planner::state::NodeRecord;
use careen_planner::{Act, Action, ControllerId, JobKey, NodeId, Observed, PauseReason, ServiceId, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One controller's view of the world.
#[expect(missing_docs, reason = "the field's name says it")]
pub struct View<'a> {
    pub world: &'a mut World,
    /// The controller that looks.
    pub who: ControllerId,
    /// The node that it runs on.
    pub place: NodeId,
    /// When it looked for what it does now.
    pub looked_at: u64,
    /// Set when the controller is to be placed elsewhere.
    pub moved: bool,
    /// Set when everything was looked at.
    pub looked: bool,
    /// What a test makes of what is seen, to prove that the invariants bite.
    pub distort: fn(&mut Observed, &ControllerId),
}

impl Cluster for View<'_> {
    fn observe(&mut self) -> Result<Observed, Unseen> {
        self.looked = true;
        self.see()
    }

    fn glance(&mut self, memory: &Memory, all_nodes: bool) -> Result<Option<Glance>, Unseen> {
        // Who is not told of a change reads the nodes in question alone.
        let is_told = self.world.rng.permille(300);
        Ok(glance_of(self.see()?, memory, all_nodes || is_told))
    }

    fn act(&mut self, act: &Act) -> Result<(), ActError> {
        if !self.answers() {
            return Err(ActError::Unavailable { why: "no manager leads".into() });
        }
        self.world.acted.insert(self.who.clone(), self.world.now);
        let result = self.carry_out(&act.action, act.epoch);
        let words = words(&act.action);
        self.world.say(format!("{} e{} {words}: {result:?}", self.who, act.epoch));
        // The answer may be lost on the way back.
        if result.is_ok() && self.world.rng.permille(5) {
            return Err(ActError::Unavailable { why: "the connection broke".into() });
        }
        result
    }

    fn now(&self) -> Duration {
        // Each controller's clock began at another time.
        Duration::from_secs(self.world.now + 1000 + self.who.0.len() as u64)
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::UpdateNode { node, labels, availability, .. } => {
            let record = labels.get(label::NODE).cloned().flatten().unwrap_or_else(|| "-".into());
            let availability = availability.map_or("", Availability::word);
            format!("update-node {node} [{record}] {availability}")
        }
        Action::ScaleService { service, from, to, .. } => format!("scale {} from {from} to {to}", service.0),
        Action::CreateJob { agent } => format!("create-job {}", agent.key.name()),
        Action::CreateGate { key }
        | Action::CreateTicket { key }
        | Action::RemoveTicket { key }
        | Action::OpenGate { key, .. }
        | Action::StopJob { key, .. }
        | Action::CreateStandIn { key }
        | Action::RemoveJob { key } => format!("{} {}", action.name(), key.name()),
        Action::WriteResult { result } => format!("write-result {} {:?}", result.node, result.outcome),
        Action::SetControl { control, .. } => format!("set-control {control:?}"),
        Action::Move { step, .. } => format!("move {step:?}"),
        Action::TakeLock { .. }
        | Action::Beat { .. }
        | Action::ReleaseLock { .. }
        | Action::WriteBaseline { .. }
        | Action::WriteHistory { .. }
        | Action::RemoveResults
        | Action::RemoveDelivered
        | Action::MoveController { .. } => action.name().to_owned(),
        Action::MarkGone { node, mark, control, .. } => format!("mark-gone {node} {mark:?} {control:?}"),
    }
}

/// What a glance reads of all that there is.
fn glance_of(mut seen: Observed, memory: &Memory, all_nodes: bool) -> Option<Glance> {
    let asked = memory.nodes_in_question();
    let mut read = std::mem::take(&mut seen.nodes);
    read.retain(|node| all_nodes || node.is_manager() || asked.contains(&node.id));
    let nodes = match all_nodes {
        true => read.iter().collect(),
        false => memory.all_nodes(&asked, &read)?,
    };
    let at_work = glance::at_work(nodes.iter().copied(), seen.jobs.iter().map(|job| &job.key));
    if !all_nodes && !at_work.is_subset(&asked) {
        return None;
    }
    let tasks = std::mem::take(&mut seen.tasks);
    let of_these = |of: &TasksOf| tasks.iter().filter(|task| of.have(task)).cloned().collect();
    let mut of = TasksOf { nodes: at_work, services: BTreeSet::new() };
    seen.services.iter_mut().for_each(|service| service.running = 0);
    seen.tasks = of_these(&of);
    of.services = memory.services_in_question(&nodes, &seen, &of.nodes);
    seen.tasks = of_these(&of);
    seen.nodes = read;
    Some(Glance { seen, all_nodes, of })
}

impl View<'_> {
    fn see(&mut self) -> Result<Observed, Unseen> {
        if !self.answers() {
            return Err(Unseen::Away { why: "no manager leads".into() });
        }
        // A look begins when all that this controller did before is done.
        let acted = self.world.acted.get(&self.who).copied().unwrap_or(0);
        let mut observed = self.world.observe_since(&self.place, acted);
        (self.distort)(&mut observed, &self.who);
        Ok(observed)
    }

    fn answers(&self) -> bool {
        let here = self.world.node(&self.place);
        let manages = |node: &SimNode| node.role == Role::Manager && node.takes_part(self.world.now);
        self.world.has_quorum() && here.is_some_and(manages)
    }

    #[expect(clippy::too_many_lines, reason = "a case for each action")]
    pub(crate) fn carry_out(&mut self, action: &Action, epoch: u64) -> Result<(), ActError> {
        let world = &mut *self.world;
        // The real swarm's side looks at the lock before each action. That leaves a moment; here it is a wide one.
        let stale = world.lock.as_ref().is_some_and(|lock| lock.epoch != epoch || lock.holder.is_none());
        match action {
            Action::TakeLock { epoch, version } => {
                let found = world.lock.as_ref().map(|lock| lock.version);
                if found != *version {
                    return Err(if version.is_none() { ActError::Exists } else { ActError::Conflict });
                }
                let (version, rollout) = (world.next_version(), Some(world.spec.id.clone()));
                world.lock = Some(Lock {
                    version,
                    holder: Some(self.who.clone()),
                    epoch: *epoch,
                    rollout,
                    place: None,
                });
                Ok(())
            }
            Action::Beat { version } => {
                let next = world.next_version();
                world.lock_at(*version).map(|lock| lock.version = next)
            }
            Action::ReleaseLock { version } => {
                let next = world.next_version();
                world.lock_at(*version).map(|lock| {
                    lock.version = next;
                    lock.holder = None;
                })
            }
            Action::WriteBaseline { baseline } => match &world.baseline {
                Some(_) => Err(ActError::Exists),
                None => {
                    world.baseline = Some(baseline.clone());
                    Ok(())
                }
            },
            Action::UpdateNode { node, version, labels, availability } => {
                world.update_node(node, *version, labels, *availability, self.looked_at)
            }
            Action::ScaleService { service, version, from, to } => {
                world.scale(service, (*version, *from), *to, self.looked_at)
            }
            Action::CreateJob { agent } => world.create_job(&agent.key, Some((**agent).clone()), stale),
            Action::CreateGate { key } => world.create_job(key, None, stale),
            Action::CreateTicket { key } => match world.tickets.insert(key.clone()) {
                true => Ok(()),
                false => Err(ActError::Exists),
            },
            Action::RemoveTicket { key } if world.jobs.iter().any(|job| job.key == *key) => {
                Err(ActError::Refused { why: "a service refers to it".into() })
            }
            Action::RemoveTicket { key } => match world.tickets.remove(key) {
                true => Ok(()),
                false => Err(ActError::Gone),
            },
            Action::CreateStandIn { key } => {
                world.create_job(key, None, stale)?;
                world.jobs.iter_mut().filter(|job| job.key == *key).for_each(|job| job.stopped = true);
                Ok(())
            }
            Action::OpenGate { key, version } | Action::StopJob { key, version } => {
                let next = world.next_version();
                let job = world.jobs.iter_mut().find(|job| job.key == *key).ok_or(ActError::Gone)?;
                if job.version != *version {
                    return Err(ActError::Conflict);
                }
                job.version = next;
                job.stopped = true;
                if matches!(action, Action::OpenGate { .. }) {
                    world.go_looked_at.insert(key.node.clone(), self.looked_at);
                    world.note_opened(key, epoch, self.looked_at);
                }
                Ok(())
            }
            Action::RemoveJob { key } => {
                let before = world.jobs.len();
                world.jobs.retain(|job| job.key != *key);
                // Who decided that had seen the label that somebody has deleted since.
                let seen = self.looked_at.saturating_sub(world.hazard.lag + 1);
                if world.node(&key.node).is_some_and(|node| node.wish_at >= seen) {
                    world.forget_untraced();
                }
                if world.jobs.len() == before { Err(ActError::Gone) } else { Ok(()) }
            }
            Action::WriteResult { result } => {
                world.check_result(result);
                world.check_in_sync(result);
                if world
                    .results
                    .iter()
                    .any(|one| one.node == result.node && one.generation == result.generation)
                {
                    return Err(ActError::Exists);
                }
                world.results.push(result.clone());
                Ok(())
            }
            Action::WriteHistory { .. } => {
                world.history_written = true;
                Ok(())
            }
            Action::RemoveResults => {
                world.results.clear();
                Ok(())
            }
            Action::RemoveDelivered => {
                let key_goes = world.has_unused_key();
                world.key_is_gone |= key_goes;
                let of_this = |job: &SimJob| job.key.rollout == world.spec.id && job.agent.is_some();
                match (world.jobs.iter().any(of_this), key_goes) {
                    (false, _) => world.delivered = false,
                    (true, true) => {}
                    (true, false) => {
                        return Err(ActError::Refused { why: "a service refers to them".into() });
                    }
                }
                Ok(())
            }
            Action::SetControl { .. } | Action::MarkGone { .. } if world.removed => Err(ActError::Gone),
            Action::SetControl { control, version } => {
                if world.rollout.version != *version {
                    return Err(ActError::Conflict);
                }
                world.check_nobody_is_forgotten(control, self.looked_at);
                if let (Control::Paused { why: PauseReason::NodeHeld { node, .. } }, false) = (control, stale)
                {
                    world.check_held(node, "pauses the rollout");
                }
                world.rollout.version = world.next_version();
                world.sets_control(control.clone());
                Ok(())
            }
            Action::MarkGone { node, mark, control, version } => {
                if world.rollout.version != *version {
                    return Err(ActError::Conflict);
                }
                world.rollout.version = world.next_version();
                world.rollout.gone.insert(node.clone(), *mark);
                if let Some(control) = control {
                    world.sets_control(control.clone());
                }
                Ok(())
            }
            Action::Move { step, .. } => world.move_step(step),
            Action::MoveController { away_from } => {
                self.moved = *away_from == self.place;
                Ok(())
            }
        }
    }
}

impl World {
    fn lock_at(&mut self, version: Version) -> Result<&mut Lock, ActError> {
        self.lock.as_mut().filter(|lock| lock.version == version).ok_or(ActError::Conflict)
    }

    fn create_job(
        &mut self,
        key: &JobKey,
        agent: Option<careen_planner::AgentSpec>,
        stale: bool,
    ) -> Result<(), ActError> {
        if self.jobs.iter().any(|job| job.key == *key) {
            return Err(ActError::Exists);
        }
        if agent.as_ref().is_some_and(|agent| agent.short) {
            if !self.tickets.contains(key) && !self.bend.ignores_tickets {
                return Err(ActError::Refused { why: "it refers to a config that is not there".into() });
            }
            self.truth.short.insert(key.clone());
        }
        let version = self.next_version();
        self.jobs.push(SimJob {
            key: key.clone(),
            agent,
            version,
            stopped: false,
            tasks: Vec::new(),
            swept: false,
            refused: None,
            refused_at: 0,
            stale,
        });
        Ok(())
    }

    fn update_node(
        &mut self,
        id: &NodeId,
        version: Version,
        labels: &BTreeMap<String, Option<String>>,
        availability: Option<Availability>,
        looked_at: u64,
    ) -> Result<(), ActError> {
        let next = self.next_version();
        let (now, ignores_versions) = (self.now, self.bend.ignores_versions);
        let node = self.nodes.iter_mut().find(|node| node.id == *id).ok_or(ActError::Gone)?;
        if node.version != version && !ignores_versions {
            return Err(ActError::Conflict);
        }
        node.version = next;
        let state = |node: &SimNode| {
            let record = node.labels.get(label::NODE).and_then(|text| NodeRecord::decode(text).ok());
            record.map_or("pending", |record| record.state.name())
        };
        let from = state(node);
        for (name, value) in labels {
            match value {
                Some(value) => node.labels.insert(name.clone(), value.clone()),
                None => node.labels.remove(name),
            };
        }
        let to = state(node);
        if from != to && node.labels.contains_key(label::NODE) {
            self.edges.insert((from, to));
        }
        let record = node.labels.get(label::NODE).and_then(|text| NodeRecord::decode(text).ok());
        let is_left_out = record.as_ref().is_some_and(|record| record.state.is_skipped_for_a_hold());
        if let Some(record) = record {
            self.note_label(id, &record, from != to);
        }
        self.check_label(id, to);
        self.check_turn(id, (from, to), labels);
        if is_left_out && from != to {
            self.check_held(id, "is left out");
        }
        let Some(node) = self.nodes.iter_mut().find(|node| node.id == *id) else {
            return Err(ActError::Gone);
        };
        if let Some(availability) = availability {
            let drains = availability == Availability::Drain && node.availability != Availability::Drain;
            if availability != Availability::Drain && node.availability == Availability::Drain {
                node.given_back_at = now;
            }
            node.availability = availability;
            let record = node.labels.get(label::NODE).and_then(|text| NodeRecord::decode(text).ok());
            let wish = node.wish;
            self.check_ownership(id, wish, availability, record.and_then(|record| record.taken));
            if drains && wish != Availability::Drain {
                self.check_volumes(id, looked_at);
                self.check_gaps(id, looked_at);
                self.check_surge(id, looked_at);
            }
        }
        Ok(())
    }

    /// Everything, as a manager with a leader tells it.
    pub fn observe(&mut self, place: &NodeId) -> Observed {
        self.observe_since(place, self.now)
    }

    /// The same by a look that began after this moment, and took its time. The lists are from different moments: nodes first,
    /// then services, then tasks, then what agents said; the records last.
    fn observe_since(&mut self, place: &NodeId, since: u64) -> Observed {
        let reports = self.reports();
        let lists = self.lists_of_a_look(self.now.saturating_sub(since + 1));
        let active = |node: &&SimNode| {
            node.role == Role::Manager && node.ready && node.availability == Availability::Active
        };
        let movable = self.nodes.iter().filter(active).count() >= 2;
        Observed {
            nodes: lists.nodes,
            services: lists.services,
            tasks: lists.tasks,
            jobs: lists.jobs,
            tickets: self.tickets.iter().filter(|key| key.rollout == self.spec.id).cloned().collect(),
            troubles: BTreeMap::new(),
            reports,
            lock: self.lock.clone(),
            rollout: (!self.removed).then(|| self.rollout.clone()),
            baseline: self.baseline.clone(),
            results: self.results.clone(),
            history_written: self.history_written,
            delivered: self.delivered
                && matches!(self.rollout.control, careen_planner::rollout::Control::Finished { .. }),
            key_is_left: matches!(self.rollout.control, Control::Finished { .. }) && self.has_unused_key(),
            controller: Some(ControllerPlace { node: place.clone(), movable }),
            autolock: self.autolock,
            moving: self.moving.clone().filter(|_| self.spec.moves.is_some()),
            encrypted_networks: Vec::new(),
        }
    }

    /// The lists as a look finds them that reads them one after the other: nodes, then services, then tasks.
    fn lists_of_a_look(&mut self, longest: u64) -> Lists {
        let mut ago = [0; 3].map(|_| match self.hazard.lag.min(longest) {
            0 => 0,
            lag => usize::try_from(self.rng.between(0, lag)).unwrap_or(0),
        });
        ago.sort_unstable();
        let now = self.lists();
        if ago == [0; 3] {
            return now;
        }
        let at = |ago: usize| ago.checked_sub(1).and_then(|ago| self.snapshots.get(ago)).unwrap_or(&now);
        let [tasks, services, nodes] = ago.map(at);
        // Tasks of a service that was created meanwhile are none of a service that is known.
        let job = |job: &Job| {
            let seen = tasks.jobs.iter().find(|one| one.key == job.key);
            Job {
                tasks: seen.map_or_else(Vec::new, |one| one.tasks.clone()),
                swept: seen.is_some_and(|one| one.swept),
                refused: seen.and_then(|one| one.refused.clone()),
                ..job.clone()
            }
        };
        let running = |service: &Service| {
            tasks.services.iter().find(|one| one.id == service.id).map_or(0, |one| one.running)
        };
        let service = |service: &Service| Service { running: running(service), ..service.clone() };
        Lists {
            nodes: nodes.nodes.clone(),
            services: services.services.iter().map(service).collect(),
            tasks: tasks.tasks.clone(),
            jobs: services.jobs.iter().map(job).collect(),
        }
    }

    /// The lists as they are now.
    fn lists(&self) -> Lists {
        Lists {
            nodes: (0..self.nodes.len()).map(|index| self.observe_node(index)).collect(),
            services: (0..self.services.len()).map(|index| self.observe_service(index)).collect(),
            tasks: self.observe_tasks(),
            jobs: self.jobs.iter().map(observe_job).collect(),
        }
    }

    /// The lists are remembered, for looks whose lists are of different moments.
    pub(crate) fn remember(&mut self) {
        if self.hazard.lag == 0 {
            self.snapshots.clear();
            return;
        }
        self.snapshots.push_front(self.lists());
        self.snapshots.truncate(usize::try_from(self.hazard.lag).unwrap_or(0));
    }

    pub(crate) fn observe_node(&self, index: usize) -> Node {
        let node = &self.nodes[index];
        let manager = (node.role == Role::Manager).then(|| Manager {
            leader: self.leader == Some(index),
            reachability: match node.takes_part(self.now) {
                true => Reachability::Reachable,
                false => Reachability::Unreachable,
            },
        });
        Node {
            id: node.id.clone(),
            hostname: node.hostname.clone(),
            version: node.version,
            role: node.role,
            availability: node.availability,
            status: if node.ready { NodeStatus::Ready } else { NodeStatus::Down },
            manager,
            engine: "26.1.5".into(),
            api: (1, 45),
            os: "linux".into(),
            arch: "x86_64".into(),
            labels: node.labels.clone(),
            engine_labels: BTreeMap::new(),
            offers: Offers::default(),
            plain_containers: Vec::new(),
            plain_on_overlays: Vec::new(),
        }
    }

    pub(crate) fn observe_service(&self, index: usize) -> Service {
        let service: &SimService = &self.services[index];
        let running = |task: &&crate::world::SimTask| {
            task.service == index && task.wanted && task.state == TaskState::Running
        };
        let of_it = || self.tasks.iter().filter(|task| task.service == index);
        let runs = |task: &&crate::world::SimTask| task.state == TaskState::Running;
        let desired = match service.mode {
            Mode::Replicated => service.replicas,
            Mode::Global => of_it().filter(|task| task.wanted).count() as u64,
        };
        let version = service.version;
        let updating = self.now < service.updates_until;
        let update = updating.then_some(UnfinishedUpdate::UnderWay);
        let replicated = service.mode == Mode::Replicated;
        let surge = service.surge.map(|surge| (label::SURGE_SERVICE.to_owned(), surge.to_string()));
        Service {
            id: ServiceId(service.name.clone()),
            name: service.name.clone(),
            mode: service.mode,
            desired,
            running: self.tasks.iter().filter(running).count() as u64,
            tally: Some(Tally { version, running: of_it().filter(runs).count() as u64, desired }),
            scale: replicated.then_some(Scale { version, replicas: service.replicas, update }),
            constraints: service.pinned.iter().map(|node| format!("node.id=={node}")).collect(),
            needs: Needs::default(),
            labels: surge.into_iter().collect(),
            mounts: service.has_volume.then(volume).into_iter().collect(),
        }
    }

    fn observe_tasks(&self) -> Vec<Task> {
        let observe = |(index, task): (usize, &crate::world::SimTask)| Task {
            id: index.to_string(),
            service: ServiceId(self.services[task.service].name.clone()),
            called: self.services[task.service].name.clone(),
            job: false,
            node: Some(task.node.clone()),
            state: task.state,
            wanted: task.wanted,
            reserved: Resources::default(),
        };
        self.tasks.iter().enumerate().map(observe).collect()
    }
}

fn volume() -> Mount {
    Mount { kind: MountKind::LocalVolume, source: "data".into(), read_only: false }
}

fn observe_job(job: &SimJob) -> Job {
    Job {
        key: job.key.clone(),
        version: job.version,
        stopped: job.stopped,
        on: job.agent.as_ref().and_then(|agent| agent.on.clone()),
        tasks: job.tasks.clone(),
        swept: job.swept,
        refused: job.refused.clone(),
    }
}
