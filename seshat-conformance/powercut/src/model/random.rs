//! [`Dice`]: choices from a seed, the same on every machine and in every version.

/// SplitMix64 (Steele, Lea, Flood 2014). A seed that a report prints must repeat what it found
/// years later, so no crate whose algorithm may change.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice for one thing, independent of those for every other.
    pub(crate) fn new(seed: u64, thing: u64) -> Self {
        let mut dice = Self(seed ^ thing.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        dice.next();
        dice
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
