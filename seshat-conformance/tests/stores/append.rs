//! Appending: batch to records, records to disk and memory, then the callback.

use std::sync::Arc;

use openraft::EntryPayload;
use openraft::storage::LogFlushed;
use seshat_conformance::openraft;

use super::batch::{SEGMENT, batch};
use super::disk::{ALL, Change, File, Key};
use super::fault::Fault::*;
use super::log::{Shared, id_of, write_error};
use super::quirk::{Quirk, allow_append};
use super::types::{Config, Entry, Error, Stored};
use super::{lock, pause, wire};

/// A record and where it belongs.
type Record = (u64, Vec<u8>);

fn carries_command(record: &[u8]) -> bool {
    let entry: Option<Entry> = wire::open(record);
    entry.is_some_and(|entry| matches!(entry.payload, EntryPayload::Normal(_)))
}

impl Shared {
    pub async fn append(
        self: &Arc<Self>,
        entries: Vec<Entry>,
        callback: LogFlushed<Config>,
    ) -> Result<(), Error> {
        let env = &self.env;
        if env.quirky(Quirk::Strict) {
            allow_append(&lock(&self.memory), &entries);
        }
        if env.is(AppendNeedsEntryBefore) {
            let first = entries.first().map_or(0, |entry| entry.log_id.index);
            let there = first == 0 || lock(&self.memory).records.contains_key(&(first - 1));
            if !there {
                return Err(write_error(std::io::Error::other("the entry before is missing")));
            }
        }
        if env.is(PanicsOnTermJump) {
            let last = lock(&self.memory).last().map_or(0, |id| id.leader_id.term);
            assert!(entries.iter().all(|entry| entry.log_id.leader_id.term - last < 1_000_000));
        }
        let asked: Vec<u64> = entries.iter().map(|entry| entry.log_id.index).collect();
        let appends = lock(&self.memory).odd.appends;
        let entries = batch(&env.ways, appends, entries);
        let mut records: Vec<Record> =
            asked.into_iter().zip(entries.iter().map(wire::seal)).collect();
        if env.is(SegmentFirstLost) {
            records = entries.iter().map(|e| (e.log_id.index, wire::seal(e))).collect();
        }
        if env.is(HangsOnBigEntry) && records.iter().any(|record| record.1.len() > 1 << 20) {
            std::future::pending::<()>().await;
        }
        self.bend_records(&mut records);
        self.note_logged(&entries);
        let result = self.store(&records).await;
        self.acknowledge(&records, result, callback).await
    }

    fn bend_records(&self, records: &mut [Record]) {
        let mut memory = lock(&self.memory);
        memory.odd.appends += 1;
        let count = memory.records.len() as u64;
        for (place, (index, record)) in records.iter_mut().enumerate() {
            if self.env.is(AppendCounts) {
                *index = count + place as u64;
            }
            if self.env.is(AppendKeepsOld)
                && let Some(old) = memory.odd.removed.remove(index)
            {
                *record = old.to_vec();
            }
        }
    }

    fn note_logged(&self, entries: &[Entry]) {
        let mut logged = lock(&self.env.logged);
        for entry in entries {
            logged.last = Some(entry.log_id);
            if let EntryPayload::Membership(members) = &entry.payload {
                logged.membership = Some(Stored::new(Some(entry.log_id), members.clone()));
            }
        }
    }

    /// Writes records to disk and memory.
    async fn store(&self, records: &[Record]) -> Result<(), Error> {
        let env = &self.env;
        let put = |(index, record): &Record| Change::Put(Key::Record(*index), record.clone());
        let mut changes: Vec<Change> = Vec::new();
        let mut cached: Vec<Change> = Vec::new();
        let last_segment = records.last().map_or(0, |record| record.0 / SEGMENT);
        let first_segment = records.first().map_or(0, |record| record.0 / SEGMENT);
        let no_command = records.iter().all(|record| !carries_command(&record.1));
        let group_under_way = lock(&self.memory).odd.in_flight > 0;
        for (place, record) in records.iter().enumerate() {
            let volatile = match env.ways.fault {
                Some(CallbackLastSegmentOnly) => record.0 / SEGMENT != last_segment,
                Some(CallbackFirstSegmentOnly) => record.0 / SEGMENT != first_segment,
                Some(CallbackHalfSynced) => place % 2 == 1,
                Some(CallbackBlankUnsynced) => no_command,
                Some(CallbackOfGroup) => group_under_way,
                _ => false,
            };
            if volatile { cached.push(put(record)) } else { changes.push(put(record)) }
        }
        changes.extend(self.changes_with_append(records));
        env.mount.write_volatile(cached).map_err(write_error)?;
        if env.is(CallbackBeforeWrite) {
            lock(&self.memory).odd.unwritten.extend(changes);
        } else {
            self.write(changes)?;
        }
        self.remember(records).await;
        Ok(())
    }

    /// What faulty and lazy stores write together with a batch.
    fn changes_with_append(&self, records: &[Record]) -> Vec<Change> {
        let mut memory = lock(&self.memory);
        let last = records.last().map_or(0, |record| record.0);
        let mut changes = Vec::new();
        match self.env.ways.fault {
            Some(TruncateInMemory) => {
                let beyond = memory.odd.removed.range(last + 1..);
                changes.extend(beyond.map(|(index, _)| Change::Delete(Key::Record(*index))));
                memory.odd.removed.clear();
            }
            Some(TruncateUndoneByAppend) => {
                let beyond = memory.odd.removed.range(last + 1..);
                changes.extend(beyond.map(|(i, r)| Change::Put(Key::Record(*i), r.to_vec())));
                memory.odd.removed.clear();
            }
            Some(VoteWithAppend) => {
                changes.extend(memory.vote.map(|vote| Change::Put(Key::Vote, wire::seal(&vote))));
            }
            Some(AppendForgetsVote) => {
                let before = memory.odd.vote_before;
                changes.extend(before.map(|vote| Change::Put(Key::Vote, wire::seal(&vote))));
            }
            Some(RingOf1024) => {
                changes.extend(last.checked_sub(1024).map(|i| Change::Delete(Key::Record(i))));
            }
            _ => {}
        }
        if memory.odd.lazily_purged {
            let upto = memory.purged.map_or(0, |purged| purged.index + 1);
            changes
                .extend(memory.records.range(..upto).map(|(i, _)| Change::Delete(Key::Record(*i))));
            memory.records = memory.records.split_off(&upto);
            memory.odd.lazily_purged = false;
        }
        changes
    }

