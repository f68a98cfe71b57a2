//! Whose entries these are. A leader appends many in a row, so it is kept once for all of them.

use std::collections::VecDeque;
use std::ops::Range;

use crate::types::{LeaderId, LogId};

/// The leader of every entry of a log, and of no other. Both parts of a reign ascend strictly from
/// one to the next.
#[derive(Debug, Default)]
pub(super) struct Leaders(VecDeque<Reign>);

/// Ends where the next one begins.
#[derive(Debug)]
struct Reign {
    since: u64,
    leader_id: LeaderId,
}

impl Leaders {
    /// The entry that comes next, whose leader isn't older than that of the one before.
    pub(super) fn push(&mut self, LogId { leader_id, index }: LogId) {
        if self.0.back().is_none_or(|last| last.leader_id != leader_id) {
            self.0.push_back(Reign { since: index, leader_id });
        }
    }

    /// Whether there is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The leader of the last entry.
    pub(super) fn last(&self) -> Option<LeaderId> {
        self.0.back().map(|reign| reign.leader_id)
    }

    /// The leaders of the entries from `index` on, and more of the last one's for ever. Means
    /// nothing before the first entry.
    pub(super) fn from(&self, index: u64) -> impl Iterator<Item = LeaderId> {
        let mut now = self.0.partition_point(|reign| reign.since <= index).saturating_sub(1);
        (0..).map(move |further| {
            let next = self.0.get(now + 1);
            if next.is_some_and(|next| next.since <= index.saturating_add(further)) {
                now += 1;
            }
            self.0.get(now).map(|reign| reign.leader_id).unwrap_or_default()
        })
    }

    /// There are no other entries any more.
    pub(super) fn keep(&mut self, indexes: Range<u64>) {
        if indexes.is_empty() {
            return self.0.clear();
        }
        self.0.truncate(self.0.partition_point(|reign| reign.since < indexes.end));
        let begun = self.0.partition_point(|reign| reign.since <= indexes.start);
        self.0.drain(..begun.saturating_sub(1));
    }

    /// Whether they ascend, and rule those entries. For tests.
    pub(super) fn valid(&self, indexes: Range<u64>) -> bool {
        let ascend = |a: &&Reign, b: &&Reign| a.since < b.since && a.leader_id < b.leader_id;
        let begin = |next: usize| self.0.get(next).is_some_and(|it| it.since <= indexes.start);
        self.0.iter().is_sorted_by(ascend)
            && self.0.back().is_none_or(|last| last.since < indexes.end)
            && begin(0) != indexes.is_empty()
            && !begin(1)
    }
}
