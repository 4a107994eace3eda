//! A history: the world goes on second by second, controllers look and act, faults and operators interfere.

use crate::cluster::View;
use crate::faults::{Faults, Sweep};
use crate::world::{Hazard, Power, World};
use careen_controller::{Controller, ControllerError, Turn};
use careen_planner::observed::{Availability, Role};
use careen_planner::remains::Next;
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_planner::{ControllerId, Hold, NodeId, Observed, Pass, PassEnd, Spec};
use std::collections::BTreeMap;

/// So long a controller does not look when nothing rings: a third of what it may be in a large swarm, as limits are a third or less
/// here. What rings, late, for nothing or not at all, is any time before.
const LONGEST_PAUSE: u64 = 5;

/// In these seconds a controller that acts gets far: it looks again at once behind each act.
const AT_ONCE_EVERY: u64 = 4;
const STEPS_AT_ONCE: u64 = 12;

/// A controller in the world.
struct Sitting {
    controller: Controller,
    place: NodeId,
    turn: Option<Turn>,
    frozen_until: u64,
    looked_at: u64,
    /// It looks again at this time; earlier when it has acted.
    next_look: u64,
    acted: usize,
}

/// A history in the making.
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Run {
    pub world: World,
    pub faults: Faults,
    /// The controller dies right after the action with this number, counted from 0.
    pub crash_at: Option<usize>,
    /// Each controller dies after so many actions.
    pub lives_for: Option<usize>,
    /// Controllers do so many things in each second, and look again in the next one; one that is moved leaves in good order, and is
    /// not placed where it was. Otherwise all that is at random.
    pub pace: Option<usize>,
    /// What tests make of the spec that controllers follow; the invariants go by the world's own.
    pub disobey: fn(&mut Spec),
    /// What tests make of what controllers see.
    pub distort: fn(&mut Observed, &ControllerId),
    /// What tests make of a pass.
    pub mutate: fn(&mut Pass, &World),
    /// How many actions there were.
    pub actions: usize,
    sitting: Vec<Sitting>,
    started: usize,
    /// Where a controller ran that was to be placed elsewhere.
    moved_from: Option<NodeId>,
    next_start: u64,
    pub(crate) last: Option<Pass>,
    pub(crate) answer_at: Option<u64>,
    held_since: BTreeMap<NodeId, (&'static str, u64)>,
    pub(crate) at_risk_since: BTreeMap<NodeId, u64>,
    over: bool,
    began: u64,
    pub(crate) sweeps: Vec<Sweep>,
}

/// How a history ended.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Ending {
    pub outcome: RolloutOutcome,
    /// After how many seconds.
    pub seconds: u64,
    /// How many actions there were.
    pub actions: usize,
    /// How many controllers were started.
    pub controllers: usize,
    /// The world as it is then.
    pub world: World,
}

/// What a history did wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    /// A line for each thing that must not be.
    pub what: Vec<String>,
    /// How it came to that.
    pub history: Vec<String>,
}

/// So many lines of a history's end are shown.
const SHOWN: usize = 120;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let before = self.history.len().saturating_sub(SHOWN);
        if before > 0 {
            writeln!(f, "({before} lines before)")?;
        }
        for line in self.history.iter().skip(before) {
            writeln!(f, "{line}")?;
        }
        write!(f, "{}", self.what.join("\n"))
    }
}

/// After so many seconds a rollout must be over.
const TOO_LONG: u64 = 20_000;

/// So long the world goes on after the end, so that who was frozen wakes up.
const AFTERWARDS: u64 = 400;

impl Run {
    /// A history without faults.
    pub fn new(world: World) -> Self {
        Self {
            began: world.now,
            world,
            faults: Faults::default(),
            crash_at: None,
            lives_for: None,
            pace: None,
            disobey: |_| {},
            distort: |_, _| {},
            mutate: |_, _| {},
            actions: 0,
            sitting: Vec::new(),
            started: 0,
            moved_from: None,
            next_start: 0,
            last: None,
            answer_at: None,
            held_since: BTreeMap::new(),
            at_risk_since: BTreeMap::new(),
            over: false,
            sweeps: Vec::new(),
        }
    }

