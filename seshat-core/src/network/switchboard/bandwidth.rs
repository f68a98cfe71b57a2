//! [`Track`]: what a link of some bandwidth carries, and when it is over it.
//!
//! Guarantees: never more than the bandwidth, whoever shares it; and as on a wire between two
//! routers, what shares it goes by turns, a segment each. So a small message beside a large one
//! waits for a segment of it, not for its end.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// What a packet of Ethernet carries of a TCP stream. No turn needs to be shorter.
const PACKET: u64 = 1448;
/// What a turn takes where that is more than a packet. Tokio's timers tick in milliseconds.
const TURN: Duration = Duration::from_millis(2);

/// One direction of a link, which is free from some time on.
#[derive(Debug, Default)]
pub(super) struct Track {
    free: Option<Instant>,
}

/// What somebody may send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// So many bytes of it.
    pub(super) bytes: u64,
    /// When they are over the link, and the sender may ask for another turn.
    pub(super) over: Instant,
}

impl Track {
    /// The next turn of a sender that has had `bytes` left to send since `ready`: when it began, or
    /// when its last turn was over. Not since it woke up from that one, so that timers that are
    /// late don't make the link slower.
    pub(super) fn turn(&mut self, rate: NonZeroU64, ready: Instant, bytes: u64) -> Turn {
        let bytes = bytes.min(segment(rate));
        let start = self.free.map_or(ready, |free| free.max(ready));
        // At most half an hour, at a byte a second: no clock ends so soon.
        let over = start + time_of(bytes, rate);
        self.free = Some(over);
        Turn { bytes, over }
    }
}

/// The most that goes in one turn.
pub(super) fn segment(rate: NonZeroU64) -> u64 {
    let bytes = u128::from(rate.get()) * TURN.as_nanos() / NANOS;
    u64::try_from(bytes).unwrap_or(u64::MAX).max(PACKET)
}

const NANOS: u128 = Duration::from_secs(1).as_nanos();

fn time_of(bytes: u64, rate: NonZeroU64) -> Duration {
    let nanos = (u128::from(bytes) * NANOS).div_ceil(u128::from(rate.get()));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
