//! [`DiskLog`]: openraft's face of the log on disk. Locks, calls, answers; no decisions.
//!
//! Guarantees: the log in memory and the records of the write-ahead log are changed together and in one
//! order, after what could be refused was checked; the lock is held for that and not while the disk works.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::runtime::Handle;

use super::GROUP;
use super::error::EntryError;
use super::home::Home;
use super::reading::Reading;
use super::restore::{Held, decode};
use super::waiting::{Quickness, on_disk};
use crate::log::{
    AppendError, Gone, HardState, PURGED_AT_ONCE, Purge, PurgeError, REPLICATION_BYTES,
    TruncateError, skip_purged,
};
use crate::storage::Room;
use crate::types::{Entry, LogId, LogState, StorageError, StorageIOError, TypeConfig, Vote};
use crate::wal::{Disk, Entries, FileSystem, Levels, Lsn, Record, Space, Stopped, SubmitError};

/// Entries that are freed where they were let go.
const FREED_AT_ONCE: usize = 16;

/// The log, vote and committed id of one node, in a directory.
///
/// Clones share the log, as those of [`LogStore`](crate::log::LogStore) do. Calls that write return when it
/// is durable, but for what is committed; on a runtime with several threads they let its other tasks go on
/// meanwhile, unless the disk is quick, which tokio doesn't let tasks of a `LocalSet` do: they panic there.
pub struct DiskLog<F: FileSystem = Disk> {
    shared: Arc<Shared<F>>,
}

struct Shared<F: FileSystem> {
    home: Arc<Home<F>>,
    held: Mutex<Held>,
    appends: Quickness,
}

impl<F: FileSystem> Clone for DiskLog<F> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<F: FileSystem> Debug for DiskLog<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskLog")
            .field("state", &self.lock().log.log().state())
            .finish_non_exhaustive()
    }
}

/// Why the log doesn't do what it should. Nothing was changed, unless the log stopped, or has no room for the
/// record of a purge; then the node ends.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Truncate(#[from] TruncateError),
    #[error(transparent)]
    Purge(#[from] PurgeError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl<F: FileSystem> DiskLog<F> {
    pub(super) fn new(home: Arc<Home<F>>, held: Held) -> Self {
        Self {
            shared: Arc::new(Shared {
                home,
                held: Mutex::new(held),
                appends: Quickness::default(),
            }),
        }
    }

    pub(super) fn home(&self) -> &Arc<Home<F>> {
        &self.shared.home
    }

    /// Vote, committed and purged ids, as they are stored.
    pub fn hard_state(&self) -> HardState {
        let held = self.lock();
        let purged = held.log.log().state().last_purged_log_id;
        HardState { vote: held.vote, committed: held.committed, purged }
    }

    /// Bytes that entries take in memory.
    pub fn hot_bytes(&self) -> usize {
        self.lock().log.held()
    }

    /// How much room the disk has for entries to come, as far as is known.
    pub fn space(&self) -> Space {
        self.shared.home.wal().space()
    }

    /// The same, for a node that runs on it. Holds nothing that keeps the log open.
    pub(super) fn room(&self) -> Arc<dyn Room> {
        Arc::new(WalRoom(Arc::downgrade(&self.shared.home)))
    }

    // A panic while the lock was held can't have left a half-done change: all is checked first.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, record: Record) -> Result<Lsn, SubmitError> {
        self.shared.home.wal().submit(GROUP, record)
    }

    fn wait(&self, lsn: Lsn) -> Result<(), Stopped> {
        self.shared.home.wal().wait(lsn)
    }

    /// Puts entries into the log, durably.
    fn append_all(&self, mut entries: Vec<Entry>) -> Result<(), WriteError> {
        let first = {
            let mut held = self.lock();
            skip_purged(held.log.log(), &mut entries);
            let Some(first) = entries.first().map(|entry| entry.log_id) else { return Ok(()) };
            // openraft's engine never does that, but its test suite does.
            if first.index != held.log.log().next_index() && held.log.begin_at(first.index).is_ok()
            {
                tracing::warn!(%first, "the log begins after index 0");
            }
            // Before the work of encoding them; what is not one's own in memory can't be refused after it.
            held.log.log().check_append(&entries)?;
            first.index
        };
        let mut record = Entries::new(first);
        entries.iter().for_each(|entry| record.push(entry.log_id.leader_id.term, entry));
        let lsn = {
            let mut held = self.lock();
            held.log.log().check_append(&entries)?;
            let lsn = self.submit(Record::Entries(record))?;
            held.log.append(entries)?;
            lsn
        };
        self.wait(lsn)?;
        let mut gone = Gone::default();
        self.lock().log.cool(&mut gone);
        free(gone);
        Ok(())
    }

    fn truncate_since(&self, since: u64) -> Result<(), WriteError> {
        let lsn = {
            let mut held = self.lock();
            held.log.log().check_truncate(since)?;
            if since >= held.log.log().next_index() {
                return Ok(());
            }
            let lsn = self.submit(Record::Truncate(since))?;
            held.log.truncate(since)?;
            lsn
        };
        Ok(self.wait(lsn)?)
    }

    fn purge_upto(&self, upto: LogId) -> Result<(), WriteError> {
        let plan = self.lock().log.plan_purge(upto)?;
        if plan == Purge::Nothing {
            return Ok(());
        }
        let mut gone = Gone::default();
        let lsn = loop {
            // Whoever waits for the lock gets it between two steps. Memory goes first, so that nobody looks on
            // the disk for what isn't there any more.
            let mut held = self.lock();
            if !held.log.purge_some(upto, PURGED_AT_ONCE, &mut gone)? {
                continue;
            }
            if plan == Purge::Disagrees {
                // The entries behind it are of the same disagreeing history.
                self.submit(Record::Truncate(upto.index))?;
            }
            break self.submit(Record::Purge((&upto).into()))?;
        };
        free(gone);
        self.wait(lsn)?;
        self.shared.home.purged();
        Ok(())
    }

    fn vote(&self, vote: &Vote) -> Result<(), WriteError> {
        let lsn = {
            let mut held = self.lock();
            let lsn = self.submit(Record::Vote(vote.into()))?;
            held.vote = Some(*vote);
            lsn
        };
        Ok(self.wait(lsn)?)
    }

    /// Rides along with what is written next.
    fn commit(&self, committed: Option<LogId>) -> Result<(), SubmitError> {
        let mut held = self.lock();
        // It is told again; to be behind with it costs a restart some time, and nothing else. So where there
        // is little room, it is for others.
        if self.shared.home.wal().lacks().is_none() {
            match self.submit(Record::Committed(committed.as_ref().map(Into::into))) {
                Err(SubmitError::DiskFull { .. }) => {
                    tracing::debug!("no room for what is committed");
                }
                other => drop(other?),
            }
        }
        held.committed = committed;
        Ok(())
    }

    /// The entries of a range that are in the log, wherever they are, as far as they weigh no more than `max`;
    /// at least one.
    fn read(&self, range: (Bound<u64>, Bound<u64>), max: usize) -> Result<Vec<Entry>, EntryError> {
        let mut reading = Reading::of(range, max);
        let cold = reading.take_hot(self.lock().log.log());
        match cold {
            // As nearly always: nobody waits for the disk, so nobody makes room for those who would.
            None => Ok(reading.into_entries()),
            Some(cold) => on_disk(|| self.read_cold(reading, cold)),
        }
    }

    /// Goes on with what is on the disk.
    fn read_cold(&self, mut reading: Reading, cold: Range<u64>) -> Result<Vec<Entry>, EntryError> {
        let mut next = Some(cold);
        while let Some(cold) = next {
            let first = cold.start;
            let read = self.shared.home.wal().read(GROUP, cold, reading.room())?;
            match decode(read, first) {
                Ok(read) => reading.take_cold(read),
                // Purged or truncated since it was looked for.
                Err(EntryError::Absent { index })
                    if !self.lock().log.log().cold().contains(&index) =>
                {
                    reading.begin_again();
                }
                Err(error) => return Err(error),
            }
            next = reading.take_hot(self.lock().log.log());
        }
        Ok(reading.into_entries())
    }
}

