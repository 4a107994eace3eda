//! A large swarm without faults, whose engines are all restarted: how long its rollout takes beside the ideal schedule.

use crate::host::HostPlan;
use crate::rng::Rng;
use crate::run::{Failure, Run};
use crate::scenario;
use crate::world::World;
use careen_planner::observed::Restart;
use careen_planner::order;
use careen_planner::participants::participants;
use careen_planner::rollout::RolloutOutcome;
use careen_planner::spec::{DrainPolicy, RebootPolicy};
use careen_planner::{Parallelism, Spec};
use std::time::Duration;

/// How long an engine is down that is restarted.
const RESTART: u64 = 30;
/// How long the command takes before it.
const COMMAND: u64 = 10;
const MANAGERS: usize = 3;
/// Tasks of users' services, one on a node.
const TASKS_OF_A_SERVICE: usize = 10;

/// Which swarm, and at which pace.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Fleet {
    pub nodes: usize,
    pub parallelism: Parallelism,
    /// How many looks and acts a controller gets done in a second.
    pub pace: usize,
    /// Whether the swarm and its hosts take their time at random, as in other histories; else each thing takes the least.
    pub varies: bool,
}

/// What it came to, in seconds of the swarm.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Measured {
    /// How many turns there are, one behind the other.
    pub waves: usize,
    pub seconds: u64,
    /// What each further node adds where nodes go one by one, and everything takes the least.
    pub one: u64,
    pub actions: usize,
}

impl Measured {
    /// Every wave as long as one node alone.
    pub fn ideal(&self) -> u64 {
        self.one * self.waves as u64
    }

    /// What it took by that.
    pub fn ratio(&self) -> f64 {
        self.seconds as f64 / self.ideal() as f64
    }
}

impl Fleet {
    /// Plays the rollout, and two small ones for the ideal.
    pub fn measure(self) -> Result<Measured, Failure> {
        let (seconds, actions, waves) = self.play(usize::MAX)?;
        let one_by_one = Self { varies: false, parallelism: Parallelism::Nodes(1), ..self };
        let ((one, ..), (two, ..)) = (one_by_one.play(1)?, one_by_one.play(2)?);
        Ok(Measured { waves, seconds, one: two - one, actions })
    }

    /// A rollout over so many workers of this swarm, or over all nodes.
    fn play(self, workers: usize) -> Result<(u64, usize, usize), Failure> {
        let mut spec = spec(self.parallelism);
        if workers < self.nodes {
            spec.selection.nodes = (1..=workers).map(|n| format!("w{n}")).collect();
        }
        let mut world = self.world(spec);
        let began = world.now;
        let waves = waves(&mut world);
        let mut run = Run::new(world);
        run.pace = Some(self.pace);
        let ending = run.to_the_end()?;
        if ending.outcome == RolloutOutcome::Done {
            return Ok((ending.seconds - began, ending.actions, waves));
        }
        let what = vec![format!("a rollout without faults ended otherwise: {:?}", ending.outcome)];
        Err(Failure { what, history: ending.world.history })
    }

    fn world(self, spec: Spec) -> World {
        let workers = self.nodes.saturating_sub(MANAGERS);
        let mut world = scenario::world(1, spec, MANAGERS.min(self.nodes), workers);
        if !self.varies {
            world.rng = Rng::calm(1);
        }
        for node in &mut world.nodes {
            let wants = Some(Restart::Engine);
            let engine_takes = Some(RESTART);
            node.host.plan = HostPlan { takes: COMMAND, wants, engine_takes, ..HostPlan::default() };
        }
        for number in 0..self.nodes.div_ceil(TASKS_OF_A_SERVICE) {
            world.services.push(scenario::service(&format!("s{number}"), TASKS_OF_A_SERVICE as u64));
        }
        // Services are up before the rollout begins.
        for _ in 0..15 {
            world.tick();
        }
        world
    }
}

fn spec(parallelism: Parallelism) -> Spec {
    let mut spec = scenario::spec();
    (spec.policy.canaries, spec.policy.parallelism) = (0, parallelism);
    spec.policy.monitor = Duration::ZERO;
    (spec.drain, spec.reboot) = (DrainPolicy::Always, RebootPolicy::Never);
    spec.restarts = true;
    spec
}

fn waves(world: &mut World) -> usize {
    let place = world.nodes[0].id.clone();
    let observed = world.observe(&place);
    participants(&observed, &world.spec).map_or(0, |nodes| order::waves(&world.spec, &nodes).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(varies: bool) -> Fleet {
        Fleet { nodes: 20, parallelism: "10%".parse().unwrap(), pace: 50, varies }
    }

    #[test]
    fn a_small_fleet_has_its_engines_restarted_in_little_more_than_the_ideal_time() {
        let measured = small(false).measure().unwrap();
        // Seventeen workers two by two, and three managers.
        assert_eq!(measured.waves, 9 + 3);
        assert!(measured.one > RESTART + COMMAND, "{measured:?}");
        assert!((0.9..1.5).contains(&measured.ratio()), "{measured:?}");
        assert_eq!(measured.seconds, small(false).measure().unwrap().seconds, "it is no chance");
    }

    #[test]
    fn what_takes_its_time_at_random_takes_longer() {
        assert!(small(true).measure().unwrap().seconds > small(false).measure().unwrap().seconds);
    }
}
