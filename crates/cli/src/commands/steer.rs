//! `pause`, `resume`, `retry`, `skip`, `abort`: from any manager, after any crash.

use super::{Session, find};
use crate::args::{AbortArgs, NodeArgs, SteerArgs};
use crate::backend::{Backend, BackendError, Order};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::named::Shortened;
use crate::render::events::{self, Ordered};
use crate::render::notes::Note;
use crate::render::{controller, words};
use crate::view::NodeStanding;
use careen_planner::rollout::{Ask, Control};
use careen_planner::{NodeId, PauseReason, Spec};
use careen_swarm::ControllerTask;
use std::time::Duration;

/// How long an abort waits for a controller that is on its way.
const COMES_UP: Duration = Duration::from_secs(30);

/// From one look to the next.
const LOOK: Duration = Duration::from_secs(1);

/// Who carries an abort out.
enum Ender {
    /// One in the swarm, or it is done.
    Controller,
    /// One that is on its way.
    Soon { why: String },
    /// None that comes up.
    Nobody { why: String },
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn pause(&mut self) -> Result<Exit, Failure> {
        let spec = self.active()?;
        self.backend.control(&spec.id, Order::Pause)?;
        self.show(&Ordered { rollout: &spec.id, order: events::Order::Pause })?;
        Ok(Exit::Done)
    }

    pub(super) fn resume(&mut self, args: &SteerArgs) -> Result<Exit, Failure> {
        let spec = self.active()?;
        self.backend.control(&spec.id, Order::Resume)?;
        self.show(&Ordered { rollout: &spec.id, order: events::Order::Resume })?;
        self.carry_on(spec, args.local)
    }

    pub(super) fn abort(&mut self, args: &AbortArgs) -> Result<Exit, Failure> {
        let Some(spec) = self.backend.active()? else { return self.abort_removed(args.yes) };
        self.backend.control(&spec.id, Order::Abort)?;
        self.show(&Ordered { rollout: &spec.id, order: events::Order::Abort })?;
        if args.local { self.follow_here(spec) } else { self.see_the_abort_through(spec) }
    }

    /// An abort is what is left when nothing else works, so it does not rest on a controller in the swarm: where none comes up,
    /// its loop runs in this process. It is one controller like any other, with the lock and an epoch of its own.
    fn see_the_abort_through(&mut self, spec: Spec) -> Result<Exit, Failure> {
        let started = self.backend.start_controller(&spec.id);
        let deadline = self.console.now() + COMES_UP;
        loop {
            match self.who_ends_it(&spec, &started)? {
                Ender::Controller => return Ok(Exit::Done),
                Ender::Nobody { why } => {
                    self.show(&Note::ControllerFails { why: &why })?;
                    return self.follow_here(spec);
                }
                Ender::Soon { why } if self.console.now() >= deadline => {
                    self.show(&Note::ControllerOnItsWay { why: &why })?;
                    return Ok(Exit::Done);
                }
                Ender::Soon { .. } => self.console.wait(LOOK),
            }
        }
    }

    fn who_ends_it(&mut self, spec: &Spec, started: &Result<(), BackendError>) -> Result<Ender, Failure> {
        // The one that was there may have done it and gone meanwhile.
        if self.is_over(spec)? {
            return Ok(Ender::Controller);
        }
        match started {
            Err(BackendError::NoManager(why)) => {
                return Err(Failure::NoController { rollout: spec.id.clone(), source: why.clone().into() });
            }
            Err(error) => return Ok(Ender::Nobody { why: error.to_string() }),
            Ok(()) => {}
        }
        Ok(match self.heard_of_the_controller(spec)? {
            Some(ControllerTask::Fails(seat)) => Ender::Nobody { why: controller::why(&seat) },
            Some(ControllerTask::ComingUp(seat)) => Ender::Soon { why: controller::why(&seat) },
            // A container on another manager is that one's to tell of.
            Some(ControllerTask::Runs(_) | ControllerTask::Absent { .. }) | None => Ender::Controller,
        })
    }

