//! The command line's [`Backend`] over careen-swarm: a manager's engine.

use crate::backend::{
    Backend, BackendError, ImageLook, LogLine, LogPlace, LogRead, Order, Rollouts, Speaker,
};
use crate::connect::{Connected, Managers, NoManager};
use crate::image::NoPin;
use crate::registry::Credentials;
use crate::{image, known, log};
use careen_contract::chain;
use careen_contract::{label, object};
use careen_engine::{ApiPath, Bell, Engine, EngineError, FileInContainer, Meaning, RegistryAuth, Source};
use careen_planner::cluster::ActError;
use careen_planner::enforcement::hosts::LastWord;
use careen_planner::inquiry::{Roll, TaskSeen};
use careen_planner::moves::{MoveStep, Moves, Moving};
use careen_planner::needs::Platform;
use careen_planner::observed::{ControllerPlace, Node};
use careen_planner::remains::Giving;
use careen_planner::rollout::Ask;
use careen_planner::spec::UnlockKey;
use careen_planner::{
    ControllerId, Enforcement, EnforcementState, FoundEnforcement, NodeId, Observed, RolloutId, Spec,
};
use careen_swarm::{
    ControllerTask, Draft, EnforcementDraft, GivenKind, Inquiry, Key, NotGivenBack, Patience, Possession,
    RequestError, Stored, Swarm, SwarmCluster, SwarmError, Verification, controller_name, inquiry_name,
    place_of_a_new_one,
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long one reading of a node's log may take: the call hangs when its host is frozen.
const LOG_LIMIT: Duration = Duration::from_secs(5);

/// A swarm, over the engine of one of its managers.
#[derive(Debug)]
pub struct SwarmBackend {
    engine: Engine,
    swarm: Swarm,
    /// The manager whose engine it is.
    name: String,
    node: NodeId,
    /// What looks at a rollout, with what it has read of the agents' logs.
    onlooker: Option<SwarmCluster>,
    watched: Option<RolloutId>,
    credentials: Credentials,
    /// What those who look ring, once somebody waits for it.
    bell: Option<Bell>,
    /// Who can be asked when this manager cannot.
    managers: Managers,
    /// When the inquiry under way was begun.
    asked_at: Instant,
}

impl SwarmBackend {
    /// Over the first of these managers that can be asked. Those before it, too.
    pub fn connect(mut managers: Managers) -> Result<(Self, Vec<NoManager>), BackendError> {
        let Connected { engine, rollouts, passed } = managers.connect()?;
        let (swarm, name, node) = opened(&engine, rollouts)?;
        let backend = Self {
            engine,
            swarm,
            name,
            node,
            onlooker: None,
            watched: None,
            credentials: Credentials::default(),
            bell: None,
            managers,
            asked_at: Instant::now(),
        };
        Ok((backend, passed))
    }

    /// With this user's credentials for registries.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    fn registry_auth(&self, image: &str) -> Result<Option<RegistryAuth>, BackendError> {
        self.credentials.for_image(image).map_err(BackendError::Credentials)
    }

    /// The credentials for the registry of one of a rollout's images, where it wants some.
    fn auth_of(&self, spec: &Spec, image: &str) -> Result<Option<RegistryAuth>, BackendError> {
        if spec.given.registry_auth { self.registry_auth(image) } else { Ok(None) }
    }

    fn unanswered(&self, error: &SwarmError) -> BackendError {
        from_swarm(error, &self.name)
    }

    fn refused(&self, error: RequestError) -> BackendError {
        match error {
            RequestError::Busy { rollout } => BackendError::OtherRollout { rollout },
            RequestError::Unknown { rollout } | RequestError::Over { rollout, .. } => {
                BackendError::Over { rollout }
            }
            RequestError::Enforce(why) => BackendError::CannotEnforce(why),
            RequestError::Contended { .. } => BackendError::Changed,
            RequestError::Swarm(error) => self.unanswered(&error),
            RequestError::Write { object, why } => from_write(&object, &why),
            RequestError::Taken { .. } | RequestError::NoSuchNode { .. } | RequestError::TooLarge { .. } => {
                BackendError::Refused { why: error.to_string() }
            }
        }
    }

    fn no_image(&self, image: &str, error: NoPin) -> BackendError {
        match error {
            NoPin::Nobody { why } => BackendError::NoImage { image: image.to_owned(), why },
            NoPin::Engine(error) => from_engine(&error, &self.name),
        }
    }

    /// The spec of a rollout; of none, one that no rollout has.
    fn spec(&self, rollout: Option<&RolloutId>) -> Result<Option<Spec>, BackendError> {
        let Some(id) = rollout else { return Ok(None) };
        let found = self.swarm.rollout(id).map_err(|error| self.unanswered(&error))?;
        Ok(found.map(|rollout| rollout.spec))
    }

    /// The spec of a rollout that has to be there.
    fn spec_of(&self, rollout: &RolloutId) -> Result<Spec, BackendError> {
        self.spec(Some(rollout))?.ok_or_else(|| BackendError::Over { rollout: rollout.clone() })
    }

    /// A log, as the engine sends it; `None` when there is none. A controller may be a service, or a container of this manager's.
    fn frames(&self, of: Speaker<'_>, place: &LogPlace) -> Result<Option<impl Read + use<>>, BackendError> {
        let name = match of {
            Speaker::Agent(agent) => agent.name(),
            Speaker::Controller(rollout) => controller_name(rollout),
            Speaker::Inquiry(inquiry) => inquiry_name(inquiry),
        };
        let places: &[Source<'_>] = match of {
            Speaker::Agent(_) | Speaker::Inquiry(_) => &[Source::Service(&name)],
            Speaker::Controller(_) => &[Source::Service(&name), Source::Container(&name)],
        };
        for source in places {
            match self.engine.reader_within(&log::path(*source, place), LOG_LIMIT) {
                Ok(frames) => return Ok(Some(frames)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(from_engine(&error, &self.name)),
            }
        }
        Ok(None)
    }

    fn onlooker(&mut self, rollout: Option<&RolloutId>) -> Result<&mut SwarmCluster, BackendError> {
        if self.onlooker.is_none() || self.watched.as_ref() != rollout {
            let nobody =
                RolloutId::parse("none").map_err(|error| BackendError::Refused { why: error.to_string() })?;
            let spec =
                self.spec(rollout)?.unwrap_or_else(|| Spec::run(rollout.cloned().unwrap_or(nobody), ""));
            let me = ControllerId("onlooker".to_owned());
            self.watched = rollout.cloned();
            let onlooker = SwarmCluster::new(self.swarm.clone(), spec, me, None);
            self.onlooker = Some(match &self.bell {
                Some(bell) => onlooker.with_bell(bell.clone()),
                None => onlooker,
            });
        }
        self.onlooker.as_mut().ok_or(BackendError::Changed)
    }
}

impl Backend for SwarmBackend {
    type Cluster = SwarmCluster;

    fn observe(&mut self, rollout: Option<&RolloutId>) -> Result<Observed, BackendError> {
        let (name, here) = (self.name.clone(), self.node.clone());
        let mut observed = self.onlooker(rollout)?.look().map_err(|error| from_swarm(&error, &name))?;
        if rollout.is_some() {
            return Ok(observed);
        }
        // For a plan.
        // Of other hosts only their agents know.
        if let Some(node) = observed.nodes.iter_mut().find(|node| node.id == here) {
            let listed = self
                .engine
                .get(&ApiPath::running_containers())
                .map_err(|error| from_engine(&error, &name))?;
            let plain = plain_containers(&listed);
            // A plan without them is a plan all the same.
            let overlays = overlays(&self.engine.get(&ApiPath::overlay_networks()).unwrap_or_default());
            node.plain_on_overlays = plain
                .iter()
                .filter(|plain| plain.networks.iter().any(|network| overlays.contains_key(network)))
                .map(|plain| plain.name.clone())
                .collect();
            node.plain_containers = plain.into_iter().map(|plain| plain.name).collect();
            observed.encrypted_networks = encrypted(overlays);
        }
        Ok(observed)
    }

    fn ages(&mut self) -> Result<BTreeMap<NodeId, Duration>, BackendError> {
        let Some(onlooker) = &self.onlooker else { return Ok(BTreeMap::new()) };
        let info: Value =
            self.engine.get(&ApiPath::info()).map_err(|error| from_engine(&error, &self.name))?;
        Ok(ages(&info, onlooker.written()))
    }

    fn bell(&mut self) -> Option<Bell> {
        if self.bell.is_none() {
            self.bell = Some(Bell::new().ok()?);
            self.onlooker = None;
        }
        self.bell.clone()
    }

    fn ask_another(&mut self) -> Option<String> {
        // When none of them can be asked, this one is asked again.
        let Connected { engine, rollouts, .. } = self.managers.replace().ok()??;
        let (swarm, name, node) = opened(&engine, rollouts).ok()?;
        self.onlooker = None;
        (self.engine, self.swarm, self.node) = (engine, swarm, node);
        self.name.clone_from(&name);
        Some(name)
    }

    fn active(&mut self) -> Result<Option<Spec>, BackendError> {
        let found = self.swarm.find_active().map_err(|error| self.unanswered(&error))?;
        Ok(found.map(|rollout| rollout.spec))
    }

    fn rollouts(&mut self) -> Result<Rollouts, BackendError> {
        let stored = self.swarm.rollouts().map_err(|error| self.unanswered(&error))?;
        let remembered = self.swarm.history().map_err(|error| self.unanswered(&error))?;
        Ok(known::rollouts(stored, remembered))
    }

    fn verify_history(&mut self) -> Result<Verification, BackendError> {
        self.swarm.verify_history().map_err(|error| self.unanswered(&error))
    }

    fn pin(&mut self, image: &str) -> Result<String, BackendError> {
        let on_engine = || self.engine.get(&ApiPath::image(image));
        let in_registry = || {
            // A registry may answer without them; what is wrong with them is said when it does not.
            let auth = self.credentials.for_image(image);
            let answer = self
                .engine
                .get_authorised(&ApiPath::distribution(image), auth.as_ref().ok().and_then(Option::as_ref));
            answer.map_err(|error| match (error, auth) {
                (EngineError::Answer { status, request, message }, Err(why)) => {
                    EngineError::Answer { status, request, message: format!("{message} ({why})") }
                }
                (error, _) => error,
            })
        };
        image::pin(image, in_registry, on_engine).map_err(|error| self.no_image(image, error))
    }

    fn pin_here(&mut self, image: &str) -> Result<String, BackendError> {
        image::pin_here(image, self.engine.get(&ApiPath::image(image)))
            .map_err(|error| self.no_image(image, error))
    }

    fn place_of_controller(&self, nodes: &[Node], spec: &Spec) -> Option<ControllerPlace> {
        place_of_a_new_one(nodes, &self.node, spec)
    }

    fn look_into(&mut self, image: &str, files: &[String]) -> Result<Option<ImageLook>, BackendError> {
        image::look_into(&self.engine, image, files).map_err(|error| from_engine(&error, &self.name))
    }

    fn read_in_image(
        &mut self,
        image: &str,
        path: &str,
        most: usize,
    ) -> Result<Option<FileInContainer>, BackendError> {
        image::read(&self.engine, image, path, most).map_err(|error| from_engine(&error, &self.name))
    }

    fn platforms(&mut self, image: &str) -> Result<Vec<Platform>, BackendError> {
        // A registry may have it for more than this engine's host. What it does not say is not known.
        let auth = self.credentials.for_image(image).ok().flatten();
        let of_registry = || self.engine.get_authorised(&ApiPath::distribution(image), auth.as_ref()).ok();
        let of_engine = || self.engine.get(&ApiPath::image(image)).ok();
        Ok(match image::in_no_registry(image) {
            true => image::platforms_of_engine(of_engine()),
            false => image::platforms_of_registry(of_registry()),
        })
    }

    fn here(&self) -> Option<NodeId> {
        Some(self.node.clone())
    }

    fn has_credentials(&mut self, image: &str) -> Result<bool, BackendError> {
        Ok(self.registry_auth(image)?.is_some())
    }

    fn find_given(&mut self, kind: GivenKind, name: &str) -> Result<Option<String>, BackendError> {
        self.swarm.find_given(kind, name).map_err(|error| self.unanswered(&error))
    }

    fn is_unlock_key(&mut self, key: &Key) -> Result<bool, BackendError> {
        self.swarm.is_unlock_key(key).map_err(|error| self.unanswered(&error))
    }

    fn secret(&mut self, name: &str) -> Result<Option<UnlockKey>, BackendError> {
        self.swarm.secret(name).map_err(|error| self.unanswered(&error))
    }

    fn submit(&mut self, draft: &Draft, by: &str) -> Result<Spec, BackendError> {
        self.swarm.submit_draft(draft, by).map_err(|error| self.refused(error))
    }

    fn start_controller(&mut self, rollout: &RolloutId) -> Result<(), BackendError> {
        // A lock that is held says nothing of its holder: a second controller waits until that one is dead.
        let spec = self.spec_of(rollout)?;
        let auth = self.auth_of(&spec, &spec.image)?;
        let to_pull = self.auth_of(&spec, spec.image_of_controller())?;
        self.swarm
            .start_controller(rollout, auth.as_ref(), to_pull.as_ref())
            .map(drop)
            .map_err(|error| self.refused(error))
    }

    fn controller_task(&mut self, rollout: &RolloutId, held: bool) -> Result<ControllerTask, BackendError> {
        self.swarm.controller_task(rollout, held).map_err(|error| self.unanswered(&error))
    }

    fn control(&mut self, rollout: &RolloutId, order: Order) -> Result<(), BackendError> {
        self.swarm.control(rollout, order).map(drop).map_err(|error| self.refused(error))
    }

    fn ask(&mut self, rollout: &RolloutId, node: &NodeId, ask: Ask) -> Result<(), BackendError> {
        self.swarm.ask(rollout, &node.0, ask).map(drop).map_err(|error| self.refused(error))
    }

    fn give_up(&mut self, rollout: &RolloutId, node: &NodeId) -> Result<(), BackendError> {
        self.swarm.give_up(rollout, node).map_err(|error| self.refused(error))
    }

    fn stored(&mut self) -> Result<Vec<Stored>, BackendError> {
        self.swarm.stored().map_err(|error| self.unanswered(&error))
    }

    fn remove_stored(&mut self, stored: &Stored) -> Result<bool, BackendError> {
        self.swarm.remove_stored(stored).map_err(|error| self.refused(error))
    }

    fn possessions(&mut self) -> Result<Vec<Possession>, BackendError> {
        self.swarm.possessions().map_err(|error| self.unanswered(&error))
    }

    fn remove_possession(&mut self, one: &Possession) -> Result<bool, BackendError> {
        self.swarm.remove_possession(one).map_err(|error| self.refused(error))
    }

    fn give_back(&mut self, giving: &Giving) -> Result<(), BackendError> {
        self.swarm.give_back(giving).map_err(|error| self.refused(error))
    }

    fn remove_controller(&mut self, rollout: &RolloutId) -> Result<(), BackendError> {
        self.swarm.remove_controller(rollout).map_err(|error| self.unanswered(&error))
    }

    fn logs(
        &mut self,
        of: Speaker<'_>,
        place: &mut LogPlace,
        each: &mut dyn FnMut(LogLine),
    ) -> Result<LogRead, BackendError> {
        let before = place.clone();
        let Some(frames) = self.frames(of, place)? else { return Ok(LogRead::Whole) };
        match log::read(frames, place, each) {
            Ok(()) => Ok(LogRead::Whole),
            Err(_) if *place != before => Ok(LogRead::Partly),
            Err(error) => Err(NoManager::NoAnswer { why: format!("{}: {error}", self.name) }.into()),
        }
    }

    fn nodes(&mut self) -> Result<Vec<Node>, BackendError> {
        self.swarm.all_nodes().map_err(|error| self.unanswered(&error))
    }

    fn inquire(&mut self, inquiry: &Inquiry) -> Result<Vec<NotGivenBack>, BackendError> {
        let auth = self.auth_of(&inquiry.spec, &inquiry.spec.image)?;
        self.asked_at = Instant::now();
        self.swarm.inquire(inquiry, auth.as_ref()).map_err(|error| self.refused(error))
    }

    fn hear(
        &mut self,
        inquiry: &Inquiry,
        roll: &mut Roll,
        tick: &mut dyn FnMut(&Roll) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        let patience = if self.managers.are_several() { Patience::Some } else { Patience::Endless };
        let heard = self.swarm.hear(inquiry, self.asked_at, patience, roll, tick);
        heard.map_err(|error| self.unanswered(&error))
    }

    fn end_inquiry(&mut self, id: &RolloutId) -> Result<Vec<NotGivenBack>, BackendError> {
        self.swarm.end_inquiry(id).map_err(|error| self.refused(error))
    }

    fn enforcements(&mut self) -> Result<Vec<FoundEnforcement>, BackendError> {
        self.swarm.enforcements().map_err(|error| self.unanswered(&error))
    }

    fn start_enforcement(&mut self, draft: &EnforcementDraft) -> Result<Enforcement, BackendError> {
        let wants = draft.spec.given.registry_auth;
        let auth = if wants { self.registry_auth(&draft.spec.image)? } else { None };
        self.swarm.start_enforcement(draft, auth.as_ref()).map_err(|error| self.refused(error))
    }

    fn change_enforcement(
        &mut self,
        spec: &Enforcement,
        state: &EnforcementState,
    ) -> Result<(), BackendError> {
        self.swarm.change_enforcement(spec, state).map_err(|error| self.refused(error))
    }

    fn stop_enforcement(&mut self, name: &str, version: &str) -> Result<Vec<String>, BackendError> {
        self.swarm.stop_enforcement(name, version).map_err(|error| self.refused(error))
    }

    fn store_version(
        &mut self,
        draft: &EnforcementDraft,
        from: &str,
        rollout: &RolloutId,
    ) -> Result<Enforcement, BackendError> {
        let state = EnforcementState::Coming { from: from.to_owned(), rollout: rollout.clone() };
        self.swarm.store_enforcement(draft, &state).map_err(|error| self.refused(error))
    }

    fn moving(&mut self, moves: &Moves) -> Result<Moving, BackendError> {
        self.swarm.moving(moves).map_err(|error| self.unanswered(&error))
    }

    fn take_move_step(&mut self, moves: &Moves, step: &MoveStep) -> Result<(), BackendError> {
        // No step of an operator's creates a service, which alone would pull something.
        let taken = self.swarm.take_move_step(moves, step, None);
        taken.map_err(|why| from_write(&format!("the enforcement {}", moves.enforcement), &why))
    }

    fn enforcer_tasks(&mut self, name: &str, version: &str) -> Result<Vec<TaskSeen>, BackendError> {
        self.swarm.enforcer_tasks(name, version).map_err(|error| self.unanswered(&error))
    }

    fn last_words(&mut self, tasks: &[TaskSeen]) -> Result<BTreeMap<String, LastWord>, BackendError> {
        Ok(self.swarm.last_words(tasks))
    }

    fn cluster(&mut self, rollout: &RolloutId, me: &ControllerId) -> Result<SwarmCluster, BackendError> {
        let spec = self.spec_of(rollout)?;
        // This process goes with its host, and nobody can move it.
        let place = ControllerPlace { node: self.node.clone(), movable: false };
        let auth = self.auth_of(&spec, &spec.image)?;
        let cluster = SwarmCluster::new(self.swarm.clone(), spec, me.clone(), Some(place));
        let cluster = cluster.with_registry_auth(auth);
        Ok(match self.bell() {
            Some(bell) => cluster.with_bell(bell),
            None => cluster,
        })
    }
}

/// A swarm over a manager that was connected to, what its host is called, and which node that is.
fn opened(engine: &Engine, rollouts: Engine) -> Result<(Swarm, String, NodeId), BackendError> {
    let info = engine.info().map_err(|error| from_engine(&error, "this host"))?;
    let swarm = Swarm::over(rollouts).map_err(|error| from_swarm(&error, &info.name))?;
    Ok((swarm, info.name, NodeId(info.swarm.node_id)))
}

/// A container that somebody made by hand.
#[derive(Debug, PartialEq, Eq)]
struct PlainContainer {
    name: String,
    /// The ids of the networks that it is on.
    networks: Vec<String>,
}

/// The running containers that belong to no service, and are not careen's.
fn plain_containers(listed: &Value) -> Vec<PlainContainer> {
    let is_plain = |container: &&Value| {
        let labels = container.get("Labels").and_then(Value::as_object);
        // An image's own label is on every container that somebody makes of it.
        let of_images = |name: &String| [label::PROTOCOL, label::TOUCHES_ENGINE].contains(&name.as_str());
        let ours = |name: &String| name.starts_with(object::PREFIX) && !of_images(name);
        let of_somebody = |name: &String| name.starts_with("com.docker.swarm.") || ours(name);
        !labels.is_some_and(|labels| labels.keys().any(of_somebody))
    };
    let name = |container: &Value| {
        let names = container.get("Names")?.as_array()?;
        // Links from other containers are names, too: they have a second slash.
        let mut names = names.iter().filter_map(Value::as_str).map(|name| name.trim_start_matches('/'));
        names.find(|name| !name.contains('/')).map(str::to_owned)
    };
    let networks = |container: &Value| {
        let networks = container.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
        let ids = networks.into_iter().flat_map(|networks| networks.values());
        ids.filter_map(|network| Some(network.get("NetworkID")?.as_str()?.to_owned())).collect()
    };
    let plain = listed.as_array().into_iter().flatten().filter(is_plain);
    let plain = plain.filter_map(|one| Some(PlainContainer { name: name(one)?, networks: networks(one) }));
    let mut plain: Vec<PlainContainer> = plain.collect();
    plain.sort_by(|a, b| a.name.cmp(&b.name));
    plain
}

/// The swarm's overlay networks by their ids: what each is called, and whether it encrypts.
fn overlays(listed: &Value) -> BTreeMap<String, (String, bool)> {
    let overlay = |network: &Value| {
        let text = |key: &str| Some(network.get(key)?.as_str()?.to_owned());
        let encrypts = network.get("Options").is_some_and(|options| options.get("encrypted").is_some());
        Some((text("Id")?, (text("Name")?, encrypts)))
    };
    listed.as_array().into_iter().flatten().filter_map(overlay).collect()
}

/// Those that encrypt, by name.
fn encrypted(overlays: BTreeMap<String, (String, bool)>) -> Vec<String> {
    let mut names: Vec<String> =
        overlays.into_values().filter(|(_, encrypts)| *encrypts).map(|(name, _)| name).collect();
    names.sort();
    names
}

/// How long ago each node was written, by the manager's clock. What cannot be read is left out.
fn ages(info: &Value, written: &BTreeMap<NodeId, String>) -> BTreeMap<NodeId, Duration> {
    let now = info.get("SystemTime").and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
    let Some(now) = now else { return BTreeMap::new() };
    let age = |(node, time): (&NodeId, &String)| {
        let age = now.duration_since(time.parse::<Timestamp>().ok()?);
        Some((node.clone(), Duration::try_from(age).unwrap_or_default()))
    };
    written.iter().filter_map(age).collect()
}

fn from_swarm(error: &SwarmError, name: &str) -> BackendError {
    match error {
        SwarmError::Engine(error) => from_engine(error, name),
        SwarmError::NoLeader => NoManager::NoLeader { name: name.to_owned() }.into(),
        SwarmError::TooOld { .. } => BackendError::Refused { why: error.to_string() },
        SwarmError::Corrupt { object, why } => {
            BackendError::Corrupt { object: object.clone(), why: why.clone() }
        }
    }
}

/// An engine that says no refuses; one that says nothing, or that its swarm is away, is no manager that could be asked.
fn from_engine(error: &EngineError, name: &str) -> BackendError {
    match error.meaning() {
        Meaning::NoLeader => NoManager::NoLeader { name: name.to_owned() }.into(),
        // A manager was asked: its engine is being stopped, or has just been started.
        Meaning::Locked => NoManager::Locked { name: name.to_owned() }.into(),
        Meaning::NotAManager => {
            NoManager::NoAnswer { why: format!("{name} takes no part in its swarm now") }.into()
        }
        Meaning::NotFound | Meaning::Exists | Meaning::InUse | Meaning::Refused => {
            BackendError::Refused { why: chain(error) }
        }
        Meaning::Changed | Meaning::Unavailable => NoManager::NoAnswer { why: chain(error) }.into(),
    }
}

fn from_write(object: &str, error: &ActError) -> BackendError {
    match error {
        ActError::Conflict => BackendError::Changed,
        ActError::Exists | ActError::Gone => BackendError::Refused { why: format!("{object}: {error}") },
        ActError::Refused { why } => BackendError::Refused { why: format!("{object}: {why}") },
        ActError::Unavailable { why } => BackendError::Unclear { why: format!("{object}: {why}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_swarm_without_a_leader_and_an_engine_that_stops_are_told_as_that() {
        let said = |status, message: &str| {
            let (request, message) = ("GET /nodes".to_owned(), message.to_owned());
            from_engine(&EngineError::Answer { status, request, message }, "m1").to_string()
        };
        let no_leader = said(
            500,
            "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are \
             online.",
        );
        assert_eq!(no_leader, "the swarm of m1 does not answer: no manager leads, or m1 does not reach it");
        let stops = said(503, "This node is not a swarm manager. Use \"docker swarm init\" to connect.");
        assert_eq!(stops, "m1 takes no part in its swarm now");
        assert!(said(500, "something else").contains("answered 500 to GET /nodes: something else"));
    }

    #[test]
    fn a_plain_container_is_one_that_somebody_made_by_hand_also_of_a_payloads_image() {
        let container = |name: &str, label: &str| {
            let labels = serde_json::Map::from_iter([(label.to_owned(), json!("x"))]);
            json!({ "Names": [format!("/{name}")], "Labels": labels })
        };
        let listed = json!([
            container("by-hand", "maintainer"),
            container("of-the-image", label::PROTOCOL),
            container("of-another", label::TOUCHES_ENGINE),
            container("task", "com.docker.swarm.task.id"),
            container("gate", "careen.role"),
        ]);
        let names: Vec<String> = plain_containers(&listed).into_iter().map(|plain| plain.name).collect();
        assert_eq!(names, ["by-hand", "of-another", "of-the-image"]);
    }

    #[test]
    fn networks_are_read_with_whether_they_encrypt_and_who_is_on_them() {
        let overlays = overlays(&json!([
            { "Id": "x1", "Name": "secret", "Options": { "encrypted": "" } },
            { "Id": "x2", "Name": "plain", "Options": { "com.docker.network.driver.overlay.vxlanid_list": "4097" } },
            { "Id": "x3", "Name": "ingress", "Options": null },
        ]));
        assert_eq!(overlays.keys().collect::<Vec<_>>(), ["x1", "x2", "x3"]);
        assert_eq!(encrypted(overlays), ["secret"]);
        let networks = json!({ "bridge": { "NetworkID": "b" }, "plain": { "NetworkID": "x2" } });
        let listed =
            json!([{ "Names": ["/by-hand"], "Labels": {}, "NetworkSettings": { "Networks": networks } }]);
        let expected = PlainContainer { name: "by-hand".into(), networks: vec!["b".into(), "x2".into()] };
        assert_eq!(plain_containers(&listed), [expected]);
    }

    #[test]
    fn ages_are_by_the_managers_clock_and_never_negative() {
        let info = json!({ "SystemTime": "2026-11-23T02:00:30.123456789Z" });
        let nodes = [("n1", "2026-11-23T02:00:00.123456789Z"), ("n2", "2026-11-23T03:00:00Z"), ("n3", "")];
        let nodes = nodes.map(|(id, time)| (NodeId(id.to_owned()), time.to_owned()));
        let nodes = BTreeMap::from(nodes);
        let expected = [("n1", 30), ("n2", 0)].map(|(id, age)| (NodeId(id.into()), Duration::from_secs(age)));
        assert_eq!(ages(&info, &nodes), BTreeMap::from(expected));
        assert!(ages(&json!({}), &nodes).is_empty());
    }
}
