//! One look at the swarm, and what follows from it.
//!
//! A pass is a pure function of what is seen. What it knows of the past stands in the swarm (labels, results, control
//! record), but for how long something has been so, which each controller watches on its own clock. So a controller
//! can be killed between any two actions and another one goes on.
//!
//! Journal before act: a label that says what is going to be done is written in one pass; the act follows in a later
//! pass that has *seen* the label, under a lock that is still its own. A frozen controller that wakes up can therefore
//! do nothing that its successor does not expect: its writes carry old versions, and its one act without way back (the
//! go) is announced by a label that the successor has seen. A successor that finds a go announced, and no word that the
//! host has begun, takes that agent away: whatever is still done with its gates leads nowhere.

mod after;
mod before;
mod enter;
mod finish;
mod go;
mod gone;
mod held;
mod jobs;
mod last_words;
mod lock;
mod moves;
mod node;
mod reap;
mod rejoined;
mod short;
mod surge;
mod through;
mod turns;

use crate::action::{Act, Action};
use crate::availability::{self, Change};
use crate::constraint::InvalidConstraint;
use crate::failure;
use crate::hold::{Hold, PauseReason};
use crate::ids::{ControllerId, NodeId, RolloutId};
use crate::indexed::Indexed;
use crate::observed::{Availability, Node, Observed};
use crate::on_hold::Held;
use crate::order::{self, Wave};
use crate::participants::{self, Participant};
use crate::rollout::{Control, RolloutRecord};
use crate::spec::Spec;
use crate::state::{
    AfterRestoring, CorruptRecord, IllegalStep, Left, NodeEvent, NodeRecord, NodeState, Reason,
};
use crate::watch::{Key, Watch, Watching};
use careen_contract::label;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use turns::Turns;

pub use last_words::of_try as last_words;
pub use node::has_begun;

/// What follows from one look.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// What is to be done. None depends on another one of the same pass.
    pub actions: Vec<Act>,
    /// Why nodes do not move now: one for each selected node that is not through.
    pub holds: BTreeMap<NodeId, Hold>,
    /// Where each selected node stands.
    pub states: BTreeMap<NodeId, NodeState>,
    /// Whether the controller goes on.
    pub end: PassEnd,
    /// What was watched; the next pass wants it back. It may be lost.
    pub watch: Watch,
}

/// Whether a controller goes on after a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassEnd {
    /// The controller makes another pass.
    GoOn,
    /// The rollout is over, and nothing is left to do.
    Finished,
    /// Another controller has taken the lock: this one stops at once.
    Superseded,
    /// Somebody removed the rollout's config although it was not over. Nothing is decided without it.
    Removed,
}

/// Why no pass can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// The spec cannot be understood.
    #[error("the rollout's spec is not understood")]
    Spec(#[from] InvalidConstraint),
    /// A defect of the planner.
    #[error("the planner decided what cannot follow")]
    Illegal(#[from] IllegalStep),
}

/// What the label of a participant says, or its absence.
#[derive(Debug, Clone)]
pub(crate) enum NodeLabel {
    /// Its record, and whether it is stored.
    Ours { record: NodeRecord, stored: bool },
    /// Another rollout is not through with it.
    Foreign(RolloutId),
    /// Its label cannot be read.
    Corrupt(CorruptRecord),
    /// Its label is not there, and what else the swarm remembers says that it had begun. The record as far as it is known.
    Removed { record: NodeRecord },
    /// It is no longer in the swarm.
    Gone { state: NodeState },
}

/// What a node's state wants.
#[derive(Debug, Clone)]
enum Move {
    /// The next state, with an availability in the same write.
    Step(NodeEvent, Wanted),
    /// Another availability in the same state.
    Set(Wanted),
    /// Something else, and what is waited for meanwhile.
    Act(Vec<Action>, Hold),
    Wait(Hold),
    Fail(Reason),
}

/// What a write makes of a node's availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Keep,
    Be(Availability),
    Restore,
}

/// A pass while it is made.
struct Work<'a> {
    observed: &'a Indexed<'a>,
    spec: &'a Spec,
    control: Control,
    epoch: u64,
    participants: Cow<'a, [Participant]>,
    waves: Vec<Wave>,
    /// How many nodes may be in maintenance together.
    places: usize,
    labels: BTreeMap<NodeId, NodeLabel>,
    turns: Turns,
    /// Asked for each node that waits, and the same for all.
    forgotten: OnceCell<bool>,
    watching: Watching<'a>,
    actions: Vec<Action>,
    holds: BTreeMap<NodeId, Hold>,
    /// How long nodes are held on which nothing was taken down.
    held: BTreeMap<NodeId, Held>,
    /// Nodes whose hold is over: the next write of them says so.
    unheld: BTreeSet<NodeId>,
    /// Whether a change of the control record is among the actions already.
    control_changed: bool,
    surges: surge::Changes,
}

