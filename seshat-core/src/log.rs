//! The log: entries from the purge marker on, without a hole.
//!
//! Pure and synchronous. Invariants, asserted by [`Log::valid`]:
//!
//! 1. The payload at place `i` belongs to the entry with index `hot + i`: no hole (openraft
//!    requirements R1, R14, R16, R18). Nothing else says what its index is.
//! 2. Leader ids never descend, so log ids ascend strictly.
//! 3. `first` is one past the purge marker. Without a marker it is 0, except in a log that was
//!    told to [begin elsewhere](Log::begin_at).
//!
//! 4. Entries `first..hot` are in the log, and what they hold is elsewhere. There are none, `hot` is `first`,
//!    in a log that never [cooled](Log::cool): one that is in memory and nowhere else.
//!
//! Every operation checks first and changes nothing on error.

mod bounded;
mod error;
mod leaders;
mod payload;
mod store;
mod weight;

use std::collections::VecDeque;
use std::ops::{Bound, Range, RangeBounds};

pub(crate) use self::bounded::{BoundedLog, Gone};
pub use self::error::{AppendError, BeginError, PurgeError, TruncateError};
use self::leaders::Leaders;
use self::payload::Payload;
pub use self::store::LogStore;
pub(crate) use self::store::{PURGED_AT_ONCE, REPLICATION_BYTES, skip_purged};
pub(crate) use self::weight::{OPERATION_OVERHEAD, entry_weight, weight};
use crate::operation::Batch;
use crate::types::{Entry, LogId, LogState, Vote};

/// What a node must not forget beside its entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HardState {
    /// `None` on a node that never voted.
    pub vote: Option<Vote>,
    /// The last entry known to be committed.
    pub committed: Option<LogId>,
    /// The last entry that was purged.
    pub purged: Option<LogId>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Log {
    payloads: VecDeque<Payload>,
    leaders: Leaders,
    first: u64,
    hot: u64,
    purged: Option<LogId>,
}

impl Log {
    /// The last purged id and the last id; the latter falls back to the former (R6, R39).
    pub fn state(&self) -> LogState {
        LogState { last_purged_log_id: self.purged, last_log_id: self.last_log_id() }
    }

    /// The id of the last entry, or of the last purged one if there is none.
    pub fn last_log_id(&self) -> Option<LogId> {
        // Who leads the last entry tells that there is one, so the next index isn't 0.
        let last = self.leaders.last();
        last.map(|leader_id| LogId::new(leader_id, self.next_index() - 1)).or(self.purged)
    }

    /// The index that the next entry must have.
    pub fn next_index(&self) -> u64 {
        self.hot + self.payloads.len() as u64
    }

    fn indexes(&self) -> Range<u64> {
        self.first..self.next_index()
    }

    /// Entries in the log.
    pub fn len(&self) -> usize {
        // No more than were ever appended.
        (self.next_index() - self.first) as usize
    }

    /// Whether there is no entry, purged ones aside.
    pub fn is_empty(&self) -> bool {
        self.indexes().is_empty()
    }

    /// A log whose entries are elsewhere, and in `cold`: there is one unless that is empty. `reigns` are the ids of
    /// those that each of their leaders began with.
    ///
    /// # Errors
    /// A leader is no newer than the one before.
    fn resume(
        cold: Range<u64>,
        reigns: Vec<LogId>,
        purged: Option<LogId>,
    ) -> Result<Self, AppendError> {
        let mut log = Self { first: cold.start, hot: cold.end, purged, ..Self::default() };
        let mut last = purged;
        for got in reigns {
            check_append(last, got, got.index)?;
            log.leaders.push(got);
            last = Some(got);
        }
        Ok(log)
    }

    /// The entries of `range` that exist, in order (R40, R41), but for [cold](Log::cold) ones.
    ///
    /// Any kind of bound is understood; an empty or inverted range has no entries.
    pub fn entries(&self, range: impl RangeBounds<u64>) -> impl Iterator<Item = Entry> {
        let places = self.places(range);
        let leaders = self.leaders.from(self.index(places.start));
        let payloads = self.payloads.range(places.clone()).zip(places);
        payloads.zip(leaders).map(|((payload, place), leader_id)| Entry {
            log_id: LogId::new(leader_id, self.index(place)),
            payload: payload.to_entry(),
        })
    }

    /// The batches of these entries; `None` for those that hold something else.
    fn batches(&self, range: impl RangeBounds<u64>) -> impl Iterator<Item = Option<&Batch>> {
        self.payloads.range(self.places(range)).map(Payload::batch)
    }

