//! The rules by which a node that remembers nothing takes part.
//!
//! A member that lost its vote and its log could vote twice in a term, and would lack entries that
//! it acknowledged. So a node whose storage is empty asks every member of its configuration before
//! it answers anybody, and goes by the first of these that holds:
//!
//! 1. A leader that a quorum confirmed does not have it for a member: it is new, or was removed. It
//!    [waits](Verdict::Waits) to be added.
//! 2. Such a leader has it for a member, and never heard of its present process before it had voted
//!    or had a log itself: it [lost its memory](Verdict::LostMemory), and must not take part.
//! 3. Everybody heard of its present process before they had voted or had a log themselves, said so
//!    twice in a row, each from one process, and it has heard of everybody: it
//!    [founds](Verdict::Founds) the cluster with them. Between the two answers there was an instant
//!    at which nobody had a memory that is older than its process, so that nothing can be owed to
//!    an earlier one. Once is not enough: who had forgotten everything when it answered may have
//!    been added to the cluster since, while others were removed and forget in their turn.
//! 4. Such a leader has it for a member, and did hear of it: it is a founder that is
//!    [late](Verdict::IsLate).
//!
//! Before all of these: where such a leader writes a newer format than the node reads, the node ends
//! ([`newer`]). To take part, it would have to read what it can't.
//!
//! Else it asks again. Of several leaders, that with the greatest vote counts. That a leader's word
//! comes before that of all founders, and that a removal counts once it is committed, spares who
//! operates a cluster a surprise; nothing would be lost without.
//!
//! # Probation
//!
//! What a confirmed leader says is true of what it had committed, and of nothing before. A member
//! that was cut off while the asker was removed still counts it for a voter, and who has an empty
//! log grants everybody's vote. So whoever takes part on a leader's word (1 and 4) is on
//! [`Probation`], from before it answers anybody:
//!
//! - it refuses every leader older than that one, whose vote it stores;
//! - it votes for nobody, and does not campaign, until its log has what that leader had committed.
//!
//! That is enough. Let L be the leader, and E its last committed entry, which is of L's own term.
//! Every later leader has E (Raft paper, section 5.4), and nobody older is let in, so the node's log,
//! which was empty, has E or nothing at E's index, and with E all before it. Whoever wins its vote from
//! then on has E, and with E the removal of the node's earlier life. And a candidate without E that
//! holds a promise of the earlier life, even one that is still under way, fails by E's quorum, in which
//! neither life took part.
//!
//! Nor does it need to wait until its own log has it for a voter. A log that is sent from its start
//! holds memberships of the earlier life, which must not count; and of two that added a third, one
//! may fail before the third has that entry, whose vote is needed then. A node that has E
//! votes by its log, as learners and members do. Since nothing that is committed goes away, it may
//! do so for good, and a look at its log is no race with what it does next.
//!
//! # Probation, and a disk
//!
//! On storage that outlives the process the probation does too: it is durable before the node stores L's vote,
//! and so before it takes part or holds an entry ([`Probations`](crate::storage::Probations)). A node that is
//! killed before that has nothing, and asks anew. One that is killed later is on the same probation from
//! before it answers anybody, if its log lacks E; L's word is as true as it was, for the node has promised
//! nothing since. And one that has E is on none, by the same look at the log, so that nothing is kept of a
//! probation's end: there is no moment at which the storage could say that it is over and the log, after a
//! power cut, that it isn't. All that a restart can take from the node is what no disk keeps: whom it heard
//! of, and that makes it ask again.
//!
//! # Guarantees, and what they assume
//!
//! No two leaders in a term, and no acknowledged write lost, however messages are delayed or lost
//! and members cut off, removed, restarted and added, as long as fewer than half of the voters of
//! any membership in use have forgotten it at once. The unit tests search that, with these rules as
//! they are, in a small abstract Raft: all that a few crashes, restarts, elections, writes and changes of
//! membership can come to. They show for each rule what happens without it.
//!
//! A node can only ask those that its configuration names: where the members have changed since, so
//! must the configurations. Storage must either keep everything, a probation too, or nothing: one that
//! keeps what is on probation without that would pass for one that remembers.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::codec::{Leadership, StandingResponse};
use crate::storage::Probation;
use crate::types::NodeId;

/// How many processes of one member are told apart. A member is restarted a few times at most before
/// its cluster is formed; what goes beyond comes from a stranger that uses its id.
const PROCESSES: usize = 8;

/// What follows from the answers of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The cluster doesn't have the node for a member. It may take part, on that probation.
    Waits(Probation),
    /// The cluster is new, and so are all of its members. It may take part.
    Founds,
    /// The others formed the cluster with it. It may take part, on that probation; which it can't end
    /// alone, should it be needed to elect another leader before this one has sent it anything.
    IsLate(Probation),
    /// The leader has it for a member, of which it remembers nothing. It must not take part.
    LostMemory {
        /// The leader.
        asked: NodeId,
    },
    /// Nobody can tell yet.
    AskAgain,
}

