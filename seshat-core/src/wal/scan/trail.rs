//! [`Trail`]: what is left of one group in a log with holes. Pure.
//!
//! Guarantees: what is certain is what the log had. Frames that are lost may have taken entries back and put
//! others in their place, so what stood before a hole is in doubt behind it, unless it was known to be
//! committed, or an entry of the same term stands behind the hole: a leader never takes back what it wrote, and
//! where two logs have the same entry, all before it is the same (Raft paper, section 5.3, Log Matching).

use std::ops::Range;

use crate::proto::v1;
use crate::wal::group::Place;
use crate::wal::record::Change;

/// Who made an entry: its term, and the node.
pub(crate) type Leader = (u64, u64);

/// Consecutive entries that lie in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Index of the first entry in the frame, whether it is still in the log or not.
    pub(crate) begins: u64,
    /// The entries of it that are in the log.
    pub(crate) first: u64,
    /// One past the last of them.
    pub(crate) end: u64,
    /// Entries before this index are what the log had; the others may have been taken back.
    pub(crate) certain_before: u64,
    /// Of the entry before `end`; `None` if that isn't known, or those behind it were taken back.
    last: Option<Leader>,
    pub(in crate::wal) place: Place,
}

impl Stretch {
    /// Tells its frame from all others: segment and offset.
    pub(crate) fn place(&self) -> (u64, u32) {
        (self.place.segment, self.place.offset)
    }
}

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail {
    /// As far as it is known.
    pub(crate) state: v1::GroupState,
    /// Ascending, without overlap.
    pub(crate) stretches: Vec<Stretch>,
}

impl Trail {
    pub(super) fn new(group: u32) -> Self {
        let state = v1::GroupState { group, ..v1::GroupState::default() };
        Self { state, stretches: Vec::new() }
    }

    /// What a checkpoint says, which knows more than what was read before.
    pub(super) fn resume(&mut self, state: v1::GroupState) {
        self.cut(state.next_index);
        for known in [state.committed, state.purged].into_iter().flatten() {
            self.confirm(leader(&known), known.index);
        }
        self.state = state;
        self.purge();
    }

    /// Entries of which that leader made the last are in the log; `None` in place of `place` if they are lost.
    pub(super) fn append(
        &mut self,
        entries: Range<u64>,
        last: Option<Leader>,
        place: Option<Place>,
    ) {
        let Range { start: first, end } = entries;
        self.cut(first);
        last.iter().for_each(|leader| self.confirm(*leader, end));
        if self.stretches.is_empty() && self.state.purged.is_none() {
            let empty = self.state.first_index == self.state.next_index;
            self.state.first_index = if empty { first } else { self.state.first_index.min(first) };
        }
        self.state.next_index = end;
        let stretch =
            |place| Stretch { begins: first, first, end, certain_before: end, last, place };
        self.stretches.extend(place.map(stretch));
    }

    /// Makes a change that brings no entries.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Entries { .. } => {}
            Change::Vote(vote) => self.state.vote = Some(vote),
            Change::Truncate(since) => {
                self.cut(since);
                self.state.next_index = self.state.next_index.min(since);
            }
            Change::Purge(upto) => {
                let next = upto.index.saturating_add(1);
                self.state.purged = Some(upto);
                self.state.first_index = next;
                self.state.next_index = self.state.next_index.max(next);
                self.purge();
            }
            Change::Committed(log_id) => {
                self.state.committed = log_id;
                log_id.iter().for_each(|id| self.confirm(leader(id), id.index));
            }
            Change::Snapshot(pointer) => self.state.snapshot = Some(*pointer),
            Change::Probation(probation) => self.state.probation = Some(probation),
        }
    }

    /// Frames are lost, and nobody knows what they said.
    pub(super) fn doubt(&mut self) {
        let committed = self.state.committed.map_or(0, |id| id.index.saturating_add(1));
        for stretch in &mut self.stretches {
            let certain = committed.clamp(stretch.first, stretch.end);
            stretch.certain_before = stretch.certain_before.min(certain);
        }
    }

    /// The log has an entry of that leader at that index, or before it.
    fn confirm(&mut self, leader: Leader, index: u64) {
        let same = |it: &Stretch| it.last == Some(leader) && it.end <= index.saturating_add(1);
        let known = self.stretches.iter().rposition(same).map_or(0, |last| last + 1);
        for stretch in self.stretches.iter_mut().take(known) {
            stretch.certain_before = stretch.end;
        }
    }

    fn cut(&mut self, since: u64) {
        self.stretches.retain_mut(|stretch| {
            if since < stretch.end {
                (stretch.end, stretch.last) = (since, None);
            }
            stretch.certain_before = stretch.certain_before.min(stretch.end);
            stretch.first < stretch.end
        });
    }

    fn purge(&mut self) {
        let first = self.state.first_index;
        self.stretches.retain_mut(|stretch| {
            stretch.first = stretch.first.max(first);
            stretch.certain_before = stretch.certain_before.max(stretch.first);
            stretch.first < stretch.end
        });
    }

    /// Entries that should be in the log and aren't, or may be others.
    pub(crate) fn missing(&self) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        let mut next = self.state.first_index;
        let certain = self.stretches.iter().map(|it| it.first..it.certain_before);
        for there in certain.chain([self.state.next_index..self.state.next_index]) {
            if there.start > next {
                missing.push(next..there.start);
            }
            next = next.max(there.end);
        }
        missing
    }
}

fn leader(id: &v1::LogId) -> Leader {
    (id.term, id.node_id)
}
