//! [`Told`]: what a node has been told by those that led, and what it has of it.

use std::sync::Arc;

use openraft::{EffectiveMembership, LogIdOptionExt};

use super::outline::{Outline, There};
use super::{Implausible, entries, entry_at, reach};
use crate::types::{AppendEntriesRequest, EntryPayload, LogId, Node, NodeId, SnapshotMeta, Vote};

type Effective = Arc<EffectiveMembership<NodeId, Node>>;

/// What openraft knows at one instant, at which it follows another node.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Its vote.
    pub(crate) vote: Vote,
    /// The last entry that is committed.
    pub(crate) committed: Option<LogId>,
    /// The membership that openraft takes for committed: the last but one in the log, if there is one
    /// behind it, whatever is committed (`membership_state/mod.rs`). It never undoes that one.
    pub(crate) membership: Effective,
    /// The last membership in the log.
    pub(crate) effective: Option<LogId>,
    /// The last entry of the log.
    pub(crate) last: Option<LogId>,
}

impl Facts {
    /// The last entry that openraft won't undo.
    fn settled(&self) -> Option<LogId> {
        let membership = *self.membership.log_id();
        if membership.index() > self.committed.index() { membership } else { self.committed }
    }
}

/// What a node has been told. True as long as everything that its openraft is told passes here, one
/// after the other: while a node follows another, nothing else changes its log or what is committed.
///
/// It keeps up with what is said as usual, without a question to openraft. What is unusual leaves it
/// without [facts](Facts), and they are to be asked for anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    facts: Option<Facts>,
    outline: Outline,
}