impl<F: FileSystem> RaftLogReader<TypeConfig> for DiskLog<F> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        self.read(range, usize::MAX).map_err(unreadable)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        let range = (Bound::Included(start), Bound::Excluded(end));
        self.read(range, REPLICATION_BYTES).map_err(unreadable)
    }
}

impl<F: FileSystem> RaftLogStorage<TypeConfig> for DiskLog<F> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState, StorageError> {
        Ok(self.lock().log.log().state())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        tracing::debug!(%vote, "save vote");
        on_disk(|| self.vote(vote)).map_err(|error| {
            tracing::error!(%error, "vote not saved");
            StorageIOError::write_vote(&error).into()
        })
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.lock().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.commit(committed).map_err(|error| {
            tracing::error!(%error, "committed not saved");
            StorageIOError::write(&error).into()
        })
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
        match self.shared.appends.wait(|| self.append_all(entries)) {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "append refused");
                let storage_error = StorageIOError::write_logs(&error).into();
                callback.log_io_completed(Err(io::Error::other(error)));
                Err(storage_error)
            }
        }
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        tracing::debug!(%log_id, "truncate");
        on_disk(|| self.truncate_since(log_id.index)).map_err(|error| {
            tracing::error!(%error, "truncate refused");
            StorageIOError::write_logs(&error).into()
        })
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        tracing::debug!(%log_id, "purge");
        on_disk(|| self.purge_upto(log_id)).map_err(|error| {
            tracing::error!(%error, "purge refused");
            StorageIOError::write_logs(&error).into()
        })
    }
}

/// The room that a log has whose user may be gone: then it has all that is asked for, of which nobody
/// appends anything.
struct WalRoom<F: FileSystem>(Weak<Home<F>>);

impl<F: FileSystem> Debug for WalRoom<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WalRoom")
    }
}

impl<F: FileSystem> Room for WalRoom<F> {
    fn lacks(&self) -> Option<u64> {
        self.0.upgrade()?.wal().lacks()
    }

    fn fits(&self, bytes: u64) -> bool {
        self.0.upgrade().is_none_or(|home| home.wal().fits(bytes))
    }

    fn make(&self, bytes: u64) -> bool {
        // A log that stopped says so to whoever appends.
        self.0.upgrade().is_none_or(|home| home.wal().make_room(bytes).unwrap_or(true))
    }

    fn levels(&self) -> Option<Levels> {
        Some(self.0.upgrade()?.wal().levels())
    }
}

fn unreadable(error: EntryError) -> StorageError {
    tracing::error!(%error, "entries can't be read");
    StorageIOError::read_logs(&error).into()
}

/// What takes long to free goes elsewhere.
fn free(gone: Gone) {
    match Handle::try_current() {
        Ok(runtime) if gone.len() > FREED_AT_ONCE => {
            drop(runtime.spawn_blocking(move || drop(gone)));
        }
        _ => drop(gone),
    }
}
