//! Where a rollout stands, as people want to know it: asked of the planner, as a controller would. Pure, and
//! nothing is carried out.

use crate::backend::IN_SYNC;
use careen_planner::estimate::Estimate;
use careen_planner::moves::{self, Moves, VersionsByNode};
use careen_planner::names::Names;
use careen_planner::observed::{Availability, Node, NodeOutcome, NodeStatus, Printed, Role};
use careen_planner::on_hold::{Held, HoldClock};
use careen_planner::order;
use careen_planner::participants::{self, Participant};
use careen_planner::rollout::{Ask, Control};
use careen_planner::state::{AfterRestoring, Left, NodeRecord, Reason, Skip, StateName};
use careen_planner::{
    ControllerId, Hold, Indexed, JobKey, JobRole, NodeId, NodeState, Observed, PassError, RolloutId, Spec,
    View, Watch, has_begun, last_words, view,
};
use careen_swarm::ControllerTask;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Standing {
    pub rollout: RolloutId,
    /// What it is told to do; `None` when its config is gone.
    pub control: Option<Control>,
    /// Who holds the lock for it; `None` when nobody works on it.
    pub controller: Option<ControllerId>,
    /// Who holds the lock for it, or held it last.
    pub lock: LockOf,
    /// What Swarm and the engine say of its controller; `None` when they were not asked.
    pub task: Option<ControllerTask>,
    /// Its nodes, in the order in which they have their turn; those that cannot be worked on behind them.
    pub nodes: Vec<NodeStanding>,
    /// Nodes that would be selected now and take no part: they joined later, or their labels fit only since.
    pub not_taken_in: Vec<Participant>,
    /// Which version of the enforcement is where that it moves, where it moves one.
    pub versions: Option<(Moves, VersionsByNode)>,
    /// How long it takes still; `None` where nobody asked, or nothing moves.
    pub estimate: Option<Estimate>,
    /// What nodes are called: those of the swarm, and those that left it.
    names: Names,
}

/// Who has, or had, the lock over rollouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockOf {
    /// Nobody ever took it for this rollout.
    Nobody,
    /// A controller gave it back.
    GivenBack,
    /// A controller that Swarm placed, living or dead.
    Service,
    /// Another process: a container beside the swarm, or a command line with `--local`.
    Process,
}

impl LockOf {
    fn of(observed: &Observed, spec: &Spec) -> Self {
        let Some(lock) = observed.lock.as_ref().filter(|lock| lock.rollout.as_ref() == Some(&spec.id)) else {
            return Self::Nobody;
        };
        match (&lock.holder, &lock.place) {
            (None, _) => Self::GivenBack,
            (Some(_), Some(place)) if place.movable => Self::Service,
            (Some(_), _) => Self::Process,
        }
    }
}

/// Where one node stands.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct NodeStanding {
    pub node: NodeId,
    pub hostname: String,
    /// What it is called where it is shown.
    pub shown: String,
    /// What it is called in a command.
    pub typed: String,
    pub role: Role,
    /// In which wave it has its turn, from 1; none when it has none.
    pub wave: Option<usize>,
    /// Which try of the rollout on this node.
    pub generation: u32,
    /// How many goes of this try were cancelled on its host.
    pub cancelled: u32,
    /// Its current agent; none when it never had one.
    pub agent: Option<JobKey>,
    /// What Swarm may place on it now; `None` when it left the swarm.
    pub availability: Option<Availability>,
    /// Whether the swarm calls it down.
    pub down: bool,
    /// Whether careen changed that, and has not given it back.
    pub taken: bool,
    /// Where it stands; what waits for its turn is held.
    pub stage: NodeState,
    /// Why it does not move now.
    pub hold: Option<Hold>,
    /// How long it is held on which nothing was taken down, and what follows; `None` where nothing does.
    pub held: Option<Held>,
    /// Whether its host is known to have begun the command.
    pub begun: bool,
    /// How it ended, as its host told; also what came after it had failed because nothing was heard of it.
    pub outcome: Option<NodeOutcome>,
    /// What its host's result says for people, or where there is none, what was heard last.
    pub record: Option<String>,
    /// What its host's command printed last, as far as it can be read now.
    pub printed: Option<Printed>,
    /// What its operator asked and nobody has answered yet.
    pub asked: Option<Ask>,
    /// Since when it is there, where that is known.
    pub age: Option<Duration>,
    /// When it left: a node of the same name that joined later.
    pub same_name: Option<NodeId>,
}

