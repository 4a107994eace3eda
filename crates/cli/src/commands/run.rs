//! `plan`, `run` and `upgrade`: look, plan, print, ask, submit, follow.

use super::{Session, whole_ids};
use crate::args::{GivenArgs, HowArgs, RolloutArgs, RunArgs, StartArgs, UpgradeArgs};
use crate::backend::{Backend, BackendError, ImageLook};
use crate::carried::own_image;
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::given::InvalidGiven;
use crate::image::in_no_registry;
use crate::render::events::{Announced, Submitted};
use crate::render::notes::{Note, Question};
use crate::render::plan_page::Planned;
use crate::unlock;
use crate::{delivery, duration, given, past, registry, spec};
use careen_contract::label;
use careen_contract::settings::DEFAULT_PAYLOAD;
use careen_planner::exclude::excluded;
use careen_planner::image_places::ImageFacts;
use careen_planner::plan::{CONTROLLER, Plan, PlanRefusal, Warning, plan_with};
use careen_planner::probe::Probe;
use careen_planner::{Given, GivenFile, NodeId, Observed, RolloutId, Spec};
use careen_swarm::{Draft, GivenKind, PayloadFile};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a rollout would meet.
pub(super) struct Prospect {
    pub(super) draft: Draft,
    observed: Observed,
    plan: Plan,
    /// What hosts said, where they were asked.
    probe: Option<Probe>,
    /// Another one, which comes first.
    going_on: Option<RolloutId>,
    /// Whether each node is shown by itself.
    verbose: bool,
}

impl Prospect {
    /// As it is shown.
    fn planned(&self) -> Planned<'_> {
        let Self { draft, observed, plan, probe, going_on, verbose } = self;
        let (probe, going_on) = (probe.as_ref(), going_on.as_ref());
        Planned { plan, draft, observed, probe, going_on, verbose: *verbose }
    }

    /// Whether it may start.
    fn judge(&self) -> Result<(), Failure> {
        if let Some(rollout) = self.going_on.clone() {
            return Err(BackendError::OtherRollout { rollout }.into());
        }
        let names_no_node = |refusal: &&PlanRefusal| {
            matches!(refusal, PlanRefusal::NoSuchNode { .. } | PlanRefusal::AmbiguousNode { .. })
        };
        if let Some(refusal) = self.plan.refusals.iter().find(names_no_node) {
            return Err(Failure::NamesNoNode { why: refusal.to_string() });
        }
        if self.plan.is_refused() { Err(Failure::Refused) } else { Ok(()) }
    }
}

/// What to do about it is not what to do about an image of the operator's.
fn no_own_image(error: BackendError) -> Failure {
    if let BackendError::NoImage { image, .. } = error {
        return Failure::NoOwnImage { image };
    }
    error.into()
}

/// What its operator calls the payload's image.
pub(super) fn called(spec: &Spec) -> String {
    spec.image_name.clone().unwrap_or_else(|| spec.image.clone())
}

/// Why nothing can be run from an image.
pub(super) fn unfit(image: String, look: ImageLook) -> Option<PlanRefusal> {
    if !look.missing.is_empty() {
        return Some(PlanRefusal::ImageLacks { image, files: look.missing });
    }
    let of_another = look.protocol.as_deref() != Some(label::THIS_PROTOCOL);
    of_another.then(|| PlanRefusal::ImageOfAnother {
        image,
        has: look.protocol,
        wants: label::THIS_PROTOCOL.to_owned(),
    })
}

