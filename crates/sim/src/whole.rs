//! A whole history: a random rollout with everything that goes wrong, and the next one over the same hosts, in which nothing
//! does.

use crate::faults::Faults;
use crate::run::{Ending, Failure, Run};
use crate::scenario;
use careen_planner::state::Reason;
use careen_planner::{Parallelism, RolloutId};

/// What is to happen.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Whole {
    pub seed: u64,
    /// What goes wrong in the first rollout.
    pub faults: Faults,
}

impl Whole {
    /// Plays it; the ending of the first rollout, and that of the next one.
    pub fn play(self) -> Result<(Ending, Ending), Failure> {
        self.play_bent(|_| {})
    }

    /// The same with something bent.
    pub fn play_bent(self, change: impl FnOnce(&mut Run)) -> Result<(Ending, Ending), Failure> {
        let first = self.first_bent(change)?;
        let next = next(first.clone())?;
        Ok((first, next))
    }

    /// The first rollout alone, with something bent.
    pub fn first_bent(self, change: impl FnOnce(&mut Run)) -> Result<Ending, Failure> {
        let mut run = Run::new(scenario::random(self.seed)).with(self.faults);
        change(&mut run);
        run.to_the_end()
    }
}

/// **The next rollout over the same hosts ends**, and no node fails in it for what an earlier one has left there.
pub fn next(first: Ending) -> Result<Ending, Failure> {
    let mut world = first.world;
    let mut spec = scenario::spec();
    spec.id = RolloutId::parse("next").unwrap_or_else(|_| unreachable!("a fixed text"));
    spec.policy.parallelism = Parallelism::Nodes(2);
    spec.unlock_by_hand = true;
    world.next_rollout(spec.clone());
    let mut second = Run::new(world).to_the_end()?;
    let inherited = |(node, rollout, reason): &(careen_planner::NodeId, RolloutId, Reason)| {
        let theirs = matches!(reason, Reason::GoLost | Reason::AgentLost | Reason::Forgotten);
        (*rollout == spec.id && theirs).then(|| format!("{node} fails in the next rollout: {reason:?}"))
    };
    let truth = &second.world.truth;
    let starved = truth.starved.iter().filter(|(_, rollout)| *rollout == spec.id);
    let starved = starved.map(|(node, _)| format!("{node} fails in the next rollout: its host is busy"));
    let what: Vec<String> = truth.failed.iter().filter_map(inherited).chain(starved).collect();
    match what.is_empty() {
        true => Ok(second),
        false => Err(Failure { what, history: std::mem::take(&mut second.world.history) }),
    }
}
