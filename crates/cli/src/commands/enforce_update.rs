//! `enforce update`: a new version of an enforcement, as a rollout; and an update that is not through, finished or taken back.

use super::Session;
use crate::args::{EnforceUpdateArgs, TouchesEngine};
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::enforcement::{FromPayload, payload_among};
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::notes::{Note, Question};
use crate::spec;
use careen_contract::chain;
use careen_contract::payload::DEFAULT_COMMAND;
use careen_planner::moves::{MoveStep, Moves, promote, retract};
use careen_planner::updatable::{CannotUpdate, Updatable, may_update, updatable};
use careen_planner::{Enforcement, Given};
use careen_swarm::{Draft, EnforcementDraft, version_of_enforcement};

/// Steps, and some more for writes that others were faster with.
const MOST_ROUNDS: usize = 40;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn enforce_update(&mut self, args: &EnforceUpdateArgs) -> Result<Exit, Failure> {
        let all = self.backend.enforcements()?;
        let mut state = updatable(&all, &args.name)?;
        self.nobody_moves(&args.name)?;
        if let (Updatable::Promoted { to, .. }, Some(moves)) = (&state, state.moves()) {
            // No word takes that back.
            self.walk(&moves, true)?;
            self.show(&Note::VersionPromoted { name: &args.name, version: &moves.to })?;
            state = Updatable::Stable(to.clone());
        }
        if args.back {
            return self.takes_back(&args.name, state.moves(), args.start.yes);
        }
        let (from, base) = match &state {
            Updatable::Stable(spec) | Updatable::Promoted { to: spec, .. } => (spec, spec),
            Updatable::Between { from, coming, .. } => (from, coming.as_ref().unwrap_or(from)),
        };
        let draft = self.new_version(args, base)?;
        let (name, version) = (&draft.spec.name, &draft.spec.version);
        if *version == from.version && state.moves().is_none() {
            self.show(&Note::VersionRuns { name, version })?;
            return Ok(Exit::Done);
        }
        if let Some(moves) = state.moves().filter(|moves| moves.to != *version) {
            return Err(CannotUpdate::HalfWay { name: name.clone(), to: moves.to }.into());
        }
        may_update(&all, &draft.spec)?;
        let moves = Moves { enforcement: name.clone(), from: from.version.clone(), to: version.clone() };
        self.brings(args, draft, moves, state.moves().is_none())
    }

    /// A rollout that brings a version is told by its own commands.
    fn nobody_moves(&mut self, name: &str) -> Result<(), Failure> {
        let Some(spec) = self.backend.active()? else { return Ok(()) };
        match spec.moves {
            Some(moves) if moves.enforcement == name => {
                Err(CannotUpdate::GoesOn { name: name.to_owned(), rollout: spec.id }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What is to be enforced from now on: what is said, and for the rest what was so before.
    fn new_version(
        &mut self,
        args: &EnforceUpdateArgs,
        base: &Enforcement,
    ) -> Result<EnforcementDraft, Failure> {
        let (image, given) = payload_among(args.payload.as_ref(), args.image.as_deref(), &args.given)?;
        let brings_files = given.script.is_some() || given.dir.is_some();
        let is_said = image.is_some() || brings_files;
        if !is_said && !base.given.files.is_empty() {
            return Err(CannotUpdate::NoPayload { name: base.name.clone() }.into());
        }
        let files = self.files(&given, image.as_deref(), DEFAULT_COMMAND)?;
        // Files are put into the image of before, where that had some as well.
        let stays = image.is_none() && (!is_said || !base.given.files.is_empty());
        let is_named = image.is_some();
        let (image_name, image) = match stays {
            true => (base.called().to_owned(), base.image.clone()),
            false => self.pinned(image.as_deref())?,
        };
        let said = match is_said {
            true => self.payload_manifest(&given, is_named.then_some(image.as_str()))?,
            false => None,
        };
        let said = said.map(FromPayload::from).unwrap_or_default();
        let more = [given.environment.len(), given.environment_files.len(), given.secrets.len()];
        let stays = more == [0; 3] && given.configs.is_empty();
        let given = match stays {
            true => Given {
                files: Vec::new(),
                registry_auth: given.with_registry_auth || base.given.registry_auth,
                ..base.given.clone()
            },
            false => self.given(&given)?,
        };
        self.look_after_credentials(&image, given.registry_auth)?;
        let or_before = |said: &[String], before: &[String]| match said.is_empty() {
            true => before.to_vec(),
            false => said.to_vec(),
        };
        let spec = Enforcement {
            name: base.name.clone(),
            version: String::new(),
            image_name: (image_name != image).then_some(image_name),
            image,
            payload: base.payload.clone().filter(|_| !is_said),
            args: or_before(&args.args, &base.args),
            given,
            owns: or_before(&args.owns, &or_before(&said.owns, &base.owns)),
            interval: args.interval.or(said.interval).unwrap_or(base.interval),
            constraints: or_before(&args.how.which.constraints, &base.constraints),
            by: self.by.clone(),
        };
        let mut draft = EnforcementDraft { spec, files };
        draft.spec.check().map_err(BackendError::CannotEnforce)?;
        let version = version_of_enforcement(&draft);
        draft.spec.version = version.map_err(|error| BackendError::Refused { why: chain(&error) })?;
        Ok(draft)
    }

    /// Preview, question, and the rollout. `is_new` is whether nothing of that version was there before.
    fn brings(
        &mut self,
        args: &EnforceUpdateArgs,
        draft: EnforcementDraft,
        moves: Moves,
        is_new: bool,
    ) -> Result<Exit, Failure> {
        let rollout = self.new_id()?;
        let mut spec = spec::of_update(args, &draft.spec, moves.clone(), rollout);
        let its_own = draft.files.is_empty() && args.touches_engine.is_none();
        let look = its_own.then(|| self.backend.look_into(&spec.image, &[])).transpose()?.flatten();
        let says_no = args.touches_engine == Some(TouchesEngine::No);
        if says_no || look.is_some_and(|look| look.leaves_engine) {
            spec = spec::leaving_engines_alone(spec);
        }
        self.look_at_the_payload(&spec, &draft.files)?;
        let prospect = self.prospect(Draft { files: draft.files.clone(), ..Draft::of(spec) }, &args.how)?;
        self.agrees(&prospect, &args.start)?;
        let new = self.backend.store_version(&draft, &moves.from, &prospect.draft.spec.id)?;
        let mut rollout = prospect.draft;
        // They are in the swarm already, and stay when the rollout is over.
        (rollout.files, rollout.spec.given.files) = (Vec::new(), new.given.files);
        let submitted = self.backend.submit(&rollout, &self.by);
        let is_refused =
            matches!(submitted, Err(BackendError::OtherRollout { .. } | BackendError::Refused { .. }));
        if is_new && is_refused {
            // Why it is refused matters more; what stays is told by 'status', and --back removes it.
            let _best_effort = self.walk(&moves, false);
        }
        self.goes(submitted?, &args.start)
    }

    fn takes_back(&mut self, name: &str, moves: Option<Moves>, yes: bool) -> Result<Exit, Failure> {
        let Some(moves) = moves else {
            self.show(&Note::NothingToTakeBack { name })?;
            return Ok(Exit::Done);
        };
        self.ask_once(Question::TakeBack { name, version: &moves.to }, yes)?;
        self.walk(&moves, false)?;
        self.show(&Note::VersionTakenBack { moves: &moves })?;
        Ok(Exit::Done)
    }

    /// What an update that did not come to its end has left on nodes. It says of a version that is not there any more.
    pub(super) fn unlabel(&mut self, name: &str) -> Result<(), Failure> {
        let moves = |to: &str| Moves { enforcement: name.to_owned(), from: String::new(), to: to.to_owned() };
        let label = moves("").label();
        for node in self.backend.nodes()? {
            if let Some(version) = node.labels.get(&label) {
                let step = MoveStep::Unlabel { node: node.id, at: node.version };
                self.backend.take_move_step(&moves(version), &step)?;
            }
        }
        Ok(())
    }

    /// Takes steps until there are none. Each is decided on a look, so it does not matter who took those before.
    fn walk(&mut self, moves: &Moves, forward: bool) -> Result<(), Failure> {
        for _ in 0..MOST_ROUNDS {
            let seen = self.backend.moving(moves)?;
            let nodes = self.backend.nodes()?;
            let steps = match forward || seen.is_promoted() {
                true => promote(&seen, moves, &nodes),
                false => retract(&seen, moves, &nodes),
            };
            if steps.is_empty() {
                return Ok(());
            }
            for step in steps {
                match self.backend.take_move_step(moves, &step) {
                    // Somebody else was faster; it is looked at anew.
                    Ok(()) | Err(BackendError::Changed) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(BackendError::Changed.into())
    }
}