/// Decides what a controller does now. `watch` is what its last pass gave back, `now` its own monotonic clock.
pub fn pass(
    observed: &Observed,
    spec: &Spec,
    me: &ControllerId,
    watch: &Watch,
    now: Duration,
) -> Result<Pass, PassError> {
    let observed = &Indexed::of(observed);
    let mut watching = Watching::new(watch, now);
    let participants = participants::participants(observed, spec)?;
    let waves = order::waves(spec, &participants);
    let Some(rollout) = &observed.rollout else {
        let end = if gone::was_removed(observed, spec) { PassEnd::Removed } else { PassEnd::Finished };
        return Ok(empty(watching.after, end));
    };
    let epoch = match lock::look(observed, spec, me, &mut watching) {
        lock::Look::Mine { epoch } => epoch,
        lock::Look::Superseded => return Ok(empty(watching.after, PassEnd::Superseded)),
        lock::Look::NotNeeded => return Ok(empty(watching.after, PassEnd::Finished)),
        lock::Look::Take { epoch, action } => {
            let mut pass = waiting(observed, spec, &waves, &Hold::TakingOver, watching.after);
            pass.actions.push(Act { epoch, action });
            return Ok(pass);
        }
        lock::Look::Wait(hold) => return Ok(waiting(observed, spec, &waves, &hold, watching.after)),
    };
    let mut work = Work::new(observed, spec, rollout, epoch, (participants, waves), watching);
    work.beat();
    let end = work.all()?;
    Ok(work.into_pass(end))
}

/// How a rollout stands, for whoever only looks: `careen status` and `careen why`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// Where each selected node stands.
    pub states: BTreeMap<NodeId, NodeState>,
    /// Why nodes do not move now. What is left of a time is not known to who has just begun to look: it is given in full.
    pub holds: BTreeMap<NodeId, Hold>,
    /// How long nodes are held on which nothing was taken down, and what follows.
    pub held: BTreeMap<NodeId, Held>,
    /// What was watched; the next look wants it back.
    pub watch: Watch,
}

/// What a controller would find now. Changes nothing, whoever has the lock, and whichever controller comes next: an onlooker
/// stays.
pub fn view(observed: &Observed, spec: &Spec, watch: &Watch, now: Duration) -> Result<View, PassError> {
    /// Older than every record's: nothing is taken over.
    const EPOCH: u64 = 0;
    let observed = &Indexed::of(observed);
    let watching = Watching::new(watch, now);
    let participants = participants::participants(observed, spec)?;
    let waves = order::waves(spec, &participants);
    let Some(rollout) = &observed.rollout else {
        return Ok(View { watch: watching.after, ..View::default() });
    };
    let mut work = Work::new(observed, spec, rollout, EPOCH, (participants, waves), watching);
    let end = work.all()?;
    let held = std::mem::take(&mut work.held);
    let Pass { states, holds, watch, .. } = work.into_pass(end);
    Ok(View { states, holds, held, watch })
}

fn empty(watch: Watch, end: PassEnd) -> Pass {
    Pass { actions: Vec::new(), holds: BTreeMap::new(), states: BTreeMap::new(), end, watch }
}

fn waiting(observed: &Indexed<'_>, spec: &Spec, waves: &[Wave], hold: &Hold, watch: Watch) -> Pass {
    let mut pass = empty(watch, PassEnd::GoOn);
    for (node, label) in labels(observed, spec, waves, 0) {
        if let Some(state) = label.state() {
            if !state.is_terminal() {
                pass.holds.insert(node.clone(), hold.clone());
            }
            pass.states.insert(node, state.clone());
        } else {
            pass.holds.insert(node, hold.clone());
        }
    }
    pass
}

/// How each participant stands, from its label; where that is not there, from what is left.
pub(crate) fn labels(
    observed: &Indexed<'_>,
    spec: &Spec,
    waves: &[Wave],
    epoch: u64,
) -> BTreeMap<NodeId, NodeLabel> {
    let label = |id: &NodeId| match observed.node(id) {
        Some(node) => label(observed, node, &spec.id, epoch),
        None => {
            NodeLabel::Gone { state: NodeState::Gone { left: participants::left(observed, &spec.id, id) } }
        }
    };
    waves.iter().flatten().map(|id| (id.clone(), label(id))).collect()
}

