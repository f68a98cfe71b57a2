//! What changes of the membership return.

use std::time::Duration;

use openraft::error::ChangeMembershipError;

use super::{DiskFull, Leader, MaybeIndex, MaybeLeader, NotLeader, Stopped};
use crate::types::NodeId;

/// Why a membership did not change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MembershipError {
    /// Only the leader changes the membership. Nothing was done, but that a node that was to be
    /// waited for may be a learner.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// A node's log lacks something that this node's had when the change was asked for, and it takes
    /// nothing on. It wasn't made a voter: nothing was proposed. It is a learner still, or now, and is
    /// sent the log when it can be reached; ask again then, or remove it.
    #[error(
        "node {node_id} is not caught up, and made no progress for {waited:?}: its log is known to go to {}, entry {expected} is needed",
        MaybeIndex(*.got)
    )]
    NotCaughtUp {
        /// The node.
        node_id: NodeId,
        /// Up to where its log is known to equal this node's; `None` if nothing is known.
        got: Option<u64>,
        /// Where this node's log ended when the change was asked for.
        expected: u64,
        /// How long nothing had moved.
        waited: Duration,
    },
    /// Another change was under way, or others were waiting before this one, for all the time. Nothing
    /// was done.
    #[error("other changes of the membership were under way for {waited:?}")]
    Busy {
        /// How long the change waited for its turn.
        waited: Duration,
    },
    /// A node reads less than the cluster writes, or is about to. Nothing was done: start a newer version
    /// of it.
    #[error("node {node_id} reads format {got}, the cluster writes {expected}")]
    Format {
        /// The node.
        node_id: NodeId,
        /// The newest format that it reads.
        got: u32,
        /// The newest that it would be sent.
        expected: u32,
    },
    /// openraft refused it, for example because a node to be a voter was never added, or because nobody
    /// would vote. Nothing was done.
    #[error("the membership can't be changed")]
    Refused(#[from] ChangeMembershipError<NodeId>),
    /// This node lost leadership while the change was under way. It may still take place, or not; a
    /// configuration that is joint is ended by the next leader.
    #[error("leadership was lost, whether the membership will change is not known: {}", MaybeLeader(.leader))]
    Deposed {
        /// Who leads now, if it is known.
        leader: Option<Leader>,
    },
    /// This node's disk is full. Nothing was proposed; of a change that takes several steps, some may have been
    /// made.
    #[error(transparent)]
    DiskFull(#[from] DiskFull),
    /// No quorum answered in time. The change goes on, and may still take place later.
    #[error("no quorum within {waited:?}: whether the membership will change is not known")]
    NoQuorum {
        /// How long the change waited.
        waited: Duration,
    },
    /// The node stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
