//! `enforce`: what hosts keep themselves to. There is no rollout: nothing is locked or drained.

use super::Session;
use super::run::{called, unfit, wanted_of};
use crate::args::{EnforceArgs, EnforceCommand, EnforceStatusArgs, EnforceWhat, StopArgs};
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::enforcement::{EnforcementLook, FromPayload, of_args, payload_of};
use crate::error::Failure;
use crate::exit::Exit;
use crate::image::in_no_registry;
use crate::render::enforce::{Begun, EnforcementList, EnforcementPages, Preview, Steered, WaitsForHosts};
use crate::render::notes::Question;
use careen_contract::label;
use careen_contract::payload::{CHECK_COMMAND, DEFAULT_COMMAND};
use careen_planner::enforcement::hosts::{Coverage, EnforcedHost, Uncovered, hosts};
use careen_planner::enforcement::{Beginning, CannotEnforce, Damage, may_start};
use careen_planner::image_places::ImageFacts;
use careen_planner::names::Names;
use careen_planner::observed::Node;
use careen_planner::plan::PlanRefusal;
use careen_planner::{Enforcement, EnforcementState, FoundEnforcement, NodeId, Observed, Spec};
use careen_swarm::{Draft, EnforcementDraft, PayloadFile, version_of_enforcement};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often hosts are looked at that are waited for.
const AGAIN: Duration = Duration::from_secs(2);

/// After so long it is said who is waited for, and again after as long.
const SAY_WHO_IS_AWAITED: Duration = Duration::from_secs(10);

