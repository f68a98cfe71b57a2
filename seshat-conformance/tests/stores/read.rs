//! [`Reader`]: reading the log, by the store itself and by those who replicate it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::storage::RaftLogReader;
use openraft::{OptionalSend, StorageIOError};
use seshat_conformance::openraft;

use super::batch::SEGMENT;
use super::fault::Fault::*;
use super::log::Shared;
use super::quirk::Quirk;
use super::types::{Config, Entry, Error};
use super::{lock, pause, wire};

pub type Records = BTreeMap<u64, Arc<[u8]>>;

/// A limited read gives no more than this many bytes, and one entry at least.
const LIMIT: usize = 256 << 10;

/// A handle to read the log with.
pub struct Reader {
    shared: Arc<Shared>,
    /// What a faulty reader saw earlier.
    seen: Option<Records>,
    number: u64,
}

/// A range as openraft means it: from the first number on, up to before the second. Wide enough
/// for one beyond the greatest index.
type Span = (u128, u128);

fn bad_range(what: &str) -> Error {
    StorageIOError::read_logs(&std::io::Error::other(what.to_owned())).into()
}

impl Reader {
    pub fn new(shared: Arc<Shared>) -> Self {
        let mut memory = lock(&shared.memory);
        memory.odd.readers += 1;
        let number = memory.odd.readers;
        let frozen = shared.env.is(ReaderFrozen).then(|| memory.records.clone());
        drop(memory);
        Self { shared, seen: frozen, number }
    }

    fn span(&self, range: impl RangeBounds<u64>) -> Result<Span, Error> {
        let env = &self.shared.env;
        let start = match range.start_bound() {
            Bound::Included(start) => u128::from(*start),
            Bound::Excluded(start) if env.is(RangeStartTaken) => u128::from(*start),
            Bound::Excluded(start) => u128::from(*start) + 1,
            Bound::Unbounded if env.is(RangeOpenStartFromOne) => 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) if env.is(RangeLastLeft) => u128::from(*end),
            Bound::Included(&u64::MAX) if env.is(RangeMaxOverflows) => 0,
            Bound::Included(end) => u128::from(*end) + 1,
            Bound::Excluded(end) if env.is(RangeEndTaken) => u128::from(*end) + 1,
            Bound::Excluded(end) => u128::from(*end),
            Bound::Unbounded => u128::MAX,
        };
        let memory = lock(&self.shared.memory);
        if env.quirky(Quirk::PlainRange) {
            let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
            drop(memory.records.range(bounds));
        }
        let first = memory.records.keys().next().map_or(0, |first| u128::from(*first));
        let beyond = memory.records.keys().next_back().map_or(0, |last| u128::from(*last) + 1);
        match env.ways.fault {
            Some(RangeBackwardsPanics) => assert!(start <= end, "range start beyond its end"),
            Some(RangeEmptyPanics) => {
                let both = (range.start_bound(), range.end_bound());
                let equal = matches!(both, (Bound::Excluded(a), Bound::Excluded(b)) if a == b);
                assert!(!equal, "range start and end are equal and excluded");
            }
            Some(ReadEmptyPanics) => assert!(!memory.records.is_empty(), "no first entry"),
            Some(RangeOpenStartFails)
                if matches!(range.start_bound(), Bound::Unbounded) && first > 0 =>
            {
                return Err(bad_range("entry 0 is gone"));
            }
            Some(RangeAbsentFails) if start < end => {
                let whole = first <= start && (end <= beyond || end == u128::MAX);
                if !whole {
                    return Err(bad_range("entry not found"));
                }
            }
            Some(RangeBelowFirstEmpty) if start < first => return Ok((0, 0)),
            Some(RangePastEndEmpty) if end > beyond && end != u128::MAX => return Ok((0, 0)),
            Some(RangeOpenEndShort) if end == u128::MAX => {
                return Ok((start, beyond.saturating_sub(1)));
            }
            Some(RangeSecondHalfLost) => {
                let segment = u128::from(SEGMENT);
                let next = start.div_ceil(segment) * segment;
                let crosses = start >= segment && next < end && next < beyond;
                return Ok((if crosses { next } else { start }, end));
            }
            _ => {}
        }
        Ok((start, end))
    }

    /// The records of a span, as they are now, or as this reader believes them to be.
    fn records(&mut self, (start, end): Span) -> Vec<(u64, Arc<[u8]>)> {
        let env = self.shared.env.clone();
        let memory = lock(&self.shared.memory);
        let hidden = memory.purged.filter(|_| memory.odd.lazily_purged);
        let within = |index: &u64| {
            let visible = hidden.is_none_or(|purged| purged.index < *index)
                && memory.odd.unflushed_from.is_none_or(|from| *index < from);
            (start..end).contains(&u128::from(*index)) && visible
        };
        let bends = matches!(
            env.ways.fault,
            Some(
                ReaderFrozen
                    | ReaderFrozenAtRead
                    | ReaderKeepsTruncated
                    | ReaderKeepsPurged
                    | ReaderOnlyOne
                    | ReaderMissesTail
            )
        );
        if !bends {
            let from = u64::try_from(start).unwrap_or(u64::MAX);
            let there = memory.records.range(from..).take_while(|r| u128::from(*r.0) < end);
            let there = there.filter(|r| within(r.0));
            return there.map(|(index, record)| (*index, record.clone())).collect();
        }
        let mut records: Records = memory.records.clone();
        let last = records.keys().next_back().copied();
        match (env.ways.fault, &mut self.seen) {
            (Some(ReaderFrozen), Some(seen)) => records = seen.clone(),
            (Some(ReaderFrozenAtRead), seen) => {
                records = seen.get_or_insert(records).clone();
            }
            (Some(ReaderKeepsTruncated), seen) => {
                let seen = seen.get_or_insert_default();
                let purged = memory.purged.map_or(0, |purged| purged.index + 1);
                records.extend(seen.range(purged..).map(|(index, old)| (*index, old.clone())));
                *seen = records.clone();
            }
            (Some(ReaderKeepsPurged), seen) => {
                let seen = seen.get_or_insert_default();
                let old = std::mem::take(seen).into_iter();
                let purged = memory.purged.map_or(0, |purged| purged.index + 1);
                records.extend(old.filter(|(index, _)| *index < purged));
                *seen = records.clone();
            }
            (Some(ReaderOnlyOne), _) if self.number < memory.odd.readers && self.number > 0 => {
                records.clear();
            }
            (Some(ReaderMissesTail), _) if self.number > 0 => {
                last.map(|last| records.remove(&last));
            }
            _ => {}
        }
        records.into_iter().filter(|(index, _)| within(index)).collect()
    }

    async fn read(&mut self, span: Span) -> Result<Vec<Entry>, Error> {
        let env = self.shared.env.clone();
        let mut records = match env.ways.fault {
            Some(RaceRead) => {
                let whole = self.records(span);
                let middle = whole.get(whole.len() / 2).map_or(span.1, |r| u128::from(r.0));
                let mut records = self.records((span.0, middle));
                pause(3).await;
                records.extend(self.records((middle, span.1)));
                records
            }
            Some(RaceReadByPosition) => {
                let whole = self.records((0, span.1));
                let skip = whole.iter().take_while(|r| u128::from(r.0) < span.0).count();
                let count = whole.len() - skip.min(whole.len());
                pause(3).await;
                self.records((0, u128::MAX)).into_iter().skip(skip).take(count).collect()
            }
            Some(RaceReadPanics) => {
                let before = lock(&self.shared.memory).purged;
                pause(3).await;
                let after = lock(&self.shared.memory).purged;
                assert_eq!(before, after, "the iterator's segment is gone");
                self.records(span)
            }
            _ => self.records(span),
        };
        match env.ways.fault {
            Some(ReadStopsAt64) => records.truncate(64),
            Some(ReadStopsAt1000) => records.truncate(1000),
            Some(ReadStopsAtMiB) => keep_bytes(&mut records, 1 << 20),
            Some(ReadLosesMiddle) if records.len() > 100 => {
                records.remove(100);
            }
            Some(ReadSegmentsSwapped) => {
                let first = records.first().map_or(0, |record| record.0 / SEGMENT);
                let split = records.iter().take_while(|r| r.0 / SEGMENT == first).count();
                records.rotate_left(split);
            }
            _ => {}
        }
        let entries = records.iter().map(|(_, record)| self.decode(record));
        match env.ways.fault {
            Some(DamagedReadEnds) => Ok(entries.map_while(Result::ok).collect()),
            _ => entries.collect(),
        }
    }

    fn decode(&self, record: &[u8]) -> Result<Entry, Error> {
        let entry = match self.shared.env.ways.fault {
            Some(DamagedServed) => wire::open_damaged(record),
            _ => wire::open(record),
        };
        entry.ok_or_else(|| bad_range("the record is damaged"))
    }
}

