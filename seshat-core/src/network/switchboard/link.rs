//! One direction between two nodes: what may go wrong, and what does.

use std::num::NonZeroU64;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::bandwidth::{Track, Turn};

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
    /// Bytes that get through in a second; as many as are sent if `None`. All messages that are
    /// on the link at a time share it by turns of 2 ms, or of a packet of 1448 bytes where that
    /// takes longer, as connections do that share a wire. The time this takes comes before the
    /// delay. A copy of a message takes as much again, a lost message as much as another; one
    /// whose sender has given up takes no more, and one that is on its way when the link is cut
    /// fails. A change counts for what is on the link from its next turn on. What a message weighs
    /// its wire says: [`Carry::encoded_len`](super::Carry::encoded_len).
    pub bytes_per_second: Option<NonZeroU64>,
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
    /// It takes the longer the larger it is.
    pub(super) limited: bool,
}

/// The link was cut while a message was on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut;

pub(super) struct Link {
    faults: Faults,
    track: Track,
    rng: SmallRng,
}

impl Link {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            faults: Faults::default(),
            track: Track::default(),
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    /// From now on. What has begun its turn at another bandwidth is no longer in the way.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Faults)) {
        let before = self.faults.bytes_per_second;
        change(&mut self.faults);
        if self.faults.bytes_per_second != before {
            self.track = Track::default();
        }
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
            limited: faults.bytes_per_second.is_some(),
        }
    }

    /// The turn of a message that has had so many bytes to go since `ready`; none if it is over,
    /// or nothing holds it up any more.
    pub(super) fn turn(&mut self, ready: Instant, bytes: u64) -> Result<Option<Turn>, Cut> {
        if self.faults.cut {
            return Err(Cut);
        }
        let rate = self.faults.bytes_per_second.filter(|_| bytes > 0);
        Ok(rate.map(|rate| self.track.turn(rate, ready, bytes)))
    }
}
