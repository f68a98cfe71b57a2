//! [`Marks`]: where in the log how many bytes were applied, and up to where it may be purged.
//!
//! Guarantees: what is purged leaves at least the bytes to keep behind every snapshot, as far as they
//! were applied since the node started, and at most a [`PARTS`]th more, or the size of one entry. Holds
//! some [`PARTS`] marks, however long the log is.

use std::collections::VecDeque;

/// How finely what is to be kept is measured.
const PARTS: u64 = 64;

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) index: u64,
    /// Applied up to there, the entry at `index` included, since the node started.
    pub(super) bytes: u64,
}

/// A snapshot, and up to where the log may be purged once it is there.
#[derive(Debug, Clone, Copy)]
struct View {
    snapshot: Position,
    purge: Option<Position>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Marks {
    keep: u64,
    /// The last applied entry; `None` before the first.
    applied: Option<Position>,
    /// Ascending. All but the first have less than `keep` behind them.
    marks: VecDeque<Position>,
    /// Of snapshots that openraft doesn't know yet.
    views: VecDeque<View>,
    /// Of the last that it knows.
    known: Option<View>,
}

impl Marks {
    pub(super) fn new(keep: u64) -> Self {
        let (marks, views) = (VecDeque::new(), VecDeque::new());
        Self { keep, applied: None, marks, views, known: None }
    }

    /// The state ends there, whatever was applied before: when the node starts, or by a snapshot.
    pub(super) fn restart(&mut self, index: u64) {
        let start = Position { index, bytes: self.applied.map_or(0, |last| last.bytes) };
        self.applied = Some(start);
        self.marks = VecDeque::from([start]);
        self.views.clear();
        self.known = Some(View { snapshot: start, purge: None });
    }

    /// The next entry, of so many bytes.
    pub(super) fn apply(&mut self, index: u64, bytes: u64) {
        let before = self.applied.map_or(0, |last| last.bytes);
        let now = Position { index, bytes: before.saturating_add(bytes) };
        self.applied = Some(now);
        let last = self.marks.back().map_or(0, |mark| mark.bytes);
        if now.bytes - last >= self.keep / PARTS {
            self.marks.push_back(now);
        }
        while self.marks.get(1).is_some_and(|next| now.bytes - next.bytes >= self.keep) {
            self.marks.pop_front();
        }
    }

    /// A snapshot of what is applied now is being built.
    pub(super) fn view(&mut self) {
        let Some(snapshot) = self.applied else { return };
        let enough = |mark: &Position| snapshot.bytes - mark.bytes >= self.keep;
        let purge = match self.keep {
            0 => Some(snapshot),
            _ => self.marks.front().copied().filter(enough),
        };
        self.views.push_back(View { snapshot, purge });
    }

    /// The last one that was begun won't be.
    pub(super) fn view_failed(&mut self) {
        self.views.pop_back();
    }

    /// Whether openraft may yet come to know one.
    pub(super) fn expects_snapshot(&self) -> bool {
        !self.views.is_empty()
    }

    /// openraft has the snapshot up to `index`.
    pub(super) fn snapshot(&mut self, index: u64) {
        while self.views.front().is_some_and(|view| view.snapshot.index <= index) {
            self.known = self.views.pop_front();
        }
    }

    /// Up to where the log may be purged, for all that is to be kept behind the last snapshot.
    pub(super) fn purge(&self) -> Option<Position> {
        self.known?.purge
    }

    /// Where a snapshot ends. One that isn't known any more has everything behind it.
    pub(super) fn position(&self, index: u64) -> Position {
        let views = self.known.iter().chain(&self.views);
        let mut found = views.map(|view| view.snapshot).filter(|at| at.index == index);
        found.next().unwrap_or(Position { index, bytes: 0 })
    }
}

#[cfg(test)]
impl Marks {
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }
}
