//! Services that are scaled up before a node is drained, and given back when everything runs elsewhere.
//!
//! The label that says so is written with the pause; then the services are scaled up; when they are healthy the node is drained,
//! and when the node is empty they are given back, before the go. Whatever else becomes of the node, they are given back first, by
//! whichever controller sees the label. What somebody else has scaled meanwhile is theirs.

use super::node::Here;
use super::{Move, Wanted, Work};
use crate::action::Action;
use crate::drain;
use crate::hold::Hold;
use crate::ids::{NodeId, ServiceId};
use crate::observed::{Availability, Node, Scale, Service};
use crate::rollout::Baseline;
use crate::state::{Goal, NodeEvent, NodeRecord, NodeState, Reason};
use crate::surge::{Phase, Scaling, Stand, Surge};
use crate::watch::Key;
use careen_contract::label;
use std::collections::BTreeMap;

/// What of nodes' labels changes in this pass.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Written with the node's record.
    labels: BTreeMap<NodeId, Option<Surge>>,
    /// The services that nodes looked at before have scaled up from now on.
    taken: BTreeMap<ServiceId, NodeId>,
    waited_for: bool,
}

impl Changes {
    /// The label of a node that is written now.
    pub(super) fn of(&mut self, node: &NodeId) -> Option<(String, Option<String>)> {
        let change = self.labels.remove(node)?;
        Some((label::SURGE.to_owned(), change.map(|surge| surge.to_string())))
    }

    /// Whether something is to be given back yet.
    pub(super) fn are_waited_for(&self) -> bool {
        self.waited_for
    }
}

/// What is next on the way back.
enum Back {
    Act(Vec<Action>),
    Wait(Hold),
    Done,
}