impl Told {
    /// Whether it has facts of a node that follows `vote`.
    pub(crate) fn follows(&self, vote: Vote) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.vote == vote)
    }

    /// Takes what was asked for.
    pub(crate) fn learn(&mut self, facts: Facts) {
        let has = [facts.committed, *facts.membership.log_id(), facts.effective];
        let settled = facts.committed;
        // A snapshot may have brought a membership that the log never had.
        let has = has.into_iter().flatten().filter(|id| Some(*id) >= settled);
        self.outline.learn(facts.last, has);
        self.facts = Some(facts);
        self.prune();
    }

    /// What is committed, and who said so; for those who check.
    #[cfg(test)]
    pub(crate) fn committed(&self) -> Option<(Vote, Option<LogId>)> {
        self.facts.as_ref().map(|facts| (facts.vote, facts.committed))
    }

    fn prune(&mut self) {
        if let Some(committed) = self.facts.as_ref().and_then(|facts| facts.committed) {
            self.outline.forget_before(committed.index);
        }
    }

    /// Judges a request of the leader that is followed, which passed [`append`](super::append), and
    /// reduces what it says is committed to what it says of the log: the least of the two, as the Raft
    /// paper has it (figure 2, AppendEntries, rule 5). Nothing if that isn't new, or can't be verified;
    /// what comes behind it will say it again.
    ///
    /// # Errors
    /// It contradicts what is committed.
    pub(crate) fn judge(&self, request: &mut AppendEntriesRequest) -> Result<(), Implausible> {
        let Some(facts) = &self.facts else { return Ok(()) };
        // openraft: `has_log_id` takes what is committed for given and asserts only that it isn't
        // less; `truncate_logs`, `MembershipState::truncate`. The log store refuses what descends.
        if let Some(settled) = facts.settled() {
            let said = request.prev_log_id.into_iter().chain(entries(request));
            for id in said.take_while(|id| id.index <= settled.index) {
                self.agrees(id, facts.committed)?;
            }
        }
        request.leader_commit = self.attested(request, facts.committed)?;
        Ok(())
    }

    fn agrees(&self, got: LogId, committed: Option<LogId>) -> Result<(), Implausible> {
        let contradicts = |expected| Err(Implausible::Contradicts { got, expected });
        if let Some(committed) = committed
            && got.index < committed.index
        {
            // What lies deeper is known no better.
            return if got.leader_id > committed.leader_id {
                contradicts(committed)
            } else {
                Ok(())
            };
        }
        match self.outline.at(got.index) {
            There::Known(expected) if expected != got => contradicts(expected),
            There::Between(before, _) if got.leader_id < before.leader_id => contradicts(before),
            There::Between(_, after) if got.leader_id > after.leader_id => contradicts(after),
            There::Known(_) | There::Between(..) | There::Before | There::Nothing => Ok(()),
        }
    }

    /// What the request may commit. openraft: `commit_entries` applies up to its index whatever the log
    /// has there, and holds on to the id.
    fn attested(
        &self,
        request: &AppendEntriesRequest,
        committed: Option<LogId>,
    ) -> Result<Option<LogId>, Implausible> {
        let (Some(got), Some(reach)) = (request.leader_commit, reach(request)) else {
            return Ok(None);
        };
        let got = if got.index > reach.index { reach } else { got };
        if Some(got.index) <= committed.index() {
            return Ok(None);
        }
        match entry_at(request, got.index) {
            Some(expected) if expected == got => return Ok(Some(got)),
            Some(expected) => return Err(Implausible::Committed { got, expected }),
            None => {}
        }
        match self.outline.at(got.index) {
            There::Known(expected) if expected == got => Ok(Some(got)),
            There::Known(expected) => Err(Implausible::Committed { got, expected }),
            There::Between(..) | There::Before | There::Nothing => Ok(None),
        }
    }

    /// What is so once openraft has taken a request that was judged.
    pub(crate) fn taken(mut self, request: &AppendEntriesRequest) -> Self {
        let Some(facts) = &mut self.facts else { return Self::default() };
        let committed = facts.committed;
        facts.committed = request.leader_commit.or(committed);
        let usual = request.prev_log_id == self.outline.last();
        let said = request.prev_log_id.into_iter().chain(entries(request));
        let mut known = true;
        if usual {
            entries(request).for_each(|id| self.outline.push(id));
        } else {
            let news = |id: &LogId| committed.is_none_or(|committed| id.index > committed.index);
            for id in said.filter(news) {
                match self.outline.at(id.index) {
                    There::Known(there) if there == id => continue,
                    // The others behind it are gone, or may be.
                    There::Known(_) => self.outline.cut(id.index),
                    There::Nothing => {}
                    There::Between(..) | There::Before => {
                        known = false;
                        self.outline.cut(id.index);
                    }
                }
                known &=
                    id.index == self.outline.last().next_index() || self.outline.last().is_none();
                self.outline.push(id);
            }
        }
        facts.last = self.outline.last();
        let memberships = request
            .entries
            .iter()
            .any(|entry| matches!(entry.payload, EntryPayload::Membership(_)));
        self.prune();
        if !known || !usual || memberships {
            self.facts = None;
        }
        self
    }

    /// What is so once openraft has found that `prev` isn't in its log: what was there is gone, and all
    /// behind it.
    pub(crate) fn conflicted(mut self, prev: Option<LogId>) -> Self {
        if let Some(prev) = prev
            && Some(prev.index) <= self.outline.last().index()
        {
            self.outline.cut(prev.index);
            self.facts = None;
        }
        self
    }

    /// What is so once openraft has refused for another vote: as before, but who leads.
    pub(crate) fn deposed(mut self) -> Self {
        self.facts = None;
        self
    }

    /// Judges a snapshot of the leader that is followed, which passed [`snapshot`](super::snapshot).
    /// Returns from where on the log contradicts it: that must go before, as openraft undoes either all
    /// that isn't committed or nothing.
    ///
    /// # Errors
    /// It contradicts what is committed.
    pub(crate) fn judge_snapshot(&self, meta: &SnapshotMeta) -> Result<Option<u64>, Implausible> {
        let (Some(facts), Some(got)) = (&self.facts, meta.last_log_id) else { return Ok(None) };
        // openraft: `install_full_snapshot` goes by the ids, and `purge` by the index.
        if let Some(expected) = facts.committed
            && (got.index <= expected.index) != (got <= expected)
        {
            return Err(Implausible::Contradicts { got, expected });
        }
        if Some(got) <= facts.committed {
            return Ok(None);
        }
        // openraft: `MembershipState::update_committed`, where one behind the snapshot stays.
        let here = &facts.membership;
        let membership = &meta.last_membership;
        if let Some(at) = *membership.log_id()
            && facts.effective.index() > Some(got.index)
            && here.log_id() == membership.log_id()
            && here.membership() != membership.membership()
        {
            return Err(Implausible::OtherMembership { at });
        }
        // openraft: `LogIdList::purge`, and `truncate_logs` of what isn't committed.
        let newer = self.outline.newer_than(got).filter(|newer| newer.index < got.index);
        let other = match self.outline.at(got.index) {
            There::Known(there) if there != got => Some(there),
            _ => None,
        };
        let Some(wrong) = newer.or(other) else { return Ok(None) };
        match facts.settled() {
            Some(expected) if wrong.index <= expected.index => {
                Err(Implausible::Contradicts { got, expected })
            }
            _ => Ok(Some(wrong.index)),
        }
    }
}
