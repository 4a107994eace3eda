//! `pause`, `resume`, `retry`, `skip`, `abort`: from any manager, after any crash.

use super::{Session, find};
use crate::args::{AbortArgs, Format, NodeArgs, SteerArgs};
use crate::backend::{Backend, BackendError, Order};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::step::Verb;
use crate::text;
use crate::view::NodeStanding;
use crate::{controller, words};
use careen_planner::rollout::{Ask, Control};
use careen_planner::{NodeId, PauseReason, Spec};
use careen_swarm::ControllerTask;
use serde_json::json;
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
        self.told(&spec, "pause", None, "is paused; hosts that are at work finish what they have begun")?;
        Ok(Exit::Done)
    }

    pub(super) fn resume(&mut self, args: &SteerArgs) -> Result<Exit, Failure> {
        let spec = self.active()?;
        self.backend.control(&spec.id, Order::Resume)?;
        self.told(&spec, "resume", None, "goes on")?;
        self.carry_on(spec, args.local)
    }

    pub(super) fn abort(&mut self, args: &AbortArgs) -> Result<Exit, Failure> {
        let Some(spec) = self.backend.active()? else { return self.abort_removed(args.yes) };
        self.backend.control(&spec.id, Order::Abort)?;
        self.told(&spec, "abort", None, "is being aborted; what has not begun is undone")?;
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
                    self.say(&format!(
                        "its controller does not come up: {why}. This process ends the rollout in its place"
                    ))?;
                    return self.follow_here(spec);
                }
                Ender::Soon { why } if self.console.now() >= deadline => {
                    let here = Verb::Abort.step().locally();
                    self.say(&format!(
                        "its controller is still on its way: {why}; '{here}' ends the rollout from this terminal"
                    ))?;
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
            Err(source @ BackendError::NoManager(_)) => {
                return Err(Failure::NoController { rollout: spec.id.clone(), source: source.clone() });
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
        let node = find(&standing, &args.node)?;
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
        let stays = matches!(standing.control, Some(Control::Paused { .. })) && !goes_on;
        let what = match ask {
            Ask::Retry => "is tried again",
            Ask::Skip if node.is_gone() => "is given up: nobody waits for its host any more",
            Ask::Skip if node.stage.is_after_the_go() => "is left out, unless its host has begun the command",
            Ask::Skip => "is left out",
        };
        let then = if stays { "; the rollout stays paused: 'careen resume'" } else { "" };
        let drained = match ask == Ask::Skip && node.stays_drained() {
            true => format!(
                "; careen left it drained: '{}' gives it back when the rollout is over",
                Verb::Restore.node(&node.typed)
            ),
            false => String::new(),
        };
        self.told(&spec, ask.word(), Some(node), &format!("{what}{drained}{then}"))?;
        self.carry_on(spec, args.local)
    }

    /// Says what was done.
    fn told(
        &mut self,
        spec: &Spec,
        order: &str,
        node: Option<&NodeStanding>,
        what: &str,
    ) -> Result<(), Failure> {
        let line = match self.format {
            Format::Json => text::json_line(&json!({
                "event": "order",
                "rollout": spec.id,
                "order": order,
                "node": node.map(|node| &node.node),
            }))?,
            Format::Text => match node {
                Some(node) => text::neutral(&format!("{} {what}", node.shown)),
                None => format!("rollout {} {what}", spec.id),
            },
        };
        Ok(self.console.out(&format!("{line}\n"))?)
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
        | Some(Control::Paused { why: PauseReason::NodeGone { node: paused_for, .. } }) => paused_for == node,
        Some(Control::Paused { why: PauseReason::Asked | PauseReason::BaselineRemoved }) => false,
        Some(Control::Running | Control::Aborting | Control::Finished { .. }) | None => false,
    }
}