fn label(observed: &Indexed<'_>, node: &Node, rollout: &RolloutId, epoch: u64) -> NodeLabel {
    let new = || NodeRecord::new(rollout, epoch);
    match NodeRecord::of(node) {
        Err(corrupt) => NodeLabel::Corrupt(corrupt),
        Ok(None) => match participants::trace(observed, rollout, &node.id) {
            Some((generation, agent)) => {
                NodeLabel::Removed { record: NodeRecord { generation, agent, ..new() } }
            }
            None => NodeLabel::Ours { record: new(), stored: false },
        },
        Ok(Some(record)) if record.rollout == *rollout => NodeLabel::Ours { record, stored: true },
        Ok(Some(record)) if participants::is_over(observed, node, &record) => {
            let taken = availability::left_by_another(observed, node, rollout);
            NodeLabel::Ours { record: NodeRecord { taken, ..new() }, stored: false }
        }
        Ok(Some(record)) => NodeLabel::Foreign(record.rollout),
    }
}

impl NodeLabel {
    pub(crate) fn state(&self) -> Option<&NodeState> {
        match self {
            Self::Ours { record, .. } => Some(&record.state),
            Self::Gone { state } => Some(state),
            Self::Foreign(_) | Self::Corrupt(_) | Self::Removed { .. } => None,
        }
    }

    /// Whether it takes one of the places that `parallelism` gives. What cannot be read does.
    fn is_in_maintenance(&self) -> bool {
        self.state().is_none_or(NodeState::is_in_maintenance)
    }

    /// Whether it failed in its turn, as far as the failure policy goes.
    fn has_failed(&self) -> bool {
        matches!(
            self.state(),
            Some(
                NodeState::Failed { .. }
                    | NodeState::Restoring { then: AfterRestoring::Fail { .. } }
                    | NodeState::Gone { left: Left::AtWork | Left::GivenUp | Left::Failed }
            )
        )
    }

    /// Whether it left without being done.
    fn is_missing(&self) -> bool {
        matches!(self.state(), Some(NodeState::Gone { left }) if *left != Left::Done)
    }
}

impl<'a> Work<'a> {
    fn new(
        observed: &'a Indexed<'a>,
        spec: &'a Spec,
        rollout: &RolloutRecord,
        epoch: u64,
        (participants, waves): (Cow<'a, [Participant]>, Vec<Wave>),
        watching: Watching<'a>,
    ) -> Self {
        let labels = labels(observed, spec, &waves, epoch);
        Self {
            observed,
            spec,
            control: rollout.control.clone(),
            epoch,
            turns: Turns::of(&waves, &labels),
            forgotten: OnceCell::new(),
            labels,
            places: order::places(spec, &participants),
            participants,
            waves,
            watching,
            actions: Vec::new(),
            holds: BTreeMap::new(),
            held: BTreeMap::new(),
            unheld: BTreeSet::new(),
            control_changed: false,
            surges: surge::Changes::default(),
        }
    }
}

impl Work<'_> {
    fn all(&mut self) -> Result<PassEnd, PassError> {
        if matches!(self.control, Control::Finished { .. }) {
            self.reap();
            self.reap_tickets();
            return Ok(self.tidy());
        }
        self.record_baseline();
        self.lay_out();
        self.remember_surges();
        let ids: Vec<NodeId> = self.waves.iter().flatten().cloned().collect();
        for id in &ids {
            match self.observed.node(id) {
                Some(node) => self.one(node)?,
                None => self.absent(id),
            }
        }
        self.reap();
        self.reap_tickets();
        Ok(self.finish())
    }

