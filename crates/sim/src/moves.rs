//! An enforcement of which the rollout brings a new version: what lies in the swarm for it, and what must never be.

use crate::world::{SimNode, World};
use careen_planner::cluster::ActError;
use careen_planner::constraint::Constraint;
use careen_planner::moves::{
    EnforcerSeen, MoveStep, Moves, Moving, StateSeen, VersionSeen, promote, retract,
};
use careen_planner::rollout::RolloutOutcome;
use careen_planner::{EnforcementState, NodeId, NodeState, Version};
use std::collections::BTreeMap;

/// What rollouts move, where nobody says otherwise.
fn usual() -> Moves {
    Moves { enforcement: "sysctl".into(), from: "aaaaaaaa".into(), to: "bbbbbbbb".into() }
}

/// Which version's service is for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Stable,
    New,
    Neither,
    Both,
}

impl World {
    /// The rollout brings a new version of an enforcement: the stable one is enforced, and of the new one there is a config.
    pub fn moves_an_enforcement(&mut self) {
        self.moves_this(usual());
    }

    /// The same with this one.
    pub fn moves_this(&mut self, moves: Moves) {
        let config = |state| Some(StateSeen { at: Version(1), state });
        let coming = EnforcementState::Coming { from: moves.from.clone(), rollout: self.spec.id.clone() };
        let service = Some(EnforcerSeen { at: Version(1), constraints: Vec::new() });
        let from = VersionSeen { config: config(EnforcementState::Running {}), service };
        self.moving = Some(Moving { from, to: VersionSeen { config: config(coming), service: None } });
        self.spec.moves = Some(moves);
    }

    /// What the rollout moves.
    fn moved(&self) -> Moves {
        self.spec.moves.clone().unwrap_or_else(usual)
    }

    /// A step of a controller's, or of an operator's command.
    pub(crate) fn move_step(&mut self, step: &MoveStep) -> Result<(), ActError> {
        let moves = self.moved();
        let promotes = |of: &String| *of == moves.to;
        if matches!(step, MoveStep::Say { of, state: EnforcementState::Running {}, .. } if promotes(of)) {
            self.check_promotion();
        }
        let next = self.next_version();
        let moving = self.moving.as_mut().ok_or(ActError::Gone)?;
        let (MoveStep::Say { of, .. }
        | MoveStep::Constrain { of, .. }
        | MoveStep::CreateService { of, .. }
        | MoveStep::RemoveService { of, .. }
        | MoveStep::RemoveConfig { of, .. }) = step
        else {
            return Err(ActError::Refused { why: "a node's label is written with the node".into() });
        };
        let seen = if *of == moves.from { &mut moving.from } else { &mut moving.to };
        let is = |found: Option<Version>, at: &Version| match found {
            None => Err(ActError::Gone),
            Some(found) if found != *at => Err(ActError::Conflict),
            Some(_) => Ok(()),
        };
        let config = seen.config.as_ref().map(|config| config.at);
        let service = seen.service.as_ref().map(|service| service.at);
        match step {
            MoveStep::Say { at, state, .. } => {
                is(config, at)?;
                seen.config = Some(StateSeen { at: next, state: state.clone() });
            }
            MoveStep::Constrain { at, constraint, present, .. } => {
                is(service, at)?;
                if let Some(service) = &mut seen.service {
                    service.constraints.retain(|one| one != constraint);
                    service.constraints.extend(present.then(|| constraint.clone()));
                    service.at = next;
                }
            }
            MoveStep::CreateService { .. } if config.is_none() => return Err(ActError::Gone),
            MoveStep::CreateService { .. } if service.is_some() => return Err(ActError::Exists),
            MoveStep::CreateService { constraint, .. } => {
                seen.service = Some(EnforcerSeen { at: next, constraints: vec![constraint.clone()] });
            }
            MoveStep::RemoveService { at, .. } => {
                is(service, at)?;
                seen.service = None;
            }
            MoveStep::RemoveConfig { at, .. } => {
                is(config, at)?;
                seen.config = None;
            }
            MoveStep::Unlabel { .. } => {}
        }
        self.check_versions();
        Ok(())
    }

    fn on(&self, moving: &Moving, index: usize) -> On {
        let node = self.observe_node(index);
        let is_for = |version: &VersionSeen| {
            let fits = |text: &String| Constraint::parse(text).is_ok_and(|one| one.fits(&node));
            version.service.as_ref().is_some_and(|service| service.constraints.iter().all(fits))
        };
        match (is_for(&moving.from), is_for(&moving.to)) {
            (true, false) => On::Stable,
            (false, true) => On::New,
            (false, false) => On::Neither,
            (true, true) => On::Both,
        }
    }

