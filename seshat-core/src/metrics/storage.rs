//! What lies on a disk, and goes there.

use super::names::{CHECKSUM_FAILURES, WAL_FSYNC_DURATION, WAL_GROUP_SIZE, WAL_WRITE_BYTES};
use super::{Counter, Histogram, Stopwatch};

/// The log's writes.
pub(crate) struct Wal {
    fsync: Histogram,
    bytes: Counter,
    group: Histogram,
    pub(crate) checks: Checks,
}

impl Wal {
    pub(crate) fn new() -> Self {
        Self {
            fsync: Histogram::of(&WAL_FSYNC_DURATION, &[]),
            bytes: Counter::of(&WAL_WRITE_BYTES, &[]),
            group: Histogram::of(&WAL_GROUP_SIZE, &[]),
            checks: Checks::new(),
        }
    }

    /// A sync is done, of so many bytes.
    pub(crate) fn synced(&self, since: Stopwatch, bytes: u64) {
        self.fsync.record(|| since.seconds());
        self.bytes.add(bytes);
        self.group.record(|| bytes as f64);
    }
}

/// Checksums that aren't those of what this node wrote.
pub(crate) struct Checks {
    log: Counter,
    snapshot: Counter,
}

impl Checks {
    pub(crate) fn new() -> Self {
        let [log, snapshot] =
            ["log", "snapshot"].map(|of| Counter::of(&CHECKSUM_FAILURES, &[("of", &of)]));
        Self { log, snapshot }
    }

    pub(crate) fn log(&self) {
        self.log.add(1);
    }

    pub(crate) fn snapshot(&self) {
        self.snapshot.add(1);
    }
}
