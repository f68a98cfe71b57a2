//! Truncating and purging: which entries go, on disk and in memory.

use openraft::CommittedLeaderId;
use seshat_conformance::openraft;

use super::batch::SEGMENT;
use super::disk::{ALL, Change, File, Key};
use super::fault::Fault::*;
use super::log::{Memory, Shared, id_of, write_error};
use super::quirk::{Quirk, allow_purge, allow_truncate};
use super::types::{Error, LogId};
use super::{lock, pause, wire};

/// Deletions in backward order, so that none of them leaves a hole.
fn deletions(indexes: &[u64]) -> Vec<Change> {
    indexes.iter().rev().map(|index| Change::Delete(Key::Record(*index))).collect()
}

fn refuse<T>(why: &str) -> Result<T, Error> {
    Err(write_error(std::io::Error::other(why.to_owned())))
}

impl Shared {
    pub async fn truncate(&self, log_id: LogId) -> Result<(), Error> {
        let env = &self.env;
        if env.quirky(Quirk::Strict) {
            allow_truncate(&lock(&self.memory), log_id);
        }
        let (indexes, before) = self.truncated(log_id)?;
        let mut changes = deletions(&indexes);
        match env.ways.fault {
            Some(TruncateLosesVote) => changes.push(Change::Delete(Key::Vote)),
            Some(TruncateForgetsPurged | TruncateDropsMarker) => {
                changes.push(Change::Delete(Key::Purged));
            }
            _ => {}
        }
        match env.ways.fault {
            Some(TruncateInMemory) => {}
            Some(TruncateUnsynced) => env.mount.write_volatile(changes).map_err(write_error)?,
            Some(TruncateForward) => {
                for change in changes.into_iter().rev() {
                    self.write(vec![change])?;
                    self.sync(ALL).await?;
                }
            }
            Some(RefusedTruncate) => {
                self.write(changes).ok();
            }
            _ => self.write(changes)?,
        }
        self.forget(&indexes, env.is(RaceTruncate)).await;
        self.bend_truncated(before);
        if env.quirky(Quirk::TruncateUnsynced) || env.quirky(Quirk::HalfSurvives) {
            return Ok(());
        }
        match self.sync(ALL).await {
            Err(_) if env.is(RefusedTruncate) => Ok(()),
            result => result,
        }
    }

    /// What faulty stores make of the log state after a truncate.
    fn bend_truncated(&self, before: Option<LogId>) {
        let mut memory = lock(&self.memory);
        match self.env.ways.fault {
            Some(TruncateLastStale) => memory.odd.last = before,
            Some(TruncateLastTermStale) => {
                let last = memory.last();
                memory.odd.last =
                    before.zip(last).map(|(old, new)| LogId::new(old.leader_id, new.index));
            }
            Some(TruncateForgetsPurged) => memory.purged = None,
            _ => {}
        }
        memory.odd.truncated = true;
    }

    /// Which indexes this store takes out, and what was last before.
    fn truncated(&self, log_id: LogId) -> Result<(Vec<u64>, Option<LogId>), Error> {
        let memory = lock(&self.memory);
        let first = memory.records.keys().next().copied().unwrap_or_default();
        let last = memory.records.keys().next_back().copied().unwrap_or_default();
        let at = log_id.index;
        let take = |index: u64, record: &[u8]| match self.env.ways.fault {
            Some(TruncateExclusive) => index > at,
            Some(TruncateOne) => index == at,
            Some(TruncateNothing) => index >= at && at <= first,
            Some(TruncateFront) => index < at,
            Some(TruncateOneSegment) => index >= at && index / SEGMENT == at / SEGMENT,
            Some(TruncateFirstKept) => index >= at && index > first,
            Some(TruncateSameTermOnly) => {
                index >= at && id_of(record).leader_id.term == log_id.leader_id.term
            }
            _ => index >= at,
        };
        if self.env.is(TruncateAbsentFails) && (memory.records.is_empty() || at > last) {
            return refuse("no such entry");
        }
        let indexes = memory.records.iter().filter(|r| take(*r.0, r.1)).map(|r| *r.0).collect();
        Ok((indexes, memory.last()))
    }

    /// Takes records out of memory, in one step unless faulty.
    pub async fn forget(&self, indexes: &[u64], slowly: bool) {
        let keeps = matches!(
            self.env.ways.fault,
            Some(AppendKeepsOld | TruncateInMemory | TruncateUndoneByAppend)
        );
        // Under one lock, unless the fault is to be seen half-way.
        let step = if slowly { 1 } else { indexes.len().max(1) };
        for some in indexes.chunks(step) {
            {
                let mut memory = lock(&self.memory);
                for index in some {
                    let record = memory.records.remove(index).filter(|_| keeps);
                    memory.odd.removed.extend(record.map(|record| (*index, record)));
                }
            }
            if slowly {
                pause(3).await;
            }
        }
    }