/// How many nodes are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Totals {
    pub nodes: usize,
    pub done: usize,
    /// Of those that are done: how many were in sync, so that nothing was run there.
    pub in_sync: usize,
    pub failed: usize,
    pub skipped: usize,
    /// No longer in the swarm, and not known to be done.
    pub gone: usize,
    /// Begun and not through.
    pub working: usize,
    /// Those that have not begun.
    pub waiting: usize,
}

impl Totals {
    /// Of nodes that are there.
    pub fn of<'a>(states: impl Iterator<Item = &'a NodeState>) -> Self {
        let mut totals = Self::default();
        for state in states {
            totals.nodes += 1;
            *match state {
                NodeState::Done | NodeState::Gone { left: Left::Done } => &mut totals.done,
                NodeState::Gone { .. } => &mut totals.gone,
                NodeState::Failed { .. } => &mut totals.failed,
                NodeState::Skipped { .. } => &mut totals.skipped,
                NodeState::Pending => &mut totals.waiting,
                NodeState::Entering
                | NodeState::Preparing
                | NodeState::Draining { .. }
                | NodeState::Running { .. }
                | NodeState::RestartingEngine
                | NodeState::Rebooting
                | NodeState::Verifying
                | NodeState::Restoring { .. }
                | NodeState::Settling => &mut totals.working,
            } += 1;
        }
        totals
    }
}

/// Where the rollout stands. A [`Watch`] that is given back makes what takes a while (a delay, a limit) exact; with a new
/// one the whole of it is still to come.
pub fn look(
    observed: &Observed,
    spec: &Spec,
    watch: &Watch,
    now: Duration,
) -> Result<(Standing, Watch), PassError> {
    let view = view(observed, spec, watch, now)?;
    let observed = &Indexed::of(observed);
    let participants = participants::participants(observed, spec)?;
    let waves = order::waves(spec, &participants);
    let in_turn =
        waves.iter().enumerate().flat_map(|(wave, nodes)| nodes.iter().map(move |id| (wave + 1, id)));
    let in_turn = in_turn.filter_map(|(wave, id)| {
        let standing = match observed.node(id) {
            Some(node) => standing(observed, node, spec, Some(wave), view.holds.get(id)),
            None => {
                let participant = participants.iter().find(|one| one.id == *id)?;
                gone(observed, participant, spec, wave, &view)
            }
        };
        let result = observed.result(id, standing.generation);
        let own = observed.node(id).and_then(|node| NodeRecord::of(node).ok().flatten());
        let own = own.filter(|record| record.rollout == spec.id);
        let begun = own.is_some_and(|own| has_begun(observed, id, &own));
        let heard = || last_words(observed.node(id)?, &spec.id, standing.generation);
        let record = result.and_then(|result| result.record.clone()).or_else(heard);
        let printed =
            standing.agent.as_ref().filter(|_| standing.works()).and_then(|agent| observed.printed(agent));
        let outcome = result.map(|result| result.outcome.clone());
        let held = view.held.get(id).copied();
        Some(NodeStanding { outcome, record, printed: printed.cloned(), begun, held, ..standing })
    });
    let left_out = participants.iter().filter_map(|one| {
        let stage = NodeState::Skipped { why: one.skip? };
        Some(match observed.node(&one.id) {
            Some(node) => NodeStanding { stage, ..standing(observed, node, spec, None, None) },
            None => NodeStanding { stage, ..bare(one) },
        })
    });
    let names = names(observed, &participants);
    let called = |node: NodeStanding| NodeStanding {
        shown: names.shown(&node.node),
        typed: names.typed(&node.node),
        ..node
    };
    let standing = Standing {
        rollout: spec.id.clone(),
        control: observed.rollout.as_ref().map(|rollout| rollout.control.clone()),
        controller: holder(observed, spec),
        lock: LockOf::of(observed, spec),
        task: None,
        nodes: in_turn.chain(left_out).map(called).collect(),
        not_taken_in: participants::latecomers(observed, spec)?,
        versions: spec.moves.clone().map(|moves| {
            let versions = moves::by_node(&moves, &spec.id, &observed.nodes);
            (moves, versions)
        }),
        estimate: None,
        names: names.clone(),
    };
    Ok((standing, view.watch))
}

