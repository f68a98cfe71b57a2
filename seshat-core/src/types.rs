//! The one place that spells openraft's generics.
//!
//! Everything else says [`Entry`], [`LogId`], [`Vote`] and so on, and means them for
//! [`TypeConfig`]. The names are openraft's own.

pub use openraft::BasicNode as Node;

use crate::operation::{Batch, EntryResponse};
use crate::snapshot::SnapshotData;

openraft::declare_raft_types!(
    /// Seshat's instance of openraft: batches of operations in, one response an operation out.
    pub TypeConfig:
        D = Batch,
        R = EntryResponse,
        NodeId = u64,
        Node = Node,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = SnapshotData,
);

/// Identifies a node within its cluster. Greater than 0 where a
/// [`NodeConfig`](crate::config::NodeConfig) names it.
pub type NodeId = u64;
/// One entry of the log.
pub type Entry = openraft::Entry<TypeConfig>;
/// Blank, a batch of operations, or a membership.
pub type EntryPayload = openraft::EntryPayload<TypeConfig>;
/// Term, leader and index of an entry.
pub type LogId = openraft::LogId<NodeId>;
/// Term and node of a leader.
pub type LeaderId = openraft::LeaderId<NodeId>;
/// The privilege a node has granted.
pub type Vote = openraft::Vote<NodeId>;
/// First and last of a log store.
pub type LogState = openraft::LogState<TypeConfig>;
/// Voters, learners, and where they are.
pub type Membership = openraft::Membership<NodeId, Node>;
/// A membership with the id of its entry.
pub type StoredMembership = openraft::StoredMembership<NodeId, Node>;
/// What openraft knows of a snapshot.
pub type SnapshotMeta = openraft::SnapshotMeta<NodeId, Node>;
/// A snapshot's meta and its bytes.
pub type Snapshot = openraft::Snapshot<TypeConfig>;
/// How a store tells openraft that it can't go on.
pub type StorageError = openraft::StorageError<NodeId>;
/// A [`StorageError`]'s subject, verb and source.
pub type StorageIOError = openraft::StorageIOError<NodeId>;
/// openraft's handle on a running node.
pub type Raft = openraft::Raft<TypeConfig>;
/// What a node reports of itself.
pub type RaftMetrics = openraft::RaftMetrics<NodeId, Node>;
/// Replicates entries.
pub type AppendEntriesRequest = openraft::raft::AppendEntriesRequest<TypeConfig>;
/// Answers [`AppendEntriesRequest`].
pub type AppendEntriesResponse = openraft::raft::AppendEntriesResponse<NodeId>;
/// Asks for a vote.
pub type VoteRequest = openraft::raft::VoteRequest<NodeId>;
/// Answers [`VoteRequest`].
pub type VoteResponse = openraft::raft::VoteResponse<NodeId>;
/// One chunk of a snapshot.
pub type InstallSnapshotRequest = openraft::raft::InstallSnapshotRequest<TypeConfig>;
/// Answers [`InstallSnapshotRequest`].
pub type InstallSnapshotResponse = openraft::raft::InstallSnapshotResponse<NodeId>;
/// Answers a whole snapshot.
pub type SnapshotResponse = openraft::raft::SnapshotResponse<NodeId>;
