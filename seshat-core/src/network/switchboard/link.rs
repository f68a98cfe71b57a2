//! One direction between two nodes: what may go wrong, and what does.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What goes wrong on a link. Nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// Nothing gets through, and the sender is told at once.
    pub cut: bool,
    /// Each message takes at least this long.
    pub delay_min: Duration,
    /// And at most this long. Nothing is delayed by less than `delay_min`, even if this is less.
    pub delay_max: Duration,
    /// Probability that a message is lost; the sender waits until it gives up.
    pub drop: f64,
    /// Probability that a message arrives twice.
    pub duplicate: f64,
    /// Probability that a message is held back by up to [`Faults::LATE`], so that later ones
    /// overtake it. The sender takes it for lost.
    pub reorder: f64,
}

impl Faults {
    /// How long a message that is reordered is held back at most, and a duplicate at most.
    pub const LATE: Duration = Duration::from_millis(300);
}

/// What happens to one message.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Fate {
    /// Nothing is sent.
    pub(super) cut: bool,
    /// Before the message arrives.
    pub(super) delay: Duration,
    /// It doesn't arrive while the sender waits.
    pub(super) lost: bool,
    /// A copy arrives after this long, and nobody hears the answer.
    pub(super) stray: Option<Duration>,
}

pub(super) struct Link {
    pub(super) faults: Faults,
    rng: SmallRng,
}

impl Link {
    pub(super) fn new(seed: u64) -> Self {
        Self { faults: Faults::default(), rng: SmallRng::seed_from_u64(seed) }
    }

    /// Draws the same number of random values for every message, whatever the faults are, so
    /// that changing one fault doesn't change what the others do.
    pub(super) fn fate(&mut self) -> Fate {
        let mut draw = || self.rng.random::<f64>();
        let [delay, drop, duplicate, reorder, late] = [draw(), draw(), draw(), draw(), draw()];
        let faults = &self.faults;
        let spread = faults.delay_max.saturating_sub(faults.delay_min);
        let held_back = reorder < faults.reorder;
        let stray = held_back || duplicate < faults.duplicate;
        Fate {
            cut: faults.cut,
            delay: faults.delay_min + spread.mul_f64(delay),
            lost: held_back || drop < faults.drop,
            stray: stray.then(|| Faults::LATE.mul_f64(late)),
        }
    }
}