const RUNNING: EnforcementState = EnforcementState::Running {};

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn enforcement(&mut self, args: &EnforceArgs) -> Result<Exit, Failure> {
        match &args.command {
            None => self.enforce(&args.what),
            Some(EnforceCommand::Ls) => self.list_enforcements(),
            Some(EnforceCommand::Status(args)) => self.enforcement_status(args),
            Some(EnforceCommand::Pause(args)) => self.pause_enforcement(&args.name),
            Some(EnforceCommand::Resume(args)) => self.resume_enforcement(&args.name),
            Some(EnforceCommand::Update(args)) => self.enforce_update(args),
            Some(EnforceCommand::Stop(args)) => self.stop_enforcement(args),
        }
    }

    fn enforce(&mut self, what: &EnforceWhat) -> Result<Exit, Failure> {
        let draft = self.enforcement_drafted(what)?;
        let all = self.backend.enforcements()?;
        let beginning = may_start(&all, &draft.spec).map_err(BackendError::CannotEnforce)?;
        let nodes = self.backend.nodes()?;
        let hosts = hosts(&draft.spec, &RUNNING, &nodes, Some(&[]), &BTreeMap::new());
        let warning = self.look_where_it_runs(&draft.spec, &nodes, &hosts)?;
        let going_on = self.backend.active()?.map(|spec| spec.id);
        let preview = Preview {
            draft: &draft,
            hosts: &hosts,
            nodes: nodes.len(),
            warning,
            going_on: going_on.as_ref(),
        };
        if beginning == Beginning::Nothing {
            self.show(&Begun { spec: &draft.spec, hosts: &hosts, beginning })?;
            return Ok(Exit::Done);
        }
        self.show(&preview)?;
        if !what.yes && !self.ask(Question::Enforce)?.ok_or(Failure::NobodyToAskAboutEnforcement)? {
            return Err(Failure::Declined);
        }
        let spec = self.backend.start_enforcement(&draft)?;
        self.show(&Begun { spec: &spec, hosts: &hosts, beginning })?;
        Ok(Exit::Done)
    }

    /// The enforcement that the flags describe, with its version and the payload's files.
    fn enforcement_drafted(&mut self, what: &EnforceWhat) -> Result<EnforcementDraft, Failure> {
        let (image, given) = payload_of(what)?;
        let Draft { spec, files, .. } = self.drafted(image.as_deref(), &given, DEFAULT_COMMAND, Spec::run)?;
        self.look_at_the_payload(&spec, &files)?;
        let named = image.is_some().then_some(spec.image.as_str());
        let payload = self.payload_manifest(&given, named)?.map(FromPayload::from).unwrap_or_default();
        let spec = of_args(what, &payload, &spec, &self.by);
        let mut draft = EnforcementDraft { spec, files };
        draft.spec.check().map_err(BackendError::CannotEnforce)?;
        let version = version_of_enforcement(&draft);
        draft.spec.version = version.map_err(|error| BackendError::Refused { why: error.to_string() })?;
        Ok(draft)
    }

    /// A payload that cannot say whether something is to be done, or not do it, would fail on every host.
    pub(super) fn look_at_the_payload(&mut self, spec: &Spec, files: &[PayloadFile]) -> Result<(), Failure> {
        let check = Spec { command: CHECK_COMMAND.to_owned(), ..spec.clone() };
        let wanted: BTreeSet<String> =
            wanted_of(spec, files).into_iter().chain(wanted_of(&check, files)).collect();
        let wanted: Vec<String> = wanted.into_iter().collect();
        let Some(look) = self.backend.look_into(&spec.image, &wanted)? else { return Ok(()) };
        match unfit(called(spec), look) {
            Some(why) => Err(Failure::UnfitPayload { why: Box::new(why) }),
            None => Ok(()),
        }
    }

    /// Nodes that the image does not run on are refused; of those that have to have it already a word is said.
    fn look_where_it_runs(
        &mut self,
        spec: &Enforcement,
        nodes: &[Node],
        hosts: &[EnforcedHost],
    ) -> Result<Option<String>, Failure> {
        let here = self.backend.here();
        let mut facts = ImageFacts {
            name: spec.called().to_owned(),
            platforms: self.backend.platforms(&spec.image)?,
            in_no_registry: here.is_some() && in_no_registry(&spec.image),
            ..ImageFacts::default()
        };
        facts.on.extend(here);
        let unfit = |host: &&EnforcedHost| !matches!(host.coverage, Coverage::Not(Uncovered::Unfit(_)));
        let meant: BTreeSet<NodeId> = hosts.iter().filter(unfit).map(|host| host.node.clone()).collect();
        let observed = Observed { nodes: nodes.to_vec(), ..Observed::default() };
        if let Some(other) = facts.other_platform(&observed, &meant) {
            return Err(Failure::UnfitPayload { why: Box::new(PlanRefusal::OtherPlatform(other)) });
        }
        Ok(facts.not_pullable(&observed, &meant).map(|warning| warning.to_string()))
    }

    fn list_enforcements(&mut self) -> Result<Exit, Failure> {
        let found = self.backend.enforcements()?;
        let nodes = self.backend.nodes()?;
        let listed = found.into_iter().map(|found| self.looked_at(found, &nodes, false));
        let listed = listed.collect::<Result<Vec<_>, Failure>>()?;
        self.show(&EnforcementList(&listed))?;
        Ok(Exit::Done)
    }

    fn enforcement_status(&mut self, args: &EnforceStatusArgs) -> Result<Exit, Failure> {
        let until = self.console.now() + args.timeout;
        let mut said = self.console.now();
        if args.wait {
            self.console.catch_interrupts()?;
        }
        loop {
            let (looks, names) = self.look_at_all(args.name.as_deref())?;
            let awaited: Vec<&EnforcedHost> =
                looks.iter().flat_map(|look| &look.hosts).filter(|host| host.is_awaited()).collect();
            let ends = self.console.now() >= until || self.console.interrupted();
            if !args.wait || awaited.is_empty() || ends {
                let waited = (args.wait && !awaited.is_empty()).then_some(args.timeout);
                self.show(&EnforcementPages { looks: &looks, names: &names, waited })?;
                return Ok(if looks.iter().all(EnforcementLook::is_well) { Exit::Done } else { Exit::Drift });
            }
            if self.console.now() >= said + SAY_WHO_IS_AWAITED {
                said = self.console.now();
                self.show(&WaitsForHosts { hosts: &awaited, left: until.saturating_sub(said) })?;
            }
            self.console.wait(AGAIN);
        }
    }

    fn look_at_all(&mut self, name: Option<&str>) -> Result<(Vec<EnforcementLook>, Names), Failure> {
        let found = match name {
            Some(name) => self.enforcements_called(name)?,
            None => self.backend.enforcements()?,
        };
        let nodes = self.backend.nodes()?;
        let looks = found.into_iter().map(|found| self.looked_at(found, &nodes, true));
        let looks = looks.collect::<Result<Vec<_>, Failure>>()?;
        let names = Names::new(nodes.iter().map(|node| (node.id.clone(), node.hostname.clone())));
        Ok((looks, names))
    }

    /// How its hosts are; what they say is read out of their logs, where that is wanted.
    fn looked_at(
        &mut self,
        found: FoundEnforcement,
        nodes: &[Node],
        reads: bool,
    ) -> Result<EnforcementLook, Failure> {
        let Some((spec, state)) = found.spec() else {
            return Ok(EnforcementLook { hosts: Vec::new(), other_protocol: None, found });
        };
        let tasks = match &found.service {
            Some(_) => Some(self.backend.enforcer_tasks(&found.name, &found.version)?),
            None => None,
        };
        let words = match &tasks {
            Some(tasks) if reads => self.backend.last_words(tasks)?,
            Some(_) | None => BTreeMap::new(),
        };
        let look = if reads { self.backend.look_into(&spec.image, &[])? } else { None };
        let other_protocol = look
            .filter(|look| look.protocol.as_deref() != Some(label::THIS_PROTOCOL))
            .map(|look| look.protocol.unwrap_or_default());
        let hosts = hosts(spec, state, nodes, tasks.as_deref(), &words);
        Ok(EnforcementLook { hosts, other_protocol, found })
    }

    /// All versions of this name.
    fn enforcements_called(&mut self, name: &str) -> Result<Vec<FoundEnforcement>, Failure> {
        let mut found = self.backend.enforcements()?;
        found.retain(|one| one.name == name);
        match found.is_empty() {
            true => Err(Failure::NoEnforcement { given: name.to_owned() }),
            false => Ok(found),
        }
    }

    fn pause_enforcement(&mut self, name: &str) -> Result<Exit, Failure> {
        let (spec, state) = self.steerable(name)?;
        let paused = match &state {
            EnforcementState::Paused { .. } => state.clone(),
            EnforcementState::Running {}
            | EnforcementState::Updating { .. }
            | EnforcementState::Coming { .. } => {
                let since = u64::try_from(self.console.time().as_second()).unwrap_or_default();
                EnforcementState::Paused { by: self.by.clone(), since }
            }
        };
        self.backend.change_enforcement(&spec, &paused)?;
        self.show(&Steered::Paused { spec: &spec })?;
        Ok(Exit::Done)
    }

    fn resume_enforcement(&mut self, name: &str) -> Result<Exit, Failure> {
        let (spec, _) = self.steerable(name)?;
        self.backend.change_enforcement(&spec, &RUNNING)?;
        self.show(&Steered::Resumed { spec: &spec })?;
        Ok(Exit::Done)
    }

    /// One that can be paused and resumed: its config and its service are there, and no rollout brings hosts to another version.
    fn steerable(&mut self, name: &str) -> Result<(Enforcement, EnforcementState), Failure> {
        let found = self.enforcements_called(name)?;
        for one in &found {
            let damage = one.damage().filter(|damage| match damage {
                Damage::NoService | Damage::NoConfig | Damage::Unreadable { .. } => true,
                Damage::Changed { .. } | Damage::NotStopped | Damage::Stopped => false,
            });
            if let Some(damage) = damage {
                return Err(Failure::DamagedEnforcement { name: name.to_owned(), damage });
            }
        }
        refuse_while_updating(&found, |_| true)?;
        let one = found.iter().find_map(FoundEnforcement::spec);
        let (spec, state) = one.ok_or_else(|| Failure::NoEnforcement { given: name.to_owned() })?;
        Ok((spec.clone(), state.clone()))
    }

    fn stop_enforcement(&mut self, args: &StopArgs) -> Result<Exit, Failure> {
        let found = self.enforcements_called(&args.name)?;
        let going_on = self.backend.active()?.map(|spec| spec.id);
        refuse_while_updating(&found, |rollout| Some(rollout) == going_on.as_ref())?;
        if !args.yes {
            let asked = self.ask(Question::StopEnforcing { name: &args.name })?;
            if !asked.ok_or(Failure::NobodyToAskAboutEnforcement)? {
                return Err(Failure::Declined);
            }
        }
        let mut removed = Vec::new();
        for one in &found {
            removed.extend(self.backend.stop_enforcement(&one.name, &one.version)?);
        }
        self.unlabel(&args.name)?;
        self.show(&Steered::Stopped { name: &args.name, removed: &removed })?;
        Ok(Exit::Done)
    }
}

/// What a rollout brings to another version is that rollout's.
fn refuse_while_updating(
    found: &[FoundEnforcement],
    counts: impl Fn(&careen_planner::RolloutId) -> bool,
) -> Result<(), Failure> {
    let rollout = |one: &FoundEnforcement| match one.spec().map(|(_, state)| state.clone())? {
        EnforcementState::Updating { rollout, .. } | EnforcementState::Coming { rollout, .. } => {
            Some(rollout)
        }
        EnforcementState::Running {} | EnforcementState::Paused { .. } => None,
    };
    match found.iter().find_map(|one| Some((one, rollout(one).filter(&counts)?))) {
        Some((one, rollout)) => {
            Err(BackendError::CannotEnforce(CannotEnforce::Updating { name: one.name.clone(), rollout })
                .into())
        }
        None => Ok(()),
    }
}
