//! What a log should do, by rules short enough to be seen to be right: every operation works on
//! a map, one entry at a time, without a thought for cost.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use seshat_core::log::{AppendError, BeginError, PurgeError, TruncateError};
use seshat_core::types::{Entry, LogId, LogState};

#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle {
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) purged: Option<LogId>,
    /// Where a log without history begins.
    pub(crate) begin: u64,
}

impl Oracle {
    pub(crate) fn last(&self) -> Option<LogId> {
        self.entries.values().map(|entry| entry.log_id).next_back().or(self.purged)
    }

    pub(crate) fn state(&self) -> LogState {
        LogState { last_purged_log_id: self.purged, last_log_id: self.last() }
    }

    pub(crate) fn next_index(&self) -> u64 {
        self.last().map_or(self.begin, |last| last.index + 1)
    }

    /// Where the first entry stands, or would.
    pub(crate) fn first_index(&self) -> u64 {
        self.purged.map_or(self.begin, |purged| purged.index + 1)
    }

    pub(crate) fn read(&self, range: (Bound<u64>, Bound<u64>)) -> Vec<Entry> {
        let entries = self.entries.values().cloned();
        entries.filter(|entry| range.contains(&entry.log_id.index)).collect()
    }

    pub(crate) fn append(&mut self, batch: &[Entry]) -> Result<(), AppendError> {
        let mut after = self.clone();
        for entry in batch {
            let (got, expected, last) = (entry.log_id, after.next_index(), after.last());
            if got.index != expected {
                return Err(AppendError::NotConsecutive { got, expected, last });
            }
            if let Some(last) = last
                && got.leader_id < last.leader_id
            {
                return Err(AppendError::LeaderDescends { got, last });
            }
            after.entries.insert(got.index, entry.clone());
        }
        *self = after;
        Ok(())
    }

    pub(crate) fn truncate(&mut self, since: u64) -> Result<(), TruncateError> {
        if let Some(purged) = self.purged.filter(|purged| since <= purged.index) {
            return Err(TruncateError { got: since, purged });
        }
        self.entries.retain(|index, _| *index < since);
        Ok(())
    }

    pub(crate) fn purge(&mut self, upto: LogId) -> Result<(), PurgeError> {
        if let Some(purged) = self.purged {
            if upto.index < purged.index || upto == purged {
                return Ok(());
            }
            if upto.index == purged.index || upto.leader_id < purged.leader_id {
                return Err(PurgeError { got: upto, purged });
            }
        }
        // A marker that the first entry doesn't follow would leave a hole.
        if !self.entries.is_empty() && upto.index + 1 < self.first_index() {
            return Ok(());
        }
        let differs = self.entries.get(&upto.index).is_some_and(|entry| entry.log_id != upto);
        let behind = self.entries.get(&(upto.index + 1));
        let starts_older = !self.entries.contains_key(&upto.index)
            && behind.is_some_and(|entry| entry.log_id.leader_id < upto.leader_id);
        let disagrees = differs || starts_older;
        self.entries.retain(|index, _| *index > upto.index && !disagrees);
        self.purged = Some(upto);
        Ok(())
    }

    pub(crate) fn begin_at(&mut self, index: u64) -> Result<(), BeginError> {
        if let Some(last) = self.last() {
            return Err(BeginError { got: index, last });
        }
        self.begin = index;
        Ok(())
    }
}
