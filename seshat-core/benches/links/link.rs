//! The links between three nodes.

use std::num::NonZeroU64;
use std::time::Duration;

use seshat_core::network::switchboard::Faults;

use super::proxy::Way;

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Switchboard,
    Grpc,
}

/// Which links are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Everywhere,
    /// Those to and from one follower.
    OneFollower,
}

/// What a node is when the links become slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Leader,
    /// The follower that the leader has its majority with.
    Near,
    /// The follower that may be slow, and that may be away.
    Far,
}

/// One line of the table's first column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) by: By,
    at: Where,
    /// From the leader, and between followers.
    out: Way,
    /// To the leader.
    back: Way,
}

const fn way(megabits: u64, delay_ms: u64, loss: f64) -> Way {
    let bytes_per_second = NonZeroU64::new(megabits * 1_000_000 / 8);
    Way { bytes_per_second, delay: Duration::from_millis(delay_ms), loss }
}

const fn link(name: &'static str, by: By, out: Way) -> Link {
    Link { name, by, at: Where::Everywhere, out, back: out }
}

/// Delays are of each way.
pub(crate) const LINKS: [Link; 12] = [
    link("sb-unlimited", By::Switchboard, Way::FREE),
    link("sb-64mbit", By::Switchboard, way(64, 0, 0.0)),
    link("sb-8mbit-50ms", By::Switchboard, way(8, 50, 0.0)),
    link("unlimited", By::Grpc, Way::FREE),
    link("100mbit-10ms", By::Grpc, way(100, 10, 0.0)),
    link("64mbit", By::Grpc, way(64, 0, 0.0)),
    link("32mbit", By::Grpc, way(32, 0, 0.0)),
    link("32mbit-lossy-1%", By::Grpc, way(32, 0, 0.01)),
    Link { back: way(100, 0, 0.0), ..link("8mbit-out-100mbit-back", By::Grpc, way(8, 0, 0.0)) },
    Link { at: Where::OneFollower, ..link("one-follower-8mbit", By::Grpc, way(8, 0, 0.0)) },
    link("8mbit-50ms", By::Grpc, way(8, 50, 0.0)),
    link("1mbit-100ms", By::Grpc, way(1, 100, 0.0)),
];

impl Link {
    pub(crate) fn named(name: &str) -> Self {
        *LINKS.iter().find(|link| link.name == name).expect("a known link")
    }

    /// Bytes a second from the leader to a follower, if there is a limit.
    pub(crate) fn rate(&self) -> Option<NonZeroU64> {
        self.out.bytes_per_second
    }

    /// What the link carries in that time, at most `most`.
    pub(crate) fn bytes_in(&self, seconds: f64, most: u64) -> u64 {
        self.rate().map_or(most, |rate| most.min((rate.get() as f64 * seconds) as u64))
    }

    pub(crate) fn way(&self, from: Place, to: Place) -> Way {
        let far = from == Place::Far || to == Place::Far;
        match self.at {
            Where::OneFollower if !far => Way::FREE,
            _ if to == Place::Leader => self.back,
            _ => self.out,
        }
    }
}

/// The same on a switchboard. A lost message of its is one that nobody sends again.
pub(crate) fn faults(way: Way) -> Faults {
    let Way { bytes_per_second, delay, loss } = way;
    Faults { bytes_per_second, delay_min: delay, delay_max: delay, drop: loss, ..Faults::default() }
}
