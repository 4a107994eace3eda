//! What one controller has watched, on its own monotonic clock. Nothing of it is stored: a controller that starts
//! anew waits a little longer, and clocks of two machines are never compared.

use crate::ids::{NodeId, Version};
use crate::surge::Surge;
use std::collections::BTreeMap;
use std::time::Duration;

/// Since when something is so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watch {
    since: BTreeMap<Key, Duration>,
    /// What the agent of a node said last of its host's work, and in which try.
    pub(crate) words: BTreeMap<NodeId, (u32, String)>,
    /// Which agent of which try went with its node's engine, which stopped in good order.
    pub(crate) swept: BTreeMap<NodeId, (u32, u32)>,
    /// The services that are scaled up for a node, as its label says it: a node that leaves takes the label along.
    pub(crate) surges: BTreeMap<NodeId, Surge>,
    /// When this controller had a node begin a try. Of one that an earlier controller had begin it knows nothing.
    begun: BTreeMap<NodeId, (u32, Duration)>,
    /// The epoch under which this controller held the lock.
    pub(crate) epoch: Option<u64>,
}

/// What is timed over several passes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// The lock has this version.
    Lock(Version),
    /// The node is in this state of this try.
    State(NodeId, u32, &'static str),
    /// The node is held in this try before anything was taken down on it, and so many seconds were counted before.
    Held(NodeId, u32, u64),
    /// The node is down.
    Down(NodeId),
    /// The node is down, and its manager takes part.
    CalledDown(NodeId),
    /// Everything looks well on this node.
    Well(NodeId),
    /// Somebody else changed the availability of this node.
    AvailabilityChanged(NodeId),
    /// The node refuses this agent of this try.
    Refused(NodeId, u32, u32),
    /// The rollout is aborted, and this try on the node is not through.
    Aborting(NodeId, u32),
    /// This controller takes over, and cannot read what the node's agent says.
    Unread(NodeId),
    /// This agent of this try takes the place of one that may have passed a go on, and is gone.
    Replaced(NodeId, u32, u32),
    /// What was scaled up for the node is to be given back.
    SurgeBack(NodeId),
    /// The participant is no longer in the swarm.
    Gone(NodeId),
    /// The node's label was removed.
    Removed(NodeId),
    /// All waves before this one are through.
    WaveOpen(usize),
}

/// A watch during one pass: what is not seen again in it is forgotten.
pub(crate) struct Watching<'a> {
    before: &'a Watch,
    pub(crate) after: Watch,
    now: Duration,
}

impl<'a> Watching<'a> {
    pub(crate) fn new(before: &'a Watch, now: Duration) -> Self {
        let after = Watch { since: BTreeMap::new(), ..before.clone() };
        Self { before, after, now }
    }

    /// For how long something has been so, seen in every pass since.
    pub(crate) fn age(&mut self, key: Key) -> Duration {
        let since = self.before.since.get(&key).copied().unwrap_or(self.now);
        self.after.since.insert(key, since);
        self.now.saturating_sub(since)
    }

    /// Whether something was so in the pass before.
    pub(crate) fn was(&self, key: &Key) -> bool {
        self.before.since.contains_key(key)
    }

    /// Something counts as being so for this long, however long it was so.
    pub(crate) fn set_age(&mut self, key: Key, age: Duration) {
        self.after.since.insert(key, self.now.saturating_sub(age));
    }

    /// A node begins this try now.
    pub(crate) fn begins(&mut self, node: &NodeId, generation: u32) {
        self.after.begun.insert(node.clone(), (generation, self.now));
    }

    /// For how long this try on a node has lasted, where this controller has seen all of it.
    pub(crate) fn lasted(&self, node: &NodeId, generation: u32) -> Option<Duration> {
        let begun = self.after.begun.get(node).filter(|(of, _)| *of == generation);
        begun.map(|(_, at)| self.now.saturating_sub(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_try_lasts_is_known_to_who_had_it_begin() {
        let node = NodeId("w1".into());
        let at = |watch: &Watch, now: u64| Watching::new(watch, Duration::from_secs(now)).lasted(&node, 1);
        let watch = Watch::default();
        let mut watching = Watching::new(&watch, Duration::from_secs(10));
        watching.begins(&node, 1);
        let watch = Watching::new(&watching.after, Duration::from_secs(20)).after;
        assert_eq!(at(&watch, 25), Some(Duration::from_secs(15)));
        assert_eq!(Watching::new(&watch, Duration::from_secs(25)).lasted(&node, 2), None);
        assert_eq!(at(&Watch::default(), 25), None);
    }

    #[test]
    fn what_is_not_seen_in_a_pass_begins_anew() {
        let at = |watch: &Watch, now: u64, seen: bool| {
            let mut watching = Watching::new(watch, Duration::from_secs(now));
            let age = seen.then(|| watching.age(Key::WaveOpen(1)).as_secs());
            (watching.after, age)
        };
        let (watch, age) = at(&Watch::default(), 10, true);
        assert_eq!(age, Some(0));
        let (watch, age) = at(&watch, 25, true);
        assert_eq!(age, Some(15));
        let (watch, _) = at(&watch, 30, false);
        assert_eq!(at(&watch, 40, true).1, Some(0));
    }
}
