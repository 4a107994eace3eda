//! `restore`, and `abort` of a rollout whose config is gone: what careen holds is given back from labels and services alone.

use super::{Session, several};
use crate::args::RestoreArgs;
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::left::{LeftBehind, left_behind};
use crate::named::{Shortened, both, called};
use crate::render::events::Restored;
use crate::render::left;
use crate::render::notes::{Note, Question};
use careen_planner::remains::{CannotRestore, Next, Scope, may_restore, next, remains};
use careen_planner::{JobKey, NodeId, Observed, RolloutId};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long containers may take to go.
const LIMIT: Duration = Duration::from_secs(120);

/// How long one waits between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn restore(&mut self, args: &RestoreArgs) -> Result<Exit, Failure> {
        let going_on = self.backend.active()?.map(|spec| spec.id);
        let observed = self.backend.observe(None)?;
        let (node, name) = named(&observed, &args.node)?;
        match may_restore(&observed, &node, going_on.as_ref()) {
            Ok(()) => {}
            Err(CannotRestore::Nothing) => {
                self.show(&Note::NothingLeftOn { host: &name })?;
                return Ok(Exit::Done);
            }
            Err(why) => return Err(Failure::CannotRestore { node: name, why }),
        }
        for (rollout, mut left) in remains(&observed, going_on.as_ref()) {
            left.nodes.retain(|one| one.id == node);
            left.services.retain(|key| key.node == node);
            if left.nodes.is_empty() && left.services.is_empty() {
                continue;
            }
            let left = LeftBehind { rollout: Some(rollout), remains: left, ..LeftBehind::default() };
            self.tell(&left)?;
        }
        self.ask_once(Question::GiveBack { host: &name }, args.yes)?;
        let mut given = Restored::default();
        self.give_back(&Scope::Node { node, going_on }, &mut given)?;
        self.told_given(&given)
    }

    /// An abort without a rollout that could be told so: of all those whose config was removed.
    pub(super) fn abort_removed(&mut self, yes: bool) -> Result<Exit, Failure> {
        let observed = self.backend.observe(None)?;
        let mut all = self.remains(&observed, None)?;
        all.retain(|left| left.removed);
        if all.is_empty() {
            return Err(Failure::NoRollout);
        }
        all.iter().try_for_each(|left| self.tell(left))?;
        self.ask_once(Question::GiveBackAll, yes)?;
        let mut given = Restored::default();
        for left in all {
            let Some(rollout) = left.rollout.clone() else { continue };
            self.backend.remove_controller(&rollout)?;
            self.give_back(&Scope::Rollout(rollout), &mut given)?;
            for stored in left.stored {
                match self.backend.remove_stored(&stored)? {
                    true => given.stored.push(stored),
                    false => given.left.push(stored.name),
                }
            }
        }
        self.told_given(&given)
    }

    /// What rollouts that do not go on have left.
    pub(super) fn remains(
        &mut self,
        observed: &Observed,
        going_on: Option<&RolloutId>,
    ) -> Result<Vec<LeftBehind>, Failure> {
        let known: Vec<RolloutId> = self.rollouts()?.into_iter().map(|one| one.spec.id).collect();
        let stored = self.backend.stored()?;
        Ok(left_behind(observed, stored, &known, going_on))
    }

    fn tell(&mut self, left: &LeftBehind) -> Result<(), Failure> {
        self.show(&Note::LeftOf { rollout: left.id() })?;
        left::lines(left).iter().try_for_each(|line| self.show(&Note::Left { line }))
    }

    pub(super) fn ask_once(&mut self, question: Question<'_>, yes: bool) -> Result<(), Failure> {
        match yes || self.ask(question)?.ok_or(Failure::NobodyToAskAboutThat)? {
            true => Ok(()),
            false => Err(Failure::NotGivenBack),
        }
    }

    pub(super) fn give_back(&mut self, scope: &Scope, given: &mut Restored) -> Result<(), Failure> {
        let deadline = self.console.now() + LIMIT;
        loop {
            let observed = self.backend.observe(None)?;
            let late = self.console.now() >= deadline;
            match next(&observed, scope) {
                Next::Done(left) => {
                    given.left.extend(left.iter().map(JobKey::name));
                    return Ok(());
                }
                Next::Wait(services) if late => {
                    let services = services.iter().map(JobKey::name).collect::<Vec<_>>().join(", ");
                    return Err(Failure::StillThere { services });
                }
                Next::Updating(services) if late => {
                    return Err(Failure::UpdateUnderWay { services: services.join(", ") });
                }
                Next::Wait(_) | Next::Updating(_) => self.console.wait(INTERVAL),
                Next::Act(steps) => {
                    for giving in &steps {
                        match self.backend.give_back(giving) {
                            Ok(()) => given.note(&observed, giving),
                            // Somebody was faster: what is so now is looked at anew.
                            Err(BackendError::Changed) if !late => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
            }
        }
    }

    /// Says what was done.
    fn told_given(&mut self, given: &Restored) -> Result<Exit, Failure> {
        self.show(given)?;
        Ok(if given.left.is_empty() { Exit::Done } else { Exit::Other })
    }
}

/// A node by its id or host name; one that left by its id, where services for it are left.
fn named(observed: &Observed, given: &str) -> Result<(NodeId, String), Failure> {
    // Of those that left nothing but the id is known.
    let left = observed.jobs.iter().map(|job| &job.key.node).filter(|id| observed.node(id).is_none());
    let left: BTreeSet<&NodeId> = left.collect();
    let there = observed.nodes.iter().map(|node| (&node.id, node.hostname.as_str()));
    let all: Vec<(&NodeId, &str)> = there.chain(left.into_iter().map(|id| (id, id.0.as_str()))).collect();
    let found = called(&all, given, Shortened::Ids, |(id, name)| [&id.0, name]);
    match found[..] {
        [(id, name)] => Ok(((*id).clone(), (*name).to_owned())),
        [] => Err(Failure::NoNode { given: given.to_owned() }),
        _ => Err(several(given, found.iter().map(|(id, name)| both(name, &id.0)))),
    }
}