    /// The id of the entry at `index`, if there is one.
    pub(crate) fn log_id(&self, index: u64) -> Option<LogId> {
        let leader_id = self.leaders.from(index).next();
        leader_id
            .filter(|_| self.indexes().contains(&index))
            .map(|leader_id| LogId::new(leader_id, index))
    }

    fn index(&self, place: usize) -> u64 {
        self.hot + place as u64
    }

    /// Where the hot entries of `range` stand.
    fn places(&self, range: impl RangeBounds<u64>) -> Range<usize> {
        let start = match range.start_bound() {
            Bound::Included(&index) => Some(index),
            Bound::Excluded(&index) => index.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match range.end_bound() {
            Bound::Included(&index) => index.saturating_add(1),
            Bound::Excluded(&index) => index,
            Bound::Unbounded => u64::MAX,
        };
        let start = start.map_or(self.payloads.len(), |index| self.position(index));
        start..self.position(end).max(start)
    }

    /// The indexes of `range` whose entries exist, hot or cold.
    pub(crate) fn existing(&self, range: impl RangeBounds<u64>) -> Range<u64> {
        let indexes = self.indexes();
        let start = match range.start_bound() {
            Bound::Included(&index) => index,
            // No entry has the last index.
            Bound::Excluded(&index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&index) => index.saturating_add(1),
            Bound::Excluded(&index) => index,
            Bound::Unbounded => u64::MAX,
        };
        let start = start.clamp(indexes.start, indexes.end);
        start..end.clamp(start, indexes.end)
    }

    /// How many of the hot entries of `range` weigh no more than `max` beside `weight`, which they are added
    /// to; one at least where that is 0.
    pub(crate) fn within(
        &self,
        range: impl RangeBounds<u64>,
        max: usize,
        weight: &mut usize,
    ) -> usize {
        // Counting reads every batch first. Those reads wait for memory together; the clones, each
        // an atomic increment, would wait one after the other.
        let fit = self.batches(range).take_while(|batch| {
            let first = *weight == 0;
            *weight = weight.saturating_add(batch.map_or(1, weight::weight));
            first || *weight <= max
        });
        fit.count()
    }

    /// Where `index` stands among the hot entries, or would: 0 before them, their number after them.
    fn position(&self, index: u64) -> usize {
        // At most their number, so the cast loses nothing.
        index.saturating_sub(self.hot).min(self.payloads.len() as u64) as usize
    }

    /// Appends entries that continue the log.
    ///
    /// # Errors
    /// The first entry that leaves a hole, overlaps, or descends. Nothing is appended then.
    pub fn append(&mut self, entries: impl IntoIterator<Item = Entry>) -> Result<(), AppendError> {
        // Costs nothing if it is a vector already.
        self.append_all(entries.into_iter().collect())
    }

    pub(crate) fn append_all(&mut self, entries: Vec<Entry>) -> Result<(), AppendError> {
        self.check_append(&entries)?;
        for entry in entries {
            self.leaders.push(entry.log_id);
            self.payloads.push_back(entry.payload.into());
        }
        Ok(())
    }

    /// Whether these entries can be [appended](Log::append).
    pub(crate) fn check_append(&self, entries: &[Entry]) -> Result<(), AppendError> {
        let mut last = self.last_log_id();
        for (already, entry) in entries.iter().enumerate() {
            let expected = self.next_index().saturating_add(already as u64);
            check_append(last, entry.log_id, expected)?;
            last = Some(entry.log_id);
        }
        Ok(())
    }

    /// Lets a log that holds nothing and has purged nothing begin at `index` instead of 0.
    ///
    /// openraft's engine never needs it; its test suite does.
    ///
    /// # Errors
    /// The log has a history.
    pub fn begin_at(&mut self, index: u64) -> Result<(), BeginError> {
        if let Some(last) = self.last_log_id() {
            return Err(BeginError { got: index, last });
        }
        (self.first, self.hot) = (index, index);
        Ok(())
    }

    /// Removes the entries from `since` on, `since` included (R15). A log that ends before
    /// `since` stays as it is.
    ///
    /// # Errors
    /// `since` is purged: what is purged was applied, and can't be in conflict.
    pub fn truncate(&mut self, since: u64) -> Result<(), TruncateError> {
        self.check_truncate(since)?;
        self.payloads.truncate(self.position(since));
        self.hot = self.hot.min(since.max(self.first));
        self.leaders.keep(self.indexes());
        Ok(())
    }

    /// Whether the log can be [truncated](Log::truncate) there.
    pub(crate) fn check_truncate(&self, since: u64) -> Result<(), TruncateError> {
        match self.purged {
            Some(purged) if since <= purged.index => Err(TruncateError { got: since, purged }),
            _ => Ok(()),
        }
    }

    /// Removes the entries up to `upto`, included, and remembers it (R17). `upto` may lie beyond
    /// the last entry, as it does after a snapshot was installed; purging again up to an earlier
    /// place changes nothing.
    ///
    /// If the entry at `upto.index` has another leader, or the log begins behind it with an older one, the log
    /// disagrees with what was applied from there on, and all of it goes (Raft paper, figure 13, rule 7).
    ///
    /// # Errors
    /// `upto` contradicts the purge marker.
    pub fn purge(&mut self, upto: LogId) -> Result<(), PurgeError> {
        self.purge_some(upto, usize::MAX, &mut Vec::new()).map(drop)
    }

    /// [Purges](Log::purge), but no more than `max` entries that agree with `upto`, and leaves what
    /// they hold in `gone`: many take a while to move, and longer to free. Returns whether `upto`
    /// was reached.
    fn purge_some(
        &mut self,
        upto: LogId,
        max: usize,
        gone: &mut Vec<Payload>,
    ) -> Result<bool, PurgeError> {
        let agrees = match self.plan_purge(upto)? {
            Purge::Nothing => return Ok(true),
            Purge::Agrees => true,
            Purge::Disagrees => false,
        };
        let next = upto.index.saturating_add(1);
        let all = if agrees { self.position(next) } else { self.payloads.len() };
        let some = (agrees && all > max).then(|| self.log_id(self.index(max - 1))).flatten();
        let (count, reached) = some.map_or((all, upto), |last| (max, last));
        gone.extend(self.payloads.drain(..count));
        // Give memory back once most of it is unused, seldom enough to cost nothing.
        if self.payloads.capacity() / 4 > self.payloads.len() {
            self.payloads.shrink_to(self.payloads.len() * 2);
        }
        self.first = reached.index.saturating_add(1);
        // An empty log may go back; in others cold entries behind `reached` stay cold.
        let stays = agrees && !self.leaders.is_empty();
        self.hot = if stays { (self.hot + count as u64).max(self.first) } else { self.first };
        self.leaders.keep(self.indexes());
        self.purged = Some(reached);
        Ok(reached == upto)
    }

    /// What [purging](Log::purge) up to there would do.
    pub(crate) fn plan_purge(&self, upto: LogId) -> Result<Purge, PurgeError> {
        if let Some(purged) = self.purged {
            if upto.index < purged.index || upto == purged {
                return Ok(Purge::Nothing);
            }
            if upto.index == purged.index || upto.leader_id < purged.leader_id {
                return Err(PurgeError { got: upto, purged });
            }
        }
        // A log that began elsewhere has nothing there, and a marker would leave a hole after it.
        if upto.index.saturating_add(1) < self.first && !self.is_empty() {
            return Ok(Purge::Nothing);
        }
        let agrees = match self.log_id(upto.index) {
            Some(there) => there == upto,
            // A log that begins right behind it must not have an older leader there.
            None => {
                let behind = self.log_id(upto.index.saturating_add(1));
                behind.is_none_or(|behind| behind.leader_id >= upto.leader_id)
            }
        };
        Ok(if agrees { Purge::Agrees } else { Purge::Disagrees })
    }

    /// The entries whose payloads are elsewhere: [`entries`](Log::entries) doesn't have them.
    pub fn cold(&self) -> Range<u64> {
        self.first..self.hot
    }

    /// Lets go what the entries before `until` hold, which whoever calls this has elsewhere. They stay in
    /// the log.
    pub fn cool(&mut self, until: u64) {
        self.cool_some(until, &mut Vec::new());
    }

    /// [Cools](Log::cool), and leaves what the entries hold in `gone`.
    fn cool_some(&mut self, until: u64, gone: &mut Vec<Payload>) {
        let count = self.position(until);
        gone.extend(self.payloads.drain(..count));
        self.hot += count as u64;
    }

    /// Whether the invariants of the [module](self) hold. For tests.
    pub fn valid(&self) -> bool {
        let after_marker = self.purged.is_none_or(|purged| self.first == purged.index + 1);
        let divided = (self.first..=self.next_index()).contains(&self.hot);
        self.leaders.valid(self.indexes()) && after_marker && divided
    }
}

/// What a purge does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purge {
    /// All of that is purged already.
    Nothing,
    /// Removes the entries up to there.
    Agrees,
    /// Removes all entries: the one there has another leader.
    Disagrees,
}

fn check_append(last: Option<LogId>, got: LogId, expected: u64) -> Result<(), AppendError> {
    if got.index != expected {
        return Err(AppendError::NotConsecutive { got, expected, last });
    }
    match last {
        Some(last) if got.leader_id < last.leader_id => {
            Err(AppendError::LeaderDescends { got, last })
        }
        _ => Ok(()),
    }
}
