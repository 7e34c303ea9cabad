//! Seeded randomness, a stream for each purpose: one more draw for the network leaves disks and workloads as they were.

/// SplitMix64: small, well mixed, the same on every host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random(u64);

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A process's own seed, drawn anew at each boot.
    Boot,
    /// How long messages from a process take.
    Network,
    /// How long a node's disk takes.
    Disk,
    /// What a client's workload does.
    Load,
    /// What a generated scenario contains.
    Scenario,
    /// When a planted bug shows.
    Bug,
    /// How late a process is woken.
    Timers,
}

impl Random {
    /// The stream of one purpose and process.
    pub fn stream(seed: u64, purpose: Purpose, process: u16) -> Random {
        let mut random = Random(seed);
        // Mixed twice: neighbouring seeds, purposes and processes must not give neighbouring streams.
        let first = random.word();
        let mut random = Random(first ^ (purpose as u64) << 32 ^ u64::from(process));
        Random(random.word())
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero when the bound is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_process() {
        let first = |seed, purpose, process| Random::stream(seed, purpose, process).word();
        let base = first(1, Purpose::Network, 0);
        assert_eq!(base, first(1, Purpose::Network, 0));
        for other in [first(2, Purpose::Network, 0), first(1, Purpose::Disk, 0), first(1, Purpose::Network, 1)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        let mut random = Random::stream(7, Purpose::Load, 3);
        for _ in 0..1_000 {
            assert!((5..=9).contains(&random.within(5, 9)));
            assert!(random.below(3) < 3);
        }
        assert_eq!(random.below(0), 0);
        assert_eq!(random.within(4, 4), 4);
    }
}