impl Work<'_> {
    /// A node that leaves takes its label along.
    pub(super) fn remember_surges(&mut self) {
        let here = |node: &Node| Some((node.id.clone(), Surge::of(node).ok()??));
        let seen: BTreeMap<NodeId, Surge> = self.observed.nodes.iter().filter_map(here).collect();
        let left = std::mem::take(&mut self.watching.after.surges);
        let left: Vec<_> = left.into_iter().filter(|(node, _)| self.observed.node(node).is_none()).collect();
        self.watching.after.surges = seen;
        for (node, surge) in left {
            match self.way_back(&node, &surge) {
                Back::Done => continue,
                Back::Act(actions) => self.actions.extend(actions),
                Back::Wait(hold) => {
                    self.holds.insert(node.clone(), hold);
                }
            }
            self.surges.waited_for = true;
            self.watching.after.surges.insert(node, surge);
        }
    }

    /// Takes a node's tasks away: at once, or when as many run elsewhere.
    pub(super) fn drain(&mut self, node: &Node, goal: Goal) -> Move {
        let others = self.others_away(node);
        if let Some(hold) = drain::hold(self.observed, self.spec, &others, node) {
            return Move::Wait(hold);
        }
        match self.scales_up(node, &BTreeMap::new()) {
            Err(hold) => Move::Wait(hold),
            Ok(services) if services.is_empty() => {
                Move::Step(NodeEvent::Drain(goal), Wanted::Be(Availability::Drain))
            }
            Ok(services) => {
                self.note_surge(node, Phase::Up, services);
                Move::Step(NodeEvent::Drain(goal), Wanted::Be(Availability::Pause))
            }
        }
    }

    fn note_surge(&mut self, node: &Node, phase: Phase, services: BTreeMap<ServiceId, Scaling>) {
        self.surges.taken.extend(services.keys().map(|id| (id.clone(), node.id.clone())));
        let surge = Surge { rollout: self.spec.id.clone(), phase, services };
        let surge = (!surge.services.is_empty()).then_some(surge);
        self.surges.labels.insert(node.id.clone(), surge);
    }

    /// What is to be scaled up for a node beside what is so already.
    fn scales_up(
        &self,
        node: &Node,
        already: &BTreeMap<ServiceId, Scaling>,
    ) -> Result<BTreeMap<ServiceId, Scaling>, Hold> {
        let others = self.others_away(node);
        let wanted =
            drain::surge_of(self.observed, self.spec, &others, node, |id| !already.contains_key(id))?;
        let scaling = |(id, more): (ServiceId, u64)| {
            let Scale { version: at, replicas: from, .. } = self.observed.service(&id)?.scale?;
            Some((id, Scaling { at, from, to: from.saturating_add(more) }))
        };
        let taken = wanted.keys().find_map(|id| Some((id, self.surges.taken.get(id)?)));
        if let Some((service, node)) = taken {
            return Err(Hold::SurgeElsewhere { service: self.name(service), node: node.clone() });
        }
        Ok(wanted.into_iter().filter_map(scaling).collect())
    }

    /// Scales services up as the label says it, waits for them, and drains the node then; `None` when that is behind it, or there
    /// is nothing of that kind.
    pub(super) fn surges(&mut self, here: &Here<'_>) -> Option<Move> {
        let surge = Surge::of(here.node).ok().flatten()?;
        if surge.phase == Phase::Down {
            return None;
        }
        match here.node.availability {
            Availability::Active => return Some(self.taken_away(here, Availability::Pause)),
            // Its operator has drained it meanwhile.
            Availability::Drain => return Some(self.drained(here, surge.services)),
            Availability::Pause => {}
        }
        let hold = match self.goes_up(here.node, &surge) {
            Ok(decided) => return Some(decided),
            Err(hold) => hold,
        };
        let late = here.age >= self.spec.limits.draining;
        Some(if late { Move::Fail(Reason::TimeLimit) } else { Move::Wait(hold) })
    }

    fn goes_up(&mut self, node: &Node, surge: &Surge) -> Result<Move, Hold> {
        let (mut actions, mut kept, mut weak) = (Vec::new(), surge.services.clone(), Vec::new());
        let baseline = self.baseline();
        for (id, scaling) in &surge.services {
            let service = self.observed.service(id);
            match scaling.stand(service) {
                Stand::Intended => actions.push(scale(id, scaling.at, scaling.from, scaling.to)),
                Stand::Made(_) if scaling.is_healthy(self.observed, id, &baseline, node) => {}
                Stand::Made(_) => weak.push(self.name(id)),
                Stand::Theirs => {
                    kept.remove(id);
                }
            }
        }
        if !actions.is_empty() {
            return Ok(Move::Act(
                actions,
                self.surging(surge.services.keys().map(|id| self.name(id)).collect()),
            ));
        }
        if !weak.is_empty() {
            return Err(self.surging(weak));
        }
        // What somebody else has changed meanwhile is asked for anew.
        let more = self.scales_up(node, &kept)?;
        if !more.is_empty() || kept.len() < surge.services.len() {
            kept.extend(more);
            if !kept.is_empty() {
                self.note_surge(node, Phase::Up, kept);
                return Ok(Move::Set(Wanted::Keep));
            }
        }
        if let Err(hold) = self.may_go_on() {
            return Ok(Move::Wait(hold));
        }
        self.note_surge(node, Phase::Down, kept);
        Ok(Move::Set(Wanted::Be(Availability::Drain)))
    }

    fn drained(&mut self, here: &Here<'_>, services: BTreeMap<ServiceId, Scaling>) -> Move {
        self.note_surge(here.node, Phase::Down, services);
        Move::Set(Wanted::Keep)
    }

    fn surging(&self, services: Vec<String>) -> Hold {
        let why = self.observed.troubles_of(&services);
        Hold::Surging { services, why }
    }

    /// The node is empty: what was scaled up for it is given back before anything else.
    pub(super) fn gives_the_surge_back(&mut self, here: &Here<'_>) -> Result<(), Move> {
        let Some(surge) = Surge::of(here.node).ok().flatten() else { return Ok(()) };
        let baseline = self.baseline();
        match self.back(&surge, |scaling, service| scaling.is_replaced(service, &baseline)) {
            Back::Act(actions) => {
                let hold = self.giving_back(surge.services.keys().map(|id| self.name(id)).collect());
                Err(Move::Act(actions, hold))
            }
            Back::Wait(hold) if here.age < self.spec.limits.draining => Err(Move::Wait(hold)),
            Back::Wait(_) => Err(Move::Fail(Reason::TimeLimit)),
            Back::Done => {
                self.surges.labels.insert(here.node.id.clone(), None);
                Err(Move::Set(Wanted::Keep))
            }
        }
    }

    /// Whether something is given back first that was scaled up for a node which is no longer being drained: it failed, it is taken
    /// back, its agent is lost, another rollout left it so.
    pub(super) fn gives_back(&mut self, node: &Node, record: Option<&NodeRecord>) -> bool {
        let surge = match Surge::of(node) {
            Ok(Some(surge)) => surge,
            Ok(None) => return false,
            Err(corrupt) => {
                self.holds.insert(node.id.clone(), Hold::CorruptSurge { text: corrupt.text });
                return true;
            }
        };
        let draining = record.is_some_and(|record| matches!(record.state, NodeState::Draining { .. }));
        if draining && surge.rollout == self.spec.id {
            return false;
        }
        self.surges.waited_for = true;
        match self.way_back(&node.id, &surge) {
            Back::Act(actions) => {
                self.actions.extend(actions);
                let hold = self.giving_back(surge.services.keys().map(|id| self.name(id)).collect());
                self.holds.insert(node.id.clone(), hold);
            }
            Back::Wait(hold) => {
                self.holds.insert(node.id.clone(), hold);
            }
            Back::Done => {
                let labels = BTreeMap::from([(label::SURGE.to_owned(), None)]);
                let (id, version) = (node.id.clone(), node.version);
                self.actions.push(Action::UpdateNode { node: id, version, labels, availability: None });
                self.holds.insert(node.id.clone(), Hold::Recording);
            }
        }
        true
    }

    /// Of a node that is no longer being drained: what has not become healthy in time is given back as it is.
    fn way_back(&mut self, node: &NodeId, surge: &Surge) -> Back {
        let late = self.watching.age(Key::SurgeBack(node.clone())) >= self.spec.limits.restoring;
        let baseline = self.baseline();
        self.back(surge, |scaling, service| late || scaling.is_replaced(service, &baseline))
    }

    fn back(&self, surge: &Surge, may: impl Fn(&Scaling, &Service) -> bool) -> Back {
        let (mut actions, mut weak) = (Vec::new(), Vec::new());
        for (id, scaling) in &surge.services {
            let Some(service) = self.observed.service(id) else { continue };
            match scaling.stand(Some(service)) {
                // Nobody scales it up at that version any more, and no other was meant.
                Stand::Intended => actions.push(scale(id, scaling.at, scaling.from, scaling.from)),
                Stand::Made(Scale { update: Some(update), .. }) => {
                    return Back::Wait(Hold::ServiceUpdating { service: service.name.clone(), update });
                }
                Stand::Made(Scale { version, .. }) if may(scaling, service) => {
                    actions.push(scale(id, version, scaling.to, scaling.from));
                }
                Stand::Made(_) => weak.push(service.name.clone()),
                Stand::Theirs => {}
            }
        }
        match (actions.is_empty(), weak.is_empty()) {
            (false, _) => Back::Act(actions),
            (true, false) => Back::Wait(self.giving_back(weak)),
            (true, true) => Back::Done,
        }
    }

    fn giving_back(&self, services: Vec<String>) -> Hold {
        let why = self.observed.troubles_of(&services);
        Hold::SurgeBack { services, why }
    }

    fn baseline(&self) -> Baseline {
        self.observed.baseline.clone().unwrap_or_default()
    }

    fn name(&self, id: &ServiceId) -> String {
        self.observed.service(id).map_or_else(|| id.0.clone(), |service| service.name.clone())
    }
}

fn scale(service: &ServiceId, version: crate::ids::Version, from: u64, to: u64) -> Action {
    Action::ScaleService { service: service.clone(), version, from, to }
}
