//! How the participants stand together, counted once for a pass and with each change in it: each node that waits for its turn asks.

use super::NodeLabel;
use crate::ids::NodeId;
use crate::order::Wave;
use crate::state::NodeState;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Who is in which wave, and who stands how.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The wave of each participant, from 0.
    wave_of: HashMap<NodeId, usize>,
    /// The waves that are not through, with how many of their nodes are not.
    open: BTreeMap<usize, usize>,
    begun: BTreeSet<NodeId>,
    in_maintenance: BTreeSet<NodeId>,
    failed: BTreeSet<NodeId>,
}

impl Turns {
    pub(super) fn of(waves: &[Wave], labels: &BTreeMap<NodeId, NodeLabel>) -> Self {
        let mut turns = Self::default();
        for (wave, id) in
            waves.iter().enumerate().flat_map(|(wave, ids)| ids.iter().map(move |id| (wave, id)))
        {
            turns.wave_of.entry(id.clone()).or_insert(wave);
        }
        labels.iter().for_each(|(id, label)| turns.count(id, label, true));
        turns
    }

    /// A participant stands otherwise now.
    pub(super) fn change(&mut self, id: &NodeId, before: &NodeLabel, now: &NodeLabel) {
        self.count(id, before, false);
        self.count(id, now, true);
    }

    fn count(&mut self, id: &NodeId, label: &NodeLabel, stands: bool) {
        let wave = self.wave(id);
        if !is_through(label) {
            let left = self.open.entry(wave).or_default();
            *left = if stands { *left + 1 } else { left.saturating_sub(1) };
            if *left == 0 {
                self.open.remove(&wave);
            }
        }
        for (so, set) in [
            (has_begun(label), &mut self.begun),
            (label.is_in_maintenance(), &mut self.in_maintenance),
            (label.has_failed(), &mut self.failed),
        ] {
            if so && stands {
                set.insert(id.clone());
            } else if so {
                set.remove(id);
            }
        }
    }

    /// In which wave a node has its turn, from 0.
    pub(super) fn wave(&self, id: &NodeId) -> usize {
        self.wave_of.get(id).copied().unwrap_or(0)
    }

    /// The first wave before this one that is not through.
    pub(super) fn open_before(&self, wave: usize) -> Option<usize> {
        self.open.range(..wave).next().map(|(wave, _)| *wave)
    }

    /// Those that have begun and are not through.
    pub(super) fn begun(&self) -> &BTreeSet<NodeId> {
        &self.begun
    }

    /// Those that are where they are missed.
    pub(super) fn in_maintenance(&self) -> &BTreeSet<NodeId> {
        &self.in_maintenance
    }

    /// Those that failed in their turn.
    pub(super) fn failed(&self) -> impl Iterator<Item = &NodeId> {
        self.failed.iter()
    }
}

pub(super) fn has_begun(label: &NodeLabel) -> bool {
    !is_waiting(label) && !is_through(label)
}

pub(super) fn is_through(label: &NodeLabel) -> bool {
    label.state().is_some_and(NodeState::is_terminal)
}

pub(super) fn is_waiting(label: &NodeLabel) -> bool {
    matches!(label.state(), Some(NodeState::Pending))
}
