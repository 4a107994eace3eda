//! When the swarm is looked at next. Pure.
//!
//! At once behind an act. Otherwise when something rings, and by the clock: tasks come and go without an event, and events may
//! be lost. The clock's pause is a part of how long nothing has happened, so what no event tells is seen late by that part at most,
//! and a wait of hours costs little. In a large swarm pauses are longer.

use crate::Done;
use careen_planner::cluster::Unseen;
use careen_planner::{Action, Hold, NodeId, NodeState, Pass};
use std::collections::BTreeMap;
use std::time::Duration;

/// The pause is this part of how long nothing has happened.
const PART: u32 = 20;

/// Between these two, or so long for each node that takes part: a pass costs as much as there are nodes.
const SHORTEST: Duration = Duration::from_millis(100);
const SHORTEST_FOR_A_NODE: Duration = Duration::from_micros(800);
const LONGEST: Duration = Duration::from_secs(5);
const LONGEST_FOR_A_NODE: Duration = Duration::from_millis(2);

/// No pause is longer than this: whoever has the lock has to be seen alive.
const LONGEST_BETWEEN_BEATS: Duration = Duration::from_secs(15);

/// A memory is that old at least before everything is looked at again: what no event tells, and Swarm's counts do not show, is seen
/// late by that at most. Or so many times as long as a look takes, up to some minutes.
const FRESH: Duration = Duration::from_secs(60);
const REST_OF_A_LOOK: u32 = 300;
const LONGEST_MEMORY: Duration = Duration::from_secs(600);

/// When a swarm that does not answer is asked again, and one that refused something.
const AWAY: Duration = Duration::from_secs(1);

/// A pass is followed by a rest of so many times as long as it took, whatever rings: a large swarm's manager has other work, too.
pub const REST: u32 = 3;

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// So long whatever rings.
    pub least: Duration,
    /// So long when nothing does.
    pub most: Duration,
}

/// What was seen last, and since when nothing else is.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    seen: Seen,
    since: Duration,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    states: BTreeMap<NodeId, NodeState>,
    /// Without what is left of a time.
    holds: BTreeMap<NodeId, &'static str>,
    actions: Vec<Action>,
}

impl Pace {
    /// How long to wait behind a pass. `now` is a monotonic clock's reading, `took` how long the pass took.
    pub fn after(
        &mut self,
        passed: Result<&(Pass, Vec<Done>), &Unseen>,
        now: Duration,
        took: Duration,
    ) -> Pause {
        let least = took * REST;
        let Ok((pass, done)) = passed else { return Pause { least, most: AWAY.max(least) } };
        let acted: Vec<&Done> = done.iter().filter(|done| !is_beat(done)).collect();
        let is_new = !self.seen.is(pass, &acted);
        if is_new {
            *self = Self { seen: Seen::of(pass, &acted), since: now };
        }
        if acted.iter().any(|done| done.result.is_err()) {
            return Pause { least, most: AWAY.max(least) };
        }
        // What is decided a second time at once was no use the first time.
        if is_new && !acted.is_empty() {
            return Pause { least: Duration::ZERO, most: Duration::ZERO };
        }
        let nodes = u32::try_from(pass.states.len()).unwrap_or(u32::MAX);
        let longest = LONGEST_FOR_A_NODE.saturating_mul(nodes).clamp(LONGEST, LONGEST_BETWEEN_BEATS);
        let shortest = SHORTEST_FOR_A_NODE.saturating_mul(nodes).clamp(SHORTEST, LONGEST);
        let most = (now.saturating_sub(self.since) / PART).clamp(shortest, longest);
        Pause { least, most: most.max(least) }
    }
}

/// Whether it is time to look at everything. The look was so long ago, and took so long.
pub(crate) fn is_old(age: Duration, took: Duration) -> bool {
    age >= (took * REST_OF_A_LOOK).clamp(FRESH, LONGEST_MEMORY)
}

impl Seen {
    fn is(&self, pass: &Pass, acted: &[&Done]) -> bool {
        let holds = self.holds.iter().map(|(node, hold)| (node, *hold));
        self.states == pass.states
            && holds.eq(pass.holds.iter().map(|(node, hold)| (node, hold.name())))
            && self.actions.iter().eq(acted.iter().map(|done| &done.act.action))
    }

