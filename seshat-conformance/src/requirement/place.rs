//! [`Place`]: where openraft 0.9.25 makes a call of a store, or builds on its answer.
//!
//! Guarantees: each names a file below `openraft/src` and a function in it, which a test looks up
//! in the source that this kit is compiled with. A Must names those whose cluster it would break.

use std::fmt;

/// A function of openraft that relies on a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Below `openraft/src`.
    pub file: &'static str,
    /// Its name.
    pub function: &'static str,
    /// What it takes for granted, after "which".
    pub does: &'static str,
}

/// `core/raft_core.rs append_to_log, which waits for the callback of each append`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, function, does } = self;
        write!(f, "{file} {function}, which {does}")
    }
}

macro_rules! places {
    ($($name:ident: $file:literal $function:ident, $does:literal;)*) => {
        $(pub(crate) const $name: Place =
            Place { file: $file, function: stringify!($function), does: $does };)*
    };
}

// A node starts.
places! {
    START_VOTE: "storage/helper.rs" get_initial_state, "takes the vote that it reads for the node's own";
    START_COMMITTED: "storage/helper.rs" get_initial_state, "applies what the committed id that it reads says";
    START_LOG: "storage/helper.rs" get_initial_state, "takes the two ends of the log for what the node has";
    START_APPLIED: "storage/helper.rs" get_initial_state, "goes on from the id that was applied last";
    START_PURGE: "storage/helper.rs" get_initial_state, "purges a log that ends before the state does, and goes on from there";
    START_SNAPSHOT: "storage/helper.rs" get_initial_state, "takes the current snapshot, and builds one if entries are purged and none is left";
    START_REAPPLY: "storage/helper.rs" reapply_committed, "stops the node unless `a..b` gives every entry from the applied id to the committed one";
    START_MEMBERSHIP: "storage/helper.rs" get_membership, "takes the membership of the state, or the last two of the log, for the node's own";
    START_MEMBERSHIP_IN_LOG: "storage/helper.rs" last_membership_in_log, "looks for them in `a..b`, back from the log's end";
    START_LOG_IDS: "engine/log_id_list.rs" load_log_ids, "reads single entries, `a..=a`, from index 0 or the purge marker on, for their leaders";
    START_ENTRY: "storage/log_store_ext.rs" get_log_id, "stops the node unless `a..=a` gives the entry";
}

// It is initialized, and votes.
places! {
    INITIALIZE: "engine/engine_impl.rs" check_initialize, "refuses a node that has a log or a vote";
    SAVE_VOTE: "core/raft_core.rs" run_command, "answers for a vote as soon as `save_vote` has returned";
    GRANT_AGAIN: "engine/handler/vote_handler/mod.rs" update_vote, "grants a vote that is the node's own without saving it again";
    COMPARE_LOGS: "engine/engine_impl.rs" handle_vote_req, "grants a vote by the last id of the log";
    HOLD: "raft/mod.rs" new, "is given a store for one node, which then keeps vote and log ids in memory and reads them no more";
}

// Entries are written and replicated.
places! {
    APPEND: "core/raft_core.rs" append_to_log, "waits for the callback, stops the node at an error, and acknowledges the entries";
    APPEND_BATCH: "engine/handler/following_handler/mod.rs" do_append_entries, "appends in one call whatever came in one request";
    SKIP_KNOWN: "engine/handler/following_handler/mod.rs" append_entries, "acknowledges without a write what is in its list of ids";
    TRUNCATE: "engine/handler/following_handler/mod.rs" truncate_logs, "takes the log for truncated, and continues it there without a look";
    PURGE: "core/raft_core.rs" run_command, "takes the log for purged as soon as `purge` has returned";
    PURGE_BEYOND: "engine/handler/following_handler/mod.rs" install_full_snapshot, "purges up to the snapshot's end and appends after it";
    READERS: "core/raft_core.rs" spawn_replication_stream, "has a reader of the log for each follower, beside the writer";
    REPLICATE: "replication/mod.rs" send_log_entries, "sends what a limited read of `a..b` gives, goes on after its last entry, and stops the node at an error";
}

// They are applied.
places! {
    APPLY_READ: "core/raft_core.rs" apply_to_state_machine, "stops the node unless `a..b` gives its first and its last entry, and applies what comes";
    APPLY: "core/sm/worker.rs" apply, "hands every committed entry to the state machine once, and never looks at the state";
    REPLIES: "core/raft_core.rs" handle_apply_result, "takes one reply after the other, and panics where there is none";
    WORKER: "core/sm/worker.rs" worker_loop, "applies and installs in a task of its own, beside the log's";
}

// Snapshots are built, sent and installed.
places! {
    BUILD: "core/sm/worker.rs" build_snapshot, "makes a builder, lets it build in a task, and goes on applying and installing";
    TRIGGER: "engine/handler/snapshot_handler/mod.rs" trigger_snapshot, "has one built whatever was applied";
    BUILT: "engine/engine_impl.rs" finish_building_snapshot, "purges what the meta says that the snapshot covers";
    PURGE_UPTO: "engine/handler/log_handler/mod.rs" calc_purge_upto, "purges what the snapshot covers that was found when the node started";
    CURRENT: "core/sm/worker.rs" get_snapshot, "hands the current snapshot to each follower that is behind the log";
    SEND_CHUNKS: "network/snapshot_transport.rs" send_snapshot, "reads a handle by offsets, as long as it takes, one for each follower";
    RECEIVE: "network/snapshot_transport.rs" receive_snapshot, "tells transfers apart by the snapshot's id, begins each with a new handle, and never looks at the bytes";
    WRITE_CHUNK: "network/snapshot_transport.rs" receive, "writes where the last chunk ended, or seeks first, and leaves the handle there";
    INSTALL: "engine/handler/following_handler/mod.rs" install_full_snapshot, "takes the meta for what the state is from now on";
    INSTALLED: "core/sm/worker.rs" worker_loop, "acknowledges the snapshot as soon as `install_snapshot` has returned, and stops the node at an error";
}
