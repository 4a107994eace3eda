//! After the go: the host is at work, and what it says decides.

use super::node::{Here, lost};
use super::{Move, Wanted, Work};
use crate::action::Action;
use crate::drain;
use crate::hold::Hold;
use crate::ids::{Go, JobRole};
use crate::observed::{Availability, HostPhase, NodeOutcome, Reachability, Restart, Said};
use crate::state::{Event, Goal, Phase, Reason};

impl Work<'_> {
    pub(super) fn draining_for_a_restart(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        match self.observed.report(&here.agent) {
            Some(Said::WantsRestart { kind: wanted }) if *wanted == kind => {}
            Some(_) => return Move::Step(Event::Ended, Wanted::Keep),
            None => {}
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if here.node.availability != Availability::Drain {
            return self.taken_away(here, Availability::Drain);
        }
        match self.is_empty(here).and_then(|()| self.quorum(here)) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Step(Event::Restart(kind), Wanted::Keep),
        }
    }

    pub(super) fn running(&mut self, here: &Here<'_>, drained: bool) -> Move {
        let phase = Phase::Running;
        let said = self.observed.report(&here.agent);
        // A failure of the command itself is told as one: `verify` never ran.
        let of_command = |outcome: &NodeOutcome| match outcome {
            NodeOutcome::Failed { phase: HostPhase::Command, exit, .. } => Some(Reason::Exit(*exit)),
            NodeOutcome::Failed { .. } | NodeOutcome::Succeeded => None,
        };
        match said {
            _ if self.result(here).is_some() => {
                let failed = self.result(here).and_then(of_command);
                return failed.map_or(Move::Step(Event::Ended, Wanted::Keep), Move::Fail);
            }
            Some(Said::Finished { outcome, record }) if of_command(outcome).is_some() => {
                return self.write_result(here, outcome, record.clone());
            }
            Some(Said::Finished { .. } | Said::Verifying) => {
                return Move::Step(Event::Ended, Wanted::Keep);
            }
            Some(Said::WantsRestart { kind }) => return self.wants_restart(here, *kind),
            Some(Said::Restarting { kind }) => return Move::Step(Event::Restart(*kind), Wanted::Keep),
            Some(
                Said::Busy { .. }
                | Said::Preparing
                | Said::Prepared { .. }
                | Said::Running { .. }
                | Said::NotBegun,
            )
            | None => {}
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if let Some(gate) = self.closed_gate(here, Go::Run) {
            let open = Action::OpenGate { key: gate.key.clone(), version: gate.version };
            return self.give_the_go(here, drained, open);
        }
        if matches!(said, Some(Said::Prepared { .. })) {
            // The agent has not seen the go yet, or its own look at the quorum keeps it back.
            return Move::Wait(self.quorum(here).err().unwrap_or(Hold::GivingTheGo));
        }
        // The host keeps the command's time limit itself; this one is for a host that says nothing.
        let limit = self.spec.limits.running.map(|limit| limit + self.spec.limits.verifying);
        if limit.is_some_and(|limit| here.age >= limit) {
            return Move::Fail(Reason::TimeLimit);
        }
        Move::Wait(if said.is_some() { Hold::HostWorks { phase } } else { Hold::NoReport { phase } })
    }

    /// The go is announced and seen to be; what it rests on is looked at once more.
    fn give_the_go(&mut self, here: &Here<'_>, drained: bool, open: Action) -> Move {
        if drained {
            if here.node.availability != Availability::Drain {
                return self.taken_away(here, Availability::Drain);
            }
            if let Err(hold) = self.is_empty(here) {
                return Move::Wait(hold);
            }
        }
        match self.quorum(here) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Act(vec![open], Hold::GivingTheGo),
        }
    }

    /// The command is done and the agent asks for a restart.
    fn wants_restart(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        if self.is_lost(here) {
            return lost(here);
        }
        let missing = self.missing(here, &[JobRole::Gate(Go::Restart)]);
        if !missing.is_empty() {
            return Move::Act(missing, Hold::Placing { placed: 1, of: 2 });
        }
        let gate = self.observed.job(&here.agent.with_role(JobRole::Gate(Go::Restart)));
        if !gate.is_some_and(|gate| gate.runs() || gate.stopped) {
            return self.make_active(here, Hold::Placing { placed: 1, of: 2 });
        }
        let drains = drain::before_a_restart(self.spec);
        let drained = here.node.availability == Availability::Drain;
        if drains && !drained {
            return match drain::volume_hold(self.observed, self.spec, here.node) {
                Some(hold) => Move::Wait(hold),
                None => Move::Step(Event::Drain(Goal::Restart(kind)), Wanted::Be(Availability::Drain)),
            };
        }
        let empty = if drains { self.is_empty(here) } else { Ok(()) };
        match empty.and_then(|()| self.quorum(here)) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Step(Event::Restart(kind), Wanted::Keep),
        }
    }

    pub(super) fn restarting(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        let limit = match kind {
            Restart::Engine if self.asks_for_the_key(here.node) => self.spec.limits.rebooting,
            Restart::Engine => self.spec.limits.restarting_engine,
            Restart::Reboot => self.spec.limits.rebooting,
        };
        match self.observed.report(&here.agent) {
            Some(Said::WantsRestart { kind: wanted }) if *wanted == kind && !self.is_lost(here) => {
                // Of a manager that is away it is the last that was read.
                if !is_going_down(here) {
                    return self.allow_restart(here, kind);
                }
            }
            Some(
                Said::Finished { .. } | Said::Verifying | Said::Running { .. } | Said::WantsRestart { .. },
            ) => {
                return Move::Step(Event::Ended, Wanted::Keep);
            }
            Some(
                Said::Restarting { .. }
                | Said::Busy { .. }
                | Said::Preparing
                | Said::Prepared { .. }
                | Said::NotBegun,
            )
            | None => {}
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
        // The announced restart's gate, when the report that asked for it cannot be read now.
        if self.closed_gate(here, Go::Restart).is_some() {
            return self.allow_restart(here, kind);
        }
        Move::Wait(Hold::Restarting { kind })
    }

    /// Why a restart that may begin does not: the agent looks at the quorum itself, too. A manager that does not take part
    /// any more is on its way down; the one that is missing is itself.
    fn kept_back(&self, here: &Here<'_>) -> Option<Hold> {
        if is_going_down(here) { None } else { self.quorum(here).err() }
    }

    fn allow_restart(&mut self, here: &Here<'_>, kind: Restart) -> Move {
        let Some(gate) = self.closed_gate(here, Go::Restart) else {
            let waits = if is_going_down(here) { Hold::Restarting { kind } } else { Hold::GivingTheGo };
            return Move::Wait(self.kept_back(here).unwrap_or(waits));
        };
        let open = Action::OpenGate { key: gate.key.clone(), version: gate.version };
        if drain::before_a_restart(self.spec) {
            if here.node.availability != Availability::Drain {
                return self.taken_away(here, Availability::Drain);
            }
            if let Err(hold) = self.is_empty(here) {
                return Move::Wait(hold);
            }
        }
        match self.quorum(here) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Act(vec![open], Hold::GivingTheGo),
        }
    }

    pub(super) fn verifying(&mut self, here: &Here<'_>) -> Move {
        let phase = Phase::Verifying;
        let said = self.observed.report(&here.agent);
        match (self.result(here), said) {
            (Some(NodeOutcome::Succeeded), _) => return Move::Step(Event::Verified, Wanted::Keep),
            (Some(NodeOutcome::Failed { phase, exit, .. }), _) => {
                return Move::Fail(Reason::of(*phase, *exit));
            }
            (None, Some(Said::Finished { outcome, record })) => {
                return self.write_result(here, outcome, record.clone());
            }
            (None, Some(Said::NotBegun)) => {
                return Move::Step(Event::NotBegun, Wanted::Be(Availability::Active));
            }
            (None, Some(Said::WantsRestart { kind })) => return self.wants_restart(here, *kind),
            (None, Some(Said::Restarting { kind })) => {
                return Move::Step(Event::Restart(*kind), Wanted::Keep);
            }
            (
                None,
                Some(
                    Said::Busy { .. }
                    | Said::Preparing
                    | Said::Prepared { .. }
                    | Said::Running { .. }
                    | Said::Verifying,
                )
                | None,
            ) => {}
        }
        // A service that does not exist yet is created below.
        if self.lost_its_jobs(here) {
            return lost(here);
        }
        let works = matches!(said, Some(Said::Running { .. }));
        if here.age >= self.spec.limits.verifying && !works {
            return Move::Fail(Reason::TimeLimit);
        }
        let missing = self.missing(here, &[JobRole::Gate(Go::Restart)]);
        if !missing.is_empty() {
            return Move::Act(missing, Hold::Placing { placed: 0, of: 2 });
        }
        let jobs = self.jobs_of(here);
        let placed = jobs.iter().filter(|job| job.runs() || job.stopped).count();
        if placed < jobs.len() {
            return self.make_active(here, Hold::Placing { placed, of: jobs.len() });
        }
        // The moment in which a drained node is active ends when its agent is there.
        if here.record.taken.is_some_and(|taken| taken.set == Availability::Active) {
            return Move::Set(Wanted::Restore);
        }
        Move::Wait(if said.is_some() { Hold::HostWorks { phase } } else { Hold::NoReport { phase } })
    }
}

fn is_going_down(here: &Here<'_>) -> bool {
    here.node.manager.is_some_and(|manager| manager.reachability != Reachability::Reachable)
}
