//! What another node says, judged as a statement: whether it can be true, beyond being well formed.
//!
//! openraft takes for granted that its peers are openraft. What no such peer can say panics in it,
//! or comes to a storage that can't take it, and stops the node for good. So nothing gets to openraft
//! that wasn't judged here: requests by themselves ([`append`], [`vote`], [`snapshot`]), then by what
//! the node [has been told](Told) before; answers by what was [asked](answer).
//!
//! Guarantees: what passes breaks none of the assumptions that openraft 0.9.25 makes of it (each rule
//! names its own), and contradicts nothing that is committed here. Whatever an honest node says
//! passes. Pure: no lock, no clock, no I/O; the cost is a pass over the log ids.
//!
//! What a peer that lies can still do is what any leader can: depose another, replace what isn't
//! committed, commit what it likes behind what is.

pub(crate) mod answer;
mod named;
mod outline;
#[cfg(test)]
mod tests;
mod told;

use std::time::Duration;

use openraft::LogIdOptionExt;

pub(crate) use self::named::Named;
pub(crate) use self::told::{Facts, Told};
use crate::types::{
    AppendEntriesRequest, Entry, EntryPayload, LogId, NodeId, SnapshotMeta, Vote, VoteRequest,
};

/// No log gets there; beyond, openraft's sums overflow.
const MAX_INDEX: u64 = 1 << 62;
/// Where no log has an entry: a request for a vote that asks with an AppendEntries (see
/// `node/handover.rs`) says that its entries follow this one.
pub(crate) const NOWHERE: u64 = u64::MAX - 1;
/// More elections than a cluster holds in its life, for a node whose clock stands.
const LEEWAY: u64 = 1 << 40;
/// Of a membership: the old voters and the new (Raft paper, section 6).
const MAX_CONFIGS: usize = 2;

/// The highest term that can be true: a term is the number of an election, and there can't have been
/// more of them than milliseconds since 1970.
///
/// An election takes longer than a millisecond, so the bound runs away from whatever term it let
/// through: nobody can bring a node, or a cluster, to a term after which there is none. A fixed bound
/// couldn't say that of itself, and a bound on the jump would lock out a node that campaigned alone
/// for long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    max: u64,
}

impl Terms {
    /// At this time after 1970.
    pub(crate) fn at(time: Duration) -> Self {
        let elections = u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
        Self { max: LEEWAY.saturating_add(elections).min(u64::MAX / 2) }
    }

    /// # Errors
    /// The term can't have been reached.
    pub(crate) fn judge(self, vote: Vote) -> Result<(), Implausible> {
        let (got, max) = (vote.leader_id.term, self.max);
        if got > max { Err(Implausible::Term { got, max }) } else { Ok(()) }
    }
}

