//! The go, and what is done so that none is given, or none counts.
//!
//! A go is two gates of an agent taken away: those that it has drawn and named in its report. They are opened one after
//! the other, each in a pass of its own that has looked at everything again on which the go rests. Without a report that
//! can be read no gate is opened.

use super::node::{Here, agent_of, cancelled, has_begun, is_past_the_go, lost};
use super::{Move, Wanted, Work};
use crate::action::Action;
use crate::hold::Hold;
use crate::ids::{JobKey, JobRole};
use crate::observed::{Availability, Draw, Job, Node, Reachability, Said};
use crate::rollout::{Ask, Control};
use crate::short;
use crate::state::{Goal, NodeRecord, NodeState, Reason};
use crate::watch::Key;
use careen_contract::settings::GO_COUNTS;
use std::time::Duration;

/// How many gates a go takes away.
const DRAWN: usize = 2;

/// How many gates are left when the go for a restart is given: of the four that a collecting agent has, or the other one
/// has left.
const LEFT_AT_A_RESTART: usize = 2;

/// How long a new controller waits for a log that it has not read yet. A command that prints a lot has a long one.
const LONGEST_READING: Duration = Duration::from_secs(10);

/// What a go is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Command,
    Restart,
}

impl For {
    /// How many gates are left when it is given, of so many that the agent had at first.
    const fn left(self, gates: usize) -> usize {
        match self {
            Self::Command => gates.saturating_sub(DRAWN),
            Self::Restart => LEFT_AT_A_RESTART,
        }
    }

    const fn fits(self, draw: Draw) -> bool {
        match self {
            Self::Command => draw.number == 0,
            Self::Restart => draw.number > 0,
        }
    }
}