    fn one(&mut self, node: &Node) -> Result<(), PassError> {
        let (record, stored) = match self.labels.get(&node.id) {
            Some(NodeLabel::Ours { record, stored }) => (record.clone(), *stored),
            Some(NodeLabel::Foreign(rollout)) => {
                let rollout = rollout.clone();
                self.holds.insert(node.id.clone(), Hold::OtherRollout { rollout });
                return Ok(());
            }
            Some(NodeLabel::Corrupt(corrupt)) => {
                let text = corrupt.text.clone();
                self.holds.insert(node.id.clone(), Hold::CorruptRecord { text });
                return Ok(());
            }
            Some(NodeLabel::Removed { record }) => {
                let record = record.clone();
                if self.gives_back(node, None) {
                    return Ok(());
                }
                return self.without_record(node, record);
            }
            Some(NodeLabel::Gone { .. }) | None => return Ok(()),
        };
        if stored && record.epoch < self.epoch && !record.state.is_terminal() {
            return self.take_over(node, record);
        }
        if self.gives_back(node, Some(&record)) {
            return Ok(());
        }
        if stored && record.taken.is_some_and(|taken| taken.set != node.availability) {
            // Somebody changed it: it is theirs from now on, also when they change it back.
            self.write(node, NodeRecord { taken: None, ..record }, None, Hold::Recording);
            return Ok(());
        }
        match self.decide(node, &record, stored) {
            Some(decided) => self.apply(node, record, decided),
            None => Ok(()),
        }
    }

    /// A new controller writes its epoch: the node's version moves, so nothing that the controller before decided on can be
    /// written any more. Its one act that no version of the node guards is the go: an agent that has not said that it
    /// began is replaced in the same write by one that asks the host.
    fn take_over(&mut self, node: &Node, record: NodeRecord) -> Result<(), PassError> {
        if let Some(decided) = self.takes_over_short(node, &record) {
            return self.apply(node, record, decided);
        }
        let announced = matches!(record.state, NodeState::Running { .. }) && !record.short;
        if !announced || has_begun(self.observed, &node.id, &record) {
            self.write(node, NodeRecord { epoch: self.epoch, ..record }, None, Hold::TakingOver);
            return Ok(());
        }
        if self.may_still_read(node, &record) {
            self.holds.insert(node.id.clone(), Hold::TakingOver);
            return Ok(());
        }
        let decided = node::replaced(&record, NodeEvent::AgentLost);
        self.apply(node, record, decided)
    }

    fn apply(&mut self, node: &Node, record: NodeRecord, decided: Move) -> Result<(), PassError> {
        match decided {
            Move::Wait(hold) => {
                self.note_cause(&node.id, record.generation, &hold);
                self.holds.insert(node.id.clone(), hold);
            }
            Move::Act(actions, hold) => {
                self.actions.extend(actions);
                self.holds.insert(node.id.clone(), hold);
            }
            Move::Set(wanted) => {
                let change = change(node, &record, wanted);
                self.write(node, NodeRecord { taken: change.taken, ..record }, change.to, Hold::Recording);
            }
            Move::Step(event, wanted) => self.step(node, record, &event, wanted)?,
            Move::Fail(reason) => self.fail(node, record, reason)?,
        }
        Ok(())
    }

    fn step(
        &mut self,
        node: &Node,
        record: NodeRecord,
        event: &NodeEvent,
        wanted: Wanted,
    ) -> Result<(), PassError> {
        let state = record.state.clone().step(event)?;
        if matches!(event, NodeEvent::Enter | NodeEvent::Start) {
            self.watching.begins(&node.id, record.generation);
        }
        let (agent, cancelled) = match event {
            NodeEvent::Enter
            | NodeEvent::Start
            | NodeEvent::Refused
            | NodeEvent::AgentLost
            | NodeEvent::NotBegun => (record.agent + 1, record.cancelled),
            NodeEvent::Cancelled => (record.agent + 1, record.cancelled + 1),
            NodeEvent::Retry => (0, 0),
            NodeEvent::Withdraw
            | NodeEvent::NeverPlaced
            | NodeEvent::Placed
            | NodeEvent::Drain(_)
            | NodeEvent::Go { .. }
            | NodeEvent::Restart(_)
            | NodeEvent::Ended
            | NodeEvent::Verified
            | NodeEvent::InSync
            | NodeEvent::Restored
            | NodeEvent::Settled
            | NodeEvent::Fail(_)
            | NodeEvent::Skip(_)
            | NodeEvent::Leave(_)
            | NodeEvent::GiveUp => (record.agent, record.cancelled),
        };
        let generation = record.generation + u32::from(*event == NodeEvent::Retry);
        let begun = *event != NodeEvent::Retry && (record.begun || state.tells_of_a_beginning());
        let change = change(node, &record, wanted);
        let short = *event == NodeEvent::Start || (record.short && agent == record.agent);
        let record = NodeRecord {
            short,
            generation,
            agent,
            cancelled,
            begun,
            epoch: self.epoch,
            state,
            taken: change.taken,
            ..record
        };
        if let Some(label) = self.labels.get_mut(&node.id) {
            // Nodes that are looked at later in this pass see it.
            let now = NodeLabel::Ours { record: record.clone(), stored: true };
            self.turns.change(&node.id, label, &now);
            *label = now;
        }
        self.write(node, record, change.to, Hold::Recording);
        Ok(())
    }

