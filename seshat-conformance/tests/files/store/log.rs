//! [`Log`]: a log store over any [`Form`], which it tells what to write before it believes it.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use seshat_conformance::openraft;
use seshat_conformance::reference::TypeConfig;

use super::append_only::AppendOnly;
use super::copy_on_write::CopyOnWrite;
use super::entries::Entries;
use super::memory::{Change, Memory};
use super::rollback::Rollback;
use super::segments::Segments;
use super::{Entry, Error, LogId, Vote, damaged, failed};
use crate::disk::Disk;
use crate::faults::{Fault, Form};

/// A log's files.
pub trait Keep: Send + Debug {
    /// Puts a change on the disk, before which the log is `before`.
    ///
    /// # Errors
    /// The disk's. What is there is what was there, or the change, or, of an append or a truncation, a part of it.
    fn keep(&mut self, before: &Memory, change: &Change) -> io::Result<()>;
}

/// What a log's files hold, and what goes on writing them.
pub type Opened = (Memory, Box<dyn Keep>);

/// A log store. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Log(Arc<Mutex<Core>>);

#[derive(Debug)]
struct Core {
    disk: Disk,
    memory: Memory,
    files: Box<dyn Keep>,
    /// A write has failed: what is on the disk is anyone's guess, until it is opened again.
    failed: bool,
    /// Of a store that writes it later.
    vote: Option<Vote>,
}

impl Log {
    pub fn open(disk: &Disk) -> io::Result<Self> {
        if disk.ways.is(Fault::LockFileStays) {
            disk.lock()?;
        }
        if disk.ways.is(Fault::EmptyFileFails) {
            head(disk)?;
        }
        let (memory, files) = match disk.ways.form {
            Form::AppendOnly => AppendOnly::open(disk)?,
            Form::CopyOnWrite => CopyOnWrite::open(disk)?,
            Form::FilePerEntry => Entries::open(disk)?,
            Form::RollbackJournal => Rollback::open(disk)?,
            _ => Segments::open(disk)?,
        };
        // What was found may be in the page cache alone, and is acknowledged without being written.
        if !disk.ways.is(Fault::NamesAdopted) {
            disk.sync()?;
        }
        let core = Core { disk: disk.clone(), memory, files, failed: false, vote: None };
        Ok(Self(Arc::new(Mutex::new(core))))
    }

    // Memory is changed after the files, in one go.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, change: Change) -> io::Result<()> {
        self.lock().write(change)
    }
}

/// A file that says what the others are.
fn head(disk: &Disk) -> io::Result<()> {
    match disk.read("format")? {
        Some(bytes) if bytes.is_empty() => Err(damaged("format")),
        Some(_) => Ok(()),
        None => {
            let mut file = disk.create("format", 0)?;
            file.write(0, b"segments, 1")?;
            file.sync()
        }
    }
}

impl Core {
    fn write(&mut self, change: Change) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write has failed"));
        }
        if let (Change::Vote(vote), true) = (&change, self.disk.ways.is(Fault::VoteAfterEntries)) {
            self.vote = Some(*vote);
        } else {
            let kept = self.files.keep(&self.memory, &change);
            self.failed = kept.is_err();
            kept?;
            self.write_late()?;
        }
        self.memory.apply(change);
        Ok(())
    }

    fn write_late(&mut self) -> io::Result<()> {
        match self.vote.take() {
            Some(vote) => self.files.keep(&self.memory, &Change::Vote(vote)),
            None => Ok(()),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let late = self.write_late();
        if self.disk.ways.is(Fault::LockFileStays) {
            // The directory may be gone, with the power.
            drop(self.disk.remove("lock"));
        }
        drop(late);
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, Error> {
        let core = self.lock();
        let found = core.memory.entries.iter().filter(|(index, _)| range.contains(*index));
        Ok(found.map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, Error> {
        let memory = &self.lock().memory;
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: memory.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), Error> {
        self.write(Change::Vote(*vote)).map_err(failed)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, Error> {
        Ok(self.lock().memory.vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), Error> {
        self.write(Change::Committed(committed)).map_err(failed)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, Error> {
        Ok(self.lock().memory.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.write(Change::Append(entries.into_iter().collect())).map_err(failed)?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), Error> {
        self.write(Change::Truncate(since.index)).map_err(failed)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), Error> {
        self.write(Change::Purge(upto)).map_err(failed)
    }
}
