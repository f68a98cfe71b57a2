//! [`Reading`]: entries that are partly in memory and partly on the disk, in one piece.
//!
//! Pure. Guarantees: what comes out is a part of the log as it was at the last look at it, without a hole,
//! beginning where the range does or where the log does: whatever was purged or truncated between two looks.

use std::ops::{Bound, Range};

use crate::log::{Log, entry_weight};
use crate::types::Entry;

/// Bytes that are read from the disk at once, unless one entry has more.
const AT_ONCE: usize = 4 << 20;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Reading {
    range: (Bound<u64>, Bound<u64>),
    /// What all may weigh, if it is more than one.
    max: usize,
    entries: Vec<Entry>,
    weight: usize,
}

impl Reading {
    pub(super) fn of(range: (Bound<u64>, Bound<u64>), max: usize) -> Self {
        Self { range, max, entries: Vec::new(), weight: 0 }
    }

    /// Takes what is in memory next. Returns what must be read from the disk before that can go on; `None`
    /// if all is there.
    pub(super) fn take_hot(&mut self, log: &Log) -> Option<Range<u64>> {
        let is_there = |entry: &Entry| log.log_id(entry.log_id.index) == Some(entry.log_id);
        if !self.entries.first().into_iter().chain(self.entries.last()).all(is_there) {
            self.begin_again();
        }
        let wanted = log.existing(self.range);
        let next = self.entries.last().map_or(wanted.start, |last| last.log_id.index + 1);
        if self.weight > self.max || next >= wanted.end {
            return None;
        }
        let cold = next..log.cold().end.min(wanted.end);
        if !cold.is_empty() {
            return Some(cold);
        }
        let count = log.within(next..wanted.end, self.max, &mut self.weight);
        self.entries.extend(log.entries(next..wanted.end).take(count));
        None
    }

    /// What was taken is none of the log any more.
    pub(super) fn begin_again(&mut self) {
        *self = Self::of(self.range, self.max);
    }

    /// Takes what was read from the disk.
    pub(super) fn take_cold(&mut self, read: Vec<Entry>) {
        for entry in read {
            let first = self.entries.is_empty();
            self.weight = self.weight.saturating_add(entry_weight(&entry));
            if self.weight > self.max && !first {
                break;
            }
            self.entries.push(entry);
        }
    }

    /// Bytes that may be read at once.
    pub(super) fn room(&self) -> u64 {
        // Encoded, an entry has no more bytes than it weighs, or few more.
        self.max.saturating_sub(self.weight).min(AT_ONCE) as u64
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}
