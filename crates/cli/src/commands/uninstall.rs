//! `uninstall`: what careen has on hosts and in the swarm is shown, asked about once, and removed: hosts first, so that what the swarm
//! knows of them stays until they have agreed.

use super::Session;
use crate::args::UninstallArgs;
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::events::Restored;
use crate::render::notes::{Note, Question};
use crate::render::uninstall::{InSwarm, Uninstalled, counts_of, refusing};
use careen_contract::errand::Errand;
use careen_planner::inquiry::Roll;
use careen_planner::remains::{Scope, remains};
use careen_planner::uninstall::{CannotUninstall, labels, may_uninstall};
use careen_planner::{Observed, RolloutId, Spec};
use careen_swarm::{Inquiry, Possession};

/// So often what is referred to is tried again behind what refers to it.
const TRIES: usize = 5;

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn uninstall(&mut self, args: &UninstallArgs) -> Result<Exit, Failure> {
        if let Some(spec) = self.backend.active()? {
            return Err(BackendError::OtherRollout { rollout: spec.id }.into());
        }
        let observed = self.backend.observe(None)?;
        may_uninstall(&observed).map_err(cannot)?;
        let image = self.careens_image(args.image.as_deref())?;
        let found = self.ask_hosts(&image, args, &observed, true)?;
        if self.console.interrupted() {
            return Err(Failure::Declined);
        }
        let swarm = self.in_swarm(&observed, args.history)?;
        let (roll, swarm) = (&found, &swarm);
        self.show(&Uninstalled { dry_run: true, roll, swarm, last: args.dry_run })?;
        let hosts = refusing(roll);
        if !hosts.is_empty() {
            return Err(cannot(CannotUninstall::AtWork { hosts }));
        }
        if args.dry_run {
            return Ok(exit_of(roll));
        }
        if !args.yes && !self.ask(Question::Uninstall)?.ok_or(Failure::NobodyToAskAboutThat)? {
            return Err(Failure::Declined);
        }
        let roll = self.ask_hosts(&image, args, &observed, false)?;
        // A host that has begun something meanwhile is still to be asked, and needs nothing of the swarm's until then.
        let begun = !refusing(&roll).is_empty() || self.console.interrupted();
        let removed = if begun { InSwarm::default() } else { self.remove_from_swarm(args.history)? };
        self.show(&Uninstalled { dry_run: false, roll: &roll, swarm: &removed, last: true })?;
        if begun {
            self.show(&Note::SwarmsPartStays)?;
            return Ok(Exit::FailedNodes);
        }
        Ok(if removed.left.is_empty() { exit_of(&roll) } else { Exit::Other })
    }

    fn ask_hosts(
        &mut self,
        image: &str,
        args: &UninstallArgs,
        observed: &Observed,
        dry_run: bool,
    ) -> Result<Roll, Failure> {
        let spec = Spec { command: "uninstall".to_owned(), ..Spec::run(self.new_id()?, image) };
        let called = Roll::call(observed, &spec, args.activate, args.timeout);
        let (mut roll, placement) = called.map_err(|why| Failure::CannotAsk { why: Box::new(why) })?;
        // Of the same nodes it was asked for the first question.
        self.may_activate(&placement, &roll, args.yes || !dry_run)?;
        let (files, by, errand) = (Vec::new(), self.by.clone(), Errand::Uninstall { dry_run });
        let inquiry = Inquiry { spec, files, limit: args.timeout, placement, by, errand };
        let was_asked = roll.is_worth_asking();
        let heard = self.ask_and_hear(&inquiry, &mut roll);
        if was_asked {
            self.end_inquiry(&inquiry)?;
        }
        heard.map(|()| roll)
    }

    fn remove_labels(&mut self) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let observed = self.backend.observe(None)?;
            let labelled = labels(&observed);
            if labelled.is_empty() {
                return Ok(());
            }
            for (_, giving) in labelled {
                match self.backend.give_back(&giving) {
                    // Somebody else wrote the node: it is looked at anew.
                    Ok(()) | Err(BackendError::Changed) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(BackendError::Changed.into())
    }

    /// What there is in the swarm, and what of it stays.
    fn in_swarm(&mut self, observed: &Observed, history: bool) -> Result<InSwarm, Failure> {
        let all = self.backend.possessions()?;
        let kept = all.iter().filter(|one| one.is_history && !history).count();
        let mut swarm = InSwarm { kept, ..InSwarm::default() };
        all.iter().filter(|one| !one.is_history || history).for_each(|one| swarm.note(one));
        swarm.nodes = counts_of(observed, labels(observed).into_iter().map(|(node, _)| node));
        Ok(swarm)
    }

    /// Services and labels as an operator's restore would, for containers must go before their service does; then the rest.
    fn remove_from_swarm(&mut self, history: bool) -> Result<InSwarm, Failure> {
        let mut removed = InSwarm::default();
        let observed = self.backend.observe(None)?;
        let rollouts: Vec<RolloutId> = remains(&observed, None).into_keys().collect();
        for rollout in rollouts {
            let mut given = Restored::default();
            self.give_back(&Scope::Rollout(rollout), &mut given)?;
            removed.note_services(&given);
        }
        let labelled = labels(&observed).into_iter().map(|(node, _)| node);
        removed.nodes = counts_of(&observed, labelled);
        self.remove_labels()?;
        let all = self.backend.possessions()?;
        removed.kept = all.iter().filter(|one| one.is_history && !history).count();
        let mut rest: Vec<Possession> = all.into_iter().filter(|one| !one.is_history || history).collect();
        for _ in 0..TRIES {
            let mut in_use = Vec::new();
            for one in rest {
                match self.backend.remove_possession(&one)? {
                    true => removed.note(&one),
                    false => in_use.push(one),
                }
            }
            rest = in_use;
        }
        removed.left.extend(rest.into_iter().map(|one| one.name));
        Ok(removed)
    }
}

fn cannot(why: CannotUninstall) -> Failure {
    Failure::CannotUninstall { why }
}

fn exit_of(roll: &Roll) -> Exit {
    let silent = crate::render::uninstall::silent(roll);
    if silent.is_empty() { Exit::Done } else { Exit::FailedNodes }
}