    /// The rollout pauses first, then the node is called failed: killed between the two, it is paused and nothing worse.
    fn fail(&mut self, node: &Node, record: NodeRecord, reason: Reason) -> Result<(), PassError> {
        let pauses = self.pauses_for(&node.id);
        if let (true, Some(during)) = (pauses, record.state.can_fail_in()) {
            let why = PauseReason::NodeFailed { node: node.id.clone(), during, why: reason };
            self.pause(why.clone());
            self.holds.insert(node.id.clone(), Hold::Paused { why });
            return Ok(());
        }
        // A node that its operator keeps drained goes back to that; what careen drained stays so.
        let wanted = match availability::operators(node, record.taken) {
            Availability::Active => Wanted::Keep,
            Availability::Pause | Availability::Drain => Wanted::Restore,
        };
        self.step(node, record, &NodeEvent::Fail(reason), wanted)
    }

    /// One write of the rollout's config in a pass: a second one would be refused.
    fn pause(&mut self, why: PauseReason) {
        let Some(rollout) = self.observed.rollout.as_ref().filter(|_| !self.control_changed) else { return };
        let control = Control::Paused { why };
        self.actions.push(Action::SetControl { control: control.clone(), version: rollout.version });
        self.control_changed = true;
        // Nodes that are looked at later in this pass see it.
        self.control = control;
    }

    /// Whether the failure policy pauses the rollout when this node fails, too.
    fn pauses_for(&self, node: &NodeId) -> bool {
        let others = self.turns.failed().filter(|id| *id != node);
        self.control == Control::Running
            && failure::pauses(&self.spec.policy, others.count(), self.labels.len())
    }

    /// The one way in which a node is written: label and availability at once.
    fn write(&mut self, node: &Node, record: NodeRecord, availability: Option<Availability>, hold: Hold) {
        let mut labels = BTreeMap::from([(label::NODE.to_owned(), Some(record.encode()))]);
        if node.labels.contains_key(label::ASK) && self.answers(node, &record) {
            labels.insert(label::ASK.to_owned(), None);
        }
        if let Some(words) = self.last_words(node, &record) {
            labels.insert(label::LAST_WORDS.to_owned(), words);
        }
        let unheld = self.unheld.contains(&node.id) || !held::nothing_was_taken_down(&record);
        if unheld && node.labels.contains_key(label::HELD) {
            labels.insert(label::HELD.to_owned(), None);
        }
        labels.extend(self.surges.of(&node.id));
        labels.extend(self.version_label(node, &record));
        if !record.state.is_terminal() {
            self.holds.insert(node.id.clone(), hold);
        }
        let (node, version) = (node.id.clone(), node.version);
        self.actions.push(Action::UpdateNode { node, version, labels, availability });
    }

    /// Whether somebody removed what says who takes part.
    fn is_forgotten(&self) -> bool {
        *self.forgotten.get_or_init(|| participants::is_forgotten(self.observed, &self.spec.id))
    }

    fn beat(&mut self) {
        if let Some(lock) = &self.observed.lock {
            let age = self.watching.age(Key::Lock(lock.version));
            if age >= self.spec.limits.heartbeat {
                self.actions.push(Action::Beat { version: lock.version });
            }
        }
    }

    fn into_pass(self, end: PassEnd) -> Pass {
        let states =
            self.labels.iter().filter_map(|(node, label)| Some((node.clone(), label.state()?.clone())));
        let states = states.collect();
        let act = |action| Act { epoch: self.epoch, action };
        let mut watch = self.watching.after;
        watch.epoch = Some(self.epoch);
        Pass { actions: self.actions.into_iter().map(act).collect(), holds: self.holds, states, end, watch }
    }
}

fn change(node: &Node, record: &NodeRecord, wanted: Wanted) -> Change {
    match wanted {
        Wanted::Keep => Change { to: None, taken: record.taken },
        Wanted::Be(availability) => availability::make(node, record.taken, availability),
        Wanted::Restore => availability::restore(node, record.taken),
    }
}

#[cfg(test)]
mod tests;