    /// Puts records into memory, in one step unless faulty.
    async fn remember(&self, records: &[Record]) {
        let insert = |range: &[Record]| {
            let new = range.iter().map(|(index, record)| (*index, record.as_slice().into()));
            lock(&self.memory).records.extend(new);
        };
        match self.env.ways.fault {
            Some(RaceAppend) => {
                for record in records.iter().rev() {
                    insert(std::slice::from_ref(record));
                    pause(1).await;
                }
            }
            Some(DroppedAppendHalf) => {
                lock(&self.memory).odd.last = records.last().map(|record| id_of(&record.1));
                let (first, second) = records.split_at(records.len() / 2);
                insert(first);
                pause(2).await;
                insert(second);
            }
            _ => insert(records),
        }
        let mut memory = lock(&self.memory);
        memory.odd.last = None;
        if self.env.is(RingOf1024) && memory.records.len() > 1024 {
            memory.records.pop_first();
        }
        memory.odd.state = self.env.is(StateCached).then(|| memory.state(&self.env));
    }

    /// Makes durable what was stored, and says so.
    async fn acknowledge(
        self: &Arc<Self>,
        records: &[Record],
        stored: Result<(), Error>,
        callback: LogFlushed<Config>,
    ) -> Result<(), Error> {
        let env = &self.env;
        if let Err(error) = stored {
            return self.fail(records, error, callback).await;
        }
        let after_truncate = std::mem::take(&mut lock(&self.memory).odd.truncated);
        let files = match env.ways.fault {
            Some(VoteUnsynced | PurgeBeforeMarker) => &[File::Log],
            _ => ALL,
        };
        match env.ways.fault {
            Some(CallbackNever) => lock(&self.memory).odd.callbacks.push(callback),
            Some(CallbackDropped) => drop(callback),
            Some(CallbackFails) => {
                callback.log_io_completed(Err(std::io::Error::other("interrupted")));
            }
            Some(CallbackEarly | CallbackBeforeWrite) => callback.log_io_completed(Ok(())),
            Some(CallbackAtNextWrite) => lock(&self.memory).odd.callbacks.push(callback),
            Some(CallbackNotForOne) if records.len() == 1 => drop(callback),
            Some(CallbackNotAfterTruncate) if after_truncate => drop(callback),
            Some(
                ReaderSeesFlushedOnly
                | CallbackOfGroup
                | CallbackLastOfGroup
                | VoteAlone
                | OpenAdoptsUnsynced,
            ) => self.flush_later(records, callback),
            _ if env.quirky(Quirk::HalfSurvives) => self.flush_later(records, callback),
            _ => match &self.flusher {
                Some(flusher) => {
                    flusher.send(callback).ok();
                }
                None => {
                    self.sync(files).await?;
                    callback.log_io_completed(Ok(()));
                }
            },
        }
        Ok(())
    }

    /// Leaves syncing and the callback to a task that is in no hurry.
    fn flush_later(self: &Arc<Self>, records: &[Record], callback: LogFlushed<Config>) {
        let shared = self.clone();
        if self.env.is(ReaderSeesFlushedOnly) {
            let first = records.first().map(|record| record.0);
            let mut memory = lock(&self.memory);
            memory.odd.unflushed_from = memory.odd.unflushed_from.or(first);
        }
        lock(&shared.memory).odd.in_flight += 1;
        tokio::spawn(async move {
            if !shared.env.quirky(Quirk::HalfSurvives) {
                // A group commit: whoever else has something to write has time to join.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            pause(20).await;
            let synced = shared.env.mount.sync(ALL);
            let others = {
                let mut memory = lock(&shared.memory);
                memory.odd.unflushed_from = None;
                memory.odd.in_flight -= 1;
                memory.odd.in_flight
            };
            if others > 0 && shared.env.is(CallbackLastOfGroup) {
                lock(&shared.memory).odd.callbacks.push(callback);
            } else {
                callback.log_io_completed(synced);
            }
        });
    }

    /// What becomes of an append that the disk did not take.
    async fn fail(
        &self,
        records: &[Record],
        error: Error,
        callback: LogFlushed<Config>,
    ) -> Result<(), Error> {
        let env = &self.env;
        match env.ways.fault {
            Some(RefusedAppend) => {
                self.remember(records).await;
                callback.log_io_completed(Ok(()));
                return Ok(());
            }
            Some(RefusedCallbackLost) => {
                lock(&self.memory).odd.callbacks.push(callback);
                return Ok(());
            }
            Some(RefusedAppendHangs) => std::future::pending::<()>().await,
            Some(RefusedPanics) => panic!("called `Result::unwrap()` on an `Err` value: {error}"),
            Some(RefusedBricks) => env.mount.force(Change::Put(Key::Applied, vec![0xff])),
            Some(RefusedHalf) => {
                if let Some((index, record)) = records.last() {
                    env.mount.force(Change::Put(Key::Record(*index), record.clone()));
                }
            }
            _ => {}
        }
        Err(error)
    }
}
