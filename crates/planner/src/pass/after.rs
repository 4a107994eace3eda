//! After the go: the host is at work, and what it says decides.

use super::go::{For, is_going_down};
use super::node::{Here, MAX_CANCELLED, lost};
use super::{Move, Wanted, Work};
use crate::drain;
use crate::hold::Hold;
use crate::ids::FEW_GATES;
use crate::observed::{Availability, Draw, HostPhase, Job, NodeOutcome, Restart, Said};
use crate::state::{Goal, NodeEvent, Reason, StateName};

impl Work<'_> {
    pub(super) fn draining_for_a_restart(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        if let Some(replaced) = self.gives_up(here) {
            return replaced;
        }
        match self.observed.report(&here.agent) {
            Some(Said::WantsRestart { kind: wanted, .. }) if *wanted == kind => {}
            Some(_) => return Move::Step(NodeEvent::Ended, Wanted::Keep),
            None => {}
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if let Some(surge) = self.surges(here) {
            return surge;
        }
        if here.node.availability != Availability::Drain {
            return self.taken_away(here, Availability::Drain);
        }
        if let Err(other) = self.emptied(here).and_then(|()| self.gives_the_surge_back(here)) {
            return other;
        }
        match self.quorum(here) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Step(NodeEvent::Restart(kind), Wanted::Keep),
        }
    }

    pub(super) fn running(&mut self, here: &Here<'_>, drained: bool) -> Move {
        let during = StateName::Running;
        let said = self.observed.report(&here.agent);
        // A failure of the command itself is told as one: `verify` never ran.
        let of_command = |outcome: &NodeOutcome| match outcome {
            NodeOutcome::Failed { phase: HostPhase::Command, exit, .. } => Some(Reason::Exit(*exit)),
            NodeOutcome::Failed { .. } | NodeOutcome::Succeeded | NodeOutcome::InSync => None,
        };
        match said {
            _ if self.result(here).is_some() => {
                let failed = self.result(here).and_then(of_command);
                return failed.map_or(Move::Step(NodeEvent::Ended, Wanted::Keep), Move::Fail);
            }
            Some(Said::Finished { outcome, record }) if of_command(outcome).is_some() => {
                return self.write_result(here, outcome, record.clone());
            }
            Some(Said::Finished { .. } | Said::Verifying) => {
                return Move::Step(NodeEvent::Ended, Wanted::Keep);
            }
            Some(Said::WantsRestart { kind, draw }) => return self.wants_restart(here, *kind, *draw),
            Some(Said::Restarting { kind }) => return Move::Step(NodeEvent::Restart(*kind), Wanted::Keep),
            Some(
                Said::Busy { .. }
                | Said::Copied { .. }
                | Said::Preparing
                | Said::Prepared { .. }
                | Said::Running { .. }
                | Said::Cancelled { .. }
                | Said::Revoked
                | Said::NotBegun
                | Said::Forgotten,
            )
            | None => {}
        }
        if let Some(replaced) = self.gives_up(here) {
            return replaced;
        }
        if let Some(on_its_way) = self.on_its_way(here, said) {
            return on_its_way;
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if let Some(Said::Prepared { draw, .. }) = said {
            return self.go_for_the_command(here, drained, *draw);
        }
        // The host keeps the command's time limit itself; this one is for a host that says nothing.
        let limit = self.spec.limits.running.map(|limit| limit + self.spec.limits.verifying);
        if limit.is_some_and(|limit| here.age >= limit) {
            return Move::Fail(Reason::TimeLimit);
        }
        Move::Wait(self.works(here, during))
    }

    /// The command is done and the agent asks for a restart.
    fn wants_restart(&mut self, here: &Here<'_>, kind: Restart, draw: Draw) -> Move {
        if self.is_lost(here) {
            return lost(here);
        }
        if here.record.cancelled > MAX_CANCELLED {
            return Move::Fail(Reason::GoLost);
        }
        if let Err(other) = self.next_gate(here, draw, For::Restart) {
            return other;
        }
        let drains = drain::before_a_restart(self.spec);
        let drained = here.node.availability == Availability::Drain;
        if drains && !drained {
            return self.drain(here.node, Goal::Restart(kind));
        }
        if drains && self.is_empty(here).is_err() {
            // Drained for the command, or by its operator: the time in which it has to be empty begins now.
            return Move::Step(NodeEvent::Drain(Goal::Restart(kind)), Wanted::Be(Availability::Drain));
        }
        match self.quorum(here) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Step(NodeEvent::Restart(kind), Wanted::Keep),
        }
    }

    pub(super) fn restarting(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        let limit = match kind {
            Restart::Engine if self.asks_for_the_key(here.node) => self.spec.limits.rebooting,
            Restart::Engine => self.spec.limits.restarting_engine,
            Restart::Reboot => self.spec.limits.rebooting,
        };
        match self.observed.report(&here.agent) {
            Some(Said::WantsRestart { kind: wanted, draw }) if *wanted == kind && !self.is_lost(here) => {
                // Of a manager that is away it is the last that was read.
                if !is_going_down(here) {
                    return self.allow_restart(here, kind, *draw);
                }
            }
            Some(
                Said::Finished { .. } | Said::Verifying | Said::Running { .. } | Said::WantsRestart { .. },
            ) => {
                return Move::Step(NodeEvent::Ended, Wanted::Keep);
            }
            Some(
                Said::Restarting { .. }
                | Said::Busy { .. }
                | Said::Copied { .. }
                | Said::Preparing
                | Said::Prepared { .. }
                | Said::Cancelled { .. }
                | Said::Revoked
                | Said::NotBegun
                | Said::Forgotten,
            )
            | None => {}
        }
        if let Some(replaced) = self.gives_up(here) {
            return replaced;
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if let Some(hold) = self.kept_back(here) {
            return Move::Wait(hold);
        }
        if here.age >= limit {
            return Move::Fail(Reason::TimeLimit);
        }
        let unread = self.observed.report(&here.agent).is_none();
        let during = match kind {
            Restart::Engine => StateName::RestartingEngine,
            Restart::Reboot => StateName::Rebooting,
        };
        // Which gates are this restart's go stands in the report that asked for it, and nowhere else.
        let asks = unread && !self.restart_is_given(here) && !is_going_down(here);
        Move::Wait(match asks {
            true => Hold::NoReport { during },
            false if is_going_down(here) => Hold::Restarting { kind },
            false => self.host_waits(here).unwrap_or(Hold::Restarting { kind }),
        })
    }

    /// Why a restart that may begin does not: the agent looks at the quorum itself, too. A manager that does not take part
    /// any more is on its way down; the one that is missing is itself.
    fn kept_back(&self, here: &Here<'_>) -> Option<Hold> {
        if is_going_down(here) { None } else { self.quorum(here).err() }
    }

    fn allow_restart(&mut self, here: &Here<'_>, kind: Restart, draw: Draw) -> Move {
        let open = match self.next_gate(here, draw, For::Restart) {
            Err(other) => return other,
            Ok(None) => {
                let waits = match is_going_down(here) {
                    true => Hold::Restarting { kind },
                    false => self.host_waits(here).unwrap_or(Hold::GivingTheGo),
                };
                return Move::Wait(self.kept_back(here).unwrap_or(waits));
            }
            Ok(Some(open)) => open,
        };
        if drain::before_a_restart(self.spec) {
            if here.node.availability != Availability::Drain {
                return self.taken_away(here, Availability::Drain);
            }
            if let Err(other) = self.emptied(here) {
                return other;
            }
        }
        match self.quorum(here) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Act(vec![open], Hold::GivingTheGo),
        }
    }

    pub(super) fn verifying(&mut self, here: &Here<'_>) -> Move {
        let during = StateName::Verifying;
        // Its time runs while the next agent's services are created.
        let a_go_may_count = self.a_go_may_count(here);
        let said = self.observed.report(&here.agent);
        match (self.result(here), said) {
            (Some(NodeOutcome::Succeeded), _) => return Move::Step(NodeEvent::Verified, Wanted::Keep),
            (Some(NodeOutcome::InSync), _) => return Move::Step(NodeEvent::InSync, Wanted::Keep),
            (Some(NodeOutcome::Failed { phase, exit, .. }), _) => {
                return Move::Fail(Reason::of(*phase, *exit));
            }
            (None, Some(Said::Finished { outcome, record })) => {
                return self.write_result(here, outcome, record.clone());
            }
            // It wanted a restart: its host has lost what it knew of it, and would do it again.
            (None, Some(Said::NotBegun)) if here.record.begun => return Move::Fail(Reason::Forgotten),
            (None, Some(Said::NotBegun)) => {
                return Move::Step(NodeEvent::NotBegun, Wanted::Be(Availability::Active));
            }
            (None, Some(Said::WantsRestart { kind, draw })) => {
                return self.wants_restart(here, *kind, *draw);
            }
            (None, Some(Said::Cancelled { .. } | Said::Revoked | Said::Forgotten)) => {
                return self.gives_up(here).unwrap_or(Move::Wait(Hold::NoReport { during }));
            }
            (None, Some(Said::Restarting { kind })) => {
                return Move::Step(NodeEvent::Restart(*kind), Wanted::Keep);
            }
            (
                None,
                Some(
                    Said::Busy { .. }
                    | Said::Copied { .. }
                    | Said::Preparing
                    | Said::Prepared { .. }
                    | Said::Running { .. }
                    | Said::Verifying,
                )
                | None,
            ) => {}
        }
        // A service that does not exist yet is created below.
        if self.observed.job(&here.agent).is_some_and(Job::is_lost) {
            return lost(here);
        }
        let works = matches!(said, Some(Said::Running { .. }));
        if here.age >= self.spec.limits.verifying && !works {
            return Move::Fail(Reason::TimeLimit);
        }
        if let Some(placing) = self.places_the_collector(here, a_go_may_count) {
            return placing;
        }
        let collects = self.gates_of(here).count() <= usize::from(FEW_GATES);
        if said.is_none() && collects && self.lost_a_gate(here) {
            // It may wait for that gate, to draw for a restart: without a word nobody knows.
            return lost(here);
        }
        // The moment in which a drained node is active ends when its agent is there.
        if here.record.taken.is_some_and(|taken| taken.set == Availability::Active) {
            return Move::Set(Wanted::Restore);
        }
        Move::Wait(self.works(here, during))
    }

    /// Until the agent that collects and its gates run.
    fn places_the_collector(&mut self, here: &Here<'_>, a_go_may_count: bool) -> Option<Move> {
        let missing = self.missing(here);
        let jobs = self.jobs_of(here);
        let placed = jobs.iter().filter(|job| job.runs() || job.stopped).count();
        if !missing.is_empty() {
            return Some(Move::Act(missing, self.placing(here, placed, usize::from(FEW_GATES) + 1)));
        }
        if !jobs.iter().any(|job| !job.runs() && !job.stopped && !job.is_lost()) {
            return None;
        }
        let hold = self.placing(here, placed, jobs.len());
        Some(if a_go_may_count { Move::Wait(hold) } else { self.make_active(here, hold) })
    }
}