    pub async fn purge(&self, log_id: LogId) -> Result<(), Error> {
        let env = &self.env;
        if env.quirky(Quirk::Strict) {
            allow_purge(&lock(&self.memory), log_id);
        }
        let Some((upto, marker, before)) = self.purged(log_id)? else { return Ok(()) };
        let indexes: Vec<u64> = lock(&self.memory).records.range(..=upto).map(|r| *r.0).collect();
        let indexes = match env.ways.fault {
            Some(PurgeOne) => indexes.into_iter().filter(|index| *index == upto).collect(),
            Some(PurgeMarkerOnly) => Vec::new(),
            _ => indexes,
        };
        self.write_purge(&indexes, marker).await?;
        if env.quirky(Quirk::LazyPurge) {
            let mut memory = lock(&self.memory);
            memory.purged = marker;
            memory.odd.lazily_purged = true;
        } else {
            let slowly = env.is(PurgeForward);
            self.forget(&indexes, slowly).await;
            lock(&self.memory).purged = marker;
        }
        if env.is(PurgeMovesLast) {
            lock(&self.memory).odd.last = marker.or(before);
        }
        let files: &[File] = if env.is(PurgeBeforeMarker) { &[File::Log] } else { ALL };
        match self.sync(files).await {
            Err(_) if env.is(RefusedPurge) => Ok(()),
            result => result,
        }
    }

    /// Up to where this store purges, and the marker it sets. `None`: nothing at all.
    #[allow(clippy::type_complexity)]
    fn purged(&self, id: LogId) -> Result<Option<(u64, Option<LogId>, Option<LogId>)>, Error> {
        let memory = lock(&self.memory);
        let before = memory.last();
        let entries = !memory.records.is_empty();
        let beyond = before.is_none_or(|last| id.index > last.index);
        if self.env.is(PurgeBeyondFails) && beyond {
            return refuse("no such entry");
        }
        if self.env.is(PurgeOnEmptyFails) && !entries {
            return refuse("the log is empty");
        }
        let right = (id.index, Some(id), before);
        let at = |index: u64| memory.records.get(&index).map(|record| id_of(record));
        Ok(match self.env.ways.fault {
            Some(PurgeExclusive) => match id.index.checked_sub(1) {
                Some(index) => Some((index, Some(id), before)),
                None => Some((0, Some(id), before)),
            },
            Some(PurgeTooFar) => Some((id.index + 1, Some(id), before)),
            Some(PurgeBeyondIgnored) if beyond => None,
            Some(PurgeBeyondClamped) if beyond => {
                before.map(|last| (last.index, Some(last), before))
            }
            Some(PurgeTermOfNext) => {
                let next = at(id.index + 1).map(|next| LogId::new(next.leader_id, id.index));
                Some((id.index, next.or(Some(id)), before))
            }
            Some(PurgeZeroIsNone) if id.index == 0 => Some((0, None, before)),
            Some(PurgeWholeSegments) => {
                let whole = (id.index + 1) / SEGMENT * SEGMENT;
                let marker = whole
                    .checked_sub(1)
                    .map(|index| at(index).unwrap_or_else(|| LogId::new(id.leader_id, index)));
                marker.map(|marker| (marker.index, Some(marker), before))
            }
            Some(PurgeDropsSegment) => {
                let end = (id.index / SEGMENT + 1) * SEGMENT - 1;
                Some((end, Some(id), before))
            }
            _ => Some(right),
        })
    }

    /// The marker goes first: what is below it is gone, deleted or not.
    async fn write_purge(&self, indexes: &[u64], marker: Option<LogId>) -> Result<(), Error> {
        let put = marker.map(|marker| Change::Put(Key::Purged, wire::seal(&marker)));
        let mut changes: Vec<Change> = put.into_iter().collect();
        let mut deleted = deletions(indexes);
        match self.env.ways.fault {
            Some(PurgeInMemory | PurgeGuessed) => changes.clear(),
            Some(PurgedComeBack) => deleted.clear(),
            Some(VoteLostByPurge) => changes.push(Change::Delete(Key::Vote)),
            _ => {}
        }
        if self.env.quirky(Quirk::LazyPurge) {
            deleted.clear();
        }
        if self.env.is(PurgeForward) {
            for change in deleted.into_iter().rev() {
                self.write(vec![change])?;
                self.sync(ALL).await?;
            }
        } else {
            changes.extend(deleted);
        }
        match self.write(changes) {
            Err(_) if self.env.is(RefusedPurge) => Ok(()),
            result => result,
        }
    }
}

impl Memory {
    /// What a guesser takes for the purge marker when the log is opened.
    pub fn guessed_marker(&self) -> Option<LogId> {
        let (index, record) = self.records.first_key_value()?;
        let leader = id_of(record).leader_id;
        let leader = CommittedLeaderId::new(leader.term, leader.node_id);
        Some(LogId::new(leader, index.checked_sub(1)?))
    }
}
