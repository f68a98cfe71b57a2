//! What is looked up when it is asked for.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::names::{
    APPLIED_INDEX, COMMITTED_INDEX, DISK_FREE_BYTES, DISK_FULL, HAS_LEADER, IS_LEADER, LOG_ENTRIES,
    Metric, PEER_LAG_ENTRIES, PEER_LAG_SECONDS, PEER_LAST_CONTACT, POISONED, PROPOSALS_PENDING,
    PURGED_INDEX, ROLE, SNAPSHOT_INDEX, START_TIME, TERM, WAL_BYTES, WAL_OLDEST_AGE, WAL_SEGMENTS,
};
use super::{Gauge, PEER, THE_GROUP};

/// What a node may be.
const ROLES: [&str; 5] = ["learner", "follower", "candidate", "leader", "stopped"];

/// The gauges of a node, which starts when they are made.
#[derive(Debug)]
pub(crate) struct Levels {
    pub(crate) has_leader: Gauge,
    is_leader: Gauge,
    roles: [Gauge; ROLES.len()],
    pub(crate) term: Gauge,
    pub(crate) pending: Gauge,
    pub(crate) committed: Gauge,
    pub(crate) applied: Gauge,
    pub(crate) purged: Gauge,
    pub(crate) snapshot: Gauge,
    pub(crate) entries: Gauge,
    pub(crate) oldest: Gauge,
    /// Segments and bytes of the log, and what is free beside it; of a storage on disk only.
    disk: Option<[Gauge; 3]>,
    pub(crate) disk_full: Gauge,
    pub(crate) poisoned: Gauge,
    peers: BTreeMap<u64, [Gauge; 3]>,
}

/// How far another node lags behind a leader.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Lag {
    pub(crate) entries: u64,
    pub(crate) seconds: f64,
    /// Seconds since it answered.
    pub(crate) contact: f64,
}

impl Default for Levels {
    fn default() -> Self {
        let of_group = |metric: &Metric| Gauge::of(metric, &[THE_GROUP]);
        let of_node = |metric: &Metric| Gauge::of(metric, &[]);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        of_node(&START_TIME).set(now.as_secs_f64());
        Self {
            has_leader: of_group(&HAS_LEADER),
            is_leader: of_group(&IS_LEADER),
            roles: ROLES.map(|role| Gauge::of(&ROLE, &[THE_GROUP, ("role", &role)])),
            term: of_group(&TERM),
            pending: of_group(&PROPOSALS_PENDING),
            committed: of_group(&COMMITTED_INDEX),
            applied: of_group(&APPLIED_INDEX),
            purged: of_group(&PURGED_INDEX),
            snapshot: of_group(&SNAPSHOT_INDEX),
            entries: of_group(&LOG_ENTRIES),
            oldest: of_group(&WAL_OLDEST_AGE),
            disk: None,
            disk_full: of_node(&DISK_FULL),
            poisoned: of_node(&POISONED),
            peers: BTreeMap::new(),
        }
    }
}

impl Levels {
    pub(crate) fn role(&self, is: &str) {
        for (role, gauge) in ROLES.iter().zip(&self.roles) {
            gauge.set(f64::from(u8::from(*role == is)));
        }
        self.is_leader.set(f64::from(u8::from(is == "leader")));
    }

    /// The node takes part in nothing any more.
    pub(crate) fn stopped(&self) {
        self.role("stopped");
        self.has_leader.set(0.0);
        for lag in self.peers.values().flatten() {
            lag.set(0.0);
        }
    }

    pub(crate) fn disk(&mut self, segments: usize, bytes: u64, free_bytes: Option<u64>) {
        let [wal_segments, wal_bytes, free] = self.disk.get_or_insert_with(|| {
            [WAL_SEGMENTS, WAL_BYTES, DISK_FREE_BYTES].map(|metric| Gauge::of(&metric, &[]))
        });
        wal_segments.set(segments as f64);
        wal_bytes.set(bytes as f64);
        if let Some(free_bytes) = free_bytes {
            free.set(free_bytes as f64);
        }
    }

    pub(crate) fn lag(&mut self, peer: u64, lag: Lag) {
        let [entries, seconds, contact] = self.peers.entry(peer).or_insert_with(|| {
            [PEER_LAG_ENTRIES, PEER_LAG_SECONDS, PEER_LAST_CONTACT]
                .map(|metric| Gauge::of(&metric, &[THE_GROUP, (PEER, &peer)]))
        });
        entries.set(lag.entries as f64);
        seconds.set(lag.seconds);
        contact.set(lag.contact);
    }

    /// Of whom there was a lag.
    pub(crate) fn peers(&self) -> impl Iterator<Item = u64> + '_ {
        self.peers.keys().copied()
    }
}
