//! [`ReferenceLog`]: an obviously right log store.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io;
use std::ops::RangeBounds;
use std::path::Path;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    LogId, LogState, OptionalSend, RaftLogId, RaftLogReader, RaftTypeConfig, StorageError,
    StorageIOError, Vote,
};

use super::disk::{Contents, Disk, Disks};

/// What it can be built on: entries that can be read more than once.
pub trait LogConfig: RaftTypeConfig<Entry: Clone> {}
impl<C: RaftTypeConfig<Entry: Clone>> LogConfig for C {}

/// The reference log stores of a back end, one for each directory.
pub struct ReferenceLogs<C: LogConfig>(Disks<Log<C>>);

impl<C: LogConfig> Default for ReferenceLogs<C> {
    fn default() -> Self {
        Self(Disks::new("reference-log"))
    }
}

impl<C: LogConfig> Debug for ReferenceLogs<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceLogs")
    }
}

impl<C: LogConfig> ReferenceLogs<C> {
    /// The log store of `dir`.
    ///
    /// # Errors
    /// The directory can't be read or written, or is of another process.
    pub fn open(&self, dir: &Path) -> io::Result<ReferenceLog<C>> {
        Ok(ReferenceLog(self.0.open(dir)?))
    }
}

/// An obviously right log store. Clones are the same one.
pub struct ReferenceLog<C: LogConfig>(Disk<Log<C>>);

impl<C: LogConfig> Clone for ReferenceLog<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: LogConfig> Debug for ReferenceLog<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceLog")
    }
}

struct Log<C: LogConfig> {
    entries: BTreeMap<u64, C::Entry>,
    purged: Option<LogId<C::NodeId>>,
    vote: Option<Vote<C::NodeId>>,
    committed: Option<LogId<C::NodeId>>,
}

impl<C: LogConfig> Default for Log<C> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), purged: None, vote: None, committed: None }
    }
}

enum Change<C: LogConfig> {
    Append(Vec<C::Entry>),
    Truncate(LogId<C::NodeId>),
    Purge(LogId<C::NodeId>),
    Vote(Vote<C::NodeId>),
    Committed(Option<LogId<C::NodeId>>),
}

impl<C: LogConfig> Contents for Log<C> {
    type Change = Change<C>;

    fn change(&mut self, change: &Change<C>) {
        match change {
            Change::Append(entries) => {
                let placed = entries.iter().map(|entry| (entry.get_log_id().index, entry.clone()));
                self.entries.extend(placed);
            }
            Change::Truncate(since) => self.entries.retain(|index, _| *index < since.index),
            Change::Purge(upto) => {
                self.entries.retain(|index, _| *index > upto.index);
                self.purged = self.purged.clone().max(Some(upto.clone()));
            }
            Change::Vote(vote) => self.vote = Some(vote.clone()),
            Change::Committed(committed) => self.committed = committed.clone(),
        }
    }
}

impl<C: LogConfig> Log<C> {
    fn state(&self) -> LogState<C> {
        let last = self.entries.last_key_value().map(|(_, entry)| entry.get_log_id().clone());
        LogState {
            last_log_id: last.or_else(|| self.purged.clone()),
            last_purged_log_id: self.purged.clone(),
        }
    }
}

impl<C: LogConfig> ReferenceLog<C> {
    fn make(&self, change: Change<C>) -> Result<(), StorageError<C::NodeId>> {
        let made = self.0.change(|_| Some(change));
        made.map_err(|error| StorageIOError::write_logs(&error).into())
    }
}

impl<C: LogConfig> RaftLogReader<C> for ReferenceLog<C> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<C::Entry>, StorageError<C::NodeId>> {
        Ok(self.0.read(|log| {
            // Not `BTreeMap::range`: it panics where the bounds are the wrong way round.
            let found = log.entries.iter().filter(|(index, _)| range.contains(*index));
            found.map(|(_, entry)| entry.clone()).collect()
        }))
    }
}

impl<C: LogConfig> RaftLogStorage<C> for ReferenceLog<C> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<C>, StorageError<C::NodeId>> {
        Ok(self.0.read(Log::state))
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<C::NodeId>) -> Result<(), StorageError<C::NodeId>> {
        self.make(Change::Vote(vote.clone()))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<C::NodeId>>, StorageError<C::NodeId>> {
        Ok(self.0.read(|log| log.vote.clone()))
    }

    async fn save_committed(
        &mut self,
        committed: Option<LogId<C::NodeId>>,
    ) -> Result<(), StorageError<C::NodeId>> {
        self.make(Change::Committed(committed))
    }

    async fn read_committed(
        &mut self,
    ) -> Result<Option<LogId<C::NodeId>>, StorageError<C::NodeId>> {
        Ok(self.0.read(|log| log.committed.clone()))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<C>,
    ) -> Result<(), StorageError<C::NodeId>>
    where
        I: IntoIterator<Item = C::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.make(Change::Append(entries.into_iter().collect()))?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId<C::NodeId>) -> Result<(), StorageError<C::NodeId>> {
        self.make(Change::Truncate(since))
    }

    async fn purge(&mut self, upto: LogId<C::NodeId>) -> Result<(), StorageError<C::NodeId>> {
        self.make(Change::Purge(upto))
    }
}
