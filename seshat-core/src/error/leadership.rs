//! What giving leadership away returns: to a node that was named, or to whoever can take it.

use std::fmt;
use std::time::Duration;

use super::{MaybeIndex, NotLeader, Stopped};
use crate::types::NodeId;

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
