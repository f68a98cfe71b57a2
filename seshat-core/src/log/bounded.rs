//! [`BoundedLog`]: a [`Log`] that keeps no more in memory than it may.
//!
//! Pure. Guarantees: which entries are in the log, whose they are and what may be done to it are exactly
//! a [`Log`]'s; after [`BoundedLog::cool`] the payloads in memory take no more than the bound, and those that
//! are there are the newest.

use std::ops::Range;

use super::payload::Payload;
use super::weight::{batch_of, weight};
use super::{AppendError, BeginError, Log, Purge, PurgeError, TruncateError};
use crate::operation::Batch;
use crate::types::{Entry, LogId};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct BoundedLog {
    log: Log,
    /// What the hot entries take.
    held: usize,
    bound: usize,
}

/// What entries held that are gone from memory; to be dropped where nobody waits.
#[derive(Debug, Default)]
pub(crate) struct Gone(Vec<Payload>);

impl Gone {
    /// How many entries.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Bytes that an entry takes: what it carries, and its place in the log.
fn taken(batch: Option<&Batch>) -> usize {
    size_of::<Payload>() + batch.map_or(0, weight)
}

impl BoundedLog {
    /// A log whose entries, `cold`, are elsewhere. See [`Log::resume`].
    pub(crate) fn resume(
        cold: Range<u64>,
        reigns: Vec<LogId>,
        purged: Option<LogId>,
        bound: usize,
    ) -> Result<Self, AppendError> {
        Ok(Self { log: Log::resume(cold, reigns, purged)?, held: 0, bound })
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Bytes that the entries in memory take.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// See [`Log::begin_at`].
    pub(crate) fn begin_at(&mut self, index: u64) -> Result<(), BeginError> {
        self.log.begin_at(index)
    }

    /// See [`Log::append`].
    pub(crate) fn append(&mut self, entries: Vec<Entry>) -> Result<(), AppendError> {
        let more: usize = entries.iter().map(|entry| taken(batch_of(entry))).sum();
        self.log.append_all(entries)?;
        self.held += more;
        Ok(())
    }

    /// See [`Log::truncate`].
    pub(crate) fn truncate(&mut self, since: u64) -> Result<(), TruncateError> {
        let less: usize = self.log.batches(since..).map(taken).sum();
        self.log.truncate(since)?;
        self.held -= less;
        Ok(())
    }

    /// [Purges](Log::purge), but no more than `max` of the entries in memory. Returns whether `upto` was
    /// reached.
    pub(crate) fn purge_some(
        &mut self,
        upto: LogId,
        max: usize,
        gone: &mut Gone,
    ) -> Result<bool, PurgeError> {
        let before = gone.len();
        let reached = self.log.purge_some(upto, max, &mut gone.0)?;
        self.lighten(gone, before);
        Ok(reached)
    }

    /// See [`Log::plan_purge`].
    pub(crate) fn plan_purge(&self, upto: LogId) -> Result<Purge, PurgeError> {
        self.log.plan_purge(upto)
    }

    /// Leaves the oldest payloads in `gone` until the others are within the bound. They can be read
    /// elsewhere.
    pub(crate) fn cool(&mut self, gone: &mut Gone) {
        let (before, mut left) = (gone.len(), self.held);
        let hot = self.log.cold().end;
        let over = self.log.batches(..).take_while(|batch| {
            let is_over = left > self.bound;
            left -= if is_over { taken(*batch) } else { 0 };
            is_over
        });
        let until = hot + over.count() as u64;
        self.log.cool_some(until, &mut gone.0);
        self.lighten(gone, before);
    }

    fn lighten(&mut self, gone: &Gone, before: usize) {
        let new = gone.0.iter().skip(before);
        self.held -= new.map(|payload| taken(payload.batch())).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Limits, Operation};
    use crate::types::{EntryPayload, LeaderId};

    fn entry(index: u64, len: usize) -> Entry {
        let set = Operation::set("key", vec![b'x'; len], &Limits::default()).unwrap();
        let payload = EntryPayload::Normal(Batch::from(set));
        Entry { log_id: LogId::new(LeaderId::new(1, 1), index), payload }
    }

    /// Whatever is done to it, what it says that it holds is what it holds, and within the bound.
    #[test]
    fn it_holds_no_more_than_the_bound_and_counts_right() {
        let mut log = BoundedLog::resume(0..0, Vec::new(), None, 5_000).unwrap();
        let mut index = 0;
        for round in 0..50_u64 {
            let entries = (0..4).map(|n| entry(index + n, 100 * (round as usize % 7)));
            log.append(entries.collect()).unwrap();
            index += 4;
            if round % 5 == 4 {
                index -= 3;
                log.truncate(index).unwrap();
            }
            let mut gone = Gone::default();
            if round % 9 == 8 {
                let upto = LogId::new(LeaderId::new(1, 1), index - 2);
                while !log.purge_some(upto, 1, &mut gone).unwrap() {}
            }
            log.cool(&mut gone);
            let held: usize = log.log.batches(..).map(taken).sum();
            assert_eq!(log.held(), held);
            assert!(held <= 5_000 && log.log.valid(), "{held}: {log:?}");
            let cold = log.log.cold();
            let next = taken(batch_of(&entry(0, 600)));
            assert!(cold.is_empty() || held + next > 5_000, "no more is cold than must be");
        }
        assert!(!log.log.cold().is_empty(), "some is");
    }
}