fn names(observed: &Observed, participants: &[Participant]) -> Names {
    let in_swarm = observed.nodes.iter().map(|node| (node.id.clone(), node.hostname.clone()));
    let known = participants.iter().map(|one| (one.id.clone(), one.hostname.clone()));
    // What a node is called now comes last, and counts.
    Names::new(known.chain(in_swarm))
}

fn holder(observed: &Observed, spec: &Spec) -> Option<ControllerId> {
    let lock = observed.lock.as_ref()?;
    lock.holder.clone().filter(|_| lock.rollout.as_ref() == Some(&spec.id))
}

fn standing(
    observed: &Indexed<'_>,
    node: &Node,
    spec: &Spec,
    wave: Option<usize>,
    hold: Option<&Hold>,
) -> NodeStanding {
    let record = NodeRecord::of(node).ok().flatten().filter(|record| record.rollout == spec.id);
    let tried = match &record {
        Some(record) => Some((record.generation, record.agent)),
        None => participants::trace(observed, &spec.id, &node.id),
    };
    let stage = record.as_ref().map_or(NodeState::Pending, |record| record.state.clone());
    let hold = hold.filter(|_| !stage.is_terminal()).cloned();
    NodeStanding {
        node: node.id.clone(),
        hostname: node.hostname.clone(),
        shown: node.hostname.clone(),
        typed: node.id.to_string(),
        role: node.role,
        wave,
        generation: tried.map_or(1, |(generation, _)| generation),
        cancelled: record.as_ref().map_or(0, |record| record.cancelled),
        agent: tried.and_then(|tried| agent(spec, &node.id, tried)),
        availability: Some(node.availability),
        down: node.status == NodeStatus::Down,
        taken: record.is_some_and(|record| record.taken.is_some()),
        stage,
        hold,
        held: None,
        begun: false,
        outcome: None,
        record: None,
        printed: None,
        asked: Ask::of(node, &spec.id),
        age: None,
        same_name: None,
    }
}

/// The agent of one try; none when it never had one.
fn agent(spec: &Spec, node: &NodeId, (generation, agent): (u32, u32)) -> Option<JobKey> {
    let (rollout, node) = (spec.id.clone(), node.clone());
    (agent > 0).then_some(JobKey { rollout, node, generation, agent, role: JobRole::Agent })
}

/// A participant that left the swarm.
fn gone(observed: &Indexed<'_>, one: &Participant, spec: &Spec, wave: usize, seen: &View) -> NodeStanding {
    let left = participants::left(observed, &spec.id, &one.id);
    let tried = participants::last_try(observed, &spec.id, &one.id);
    let same_name = observed.nodes.iter().find(|node| node.hostname == one.hostname);
    NodeStanding {
        wave: Some(wave),
        generation: tried.map_or(1, |(generation, _)| generation),
        agent: tried.and_then(|tried| agent(spec, &one.id, tried)),
        stage: NodeState::Gone { left },
        hold: seen.holds.get(&one.id).filter(|_| left == Left::AtWork).cloned(),
        same_name: same_name.map(|node| node.id.clone()),
        ..bare(one)
    }
}

/// What is known of a participant without its node.
fn bare(one: &Participant) -> NodeStanding {
    NodeStanding {
        node: one.id.clone(),
        hostname: one.hostname.clone(),
        shown: one.hostname.clone(),
        typed: one.id.to_string(),
        role: one.role,
        wave: None,
        generation: 1,
        cancelled: 0,
        agent: None,
        availability: None,
        down: false,
        taken: false,
        stage: NodeState::Skipped { why: one.skip.unwrap_or(Skip::Asked) },
        hold: None,
        held: None,
        begun: false,
        outcome: None,
        record: None,
        printed: None,
        asked: None,
        age: None,
        same_name: None,
    }
}

