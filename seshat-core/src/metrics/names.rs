//! Every metric there is: its name, what kind it is, its labels and what it says.
//!
//! Names end in their unit, as Prometheus has it: seconds, bytes, and `_total` for counters. Indexes count
//! entries, each of which may carry many operations.

/// What a metric is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only rises, from 0 when the process starts.
    Counter,
    /// What is so when it is looked at.
    Gauge,
    /// Samples, and the upper bounds of buckets that they are well sorted into.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// As it is exported.
    pub name: &'static str,
    /// What it is like.
    pub kind: Kind,
    /// The labels that each of its series has.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// From a tenth of a millisecond, which a sync of a fast disk takes, to ten seconds.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];
/// What takes as long as a state is large.
const LONG: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// From one small entry to many large ones.
const BYTES: &[f64] =
    &[256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// The constants, and all of them in a list.
macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $name:literal $kind:expr, $labels:expr, $help:literal;)*) => {
        $(
            #[doc = concat!("`seshat_raft_", $name, "`: ", $help, ".")]
            $(#[$doc])*
            pub const $constant: Metric = Metric {
                name: concat!("seshat_raft_", $name),
                kind: $kind,
                labels: &$labels,
                help: $help,
            };
        )*
        /// All of them.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

use Kind::{Counter, Gauge, Histogram};

metrics! {
    HAS_LEADER = "has_leader" Gauge, ["group"],
        "1 if the node knows a leader that it hears; a leader, if it hears a quorum";
    IS_LEADER = "is_leader" Gauge, ["group"], "1 if the node leads, as far as it knows";
    TERM = "term" Gauge, ["group"], "The node's term";
    ROLE = "role" Gauge, ["group", "role"],
        "1 for the role that the node has of learner, follower, candidate, leader and stopped, 0 for the others";
    LEADER_CHANGES = "leader_changes_total" Counter, ["group"],
        "How often the node learned of another leader than before";
    ELECTIONS = "elections_total" Counter, ["group"], "Elections that the node stood for";

    START_TIME = "start_time_seconds" Gauge, [], "When the node started, in seconds since 1970";

    PROPOSALS = "proposals_total" Counter, ["group", "outcome"],
        "Operations proposed here: applied, refused (nothing was proposed), or unknown (may be applied or not)";
    PROPOSALS_FAILED = "proposals_failed_total" Counter, ["group", "reason"],
        "Operations proposed here that were not answered with their response, by what was said instead";
    PROPOSALS_PENDING = "proposals_pending" Gauge, ["group"],
        "Operations proposed here and not answered yet";
    PROPOSE_WAIT = "propose_wait_seconds" Histogram(SECONDS), ["group"],
        "How long the first operation of an entry waited to be in it; one sample an entry";
    COMMIT_DURATION = "commit_duration_seconds" Histogram(SECONDS), ["group"],
        "From an entry's proposal to its answer, when a quorum has it and it is applied here; one sample an entry";
    COMMITTED_INDEX = "committed_index" Gauge, ["group"],
        "The last entry known to be committed";
    APPLIED_INDEX = "applied_index" Gauge, ["group"], "The last entry applied here";
    APPLY_DURATION = "apply_duration_seconds" Histogram(SECONDS), ["group"],
        "How long it took to apply the entries that were ready together";

    LOG_ENTRIES = "log_entries" Gauge, ["group"], "Entries in the log";
    PURGED_INDEX = "purged_index" Gauge, ["group"], "The last entry that the log let go";
    WAL_OLDEST_AGE = "wal_oldest_age_seconds" Gauge, ["group"],
        "Age of the log's oldest entry, of one from before the process started since then; for so long may a \
         follower be away and go on without a snapshot";
    WAL_SEGMENTS = "wal_segments" Gauge, [], "Files of the log on disk";
    WAL_BYTES = "wal_bytes" Gauge, [], "Bytes that the files of the log on disk take, without spares";
    WAL_FSYNC_DURATION = "wal_fsync_duration_seconds" Histogram(SECONDS), [],
        "How long a sync of the log took";
    WAL_WRITE_BYTES = "wal_write_bytes_total" Counter, [], "Bytes written to the log and synced";
    WAL_GROUP_SIZE = "wal_group_size" Histogram(BYTES), [], "Bytes that one sync made durable";
    DISK_FREE_BYTES = "disk_free_bytes" Gauge, [],
        "Bytes that the file system of the node's directory has free for it";
    DISK_FULL = "disk_full" Gauge, [],
        "1 if the disk has no room for the log's next file, and no writes are taken";
    POISONED = "poisoned" Gauge, [],
        "1 if the node stopped because its storage failed or it panicked; it takes part in nothing any more";
    CHECKSUM_FAILURES = "checksum_failures_total" Counter, ["of"],
        "What was read back and is not what was written, of the log, a snapshot, or a snapshot from elsewhere";

    SNAPSHOT_INDEX = "snapshot_index" Gauge, ["group"], "The last entry that the latest snapshot covers";
    SNAPSHOT_BUILD_SECONDS = "snapshot_build_seconds" Histogram(LONG), ["group"],
        "How long it took to build a snapshot";
    SNAPSHOT_BUILD_BYTES = "snapshot_build_bytes" Gauge, ["group"],
        "Length of the latest snapshot that was built or installed since the process started";
    SNAPSHOT_RESTORE_SECONDS = "snapshot_restore_seconds" Gauge, ["group"],
        "How long it took to install the latest snapshot from another node; 0 if none was";
    SNAPSHOT_SENDS = "snapshot_sends_total" Counter, ["group", "outcome", "peer"],
        "Snapshots sent to another node: done, or failed, which may go on with another attempt";
    SNAPSHOT_SENT_BYTES = "snapshot_sent_bytes_total" Counter, ["peer"],
        "Bytes of snapshots sent to another node over gRPC";
    SNAPSHOT_RECEIVES = "snapshot_receives_total" Counter, ["group", "outcome"],
        "Snapshots that arrived from another node over gRPC: done, which is installed, or failed";
    SNAPSHOT_RECEIVED_BYTES = "snapshot_received_bytes_total" Counter, [],
        "Bytes of snapshots received over gRPC";

    PEER_RTT = "peer_rtt_seconds" Histogram(SECONDS), ["peer"],
        "How long another node took to answer a heartbeat over gRPC, there and back and what it did in between";
    PEER_SEND_FAILURES = "peer_send_failures_total" Counter, ["peer"],
        "Calls to another node over gRPC that had no answer, or none that can be true";
    PEER_LAG_ENTRIES = "peer_lag_entries" Gauge, ["group", "peer"],
        "Entries of a leader's log that another node isn't known to have; 0 where the node doesn't lead";
    PEER_LAG_SECONDS = "peer_lag_seconds" Gauge, ["group", "peer"],
        "Since when the leader has the first of them, to a heartbeat interval; 0 where the node doesn't lead";
    PEER_LAST_CONTACT = "peer_last_contact_seconds" Gauge, ["group", "peer"],
        "How long ago another node answered a leader; 0 where the node doesn't lead";
    HEARTBEAT_LATE = "heartbeat_late_total" Counter, ["group"],
        "Heartbeats that a leader sent more than an interval late: it is overloaded, or its disk is slow";
    READ_INDEX_DURATION = "read_index_duration_seconds" Histogram(SECONDS), ["group"],
        "How long it took to confirm with a quorum that the node leads; one sample for all reads that share it";
    READ_INDEX_FAILED = "read_index_failed_total" Counter, ["group"],
        "Confirmations that failed or that nobody waited for any more, where the node took itself for the leader";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conventions of Prometheus; and no name twice.
    #[test]
    fn names_say_their_unit() {
        for (at, metric) in ALL.iter().enumerate() {
            let Metric { name, kind, labels, help } = metric;
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!help.is_empty() && !help.ends_with('.') && !help.contains('\n'), "{name}");
            assert!(
                labels.windows(2).all(|pair| pair[0] == "group" || pair[0] < pair[1]),
                "{name}"
            );
            if let Histogram(buckets) = kind {
                assert!(buckets.is_sorted_by(|a, b| a < b), "{name}");
            }
            let others = ALL.iter().skip(at + 1);
            assert!(others.into_iter().all(|other| other.name != *name), "{name} twice");
        }
    }
}