/// Why something can't be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Implausible {
    /// So many elections can't have been held. openraft adds one.
    #[error("term {got}: no more than {max} elections can have been held")]
    Term {
        /// The term.
        got: u64,
        /// The most.
        max: u64,
    },
    /// No log gets there.
    #[error("entry {got}: no log gets beyond index {max}")]
    Index {
        /// The entry's id.
        got: LogId,
        /// The last index that is taken.
        max: u64,
    },
    /// Who replicates leads, and isn't the node that it replicates to.
    #[error("the vote {got} is not another leader's: this is node {me}")]
    NoLeader {
        /// The vote.
        got: Vote,
        /// The node that was told.
        me: NodeId,
    },
    /// This node was asked to vote for itself, or to take another for elected.
    #[error("the vote {got} is none to ask node {me} for")]
    NoCandidate {
        /// The vote.
        got: Vote,
        /// The node that was asked.
        me: NodeId,
    },
    /// Nobody has an entry of a leader that comes after its own vote.
    #[error("entry {got} is newer than the vote {vote}")]
    NewerThanVote {
        /// The entry's id.
        got: LogId,
        /// The vote.
        vote: Vote,
    },
    /// The entry doesn't follow the one before it.
    #[error("entry {got} does not follow: expected index {expected}")]
    NotConsecutive {
        /// The entry's id.
        got: LogId,
        /// The index that it should have.
        expected: u64,
    },
    /// The leaders of a log's entries never go back.
    #[error("entry {got} has an older leader than {previous}, which comes before it")]
    Descends {
        /// The entry's id.
        got: LogId,
        /// The entry before it.
        previous: LogId,
    },
    /// Something else is committed there.
    #[error("{got} contradicts what is settled here: {expected}")]
    Contradicts {
        /// What was said.
        got: LogId,
        /// What the node has.
        expected: LogId,
    },
    /// An entry is said to be committed, and the log is said to have another there.
    #[error("{got} is said to be committed, where the log has {expected}")]
    Committed {
        /// What is said to be committed.
        got: LogId,
        /// The entry there.
        expected: LogId,
    },
    /// A membership has one set of voters, or two while it changes.
    #[error("the membership of entry {at} has {configs} sets of voters, one or two are expected")]
    Configs {
        /// The entry's id.
        at: LogId,
        /// How many there are.
        configs: usize,
    },
    /// A snapshot's membership is one that it covers, or none.
    #[error("a snapshot up to {last} can't hold the membership of {got:?}")]
    Membership {
        /// The id of the membership.
        got: Option<LogId>,
        /// The last entry covered.
        last: LogId,
    },
    /// Two memberships have the same id.
    #[error("the membership of {at} is another one here")]
    OtherMembership {
        /// Its id.
        at: LogId,
    },
    /// A vote was refused for another that isn't higher, or is the asker's own.
    #[error("the vote {got} is none to refuse {asked} for")]
    NotHigher {
        /// The vote of the answer.
        got: Vote,
        /// The vote of the request.
        asked: Vote,
    },
    /// Some of the entries are said to be stored, up to one that wasn't among them.
    #[error("{got:?} is said to be stored, which was not sent")]
    NotSent {
        /// Up to where.
        got: Option<LogId>,
    },
    /// The peer doesn't have what it said that it had.
    #[error("{got:?} is said to conflict, and {acknowledged:?} was acknowledged before")]
    Forgotten {
        /// What conflicts.
        got: Option<LogId>,
        /// What was acknowledged.
        acknowledged: Option<LogId>,
    },
}

fn entries(request: &AppendEntriesRequest) -> impl Iterator<Item = LogId> + '_ {
    request.entries.iter().map(|entry| entry.log_id)
}

/// Up to where a log goes that has all of the request.
fn reach(request: &AppendEntriesRequest) -> Option<LogId> {
    request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id)
}

/// Whether the request is about the vote alone, and does nothing to a log whatever that holds.
pub(crate) fn is_only_vote(request: &AppendEntriesRequest) -> bool {
    let nowhere = request.prev_log_id.is_none_or(|prev| prev.index == NOWHERE);
    nowhere && request.entries.is_empty() && request.leader_commit.is_none()
}

/// Judges AppendEntries to node `me` by itself. The term is judged by [`Terms`].
///
/// # Errors
/// The request can't be a leader's.
pub(crate) fn append(me: NodeId, request: &AppendEntriesRequest) -> Result<(), Implausible> {
    let AppendEntriesRequest { vote, prev_log_id: prev, leader_commit, .. } = request;
    let vote = *vote;
    if is_only_vote(request) {
        // Asks for a vote by a conflict, before which openraft asserts nothing. Without one it does:
        // `update_accepted` of a vote that isn't committed.
        let conflicts = prev.is_some();
        let asks = !vote.committed && conflicts;
        let leads = vote.committed && vote.leader_id.node_id != me;
        return if asks || leads { Ok(()) } else { Err(Implausible::NoLeader { got: vote, me }) };
    }
    // openraft: `update_accepted`, `become_leader`.
    if !vote.committed || vote.leader_id.node_id == me {
        return Err(Implausible::NoLeader { got: vote, me });
    }
    // openraft: `following_handler/mod.rs`, `append_entries`; the log store takes nothing else.
    let mut previous = *prev;
    for entry in &request.entries {
        follows(previous, entry.log_id)?;
        has_configs(entry)?;
        previous = Some(entry.log_id);
    }
    // Ascending, so that the last speaks for all. openraft: `Leader::new`, once this node leads.
    let last = reach(request);
    last.into_iter().chain(*leader_commit).try_for_each(|id| is_of(id, vote))?;
    commits(request)
}