    /// The same with faults.
    pub fn with(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// To the end, or to the first violation.
    pub fn to_the_end(mut self) -> Result<Ending, Failure> {
        while !self.over {
            self.second();
            if !self.world.violations.is_empty() {
                return Err(self.failure());
            }
            if self.world.now > self.began + TOO_LONG {
                let holds = self.last.as_ref().map(|pass| format!("{:?}", pass.holds));
                self.world.violation(format!("no end in sight: {}", holds.unwrap_or_default()));
            }
        }
        let seconds = self.world.now;
        for _ in 0..AFTERWARDS {
            self.second();
        }
        self.world.check_end();
        if !self.world.violations.is_empty() {
            return Err(self.failure());
        }
        let Control::Finished { outcome } = self.world.rollout.control else {
            self.world.violation("the controller ended before its rollout");
            return Err(self.failure());
        };
        let (actions, controllers) = (self.actions, self.started);
        Ok(Ending { outcome, seconds, actions, controllers, world: self.world })
    }

    fn failure(self) -> Failure {
        Failure { what: self.world.violations, history: self.world.history }
    }

    /// One second of it.
    pub fn second(&mut self) {
        self.world.hazard = match self.world.now < self.faults.until {
            true => self.faults.hazard(),
            false => Hazard::default(),
        };
        self.world.tick();
        self.world.check();
        if self.world.now < self.faults.until {
            self.fault();
        }
        self.sweep_on();
        self.somebody_helps();
        if self.world.removed {
            self.give_everything_back();
        } else if !self.over {
            self.operator_answers();
            self.start_controllers();
        }
        self.remove_dead_controllers();
        let mut index = 0;
        while index < self.sitting.len() {
            let steps = match self.pace {
                Some(pace) => pace as u64,
                None if self.world.now.is_multiple_of(AT_ONCE_EVERY) => STEPS_AT_ONCE,
                None => self.world.rng.between(0, 3),
            };
            let alive = (0..steps).all(|_| self.controller_steps(index));
            if alive {
                index += 1;
            } else {
                self.sitting.remove(index);
            }
        }
    }

    /// The rollout's config is gone: its controllers stop, and an operator gives back what is left, also what a controller that was
    /// frozen meanwhile still does when it wakes up. It counts as aborted.
    fn give_everything_back(&mut self) {
        let now = self.world.now;
        let awake = self.sitting.iter().any(|one| now >= one.frozen_until);
        if awake || !self.world.has_quorum() {
            return;
        }
        let is_given_back = matches!(self.world.give_everything_back(), Next::Done(_));
        if is_given_back {
            self.world.move_is_taken_back();
        }
        if is_given_back && !self.over {
            self.world.say("the rollout is given back");
            self.world.rollout.control = Control::Finished { outcome: RolloutOutcome::Aborted };
            (self.world.over_at, self.over) = (now, true);
            (self.world.delivered, self.world.results) = (false, Vec::new());
            self.world.key_is_gone = true;
        }
    }

    /// One look or one action of one controller; false when it is gone.
    fn controller_steps(&mut self, index: usize) -> bool {
        let (world, sitting) = (&mut self.world, &mut self.sitting[index]);
        let waits = sitting.turn.is_none() && world.now < sitting.next_look;
        if world.now < sitting.frozen_until || waits {
            return true;
        }
        let who = sitting.controller.id().clone();
        let mut view = View {
            world,
            who: who.clone(),
            place: sitting.place.clone(),
            looked_at: sitting.looked_at,
            moved: false,
            looked: false,
            distort: self.distort,
        };
        if let Some(turn) = &mut sitting.turn {
            let Some(done) = turn.step(&mut view) else {
                sitting.turn = None;
                return true;
            };
            let moved = view.moved;
            if moved && self.pace.is_some() {
                // It is told to leave, and gives the lock back.
                self.world.lock.iter_mut().for_each(|lock| lock.holder = None);
                self.moved_from = Some(sitting.place.clone());
            }
            sitting.controller.hear(&done);
            self.actions += 1;
            sitting.acted += 1;
            self.world.check();
            return !moved && self.survives(index, &who);
        }
        sitting.looked_at = view.world.now;
        let turn = sitting.controller.look(&mut view);
        let looked = view.looked;
        match turn {
            Ok(mut turn) => {
                self.world.check_look(&turn.pass, looked);
                (self.mutate)(&mut turn.pass, &self.world);
                self.looked(index, Turn::of(turn.pass))
            }
            Err(ControllerError::Unseen(_)) => true,
            Err(ControllerError::Pass(error)) => {
                self.world.violation(format!("no pass: {error:?}"));
                true
            }
        }
    }

    fn looked(&mut self, index: usize, turn: Turn) -> bool {
        match turn.pass.end {
            PassEnd::GoOn => {}
            // Its last write came too late: what is left is given back by whoever removed the config.
            PassEnd::Finished if self.world.removed => {
                self.world.say(format!("{} stops: the config is gone", self.sitting[index].controller.id()));
                return false;
            }
            PassEnd::Finished => {
                self.world.say("the rollout is over");
                if !self.over {
                    self.world.over_at = self.world.now;
                }
                self.over = true;
                return false;
            }
            PassEnd::Removed => {
                if !self.world.removed {
                    self.world.violation("a controller misses the rollout's config, and it is there");
                }
                self.world.say(format!("{} stops: the config is gone", self.sitting[index].controller.id()));
                return false;
            }
            PassEnd::Superseded => {
                self.world.say(format!("{} stops: superseded", self.sitting[index].controller.id()));
                return false;
            }
        }
        let who = self.sitting[index].controller.id().clone();
        self.world.check_lock(&turn.pass, &who);
        self.world.check_holds(&turn.pass);
        // A controller that waits for the lock knows nothing else.
        if !turn.pass.holds.values().any(|hold| matches!(hold, Hold::LockHeld { .. })) {
            self.log_holds(&turn.pass);
            self.last = Some(turn.pass.clone());
        }
        if turn.pass.actions.is_empty() {
            let pause = match self.pace {
                Some(_) => 1,
                None => self.world.rng.between(0, LONGEST_PAUSE),
            };
            self.sitting[index].next_look = self.world.now + pause;
        }
        self.sitting[index].turn = Some(turn);
        true
    }

    /// Holds are written down when they change.
    fn log_holds(&mut self, pass: &Pass) {
        let now = self.world.now;
        for (node, hold) in &pass.holds {
            if self.held_since.get(node).is_none_or(|(name, _)| *name != hold.name()) {
                self.held_since.insert(node.clone(), (hold.name(), now));
                self.world.say(format!("{node} waits: {hold}"));
            }
        }
        self.held_since.retain(|node, _| pass.holds.contains_key(node));
        for (node, hold) in &pass.holds {
            let at_risk = matches!(
                hold,
                Hold::QuorumAtRisk { .. }
                    | Hold::VolumeWouldMove { .. }
                    | Hold::NoPlace { .. }
                    | Hold::AtZero { .. }
                    | Hold::NoRoomToSurge { .. }
            );
            if at_risk {
                self.at_risk_since.entry(node.clone()).or_insert(now);
            } else if !matches!(hold, Hold::NoReport { .. }) {
                self.at_risk_since.remove(node);
            }
        }
        self.at_risk_since.retain(|node, _| pass.holds.contains_key(node));
    }

    fn survives(&mut self, index: usize, who: &ControllerId) -> bool {
        let world = &mut self.world;
        let faulty = world.now < self.faults.until;
        let worn_out = self.lives_for.is_some_and(|actions| self.sitting[index].acted >= actions);
        let chosen = self.crash_at == Some(self.actions - 1) || worn_out;
        if chosen || (faulty && world.rng.permille(self.faults.crash)) {
            world.say(format!("{who} dies"));
            return false;
        }
        if faulty && world.rng.permille(self.faults.freeze) {
            let until = world.now + world.rng.between(10, 300);
            world.say(format!("{who} freezes until {until}"));
            self.sitting[index].frozen_until = until;
        }
        true
    }

    fn start_controllers(&mut self) {
        let now = self.world.now;
        let awake = self.sitting.iter().any(|one| now >= one.frozen_until);
        let second = now < self.faults.until && self.world.rng.permille(self.faults.second);
        if awake && !second {
            self.next_start = now + 5;
            return;
        }
        if now < self.next_start && !second {
            return;
        }
        let managers: Vec<&crate::world::SimNode> = self
            .world
            .nodes
            .iter()
            .filter(|node| node.role == Role::Manager && node.takes_part(now))
            .collect();
        let mut active: Vec<NodeId> = managers
            .iter()
            .filter(|node| node.availability == Availability::Active && node.ready)
            .map(|node| node.id.clone())
            .collect();
        if active.len() > 1 {
            active.retain(|place| self.moved_from.as_ref() != Some(place));
        }
        // With all managers drained it is a plain container on one of them.
        let places =
            if active.is_empty() { managers.iter().map(|node| node.id.clone()).collect() } else { active };
        if places.is_empty() {
            return;
        }
        let place = self.world.rng.pick(&places).clone();
        self.started += 1;
        let id = ControllerId(format!("c{}", self.started));
        self.world.say(format!("{id} starts on {place}"));
        let mut spec = self.world.spec.clone();
        (self.disobey)(&mut spec);
        // Every third one looks at everything each time, as in a small swarm.
        let memory_from = if self.started.is_multiple_of(3) { usize::MAX } else { 0 };
        let controller = Controller::new(id, spec).with_memory_from(memory_from);
        self.sitting.push(Sitting {
            controller,
            place,
            turn: None,
            frozen_until: 0,
            looked_at: 0,
            next_look: 0,
            acted: 0,
        });
        self.next_start = now + 5;
    }

    /// A controller dies with its engine, and is moved from a drained node when another one takes it.
    fn remove_dead_controllers(&mut self) {
        let world = &mut self.world;
        let active = |node: &&crate::world::SimNode| {
            node.role == Role::Manager && node.ready && node.availability == Availability::Active
        };
        let others = world.nodes.iter().filter(active).count();
        let mut gone = Vec::new();
        self.sitting.retain(|one| {
            let stays = world.node(&one.place).is_some_and(|node| {
                node.role == Role::Manager
                    && node.power == Power::Up
                    && !(node.availability == Availability::Drain && others > 0)
            });
            if !stays {
                gone.push(format!("{} is gone with {}", one.controller.id(), one.place));
            }
            stays
        });
        gone.into_iter().for_each(|line| world.say(line));
    }
}