impl Work<'_> {
    /// What follows when the agent says that no go can reach it.
    pub(super) fn gives_up(&self, here: &Here<'_>) -> Option<Move> {
        match self.observed.report(&here.agent)? {
            Said::Cancelled { .. } => Some(cancelled(here)),
            Said::Revoked | Said::NotBegun => Some(lost(here)),
            Said::Forgotten => Some(Move::Fail(Reason::Forgotten)),
            Said::Busy { .. }
            | Said::Copied { .. }
            | Said::Preparing
            | Said::Prepared { .. }
            | Said::Running { .. }
            | Said::WantsRestart { .. }
            | Said::Restarting { .. }
            | Said::Verifying
            | Said::Finished { .. } => None,
        }
    }

    /// The gate that is opened next for this go; none when it is given. An error when it cannot be given: nobody knows
    /// which gates it is, or others are gone, too.
    pub(super) fn next_gate(&self, here: &Here<'_>, draw: Draw, goal: For) -> Result<Option<Action>, Move> {
        let (drawn, others): (Vec<&Job>, Vec<&Job>) =
            self.gates_of(here).partition(|gate| is_drawn(gate, draw));
        if !goal.fits(draw) || draw.gates[0] == draw.gates[1] {
            return Err(Move::Wait(no_report(here)));
        }
        // Of an agent that may begin the command two more are open when it asks for a restart.
        let left = others.iter().filter(|gate| !gate.stopped).count();
        if drawn.len() != draw.gates.len()
            || left != goal.left(usize::from(short::gates(self.spec, false)))
            || self.lost_a_gate(here)
        {
            return Err(cancelled(here));
        }
        Ok(drawn.into_iter().find(|gate| !gate.stopped).map(open))
    }

    /// The go for the command is announced and seen to be; what it rests on is looked at before each gate.
    pub(super) fn go_for_the_command(&mut self, here: &Here<'_>, drained: bool, draw: Draw) -> Move {
        let open = match self.next_gate(here, draw, For::Command) {
            Err(other) => return other,
            // The agent has not seen the go yet, or its own look at the quorum keeps it back.
            Ok(None) => {
                let waits = || self.host_waits(here).unwrap_or(Hold::GivingTheGo);
                return Move::Wait(self.quorum(here).err().unwrap_or_else(waits));
            }
            Ok(Some(open)) => open,
        };
        if drained && here.node.availability != Availability::Drain {
            return self.taken_away(here, Availability::Drain);
        }
        let empty = if drained { self.emptied(here) } else { Ok(()) };
        let may = || self.may_go_on().and_then(|()| self.quorum(here)).map_err(Move::Wait);
        let ready = empty.and_then(|()| may());
        ready.err().unwrap_or(Move::Act(vec![open], Hold::GivingTheGo))
    }

    /// Whether both gates of a restart's go are open, as far as the swarm's store tells without the agent's report.
    pub(super) fn restart_is_given(&self, here: &Here<'_>) -> bool {
        self.closed_gates(here) <= LEFT_AT_A_RESTART
    }

    /// Whether a go that an earlier agent of the try has passed on may still count on the host: it does while that agent may
    /// live, and for a while longer. Only then the node may be made active for the one that collects.
    pub(super) fn a_go_may_count(&mut self, here: &Here<'_>) -> bool {
        let (agent, record) = (&here.agent, here.record);
        let may_live = |job: &Job| {
            let of_try = (&job.key.rollout, &job.key.node, job.key.generation)
                == (&agent.rollout, &agent.node, agent.generation);
            of_try && job.key.agent < agent.agent && job.key.role == JobRole::Agent && job.may_run()
        };
        if agent.agent <= 1 {
            return false;
        }
        if self.observed.jobs.iter().any(may_live) {
            return true;
        }
        let before = JobKey { agent: agent.agent - 1, ..agent.clone() };
        if self.note_sweep(&before) {
            return false;
        }
        let key = Key::Replaced(here.node.id.clone(), record.generation, record.agent);
        self.watching.age(key) < GO_COUNTS
    }

    /// Whether this agent went with its engine, which stopped in good order. Then it has taken its go back when it was told to stop,
    /// or has not looked for as long as a go counts when it was killed. Its gates tell it as well, so that no container is taken for
    /// gone which an engine has only lost. What was seen once is kept: the services are taken away.
    pub(super) fn note_sweep(&mut self, agent: &JobKey) -> bool {
        let of_agent = |job: &&&Job| job.key.with_role(JobRole::Agent) == *agent;
        let jobs = self.observed.jobs_for(&agent.node).iter().filter(of_agent);
        let (mut unopened, mut swept) = (0, 0);
        for job in jobs.filter(|job| !job.stopped) {
            unopened += 1;
            swept += usize::from(job.swept && !job.may_run());
        }
        let known = self.observed.job(agent).is_some_and(|job| !job.stopped);
        let noted = &mut self.watching.after.swept;
        if known && unopened > 1 && swept == unopened {
            noted.insert(agent.node.clone(), (agent.generation, agent.agent));
        }
        noted.get(&agent.node) == Some(&(agent.generation, agent.agent))
    }

    /// What follows for a node behind the label `running` when its operator does not want it any more. Whether the
    /// command has begun is for its host to say: the agent is taken away, and the next one asks.
    pub(super) fn withdrawn(&mut self, here: &Here<'_>) -> Option<Move> {
        if self.control == Control::Aborting {
            return self.aborted(here);
        }
        if Ask::of(here.node, &self.spec.id) != Some(Ask::Skip) {
            return None;
        }
        if has_begun(self.observed, &here.node.id, here.record) {
            // It comes too late. The write takes it away.
            return Some(Move::Set(Wanted::Keep));
        }
        matches!(here.record.state, NodeState::Running { .. }).then(|| lost(here))
    }

    fn aborted(&mut self, here: &Here<'_>) -> Option<Move> {
        if !here.record.state.is_after_the_go() || self.result(here).is_some() {
            return None;
        }
        let age = self.watching.age(Key::Aborting(here.node.id.clone(), here.record.generation));
        let waits = here.node.is_ready() && age < self.spec.limits.entering;
        match self.observed.report(&here.agent) {
            Some(Said::Finished { .. }) => None,
            Some(Said::WantsRestart { draw, .. }) if waits && !is_going_down(here) => {
                Some(self.refuse(here, *draw))
            }
            Some(said) if is_past_the_go(said) => Some(Move::Fail(Reason::Aborted)),
            _ if !waits => Some(Move::Fail(Reason::Aborted)),
            Some(_) | None => self.aborted_without_a_word(here),
        }
    }

    /// Nobody knows yet how far the host is.
    fn aborted_without_a_word(&self, here: &Here<'_>) -> Option<Move> {
        match &here.record.state {
            NodeState::Running { .. } => Some(lost(here)),
            NodeState::RestartingEngine | NodeState::Rebooting if self.restart_is_given(here) => {
                Some(Move::Fail(Reason::Aborted))
            }
            NodeState::Draining { goal: Goal::Restart(_) }
            | NodeState::RestartingEngine
            | NodeState::Rebooting => {
                let replaced = self.gives_up(here).or_else(|| self.is_lost(here).then(|| lost(here)));
                Some(replaced.unwrap_or_else(|| Move::Wait(no_report(here))))
            }
            // A collecting agent is there or comes, and says it.
            NodeState::Verifying
            | NodeState::Pending
            | NodeState::Entering
            | NodeState::Preparing
            | NodeState::Draining { goal: Goal::Run }
            | NodeState::Restoring { .. }
            | NodeState::Settling
            | NodeState::Done
            | NodeState::Failed { .. }
            | NodeState::Skipped { .. }
            | NodeState::Gone { .. } => None,
        }
    }

    /// The host waits for a restart's go and gets the opposite: all gates but the drawn ones go. It closes the
    /// transaction, and its agent says how.
    fn refuse(&self, here: &Here<'_>, draw: Draw) -> Move {
        let (drawn, others): (Vec<&Job>, Vec<&Job>) =
            self.gates_of(here).partition(|gate| is_drawn(gate, draw));
        if !drawn.is_empty() && drawn.iter().all(|gate| gate.stopped) {
            return Move::Fail(Reason::Aborted);
        }
        // With half a go there is no refusal any more: the agent cancels, and the next one asks anew.
        let half = drawn.iter().any(|gate| gate.stopped);
        let gates = others.into_iter().filter(|gate| !gate.stopped && !half).map(open);
        let gates: Vec<Action> = gates.collect();
        match gates.is_empty() {
            true => Move::Wait(Hold::RefusingTheRestart),
            false => Move::Act(gates, Hold::RefusingTheRestart),
        }
    }

    /// Whether this controller, which takes over, may just not have read yet what the node's agent says.
    pub(super) fn may_still_read(&mut self, node: &Node, record: &NodeRecord) -> bool {
        let agent = agent_of(&node.id, record);
        let runs = self.observed.job(&agent).is_some_and(|job| job.runs() && !job.is_lost());
        let unread = self.observed.report(&agent).is_none() && node.is_ready() && runs;
        unread && self.watching.age(Key::Unread(node.id.clone())) < LONGEST_READING
    }
}

/// A manager that does not take part any more is on its way down; the one that is missing is itself.
pub(super) fn is_going_down(here: &Here<'_>) -> bool {
    here.node.manager.is_some_and(|manager| manager.reachability != Reachability::Reachable)
}

fn no_report(here: &Here<'_>) -> Hold {
    here.record.state.can_fail_in().map_or(Hold::Recording, |during| Hold::NoReport { during })
}

fn is_drawn(gate: &Job, draw: Draw) -> bool {
    match gate.key.role {
        JobRole::Gate(number) => draw.gates.contains(&number),
        JobRole::Agent => false,
    }
}

fn open(gate: &Job) -> Action {
    Action::OpenGate { key: gate.key.clone(), version: gate.version }
}
