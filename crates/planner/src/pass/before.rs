//! Before the go: everything can be taken back.

use super::node::{Here, MAX_CANCELLED, cancelled, is_past_the_go, lost};
use super::{Move, Wanted, Work};
use crate::drain;
use crate::hold::Hold;
use crate::observed::{Availability, Expectation, HostPhase, NodeOutcome, Refusal, Said};
use crate::rollout::Control;
use crate::state::{Goal, NodeEvent, Reason, StateName};
use crate::watch::Key;
use std::time::Duration;

/// When a node that refused an agent is asked again. The state's limit ends that before too many agents are lost.
const ASK_AGAIN: Duration = Duration::from_secs(60);

impl Work<'_> {
    pub(super) fn entering(&mut self, here: &Here<'_>) -> Move {
        if here.node.availability != Availability::Active {
            return match here.record.taken {
                // Drained by its operator since its turn came: from the beginning, as a node that is kept so.
                None => Move::Step(NodeEvent::Withdraw, Wanted::Keep),
                Some(_) => self.taken_away(here, Availability::Active),
            };
        }
        if here.record.cancelled > MAX_CANCELLED {
            return Move::Fail(Reason::GoLost);
        }
        let missing = self.missing(here);
        let jobs = self.jobs_of(here);
        let placed = jobs.iter().filter(|job| job.runs()).count();
        let of = usize::from(self.gates_for(here)) + 1;
        let refused = jobs.iter().find_map(|job| job.refused.clone());
        if !missing.is_empty() {
            let hold = refused.map_or_else(|| self.placing(here, placed, of), |why| self.refusal(why));
            return Move::Act(missing, hold);
        }
        if let Some(replaced) = self.gives_up(here) {
            return replaced;
        }
        if placed == of || self.observed.report(&here.agent).is_some_and(is_past_the_go) {
            return Move::Step(NodeEvent::Placed, Wanted::Keep);
        }
        if here.age >= self.spec.limits.entering {
            return Move::Fail(Reason::TimeLimit);
        }
        if let Some(why) = refused {
            return self.refused(here, why);
        }
        if self.lost_its_jobs(here) {
            return lost(here);
        }
        Move::Wait(self.placing(here, placed, of))
    }

    /// Swarm asks a node once whether it takes a job's task. So another agent asks again after a while: the image may be
    /// there by then.
    fn refused(&mut self, here: &Here<'_>, why: Refusal) -> Move {
        let key = Key::Refused(here.node.id.clone(), here.record.generation, here.record.agent);
        let asks = self.watching.age(key) >= ASK_AGAIN;
        match self.has_hold_limit(here.record) {
            // As long as a hold may last; nothing of that agent ever ran. A paused rollout asks nobody.
            true if asks && self.control == Control::Running => {
                Move::Step(NodeEvent::AgentLost, Wanted::Be(Availability::Active))
            }
            false if asks => lost(here),
            true | false => Move::Wait(self.refusal(why)),
        }
    }

    fn refusal(&self, Refusal { why, no_image }: Refusal) -> Hold {
        let image = self.spec.image.clone();
        if no_image { Hold::ImageMissing { image, why } } else { Hold::AgentRejected { why } }
    }

    pub(super) fn preparing(&mut self, here: &Here<'_>) -> Move {
        if let Some(NodeOutcome::Failed { phase, exit, .. }) = self.result(here) {
            return Move::Fail(Reason::of(*phase, *exit));
        }
        match self.observed.report(&here.agent) {
            Some(Said::Finished {
                outcome:
                    outcome @ NodeOutcome::Failed {
                        phase: HostPhase::Preflight | HostPhase::Check | HostPhase::Prepare,
                        ..
                    },
                record,
            }) => self.write_result(here, outcome, record.clone()),
            Some(said) if is_past_the_go(said) => Move::Step(NodeEvent::Go { drained: false }, Wanted::Keep),
            said => self.gives_up(here).unwrap_or_else(|| self.prepares(here, said)),
        }
    }

    fn prepares(&mut self, here: &Here<'_>, said: Option<&Said>) -> Move {
        let during = StateName::Preparing;
        match said {
            _ if self.is_lost(here) => lost(here),
            _ if self.lost_a_gate(here) => cancelled(here),
            Some(Said::Prepared { restart, .. }) => self.take_out(here, *restart),
            _ if here.age >= self.spec.limits.preparing => Move::Fail(Reason::TimeLimit),
            Some(Said::Busy { transaction }) => {
                Move::Wait(Hold::HostBusy { transaction: transaction.clone() })
            }
            Some(Said::Copied { from }) => Move::Wait(Hold::Copied { from: from.clone() }),
            Some(_) | None => Move::Wait(self.works(here, during)),
        }
    }

    /// `prepare` is done: the node is taken out of service, or gets the go as it is.
    fn take_out(&mut self, here: &Here<'_>, expectation: Expectation) -> Move {
        if let Err(hold) = self.may_go_on().and_then(|()| self.maintenance(here.node)) {
            return Move::Wait(hold);
        }
        let kept = crate::availability::operators(here.node, here.record.taken);
        let wanted = drain::before_the_command(self.spec, expectation);
        match (wanted, kept) {
            (_, Availability::Drain) => {
                Move::Step(NodeEvent::Drain(Goal::Run), Wanted::Be(Availability::Drain))
            }
            (false, Availability::Active | Availability::Pause) => {
                Move::Step(NodeEvent::Go { drained: false }, Wanted::Restore)
            }
            (true, Availability::Active | Availability::Pause) => self.drain(here.node, Goal::Run),
        }
    }

    pub(super) fn draining_for_the_command(&mut self, here: &Here<'_>) -> Move {
        if self.observed.report(&here.agent).is_some_and(is_past_the_go) {
            return Move::Step(NodeEvent::Go { drained: true }, Wanted::Keep);
        }
        if let Some(replaced) = self.gives_up(here) {
            return replaced;
        }
        if self.is_lost(here) {
            return lost(here);
        }
        if self.lost_a_gate(here) {
            return cancelled(here);
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
        match self.may_go_on().and_then(|()| self.quorum(here)) {
            Err(hold) => Move::Wait(hold),
            Ok(()) => Move::Step(NodeEvent::Go { drained: true }, Wanted::Keep),
        }
    }
}