/// Keeps as many as fit, and one at least.
fn keep_bytes(records: &mut Vec<(u64, Arc<[u8]>)>, limit: usize) {
    let mut bytes = 0;
    let fit = records.iter().take_while(|(_, record)| {
        bytes += record.len();
        bytes <= limit
    });
    let fit = fit.count().max(1);
    records.truncate(fit);
}

impl RaftLogReader<Config> for Reader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let _gate = self.shared.env.enter().await;
        let span = self.span(range)?;
        self.read(span).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, Error> {
        let env = self.shared.env.clone();
        let _gate = env.enter().await;
        let mut span = (u128::from(start), u128::from(end));
        if env.is(LimitedOverRange) {
            span.1 += 4;
        }
        let mut records = self.records(span);
        let big = |record: &(u64, Arc<[u8]>)| record.1.len() > LIMIT;
        match env.ways.fault {
            Some(LimitedEmptyIfBig) if records.first().is_some_and(big) => records.clear(),
            Some(LimitedLastOnes) => {
                records.reverse();
                keep_bytes(&mut records, LIMIT);
                let most = records.len().saturating_sub(64);
                records.reverse();
                records.drain(..most);
            }
            Some(LimitedSkipsBig) => records.retain(|record| !big(record)),
            Some(LimitedEmptyAtEnd) if records.len() == 1 => records.clear(),
            _ if env.quirky(Quirk::LimitedToOne) => records.truncate(1),
            _ => keep_bytes(&mut records, LIMIT),
        }
        let entries = records.iter().map(|(_, record)| self.decode(record));
        match env.ways.fault {
            Some(DamagedLimitedEnds) => Ok(entries.map_while(Result::ok).collect()),
            _ => entries.collect(),
        }
    }
}

impl Reader {
    /// The store's own: no fault of readers is its fault.
    pub fn own(shared: Arc<Shared>) -> Self {
        let mut seen = None;
        if shared.env.is(ReaderFrozen) {
            seen = Some(lock(&shared.memory).records.clone());
        }
        Self { shared, seen, number: 0 }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.number > 0 && self.shared.env.is(HangsAtSecondReader) {
            lock(&self.shared.memory).odd.readers -= 1;
        }
    }
}