impl Standing {
    /// How many nodes are where.
    pub fn totals(&self) -> Totals {
        let in_sync = self.nodes.iter().filter(|node| node.is_in_sync()).count();
        Totals { in_sync, ..Totals::of(self.nodes.iter().map(|node| &node.stage)) }
    }

    /// The nodes that failed, or are about to be called so.
    pub fn failed(&self) -> impl Iterator<Item = &NodeStanding> {
        self.nodes.iter().filter(|node| node.has_failed())
    }

    /// Whether nothing moves any more until an operator says how to go on.
    pub fn stands_paused(&self) -> bool {
        let paused = matches!(self.control, Some(Control::Paused { .. }));
        paused && self.nodes.iter().all(|node| node.is_still() && node.asked.is_none())
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.control, None | Some(Control::Finished { .. }))
    }

    /// Puts host names in the place of ids: people know nodes by these.
    pub fn with_names(&self, text: &str) -> String {
        self.names.in_text(text)
    }

    /// What is known of its controller; `None` when nobody answered.
    pub fn with_task(self, task: Option<ControllerTask>) -> Self {
        Self { task, ..self }
    }

    /// How long it takes still.
    pub fn with_estimate(self, estimate: Option<Estimate>) -> Self {
        Self { estimate, ..self }
    }

    /// What is known of how long nodes have been where they are.
    pub fn with_ages(mut self, ages: &BTreeMap<NodeId, Duration>) -> Self {
        for node in &mut self.nodes {
            node.age = ages.get(&node.node).copied().filter(|_| !node.is_waiting());
        }
        self
    }
}

impl NodeStanding {
    /// Whether careen drained it and is through with it: it stays so until it is tried again or given back.
    pub fn stays_drained(&self) -> bool {
        self.taken && self.stage.is_terminal() && self.availability == Some(Availability::Drain)
    }

    /// Whether nothing was begun on it, and it is known why.
    pub fn is_held(&self) -> bool {
        self.is_waiting() && self.hold.is_some()
    }

    /// Whether its host was in sync, so that nothing was run there.
    pub fn is_in_sync(&self) -> bool {
        let done = matches!(self.stage, NodeState::Done | NodeState::Gone { left: Left::Done });
        done && self.outcome == Some(NodeOutcome::InSync)
    }