    /// Nothing when no manager answers now: the order is stored all the same.
    fn heard_of_the_controller(&mut self, spec: &Spec) -> Result<Option<ControllerTask>, Failure> {
        match self.backend.observe(Some(&spec.id)) {
            Ok(observed) => self.controller_task(spec, &observed),
            Err(BackendError::NoManager(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is_over(&mut self, spec: &Spec) -> Result<bool, Failure> {
        Ok(self.backend.active()?.is_none_or(|active| active.id != spec.id))
    }

    pub(super) fn retry(&mut self, args: &NodeArgs) -> Result<Exit, Failure> {
        self.ask_for(args, Ask::Retry, |node| {
            if node.is_gone() {
                return Err(Failure::NotThere { node: node.hostname.clone(), id: node.node.clone() });
            }
            match node.has_failed() {
                true => Ok(()),
                false => {
                    let state = words::state(node);
                    Err(Failure::NotFailed { node: node.hostname.clone(), state })
                }
            }
        })
    }

    pub(super) fn skip(&mut self, args: &NodeArgs) -> Result<Exit, Failure> {
        self.ask_for(args, Ask::Skip, |node| match node.may_be_skipped() {
            true => Ok(()),
            false => {
                let state = words::state(node);
                Err(Failure::CannotSkip { node: node.hostname.clone(), state })
            }
        })
    }

    fn ask_for(
        &mut self,
        args: &NodeArgs,
        ask: Ask,
        allowed: impl FnOnce(&NodeStanding) -> Result<(), Failure>,
    ) -> Result<Exit, Failure> {
        let spec = self.active()?;
        let (standing, _) = self.standing(&spec)?;
        let node = find(&standing, &args.node, Shortened::Ids)?;
        allowed(node)?;
        match node.is_gone() {
            // It has no label on which that could be asked.
            true => self.backend.give_up(&spec.id, &node.node)?,
            false => self.backend.ask(&spec.id, &node.node, ask)?,
        }
        let goes_on = is_paused_for(standing.control.as_ref(), &node.node);
        if goes_on {
            // The pause was about this node, and now it is said what becomes of it.
            self.backend.control(&spec.id, Order::Resume)?;
        }
        let stays_paused = matches!(standing.control, Some(Control::Paused { .. })) && !goes_on;
        let order = events::Order::Ask { ask, node, stays_paused };
        self.show(&Ordered { rollout: &spec.id, order })?;
        self.carry_on(spec, args.local)
    }

    /// An order that nobody carries out is none: the controller may have died.
    fn carry_on(&mut self, spec: Spec, local: bool) -> Result<Exit, Failure> {
        if local {
            return self.follow_here(spec);
        }
        let started = self.start_controller(&spec.id);
        // The one that was there may have done it and gone meanwhile, at any moment of looking for it.
        match started {
            Err(_) if self.is_over(&spec)? => return Ok(Exit::Done),
            started => started?,
        }
        match self.heard_of_the_controller(&spec)? {
            Some(ControllerTask::Fails(seat)) if !self.is_over(&spec)? => {
                Err(Failure::ControllerFails { rollout: spec.id, why: controller::why(&seat) })
            }
            Some(_) | None => Ok(Exit::Done),
        }
    }
}

fn is_paused_for(control: Option<&Control>, node: &NodeId) -> bool {
    match control {
        Some(Control::Paused { why: PauseReason::NodeFailed { node: paused_for, .. } })
        | Some(Control::Paused { why: PauseReason::NodeGone { node: paused_for, .. } })
        | Some(Control::Paused { why: PauseReason::NodeHeld { node: paused_for, .. } }) => paused_for == node,
        Some(Control::Paused {
            why: PauseReason::Asked | PauseReason::BaselineRemoved | PauseReason::EnforcementChanged { .. },
        }) => false,
        Some(Control::Running | Control::Aborting | Control::Finished { .. }) | None => false,
    }
}