/// What the payload's image has to have: the agent, and the command where it is not brought along.
pub(super) fn wanted_of(spec: &Spec, files: &[PayloadFile]) -> Vec<String> {
    let payload = spec.payload.as_deref().unwrap_or(DEFAULT_PAYLOAD);
    let command = format!("{payload}/{}", spec.command);
    let brought = files.iter().any(|file| file.target == command);
    [Some("/careen-agent".to_owned()), (!brought).then_some(command)].into_iter().flatten().collect()
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn plan(&mut self, args: &RolloutArgs) -> Result<Exit, Failure> {
        let prospect = self.prospect_of(args)?;
        self.show_plan(&prospect)
    }

    pub(super) fn run(&mut self, args: &RunArgs) -> Result<Exit, Failure> {
        let prospect = self.prospect_of(&args.rollout)?;
        self.start(prospect, &args.start)
    }

    pub(super) fn upgrade(&mut self, args: &UpgradeArgs) -> Result<Exit, Failure> {
        let id = self.new_id()?;
        // A wrong flag is told before anybody is asked for an image.
        let words = spec::words_of_upgrade(args)?;
        let (name, image) = self.pinned(args.image.as_deref())?;
        let spec = spec::of_upgrade(args, words, id, &image);
        let spec = Spec { image_name: (name != image).then_some(name), ..spec };
        let prospect = self.prospect(Draft::of(spec), &args.how)?;
        if args.plan { self.show_plan(&prospect) } else { self.start(prospect, &args.start) }
    }

    fn show_plan(&mut self, prospect: &Prospect) -> Result<Exit, Failure> {
        self.show(&prospect.planned())?;
        prospect.judge().map(|()| Exit::Done)
    }

    fn start(&mut self, prospect: Prospect, args: &StartArgs) -> Result<Exit, Failure> {
        self.agrees(&prospect, args)?;
        let spec = self.backend.submit(&prospect.draft, &self.by)?;
        self.goes(spec, args)
    }

    /// Shows what would be done, and asks.
    pub(super) fn agrees(&mut self, prospect: &Prospect, args: &StartArgs) -> Result<(), Failure> {
        self.show(&Announced(prospect.planned()))?;
        prospect.judge()?;
        if !args.yes {
            match self.ask(Question::Start)? {
                Some(true) => {}
                Some(false) => return Err(Failure::Declined),
                None => return Err(Failure::NobodyToAsk),
            }
        }
        // What follows takes some seconds, in which nothing else is said.
        let time = self.console.time();
        self.show(&Note::Starts { rollout: &prospect.draft.spec.id, time })
    }

    /// A rollout that is submitted gets its controller, and is followed.
    pub(super) fn goes(&mut self, spec: Spec, args: &StartArgs) -> Result<Exit, Failure> {
        if args.local {
            return self.follow_here(spec);
        }
        // Before agents: it is what takes longest to come up, and nothing ends without it.
        self.start_controller(&spec.id)?;
        if args.detach {
            self.show(&Submitted(&spec.id))?;
            return Ok(Exit::Done);
        }
        self.begin_here(&spec)?;
        self.follow(spec)
    }

    fn prospect_of(&mut self, args: &RolloutArgs) -> Result<Prospect, Failure> {
        let RolloutArgs { image, given, command, .. } = args;
        let mut draft =
            self.drafted(image.as_deref(), given, command, |id, image| spec::of_args(args, id, image))?;
        let heeds = spec::heeds_the_image(args);
        let look = heeds.then(|| self.backend.look_into(&draft.spec.image, &[])).transpose()?.flatten();
        if look.is_some_and(|look| look.leaves_engine) {
            draft.spec = spec::leaving_engines_alone(draft.spec);
            self.show(&Note::ImageLeavesEngines)?;
        }
        let pinned = draft.spec.image.clone();
        if let Some(manifest) = self.payload_manifest(given, image.as_ref().map(|_| pinned.as_str()))? {
            given::heed(&mut draft.spec.given.environment, &manifest);
        }
        self.prospect(draft, &args.how)
    }

    /// What is to be done with an image, and with what comes from this machine. `spec` makes it of an id and the pinned image.
    pub(super) fn drafted(
        &mut self,
        image: Option<&str>,
        given: &GivenArgs,
        command: &str,
        spec: impl FnOnce(RolloutId, &str) -> Spec,
    ) -> Result<Draft, Failure> {
        let files = self.files(given, image, command)?;
        let (name, image) = self.pinned(image)?;
        let spec = spec(self.new_id()?, &image);
        let image_name = (name != image).then_some(name);
        let spec = Spec { image_name, given: self.given(given)?, ..spec };
        self.look_after_credentials(&image, spec.given.registry_auth)?;
        Ok(Draft { files, ..Draft::of(spec) })
    }

    pub(super) fn prospect(&mut self, mut draft: Draft, how: &HowArgs) -> Result<Prospect, Failure> {
        let going_on = self.backend.active()?.map(|spec| spec.id);
        let mut observed = self.backend.observe(None)?;
        let named = &mut draft.spec.selection.nodes;
        *named = whole_ids(&observed.nodes, named)?;
        let exclude = whole_ids(&observed.nodes, &how.exclude)?;
        draft.key = unlock::given(how)?.filter(|_| observed.autolock);
        let refusal = self.check_the_key(how, &mut draft)?;
        let of_images = self.look_into_the_images(&mut draft, how.controller_image.as_deref())?;
        observed.controller = self.backend.place_of_controller(&observed.nodes, &draft.spec);
        let today = jiff::Timestamp::now();
        let (exclude, wrong) = excluded(&observed, &exclude, |day| duration::is_over(day, today));
        draft.spec.selection.exclude = exclude;
        let probe = how.probe.then(|| self.probe(&draft, &observed)).transpose()?;
        // A plan without them is a plan all the same.
        let known = self.backend.rollouts().map(|rollouts| rollouts.known).unwrap_or_default();
        let expected = probe.as_ref().map(Probe::expected).unwrap_or_default();
        let plan = plan_with(&observed, &draft.spec, draft.has_key(), &expected);
        let mut plan = plan.in_the_light_of(&draft.spec.policy, &past::took(&known, &draft));
        plan.refusals.extend(refusal.into_iter().chain(of_images).chain(wrong));
        self.look_where_the_image_is(&draft.spec, &observed, probe.as_ref(), &mut plan)?;
        if !draft.spec.controller_may_move() {
            plan.warnings.push(Warning::ControllerStays { image: called(&draft.spec) });
        }
        Ok(Prospect { draft, observed, plan, probe, going_on, verbose: how.verbose })
    }

    /// Nodes that the image does not run on, and those that have to have it already.
    fn look_where_the_image_is(
        &mut self,
        spec: &Spec,
        observed: &Observed,
        probe: Option<&Probe>,
        plan: &mut Plan,
    ) -> Result<(), Failure> {
        let nodes: BTreeSet<NodeId> =
            plan.waves.iter().flat_map(|wave| &wave.nodes).map(|node| node.node.clone()).collect();
        let here = self.backend.here();
        let mut facts = ImageFacts {
            name: called(spec),
            platforms: self.backend.platforms(&spec.image)?,
            in_no_registry: here.is_some() && in_no_registry(&spec.image),
            ..probe.map(Probe::of_the_image).unwrap_or_default()
        };
        facts.on.extend(here);
        plan.refusals.extend(facts.other_platform(observed, &nodes).map(PlanRefusal::OtherPlatform));
        plan.warnings.extend(facts.not_pullable(observed, &nodes).map(Warning::NotPullable));
        Ok(())
    }

    /// An image that is not made for this careen, or lacks what is to run, fails on the first node, or before a controller comes up
    /// that could say so.
    fn look_into_the_images(
        &mut self,
        draft: &mut Draft,
        named: Option<&str>,
    ) -> Result<Option<PlanRefusal>, Failure> {
        let Draft { spec, files, .. } = draft;
        let controller = CONTROLLER.to_owned();
        if let Some(name) = named {
            let image = self.backend.pin(name)?;
            if let Some(look) = self.backend.look_into(&image, std::slice::from_ref(&controller))?
                && let Some(refusal) = unfit(name.to_owned(), look)
            {
                return Ok(Some(refusal));
            }
            spec.controller_image = Some(image);
        }
        let mut wanted = wanted_of(spec, files);
        if named.is_none() {
            wanted.insert(1, controller.clone());
        }
        let Some(mut look) = self.backend.look_into(&spec.image, &wanted)? else { return Ok(None) };
        if look.missing.contains(&controller)
            && let Some(own) = self.backend.look_into(&own_image(), std::slice::from_ref(&controller))?
        {
            let id = own.id.clone();
            if unfit(own_image(), own).is_none() {
                look.missing.retain(|file| *file != controller);
                spec.controller_image = Some(id);
            }
        }
        Ok(unfit(called(spec), look))
    }

    /// A wrong key shows before anything is restarted, and not on a manager that stays locked. What is in a secret no
    /// API tells: the agents compare that on their hosts.
    fn check_the_key(&mut self, how: &HowArgs, draft: &mut Draft) -> Result<Option<PlanRefusal>, Failure> {
        if let Some(name) = &how.unlock_key_secret {
            draft.spec.unlock_key = self.backend.secret(name)?;
            let missing = draft.spec.unlock_key.is_none();
            return Ok(missing.then(|| PlanRefusal::NoSuchSecret { name: name.clone() }));
        }
        let Some(key) = &draft.key else { return Ok(None) };
        Ok((!self.backend.is_unlock_key(key)?).then_some(PlanRefusal::WrongUnlockKey))
    }

    /// An image's name, and what it is pinned to; without one careen's own.
    pub(super) fn pinned(&mut self, image: Option<&str>) -> Result<(String, String), Failure> {
        Ok(match image {
            Some(name) => (name.to_owned(), self.backend.pin(name)?),
            None => (own_image(), self.backend.pin_here(&own_image()).map_err(no_own_image)?),
        })
    }

    /// Credentials that are to be passed on must be there; those that are not passed on may be missed later.
    pub(super) fn look_after_credentials(&mut self, image: &str, pass_on: bool) -> Result<(), Failure> {
        let by_digest = image.contains('@');
        if !pass_on {
            // Whether the registry wants them for this image, nobody knows here. A word is no harm.
            if by_digest && self.backend.has_credentials(image).unwrap_or(false) {
                let registry = registry::server(image);
                self.show(&Note::HostsAreNotLoggedIn { registry: &registry })?;
            }
            return Ok(());
        }
        if !by_digest {
            return Err(InvalidGiven::InNoRegistry.into());
        }
        if self.backend.has_credentials(image)? {
            return Ok(());
        }
        Err(Failure::NoCredentials { registry: registry::server(image) })
    }

    /// The payload that comes from this machine.
    pub(super) fn files(
        &self,
        given: &GivenArgs,
        image: Option<&str>,
        command: &str,
    ) -> Result<Vec<PayloadFile>, Failure> {
        Ok(match (&given.script, &given.dir) {
            (Some(path), _) => delivery::script(path, command)?,
            // An image that is named may have the command itself.
            (None, Some(path)) => delivery::directory(path, image.is_none().then_some(command))?,
            (None, None) => Vec::new(),
        })
    }

    /// What hosts get besides the image, and that is in the swarm already.
    pub(super) fn given(&mut self, flags: &GivenArgs) -> Result<Given, Failure> {
        if let Some(name) = given::clash(&flags.secrets, &flags.configs) {
            return Err(InvalidGiven::SameTarget { name: name.to_owned() }.into());
        }
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path)
                .map_err(|source| InvalidGiven::Unreadable { path: path.clone(), source })?;
            Ok((path.display().to_string(), text))
        };
        let texts: Vec<(String, String)> =
            flags.environment_files.iter().map(read).collect::<Result<_, InvalidGiven>>()?;
        let texts = texts.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        let environment = given::environment(texts, &flags.environment, |name| std::env::var(name).ok());
        Ok(Given {
            environment: environment.map_err(InvalidGiven::from)?,
            files: Vec::new(),
            configs: self.found(GivenKind::Config, &flags.configs)?,
            secrets: self.found(GivenKind::Secret, &flags.secrets)?,
            registry_auth: flags.with_registry_auth,
        })
    }

    fn found(&mut self, kind: GivenKind, named: &[GivenFile]) -> Result<Vec<GivenFile>, Failure> {
        let found = |file: &GivenFile| {
            let id = self.backend.find_given(kind, &file.name)?;
            let id = id.ok_or_else(|| Failure::NoSuchGiven { kind, name: file.name.clone() })?;
            Ok(GivenFile { id, ..file.clone() })
        };
        named.iter().map(found).collect()
    }

    /// Makes sure that a controller works on a rollout that is stored already.
    pub(super) fn start_controller(&mut self, rollout: &RolloutId) -> Result<(), Failure> {
        let started = self.backend.start_controller(rollout);
        started.map_err(|source| Failure::NoController { rollout: rollout.clone(), source })
    }
}