    /// The name of where it stands: its stage, `held`, or `in-sync`.
    pub fn state(&self) -> &'static str {
        match (self.is_held(), self.is_in_sync()) {
            (true, _) => "held",
            (false, true) => IN_SYNC,
            (false, false) => self.stage.name(),
        }
    }

    /// Whether nothing was begun on it.
    pub fn is_waiting(&self) -> bool {
        self.stage == NodeState::Pending
    }

    /// Whether it was begun and is not through.
    pub fn works(&self) -> bool {
        !self.is_waiting() && !self.stage.is_terminal() && !self.is_gone()
    }

    /// Whether it failed, or is about to be called so.
    pub fn has_failed(&self) -> bool {
        matches!(
            self.stage,
            NodeState::Failed { .. } | NodeState::Restoring { then: AfterRestoring::Fail { .. } }
        )
    }

    /// Whether it can be left out: where nobody knows whether the command has begun, its host is asked first. One that left
    /// is given up.
    pub fn may_be_skipped(&self) -> bool {
        let in_doubt = matches!(self.stage, NodeState::Running { .. } | NodeState::Verifying) && !self.begun;
        let missing = matches!(self.stage, NodeState::Gone { left } if left != Left::Done);
        missing || self.is_waiting() || self.stage.is_before_the_go() || in_doubt || self.has_failed()
    }

    /// Whether it is down and nothing of this rollout was begun there: it waits for its turn, or that has passed without it.
    pub fn is_down_and_untouched(&self) -> bool {
        let passed = match &self.stage {
            NodeState::Failed { during, reason } => {
                (*during, *reason) == (StateName::Pending, Reason::NodeDown)
            }
            NodeState::Skipped { why } => *why == Skip::Held,
            NodeState::Pending => true,
            NodeState::Entering
            | NodeState::Preparing
            | NodeState::Draining { .. }
            | NodeState::Running { .. }
            | NodeState::RestartingEngine
            | NodeState::Rebooting
            | NodeState::Verifying
            | NodeState::Restoring { .. }
            | NodeState::Settling
            | NodeState::Done
            | NodeState::Gone { .. } => false,
        };
        self.down && passed
    }

    /// Whether it left the swarm.
    pub fn is_gone(&self) -> bool {
        matches!(self.stage, NodeState::Gone { .. })
    }

    fn is_still(&self) -> bool {
        // One that left moves no more, whatever becomes of its host.
        if self.is_gone() {
            return true;
        }
        match &self.hold {
            Some(hold) => {
                // What keeps it waiting before its go does not move by itself, and nobody counts any more.
                let early = matches!(self.stage, NodeState::Entering | NodeState::Preparing);
                matches!(hold, Hold::Paused { .. })
                    || self.is_waiting() && *hold != Hold::Recording
                    || early && HoldClock::of(hold) == HoldClock::Runs
            }
            None => self.stage.is_terminal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, cluster, failed_and_paused, spec};
    use careen_planner::observed::{AgentReport, Draw, Expectation, Said};

    #[test]
    fn a_paused_rollout_stands_and_says_where() {
        let (observed, spec) = failed_and_paused();
        let (standing, _) = look(&observed, &spec, &Watch::default(), Duration::ZERO).unwrap();
        assert!(standing.stands_paused());
        let totals = Totals { nodes: 4, done: 1, failed: 1, waiting: 2, ..Totals::default() };
        assert_eq!(standing.totals(), totals);
        assert!(standing.nodes[2].hold.as_ref().is_some_and(|hold| hold.name() == "paused"));
    }

    #[test]
    fn a_node_is_left_out_while_its_host_has_not_said_that_the_command_began() {
        let draw = Draw { number: 0, gates: [1, 2] };
        let prepared = Said::Prepared { restart: Expectation::No, draw };
        let running = NodeState::Running { drained: false };
        for (stage, said, may) in [
            (running.clone(), Some(prepared), true),
            (running.clone(), None, true),
            (running, Some(Said::Running { attempt: 1 }), false),
            (NodeState::Verifying, None, true),
            (NodeState::Verifying, Some(Said::Verifying), false),
            (NodeState::Rebooting, None, false),
            (NodeState::Preparing, None, true),
            (NodeState::Done, None, false),
        ] {
            let mut observed = cluster();
            at(&mut observed.nodes[1], stage.clone(), None);
            let (node, transaction) = (observed.nodes[1].id.clone(), String::new());
            let report = |said| AgentReport {
                node,
                transaction,
                generation: 1,
                agent: 1,
                said,
                waits: None,
                printed: None,
            };
            observed.reports.extend(said.map(report));
            let (standing, _) = look(&observed, &spec(), &Watch::default(), Duration::ZERO).unwrap();
            let w1 = standing.nodes.iter().find(|node| node.hostname == "w1").unwrap();
            assert_eq!(w1.may_be_skipped(), may, "{stage:?}");
        }
    }

    #[test]
    fn an_onlooker_sees_what_the_controller_would_decide_and_not_that_the_lock_is_held() {
        let observed = cluster();
        let (standing, _) = look(&observed, &spec(), &Watch::default(), Duration::ZERO).unwrap();
        let holds: Vec<&str> =
            standing.nodes.iter().map(|node| node.hold.as_ref().map_or("-", Hold::name)).collect();
        assert_eq!(holds, ["recording", "earlier-wave", "earlier-wave", "earlier-wave"]);
        assert_eq!(standing.controller, Some(ControllerId("c1".into())));
    }
}