fn follows(previous: Option<LogId>, got: LogId) -> Result<(), Implausible> {
    let expected = previous.next_index();
    if got.index != expected {
        return Err(Implausible::NotConsecutive { got, expected });
    }
    match previous {
        Some(previous) if got.leader_id < previous.leader_id => {
            Err(Implausible::Descends { got, previous })
        }
        _ => Ok(()),
    }
}

fn has_configs(entry: &Entry) -> Result<(), Implausible> {
    let EntryPayload::Membership(membership) = &entry.payload else { return Ok(()) };
    match membership.get_joint_config().len() {
        1..=MAX_CONFIGS => Ok(()),
        configs => Err(Implausible::Configs { at: entry.log_id, configs }),
    }
}

fn is_of(got: LogId, vote: Vote) -> Result<(), Implausible> {
    if got.leader_id > vote.leader_id {
        return Err(Implausible::NewerThanVote { got, vote });
    }
    if got.index > MAX_INDEX {
        return Err(Implausible::Index { got, max: MAX_INDEX });
    }
    Ok(())
}

/// Entry `index` of the log that the request tells of, as far as it tells.
fn entry_at(request: &AppendEntriesRequest, index: u64) -> Option<LogId> {
    let next = request.prev_log_id.next_index();
    match index.checked_sub(next) {
        Some(place) => request.entries.get(usize::try_from(place).ok()?).map(|entry| entry.log_id),
        None => request.prev_log_id.filter(|prev| prev.index == index),
    }
}

/// What is said to be committed fits the log that is told of: in one log, who comes later has no older
/// leader.
fn commits(request: &AppendEntriesRequest) -> Result<(), Implausible> {
    let (Some(got), Some(reach)) = (request.leader_commit, reach(request)) else { return Ok(()) };
    let expected = match entry_at(request, got.index) {
        Some(expected) if expected == got => return Ok(()),
        Some(expected) => expected,
        None if got.index > reach.index && got.leader_id >= reach.leader_id => return Ok(()),
        None => match request.prev_log_id {
            Some(prev) if got.index < prev.index && got.leader_id <= prev.leader_id => {
                return Ok(());
            }
            _ => reach,
        },
    };
    Err(Implausible::Committed { got, expected })
}

/// Judges a request for a vote to node `me` by itself. The term is judged by [`Terms`]. One for the
/// node itself passes if it says that it was elected: see `node/handover.rs`.
///
/// # Errors
/// Nobody can ask for that vote.
pub(crate) fn vote(me: NodeId, request: &VoteRequest) -> Result<(), Implausible> {
    let vote = request.vote;
    // Whoever is elected says so by AppendEntries, but for the node itself.
    if vote.committed != (vote.leader_id.node_id == me) {
        return Err(Implausible::NoCandidate { got: vote, me });
    }
    request.last_log_id.map_or(Ok(()), |last| is_of(last, vote))
}

/// Judges a snapshot for node `me` by itself. The term is judged by [`Terms`].
///
/// # Errors
/// No leader can have that snapshot.
pub(crate) fn snapshot(me: NodeId, vote: Vote, meta: &SnapshotMeta) -> Result<(), Implausible> {
    if !vote.committed || vote.leader_id.node_id == me {
        return Err(Implausible::NoLeader { got: vote, me });
    }
    let (got, configs) =
        (*meta.last_membership.log_id(), meta.last_membership.membership().get_joint_config());
    let Some(last) = meta.last_log_id else {
        // Covers nothing, which openraft never installs.
        return Ok(());
    };
    is_of(last, vote)?;
    // openraft: `MembershipState::update_committed`, `MembershipState::validate`.
    let fits = match got {
        Some(at) => at.index <= last.index && at.leader_id <= last.leader_id,
        None => true,
    };
    let most = if got.is_some() { 1..=MAX_CONFIGS } else { 0..=0 };
    if !fits || !most.contains(&configs.len()) {
        return Err(Implausible::Membership { got, last });
    }
    Ok(())
}
