//! A small generator of its own (splitmix64): the same seed gives the same history on every machine and in every
//! version of every library.

/// Random numbers that a seed determines.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
    calm: bool,
}

impl Rng {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, calm: false }
    }

    /// One with which everything takes the least time, and nothing happens that only may happen. What is picked or drawn is random still.
    pub fn calm(seed: u64) -> Self {
        Self { state: seed, calm: true }
    }

    /// The next number of 64 bits.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        if self.calm { low } else { low + self.number() % (high - low + 1) }
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, cases: u64) -> bool {
        if self.calm { cases >= 1000 } else { self.number() % 1000 < cases }
    }

    /// One of a slice that is not empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[(self.number() % from.len() as u64) as usize]
    }
}
