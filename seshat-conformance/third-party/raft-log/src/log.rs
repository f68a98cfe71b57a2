//! [`Log`]: raft-log as openraft's log store, as databend's meta service makes it one.
//!
//! It is stricter in one thing: truncation and purge are on disk, too, when they return.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, CommittedLeaderId, EntryPayload, ErrorSubject, ErrorVerb, LogState, OptionalSend,
    RaftLogReader, StorageIOError,
};
use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::{Config, RaftLog, Segment, Types, chunked_wal};
use seshat_conformance::reference::TypeConfig;
use tokio::sync::oneshot;

type Entry = openraft::Entry<TypeConfig>;
type LogId = openraft::LogId<u64>;
type Vote = openraft::Vote<u64>;
type StorageError = openraft::StorageError<u64>;

/// Term and node.
type StoredLeader = (u64, u64);
type StoredId = (StoredLeader, u64);
type StoredVote = (StoredLeader, bool);

/// Small, so that checks see files begin and end, and reads of what is no longer in memory.
const CHUNK_RECORDS: usize = 64;
const CACHED_ENTRIES: usize = 16;

/// What raft-log stores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored;

impl Types for Stored {
    type LogId = StoredId;
    /// Encoded here.
    type LogPayload = Vec<u8>;
    type Vote = StoredVote;
    type Callback = Flushed;
    type UserData = ();

    fn log_index((_, index): &StoredId) -> u64 {
        *index
    }
    fn payload_size(payload: &Vec<u8>) -> u64 {
        payload.len() as u64
    }
}

/// Who waits for a sync.
pub enum Flushed {
    Openraft(LogFlushed<TypeConfig>),
    Call(oneshot::Sender<io::Result<()>>),
}

impl raft_log::Callback for Flushed {
    fn send(self, result: io::Result<()>) {
        match self {
            Self::Openraft(callback) => callback.log_io_completed(result),
            // Who doesn't wait any more doesn't care.
            Self::Call(waiting) => drop(waiting.send(result)),
        }
    }
}

/// Clones are the same log.
#[derive(Clone)]
pub struct Log(Arc<RwLock<RaftLog<Stored>>>);

impl Log {
    pub fn open(dir: &Path) -> io::Result<Self> {
        let wal = chunked_wal::Config {
            chunk_max_records: Some(CHUNK_RECORDS),
            ..chunked_wal::Config::new(dir.display())
        };
        let config = Config { wal, log_cache_max_items: Some(CACHED_ENTRIES), ..Config::default() };
        Ok(Self(Arc::new(RwLock::new(RaftLog::open(Arc::new(config))?))))
    }

    /// Its own thread has done what it was told. It ends with the last clone.
    pub fn close(self) -> io::Result<()> {
        self.read().wait_worker_idle()
    }

    fn read(&self) -> RwLockReadGuard<'_, RaftLog<Stored>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RaftLog<Stored>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes, and waits until it is on disk.
    async fn durably(
        &self,
        write: impl FnOnce(&mut RaftLog<Stored>) -> io::Result<Segment> + Send,
    ) -> io::Result<()> {
        let (flushed, on_disk) = oneshot::channel();
        {
            let mut log = self.write();
            write(&mut log)?;
            log.flush(true, Some(Flushed::Call(flushed)))?;
        }
        on_disk.await.map_err(io::Error::other)?
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        if from >= to {
            return Ok(Vec::new());
        }
        let log = self.read();
        let entries = log.read(from, to).map(|read| {
            let (id, payload) = read?;
            Ok(Entry { log_id: log_id(&id), payload: decode(&payload)? })
        });
        entries.collect::<io::Result<_>>().when(ErrorVerb::Read, ErrorSubject::Logs)
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let log = self.read();
        let state = log.log_state();
        Ok(LogState {
            last_purged_log_id: state.purged().map(log_id),
            last_log_id: state.last().map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let Vote { leader_id, committed } = *vote;
        let vote = ((leader_id.term, leader_id.node_id), committed);
        self.durably(|log| log.save_vote(vote)).await.when(ErrorVerb::Write, ErrorSubject::Vote)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let log = self.read();
        let vote = log.log_state().vote().map(|&((term, node), committed)| match committed {
            true => Vote::new_committed(term, node),
            false => Vote::new(term, node),
        });
        Ok(vote)
    }

    /// Not synced, as raft-log advises: openraft does with an older one.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let Some(committed) = committed else { return Ok(()) };
        let mut log = self.write();
        let committed = log.commit(stored(&committed));
        let flushed = committed.and_then(|_| log.flush(false, None));
        flushed.when(ErrorVerb::Write, ErrorSubject::Store)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.read().log_state().committed().map(log_id))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encoded = |entry: Entry| Ok((stored(&entry.log_id), encode(&entry.payload)?));
        let entries = entries.into_iter().map(encoded).collect::<io::Result<Vec<_>>>();
        let mut log = self.write();
        let written = entries.and_then(|entries| log.append(entries));
        let sent = written.and_then(|_| log.flush(true, Some(Flushed::Openraft(callback))));
        sent.when(ErrorVerb::Write, ErrorSubject::Logs)
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        let next = Stored::next_log_index(self.read().log_state().last());
        if since.index >= next {
            return Ok(());
        }
        let truncated = self.durably(|log| log.truncate(since.index)).await;
        truncated.when(ErrorVerb::Write, ErrorSubject::Logs)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        let purged = self.durably(|log| log.purge(stored(&upto))).await;
        purged.when(ErrorVerb::Write, ErrorSubject::Logs)
    }
}

fn stored(id: &LogId) -> StoredId {
    ((id.leader_id.term, id.leader_id.node_id), id.index)
}

fn log_id(&((term, node), index): &StoredId) -> LogId {
    LogId::new(CommittedLeaderId::new(term, node), index)
}

fn encode(payload: &EntryPayload<TypeConfig>) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(payload).map_err(io::Error::other)
}

fn decode(bytes: &[u8]) -> io::Result<EntryPayload<TypeConfig>> {
    postcard::from_bytes(bytes).map_err(io::Error::other)
}

/// Tells openraft what failed.
trait Failed<T> {
    fn when(self, verb: ErrorVerb, subject: ErrorSubject<u64>) -> Result<T, StorageError>;
}

impl<T> Failed<T> for io::Result<T> {
    fn when(self, verb: ErrorVerb, subject: ErrorSubject<u64>) -> Result<T, StorageError> {
        self.map_err(|error| StorageIOError::new(subject, verb, AnyError::new(&error)).into())
    }
}
