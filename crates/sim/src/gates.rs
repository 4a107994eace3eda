//! What an agent makes of its gates: when it draws, and what the go is for it.

use crate::rng::Rng;
use careen_planner::observed::Draw;
use std::collections::BTreeSet;

/// How long exactly the drawn gates must be gone, in seconds.
const SURE: u64 = 2;

/// How long a part of a go, or of a refusal, is waited for.
const PATIENCE: u64 = 180;

/// What one agent has seen of its gates.
#[derive(Debug, Clone, Default)]
pub struct Gates {
    /// Its current draw.
    pub draw: Option<Draw>,
    /// Why no go can reach it any more.
    pub void: Option<String>,
    /// Those that were no part of an earlier go.
    left: BTreeSet<u8>,
    seen: BTreeSet<u8>,
    /// What is gone of those that are left, and since when just that.
    gone: (BTreeSet<u8>, u64),
    /// Since when something is.
    part_since: Option<u64>,
}

/// What the gates say now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Wait,
    /// The go.
    Go,
    /// The opposite.
    Refused,
}

impl Gates {
    /// Those of an agent that has so many.
    pub fn new(count: usize) -> Self {
        Self { left: (1..=count as u8).collect(), ..Self::default() }
    }

    /// What is there now, whatever the agent waits for.
    pub fn see(&mut self, present: &BTreeSet<u8>) {
        self.seen.extend(present);
    }

    /// What follows for the go with this number.
    pub fn look(&mut self, present: &BTreeSet<u8>, number: u32, now: u64, rng: &mut Rng) -> Verdict {
        if self.void.is_some() {
            return Verdict::Wait;
        }
        if self.draw.is_none_or(|draw| draw.number != number) {
            self.prepare(present, number, rng);
            return Verdict::Wait;
        }
        let drawn: BTreeSet<u8> = self.draw.iter().flat_map(|draw| draw.gates).collect();
        let others: BTreeSet<u8> = self.left.difference(&drawn).copied().collect();
        let gone: BTreeSet<u8> = self.left.difference(present).copied().collect();
        if gone != self.gone.0 {
            self.gone = (gone.clone(), now);
        }
        if gone.is_empty() {
            self.part_since = None;
            return Verdict::Wait;
        }
        let sure = now >= self.gone.1 + SURE;
        let since = *self.part_since.get_or_insert(now);
        match () {
            () if gone == drawn && sure => Verdict::Go,
            () if gone == others && sure => Verdict::Refused,
            () if gone == drawn || gone == others => Verdict::Wait,
            () if (gone.is_subset(&drawn) || gone.is_subset(&others)) && now < since + PATIENCE => {
                Verdict::Wait
            }
            () => {
                self.void = Some(format!("of the gates {:?} are gone, {drawn:?} were drawn", self.gone.0));
                Verdict::Wait
            }
        }
    }

    /// Draws, when everything is there. The gates of an earlier go are none of this one's.
    fn prepare(&mut self, present: &BTreeSet<u8>, number: u32, rng: &mut Rng) {
        let earlier: BTreeSet<u8> = self.draw.iter().flat_map(|draw| draw.gates).collect();
        let left: BTreeSet<u8> = self.left.difference(&earlier).copied().collect();
        if left.iter().any(|gate| self.seen.contains(gate) && !present.contains(gate)) {
            self.void = Some("a gate was gone before anything was drawn".to_owned());
            return;
        }
        if !left.is_subset(present) {
            return;
        }
        let mut gates: Vec<u8> = left.iter().copied().collect();
        let first = gates.remove(rng.between(0, gates.len() as u64 - 1) as usize);
        let second = gates[rng.between(0, gates.len() as u64 - 1) as usize];
        self.draw = Some(Draw { number, gates: [first.min(second), first.max(second)] });
        self.left = left;
        self.gone = (BTreeSet::new(), 0);
        self.part_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(gates: &[u8]) -> BTreeSet<u8> {
        (1..=6).filter(|gate| !gates.contains(gate)).collect()
    }

    fn drawn() -> (Gates, [u8; 2], Rng) {
        let (mut gates, mut rng) = (Gates::new(6), Rng::new(1));
        gates.see(&without(&[3]));
        assert_eq!(gates.look(&without(&[3]), 0, 0, &mut rng), Verdict::Wait);
        assert_eq!(gates.draw, None, "one does not run yet");
        gates.look(&without(&[]), 0, 1, &mut rng);
        let two = gates.draw.unwrap().gates;
        (gates, two, rng)
    }

    #[test]
    fn only_the_two_that_were_drawn_are_a_go_and_all_others_a_refusal() {
        let (mut gates, two, mut rng) = drawn();
        gates.look(&without(&two[..1]), 0, 10, &mut rng);
        assert_eq!(gates.look(&without(&two), 0, 20, &mut rng), Verdict::Wait, "one look is none");
        assert_eq!(gates.look(&without(&two), 0, 21, &mut rng), Verdict::Wait);
        assert_eq!(gates.look(&without(&two), 0, 22, &mut rng), Verdict::Go);
        let (mut gates, two, mut rng) = drawn();
        let present = two.into_iter().collect();
        gates.look(&present, 0, 20, &mut rng);
        assert_eq!(gates.look(&present, 0, 22, &mut rng), Verdict::Refused);
    }

    #[test]
    fn everything_else_is_void() {
        let (gates, two, mut rng) = drawn();
        let other = (1..=6).find(|gate| !two.contains(gate)).unwrap();
        for (gone, at) in [(vec![two[0], other], 10), (vec![1, 2, 3, 4, 5, 6], 10), (vec![two[0]], 200)] {
            let mut gates = gates.clone();
            gates.look(&without(&gone), 0, 5, &mut rng);
            gates.look(&without(&gone), 0, at, &mut rng);
            assert!(gates.void.is_some(), "{gone:?}");
            assert_eq!(gates.look(&without(&two), 0, at + 10, &mut rng), Verdict::Wait, "and stays so");
        }
    }

    #[test]
    fn a_restart_is_drawn_among_those_that_are_left() {
        let (mut gates, two, mut rng) = drawn();
        gates.look(&without(&two), 1, 50, &mut rng);
        let next = gates.draw.unwrap();
        assert!(next.number == 1 && next.gates.iter().all(|gate| !two.contains(gate)), "{next:?}");
    }
}