    /// **Never are two versions on one host, and none is without one** while both services are there. **What is not promoted is only
    /// where it is labelled.**
    pub(crate) fn check_versions(&mut self) {
        let Some(moving) = self.moving.clone() else { return };
        let moves = self.moved();
        let both = moving.from.service.is_some() && moving.to.service.is_some();
        for index in 0..self.nodes.len() {
            let (on, node) = (self.on(&moving, index), &self.nodes[index]);
            let labelled = is_on(node, &moves);
            let wrong = match on {
                On::Both => true,
                On::Neither => both,
                On::New => !labelled && !moving.is_promoted(),
                On::Stable => false,
            };
            if wrong {
                let line = format!("{} has {on:?} of two versions (labelled: {labelled})", node.id);
                self.violation(line);
            }
        }
    }

    /// **A node gets the new version when its turn begins, and no other node does.**
    pub(crate) fn check_turn(
        &mut self,
        node: &NodeId,
        (from, to): (&str, &str),
        labels: &BTreeMap<String, Option<String>>,
    ) {
        if self.spec.moves.is_none() || self.moving.as_ref().is_some_and(Moving::is_promoted) {
            return;
        }
        let begins = from == "pending" && matches!(to, "entering" | "running");
        let gets = labels.get(&self.moved().label()).is_some_and(Option::is_some);
        if begins != gets {
            self.violation(format!("{node} goes from {from} to {to}, and gets the new version: {gets}"));
        }
    }

    /// **What failed anywhere does not become the stable version**, and what no host has taken does not either.
    fn check_promotion(&mut self) {
        let state = |node: &SimNode| self.state(node);
        let failed = self.nodes.iter().any(|node| matches!(state(node), Some(NodeState::Failed { .. })));
        let done =
            self.truth.done.iter().any(|(_, rollout)| *rollout == self.spec.id) || !self.results.is_empty();
        if failed || !done {
            self.violation("a version is promoted that is not a success");
        }
    }

    /// **One version is left, alone**, and no label; behind failures both are, as they were.
    pub(crate) fn check_move_end(&mut self, outcome: RolloutOutcome) {
        let (Some(moving), true) = (self.moving.clone(), self.spec.moves.is_some()) else { return };
        if outcome == RolloutOutcome::WithFailures && !moving.is_promoted() {
            if moving.from.service.is_none() || moving.from.config.is_none() {
                self.violation("the stable version is gone behind failures");
            }
            return;
        }
        let moves = self.moved();
        let (left, gone) = match moving.is_promoted() {
            true => (&moving.to, &moving.from),
            false => (&moving.from, &moving.to),
        };
        let runs = left.config.as_ref().is_some_and(|config| config.state == EnforcementState::Running {});
        let free = left.service.as_ref().is_some_and(|service| service.constraints.is_empty());
        let on = self.nodes.iter().filter(|node| is_on(node, &moves));
        let labelled: Vec<&NodeId> = on.map(|node| &node.id).collect();
        if !runs || !free || *gone != VersionSeen::default() || !labelled.is_empty() {
            let line = format!("the enforcement is left as {moving:?}, labels on {labelled:?}");
            self.violation(line);
        }
    }

    /// `careen enforce update --back`, when the rollout's config is gone.
    pub(crate) fn move_is_taken_back(&mut self) {
        for _ in 0..30 {
            let (Some(seen), Some(moves)) = (self.moving.clone(), self.spec.moves.clone()) else { return };
            let nodes: Vec<_> = (0..self.nodes.len()).map(|index| self.observe_node(index)).collect();
            let steps = match seen.is_promoted() {
                true => promote(&seen, &moves, &nodes),
                false => retract(&seen, &moves, &nodes),
            };
            for step in &steps {
                let version = self.next_version();
                match step {
                    MoveStep::Unlabel { node, .. } => {
                        self.nodes.iter_mut().filter(|one| one.id == *node).for_each(|node| {
                            node.labels.remove(&moves.label());
                            node.version = version;
                        });
                    }
                    step @ (MoveStep::Say { .. }
                    | MoveStep::Constrain { .. }
                    | MoveStep::CreateService { .. }
                    | MoveStep::RemoveService { .. }
                    | MoveStep::RemoveConfig { .. }) => {
                        let result = self.move_step(step);
                        self.say(format!("operator: {}: {result:?}", step.name()));
                    }
                }
            }
            if steps.is_empty() {
                return;
            }
        }
    }
}

fn is_on(node: &SimNode, moves: &Moves) -> bool {
    node.labels.get(&moves.label()).is_some_and(|version| *version == moves.to)
}
