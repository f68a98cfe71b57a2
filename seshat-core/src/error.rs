//! What a node returns: one error for each operation, with what it found and what it needs.

mod leadership;
mod membership;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use openraft::error::{CheckIsLeaderError, Fatal, ForwardToLeader, RaftError};

pub use self::leadership::{HandoverError, TransferError};
pub use self::membership::MembershipError;
use crate::machine::TooLong;
use crate::metrics::Reason;
use crate::operation::LimitError;
use crate::types::{Node, NodeId, RaftMetrics, StorageError};

/// Who leads, as far as the node that was asked knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its id.
    pub id: NodeId,
    /// Where it is; `None` if the membership doesn't say.
    pub address: Option<String>,
}

impl fmt::Display for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(f, "node {} at {address}", self.id),
            None => write!(f, "node {}, address unknown", self.id),
        }
    }
}

/// Renders `None` as well.
struct MaybeLeader<'a>(&'a Option<Leader>);

impl fmt::Display for MaybeLeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(leader) => write!(f, "ask {leader}"),
            None => write!(f, "no leader is known, try again later"),
        }
    }
}

/// Renders `None` as well.
struct MaybeIndex(Option<u64>);

impl fmt::Display for MaybeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(index) => write!(f, "entry {index}"),
            None => f.write_str("no entry"),
        }
    }
}

/// Only the leader can do what was asked. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this node is not the leader: {}", MaybeLeader(.leader))]
pub struct NotLeader {
    /// Who can, if it is known.
    pub leader: Option<Leader>,
}

impl NotLeader {
    /// Of a node that reports this of itself.
    pub(crate) fn of(metrics: &RaftMetrics) -> Self {
        let membership = metrics.membership_config.membership();
        // A leader that openraft let go of as no member any more has its own vote still.
        let leader = metrics.current_leader.filter(|id| *id != metrics.id).map(|id| Leader {
            id,
            address: membership.get_node(&id).map(|node| node.addr.clone()),
        });
        Self { leader }
    }
}

impl From<ForwardToLeader<NodeId, Node>> for NotLeader {
    fn from(forward: ForwardToLeader<NodeId, Node>) -> Self {
        let address = forward.leader_node.map(|node| node.addr);
        Self { leader: forward.leader_id.map(|id| Leader { id, address }) }
    }
}

/// The node can't go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Stopped {
    /// It was shut down.
    #[error("the node is shut down")]
    ShutDown,
    /// Its storage failed; openraft stops then, lest it does harm.
    #[error("the node stopped because its storage failed")]
    Storage(#[source] Box<StorageError>),
    /// It panicked, or its runtime ended.
    #[error("the node stopped because of a panic")]
    Panicked,
}

impl From<Fatal<NodeId>> for Stopped {
    fn from(fatal: Fatal<NodeId>) -> Self {
        match fatal {
            Fatal::StorageError(error) => Self::Storage(Box::new(error)),
            Fatal::Panicked => Self::Panicked,
            Fatal::Stopped => Self::ShutDown,
        }
    }
}

/// A node's disk has no room for what is to be stored there. Nothing was done, and nothing is wrong with what
/// is there: the node votes, reads and hears its leader. It takes writes again, by itself, when there is room;
/// if another voter has some, that one leads meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disk of node {node_id} is full: its log needs a file of {needed} bytes. Make room there, and it takes \
     writes again by itself; until then ask another node"
)]
pub struct DiskFull {
    /// The node.
    pub node_id: NodeId,
    /// What the log needs for what comes next, in bytes.
    pub needed: u64,
}

/// Why an operation has no response.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProposeError {
    /// The operation is beyond the limits. Nothing was proposed.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Nothing was proposed.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// This node lost leadership while the operation was under way. Its entry is overwritten
    /// here, but a node that kept it may lead one day (Raft paper, figure 8): the operation may
    /// still be applied later, or never.
    #[error("leadership was lost, whether the operation will be applied is not known: {}", MaybeLeader(.leader))]
    Deposed {
        /// Who leads now, if it is known.
        leader: Option<Leader>,
    },
    /// No quorum answered in time. The operation may still be applied later, or never.
    #[error("no quorum within {waited:?}: whether the operation will be applied is not known")]
    NoQuorum {
        /// How long the proposal waited.
        waited: Duration,
    },
    /// This node leads, but no quorum has been heard from for longer than the maximal election timeout:
    /// another leader may have been elected. Nothing was proposed; ask again later, or elsewhere.
    #[error("no quorum was heard from for {silent_for:?}: nothing is taken until one is")]
    QuorumLost {
        /// For how long at least, but for one and a half heartbeat intervals.
        silent_for: Duration,
    },
    /// More was waiting than the node may hold, for all the time, or was in the log without a quorum's
    /// answer. Nothing was proposed.
    #[error("the queue was full for {waited:?}: {queue_bytes} bytes of proposals are waiting")]
    QueueFull {
        /// How long the proposal waited for a place.
        waited: Duration,
        /// What the queue holds at most.
        queue_bytes: usize,
    },
    /// The cluster doesn't write that yet, because not every member would read it
    /// ([`Operation::format`](crate::operation::Operation::format)). Nothing was proposed.
    #[error("{operation} needs format {got}, the cluster writes {expected}: {}", MaybeHeld(.held))]
    Format {
        /// The operation's name.
        operation: &'static str,
        /// The format that it needs.
        got: u32,
        /// The newest that the cluster writes, as far as this node has applied it.
        expected: u32,
        /// What keeps it there; `None` where that wasn't known for `propose_timeout`.
        held: Option<HeldBack>,
    },
    /// This node leads, and its disk is full. Nothing was proposed.
    #[error(transparent)]
    DiskFull(#[from] DiskFull),
    /// The node stopped. Whether the operation will be applied is not known.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The state machine broke its contract. The operation was applied.
    #[error("the state machine answered {got} of {expected} operations")]
    Unanswered {
        /// Responses it gave.
        got: usize,
        /// Operations in the entry.
        expected: usize,
    },
}

