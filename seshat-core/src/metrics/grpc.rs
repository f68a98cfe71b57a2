//! What goes over gRPC.

use super::names::{
    CHECKSUM_FAILURES, PEER_RTT, PEER_SEND_FAILURES, SNAPSHOT_RECEIVED_BYTES, SNAPSHOT_RECEIVES,
    SNAPSHOT_SENT_BYTES,
};
use super::{Checks, Counter, Histogram, PEER, Stopwatch, THE_GROUP};

/// Calls to one other node.
pub(crate) struct Peer {
    rtt: Histogram,
    failures: Counter,
    sent: Counter,
    pub(crate) checks: Checks,
}

impl Peer {
    pub(crate) fn new(peer: u64) -> Self {
        Self {
            rtt: Histogram::of(&PEER_RTT, &[(PEER, &peer)]),
            failures: Counter::of(&PEER_SEND_FAILURES, &[(PEER, &peer)]),
            sent: Counter::of(&SNAPSHOT_SENT_BYTES, &[(PEER, &peer)]),
            checks: Checks::new(),
        }
    }

    /// A heartbeat is answered.
    pub(crate) fn answered(&self, since: Stopwatch) {
        self.rtt.record(|| since.seconds());
    }

    pub(crate) fn failed(&self) {
        self.failures.add(1);
    }

    /// Some of a snapshot goes out.
    pub(crate) fn sends(&self) -> Counter {
        self.sent.clone()
    }
}

/// Snapshots that arrive.
pub(crate) struct Receptions {
    done: Counter,
    failed: Counter,
    bytes: Counter,
    spoilt: Counter,
}

impl Receptions {
    pub(crate) fn new() -> Self {
        let ended =
            |outcome: &str| Counter::of(&SNAPSHOT_RECEIVES, &[THE_GROUP, ("outcome", &outcome)]);
        Self {
            done: ended("done"),
            failed: ended("failed"),
            bytes: Counter::of(&SNAPSHOT_RECEIVED_BYTES, &[]),
            spoilt: Counter::of(&CHECKSUM_FAILURES, &[("of", &"arrived_snapshot")]),
        }
    }

    /// So many bytes came.
    pub(crate) fn arrived(&self, bytes: u64) {
        self.bytes.add(bytes);
    }

    /// What came isn't what was sent.
    pub(crate) fn spoilt(&self) {
        self.spoilt.add(1);
    }

    pub(crate) fn ended(&self, done: bool) {
        if done { &self.done } else { &self.failed }.add(1);
    }
}
