//! The codec: every message, valid and invalid, from known and from hostile hands.
//!
//! With the environment variable `SESHAT_LONG` set, the tests of `hostile` run a million cases
//! each instead of thousands. That takes minutes, so run it with `cargo test --release`:
//!
//! ```text
//! SESHAT_LONG=1 cargo test --release -p seshat-core --test codec hostile
//! ```

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Debug;

use seshat_core::codec::{
    FormatsRequest, FormatsResponse, FullSnapshotPart, Message, SnapshotOffsetRequest,
    SnapshotOffsetResponse, StandingRequest, StandingResponse,
};
use seshat_core::log::HardState;
use seshat_core::operation::{Batch, Operation, Response};
use seshat_core::snapshot::Header;
use seshat_core::types::{
    AppendEntriesRequest, AppendEntriesResponse, Entry, InstallSnapshotRequest,
    InstallSnapshotResponse, LogId, Membership, SnapshotMeta, SnapshotResponse, StoredMembership,
    Vote, VoteRequest, VoteResponse,
};

/// Calls `$then` with every message that can be compared with `==`, named as its strategy in
/// [`arbitrary`] is.
macro_rules! comparable_messages {
    ($then:ident $($more:tt)*) => {
        $then! {
            operation: Operation,
            batch: Batch,
            response: Response,
            log_id: LogId,
            vote: Vote,
            hard_state: HardState,
            entry: Entry,
            membership: Membership,
            stored_membership: StoredMembership,
            snapshot_meta: SnapshotMeta,
            header: Header,
            append_entries_response: AppendEntriesResponse,
            vote_request: VoteRequest,
            vote_response: VoteResponse,
            install_snapshot_request: InstallSnapshotRequest,
            install_snapshot_response: InstallSnapshotResponse,
            full_snapshot_part: FullSnapshotPart,
            snapshot_response: SnapshotResponse,
            snapshot_offset_request: SnapshotOffsetRequest,
            snapshot_offset_response: SnapshotOffsetResponse,
            standing_request: StandingRequest,
            standing_response: StandingResponse,
            formats_request: FormatsRequest,
            formats_response: FormatsResponse,
            $($more)*
        }
    };
}

/// Calls `$then` with every type that implements [`Message`].
macro_rules! every_message {
    ($then:ident) => {
        comparable_messages!($then append_entries_request: AppendEntriesRequest,);
    };
}

mod arbitrary;
mod hostile;
mod invalid;
mod parity;
mod roundtrip;
mod sharing;
mod unknown;

/// A message that can be compared, even where openraft's type has no `PartialEq`.
trait Comparable: Message + Debug {
    fn same(&self, other: &Self) -> bool;
}

macro_rules! compare_with_eq {
    ($($name:ident: $type:ty,)*) => {
        $(impl Comparable for $type {
            fn same(&self, other: &Self) -> bool {
                self == other
            }
        })*
    };
}
comparable_messages!(compare_with_eq);

impl Comparable for AppendEntriesRequest {
    fn same(&self, other: &Self) -> bool {
        self.vote == other.vote
            && self.prev_log_id == other.prev_log_id
            && self.entries == other.entries
            && self.leader_commit == other.leader_commit
    }
}