impl ProposeError {
    /// As it is counted.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Limit(_) => Reason::Limit,
            Self::NotLeader(_) => Reason::NotLeader,
            Self::Deposed { .. } => Reason::Deposed,
            Self::NoQuorum { .. } => Reason::NoQuorum,
            Self::QuorumLost { .. } => Reason::QuorumLost,
            Self::QueueFull { .. } => Reason::QueueFull,
            Self::Format { .. } => Reason::Format,
            Self::DiskFull(_) => Reason::DiskFull,
            Self::Stopped(_) => Reason::Stopped,
            Self::Unanswered { .. } => Reason::Unanswered,
        }
    }
}

/// What keeps the cluster from writing a newer format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeldBack {
    /// A member reads no newer one.
    #[error("node {node_id} reads up to format {format}")]
    Reads {
        /// The member.
        node_id: NodeId,
        /// The newest that it reads.
        format: u32,
    },
    /// A member [was told](crate::config::NodeConfig::max_format) to hold it.
    #[error("node {node_id} holds it at format {format} (max_format)")]
    Holds {
        /// The member.
        node_id: NodeId,
        /// The newest that it agrees to.
        format: u32,
    },
    /// A member doesn't say what it reads.
    #[error("node {node_id} doesn't say what it reads")]
    Silent {
        /// The member.
        node_id: NodeId,
    },
}

/// Renders `None` as well.
struct MaybeHeld<'a>(&'a Option<HeldBack>);

impl fmt::Display for MaybeHeld<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(held) => held.fmt(f),
            None => f.write_str("what all members read is being found out"),
        }
    }
}

/// Why a linearizable read, or any read, has no result.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Only the leader can tell what is committed.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// No quorum confirmed in time that this node still leads.
    #[error("no quorum within {waited:?} confirmed that this node leads")]
    NoQuorum {
        /// How long the read waited.
        waited: Duration,
    },
    /// The node stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// What was asked for is more than is answered at once.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The state machine could not be read.
    #[error("the state could not be read")]
    Storage(#[source] Box<dyn Error + Send + Sync>),
}

/// Why no snapshot was built. What was there before is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// There is nothing that it could hold.
    #[error("node {node_id} has no state yet: nothing has been applied")]
    NothingApplied {
        /// The node.
        node_id: NodeId,
    },
    /// There is no room for it.
    #[error(transparent)]
    DiskFull(#[from] DiskFull),
    /// It was built, and isn't there any more.
    #[error("node {node_id} built a snapshot, and has none now: ask again")]
    Gone {
        /// The node.
        node_id: NodeId,
    },
    /// The node stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a cluster was not initialized.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InitializeError {
    /// The node has a log or has voted: it belongs to a cluster already. Harmless.
    #[error(
        "node {node_id} already belongs to a cluster: it has voted {vote} and its last entry is {last:?}"
    )]
    AlreadyInitialized {
        /// The node.
        node_id: NodeId,
        /// Its vote.
        vote: crate::types::Vote,
        /// Its last entry.
        last: Option<crate::types::LogId>,
    },
    /// The members don't include the node. Can't happen with a valid configuration.
    #[error("node {node_id} is not among the initial members")]
    NotAMember {
        /// The node.
        node_id: NodeId,
    },
    /// The node stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// openraft refuses the configuration. Can't happen with a valid one.
    #[error("openraft refuses the configuration")]
    Config(#[source] openraft::ConfigError),
    /// What is stored could not be read, or makes no sense.
    #[error("node {node_id} could not start from its storage")]
    Stopped {
        /// The node.
        node_id: NodeId,
        /// What happened.
        #[source]
        source: Stopped,
    },
}

/// What was waited for did not happen in time.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WaitError {
    /// Too late.
    #[error("node {node_id} waited {waited:?} in vain for: {what}")]
    Timeout {
        /// The node.
        node_id: NodeId,
        /// What it waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
    },
    /// The node stopped meanwhile.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl ReadError {
    pub(crate) fn from_raft(
        error: RaftError<NodeId, CheckIsLeaderError<NodeId, Node>>,
        waited: Duration,
    ) -> Self {
        match error {
            RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)) => {
                NotLeader::from(forward).into()
            }
            RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => {
                Self::NoQuorum { waited }
            }
            RaftError::Fatal(fatal) => Stopped::from(fatal).into(),
        }
    }
}
