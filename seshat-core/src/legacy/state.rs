//! Log ids and hard states.

use crate::codec::{DecodeError, counter};
use crate::log::{HardState, Log};
use crate::proto::eraftpb;
use crate::types::{LeaderId, LogId, Vote};

/// Term and index under the node id 0: see the [module](super).
pub(super) fn log_id(term: u64, index: u64, message: &'static str) -> Result<LogId, DecodeError> {
    let term = counter(term, message, "term")?;
    let index = counter(index, message, "index")?;
    Ok(LogId::new(LeaderId::new(term, 0), index))
}

/// Whom a node voted for. Never committed: see the [module](super).
///
/// Term 0 without a vote is none at all; in a later term a node that voted for nobody has given
/// its vote to node 0.
///
/// # Errors
/// A term beyond what openraft counts.
pub fn vote(state: &eraftpb::HardState) -> Result<Option<Vote>, DecodeError> {
    let term = counter(state.term, "eraftpb.HardState", "term")?;
    Ok((term != 0 || state.vote != 0).then(|| Vote::new(term, state.vote)))
}

/// The entry of `log` that was the last to be known as committed. Index 0 is none, unless the log
/// was purged beyond it.
///
/// # Errors
/// It is neither in the log nor the last one purged, which raft-rs doesn't start from either.
pub fn committed(state: &eraftpb::HardState, log: &Log) -> Result<Option<LogId>, CommittedError> {
    let bounds = log.state();
    let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
    let (got, first) = (state.commit, index(bounds.last_purged_log_id));
    if got == 0 && first == 0 {
        return Ok(None);
    }
    if got == first {
        return Ok(bounds.last_purged_log_id);
    }
    let entry = log.entries(got..=got).next();
    let last = index(bounds.last_log_id);
    entry.map(|entry| Some(entry.log_id)).ok_or(CommittedError { got, first, last })
}

impl From<&HardState> for eraftpb::HardState {
    /// Dropped are whether the vote is committed, and of the committed entry all but its index.
    fn from(state: &HardState) -> Self {
        let vote = state.vote.unwrap_or_default();
        Self {
            term: vote.leader_id.term,
            vote: vote.leader_id.node_id,
            commit: state.committed.map_or(0, |id| id.index),
        }
    }
}

/// What is committed isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("committed up to {got}, expected an index from {first} to {last}")]
pub struct CommittedError {
    /// The index.
    pub got: u64,
    /// The last one before the log.
    pub first: u64,
    /// The last one in the log.
    pub last: u64,
}
