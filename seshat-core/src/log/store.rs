//! [`LogStore`]: openraft's face of the [`Log`]. Locks, calls, answers; no decisions.
//!
//! In memory: an entry is as durable as it ever gets when `append` returns, so the callback
//! follows at once (R10 to R13). What a restart loses, and what follows from it, is the
//! embedder's to deal with: see [`MemStorage`](crate::storage::MemStorage).

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::runtime::Handle;

use super::payload::Payload;
use super::{HardState, Log};
use crate::types::{Entry, LogId, LogState, StorageError, StorageIOError, TypeConfig, Vote};

/// What one replication read returns at most, if it has more than one entry, in bytes: what one call
/// carries on a fast link. More would only take longer to be acknowledged.
pub(crate) const REPLICATION_BYTES: usize = 1 << 20;

/// Entries that are purged while the lock is held: some microseconds.
pub(crate) const PURGED_AT_ONCE: usize = 1024;

/// Entries that are freed where they were purged. Each may hold as much as one batch may.
const FREED_AT_ONCE: usize = 16;

/// The log, vote and committed id of one node, in memory.
///
/// Clones share the log: openraft writes through one, its replication tasks read through others
/// (R3). Reads see every entry as soon as `append` has returned (R11).
#[derive(Debug, Clone, Default)]
pub struct LogStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    log: Log,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

impl LogStore {
    /// A node's log, vote and committed id, as they were elsewhere.
    #[cfg(feature = "legacy")]
    pub(crate) fn holding(log: Log, vote: Option<Vote>, committed: Option<LogId>) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { log, vote, committed })) }
    }

    /// Vote, committed and purged ids, as they are stored.
    pub fn hard_state(&self) -> HardState {
        let inner = self.lock();
        let purged = inner.log.state().last_purged_log_id;
        HardState { vote: inner.vote, committed: inner.committed, purged }
    }

    // A panic while the lock was held can't have left a half-done change: the log checks first.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, range: impl RangeBounds<u64>, max_bytes: usize) -> Vec<Entry> {
        let range = (range.start_bound(), range.end_bound());
        let inner = self.lock();
        let count = inner.log.within(range, max_bytes, &mut 0);
        inner.log.entries(range).take(count).collect()
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.read(range, usize::MAX))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.read(start..end, REPLICATION_BYTES))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState, StorageError> {
        Ok(self.lock().log.state())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        tracing::debug!(%vote, "save vote");
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.lock().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.lock().committed)
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
        let entries = entries.into_iter().collect();
        let appended = append_leniently(&mut self.lock().log, entries);
        if let Err(error) = appended {
            tracing::error!(%error, "append refused");
            return Err(StorageIOError::write_logs(&error).into());
        }
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        tracing::debug!(%log_id, "truncate");
        let truncated = self.lock().log.truncate(log_id.index);
        truncated.map_err(|error| {
            tracing::error!(%error, "truncate refused");
            StorageIOError::write_logs(&error).into()
        })
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        tracing::debug!(%log_id, "purge");
        let mut gone = Vec::new();
        loop {
            // Whoever waits for the lock gets it between two steps.
            let purged = self.lock().log.purge_some(log_id, PURGED_AT_ONCE, &mut gone);
            let reached = purged.map_err(|error| {
                tracing::error!(%error, "purge refused");
                StorageIOError::write_logs(&error)
            })?;
            if reached {
                free(gone);
                return Ok(());
            }
        }
    }
}

/// openraft's core does nothing else while it purges, so what takes long goes elsewhere.
fn free(gone: Vec<Payload>) {
    match Handle::try_current() {
        Ok(runtime) if gone.len() > FREED_AT_ONCE => {
            drop(runtime.spawn_blocking(move || drop(gone)));
        }
        _ => drop(gone),
    }
}

/// Appends, tolerating two things that openraft's engine never does but its test suite does, so
/// that a store which passes the suite can't refuse them: a log that never held anything may
/// begin anywhere, and entries that are already purged are skipped.
fn append_leniently(log: &mut Log, mut entries: Vec<Entry>) -> Result<(), super::AppendError> {
    skip_purged(log, &mut entries);
    if let Some(first) = entries.first()
        && first.log_id.index != log.next_index()
        && log.begin_at(first.log_id.index).is_ok()
    {
        tracing::warn!(first = %first.log_id, "the log begins after index 0");
    }
    log.append(entries)
}

/// Leaves out the entries that are purged already.
pub(crate) fn skip_purged(log: &Log, entries: &mut Vec<Entry>) {
    if let Some(purged) = log.state().last_purged_log_id {
        let skipped = entries.iter().take_while(|entry| entry.log_id.index <= purged.index).count();
        entries.drain(..skipped);
    }
}
