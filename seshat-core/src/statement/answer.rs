//! Answers, judged by what was asked.

use openraft::LogIdOptionExt;

use super::outline::{Outline, There};
use super::{Implausible, Terms, entries};
use crate::types::{
    AppendEntriesRequest, AppendEntriesResponse, LogId, NodeId, SnapshotResponse, Vote,
    VoteRequest, VoteResponse,
};

/// The asker, and the terms that can be true by now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) me: NodeId,
    pub(crate) terms: Terms,
}

impl Asker {
    /// Whether it may be told that `got` is why it doesn't get its way. openraft: `update_vote` makes a
    /// leader of whoever is told its own vote, beside the one that it is.
    fn yields(self, asked: Vote, got: Vote) -> Result<(), Implausible> {
        self.terms.judge(got)?;
        if got > asked && got.leader_id.node_id != self.me {
            Ok(())
        } else {
            Err(Implausible::NotHigher { got, asked })
        }
    }

    /// # Errors
    /// Nobody that was asked for `request` can answer that.
    pub(crate) fn vote(
        self,
        request: &VoteRequest,
        answer: &VoteResponse,
    ) -> Result<(), Implausible> {
        let (asked, got) = (request.vote, answer.vote);
        if let Some(last) = answer.last_log_id {
            super::is_of(last, got)?;
        }
        // A lease, or a longer log, is a reason too. Another vote that is granted is none for openraft.
        if got > asked { self.yields(asked, got) } else { Ok(()) }
    }

    /// # Errors
    /// Nobody that was sent a snapshot by `asked` can answer that.
    pub(crate) fn snapshot(
        self,
        asked: Vote,
        answer: &SnapshotResponse,
    ) -> Result<(), Implausible> {
        // Who has all of it already may not have heard of the vote.
        if answer.vote > asked { self.yields(asked, answer.vote) } else { Ok(()) }
    }
}

/// What a request asks to store, without the entries.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    vote: Vote,
    prev: Option<LogId>,
    log: Outline,
}

impl Sent {
    pub(crate) fn of(request: &AppendEntriesRequest) -> Self {
        let (vote, prev) = (request.vote, request.prev_log_id);
        Self { vote, prev, log: prev.into_iter().chain(entries(request)).collect() }
    }

    /// Whether some of the entries can be stored up to `got`; all, where there are none. To match no
    /// more than was known is no progress; openraft's engine insists on some.
    fn has(&self, got: Option<LogId>) -> bool {
        let last = self.log.last();
        let more = got > self.prev || last == self.prev;
        more && got.map_or(last.is_none(), |got| self.log.at(got.index) == There::Known(got))
    }
}

/// What a node has acknowledged to the leader that this node is. openraft takes it for granted that
/// nobody forgets that (`ProgressEntry::update_conflicting`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Acknowledged {
    by: Vote,
    up_to: Option<LogId>,
}

impl Acknowledged {
    /// Notes that everything up to `up_to` was acknowledged to `vote`.
    pub(crate) fn note(&mut self, vote: Vote, up_to: Option<LogId>) {
        if vote > self.by {
            *self = Self { by: vote, up_to };
        } else if vote == self.by && up_to > self.up_to {
            self.up_to = up_to;
        }
    }

    /// Judges an answer, and notes what it acknowledges.
    ///
    /// # Errors
    /// Nobody that was asked for `sent` can answer that.
    pub(crate) fn judge(
        &mut self,
        asker: Asker,
        sent: &Sent,
        answer: &AppendEntriesResponse,
    ) -> Result<(), Implausible> {
        match answer {
            AppendEntriesResponse::Success => self.note(sent.vote, sent.log.last()),
            AppendEntriesResponse::PartialSuccess(got) => {
                if !sent.has(*got) {
                    return Err(Implausible::NotSent { got: *got });
                }
                self.note(sent.vote, *got);
            }
            AppendEntriesResponse::HigherVote(got) => return asker.yields(sent.vote, *got),
            AppendEntriesResponse::Conflict => {
                let acknowledged = self.up_to.filter(|_| self.by == sent.vote);
                // Nothing comes before the first entry to conflict with; else openraft: `unwrap`.
                if sent.prev.is_none() || sent.prev.index() <= acknowledged.index() {
                    return Err(Implausible::Forgotten { got: sent.prev, acknowledged });
                }
            }
        }
        Ok(())
    }
}