    fn of(pass: &Pass, acted: &[&Done]) -> Self {
        let hold = |(node, hold): (&NodeId, &Hold)| (node.clone(), hold.name());
        Self {
            states: pass.states.clone(),
            holds: pass.holds.iter().map(hold).collect(),
            actions: acted.iter().map(|done| done.act.action.clone()).collect(),
        }
    }
}

fn is_beat(done: &Done) -> bool {
    matches!(done.act.action, Action::Beat { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::cluster::ActError;
    use careen_planner::{Act, PassEnd, Version, Watch};

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn pass(state: NodeState, actions: &[Action], result: Result<(), ActError>) -> (Pass, Vec<Done>) {
        let act = |action: &Action| Act { epoch: 1, action: action.clone() };
        let pass = Pass {
            actions: actions.iter().map(act).collect(),
            holds: BTreeMap::new(),
            states: BTreeMap::from([(NodeId("w1".into()), state)]),
            end: PassEnd::GoOn,
            watch: Watch::default(),
        };
        let done = pass.actions.iter().map(|act| Done { act: act.clone(), result: result.clone() }).collect();
        (pass, done)
    }

    fn most(pace: &mut Pace, passed: &(Pass, Vec<Done>), now: Duration) -> Duration {
        pace.after(Ok(passed), now, Duration::ZERO).most
    }

    const ACTED: [Action; 1] = [Action::RemoveResults];

    #[test]
    fn behind_an_act_it_is_looked_at_once_but_not_when_the_same_is_decided_again() {
        let mut pace = Pace::default();
        let acted = pass(NodeState::Pending, &ACTED, Ok(()));
        let pause = pace.after(Ok(&acted), at(0), at(40));
        assert_eq!(pause, Pause { least: Duration::ZERO, most: Duration::ZERO });
        assert_eq!(most(&mut pace, &acted, at(0)), SHORTEST);
        let refused = pass(NodeState::Entering, &ACTED, Err(ActError::Conflict));
        assert_eq!(most(&mut pace, &refused, at(0)), AWAY, "whatever refused it may do so again");
    }

    #[test]
    fn a_wait_is_seen_to_be_over_late_by_a_part_of_it_at_most() {
        let mut pace = Pace::default();
        let waits = pass(NodeState::Entering, &[], Ok(()));
        let table = [(0, 100), (1000, 100), (4000, 200), (40_000, 2000), (3_600_000, 5000)];
        for (now, pause) in table {
            assert_eq!(most(&mut pace, &waits, at(now)), at(pause), "{now}");
        }
        let beats = pass(NodeState::Entering, &[Action::Beat { version: Version(7) }], Ok(()));
        assert_eq!(most(&mut pace, &beats, at(3_600_000)), LONGEST, "that it lives is no change");
        let goes_on = pass(NodeState::Preparing, &[], Ok(()));
        assert_eq!(most(&mut pace, &goes_on, at(3_600_000)), SHORTEST);
    }

    #[test]
    fn in_a_large_swarm_pauses_are_longer() {
        // how many nodes; the pause at the beginning, and behind an hour
        for (nodes, shortest, longest) in
            [(100, 100, 5000), (1000, 800, 5000), (5000, 4000, 10_000), (50_000, 5000, 15_000)]
        {
            let (mut pass, done) = pass(NodeState::Entering, &[], Ok(()));
            pass.states = (0..nodes).map(|node| (NodeId(node.to_string()), NodeState::Pending)).collect();
            let (mut pace, waits) = (Pace::default(), (pass, done));
            let pauses = [0, 3_600_000].map(|now| most(&mut pace, &waits, at(now)));
            assert_eq!(pauses, [shortest, longest].map(at), "{nodes}");
        }
    }

    #[test]
    fn a_memory_is_old_in_a_minute_or_when_looks_take_long_later() {
        // how long ago, how long it took; is it old?
        for (age, took, old) in
            [(59, 0, false), (60, 0, true), (60, 1, false), (300, 1, true), (600, 9, true)]
        {
            assert_eq!(is_old(Duration::from_secs(age), Duration::from_secs(took)), old, "{age} {took}");
        }
    }

    #[test]
    fn a_large_swarm_is_not_looked_at_all_the_time() {
        let mut pace = Pace::default();
        let waits = pass(NodeState::Entering, &[], Ok(()));
        let pause = pace.after(Ok(&waits), at(0), at(500));
        assert_eq!(pause, Pause { least: at(1500), most: at(1500) });
        let away = Unseen::Away { why: "no leader".into() };
        assert_eq!(pace.after(Err(&away), at(0), at(2000)).most, at(6000));
    }
}
