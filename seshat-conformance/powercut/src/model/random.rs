//! [`Dice`]: choices from a seed, the same on every machine and in every version.

/// SplitMix64 (Steele, Lea, Flood 2014). A seed that a report prints must repeat what it found
/// years later, so no crate whose algorithm may change.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice for one thing at one event, independent of those for every other: one seed must not
    /// leave the same name in every image of a history.
    pub(crate) fn new(seed: u64, thing: u64, event: u64) -> Self {
        [thing, event].into_iter().fold(Self(seed), |mut dice, of| Self(dice.next() ^ of))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0 if there is none.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// One of two.
    pub(crate) fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
