//! What a node returns: one error for each operation, with what it found and what it needs.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use openraft::error::{
    ChangeMembershipError, CheckIsLeaderError, Fatal, ForwardToLeader, RaftError,
};

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

/// Why leadership was not transferred to the node that was named. But for `NotConfirmed`, nothing changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TransferError {
    /// Only the leader gives leadership away.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// The node can't lead: it is a learner, or no member.
    #[error(
        "node {node_id} is not a voter, and only a voter can lead: {}. Name one of them, or make node {node_id} one \
         first", Voters(.voters)
    )]
    NotAVoter {
        /// The node.
        node_id: NodeId,
        /// Who could.
        voters: Vec<NodeId>,
    },
    /// The node's log lacks something that this node's had when the transfer was asked for, and it takes nothing
    /// on.
    #[error(
        "node {node_id} is not caught up, and made no progress for {waited:?}: its log is known to go to {}, entry \
         {expected} is needed. See whether it runs and can be reached, or name another",
        MaybeIndex(*.got)
    )]
    NotCaughtUp {
        /// The node.
        node_id: NodeId,
        /// Up to where its log is known to equal this node's; `None` if nothing is known.
        got: Option<u64>,
        /// Where this node's log ended when the transfer was asked for.
        expected: u64,
        /// How long nothing had moved.
        waited: Duration,
    },
    /// The node was caught up, and doesn't say now that it has the whole log: it can't be reached any more, or its
    /// disk is full.
    #[error(
        "node {node_id} doesn't take over: it hasn't said for {waited:?} that it has the whole log. See whether it \
         runs, can be reached and has room on its disk, or name another"
    )]
    NotTaken {
        /// The node.
        node_id: NodeId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Another transfer, or changes of the membership, were under way for all the time.
    #[error(
        "another transfer, or changes of the membership, were under way for {waited:?}: ask again later"
    )]
    Busy {
        /// How long the transfer waited for its turn.
        waited: Duration,
    },
    /// No quorum answered in time, so nobody could take over.
    #[error(
        "no quorum answered within {waited:?}, and without one nobody can take over: see whether a majority of the \
         voters runs and can be reached"
    )]
    NoQuorum {
        /// How long it was waited for.
        waited: Duration,
    },
    /// This node has given leadership away, and isn't known to have a successor: the node that was named, or too
    /// many of the others, fell silent at the last moment. This node campaigns, unless another leads already.
    /// Nothing that was acknowledged is lost.
    #[error(
        "node {node_id} was not confirmed as the leader within {waited:?}: see who leads before you ask again"
    )]
    NotConfirmed {
        /// Who was to take over.
        node_id: NodeId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The node stopped. Whether leadership was transferred is not known.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Renders who may lead.
struct Voters<'a>(&'a [NodeId]);

impl fmt::Display for Voters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("there is none"),
            [one] => write!(f, "node {one} is the only one"),
            [first @ .., last] => {
                f.write_str("nodes ")?;
                for (nth, id) in first.iter().enumerate() {
                    write!(f, "{}{id}", if nth > 0 { ", " } else { "" })?;
                }
                write!(f, " and {last} are")
            }
        }
    }
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

/// Why a leader could not hand over. It still shuts down; an election follows after a timeout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// There is no other voter.
    #[error("no other voter could take over")]
    Alone,
    /// No other voter caught up in time.
    #[error("no voter caught up within {waited:?}")]
    NoneCaughtUp {
        /// How long.
        waited: Duration,
    },
    /// Entries were appended meanwhile, or another leader took over.
    #[error("the log moved while leadership was handed over")]
    LogMoved,
    /// Too few voters granted the successor's vote, or it did not answer.
    #[error("node {successor} was not confirmed within {waited:?}")]
    NotConfirmed {
        /// Who was to take over.
        successor: NodeId,
        /// How long.
        waited: Duration,
    },
    /// The node stopped before.
    #[error("the node stopped before it could hand over")]
    Stopped,
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