/// What one process knows of the others, and they of it.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    others: BTreeSet<NodeId>,
    /// Processes of others that were heard of while this node had no vote and no log, the oldest
    /// first.
    heard: BTreeMap<NodeId, VecDeque<u64>>,
    /// Whether this node can be a founder. Not where the cluster was formed without it: that it
    /// knows nothing says nothing about what others were promised.
    founder: bool,
    /// Who heard of this process, and as which process, by the last round of answers.
    heard_by: BTreeMap<NodeId, u64>,
    /// Who ever heard of it. What was said once stays true.
    ever_heard_by: BTreeSet<NodeId>,
}

impl Applicant {
    /// One of `others`' fellow members, or one that joins them.
    pub(crate) fn new(others: BTreeSet<NodeId>, joining: bool) -> Self {
        Self {
            others,
            heard: BTreeMap::new(),
            founder: !joining,
            heard_by: BTreeMap::new(),
            ever_heard_by: BTreeSet::new(),
        }
    }

    /// Process `incarnation` of node `id` asks. `formed`: whether this node has a vote or a log.
    /// Whether it learned of somebody new by it.
    pub(crate) fn hear(&mut self, id: NodeId, incarnation: u64, formed: bool) -> bool {
        if formed || !self.founder || !self.others.contains(&id) {
            return false;
        }
        let heard = self.heard.entry(id).or_default();
        if heard.contains(&incarnation) {
            return false;
        }
        let is_news = heard.len() < PROCESSES;
        if !is_news {
            heard.pop_front();
        }
        heard.push_back(incarnation);
        is_news
    }

    /// Whether that process was heard of while this node could still be told anything.
    pub(crate) fn has_heard(&self, id: NodeId, incarnation: u64) -> bool {
        self.founder && self.heard.get(&id).is_some_and(|heard| heard.contains(&incarnation))
    }

    /// What follows from a round of answers, all to questions that were asked after the last
    /// round's answers were there.
    pub(crate) fn conclude(&mut self, answers: &[(NodeId, StandingResponse)]) -> Verdict {
        let heard_by: BTreeMap<NodeId, u64> = answers
            .iter()
            .filter(|(id, answer)| answer.heard && self.others.contains(id))
            .map(|(id, answer)| (*id, answer.incarnation))
            .collect();
        self.ever_heard_by.extend(heard_by.keys());
        let together = self.founder
            && self
                .others
                .iter()
                .all(|id| heard_by.contains_key(id) && self.heard.contains_key(id))
            && self.heard_by == heard_by;
        self.heard_by = heard_by;

        match leader(answers) {
            Some((_, member, leadership)) if !member => {
                self.founder = false;
                Verdict::Waits(Probation { leadership })
            }
            Some((asked, ..)) if !self.ever_heard_by.contains(&asked) => {
                Verdict::LostMemory { asked }
            }
            _ if together => Verdict::Founds,
            Some((.., leadership)) => Verdict::IsLate(Probation { leadership }),
            None => Verdict::AskAgain,
        }
    }
}

/// What node `id` leads by, if it does: its own vote, and a last committed entry of its own, so that
/// every later leader has all that it has committed.
pub(crate) fn proven(id: NodeId, leadership: Leadership) -> Option<Leadership> {
    let Leadership { vote, committed } = leadership;
    let own = vote.committed && vote.leader_id.node_id == id;
    (own && committed.leader_id == vote.leader_id).then_some(leadership)
}

/// The leader that was confirmed, and what it writes, if that is a newer format than `reads`. A cluster's
/// format never falls, so that what was true once stays true.
pub(crate) fn newer(answers: &[(NodeId, StandingResponse)], reads: u32) -> Option<(NodeId, u32)> {
    let (asked, ..) = leader(answers)?;
    let mut writes = answers.iter().filter(|(id, _)| *id == asked).map(|(_, answer)| answer.writes);
    writes.find(|writes| *writes > reads).map(|writes| (asked, writes))
}

/// The newest leader that was confirmed, and whether it has the asker for a member.
fn leader(answers: &[(NodeId, StandingResponse)]) -> Option<(NodeId, bool, Leadership)> {
    let leads = |(id, answer): &(NodeId, StandingResponse)| {
        let leadership = answer.leadership.filter(|_| answer.confirmed)?;
        Some((*id, answer.member, proven(*id, leadership)?))
    };
    answers.iter().filter_map(leads).max_by_key(|(.., leadership)| leadership.vote.leader_id)
}
