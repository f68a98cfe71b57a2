//! One group's part of the log: what its frames come to, and where its entries lie. Pure.
//!
//! Invariants:
//!
//! 1. Entries `first_index..next_index` are the log; each lies in the last frame that begins no later.
//! 2. `first_index` is one past the purge marker, or where the first entry ever stood.
//! 3. Frames ascend by place and by first index, and each begins before `next_index`.
//!
//! The index takes [`BYTES_PER_FRAME`] for each frame of entries that isn't purged, whatever they hold.

use std::collections::VecDeque;
use std::ops::Range;

use super::error::Illegal;
use super::record::Change;
use crate::proto::v1;

/// What the index takes for a frame of entries, in bytes.
pub const BYTES_PER_FRAME: usize = size_of::<FrameAt>();

/// Where a frame lies. Ordered as the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Sequence of its segment.
    pub(super) segment: u64,
    /// Where it begins there.
    pub(super) offset: u32,
    /// Bytes of the whole frame.
    pub(super) len: u32,
}

impl Place {
    /// Whether it is the same frame, as it was or grown.
    fn begins_where(&self, other: &Self) -> bool {
        (self.segment, self.offset) == (other.segment, other.offset)
    }
}

/// A frame of entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameAt {
    pub(super) first: u64,
    pub(super) place: Place,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Group {
    state: v1::GroupState,
    frames: VecDeque<FrameAt>,
    /// Entries before this index are in no frame that is there. Matters where they aren't purged.
    absent_before: u64,
}

impl Group {
    pub(super) fn new(group: u32) -> Self {
        Self::resume(v1::GroupState { group, ..v1::GroupState::default() })
    }

    /// A group as a checkpoint has it, without the entries before.
    pub(super) fn resume(state: v1::GroupState) -> Self {
        Self { absent_before: state.next_index, state, frames: VecDeque::new() }
    }

    pub(super) fn state(&self) -> &v1::GroupState {
        &self.state
    }

    /// The indexes of the entries.
    pub(super) fn indexes(&self) -> Range<u64> {
        self.state.first_index..self.state.next_index
    }

    /// Entries that should be there and are not.
    pub(super) fn absent(&self) -> Option<Range<u64>> {
        let absent = self.state.first_index..self.absent_before.min(self.state.next_index);
        (!absent.is_empty()).then_some(absent)
    }

    /// The sequence of the first segment that it needs entries of.
    pub(super) fn needs(&self) -> Option<u64> {
        self.frames.front().map(|frame| frame.place.segment)
    }

    /// Whether the change continues what is there.
    #[inline]
    pub(super) fn check(&self, change: &Change) -> Result<(), Illegal> {
        let Range { start, end } = self.indexes();
        match *change {
            Change::Entries { first, count } => {
                let begins = start == end && self.state.purged.is_none();
                if first != end && !begins {
                    return Err(Illegal::NotConsecutive { got: first, expected: end });
                }
                // One is added to the last index.
                let last = first.checked_add(u64::from(count)).filter(|_| count > 0);
                last.map(drop).ok_or(Illegal::Count { first, count })
            }
            Change::Truncate(since) => match self.state.purged {
                Some(purged) if since <= purged.index => {
                    Err(Illegal::Purged { got: since, purged: purged.index })
                }
                _ => Ok(()),
            },
            Change::Vote(_)
            | Change::Purge(_)
            | Change::Committed(_)
            | Change::Snapshot(_)
            | Change::Probation(_) => Ok(()),
        }
    }

    /// Makes a change that [passed](Group::check), said by the frame at `place`.
    #[inline]
    pub(super) fn apply(&mut self, change: Change, place: Place) {
        match change {
            Change::Entries { first, count } => {
                if self.indexes().is_empty() && self.state.purged.is_none() {
                    self.state.first_index = first;
                    self.absent_before = first;
                }
                match self.frames.back_mut().filter(|last| last.place.begins_where(&place)) {
                    Some(last) => last.place = place,
                    None => self.frames.push_back(FrameAt { first, place }),
                }
                self.state.next_index = first + u64::from(count);
            }
            Change::Vote(vote) => self.state.vote = Some(vote),
            Change::Truncate(since) => self.truncate(since),
            Change::Purge(upto) => self.purge(upto),
            Change::Committed(log_id) => self.state.committed = log_id,
            Change::Snapshot(pointer) => self.state.snapshot = Some(*pointer),
            Change::Probation(probation) => self.state.probation = Some(probation),
        }
    }

    fn truncate(&mut self, since: u64) {
        let Range { start, end } = self.indexes();
        let end = since.clamp(start, end);
        self.state.next_index = end;
        self.absent_before = self.absent_before.min(end);
        self.frames.truncate(self.frames.partition_point(|frame| frame.first < end));
    }

    fn purge(&mut self, upto: v1::LogId) {
        let Range { start, end } = self.indexes();
        let next = upto.index.saturating_add(1);
        // Up to before where it begins is no news, unless it is empty and never had a marker.
        if next < start && (start < end || self.state.purged.is_some()) {
            return;
        }
        if next == start && self.state.purged.is_some() {
            return;
        }
        self.state.purged = Some(upto);
        self.state.first_index = next;
        if start == end || next >= end {
            self.state.next_index = next;
            self.frames.clear();
            // Whatever comes is in frames to come, also where the log goes back to begin earlier.
            self.absent_before = self.absent_before.min(next);
        } else {
            let begun = self.frames.partition_point(|frame| frame.first <= next);
            self.frames.drain(..begun.saturating_sub(1));
        }
        // Give memory back once most of it is unused, seldom enough to cost nothing.
        if self.frames.capacity() / 4 > self.frames.len() {
            self.frames.shrink_to(self.frames.len() * 2);
        }
    }

    /// The first entry of the last frames that take so many bytes, or of all; one past the last if there is none.
    pub(super) fn tail(&self, bytes: u64) -> u64 {
        let mut taken = 0;
        let newest = self.frames.iter().rev().take_while(|frame| {
            let before = taken;
            taken += u64::from(frame.place.len);
            before < bytes
        });
        let Range { start, end } = self.indexes();
        newest.last().map_or(end, |frame| frame.first.max(start))
    }

    /// The frames that entries of `range` lie in, each with the indexes that are to be taken from it.
    pub(super) fn frames(&self, range: Range<u64>) -> impl Iterator<Item = (FrameAt, Range<u64>)> {
        let indexes = self.indexes();
        let range = range.start.max(indexes.start)..range.end.min(indexes.end);
        let from = self.frames.partition_point(|frame| frame.first <= range.start);
        let frames = self.frames.range(from.saturating_sub(1)..);
        let ends = frames.clone().skip(1).map(|next| next.first).chain([indexes.end]);
        frames.zip(ends).map_while(move |(frame, end)| {
            let taken = frame.first.max(range.start)..end.min(range.end);
            (!taken.is_empty()).then_some((*frame, taken))
        })
    }
}
