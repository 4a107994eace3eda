//! `pause`, `resume`, `retry`, `skip`, `abort`: from any manager, after any crash.

use super::{Session, find};
use crate::args::{AbortArgs, Format, NodeArgs, SteerArgs};
use crate::backend::{Backend, Order};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::step::Verb;
use crate::text;
use crate::view::NodeStanding;
use crate::words;
use careen_planner::rollout::{Ask, Control};
use careen_planner::{NodeId, PauseReason, Spec};
use serde_json::json;

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
        self.told(&spec, "abort", None, "is being aborted; what can be given back is given back")?;
        self.carry_on(spec, args.local)
    }

    pub(super) fn retry(&mut self, args: &NodeArgs) -> Result<Exit, Failure> {
        self.ask_for(args, Ask::Retry, |node| {
            if node.is_gone() {
                return Err(Failure::NotThere { node: node.hostname.clone(), id: node.node.clone() });
            }
            match node.has_failed() {
                true => Ok(()),
                false => {
                    let state = words::stage(&node.stage);
                    Err(Failure::NotFailed { node: node.hostname.clone(), state })
                }
            }
        })
    }

    pub(super) fn skip(&mut self, args: &NodeArgs) -> Result<Exit, Failure> {
        self.ask_for(args, Ask::Skip, |node| match node.may_be_skipped() {
            true => Ok(()),
            false => {
                let state = words::stage(&node.stage);
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
        let is_over = |active: Option<Spec>| active.is_none_or(|active| active.id != spec.id);
        match started {
            Err(_) if is_over(self.backend.active()?) => Ok(Exit::Done),
            started => started.map(|()| Exit::Done),
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
