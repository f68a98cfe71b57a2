//! [`Log`]: the log store. Records in memory, written through to the disk.
//!
//! Guarantees without a fault: every write is whole and in order; nothing is acknowledged before
//! it is durable; the memory changes if and only if the disk took the write; no lock is held
//! while anything is awaited.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex};

use openraft::storage::{LogFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{CommittedLeaderId, OptionalSend, StorageIOError};
use seshat_conformance::openraft;

use super::batch::lossy;
use super::disk::{Change, File};
use super::fault::Fault::*;
use super::read::{Reader, Records};
use super::types::{Config, Entry, Error, LogId, Vote};
use super::wire::{SEAL, Wire};
use super::{Env, lock, pause};

/// The log as every handle to it sees it.
#[derive(Debug, Default)]
pub struct Memory {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub records: Records,
    pub odd: Odd,
}

/// What unusual and faulty stores remember besides.
#[derive(Default)]
pub struct Odd {
    pub readers: u64,
    pub appends: u64,
    pub saves: u64,
    /// Entries up to the purge marker are still in `records`, and hidden.
    pub lazily_purged: bool,
    /// Entries from here on can't be read yet.
    pub unflushed_from: Option<u64>,
    /// What `get_log_state` says is last, whatever is there.
    pub last: Option<LogId>,
    pub state: Option<LogState<Config>>,
    /// Records that truncate removed.
    pub removed: Records,
    pub truncated: bool,
    /// Appends whose callbacks are to come.
    pub in_flight: usize,
    /// Writes that wait for the next one.
    pub unwritten: Vec<Change>,
    pub callbacks: Vec<LogFlushed<Config>>,
    pub vote_before: Option<Vote>,
    pub committed_before: Option<LogId>,
}

impl Debug for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Odd")
    }
}

pub type Flush = LogFlushed<Config>;

/// What the log store, its readers and its flusher share.
pub struct Shared {
    pub env: Env,
    pub memory: Mutex<Memory>,
    /// Where callbacks go that another thread calls.
    pub flusher: Option<std::sync::mpsc::Sender<Flush>>,
}

/// The log store.
pub struct Log(pub Arc<Shared>);

pub fn write_error(error: std::io::Error) -> Error {
    StorageIOError::write_logs(&error).into()
}

pub fn id_of(record: &[u8]) -> LogId {
    LogId::take(&mut &record[SEAL..]).expect("a record begins with its log id")
}

impl Memory {
    pub fn last(&self) -> Option<LogId> {
        let last = self.records.values().next_back().map(|record| id_of(record));
        if self.odd.lazily_purged { last.max(self.purged) } else { last.or(self.purged) }
    }

    pub fn state(&self, env: &Env) -> LogState<Config> {
        let mut purged = self.purged;
        let mut last = self.last().max(self.odd.last);
        match env.ways.fault {
            Some(
                TruncateLastStale | TruncateLastTermStale | PurgeMovesLast | DroppedAppendHalf,
            ) => {
                last = self.odd.last.or(self.last());
            }
            Some(TruncateAllForgetsLast) if self.odd.truncated && self.records.is_empty() => {
                last = None;
            }
            Some(PurgeAllForgetsLast) if self.records.is_empty() => last = None,
            Some(LastFromApplied) => last = last.max(*lock(&env.applied)),
            Some(FreshIsZero) if last.is_none() => last = Some(LogId::default()),
            Some(LastZeroIsNone) if last.is_some_and(|id| id.index == 0) && purged.is_none() => {
                last = None;
            }
            Some(LastByTermOfVote) => {
                let leader = self.vote.unwrap_or_default().leader_id;
                let leader = CommittedLeaderId::new(leader.term, leader.node_id);
                last = last.map(|id| LogId::new(leader, id.index));
            }
            Some(LastIn32) => last = last.map(|id| lossy(id, true, true, false)),
            Some(LastByCount) if !self.records.is_empty() => {
                last = last.map(|id| LogId::new(id.leader_id, self.records.len() as u64 - 1));
            }
            Some(PurgeTermLost) => purged = purged.map(|id| lossy(id, false, true, true)),
            Some(PurgeNodeLost) => purged = purged.map(|id| lossy(id, true, false, true)),
            _ => {}
        }
        LogState { last_purged_log_id: purged, last_log_id: last }
    }
}

impl Shared {
    /// Writes to the disk; whatever a faulty store left for later goes first.
    pub fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        let (late, callbacks) = {
            let mut memory = lock(&self.memory);
            let odd = &mut memory.odd;
            (std::mem::take(&mut odd.unwritten), std::mem::take(&mut odd.callbacks))
        };
        if self.env.is(CallbackAtNextWrite) {
            callbacks.into_iter().for_each(|callback| callback.log_io_completed(Ok(())));
        } else {
            lock(&self.memory).odd.callbacks = callbacks;
        }
        if !late.is_empty() {
            self.env.mount.write(late).map_err(write_error)?;
        }
        self.env.mount.write(changes).map_err(write_error)
    }

    pub async fn sync(&self, files: &[File]) -> Result<(), Error> {
        pause(1).await;
        self.env.mount.sync(files).map_err(write_error)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let full = lock(&self.0.memory).records.len() > 10;
        let fails = full && self.0.env.is(PanicsOnClose) && !std::thread::panicking();
        assert!(!fails, "closing the log failed");
    }
}

impl RaftLogReader<Config> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Reader::own(self.0.clone()).try_get_log_entries(range).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, Error> {
        Reader::own(self.0.clone()).limited_get_log_entries(start, end).await
    }
}

impl RaftLogStorage<Config> for Log {
    type LogReader = Reader;

    async fn get_log_state(&mut self) -> Result<LogState<Config>, Error> {
        let _gate = self.0.env.enter().await;
        let mut memory = lock(&self.0.memory);
        let state = memory.state(&self.0.env);
        if self.0.env.is(FailsOnFreshState) && state.last_log_id.is_none() {
            return Err(write_error(std::io::Error::other("no log")));
        }
        if self.0.env.is(StateCached) {
            return Ok(memory.odd.state.get_or_insert(state).clone());
        }
        Ok(state)
    }

    async fn get_log_reader(&mut self) -> Reader {
        let _gate = self.0.env.enter().await;
        if self.0.env.is(HangsAtSecondReader) && lock(&self.0.memory).odd.readers > 0 {
            std::future::pending::<()>().await;
        }
        Reader::new(self.0.clone())
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), Error> {
        let _gate = self.0.env.enter().await;
        self.0.save_vote(*vote).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, Error> {
        let _gate = self.0.env.enter().await;
        self.0.read_vote()
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), Error> {
        let _gate = self.0.env.enter().await;
        self.0.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, Error> {
        let _gate = self.0.env.enter().await;
        self.0.read_committed()
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Config>) -> Result<(), Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let _gate = self.0.env.enter().await;
        self.0.append(entries, callback).await
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), Error> {
        let _gate = self.0.env.enter().await;
        self.0.truncate(log_id).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), Error> {
        let _gate = self.0.env.enter().await;
        self.0.purge(log_id).await
    }
}
